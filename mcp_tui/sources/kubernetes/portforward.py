"""A local port that leads to a port of a pod, through the API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, NoReturn

from mcp_tui.domain.kube import Pod
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, McpTuiError, UsageError
from mcp_tui.sources.hiding import Hide
from mcp_tui.sources.kubernetes.failures import said_line
from mcp_tui.sources.kubernetes.resources import PODS
from mcp_tui.sources.kubernetes.sockets import open_socket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from mcp_tui.sources.kubernetes.transport import KubeClient

PROTOCOLS: Final = ("v4.channel.k8s.io",)
DATA: Final = 0
ERROR: Final = 1
MAX_CONNECTIONS: Final = 128
# How long an answer may pause, in seconds, after the local program has sent its last byte.
LINGER: Final = 2.0


@contextlib.asynccontextmanager
async def forward(
    client: KubeClient,
    namespace: str,
    pod: str,
    port: int,
    *,
    local_port: int = 0,
    on_error: Callable[[str], None] = lambda _message: None,
) -> AsyncIterator[int]:
    """Listen on loopback and carry each connection to ``port`` of the pod.

    Args:
        client: The API server's client; its gate must let writes pass.
        namespace: The pod's namespace.
        pod: The pod.
        port: The pod's port.
        local_port: Where to listen on 127.0.0.1; 0 for any free port.
        on_error: Called with one sanitised line when a connection could not be carried.

    Yields:
        The local port.

    Raises:
        RefusedError: The gate lets it not pass.
        UsageError: The local port is taken or not ours to take.
    """
    path = PODS.path(namespace, pod, "portforward")
    client.gate.check("kubernetes", "GET", path)
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            on_error(f"more than {MAX_CONNECTIONS} connections at once: one was turned away")
            return
        tasks.add(task)
        try:
            params = [("ports", str(port))]
            async with open_socket(client, path, params, PROTOCOLS) as socket:
                await _both_ways(socket, reader, writer, on_error, client.credentials.hide)
            # What is not written yet belongs to the program: it is given time to take it.
            async with asyncio.timeout(30.0):
                writer.close()
                await writer.wait_closed()
        except McpTuiError as error:
            on_error(error.line())
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the local program went away, or the forward ends
        finally:
            tasks.discard(task)
            writer.transport.abort()

    try:
        server = await asyncio.start_server(carry, "127.0.0.1", local_port)
    except OSError as error:
        raise UsageError(
            f"port {local_port} cannot be used: {error.strerror}", hint="choose another"
        ) from None
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Forward:
    """A forward whose pod is looked at; made by :func:`watched_forward`.

    Attributes:
        port: The local port.
    """

    def __init__(self, client: KubeClient, path: str, pod: str, uid: str, every: float) -> None:
        self.port = 0
        self._client = client
        self._path = path
        self._pod = clean_line(pod)
        self._uid = uid
        self._every = every
        self._doubt = asyncio.Event()

    def doubt(self) -> None:
        """A connection failed: look at the pod now."""
        self._doubt.set()

    async def over(self) -> NoReturn:
        """Wait until nothing can be forwarded any more.

        Raises:
            GoneError: The pod ended, was deleted, or another one has its name now.
            ApiError: We may not look at it any more.
        """
        while True:
            self._doubt.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._doubt.wait()
                    # A pod that is being ended refuses connections before it is gone.
                    await asyncio.sleep(0.5)

    async def _look(self) -> None:
        try:
            pod = await self._client.get(self._path, Pod)
        except ApiError as error:
            if error.status == 404:
                raise GoneError(f"pod {self._pod} is gone: the forward ended") from None
            if error.status in (401, 403):
                raise
            return
        except McpTuiError:
            return  # It cannot be reached now; connections say so where there are any.
        if self._uid and pod.metadata.uid != self._uid:
            raise GoneError(f"pod {self._pod} was replaced by another: the forward ended")
        if pod.status.phase in ("Succeeded", "Failed"):
            raise GoneError(f"pod {self._pod} has ended: the forward too")


@contextlib.asynccontextmanager
async def watched_forward(
    client: KubeClient,
    namespace: str,
    pod: str,
    port: int,
    *,
    uid: str = "",
    local_port: int = 0,
    on_error: Callable[[str], None] = lambda _message: None,
    every: float = 5.0,
) -> AsyncIterator[Forward]:
    """As :func:`forward`; :meth:`Forward.over` waits until the pod is gone.

    Args:
        uid: Of the pod that is meant; empty for whichever has the name.
        every: Seconds between two looks at it.
    """
    forwarded = Forward(client, PODS.path(namespace, pod), pod, uid, every)

    def failed(message: str) -> None:
        forwarded.doubt()
        on_error(message)

    async with forward(
        client, namespace, pod, port, local_port=local_port, on_error=failed
    ) as forwarded.port:
        yield forwarded


async def _both_ways(
    socket: ClientConnection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    on_error: Callable[[str], None],
    hide: Hide,
) -> None:
    from websockets.exceptions import ConnectionClosed

    async def up() -> None:
        while data := await reader.read(65_536):
            await socket.send(bytes([DATA]) + data)

    received = 0

    async def down() -> None:
        nonlocal received
        greeted: set[int] = set()
        while True:
            message = await socket.recv(decode=False)
            if not message:
                continue
            received += len(message)
            channel, data = message[0], message[1:]
            if channel not in greeted:  # the first message of each channel is the port's number
                greeted.add(channel)
                data = data[2:]
            if channel == DATA and data:
                writer.write(data)
                await writer.drain()
            elif channel == ERROR and data:
                on_error(said_line(data.decode("utf-8", "replace"), hide))
                return

    tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(ConnectionClosed, OSError):
                task.result()
        if tasks[0] in done and tasks[1] not in done:
            # The program has sent all, or is gone. The protocol cannot say so to the pod; what it
            # still answers is carried until it pauses.
            before = -1
            while not tasks[1].done() and before != received:
                before = received
                await asyncio.wait((tasks[1],), timeout=LINGER)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
