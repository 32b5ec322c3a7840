"""The plot of a picture of curves: its axes, lines, signs, gaps and cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from mcp_tui.domain.chart.canvas import Canvas, Pen
from mcp_tui.domain.chart.course import Axis, Course, drawable
from mcp_tui.domain.chart.picture import (
    Box,
    Sheet,
    foot_axis,
    side_axis,
    sign,
    strokes_of,
    thinned,
)
from mcp_tui.domain.chart.sample import Sampled
from mcp_tui.domain.chart.scale import Scale
from mcp_tui.domain.chart.text import short_number, width_of
from mcp_tui.domain.chart.ticks import Tick, linear_ticks
from mcp_tui.domain.chart.timeticks import duration_label, duration_ticks, time_ticks
from mcp_tui.domain.chart.view import CurveView
from mcp_tui.domain.reltime import absolute

_MARK_EVERY: Final = 14


class Trace(NamedTuple):
    """What is drawn of a course: its own points, and where it is smoothed these too."""

    main: Sampled
    raw: Sampled | None


class Drawing:
    """The plot of a picture in the making."""

    def __init__(
        self, sheet: Sheet, plot: Box, scale: Scale, low: float, high: float, pen: Pen
    ) -> None:
        self.sheet, self.plot, self.scale = sheet, plot, scale
        self.low, self.high, self.pen = low, high, pen
        self.canvas = Canvas(plot.width, plot.height, pen)
        self.ends: dict[int, int] = {}
        self._signs: list[tuple[int, int, int]] = []
        self._gaps: set[int] = set()

    def column(self, x: float) -> int:
        """The column of dots of a place on the x axis."""
        span = self.high - self.low
        return self.canvas.column((x - self.low) / span if span > 0 else 0.5)

    def row(self, y: float) -> int:
        """The row of dots of a value."""
        return self.canvas.row(self.scale.at(y))

    # -- axes -------------------------------------------------------------------------------

    def axes(self, view: CurveView, ticks: list[Tick], *, grid: bool) -> None:
        """Both of them, and the grid."""
        plot, canvas = self.plot, self.canvas
        if plot.x:
            rows = [canvas.cell(0, self.row(tick.value))[1] for tick in ticks]
            side_axis(self.sheet, plot, thinned(ticks, 1, rows), self.pen, grid=grid)
        if plot.y + plot.height + 1 < self.sheet.height:
            # Without anything drawn there is nothing that numbers would be about.
            found = x_ticks(view.axis, self.low, self.high, plot.width) if ticks else []
            at = [(canvas.cell(self.column(tick.value), 0)[0], tick.label) for tick in found]
            if view.cursor is not None:
                at = self._beside_cursor(at, view)
            foot_axis(self.sheet, plot, at, self.pen)

    def _beside_cursor(self, at: list[tuple[int, str]], view: CurveView) -> list[tuple[int, str]]:
        """Ticks whose labels leave room for the cursor's own."""
        begin, text = self._cursor_label(view)
        end = begin + width_of(text)

        def clear(column: int, label: str) -> bool:
            half = (width_of(label) + 1) // 2 + 1
            middle = self.plot.x + column
            return middle + half < begin or middle - half > end

        return [(column, label if clear(column, label) else "") for column, label in at]

    def _cursor_label(self, view: CurveView) -> tuple[int, str]:
        assert view.cursor is not None
        text = f" {place_words(view.axis, view.cursor)} "
        middle = self.plot.x + self.canvas.cell(self.column(view.cursor), 0)[0]
        begin = max(0, min(middle - len(text) // 2, self.sheet.width - len(text)))
        return begin, text

    # -- lines ------------------------------------------------------------------------------

    def lines(self, traces: Sequence[Trace], *, marks: bool) -> None:
        """Draw what was sampled; the first course last, so that it lies on top."""
        beneath = Canvas(self.plot.width, self.plot.height, self.pen)
        for series in reversed(range(len(traces))):
            trace = traces[series]
            if trace.raw is not None:
                self._strokes(beneath, trace.raw, series)
            self._strokes(self.canvas, trace.main, series)
            self._note_signs(trace.main, series, marks=marks, several=len(traces) > 1)
            self._gaps.update(trace.main.gaps)
        self._lay(beneath, "raw")
        self._lay(self.canvas, "s")
        for x, y, series in self._signs:
            self.sheet.put(self.plot.x + x, self.plot.y + y, sign(series), f"s{series}")
        foot = self.plot.y + self.plot.height
        if foot < self.sheet.height and self.plot.x:
            for column in self._gaps:
                x = self.canvas.cell(column, 0)[0]
                self.sheet.put(self.plot.x + x, foot, "!", "gap")

    def _lay(self, canvas: Canvas, role: str) -> None:
        faint = role == "raw" and self.pen == "ascii"
        for y in range(canvas.height):
            chars, roles = self.sheet.chars[self.plot.y + y], self.sheet.roles[self.plot.y + y]
            for x, glyph, owner in canvas.drawn(y):
                chars[self.plot.x + x] = "." if faint else glyph
                roles[self.plot.x + x] = f"{role}{owner}"

    def _strokes(self, canvas: Canvas, found: Sampled, series: int) -> None:
        last: tuple[int, int] | None = None
        if found.before is not None:
            last = 0, self.row(self._edge(found, self.low))
        for index, group in enumerate(found.groups):
            first = self.row(group.first)
            if last is not None and (group.joined or index == 0):
                canvas.line(*last, group.column, first, series)
            canvas.run(group.column, self.row(group.high), self.row(group.low), series)
            last = group.column, self.row(group.last)
        if found.after is not None and last is not None:
            canvas.line(*last, canvas.columns - 1, self.row(self._edge(found, self.high)), series)

    def _edge(self, found: Sampled, x: float) -> float:
        """The value where a line crosses an edge of the window, as straight as it is drawn."""
        return _crossing(found, x, self.low, self.high, self.scale)

    def _note_signs(self, found: Sampled, series: int, *, marks: bool, several: bool) -> None:
        groups = found.groups
        if not groups:
            return
        cells = [self.canvas.cell(g.column, self.row(g.last)) for g in groups]
        self.ends[series] = cells[-1][1]
        beyond = _MARK_EVERY * (0.35 + (series % 4) / 4) if marks and several else float("inf")
        for index, (x, y) in enumerate(cells):
            alone = not groups[index].joined and (
                index + 1 == len(groups) or not groups[index + 1].joined
            )
            entered = (index == 0 and found.before) or (index + 1 == len(groups) and found.after)
            if x >= beyond:
                beyond = x + _MARK_EVERY
                self._signs.append((x, y, series))
            elif alone and not entered and groups[index].low == groups[index].high:
                self._signs.append((x, y, series))
        if several and found.after is None:
            self._signs.append((*cells[-1], series))

    # -- the cursor -------------------------------------------------------------------------

    def cursor(self, courses: Sequence[Course], view: CurveView) -> None:
        """A line down the plot, a sign on each course, and the place under the axis."""
        assert view.cursor is not None
        if not self.low <= view.cursor <= self.high:
            return
        plot, sheet = self.plot, self.sheet
        x = plot.x + self.canvas.cell(self.column(view.cursor), 0)[0]
        for y in range(plot.y, plot.y + plot.height):
            if sheet.roles[y][x] in ("", "grid"):
                sheet.put(x, y, strokes_of(self.pen).up, "cursor")
        for series in reversed(range(len(courses))):
            point = courses[series].at(view.axis, view.cursor, view.smoothing)
            if point is None or not drawable(point[1]):
                continue
            if self.scale.name == "log" and point[1] <= 0:
                continue
            row = self.canvas.cell(0, self.row(point[1]))[1]
            sheet.put(x, plot.y + row, sign(series), f"at{series}")
        if plot.y + plot.height + 1 < sheet.height:
            begin, text = self._cursor_label(view)
            sheet.put(begin, plot.y + plot.height + 1, text, "place")


# -- pieces ------------------------------------------------------------------------------------


def x_ticks(axis: Axis, low: float, high: float, width: int) -> list[Tick]:
    """As many ticks as have room for their labels."""
    found: list[Tick] = []
    for most in range(max(2, min(12, width // 9)), 0, -1):
        if axis == "time":
            found = time_ticks(low, high, most)
        elif axis == "relative":
            found = duration_ticks(low, high, most)
        else:
            found = linear_ticks(low, high, most, integer=True)
        wide = max((width_of(tick.label) for tick in found), default=0)
        if len(found) < 2 or (wide + 3) * (len(found) - 1) <= width:
            break
    return found


def place_words(axis: Axis, place: float) -> str:
    """A place on an axis, exactly: a step, a moment, a duration."""
    if axis == "time":
        return absolute(place)
    if axis == "relative":
        whole = duration_label(int(place))
        return whole if abs(place) >= 10 or place == int(place) else f"{place:.2f}s"
    return f"{int(place):,}" if place == int(place) else short_number(place)


def _crossing(found: Sampled, x: float, low: float, high: float, scale: Scale) -> float:
    groups = found.groups
    left, right = found.before, found.after
    if groups and x == low:
        right = (_place(groups[0].column, found, low, high), groups[0].first)
    elif groups:
        left = (_place(groups[-1].column, found, low, high), groups[-1].last)
    if left is None or right is None:
        return (left or right or (0.0, scale.low))[1]
    (x0, y0), (x1, y1) = left, right
    share = (x - x0) / (x1 - x0) if x1 > x0 else 1.0
    return scale.unwarp(scale.warp(y0) + (scale.warp(y1) - scale.warp(y0)) * min(1, max(0, share)))


def _place(column: int, found: Sampled, low: float, high: float) -> float:
    return low + (high - low) * (column / found.last_column) if found.last_column else low


def passes(found: Sampled) -> bool:
    """Whether a line goes through the window without a point in it."""
    return found.before is not None and found.after is not None


def extremes(traces: Sequence[Trace], low: float, high: float) -> list[float]:
    values: list[float] = []
    for trace in traces:
        for found in (trace.main, trace.raw):
            if found is None:
                continue
            values += [value for group in found.groups for value in (group.low, group.high)]
            linear = Scale("linear", 0.0, 1.0)
            if found.before is not None and (found.groups or found.after):
                values.append(_crossing(found, low, low, high, linear))
            if found.after is not None and (found.groups or found.before):
                values.append(_crossing(found, high, low, high, linear))
    return [min(values), max(values), *_smallest(values)] if values else []


def _smallest(values: Sequence[float]) -> list[float]:
    """The one nearest to zero on each side: what symmetric logarithms begin at."""
    above = min((value for value in values if value > 0), default=None)
    below = max((value for value in values if value < 0), default=None)
    return [value for value in (above, below) if value is not None]
