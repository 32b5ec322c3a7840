"""Exec plugins: real processes on a pseudo-terminal of ours."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.errors import (
    McpTuiError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ContextInfo, ExecPlugin, UserInfo
from mcp_tui.sources.kubernetes.credentials import Credentials
from mcp_tui.sources.kubernetes.execplugin import Credential, run_plugin
from mcp_tui.sources.kubernetes.sockets import open_socket
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.cluster.certs import Authority

V1 = "client.authentication.k8s.io/v1"
CLUSTER = ClusterInfo("c", "https://c:6443", ca_data=b"ca", tls_server_name="kubernetes")
ENV = {"PATH": os.environ["PATH"]}

Write = Callable[..., ExecPlugin]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    def write(code: str, *args: str, **options: Any) -> ExecPlugin:
        path = tmp_path / "login.py"
        path.write_text(code)
        return ExecPlugin(sys.executable, (str(path), *args), **options)

    return write


def answer(**status: Any) -> str:
    return (
        f"print({json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status})!r})\n"
    )


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def run(plugin: ExecPlugin, **options: Any) -> Credential:
    return await run_plugin(plugin, CLUSTER, env=ENV, **options)


async def test_it_is_told_what_the_protocol_says(script: Write) -> None:
    plugin = script(
        "import json, os, sys\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = json.dumps([info, os.environ['EXTRA'], sys.argv[1]])\n"
        f"print(json.dumps({{'apiVersion': '{V1}', 'kind': 'ExecCredential',"
        " 'status': {'token': token, 'expirationTimestamp': '2030-01-01T00:00:00Z'}}))\n",
        "arg",
        env=(("EXTRA", "more"),),
        provide_cluster_info=True,
    )
    credential = await run(plugin)
    info, extra, arg = json.loads(credential.token)
    assert (extra, arg) == ("more", "arg")
    assert (info["apiVersion"], info["kind"]) == (V1, "ExecCredential")
    assert info["spec"] == {
        "interactive": False,
        "cluster": {
            "server": "https://c:6443",
            "certificate-authority-data": base64.b64encode(b"ca").decode(),
            "tls-server-name": "kubernetes",
        },
    }
    assert credential.expires_at == datetime(2030, 1, 1, tzinfo=UTC).timestamp()


async def test_it_has_a_session_and_a_terminal_of_its_own(script: Write) -> None:
    """Neither our session nor our terminal: it can read no key and paint nothing."""
    plugin = script(
        "import json, os, sys\n"
        "try: os.open('/dev/tty', os.O_RDWR); tty = 'ours'\n"
        "except OSError: tty = 'none'\n"
        "token = json.dumps([os.getsid(0) == os.getpid(), sys.stdin.isatty(),"
        " os.ttyname(2), tty])\n"
        f"print(json.dumps({{'apiVersion': '{V1}', 'kind': 'ExecCredential',"
        " 'status': {'token': token}}))\n"
    )
    leads, isatty, name, tty = json.loads((await run(plugin)).token)
    assert (leads, isatty, tty) == (True, True, "none")
    ours = [os.ttyname(fd) for fd in range(3) if os.isatty(fd)]
    assert name not in ours


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import getpass; getpass.getpass('Passcode: ', stream=__import__('sys').stderr)",
            "Passcode",
        ),
        ("import sys; sys.stderr.write('Username: '); sys.stderr.flush(); input()", "Username:"),
    ],
    ids=["without echo", "with echo"],
)
async def test_one_that_wants_input_fails_and_says_which(
    script: Write, code: str, words: str
) -> None:
    plugin = script(code)
    started = time.monotonic()
    with pytest.raises(RefusedError) as caught:
        await run(plugin, deadline=60, prompt_after=0.3)
    assert time.monotonic() - started < 30
    assert "wants input" in caught.value.line()
    assert words in caught.value.line()
    assert "login.py" in caught.value.line()


async def test_one_that_may_not_ask_gets_an_end_of_file(script: Write) -> None:
    plugin = script("input()", interactive_mode="Never")
    with pytest.raises(RefusedError, match=r"exit code 1.*EOFError"):
        await run(plugin)


async def test_a_failure_says_what_it_said_sanitised(script: Write) -> None:
    plugin = script(
        "import sys\n"
        "sys.stderr.write('one\\ntwo\\nthree\\n\\x1b[31msession \\x1b]0;x\\x07expired\\u202e\\n')\n"
        "sys.exit(3)\n",
        install_hint="get it from the \x1b[1mportal",
    )
    with pytest.raises(RefusedError) as caught:
        await run(plugin)
    line = caught.value.line()
    assert "exit code 3" in line
    assert "session expired" in line
    assert "get it from the portal" in line
    assert line.isprintable()


async def test_one_that_is_missing(tmp_path: Path) -> None:
    plugin = ExecPlugin("no-such-login", install_hint="brew it")
    with pytest.raises(UsageError, match=r"not installed; brew it"):
        await run(plugin)
    (tmp_path / "not-executable").write_text("x")
    with pytest.raises(UsageError, match="cannot be run"):
        await run(ExecPlugin(str(tmp_path / "not-executable")))


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
async def test_it_ends_with_all_it_started(script: Write, tmp_path: Path, how: str) -> None:
    pids = tmp_path / "pids"
    plugin = script(
        "import os, subprocess, sys, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '.new', {str(pids)!r})\n"
        "time.sleep(600)\n"
    )
    if how == "deadline":
        with pytest.raises(UnreachableError, match="did not end within 3 s"):
            await run(plugin, deadline=3)
    else:
        task = asyncio.create_task(run(plugin))
        while not pids.exists():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    found = [int(pid) for pid in pids.read_text().split()]
    end = time.monotonic() + 10
    while any(alive(pid) for pid in found):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_one_that_leaves_a_process_behind_does_not_hold_us(script: Write) -> None:
    plugin = script(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])\n"
        + answer(token="t")
    )
    started = time.monotonic()
    assert (await run(plugin)).token == "t"
    assert time.monotonic() - started < 15


async def test_one_for_whom_no_descriptor_is_left_leaves_none_behind(
    script: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    plugin = script(answer(token="t"))
    await run(plugin)
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "openpty", full)
        for _ in range(3):
            with pytest.raises(OSError, match="Too many open files"):
                await run(plugin)
    assert len(os.listdir("/proc/self/fd")) == before
    assert (await run(plugin)).token == "t"


_BAD = [
    ("print('hello')", "printed no JSON"),
    ("pass", "printed nothing"),
    ("print('[]')", "printed no ExecCredential"),
    (answer(), "neither a token nor"),
    (answer(token=7), "malformed"),
    (answer(clientCertificateData="x"), "without its key"),
    (answer(token="a", expirationTimestamp="soon"), "no time"),
    (answer(token="sec\u00e9ret"), "cannot be sent"),
    (answer(token="a").replace("/v1", "/v1beta1"), "another version"),
    ("print('x' * 2_000_000)", "prints too much"),
]


@pytest.mark.parametrize(("code", "words"), _BAD, ids=[row[1] for row in _BAD])
async def test_answers_that_are_none(script: Write, code: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        await run(script(code, interactive_mode="Never"))
    assert "secr" not in caught.value.line()


def context(plugin: ExecPlugin) -> ContextInfo:
    user = UserInfo("u", exec=plugin)
    return ContextInfo("here", "c", CLUSTER.server, "u", "default", CLUSTER, user)


def counting(tmp_path: Path, **status: Any) -> str:
    """A plugin that adds a line to a file each time it runs, and gives its number as the token."""
    count = tmp_path / "count"
    return (
        "import json\n"
        f"open({str(count)!r}, 'a').write('x')\n"
        f"n = len(open({str(count)!r}).read())\n"
        f"status = dict({status!r}, token=f'token-{{n}}')\n"
        f"print(json.dumps({{'apiVersion': '{V1}', 'kind': 'ExecCredential', 'status': status}}))\n"
    )


async def test_it_runs_once_until_it_is_refused(script: Write, tmp_path: Path) -> None:
    credentials = Credentials(context(script(counting(tmp_path))), env=ENV)
    headers = await asyncio.gather(*(credentials.headers() for _ in range(5)))
    assert {each["Authorization"] for each in headers} == {"Bearer token-1"}
    assert credentials.refreshable
    generation = credentials.generation
    for _ in range(5):  # five calls that were refused together
        credentials.forget(generation)
    headers = await asyncio.gather(*(credentials.headers() for _ in range(5)))
    assert {each["Authorization"] for each in headers} == {"Bearer token-2"}
    assert credentials.plugin_runs == 2


async def test_it_runs_again_when_its_token_expires(script: Write, tmp_path: Path) -> None:
    now = [datetime(2026, 11, 23, tzinfo=UTC)]
    code = counting(tmp_path, expirationTimestamp=(now[0] + timedelta(minutes=5)).isoformat())
    credentials = Credentials(context(script(code)), env=ENV, wall=lambda: now[0].timestamp())
    assert (await credentials.headers())["Authorization"] == "Bearer token-1"
    now[0] += timedelta(minutes=4)
    assert (await credentials.headers())["Authorization"] == "Bearer token-1"
    now[0] += timedelta(minutes=1)
    assert (await credentials.headers())["Authorization"] == "Bearer token-2"


async def test_it_does_not_run_unless_it_may(script: Write, tmp_path: Path) -> None:
    credentials = Credentials(context(script(counting(tmp_path))), env=ENV, allow_exec=False)
    with pytest.raises(RefusedError, match=r"wants to run `.*login.py`"):
        await credentials.headers()
    assert not (tmp_path / "count").exists()


async def test_a_callers_deadline_does_not_end_a_login(script: Write, tmp_path: Path) -> None:
    code = "import time; time.sleep(1)\n" + counting(tmp_path)
    credentials = Credentials(context(script(code)), env=ENV)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await credentials.headers()
    assert (await credentials.headers())["Authorization"] == "Bearer token-1"
    assert credentials.plugin_runs == 1
    await credentials.aclose()


async def test_closing_ends_a_login(script: Write) -> None:
    credentials = Credentials(context(script("import time; time.sleep(600)")), env=ENV)
    waiting = asyncio.create_task(credentials.headers())
    while credentials._running is None:
        await asyncio.sleep(0.01)
    await credentials.aclose()
    with pytest.raises((asyncio.CancelledError, McpTuiError)):
        await waiting


async def test_it_may_give_a_certificate(script: Write, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("me", common_name="me")
    code = answer(clientCertificateData=pair.cert.read_text(), clientKeyData=pair.key.read_text())
    info = context(script(code))
    cluster = ClusterInfo("c", CLUSTER.server, ca_data=authority.cert.read_bytes())
    info = ContextInfo("here", "c", info.server, "u", "default", cluster, info.user_info)
    credentials = Credentials(info, env=ENV)
    assert "Authorization" not in await credentials.headers()
    assert await credentials.tls() is not None
    version = credentials.tls_version()
    assert version == 1, "what it gave needs connections of its own"
    credentials.forget(credentials.generation)
    await credentials.headers()
    assert credentials.tls_version() == version, "the same certificate needs no new connections"


async def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    now = [1000.0]
    user = UserInfo("u", token_file=path)
    info = ContextInfo("here", "c", CLUSTER.server, "u", "default", CLUSTER, user)
    credentials = Credentials(info, wall=lambda: now[0])
    assert (await credentials.headers())["Authorization"] == "Bearer one"
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").rename(path)  # as a projected volume does it
    assert (await credentials.headers())["Authorization"] == "Bearer two"
    stamp = path.stat()
    path.write_text("six")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a clock too coarse to tell
    now[0] += 61
    assert (await credentials.headers())["Authorization"] == "Bearer six"
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        await credentials.headers()
    path.write_text("to\nken\x00")
    with pytest.raises(UsageError, match="cannot be sent"):
        await credentials.headers()


def test_what_is_shown_of_a_command_holds_no_secret_of_its_arguments() -> None:
    args = (
        "get-token",
        "--oidc-client-secret=S3CR3T",
        "--password",
        "S3CR3T",
        "--token-cache",
        "d",
    )
    args += ("--token", "-v", "--API-KEY=S3CR3T")
    assert ExecPlugin(command="kubelogin", args=args).command_line() == (
        "kubelogin get-token --oidc-client-secret=(not shown) --password (not shown) "
        "--token-cache d --token -v --API-KEY=(not shown)"
    )


async def test_who_was_told_where_to_log_in_has_longer(script: Write) -> None:
    """The next run would give another code."""
    plugin = script(
        "import sys, time\nprint('enter WDJB', file=sys.stderr)\ntime.sleep(3)\n"
        + answer(token="t")
    )
    heard: list[str] = []
    given = await run(plugin, deadline=1.5, said_deadline=60, hears=heard.append)
    assert given.token == "t"
    assert heard[-1] == ': "enter WDJB"'
    with pytest.raises(UnreachableError, match='did not end within 2 s: "enter WDJB"'):
        await run(plugin, deadline=1, said_deadline=2)
    with pytest.raises(UnreachableError, match='did not end within 2 s: "enter WDJB"'):
        await run(plugin, deadline=2, said_deadline=1)


LOGS_IN = """
import sys, time
print("Open https://login.test and enter WDJB-MJHT", file=sys.stderr)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["read", "write", "stream", "socket"])
async def test_a_login_that_a_call_waits_for_is_said_with_its_words(
    script: Write, how: str
) -> None:
    """It is not the network; and a call that has not left is not unknown."""
    client = client_of(script(LOGS_IN))
    with pytest.raises(UnreachableError, match="plugin has not ended after 1 s") as caught:
        match how:
            case "socket":
                async with open_socket(client, "/api/v1/nodes", (), ("p",), deadline=1.0):
                    pass
            case "stream":
                read = client.stream("/api/v1/nodes", connect_deadline=1.0, read_timeout=5.0)
                async with read:
                    pass
            case _:
                method = "GET" if how == "read" else "DELETE"
                await client.request(method, "/api/v1/nodes/a", deadline=1.0)
    assert '"Open https://login.test and enter WDJB-MJHT"' in caught.value.what
    assert "login.py" in caught.value.where
    assert "network" not in caught.value.hint
    assert client.credentials.plugin_runs == 1
    assert client.credentials.login.endswith('"Open https://login.test and enter WDJB-MJHT"')
    await client.aclose()
    assert not client.credentials.login


async def test_a_call_that_has_left_does_not_wait_for_a_login(script: Write) -> None:
    """Another call's login is no reason for its silence: what it did is not known."""

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = client_of(script(LOGS_IN), f"http://127.0.0.1:{port}")
    client.credentials._plugin = Credential(token="t", expires_at=time.time() + 11)
    writing = asyncio.create_task(client.request("DELETE", "/api/v1/nodes/a", deadline=3.0))
    await asyncio.sleep(1.5)
    with pytest.raises(UnreachableError, match="plugin has not ended"):
        await client.request("GET", "/api/v1/nodes/a", deadline=1.0)
    with pytest.raises(UnknownOutcomeError, match="no answer within 3 s"):
        await writing
    await client.aclose()
    server.close()


def client_of(plugin: ExecPlugin, server: str = "http://127.0.0.1:9") -> KubeClient:
    cluster = ClusterInfo("c", server)
    context = ContextInfo("here", "c", server, "u", "", cluster, UserInfo("u", exec=plugin))
    return KubeClient(context, gate=Gate(read_only=False), env=ENV)
