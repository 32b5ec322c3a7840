"""A proxy of our own that stands before a real server and misbehaves to order.

It speaks HTTP/1.1 to both sides, with TLS to the server and, if asked, with a certificate of its
own to the client. What it does is scripted by :class:`Fault`: which call (method, path, the nth
match) and what happens to it. Without a fault it passes everything on, upgrades included.

    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as proxy:
        proxy.add(Fault(path="watch=true", nth=1, act=Cut(after_lines=2, within=True)))
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.cluster.certs import Authority, Pair
from tests.faults.wire import Head, encode_head, read_body, read_head

UNAUTHORIZED = (
    b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"Unauthorized","reason":"Unauthorized","code":401}'
)
# X509_V_FLAG_NO_CHECK_TIME of OpenSSL; Python has no name for it.
_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True)
class Answer:
    """Answer without asking the server: any status, any body."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


@dataclass(frozen=True)
class Cut:
    """Drop the connection: before the headers, or in the body.

    ``after_bytes``/``after_lines`` count the body; both None means before the headers. ``within``
    cuts in the middle of the next line; ``clean`` ends the message as if it were whole.
    """

    after_bytes: int | None = None
    after_lines: int | None = None
    within: bool = False
    clean: bool = False


@dataclass(frozen=True)
class Stall:
    """Say nothing more, and keep the connection open: at once, or after some lines of the body."""

    after_lines: int | None = None


@dataclass(frozen=True)
class Drip:
    """Give the body slowly."""

    bytes_per_second: float
    piece: int = 16


@dataclass(frozen=True)
class Lie:
    """Change the body: all of it at once, or each line of a stream (None drops the line)."""

    whole: Callable[[bytes], bytes] | None = None
    line: Callable[[bytes], bytes | None] | None = None


@dataclass(frozen=True)
class Lost:
    """Let the server do it, then drop the answer: a write happened and nobody says so."""


