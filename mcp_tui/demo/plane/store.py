"""Objects in memory with one revision counter, and a bounded history per resource.

An entry keeps the encoded bytes, not the decoded object: a list is a join, a watch event a copy,
and whoever wants to change an object decodes a copy of its own.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from mcp_tui.demo.plane.model import Kind, Obj, decode, dig, encode

Key = tuple[str, str]
"""Namespace (empty for a cluster-wide object) and name: the order of a list."""

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Entry:
    """One version of one object. Immutable."""

    __slots__ = ("fields", "key", "kind", "labels", "owners", "raw", "rv", "uid")

    def __init__(self, kind: Kind, obj: Obj, rv: int) -> None:
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(rv)
        self.kind = kind
        self.key: Key = (metadata.get("namespace", ""), metadata["name"])
        self.rv = rv
        self.uid: str = metadata["uid"]
        self.labels: dict[str, str] = metadata.get("labels") or {}
        self.owners: tuple[str, ...] = tuple(
            owner["uid"] for owner in metadata.get("ownerReferences") or ()
        )
        self.fields = {path: _text(dig(obj, *steps)) for path, steps in kind.fields.items()}
        # The type first, so that it can be cut off: the items of a typed list do not carry it.
        head = {"kind": obj["kind"], "apiVersion": obj["apiVersion"]}
        self.raw = encode({**head, **obj})

    @property
    def obj(self) -> Obj:
        """A fresh copy that the caller may change."""
        return decode(self.raw)  # type: ignore[no-any-return]  # it was encoded from an Obj

    def item(self) -> bytes:
        """The object as an item of a list."""
        if not self.kind.fixed:
            return self.raw
        return b"{" + self.raw[len(self.kind.head) :]

    def field(self, path: str) -> str:
        """The value of a field selector's path; empty when unset."""
        if path == "metadata.name":
            return self.key[1]
        if path == "metadata.namespace":
            return self.key[0]
        return self.fields[path]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Event:
    """One change. ``new`` of a deletion is the last state under the deletion's revision."""

    __slots__ = ("line", "new", "old", "type")

    def __init__(self, type_: EventType, new: Entry, old: Entry | None) -> None:
        self.type: EventType = type_
        self.new = new
        self.old = old
        self.line: bytes | None = None

    @property
    def rv(self) -> int:
        """The revision that made it."""
        return self.new.rv

    def encoded(self) -> bytes:
        """The watch line, made once for all watchers."""
        if self.line is None:
            self.line = watch_line(self.type, self.new.raw)
        return self.line


def watch_line(type_: str, raw: bytes) -> bytes:
    """One line of a watch stream."""
    return b'{"type":"' + type_.encode() + b'","object":' + raw + b"}\n"


class CompactedError(Exception):
    """The revision asked for is older than the history kept. ``oldest`` is what is left."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.asked = asked
        self.oldest = oldest


class Bucket:
    """All objects of one resource, in list order, with their recent changes."""

    def __init__(self, kind: Kind, history: int, floor: int) -> None:
        self.kind = kind
        self.entries: dict[Key, Entry] = {}
        self.floor = floor
        """Changes up to and including this revision are forgotten."""
        self.wakers: set[asyncio.Event] = set()
        self._keys: list[Key] = []
        self._limit = history
        self._history: list[Event] = []

    def commit(self, event: Event) -> None:
        """Takes a change in and wakes whoever watches."""
        key = event.new.key
        if event.type == "DELETED":
            del self.entries[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            if key not in self.entries:
                insort(self._keys, key)
            self.entries[key] = event.new
        self._history.append(event)
        # Trimmed by halves, so that the cost of a trim is spread over many changes.
        if len(self._history) >= 2 * self._limit:
            self.compact(self._history[-self._limit - 1].rv)
        for waker in self.wakers:
            waker.set()

    def compact(self, rv: int) -> None:
        """Forgets the changes up to ``rv``."""
        cut = bisect_right(self._history, rv, key=lambda event: event.rv)
        del self._history[:cut]
        self.floor = max(self.floor, rv)

    def since(self, rv: int) -> Sequence[Event]:
        """The changes after ``rv``. Raises CompactedError."""
        if rv < self.floor:
            raise CompactedError(rv, self.floor + 1)
        history = self._history
        if not history or history[-1].rv <= rv:
            return ()
        return history[bisect_right(history, rv, key=lambda event: event.rv) :]

    def range(self, namespace: str | None) -> list[Entry]:
        """The entries of a namespace, or all, in order."""
        keys = self._keys
        if namespace is not None:
            keys = keys[
                bisect_left(keys, (namespace, "")) : bisect_left(keys, (namespace + "\0", ""))
            ]
        entries = self.entries
        return [entries[key] for key in keys]

    def range_at(self, namespace: str | None, rv: int) -> list[Entry]:
        """The entries as they were at ``rv``. Raises CompactedError."""
        undo = self.since(rv)
        if not undo:
            return self.range(namespace)
        state = dict(self.entries)
        for event in reversed(undo):
            if event.type == "ADDED":
                del state[event.new.key]
            elif event.old is not None:
                state[event.new.key] = event.old
        found: Iterable[Entry] = state.values()
        if namespace is not None:
            found = (entry for entry in found if entry.key[0] == namespace)
        return sorted(found, key=lambda entry: entry.key)


class Store:
    """Every resource's bucket under one revision counter.

    Used from one event loop only; nothing here awaits, so every call is atomic.

    Args:
        kinds: The resources served.
        history: Changes kept per resource; a watch from before them gets 410.
    """

    def __init__(self, kinds: Iterable[Kind], *, history: int = 5000) -> None:
        self.rv = 1
        self.buckets: dict[Kind, Bucket] = {kind: Bucket(kind, history, 0) for kind in kinds}
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Calls ``listener`` on every later change, in order; it must not write."""
        self._listeners.append(listener)

    def get(self, kind: Kind, namespace: str, name: str) -> Entry | None:
        """The object, or None."""
        return self.buckets[kind].entries.get((namespace, name))

    def put(self, kind: Kind, obj: Obj) -> Entry:
        """Adds or replaces. A replacement that changes nothing makes no revision."""
        bucket = self.buckets[kind]
        metadata = obj["metadata"]
        old = bucket.entries.get((metadata.get("namespace", ""), metadata["name"]))
        if old is not None:
            metadata["resourceVersion"] = str(old.rv)
            if decode(old.raw) == obj:
                return old
        self.rv += 1
        new = Entry(kind, obj, self.rv)
        self._publish(bucket, Event("ADDED" if old is None else "MODIFIED", new, old))
        return new

    def remove(self, entry: Entry, last: Obj | None = None) -> Entry:
        """Takes the object out; ``last`` is its final state where that differs."""
        self.rv += 1
        gone = Entry(entry.kind, last if last is not None else entry.obj, self.rv)
        self._publish(self.buckets[entry.kind], Event("DELETED", gone, entry))
        return gone

    def _publish(self, bucket: Bucket, event: Event) -> None:
        bucket.commit(event)
        for listener in self._listeners:
            listener(event)
