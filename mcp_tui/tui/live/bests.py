"""The best value that each metric of a run ever had, and at which step: from its history."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.domain.direction import Direction, Directions, usual
from mcp_tui.domain.history import History
from mcp_tui.domain.run import Metric, Run
from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.mlflow import MlflowClient

MOST: Final = 40
"""Metrics whose histories are read for one look."""

SOON: Final = 0.3
"""Seconds that a look waits for what is not known yet; the next one has it."""

_AT_ONCE: Final = 4
_KEPT: Final = 2_000


class Best(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The best of what was read; ``about`` where points were left out."""

    value: float
    step: int
    about: bool = False


def best_in(history: History, direction: Direction) -> Best | None:
    """The best of a history; of equal ones the first."""
    points = [
        (v, s) for v, s in zip(history.values, history.steps, strict=True) if math.isfinite(v)
    ]
    if not points or direction is Direction.NEITHER:
        return None
    sign = -1 if direction is Direction.HIGHER else 1
    value, step = min(points, key=lambda point: (sign * point[0], point[1]))
    return Best(value=value, step=step, about=history.sampled or history.cut)


def _wanted(run: Run, directions: Directions | None) -> list[Metric]:
    """The metrics that have a better side; of very many the first."""
    way = directions.of if directions is not None else usual
    return [m for m in run.data.metrics if way(m.key) is not Direction.NEITHER][:MOST]


class Bests:
    """Remembers what was read: a metric that was logged no further is not read again.

    Args:
        spawn: Lets something run beside the console.
    """

    def __init__(self, spawn: Callable[[Any], asyncio.Task[Any]]) -> None:
        self._spawn = spawn
        self._known: dict[tuple[str, str], tuple[tuple[int, int], Best | None]] = {}
        self._reading: tuple[str, asyncio.Task[dict[str, Best]]] | None = None

    async def soon(
        self, mlflow: MlflowClient, run: Run, directions: Directions | None
    ) -> tuple[dict[str, Best], bool]:
        """What is known in a moment, and whether that is all; what is not is read on meanwhile.

        A history of a million points takes the server seconds, and the last values are there.
        """
        if self._reading is not None and self._reading[0] != run.run_id:
            self.stop()
        if self._reading is None:
            self._reading = run.run_id, self._spawn(self.of(mlflow, run, directions))
        task = self._reading[1]
        await asyncio.wait((task,), timeout=SOON)
        if not task.done():
            return self._found(run, _wanted(run, directions)), False
        self._reading = None
        return await task, True

    def stop(self) -> None:
        """Read no further: nobody looks any more."""
        if self._reading is not None:
            self._reading[1].cancel()
            self._reading = None

    async def of(
        self, mlflow: MlflowClient, run: Run, directions: Directions | None
    ) -> dict[str, Best]:
        """The best of each metric that has a better side; those that cannot be read are absent."""
        way = directions.of if directions is not None else usual
        wanted = _wanted(run, directions)
        stale = [m for m in wanted if self._of(run, m) is None]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def read(metric: Metric) -> None:
            async with gate:
                found = await mlflow.histories([run.run_id], metric.key)
            best = best_in(found.get(run.run_id, History(run_id=run.run_id, key=metric.key)),
                           way(metric.key))  # fmt: skip
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[run.run_id, metric.key] = ((metric.timestamp, metric.step), best)

        results: Sequence[object] = await asyncio.gather(
            *(read(metric) for metric in stale), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, McpTuiError):
                raise result
        return self._found(run, wanted)

    def _found(self, run: Run, wanted: Sequence[Metric]) -> dict[str, Best]:
        found = {m.key: self._known.get((run.run_id, m.key)) for m in wanted}
        return {one_line(k): known[1] for k, known in found.items() if known and known[1]}

    def _of(self, run: Run, metric: Metric) -> object:
        known = self._known.get((run.run_id, metric.key))
        return known if known and known[0] == (metric.timestamp, metric.step) else None
