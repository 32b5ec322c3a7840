"""Runs side by side: compare, evaluation and scatter, their keys, and what they save."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from textual.pilot import Pilot

from mcp_tui.errors import UnreachableError
from mcp_tui.tui.app import Console
from mcp_tui.tui.screens.compare import CompareScreen
from mcp_tui.tui.screens.curves import CurvesScreen
from mcp_tui.tui.screens.evaluation import EvaluationScreen
from mcp_tui.tui.screens.scatter import ScatterScreen
from mcp_tui.tui.screens.together import Together
from mcp_tui.tui.screens.viewer import ViewScreen
from tests.tui.fake import FakeBackend
from tests.tui.fake_curves import RUNS, run
from tests.tui.harness import console, screen_lines, screen_text, until

KEYS = [f"dev/{each.run_id}" for each in RUNS]
ALL = " ".join(KEYS)

S = TypeVar("S", bound=Together)


@asynccontextmanager
async def view(
    kind: type[S],
    line: str,
    backend: FakeBackend | None = None,
    size: tuple[int, int] = (80, 24),
    **more: object,
) -> AsyncIterator[tuple[Console, S, Pilot[int]]]:
    async with console(backend or FakeBackend(), size, **more) as (app, pilot):
        app.command_line.run(line)
        await until(pilot, lambda: isinstance(app.screen, kind))
        screen = app.screen
        assert isinstance(screen, kind)
        await until(pilot, lambda: not screen.is_empty)
        yield app, screen, pilot


def line_of(app: Console, word: str) -> str:
    return next(line for line in screen_lines(app) if word in line)


def sweep(count: int) -> FakeBackend:
    backend = FakeBackend()
    backend.evidence.runs = tuple(
        run(
            f"sweep-{n:02d}",
            {f"metric_{m:03d}": n * 0.01 + m for m in range(100)},
            number=n + 1,
            params={f"param_{p:03d}": f"{p}-{n % 3}" for p in range(100)},
        )
        for n in range(count)
    )
    return backend


# Compare


async def test_what_differs_stands_with_the_best_marked() -> None:
    async with view(CompareScreen, f"compare {ALL}") as (app, _, pilot):
        assert "10 of 11 rows differ" in screen_lines(app)[2]
        assert "0.931 *" in line_of(app, "f1_macro")
        assert "0.412 *" in line_of(app, " loss")
        assert "seed" not in screen_text(app)
        assert "gpu_0_utilization" in screen_text(app)
        await pilot.press("0")
        await until(pilot, lambda: "seed" in screen_text(app))
        assert "11 rows" in screen_lines(app)[2]


async def test_the_baseline_stays_at_the_left() -> None:
    backend = FakeBackend()
    async with view(CompareScreen, f"compare {ALL}", backend) as (app, screen, pilot):
        await pilot.press("right", "right", "b")
        await until(pilot, lambda: "= ranker-eval-0417" in screen_text(app))
        heading = screen_lines(app)[3]
        assert heading.index("= ranker-eval-0417") < heading.index("ranker-0412")
        await pilot.press("right")
        await until(pilot, lambda: "(baseline): 0.924  +0.007 (+0.758 %)" in screen_text(app))
        assert screen.looked.baseline == KEYS[2]
        await pilot.press("left", "b")
        await until(pilot, lambda: "= " not in screen_lines(app)[3])


async def test_the_champion_is_the_baseline_to_begin_with() -> None:
    backend = FakeBackend()
    backend.evidence.ruling = KEYS[1]
    async with view(CompareScreen, f"compare {ALL}", backend) as (app, _, _pilot):
        assert "= ranker-0411" in screen_lines(app)[3]


async def test_what_says_the_same_as_the_baseline_is_dim() -> None:
    backend = FakeBackend()
    backend.evidence.ruling = KEYS[1]
    async with view(CompareScreen, f"compare {ALL}", backend) as (_, screen, _pilot):
        at = screen.rows.index_of("param/batch")
        assert at is not None
        assert [cell.tone for cell in screen.rows.row(at).cells[2:]] == ["", "dim", ""]


async def test_fifty_runs_are_gone_through_sideways() -> None:
    backend = sweep(50)
    line = "compare " + " ".join(f"{n + 1:032x}" for n in range(50))
    async with view(CompareScreen, line, backend) as (app, screen, pilot):
        assert "sweep-49" not in screen_text(app)
        await pilot.press("b", *["right"] * 49)
        await until(pilot, lambda: "> sweep-49" in screen_lines(app)[3])
        assert "= sweep-00" in screen_lines(app)[3], "it stays"
        assert " runs <" in screen_lines(app)[2]
        assert screen.table.rows_drawn < 60 * 30
        await pilot.press(*["left"] * 49)
        await until(pilot, lambda: "> = sweep-00" in screen_lines(app)[3])


async def test_only_rows_on_screen_are_made() -> None:
    line = "compare " + " ".join(f"{n + 1:032x}" for n in range(50))
    async with view(CompareScreen, line, sweep(50)) as (_app, screen, pilot):
        asked: list[int] = []
        made = screen.rows.row
        screen.rows.row = lambda n: asked.append(n) or made(n)  # type: ignore[method-assign,func-returns-value]  # a fake's
        await pilot.press("j")
        await pilot.pause()
        assert set(asked) <= set(range(24))


async def test_rows_are_filtered() -> None:
    async with view(CompareScreen, f"compare {ALL}") as (app, _, pilot):
        await pilot.press("/", *"loss")
        await until(pilot, lambda: "f1_macro" not in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "/loss  2 of 10" in screen_lines(app)[2])
        await pilot.press("escape")
        await until(pilot, lambda: "f1_macro" in screen_text(app))
        await pilot.press("/", "x", "escape")
        await until(pilot, lambda: "f1_macro" in screen_text(app))


async def test_a_row_is_opened_in_full() -> None:
    backend = FakeBackend()
    long = "x" * 8_000
    backend.evidence.runs = (
        run("a", {"f1": 1.0}, number=1, params={"prompt": long + "a"}),
        run("b", {"f1": 0.5}, number=2, params={"prompt": long + "b"}),
    )
    async with view(CompareScreen, f"compare {1:032x} {2:032x}", backend) as (app, _, pilot):
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, ViewScreen))
        assert isinstance(app.screen, ViewScreen)
        assert app.screen.view.text.count("x") >= 16_000
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))


async def test_the_curves_of_a_row() -> None:
    async with view(CompareScreen, f"compare {ALL}") as (app, _, pilot):
        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, CurvesScreen))
        await until(pilot, lambda: screen_lines(app)[3].startswith("f1_macro"))
        await pilot.press("=", *"jjjj")
        await until(pilot, lambda: "param batch" in screen_text(app))
        await pilot.press("M")
        await until(pilot, lambda: "not a metric" in screen_text(app))


async def test_one_run_shows_everything() -> None:
    async with view(CompareScreen, f"compare {KEYS[0]}") as (app, _, _pilot):
        assert "seed" in screen_text(app)


async def test_runs_that_say_the_same_are_said() -> None:
    backend = FakeBackend()
    backend.evidence.runs = tuple(run("a", {"f1": 1.0}, number=n) for n in (1, 2))
    async with view(CompareScreen, f"compare {1:032x} {2:032x}", backend) as (app, _, pilot):
        await until(pilot, lambda: "the runs say the same of everything" in screen_text(app))


@pytest.mark.parametrize("ending", ["csv", "json", "md"])
async def test_it_is_saved(ending: str, tmp_path: Path) -> None:
    backend = FakeBackend()
    backend.evidence.runs = (
        run("a", {"f1": 1.0}, number=1, params={"cmd": "=1+1"}),
        run("b", {"f1": 0.5}, number=2, params={"cmd": "x"}),
    )
    line = f"compare {1:032x} {2:032x}"
    async with view(CompareScreen, line, backend, save_dir=str(tmp_path)) as (app, _, pilot):
        await pilot.press("W", *["backspace"] * 3, *ending, "enter")
        await until(pilot, lambda: "saved " in screen_text(app))
    text = (tmp_path / f"compare.{ending}").read_text()
    if ending == "json":
        assert [row["name"] for row in json.loads(text)["rows"]] == ["f1", "cmd"]
    elif ending == "csv":
        assert list(csv.reader(io.StringIO(text)))[2][3] == "'=1+1"
    else:
        assert "1.000 (best)" in text


async def test_another_ending_is_refused(tmp_path: Path) -> None:
    async with view(CompareScreen, f"compare {ALL}", save_dir=str(tmp_path)) as (app, _, pilot):
        await pilot.press("W", "x", "enter")
        await until(pilot, lambda: "saved as .csv, .json or .md" in screen_text(app))
    assert not list(tmp_path.iterdir())


async def test_runs_that_run_are_read_again() -> None:
    backend = FakeBackend()
    async with view(CompareScreen, f"compare {ALL}", backend) as (app, _, pilot):
        asked = len(backend.evidence.asked)
        metrics = {"loss": 0.101, "f1_macro": 0.95}
        newest = run("ranker-0412", metrics, number=0x7BE2, status="RUNNING")
        backend.evidence.runs = (newest, *RUNS[1:])
        backend.current = app.state.__class__(**{**_fields(app.state), "now": app.state.now + 11})
        backend.on_change()
        await until(pilot, lambda: "0.101" in screen_text(app))
        assert len(backend.evidence.asked) == asked + 1


def _fields(state: object) -> dict[str, object]:
    return {name: getattr(state, name) for name in state.__slots__}  # type: ignore[attr-defined]  # it has slots


async def test_a_server_that_is_away_is_said() -> None:
    backend = FakeBackend()
    backend.evidence.wrong = UnreachableError("no answer", where="http://mlflow")
    async with console(backend) as (app, pilot):
        app.command_line.run(f"compare {ALL}")
        await until(pilot, lambda: "http://mlflow: no answer" in screen_text(app))
        await pilot.press("b", "0", "M", "V", "right", "W", "enter")
        app.command_line.run("compare")
        await pilot.pause()


# Evaluation


async def test_candidates_stand_beside_the_champion_with_their_gates() -> None:
    async with view(EvaluationScreen, f"eval {ALL}") as (app, _, pilot):
        heading = screen_lines(app)[3]
        assert heading.index("= ranker/41") < heading.index("ranker-0412")
        assert "3 failed  5 passed" in screen_lines(app)[2]
        assert "✗ failed 44.25" in screen_lines(app)[4], "what failed comes first"
        assert "0.965 better *" in line_of(app, " accuracy")
        assert "within noise" in line_of(app, " accuracy")
        await pilot.press("j", "right")
        await until(pilot, lambda: "ranker-0411: failed: worst: horse" in screen_text(app))
        await pilot.press("G")
        await until(pilot, lambda: "400 pairs" in screen_text(app))


async def test_why_it_cannot_be_told_is_said() -> None:
    backend = FakeBackend()
    backend.evidence.ruling = "none"
    async with view(EvaluationScreen, f"eval {ALL}", backend, (120, 40)) as (app, screen, pilot):
        assert "! cannot tell" in screen_text(app)
        await pilot.press("j")
        await until(pilot, lambda: "no champion to hold it against" in screen_text(app))
        assert "no champion is known: b" in screen_text(app)
        await pilot.press("b")
        await until(pilot, lambda: screen.looked.baseline != "")
        assert backend.evidence.asked[-1].startswith("evaluate against dev/")


async def test_a_champion_may_be_named() -> None:
    backend = FakeBackend()
    line = f"eval {ALL} against=ranker@champion"
    async with console(backend) as (app, pilot):
        app.command_line.run(line.replace("ranker@champion", KEYS[1]))
        await until(pilot, lambda: "Evaluation]" in screen_text(app))
        assert backend.evidence.asked == [f"evaluate against {KEYS[1]} {ALL}"]


async def test_all_of_it_in_words_and_saved(tmp_path: Path) -> None:
    async with view(EvaluationScreen, f"eval {ALL}", save_dir=str(tmp_path)) as (app, _, pilot):
        await pilot.press("d")
        await until(pilot, lambda: "in words" in screen_text(app))
        assert "44.25 is not <= 40" in screen_text(app)
        await pilot.press("q", "W", *["backspace"] * 3, *"json", "enter")
        await until(pilot, lambda: "saved " in screen_text(app))
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert {gate["status"] for one in found["gates"] for gate in one} == {"passed", "failed"}


# Scatter


async def test_a_parameter_against_a_metric() -> None:
    async with view(ScatterScreen, f"scatter {ALL}") as (app, screen, pilot):
        assert "f1_macro by lr" in screen_lines(app)[3]
        await pilot.press("right")
        await until(pilot, lambda: "ranker-0412  lr 0.001  f1_macro 0.931" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "loss by lr" in screen_lines(app)[3])
        await pilot.press("]")
        await until(pilot, lambda: "loss by seed" in screen_lines(app)[3])
        await pilot.press("X", "Y", "escape", "c")
        assert app.screen is screen


async def test_words_are_places_and_what_is_no_dot_is_counted(tmp_path: Path) -> None:
    backend = FakeBackend()
    backend.evidence.runs = (
        run("a", {"f1": 0.9}, number=1, params={"optimiser": "adam"}),
        run("b", {"f1": 0.8}, number=2, params={"optimiser": "sgd"}),
        run("c", {"f1": 0.7}, number=3),
    )
    line = "scatter " + " ".join(f"{n:032x}" for n in (1, 2, 3))
    async with view(ScatterScreen, line, backend, save_dir=str(tmp_path)) as (app, _, pilot):
        assert "1 without both" in screen_lines(app)[2]
        assert "adam" in screen_text(app)
        await pilot.press("W", "enter")
        await until(pilot, lambda: "saved 3 lines" in screen_text(app))
    assert '"adam",0.9' in (tmp_path / "scatter.csv").read_text()


async def test_nothing_to_scatter_is_said() -> None:
    backend = FakeBackend()
    backend.evidence.runs = (run("a", {}, number=1),)
    async with console(backend) as (app, pilot):
        app.command_line.run(f"scatter {1:032x}")
        await until(pilot, lambda: "these runs logged no parameters" in screen_text(app))
        await pilot.press("j", "[", "right", "c", "b", "X", "Y", "G")


async def test_the_scatter_of_a_row() -> None:
    async with view(CompareScreen, f"compare {ALL}") as (app, _, pilot):
        await pilot.press("V")
        await until(pilot, lambda: isinstance(app.screen, ScatterScreen))
        await until(pilot, lambda: "f1_macro by" in screen_lines(app)[3])


# Together


async def test_tab_goes_round_the_views_of_the_same_runs() -> None:
    async with view(CurvesScreen, f"curves {ALL}") as (app, _, pilot):
        for word in ("[Compare]", "[Evaluation]", "[Scatter]", "[Curves]"):
            await pilot.press("tab")
            await until(pilot, lambda word=word: word in screen_text(app))  # type: ignore[misc]  # bound at once
        await pilot.press("shift+tab")
        await until(pilot, lambda: "[Scatter]" in screen_text(app))
        assert len(app.screen_stack) == 2
        app.command_line.run("eval")
        await until(pilot, lambda: "[Evaluation]" in screen_text(app))
        await pilot.press("q")
        await until(pilot, lambda: "STATE" in screen_text(app))


async def test_marked_jobs_are_compared_by_their_runs() -> None:
    backend = FakeBackend()
    runs = dict(zip(backend.model.jobs, KEYS * 2, strict=True))
    backend.run_of = lambda key: runs[key]  # type: ignore[method-assign]  # a fake's
    async with console(backend) as (app, pilot):
        await pilot.press("b", "space", "space", "=")
        await until(pilot, lambda: "[Compare]" in screen_text(app))
        await until(pilot, lambda: "= ranker-0412" in screen_text(app))
        assert backend.evidence.asked == [f"compare against {KEYS[0]} {' '.join(KEYS[:2])}"]


@pytest.mark.parametrize("line", ["curves", "compare", "eval", "scatter"])
async def test_every_view_lives_through_every_size(line: str) -> None:
    async with view(Together, f"{line} {ALL}") as (app, _, pilot):
        for size in ((200, 50), (20, 5), (1, 1), (47, 9), (132, 43), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("right")
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.cell_length == size[0]
        assert "ranker" in screen_text(app)


@pytest.mark.parametrize("line", ["compare", "scatter"])
async def test_hostile_names_are_text(line: str) -> None:
    backend = FakeBackend()
    names = ("\x1b[31mred", "[@click=q]x[/]", "漢字の名前" * 19, "e\u0301👩\u200d🚀", "a/b c", "\n")
    backend.evidence.runs = tuple(
        run(name, {name or "m": 1.0 + n, "loss": 2.0}, number=n + 1, params={name: name})
        for n, name in enumerate(names)
    )
    given = " ".join(f"{n + 1:032x}" for n in range(len(names)))
    async with view(Together, f"{line} {given}", backend) as (app, _, pilot):
        for key in ("j", "right", "right", "b", "enter", "escape", "0", "G"):
            await pilot.press(key)
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.cell_length == 80
            assert "\x1b" not in screen_text(app)


async def test_a_baseline_chosen_while_the_runs_are_read_stays() -> None:
    backend = FakeBackend()
    async with view(CompareScreen, f"compare {ALL}", backend) as (app, screen, pilot):
        backend.evidence.gate = asyncio.Event()
        await pilot.press("r")
        await until(pilot, lambda: len(backend.evidence.asked) == 2)
        await pilot.press("right", "b")
        await until(pilot, lambda: screen.looked.baseline == KEYS[1])
        backend.evidence.gate.set()
        await until(pilot, lambda: not screen.fetching)
        assert screen.looked.baseline == KEYS[1]
        assert "= ranker-0411" in screen_lines(app)[3]


async def test_a_server_that_is_slow_is_not_asked_anew_before_it_answers() -> None:
    backend = FakeBackend()
    async with view(CompareScreen, f"compare {ALL}", backend) as (_, screen, pilot):
        assert screen.found is not None and any(not each.is_over for each in screen.found.runs)
        backend.evidence.gate = asyncio.Event()
        for _ in range(3):
            screen._read_at = float("-inf")
            screen.sync()
            await pilot.pause()
        assert len(backend.evidence.asked) == 2
        backend.evidence.gate.set()
        await until(pilot, lambda: not screen.fetching)
        screen._read_at = float("-inf")
        screen.sync()
        await until(pilot, lambda: len(backend.evidence.asked) == 3)


async def test_the_heading_says_which_is_the_baseline_also_of_the_first() -> None:
    """Nothing moves then: neither columns nor their widths."""
    backend = FakeBackend()
    backend.evidence.runs = (
        run("rumbling-shark-412", {"f1": 0.9}, number=1),
        run("rumbling-shark-413", {"f1": 0.8}, number=2),
    )
    async with view(CompareScreen, f"compare {ALL}", backend) as (app, _, pilot):
        await pilot.press("b")
        await until(pilot, lambda: "= " in screen_lines(app)[3])
        await pilot.press("b")
        await until(pilot, lambda: "= " not in screen_lines(app)[3])


async def test_what_is_named_for_the_view_in_front_is_shown_there() -> None:
    backend = FakeBackend()
    async with view(CompareScreen, f"compare {ALL}", backend) as (app, _, pilot):
        app.command_line.run(f"compare against={KEYS[2]}")
        await until(pilot, lambda: "= ranker-eval-0417" in screen_lines(app)[3])
        assert backend.evidence.asked[-1].startswith(f"compare against {KEYS[2]}")
        app.command_line.run("curves f1_macro")
        await until(pilot, lambda: isinstance(app.screen, CurvesScreen))
        made = backend.evidence.made
        assert made is not None
        await until(pilot, lambda: "load f1_macro" in made.asked)
        app.command_line.run("curves loss")
        await until(pilot, lambda: "load loss" in made.asked)
