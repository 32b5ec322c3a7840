"""What the Runs pane says of runs: since when, and of which experiment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcp_tui.domain.run import Experiment, Pair, Run, RunData, RunInfo
from mcp_tui.domain.runrow import RunRow
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.runlist import RunList
from mcp_tui.tui.live import runs_details
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.live.runs_details import LiveRunDetails
from mcp_tui.tui.live.runs_rows import RunRows

NOW = 1_000_000


def row(run_id: str, status: str, started: int, ended: int) -> RunRow:
    return RunRow(
        run_id=run_id,
        experiment_id="1",
        status=status,
        started=started * 1_000,
        ended=ended * 1_000,
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_since_sorts_as_it_shows(reverse: bool) -> None:
    rows = [
        row("a", "FINISHED", NOW - 500, NOW - 10),
        row("b", "KILLED", NOW - 20, 0),  # whoever ended it did not say when
        row("c", "RUNNING", NOW - 30, 0),
        row("d", "RUNNING", NOW - 40, NOW - 1),  # resumed: the end was another one's
    ]
    shown = RunRows(lambda *_: (None, False), lambda _, i: i, lambda _: False, lambda: float(NOW))
    rows.sort(key=shown.sort_key("since", reverse))
    order = "abcd"[::-1] if reverse else "abcd"
    assert "".join(each.run_id for each in rows) == order
    assert [shown._since(each) for each in rows] == [
        {"a": "10s", "b": "20s", "c": "30s", "d": "40s"}[name] for name in order
    ]


def test_a_run_that_went_is_shown_until_its_list_is_told() -> None:
    """Keys and seconds draw the rows also while an answer is being taken."""

    def of(name: str, parent: str = "") -> Run:
        pair = (Pair(key="mlflow.parentRunId", value=parent),) if parent else ()
        info = RunInfo(run_id=name * 32, run_name=name, experiment_id="1", status="FINISHED")
        return Run(info=info, data=RunData(tags=pair))

    runs = RunList()
    runs.take([of("a"), of("b", parent="a" * 32), of("c")])
    shown = RunRows(lambda *_: (None, False), lambda _, i: i, lambda _: False, lambda: float(NOW))
    shown.take("dev", runs, None)
    shown.unfold("dev/" + "a" * 32)
    named = [c.id for c in shown.columns].index("name")

    def names() -> list[str]:
        return [shown.row(n).cells[named].text.strip() for n in range(shown.count)]

    assert names() == ["- a", "b", "c"]
    gone = runs.drop("b" * 32) | runs.drop("c" * 32)
    assert names() == ["a", "b" * 8, "c"]
    shown.take("dev", runs, gone)
    assert names() == ["a"]


async def test_an_experiment_that_was_renamed_gets_its_new_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(runs_details, "time", clock)
    asked: list[str] = []
    name = "ranker"

    async def get_experiment(experiment_id: str) -> Experiment:
        asked.append(experiment_id)
        if not name:
            raise UnreachableError("not there")
        return Experiment(experiment_id=experiment_id, name=name)

    server = cast("MlflowClient", SimpleNamespace(get_experiment=get_experiment))
    details = LiveRunDetails(cast("LiveBackend", SimpleNamespace(spawn=None)))
    run = Run(info=RunInfo(run_id="a" * 32, experiment_id="7"))

    async def said() -> Any:
        return await details._experiment(server, "dev", run)

    assert [await said(), await said()] == ["ranker (7)"] * 2
    name = "ranker-2"
    clock.now += 59
    assert await said() == "ranker (7)" and asked == ["7"]
    clock.now += 1
    assert await said() == "ranker-2 (7)" and asked == ["7"] * 2
    name = ""
    clock.now += 60
    assert await said() == "ranker-2 (7)", "what is known is said while nobody answers"
