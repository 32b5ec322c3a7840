"""Metrics over time: sampled by the server where it can, else read in pages up to a bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.history import History, estimated, history_of, thin
from mcp_tui.domain.run import Metric
from mcp_tui.errors import ApiError
from mcp_tui.sources.mlflow.runs import is_run_id
from mcp_tui.sources.mlflow.wire import AJAX, API, Wire

MAX_POINTS: Final = 2_500
"""The server's own bound for each run."""

RUNS_PER_CALL: Final = 10
"""The server takes up to 100, and reads all points of each: four seconds for a million."""

LONGER_PER_RUN: Final = 0.5
"""By how much of itself the deadline of a call is longer for each of its runs."""

MAX_PAGED: Final = 25_000
"""Points of one run that are read from a server that cannot sample; in pages of 5,000."""

_PAGE: Final = 5_000
_PROBES: Final = 4
_NO_SUCH_ROUTE: Final = frozenset({"", "NotFound", "ENDPOINT_NOT_FOUND", "BAD_REQUEST"})


class _Points(msgspec.Struct, frozen=True, kw_only=True):
    metrics: tuple[Metric, ...] = ()
    next_page_token: str = ""


class Histories(Wire):
    """What a server keeps of a metric."""

    _samples = True  # until the server turns out to have no such endpoint

    async def history(
        self,
        run_ids: Sequence[str],
        key: str,
        *,
        start_step: int | None = None,
        end_step: int | None = None,
        max_points: int = 320,
    ) -> tuple[Metric, ...]:
        """A metric's course, sampled by the server to ``max_points`` for each run.

        Some versions ignore the bound, so it is kept here too. ``start_step`` and ``end_step`` go
        together. :meth:`histories` is for charts.
        """
        points = max(1, min(max_points, MAX_POINTS))
        metrics = await self._interval(run_ids, key, start_step, end_step, points)
        if len(metrics) <= 2 * points * max(1, len(run_ids)):
            return metrics
        by_run = ([m for m in metrics if m.run_id == run] for run in run_ids)
        return tuple(each[i] for each in by_run for i in thin([m.number for m in each], points))

    async def histories(
        self,
        run_ids: Iterable[str],
        key: str,
        *,
        steps: tuple[int, int] | None = None,
        max_points: int = 320,
    ) -> dict[str, History]:
        """A metric in each run, by run id; a run without it has an empty one.

        Args:
            run_ids: What is no run id is left out; a run that is gone has an empty one.
            key: The metric.
            steps: The first and the last step wanted; None for all.
            max_points: For each run; at most :data:`MAX_POINTS`.
        """
        wanted = list(dict.fromkeys(each for each in run_ids if is_run_id(each)))
        points = max(1, min(max_points, MAX_POINTS))
        found: dict[str, History] = {}
        for at in range(0, len(wanted), RUNS_PER_CALL):
            part = wanted[at : at + RUNS_PER_CALL]
            if self._samples:
                try:
                    found |= await self._sampled(part, key, steps, points)
                    continue
                except ApiError as error:
                    if error.status not in (404, 405) or error.reason not in _NO_SUCH_ROUTE:
                        raise
                self._samples = False
            for run_id in part:
                found[run_id] = await self._paged(run_id, key, steps, points)
        return found

    async def tail(self, run_id: str, key: str, since: int, *, max_points: int = 320) -> History:
        """What was logged from step ``since`` on, that step included; for live curves."""
        steps = (since, _LAST)
        found = await self.histories([run_id], key, steps=steps, max_points=max_points)
        return found.get(run_id, History(run_id=run_id, key=key))

    async def counted(self, seen: History) -> History:
        """With an estimate of how many points there are, where only a sample came.

        The server has no count: points are counted in a window before the last step, which is
        made smaller until all in it come.
        """
        last = seen.last_step
        if not seen.sampled or last is None or not self._samples:
            return seen
        window = max(1, (last - seen.steps[0]) // max(1, len(seen) - 1))
        for _ in range(_PROBES):
            within = await self._interval(
                [seen.run_id], seen.key, last - window + 1, last, MAX_POINTS
            )
            if len(within) < MAX_POINTS:
                return estimated(seen, window, len(within))
            window = max(1, window // 4)
        return seen

    async def _sampled(
        self, run_ids: Sequence[str], key: str, steps: tuple[int, int] | None, points: int
    ) -> dict[str, History]:
        start, end = steps or (None, None)
        by_run: dict[str, list[Metric]] = {run_id: [] for run_id in run_ids}
        for metric in await self._interval(run_ids, key, start, end, points):
            by_run.setdefault(metric.run_id or run_ids[0], []).append(metric)
        return {
            run_id: history_of(
                run_id, key, by_run[run_id], most=points, sampled=len(by_run[run_id]) >= points
            )
            for run_id in run_ids
        }

    async def _interval(
        self,
        run_ids: Sequence[str],
        key: str,
        start_step: int | None,
        end_step: int | None,
        points: int,
    ) -> tuple[Metric, ...]:
        params = [("run_ids", each) for each in run_ids]
        params += [("metric_key", key), ("max_results", str(points))]
        if start_step is not None and end_step is not None:
            params += [("start_step", str(start_step)), ("end_step", str(end_step))]
        path = f"{AJAX}/metrics/get-history-bulk-interval"
        deadline = self._deadline * (1 + LONGER_PER_RUN * len(run_ids))
        return (await self.get(path, _Points, params, deadline=deadline)).metrics

    async def _paged(
        self, run_id: str, key: str, steps: tuple[int, int] | None, points: int
    ) -> History:
        """All points in pages, in the order of their times, up to :data:`MAX_PAGED`."""
        metrics: list[Metric] = []
        token = ""
        while True:
            params = [("run_id", run_id), ("metric_key", key), ("max_results", str(_PAGE))]
            params += [("page_token", token)] if token else []
            try:
                page = await self.get(f"{API}/metrics/get-history", _Points, params)
            except ApiError as error:
                if error.status != 404 or error.reason != "RESOURCE_DOES_NOT_EXIST":
                    raise
                break
            metrics += page.metrics
            before, token = token, page.next_page_token
            if not token or token == before or not page.metrics or len(metrics) >= MAX_PAGED:
                break
        cut = bool(token) and len(metrics) >= MAX_PAGED
        del metrics[MAX_PAGED:]
        if steps:
            metrics = [m for m in metrics if steps[0] <= m.step <= steps[1]]
        return history_of(run_id, key, metrics, most=points, cut=cut)


_LAST: Final = 2**63 - 1
"""The largest step there is."""
