"""Connections and the certificates they are opened with: renewed ones are used, old ones closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_tui.errors import ApiError, McpTuiError, UsageError
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ContextInfo, ExecPlugin, UserInfo
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.cluster.certs import Authority, Pair

SLOW = "/api/v1/pods"
# Gives one certificate after the other; the file of the count is its own.
LOGIN = """
import json, os, sys
count, until, pairs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
n = int(open(count).read()) if os.path.exists(count) else 0
open(count, "w").write(str(n + 1))
cert, key = pairs[n % len(pairs)]
status = {"clientCertificateData": open(cert).read(), "clientKeyData": open(key).read()}
if n == 0 and until:
    status["expirationTimestamp"] = until
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
    "status": status}))
"""


class Server:
    """Says who asks, by certificate; keeps its connections open.

    Attributes:
        refused: Whom it answers 401; None for everybody.
        open: Connections.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ca")
        self.me = [self.authority.issue(f"me{n}", common_name=f"me{n}") for n in (1, 2)]
        self.refused: tuple[str, ...] = ()
        self.open = 0
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()

    async def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own = self.authority.issue("server", common_name="localhost", server=True)
        context.load_cert_chain(own.cert, own.key)
        context.load_verify_locations(self.authority.cert)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                name = dict(pair[0] for pair in writer.get_extra_info("peercert")["subject"])
                who = name["commonName"]
                code = 401 if who in self.refused else 200
                body = json.dumps({"kind": "Status", "code": code, "who": who}).encode()
                size = f"content-type: application/json\r\ncontent-length: {len(body)}"
                writer.write(f"HTTP/1.1 {code} X\r\n{size}\r\n\r\n".encode())
                if SLOW.encode() in head:
                    self.held.set()
                    await self.go_on.wait()
                writer.write(body)
                await writer.drain()
        self.open -= 1
        writer.close()

    def client(self, user: UserInfo) -> KubeClient:
        cluster = ClusterInfo(
            "c",
            f"https://127.0.0.1:{self.port}",
            ca_data=self.authority.cert.read_bytes(),
            tls_server_name="localhost",
        )
        info = ContextInfo("here", "c", cluster.server, "u", "", cluster, user)
        return KubeClient(info, gate=Gate(read_only=True), env={"PATH": os.environ["PATH"]})


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    it = Server(tmp_path)
    await it.start()
    yield it
    await it.stop()


def plugin(folder: Path, pairs: list[Pair], lasts: float | None = None) -> UserInfo:
    (folder / "login.py").write_text(LOGIN)
    given = json.dumps([(str(pair.cert), str(pair.key)) for pair in pairs])
    until = "" if lasts is None else (datetime.now(UTC) + timedelta(seconds=lasts)).isoformat()
    arguments = (str(folder / "login.py"), str(folder / "count"), until, given)
    return UserInfo("u", exec=ExecPlugin(sys.executable, arguments))


def files(folder: Path, pair: Pair) -> UserInfo:
    shutil.copy(pair.cert, folder / "cert.pem")
    shutil.copy(pair.key, folder / "key.pem")
    return UserInfo("u", cert_file=folder / "cert.pem", key_file=folder / "key.pem")


async def who(client: KubeClient) -> str:
    name: str = json.loads((await client.request("GET", "/version")).body)["who"]
    return name


async def reaches(server: Server, connections: int) -> None:
    async with asyncio.timeout(10):
        while server.open != connections:
            await asyncio.sleep(0.01)


async def test_a_certificate_that_a_plugin_renews_is_used(server: Server, tmp_path: Path) -> None:
    client = server.client(plugin(tmp_path, server.me, lasts=3600))
    assert await who(client) == "me1"
    client.credentials._wall = lambda: (datetime.now(UTC) + timedelta(hours=2)).timestamp()
    assert await who(client) == "me2"
    assert client.credentials.plugin_runs == 2
    await reaches(server, 1)
    await client.aclose()


