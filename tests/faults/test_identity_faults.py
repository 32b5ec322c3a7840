"""Exec plugins that fail, hang, ask, or whose token ends, under a reflector that is at work.

The plugin is a real process; what it does is in a file that the test changes while it follows.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mcp_tui.sources.base import HealthState
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes import execplugin
from mcp_tui.sources.kubernetes.contextinfo import ExecPlugin
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.cluster import Ground
from tests.faults.apiserver import encoded, refusal
from tests.faults.follow import QUICK, Maps, client_of, following, until
from tests.faults.proxy import Answer, Fault, FaultProxy

SCRIPT = """
import getpass, json, sys, time
folder, token = sys.argv[1:]
open(folder + "/runs", "a").write("x")
mode = json.load(open(folder + "/mode"))
if mode["how"] == "fail":
    sys.exit("\\x1b[31mthe session has ended\\x1b[0m")
if mode["how"] == "hang":
    print("Open https://login.test and enter WDJB-MJHT", file=sys.stderr)
    time.sleep(600)
if mode["how"] == "ask":
    getpass.getpass("One-time code: ")
if mode["how"] == "nonsense":
    print("<html>")
    sys.exit()
status = {"token": token}
if mode["until"]:
    status["expirationTimestamp"] = mode["until"]
version = "client.authentication.k8s.io/v1"
print(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
"""


class Plugin:
    """What the plugin does from now on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "login.py").write_text(SCRIPT)
        self.does("work")

    def does(self, how: str, *, lasts: float | None = None) -> None:
        """Change it; ``lasts`` is how long its tokens say that they are good for."""
        end = None if lasts is None else datetime.now(UTC) + timedelta(seconds=lasts)
        until_ = end.strftime("%Y-%m-%dT%H:%M:%SZ") if end is not None else ""
        (self.folder / "mode.new").write_text(json.dumps({"how": how, "until": until_}))
        (self.folder / "mode.new").replace(self.folder / "mode")

    @property
    def runs(self) -> int:
        """How often it was run."""
        runs = self.folder / "runs"
        return len(runs.read_text()) if runs.exists() else 0


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


@pytest.fixture
def client(proxy: FaultProxy, ground: Ground, tmp_path: Path, plugin: Plugin) -> KubeClient:
    context = client_of(proxy, ground, tmp_path, "admin").context
    token = ground.dev.tokens["admin"]
    run = ExecPlugin(sys.executable, (str(tmp_path / "login.py"), str(tmp_path), token))
    user = dataclasses.replace(context.user_info, token="", exec=run)
    changed = dataclasses.replace(context, user_info=user)
    return KubeClient(changed, gate=Gate(read_only=True), env=dict(os.environ))


@pytest.mark.parametrize(
    ("how", "state", "words"),
    [
        ("fail", HealthState.DENIED, "the session has ended"),
        (
            "hang",
            HealthState.RETRYING,
            'not ended after 1 s: "Open https://login.test and enter WDJB-MJHT"',
        ),
        ("ask", HealthState.DENIED, "One-time code:"),
        ("nonsense", HealthState.DENIED, "credential"),
    ],
)
async def test_one_that_is_no_help_is_said_and_asked_again(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    client: KubeClient,
    plugin: Plugin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: str,
    state: HealthState,
    words: str,
) -> None:
    """At the start, and again while its rows are on screen; it never gets our terminal."""
    for deadline in ("SILENT_DEADLINE", "SAID_DEADLINE"):
        monkeypatch.setattr(execplugin, deadline, 2.0)
    timing = dataclasses.replace(QUICK, connect_deadline=1.0, page_deadline=1.0)
    await maps.make("a")
    plugin.does(how)
    async with following(ground, proxy, namespace, tmp_path, client=client, timing=timing) as it:
        await until(lambda: words in it.health.message, 60, lambda: str(it.health))
        assert it.health.state is state
        assert it.health.message.isprintable()
        assert proxy.count() == 0, "a call left without credentials"
        plugin.does("work", lasts=14)
        await it.reaches(HealthState.LIVE, 60)
        await it.settled(60)
        plugin.does(how)
        given = client.credentials._plugin
        assert given is not None
        await until(lambda: not given.valid_at(time.time()), 60)
        await proxy.drop_all()
        await maps.make("b")
        await until(lambda: it.health.state is state and words in it.health.message, 60)
        assert "a" in it.mirror.state(), "old rows stay"
        plugin.does("work")
        await it.settled(60)
        await it.reaches(HealthState.LIVE, 60)
    shown = "".join(capfd.readouterr())
    assert words not in shown


@pytest.mark.parametrize("lasts", [None, 12.0, -3600.0, 3600.0 * 24 * 365 * 300])
async def test_a_token_is_good_until_it_is_refused_or_ends(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    client: KubeClient,
    plugin: Plugin,
    tmp_path: Path,
    lasts: float | None,
) -> None:
    """Also where a clock is an hour off, so that a new token seems to have ended already."""
    plugin.does("work", lasts=lasts)
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path, client=client) as it:
        await it.reaches(HealthState.LIVE)
        await it.settled()
        for turn in range(6):
            await maps.make(f"b{turn}")
            asked = proxy.count("watch=true")
            await proxy.drop_all()
            await until(lambda n=asked: proxy.count("watch=true") > n)  # type: ignore[misc]  # a default of its own
            await it.settled()
        assert plugin.runs <= 2, "the plugin is run for every call"
        before = plugin.runs
        refused = Answer(401, encoded(refusal(401, "Unauthorized")))
        bad = proxy.add(Fault(refused, path="watch=true", times=1))
        await proxy.drop_all()
        await until(lambda: bad.hits == 1)
        await maps.drop("a")
        await it.settled()
        assert plugin.runs == before + 1
        assert HealthState.DENIED not in it.states()
