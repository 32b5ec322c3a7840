"""Opening the console in a test, waiting for conditions, and reading what is on screen."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual import events
from textual.pilot import Pilot

from mcp_tui.tui.app import Console
from mcp_tui.tui.model import ConsoleOptions
from tests.tui.fake import FakeBackend

DEADLINE = 15.0
"""Generous: a loaded machine is not a defect."""


def make(backend: FakeBackend, **options: object) -> Console:
    """The app over a backend."""
    given: dict[str, object] = {"contexts": backend.state().contexts, "ascii": False, **options}
    return Console(lambda: backend, ConsoleOptions(**given))  # type: ignore[arg-type]  # by name


@asynccontextmanager
async def console(
    backend: FakeBackend, size: tuple[int, int] = (80, 24), **options: object
) -> AsyncIterator[tuple[Console, Pilot[int]]]:
    """The console, open and ready."""
    app = make(backend, **options)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.ready)
        yield app, pilot


async def until(pilot: Pilot[int], true: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + DEADLINE
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"never came true\n{screen_text(pilot.app)}")
        await pilot.pause(0.01)
    await pilot.pause()


def screen_lines(app: object) -> list[str]:
    """The front screen's own lines as text, trailing blanks cut."""
    strips = app.screen._compositor.render_strips()  # type: ignore[attr-defined]  # Textual has no public way
    return [strip.text.rstrip() for strip in strips]


def screen_text(app: object) -> str:
    """The front screen as one text."""
    return "\n".join(screen_lines(app))


async def changed(app: Console, backend: FakeBackend, pilot: Pilot[int]) -> None:
    """The backend says that something changed, and it is drawn."""
    backend.on_change()
    await until(pilot, lambda: not app._dirty)


NAMED = {
    " ": "space",
    ":": "colon",
    "/": "slash",
    "-": "minus",
    "?": "question_mark",
    "\t": "tab",
    "\r": "enter",
}
"""Textual's names of keys whose characters are none."""


def at_once(app: Console, text: str) -> None:
    """As a terminal gives keys that it read once: over a slow line, or from a quick hand."""
    for character in text:
        app.post_message(events.Key(NAMED.get(character, character), character))
