"""The Runs pane: experiments, their runs, a run's detail, on rows in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp_tui.store.runlist import RunList
from mcp_tui.tui.panes.runs import RunsScreen
from mcp_tui.tui.screens.artifact import ArtifactScreen
from mcp_tui.tui.screens.compare import CompareScreen
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.detail import DetailScreen
from mcp_tui.tui.screens.run import RunScreen
from mcp_tui.tui.screens.submit import SubmitScreen
from mcp_tui.tui.widgets.prompt import Ask
from tests.tui.fake import FakeBackend
from tests.tui.fake_runs import RUNS, SWEEP, run
from tests.tui.harness import changed, console, screen_lines, screen_text, until

KEY = f"dev/{1:032x}"


def names(app: object) -> list[str]:
    """The rows that are shown, by their names."""
    screen = app.screen  # type: ignore[attr-defined]  # the console
    model = screen.model
    at = [c.id for c in model.columns].index("name")
    return [model.row(n).cells[at].text for n in range(model.count)]


async def test_experiments_tell_what_was_read_of_them() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        text = screen_text(app)
        assert "Runs / experiments" in text
        assert "1,000+" in text and "3 experiments" in text
        assert names(app) == ["ranker", "ctr-hourly", "embeddings"]


async def test_runs_of_one_and_the_way_back() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "j", "enter")
        await until(pilot, lambda: "Runs / ctr-hourly" in screen_text(app))
        assert backend.runs.opened == ("dev/2",)
        assert names(app)[0].strip() == "ranker-train-0413"
        await pilot.press("escape")
        await until(pilot, lambda: "Runs / experiments" in screen_text(app))
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.table.cursor_key == "dev/2", "the cursor is where one went in"


async def test_runs_of_several_marked_experiments() -> None:
    backend = FakeBackend()
    async with console(backend, (160, 40)) as (app, pilot):
        await pilot.press("3", "space", "space", "enter")
        await until(pilot, lambda: "Runs / 2 experiments" in screen_text(app))
        assert backend.runs.opened == ("dev/1", "dev/2")
        assert "EXPERIMENT" in screen_text(app)


async def test_nested_runs_open_and_close() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("3", "enter")
        await until(pilot, lambda: "newest first" in screen_text(app))
        assert names(app)[-1] == "+ sweep-lr"
        await pilot.press("G", "right")
        assert names(app)[-3:] == ["- sweep-lr", "    lr=0.2", "    lr=0.1"]
        await pilot.press("j", "left")
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.table.cursor_key == f"dev/{4:032x}", "to what it is nested in"
        await pilot.press("left")
        assert names(app)[-1] == "+ sweep-lr"


async def test_names_of_nested_runs_have_their_room() -> None:
    backend = FakeBackend()
    backend.runs.read = (run(4, "sweep"), run(5, "trial-learning-rate", parent=SWEEP))
    async with console(backend, (160, 40)) as (app, pilot):
        await pilot.press("3", "enter")
        await until(pilot, lambda: "newest first" in screen_text(app))
        await pilot.press("right")
        await until(pilot, lambda: "- sweep" in screen_text(app))
        assert "trial-learning-rate" in screen_text(app)


async def test_a_sorted_list_is_flat_and_says_over_what() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("3", "enter")
        await until(pilot, lambda: "newest first" in screen_text(app))
        app.command_line.run("sort metrics.f1")
        await until(pilot, lambda: "by f1, over 6 read" in screen_text(app))
        assert names(app) == [
            "ranker-train-0411",
            "ranker-train-0413",
            "ranker-train-0412",
            "lr=0.1",
            "lr=0.2",
            "sweep-lr",
        ]
        app.command_line.run("sort metrics.val_loss")
        await until(pilot, lambda: "by val_loss" in screen_text(app))
        assert names(app)[0] == "ranker-train-0411", "a loss from the smallest"
        await pilot.press("!")
        assert names(app)[0] == "lr=0.2"
        assert names(app)[-1] == "sweep-lr", "what is missing comes last, whichever way"


async def test_a_metric_moves_without_a_key() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter")
        await until(pilot, lambda: "0.912" in screen_text(app))
        backend.runs.change(1, status="RUNNING", ago=1_860, f1=0.917, val_loss=0.4, lr="0.001")
        await changed(app, backend, pilot)
        assert "0.917" in screen_text(app) and "0.912" not in screen_text(app)


async def test_words_filter_what_was_read_and_mlflow_s_language_asks_the_server() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "slash", *"0411")
        assert names(app) == ["ranker-train-0411"]
        await pilot.press("escape")
        assert len(names(app)) == 4
        await pilot.press("slash", *"metrics.f1 > 0.9")
        assert not backend.runs.asked, "the server is not asked for each letter"
        assert len(names(app)) == 4
        await pilot.press("enter")
        assert backend.runs.asked == ["metrics.f1 > 0.9"]
        assert "metrics.f1 > 0.9" in screen_lines(app)[2]
        await pilot.press("escape")
        assert backend.runs.asked[-1] == "", "Esc takes it away"
        await pilot.press("slash", *"params.lr = 'x", "enter")
        assert "not closed" in screen_text(app)
        assert len(backend.runs.asked) == 2


async def test_a_query_stays_until_an_answer_takes_its_place() -> None:
    backend = FakeBackend()
    asked = backend.runs.asked
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "slash", *"metrics.f1 > 0.9", "enter", "j", "space", "f")
        kept = (app.screen.table.cursor_key, app.screen.table.marks.copy())
        for typed in ("escape", "enter", "ctrl+u escape", "ctrl+u 0 4 1 1 escape"):
            await pilot.press("slash", *typed.split())
            assert asked == ["metrics.f1 > 0.9"], typed
            assert (app.screen.table.cursor_key, app.screen.table.marks) == kept, typed
            assert (backend.runs.query, backend.runs.filter) == ("metrics.f1 > 0.9", "")
        await pilot.press("escape")
        assert backend.runs.faults and not app.screen.table.marks
        await pilot.press("escape")
        assert not backend.runs.faults and backend.runs.query, "faults alone go before it"
        await pilot.press("slash", "ctrl+u", "enter")
        assert (asked[1:], backend.runs.query) == ([""], "")
        await pilot.press("slash", *"metrics.f1 > 0.8", "enter", "slash", "ctrl+u", *"041 /(/")
        await pilot.press("enter")
        assert backend.runs.query, "words with an error take nothing's place"
        await pilot.press(*(["backspace"] * 4), "enter")
        assert (backend.runs.query, backend.runs.filter) == ("", "041")
        assert "metrics.f1" not in screen_lines(app)[2]
        app.command_line.run("runs metrics.f1 > 0.7")
        assert (backend.runs.query, backend.runs.filter) == ("metrics.f1 > 0.7", "")
        app.command_line.run("runs 0411")
        assert (backend.runs.query, backend.runs.filter) == ("", "0411")


async def test_no_preview_stands_beside_an_empty_list() -> None:
    backend = FakeBackend()
    async with console(backend, (140, 30)) as (app, pilot):
        await pilot.press("3", "enter")
        await until(pilot, lambda: "registered" in app.screen.preview.text)
        backend.runs.read = ()
        backend.runs.list = RunList()
        backend.runs.runs.take("dev", backend.runs.list, None)
        await changed(app, backend, pilot)
        assert not app.screen.preview.count
        backend.runs.read = RUNS
        backend.runs.list.take(RUNS)
        backend.runs.runs.take("dev", backend.runs.list, None)
        await changed(app, backend, pilot)
        await until(pilot, lambda: "registered" in app.screen.preview.text)


async def test_columns_are_chosen() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("3", "enter")
        await until(pilot, lambda: "VAL_LOSS" in screen_text(app))
        app.command_line.run("columns params.lr")
        await until(pilot, lambda: "LR" in screen_lines(app)[3])
        assert "VAL_LOSS" not in screen_text(app)
        app.command_line.run("columns nonsense")
        await until(pilot, lambda: "is called nonsense" in screen_text(app))
        assert app.command_line.complete("columns params.lr met") == [
            "columns params.lr metrics.f1",
            "columns params.lr metrics.val_loss",
        ]


async def test_the_detail_of_a_run() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "enter")
        await until(pilot, lambda: "clicks @ 7f1c" in screen_text(app))
        assert isinstance(app.screen, RunScreen)
        assert backend.run_details.asked == [f"overview {KEY}"]
        await pilot.press("tab")
        await until(pilot, lambda: "[Params]" in screen_text(app))
        await until(pilot, lambda: "0.001" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: "6,200" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_artifacts_are_listed_when_opened_previewed_and_downloaded() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "enter", "shift+tab")
        await until(pilot, lambda: "report.json" in screen_text(app))
        assert backend.run_details.asked[-1] == f"artifacts {KEY} "
        await pilot.press("right")
        await until(pilot, lambda: "MLmodel" in screen_text(app))
        await pilot.press("left", "j", "enter")
        await until(pilot, lambda: "could not read the artifacts" in screen_text(app))
        await pilot.press("G", "enter")
        await until(pilot, lambda: '"accuracy": 0.93' in screen_text(app))
        assert isinstance(app.screen, ArtifactScreen)
        await pilot.press("W", "enter")
        await until(pilot, lambda: "saved 2Ki to report.json" in screen_text(app))
        assert [path.name for path in backend.run_details.saved] == ["report.json"]


async def test_from_a_run_to_its_job_and_from_a_job_to_its_run() -> None:
    backend = FakeBackend()
    job = next(iter(backend.model.jobs))
    backend.run_details.job_keys[KEY] = job
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "o")
        await until(pilot, lambda: isinstance(app.screen, DetailScreen))
        assert isinstance(app.screen, DetailScreen)
        assert app.screen.key == job
        await pilot.press("escape", "j", "o")
        await until(pilot, lambda: "no job of this run is known here" in screen_text(app))


async def test_o_on_a_job_leads_to_its_run_and_back() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("o")
        await until(pilot, lambda: "clicks @ 7f1c" in screen_text(app))
        assert isinstance(app.screen, RunScreen)
        assert app.screen.key == KEY
        await pilot.press("escape")
        await until(pilot, lambda: "Jobs / ml" in screen_text(app))
        backend.run_details.run_keys = dict.fromkeys(backend.model.jobs, "")
        await pilot.press("o")
        await until(pilot, lambda: "no MLflow run is linked" in screen_text(app))


async def test_a_change_is_typed_judged_and_planned() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "space", "space", "a")
        await until(pilot, lambda: "2 runs:" in screen_text(app))
        await pilot.press(*"tag stage", "enter")
        await until(pilot, lambda: "neither KEY=VALUE" in screen_text(app))
        assert not backend.run_actions.planned
        await pilot.press(*"=prod", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        runs = (f"dev/{1:032x}", f"dev/{2:032x}")
        assert backend.run_actions.planned == [(runs, "tag stage=prod")]


async def test_nothing_is_changed_when_read_only() -> None:
    backend = FakeBackend(read_only=True)
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "a")
        await until(pilot, lambda: "read-only" in screen_text(app))
        await pilot.press("s")
        assert isinstance(app.screen, RunsScreen)
        assert not app.screen.prompt.asking


async def test_a_run_is_made_again_from_the_submit_editor() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("3", "enter", "s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        assert "name: again" in screen_text(app)


async def test_the_bin_is_shown_and_left() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter")
        app.command_line.run("deleted")
        assert backend.runs.bin
        await pilot.press("escape")
        assert not backend.runs.bin
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.shows_runs


async def test_a_baseline_is_one_wherever_it_was_chosen_and_is_said() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("b")
        await until(pilot, lambda: f"baseline {KEY[4:12]}" in screen_text(app))
        await pilot.press("escape", "j")
        await until(pilot, lambda: f"baseline {KEY[4:12]}" in screen_text(app))
        assert isinstance(app.screen, RunsScreen)
        other = app.screen.table.cursor_key
        await pilot.press("=")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert isinstance(app.screen, CompareScreen)
        assert app.screen.looked.references == (KEY, other)
        assert app.screen.looked.baseline == KEY
        await pilot.press("escape")
        app.baseline = "gone/" + KEY[4:]
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        app.screen.update_frame()
        assert app.screen.baseline == "", "its context is not looked at"
        await until(pilot, lambda: "baseline" not in screen_lines(app)[2])


async def test_a_submission_that_is_typed_is_kept_whatever_run_is_made_again() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        assert isinstance(app.screen, SubmitScreen)
        app.screen.editor.text = "name: mine\n"
        await pilot.pause()
        app.acting.draft.unwritten["lr"] = "0.1"
        await pilot.press("escape", "3", "enter", "s")
        await until(pilot, lambda: "name: again" in screen_text(app))
        assert isinstance(app.screen, SubmitScreen)
        assert not app.screen.draft.unwritten
        app.screen.editor.text = "name: changed\n"
        await pilot.pause()
        await pilot.press("escape", "s")
        await until(pilot, lambda: "name: changed" in screen_text(app))
        app.screen.sent()
        app.pop_screen()
        await pilot.press("s")
        await until(pilot, lambda: "name: again" in screen_text(app))
        await pilot.press("escape", "2", "s")
        await until(pilot, lambda: "name: mine" in screen_text(app))


async def test_a_download_goes_on_when_its_screen_is_left() -> None:
    backend = FakeBackend()
    go_on = asyncio.Event()
    whole = backend.run_details.download

    async def slow(*args: Any) -> int:
        await go_on.wait()
        return await whole(*args)

    backend.run_details.download = slow  # type: ignore[method-assign]  # a server that is slow
    async with console(backend) as (app, pilot):
        await pilot.press("3", "enter", "enter", "shift+tab")
        await until(pilot, lambda: "report.json" in screen_text(app))
        await pilot.press("G", "W", "enter")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        go_on.set()
        await until(pilot, lambda: "saved 2Ki to report.json" in screen_text(app))
        assert [path.name for path in backend.run_details.saved] == ["report.json"]


async def test_what_is_typed_is_seen_behind_a_long_name() -> None:
    async with console(FakeBackend()) as (app, pilot):
        name = f"part-00000-{KEY[4:]}-c000.snappy.parquet"
        assert app.pane is not None
        app.pane.ask(Ask("save", f"download {name} as ", name))
        await until(pilot, lambda: "snappy.parquet" in screen_lines(app)[-1])
        await pilot.press(*".copy")
        await until(pilot, lambda: "snappy.parquet.copy" in screen_lines(app)[-1])
        assert " as " in screen_lines(app)[-1]
