"""Keyed, versioned rows: what every live pane selects from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Change(msgspec.Struct, frozen=True):
    """What one batch changed, by key."""

    added: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


NO_CHANGE = Change()


class Table(Generic[T]):
    """Rows by key, with a version that grows by one at each batch that changed something.

    Rows are immutable values compared by equality, so that a batch that says nothing new is no
    change and paints nothing.
    """

    def __init__(self) -> None:
        self._rows: dict[str, T] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self.version = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def get(self, key: str) -> T | None:
        """The row of a key, or None."""
        return self._rows.get(key)

    def values(self) -> Iterable[T]:
        """All rows, in no particular order."""
        return self._rows.values()

    def rows(self) -> Mapping[str, T]:
        """A read-only view of all rows by key."""
        return self._rows

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call ``listener`` after each batch that changed something; returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def apply(self, upserts: Mapping[str, T], removes: Iterable[str] = ()) -> Change:
        """Take a batch: all of it, then one notice.

        Args:
            upserts: New or newer rows by key.
            removes: Keys to drop; unknown ones and those in ``upserts`` are passed over.
        """
        added: set[str] = set()
        changed: set[str] = set()
        for key, row in upserts.items():
            old = self._rows.get(key)
            if old is None:
                added.add(key)
            elif old is row or old == row:
                continue
            else:
                changed.add(key)
            self._rows[key] = row
        removed = {key for key in removes if key not in upserts and key in self._rows}
        for key in removed:
            del self._rows[key]
        if not (added or changed or removed):
            return NO_CHANGE
        self.version += 1
        change = Change(frozenset(added), frozenset(changed), frozenset(removed))
        for listener in tuple(self._listeners):
            listener(change)
        return change