@dataclass
class Hold:
    """Keep the answer back until ``release`` is set: answers overtake each other."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)


Act = Answer | Cut | Stall | Drip | Lie | Lost | Hold


@dataclass
class Fault:
    """One instruction.

    Attributes:
        act: What to do.
        method: Which method; empty for any.
        path: A regular expression searched for in the path with its query.
        nth: Only the nth call that matches (from 1); None for all of them.
        times: At most so many calls.
        hits: How often it was done.
    """

    act: Act
    method: str = ""
    path: str = ""
    nth: int | None = None
    times: int | None = None
    hits: int = 0
    _seen: int = 0

    def takes(self, method: str, target: str) -> bool:
        """Whether this call is meant; counts it."""
        if self.method not in ("", method) or not re.search(self.path, target):
            return False
        self._seen += 1
        if self.nth is not None and self._seen != self.nth:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


@dataclass(frozen=True)
class Call:
    """A call that came in."""

    method: str
    target: str
    at: float
    fault: Fault | None


class _Dropped(Exception):
    """The connection to the client is to be dropped."""


class FaultProxy:
    """The proxy; an async context manager.

    Args:
        upstream: The real server's URL.
        ca: Its authority, when it speaks TLS.
        tls: A folder to make a certificate in, to speak TLS to clients; None for plain HTTP.

    Attributes:
        compress: Whether the server may compress: faults of lines find none then.
        date: The server's clock as its answers give it; empty for the true one.
        certified: Whether clients have to show a certificate of its authority, from the next
            :meth:`accept` on; whether it is still valid is asked with each call, as a real API
            server does it.
    """

    def __init__(self, upstream: str, *, ca: Path | None = None, tls: Path | None = None) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname, upstream
        self._host, self._port = parts.hostname, parts.port or 443
        self._upstream_tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._upstream_tls = ssl.create_default_context(cafile=str(ca) if ca else None)
        self.authority = Authority(tls) if tls is not None else None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self.port = 0
        self.compress = False
        self.certified = False
        self.date = ""
        self.faults: list[Fault] = []
        self.calls: list[Call] = []

    async def __aenter__(self) -> FaultProxy:
        await self.accept()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.refuse()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    def add(self, fault: Fault) -> Fault:
        """Add an instruction; the first that takes a call is followed."""
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all instructions and let what is frozen flow."""
        self.faults.clear()
        self._flow.set()

    def count(self, pattern: str = "", method: str = "") -> int:
        """How many calls came that match."""
        return sum(
            1
            for call in self.calls
            if method in ("", call.method) and re.search(pattern, call.target)
        )

    def freeze(self) -> None:
        """Give clients nothing more, without closing anything: a VPN that dropped."""
        self._flow.clear()

    async def accept(self) -> None:
        """Listen; again on the same port after :meth:`refuse`."""
        context = None
        if self.authority is not None:
            pair = self.authority.issue("proxy", common_name="proxy", server=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.cert, pair.key)
            if self.certified:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.authority.cert)
                context.verify_flags |= _NO_CHECK_TIME
        self._server = await asyncio.start_server(
            self._client, "127.0.0.1", self.port, ssl=context, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening and drop every connection: the server is down."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop_all()

    async def drop_all(self) -> None:
        """Drop every open connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def kubeconfig(
        self, path: Path, *, token: str, context: str = "faulty", pair: Pair | None = None
    ) -> Path:
        """Write a kubeconfig that leads through the proxy."""
        user = {"token": token}
        if pair is not None:
            user |= {"client-certificate": str(pair.cert), "client-key": str(pair.key)}
        cluster: dict[str, str] = {"server": self.url}
        if self.authority is not None:
            cluster["certificate-authority"] = str(self.authority.cert)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": context, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    # -- one connection -----------------------------------------------------------------------

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(_Dropped, OSError, asyncio.CancelledError):
                while (head := await read_head(reader)) is not None:
                    await self._call(head, reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _call(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, _ = head.first
        body = b"".join([piece async for piece in read_body(reader, head, until_close=False)])
        fault = next((fault for fault in self.faults if fault.takes(method, target)), None)
        self.calls.append(Call(method, target, time.monotonic(), fault))
        act = fault.act if fault is not None else None
        if self.certified and _ended(writer.get_extra_info("peercert")):
            act = Answer(401, UNAUTHORIZED)
        work = asyncio.ensure_future(self._work(head, body, act, reader, writer))
        if head.get("upgrade"):
            await work
            return
        # A client that goes away must end what is done for it, above all a watch.
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _Dropped
            work.result()
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _work(
        self,
        head: Head,
        body: bytes,
        act: Act | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if isinstance(act, Answer):
            headers = [*act.headers, ("Content-Length", str(len(act.body)))]
            headers += [("Date", self.date)] if self.date else []
            await self._write(writer, encode_head(f"HTTP/1.1 {act.status} Faulty", headers))
            await self._write(writer, act.body)
            return
        if isinstance(act, Cut) and act.after_bytes is None and act.after_lines is None:
            raise _Dropped
        if isinstance(act, Stall) and act.after_lines is None:
            await asyncio.Event().wait()
        up_reader, up_writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._upstream_tls, limit=2**20
        )
        try:
            await self._forward(head, body, up_writer)
            answer = await read_head(up_reader)
            if answer is None:
                raise _Dropped
            if answer.first[1] == "101":
                await self._tunnel(answer, reader, writer, up_reader, up_writer)
                return
            await self._give(head, answer, act, up_reader, writer)
        finally:
            up_writer.transport.abort()

    async def _forward(self, head: Head, body: bytes, up_writer: asyncio.StreamWriter) -> None:
        method, target, version = head.first
        headers = head.without("host", "content-length", "transfer-encoding", "connection")
        if not self.compress:
            headers = [each for each in headers if each[0].lower() != "accept-encoding"]
        headers += [("Host", f"{self._host}:{self._port}"), ("Content-Length", str(len(body)))]
        headers.append(("Connection", "Upgrade" if head.get("upgrade") else "close"))
        up_writer.write(encode_head(f"{method} {target} {version}", headers) + body)
        await up_writer.drain()

    async def _give(
        self,
        head: Head,
        answer: Head,
        act: Act | None,
        up_reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        status = answer.first[1]
        bodiless = head.first[0] == "HEAD" or status in ("204", "304")
        payload = read_body(up_reader, answer, until_close=not bodiless)
        if isinstance(act, Lost | Hold) or (isinstance(act, Lie) and act.whole is not None):
            whole = b"".join([piece async for piece in payload])
            if isinstance(act, Lost):
                raise _Dropped
            if isinstance(act, Hold):
                act.reached.set()
                await act.release.wait()
            elif isinstance(act, Lie) and act.whole is not None:
                whole = act.whole(whole)
            payload = _one(whole)
        headers = answer.without("content-length", "transfer-encoding", "connection")
        if self.date:
            headers = [each for each in headers if each[0].lower() != "date"]
            headers.append(("Date", self.date))
        if not bodiless:
            headers.append(("Transfer-Encoding", "chunked"))
        await self._write(writer, encode_head(f"HTTP/1.1 {status} {answer.first[2]}", headers))
        if bodiless:
            return
        async for piece in self._shaped(payload, act, writer):
            if piece:
                await self._write(writer, b"%x\r\n%s\r\n" % (len(piece), piece))
        await self._write(writer, b"0\r\n\r\n")

    async def _shaped(
        self, payload: AsyncIterator[bytes], act: Act | None, writer: asyncio.StreamWriter
    ) -> AsyncIterator[bytes]:
        """The body as the fault wants it."""
        if isinstance(act, Drip):
            async for piece in payload:
                for part in _pieces(piece, act.piece):
                    yield part
                    await asyncio.sleep(act.piece / act.bytes_per_second)
        elif isinstance(act, Cut) and act.after_bytes is not None:
            left = act.after_bytes
            async for piece in payload:
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    await self._cut(act, writer)
                    return
        elif isinstance(act, Cut | Stall):
            async for piece in self._some_lines(payload, act, writer):
                yield piece
        elif isinstance(act, Lie) and act.line is not None:
            async for line in _lines(payload):
                changed = act.line(line)
                if changed is not None:
                    yield changed
        else:
            async for piece in payload:
                yield piece

    async def _some_lines(
        self, payload: AsyncIterator[bytes], act: Cut | Stall, writer: asyncio.StreamWriter
    ) -> AsyncIterator[bytes]:
        left = act.after_lines or 0
        within = isinstance(act, Cut) and act.within
        if not left and not within:
            await self._stop(act, writer)
            return
        async for line in _lines(payload):
            if left:
                yield line
                left -= 1
                if left or within:
                    continue
            else:
                yield line[: len(line) // 2]
            await self._stop(act, writer)
            return

    async def _stop(self, act: Cut | Stall, writer: asyncio.StreamWriter) -> None:
        if isinstance(act, Stall):
            await asyncio.Event().wait()
        else:
            await self._cut(act, writer)

    async def _cut(self, act: Cut, writer: asyncio.StreamWriter) -> None:
        if not act.clean:
            await writer.drain()
            # Let what was written arrive: an abort may throw it away.
            await asyncio.sleep(0.05)
            raise _Dropped

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        await self._flow.wait()
        writer.write(data)
        await writer.drain()

    async def _tunnel(
        self,
        answer: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        writer.write(encode_head(" ".join(answer.first), answer.headers))
        await writer.drain()

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while piece := await source.read(65_536):
                await self._write(sink, piece)

        tasks = [
            asyncio.ensure_future(copy(reader, up_writer)),
            asyncio.ensure_future(copy(up_reader, writer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise _Dropped


def _ended(certificate: Mapping[str, Any]) -> bool:
    """Whether a certificate, as ssl tells of it, is over."""
    return ssl.cert_time_to_seconds(certificate["notAfter"]) < time.time()


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _lines(payload: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in payload:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest
