"""The experiments of one MLflow, and what is known of the runs in those on screen.

The server counts nothing. Of each experiment on screen the newest page of runs is read once; then
new runs are asked for in one search over all of them, and those that go on are read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import ChainMap
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.domain.run import Experiment, Run
from mcp_tui.domain.runorder import NEWEST_FIRST
from mcp_tui.domain.runrow import RunRow
from mcp_tui.domain.text import one_line
from mcp_tui.sources.mlflow import IDS_PER_SEARCH, MlflowClient, RunPage
from mcp_tui.store.mlflowhealth import MlflowHealth, ended, kept_up
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


class _Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is kept of a run; ``looked`` is when it was read last, as a monotonic clock says."""

    status: str
    started: int
    looked: float

    @property
    def goes_on(self) -> bool:
        return self.status in ("RUNNING", "SCHEDULED")


class _Read(msgspec.Struct, kw_only=True):
    """What was read of one experiment's runs, by id.

    Attributes:
        more: Whether it has others.
        newest: The newest moment that one tells of.
        started: The newest start.
        asked: When new ones were asked for last, in milliseconds since 1970.
    """

    runs: dict[str, _Run] = {}
    more: bool = False
    newest: int = 0
    started: int = 0
    asked: int = 0

    def take(self, runs: Iterable[Run]) -> None:
        now = time.monotonic()
        for run in runs:
            if run.is_deleted:
                self.runs.pop(run.run_id, None)
            else:
                self.runs[run.run_id] = _Run(
                    status=run.info.status, started=run.info.start_time, looked=now
                )
            self.newest = max(self.newest, run.touched)
            self.started = max(self.started, run.info.start_time)

    def take_rows(self, rows: Iterable[RunRow], more: bool) -> None:
        """Take runs as a list of them has them: all or (``more``) some."""
        now = time.monotonic()
        if not more:
            self.runs = {}
        self.more = self.more and more
        for row in rows:
            self.runs[row.run_id] = _Run(status=row.status, started=row.started, looked=now)
            self.newest = max(self.newest, row.touched)
            self.started = max(self.started, row.started)

    def begin_again(self, page: RunPage) -> None:
        """Take the newest page: what was known, is not on it and not older than it, is gone."""
        known, self.runs = self.runs, {}
        if page.next_page_token and page.runs:
            oldest = page.runs[-1].info.start_time
            self.runs = {i: run for i, run in known.items() if run.started <= oldest}
            # Where the page reaches down to what was known there is nothing between.
            self.more = self.more or not any(run.run_id in known for run in page.runs)
        else:
            self.more = False
        self.take(page.runs)


def _now() -> int:
    return int(time.time() * 1000)


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
        self._anew: set[str] = set()
        self._active: dict[str, int] = {}
        self.rows: dict[str, ExperimentRow] = {}
        self.synced = False
        self.waiting_since = time.monotonic()
        self._visible: tuple[str, ...] = ()
        self._wake = asyncio.Event()
        self._at_once = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listed_at = self._new_at = self._again_at = _NEVER

    def start(self) -> None:
        """Begin, or go on; returns at once."""
        if self._task is None:
            work = kept_up(self._run, self._health, self._tell, self._at_once)
            self._task = asyncio.create_task(work)

    def stop(self) -> Coroutine[Any, Any, None]:
        """Ask nothing any more, from now on; what was read stays. Awaited, all has ended.

        It may be started again before that.
        """
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return ended([] if task is None else [task])

    def visible(self, ids: Sequence[str]) -> None:
        """These experiments are on screen."""
        if tuple(ids) != self._visible:
            self._visible = tuple(ids)
            self._wake.set()

    def refresh(self) -> None:
        """Ask for everything again; of each experiment when it is on screen."""
        self._listed_at = self._new_at = self._again_at = _NEVER
        self._anew |= self._reads.keys()
        self._wake.set()
        self._at_once.set()

    def read(self, experiment_id: str, rows: Iterable[RunRow], more: bool) -> None:
        """An experiment's runs were read elsewhere, all or (``more``) some."""
        if experiment_id not in self._known:
            return
        if experiment_id not in self._reads:
            self._reads[experiment_id] = _Read(more=more)
            self._anew.add(experiment_id)
        self._reads[experiment_id].take_rows(rows, more)
        self._show((experiment_id,))

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
        here = (i for i in self._visible if i in self._known)
        return [i for i in here if i not in self._reads or i in self._anew]

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
        self._anew &= self._reads.keys()
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
        asked = _now()
        page = await self._mlflow.search_runs([experiment_id], order_by=NEWEST_FIRST)
        self._health.spoke()
        read = self._reads.setdefault(experiment_id, _Read())
        read.begin_again(page)
        read.asked = asked
        self._anew.discard(experiment_id)
        self._show((experiment_id,))

    async def _new(self) -> None:
        reads = {i: self._reads[i] for i in self._visible if i in self._reads}
        if not reads:
            return
        asked, before = _now(), {read.asked for read in reads.values()}
        # While nothing starts it costs nothing to look further back, for one whose clock is behind.
        newest = max(read.started for read in reads.values())
        page = await self._mlflow.started_since(
            list(reads),
            min(*before, newest),
            # One that comes back on screen lacks runs that started before known ones of others.
            known=ChainMap(*(read.runs for read in reads.values())) if len(before) == 1 else (),
        )
        self._health.spoke()
        if page.next_page_token:
            oldest = page.runs[-1].info.start_time
            for read in reads.values():
                read.more = read.more or read.asked < oldest
        for read in reads.values():
            read.asked = asked
        self._show(self._take(page.runs))

    async def _again(self) -> None:
        reads = {i: self._reads[i].runs for i in self._visible if i in self._reads}
        going = [
            (run.looked, run_id, experiment)
            for experiment, runs in reads.items()
            for run_id, run in runs.items()
            if run.goes_on
        ]
        # Where more go on than one search takes, each has its turn.
        asked = {run_id: experiment for _, run_id, experiment in sorted(going)[:IDS_PER_SEARCH]}
        if not asked:
            return
        found = await self._mlflow.newest(list(asked), list(reads))
        self._health.spoke()
        for run_id, experiment in asked.items():
            if run_id not in found:
                reads[experiment].pop(run_id, None)
        self._take(found.values())
        self._show(set(asked.values()))

    def _take(self, runs: Iterable[Run]) -> Iterable[str]:
        """Take runs of any experiments; gives whose they are."""
        by: dict[str, list[Run]] = {}
        for run in runs:
            by.setdefault(run.info.experiment_id, []).append(run)
        for experiment, theirs in by.items():
            if experiment in self._reads:
                self._reads[experiment].take(theirs)
        return by

    def _show(self, ids: Iterable[str] | None = None) -> None:
        if ids is None:
            self.rows = {i: self._row(each) for i, each in self._known.items()}
        else:
            self.rows.update((i, self._row(self._known[i])) for i in ids if i in self._known)
        self._tell()

    def _row(self, experiment: Experiment) -> ExperimentRow:
        read = self._reads.get(experiment.experiment_id)
        states = [run.status for run in read.runs.values()] if read is not None else []
        own = max(experiment.last_update_time, experiment.creation_time)
        newest = read.newest if read is not None else 0
        return ExperimentRow(
            experiment_id=experiment.experiment_id,
            name=one_line(experiment.name) or f"experiment {experiment.experiment_id}",
            created=experiment.creation_time,
            count=len(states) if read is not None else None,
            more=read is not None and read.more,
            running=states.count("RUNNING"),
            failed=states.count("FAILED"),
            newest=max(newest, self._active.get(experiment.experiment_id, 0)) or own,
        )
