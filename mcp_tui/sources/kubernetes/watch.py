"""Reads one watch to its end, and notices what a blocked read never would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from mcp_tui.domain.decode import Lines
from mcp_tui.domain.kube_wire import Status
from mcp_tui.errors import ApiError
from mcp_tui.sources.hiding import Hide, as_it_is
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.failures import LONGEST, said_line
from mcp_tui.sources.kubernetes.gather import Gathered

GATHER: Final = 0.025
"""Seconds between two blocks of a watch at least: in a storm what came meanwhile is one change.

The first after a rest is taken at once."""

_WORDS: Final = 300
"""Characters of what an ERROR event says that are shown."""

Query = list[tuple[str, str]]


class RelistError(Exception):
    """The watch cannot go on from its version: list again."""


class RewatchError(Exception):
    """The watch broke: go on from the last version."""


def query(selectors: Sequence[tuple[str, str]], timeout: int, version: str) -> Query:
    """How a watch is asked for.

    Args:
        selectors: What is wanted, as the query says it.
        timeout: Seconds after which the server ends it.
        version: Where to begin; empty for what there is now.
    """
    found = [*selectors, ("watch", "true"), ("allowWatchBookmarks", "true")]
    found.append(("timeoutSeconds", str(timeout)))
    if version:
        found.append(("resourceVersion", version))
    return found


async def consume(
    blocks: AsyncGenerator[Lines, None],
    take: Callable[[Lines], int],
    *,
    alive: Callable[[], None],
    silence: float,
    marked: Callable[[], bool],
    timing: Timing,
    clock: Callable[[], float],
    wall: Callable[[], float],
) -> int:
    """Read a watch until it ends.

    A read that waits cannot tell a quiet cluster from a connection that died behind a VPN, nor a
    process that was stopped (Ctrl-Z, a closed lid) from one that ran. So the wait is looked after
    every ``timing.tick`` seconds.

    Args:
        blocks: Whole lines as they come.
        take: Applies a block; returns how many events were in it.
        alive: Called when the watch has proved to last.
        silence: The longest silence in seconds, where no bookmarks are to be expected.
        marked: Whether they are; then it is the times' ``heartbeat``.
        timing: The times.
        clock: Monotonic seconds.
        wall: Wall-clock seconds.

    Returns:
        How many events there were.

    Raises:
        RelistError: We were suspended; what the server kept for us meanwhile may be cut off.
        RewatchError: Nothing came for too long.
        Exception: What ``take`` or the connection raises.
    """
    events = 0
    gathered = Gathered(blocks)
    awake = _Awake(timing, clock, wall)
    started = heard = clock()
    taken = started - GATHER
    try:
        while True:
            came = await gathered.come(timing.tick)
            now = awake.look()
            if came:
                heard = now
                if now - taken < GATHER:
                    await asyncio.sleep(GATHER - (now - taken))
                    awake.look()
                block = gathered.take()
                if not block:
                    return events
                taken = clock()
                events += take(block)
            elif now - heard > (min(silence, timing.heartbeat) if marked() else silence):
                raise RewatchError(f"nothing came for {now - heard:.0f} s")
            if events or now - started >= timing.fast_end:
                alive()
    finally:
        await gathered.aclose()


class _Awake:
    """Notices a time in which this process did not run, whatever it waited for meanwhile."""

    def __init__(
        self, timing: Timing, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._timing, self._clock, self._wall = timing, clock, wall
        self._at, self._wall_at = clock(), wall()

    def look(self) -> float:
        """What time it is; to be asked at least every ``timing.tick`` seconds.

        Raises:
            RelistError: The last look is too long ago, by either clock.
        """
        now, wall = self._clock(), self._wall()
        passed = now - self._at
        slept = (wall - self._wall_at) - passed
        self._at, self._wall_at = now, wall
        if passed > self._timing.tick + self._timing.jump or slept > self._timing.jump:
            raise RelistError("this process was suspended")
        return now


def error_of(status: Status, where: str, hide: Hide = as_it_is) -> Exception:
    """What an ERROR event means: a version that is too old, or an error like any other.

    Args:
        status: Of the event.
        where: The call, as errors name it.
        hide: Takes out what the server was sent and nobody is to read.
    """
    words = said_line(status.message or status.reason, hide)[:_WORDS] or "no reason given"
    if status.code == 410 or status.reason in ("Expired", "Gone"):
        return RelistError(f"the watch is too old: {words}")
    retry = status.details.retry_after_seconds
    return ApiError(
        words,
        status=status.code or 500,
        reason=said_line(status.reason, hide),
        retry_after=float(min(retry, LONGEST)) if retry and retry > 0 else None,
        where=where,
    )
