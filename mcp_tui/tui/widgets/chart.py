"""The one chart: curves, a scatter, or a histogram, drawn by the line API.

The picture is made by :mod:`mcp_tui.domain.chart`, which knows no widget; here its roles get their
colours, and lines that changed are sent from the first cell that differs to the last. The chart
binds no keys: whoever owns it calls its methods, so that letters mean the same in every pane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.domain.chart.bars import Histogram, draw_bars
from mcp_tui.domain.chart.canvas import Pen
from mcp_tui.domain.chart.course import Axis, Course
from mcp_tui.domain.chart.curves import CurvePlotter
from mcp_tui.domain.chart.drawing import place_words
from mcp_tui.domain.chart.picture import Picture, Run
from mcp_tui.domain.chart.scale import SCALES, ScaleName
from mcp_tui.domain.chart.scatter import Dot, ScatterView, along, draw_scatter
from mcp_tui.domain.chart.view import CurveView, cursor_moved, extent_of
from mcp_tui.tui.theme import ASCII_SIGNS, Palette
from mcp_tui.tui.widgets.surface import palette_of, signs_of


@dataclass(frozen=True)
class _Scatter:
    dots: tuple[Dot, ...]
    x_name: str
    y_name: str


_NOTHING = Picture(())


class Chart(Widget):
    """A chart of any size.

    Args:
        title: At the left of its first line.
        note: What it says while there is nothing to draw: why, and what would fill it.
        pen: What lines are drawn with; None takes braille, or ASCII where signs are ASCII.
        id: The widget's id.
    """

    DEFAULT_CSS: ClassVar[str] = "Chart { height: 1fr; width: 1fr; }"
    ALLOW_SELECT = False
    can_focus = True

    class CursorMoved(Message):
        """The cursor reads another place of the x axis, or (None) it was taken away."""

        def __init__(self, chart: Chart, place: float | None) -> None:
            super().__init__()
            self.chart = chart
            self.place = place

        def can_replace(self, message: Message) -> bool:
            """Only the newest place matters."""
            return isinstance(message, Chart.CursorMoved) and message.chart is self.chart

    class SightChanged(Message):
        """Another part of the x axis is looked at: what the server sampled may be too coarse.

        ``window`` is the part, or None for all of it.
        """

        def __init__(self, chart: Chart, axis: Axis, window: tuple[float, float] | None) -> None:
            super().__init__()
            self.chart = chart
            self.axis = axis
            self.window = window

        def can_replace(self, message: Message) -> bool:
            """Only the newest part matters."""
            return isinstance(message, Chart.SightChanged) and message.chart is self.chart

    def __init__(
        self,
        *,
        title: str = "",
        note: str = "no points yet",
        pen: Pen | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.title = title
        self.note = note
        self.pen = pen
        self.view = CurveView()
        self.scatter_view = ScatterView()
        self.lines_drawn = 0
        self.picture = _NOTHING
        self._courses: tuple[Course, ...] = ()
        self._other: _Scatter | Histogram | None = None
        self._plotter = CurvePlotter()
        self._strips: list[Strip | None] = []
        self._dress: object = None

    # -- what it shows ----------------------------------------------------------------------

    @property
    def courses(self) -> tuple[Course, ...]:
        """The curves, in the order of their colours."""
        return self._courses

    def show_curves(
        self, courses: Sequence[Course], *, title: str | None = None, note: str | None = None
    ) -> None:
        """Show these curves; one that is the same object as before is not looked at again.

        A window that follows goes along when points came in at the end.
        """
        before = extent_of(self._courses, self.view.axis)
        self._courses, self._other = tuple(courses), None
        self.title = self.title if title is None else title
        self.note = self.note if note is None else note
        after = extent_of(self._courses, self.view.axis)
        if before is not None and after is not None:
            self.view = self.view.grown(before, after)
        self._plotter.forget(self._courses)
        self._repaint()

    def show_scatter(
        self, dots: Sequence[Dot], *, x_name: str, y_name: str, note: str | None = None
    ) -> None:
        """Show a dot for each run."""
        self._courses, self._other = (), _Scatter(tuple(dots), x_name, y_name)
        self.note = self.note if note is None else note
        if all(dot.key != self.scatter_view.cursor for dot in dots):
            self.scatter_view = replace(self.scatter_view, cursor=None)
        self._repaint()

    def show_histogram(
        self, histogram: Histogram, *, title: str | None = None, note: str | None = None
    ) -> None:
        """Show bars, and the outline of a reference."""
        self._courses, self._other = (), histogram
        self.title = self.title if title is None else title
        self.note = self.note if note is None else note
        self._repaint()

    # -- looking at it otherwise ------------------------------------------------------------

    def look(self, view: CurveView) -> None:
        """Look at the curves in this way."""
        before, self.view = self.view, view
        self._repaint()
        if (view.window, view.axis) != (before.window, before.axis):
            self.post_message(self.SightChanged(self, view.axis, view.window))
        if view.cursor != before.cursor:
            self.post_message(self.CursorMoved(self, view.cursor))

    def zoom(self, factor: float = 0.5) -> None:
        """Look more closely (below 1) or less so (above 1), about the cursor."""
        extent = extent_of(self._courses, self.view.axis)
        if extent is not None:
            self.look(self.view.zoomed(extent, factor))

    def pan(self, share: float = 0.5) -> None:
        """Look further to the right, or to the left, by a share of what is in sight."""
        extent = extent_of(self._courses, self.view.axis)
        if extent is not None:
            self.look(self.view.panned(extent, share))

    def reset(self) -> None:
        """All of the axis, and no cursor."""
        self.scatter_view = replace(self.scatter_view, cursor=None)
        self.look(replace(self.view.whole(), cursor=None))

    def next_axis(self) -> None:
        """By step, by wall time, by relative time, and round again."""
        self.look(self.view.next_axis())

    def next_scale(self) -> None:
        """Linear, log, symlog, and round again."""
        if isinstance(self._other, _Scatter):
            self.set_scatter_scales(y=_after(self.scatter_view.y_scale))
        else:
            self.look(self.view.next_scale())

    def set_scatter_scales(self, *, x: ScaleName | None = None, y: ScaleName | None = None) -> None:
        """How the axes of a scatter are stretched."""
        view = self.scatter_view
        self.scatter_view = replace(view, x_scale=x or view.x_scale, y_scale=y or view.y_scale)
        self._repaint()

    def smooth(self, direction: int = 1) -> None:
        """More smoothing (1), or less (-1)."""
        self.look(self.view.smoother(direction))

    def set_smoothing(self, weight: float) -> None:
        """Smooth by this weight, from 0 to below 1."""
        self.look(replace(self.view, smoothing=max(0.0, min(0.999, weight))))

    # -- the cursor -------------------------------------------------------------------------

    @property
    def cursor_words(self) -> str:
        """The place that the cursor reads, exactly; empty without one."""
        place = self.view.cursor
        return "" if place is None else place_words(self.view.axis, place)

    @property
    def cursor_values(self) -> tuple[tuple[str, float | None], ...]:
        """Each course's key and what it is at the cursor; None where it is nothing."""
        view = self.view
        if view.cursor is None:
            return ()
        points = ((c.key, c.at(view.axis, view.cursor, view.smoothing)) for c in self._courses)
        return tuple((key, point[1] if point else None) for key, point in points)

    def move_cursor(self, cells: int) -> None:
        """To a point that many cells to the right, or left; the first move sets it on."""
        if isinstance(self._other, _Scatter):
            self._move_scatter(cells)
            return
        width = self.picture.plot.width
        place = cursor_moved(
            self._courses, self.view, self.picture.low, self.picture.high, cells, width
        )
        self._put_cursor(place)

    def cursor_edge(self, direction: int) -> None:
        """To the first point in sight (-1), or to the last."""
        if isinstance(self._other, _Scatter):
            self._move_scatter(direction * len(self._other.dots))
            return
        edge = self.picture.low if direction < 0 else self.picture.high
        found = [x for c in self._courses if (x := c.nearest(self.view.axis, edge)) is not None]
        self._put_cursor(min(found, key=lambda x: abs(x - edge), default=None))

    def clear_cursor(self) -> None:
        """Take it away: the legend says the last values again."""
        self.scatter_view = replace(self.scatter_view, cursor=None)
        self.look(replace(self.view, cursor=None))

    def _put_cursor(self, place: float | None) -> None:
        view = replace(self.view, cursor=place)
        extent = extent_of(self._courses, view.axis)
        if place is not None and view.window is not None and extent is not None:
            low, high = view.window
            if not low <= place <= high:  # it went over the edge: the window goes along
                beyond = place - (high if place > high else low)
                view = view.panned(extent, beyond / (high - low) + (0.2 if beyond > 0 else -0.2))
                view = replace(view, cursor=place)
        self.look(view)

    def _move_scatter(self, by: int) -> None:
        assert isinstance(self._other, _Scatter)
        dots = along(self._other.dots)
        if not dots:
            return
        keys = [dot.key for dot in dots]
        now = self.scatter_view.cursor
        at = max(0, min(len(keys) - 1, keys.index(now) + by)) if now in keys else 0
        self.scatter_view = replace(self.scatter_view, cursor=keys[at])
        self._repaint()
        self.post_message(self.CursorMoved(self, None))

    # -- drawing ----------------------------------------------------------------------------

    def _wear(self) -> tuple[Palette, Pen]:
        signs = signs_of(self.app)
        pen: Pen = "ascii" if signs is ASCII_SIGNS else self.pen or "braille"
        return palette_of(self.app), pen

    def _draw(self, palette: Palette, pen: Pen) -> Picture:
        width, height = self.size
        grid = "grid" in palette.styles
        if isinstance(self._other, Histogram):
            return draw_bars(
                self._other,
                width,
                height,
                pen=pen,
                grid=grid,
                title=self.title,
                note=self.note,
            )
        if isinstance(self._other, _Scatter):
            return draw_scatter(
                self._other.dots,
                self.scatter_view,
                width,
                height,
                x_name=self._other.x_name,
                y_name=self._other.y_name,
                pen=pen,
                grid=grid,
                note=self.note,
            )
        return self._plotter.draw(
            self._courses,
            self.view,
            width,
            height,
            pen=pen,
            title=self.title,
            note=self.note,
            marks=len(self._courses) > max(1, len(palette.series)),
            grid=grid,
        )

    def _repaint(self) -> None:
        """Draw the picture anew and send what differs from the one before."""
        width, height = self.size
        if not width or not height or not self.is_attached:
            return
        palette, pen = self._wear()
        dress = palette.name, pen, width, height
        before, self.picture = self.picture, self._draw(palette, pen)
        if dress != self._dress:
            self._dress = dress
            self._strips = [None] * height
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before.lines, self.picture.lines, strict=True)):
            if old != new:
                self._strips[y] = None
                x, end = _changed(old, new, width)
                self.refresh(Region(x, y, end - x, 1))

    def render_line(self, y: int) -> Strip:
        """A line of the picture."""
        palette, pen = self._wear()
        if (palette.name, pen, *self.size) != self._dress:
            self._repaint()
        if y >= len(self.picture.lines):
            return Strip.blank(self.size.width, palette[""])
        strip = self._strips[y]
        if strip is None:
            self.lines_drawn += 1
            base = palette[""]
            segments = [
                Segment(run.text, _style(run.role, palette, base)) for run in self.picture.lines[y]
            ]
            # Where the terminal library counts a character otherwise, its count is the one.
            strip = Strip(segments).adjust_cell_length(self.size.width, base)
            self._strips[y] = strip
        return strip

    # -- events -----------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new size."""
        del event
        self._repaint()

    def on_click(self, event: events.Click) -> None:
        """Read the place that was clicked."""
        plot = self.picture.plot
        x = event.x - plot.x
        if self._courses and 0 <= x < plot.width:
            low, high = self.picture.low, self.picture.high
            place = low + (high - low) * x / max(1, plot.width - 1)
            found = [
                p for c in self._courses if (p := c.nearest(self.view.axis, place)) is not None
            ]
            self._put_cursor(min(found, key=lambda p: abs(p - place), default=None))


