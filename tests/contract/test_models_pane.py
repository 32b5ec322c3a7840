"""The Models pane over the live backend, against the real MLflow: promote, somebody else, undo."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from textual.pilot import Pilot

from mcp_tui.config import load
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.tui.app import Console
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.model import ConsoleOptions
from mcp_tui.tui.model_models import Subject
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.modelform import PromoteScreen
from tests.cluster import Ground
from tests.faults.acting import Actor, acting
from tests.tui.harness import screen_text, until

pytestmark = pytest.mark.real


@dataclass
class World:
    """A registered model of three versions, its champion the first, and what it takes to look."""

    actor: Actor
    client: MlflowClient
    env: dict[str, str]
    model: str
    run_id: str

    async def champion(self, model: str = "") -> str:
        found = await self.client.get_model(model or self.model)
        return found.alias.get("champion", "") if found is not None else ""


@pytest_asyncio.fixture
async def world(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[World]:
    async with acting(ground, namespace, tmp_path) as actor:
        client = actor.engine.mlflow_client
        assert client is not None
        # A name that sorts before those that other tests leave there.
        model = f"0-ranker-{secrets.token_hex(4)}"
        experiment = await client.create_experiment(f"models-{secrets.token_hex(6)}")
        await client.ensure_model(model)
        run_id = ""
        for number in range(3):
            run = await client.create_run(
                experiment, run_name=f"r{number}", tags={}, start_time_ms=int(time.time() * 1000)
            )
            run_id = run.run_id
            await client.call(
                "POST",
                "/api/2.0/mlflow/runs/log-metric",
                {"run_id": run_id, "key": "f1_macro", "value": 0.8 + number / 10,
                 "timestamp": int(time.time() * 1000), "step": 1},
            )  # fmt: skip
            source = f"{run.info.artifact_uri}/model"
            await client.create_version(model, source, plan_id=f"p{number}", run_id=run_id)
        await client.set_alias(model, "champion", "1")
        settings = tmp_path / "config.toml"
        settings.write_text(
            f'gates = ["f1_macro >= 0.85"]\n[contexts.dev]\ntier = "dev"\n'
            f'mlflow = "{actor.mlflow.url}"\nnamespace = "{namespace}"\n'
        )
        env = {
            **os.environ,
            "KUBECONFIG": str(tmp_path / "admin.kubeconfig"),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        yield World(actor, client, env, model, run_id)


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[tuple[Console, Pilot[int]]]:
    """The console, on the Models pane, the model of the test under the cursor."""
    config = load(env=world.env)

    def backend() -> LiveBackend:
        return LiveBackend(config, lambda: load_kubeconfig(world.env), ("dev",), "", world.env)

    app = Console(backend, ConsoleOptions(contexts=("dev",), ascii=False))
    async with app.run_test(size=(120, 50)) as pilot:
        await until(pilot, lambda: app.ready)
        await pilot.press("4")
        await until(pilot, lambda: f"+ {world.model}" in screen_text(app))
        await pilot.press("/", *world.model, "enter")
        await until(pilot, lambda: "filter" not in screen_text(app).splitlines()[-1][:8])
        await pilot.press("enter")
        await until(pilot, lambda: "version 3" in screen_text(app))
        yield app, pilot


async def _planned(pilot: Pilot[int], app: Console) -> ConfirmScreen:
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
    screen = app.screen
    assert isinstance(screen, ConfirmScreen)
    screen._opened = time.monotonic() - 5
    return screen


async def _yes(pilot: Pilot[int]) -> None:
    await pilot.press("tab")
    await asyncio.sleep(0.05)  # Enter close behind a Tab counts as a paste.
    await pilot.press("enter")


async def _form(pilot: Pilot[int], app: Console, shown: str) -> None:
    await until(pilot, lambda: shown in screen_text(app))


async def test_promote_a_foreign_move_and_undo(world: World) -> None:
    async with opened(world) as (app, pilot):
        await pilot.press("j", "p")  # version 3
        await _form(pilot, app, "champion is version 1")
        await pilot.press("tab", *"better", "enter")
        await _planned(pilot, app)
        text = screen_text(app)
        assert "from version 1 to version 3" in text and "1 gates passed" in text
        assert "not reproducible" in text
        await _yes(pilot)
        await until(pilot, lambda: "proven" in screen_text(app))
        assert await world.champion() == "3"
        await pilot.press("enter")
        # The list is in step at once, not after the next look.
        await until(pilot, lambda: any("version 3" in line and "champion" in line
                                       for line in screen_text(app).splitlines()))  # fmt: skip

        await pilot.press("j", "p")  # version 2
        await _form(pilot, app, "champion is version 3")
        await pilot.press("enter")
        await _planned(pilot, app)
        await world.client.set_alias(world.model, "champion", "1")
        await _yes(pilot)
        await until(pilot, lambda: "from version 1 to version 2" in screen_text(app))
        assert "somebody moved champion meanwhile" in screen_text(app)
        assert await world.champion() == "1", "nothing was moved over somebody else's head"
        await _planned(pilot, app)
        await _yes(pilot)
        await until(pilot, lambda: "proven" in screen_text(app))
        assert await world.champion() == "2"
        await pilot.press("enter")

        await until(pilot, lambda: app.screen is app.pane)
        await pilot.press("u")
        await _planned(pilot, app)
        assert "from version 2 to version 1" in screen_text(app)
        await _yes(pilot)
        await until(pilot, lambda: "proven" in screen_text(app))
        assert await world.champion() == "1"
        await pilot.press("enter")
        # What was live before that was moved past the record: that is said, and nothing guessed.
        await until(pilot, lambda: app.screen is app.pane)
        await pilot.press("u")
        await until(pilot, lambda: "cannot be taken back" in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: "past the record" in screen_text(app))
        assert "rollback" in screen_text(app) and "better" in screen_text(app)


async def test_a_failed_gate_blocks_and_an_override_is_recorded(world: World) -> None:
    async with opened(world) as (app, pilot):
        await world.client.set_alias(world.model, "champion", "3")
        await pilot.press("j", "j", "j", "p")  # version 1, whose f1_macro is 0.8
        await _form(pilot, app, "champion is version 3")
        await pilot.press("enter")
        screen = await _planned(pilot, app)
        assert "FAILED: f1_macro >= 0.85" in screen_text(app) and screen.plan.blocked
        await pilot.press("escape")
        await pilot.press("tab", "tab", *"it is a drill", "enter")
        await _planned(pilot, app)
        await _yes(pilot)
        await until(pilot, lambda: "proven" in screen_text(app))
        version = await world.client.get_version(world.model, "1")
        assert version is not None
        record = next(v for k, v in version.tag.items() if k.startswith("mcp-tui.alias.")
                      and not k.endswith(".end"))  # fmt: skip
        assert "it is a drill" in record and "FAILED" in record


async def test_a_version_is_copied_once(world: World) -> None:
    to = f"{world.model}-prod"
    async with opened(world) as (app, pilot):
        for _ in range(2):
            await pilot.press("g", "j", "a", "j", "enter")
            await _form(pilot, app, "to model")
            await pilot.press("ctrl+u", *to, "enter")
            await until(
                pilot,
                lambda: (
                    isinstance(app.screen, ConfirmScreen)
                    or "it is version 1 of" in screen_text(app)
                ),
            )
            if not isinstance(app.screen, ConfirmScreen):
                break
            await _planned(pilot, app)
            await _yes(pilot)
            await until(pilot, lambda: "proven" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is app.pane)
        else:
            raise AssertionError("a second copy was planned")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.pane)
        await pilot.press("g", "j", "d")
        await until(pilot, lambda: f"{to} version 1" in screen_text(app))
    assert [v.version for v in await world.client.versions_of(to)] == ["1"]


async def test_what_mlflow_refuses_is_said_and_what_was_read_stays(world: World) -> None:
    async with opened(world) as (app, pilot):
        await world.actor.mlflow.refuse()
        await pilot.press("r")
        await until(pilot, lambda: "! models STALE" in screen_text(app).splitlines()[0])
        assert "version 3" in screen_text(app)
        await pilot.press("u")
        await until(pilot, lambda: "MLflow at http" in screen_text(app))
        await world.actor.mlflow.accept()
        await pilot.press("r")
        await until(pilot, lambda: "models polls" in screen_text(app).splitlines()[0])


async def test_a_run_without_a_model_is_said_at_its_field(world: World) -> None:
    async with opened(world) as (app, pilot):
        subject = Subject("dev", "", "", run_id=world.run_id)
        app.push_screen(PromoteScreen(subject, pane="runs"))
        # It is a version already: that model is offered.
        await _form(pilot, app, f"it is {world.model} version 3 already")
        await pilot.press("enter")
        await until(pilot, lambda: "has no model 'model'" in screen_text(app))
        assert "! run" in screen_text(app), "at its field"
