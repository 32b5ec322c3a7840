"""Curves of runs: what is asked for when, what keys do, what is said where there is nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from mcp_tui.domain.chart.course import Course
from mcp_tui.errors import GoneError, UnreachableError
from mcp_tui.tui.app import Console
from mcp_tui.tui.commandline import _runs_and_metrics
from mcp_tui.tui.screens.choosemetrics import ChooseMetrics
from mcp_tui.tui.screens.curves import CurvesScreen
from mcp_tui.tui.screens.help import HelpScreen
from tests.tui.fake import FakeBackend
from tests.tui.fake_curves import RUNS, FakeCurves, run
from tests.tui.harness import console, screen_lines, screen_text, until

ALL = " ".join(f"dev/{each.run_id}" for each in RUNS)


@asynccontextmanager
async def curves(
    backend: FakeBackend,
    line: str = f"curves {ALL}",
    size: tuple[int, int] = (80, 24),
    **more: object,
) -> AsyncIterator[tuple[Console, CurvesScreen, Pilot[int]]]:
    async with console(backend, size, **more) as (app, pilot):
        app.command_line.run(line)
        await until(pilot, lambda: isinstance(app.screen, CurvesScreen))
        screen = app.screen
        assert isinstance(screen, CurvesScreen)
        await until(pilot, lambda: not screen.is_empty)
        yield app, screen, pilot


def made(backend: FakeBackend) -> FakeCurves:
    assert backend.evidence.made is not None
    return backend.evidence.made


async def test_the_curves_of_a_job_are_a_key_away() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("v")
        await until(
            pilot, lambda: "ranker-0412" in screen_text(app) and "0.391" in screen_text(app)
        )
        assert backend.evidence.asked == [f"curves dev/{0x7BE2:032x}"]
        assert "Jobs / ranker-0412  [Curves]" in screen_lines(app)[2]
        await pilot.press("q")
        await until(pilot, lambda: "STATE" in screen_text(app))


async def test_a_job_without_a_run_says_so() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        backend.run_of = lambda key: ""  # type: ignore[method-assign]  # a fake's
        await pilot.press("v")
        await until(pilot, lambda: "no MLflow run here" in screen_text(app))


async def test_all_runs_are_in_one_chart_with_their_last_values() -> None:
    async with curves(FakeBackend()) as (app, _, _pilot):
        lines = screen_lines(app)
        assert "850 points" in lines[3]
        assert "by step" in lines[3]
        ends = [line[-26:] for line in lines[4:] if "ranker" in line]
        assert len(ends) == 3
        assert all(end.split()[-1].startswith("0.") for end in ends)


async def test_another_metric_by_a_key() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, screen, pilot):
        assert screen_lines(app)[3].startswith("loss")
        await pilot.press("j")
        await until(pilot, lambda: screen_lines(app)[3].startswith("lr"))
        await pilot.press("k", "k")
        await until(pilot, lambda: screen_lines(app)[3].startswith("f1_macro"))
        assert screen.looked.metrics == ("f1_macro",)
        assert made(backend).asked == ["load loss", "load lr", "load loss", "load f1_macro"]


async def test_metrics_are_ticked_in_a_list() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, screen, pilot):
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, ChooseMetrics))
        assert "8 metrics" in screen_text(app)
        await pilot.press("/", *"val", "enter", "space", "enter")
        await until(pilot, lambda: app.screen is screen and "val" in screen_text(app))
        assert set(screen.looked.metrics) == {"loss", "val_loss"}
        assert screen_lines(app)[3].startswith("loss, val_loss")
        # Six lines: each is called by what tells it from the others.
        await until(pilot, lambda: len(screen.chart.courses) == 6)
        names = {course.name for course in screen.chart.courses}
        assert "val ranker-0411" in names


async def test_the_list_of_metrics_holds_ten_thousand() -> None:
    backend = FakeBackend()
    many = {f"layer/{n:05d}/norm": float(n) for n in range(10_000)}
    backend.evidence.runs = (run("wide", many, number=1),)
    async with curves(backend, "curves " + "0" * 31 + "1") as (app, screen, pilot):
        await pilot.press("M", "/", *"9876", "enter", "space")
        await until(pilot, lambda: "1 of 10,000" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen and len(screen.chart.courses) == 2)


async def test_scalars_of_event_files_are_chosen_beside_metrics() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, screen, pilot):
        assert "tb:" not in screen_text(app)
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, ChooseMetrics))
        text = screen_text(app)
        assert "tb: lr" in text and "tb: train/loss" in text and "2 scalars of 1 event file" in text
        await pilot.press("down", "enter")
        await until(pilot, lambda: "tb:train/loss" in screen_lines(app)[3])
        assert screen.looked.metrics == ("tb:train/loss",)
        assert made(backend).asked[-1] == "load tb:train/loss"
        # Among the others they stand in the list from now on.
        await pilot.press("M")
        await until(pilot, lambda: "tb: lr" in screen_text(app))
        assert "loss" in screen_text(app)


async def test_a_run_without_event_files_says_so() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, screen, pilot):
        made(backend).wrong = GoneError("there are no event files among the artifacts")
        await pilot.press("E")
        await until(pilot, lambda: "there are no event files" in screen_text(app))
        assert app.screen is screen and not screen.is_empty


async def test_who_went_on_is_not_called_back_for_event_files() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, _, pilot):
        held = asyncio.Event()
        read = made(backend).read_events

        async def late() -> str:
            await held.wait()
            return await read()

        made(backend).read_events = late  # type: ignore[method-assign]  # a fake's
        await pilot.press("E", "d")
        await until(pilot, lambda: "/ points" in screen_text(app))
        held.set()
        await until(pilot, lambda: made(backend).asked[-1] == "read_events")
        await pilot.pause()
        assert "/ points" in screen_text(app)


async def test_too_many_ticks_are_said() -> None:
    backend = FakeBackend()
    many = {f"m{n}": float(n) for n in range(20)}
    backend.evidence.runs = (run("wide", many, number=1),)
    async with curves(backend, "curves " + "0" * 31 + "1") as (app, _screen, pilot):
        await pilot.press("M", "g", *["space"] * 10, "enter")
        await until(pilot, lambda: "at most 8 fit a chart" in screen_text(app))


async def test_the_machine_is_shown_below() -> None:
    backend = FakeBackend()
    async with curves(backend, size=(100, 40)) as (app, screen, pilot):
        assert not screen.machine.display
        await pilot.press("H")
        await until(pilot, lambda: "system/gpu_*_utilization" in screen_text(app))
        assert "by relative time" in screen_text(app), "its steps are not those of the training"
        await pilot.press("X", "left", "left")
        await until(pilot, lambda: screen.machine.view.cursor == screen.chart.view.cursor)
        assert screen.machine.view.axis == screen.chart.view.axis == "time"
        await pilot.press("+")
        await until(pilot, lambda: screen.machine.view.window is not None)
        assert screen.machine.view.window == screen.chart.view.window
        await pilot.press("H")
        await until(pilot, lambda: not screen.machine.display)


async def test_no_machine_is_said() -> None:
    async with curves(FakeBackend(), f"curves dev/{RUNS[2].run_id}") as (app, _, pilot):
        await pilot.press("H")
        await until(pilot, lambda: "no system metrics are logged" in screen_text(app))


async def test_a_closer_look_asks_for_the_part() -> None:
    backend = FakeBackend()
    async with curves(backend) as (_app, screen, pilot):
        # As keys come that are close to each other, on whatever machine.
        screen.action_zoom(0.5)
        screen.action_zoom(0.5)
        await until(pilot, lambda: made(backend).asked[-1].startswith("look step"))
        looks = [each for each in made(backend).asked if each.startswith("look")]
        assert looks == ["look step (4635.0, 6180.0)"], "once, after a rest"
        await pilot.press("[")
        await until(pilot, lambda: len([a for a in made(backend).asked if "look" in a]) == 2)
        await pilot.press("0")
        await until(pilot, lambda: made(backend).asked[-1] == "look step None")
        assert screen.chart.view.window is None


async def test_a_part_that_another_metric_does_not_reach_is_let_go_of() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, screen, pilot):
        screen.chart.look(replace(screen.chart.view, window=(4_000.0, 5_000.0), cursor=4_500.0))
        given, epochs = made(backend).courses, tuple(range(20))

        def courses(metrics: Sequence[str]) -> tuple[Course, ...]:
            short = Course("lr", "lr", epochs, epochs, [0.5] * 20)
            return (short,) if metrics == ("lr",) else given(metrics)

        made(backend).courses = courses  # type: ignore[method-assign]  # a fake's
        await pilot.press("k")
        await until(pilot, lambda: screen_lines(app)[3].startswith("f1_macro"))
        assert screen.chart.view.window == (4_000.0, 5_000.0), "it has points there"
        await pilot.press("j", "j")
        await until(pilot, lambda: screen_lines(app)[3].startswith("lr"))
        assert screen.chart.view.window is None and screen.chart.view.cursor is None
        assert "20 points" in screen_lines(app)[3]


async def test_lines_that_a_runs_end_read_anew_are_counted_again() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, _, pilot):
        counted: list[tuple[str, ...]] = []

        async def count(metrics: Sequence[str]) -> bool:
            counted.append(tuple(metrics))
            return False

        made(backend).count = count  # type: ignore[method-assign]  # a fake's
        given = made(backend).given
        info = msgspec.structs.replace(given[0].info, status="FINISHED")
        given[0] = msgspec.structs.replace(given[0], info=info)
        made(backend).tail.put_nowait("")
        await until(pilot, lambda: counted == [("loss",)])
        assert "live" not in screen_lines(app)[2]


async def test_the_cursor_reads_all_runs() -> None:
    async with curves(FakeBackend()) as (app, screen, pilot):
        await pilot.press("g")
        await until(pilot, lambda: screen.chart.view.cursor == 0)
        assert all(value is not None for _, value in screen.chart.cursor_values)
        await pilot.press("c")
        await until(pilot, lambda: "copied 3 values at 0" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: screen.chart.view.cursor is None)
        assert app.screen is screen, "the cursor goes first"


async def test_the_other_ways_of_looking() -> None:
    async with curves(FakeBackend()) as (app, _, pilot):
        await pilot.press("Y", "S")
        await until(pilot, lambda: "log y  smoothed .3" in screen_lines(app)[3])
        await pilot.press("X", "X")
        await until(pilot, lambda: "by relative time" in screen_lines(app)[3])
        await pilot.press(*["S"] * 6)
        await until(pilot, lambda: "smoothed" not in screen_lines(app)[3])


async def test_a_point_that_is_logged_moves_the_line() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, screen, pilot):
        assert "1 live" in screen_lines(app)[2]
        drawn = screen.chart.lines_drawn
        made(backend).log(0, "loss", 6_200, 0.123)
        await until(pilot, lambda: "0.123" in screen_text(app))
        assert "851 points" in screen_lines(app)[3]
        assert screen.chart.lines_drawn - drawn < 20


async def test_a_server_that_fails_meanwhile_is_said_and_the_lines_stay() -> None:
    backend = FakeBackend()
    async with curves(backend, size=(120, 24)) as (app, screen, pilot):
        made(backend).tail.put_nowait("mlflow: connection refused")
        await until(pilot, lambda: "connection refused" in screen_lines(app)[2])
        assert not screen.is_empty
        made(backend).tail.put_nowait("")
        await until(pilot, lambda: "connection refused" not in screen_text(app))


async def test_a_run_that_ends_is_followed_no_more() -> None:
    backend = FakeBackend()
    async with curves(backend) as (app, _, pilot):
        given = made(backend).given
        info = msgspec.structs.replace(given[0].info, status="FINISHED")
        given[0] = msgspec.structs.replace(given[0], info=info)
        made(backend).tail.put_nowait("")
        await until(pilot, lambda: "live" not in screen_lines(app)[2])


async def test_what_is_wrong_is_said_in_the_place_of_the_lines() -> None:
    backend = FakeBackend()
    backend.evidence.wrong = UnreachableError("no answer", where="http://mlflow")
    async with console(backend) as (app, pilot):
        await pilot.press("v")
        await until(pilot, lambda: "http://mlflow: no answer" in screen_text(app))
        backend.evidence.wrong = None
        await pilot.press("r")
        await until(pilot, lambda: "0.391" in screen_text(app))


async def test_it_says_what_it_waits_for() -> None:
    backend = FakeBackend()
    backend.evidence.gate = asyncio.Event()
    async with console(backend) as (app, pilot):
        await pilot.press("v")
        await until(pilot, lambda: "asking MLflow for 1 run" in screen_text(app))
        await pilot.press("q")
        await until(pilot, lambda: "STATE" in screen_text(app))
        backend.evidence.gate.set()
        await pilot.pause()


async def test_gaps_and_samples_are_said() -> None:
    backend = FakeBackend()
    backend.evidence.made = FakeCurves(RUNS)
    backend.evidence.made.gaps = True
    backend.evidence.made.total = 1_000_000
    async with curves(backend, size=(120, 30)) as (app, _, pilot):
        assert "850 of about 3,000,000 points" in screen_lines(app)[3]
        assert "21 gaps" in screen_lines(app)[3]
        await pilot.press("d")
        await until(pilot, lambda: "310 of about 1,000,000; 3 NaN points" in screen_text(app))


async def test_runs_without_the_metric_are_counted() -> None:
    backend = FakeBackend()
    backend.evidence.runs = (*RUNS, run("young", {}, number=1))
    line = f"curves {ALL} dev/{1:032x}"
    async with curves(backend, line) as (app, _, _pilot):
        assert "1 without it  1 live" in screen_lines(app)[2]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("RUNNING", "no metric is logged yet"),
        ("FINISHED", "no metric was logged in this run; one that is nested in it may have some"),
    ],
)
async def test_a_run_without_metrics_says_so(status: str, said: str) -> None:
    backend = FakeBackend()
    backend.evidence.runs = (run("empty", {}, number=1, status=status),)
    async with console(backend) as (app, pilot):
        await pilot.press("v")
        await until(pilot, lambda: said in screen_text(app))
        await pilot.press("M", "j", "H", "+", "left", "c", "W", "S")
        await until(pilot, lambda: isinstance(app.screen, CurvesScreen))


async def test_points_are_saved_as_csv(tmp_path: Path) -> None:
    async with curves(FakeBackend(), save_dir=str(tmp_path)) as (app, _, pilot):
        await pilot.press("W", "enter")
        await until(pilot, lambda: "saved 851 lines" in screen_text(app))
        saved = (tmp_path / "curves.csv").read_text().splitlines()
        assert saved[0] == '"run","metric","step","time","value"'
        assert saved[1].startswith(f'"dev/{RUNS[0].run_id}","loss",0,"2026-11-2')
        await pilot.press("W", "enter")
        await until(pilot, lambda: "not saved: File exists" in screen_text(app))
        await pilot.press("W", *(["backspace"] * 3), *"xls", "enter")
        await until(pilot, lambda: "saved as .csv" in screen_text(app))


async def test_a_metric_alone_is_of_the_run_under_the_cursor() -> None:
    async with console(FakeBackend()) as (app, pilot):
        app.command_line.run("curves loss")
        await until(pilot, lambda: isinstance(app.screen, CurvesScreen))
        assert isinstance(app.screen, CurvesScreen)
        assert app.screen.looked.metrics == ("loss",)


async def test_a_command_without_a_run_says_what_is_wanted() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        app.command_line.run("curves loss")
        await until(pilot, lambda: "name a run" in screen_text(app))


@pytest.mark.parametrize("view", ["compare", "eval", "scatter"])
async def test_a_word_that_names_no_run_is_said_and_not_left_out(view: str) -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        app.command_line.run(f"{view} {RUNS[0].run_id} 0363g")
        await until(pilot, lambda: "0363g names no run; by six or more" in screen_text(app))
        assert backend.evidence.asked == []


def test_what_names_a_run_and_what_a_metric() -> None:
    whole = f"{7:032x}"
    runs = (whole, f"dev/{whole}", "03631dfd", "dev/03631d", "ranker/12", "ranker@champion")
    metrics = ("loss", "f1", "facade", "step12", "val/loss", "03631")
    assert _runs_and_metrics([*metrics, *runs]) == (runs, metrics)


async def test_a_command_alone_looks_at_what_is_under_the_cursor() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        app.command_line.run("curves")
        await until(pilot, lambda: isinstance(app.screen, CurvesScreen))
        assert backend.evidence.asked == [f"curves dev/{0x7BE2:032x}"]


async def test_hostile_names_are_text() -> None:
    backend = FakeBackend()
    names = (
        "\x1b[31mred",
        "[@click=q]x[/]",
        "漢字の名前がとても長い" * 9,
        "e\u0301👩\u200d🚀",
        "a/b c",
        "\n",
    )
    backend.evidence.runs = tuple(
        run(name, {name or "m": 1.0, "loss": 2.0}, number=n + 1) for n, name in enumerate(names)
    )
    line = "curves " + " ".join(f"{n + 1:032x}" for n in range(len(names)))
    async with curves(backend, line) as (app, _screen, pilot):
        for key in ("j", "j", "M", "escape", "d", "escape"):
            await pilot.press(key)
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.cell_length == 80
            assert "\x1b" not in screen_text(app)


async def test_it_lives_through_every_size() -> None:
    async with curves(FakeBackend()) as (app, _screen, pilot):
        await pilot.press("H", "left")
        for size in ((200, 50), (20, 5), (1, 1), (47, 9), (132, 43), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.cell_length == size[0]
        assert "ranker" in screen_text(app)
