"""An API server within the process, of one kind, with a history: and all that can go wrong.

It stands under the real client as the transport of httpx, so that pages, watches, compression and
errors are read by what reads them from a real server. Versions count as etcd's do: one counter for
everything, in the order of the writes. Where it is unclear what a real server does, it was asked:
a watch from a version that is yet to come is answered with 200 and silence, a list that may not be
older than such a version with 504 after three seconds.
"""

from __future__ import annotations

import asyncio
import errno
import json
import random
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.joined.sources import Source, document

Doc = dict[str, Any]
JSON = {"content-type": "application/json"}


def refusal(code: int, reason: str = "", message: str = "on purpose", **details: Any) -> Doc:
    """A Status."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }


def encoded(value: Any) -> bytes:
    """As servers write it: not every character as ASCII."""
    return json.dumps(value, ensure_ascii=False).encode()


GONE = refusal(410, "Expired", "too old resource version")
AHEAD = refusal(
    504,
    "Timeout",
    "Timeout: Too large resource version",
    causes=[{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
    retryAfterSeconds=1,
)


@dataclass(frozen=True)
class Spoilt:
    """What a call gets instead of its answer.

    Attributes:
        status: 0 for a connection that breaks, -1 for silence for ever.
        body: Of the answer.
        headers: Of it.
        after: Seconds until it comes.
        real: The true answer, ``after`` seconds after the server made it.
        cut: The connection breaks in the middle of the true answer.
    """

    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    after: float = 0.0
    real: bool = False
    cut: bool = False


def reset() -> httpx.ReadError:
    """What a connection that its peer resets ends with; without the cause, nobody said anything."""
    error = httpx.ReadError("")
    error.__cause__ = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    return error


class Body(httpx.AsyncByteStream):
    """An answer that comes in pieces."""

    def __init__(self, pieces: AsyncIterator[bytes], closed: Callable[[], None]) -> None:
        self._pieces = pieces
        self._closed = closed

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        self._closed()


@dataclass(eq=False)
class Stream:
    """One watch that is open."""

    since: int
    zip: Any = None
    out: deque[bytes | Exception | None] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: bool = False
    over: bool = False
    late: list[bytes] | None = None
    tear: str = ""
    last: bytes = b""
    lost: bytes = b""
    """What a tear kept back of an event, as it would have come."""

    def give(self, data: bytes, *, torn: bool = False) -> None:
        """Send bytes, in pieces that end wherever that is; or what comes of them before a tear."""
        if self.over or self.stalled:
            return
        # Within a character of several bytes, where there is one; or within a block.
        at = data.find("é".encode()) + 1
        if self.zip is not None:
            data, at = self.zip.compress(data) + self.zip.flush(zlib.Z_SYNC_FLUSH), 0
        if torn:
            at = at or len(data) // 2
            data, self.lost = data[:at], data[at:]
        if self.out and isinstance(self.out[-1], bytes):  # nobody has read it yet: one piece
            self.out[-1] += data
        else:
            middle = len(data) // 2
            self.out.extend((data[:middle], data[middle:]))
        self.news.set()

    def line(self, value: Doc) -> None:
        """Send an event, as far as the faults let it."""
        line = encoded(value) + b"\n"
        self.last = line
        if self.late is not None:
            self.late.append(line)
            if len(self.late) == 2:
                self.settle()
        elif self.tear:
            how, self.tear = self.tear, ""
            self.give(line, torn=True)
            self.end(httpx.ReadError("cut") if how == "cut" else None)
        else:
            self.give(line)

    def settle(self) -> None:
        """What was held back comes now, in the wrong order."""
        held, self.late = self.late or [], None
        for line in reversed(held):
            self.give(line)

    def end(self, error: Exception | None = None) -> None:
        """The connection ends: cleanly, or by an error."""
        if not self.over:
            if not self.stalled:
                self.out.append(error)
            self.over = True
            self.news.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What arrives at the other end."""
        while True:
            while not self.out:
                self.news.clear()
                await self.news.wait()
            piece = self.out.popleft()
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise piece
            yield piece


