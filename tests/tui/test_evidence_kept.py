"""Runs that a list has read are compared without asking for them, until somebody asks again."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from mcp_tui.domain.model import ModelVersion, RegisteredModel
from mcp_tui.domain.run import Run, RunInfo
from mcp_tui.tui.live.evidence import LiveEvidence


def run(number: int, status: str = "FINISHED") -> Run:
    return Run(info=RunInfo(run_id=f"{number:032x}", experiment_id="1", status=status))


class Server:
    """Has runs, and notes for which it is asked."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = {each.run_id: each for each in runs}
        self.asked: list[str] = []
        self.versions: tuple[ModelVersion, ...] = ()
        self.searches = 0

    async def get_run(self, run_id: str) -> Run:
        self.asked.append(run_id)
        return self.runs[run_id]

    async def newest(self, run_ids: Iterable[str], experiments: object) -> dict[str, Run]:
        self.asked += run_ids
        return {each: self.runs[each] for each in run_ids}

    async def versions_of_runs(self, run_ids: Iterable[str]) -> tuple[ModelVersion, ...]:
        self.searches += 1
        return tuple(each for each in self.versions if each.run_id in set(run_ids))

    async def get_model(self, name: str) -> RegisteredModel:
        return RegisteredModel(name=name)


def evidence(server: Server, kept: Iterable[Run]) -> LiveEvidence:
    held = {each.run_id: each for each in kept}
    live = SimpleNamespace(name="dev", connection=SimpleNamespace(mlflow=server))
    part = SimpleNamespace(kept=lambda context, run_id: held.get(run_id))
    backend: Any = SimpleNamespace(
        lives={"dev": live},
        only=lambda: live,
        parts=SimpleNamespace(made=lambda name: part if name == "runs" else None),
        config=SimpleNamespace(metrics=None),
    )
    return LiveEvidence(backend)


async def test_only_what_may_have_changed_is_asked_for() -> None:
    runs = [run(1), run(2, "RUNNING"), run(3), run(4)]
    server = Server(runs)
    references = [f"dev/{each.run_id}" for each in runs]
    found = await evidence(server, runs[:3]).compare(references, "", again=False)
    assert list(found.runs) == runs
    assert set(server.asked) == {runs[1].run_id, runs[3].run_id}
    assert server.searches == 0
    assert await evidence(server, runs).champion(references) == ""
    assert server.searches == 1
    await evidence(server, runs).compare(references, "", again=True)
    assert set(server.asked) == {each.run_id for each in runs}