async def test_a_certificate_that_is_refused_is_replaced_within_the_call(
    server: Server, tmp_path: Path
) -> None:
    client = server.client(plugin(tmp_path, server.me))
    server.refused = ("me1",)
    assert await who(client) == "me2"
    await client.aclose()


@pytest.mark.parametrize("certificates", [1, 2], ids=["the same", "another each time"])
async def test_a_lasting_refusal_piles_no_connections_up(
    server: Server, tmp_path: Path, certificates: int
) -> None:
    client = server.client(plugin(tmp_path, server.me[:certificates]))
    server.refused = ("me1", "me2")
    for _ in range(3):
        with pytest.raises(ApiError):
            await who(client)
    assert client.credentials.plugin_runs >= 6
    assert not client._pool._old
    await reaches(server, 1)
    await client.aclose()
    await reaches(server, 0)


async def test_what_is_in_flight_comes_to_its_end(server: Server, tmp_path: Path) -> None:
    client = server.client(files(tmp_path, server.me[0]))
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(client.request("GET", SLOW))
        await server.held.wait()
        files(tmp_path, server.me[1])
        assert await who(client) == "me2"
        assert server.open == 2 and len(client._pool._old) == 1
        server.go_on.set()
    assert json.loads(slow.result().body)["who"] == "me1"
    assert not client._pool._old
    await reaches(server, 1)
    await client.aclose()


async def test_one_that_is_given_up_counts_no_longer(server: Server, tmp_path: Path) -> None:
    client = server.client(files(tmp_path, server.me[0]))
    slow = asyncio.create_task(client.request("GET", SLOW))
    await server.held.wait()
    files(tmp_path, server.me[1])
    assert await who(client) == "me2"
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert not client._pool._old
    server.go_on.set()
    await reaches(server, 1)
    await client.aclose()


async def test_certificate_files_are_read_again_when_they_change(
    server: Server, tmp_path: Path
) -> None:
    client = server.client(files(tmp_path, server.me[0]))
    assert client.credentials.refreshable
    assert await who(client) == "me1"
    server.refused = ("me1",)
    with pytest.raises(ApiError):
        await who(client)
    files(tmp_path, server.me[1])
    await client._pool.client()
    await reaches(server, 0)  # what will be asked next may take long
    assert await who(client) == "me2"
    await client.aclose()


async def test_a_pair_that_is_half_renewed_does_not_stop_what_is_open(
    server: Server, tmp_path: Path
) -> None:
    client = server.client(files(tmp_path, server.me[0]))
    assert await who(client) == "me1"
    shutil.copy(server.me[1].cert, tmp_path / "cert.pem")
    assert await who(client) == "me1"
    shutil.copy(server.me[1].key, tmp_path / "key.pem")
    assert await who(client) == "me2"
    await client.aclose()
    shutil.copy(server.me[0].key, tmp_path / "key.pem")
    fresh = server.client(
        UserInfo("u", cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
    )
    with pytest.raises(UsageError, match="do not belong together"):
        await who(fresh)
    await fresh.aclose()


async def test_an_authority_that_is_renewed_is_read_again(server: Server, tmp_path: Path) -> None:
    user = UserInfo(
        "u", cert_data=server.me[0].cert.read_bytes(), key_data=server.me[0].key.read_bytes()
    )
    known = tmp_path / "known.pem"
    shutil.copy(Authority(tmp_path / "other").cert, known)
    cluster = ClusterInfo(
        "c", f"https://127.0.0.1:{server.port}", ca_file=known, tls_server_name="localhost"
    )
    info = ContextInfo("here", "c", cluster.server, "u", "", cluster, user)
    client = KubeClient(info, gate=Gate(read_only=True), env={})
    assert not client.credentials.refreshable, "who we are does not change with it"
    with pytest.raises(McpTuiError, match="certificate"):
        await who(client)
    shutil.copy(server.authority.cert, known)
    assert await who(client) == "me1"
    await client.aclose()
