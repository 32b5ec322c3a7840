"""Every screen, tab, pane and question of the console is among those that every sweep goes to."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.screen import Screen

import mcp_tui.tui
from mcp_tui.domain.plan import Confirmation
from mcp_tui.tui.model import PANES as KNOWN_PANES
from mcp_tui.tui.screens.detail import TABS
from mcp_tui.tui.screens.modeldetail import MODEL_TABS
from mcp_tui.tui.screens.run import RUN_TABS
from mcp_tui.tui.screens.together import VIEWS
from tests.hostile.reach import reach, shows
from tests.joined.panes import PANES, Pane
from tests.tui.fake import FakeBackend
from tests.tui.fake_terminals import offer
from tests.tui.harness import console

FOLDER = Path(mcp_tui.tui.__file__).parent


def _source() -> str:
    return "\n".join(path.read_text() for path in FOLDER.rglob("*.py"))


def _below(of: type[Screen[object]]) -> Iterator[type[Screen[object]]]:
    for each in of.__subclasses__():
        yield each
        yield from _below(each)


def _screens() -> set[str]:
    """The screens that the console makes: what is only built upon is none."""
    for module in pkgutil.walk_packages([str(FOLDER)], "mcp_tui.tui."):
        importlib.import_module(module.name)
    found = {s.__name__ for s in _below(Screen) if s.__module__.startswith("mcp_tui.")}
    made = set(re.findall(r"(?<!class )\b([A-Z]\w+)\(", _source()))
    named = [pane.screen for pane in KNOWN_PANES] + [screen for _, screen in VIEWS.values()]
    return found & (made | {screen.partition(":")[2] for screen in named})


def test_every_screen_has_joined() -> None:
    assert {pane.screen for pane in PANES} == _screens()


def test_every_tab_has_joined() -> None:
    assert {pane.tab for pane in PANES if pane.tab} == {*TABS, *RUN_TABS, *MODEL_TABS}


def test_every_pane_has_joined() -> None:
    assert {pane.pane for pane in PANES} == {pane.id for pane in KNOWN_PANES}


def test_every_question_has_joined() -> None:
    asked = set(re.findall(r'\bAsk\(\s*"(\w+)"', _source()))
    assert asked, "the questions are written otherwise now: find them as they are"
    assert {pane.asks for pane in PANES if pane.asks} == asked


def test_no_two_have_one_id() -> None:
    ids = [pane.id for pane in PANES]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("pane", PANES, ids=lambda pane: pane.id)
async def test_its_keys_lead_to_each(pane: Pane) -> None:
    backend = FakeBackend()
    offer(backend, Confirmation.TYPED if pane.prod else Confirmation.NONE)
    async with console(backend, pane.size) as (app, pilot):
        await reach(app, pilot, pane)
        assert shows(app, pane)
