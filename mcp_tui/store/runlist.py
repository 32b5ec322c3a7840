"""The runs that were read of some experiments: slim rows of all, and whole runs of a few.

A list may be read for as long as somebody goes down it. What is kept of each run is what its row
shows; the run with all its metrics, parameters and tags is kept of those looked at last, bounded by
how many of these there are and not by how many runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.run import Run
from mcp_tui.domain.runrow import RunRow, row_of, values_of

WHOLE: Final = 1_000
"""Runs that are kept whole."""

WEIGHT: Final = 150_000
"""Metrics, parameters and tags that are kept with them."""


class RunList:
    """Rows by run id, who is nested in whom, and the newest whole runs.

    Args:
        columns: Whose values the rows carry, such as ``metrics.f1``.
        deleted: Runs in the bin are listed, and no others; else those that are not in it.

    Attributes:
        rows: All that were read; changed by the methods only.
    """

    def __init__(self, columns: Sequence[str] = (), *, deleted: bool = False) -> None:
        self.columns = tuple(columns)
        self.deleted = deleted
        self.rows: dict[str, RunRow] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._whole: OrderedDict[str, Run] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self.rows)

    # -- taking -----------------------------------------------------------------------------

    def take(self, runs: Iterable[Run]) -> set[str]:
        """Take new and newer runs; those that went into the bin, or came out of it, go.

        Returns:
            The ids of the rows that changed, came or went.
        """
        touched: set[str] = set()
        for run in runs:
            if not run.run_id:
                continue
            if run.is_deleted != self.deleted:
                touched |= self.drop(run.run_id)
                continue
            self._keep(run)
            touched |= self._put(row_of(run, self.columns))
        return touched

    def drop(self, run_id: str) -> set[str]:
        """Forget a run that is gone; what was nested in it stands at the top."""
        row = self.rows.pop(run_id, None)
        self._forget(run_id)
        if row is None:
            return set()
        touched = {run_id}
        siblings = self._children.get(row.parent)
        if siblings is not None:
            siblings.pop(run_id, None)
        for child in self._children.get(run_id, ()):
            self._replace(child, lost=True)
            touched.add(child)
        return touched

    def _put(self, row: RunRow) -> set[str]:
        old = self.rows.get(row.run_id)
        if old is not None and old.parent == row.parent:
            row = msgspec.structs.replace(row, lost=old.lost, family=max(old.family, row.family))
            if row == old:
                return set()
            self.rows[row.run_id] = row
            return {row.run_id}
        touched = self.drop(row.run_id) if old is not None else set()
        lost = bool(row.parent) and (row.parent not in self.rows or self._is_above(row))
        self.rows[row.run_id] = msgspec.structs.replace(row, lost=lost)
        if row.parent:
            self._children.setdefault(row.parent, {})[row.run_id] = None
        touched.add(row.run_id)
        for child in self._children.get(row.run_id, ()):
            if child in self.rows and self.rows[child].lost:
                self._replace(child, lost=False)
                touched |= {child, *self._grow(child)}
        return touched | self._grow(row.run_id)

    def _is_above(self, row: RunRow) -> bool:
        """Whether a run that is not in the list yet is an ancestor of its own parent."""
        seen: set[str] = set()
        above = row.parent
        while above in self.rows and above not in seen:
            seen.add(above)
            if self.rows[above].parent == row.run_id:
                return True
            above = self.rows[above].parent
        return False

    def _grow(self, run_id: str) -> set[str]:
        """Tell those that a run is nested in how new it is."""
        touched: set[str] = set()
        row = self.rows[run_id]
        newest = row.family
        while not row.lost and row.parent in self.rows:
            row = self.rows[row.parent]
            if row.family >= newest or row.run_id in touched:
                break
            self._replace(row.run_id, family=newest)
            touched.add(row.run_id)
        return touched

    def _replace(self, run_id: str, **fields: object) -> None:
        row = self.rows.get(run_id)
        if row is not None:
            self.rows[run_id] = msgspec.structs.replace(row, **fields)

    # -- who is in whom ---------------------------------------------------------------------

    def is_top(self, row: RunRow) -> bool:
        """Whether it is nested in no run of the list."""
        return not row.parent or row.lost

    def children(self, run_id: str) -> list[str]:
        """The runs nested directly in one, the newest first."""
        found = [self.rows[c] for c in self._children.get(run_id, ()) if c in self.rows]
        nested = sorted((r for r in found if not r.lost), key=lambda r: (-r.family, r.run_id))
        return [row.run_id for row in nested]

    @property
    def nested(self) -> bool:
        """Whether any run names another that it is nested in."""
        return bool(self._children)

    def has_children(self, run_id: str) -> bool:
        """Whether any run is known to be nested in it."""
        return any(c in self.rows and not self.rows[c].lost for c in self._children.get(run_id, ()))

    def missing_parents(self, runs: Iterable[Run]) -> list[str]:
        """Parents that these runs name and that are not in the list."""
        coming = {run.run_id: run for run in runs}
        named = {run.parent_run_id for run in coming.values()}
        return sorted(p for p in named if p and p not in self.rows and p not in coming)

    # -- whole runs -------------------------------------------------------------------------

    def whole(self, run_id: str) -> Run | None:
        """A run with all that it has; None where that is not kept."""
        return self._whole.get(run_id)

    def wholes(self) -> Iterable[Run]:
        """Those that are kept."""
        return self._whole.values()

    def unread(self, run_ids: Iterable[str]) -> list[str]:
        """Which of these rows lack the values of the chosen columns."""
        if not self.columns:
            return []
        return [i for i in run_ids if i in self.rows and not self.rows[i].values]

    def choose(self, columns: Sequence[str]) -> None:
        """Have the values of other columns: at once where a run is whole, else when it is read."""
        self.columns = tuple(columns)
        for run_id, row in self.rows.items():
            run = self._whole.get(run_id)
            values = () if run is None else values_of(run, self.columns)
            self.rows[run_id] = msgspec.structs.replace(row, values=values)

    def _keep(self, run: Run) -> None:
        self._forget(run.run_id)
        self._whole[run.run_id] = run
        self._weight += _weight(run)
        while len(self._whole) > 1 and (len(self._whole) > WHOLE or self._weight > WEIGHT):
            _, gone = self._whole.popitem(last=False)
            self._weight -= _weight(gone)

    def _forget(self, run_id: str) -> None:
        gone = self._whole.pop(run_id, None)
        if gone is not None:
            self._weight -= _weight(gone)


def _weight(run: Run) -> int:
    return 8 + len(run.data.metrics) + len(run.data.params) + len(run.data.tags)
