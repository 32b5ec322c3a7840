"""Takes what the stores hold into the list of jobs: in slices, behind keys, once a frame."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from mcp_tui.store.turn import LATEST, Turn
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.live.jobs_model import JobsModel

_FRAME: Final = 0.1
# Rows made anew before the event loop has its turn, and for how long.
_ROWS_AT_ONCE: Final = 250
# Once the list is there, so few that a key never waits long.
_ROWS_BETWEEN_KEYS: Final = 25
# Seconds after which it is seen again whether a key has its frame.
_BEHIND_A_KEY: Final = 0.01
_BETWEEN_FLUSHES: Final = 0.002
# Seconds until what a filter will want is made ready: rows that still come are more urgent.
_BEFORE_PREPARING: Final = 0.3
# Seconds after which nobody waits for a rest any more.
_NEVER_RESTS: Final = 5.0


class Taking:
    """Makes rows of what is new, and says so.

    Args:
        jobs: The list.
        lives: The open contexts.
        turn: Keys go first.
        taken: Told which rows of a context were made anew.
    """

    def __init__(
        self,
        jobs: JobsModel,
        lives: Callable[[], Iterable[Live]],
        turn: Turn,
        taken: Callable[[Live, frozenset[str]], None],
    ) -> None:
        self._jobs = jobs
        self._lives = lives
        self._turn = turn
        self._taken = taken
        # Told of changes once there is a screen.
        self._tell: Callable[[], None] | None = None
        self._flush_at: asyncio.TimerHandle | None = None
        self._preparing: asyncio.TimerHandle | None = None
        # When rows were last made, and when that was last said; seconds of the loop's clock.
        self._flushed = self._told = float("-inf")
        self._due_since = float("inf")
        # Whether the rows of a first list are still being made.
        self._filling = True

    def start(self, tell: Callable[[], None]) -> None:
        """Make rows from now on."""
        self._tell = tell
        self.changed()

    def stop(self) -> None:
        """Make none any more."""
        for timer in (self._flush_at, self._preparing):
            if timer is not None:
                timer.cancel()

    def tell(self) -> None:
        """Something other than jobs is new: drawn at once."""
        if self._tell is not None:
            self._tell()

    async def rested(self) -> None:
        """Wait until there is a screen and the rows that came are made; in a storm not for ever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _NEVER_RESTS
        while self._tell is None or any(live.store.dirty for live in self._lives()):
            if loop.time() > until:
                return
            await asyncio.sleep(_BEHIND_A_KEY)

    def changed(self) -> None:
        """Something came: taken over at most once a frame, however often it is said."""
        if self._flush_at is None and self._tell is not None:
            loop = asyncio.get_running_loop()
            # What comes after a rest is taken at once, what comes soon after that with the rest.
            due = max(0.0, self._flushed + _FRAME - loop.time())
            self._due_since = loop.time() + due
            self._flush_at = loop.call_later(due, self._flush)

    def _flush(self) -> None:
        self._flush_at = None
        loop = asyncio.get_running_loop()
        if self._turn.is_a_keys and loop.time() - self._due_since < LATEST:
            self._flush_at = loop.call_later(_BEHIND_A_KEY, self._flush)
            return
        self._flushed = self._due_since = loop.time()
        now = time.time()
        # The last page has come before its rows are made.
        self._filling = self._filling or self._jobs.phase == "loading"
        most = _ROWS_AT_ONCE if self._filling else _ROWS_BETWEEN_KEYS
        for live in self._lives():
            if live.store.dirty:
                change = live.store.flush(now, most)
                self._jobs.take(live.name, change, live.store.table.get)
                self._taken(live, change.added | change.changed)
        more = any(live.store.dirty for live in self._lives())
        if more:
            # Keys that came meanwhile have their turn first.
            self._flush_at = loop.call_later(_BETWEEN_FLUSHES, self._flush)
        else:
            self._filling = self._jobs.phase == "loading"
        if not more and self._preparing is None:
            self._preparing = loop.call_later(_BEFORE_PREPARING, self._prepare)
        if not more or self._flushed - self._told >= _FRAME:
            self._told = self._flushed
            self.tell()

    def _prepare(self) -> None:
        """Make ready, little by little, what the first letter of a filter looks at."""
        loop = asyncio.get_running_loop()
        self._preparing = None
        rests = loop.time() - self._flushed >= _BEFORE_PREPARING
        if not rests and self._jobs.phase == "loading":
            self._preparing = loop.call_later(_BEFORE_PREPARING, self._prepare)
        elif self._jobs.prepare(_ROWS_AT_ONCE):
            self._preparing = loop.call_later(_BETWEEN_FLUSHES, self._prepare)
