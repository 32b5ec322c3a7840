"""Keys that arrive together are taken one after another: none is a command by accident."""

from __future__ import annotations

from tests.tui.fake import FakeBackend
from tests.tui.harness import at_once, console, screen_lines, screen_text, until


async def test_what_follows_the_colon_is_for_the_prompt() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        before = backend.actions.planned if hasattr(backend.actions, "planned") else None
        at_once(app, ":zxta q")
        await until(pilot, lambda: ":zxta q" in screen_lines(app)[-1])
        assert app.pane is not None and not app.pane.table.marks
        assert len(app.screen_stack) == 1
        if before is not None:
            assert backend.actions.planned == before


async def test_a_filter_typed_in_one_burst_is_whole() -> None:
    async with console(FakeBackend()) as (app, pilot):
        at_once(app, "/ranker\rjj")
        await until(pilot, lambda: "/ranker" in screen_text(app))
        assert app.pane is not None and app.pane.model.filter == "ranker"
        await until(pilot, lambda: app.pane is not None and app.pane.table.cursor_key is not None)


async def test_a_key_of_a_screen_that_went_away_holds_up_nothing() -> None:
    async with console(FakeBackend()) as (app, pilot):
        at_once(app, "?")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        at_once(app, "qjjj:ns")
        await until(pilot, lambda: ":ns" in screen_lines(app)[-1])
        assert len(app.screen_stack) == 1
