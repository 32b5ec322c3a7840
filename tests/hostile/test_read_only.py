"""Read-only, as it is seen on the wire: every key in every view, and every command.

What the proxies before the real servers may see is written here once more, by hand: the product's
own list is what is tested.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import pytest
import pytest_asyncio
from textual.pilot import Pilot

from mcp_tui.actions.models import Wanted
from mcp_tui.config import load
from mcp_tui.domain.plan import OutcomeStatus
from mcp_tui.domain.run import Metric
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.tui.app import Console
from mcp_tui.tui.commands import COMMANDS as WORDS
from mcp_tui.tui.keymap import KEYS, normalise
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.model import ConsoleOptions
from mcp_tui.tui.model_runs import RunsModel
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.screens.tabbed import Tabbed
from tests.cluster import Ground
from tests.faults.acting import Actor, acting, mlflow_client
from tests.faults.proxy import FaultProxy
from tests.hostile.commands import fake_git, train_config
from tests.hostile.reach import reach, shows
from tests.hostile.running import let_run
from tests.hostile.screen import REPO
from tests.hostile.world import World
from tests.joined.commands import COMMANDS
from tests.joined.panes import PANES, Pane
from tests.soak import times
from tests.tui.harness import until

_ASKS = re.compile(
    r"/apis/authorization\.k8s\.io/v1/selfsubject(?:access|rules)reviews"
    r"|/apis/authentication\.k8s\.io/v1(?:beta1|alpha1)?/selfsubjectreviews"
    r"|/api/2\.0/mlflow/(?:runs|experiments)/search"
)
_OPENS = {"exec", "attach", "portforward", "proxy"}


def reads(method: str, target: str) -> bool:
    """Whether a call only reads."""
    path = target.partition("?")[0]
    if method == "GET":
        return not _OPENS & set(path.split("/"))
    return method == "POST" and _ASKS.fullmatch(path) is not None


@dataclass
class Watched:
    """Servers of which every call is known, and a configuration that allows reading alone."""

    actor: Actor
    prometheus: FaultProxy
    env: dict[str, str]
    folder: Path
    model: str = ""
    run: str = ""
    deleted: str = ""

    def given(self, argv: list[str]) -> list[str]:
        """A command about the runs that are there: none is refused for want of one."""
        run = self.deleted if argv[:2] == ["run", "restore"] else self.run
        known = {"0" * 32: run, "1" * 32: self.run, "dev/00000000": f"dev/{run}"}
        return [known.get(word, word) for word in argv]

    def check(self, during: str) -> None:
        """Nothing but reads was sent."""
        for proxy in (self.actor.kube, self.actor.mlflow, self.prometheus):
            for call in proxy.calls:
                assert reads(call.method, call.target), f"{during}: {call.method} {call.target}"


@pytest_asyncio.fixture
async def watched(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Watched]:
    async with (
        acting(ground, namespace, tmp_path) as actor,
        FaultProxy(str(ground.prometheus)) as prometheus,
    ):
        run, deleted = await _run(ground), await _run(ground, deleted=True)
        labels = {"mcp-tui.io/run-id": run}
        await actor.make("running", labels=labels)
        await let_run(actor, "running")
        await actor.make("held", suspend=True)
        await actor.make("failed", labels=labels)
        await actor.finish("failed", "Failed")
        settings = tmp_path / "config.toml"
        settings.write_text(
            f'read_only = true\n[contexts.dev]\ntier = "dev"\nmlflow = "{actor.mlflow.url}"\n'
            f'prometheus = "{prometheus.url}"\nnamespace = "{namespace}"\n'
        )
        env = {
            **os.environ,
            "KUBECONFIG": str(tmp_path / "admin.kubeconfig"),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": str(REPO),
        }
        model = f"ranker-{namespace}"
        assert actor.engine.mlflow_client is not None
        await actor.engine.mlflow_client.ensure_model(model)
        root = (await actor.engine.mlflow_client.get_run(run)).info.artifact_uri
        for number in "123":
            # Its files are served: what cannot be looked at is not approved.
            await actor.engine.mlflow_client.create_version(
                model, f"{root}/model", plan_id=number, run_id=run
            )
        for number in "13":
            # By the record the first was there before the third: one can go back to it.
            plan = await actor.engine.plan_promotion(model, Wanted(version=number), now=time.time())
            assert [o.status for o in await actor.apply(plan)] == [OutcomeStatus.PROVEN]
        # What was made above went past the proxies, but for looking at it and for the model.
        for proxy in (actor.kube, actor.mlflow):
            proxy.calls.clear()
        yield Watched(actor, prometheus, env, tmp_path, model, run, deleted)


async def _run(ground: Ground, *, deleted: bool = False) -> str:
    """A run that leads the list of a server that others use too, with something in each view."""
    client = mlflow_client(str(ground.mlflow))
    try:
        experiment = await client.create_experiment(f"looked-at-{secrets.token_hex(4)}")
        ahead = int((time.time() + 86_400) * 1000)
        made = await client.create_run(experiment, run_name="r", tags={}, start_time_ms=ahead)
        loss = Metric(key="loss", value=0.5, timestamp=ahead, step=1)
        await client.log_batch(made.run_id, metrics=[loss], params={"lr": "0.1"})
        await client.set_tag(made.run_id, "old", "x")
        if deleted:
            await client.edit_run(RunEdit(kind=EditKind.DELETE, run_id=made.run_id))
            return made.run_id
    finally:
        await client.aclose()
    files = {"report.json": b'{"f1": 0.9}', "model/MLmodel": b"flavors: {}"}
    async with httpx.AsyncClient(base_url=str(ground.mlflow), trust_env=False) as http:
        for name, content in files.items():
            at = f"{experiment}/{made.run_id}/artifacts/{name}"
            url = f"/api/2.0/mlflow-artifacts/artifacts/{at}"
            (await http.put(url, content=content)).raise_for_status()
    return made.run_id


async def _home(app: Console, pilot: Pilot[int], pane: Pane, namespace: str) -> None:
    """Back to a view with as little as is needed, from wherever a key has led."""
    depth = 1 if pane.screen in ("JobsScreen", "ModelsScreen", "RunsScreen") else 2
    while len(app.screen_stack) > depth:
        app.pop_screen()
        await pilot.pause()
    screen = app.screen
    if isinstance(screen, FrameScreen) and screen.prompt.asking and not shows(app, pane):
        screen.stop_asking()
    same = type(screen).__name__ == pane.screen and bool(pane.tab)
    if same and isinstance(screen, Tabbed) and screen.tab != pane.tab:
        screen.show(pane.tab)
    await pilot.pause()
    if shows(app, pane):
        return
    app.show_pane("jobs")
    await pilot.pause()
    root = app.screen
    assert isinstance(root, FrameScreen)
    if root.prompt.asking:
        root.stop_asking()
    runs = cast("RunsModel", app.backend.pane("runs"))
    runs.ask("")
    runs.leave()
    for name in ("runs", "models"):
        app.backend.pane(name).set_filter("")
        app.backend.pane(name).set_sort("", False)
        app.backend.pane(name).set_faults(False)
    model = app.backend.pane("jobs")
    model.set_filter("")
    model.set_faults(False)
    if app.backend.state().namespace != namespace:
        await app.backend.switch_namespace(namespace)
    await until(pilot, lambda: model.count == 3)
    await reach(app, pilot, pane)


@pytest.mark.soak(minutes=15)
async def test_no_key_in_any_view_sends_a_write(watched: Watched, namespace: str) -> None:
    config = load(env=watched.env)

    def backend() -> LiveBackend:
        return LiveBackend(config, lambda: load_kubeconfig(watched.env), ("dev",), "", watched.env)

    options = ConsoleOptions(contexts=("dev",), ascii=False, save_dir=str(watched.folder))
    app = Console(backend, options)
    names = [name for key in KEYS for name in normalise(key.keys)]
    names += ["ctrl+o", "ctrl+r", "ctrl+t", "y"]
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.ready and app.backend.pane("jobs").count == 3)
        assert app.backend.state().read_only
        for pane in (pane for pane in PANES if not pane.writes):
            random.Random(pane.id).shuffle(names)
            for name in names if times(0, 1) else _some(names, pane):
                if pane.asks == "leave" and name in ("enter", "y"):
                    continue  # That is to leave.
                await _home(app, pilot, pane, namespace)
                app._interrupted_at = -10.0
                await pilot.press(name)
                watched.check(f"{name} in {pane.id}")
        jobs = PANES[0]
        for word in (word for command in WORDS for word in (command.name, *command.aliases)):
            if word in ("q", "quit", "exit"):
                continue
            for argument in ("", " memory=1Gi", " 0:80"):
                await _home(app, pilot, jobs, namespace)
                app.command_line.run(word + argument)
                await pilot.pause()
                watched.check(f":{word}{argument}")
    watched.check("leaving")
    assert watched.actor.kube.count("/jobs") and watched.actor.mlflow.calls
    assert watched.prometheus.calls


def _some(names: list[str], pane: Pane) -> list[str]:
    """Every key that acts; of the others another part in each view."""
    acts = {name for key in KEYS if key.kind == "act" for name in normalise(key.keys)}
    acts |= {"ctrl+o", "ctrl+r", "enter", "r", "0", "o"}
    others = [name for name in names if name not in acts]
    return sorted(acts) + others[:2]


@pytest.mark.soak
async def test_no_command_sends_a_write(watched: Watched, namespace: str) -> None:
    names = {
        "job": "running",
        "failed": "failed",
        "held": "held",
        "context": "dev",
        "model": watched.model,
        "config": str(train_config(watched.folder)),
    }
    with World(["main"]) as world:
        git = fake_git(watched.folder, world, fails=False)
    env = watched.env | {"PATH": f"{git}:{os.environ['PATH']}"}
    tried = 0
    for command in COMMANDS:
        if command.terminal:
            continue
        argv = watched.given(command.argv(names))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcp_tui", "--read-only", "--context", "dev", *argv),
            env=env,
            cwd=watched.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(60):
                _, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        watched.check(command.words)
        assert b"Traceback" not in err
        if command.writes:
            tried += 1
            assert process.returncode not in (0, 70), (command.words, err)
            # It came as far as the write: nothing else was in its way.
            assert b"read-only" in err, (command.words, err)
    assert tried >= 8
    left = await watched.actor.api("GET", watched.actor.path())
    assert len(left["items"]) == 3
