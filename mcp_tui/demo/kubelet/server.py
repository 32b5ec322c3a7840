"""The kubelet's HTTPS port on loopback: container logs, the pods, usage, health, and exec.

Whoever may reach it reads logs; whoever passes the authentication may also run commands. Without a
client CA or a token configured, exec is refused, since any user of this machine could ask for it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from mcp_tui.demo.kubelet.access import Json
from mcp_tui.demo.kubelet.certificate import self_signed
from mcp_tui.demo.kubelet.logs import LogQuery, read_log, stamp
from mcp_tui.demo.kubelet.pod import PodWorker
from mcp_tui.demo.kubelet.runtime import NodeOptions
from mcp_tui.demo.kubelet.usage import Measured, resource_metrics
from mcp_tui.errors import UsageError

_LOG: Final = logging.getLogger(__name__)
_IDLE: Final = 120.0


@dataclass
class Request:
    """One HTTP request, its body not read: none of the kubelet's calls has one worth reading."""

    method: str
    path: list[str]
    query: dict[str, list[str]]
    headers: dict[str, str]
    target: str

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """A boolean query parameter: ``1`` or ``true``."""
        return self.first(name).lower() in ("1", "true")


class HttpError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KubeletServer:
    """Serves the kubelet API.

    Args:
        options: The node's.
        address: The address to listen on.
        workers: Gives the pods of the node, by uid.
    """

    def __init__(
        self, options: NodeOptions, address: str, workers: Callable[[], Mapping[str, PodWorker]]
    ) -> None:
        self._options = options
        self._address = address
        self._workers = workers
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._token = ""
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: If the token or CA file cannot be used.
        """
        context = await asyncio.to_thread(self_signed, self._options.directory, self._address)
        try:
            if self._options.token_file is not None:
                self._token = self._options.token_file.read_text().strip()
            if self._options.client_ca is not None:
                context.load_verify_locations(self._options.client_ca)
                context.verify_mode = ssl.CERT_OPTIONAL
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot use it for authentication: {error}") from error
        self._server = await asyncio.start_server(
            self._accept, self._address, self._options.port, ssl=context
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connection = h11.Connection(h11.SERVER)
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, TimeoutError, h11.ProtocolError, ssl.SSLError) as error:
            _LOG.debug("kubelet connection ended: %s", error)
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(2):
                    await writer.wait_closed()

    async def _one(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """One request; whether the connection can take another."""
        request = await _read(connection, reader)
        if request is None:
            return False
        try:
            self._authorise(request, writer)
            if request.path[:1] in (["exec"], ["attach"], ["portForward"], ["run"]):
                await self._upgrade(request, connection, reader, writer)
                return False
            status, kind, body = await self._answer(request)
        except HttpError as error:
            status, kind, body = error.status, "text/plain", _once(f"{error}\n".encode())
        head = h11.Response(
            status_code=status,
            headers=[("Content-Type", kind), ("Transfer-Encoding", "chunked")],
        )
        writer.write(connection.send(head) or b"")
        await self._stream(connection, reader, writer, body)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _stream(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        body: AsyncIterator[bytes],
    ) -> None:
        """Send a body until it ends or the client leaves, which only reading can tell."""

        async def send() -> None:
            async for piece in body:
                writer.write(connection.send(h11.Data(data=piece)) or b"")
                await writer.drain()
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            await writer.drain()

        sending = asyncio.ensure_future(send())
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not sending.done():
                raise ConnectionResetError("the client left")
            await sending
            if leaving.done():
                # A pipelined byte would be lost: API servers do not pipeline.
                raise ConnectionResetError("the client left or pipelined")
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    # -- who may ----------------------------------------------------------------------------

    @property
    def _guarded(self) -> bool:
        return bool(self._token) or self._options.client_ca is not None

    def _authorise(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == ["healthz"]:
            return
        if not self._guarded:
            if request.path[:1] in (["containerLogs"], ["pods"]):
                return
            raise HttpError(
                403, "refused: this node was started without --client-ca or --token-file"
            )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if (
            self._token
            and scheme.lower() == "bearer"
            and hmac.compare_digest(token.strip().encode(), self._token.encode())
        ):
            return
        certificate = writer.get_extra_info("peercert") or {}
        names = {
            value
            for part in certificate.get("subject", ())
            for key, value in part
            if key == "commonName"
        }
        allowed = set(self._options.client_names)
        if self._options.client_ca is not None and names and (not allowed or names & allowed):
            return
        raise HttpError(401, "Unauthorized")

    # -- what is answered -------------------------------------------------------------------

    async def _answer(self, request: Request) -> tuple[int, str, AsyncIterator[bytes]]:
        if request.method != "GET":
            raise HttpError(405, "method not allowed")
        if request.path == ["healthz"]:
            return 200, "text/plain", _once(b"ok")
        if request.path == ["pods"]:
            items = [worker.pod for worker in self._workers().values()]
            body: Json = {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}
            return 200, "application/json", _once(json.dumps(body).encode())
        if request.path == ["metrics", "resource"]:
            text = await asyncio.to_thread(resource_metrics, self._measured(), time.time())
            return 200, "text/plain; version=0.0.4", _once(text.encode())
        if len(request.path) == 4 and request.path[0] == "containerLogs":
            return 200, "text/plain", self._logs(request)
        raise HttpError(404, "404 page not found")

    def _measured(self) -> list[Measured]:
        return [
            Measured(
                namespace=str(worker.meta["namespace"]),
                pod=str(worker.meta["name"]),
                container=container.name,
                group=container.group,
                started=container.record.running_since or 0.0,
            )
            for worker in self._workers().values()
            for container in (*worker.init, *worker.main)
            if container.group is not None
        ]

    def find(self, namespace: str, pod: str, uid: str = "") -> PodWorker:
        """The pod of that name; the newest, should an older one still be ending.

        Raises:
            HttpError: 404 if there is none.
        """
        found = [
            worker
            for worker in self._workers().values()
            if worker.key == f"{namespace}/{pod}" and (not uid or worker.meta["uid"] == uid)
        ]
        if not found:
            raise HttpError(404, f'pod "{pod}" not found')
        return found[-1]

    def _logs(self, request: Request) -> AsyncIterator[bytes]:
        _, namespace, pod, name = request.path
        container = self.find(namespace, pod).container(name)
        if container is None:
            raise HttpError(404, f'container "{name}" not found in pod "{pod}"')
        previous = request.flag("previous")
        restarts = container.record.restarts
        path = container.log_path(previous=previous)
        if previous and not path.exists():
            raise HttpError(400, f'previous terminated container "{name}" in pod "{pod}" not found')
        reason = container.record.waiting[0] if container.record.waiting else ""
        if not path.exists():
            if restarts:
                path = container.log_path(previous=True)
            if not path.exists():
                raise HttpError(
                    400,
                    f'container "{name}" in pod "{pod}" is waiting to start: '
                    f"{reason or 'no logs available'}",
                )
        started = container.record.running_since

        def ended() -> bool:
            record = container.record
            return (
                record.running_since is None
                or record.running_since != started
                or record.restarts != restarts
            )

        return read_log(path, _log_query(request), ended=ended)

    async def _upgrade(
        self,
        request: Request,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        from mcp_tui.demo.kubelet import remote

        early, _ = connection.trailing_data
        try:
            await remote.handle(self, request, early, reader, writer)
        except HttpError as error:
            text = f"{error}\n".encode()
            writer.write(
                b"HTTP/1.1 %d Refused\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (error.status, len(text), text)
            )
            await writer.drain()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request; None when the client closed the connection.

    The body is read for a request that has one, but not that of an upgrade: what follows the
    head then belongs to another protocol.
    """
    request: Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(_IDLE):
                connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            parts = urlsplit(event.target.decode("latin-1"))
            request = Request(
                method=event.method.decode("latin-1"),
                path=[unquote(p) for p in parts.path.strip("/").split("/")],
                query=parse_qs(parts.query, keep_blank_values=True),
                headers={k.decode("latin-1"): v.decode("latin-1") for k, v in event.headers},
                target=event.target.decode("latin-1"),
            )
            if "upgrade" in request.headers.get("connection", "").lower():
                return request
        elif isinstance(event, h11.EndOfMessage):
            return request
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return None


def _log_query(request: Request) -> LogQuery:
    def number(name: str) -> int | None:
        text = request.first(name)
        if not text:
            return None
        if not text.isdigit():
            raise HttpError(400, f"{name} is not a number")
        return int(text)

    since = request.first("sinceTime")
    seconds = number("sinceSeconds")
    start = b""
    if seconds is not None:
        start = stamp(int((datetime.now(UTC).timestamp() - seconds) * 1e9))
    elif since:
        try:
            moment = datetime.fromisoformat(since.replace("Z", "+00:00"))
        except ValueError as error:
            raise HttpError(400, "sinceTime is not a time") from error
        start = stamp(int(moment.timestamp() * 1e9))
    return LogQuery(
        follow=request.flag("follow"),
        tail=number("tailLines"),
        timestamps=request.flag("timestamps"),
        since=start,
        limit=number("limitBytes"),
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
