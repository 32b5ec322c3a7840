"""How late an event loop is."""

from __future__ import annotations

import asyncio
from typing import Final

BEAT: Final = 0.002
"""Seconds between two looks."""


class Lag:
    """Feels how late the running loop is, from ``with`` to the block's end.

    Attributes:
        worst: Seconds, the most so far.
    """

    def __init__(self) -> None:
        self.worst = 0.0

    def __enter__(self) -> Lag:
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + BEAT
        self._next = self._loop.call_at(self._due, self._feel)
        return self

    def __exit__(self, *_: object) -> None:
        # What held the loop until now was not felt yet.
        self.worst = max(self.worst, self._loop.time() - self._due)
        self._next.cancel()

    def _feel(self) -> None:
        now = self._loop.time()
        self.worst = max(self.worst, now - self._due)
        self._due = now + BEAT
        self._next = self._loop.call_at(self._due, self._feel)
