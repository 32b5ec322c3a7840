"""What the tabs of a detail have in common: asked once, again where they did not come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from textual.pilot import Pilot

from mcp_tui.errors import UnreachableError
from mcp_tui.tui.app import Console
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.screens.detail import DetailScreen
from tests.tui.fake import FakeBackend
from tests.tui.harness import console, screen_text, until


class Events:
    """The events of an object, which fail while there is a fault and wait while they are held."""

    def __init__(self) -> None:
        self.fault = ""
        self.calls = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, key: str) -> Sequence[Line]:
        self.calls += 1
        await self.answers.wait()
        if self.fault:
            raise UnreachableError(self.fault)
        return ((Cell("an event"),),)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def backend(events: Events) -> FakeBackend:
    backend = FakeBackend()
    backend.details.events = events  # type: ignore[method-assign]  # with faults
    return backend


async def open_events(app: Console, pilot: Pilot[int]) -> DetailScreen:
    """Open the first job, and look at its events."""
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, DetailScreen))
    assert isinstance(app.screen, DetailScreen)
    app.screen.show("Events")
    return app.screen


async def test_a_tab_that_did_not_come_is_asked_for_when_it_is_looked_at_again(
    backend: FakeBackend, events: Events
) -> None:
    events.fault = "no route to the server"
    async with console(backend) as (app, pilot):
        screen = await open_events(app, pilot)
        await until(pilot, lambda: "no route to the server" in screen_text(app))
        events.fault = ""
        screen.show("Overview")
        screen.show("Events")
        await until(pilot, lambda: "an event" in screen_text(app))
        screen.show("Overview")
        screen.show("Events")
        await pilot.pause()
        assert events.calls == 2, "what came is not asked for because it is looked at"


async def test_what_was_shown_stays_when_it_cannot_be_refreshed(
    backend: FakeBackend, events: Events
) -> None:
    async with console(backend) as (app, pilot):
        await open_events(app, pilot)
        await until(pilot, lambda: "an event" in screen_text(app))
        events.fault = "no route to the server"
        await pilot.press("r")
        await until(pilot, lambda: "not refreshed" in screen_text(app))
        assert "an event" in screen_text(app)
        events.fault = ""
        await pilot.press("r")
        await until(pilot, lambda: "not refreshed" not in screen_text(app))


async def test_a_key_that_is_held_down_does_not_keep_an_answer_away(
    backend: FakeBackend, events: Events
) -> None:
    """A server that takes longer than a key takes to repeat would else never be heard."""
    events.answers.clear()
    async with console(backend) as (app, pilot):
        await open_events(app, pilot)
        await until(pilot, lambda: events.calls == 1)
        await pilot.press(*"rrrrrr")
        events.answers.set()
        await until(pilot, lambda: "an event" in screen_text(app))
        assert events.calls == 1
