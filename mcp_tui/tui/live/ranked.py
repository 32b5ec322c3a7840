"""Rows in a kept order, filtered by words: what the models of several panes have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import total_ordering
from typing import Any, ClassVar, Generic, TypeVar

from mcp_tui.errors import UsageError
from mcp_tui.store.ranking import Ranking
from mcp_tui.store.select import Filter, parse_filter
from mcp_tui.tui.model import Cell, Column, RowView

T = TypeVar("T")


@total_ordering
class Backwards:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backwards) and self.text == other.text

    def __lt__(self, other: Backwards) -> bool:
        return other.text < self.text

    __hash__ = None  # type: ignore[assignment] # it is compared, and never a key


def text_key(text: str, reverse: bool) -> str | Backwards:
    """A text as a sort key."""
    return Backwards(text.lower()) if reverse else text.lower()


def split(key: str) -> tuple[str, str]:
    """The context and the id of a row's key; a context's name may hold slashes."""
    context, _, id_ = key.rpartition("/")
    return context, id_


class Texts:
    """What a filter looks at: the texts of a row by name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = fields

    @property
    def haystack(self) -> str:
        """All of them in one line."""
        return " ".join(self.fields.values())

    @property
    def lowered(self) -> str:
        """The same in lower case."""
        return self.haystack.lower()


class RankedRows(Generic[T]):
    """A list in the order of one of its columns; what its rows show is for the class to say."""

    faults = False
    keyed: ClassVar[frozenset[str]] = frozenset()
    """Columns whose sort key is made from the row's key and the row."""

    def __init__(self) -> None:
        self.sort: tuple[str, bool] = ("", False)
        self.filter = ""
        self.version = 0
        self._predicate: Filter | None = None
        self._ranking: Ranking[T] = Ranking(self._key())

    # -- for the class ----------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those that make sense now."""
        raise NotImplementedError

    def sort_key(self, column: str, reverse: bool) -> Callable[..., Any]:
        """The sort key of a column, of one type for all rows; empty is the list's own order.

        It is made of the row, or of its key and the row for those in ``keyed``.
        """
        raise NotImplementedError

    def cells(self, key: str, row: T) -> tuple[Cell, ...]:
        """A cell for each column."""
        raise NotImplementedError

    def state(self, key: str, row: T) -> str:
        """The state of a row."""
        raise NotImplementedError

    def stale(self, key: str) -> bool:
        """Whether the source of a row is silent."""
        raise NotImplementedError

    def fields(self, key: str, row: T) -> Mapping[str, str]:
        """The texts of a row by name: what a filter looks at."""
        raise NotImplementedError

    def text(self, row: T) -> str:
        """A row in words."""
        raise NotImplementedError

    # -- what the table asks ----------------------------------------------------------------

    @property
    def count(self) -> int:
        """Rows that pass the filter."""
        return len(self._ranking)

    @property
    def total(self) -> int:
        """Rows before it."""
        return len(self._ranking.rows)

    def row(self, index: int) -> RowView:
        """The row at a place."""
        if not 0 <= index < len(self._ranking):
            raise IndexError(index)
        return self.view(self._ranking.at(index))

    def view(self, key: str) -> RowView:
        """The row of a key that is there."""
        row = self._ranking.rows[key]
        return RowView(key, self.cells(key, row), self.state(key, row), self.stale(key))

    def index_of(self, key: str) -> int | None:
        """Where a row stands."""
        return self._ranking.index(key)

    def exists(self, key: str) -> bool:
        """Whether it is there, hidden or not."""
        return key in self._ranking.rows

    def name_of(self, key: str) -> str:
        """A row in words."""
        row = self._ranking.rows.get(key)
        return key if row is None else self.text(row)

    def set_filter(self, text: str) -> str:
        """Filter; returns an error in words and keeps the last good one."""
        try:
            predicate = parse_filter(text)
        except UsageError as error:
            return error.line()
        self.filter = text.strip()
        self._predicate = predicate
        self._refilter()
        return ""

    def set_faults(self, on: bool) -> None:
        """Show only what failed, or all again."""
        if on != self.faults:
            self.faults = on
            self._refilter()

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """Sort by a column; an empty id restores the list's own order."""
        self.sort = (column_id, reverse)
        self._resort()
        self.version += 1

    # ---------------------------------------------------------------------------------------

    def _key(self) -> Callable[..., Any]:
        return self.sort_key(*self.sort)

    def _resort(self) -> None:
        self._ranking.sort_by(self._key(), keyed=self.sort[0] in self.keyed)

    def _refilter(self) -> None:
        hides = self._predicate is not None or self.faults
        self._ranking.filter_by(self._passes if hides else None)
        self.version += 1

    def _passes(self, key: str, row: T) -> bool:
        if self.faults and self.state(key, row) not in ("failed", "stalled"):
            return False
        return self._predicate is None or self._predicate(Texts(self.fields(key, row)))
