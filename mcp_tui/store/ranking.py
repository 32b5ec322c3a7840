"""Rows in an order that is kept as they change, and of them those that pass a filter."""

from __future__ import annotations

import gc
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

# Past this many changed rows in a batch, sorting anew is quicker than moving each.
_MANY: Final = 400

Entry = tuple[Any, str]


class Ranking(Generic[T]):
    """Rows by key, in the order of a sort key and then of their own.

    Args:
        sort: The sort key of a row: of one type for all, and never NaN. The same row and key give
            the same one for as long as it is in force.
        keyed: It is asked with the row's key before the row.

    Attributes:
        rows: All of them, hidden ones too; changed by :meth:`change` only.
    """

    def __init__(self, sort: Callable[..., Any], *, keyed: bool = False) -> None:
        self._sort = sort
        self._keyed = keyed
        self._passes: Callable[[str, T], bool] | None = None
        self.rows: dict[str, T] = {}
        self._all: list[Entry] = []
        # The same list as long as nothing is hidden.
        self._shown = self._all
        # All keys in their own order, until one comes or goes.
        self._keys: list[str] | None = None

    def __len__(self) -> int:
        """How many are shown."""
        return len(self._shown)

    def at(self, index: int) -> str:
        """The key at a place among the shown ones."""
        return self._shown[index][1]

    def index(self, key: str) -> int | None:
        """Where a row stands among the shown ones; None for one that is hidden or not there."""
        row = self.rows.get(key)
        return None if row is None else _place(self._shown, self._entry(key, row))

    def clear(self) -> None:
        """Forget all rows."""
        self.rows.clear()
        self._keys = None
        self._all = []
        self._filter()

    def change(self, upserts: Mapping[str, T], removes: Collection[str] = ()) -> None:
        """Take new, changed and gone rows."""
        if len(upserts) + len(removes) > _MANY:
            self._change_many(upserts, removes)
            return
        for key in removes:
            self._take_out(key)
        for key, row in upserts.items():
            self._put(key, row)

    def sort_by(self, sort: Callable[..., Any], *, keyed: bool = False) -> None:
        """Put all in another order."""
        self._sort, self._keyed = sort, keyed
        if self._keys is None:
            self._keys = sorted(self.rows)
        # By what stands first alone: it is of one simple type, which sorts several times faster
        # than pairs do, and what is equal stays in the order of the keys.
        rows = map(self.rows.__getitem__, self._keys)
        values = map(sort, self._keys, rows) if keyed else map(sort, rows)
        with _no_collector():
            self._all = sorted(zip(values, self._keys, strict=True), key=itemgetter(0))
        self._filter()

    def filter_by(
        self, passes: Callable[[str, T], bool] | None, keys: Container[str] | None = None
    ) -> None:
        """Show only rows that pass; all for None.

        Args:
            passes: Asked of each row that changes from now on.
            keys: Those that pass now, where it is known; otherwise each is asked.
        """
        self._passes = passes
        self._filter(keys)

    def _filter(self, keys: Container[str] | None = None) -> None:
        passes, rows = self._passes, self.rows
        if passes is None:
            self._shown = self._all
        elif keys is not None:
            self._shown = [entry for entry in self._all if entry[1] in keys]
        else:
            self._shown = [entry for entry in self._all if passes(entry[1], rows[entry[1]])]

    def _entry(self, key: str, row: T) -> Entry:
        return (self._sort(key, row) if self._keyed else self._sort(row)), key

    def _take_out(self, key: str) -> None:
        row = self.rows.pop(key, None)
        if row is not None:
            self._keys = None
            self._unsort(self._entry(key, row))

    def _unsort(self, entry: Entry) -> None:
        for order in (self._all, self._shown) if self._shown is not self._all else (self._all,):
            place = _place(order, entry)
            if place is not None:
                del order[place]

    def _put(self, key: str, row: T) -> None:
        entry = self._entry(key, row)
        old = self.rows.get(key)
        self.rows[key] = row
        if old is None:
            self._keys = None
            insort(self._all, entry)
        else:
            before = self._entry(key, old)
            if before != entry:
                self._unsort(before)
                insort(self._all, entry)
        if self._passes is None:
            return
        place, shown = _place(self._shown, entry), self._passes(key, row)
        if shown and place is None:
            insort(self._shown, entry)
        elif not shown and place is not None:
            del self._shown[place]

    def _change_many(self, upserts: Mapping[str, T], removes: Collection[str]) -> None:
        self._keys = None
        for key in removes:
            self.rows.pop(key, None)
        self.rows.update(upserts)
        moved = {*upserts, *removes}
        fresh = sorted(self._entry(key, row) for key, row in upserts.items())
        passes = self._passes
        if passes is not None:
            kept = [entry for entry in self._shown if entry[1] not in moved]
            kept += [entry for entry in fresh if passes(entry[1], upserts[entry[1]])]
            kept.sort()
            self._shown = kept
        every = [entry for entry in self._all if entry[1] not in moved]
        every += fresh
        every.sort()
        self._all = every
        if passes is None:
            self._shown = every


@contextmanager
def _no_collector() -> Iterator[None]:
    """Thousands of pairs at once make no cycle, and looking for one takes longer than to sort."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _place(order: list[Entry], entry: Entry) -> int | None:
    at = bisect_left(order, entry)
    return at if at < len(order) and order[at][1] == entry[1] else None
