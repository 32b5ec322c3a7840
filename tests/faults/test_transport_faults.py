"""The Kubernetes client on real traffic that the fault proxy spoils."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.errors import ApiError, ExitCode, UnknownOutcomeError, UnreachableError, UsageError
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.contextinfo import ExecPlugin
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.resources import JOBS
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.cluster import Ground
from tests.cluster.certs import Authority
from tests.faults.follow import client_of, proxied
from tests.faults.proxy import Answer, Cut, Drip, Fault, FaultProxy, Hold, Lost, Stall
from tests.faults.test_reflector_faults import job, status


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with proxied(ground) as it:
        yield it


@pytest_asyncio.fixture
async def client(proxy: FaultProxy, ground: Ground, tmp_path: Path) -> AsyncIterator[KubeClient]:
    it = client_of(proxy, ground, tmp_path, "admin")
    it.gate = Gate(read_only=False)
    yield it
    await it.aclose()


async def there(ground: Ground, namespace: str, name: str) -> bool:
    path = JOBS.path(namespace, name)
    return (await asyncio.to_thread(ground.api, "GET", path)).status == 200


async def test_a_write_whose_answer_is_lost_is_not_repeated(
    ground: Ground, namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    lost = proxy.add(Fault(Lost(), method="POST"))
    with pytest.raises(UnknownOutcomeError, match="may or may not have been done") as caught:
        await client.send("POST", JOBS.path(namespace), job("one"), Job)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert lost.hits == 1
    assert await there(ground, namespace, "one")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (Cut(), "connection broke"),
        (Stall(), "no answer within 0.5 s"),
        (Cut(after_bytes=20), "connection broke"),
        (Answer(504, b"<html><title>Gateway</title>"), "may or may not"),
        (Answer(502, b""), "may or may not"),
    ],
    ids=["cut", "stalled", "cut in the answer", "504", "502"],
)
async def test_a_write_without_an_answer_is_of_unknown_outcome(
    namespace: str, client: KubeClient, proxy: FaultProxy, act: Any, words: str
) -> None:
    fault = proxy.add(Fault(act, method="POST"))
    with pytest.raises(UnknownOutcomeError, match=words):
        await client.send("POST", JOBS.path(namespace), job("one"), Job, deadline=0.5)
    assert fault.hits == 1


async def test_a_write_that_never_left_is_no_mystery(
    ground: Ground, namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    await proxy.refuse()
    with pytest.raises(UnreachableError, match="nothing listens at 127") as caught:
        await client.send("POST", JOBS.path(namespace), job("one"), Job)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert not await there(ground, namespace, "one")


async def test_a_dry_run_or_a_question_without_an_answer_is_no_mystery(
    namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    proxy.add(Fault(Cut(), method="POST"))
    for call in (
        client.send("POST", JOBS.path(namespace), job("x"), Job, params={"dryRun": "All"}),
        client.whoami(),
    ):
        with pytest.raises(UnreachableError) as caught:
            await call
        assert not isinstance(caught.value, UnknownOutcomeError)


async def test_a_kept_connection_that_was_closed_is_replaced(
    namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    path = JOBS.path(namespace)
    await client.get(path, ObjectList[Job])
    await proxy.drop_all()
    await client.get(path, ObjectList[Job])
    await client.send("POST", path, job("one"), Job)
    cut = proxy.add(Fault(Cut(), times=1))
    await client.get(path, ObjectList[Job])
    assert cut.hits == 1


async def test_a_read_is_not_repeated_for_ever(
    namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    cut = proxy.add(Fault(Cut()))
    with pytest.raises(UnreachableError, match="connection broke"):
        await client.get(JOBS.path(namespace), ObjectList[Job])
    assert cut.hits <= 2


@pytest.mark.parametrize("act", [Stall(), Drip(10), Hold()], ids=["stalled", "drips", "held"])
async def test_the_deadline_is_for_everything(
    namespace: str, client: KubeClient, proxy: FaultProxy, act: Any
) -> None:
    fault = proxy.add(Fault(act))
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"no answer within 0.6 s"):
        await client.get(JOBS.path(namespace), ObjectList[Job], deadline=0.6)
    assert time.monotonic() - started < 10
    assert fault.hits == 1
    proxy.clear()
    await client.get(JOBS.path(namespace), ObjectList[Job])


async def test_a_call_can_be_cancelled(
    namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    hold = Hold()
    proxy.add(Fault(hold))
    task = asyncio.create_task(client.get(JOBS.path(namespace), ObjectList[Job], deadline=60))
    await asyncio.wait_for(hold.reached.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def counting(tmp_path: Path, *tokens: str) -> ExecPlugin:
    """A plugin that gives one token after the other."""
    script = tmp_path / "login.py"
    count = tmp_path / "count"
    script.write_text(
        "import json, sys\n"
        f"open({str(count)!r}, 'a').write('x')\n"
        f"n = len(open({str(count)!r}).read())\n"
        "token = (sys.argv[1:] + [sys.argv[-1]] * n)[n - 1]\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1',"
        " 'kind': 'ExecCredential', 'status': {'token': token}}))\n"
    )
    return ExecPlugin(sys.executable, (str(script), *tokens))


def with_plugin(client: KubeClient, plugin: ExecPlugin) -> KubeClient:
    user = dataclasses.replace(client.context.user_info, token="", exec=plugin)
    context = dataclasses.replace(client.context, user_info=user)
    return KubeClient(context, gate=Gate(read_only=False), env=dict(os.environ))


async def test_401_runs_the_plugin_again_once(
    ground: Ground, namespace: str, client: KubeClient, proxy: FaultProxy, tmp_path: Path
) -> None:
    """The server itself refuses the first token; reads and writes go on with the second."""
    it = with_plugin(client, counting(tmp_path, "stale-token", ground.dev.tokens["admin"]))
    made, *_ = await asyncio.gather(
        it.send("POST", JOBS.path(namespace), job("one"), Job),
        *(it.request("GET", JOBS.path(namespace)) for _ in range(4)),
    )
    assert isinstance(made, Job)
    assert made.metadata.name == "one"
    assert it.credentials.plugin_runs == 2
    await it.aclose()


async def test_401_again_is_said_and_not_asked_in_a_loop(
    namespace: str, client: KubeClient, proxy: FaultProxy, tmp_path: Path
) -> None:
    it = with_plugin(client, counting(tmp_path, "stale-1", "stale-2"))
    with pytest.raises(ApiError) as caught:
        await it.get(JOBS.path(namespace), ObjectList[Job])
    assert caught.value.status == 401
    assert "log in again" in caught.value.line()
    assert "stale" not in caught.value.line()
    assert it.credentials.plugin_runs == 2
    assert proxy.count() == 2
    await it.aclose()


async def test_a_static_token_is_not_tried_twice(
    namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    proxy.add(Fault(Answer(401, status(401, "Unauthorized"))))
    with pytest.raises(ApiError):
        await client.get(JOBS.path(namespace), ObjectList[Job])
    assert proxy.count() == 1


async def test_the_deadline_is_for_the_plugin_too(
    namespace: str, client: KubeClient, tmp_path: Path
) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time; time.sleep(600)")
    it = with_plugin(client, ExecPlugin(sys.executable, (str(script),)))
    with pytest.raises(UnreachableError, match=r"not ended after 0.5 s; run it in a terminal"):
        await it.get(JOBS.path(namespace), ObjectList[Job], deadline=0.5)
    await it.aclose()


_PAGES: list[tuple[Answer, type[Exception], str]] = [
    (
        Answer(200, b"<title>Log \x1b[31min</title>", (("Content-Type", "text/html"),)),
        UnreachableError,
        'a web page: "Log in"',
    ),
    (Answer(200, b""), UnreachableError, "not the API's JSON"),
    (Answer(200, b'{"kind":"JobList","items":['), UnreachableError, "not valid JSON"),
    (
        Answer(200, b"\xff\xfe", (("Content-Type", "application/octet-stream"),)),
        UnreachableError,
        "application/octet-stream",
    ),
    (
        Answer(302, b"", (("Location", "https://u:p@sso.example/?token=abc"),)),
        ApiError,
        "a redirect to sso.example",
    ),
    (Answer(403, status(403, "Forbidden", "no \x1b]52;c;x\x07way")), ApiError, "no way"),
    (
        Answer(503, b"upstream connect error", (("Content-Type", "text/plain"),)),
        ApiError,
        "upstream connect error",
    ),
    (Answer(500, b""), ApiError, "status 500"),
    (Answer(429, status(429), (("Retry-After", "7"),)), ApiError, "on purpose"),
    (Answer(422, b"[" * 100_000), ApiError, "status 422"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), _PAGES, ids=[row[2] for row in _PAGES])
async def test_odd_answers_in_plain_words(
    namespace: str,
    client: KubeClient,
    proxy: FaultProxy,
    answer: Answer,
    kind: type[Exception],
    words: str,
) -> None:
    proxy.add(Fault(answer))
    path = JOBS.path(namespace)
    with pytest.raises(kind) as caught:
        await client.get(path, ObjectList[Job])
    line = str(caught.value)
    assert words in line
    assert f"GET {path} at faulty" in line
    assert line.isprintable()
    assert "token=abc" not in line
    if isinstance(caught.value, ApiError):
        assert caught.value.status == answer.status
        assert caught.value.retry_after == (7.0 if answer.status == 429 else None)


async def test_an_endless_answer_is_given_up(
    namespace: str, client: KubeClient, proxy: FaultProxy
) -> None:
    proxy.add(Fault(Answer(200, b" " * 3_000_000)))
    with pytest.raises(UnreachableError, match="larger than 1 MiB"):
        await client.request("GET", JOBS.path(namespace), max_bytes=2**20)


async def test_a_certificate_that_is_not_trusted(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "tls").mkdir()
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca, tls=tmp_path / "tls") as proxy:
        config = proxy.kubeconfig(tmp_path / "config", token=ground.dev.tokens["viewer"])
        good = load_kubeconfig({}, config).context()

        async def ask(context: Any = good, **cluster: Any) -> str:
            info = dataclasses.replace(context.cluster_info, **cluster)
            changed = dataclasses.replace(context, cluster_info=info, server=info.server)
            it = KubeClient(changed, gate=Gate(read_only=True), env={})
            try:
                await it.whoami()
            except UnreachableError as error:
                return error.line()
            finally:
                await it.aclose()
            return "fine"

        assert await ask() == "fine"
        assert await ask(tls_server_name="kubernetes") == "fine"
        assert await ask(ca_file=None, insecure=True) == "fine"
        assert "from an unknown authority" in await ask(ca_file=ground.dev.ca)
        assert "for another host name" in await ask(tls_server_name="else.example")
        assert "does not speak TLS" in await plain_port(ask)
        expired = tmp_path / "expired"
        expired.mkdir()
        proxy.authority, before = expired_authority(proxy, expired), proxy.authority
        await proxy.refuse()
        await proxy.accept()
        assert "has expired" in await ask()
        proxy.authority = before
        await proxy.refuse()
        await proxy.accept()
        assert await ask() == "fine"


async def plain_port(ask: Any) -> str:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return str(await ask(server=f"https://127.0.0.1:{port}"))


class Dated(Authority):
    """An authority that is trusted already; what it issues from here on ends when it is told to.

    Args:
        of: The one whose key, name and certificate it has.
        folder: Where what it issues goes.
        lasts: Seconds from now to the end; less than nothing for what has ended.
    """

    def __init__(self, of: Authority, folder: Path, lasts: float) -> None:
        self.directory, self.cert, self._key, self._name = folder, of.cert, of._key, of._name
        self._lasts = datetime.timedelta(seconds=lasts)

    def _builder(self, subject: Any, key: Any) -> Any:
        builder = super()._builder(subject, key)
        end = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + self._lasts
        builder._not_valid_before = end - datetime.timedelta(days=2)
        builder._not_valid_after = end
        return builder


def expired_authority(proxy: FaultProxy, folder: Path) -> Dated:
    """The proxy's own, whose server certificates ended yesterday."""
    assert proxy.authority is not None
    return Dated(proxy.authority, folder, -86_400)


