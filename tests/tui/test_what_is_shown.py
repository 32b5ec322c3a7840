"""What stands on screen is of the object that it is said to be of, and as that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from mcp_tui.domain.plan import Verb
from mcp_tui.errors import UsageError
from mcp_tui.tui.app import Console
from mcp_tui.tui.keymap import KEYS, normalise
from mcp_tui.tui.model import Cell, ConsoleOptions, Line
from mcp_tui.tui.panes.previewed import PreviewedPane
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.detail import DetailScreen
from mcp_tui.tui.screens.frame import FrameScreen
from tests.tui.fake import FakeBackend
from tests.tui.harness import changed, console, screen_lines, screen_text, until


async def test_the_preview_is_of_the_job_under_the_cursor_though_an_answer_came_too_late() -> None:
    backend = FakeBackend()
    async with console(backend, (140, 30)) as (app, pilot):
        pane = app.screen
        assert isinstance(pane, PreviewedPane)
        asked: list[str] = []
        let = asyncio.Event()

        async def preview(key: str) -> Sequence[Line]:
            asked.append(key)
            if len(asked) == 2:
                await let.wait()
            return ((Cell(f"this is {key}"),),)

        backend.details.preview = preview  # type: ignore[method-assign]  # slow once
        first, second = (backend.model.row(n).key for n in range(2))
        pane.forget_preview()
        pane._rested()
        await until(pilot, lambda: pane.preview.text == f"this is {first}")
        await pilot.press("j")
        await until(pilot, lambda: asked == [first, second])
        await pilot.press("j")
        let.set()
        await until(pilot, lambda: not pane.workers)
        await pilot.press("k")
        await until(pilot, lambda: pane.preview.text == f"this is {second}")


async def test_a_suspended_job_is_resumed_though_the_filter_hides_it() -> None:
    backend = FakeBackend()
    key = "uid-ml-sweep-lr-17"
    async with console(backend) as (app, pilot):
        await pilot.press("j", "j", "j", "space", "slash", *"running", "enter", "z")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.planned == [(Verb.RESUME, (key,))]
        await pilot.press("escape")
        app.push_screen(DetailScreen(key, backend.model))
        await until(pilot, lambda: "sweep-lr-17  suspended" in screen_text(app))
        asked = len(backend.details.asked)
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.planned[1] == (Verb.RESUME, (key,))
        await pilot.press("escape")
        backend.model.change("sweep-lr-17", state="waiting")
        await changed(app, backend, pilot)
        assert "sweep-lr-17  waiting" in screen_text(app)
        await until(pilot, lambda: len(backend.details.asked) > asked)


@pytest.mark.parametrize("fails", [False, True])
async def test_before_there_is_a_backend_each_key_says_what_is(fails: bool) -> None:
    class Slow(FakeBackend):
        async def start(self, on_change: Callable[[], None]) -> None:
            if fails:
                raise UsageError("no context is chosen")
            await asyncio.Event().wait()

    app = Console(Slow, ConsoleOptions())
    said = "nothing was started" if fails else "still loading"
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: ("no context" if fails else "connecting") in screen_text(app))
        for line in ("forward 80", "ctx x", "ns ml", "refresh"):
            await pilot.press("j", ":", *line, "enter")
            await until(pilot, lambda: said in screen_lines(app)[-1])
        for each in ("e", "r"):
            await pilot.press("j", each)
            await until(pilot, lambda: said in screen_lines(app)[-1])
        for key in KEYS:
            if key.id not in ("interrupt", "suspend"):
                await pilot.press(normalise(key.keys)[0])
                if isinstance(app.screen, FrameScreen) and app.screen.prompt.asking:
                    app.screen.stop_asking()
                app.show_pane("jobs")
        await pilot.pause()
        assert app.is_running and app._exception is None
