"""A metric's course over time, sampled by the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from mcp_tui.domain.run import Metric
from mcp_tui.sources.mlflow.wire import AJAX, Wire

MAX_POINTS: Final = 2_500


class _Points(msgspec.Struct, frozen=True, kw_only=True):
    metrics: tuple[Metric, ...] = ()
    next_page_token: str = ""


class Histories(Wire):
    """What a server keeps of a metric."""

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
        together.
        """
        points = max(1, min(max_points, MAX_POINTS))
        params = [("run_ids", each) for each in run_ids]
        params += [("metric_key", key), ("max_results", str(points))]
        if start_step is not None and end_step is not None:
            params += [("start_step", str(start_step)), ("end_step", str(end_step))]
        path = f"{AJAX}/metrics/get-history-bulk-interval"
        metrics = (await self.get(path, _Points, params)).metrics
        if len(metrics) <= 2 * points * max(1, len(run_ids)):
            return metrics
        by_run = ([m for m in metrics if m.run_id == run] for run in run_ids)
        return tuple(point for course in by_run for point in _thin(course, points))


def _thin(points: Sequence[Metric], most: int) -> Sequence[Metric]:
    """Evenly chosen points, the last one always among them."""
    if len(points) <= most:
        return points
    stride = -(-len(points) // most)
    kept = list(points[::stride])
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]
