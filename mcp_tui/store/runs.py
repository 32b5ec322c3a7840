"""From successive looks at an MLflow run to what a row says of it: direction, pace, silence."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from mcp_tui.domain import keys
from mcp_tui.domain.run import Run
from mcp_tui.domain.runfacts import MetricFact, RunFacts
from mcp_tui.domain.text import one_line

_KEPT: Final = 6
_FLAT: Final = 0.005
_MOST: Final = 4_096
# The metric that tells most, by a part of its name: validation before training, loss before rest.
_MATTERS: Final = (
    "val_loss",
    "eval_loss",
    "valid",
    "loss",
    "f1",
    "auc",
    "acc",
    "reward",
    "perplex",
)


class RunTracker:
    """Remembers a few points of each metric of each run that is looked at."""

    def __init__(self) -> None:
        self._points: dict[str, dict[str, deque[tuple[int, float]]]] = {}
        self._steps: dict[str, deque[tuple[float, int]]] = {}
        self._restarted: set[str] = set()

    def facts(self, run: Run) -> RunFacts:
        """What is known of a run after this look at it."""
        run_id = run.info.run_id
        if run_id not in self._points and len(self._points) >= _MOST:
            oldest = next(iter(self._points))
            self.forget((oldest,))
        points = self._points.setdefault(run_id, {})
        metrics = []
        newest = 0
        for metric in run.data.metrics:
            if metric.key.startswith("system/"):
                continue
            newest = max(newest, metric.timestamp)
            value = metric.number
            seen = points.setdefault(metric.key, deque(maxlen=_KEPT))
            if seen and metric.step < seen[-1][0]:
                # It began again, from a checkpoint or from nothing: what was before misleads.
                seen.clear()
            if not seen or not _same(seen[-1], (metric.step, value)):
                seen.append((metric.step, value))
            name = one_line(metric.key)
            metrics.append(MetricFact(name=name, value=value, direction=_direction(seen)))
        metrics.sort(key=lambda m: (_rank(m.name), m.name))
        step = run.newest_step
        updated = newest / 1000 if newest else None
        steps = self._steps.setdefault(run_id, deque(maxlen=_KEPT))
        if step is not None and steps and step < steps[-1][1]:
            steps.clear()
            self._restarted.add(run_id)
        if step is not None and updated is not None and (not steps or steps[-1][1] != step):
            steps.append((updated, step))
        started = run.info.start_time / 1000 if run.info.start_time else None
        # Steps that were done again say nothing of how long they take.
        origin = None if run_id in self._restarted else started
        return RunFacts(
            run_id=run_id,
            experiment_id=run.info.experiment_id,
            status=one_line(run.info.status),
            step=step,
            total_steps=run.total_steps,
            metrics=tuple(metrics),
            started=started,
            updated=updated,
            interval=_interval(steps),
            seconds_per_step=_pace(steps, origin),
            cause=run.tags.get(keys.TAG_CAUSE, ""),
        )

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop what is remembered of runs that nobody looks at."""
        for run_id in run_ids:
            self._points.pop(run_id, None)
            self._steps.pop(run_id, None)
            self._restarted.discard(run_id)


def _same(one: tuple[int, float], other: tuple[int, float]) -> bool:
    """NaN counts as equal to itself: looking again is no new point."""
    both_nan = math.isnan(one[1]) and math.isnan(other[1])
    return one[0] == other[0] and (both_nan or one[1] == other[1])


def _rank(name: str) -> int:
    lower = name.lower()
    return next((i for i, part in enumerate(_MATTERS) if part in lower), len(_MATTERS))


def _direction(points: deque[tuple[int, float]]) -> str:
    """From the mean of the earlier points to the newest; flat within half a per cent."""
    values = [value for _, value in points if math.isfinite(value)]
    if len(values) < 2 or not math.isfinite(points[-1][1]):
        return ""
    before = sum(values[:-1]) / (len(values) - 1)
    change = values[-1] - before
    scale = max(abs(before), abs(values[-1]))
    if scale == 0 or abs(change) <= _FLAT * scale:
        return "flat"
    return "rising" if change > 0 else "falling"


def _interval(steps: deque[tuple[float, int]]) -> float | None:
    if len(steps) < 2:
        return None
    return max(0.0, (steps[-1][0] - steps[0][0]) / (len(steps) - 1))


def _pace(steps: deque[tuple[float, int]], started: float | None) -> float | None:
    if len(steps) >= 2 and steps[-1][1] > steps[0][1]:
        return max(0.0, (steps[-1][0] - steps[0][0]) / (steps[-1][1] - steps[0][1]))
    if steps and started is not None and steps[-1][1] > 0:
        return max(0.0, (steps[-1][0] - started) / steps[-1][1])
    return None