def _after(scale: ScaleName) -> ScaleName:
    return SCALES[(SCALES.index(scale) + 1) % len(SCALES)]


_PLAIN_ROLES = {
    "title": "strong",
    "note": "dim",
    "label": "dim",
    "cursor": "accent",
    "place": "cursor",
    "gap": "attention",
    "outline": "strong",
}
"""Roles of a picture that the palette has another name for."""


def _style(role: str, palette: Palette, base: Style) -> Style:
    """The style of a role of a picture."""
    kind, number = role.rstrip("0123456789"), role.lstrip("abcdefghijklmnopqrstuvwxyz")
    if number and palette.series:
        place = int(number) % len(palette.series)
        if kind == "raw":
            return base + palette.faint[place]
        style = base + palette.series[place]
        return style + Style(bold=True, reverse=True) if kind == "at" else style
    return base + palette[_PLAIN_ROLES.get(role, role)]


def _changed(old: Sequence[Run], new: Sequence[Run], width: int) -> tuple[int, int]:
    """The first cell that differs and the one after the last."""
    one, other = _cells(old), _cells(new)
    if len(one) != width or len(other) != width:  # wide characters: cells are not characters
        return 0, width
    first = next(x for x in range(width) if one[x] != other[x])
    last = next(x for x in range(width - 1, -1, -1) if one[x] != other[x])
    return first, last + 1


def _cells(line: Sequence[Run]) -> list[tuple[str, str]]:
    return [(char, run.role) for run in line for char in run.text]
