"""Streams into a container over WebSocket: exec, with or without a terminal, and port-forward.

API servers from 1.36 pass a client's WebSocket on as it is to a node that declares
``ExtendWebSocketsToKubelet``; older ones pass on v4 and translate v5 to SPDY, which this node does
not speak. Messages carry the channel in their first byte: 0 stdin, 1 stdout, 2 stderr, 3 the
closing Status, 4 the terminal's size; in v5, 255 closes the channel named by the next byte.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mcp_tui.demo.kubelet.guardian import kill_group
from mcp_tui.demo.kubelet.process import Command, StartError
from mcp_tui.demo.kubelet.session import Session
from mcp_tui.demo.kubelet.websocket import WebSocket, WebSocketError

if TYPE_CHECKING:
    from mcp_tui.demo.kubelet.container import Container
    from mcp_tui.demo.kubelet.server import KubeletServer, Request

_LOG: Final = logging.getLogger(__name__)
_PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255


async def handle(
    server: KubeletServer,
    request: Request,
    early: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Serve an upgrade request to its end.

    Raises:
        HttpError: If it is not one that this node serves; nothing was answered then.
    """
    from mcp_tui.demo.kubelet.server import HttpError

    if request.headers.get("upgrade", "").lower() != "websocket":
        raise HttpError(400, "only WebSocket upgrades are supported by this node, not SPDY")
    offered = [p.strip() for p in request.headers.get("sec-websocket-protocol", "").split(",")]
    protocol = next((p for p in _PROTOCOLS if p in offered), None)
    if protocol is None:
        raise HttpError(400, f"unsupported protocols: {', '.join(offered) or 'none'}")
    socket = WebSocket(early, reader, writer)
    key = request.headers.get("sec-websocket-key", "")
    kind = request.path[0]
    try:
        if kind == "exec" and len(request.path) == 4:
            _, namespace, pod, name = request.path
            container = server.find(namespace, pod).container(name)
            if container is None or not container.running:
                raise HttpError(404, f'container "{name}" of pod "{pod}" is not running')
            await socket.accept(key, protocol)
            await _exec(socket, container, request)
        elif kind == "portForward" and len(request.path) == 3:
            server.find(request.path[1], request.path[2])
            await socket.accept(key, protocol)
            await _forward(socket, [int(p) for p in request.query.get("port", []) if p.isdigit()])
        else:
            raise HttpError(501, f"{kind} is not supported by this node")
    except (WebSocketError, ConnectionError) as error:
        _LOG.info("%s ended: %s", kind, error)
    finally:
        await socket.close()


def exit_status(code: int) -> bytes:
    """The Status that ends an exec, by the exit code."""
    if code == 0:
        return b'{"metadata":{},"status":"Success"}'
    return json.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
    ).encode()


def _failure(message: str) -> bytes:
    return json.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "reason": "InternalError",
            "message": f"Internal error occurred: {message}",
            "code": 500,
        }
    ).encode()


async def _exec(socket: WebSocket, container: Container, request: Request) -> None:
    command = container.command
    argv = [container.paths.replace(word) for word in request.query.get("command", [])]
    if command is None or not argv:
        await socket.send(bytes([_ERROR]) + _failure("you must specify at least 1 command"))
        return
    terminal = request.flag("tty")
    env = {**command.env, "TERM": command.env.get("TERM", "xterm")} if terminal else command.env
    guardian = container.pod.runtime.guardian
    try:
        session = await Session.start(Command(argv, env, command.cwd), guardian, terminal=terminal)
    except (StartError, OSError) as error:
        text = f"error executing command in container: unable to start container process: {error}"
        await socket.send(bytes([_ERROR]) + _failure(text))
        return
    # Tells the client that the streams are there.
    await socket.send(bytes([_STDOUT]))
    # The API server calls it so; its own parameter is called stdin.
    if not request.flag("input"):
        session.close_input()
    reading = asyncio.create_task(_input(socket, session))
    sending = [
        asyncio.create_task(_output(socket, channel, stream))
        for channel, stream in ((_STDOUT, session.stdout), (_STDERR, session.stderr))
        if stream is not None
    ]
    ended = asyncio.create_task(session.wait())
    alone = asyncio.create_task(_end_with(container, session))
    try:
        await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            # The client left; what it started goes with it.
            return
        await asyncio.wait(sending, timeout=2)
        await socket.send(bytes([_ERROR]) + exit_status(ended.result()))
    finally:
        await session.stop()
        for task in (reading, ended, alone, *sending):
            task.cancel()
        await asyncio.gather(reading, ended, alone, *sending, return_exceptions=True)


async def _end_with(container: Container, session: Session) -> None:
    """Kill a session when the instance of the container it was started in has ended."""
    began = container.record.running_since
    # A container tells nobody of its end but its pod.
    while container.running and container.record.running_since == began:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    kill_group(session.pid)


async def _output(socket: WebSocket, channel: int, stream: asyncio.StreamReader) -> None:
    # A terminal whose last process has gone reads as an I/O error, which is its end.
    with suppress(OSError):
        while chunk := await stream.read(32_768):
            await socket.send(bytes([channel]) + chunk)


async def _input(socket: WebSocket, session: Session) -> None:
    while (message := await socket.receive()) is not None:
        if not message:
            continue
        channel, data = message[0], message[1:]
        if channel == _STDIN:
            await session.write(data)
        elif channel == _RESIZE:
            with suppress(ValueError, TypeError, AttributeError):
                size = json.loads(data)
                session.resize(int(size.get("Width", 80)), int(size.get("Height", 24)))
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]):
            session.close_input()


async def _forward(socket: WebSocket, ports: list[int]) -> None:
    """Forward ports: channel 2i carries the data of the i-th port, 2i + 1 its error."""
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks: list[asyncio.Task[None]] = []
    for index, port in enumerate(ports[:64]):
        head = struct.pack("<H", port & 0xFFFF)
        await socket.send(bytes([2 * index]) + head)
        await socket.send(bytes([2 * index + 1]) + head)
        try:
            async with asyncio.timeout(10):
                stream, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError) as error:
            text = f"error forwarding port {port} to pod: {error}"
            await socket.send(bytes([2 * index + 1]) + text.encode())
            continue
        writers[2 * index] = writer
        tasks.append(asyncio.create_task(_output(socket, 2 * index, stream)))
    try:
        receiving = asyncio.create_task(_forward_input(socket, writers))
        tasks.append(receiving)
        await asyncio.wait({receiving, asyncio.ensure_future(_all(tasks[:-1], receiving))},
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers.values():
            writer.close()


async def _all(outputs: list[asyncio.Task[None]], receiving: asyncio.Task[None]) -> None:
    """Until every connection has ended; where there was none, until the client leaves."""
    await asyncio.wait(outputs or [receiving])


async def _forward_input(socket: WebSocket, writers: dict[int, asyncio.StreamWriter]) -> None:
    while (message := await socket.receive()) is not None:
        writer = writers.get(message[0]) if message else None
        if writer is not None:
            writer.write(message[1:])
            with suppress(ConnectionError):
                await writer.drain()