class ApiServer(httpx.AsyncBaseTransport):
    """See the module.

    Attributes:
        objects: What there is, by name.
        version: The newest.
        floor: Watches and pages from before it are gone.
        starts: How often it was started again; who it was answering then gets no answer.
        says_by_event: That a watch's version is gone is said by an event, not by a status.
        lists: How many lists were begun.
        calls: When each call came.
        on_list: What happens to the next lists; to the next watches: on_watch.
        spoil: Versions whose event is garbage, and how often it still is.
    """

    def __init__(self, source: Source, clock: Callable[[], float], rng: random.Random) -> None:
        self.source = source
        self._clock = clock
        self._rng = rng
        self.objects: dict[str, Doc] = {}
        self.version = 100
        self.floor = 100
        self.starts = 0
        self.era = 0
        self._uids = 0
        self._turns = 0
        self.history: list[tuple[int, str, Doc]] = []
        self.past: list[tuple[int, dict[str, Doc]]] = [(100, {})]
        self._pages: dict[str, tuple[int, list[Doc]]] = {}
        self.streams: list[Stream] = []
        self.down = False
        self.says_by_event = False
        self.lists = 0
        self.calls: list[tuple[float, str]] = []
        self.on_list: deque[Spoilt] = deque()
        self.on_watch: deque[Spoilt | str] = deque()
        self.spoil: dict[int, int] = {}

    # -- what happens to the objects ------------------------------------------------------------

    def _write(self, type_: str, name: str, doc: Doc, at: int = 0) -> None:
        self.version = at or self.version + self._rng.randint(1, 3)
        doc = {**doc, "metadata": {**doc["metadata"], "resourceVersion": str(self.version)}}
        if type_ == "DELETED":
            del self.objects[name]
        else:
            self.objects[name] = doc
        self.history.append((self.version, type_, doc))
        self.past.append((self.version, dict(self.objects)))
        for stream in list(self.streams):
            self._tell(stream, self.version, type_, doc)

    def _tell(self, stream: Stream, version: int, type_: str, doc: Doc) -> None:
        if version <= stream.since:
            return
        stream.since = version
        if self.spoil.get(version, 0) > 0:
            self.spoil[version] -= 1
            stream.give(b'{"type":"ADDED","object":{"metadata":{"name":[}\n')
        else:
            stream.line({"type": type_, "object": doc})

    def put(self, name: str, turn: int, at: int = 0) -> None:
        """Create or change; ``at`` is the version that it gets."""
        old = self.objects.get(name)
        if old is None:
            self._uids += 1
        uid = old["metadata"]["uid"] if old else f"u{self._uids}"
        self._turns += 1
        labels = {"mcp-tui.io/note": "é日本", "turn": str(self._turns)}
        doc = document(self.source, name, turn, uid=uid, labels=labels)
        self._write("MODIFIED" if old else "ADDED", name, doc, at)

    def drop(self, name: str) -> None:
        """Delete, if it is there."""
        if name in self.objects:
            self._write("DELETED", name, self.objects[name])

    def compact(self) -> None:
        """Forget the history: tokens and versions from before are gone."""
        self.floor = self.version

    def restart(self) -> None:
        """Every connection breaks; what is remembered begins now."""
        self.starts += 1
        self.cut_all()
        self.floor = self.version
        self._pages.clear()

    def restore(self, back: int) -> None:
        """Come back with an older state, and a counter that stands where it stood then."""
        version, objects = self.past[max(0, len(self.past) - 1 - back)]
        self.version, self.objects = version, dict(objects)
        self.past = [each for each in self.past if each[0] <= version]
        self.history = [each for each in self.history if each[0] <= version]
        self.era += 1
        self.restart()

    # -- what happens to the connections ----------------------------------------------------------

    def cut_all(self) -> None:
        """Every watch breaks."""
        for stream in list(self.streams):
            stream.end(reset())
        self.streams.clear()

    def calm(self) -> None:
        """No fault from here on but those that have happened."""
        self.down = False
        self.on_list.clear()
        self.on_watch.clear()
        self.spoil.clear()
        for stream in self.streams:
            stream.settle()
            stream.tear = ""

    # -- calls --------------------------------------------------------------------------------

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        starts = self.starts
        response = await self._handle(request)
        if starts != self.starts:
            raise reset()
        return response

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        params = dict(request.url.params)
        await asyncio.sleep(0.01)
        watches = params.get("watch") == "true"
        match = "resourceVersionMatch" in params
        self.calls.append((self._clock(), "watch" if watches else "check" if match else "list"))
        if self.down:
            raise httpx.ConnectError("connection refused")
        if not watches and not match and "continue" not in params:
            self.lists += 1
        queue: deque[Any] = self.on_watch if watches else self.on_list
        fault = queue.popleft() if queue else None
        if isinstance(fault, Spoilt):
            return await self._spoilt(fault, params)
        return self._watch(params, fault or "") if watches else await self._list(params)

    async def _spoilt(self, fault: Spoilt, params: dict[str, str]) -> httpx.Response:
        answer: httpx.Response | None = None
        if fault.real or fault.cut:
            answer = await self._list(params)
        await asyncio.sleep(fault.after)
        if fault.status < 0:
            await asyncio.Event().wait()
        if answer is not None and not fault.cut:
            return answer
        if answer is not None:
            whole = await answer.aread()

            async def half() -> AsyncIterator[bytes]:
                yield whole[: len(whole) // 2]
                raise httpx.RemoteProtocolError("cut")

            return httpx.Response(200, headers=JSON, stream=Body(half(), lambda: None))
        if not fault.status:
            raise reset()
        headers = {**JSON, **dict(fault.headers)}
        return httpx.Response(fault.status, headers=headers, stream=httpx.ByteStream(fault.body))

    async def _list(self, params: dict[str, str]) -> httpx.Response:
        least = params.get("resourceVersion", "0")
        if params.get("resourceVersionMatch") == "NotOlderThan" and int(least) > self.version:
            await asyncio.sleep(3.0)
            if int(least) > self.version:
                return httpx.Response(504, headers=JSON, stream=httpx.ByteStream(encoded(AHEAD)))
        token = params.get("continue", "")
        if token:
            era, at, start = (int(part) for part in token.split("."))
            if at > self.version:
                return httpx.Response(
                    500, headers=JSON, stream=httpx.ByteStream(encoded(refusal(500)))
                )
            if era != self.era or at < self.floor or f"{era}.{at}" not in self._pages:
                return httpx.Response(410, headers=JSON, stream=httpx.ByteStream(encoded(GONE)))
            _, items = self._pages[f"{era}.{at}"]
        else:
            at, start = self.version, 0
            items = [self.objects[name] for name in sorted(self.objects)]
            self._pages[f"{self.era}.{at}"] = (at, items)
        limit = int(params.get("limit", "0")) or len(items)
        rest = items[start + limit :]
        meta = {"resourceVersion": str(at)}
        if rest:
            meta["continue"] = f"{self.era}.{at}.{start + limit}"
        page = {
            "kind": f"{self.source.resource.kind}List",
            "metadata": meta,
            "items": items[start : start + limit],
        }
        return httpx.Response(200, headers=JSON, stream=httpx.ByteStream(encoded(page)))

    def _watch(self, params: dict[str, str], fault: str) -> httpx.Response:
        since = int(params.get("resourceVersion", "0"))
        if since < self.floor and self.says_by_event:
            fault = "event"
        if since < self.floor and fault != "event":
            return httpx.Response(410, headers=JSON, stream=httpx.ByteStream(encoded(GONE)))
        stream = Stream(since, zlib.compressobj(wbits=31) if fault == "gzip" else None)
        headers = {**JSON, **({"content-encoding": "gzip"} if stream.zip is not None else {})}
        if fault == "event" or fault == "error":
            error = GONE if fault == "event" else refusal(500, "InternalError")
            stream.line({"type": "ERROR", "object": error})
            stream.end()
        else:
            self.streams.append(stream)
            for version, type_, doc in list(self.history):
                self._tell(stream, version, type_, doc)
        return httpx.Response(
            200,
            headers=headers,
            stream=Body(self._life(stream, params), lambda: self._leave(stream)),
        )

    async def _life(self, stream: Stream, params: dict[str, str]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(float(params["timeoutSeconds"]), stream.end)
        marks = loop.call_later(60.0, self._mark, stream)
        try:
            async for piece in stream.pieces():
                yield piece
        finally:
            timer.cancel()
            marks.cancel()

    def _mark(self, stream: Stream) -> None:
        """Once a minute."""
        if stream in self.streams and not stream.over:
            self.bookmark(stream)
            asyncio.get_running_loop().call_later(60.0, self._mark, stream)

    def bookmark(self, stream: Stream) -> None:
        """Say which version a watch has come to; never one from before its beginning."""
        if stream.since <= self.version and stream.late is None and not stream.tear:
            meta = {"resourceVersion": str(max(stream.since, self.version))}
            stream.line({"type": "BOOKMARK", "object": {"metadata": meta}})

    def _leave(self, stream: Stream) -> None:
        stream.over = True
        if stream in self.streams:
            self.streams.remove(stream)
