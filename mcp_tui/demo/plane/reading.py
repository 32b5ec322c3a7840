"""Lists in pages and watches, over the store's history."""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import msgspec

from mcp_tui.demo.plane.model import (
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    Clock,
    Kind,
    Obj,
    decode,
    encode,
)
from mcp_tui.demo.plane.options import ListOptions
from mcp_tui.demo.plane.selectors import Selector
from mcp_tui.demo.plane.status import (
    StatusError,
    bad_request,
    expired,
)
from mcp_tui.demo.plane.store import Bucket, CompactedError, Entry, Event, Store, watch_line
from mcp_tui.demo.plane.tables import column_definitions, partial, row

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True)
class Form:
    """In which form objects are wanted.

    Attributes:
        shape: ``""`` for whole objects, ``Table`` or ``PartialObjectMetadata``.
        include: What a table's rows carry of their object.
    """

    shape: str = ""
    include: str = "Metadata"


def _token(rv: int, start: str) -> str:
    raw = encode({"v": "meta.k8s.io/v1", "rv": rv, "start": start})
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


def _read_token(text: str) -> tuple[int, str]:
    try:
        padded = text + "=" * (-len(text) % 4)
        token = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Token)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise bad_request(
            "invalid continue token: continue key is not valid: no list gave this token"
        ) from None
    if token.v != "meta.k8s.io/v1":
        raise bad_request(
            "continue key is not valid: server does not recognize this encoded version"
        )
    return token.rv, token.start


class Reader:
    """Lists and watches of one store."""

    def __init__(self, store: Store, clock: Clock, *, bookmark_seconds: float = 30.0) -> None:
        self.store = store
        self.clock = clock
        self.bookmark_seconds = bookmark_seconds
        self.closing = asyncio.Event()

    # --- list

    def page(self, kind: Kind, namespace: str | None, options: ListOptions, form: Form) -> bytes:
        """The encoded list, or page. Raises StatusError 400, 410, 504."""
        bucket = self.store.buckets[kind]
        entries, version = self._entries(bucket, namespace, options)
        if options.match is not None:
            entries = [entry for entry in entries if options.match(entry)]
        metadata: Obj = {"resourceVersion": str(version)}
        # From the cache ("0") the API server answers whole, whatever the limit.
        whole = options.version == "0"
        if options.limit and not whole and len(entries) > options.limit:
            page = entries[: options.limit]
            metadata["continue"] = _token(version, _start(page[-1], namespace))
            if not options.selected:
                metadata["remainingItemCount"] = len(entries) - len(page)
            entries = page
        return self._encode(kind, entries, metadata, form)

    def _entries(
        self, bucket: Bucket, namespace: str | None, options: ListOptions
    ) -> tuple[list[Entry], int]:
        if options.continue_:
            return self._continued(bucket, namespace, options)
        version = int(options.version or 0)
        if version > self.store.rv:
            raise _too_large(version, self.store.rv)
        exact = options.version_match == "Exact"
        # A limit without a match rule asks for exactly that revision, for compatibility.
        if options.limit and version and not options.version_match:
            exact = True
        if not exact:
            return bucket.range(namespace), self.store.rv
        try:
            return bucket.range_at(namespace, version), version
        except CompactedError:
            raise expired("The resourceVersion for the provided list is too old.") from None

    def _continued(
        self, bucket: Bucket, namespace: str | None, options: ListOptions
    ) -> tuple[list[Entry], int]:
        if options.version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        version, start = _read_token(options.continue_)
        if version > self.store.rv:
            raise _too_large(version, self.store.rv)
        if version < 0:
            entries, version = bucket.range(namespace), self.store.rv
        else:
            try:
                entries = bucket.range_at(namespace, version)
            except CompactedError:
                raise expired(_TOO_OLD, _token(-1, start)) from None
        home, slash, name = start.rstrip("\0").rpartition("/")
        after = (home if slash else namespace or "", name)
        return [entry for entry in entries if entry.key > after], version

    def _encode(self, kind: Kind, entries: list[Entry], metadata: Obj, form: Form) -> bytes:
        if form.shape == "Table":
            now = self.clock()
            rows = [row(kind, entry.obj, now, form.include) for entry in entries]
            return encode(
                {
                    "kind": "Table",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata,
                    "columnDefinitions": column_definitions(kind),
                    "rows": rows,
                }
            )
        about: Obj = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version}
        raws = [entry.item() for entry in entries]
        if form.shape:
            about = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            raws = [encode(partial(entry.obj)) for entry in entries]
        head = encode({**about, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(raws) + b"]}"

    # --- watch

    async def watch(
        self, kind: Kind, namespace: str | None, options: ListOptions, form: Form
    ) -> AsyncIterator[bytes]:
        """Chunks of whole lines, until the watch's time is over or its history is lost."""
        bucket = self.store.buckets[kind]
        lines = _Lines(kind, namespace, options.match, form, self.clock)
        # As the API server: a random time if none is asked for, so that watches do not end at once.
        seconds = options.timeout or random.uniform(1800, 3600)  # noqa: S311 - only spreads load
        deadline = time.monotonic() + seconds
        version = int(options.version or 0)
        if options.initial_events is False and not version:
            version = self.store.rv
        elif options.initial_events or (options.initial_events is None and not version):
            version = self.store.rv
            entries = bucket.range(namespace)
            for at in range(0, len(entries), 500):
                yield lines.initial(entries[at : at + 500])
            # Upstream marks the end of the first part for every watch that takes bookmarks.
            if options.bookmarks:
                yield lines.bookmark(version, initial_end=True)
        waker = asyncio.Event()
        bucket.wakers.add(waker)
        try:
            async for chunk in self._follow(bucket, version, lines, options, deadline, waker):
                yield chunk
        finally:
            bucket.wakers.discard(waker)

    async def _follow(
        self,
        bucket: Bucket,
        version: int,
        lines: _Lines,
        options: ListOptions,
        deadline: float,
        waker: asyncio.Event,
    ) -> AsyncIterator[bytes]:
        marked = time.monotonic()
        while not self.closing.is_set():
            waker.clear()
            try:
                events = bucket.since(version)
            except CompactedError as lost:
                error = expired(str(lost))
                yield watch_line("ERROR", encode(error.body()))
                return
            for at in range(0, len(events), 500):
                part = events[at : at + 500]
                version = part[-1].rv
                chunk = b"".join(map(lines.event, part))
                if chunk:
                    yield chunk
            now = time.monotonic()
            if now >= deadline:
                return
            if options.bookmarks and now - marked >= self.bookmark_seconds:
                marked = now
                # Nothing of this resource is newer than what was just sent.
                version = max(version, self.store.rv) if not waker.is_set() else version
                yield lines.bookmark(version)
            wake = min(deadline, marked + self.bookmark_seconds if options.bookmarks else deadline)
            try:
                async with asyncio.timeout(max(wake - now, 0)):
                    await waker.wait()
            except TimeoutError:
                pass


def _start(last: Entry, namespace: str | None) -> str:
    """Where the next page starts: a key relative to the list's own prefix."""
    home, name = last.key
    return (name if namespace is not None or not home else f"{home}/{name}") + "\0"


def _too_large(asked: int, current: int) -> StatusError:
    return StatusError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ]
        },
        retry_after=1,
    )


