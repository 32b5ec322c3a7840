"""The second level of the Runs pane: the runs of some experiments as a tree."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mcp_tui.domain.direction import Direction, usual
from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.reltime import age
from mcp_tui.domain.runfacts import number
from mcp_tui.domain.runrow import RunRow, Value
from mcp_tui.store.runlist import RunList
from mcp_tui.tui.cells import tailored
from mcp_tui.tui.columns_runs import run_columns
from mcp_tui.tui.live.ranked import Backwards, RankedRows, split, text_key
from mcp_tui.tui.model import Cell, Column, RowView, Tone

_DEEPEST: Final = 6
_STATES: Final[Mapping[str, tuple[str, str, Tone]]] = {
    "RUNNING": ("running", "running", "running"),
    "SCHEDULED": ("waiting", "waiting", "waiting"),
    "FINISHED": ("done", "done", "done"),
    "FAILED": ("failed", "failed", "failed"),
    "KILLED": ("failed", "killed", "failed"),
}
"""Of MLflow's words: the state, the word for it, and its tone."""

Linked = Callable[[str, RunRow], tuple[JobView | None, bool]]
"""The job of a run of a context, and whether it is known that it is gone."""


class RunRows(RankedRows[RunRow]):
    """The runs of some experiments: nested in their own order, flat when sorted or filtered.

    Args:
        linked: Finds the job of a run.
        names: The name of an experiment by context and id.
        stale: Whether the MLflow of a context is silent.
        wall: Epoch seconds.
    """

    own_order: Final = "newest first"
    keyed = frozenset(("experiment",))

    def __init__(
        self,
        linked: Linked,
        names: Callable[[str, str], str],
        stale: Callable[[str], bool],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._linked = linked
        self._names = names
        self._is_stale = stale
        self._wall = wall
        self.way: Callable[[str], Direction] = usual
        self.chosen: tuple[str, ...] = ()
        self._several = False
        self._asked = False
        self._lists: dict[str, RunList] = {}
        self._open: set[str] = set()
        self._flat: list[tuple[str, int]] | None = None
        self._at: dict[str, int] = {}
        self._columns: tuple[Column, ...] = ()
        self._widest: dict[str, int] = {}
        super().__init__()

    # -- what the watches say ---------------------------------------------------------------

    def scope(self, *, several: bool) -> None:
        """Other experiments; all rows go, and so do filter and order."""
        self._several = several
        self._lists.clear()
        self._open.clear()
        self._widest.clear()
        self.sort, self.filter, self._predicate = ("", False), "", None
        self.faults = self._asked = False
        self.choose(())

    def choose(self, columns: Sequence[str]) -> None:
        """Show these columns."""
        self.chosen = tuple(columns)
        self._widest.clear()
        self._tailor()
        self._again()

    def ask(self, asked: bool) -> None:
        """Whether the server filters: what fits may be nested in what does not."""
        self._asked = asked

    def take(self, context: str, runs: RunList, touched: set[str] | None) -> None:
        """Take what a watch read; None for all of it anew."""
        if touched is None or self._lists.get(context) is not runs:
            self._lists[context] = runs
            self._again()
            return
        fresh: dict[str, RunRow] = {}
        read: dict[str, RunRow] = {}
        gone: list[str] = []
        for run_id in touched:
            row = runs.rows.get(run_id)
            key = f"{context}/{run_id}"
            if row is not None:
                read[key] = row
            if row is not None and self._stands(runs, row):
                fresh[key] = row
            elif key in self._ranking.rows:
                gone.append(key)
        self._measure(read)
        if touched:
            self._ranking.change(fresh, gone)
            self._changed()

    @property
    def nests(self) -> bool:
        """Whether runs are shown below those that they are nested in."""
        return not (self.sort[0] or self.filter or self.faults or self._asked)

    def _stands(self, runs: RunList, row: RunRow) -> bool:
        return not self.nests or runs.is_top(row)

    def _again(self) -> None:
        """All rows anew."""
        self._ranking.clear()
        fresh: dict[str, RunRow] = {}
        for context, runs in self._lists.items():
            read = {f"{context}/{row.run_id}": row for row in runs.rows.values()}
            # Also those that are nested in others: they are shown once these are opened.
            self._measure(read)
            fresh |= {key: row for key, row in read.items() if self._stands(runs, row)}
        self._resort()
        self._ranking.change(fresh)
        self._refilter()

    def _changed(self) -> None:
        self._flat = None
        self.version += 1

    def row_of(self, key: str) -> RunRow | None:
        """The row of a run; None where it was not read."""
        context, run_id = split(key)
        runs = self._lists.get(context)
        return None if runs is None else runs.rows.get(run_id)

    # -- the tree ---------------------------------------------------------------------------

    def unfold(self, key: str) -> bool:
        """Show what is nested in a run."""
        context, run_id = split(key)
        runs = self._lists.get(context)
        if not self.nests or key in self._open or runs is None or not runs.has_children(run_id):
            return False
        self._open.add(key)
        self._changed()
        return True

    def fold(self, key: str) -> str:
        """Hide what is nested in a run, or go to what it is nested in."""
        if key in self._open:
            self._open.discard(key)
            self._changed()
            return key
        row = self.row_of(key)
        if self.nests and row is not None and row.parent and not row.lost:
            return f"{split(key)[0]}/{row.parent}"
        return key

    def _shown(self) -> list[tuple[str, int]] | None:
        """Keys and depths, where anything is open; None where the ranking is all there is."""
        if not self._open or not self.nests:
            return None
        if self._flat is None:
            flat: list[tuple[str, int]] = []
            for n in range(len(self._ranking)):
                left = [(self._ranking.at(n), 0)]
                while left:
                    key, depth = left.pop()
                    flat.append((key, depth))
                    if key in self._open:
                        context, run_id = split(key)
                        children = self._lists[context].children(run_id)
                        left += [(f"{context}/{c}", depth + 1) for c in reversed(children)]
            self._flat = flat
            self._at = {key: n for n, (key, _) in enumerate(flat)}
        return self._flat

    # -- what the table asks ----------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """The fixed ones and those that were chosen."""
        return self._columns

    @property
    def count(self) -> int:
        """Rows that are shown."""
        shown = self._shown()
        return len(self._ranking) if shown is None else len(shown)

    @property
    def total(self) -> int:
        """Runs that were read."""
        return sum(map(len, self._lists.values()))

    def row(self, index: int) -> RowView:
        """The row at a place."""
        shown = self._shown()
        if shown is None:
            return super().row(index)
        if not 0 <= index < len(shown):
            raise IndexError(index)
        return self.view(shown[index][0])

    def view(self, key: str) -> RowView:
        """The row of a run; one that went a moment ago stays as it was until that is told."""
        row = self.row_of(key) or self._ranking.rows.get(key)
        if row is None:
            gone = {"state": Cell("gone", "dim"), "name": Cell(split(key)[1][:8], "dim")}
            cells = tuple(gone.get(column.id, Cell("")) for column in self._columns)
            return RowView(key, cells, stale=True)
        return RowView(key, self.cells(key, row), self.state(key, row), self.stale(key))

    def index_of(self, key: str) -> int | None:
        """Where a run stands; None where it is hidden or closed away."""
        shown = self._shown()
        return super().index_of(key) if shown is None else self._at.get(key)

    def exists(self, key: str) -> bool:
        """Whether it was read, hidden or not."""
        return self.row_of(key) is not None

    def name_of(self, key: str) -> str:
        """Its name."""
        row = self.row_of(key)
        return split(key)[1] if row is None else self.text(row)

    def set_filter(self, text: str) -> str:
        """Filter what was read."""
        nested = self.nests
        error = super().set_filter(text)
        if not error and nested != self.nests:
            self._again()
        return error

    def set_faults(self, on: bool) -> None:
        """Show only what failed."""
        if on != self.faults:
            self.faults = on
            self._again()

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """Sort what was read."""
        self.sort = (column_id, reverse)
        self._again()

    def _refilter(self) -> None:
        super()._refilter()
        self._flat = None

    # -- a row ------------------------------------------------------------------------------

    def sort_key(self, column: str, reverse: bool) -> Callable[..., Any]:
        """Values from the best, times from the newest; what is missing comes last."""
        sign = 1 if reverse else -1
        if column in self.chosen:
            at = self.chosen.index(column)
            best = self.way(column.partition(".")[2]) if column.startswith("metrics.") else None
            # A loss from the smallest, a score from the largest; anything else from the first.
            down = (best is not Direction.LOWER and best is not None) != reverse
            return lambda row: (
                *_ranked(row.values[at] if at < len(row.values) else None, down),
                -row.started,
            )
        match column:
            case "name":
                return lambda row: (text_key(row.name, reverse), -row.started)
            case "state":
                return lambda row: (sign * -_urgency(row), -row.started)
            case "user":
                return lambda row: (text_key(row.user, reverse), -row.started)
            case "job":
                return lambda row: (text_key(row.job.name, reverse), -row.started)
            case "experiment":
                return self._by_experiment(reverse)
            case "since":
                return lambda row: sign * _moment(row)
            case _:
                return lambda row: -row.family if self.nests else -row.started

    def _by_experiment(self, reverse: bool) -> Callable[[str, RunRow], Any]:
        """By name; as it is when it is first looked up, for a renamed one would lose its rows."""
        names: dict[tuple[str, str], Any] = {}

        def value(key: str, row: RunRow) -> Any:
            at = split(key)[0], row.experiment_id
            if at not in names:
                names[at] = text_key(self._names(*at), reverse)
            return names[at], -row.started

        return value

    def state(self, key: str, row: RunRow) -> str:
        """Its state; ``stalled`` where it says RUNNING and its job has ended."""
        return self._state(split(key)[0], row)[0]

    def _state(self, context: str, row: RunRow) -> tuple[str, str, Tone, str]:
        """The state, the word for it, its tone, and why."""
        state, word, tone = _STATES.get(row.status, ("waiting", row.status.lower(), "waiting"))
        if row.status in ("RUNNING", "SCHEDULED"):
            job, gone = self._linked(context, row)
            if job is not None and job.state.over:
                return "stalled", "job over", "attention", f"job {job.state.value}: {job.why}"
            if gone:
                return "stalled", "job gone", "attention", "its job is gone from the cluster"
        why = row.cause if state == "failed" else ""
        if not why and state == "running" and row.step is not None:
            why = f"step {row.step:,}" + (f" of {row.total:,}" if row.total else "")
        return state, word, tone, why

    def stale(self, key: str) -> bool:
        """Whether its MLflow is silent."""
        return self._is_stale(split(key)[0])

    def cells(self, key: str, row: RunRow) -> tuple[Cell, ...]:
        """A cell for each column."""
        context = split(key)[0]
        _, word, tone, why = self._state(context, row)
        rest: Tone = "dim" if row.is_over and row.status == "FINISHED" else ""
        values = dict(zip(self.chosen, row.values, strict=False))
        given: dict[str, Callable[[], Cell]] = {
            "state": lambda: Cell(word, tone),
            "name": lambda: Cell(self._indented(key, row), rest),
            "experiment": lambda: Cell(self._names(context, row.experiment_id), rest),
            "since": lambda: Cell(self._since(row), rest),
            "job": lambda: Cell(row.job.name, rest),
            "user": lambda: Cell(row.user, rest),
            "why": lambda: Cell(why, tone if word != "running" else ""),
        }
        return tuple(
            given[c.id]() if c.id in given else Cell(_shown(values, c.id), rest)
            for c in self._columns
        )

    def _since(self, row: RunRow) -> str:
        moment = _moment(row)
        return age(self._wall() - moment / 1000) if moment else ""

    def _indented(self, key: str, row: RunRow) -> str:
        name = row.name or row.run_id[:8]
        context = split(key)[0]
        runs = self._lists[context]
        if not self.nests or not runs.nested:
            return name
        sign = "  "
        if runs.has_children(row.run_id):
            sign = "- " if key in self._open else "+ "
        depth, above = 0, row
        while not above.lost and above.parent in runs.rows and depth <= _DEEPEST:
            above = runs.rows[above.parent]
            depth += 1
        return "  " * min(depth, _DEEPEST) + sign + name

    def fields(self, key: str, row: RunRow) -> Mapping[str, str]:
        """The texts of its cells by column, and its id."""
        texts = {
            c.id: cell.text for c, cell in zip(self._columns, self.cells(key, row), strict=True)
        }
        return {**texts, "run": row.run_id, "status": row.status}

    def text(self, row: RunRow) -> str:
        """Its name."""
        return row.name or row.run_id[:8]

    # -- widths -----------------------------------------------------------------------------

    def _measure(self, rows: Mapping[str, RunRow]) -> None:
        """Columns grow with what stands in them, and never shrink."""
        before = dict(self._widest)
        widest = self._widest
        for row in rows.values():
            for column, length in (
                ("name", len(row.name) + 4),
                ("job", len(row.job.name) if row.job.name != row.name else 0),
                ("user", len(row.user)),
            ):
                if length > widest.get(column, 0):
                    widest[column] = length
        if widest != before:
            self._tailor()

    def _tailor(self) -> None:
        columns = run_columns(self.chosen, several=self._several)
        widest = {"name": 0, "user": 0, "job": 0} | self._widest
        shown = [c for c in columns if c.id != "job" or widest["job"]]
        self._columns = tailored(shown, widest)


def _urgency(row: RunRow) -> int:
    """What failed before what goes on, what goes on before what is done."""
    words = ("FAILED", "KILLED", "RUNNING", "SCHEDULED", "FINISHED")
    return words.index(row.status) if row.status in words else len(words)


def _moment(row: RunRow) -> int:
    """Since when it is as it is; an end that nobody told is not known."""
    return row.ended if row.is_over and row.ended else row.started


def _ranked(value: Value, down: bool) -> tuple[int, Any]:
    """What is missing comes last, NaN before it, and numbers before texts."""
    if value is None:
        return 3, 0
    if isinstance(value, str):
        try:
            number_ = float(value)
        except ValueError:
            return 1, Backwards(value) if down else value
        value = number_
    if math.isnan(value):
        return 2, 0
    return 0, -value if down else value


def _shown(values: Mapping[str, Value], column: str) -> str:
    if column not in values:
        return ".."
    value = values[column]
    if value is None:
        return ""
    return value if isinstance(value, str) else number(value)
