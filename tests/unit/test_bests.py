"""The best value of each metric: what is known is told at once, and the rest as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mcp_tui.domain.history import History
from mcp_tui.domain.run import Metric, Run, RunData, RunInfo
from mcp_tui.errors import UnreachableError
from mcp_tui.tui.live import bests
from mcp_tui.tui.live.bests import Best, Bests

VALUES = {"loss": (3.0, 1.0, 2.0), "accuracy": (0.1, 0.9, 0.5), "f1": (0.2, 0.3, 0.1)}


class Server:
    """Gives histories, each when it may."""

    def __init__(self) -> None:
        self.may = {name: asyncio.Event() for name in VALUES}
        self.asked: list[str] = []
        self.down: set[str] = set()

    async def histories(self, run_ids: Sequence[str], key: str) -> dict[str, History]:
        self.asked.append(key)
        await self.may[key].wait()
        if key in self.down:
            raise UnreachableError("not there")
        values = VALUES[key]
        steps = range(len(values))
        return {
            run_id: History(
                run_id=run_id, key=key, steps=tuple(steps), times=(0,) * len(values), values=values
            )
            for run_id in run_ids
        }


def run(run_id: str = "a" * 32, step: int = 2, names: Sequence[str] = ("loss", "accuracy")) -> Run:
    metrics = tuple(Metric(key=name, value=1.0, timestamp=1, step=step) for name in names)
    return Run(info=RunInfo(run_id=run_id), data=RunData(metrics=metrics))


def made(monkeypatch: pytest.MonkeyPatch) -> tuple[Server, Bests]:
    monkeypatch.setattr(bests, "SOON", 0.02)
    return Server(), Bests(asyncio.ensure_future)


async def soon(of: Bests, server: Any, which: Run) -> tuple[dict[str, Best], bool]:
    return await of.soon(server, which, None)


async def test_a_history_that_takes_long_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server, of = made(monkeypatch)
    server.may["accuracy"].set()
    assert await soon(of, server, run()) == ({"accuracy": Best(value=0.9, step=1)}, False)
    server.may["loss"].set()
    found = await soon(of, server, run())
    assert found == ({"accuracy": Best(value=0.9, step=1), "loss": Best(value=1.0, step=1)}, True)
    assert sorted(server.asked) == ["accuracy", "loss"], "each is asked for once"


async def test_what_was_logged_since_is_read_again_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, of = made(monkeypatch)
    for event in server.may.values():
        event.set()
    await soon(of, server, run())
    server.asked.clear()
    assert (await soon(of, server, run()))[1]
    assert server.asked == []
    await soon(of, server, run(step=3))
    assert sorted(server.asked) == ["accuracy", "loss"]


async def test_one_that_cannot_be_read_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server, of = made(monkeypatch)
    for event in server.may.values():
        event.set()
    server.down = {"loss"}
    assert await soon(of, server, run()) == ({"accuracy": Best(value=0.9, step=1)}, True)


async def test_of_a_run_that_is_left_nothing_is_read_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, of = made(monkeypatch)
    names = ("loss", "accuracy", "f1")
    monkeypatch.setattr(bests, "_AT_ONCE", 1)
    await soon(of, server, run(names=names))
    for event in server.may.values():
        event.set()
    assert (await soon(of, server, run("b" * 32, names=("f1",))))[1]
    assert server.asked.count("accuracy") == 0
