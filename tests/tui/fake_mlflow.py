"""An MLflow server's experiments and runs in memory, asked through the client's own methods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from mcp_tui.domain.run import Experiment, Metric, Pair, Run, RunData, RunInfo
from mcp_tui.errors import ApiError
from mcp_tui.sources.mlflow import PAGE, ExperimentPage, RunPage, RunSearch


def run(
    number: int,
    *,
    parent: int = 0,
    status: str = "FINISHED",
    stage: str = "active",
    start: int = 0,
    experiment: str = "1",
    tags: dict[str, str] | None = None,
    **values: float | str,
) -> Run:
    """A run; numbers are metrics and texts are parameters."""
    all_tags = {**({"mlflow.parentRunId": f"{parent:032x}"} if parent else {}), **(tags or {})}
    return Run(
        info=RunInfo(
            run_id=f"{number:032x}",
            run_name=f"run-{number}",
            experiment_id=experiment,
            status=status,
            start_time=start or 1_000_000 - number,
            lifecycle_stage=stage,
        ),
        data=RunData(
            metrics=tuple(
                Metric(key=k, value=v) for k, v in values.items() if isinstance(v, float)
            ),
            params=tuple(Pair(key=k, value=v) for k, v in values.items() if isinstance(v, str)),
            tags=tuple(Pair(key=k, value=v) for k, v in all_tags.items()),
        ),
    )


class FakeMlflow:
    """A server's runs, newest first, in pages."""

    def __init__(self, runs: Sequence[Run], page: int = 10) -> None:
        self.runs = list(runs)
        self.page = page
        self.calls: list[str] = []
        self.fails: Exception | None = None
        self.slow = 0.0
        self.experiments = [Experiment(experiment_id="1", name="one")]

    def runs_in_order(
        self,
        experiments: Sequence[str],
        filters: Sequence[str] = ("",),
        *,
        order_by: Sequence[str] = (),
        view: str = "ACTIVE_ONLY",
        first: int = PAGE,
    ) -> RunSearch:
        return RunSearch(
            self,  # type: ignore[arg-type]  # what it asks of it is here
            experiments,
            filters,
            order_by=order_by,
            view=view,  # type: ignore[arg-type]  # one of them
            page=self.page,
            first=min(first, self.page),
        )

    async def search_runs(self, experiments: Sequence[str], filter_: str = "", **how: Any) -> Any:
        self.calls.append(f"search {filter_} {' '.join(how.get('order_by', ()))}".strip())
        if self.fails is not None:
            raise self.fails
        if self.slow and "metrics" in str(how.get("order_by")):
            await asyncio.sleep(self.slow)
        if "bad" in filter_:
            raise ApiError("Invalid clause", status=400)
        deleted = how.get("view") == "DELETED_ONLY"
        listed = [r for r in self.runs if r.is_deleted == deleted]
        if "metrics.f1 DESC" in how.get("order_by", ()):
            listed.sort(key=lambda r: -r.metrics["f1"].number)
        else:
            listed.sort(key=lambda r: -r.info.start_time)
        start = int(how.get("page_token") or 0)
        end = start + self.page
        more = str(end) if end < len(listed) else ""
        return RunPage(runs=tuple(listed[start:end]), next_page_token=more)

    async def newest(self, ids: Sequence[str], experiments: Sequence[str]) -> dict[str, Run]:
        self.calls.append(f"newest {len(ids)}")
        return {r.run_id: r for r in self.runs if r.run_id in ids}

    async def started_since(
        self, experiments: Sequence[str], since: int, filter_: str = "", **how: Any
    ) -> RunPage:
        self.calls.append(f"since {since}")
        return RunPage(runs=tuple(r for r in self.runs if r.info.start_time >= since))

    async def get_experiment(self, experiment_id: str) -> Experiment:
        found = [e for e in self.experiments if e.experiment_id == experiment_id]
        if not found:
            raise ApiError("no such experiment", status=404)
        return found[0]

    async def search_experiments(self, **how: Any) -> ExperimentPage:
        if self.fails is not None:
            raise self.fails
        return ExperimentPage(experiments=tuple(self.experiments))


async def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "never came true"
        await asyncio.sleep(0.005)
