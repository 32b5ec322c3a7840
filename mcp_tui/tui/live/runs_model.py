"""The Runs pane's model: which experiments are open, and what of MLflow is followed for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.domain import filtercomplete, runfilter
from mcp_tui.domain.direction import Direction
from mcp_tui.domain.filterkind import is_query
from mcp_tui.domain.runorder import NEWEST_FIRST
from mcp_tui.domain.runrow import KINDS
from mcp_tui.errors import UsageError
from mcp_tui.sources.mlflow import PAGE
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.tui.chosen import MOST, ChosenColumns
from mcp_tui.tui.columns_runs import title_of
from mcp_tui.tui.live.experiment_rows import ExperimentRows
from mcp_tui.tui.live.ranked import split
from mcp_tui.tui.live.runs_follow import Following, Part
from mcp_tui.tui.live.runs_rows import RunRows
from mcp_tui.tui.model import Column, Phase, RowView

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend

_NAME: Final = re.compile(r'"([^"]*)"|(\S+)')


class LiveRuns(Following):
    """Implements :class:`mcp_tui.tui.model_runs.RunsModel`, and the part behind the pane.

    Args:
        backend: Whose contexts are followed.
    """

    def __init__(self, backend: LiveBackend) -> None:
        super().__init__(backend)
        self._chosen = ChosenColumns(backend.config.state_dir)
        self._opened: tuple[str, ...] = ()
        self._bin = False
        self._count: tuple[int, str] = (-1, "")
        if backend.config.metrics is not None:
            self.runs.way = backend.config.metrics.of

    @property
    def model(self) -> LiveRuns:
        """The pane's list."""
        return self

    def reopen(self) -> None:
        """Other contexts are open: all begins anew."""
        for part in self._parts.values():
            self._halt(part)
        self._parts = {name: Part(live) for name, live in self._backend.lives.items()}
        self.level, self._opened, self.query = "experiments", (), ""
        self._bin = False
        self.experiments.scope(len(self._parts))
        self.runs.scope(several=False)
        self.front(self._looks)

    # -- going in and out -------------------------------------------------------------------

    @property
    def _front(self) -> ExperimentRows | RunRows:
        return self.experiments if self.level == "experiments" else self.runs

    @property
    def place(self) -> str:
        """The experiment's name, or how many there are."""
        if self.level == "experiments":
            return "experiments"
        name = f"{len(self._opened)} experiments"
        if len(self._opened) == 1:
            name = self._experiment_name(*split(self._opened[0]))
        return f"{name} / bin" if self._bin else name

    @property
    def bin(self) -> bool:
        """Whether runs in the bin are shown."""
        return self._bin

    def show_bin(self, on: bool) -> None:
        """Show them, or those that are not in it."""
        if self.level == "runs":
            self.enter(self._opened, deleted=on)

    def enter(self, keys: Sequence[str], *, deleted: bool = False) -> None:
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
        self.level, self._bin = "runs", deleted
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
                deleted=deleted,
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
            if len(watch.experiments) == 1 and watch.filters == ("",) and not self._bin:
                rows = watch.list.rows.values()
                part.experiments.read(watch.experiments[0], rows, not watch.done)
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
            self.enter(self._opened, deleted=self._bin)
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
            if watch.gone:
                return f"deleted meanwhile: {', '.join(watch.gone)}"
        return ""

    @property
    def phase(self) -> Phase:
        """Loading until the list is there once: the cursor stays on the first row as rows come."""
        phase = self._status()[0]
        return "ready" if self._front.total and phase == "broken" else phase

    @property
    def note(self) -> tuple[str, ...]:
        """What to show in place of rows."""
        if self._front.total and not self._front.count:
            more = "; " + "metrics.f1 > 0.9 asks the server" if self.level == "runs" else ""
            return (f"no row passes the filter; {self._front.total:,} were read{more}",)
        return self._status()[1]

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
            order = (
                _order_by(column_id, reverse, self.runs.way)
                if not (watch.done or watch.slow)
                else None
            )
            if order is not None:
                watch.ask(watch.filters, order)
            elif watch.order_by not in ((), NEWEST_FIRST) and not watch.done:
                watch.ask(watch.filters, ())


def _order_by(
    column: str, reverse: bool, way: Callable[[str], Direction]
) -> tuple[str, ...] | None:
    """MLflow's clause for a metric, the best first; None for what is sorted here."""
    kind, _, name = column.partition(".")
    if kind != "metrics":
        return None
    try:
        quoted = runfilter.quoted_name(name)
    except UsageError:
        return None
    lowest = way(name) is Direction.LOWER
    return (f"metrics.{quoted} {'ASC' if lowest != reverse else 'DESC'}",)
