"""Whose turn it is on the event loop: keys go before rows, and rows before what is looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

KEY_FIRST: Final = 0.04
"""Seconds that a key has for its frame."""

LATEST: Final = 0.2
"""Seconds that keys may hold anything else up, however fast they come."""


class Turn:
    """Told of keys; asked by whatever can wait for their frames.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key_at = float("-inf")

    def key(self) -> None:
        """A key came."""
        self._key_at = self._clock()

    @property
    def is_a_keys(self) -> bool:
        """Whether a key came that may not have its frame yet."""
        return self._clock() - self._key_at < KEY_FIRST

    async def comes(self) -> None:
        """Wait until no key waits for its frame, but not for long."""
        until = self._clock() + LATEST
        # Only time ends it: there is no event to wait for.
        while (left := min(until, self._key_at + KEY_FIRST) - self._clock()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
