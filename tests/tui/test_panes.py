"""Going from pane to pane: each is made when it is first looked at and kept as it was left."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual.binding import BindingType

from mcp_tui.tui import app as app_module
from mcp_tui.tui.model import PANES, PaneInfo
from mcp_tui.tui.panes.base import PaneScreen
from mcp_tui.tui.screens.frame import bindings_for
from tests.tui.fake import FakeBackend, FakeJob, FakeModel
from tests.tui.harness import console, screen_text, until


class OtherScreen(PaneScreen, inherit_bindings=False):
    """A second pane."""

    PANE: ClassVar[str] = "other"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("jobs")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    other = PaneInfo("other", 9, "Other", f"{__name__}:OtherScreen")
    monkeypatch.setattr(app_module, "PANES", (*PANES, other))
    backend = FakeBackend()
    backend.panes["other"] = FakeModel((FakeJob("elsewhere", "running"), FakeJob("b", "done")))
    return backend


async def test_a_pane_is_kept_as_it_was_left(backend: FakeBackend) -> None:
    async with console(backend) as (app, pilot):
        assert backend.calls == ["front jobs"]
        await pilot.press("j", "space", "enter")
        assert app.pane is not None
        left = app.pane.table.cursor
        assert left
        await until(pilot, lambda: "[Overview]" in screen_text(app))
        app.show_pane("other")
        await until(pilot, lambda: "elsewhere" in screen_text(app))
        assert "Other / ml" in screen_text(app)
        assert len(app.screen_stack) == 1, "what was open above the list is left"
        assert "front other" in backend.calls
        app.show_pane("jobs")
        await until(pilot, lambda: "ranker-train-0412" in screen_text(app))
        assert app.pane is not None
        assert (app.pane.table.cursor, len(app.pane.table.marks)) == (left, 1)
        app.show_pane("other")
        await until(pilot, lambda: "elsewhere" in screen_text(app))
        assert len(app._panes) == 2, "made once"


async def test_a_change_behind_the_pane_in_front_is_seen_on_return(backend: FakeBackend) -> None:
    async with console(backend) as (app, pilot):
        app.show_pane("other")
        await until(pilot, lambda: "elsewhere" in screen_text(app))
        backend.model.remove("ranker-train-0412")
        backend.on_change()
        app.show_pane("jobs")
        await until(pilot, lambda: "ctr-hourly-2310" in screen_text(app))
        assert "ranker-train-0412" not in screen_text(app)


async def test_the_namespace_is_changed_without_leaving_the_pane(backend: FakeBackend) -> None:
    async with console(backend) as (app, pilot):
        app.show_pane("other")
        await until(pilot, lambda: "elsewhere" in screen_text(app))
        app.command_line.run("ns research")
        await until(pilot, lambda: "Other / research" in screen_text(app))
        assert "ns research" in backend.calls
