"""Runs as they are read: pages of a search, one, and the newest of those watched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError
from mcp_tui.sources.mlflow.wire import API, PAGE, Wire, given

IDS_PER_SEARCH: Final = 50
"""One search for 50 run ids costs the server 52 ms of CPU."""

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_PLAN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search; an unknown experiment gives an empty one."""

    runs: tuple[Run, ...] = ()
    next_page_token: str = ""


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that holds one run."""

    run: Run = Run()


class Runs(Wire):
    """What a server says of runs."""

    async def get_run(self, run_id: str) -> Run:
        """A run with its newest metrics; ApiError 404 when there is none."""
        return (await self.get(f"{API}/runs/get", OneRun, [("run_id", run_id)])).run

    async def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_: str = "",
        *,
        max_results: int = PAGE,
        order_by: Sequence[str] = (),
        page_token: str = "",
        view: str = "ACTIVE_ONLY",
        deadline: float | None = None,
    ) -> RunPage:
        """A page of runs. MLflow's filters know AND only, and IN only for run ids."""
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_,
            "max_results": max_results,
            "order_by": list(order_by),
            "page_token": page_token,
            "run_view_type": view,
        }
        return await self.post(f"{API}/runs/search", given(body), RunPage, deadline=deadline)

    async def runs_by_plan(self, plan_id: str, experiment_ids: Sequence[str]) -> tuple[Run, ...]:
        """Every run with that plan id, deleted ones too, the oldest first.

        Raises:
            UsageError: It is no plan id.
        """
        if not _PLAN_ID.fullmatch(plan_id):
            raise UsageError(f"{clean_line(plan_id, limit=80)!r} is not a plan id")
        ids = [each for each in experiment_ids if each]
        if not ids:
            return ()
        filter_ = f"tags.`{keys.TAG_PLAN_ID}` = '{plan_id}'"
        page = await self.search_runs(ids, filter_, order_by=["attributes.start_time"], view="ALL")
        return page.runs

    async def find_run_by_plan(self, plan_id: str, experiment_ids: Sequence[str]) -> Run | None:
        """The (first) run that a plan made; None when it made none."""
        runs = await self.runs_by_plan(plan_id, experiment_ids)
        return runs[0] if runs else None

    async def newest(self, run_ids: Iterable[str], experiment_ids: Sequence[str]) -> dict[str, Run]:
        """Runs by id, with the newest value of each metric; unknown ones are absent.

        Fifty ids go in one search; what is no run id is not asked for.
        """
        wanted = sorted({each for each in run_ids if _RUN_ID.fullmatch(each)})
        found: dict[str, Run] = {}
        experiments = sorted({each for each in experiment_ids if each})
        if not experiments:
            return found
        for start in range(0, len(wanted), IDS_PER_SEARCH):
            listed = ", ".join(f"'{each}'" for each in wanted[start : start + IDS_PER_SEARCH])
            page = await self.search_runs(
                experiments,
                f"attributes.run_id IN ({listed})",
                max_results=IDS_PER_SEARCH,
                view="ALL",
            )
            found |= {run.run_id: run for run in page.runs}
        return found
