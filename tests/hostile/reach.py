"""Going to each view of the console by its keys, in a test."""

from __future__ import annotations

from functools import partial

from textual.pilot import Pilot

from mcp_tui.tui.app import Console
from mcp_tui.tui.screens.frame import FrameScreen
from tests.joined.panes import Pane
from tests.tui.harness import screen_text, until


def shows(app: Console, pane: Pane) -> bool:
    """Whether the view is in front."""
    screen = app.screen
    if type(screen).__name__ != pane.screen:
        return False
    if pane.tab and getattr(screen, "tab", "") != pane.tab:
        return False
    asks = ""
    if isinstance(screen, FrameScreen) and screen.prompt.asking:
        asks = screen.prompt.ask.mode
    return asks == pane.asks


def _tells(app: Console, text: str) -> bool:
    return text in "\n" + screen_text(app)


async def reach(app: Console, pilot: Pilot[int], pane: Pane) -> None:
    """Press its keys, and wait until it is there."""
    for number, key in enumerate(pane.keys):
        await pilot.press(key)
        waits = pane.behind(number)
        if waits:
            await until(pilot, partial(_tells, app, waits))
    await until(pilot, lambda: shows(app, pane))
