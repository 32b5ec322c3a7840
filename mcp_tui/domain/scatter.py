"""Any parameter against any metric of several runs, as points for a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from mcp_tui.domain.compare import heads
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line


class Point(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run: ``at`` is its place among those given."""

    run_id: str
    label: str
    at: int
    x: float
    y: float


class Scatter(msgspec.Struct, frozen=True, kw_only=True):
    """Points, and what could not be one.

    Attributes:
        points: In the order of the runs.
        categories: Where a parameter is no number in every run: its texts, in the order in which
            they come as ``x``; empty where ``x`` is the number itself.
        left_out: Runs that are no point: without the parameter, or without a finite metric.
        log_fits: Whether all ``x`` are above zero and span a hundredfold, as learning rates do.
    """

    param: str
    metric: str
    points: tuple[Point, ...]
    categories: tuple[str, ...] = ()
    left_out: int = 0
    log_fits: bool = False


def scatter(runs: Sequence[Run], param: str, metric: str) -> Scatter:
    """Make the points of runs; nothing is made up for what is missing, and it is counted."""
    found: list[tuple[int, str, float]] = []
    for at, run in enumerate(runs):
        text, value = run.params.get(param), run.metrics.get(metric)
        if text is not None and value is not None and math.isfinite(value.number):
            found.append((at, text.strip(), value.number))
    numbers = [_number(text) for _, text, _ in found]
    numeric = all(number is not None for number in numbers)
    categories = () if numeric else tuple(sorted({text for _, text, _ in found}))
    place = {text: float(at) for at, text in enumerate(categories)}
    labels = heads(runs)
    points = tuple(
        Point(
            run_id=labels[at].run_id,
            label=labels[at].label,
            at=at,
            x=number if numeric and number is not None else place.get(text, 0.0),
            y=y,
        )
        for (at, text, y), number in zip(found, numbers, strict=True)
    )
    above = [point.x for point in points]
    log_fits = bool(numeric and above and min(above) > 0 and max(above) >= 100 * min(above))
    return Scatter(
        param=clean_line(param),
        metric=clean_line(metric),
        points=points,
        categories=tuple(clean_line(text, limit=200) for text in categories),
        left_out=len(runs) - len(points),
        log_fits=log_fits,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
