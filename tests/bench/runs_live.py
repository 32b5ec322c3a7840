"""Live runs: how long until a metric that was logged is in a row, and what asking costs a server.

The runs are followed as the Runs pane follows them, without the pane: fifty that go on are on
screen, ten that go on are not, and all are logged to through another client, as training does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from mcp_tui.domain.run import Metric
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.store.turn import Turn
from tests.bench.tracker import LIVE_METRIC, STEPS, Tracker, processor
from tests.cluster.process import marked

WATCHED: Final = 50
QUIET: Final = 25.0
"""Seconds in which nothing is logged, of which some go by until all has been asked for again."""

TIMES: Final = 8
_STAGGERED: Final = 4.0
_DEADLINE: Final = 60.0


@dataclass(frozen=True)
class Live:
    """Seconds until a metric is in its row, of each that was logged; and the server's share."""

    on_screen: tuple[float, ...]
    others: tuple[float, ...]
    processor: float


class _Rows:
    """The rows, and whoever waits for them to change."""

    def __init__(self, client: MlflowClient, at: Tracker) -> None:
        self._news = asyncio.Event()
        self.watch = RunWatch(
            client,
            at.experiment_ids(),
            [f"metrics.{LIVE_METRIC}"],
            health=MlflowHealth(),
            on_change=lambda _: self._told(),
            turn=Turn(),
        )

    def _told(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def change(self) -> None:
        """Wait until the server was looked at."""
        async with asyncio.timeout(_DEADLINE):
            await self._news.wait()

    async def has(self, run_id: str, value: float) -> None:
        """Wait until a row has a value."""
        while (row := self.watch.list.rows.get(run_id)) is None or row.values != (value,):
            await self.change()


@asynccontextmanager
async def _followed(client: MlflowClient, at: Tracker) -> AsyncIterator[_Rows]:
    rows = _Rows(client, at)
    rows.watch.start()
    try:
        while len(rows.watch.list.rows) < at.size.running:
            rows.watch.more()
            await rows.change()
        rows.watch.visible(running(at)[:WATCHED])
        yield rows
    finally:
        await rows.watch.stop()


def running(at: Tracker) -> Sequence[str]:
    """The runs that go on, the newest first."""
    return [at.size.run(at.size.runs - 1 - number) for number in range(at.size.running)]


async def follow(at: Tracker, client: MlflowClient, writer: MlflowClient) -> Live:
    """Follow them, first while nothing is logged."""
    async with _followed(client, at) as rows:
        await rows.change()
        pids = marked(at.mark)
        used, began = processor(pids), time.monotonic()
        await asyncio.sleep(QUIET)
        share = (processor(pids) - used) / (time.monotonic() - began)

        async def logged(run_id: str, value: float) -> float:
            now = int(time.time() * 1000)
            point = Metric(key=LIVE_METRIC, value=value, timestamp=now, step=STEPS + int(value))
            await writer.log_batch(run_id, metrics=[point])
            began = time.monotonic()
            async with asyncio.timeout(_DEADLINE):
                await rows.has(run_id, value)
            return time.monotonic() - began

        async def later(number: int, run_id: str) -> float:
            await asyncio.sleep(number * _STAGGERED)
            return await logged(run_id, 1000.0)

        on_screen = []
        for number, run_id in enumerate(running(at)[:TIMES]):
            # Right after a look: the longest way to the next.
            await rows.change()
            on_screen.append(await logged(run_id, 1000.0 + number))
        beside = running(at)[WATCHED : WATCHED + 3]
        others = await asyncio.gather(*(later(n, run_id) for n, run_id in enumerate(beside)))
    return Live(tuple(on_screen), tuple(others), share)
