"""The Models pane: what it shows, and what is promoted, copied and taken back from there."""

from __future__ import annotations

import time

from textual.pilot import Pilot

from mcp_tui.actions.evidence import GateLine
from mcp_tui.domain.plan import Confirmation, Tier
from mcp_tui.tui.app import Console
from mcp_tui.tui.panes.models import ModelsScreen
from mcp_tui.tui.screens.compare import CompareScreen
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.modeldetail import ModelScreen
from mcp_tui.tui.screens.modelform import ApproveScreen, CopyScreen, PromoteScreen
from tests.tui.fake import FakeBackend
from tests.tui.fake_models import FakeModels, many, move, version
from tests.tui.harness import changed, console, screen_lines, screen_text, until


async def _ranker(pilot: Pilot[int], app: Console, *keys: str) -> None:
    """To the Models pane, the model ``ranker`` open, then these keys."""
    await pilot.press("4")
    await until(pilot, lambda: "+ ranker" in screen_text(app))
    await pilot.press("G", "enter")
    await until(pilot, lambda: "version 7" in screen_text(app))
    await pilot.press(*keys)


def _confirm(app: Console) -> ConfirmScreen:
    screen = app.screen
    assert isinstance(screen, ConfirmScreen)
    screen._opened = time.monotonic() - 5
    return screen


async def _planned(pilot: Pilot[int], app: Console) -> ConfirmScreen:
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
    return _confirm(app)


def _row(app: Console, text: str) -> str:
    return next(line for line in screen_lines(app) if text in line)


async def test_models_open_to_their_versions() -> None:
    backend = FakeBackend()
    async with console(backend, (120, 30)) as (app, pilot):
        await _ranker(pilot, app)
        assert backend.models.opened == ["ranker"]
        assert "3 models" in screen_text(app)
        assert "champion 5, challenger 7" in _row(app, "- ranker")
        row = _row(app, "version 5")
        assert "champion" in row and "Deployment/ranker 3/3" in row and "00000000 finished" in row
        assert "2 of 2" in row
        await pilot.press("j", "j", "left")
        assert app.pane is not None
        assert backend.models.model.subject(app.pane.table.cursor_key or "") is not None
        assert "- ranker" in screen_lines(app)[app.pane.table.cursor + 4]
        await pilot.press("left")
        assert "version 5" not in screen_text(app)
        assert backend.models.opened == []


async def test_a_model_whose_versions_are_on_their_way_says_so() -> None:
    backend = FakeBackend()
    backend.models.waits = True
    async with console(backend) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "+ ranker" in screen_text(app))
        await pilot.press("G", "right")
        await until(pilot, lambda: "   asking" in screen_text(app))
        # On a row that only says something, nothing is promoted and nothing breaks.
        await pilot.press("j", "p")
        await until(pilot, lambda: "choose a version to promote" in screen_text(app))
        backend.models.answer("ranker")
        await changed(app, backend, pilot)
        assert "version 7" in screen_text(app)
        assert "   asking" not in screen_text(app)


async def test_filters_marks_and_order() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 24)) as (app, pilot):
        await _ranker(pilot, app, "/", *"alias=champion", "enter")
        text = screen_text(app)
        assert "version 5" in text and "version 6" not in text and "fraud" not in text
        await pilot.press("escape", "/", *"/^fraud/", "enter")
        assert "fraud-detector" in screen_text(app) and "ranker" not in screen_text(app)
        await pilot.press("/", "ctrl+u", *"/(/")
        await until(pilot, lambda: "not a regular expression" in screen_text(app))
        await pilot.press("ctrl+u", *"/((a+))+$/")
        await until(pilot, lambda: "could take for ever" in screen_text(app))
        await pilot.press("escape", "escape")
        await pilot.press("f")
        # What could not be registered is not known before its model is open.
        await pilot.press("f", "g", "j", "enter", "f")
        await until(pilot, lambda: "version 2, failed" in screen_text(app))
        await pilot.press("f", ">", ">")
        assert backend.models.sorts[-1] == ("since", False)
        await pilot.press("!")
        assert backend.models.sorts[-1] == ("since", True)


async def test_the_end_of_what_was_read_is_told() -> None:
    backend = FakeBackend()
    backend._models = FakeModels(backend, many(300))
    backend.models.put(more=True)
    async with console(backend) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "300+ models" in screen_text(app))
        assert backend.models.looks and not backend.models.looks[-1][1]
        await pilot.press("G")
        await until(pilot, lambda: backend.models.looks[-1][1])
        assert backend.models.looks[-1][0][-1] == "dev/model-00299"


async def test_the_detail_and_its_tabs() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await _ranker(pilot, app, "j", "j", "j", "enter")
        await until(pilot, lambda: "[Overview]" in screen_text(app))
        await until(pilot, lambda: "u takes it back to version 4" in screen_text(app))
        assert "Models / ranker / version 5" in screen_text(app)
        await pilot.press("tab")
        await until(pilot, lambda: "in spite of a failed gate" in screen_text(app))
        assert "4 > 5" in screen_text(app)
        await pilot.press("tab")
        await until(pilot, lambda: "ml-lead" in screen_text(app))
        assert isinstance(app.screen, ModelScreen)
        await pilot.press("escape")
        assert app.pane is not None and app.screen is app.pane


