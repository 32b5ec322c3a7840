"""How curves are looked at: axis, scale, smoothing, the part in sight, and the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mcp_tui.domain.chart.course import AXES, Axis, Course
from mcp_tui.domain.chart.scale import SCALES, ScaleName, widened

SMOOTHINGS: Final = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)
"""What the keys go through; any other from 0 to below 1 may be set."""

_LEAST_STEPS: Final = 4.0
_LEAST_SECONDS: Final = 0.01


@dataclass(frozen=True)
class CurveView:
    """One way to look at curves; each change is another one.

    Attributes:
        axis: What the x axis is.
        scale: How the y axis is stretched.
        smoothing: The weight of what came before, 0 for none.
        window: The part of the x axis in sight; None for all of it.
        cursor: The place whose values are read; None for no cursor.
        follow: The window moves along as points come in at its end.
    """

    axis: Axis = "step"
    scale: ScaleName = "linear"
    smoothing: float = 0.0
    window: tuple[float, float] | None = None
    cursor: float | None = None
    follow: bool = False

    def with_axis(self, axis: Axis) -> CurveView:
        """Along another axis; a window and a cursor have no place there."""
        if axis == self.axis:
            return self
        return replace(self, axis=axis, window=None, cursor=None, follow=False)

    def next_axis(self) -> CurveView:
        """Along the axis after this one."""
        return self.with_axis(AXES[(AXES.index(self.axis) + 1) % len(AXES)])

    def next_scale(self) -> CurveView:
        """Linear, logarithmic, symmetric logarithmic, and round again."""
        return replace(self, scale=SCALES[(SCALES.index(self.scale) + 1) % len(SCALES)])

    def smoother(self, direction: int) -> CurveView:
        """More (1) or less (-1) smoothing."""
        if direction > 0:
            more = [weight for weight in SMOOTHINGS if weight > self.smoothing]
            return replace(self, smoothing=more[0] if more else self.smoothing)
        less = [weight for weight in SMOOTHINGS if weight < self.smoothing]
        return replace(self, smoothing=less[-1] if less else self.smoothing)

    def in_sight(self, extent: tuple[float, float]) -> tuple[float, float]:
        """The part of the x axis that is looked at."""
        return self.window if self.window is not None else extent

    def zoomed(self, extent: tuple[float, float], factor: float) -> CurveView:
        """More closely (below 1) or less (above 1), about the cursor.

        Without a cursor a window that follows keeps its end, another one its middle.
        """
        low, high = widened(*self.in_sight(extent))
        begin, end = widened(*extent)
        least = _LEAST_STEPS if self.axis == "step" else _LEAST_SECONDS
        span = max((high - low) * factor, min(least, end - begin), (end - begin) * 1e-9)
        if span >= (end - begin) * 0.999:
            return self.whole()
        about = high if self.follow or self._at_end(extent) else (low + high) / 2
        if self.cursor is not None and low <= self.cursor <= high:
            about = self.cursor
        share = (about - low) / (high - low)
        return self._window(about - span * share, span, extent)

    def panned(self, extent: tuple[float, float], share: float) -> CurveView:
        """Along by a share of what is in sight; the ends of the axis are the ends."""
        if self.window is None:
            return self
        low, high = self.window
        return self._window(low + (high - low) * share, high - low, extent)

    def whole(self) -> CurveView:
        """All of the axis."""
        return replace(self, window=None, follow=False)

    def grown(self, before: tuple[float, float], after: tuple[float, float]) -> CurveView:
        """The view after points came in: a window that follows keeps as far from the end."""
        if self.window is None or not self.follow or after[1] <= before[1]:
            return self
        way = after[1] - before[1]
        return replace(self, window=(self.window[0] + way, self.window[1] + way))

    def _at_end(self, extent: tuple[float, float]) -> bool:
        return self.window is None and self.cursor is None and extent[1] > extent[0]

    def _window(self, low: float, span: float, extent: tuple[float, float]) -> CurveView:
        begin, end = widened(*extent)
        low = max(begin, min(low, end - span))
        high = low + span
        cursor = self.cursor
        if cursor is not None:
            cursor = max(low, min(cursor, high))
        return replace(
            self, window=(low, high), cursor=cursor, follow=high >= end - (end - begin) * 1e-9
        )


def cursor_moved(
    courses: Sequence[Course], view: CurveView, low: float, high: float, cells: int, width: int
) -> float | None:
    """Where a cursor goes that moves by cells: to a point of a course, never between two.

    Where none is in the cell that it would go to, it goes on to the next one. Without a cursor it
    begins at the newest point in sight.

    Args:
        courses: What it reads.
        view: How they are looked at.
        low: The place at the left of the plot.
        high: The one at its right.
        cells: To the right, or to the left where negative.
        width: Cells of the plot.
    """
    ends = [course.extent(view.axis) for course in courses]
    if view.cursor is None or not cells:
        newest = min(high, max((end[1] for end in ends if end is not None), default=high))
        return _nearest(courses, view.axis, newest)
    target = view.cursor + cells * (high - low) / max(1, width - 1)
    way = 1 if cells > 0 else -1
    found = [course.nearest(view.axis, target) for course in courses]
    found += [course.beyond(view.axis, view.cursor, way) for course in courses]
    ahead = [x for x in found if x is not None and (x - view.cursor) * way > 0]
    return min(ahead, key=lambda x: abs(x - target), default=view.cursor)


def _nearest(courses: Sequence[Course], axis: Axis, place: float) -> float | None:
    found = [x for course in courses if (x := course.nearest(axis, place)) is not None]
    return min(found, key=lambda x: abs(x - place), default=None)


def extent_of(courses: Iterable[Course], axis: Axis) -> tuple[float, float] | None:
    """From the first place of any course to the last one; None where there are no points."""
    ends = [end for course in courses if (end := course.extent(axis)) is not None]
    if not ends:
        return None
    return min(low for low, _ in ends), max(high for _, high in ends)
