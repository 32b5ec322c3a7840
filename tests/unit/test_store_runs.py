"""Direction, pace and silence of a run, from successive looks at it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from mcp_tui.domain.run import Run
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.store.runs import RunTracker

T0 = 1_800_000_000


def look(step: int, value: float | str, at: float, key: str = "loss", **more: Any) -> Run:
    metric = {"key": key, "value": value, "timestamp": int((T0 + at) * 1000), "step": step}
    info = {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "start_time": T0 * 1000}
    data = {"metrics": [metric], "params": [{"key": "total_steps", "value": "1000"}]}
    return msgspec.convert({"info": {**info, **more}, "data": data}, Run, strict=False)


def seen(*points: tuple[int, float | str, float]) -> RunFacts:
    tracker = RunTracker()
    facts = None
    for step, value, at in points:
        facts = tracker.facts(look(step, value, at))
    assert facts is not None
    return facts


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ((1.0,), ""),
        ((1.0, 0.5), "falling"),
        ((0.5, 1.0), "rising"),
        ((1.0, 1.001), "flat"),
        ((0.0, 0.0), "flat"),
        ((1.0, "NaN"), ""),
        (("NaN", 1.0), ""),
        ((1.0, "NaN", 0.5), "falling"),
        ((-1.0, -2.0), "falling"),
        ((1.0, math.inf), ""),
    ],
)
def test_direction(values: tuple[float | str, ...], direction: str) -> None:
    facts = seen(*((n, value, n * 10.0) for n, value in enumerate(values, 1)))
    assert facts.metrics[0].direction == direction


def test_looking_at_nan_again_is_no_new_point() -> None:
    tracker = RunTracker()
    for step, value in ((1, 1.0), (2, 0.9)):
        tracker.facts(look(step, value, step))
    for _ in range(10):
        tracker.facts(look(3, "NaN", 3))
    assert tracker.facts(look(4, 0.5, 4)).metrics[0].direction == "falling"


def test_pace_is_that_of_the_newest_steps() -> None:
    facts = seen((10, 1.0, 100), (20, 0.9, 110), (30, 0.8, 120))
    assert (facts.seconds_per_step, facts.interval) == (1.0, 10.0)
    assert facts.remaining == 970.0
    assert seen((50, 1.0, 100)).seconds_per_step == 2.0


def test_steps_that_begin_again_do_not_count_with_those_before() -> None:
    facts = seen((500, 1.0, 100), (510, 0.9, 110), (20, 2.0, 200))
    assert facts.seconds_per_step is None
    assert facts.metrics[0].direction == ""
    facts = seen((500, 1.0, 100), (510, 0.9, 110), (20, 2.0, 200), (30, 1.9, 220))
    assert facts.seconds_per_step == 2.0
    assert facts.metrics[0].direction == "falling"


def test_silence_is_measured_by_the_usual_interval() -> None:
    quick = seen(*((n, 1.0, n * 10.0) for n in range(1, 5)))
    assert quick.quiet(T0 + 40 + 599) is None
    assert quick.quiet(T0 + 40 + 601) == 601
    slow = seen(*((n, 1.0, n * 400.0) for n in range(1, 5)))
    assert slow.quiet(T0 + 1600 + 1999) is None
    assert slow.quiet(T0 + 1600 + 2001) == 2001


def test_what_nobody_looks_at_is_forgotten() -> None:
    tracker = RunTracker()
    tracker.facts(look(1, 1.0, 1))
    tracker.forget(["r", "unknown"])
    assert not tracker._points
    assert not tracker._steps