async def test_a_client_certificate_is_asked_for(ground: Ground, tmp_path: Path) -> None:
    """A server that wants a certificate which we do not have ends the handshake."""
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("server", common_name="server", server=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.cert, pair.key)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(authority.cert)

    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0, ssl=tls)
    async with server:
        config = load_kubeconfig({}, ground.kubeconfig).context("dev-viewer")
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        cluster = dataclasses.replace(
            config.cluster_info, server=url, ca_file=authority.cert, ca_data=None
        )
        context = dataclasses.replace(config, server=url, cluster_info=cluster)
        client = KubeClient(context, gate=Gate(read_only=True), env={})
        with pytest.raises(UnreachableError, match=r"client certificate|connection broke"):
            await client.whoami()
        await client.aclose()


async def test_a_proxy_leads_to_the_server(ground: Ground, tmp_path: Path) -> None:
    """proxy-url: TLS to the API server goes through a CONNECT tunnel."""
    tunnels: list[str] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        tunnels.append(head.split()[1])
        host, _, port = tunnels[-1].rpartition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while piece := await source.read(65_536):
                sink.write(piece)
            sink.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        context = load_kubeconfig({}, ground.kubeconfig).context("dev-viewer")
        cluster = dataclasses.replace(context.cluster_info, proxy_url=url)
        changed = dataclasses.replace(context, cluster_info=cluster)
        client = KubeClient(changed, gate=Gate(read_only=True), env={})
        assert (await client.whoami()).username == "viewer"
        assert tunnels == [ground.dev.server.removeprefix("https://")]
        await client.aclose()
        cluster = dataclasses.replace(context.cluster_info, proxy_url="gopher://x")
        changed = dataclasses.replace(context, cluster_info=cluster)
        client = KubeClient(changed, gate=Gate(read_only=True), env={})
        with pytest.raises(UsageError, match="proxy"):
            await client.whoami()
        await client.aclose()


async def test_tokens_are_in_no_error(ground: Ground, namespace: str, client: KubeClient) -> None:
    token = ground.dev.tokens["admin"]
    assert token not in repr(client) + repr(client.context) + repr(client.credentials)
    with pytest.raises(ApiError) as caught:
        await client.get(JOBS.path(namespace, "none"), Job)
    assert token not in json.dumps([str(caught.value), repr(caught.value)])