async def test_moves_past_the_record_are_said() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 30)) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "+ ctr" in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: "past the record" in screen_text(app))
        assert "no way back: somebody moved it from version 2 to version 3" in screen_text(app)


async def test_a_promotion_shows_its_plan_and_is_applied() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "p")
        assert isinstance(app.screen, PromoteScreen)
        await until(pilot, lambda: "champion is version 5" in screen_text(app))
        await pilot.press("tab", *"better recall", "enter")
        screen = await _planned(pilot, app)
        text = screen_text(app)
        assert "move champion of ranker from version 5 to version 7" in text
        assert "1 gates passed" in text and "commit 9c1f2ab, image" in text
        assert "approvals 2 of 2" in text
        assert backend.models.planned[-1]["why"] == "better recall"
        assert screen.plan.move is not None and screen.plan.move.intent.why == "better recall"
        await pilot.press("tab")
        await pilot.pause(0.05)
        await pilot.press("enter")
        backend.actions.release.set()
        await until(pilot, lambda: "proven" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.pane)
        assert len(backend.actions.applied) == 1


async def test_production_is_typed() -> None:
    backend = FakeBackend(tier=Tier.PROD, contexts=("prod",))
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "p")
        await until(pilot, lambda: "champion is version 5" in screen_text(app))
        await pilot.press("enter")
        screen = await _planned(pilot, app)
        assert screen.plan.confirmation is Confirmation.TYPED
        assert "prod/ranker" in screen_text(app)


async def test_a_failed_gate_blocks_unless_it_is_overridden_with_a_reason() -> None:
    backend = FakeBackend()
    backend.models.gates = (GateLine(passed=False, said="latency_p99_ms <= 40: 44.0"),)
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "p")
        await until(pilot, lambda: "champion is version 5" in screen_text(app))
        await pilot.press("enter")
        await _planned(pilot, app)
        assert "FAILED: latency_p99_ms <= 40" in screen_text(app)
        await pilot.press("tab", "enter", "enter")
        assert not backend.actions.applied
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, PromoteScreen))
        await pilot.press("tab", "tab", *"it is being worked on", "enter")
        screen = await _planned(pilot, app)
        assert not screen.plan.blocked
        assert "overridden: it is being worked on" in screen_text(app)


async def test_a_wrong_alias_is_said_at_its_field() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await _ranker(pilot, app, "j", "p")
        await until(pilot, lambda: "champion is version 5" in screen_text(app))
        await pilot.press("ctrl+u", *"latest", "enter")
        await until(pilot, lambda: "is no alias" in screen_text(app))
        # What was typed is there again.
        await pilot.press("escape", "p")
        await until(pilot, lambda: "latest" in screen_text(app))


async def test_what_is_moved_meanwhile_is_shown_and_asked_again() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "p")
        await until(pilot, lambda: "champion is version 5" in screen_text(app))
        await pilot.press("enter")
        await _planned(pilot, app)
        backend.models.models["ranker"].aliases["champion"] = "6"
        backend.actions.moved = "eve moved champion meanwhile: it is version 6, was version 5"
        await pilot.press("tab")
        await pilot.pause(0.05)
        await pilot.press("enter")
        await until(pilot, lambda: "from version 6 to version 7" in screen_text(app))
        assert "eve moved champion meanwhile" in screen_text(app)
        assert "[ Leave ]" in screen_text(app), "the safe choice is in front again"
        assert not backend.actions.applied
        screen = _confirm(app)
        assert screen.state == "asking"
        await pilot.press("tab")
        await pilot.pause(0.05)
        await pilot.press("enter")
        backend.actions.release.set()
        await until(pilot, lambda: "proven" in screen_text(app))
        move = backend.actions.applied[0].move
        assert move is not None and (move.intent.came, move.intent.to) == ("6", "7")


async def test_where_nothing_can_be_planned_any_more_that_is_the_end() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "p")
        await until(pilot, lambda: "champion is version 5" in screen_text(app))
        await pilot.press("enter")
        await _planned(pilot, app)
        backend.models.models["ranker"].aliases["champion"] = "7"
        backend.actions.moved = "eve moved champion meanwhile"
        await pilot.press("tab")
        await pilot.pause(0.05)
        await pilot.press("enter")
        await until(pilot, lambda: "is version 7 already" in screen_text(app))
        assert not backend.actions.applied


async def test_undo_takes_one_deliberate_confirmation_also_in_production() -> None:
    backend = FakeBackend(tier=Tier.PROD, contexts=("prod",))
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "u")
        screen = await _planned(pilot, app)
        assert screen.plan.confirmation is Confirmation.YES
        assert "from version 5 to version 4" in screen_text(app)
        await pilot.press("enter")
        assert not backend.actions.applied, "the safe choice is in front"
        await until(pilot, lambda: app.screen is app.pane)
        await pilot.press("u")
        await _planned(pilot, app)
        await pilot.press("tab")
        await pilot.pause(0.05)
        await pilot.press("enter")
        backend.actions.release.set()
        await until(pilot, lambda: "proven" in screen_text(app))


