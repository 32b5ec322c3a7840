"""An event loop on a clock of its own: time passes only where everybody waits for it.

Work for a thread is done at once, in the turn that asked for it, so that a run is the same each
time. A turn can be named after which the loop is left where it stands, as a killed process is.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Stuck(Exception):
    """Everybody waits, and nobody for a time that comes."""


class Killed(Exception):
    """The loop was left where it stood."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module.

    Attributes:
        now: Seconds, for :meth:`time`.
        turns: How often the loop went round.
        end_at: The turn after which :meth:`run` raises :class:`Killed`; None for never.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.turns = 0
        self.end_at: int | None = None
        self.latest = 100_000.0

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]  # what is done at once needs no executor
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # handed to whoever waits, as an executor does
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        self.turns += 1
        if self.end_at is not None and self.turns > self.end_at:
            raise Killed
        inner = cast("Any", self)  # the loop's own lists, which its type does not name
        while inner._scheduled and inner._scheduled[0]._cancelled:
            inner._timer_cancelled_count -= 1
            heapq.heappop(inner._scheduled)._scheduled = False
        if not inner._ready and not inner._stopping:
            if not inner._scheduled:
                raise Stuck
            self.now = max(self.now, inner._scheduled[0]._when)
            if self.now > self.latest:
                raise Stuck
        inner_once: Callable[[], None] = super()._run_once  # type: ignore[misc]  # not in its type
        inner_once()

    def leave(self) -> None:
        """End what still runs; whoever was killed does nothing more of its own by then."""
        self.end_at = None
        self.latest = self.now + 1_000.0
        for _ in range(20):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.run_until_complete(self.shutdown_asyncgens())


def run(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, T]], on_kill: Callable[[], None]
) -> T | None:
    """Run something on a loop of its own, to its end or until it is killed.

    Args:
        on_kill: Called then, before anything of it notices; from there on it can do no more.
    """
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main(loop))
    except Killed:
        on_kill()
        return None
    finally:
        try:
            loop.leave()
        finally:
            asyncio.set_event_loop(None)
            loop.close()
