"""The course of one metric of one run: what a line of a chart is drawn from."""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from mcp_tui.domain.chart.scale import LIMIT
from mcp_tui.domain.chart.smooth import MANY, smoothed

Axis = Literal["step", "time", "relative"]
AXES: Final[tuple[Axis, ...]] = ("step", "time", "relative")
AXIS_WORDS: Final[dict[Axis, str]] = {
    "step": "by step",
    "time": "by wall time, UTC",
    "relative": "by relative time",
}


class Course:
    """Points of a metric, in whatever order they came; immutable once made.

    Args:
        key: What tells it from all other courses; colours and the cursor's values go by place.
        name: As the legend calls it.
        steps: One for each point.
        times: Seconds since 1970, one for each point.
        values: NaN and infinities are gaps.
        total: How many points there are where these came from, which is more than these when the
            server sampled them; as many as these when nobody knows.
        start: When the run began, in seconds since 1970; else the first point's time.
        about: These are some of more points: ``total`` is an estimate, or where it says no more
            than these, nobody knows how many.
    """

    __slots__ = (
        "_orders",
        "_smooth",
        "_start",
        "_times",
        "about",
        "key",
        "name",
        "steps",
        "total",
        "values",
    )

    def __init__(
        self,
        key: str,
        name: str,
        steps: Iterable[float],
        times: Iterable[float],
        values: Iterable[float],
        *,
        total: int | None = None,
        start: float | None = None,
        about: bool = False,
    ) -> None:
        self.key = key
        self.name = name
        self.steps = _array(steps)
        self._times = _array(times)
        self.values = _array(values)
        if not len(self.steps) == len(self._times) == len(self.values):
            raise ValueError("a course needs a step, a time and a value for each point")
        self.total = max(total or 0, len(self.values))
        self.about = about
        self._start = start
        self._orders: dict[str, tuple[array[float], array[float]]] = {}
        self._smooth: tuple[str, float, array[float]] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def times(self) -> Sequence[float]:
        """Seconds since 1970 of each point, as they came; NaN where there is none."""
        return self._times

    @property
    def start(self) -> float:
        """When it began: what relative times are counted from."""
        if self._start is None:
            self._start = _least(self._times)
        return self._start

    def with_more(
        self,
        steps: Sequence[float],
        times: Sequence[float],
        values: Sequence[float],
        *,
        total: int | None = None,
    ) -> Course:
        """This course and what was logged since."""
        return Course(
            self.key,
            self.name,
            self.steps + _array(steps),
            self._times + _array(times),
            self.values + _array(values),
            total=total if total is not None else self.total + len(values),
            start=self._start,
            about=self.about,
        )

    def along(self, axis: Axis) -> tuple[array[float], array[float]]:
        """Places on an axis, ascending, and the value at each.

        Points of one place stay in the order of their times; a place that is no number is left
        out, for there is nowhere to draw it.
        """
        if axis not in self._orders:
            xs = self.steps
            if axis == "time":
                xs = self._times
            elif axis == "relative":
                xs = array("d", (time - self.start for time in self._times))
            self._orders[axis] = _ordered(xs, self._times, self.values)
        return self._orders[axis]

    def extent(self, axis: Axis) -> tuple[float, float] | None:
        """The first place on an axis and the last; None where there are no points."""
        xs, _ = self.along(axis)
        return (xs[0], xs[-1]) if xs else None

    def smooth(self, axis: Axis, weight: float) -> array[float]:
        """The values of :meth:`along`, smoothed."""
        if not 0 < weight < 1:
            return self.along(axis)[1]
        if self._smooth is None or self._smooth[:2] != (axis, weight):
            self._smooth = (axis, weight, smoothed(self.along(axis)[1], weight))
        return self._smooth[2]

    def at(self, axis: Axis, place: float, weight: float = 0.0) -> tuple[float, float] | None:
        """The last point that is not behind ``place``; None before the first and after the end."""
        xs, _ = self.along(axis)
        index = bisect_right(xs, place) - 1
        if index < 0 or (index == len(xs) - 1 and place > xs[-1]):
            return None
        return xs[index], self.smooth(axis, weight)[index]

    def last(
        self, axis: Axis, weight: float = 0.0, *, within: float = math.inf
    ) -> tuple[float, float] | None:
        """The last point that is a number and not behind a place; None where there is none."""
        xs, _ = self.along(axis)
        ys = self.smooth(axis, weight)
        for index in range(bisect_right(xs, within) - 1, -1, -1):
            if drawable(ys[index]):
                return xs[index], ys[index]
        return None

    def beyond(self, axis: Axis, place: float, way: int) -> float | None:
        """The place of the next point to the right (1) or left (-1) of one; None at the end."""
        xs, _ = self.along(axis)
        index = bisect_right(xs, place) if way > 0 else bisect_left(xs, place) - 1
        return xs[index] if 0 <= index < len(xs) else None

    def nearest(self, axis: Axis, place: float) -> float | None:
        """The place of the point that is nearest to one; None where there are no points."""
        xs, _ = self.along(axis)
        index = bisect_left(xs, place)
        near = xs[max(0, index - 1) : index + 1]
        return min(near, key=lambda x: abs(x - place), default=None)


def drawable(value: float) -> bool:
    """Whether a value can be drawn: a number, and not beyond what doubles reckon with."""
    return -LIMIT <= value <= LIMIT


def _least(times: array[float]) -> float:
    if len(times) >= MANY:
        import numpy as np

        given = np.frombuffer(times, dtype=np.float64)
        given = given[np.isfinite(given)]
        return float(given.min()) if len(given) else 0.0
    return min((time for time in times if math.isfinite(time)), default=0.0)


def _array(values: Iterable[float]) -> array[float]:
    return values if isinstance(values, array) else array("d", values)


def _ordered(
    xs: array[float], times: array[float], values: array[float]
) -> tuple[array[float], array[float]]:
    if len(xs) >= MANY:
        import numpy as np

        x = np.frombuffer(xs, dtype=np.float64)
        good = np.abs(x) <= LIMIT
        if good.all() and bool((np.diff(x) > 0).all()):
            return xs, values
        when = np.frombuffer(times, dtype=np.float64)
        order = np.lexsort((np.where(np.isnan(when), math.inf, when), x))
        found = order[good[order]]
        y = np.frombuffer(values, dtype=np.float64)
        return array("d", x[found].tobytes()), array("d", y[found].tobytes())
    if all(drawable(x) for x in xs) and all(a < b for a, b in itertools.pairwise(xs)):
        return xs, values
    # A time that is no number counts as infinite, so that there is one order for all.
    keys = (
        (x, math.inf if math.isnan(t) else t, i)
        for i, (x, t) in enumerate(zip(xs, times, strict=True))
    )
    kept = [index for x, _, index in sorted(k for k in keys if drawable(k[0]))]
    return array("d", (xs[i] for i in kept)), array("d", (values[i] for i in kept))
