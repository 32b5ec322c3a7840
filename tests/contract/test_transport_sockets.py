"""Exec and port-forward through a real API server, to a pod that the process node runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.errors import ApiError, RefusedError, UnreachableError, UsageError
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.exec import STDERR, STDOUT, open_exec
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.portforward import forward
from mcp_tui.sources.kubernetes.sockets import socket_url
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Fault, FaultProxy

ECHO = """
import os, socket
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    connection, _ = server.accept()
    while data := connection.recv(65536):
        connection.sendall(data.upper())
    connection.close()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as it:
        return int(it.getsockname()[1])


def client_of(ground: Ground, context: str = "dev", *, read_only: bool = False) -> KubeClient:
    info = load_kubeconfig({}, ground.kubeconfig).context(context)
    return KubeClient(info, gate=Gate(read_only=read_only), env={})


@pytest_asyncio.fixture
async def client(ground: Ground) -> AsyncIterator[KubeClient]:
    it = client_of(ground)
    yield it
    await it.aclose()


async def listens(port: int) -> bool:
    """Whether something accepts on a port of this machine, where the process node's pods are."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest_asyncio.fixture
async def pod(ground: Ground, namespace: str) -> tuple[str, int]:
    """A running pod that answers on a port in capitals: its name and the port."""
    port = free_port()
    container = {
        "name": "main",
        "image": "python:3",
        "command": ["python3", "-c", ECHO],
        "env": [{"name": "PORT", "value": str(port)}],
    }
    body = {"metadata": {"name": "echo"}, "spec": {"containers": [container]}}
    path = f"/api/v1/namespaces/{namespace}/pods"
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    for _ in range(200):
        if (await asyncio.to_thread(ground.api, "GET", account)).status == 200:
            break
        await asyncio.sleep(0.05)
    (await asyncio.to_thread(ground.api, "POST", path, body)).ok()
    status: dict[str, Any] = {}
    for _ in range(600):
        reply = await asyncio.to_thread(ground.api, "GET", f"{path}/echo")
        status = reply.ok()["status"]
        # The container runs before its program listens.
        if status.get("phase") == "Running" and await listens(port):
            return "echo", port
        await asyncio.sleep(0.05)
    raise AssertionError(status)


async def test_a_command_and_its_exit_code(
    client: KubeClient, namespace: str, pod: tuple[str, int]
) -> None:
    command = ["sh", "-c", "echo out; echo err >&2; cat; exit 7"]
    async with open_exec(client, namespace, pod[0], command, tty=False) as session:
        await session.write(b"and in\n")
        await session.close_input()
        said: dict[int, bytes] = {STDOUT: b"", STDERR: b""}
        async for channel, data in session.output():
            said[channel] += data
    assert said == {STDOUT: b"out\nand in\n", STDERR: b"err\n"}
    assert session.exit_code == 7


async def test_a_command_that_succeeds(
    client: KubeClient, namespace: str, pod: tuple[str, int]
) -> None:
    async with open_exec(client, namespace, pod[0], ["true"], tty=False, stdin=False) as session:
        assert [piece async for piece in session.output()] == []
    assert session.exit_code == 0
    assert session.message == ""


async def test_refusals(
    ground: Ground, client: KubeClient, namespace: str, pod: tuple[str, int]
) -> None:
    with pytest.raises(ApiError) as caught:
        async with open_exec(client, namespace, "none", ["true"]):
            pass
    assert caught.value.status == 404
    viewer = client_of(ground, "dev-viewer")
    with pytest.raises(ApiError, match="forbidden") as caught:
        async with open_exec(viewer, namespace, pod[0], ["true"]):
            pass
    assert caught.value.status == 403
    await viewer.aclose()
    careful = client_of(ground, read_only=True)
    with pytest.raises(RefusedError, match="read-only"):
        async with open_exec(careful, namespace, pod[0], ["true"]):
            pass
    with pytest.raises(RefusedError, match="read-only"):
        async with forward(careful, namespace, pod[0], 80):
            pass
    await careful.aclose()


async def test_a_port_is_carried(client: KubeClient, namespace: str, pod: tuple[str, int]) -> None:
    problems: list[str] = []
    async with forward(client, namespace, pod[0], pod[1], on_error=problems.append) as port:
        for word in (b"one", b"two" * 100_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(word)
            got = await asyncio.wait_for(reader.readexactly(len(word)), 20)
            assert got == word.upper()
            writer.close()
        with pytest.raises(UsageError, match="cannot be used"):
            async with forward(client, namespace, pod[0], pod[1], local_port=port):
                pass
    assert not problems
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_server_that_is_not_there(ground: Ground) -> None:
    import dataclasses

    info = load_kubeconfig({}, ground.kubeconfig).context("dev")
    url = f"https://127.0.0.1:{free_port()}"
    cluster = dataclasses.replace(info.cluster_info, server=url)
    info = dataclasses.replace(info, server=url, cluster_info=cluster)
    client = KubeClient(info, gate=Gate(read_only=False), env={})
    with pytest.raises(UnreachableError, match="nothing listens"):
        async with open_exec(client, "n", "p", ["true"]):
            pass
    await client.aclose()


@pytest.mark.parametrize("answer", [b"\x88\x02\x03\xe8HTTP/1.1 403 Forbidden\r\n\r\n", b""])
async def test_a_container_that_ends_under_the_call(tmp_path: Path, answer: bytes) -> None:
    """As kube-apiserver 1.36 answers then: it closes a WebSocket that is not open yet."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    path = tmp_path / "kubeconfig"
    path.write_text(
        f"{{clusters: [{{name: c, cluster: {{server: '{url}'}}}}], current-context: c,"
        " contexts: [{name: c, context: {cluster: c}}]}"
    )
    client = KubeClient(load_kubeconfig({}, path).context(), gate=Gate(False), env={})
    async with server:
        try:
            with pytest.raises(UnreachableError, match="closed before it was open") as error:
                async with open_exec(client, "default", "echo", ["true"]):
                    pass
        finally:
            await client.aclose()
    assert "may have ended" in error.value.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(ground: Ground, tmp_path: Path, status: int) -> None:
    """Neither to another host nor on the same one: nothing of ours reaches what it names."""
    came: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(65_536))
        writer.close()

    trap = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    port = trap.sockets[0].getsockname()[1]
    async with trap, FaultProxy(ground.dev.server, ca=ground.dev.ca) as proxy:
        for to in (f"ws://localhost:{port}/there", f"http://localhost:{port}/there", "/version"):
            proxy.clear()
            proxy.calls.clear()
            proxy.add(Fault(Answer(status, b"", (("Location", to),))))
            path = proxy.kubeconfig(tmp_path / "kubeconfig", token="s3cret")
            client = KubeClient(load_kubeconfig({}, path).context(), gate=Gate(False), env={})
            try:
                with pytest.raises(ApiError, match="redirects are not followed") as error:
                    async with open_exec(client, "default", "echo", ["true"]):
                        pass
            finally:
                await client.aclose()
            assert error.value.status == status
            assert [call.target.partition("?")[0] for call in proxy.calls] == [
                "/api/v1/namespaces/default/pods/echo/exec"
            ]
    assert came == []


def test_urls() -> None:
    url = socket_url("https://h:1/base/", "/api/v1/x", [("command", "a b&c"), ("command", "d")])
    assert url == "wss://h:1/base/api/v1/x?command=a%20b%26c&command=d"
    assert socket_url("http://h", "/x", []) == "ws://h/x"
