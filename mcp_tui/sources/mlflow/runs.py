"""Runs as they are read: pages of a search, one, and the newest of those watched."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Iterable, Sequence
from typing import ClassVar, Final, Literal

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.run import Run
from mcp_tui.domain.runorder import NEWEST_FIRST, Merged, Part, merged
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError
from mcp_tui.sources.mlflow.wire import API, PAGE, Wire, given

IDS_PER_SEARCH: Final = 50
"""One search for 50 run ids costs the server 52 ms of CPU."""

OVERLAP_MS: Final = 60_000
"""How far back polling for new runs looks: a run's start is its client's clock."""

NEW_PAGES: Final = 10
"""Pages of new runs that are read at once: more than one is new after a pause only."""

View = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]

_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_PLAN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a search; an unknown experiment gives an empty one."""

    is_page: ClassVar[bool] = True

    runs: tuple[Run, ...] = ()
    next_page_token: str = ""


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that holds one run."""

    run: Run = Run()


def is_run_id(text: str) -> bool:
    """Whether a text can be a run's id: only such go into a filter."""
    return _RUN_ID.fullmatch(text) is not None


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
        view: View = "ACTIVE_ONLY",
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

    def runs_in_order(
        self,
        experiment_ids: Sequence[str],
        filters: Sequence[str] = ("",),
        *,
        order_by: Sequence[str] = NEWEST_FIRST,
        view: View = "ACTIVE_ONLY",
        page: int = PAGE,
        first: int = PAGE,
    ) -> RunSearch:
        """A search that is read page by page; several filters (an OR) are merged in order.

        Args:
            experiment_ids: Which experiments.
            filters: MLflow's filters, any of which a run has to fit
                (:func:`mcp_tui.domain.runfilter.parse` makes them).
            order_by: MLflow's clauses. By a metric costs the server ten times what the start does.
            view: Deleted runs or not.
            page: The most runs asked for at once; more than :data:`PAGE` make the screen lag.
            first: The most of the first page, which comes the sooner the fewer it holds.
        """
        return RunSearch(
            self,
            experiment_ids,
            filters,
            order_by=order_by,
            view=view,
            page=page,
            first=min(first, page),
        )

    async def started_since(
        self,
        experiment_ids: Sequence[str],
        since_ms: int,
        filter_: str = "",
        *,
        most: int = PAGE,
        known: Container[str] = (),
    ) -> RunPage:
        """Runs that started after a moment, newest first: a cheap question to ask again and again.

        It looks :data:`OVERLAP_MS` further back, so that runs come again that are known. A run
        that was written later with an older start is found by a whole search only.

        Args:
            experiment_ids: Which experiments.
            since_ms: The moment.
            filter_: MLflow's filter.
            most: The most runs asked for at once.
            known: Ids of runs; what started before one of these is known too.

        Returns:
            Page after page until what follows is known or of before that moment, as if it were
            one; where that takes more than :data:`NEW_PAGES`, the newest runs and a token.
        """
        recent = f"attributes.start_time > {max(0, since_ms - OVERLAP_MS)}"
        found: list[Run] = []
        token = ""
        for _ in range(NEW_PAGES):
            page = await self.search_runs(
                experiment_ids,
                f"{filter_} AND {recent}" if filter_.strip() else recent,
                max_results=most,
                order_by=NEWEST_FIRST,
                page_token=token,
            )
            found += page.runs
            token = page.next_page_token
            last = page.runs[-1] if page.runs else Run()
            if not token or last.info.start_time <= since_ms or last.run_id in known:
                return RunPage(runs=tuple(found))
        return RunPage(runs=tuple(found), next_page_token=token)

    async def children(
        self, run_id: str, experiment_ids: Sequence[str], *, page_token: str = ""
    ) -> RunPage:
        """A page of the runs nested directly in one, newest first.

        Raises:
            UsageError: It is no run id.
        """
        if not is_run_id(run_id):
            raise UsageError(f"{clean_line(run_id, limit=80)!r} is not a run's id")
        return await self.search_runs(
            experiment_ids,
            f"tags.`{keys.TAG_PARENT_RUN}` = '{run_id}'",
            order_by=NEWEST_FIRST,
            page_token=page_token,
        )

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
        wanted = sorted({each for each in run_ids if is_run_id(each)})
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


class RunSearch:
    """A search that is under way.

    Attributes:
        read: How many runs were given, or known when it began again.
        done: Whether there are no further ones.
    """

    def __init__(
        self,
        runs: Runs,
        experiment_ids: Sequence[str],
        filters: Sequence[str],
        *,
        order_by: Sequence[str],
        view: View,
        page: int,
        first: int,
    ) -> None:
        self._runs = runs
        self._experiments = [each for each in experiment_ids if each]
        self._filters = tuple(dict.fromkeys(filters)) or ("",)
        self._order_by = tuple(order_by)
        self._view: View = view
        self._page = page
        self._first = first
        self._parts = tuple(Part(more=bool(self._experiments)) for _ in self._filters)
        self._tokens = [""] * len(self._filters)
        self._given: set[str] = set()
        self._one = asyncio.Lock()

    @property
    def read(self) -> int:
        """How many runs were given."""
        return len(self._given)

    @property
    def done(self) -> bool:
        """Whether there are no further ones."""
        return not any(part.more or part.runs for part in self._parts)

    def begin_again(self, known: Iterable[str]) -> None:
        """Start at the first page: of all that is there now, what is not known is given.

        A page's token says how many runs lie before it, so that runs are passed over unseen when
        some before them were deleted meanwhile.
        """
        self._parts = tuple(Part(more=bool(self._experiments)) for _ in self._filters)
        self._tokens = [""] * len(self._filters)
        self._given = set(known)

    async def next_page(self) -> tuple[Run, ...]:
        """The next runs in order; empty at the end only.

        An error loses nothing: the next call asks again for the same page.
        """
        while (ready := await self.next_step()) is None:
            pass
        return ready

    async def next_step(self) -> tuple[Run, ...] | None:
        """As :meth:`next_page`, with one page asked for at most; None when no run is certain yet.

        That is so while pages hold nothing but runs that were given.
        """
        async with self._one:
            step = merged(self._parts, self._order_by, self._given)
            if not step.ready and step.wants:
                await self._ask(step)
                step = merged(self._parts, self._order_by, self._given)
            if not step.ready and step.wants:
                return None
            self._parts = step.parts
            self._given |= {run.run_id for run in step.ready}
            return step.ready

    async def _ask(self, step: Merged) -> None:
        pages = await asyncio.gather(*(self._asked(n) for n in step.wants))
        parts = list(step.parts)
        for n, page in zip(step.wants, pages, strict=True):
            # A server that gives the same token again would be asked for ever.
            more = page.next_page_token not in ("", self._tokens[n])
            parts[n] = Part(runs=page.runs, more=more)
            self._tokens[n] = page.next_page_token
        self._parts = tuple(parts)

    async def _asked(self, n: int) -> RunPage:
        return await self._runs.search_runs(
            self._experiments,
            self._filters[n],
            max_results=self._page if self._tokens[n] else self._first,
            order_by=self._order_by,
            page_token=self._tokens[n],
            view=self._view,
        )
