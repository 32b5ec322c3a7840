"""The experiments of one MLflow, and what is known of the runs in those on screen.

The server counts nothing. Of each experiment on screen the newest page of runs is read once; then
new runs are asked for in one search over all of them, and those that go on are read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.run import Experiment, Run
from mcp_tui.domain.runorder import NEWEST_FIRST
from mcp_tui.domain.text import one_line
from mcp_tui.sources.mlflow import IDS_PER_SEARCH, PAGE, MlflowClient
from mcp_tui.store.mlflowhealth import MlflowHealth, kept_up
from mcp_tui.store.turn import Turn

NEW_EVERY: Final = 5.0
LIST_EVERY: Final = 30.0
AGAIN_EVERY: Final = 12.0
MOST: Final = 5_000
"""Experiments that are read by themselves; a filter of the server's finds others."""

_TICK: Final = 1.0
_NEVER: Final = -1e9


class ExperimentRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One experiment. Times are milliseconds since 1970.

    Attributes:
        count: Runs that were read; None before any were asked for.
        more: Whether it has runs that were not read.
        running: Of those that were read.
        newest: The newest moment that a run of it tells of, or that of its own last change.
    """

    experiment_id: str
    name: str
    created: int = 0
    count: int | None = None
    more: bool = False
    running: int = 0
    failed: int = 0
    newest: int = 0

    def counted(self) -> str:
        """``12``, or ``1,000+`` where there are more."""
        return "" if self.count is None else f"{self.count:,}{'+' if self.more else ''}"


class _Read(msgspec.Struct, kw_only=True):
    """What was read of one experiment's runs: their states, by id."""

    states: dict[str, str] = {}
    more: bool = False
    newest: int = 0

    def take(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if run.is_deleted:
                self.states.pop(run.run_id, None)
            else:
                self.states[run.run_id] = run.info.status
            self.newest = max(self.newest, run.touched)


class ExperimentWatch:
    """The experiments of one MLflow, in step while somebody looks at them.

    Args:
        mlflow: The client.
        health: Told how the server answers.
        on_change: Called when something came.
        turn: What can wait for keys does.

    Attributes:
        rows: By id.
        synced: Whether the list was complete once.
    """

    def __init__(
        self,
        mlflow: MlflowClient,
        *,
        health: MlflowHealth,
        on_change: Callable[[], None],
        turn: Turn,
    ) -> None:
        self._mlflow = mlflow
        self._health = health
        self._tell = on_change
        self._turn = turn
        self._known: dict[str, Experiment] = {}
        self._reads: dict[str, _Read] = {}
        self._active: dict[str, int] = {}
        self.rows: dict[str, ExperimentRow] = {}
        self.synced = False
        self.waiting_since = time.monotonic()
        self._visible: tuple[str, ...] = ()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listed_at = self._new_at = self._again_at = _NEVER

    def start(self) -> None:
        """Begin, or go on; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(kept_up(self._run, self._health, self._tell))

    async def stop(self) -> None:
        """Ask nothing any more; what was read stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def visible(self, ids: Sequence[str]) -> None:
        """These experiments are on screen."""
        if tuple(ids) != self._visible:
            self._visible = tuple(ids)
            self._wake.set()

    def refresh(self) -> None:
        """Ask for everything again."""
        self._listed_at = self._new_at = self._again_at = _NEVER
        self._wake.set()

    def read(self, experiment_id: str, count: int, more: bool) -> None:
        """More of an experiment's runs were read elsewhere."""
        row = self.rows.get(experiment_id)
        if row is not None and count >= (row.count or 0):
            self.rows[experiment_id] = msgspec.structs.replace(row, count=count, more=more)

    async def _run(self) -> None:
        while True:
            await self._turn.comes()
            await self.look()
            self._wake.clear()
            if self._unread():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._wake.wait()

    async def look(self) -> None:
        """Ask for what is due: the list, then one experiment's runs, then what is new."""
        now = time.monotonic()
        if now - self._listed_at >= LIST_EVERY:
            await self._list()
            self._listed_at = now
        unread = self._unread()
        if unread:
            await self._first_page(unread[0])
        elif now - self._new_at >= NEW_EVERY:
            self._new_at = now
            await self._new()
        elif now - self._again_at >= AGAIN_EVERY:
            self._again_at = now
            await self._again()

    def _unread(self) -> list[str]:
        return [i for i in self._visible if i in self._known and i not in self._reads]

    async def _list(self) -> None:
        known: dict[str, Experiment] = {}
        token = ""
        while len(known) < MOST:
            page = await self._mlflow.search_experiments(page_token=token)
            self._health.spoke()
            known.update((each.experiment_id, each) for each in page.experiments)
            # A server that gives the same token again would be asked for ever.
            more = page.next_page_token not in ("", token)
            token = page.next_page_token
            if not self.synced:
                self._known = dict(known)
                self._show()
            if not more:
                break
            await self._turn.comes()
        self._known = known
        self._reads = {i: read for i, read in self._reads.items() if i in known}
        if known and not self.synced:
            await self._most_active()
        self.synced = True
        self._show()

    async def _most_active(self) -> None:
        """Which experiments have the newest runs: one search over all of them."""
        page = await self._mlflow.search_runs(list(self._known), order_by=NEWEST_FIRST)
        self._active_by(page.runs)

    def _active_by(self, runs: Iterable[Run]) -> None:
        for run in runs:
            experiment = run.info.experiment_id
            self._active[experiment] = max(self._active.get(experiment, 0), run.touched)

    async def _first_page(self, experiment_id: str) -> None:
        page = await self._mlflow.search_runs([experiment_id], order_by=NEWEST_FIRST)
        self._health.spoke()
        read = self._reads[experiment_id] = _Read(more=bool(page.next_page_token))
        read.take(page.runs)
        self._show((experiment_id,))

    async def _new(self) -> None:
        shown = [i for i in self._visible if i in self._reads]
        if not shown:
            return
        newest = max((self._reads[i].newest for i in shown), default=0)
        since = min(newest, int(time.time() * 1000))
        page = await self._mlflow.started_since(shown, since, most=PAGE)
        self._health.spoke()
        self._take(page.runs)

    async def _again(self) -> None:
        going = [
            run
            for i in self._visible
            if i in self._reads
            for run, status in self._reads[i].states.items()
            if status in ("RUNNING", "SCHEDULED")
        ][:IDS_PER_SEARCH]
        if going:
            found = await self._mlflow.newest(going, self._visible)
            self._health.spoke()
            self._take(found.values())

    def _take(self, runs: Iterable[Run]) -> None:
        by: dict[str, list[Run]] = {}
        for run in runs:
            by.setdefault(run.info.experiment_id, []).append(run)
        for experiment, theirs in by.items():
            if experiment in self._reads:
                self._reads[experiment].take(theirs)
        self._show(by)

    def _show(self, ids: Iterable[str] | None = None) -> None:
        if ids is None:
            self.rows = {i: self._row(each) for i, each in self._known.items()}
        else:
            self.rows.update((i, self._row(self._known[i])) for i in ids if i in self._known)
        self._tell()

    def _row(self, experiment: Experiment) -> ExperimentRow:
        read = self._reads.get(experiment.experiment_id)
        states = list(read.states.values()) if read is not None else []
        before = self.rows.get(experiment.experiment_id)
        own = max(experiment.last_update_time, experiment.creation_time)
        newest = read.newest if read is not None else 0
        count, more = len(states), read is not None and read.more
        if before is not None and (before.count or 0) > count:
            count, more = before.count or 0, before.more
        return ExperimentRow(
            experiment_id=experiment.experiment_id,
            name=one_line(experiment.name) or f"experiment {experiment.experiment_id}",
            created=experiment.creation_time,
            count=count if read is not None else None,
            more=more,
            running=states.count("RUNNING"),
            failed=states.count("FAILED"),
            newest=max(newest, self._active.get(experiment.experiment_id, 0)) or own,
        )
