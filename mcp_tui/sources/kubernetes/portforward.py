"""A local port that leads to a port of a pod, through the API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError, UsageError
from mcp_tui.sources.kubernetes.resources import PODS
from mcp_tui.sources.kubernetes.sockets import open_socket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from mcp_tui.sources.kubernetes.transport import KubeClient

PROTOCOLS: Final = ("v4.channel.k8s.io",)
DATA: Final = 0
ERROR: Final = 1


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
        tasks.add(task)
        try:
            params = [("ports", str(port))]
            async with open_socket(client, path, params, PROTOCOLS) as socket:
                await _both_ways(socket, reader, writer, on_error)
        except McpTuiError as error:
            on_error(error.line())
        except (OSError, asyncio.CancelledError):
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


async def _both_ways(
    socket: ClientConnection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    on_error: Callable[[str], None],
) -> None:
    from websockets.exceptions import ConnectionClosed

    async def up() -> None:
        while data := await reader.read(65_536):
            await socket.send(bytes([DATA]) + data)

    async def down() -> None:
        greeted: set[int] = set()
        while True:
            message = await socket.recv(decode=False)
            if not message:
                continue
            channel, data = message[0], message[1:]
            if channel not in greeted:  # the first message of each channel is the port's number
                greeted.add(channel)
                data = data[2:]
            if channel == DATA and data:
                writer.write(data)
                await writer.drain()
            elif channel == ERROR and data:
                on_error(one_line(data.decode("utf-8", "replace")))
                return

    tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(ConnectionClosed, OSError):
                task.result()
        if tasks[0] in done and tasks[1] not in done:
            # The program has sent all; the protocol cannot say so, but an answer may still come.
            with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
                async with asyncio.timeout(30.0):
                    await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