async def test_undo_says_why_not() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "+ ctr" in screen_text(app))
        await pilot.press("u")
        await until(pilot, lambda: "cannot be taken back" in screen_text(app))
        assert "past the record" in screen_text(app).replace("\n ", " ")


async def test_a_copy_asks_where_to() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "a", "j", "enter")
        await until(pilot, lambda: isinstance(app.screen, CopyScreen))
        await until(pilot, lambda: "to model" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "name the model that it is copied to" in screen_text(app))
        await pilot.press(*"prod.ranker", "enter")
        await _planned(pilot, app)
        assert "create registered model prod.ranker" in screen_text(app)
        assert "only if there is none of it" in screen_text(app)


async def test_an_approval_says_why() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "a")
        await until(pilot, lambda: "what of ranker version 7?" in screen_text(app))
        await pilot.press("escape", "a", "enter")
        await until(pilot, lambda: isinstance(app.screen, ApproveScreen))
        await until(pilot, lambda: "sre: missing" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "an approval says why" in screen_text(app))
        await pilot.press(*"looked at the report", "enter")
        screen = await _planned(pilot, app)
        assert screen.plan.approval is not None
        assert "put approval sre of ranker version 7 on record" in screen_text(app)
        assert "MLflow enforces none of it" in screen_text(app)


async def test_a_run_is_registered_and_promoted_from_the_runs_pane() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: app.current_mode == "runs")
        await pilot.press("p")
        await until(pilot, lambda: "no run under the cursor" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.pane is not None and app.pane.runs_chosen())
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PromoteScreen))
        await until(pilot, lambda: "that it becomes a version of" in screen_text(app))
        assert "Runs / run" in screen_text(app)
        await pilot.press(*"ranker-new", "enter")
        await _planned(pilot, app)
        assert "create registered model ranker-new" in screen_text(app)
        assert "move champion of ranker-new from nothing" in screen_text(app)


async def test_nothing_is_planned_where_one_may_only_read() -> None:
    backend = FakeBackend(read_only=True)
    async with console(backend) as (app, pilot):
        await _ranker(pilot, app, "j")
        for key, word in (("p", "promote"), ("u", "undo"), ("a", "approve or copy")):
            await pilot.press(key)
            await until(pilot, lambda w=word: f"read-only: {w} is refused" in screen_text(app))
        assert app.screen is app.pane and not backend.models.planned


async def test_a_model_is_not_promoted_a_version_is() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "+ ctr" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: "choose a version to promote" in screen_text(app))


async def test_the_preview_follows_the_cursor() -> None:
    backend = FakeBackend()
    async with console(backend, (200, 50)) as (app, pilot):
        await _ranker(pilot, app)
        await until(pilot, lambda: "u takes it back to version 4" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "Overview ranker version 7" in backend.models.asked)


async def test_versions_are_evaluated_beside_the_champion() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 40)) as (app, pilot):
        await _ranker(pilot, app, "j", "space", "space", "v")
        await until(pilot, lambda: type(app.screen).__name__ == "EvaluationScreen")
        assert app.screen.looked.references == ("ranker/7", "ranker/6")  # type: ignore[attr-defined]  # its own screen


async def test_a_move_whose_console_was_killed_is_said() -> None:
    backend = FakeBackend()
    tags = move("e", "fraud-detector", "", "1", 1, hours=1, who="bo", why="", ended=False)
    ranker = backend.models.models["fraud-detector"]
    ranker.versions[1] = version("fraud-detector", 1, hours=3, tags=tags)
    ranker.aliases["champion"] = "1"
    backend.models.put()
    async with console(backend, (160, 30)) as (app, pilot):
        await pilot.press("4")
        await until(pilot, lambda: "+ fraud-detector" in screen_text(app))
        await pilot.press("j", "d")
        said = "promote of champion from nothing to version 1 by bo 1h ago did not end"
        await until(pilot, lambda: said in screen_text(app))
        assert "the alias was moved" in screen_text(app)
        await pilot.press("h")
        await until(pilot, lambda: "found" in screen_text(app))


async def test_a_version_is_a_baseline_as_its_run_is() -> None:
    async with console(FakeBackend(), (120, 30)) as (app, pilot):
        await _ranker(pilot, app, "j", "b")
        assert isinstance(app.screen, ModelsScreen)
        (run,) = app.screen.bases_chosen()
        assert app.baseline == run and run.startswith("dev/")
        await until(pilot, lambda: f"baseline {run[4:12]}" in screen_lines(app)[2])
        await pilot.press("j", "equals_sign")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert isinstance(app.screen, CompareScreen)
        assert app.screen.looked.references[0] == app.screen.looked.baseline == run
        await pilot.press("escape", "k", "b")
        await until(pilot, lambda: app.baseline == "")
