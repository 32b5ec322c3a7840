"""In which order a list of runs is asked for again, and who hears of it when."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_tui.domain.run import Experiment, Run, RunInfo
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.mlflow import RunPage
from mcp_tui.store import runwatch
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.store.turn import Turn


class Server:
    """Has one experiment, and notes what it is asked."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = {run.run_id: run for run in runs}
        self.asked: list[str] = []

    def runs_in_order(self, *_: object, **__: object) -> None:
        """No pages here: the list is filled by the test."""

    async def newest(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> dict[str, Run]:
        self.asked.append(f"newest {len(run_ids)}")
        return {run_id: self.runs[run_id] for run_id in run_ids if run_id in self.runs}

    async def started_since(self, *_: object, **__: object) -> RunPage:
        self.asked.append("new")
        return RunPage()

    async def get_experiment(self, experiment_id: str) -> Experiment:
        self.asked.append("experiment")
        return Experiment(experiment_id=experiment_id)


def run(number: int, status: str = "RUNNING", start: int = 1) -> Run:
    info = RunInfo(
        run_id=f"{number:032x}", experiment_id="1", status=status, start_time=start, run_name="r"
    )
    return Run(info=info)


def watching(server: Any, runs: Sequence[Run]) -> tuple[RunWatch, list[set[str] | None]]:
    told: list[set[str] | None] = []

    def tell(touched: set[str] | None) -> None:
        told.append(touched)
        server.asked.append("told")

    watch = RunWatch(
        server, ["1"], ["metrics.loss"], health=MlflowHealth(), on_change=tell, turn=Turn()
    )
    watch.list.take(runs)
    return watch, told


async def test_runs_on_screen_are_told_of_before_others_are_asked_for() -> None:
    runs = [run(n) for n in range(60)]
    server = Server([run(n, start=2) for n in range(60)])
    watch, told = watching(server, runs)
    on_screen = [each.run_id for each in runs[:5]]
    watch.visible(on_screen)
    await watch.look()
    assert server.asked[:3] == ["newest 5", "told", "new"]
    assert told[0] == set(on_screen)
    assert server.asked[3:] == ["newest 50", "told", "newest 5", "told", "experiment"]
    assert told[1:] == [{r.run_id for r in runs[5:55]}, {r.run_id for r in runs[55:]}]


async def test_what_is_gone_is_told_before_anything_else_is_asked_or_fails() -> None:
    """In between the list on screen has keys of rows that are no more."""
    server = Server([])
    runs = [run(n, status="FINISHED") for n in range(60)]
    watch, told = watching(server, runs)
    asked: list[int] = []

    async def newest(run_ids: Sequence[str], _: Sequence[str]) -> dict[str, Run]:
        assert not asked or {i for each in told for i in each or ()} == set(on_screen[:50])
        asked.append(len(run_ids))
        if len(asked) == 2:
            raise UnreachableError("no answer")
        return {}

    server.newest = newest  # type: ignore[method-assign]  # runs are deleted, then it is away
    on_screen = [each.run_id for each in runs]
    watch.visible(on_screen)
    with pytest.raises(UnreachableError):
        await watch.look()
    assert asked == [50, 10]
    assert told == [set(on_screen[:50])]


async def test_that_nothing_changed_is_told_once() -> None:
    runs = [run(n) for n in range(3)]
    watch, told = watching(Server(runs), runs)
    watch.visible([each.run_id for each in runs])
    await watch.look()
    assert told == [set()]


async def test_a_list_of_runs_that_ended_says_that_the_server_answers() -> None:
    runs = [run(n, status="FINISHED") for n in range(3)]
    server = Server(runs)
    watch, told = watching(server, runs)
    took = await watch.look()
    assert (told, took) == ([set()], 0.0)
    assert "newest 3" not in server.asked


async def test_experiments_are_asked_after_one_at_a_time_and_each_that_is_gone_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runwatch, "OTHERS_EVERY", 0.0)
    server = Server([run(1)])
    deleted = {"2", "3"}

    async def get_experiment(experiment_id: str) -> Experiment:
        server.asked.append(f"experiment {experiment_id}")
        stage = "deleted" if experiment_id in deleted else "active"
        return Experiment(experiment_id=experiment_id, name=experiment_id, lifecycle_stage=stage)

    monkeypatch.setattr(server, "get_experiment", get_experiment)
    made = RunWatch(
        server,  # type: ignore[arg-type]  # what it asks of it is here
        ["1", "2", "3"],
        [],
        health=MlflowHealth(),
        on_change=lambda _: None,
        turn=Turn(),
    )
    made.list.take([run(1)])
    for gone in ((), ("2",), ("2", "3")):
        await made.look()
        assert made.gone == gone
    assert [each for each in server.asked if each.startswith("exp")] == [
        "experiment 1",
        "experiment 2",
        "experiment 3",
    ]
    deleted.remove("2")
    for _ in range(2):
        await made.look()
    assert made.gone == ("3",)


async def test_a_server_that_takes_long_to_look_for_new_runs_is_asked_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server([run(1)])
    made, _ = watching(server, [run(1)])
    now = 1_000.0
    monkeypatch.setattr(runwatch, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: now))
    takes = 0.0

    async def started_since(*_: object, **__: object) -> RunPage:
        nonlocal now
        now += takes
        server.asked.append("new")
        return RunPage()

    monkeypatch.setattr(server, "started_since", started_since)

    async def asked_for(seconds: float) -> int:
        nonlocal now
        server.asked.clear()
        for _ in range(int(seconds)):
            now += 1.0
            await made.look()
        return server.asked.count("new")

    assert await asked_for(60) == 12
    takes = 0.035
    await asked_for(10)
    assert await asked_for(90) in (9, 10)
    takes = 3.0
    await asked_for(10)
    # Every twelve seconds of the clock, of which three go by within each question.
    assert await asked_for(90) == pytest.approx(10, abs=1)
