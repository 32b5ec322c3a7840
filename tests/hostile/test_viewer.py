"""As the viewer of the real cluster: nothing is done, and what may not be is said beforehand."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.cluster import Ground
from tests.faults.acting import Actor, acting
from tests.hostile.commands import fake_git, train_config
from tests.hostile.screen import REPO
from tests.hostile.world import World
from tests.joined.commands import COMMANDS, Command


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


async def test_a_viewer_changes_nothing_and_is_told_so_beforehand(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path, identity="viewer") as actor:
        await actor.make("running")
        await actor.make("held", suspend=True)
        await actor.make("failed")
        await actor.finish("failed", "Failed")
        before = await _left(actor)
        settings = tmp_path / "config.toml"
        settings.write_text(f'[contexts.dev]\ntier = "dev"\nnamespace = "{namespace}"\n')
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
                 "config": str(train_config(tmp_path))}  # fmt: skip
        inside = ("job shell", "job forward")
        # Who may change runs and models is MLflow's to say, not the cluster's.
        theirs = [c for c in COMMANDS if c.writes and c.words.startswith(("run", "model", "appr"))]
        jobs = [c for c in COMMANDS if c.writes and c not in theirs]
        assert {command.words.partition(" ")[0] for command in jobs} == {"job"}
        for command in jobs:
            if command.words in inside:
                continue
            argv = command.argv(names, "yaml" if command.formats else "")
            for more in (["--dry-run"], []):
                code, said = await _run(command, [*argv, *more], env)
                assert code == 3, (command.words, code, said)
                if more:
                    # The plan is there, and says which right is missing.
                    plan = yaml.safe_load(said.partition("\nmcp-tui:")[0])
                    missing = [c for c in plan["checks"] if c["status"] == "failed"]
                    assert plan["blocked"] and missing, command.words
                    assert "may not" in missing[0]["message"], missing
        assert await _left(actor) == before
        # Dry runs are no writes, but they too are not even asked for once a right is missing.
        assert actor.writes() == []
        code, said = await _run(COMMANDS[0], ["doctor"], env)
        assert "no create jobs" in said and "no delete jobs" in said, said
