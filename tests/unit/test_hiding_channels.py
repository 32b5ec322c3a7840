"""Servers that repeat a credential where no HTTP status tells of an error."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection, serve

from mcp_tui.domain.kube import Job
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes.exec import open_exec
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.portforward import forward
from mcp_tui.sources.kubernetes.reflector import Reflector
from mcp_tui.sources.kubernetes.resources import JOBS
from mcp_tui.sources.kubernetes.transport import Gate, KubeClient
from tests.faults.follow import until

TOKEN = "sha256~Qn7Xv3kdLw9pQ"
_SENT = re.compile(rb"(?i)authorization: *([^\r]+)")


def client_of(folder: Path, port: int) -> KubeClient:
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(
        f"{{clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}],"
        f" users: [{{name: u, user: {{token: '{TOKEN}'}}}}], current-context: c,"
        " contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    return KubeClient(load_kubeconfig({}, path).context(), gate=Gate(False), env={})


@pytest_asyncio.fixture
async def sockets(tmp_path: Path) -> AsyncIterator[KubeClient]:
    """A client of an API server whose WebSockets end with what they were sent."""

    async def parrot(socket: ServerConnection) -> None:
        assert socket.request is not None
        said = f"who is {socket.request.headers['Authorization']}?".encode()
        if socket.request.path.partition("?")[0].endswith("portforward"):
            for channel in (0, 1):
                await socket.send(bytes([channel, 80, 0]))
            await socket.send(b"\x01" + said)
        elif "words" in socket.request.path:
            await socket.send(b"\x03" + said)
        else:
            status = {"status": "Failure", "message": said.decode()}
            await socket.send(b"\x03" + json.dumps(status).encode())

    protocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
    async with serve(parrot, "127.0.0.1", 0, subprotocols=protocols) as server:  # type: ignore[arg-type]  # they are a NewType of str
        client = client_of(tmp_path, next(iter(server.sockets)).getsockname()[1])
        yield client
        await client.aclose()


@pytest.mark.parametrize("command", ["words", "status"])
async def test_what_ends_a_command_in_a_container(sockets: KubeClient, command: str) -> None:
    async with open_exec(sockets, "ns", "p", [command], tty=False) as session:
        assert [piece async for piece in session.output()] == []
    assert session.message == "who is Bearer ***?"


async def test_what_ends_a_connection_to_a_port(sockets: KubeClient) -> None:
    told: list[str] = []
    async with forward(sockets, "ns", "p", 80, on_error=told.append) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: bool(told), 20)
        writer.close()
    assert told == ["who is Bearer ***?"]


async def test_what_ends_a_watch(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = _SENT.search(head)
        assert found is not None
        body: object = {"kind": "JobList", "metadata": {"resourceVersion": "5"}, "items": []}
        if b"watch=" in head.split(b"\r\n")[0]:
            said = {"kind": "Status", "code": 500, "message": f"who is {found[1].decode()}?"}
            body = {"type": "ERROR", "object": said}
        raw = json.dumps(body).encode() + b"\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(raw), raw))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    client = client_of(tmp_path, server.sockets[0].getsockname()[1])
    reflector: Reflector[Job] = Reflector(client, JOBS, namespace="", sink=lambda _delta: None)
    async with server:
        running = asyncio.create_task(reflector.run())
        try:
            await until(lambda: "who is" in reflector.health.message, 20)
            assert reflector.health.state is not HealthState.LIVE
            assert "who is Bearer ***?" in reflector.health.message
            assert TOKEN not in reflector.health.message
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.aclose()
