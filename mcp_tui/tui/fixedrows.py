"""A list that is shown whole and in its own order: a model for the one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from mcp_tui.tui.cells import tailored
from mcp_tui.tui.model import Cell, Column, Phase, RowView

T = TypeVar("T")


class FixedRows(Generic[T]):
    """Rows that are neither filtered nor sorted; what they show is for the class to say.

    Args:
        columns: ``name`` and ``state`` among them are as wide as what stands in them.
    """

    filter = ""
    faults = False
    sort = ("", False)
    own_order = "as they are"
    summary = ""
    phase: Phase = "ready"
    note: tuple[str, ...] = ()

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._whole = columns
        self.columns = columns
        self.items: tuple[T, ...] = ()
        self.version = 0
        self._at: dict[str, int] = {}

    # -- for the class ----------------------------------------------------------------------

    def key(self, item: T) -> str:
        """What tells a row from all others."""
        raise NotImplementedError

    def text(self, item: T) -> str:
        """A row in words."""
        raise NotImplementedError

    def cells(self, item: T) -> tuple[Cell, ...]:
        """A cell for each column."""
        raise NotImplementedError

    def state(self, item: T) -> str:
        """The state of a row."""
        raise NotImplementedError

    # -- what the table asks ----------------------------------------------------------------

    def show(self, items: Sequence[T]) -> None:
        """Show these."""
        self.items = tuple(items)
        names = self._column("name")
        widest = max((len(self.cells(item)[names].text) for item in self.items), default=0)
        states = 2 + max((len(self.state(item)) for item in self.items), default=0)
        self.columns = tailored(self._whole, {"name": widest, "state": states})
        self._at = {self.key(item): n for n, item in enumerate(self.items)}
        self.version += 1

    def _column(self, name: str) -> int:
        return next(n for n, column in enumerate(self._whole) if column.id == name)

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.items)

    @property
    def total(self) -> int:
        """Rows."""
        return len(self.items)

    def row(self, index: int) -> RowView:
        """The row at a place."""
        item = self.items[index]
        return RowView(self.key(item), self.cells(item), self.state(item))

    def index_of(self, key: str) -> int | None:
        """Where a row stands."""
        return self._at.get(key)

    def exists(self, key: str) -> bool:
        """Whether a row is there."""
        return key in self._at

    def name_of(self, key: str) -> str:
        """A row in words."""
        return self.text(self.items[self._at[key]]) if key in self._at else key

    def set_filter(self, text: str) -> str:
        """Nothing is filtered."""
        del text
        return ""

    def set_faults(self, on: bool) -> None:
        """Nothing is filtered."""

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """The order stays."""
