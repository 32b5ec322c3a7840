"""The Jobs pane's model: rows of several stores, filtered and kept in order as they change."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from mcp_tui.domain.jobview import JobState, JobView
from mcp_tui.domain.quantity import format_bytes, format_cpu
from mcp_tui.domain.reltime import age
from mcp_tui.errors import UsageError
from mcp_tui.store.ranking import Ranking
from mcp_tui.store.rows import Row, row_of
from mcp_tui.store.select import Filter, parse_filter
from mcp_tui.store.table import Change
from mcp_tui.tui.cells import tailored
from mcp_tui.tui.columns import JOB_COLUMNS
from mcp_tui.tui.model import Cell, Column, Phase, RowView, Tone

_GONE_NAMES: Final = 1_000

_TONES: Final[dict[JobState, Tone]] = {
    JobState.FAILED: "failed",
    JobState.STALLED: "attention",
    JobState.WAITING: "waiting",
    JobState.SUSPENDED: "waiting",
    JobState.RUNNING: "running",
    JobState.DONE: "done",
}

_SORTS: Final[dict[str, Callable[[JobView], Any]]] = {
    "": attrgetter("urgency"),
    "state": attrgetter("state.urgency"),
    "context": attrgetter("key.context"),
    "namespace": attrgetter("key.namespace"),
    "name": attrgetter("key.name"),
    "done": lambda v: v.progress.fraction if v.progress is not None else -1.0,
    "since": lambda v: -v.since,
    "owner": attrgetter("owner"),
    "queue": attrgetter("queue"),
    "accelerators": attrgetter("accelerators"),
    "memory": attrgetter("memory"),
    "cpu": attrgetter("cpu"),
    "commit": attrgetter("commit"),
    "run": attrgetter("run_id"),
}


class JobsModel:
    """Implements :class:`mcp_tui.tui.model.JobsList`.

    Args:
        status: Tells the phase and the lines to show in place of rows.
        stale: Whether the source of a context's rows is silent.
        wall: Epoch seconds.
    """

    own_order: Final = "by urgency"

    def __init__(
        self,
        status: Callable[[], tuple[Phase, tuple[str, ...]]],
        stale: Callable[[str], bool],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._status = status
        self._stale = stale
        self._wall = wall
        self._ranking: Ranking[JobView] = Ranking(_SORTS[""])
        # Their texts, once a filter has looked at them.
        self._rows: dict[str, Row] = {}
        # Of those that :meth:`prepare` was at, in lower case.
        self._texts: dict[str, str] = {}
        # Rows that are new or changed since :meth:`prepare` was there last.
        self._unread: dict[str, None] = {}
        # Of rows that are gone, so that they can still be named; the newest.
        self._gone_names: dict[str, str] = {}
        self._predicate: Filter | None = None
        self._filter = ""
        self._faults = False
        self._sort = ("", False)
        self._several = False
        self._scoped = True
        self._counts: Counter[JobState] = Counter()
        self._widest: dict[str, int] = {}
        self._columns = self._chosen_columns()
        self.version = 0

    # -- what the store says ----------------------------------------------------------------

    def scope(self, *, contexts: int, namespaced: bool) -> None:
        """What is looked at, which decides the columns; all rows go."""
        self._several = contexts > 1
        self._scoped = namespaced
        if self._sort[0] in self._unsaid:  # nothing would say in which order they are
            self.set_sort("", False)
        self._widest.clear()
        self._columns = self._chosen_columns()
        self._ranking.clear()
        self._rows.clear()
        self._texts.clear()
        self._unread.clear()
        self._counts.clear()
        self.version += 1

    @property
    def _unsaid(self) -> set[str]:
        """Columns that say the same of every row."""
        return {*(() if self._several else ("context",)), *(("namespace",) if self._scoped else ())}

    def _chosen_columns(self) -> tuple[Column, ...]:
        columns = (c for c in JOB_COLUMNS if c.id not in self._unsaid)
        # Nothing is known of what stands in them until there are rows.
        widest = dict.fromkeys((c.id for c in JOB_COLUMNS), 0)
        return tailored(tuple(columns), widest | self._widest)

    def _measure(self, views: Iterable[JobView]) -> bool:
        """Whether rows have something wider than what was seen: columns grow, and never shrink."""
        widest = self._widest
        grown = False
        for view in views:
            for column, width in _widths(view):
                if width > widest.get(column, 0):
                    widest[column] = width
                    grown = True
        return grown

    def take(self, context: str, change: Change, views: Callable[[str], JobView | None]) -> None:
        """Take a store's change.

        Args:
            views: The row of a uid.
        """
        touched = change.added | change.changed
        gone = [f"{context}/{uid}" for uid in change.removed]
        found = ((f"{context}/{uid}", views(uid)) for uid in touched)
        fresh = {key: view for key, view in found if view is not None}
        if self._measure(fresh.values()):
            self._columns = self._chosen_columns()
        for key in gone:
            self._forget(key)
        for key, view in fresh.items():
            old = self._ranking.rows.get(key)
            if old is not None:
                self._counts[old.state] -= 1
            self._counts[view.state] += 1
        self._unread.update(dict.fromkeys(fresh))
        self._ranking.change(fresh, gone)
        if gone or fresh:
            self.version += 1

    def _forget(self, key: str) -> None:
        old = self._ranking.rows.get(key)
        self._rows.pop(key, None)
        self._texts.pop(key, None)
        self._unread.pop(key, None)
        if old is not None:
            self._counts[old.state] -= 1
            self._gone_names[key] = f"{old.key.namespace}/{old.key.name}"
            if len(self._gone_names) > _GONE_NAMES:
                del self._gone_names[next(iter(self._gone_names))]

    def _refilter(self) -> None:
        if not self._faults and self._predicate is None:
            self._ranking.filter_by(None)
        else:
            self._ranking.filter_by(self._passes, self._found())
        self.version += 1

    def _found(self) -> Collection[str] | None:
        """The rows that pass, where words alone decide it: looked for ten times as quickly."""
        words = self._predicate.words if self._predicate is not None else None
        if words is None or self._faults:
            return None
        self.prepare(len(self._unread))
        texts = self._texts
        found: Collection[str] = texts
        for each in words:
            found = {key for key in found if each in texts[key]}
        return found

    def _passes(self, key: str, view: JobView) -> bool:
        if self._faults and view.state not in (JobState.FAILED, JobState.STALLED):
            return False
        if self._predicate is None:
            return True
        row = self._rows.get(key)
        if row is None or row.view is not view:
            self._rows[key] = row = row_of(view)
        return self._predicate(row)

    def prepare(self, most: int) -> bool:
        """Make the texts of some rows before a filter wants those of all at once.

        Returns:
            Whether there are more.
        """
        for key in list(islice(self._unread, most)):
            del self._unread[key]
            view = self._ranking.rows[key]
            row = self._rows.get(key)
            if row is None or row.view is not view:
                self._rows[key] = row = row_of(view)
            self._texts[key] = row.lowered
        return bool(self._unread)

    def view(self, key: str) -> JobView | None:
        """The row's value, or None when it is gone."""
        return self._ranking.rows.get(key)

    def views(self) -> Iterable[JobView]:
        """All rows, hidden ones too."""
        return self._ranking.rows.values()

    # -- what the screen asks ---------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """CONTEXT with several contexts only, NAMESPACE with several namespaces only."""
        return self._columns

    @property
    def count(self) -> int:
        """Rows that pass the filter."""
        return len(self._ranking)

    @property
    def total(self) -> int:
        """Rows before it."""
        return len(self._ranking.rows)

    @property
    def summary(self) -> str:
        """``1,204 jobs  18 failed  7 waiting``."""
        parts = [f"{self.total:,} job{'' if self.total == 1 else 's'}"]
        told = (JobState.FAILED, JobState.STALLED, JobState.WAITING, JobState.RUNNING)
        parts += [f"{self._counts[s]:,} {s.value}" for s in told if self._counts[s]]
        return "  ".join(parts)

    @property
    def phase(self) -> Phase:
        """Loading until the whole list is there once; what is broken later still has its rows."""
        phase = self._status()[0]
        return "ready" if self._ranking.rows and phase == "broken" else phase

    @property
    def note(self) -> tuple[str, ...]:
        """What to show in place of rows."""
        if self._ranking.rows and not len(self._ranking):
            return (f"no row passes the filter; {self.total:,} are hidden, Esc clears it",)
        return self._status()[1]

    @property
    def sort(self) -> tuple[str, bool]:
        """The column and whether it is reversed."""
        return self._sort

    @property
    def filter(self) -> str:
        """The filter in force."""
        return self._filter

    def row(self, index: int) -> RowView:
        """The row at a place."""
        if not 0 <= index < len(self._ranking):
            raise IndexError(index)
        key = self._ranking.at(len(self._ranking) - 1 - index if self._sort[1] else index)
        return self._row(key, self._ranking.rows[key])

    def row_of(self, key: str) -> RowView | None:
        """The row of a job, hidden or not; None when the job is gone."""
        view = self._ranking.rows.get(key)
        return None if view is None else self._row(key, view)

    def _row(self, key: str, view: JobView) -> RowView:
        return RowView(
            key=key,
            cells=tuple(self._cell(column.id, view) for column in self._columns),
            state=view.state.value,
            stale=self._stale(view.key.context),
        )

    def _cell(self, column: str, view: JobView) -> Cell:
        tone: Tone = "dim" if view.state is JobState.DONE else ""
        match column:
            case "state":
                return Cell(view.state.value, _TONES[view.state])
            case "name":
                return Cell(view.key.name, "strong" if view.state is JobState.FAILED else tone)
            case "since":
                return Cell(age(self._wall() - view.since), tone)
            case "why":
                return Cell(self._why(view), tone)
            case "done":
                return Cell(view.done_text(), tone)
            case "memory":
                used = view.used.memory if view.used is not None else None
                return Cell(_of(used, view.memory, format_bytes), tone)
            case "cpu":
                used = view.used.cpu if view.used is not None else None
                return Cell(_of(used, view.cpu, format_cpu), tone)
            case "accelerators":
                return Cell(f"{view.accelerators:g}" if view.accelerators else "", tone)
            case "commit":
                return Cell(view.commit[:8], tone)
            case "run":
                return Cell(view.run_id[:8], tone)
            case "context":
                return Cell(view.key.context, tone)
            case "namespace":
                return Cell(view.key.namespace, tone)
            case "owner":
                return Cell(view.owner, tone)
            case _:
                return Cell(view.queue, tone)

    def _why(self, view: JobView) -> str:
        why, cause = view.why, view.cause
        if cause is not None and why == cause.line():
            # What is missing is worth more than the end of a pod's name, and is cut last.
            why = cause.row()
        return f"{why}; {view.run_note}" if view.run_note and view.state.over else why

    def index_of(self, key: str) -> int | None:
        """Where a key stands among the shown rows."""
        at = self._ranking.index(key)
        return len(self._ranking) - 1 - at if at is not None and self._sort[1] else at

    def exists(self, key: str) -> bool:
        """Whether the object is there, hidden or not."""
        return key in self._ranking.rows

    def name_of(self, key: str) -> str:
        """``namespace/name``, or the last known one."""
        view = self._ranking.rows.get(key)
        if view is not None:
            return f"{view.key.namespace}/{view.key.name}"
        return self._gone_names.get(key, key)

    def set_filter(self, text: str) -> str:
        """Filter; returns an error in words and keeps the last good one."""
        try:
            predicate = parse_filter(text)
        except UsageError as error:
            return error.line()
        if text.strip() != self._filter:
            self._filter = text.strip()
            self._predicate = predicate
            self._refilter()
        return ""

    @property
    def faults(self) -> bool:
        """Whether only what failed or stalls is shown."""
        return self._faults

    def set_faults(self, on: bool) -> None:
        """Show only what failed or stalls, or all again."""
        if on != self._faults:
            self._faults = on
            self._refilter()

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """Sort by a column; an empty id is by urgency."""
        if column_id in _SORTS and (column_id, reverse) != self._sort:
            same_column = column_id == self._sort[0]
            self._sort = (column_id, reverse)
            if not same_column:  # the other way round is the same order, read from its other end
                self._ranking.sort_by(_SORTS[column_id])
            self.version += 1


def _widths(view: JobView) -> tuple[tuple[str, int], ...]:
    """Cells of what a row has in each column; of figures only whether there are any."""
    key, used = view.key, view.used is not None
    return (
        ("state", 2 + len(view.state)),
        ("context", len(key.context)),
        ("namespace", len(key.namespace)),
        ("name", len(key.name)),
        ("done", len(view.done_text())),
        ("since", 5),
        ("owner", len(view.owner)),
        ("queue", len(view.queue)),
        ("accelerators", 4 if view.accelerators else 0),
        ("memory", 15 if used else 6 if view.memory else 0),
        ("cpu", 9 if used else 5 if view.cpu else 0),
        ("commit", min(8, len(view.commit))),
        ("run", min(8, len(view.run_id))),
        ("why", len(view.why)),
    )


def _of(used: float | None, requested: float, form: Callable[[float], str]) -> str:
    """``3.1Gi/64Gi`` where it is measured, else what is asked for."""
    asked = form(requested) if requested else ""
    return f"{form(used)}/{asked or '-'}" if used is not None else asked
