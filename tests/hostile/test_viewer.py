"""As the viewer of the real cluster: nothing is done, and what may not be is said beforehand."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
import yaml

from tests.cluster import Ground
from tests.faults.acting import Actor, acting
from tests.hostile.commands import fake_git, train_config
from tests.hostile.running import let_run
from tests.hostile.screen import REPO, Console
from tests.hostile.world import World
from tests.joined.commands import COMMANDS, Command
from tests.joined.panes import PANES, Pane


async def _run(command: Command, argv: list[str], env: Mapping[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcp_tui", "--context", "dev", *argv),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


async def _left(actor: Actor) -> list[tuple[str, object]]:
    found = await actor.api("GET", actor.path())
    return sorted((o["metadata"]["uid"], o["spec"].get("suspend")) for o in found["items"])


@dataclass
class Viewer:
    """The cluster as a viewer sees it: a job that runs, one that failed, one that is held."""

    actor: Actor
    env: dict[str, str]
    names: dict[str, str]
    folder: Path
    left: list[tuple[str, object]]

    async def check(self) -> None:
        """Nothing was changed, nor was it tried."""
        assert await _left(self.actor) == self.left
        # Dry runs are no writes, but they too are not even asked for once a right is missing.
        assert self.actor.writes() == []


@pytest_asyncio.fixture
async def viewer(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Viewer]:
    async with acting(ground, namespace, tmp_path, identity="viewer") as actor:
        await actor.make("running")
        await actor.make("held", suspend=True)
        await actor.make("failed")
        await actor.finish("failed", "Failed")
        await let_run(actor, "running")
        mlflow = actor.engine.mlflow_client
        assert mlflow is not None
        model = f"ranker-{namespace}"
        await mlflow.ensure_model(model)
        for number in "12":
            await mlflow.create_version(model, f"s3://x/{number}", plan_id="p")
        actor.mlflow.calls.clear()
        settings = tmp_path / "config.toml"
        # Production, where a shell is a plan too.
        settings.write_text(
            f'[contexts.dev]\ntier = "prod"\nnamespace = "{namespace}"\n'
            f'mlflow = "{actor.mlflow.url}"\n'
        )
        with World(["main"]) as world:
            git = fake_git(tmp_path, world, fails=False)
        env = {
            **os.environ,
            "PATH": f"{git}:{os.environ['PATH']}",
            "KUBECONFIG": str(tmp_path / "viewer.kubeconfig"),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": str(REPO),
        }
        names = {"job": "running", "failed": "failed", "held": "held", "context": "dev",
                 "model": model, "config": str(train_config(tmp_path))}  # fmt: skip
        yield Viewer(actor, env, names, tmp_path, await _left(actor))


# Who may change runs and models is MLflow's to say, not the cluster's.
_THEIRS = ("run", "model", "appr")


async def test_a_viewer_changes_nothing_and_is_told_so_beforehand(viewer: Viewer) -> None:
    jobs = [c for c in COMMANDS if c.writes and not c.words.startswith(_THEIRS)]
    assert {command.words.partition(" ")[0] for command in jobs} == {"job"}
    inside = {"job shell": "pods/exec", "job forward": "pods/portforward"}
    for command in jobs:
        argv = command.argv(viewer.names, "yaml" if command.formats else "")
        for more in (["--dry-run"], []):
            code, said = await _run(command, [*argv[:2], *more, *argv[2:]], viewer.env)
            assert code == 3, (command.words, code, said)
            if command.words in inside:
                assert re.search(f"you may not [a-z]+ {inside[command.words]} in", said), said
            elif more:
                # The plan is there, and says which right is missing.
                plan = yaml.safe_load(said.partition("\nmcp-tui:")[0])
                missing = [c for c in plan["checks"] if c["status"] == "failed"]
                assert plan["blocked"] and missing, command.words
                assert "may not" in missing[0]["message"], missing
    await viewer.check()
    code, said = await _run(COMMANDS[0], ["doctor"], viewer.env)
    assert "no create jobs" in said and "no delete jobs" in said, said


async def test_a_viewer_is_told_what_of_a_promotion_the_cluster_keeps_from_it(
    viewer: Viewer,
) -> None:
    """MLflow lets it, as it knows nobody; that other consoles are not kept out is said before."""
    command = next(each for each in COMMANDS if each.words == "model promote")
    code, said = await _run(command, [*command.argv(viewer.names), "--dry-run"], viewer.env)
    assert code == 0 and re.search("you may not [a-z]+ leases in default", said), said
    await viewer.check()


# On which job, what is pressed there, and what it may not, for each view on the way to a plan.
_SAID: dict[str, tuple[str, str, str]] = {
    "plan": ("running", "", "delete jobs"),
    "retry": ("failed", "\x0f", "create jobs"),
    "submit": ("running", "\x0f", "create jobs"),
    "submit-form": ("running", "\x0f", "create jobs"),
    "shell-plan": ("running", "e", "[a-z]+ pods/exec"),
}
_KEYS = {
    "z": ("held", "patch jobs"),
    "a": ("failed", "delete jobs"),
    ":forward 80\r": ("running", "[a-z]+ pods/portforward"),
}


async def test_a_viewer_in_the_console_is_told_so_in_each_plan(viewer: Viewer) -> None:
    writing = [pane for pane in PANES if pane.writes and pane.pane == "jobs"]
    assert {pane.id for pane in writing} == set(_SAID)
    await asyncio.to_thread(_look, viewer, writing)
    await viewer.check()


def _look(viewer: Viewer, panes: Sequence[Pane]) -> None:
    console = Console(viewer.env, size=(120, 40), folder=viewer.folder)
    try:
        console.until(lambda: "3 jobs" in console.text and "? all keys" in console.text)
        console.quiet()
        for pane in panes:
            job, keys, said = _SAID[pane.id]
            console.choose(job)
            if not pane.prod:
                console.go(pane)
            _refused(console, keys, said)
        for keys, (job, said) in _KEYS.items():
            console.choose(job)
            _refused(console, keys, said)
        assert console.leave() == 0
    finally:
        console.close()


def _refused(console: Console, keys: str, said: str) -> None:
    """It is said beforehand, and no key carries it out."""
    if len(keys) == 1:
        console.insist(keys, lambda: "may not" in console.text)
    else:
        console.type(keys)
    console.until(lambda: re.search(f"you may not {said}", console.text))
    # A shell has no dialog then: the keys go to the list, where none of them sends anything.
    if "pods/" not in said:
        console.until(lambda: "nothing will be sent" in console.text)
        console.press("tab", "enter", "y", "enter")
    console.quiet()
    console.home()
