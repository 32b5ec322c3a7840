"""The Runs pane's model: which experiments are open, and what of MLflow is followed for it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.domain import filtercomplete, runfilter
from mcp_tui.domain.direction import Direction, usual
from mcp_tui.domain.filterkind import is_query
from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.runorder import NEWEST_FIRST
from mcp_tui.domain.runrow import KINDS, RunRow
from mcp_tui.errors import UsageError
from mcp_tui.sources.base import AILING, HealthState
from mcp_tui.sources.mlflow import PAGE
from mcp_tui.store.experimentwatch import ExperimentWatch
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.tui.chosen import MOST, ChosenColumns
from mcp_tui.tui.columns_runs import title_of
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.live.runs_rows import ExperimentRows, RunRows, split
from mcp_tui.tui.model import Column, Phase, RowView, SourceState
from mcp_tui.tui.model_runs import Level

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend

_FIND_EVERY: Final = 0.3
_NAME: Final = re.compile(r'"([^"]*)"|(\S+)')


class _Part:
    """What is followed of one context's MLflow."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.health = MlflowHealth()
        self.experiments: ExperimentWatch | None = None
        self.runs: RunWatch | None = None


class LiveRuns:
    """Implements :class:`mcp_tui.tui.model_runs.RunsModel`, and the part behind the pane.

    Args:
        backend: Whose contexts are followed.
    """

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend
        self._chosen = ChosenColumns(backend.config.state_dir)
        self._finding: asyncio.Task[None] | None = None
        self._parts: dict[str, _Part] = {}
        self._opened: tuple[str, ...] = ()
        self._looks = False
        self.level: Level = "experiments"
        self.query = ""
        self.experiments = ExperimentRows(self._is_stale)
        self.runs = RunRows(self.linked, self._experiment_name, self._is_stale)
        self._count: tuple[int, str] = (-1, "")

    # -- following --------------------------------------------------------------------------

    @property
    def model(self) -> LiveRuns:
        """The pane's list."""
        return self

    def reopen(self) -> None:
        """Other contexts are open: all begins anew."""
        for part in self._parts.values():
            self._halt(part)
        self._parts = {name: _Part(live) for name, live in self._backend.lives.items()}
        self.level, self._opened, self.query = "experiments", (), ""
        self.experiments.scope(len(self._parts))
        self.runs.scope(several=False)
        self.front(self._looks)

    def front(self, on: bool) -> None:
        """Somebody looks at the pane, or nobody does."""
        self._looks = on
        if self._finding is not None:
            self._finding.cancel()
            self._finding = None
        if on:
            self._finding = self._backend.spawn(self._find())
        else:
            for part in self._parts.values():
                part.live.asked = None
                self._halt(part)

    def _halt(self, part: _Part) -> None:
        for watch in (part.experiments, part.runs):
            if watch is not None:
                self._backend.spawn(watch.stop())

    async def _find(self) -> None:
        """Follow each context as soon as it is known where its MLflow is."""
        while True:
            self.follow()
            parts = self._parts.values()
            if parts and all(part.live.connection.mlflow is not None for part in parts):
                return
            await asyncio.sleep(_FIND_EVERY)

    def sources(self, prefixes: Mapping[str, str]) -> Sequence[SourceState]:
        """MLflow is among the sources of each context already."""
        del prefixes
        return ()

    async def stop(self) -> None:
        """End everything."""
        watches = [w for part in self._parts.values() for w in (part.experiments, part.runs) if w]
        await asyncio.gather(*(watch.stop() for watch in watches), return_exceptions=True)

    def follow(self) -> None:
        """Follow what is looked at."""
        if not self._looks:
            return
        for name, part in self._parts.items():
            mlflow = part.live.connection.mlflow
            if mlflow is None:
                continue
            part.live.asked = part.health
            if part.experiments is None:
                part.experiments = ExperimentWatch(
                    mlflow,
                    health=part.health,
                    on_change=self._experiments_came(name),
                    turn=self._backend.turn,
                )
            if part.runs is not None:
                part.runs.start()
            if self.level == "experiments":
                part.experiments.start()

    def refresh(self) -> None:
        """Ask again now."""
        for part in self._parts.values():
            for watch in (part.experiments, part.runs):
                if watch is not None:
                    watch.refresh()

    def _experiments_came(self, context: str) -> Callable[[], None]:
        def came() -> None:
            part = self._parts.get(context)
            if part is not None and part.experiments is not None:
                self.experiments.take(context, part.experiments.rows)
                self._backend.tell()

        return came

    def _runs_came(self, context: str) -> Callable[[set[str] | None], None]:
        def came(touched: set[str] | None) -> None:
            part = self._parts.get(context)
            if part is None or part.runs is None:
                return
            if part.runs.list.columns != self.runs.chosen:
                self._agree(part.runs)
            self.runs.take(context, part.runs.list, touched)
            self._backend.tell()

        return came

    def _agree(self, guessed: RunWatch) -> None:
        """All contexts show the columns that the first page of one suggests."""
        self.runs.choose(guessed.list.columns)
        for part in self._parts.values():
            if part.runs is not None and part.runs.list.columns != self.runs.chosen:
                part.runs.choose(self.runs.chosen)

    def _is_stale(self, context: str) -> bool:
        """Whether the MLflow of a context is silent."""
        part = self._parts.get(context)
        return part is None or part.health.health.state in AILING

    # -- joins ------------------------------------------------------------------------------

    def linked(self, context: str, row: RunRow) -> tuple[JobView | None, bool]:
        """The job of a run, and whether it is known to be gone."""
        live = self._backend.lives.get(context)
        if live is None:
            return None, False
        store, job = live.store, row.job
        view = store.table.get(job.uid) if job.uid else None
        views = (view,) if view is not None else store.jobs_of_run(row.run_id)
        if views:
            return views[0], False
        seen = live.feed.namespace in (None, job.namespace) and live.feed.synced
        return None, bool(job.uid) and seen and job.cluster == context and job.kind == "Job"

    def _experiment_name(self, context: str, experiment_id: str) -> str:
        part = self._parts.get(context)
        rows = part.experiments.rows if part is not None and part.experiments is not None else {}
        row = rows.get(experiment_id)
        return row.name if row is not None else experiment_id

    # -- going in and out -------------------------------------------------------------------

    @property
    def _front(self) -> ExperimentRows | RunRows:
        return self.experiments if self.level == "experiments" else self.runs

    def _watches(self) -> list[RunWatch]:
        return [part.runs for part in self._parts.values() if part.runs is not None]

    @property
    def place(self) -> str:
        """The experiment's name, or how many there are."""
        if self.level == "experiments":
            return "experiments"
        if len(self._opened) == 1:
            return self._experiment_name(*split(self._opened[0]))
        return f"{len(self._opened)} experiments"

    def enter(self, keys: Sequence[str]) -> None:
        """Show the runs of these experiments."""
        by: dict[str, list[str]] = {}
        for key in keys:
            context, id_ = split(key)
            if context in self._parts:
                by.setdefault(context, []).append(id_)
        if not by:
            return
        self._close()
        self._opened = tuple(keys)
        self.level = "runs"
        self.runs.scope(several=len(keys) > 1)
        columns = self._chosen.get(self._list_name())
        self.runs.choose(columns or ())
        for context, ids in by.items():
            part = self._parts[context]
            mlflow = part.live.connection.mlflow
            if mlflow is None:
                continue
            part.runs = RunWatch(
                mlflow,
                ids,
                columns,
                health=part.health,
                on_change=self._runs_came(context),
                turn=self._backend.turn,
            )
            if part.experiments is not None:
                self._backend.spawn(part.experiments.stop())
        self.follow()
        self._backend.tell()

    def leave(self) -> str | None:
        """Show the experiments again."""
        if self.level == "experiments":
            return None
        for part in self._parts.values():
            watch = part.runs
            if watch is None or part.experiments is None:
                continue
            if len(watch.experiments) == 1 and watch.filters == ("",):
                part.experiments.read(watch.experiments[0], len(watch.list), not watch.done)
        self._close()
        self.level = "experiments"
        for name, part in self._parts.items():
            if part.experiments is not None:
                self.experiments.take(name, part.experiments.rows)
        self.follow()
        self._backend.tell()
        return self._opened[0] if self._opened else ""

    def _close(self) -> None:
        self.query = ""
        for part in self._parts.values():
            if part.runs is not None:
                self._backend.spawn(part.runs.stop())
                part.runs = None

    def near(self, last: int) -> None:
        """Read ahead."""
        if self.level == "runs" and self.runs.count - last < PAGE:
            for watch in self._watches():
                watch.more()

    def visible(self, keys: Sequence[str]) -> None:
        """The rows on screen."""
        for name, part in self._parts.items():
            ids = [split(key)[1] for key in keys if split(key)[0] == name]
            if self.level == "experiments" and part.experiments is not None:
                part.experiments.visible(ids)
            elif part.runs is not None:
                part.runs.visible(ids)

    def unfold(self, key: str) -> bool:
        """Show what is nested in a run."""
        return self.level == "runs" and self.runs.unfold(key)

    def fold(self, key: str) -> str:
        """Hide it."""
        return self.runs.fold(key) if self.level == "runs" else key

    # -- MLflow's own filters ---------------------------------------------------------------

    def is_query(self, text: str) -> bool:
        """Whether a filter is for the server."""
        return self.level == "runs" and is_query(text)

    def judge(self, text: str) -> str:
        """What is certainly wrong with it."""
        try:
            runfilter.parse(text)
        except UsageError as error:
            return error.line()
        return ""

    def ask(self, text: str) -> str:
        """Ask the server for it; empty asks for all."""
        if text.strip() == self.query:
            return ""
        try:
            filters = runfilter.parse(text) if text.strip() else ("",)
        except UsageError as error:
            return error.line()
        self.query = text.strip()
        self.runs.ask(bool(self.query))
        for watch in self._watches():
            watch.ask(filters, watch.order_by)
        self._backend.tell()
        return ""

    def completions(self, text: str) -> Sequence[str]:
        """Whole filters that this one could become."""
        if not self.is_query(text):
            return ()
        runs = (run for watch in self._watches() for run in watch.list.wholes())
        found = filtercomplete.complete(text, len(text), filtercomplete.names_of(runs))
        return [text[: found.start] + item + text[found.end :] for item in found.items]

    # -- columns ----------------------------------------------------------------------------

    def _list_name(self) -> str:
        return "+".join(sorted(self._opened))

    def column_names(self) -> Sequence[str]:
        """What there is to choose from."""
        runs = (run for watch in self._watches() for run in watch.list.wholes())
        names = filtercomplete.names_of(runs)
        found = [f"metrics.{n}" for n in names.metrics] + [f"params.{n}" for n in names.params]
        return [*found, *(f"tags.{n}" for n in names.tags if not n.startswith("mlflow."))]

    def choose_columns(self, text: str) -> tuple[str, bool]:
        """Show these columns, and remember them."""
        if self.level != "runs":
            return "columns are chosen for the runs of an experiment: Enter opens one", False
        asked = [quoted or bare for quoted, bare in _NAME.findall(text)]
        if not asked:
            return f"columns: {' '.join(self.runs.chosen) or 'none'}; default guesses them", True
        if asked == ["default"]:
            self._chosen.put(self._list_name(), None)
            self.enter(self._opened)
            return "columns are guessed from what was read", True
        if asked == ["none"]:
            asked = []
        known = set(self.column_names())
        names: list[str] = []
        for name in asked:
            full = next((k + name for k in KINDS if k + name in known), name)
            if not full.startswith(KINDS) or not full.partition(".")[2]:
                return f"no metric, parameter or tag is called {name} in what was read", False
            names.append(full)
        if len(names) > MOST:
            return f"at most {MOST} columns", False
        names = list(dict.fromkeys(names))
        self._chosen.put(self._list_name(), names)
        if self.runs.sort[0].startswith(KINDS) and self.runs.sort[0] not in names:
            self.set_sort("", False)
        self.runs.choose(names)
        for watch in self._watches():
            watch.choose(names)
        return f"columns: {' '.join(map(title_of, names)).lower() or 'none'}", True

    # -- what the table asks ----------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of the level in front."""
        return self._front.columns

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self.experiments.version + self.runs.version

    @property
    def count(self) -> int:
        """Rows that are shown."""
        return self._front.count

    @property
    def total(self) -> int:
        """Rows before the filter."""
        return self._front.total

    @property
    def summary(self) -> str:
        """``12 experiments``, or ``300+ runs  2 running  1 failed``."""
        if self.level == "experiments":
            return self.experiments.summary
        if self._count[0] != self.version:
            self._count = (self.version, self._counted())
        return self._count[1]

    def _counted(self) -> str:
        rows = [row for watch in self._watches() for row in watch.list.rows.values()]
        more = "+" if any(not watch.done for watch in self._watches()) else ""
        parts = [f"{len(rows):,}{more} run{'' if len(rows) == 1 and not more else 's'}"]
        for word in ("RUNNING", "FAILED"):
            times = sum(row.status == word for row in rows)
            parts += [f"{times:,} {word.lower()}"] if times else []
        return "  ".join(parts)

    @property
    def order(self) -> str:
        """The order in words, and over what it is."""
        column, reverse = self._front.sort
        if self.level == "experiments" or not column:
            if column:
                return f"by {column}" + (", reversed" if reverse else "")
            return self._front.own_order
        title = title_of(column).lower() if column.startswith(KINDS) else column
        words = f"by {title}" + (", reversed" if reverse else "")
        watches = self._watches()
        if all(watch.done for watch in watches):
            return words
        if all(watch.order_by not in ((), NEWEST_FIRST) for watch in watches):
            return f"{words}, by the server"
        slow = " (the server is too slow)" if any(watch.slow for watch in watches) else ""
        return f"{words}, over {self.runs.total:,} read{slow}"

    @property
    def trouble(self) -> str:
        """What is wrong with what is shown."""
        if self.level == "experiments":
            return ""
        for watch in self._watches():
            if watch.refused:
                return f"refused by MLflow: {watch.refused}"
            if watch.deleted:
                return f"deleted meanwhile: {', '.join(watch.deleted)}"
        return ""

    @property
    def phase(self) -> Phase:
        """Whether there is anything to show yet."""
        if self._front.total:
            return "ready"
        return self._status()[0]

    @property
    def note(self) -> tuple[str, ...]:
        """What to show in place of rows."""
        if self._front.total and not self._front.count:
            more = "; " + "metrics.f1 > 0.9 asks the server" if self.level == "runs" else ""
            return (f"no row passes the filter; {self._front.total:,} were read{more}",)
        return self._status()[1]

    def _status(self) -> tuple[Phase, tuple[str, ...]]:
        broken: list[str] = []
        waits: list[str] = []
        absent: list[str] = []
        for name, part in self._parts.items():
            known = part.live.feed.mlflow_health
            health = part.health.health
            if part.live.connection.mlflow is None:
                (absent if known.state is HealthState.ABSENT else waits).append(
                    f"looking for the MLflow of {name}"
                )
            elif health.state in AILING:
                broken += self._broken(name, part)
            elif self.level == "experiments" and not _synced(part):
                waits.append(f"listing the experiments of {name}")
            elif self.level == "runs" and part.runs is not None and part.runs.loading:
                seconds = time.monotonic() - part.runs.waiting_since
                waits.append(f"reading the runs of {self.place}, since {seconds:.0f} s")
        if broken or waits:
            return ("loading" if waits else "broken"), (*broken, *waits)
        if absent:
            names = ", ".join(self._parts)
            return "ready", (
                f"no MLflow is configured or found for {names}",
                "set mlflow in the configuration, or label its Service "
                "app.kubernetes.io/name=mlflow",
            )
        if self.level == "experiments":
            return "ready", ("no experiments yet; a job that is submitted makes one",)
        told = "fit the filter" if self.query else "in it yet; a job that is submitted makes one"
        return "ready", ((self.trouble,) if self.trouble else (f"no runs {told}",))

    @staticmethod
    def _broken(name: str, part: _Part) -> Iterable[str]:
        health = part.health.health
        yield f"{name}: {health.message}"
        if health.retry_at is not None:
            yield f"tried again in {max(0.0, health.retry_at - time.monotonic()):.0f} s"

    @property
    def sort(self) -> tuple[str, bool]:
        """Of the level in front."""
        return self._front.sort

    @property
    def own_order(self) -> str:
        """Of the level in front."""
        return self._front.own_order

    @property
    def filter(self) -> str:
        """The quick filter in force."""
        return self._front.filter

    @property
    def faults(self) -> bool:
        """Whether only what failed is shown."""
        return self._front.faults

    def row(self, index: int) -> RowView:
        """The row at a place."""
        return self._front.row(index)

    def index_of(self, key: str) -> int | None:
        """Where a row stands."""
        return self._front.index_of(key)

    def exists(self, key: str) -> bool:
        """Whether it is there."""
        return self._front.exists(key)

    def name_of(self, key: str) -> str:
        """A row in words."""
        return self._front.name_of(key)

    def set_filter(self, text: str) -> str:
        """Filter what was read."""
        return self._front.set_filter(text)

    def set_faults(self, on: bool) -> None:
        """Show only what failed."""
        self._front.set_faults(on)

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """Sort: by a metric on the server, where it does that soon enough and has more."""
        self._front.set_sort(column_id, reverse)
        if self.level != "runs":
            return
        for watch in self._watches():
            order = _order_by(column_id, reverse) if not (watch.done or watch.slow) else None
            if order is not None:
                watch.ask(watch.filters, order)
            elif watch.order_by not in ((), NEWEST_FIRST) and not watch.done:
                watch.ask(watch.filters, ())


def _synced(part: _Part) -> bool:
    return part.experiments is not None and part.experiments.synced


def _order_by(column: str, reverse: bool) -> tuple[str, ...] | None:
    """MLflow's clause for a metric, the best first; None for what is sorted here."""
    kind, _, name = column.partition(".")
    if kind != "metrics":
        return None
    try:
        quoted = runfilter.quoted_name(name)
    except UsageError:
        return None
    lowest = usual(name) is Direction.LOWER
    return (f"metrics.{quoted} {'ASC' if lowest != reverse else 'DESC'}",)
