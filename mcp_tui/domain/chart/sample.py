"""Any number of points in the columns of a screen, so that no spike is lost.

Each column keeps the first, the lowest, the highest and the last of its points: M4, of Jugel,
Jerzak, Hackenbroich, Markl (2014), "M4: A Visualization-Oriented Time Series Data Aggregation",
PVLDB 7(10):797-808, which draws the same dots as all points would.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from mcp_tui.domain.chart.scale import LIMIT
from mcp_tui.domain.chart.smooth import MANY


class Group(NamedTuple):
    """The points of a column.

    ``joined`` says that a line leads here from the group before: no gap is between them.
    """

    column: int
    first: float
    low: float
    high: float
    last: float
    joined: bool


@dataclass(frozen=True)
class Sampled:
    """What a window shows of a course.

    Attributes:
        groups: In the order of their columns.
        before: The last point left of the window when a line leads in from it, else None.
        after: The first one right of it when a line leads there, else None.
        shown: Finite points within the window.
        gaps: Columns in which a value is missing: not finite, or not above ``floor``.
        missing: How many are not finite.
        below: How many are, but not above ``floor``.
        last_column: The number of the window's last column.
    """

    groups: list[Group]
    before: tuple[float, float] | None = None
    after: tuple[float, float] | None = None
    shown: int = 0
    gaps: tuple[int, ...] = ()
    missing: int = 0
    below: int = 0
    last_column: int = 0


def sample(
    xs: array[float],
    ys: array[float],
    low: float,
    high: float,
    columns: int,
    *,
    floor: float = -math.inf,
) -> Sampled:
    """The points between two places of an axis, as groups of columns.

    Args:
        xs: Ascending.
        ys: One for each.
        low: The place in the middle of the first column.
        high: The place in the middle of the last one; not below ``low``.
        columns: How many there are.
        floor: Values not above it are gaps: zero on a logarithmic scale.
    """
    begin, end = bisect_left(xs, low), bisect_right(xs, high)
    stretch = (columns - 1) / (high - low) if high > low else 0.0
    if end - begin >= MANY:
        found = _by_numpy(xs, ys, begin, end, low, stretch, floor)
    else:
        found = _plainly(xs, ys, begin, end, low, stretch, floor)

    def point(index: int, beside: int) -> tuple[float, float] | None:
        if not (0 <= index < len(xs) and 0 <= beside < len(xs)):
            return None
        drawn = _drawn(ys[index], floor) and _drawn(ys[beside], floor)
        return (xs[index], ys[index]) if drawn else None

    if begin == end:  # the window lies between two points
        before, after = point(begin - 1, begin), point(begin, begin - 1)
        return Sampled([], before, after, last_column=columns - 1)
    return Sampled(
        found.groups,
        point(begin - 1, begin),
        point(end, end - 1),
        found.shown,
        found.gaps,
        found.missing,
        found.below,
        columns - 1,
    )


def _drawn(value: float, floor: float) -> bool:
    return floor < value and -LIMIT <= value <= LIMIT


def _plainly(
    xs: array[float],
    ys: array[float],
    begin: int,
    end: int,
    low: float,
    stretch: float,
    floor: float,
) -> Sampled:
    groups: list[Group] = []
    gaps: dict[int, None] = {}
    shown = missing = below = 0
    column, first, least, most, last = -1, 0.0, 0.0, 0.0, 0.0
    broken = group_broken = True
    for index in range(begin, end):
        value = ys[index]
        here = int((xs[index] - low) * stretch + 0.5)
        if not (floor < value and -LIMIT <= value <= LIMIT):
            broken = True
            gaps[here] = None
            if -LIMIT <= value <= LIMIT:
                below += 1
            else:
                missing += 1
            continue
        shown += 1
        if here == column and not broken:
            least, most, last = min(least, value), max(most, value), value
            continue
        if column >= 0:
            groups.append(Group(column, first, least, most, last, not group_broken))
        group_broken = broken
        column, first, least, most, last, broken = here, value, value, value, value, False
    if column >= 0:
        groups.append(Group(column, first, least, most, last, not group_broken))
    return Sampled(groups, shown=shown, gaps=tuple(gaps), missing=missing, below=below)


def _by_numpy(
    xs: array[float],
    ys: array[float],
    begin: int,
    end: int,
    low: float,
    stretch: float,
    floor: float,
) -> Sampled:
    import numpy as np

    x = np.frombuffer(xs, dtype=np.float64)[begin:end]
    y = np.frombuffer(ys, dtype=np.float64)[begin:end]
    columns = ((x - low) * stretch + 0.5).astype(np.int64)
    with np.errstate(invalid="ignore"):
        finite = np.abs(y) <= LIMIT
        good = finite & (y > floor)
    missing = int(len(y) - np.count_nonzero(finite))
    below = int(np.count_nonzero(finite) - np.count_nonzero(good))
    gaps: tuple[int, ...] = ()
    if missing or below:
        gaps = tuple(int(c) for c in np.unique(columns[~good]))
        # A point after a gap begins another line: the gaps before each point tell lines apart.
        lines = np.cumsum(~good)[good]
        columns, y = columns[good], y[good]
    else:
        lines = np.zeros(len(y), dtype=np.int64)
    if not len(y):
        return Sampled([], gaps=gaps, missing=missing, below=below)
    breaks = (np.diff(columns) != 0) | (np.diff(lines) != 0)
    starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    if len(starts) > 8 * (int(columns[-1]) + 1):
        # Gaps narrower than a column cannot be seen in it, and may be a million.
        starts = np.concatenate(([0], np.flatnonzero(np.diff(columns)) + 1))
    ends = np.concatenate((starts[1:], [len(y)])) - 1
    joined = np.concatenate(([False], lines[starts[1:]] == lines[ends[:-1]]))
    rows = zip(
        columns[starts].tolist(),
        y[starts].tolist(),
        np.minimum.reduceat(y, starts).tolist(),
        np.maximum.reduceat(y, starts).tolist(),
        y[ends].tolist(),
        joined.tolist(),
        strict=True,
    )
    groups = [Group(*row) for row in rows]
    return Sampled(groups, shown=len(y), gaps=gaps, missing=missing, below=below)
