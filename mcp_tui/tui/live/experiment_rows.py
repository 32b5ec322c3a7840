"""The first level of the Runs pane: experiments."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_tui.domain.reltime import age
from mcp_tui.store.experimentwatch import ExperimentRow
from mcp_tui.tui.columns_runs import EXPERIMENT_COLUMNS
from mcp_tui.tui.live.ranked import RankedRows, split, text_key
from mcp_tui.tui.model import Cell, Column


class ExperimentRows(RankedRows[ExperimentRow]):
    """Experiments, those with the newest runs first."""

    own_order: Final = "by newest run"
    keyed = frozenset(("context",))

    def __init__(self, stale: Callable[[str], bool], wall: Callable[[], float] = time.time) -> None:
        self._is_stale = stale
        self._wall = wall
        self._several = False
        super().__init__()

    def scope(self, contexts: int) -> None:
        """Whether rows are of several contexts; all go."""
        self._several = contexts > 1
        if self.sort[0] == "context" and not self._several:
            self.set_sort("", False)  # nothing would say in which order they are
        self._ranking.clear()
        self.version += 1

    def take(self, context: str, rows: Mapping[str, ExperimentRow]) -> None:
        """Take the experiments of a context as they are now."""
        known = self._ranking.rows
        prefix = f"{context}/"
        fresh = {prefix + i: row for i, row in rows.items() if known.get(prefix + i) != row}
        gone = [k for k in known if split(k)[0] == context and split(k)[1] not in rows]
        if fresh or gone:
            self._ranking.change(fresh, gone)
            self.version += 1

    @property
    def columns(self) -> tuple[Column, ...]:
        """CONTEXT with several contexts only."""
        return tuple(c for c in EXPERIMENT_COLUMNS if self._several or c.id != "context")

    @property
    def summary(self) -> str:
        """``12 experiments``."""
        return f"{self.total:,} experiment{'' if self.total == 1 else 's'}"

    def sort_key(self, column: str, reverse: bool) -> Callable[..., Any]:
        """Counts from the largest, names from the first."""
        sign = 1 if reverse else -1
        match column:
            case "name":
                return lambda row: text_key(row.name, reverse)
            case "context":
                return lambda key, row: (text_key(split(key)[0], reverse), -row.newest)
            case "count":
                return lambda row: sign * (row.count or 0)
            case "running":
                return lambda row: sign * row.running
            case "failed":
                return lambda row: sign * row.failed
            case _:
                return lambda row: sign * row.newest

    def cells(self, key: str, row: ExperimentRow) -> tuple[Cell, ...]:
        """A cell for each column."""
        given = {
            "name": Cell(row.name),
            "context": Cell(split(key)[0]),
            "count": Cell(row.counted() or ".."),
            "running": Cell(f"{row.running:,}" if row.running else "", "running"),
            "failed": Cell(f"{row.failed:,}" if row.failed else "", "failed"),
            "newest": Cell(age(self._wall() - row.newest / 1000) if row.newest else ""),
        }
        return tuple(given[column.id] for column in self.columns)

    def state(self, key: str, row: ExperimentRow) -> str:
        """Whether any run of it goes on."""
        del key
        return "running" if row.running else ""

    def stale(self, key: str) -> bool:
        """Whether its MLflow is silent."""
        return self._is_stale(split(key)[0])

    def fields(self, key: str, row: ExperimentRow) -> Mapping[str, str]:
        """Its name, id and context."""
        return {"name": row.name, "id": row.experiment_id, "context": split(key)[0]}

    def text(self, row: ExperimentRow) -> str:
        """Its name."""
        return row.name