_POD_SPEC: Obj = {"containers": None}
_EMPTY: Mapping[Kind, Obj] = {
    JOBS: {"spec": {"template": {"metadata": {}, "spec": _POD_SPEC}}, "status": {}},
    PODS: {"spec": _POD_SPEC, "status": {}},
    NODES: {"spec": {}, "status": {}},
    NAMESPACES: {"spec": {}, "status": {}},
    EVENTS: {"involvedObject": {}, "source": {}, "firstTimestamp": None, "lastTimestamp": None},
    LEASES: {"spec": {}},
}
"""What an empty object of a kind still carries, as in a bookmark."""


class _Lines:
    """Turns changes into the lines of one watch."""

    def __init__(
        self,
        kind: Kind,
        namespace: str | None,
        match: Selector | None,
        form: Form,
        clock: Callable[[], float],
    ) -> None:
        self.kind = kind
        self.namespace = namespace
        self.match = match
        self.form = form
        self.clock = clock
        self.headed = False

    def _takes(self, entry: Entry | None) -> bool:
        if entry is None or (self.namespace is not None and entry.key[0] != self.namespace):
            return False
        return self.match is None or self.match(entry)

    def initial(self, entries: list[Entry]) -> bytes:
        return b"".join(
            watch_line("ADDED", self._form(entry.raw)) for entry in entries if self._takes(entry)
        )

    def event(self, event: Event) -> bytes:
        """The line of a change as this watch sees it; empty when it does not."""
        now = self._takes(event.new)
        before = event.old is not None and self._takes(event.old)
        if event.type == "DELETED":
            if not before:
                return b""
        elif now and before:
            pass
        elif now:
            return watch_line("ADDED", self._form(event.new.raw))
        elif before and event.old is not None:
            last = event.old.obj
            last["metadata"]["resourceVersion"] = str(event.rv)
            return watch_line("DELETED", self._form(encode(last)))
        else:
            return b""
        if self.form.shape:
            return watch_line(event.type, self._form(event.new.raw))
        return event.encoded()

    def _form(self, raw: bytes) -> bytes:
        if not self.form.shape:
            return raw
        obj: Obj = decode(raw)
        if self.form.shape != "Table":
            return encode(partial(obj))
        found = row(self.kind, obj, self.clock(), self.form.include)
        return encode(self._table(obj["metadata"]["resourceVersion"], [found]))

    def _table(self, version: str, rows: list[Obj]) -> Obj:
        columns = None if self.headed else column_definitions(self.kind)
        self.headed = True
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": version},
            "columnDefinitions": columns,
            "rows": rows,
        }

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        metadata: Obj = {"resourceVersion": str(version)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj: Obj = {"kind": self.kind.kind, "apiVersion": self.kind.api_version}
        obj["metadata"] = metadata
        obj |= _EMPTY.get(self.kind, {})
        if self.form.shape == "Table":
            rows = [{"cells": [], "object": partial(obj)}]
            return watch_line("BOOKMARK", encode(self._table(str(version), rows)))
        if self.form.shape:
            obj = partial(obj)
        return watch_line("BOOKMARK", encode(obj))
