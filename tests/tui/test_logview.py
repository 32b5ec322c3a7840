"""The line viewer: a burst, following, searching, saving."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.tui.model import Cell, LogLine
from mcp_tui.tui.screens.viewer import ViewScreen
from mcp_tui.tui.widgets import faultwords, logview
from mcp_tui.tui.widgets.logview import LogView, plain
from tests.tui.fake import FakeBackend
from tests.tui.harness import console, screen_lines, screen_text, until


async def logs(backend: FakeBackend, app: object, pilot: object) -> LogView:
    await pilot.press("l")  # type: ignore[attr-defined]  # a pilot
    await until(pilot, lambda: "Killed" in screen_text(app))  # type: ignore[arg-type]  # a pilot
    view = app.screen.view  # type: ignore[attr-defined]  # the detail
    assert isinstance(view, LogView)
    return view


async def test_a_burst_keeps_the_newest_counts_the_dropped_and_draws_a_screen() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        drawn = view.rows_drawn
        for start in range(0, 100_000, 1_000):
            backend.details.feed.put_nowait(
                [LogLine(f"burst {n}") for n in range(start, start + 1_000)]
            )
        await pilot.press("T")
        assert view.timestamps, "keys are heard in the middle of it"
        await until(pilot, lambda: "burst 99999" in screen_text(app))
        assert view.count <= view.capacity + view.capacity // 8
        assert view.count + view.dropped == 100_042
        assert "older dropped" in screen_lines(app)[2]
        assert view.rows_drawn - drawn < 110 * view.size.height, "no line off screen was drawn"


async def test_scrolling_up_stops_following_and_counts_what_is_new() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        assert "following" in screen_lines(app)[2]
        await pilot.press("k", "k")
        shown = screen_lines(app)[4:-1]
        backend.details.feed.put_nowait([LogLine(f"later {n}") for n in range(7)])
        await until(pilot, lambda: "7 new lines" in screen_text(app))
        assert screen_lines(app)[4:-1] == shown, "what one reads stays"
        await pilot.press("G")
        await until(pilot, lambda: "later 6" in screen_text(app))
        assert view.follows and not view.unseen


async def test_searching_goes_round_and_marks() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        await pilot.press("/", *"STEP 500", "enter")
        assert "step 500 loss" in screen_lines(app)[4]
        style = app.palette["match"]
        assert any(
            s.text == "step 500" and s.style and s.style.bgcolor == style.bgcolor
            for s in view.render_line(0)
        )
        await pilot.press("/", *"/step 1[12]00/", "enter", "n")
        assert "step 1200" in screen_lines(app)[4]
        await pilot.press("N")
        assert "step 1100" in screen_lines(app)[4]
        await pilot.press("/", *"/[/", "enter")
        assert "not a regular expression" in screen_text(app)
        await pilot.press("/", *"nowhere", "enter")
        assert "no match" in screen_text(app)


async def test_a_search_that_could_take_for_ever_is_refused() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        view.append([LogLine("a" * 27 + "!")])
        await pilot.press("/", *"/(a+)+$/", "enter")
        assert "/(a+)+$/ repeats what repeats: it could take for ever" in screen_text(app)
        assert view.pattern is None, "nothing was searched with it"


async def test_what_a_search_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        view.set_lines([LogLine("error " + "-" * 16_000 + " gpu")])
        assert view.search("/error.*gpu/").endswith(" in the first 8,192 characters of a line")
        assert view.search("gpu") == ""
        assert view.search("nowhere") == "no match for nowhere"
        monkeypatch.setattr(logview, "PATIENCE", -1.0)
        assert "no more lines were searched" in view.search("gpu")
        await pilot.press("n")
        assert "no match" in screen_text(app)


async def test_n_finds_errors_when_nothing_was_searched_and_f_shows_only_those() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        await pilot.press("g", "n")
        await until(pilot, lambda: "RuntimeError" in screen_text(app))
        await pilot.press("f")
        assert view.faults
        lines = [line for line in screen_lines(app)[4:-1] if line]
        assert len(lines) == 2 and all("step" not in line for line in lines)


def rows(view: LogView) -> list[str]:
    """The rows that a viewer shows."""
    return ["".join(cell.text for cell in row) for _, row in view._page_rows()]


async def test_faults_alone_are_shown_wherever_the_text_is_scrolled_to() -> None:
    async with console(FakeBackend()) as (app, pilot):
        texts = [f"error {n}" if n in (5, 9, 11) else f"line {n}" for n in range(200)]
        screen = ViewScreen(("x",), [(Cell(text),) for text in texts])
        app.push_screen(screen)
        view = screen.view
        await until(pilot, lambda: "line 0" in screen_text(app))
        await pilot.press("G", "f")
        await until(pilot, lambda: rows(view) == ["error 5", "error 9", "error 11"])
        await pilot.press("j", "j", "ctrl+d", "G")
        assert rows(view) == ["error 5", "error 9", "error 11"], "no blank page below them"
        await pilot.press("f", "g", "k")
        assert rows(view)[:2] == ["line 0", "line 1"]
        view.set_lines([(Cell("all is well"),)])
        await pilot.press("f")
        await until(pilot, lambda: "faults only: there are none" in screen_text(app))


async def test_the_end_of_the_faults_follows_again() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        view.set_lines([LogLine(f"error {n}" if n % 10 == 0 else f"step {n}") for n in range(999)])
        await pilot.press("f", *(["k"] * 5))
        await until(pilot, lambda: not view.follows)
        assert rows(view)[-1] == "error 940" and not view.at_end
        await pilot.press(*(["j"] * 4))
        assert not view.follows
        await pilot.press("j")
        assert view.follows and rows(view)[-1] == "error 990"
        backend.details.feed.put_nowait([LogLine("step 999"), LogLine("it was killed")])
        await until(pilot, lambda: rows(view)[-1] == "it was killed")
        await pilot.press("n", "n")
        assert rows(view)[0] == "error 820" and not view.follows


async def test_each_line_is_looked_at_for_faults_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def is_fault(text: str) -> bool:
        looked.append(text)
        return faultwords.is_fault(text)

    monkeypatch.setattr(logview, "is_fault", is_fault)
    async with console(FakeBackend()) as (app, pilot):
        view = await logs(FakeBackend(), app, pilot)
        view.capacity = 4_000
        view.set_lines([LogLine(f"fail {n}" if n % 100 == 0 else f"{n}") for n in range(4_000)])
        await pilot.press("f")
        await pilot.pause()
        assert len(looked) >= 4_000
        page = 2 * view.size.height
        looked.clear()
        await pilot.press("k", "k", "j", "ctrl+u", "ctrl+d")
        assert len(looked) < 10 * page, "what is drawn, and no line besides"
        looked.clear()
        view.append([LogLine("step"), LogLine("fail 4000")])
        await pilot.press("G")
        await until(pilot, lambda: rows(view)[-1] == "fail 4000")
        assert len(looked) < 5 * page
        looked.clear()
        view.append([LogLine(f"step {n}") for n in range(600)])
        await pilot.press("g")
        await until(pilot, lambda: rows(view)[0] == "fail 700")
        assert view.dropped == 602 and len(looked) < 600 + 5 * page
        assert rows(view)[-1] == f"fail {700 + 100 * (len(rows(view)) - 1)}"


@settings(max_examples=60)
@given(st.text(max_size=60) | st.sampled_from(["KeyError: x", "OOM", "paniced", "failS", "room"]))
def test_the_quick_look_for_faults_finds_what_the_pattern_finds(text: str) -> None:
    assert faultwords.is_fault(text) == (faultwords.ERRORS.search(text) is not None)


async def test_what_is_said_of_a_log_stands_out_and_is_among_its_faults() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        view = await logs(backend, app, pilot)
        backend.details.feed.put_nowait([LogLine("pods/log: not yours", tone="attention")])
        await until(pilot, lambda: "not yours" in screen_text(app))
        assert view._line_rows(view.count - 1)[0][-1].tone == "attention"
        await pilot.press("f")
        await until(pilot, lambda: "step" not in screen_text(app))
        assert "not yours" in screen_text(app)


async def test_wrapping_and_times() -> None:
    backend = FakeBackend()
    async with console(backend, (40, 24)) as (app, pilot):
        view = await logs(backend, app, pilot)
        backend.details.feed.put_nowait([LogLine("word " * 30, 1_795_402_920.0, "node-1")])
        await until(pilot, lambda: screen_text(app).count("word") >= 24)
        await pilot.press("w")
        assert not view.wraps
        assert screen_text(app).count("word") < 10 and ".." in screen_text(app)
        await pilot.press("T")
        assert "03:02:00 node-1 word" in screen_text(app)


async def test_saving_never_overwrites(tmp_path: Path) -> None:
    backend = FakeBackend()
    async with console(backend, save_dir=str(tmp_path)) as (app, pilot):
        await logs(backend, app, pilot)
        await pilot.press("W", "enter")
        path = tmp_path / "ranker-train-0412.log"
        await until(pilot, path.exists)
        assert path.read_text("utf-8").endswith("Killed\n")
        assert "saved 42 lines" in screen_text(app)
        path.write_text("mine", "utf-8")
        await pilot.press("W", "enter")
        await until(pilot, lambda: "not saved" in screen_text(app))
        assert path.read_text("utf-8") == "mine"


async def test_hostile_lines_are_text() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await logs(backend, app, pilot)
        backend.details.feed.put_nowait(
            [
                LogLine("\x1b[2J\x1b[31mred [b]x[/b] [@click=app.quit]y[/]\x07"),
                LogLine("\u202eevil\t tab"),
                LogLine("漢字" * 60),
                LogLine("x" * 20_000),
            ]
        )
        await until(pilot, lambda: "xxxx" in screen_text(app))
        await pilot.press("g", "G")
        await pilot.press(*(["ctrl+u"] * 30))
        text = screen_text(app)
        for bad in "\x1b\x07\u202e\t":
            assert bad not in text
        for strip in app.screen._compositor.render_strips():
            assert strip.cell_length == 80


async def test_it_lives_through_resizes() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await logs(backend, app, pilot)
        for size in ((200, 50), (20, 5), (3, 3), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("k", "ctrl+d", "G")
        assert "Killed" in screen_text(app)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_plain_text_is_one_safe_line(parts: list[str]) -> None:
    text = plain(tuple(Cell(part) for part in parts))
    assert "\n" not in text and "\x1b" not in text
