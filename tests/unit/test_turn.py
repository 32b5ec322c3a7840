"""Keys go before rows, and rows before what is looked at; and nothing waits for keys for ever."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mcp_tui.config import Config
from mcp_tui.domain.jobview import JobView
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig
from mcp_tui.store import turn as turns
from mcp_tui.store.table import NO_CHANGE, Change
from mcp_tui.store.turn import KEY_FIRST, Turn
from mcp_tui.tui import collector
from mcp_tui.tui.live import taking as takings
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.live.jobs_model import JobsModel
from mcp_tui.tui.model import Phase


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_has_its_turn_for_a_moment() -> None:
    clock = Clock()
    turn = Turn(clock)
    assert not turn.is_a_keys
    turn.key()
    assert turn.is_a_keys
    clock.now += KEY_FIRST
    assert not turn.is_a_keys


async def test_what_can_wait_waits_for_the_frame_of_a_key() -> None:
    turn = Turn()
    began = time.monotonic()
    await turn.comes()
    turn.key()
    await turn.comes()
    assert time.monotonic() - began >= KEY_FIRST
    assert not turn.is_a_keys


async def test_keys_that_never_end_hold_nothing_up_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "KEY_FIRST", 1e6)
    turn = Turn()
    turn.key()
    async with asyncio.timeout(60):
        await turn.comes()
    assert turn.is_a_keys


def nothing() -> Kubeconfig:
    raise AssertionError("no kubeconfig is read")


@pytest.mark.parametrize("latest", [1e6, 0.05])
async def test_rows_wait_for_a_key_but_not_for_ever(
    latest: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "KEY_FIRST", 1e6)
    monkeypatch.setattr(takings, "LATEST", latest)
    backend = LiveBackend(Config(state_dir=tmp_path), nothing, (), None, {})
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1

    backend._taking.changed()
    await asyncio.sleep(2 * takings._FRAME)
    assert not told, "there is no screen yet"
    backend._taking.start(tell)
    await passes(lambda: told == 1)
    await asyncio.sleep(takings._FRAME)
    backend.key()
    backend._taking.changed()
    for _ in range(5):
        await asyncio.sleep(takings._BEHIND_A_KEY)
    if latest > 1:
        assert told == 1
        monkeypatch.setattr(turns, "KEY_FIRST", 0.0)
    await passes(lambda: told == 2)
    await backend.stop()


async def passes(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


class Pages:
    """A store whose rows are still to be made."""

    def __init__(self) -> None:
        self.left = 0
        self.phase: Phase = "loading"
        self.asked: list[int | None] = []
        self.table: dict[str, JobView] = {}

    @property
    def dirty(self) -> bool:
        return self.left > 0

    def flush(self, now: float, most: int | None = None) -> Change:
        del now
        self.asked.append(most)
        self.phase = "ready"  # All pages are there, and not all of their rows.
        self.left -= min(self.left, most or self.left)
        return NO_CHANGE


async def test_the_rows_of_the_last_page_are_made_as_quickly_as_those_before() -> None:
    store = Pages()
    live = cast("Live", SimpleNamespace(name="c", store=store))
    jobs = JobsModel(lambda: (store.phase, ()), lambda _: False)
    taking = takings.Taking(jobs, lambda: [live], turns.Turn(), lambda *_: None)

    store.left = 3 * takings._ROWS_AT_ONCE
    taking.start(lambda: None)
    await taking.rested()
    assert store.asked == [takings._ROWS_AT_ONCE] * 3
    store.asked.clear()
    store.left = 2 * takings._ROWS_BETWEEN_KEYS
    taking.changed()
    await taking.rested()
    assert store.asked == [takings._ROWS_BETWEEN_KEYS] * 2
    taking.stop()


def test_the_collector_waits_for_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda generation=2: asked.append(generation))
    counts = (0, 0, 0)
    monkeypatch.setattr(gc, "get_count", lambda: counts)
    collector.at_rest(1e6)
    counts = (0, 1_000, 1_000)
    collector.at_rest(0.5)
    assert asked == []
    collector.at_rest(2.0)
    assert asked == [1]
    collector.at_rest(100.0)
    assert asked == [1, 2]
