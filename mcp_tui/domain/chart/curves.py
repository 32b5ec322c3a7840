"""Curves in cells: any number of courses in one picture, with axes, legend and cursor."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_tui.domain.chart import legend
from mcp_tui.domain.chart.canvas import PENS, Pen
from mcp_tui.domain.chart.course import AXIS_WORDS, Axis, Course
from mcp_tui.domain.chart.drawing import Drawing, Trace, extremes, passes
from mcp_tui.domain.chart.picture import NOWHERE, Box, Picture, Sheet, head_line, sign
from mcp_tui.domain.chart.sample import Sampled, sample
from mcp_tui.domain.chart.scale import Scale, fitted, widened
from mcp_tui.domain.chart.text import fitted_text, short_number, width_of
from mcp_tui.domain.chart.ticks import Tick, loose
from mcp_tui.domain.chart.view import CurveView, extent_of

GUTTER_FROM: Final = 48
"""Cells of a picture from which on its legend stands beside the plot, and not above it."""

_KEPT: Final = 128
_VALUE: Final = 6
"""Cells of most values: kept for them even where a shorter one stands."""
_ELSEWHERE: Final = "no points in this part; 0 shows all"


@dataclass(frozen=True)
class _Layout:
    """Where things go in a picture of a size."""

    width: int
    height: int
    head: int
    foot: int
    gutter: int
    above: int

    @property
    def rows(self) -> int:
        return max(0, self.height - self.head - self.above - self.foot)

    def plot(self, labels: int) -> Box:
        x = labels + 1 if labels else 0
        return Box(x, self.head + self.above, max(0, self.width - x - self.gutter), self.rows)


class CurvePlotter:
    """Draws curves, and keeps what it sampled: moving the cursor samples nothing again."""

    def __init__(self) -> None:
        self._sampled: OrderedDict[object, tuple[Course, Sampled]] = OrderedDict()
        self._labels = 3
        self._said_of: tuple[str, ...] = ()
        self._widest = 0
        self.samplings = 0

    def draw(
        self,
        courses: Sequence[Course],
        view: CurveView,
        width: int,
        height: int,
        *,
        pen: Pen = "braille",
        title: str = "",
        note: str = "no points yet",
        marks: bool = False,
        grid: bool = True,
    ) -> Picture:
        """A picture of exactly so many cells.

        Args:
            courses: In the order of their colours and signs.
            view: How they are looked at.
            width: Cells of a line.
            height: Lines.
            pen: What is drawn with.
            title: At the left of the first line.
            note: What the plot says when there is nothing to draw.
            marks: Signs stand along the lines, because colours do not tell them apart.
            grid: Faint lines stand behind the plot, where there are colours to make them faint.
        """
        sheet = Sheet(max(0, width), max(0, height))
        if width < 1 or height < 1:
            return sheet.done(NOWHERE)
        entries = self._entries(courses, view)
        # Wide enough for any value it has said of these: the plot stands still under a cursor.
        keys = tuple(course.key for course in courses)
        widest = max((len(entry.value) for entry in entries), default=0)
        widest = max(widest, _VALUE)
        if keys == self._said_of:
            widest = max(widest, self._widest)
        self._said_of, self._widest = keys, widest
        entries = [entry._replace(value=entry.value.rjust(widest)) for entry in entries]
        layout = _lay_out(width, height, entries)
        extent = extent_of(courses, view.axis)
        low, high = _sight(view, extent, layout)
        scale, traces, plot = self._fit(courses, view, layout, low, high, pen)
        if layout.head:
            head_line(sheet, title, _said(courses, view, traces, scale, width))
        if plot.width < 2 or plot.height < 1:
            return sheet.done(NOWHERE, low, high)
        drawing = Drawing(sheet, plot, scale, low, high, pen)
        drawn = any(trace.main.groups or passes(trace.main) for trace in traces)
        drawing.axes(view, self._ticks(scale, layout.rows) if drawn else [], grid=grid)
        if drawn:
            drawing.lines(traces, marks=marks)
        else:
            _say(sheet, plot, _nothing(traces, _ELSEWHERE if extent and view.window else note))
        if view.cursor is not None and drawn:
            drawing.cursor(courses, view)
        ends = drawing.ends
        entries = [entry._replace(row=ends.get(entry.series)) for entry in entries]
        if layout.gutter:
            x = plot.x + plot.width
            legend.draw(sheet, x, plot.y, layout.gutter, plot.height, entries)
        elif layout.above:
            _line_of_names(sheet, layout.head, entries)
        return sheet.done(plot, low, high)

    # -- parts ------------------------------------------------------------------------------

    def _fit(
        self,
        courses: Sequence[Course],
        view: CurveView,
        layout: _Layout,
        low: float,
        high: float,
        pen: Pen,
    ) -> tuple[Scale, list[Trace], Box]:
        """The y axis: its labels take from the width that its extremes are looked for in."""
        floor = 0.0 if view.scale == "log" else float("-inf")
        labelled = layout.width >= 16 and layout.rows > 0
        labels = self._labels if labelled else 0
        for _ in range(3):
            plot = layout.plot(labels)
            across = PENS[pen].across * plot.width
            traces = [self._trace(c, view, low, high, across, floor) for c in courses]
            values = extremes(traces, low, high)
            if not values and floor == 0.0:
                floor = float("-inf")  # nothing above zero: linear, which is said
                continue
            scale = fitted(view.scale, values, _most_rows(layout.rows) - 1)
            if not labelled:
                break
            wide = max((width_of(t.label) for t in self._ticks(scale, layout.rows)), default=0)
            wide = min(wide, max(1, layout.width // 4))
            if wide == labels:
                break
            labels = self._labels = wide
        return scale, traces, layout.plot(labels)

    @staticmethod
    def _ticks(scale: Scale, rows: int) -> list[Tick]:
        return scale.ticks(_most_rows(rows))

    def _trace(
        self,
        course: Course,
        view: CurveView,
        low: float,
        high: float,
        across: int,
        floor: float,
    ) -> Trace:
        main = self._sample(course, view.axis, view.smoothing, low, high, across, floor)
        if not view.smoothing:
            return Trace(main, None)
        return Trace(main, self._sample(course, view.axis, 0.0, low, high, across, floor))

    def _sample(
        self,
        course: Course,
        axis: Axis,
        smoothing: float,
        low: float,
        high: float,
        across: int,
        floor: float,
    ) -> Sampled:
        key = (id(course), axis, smoothing, low, high, across, floor)
        kept = self._sampled.get(key)
        # The course is kept beside what was made of it: an id is its own only while it lives.
        if kept is not None and kept[0] is course:
            self._sampled.move_to_end(key)
            return kept[1]
        self.samplings += 1
        xs, _ = course.along(axis)
        ys = course.smooth(axis, smoothing)
        found = sample(xs, ys, low, high, max(1, across), floor=floor)
        self._sampled[key] = course, found
        if len(self._sampled) > _KEPT:
            self._sampled.popitem(last=False)
        return found

    def forget(self, kept: Sequence[Course]) -> None:
        """Let go of what was sampled from courses other than these."""
        alive = {id(course) for course in kept}
        for key in [key for key, (course, _) in self._sampled.items() if id(course) not in alive]:
            del self._sampled[key]

    @staticmethod
    def _entries(courses: Sequence[Course], view: CurveView) -> list[legend.Entry]:
        entries = []
        for index, course in enumerate(courses):
            if view.cursor is not None:
                point = course.at(view.axis, view.cursor, view.smoothing)
            else:
                within = view.window[1] if view.window is not None else math.inf
                point = course.last(view.axis, view.smoothing, within=within)
            value = "-" if point is None else short_number(point[1])
            entries.append(legend.Entry(index, course.name, value, None))
        return entries


# -- pieces ------------------------------------------------------------------------------------


def _lay_out(width: int, height: int, entries: Sequence[legend.Entry]) -> _Layout:
    head = 1 if height >= 3 else 0
    foot = 2 if height - head >= 4 else 0
    beside = legend.needed(entries, min(44, max(16, width * 3 // 10))) if entries else 0
    if width >= GUTTER_FROM:
        return _Layout(width, height, head, foot, beside, 0)
    above = 1 if entries and height - head - foot >= 4 else 0
    return _Layout(width, height, head, foot, 0, above)


def _most_rows(rows: int) -> int:
    """Ticks of a y axis: every third row at most, and two where there are two rows."""
    return max(2 if rows > 1 else 1, min(11, (rows + 2) // 3))


def _sight(
    view: CurveView, extent: tuple[float, float] | None, layout: _Layout
) -> tuple[float, float]:
    """The two ends of the x axis."""
    if extent is None:
        return 0.0, 1.0
    if view.window is not None:
        return widened(*view.window)
    low, high = extent
    if high <= low:
        return (low - 1, high + 1) if abs(low) < 1e15 else widened(low, high)
    # An end beyond the newest point moves now and then, and not with each point.
    return loose(low, high, max(2, min(8, layout.width // 12)))


def _said(
    courses: Sequence[Course], view: CurveView, traces: Sequence[Trace], scale: Scale, width: int
) -> list[str]:
    """What the first line says of the picture; the least important last."""
    of_points = [trace.raw or trace.main for trace in traces]
    shown = sum(found.shown + found.missing + found.below for found in of_points)
    total = sum(course.total for course in courses)
    said = []
    if courses:
        unit = " points" if width >= 60 else ""
        about = "about " if any(course.about for course in courses) else ""
        if shown < total:
            said.append(f"{shown:,} of {about}{total:,}{unit}")
        else:
            said.append(f"{shown:,}{unit}{', sampled' if about else ''}")
    missing = sum(found.missing for found in of_points)
    if missing:
        said.append(f"{missing:,} gap{'s' if missing > 1 else ''}")
    below = sum(found.below for found in of_points)
    if below:
        said.append(f"{below:,} not above 0")
    if view.scale != "linear":
        none = scale.name != view.scale and any(found.shown for found in of_points)
        said.append("log y needs values above 0" if none else f"{view.scale} y")
    if view.smoothing:
        said.append(f"smoothed {view.smoothing:g}".replace("0.", "."))
    if view.window is not None:
        said.append("zoomed, following" if view.follow else "zoomed")
    said.append(AXIS_WORDS[view.axis])
    return said


def _nothing(traces: Sequence[Trace], note: str) -> str:
    missing = sum(trace.main.missing for trace in traces)
    below = sum(trace.main.below for trace in traces)
    if below:
        return "no value here is above 0"
    return "no value here is a number" if missing else note


def _say(sheet: Sheet, plot: Box, text: str) -> None:
    text = fitted_text(text, min(width_of(text), max(0, plot.width - 2)))
    x = plot.x + (plot.width - width_of(text)) // 2
    sheet.put(x - 1, plot.y + (plot.height - 1) // 2, f" {text} ", "note")


def _line_of_names(sheet: Sheet, y: int, entries: Sequence[legend.Entry]) -> None:
    x = 0
    for index, entry in enumerate(entries):
        left = sheet.width - x
        more = f"+{len(entries) - index}"
        tail = 0 if index + 1 == len(entries) else len(more) + 2
        width = min(width_of(entry.name), max(3, left - tail - 3 - len(entry.value)))
        if 2 + width + 1 + len(entry.value) + tail > left:
            sheet.put(x, y, more, "note")
            return
        role = f"s{entry.series}"
        sheet.put(x, y, f"{sign(entry.series)} {fitted_text(entry.name, width)}", role)
        sheet.put(x + 3 + width, y, entry.value, "value")
        x += 3 + width + len(entry.value) + 2
