"""Points of two values each: a parameter against a metric, a mark for each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_tui.domain.chart.canvas import Canvas, Pen
from mcp_tui.domain.chart.course import drawable
from mcp_tui.domain.chart.picture import (
    NOWHERE,
    Box,
    Picture,
    Sheet,
    foot_axis,
    head_line,
    side_axis,
    sign,
    strokes_of,
    thinned,
)
from mcp_tui.domain.chart.scale import Scale, ScaleName, fitted
from mcp_tui.domain.chart.text import fitted_text, short_number, width_of


@dataclass(frozen=True, slots=True)
class Dot:
    """One run: what it is called, where it stands, and which group it is of.

    ``x`` is a number, or a word where the parameter is one (``adam``).
    """

    key: str
    name: str
    x: float | str
    y: float
    series: int = 0


@dataclass(frozen=True)
class ScatterView:
    """How a scatter is looked at. ``cursor`` is the key of the dot that is read."""

    x_scale: ScaleName = "linear"
    y_scale: ScaleName = "linear"
    cursor: str | None = None


_SEVERAL: Final = "23456789"


def along(dots: Sequence[Dot]) -> list[Dot]:
    """Those that can be drawn, from left to right: the order in which a cursor goes."""
    words = _words(dots)
    return sorted(
        (dot for dot in dots if _placed(dot, words) is not None),
        key=lambda dot: (_placed(dot, words), dot.y, dot.key),
    )


def _words(dots: Sequence[Dot]) -> tuple[str, ...]:
    """The words of the x axis, in order; none when every x is a number."""
    if all(isinstance(dot.x, float | int) for dot in dots):
        return ()
    return tuple(sorted({str(dot.x) for dot in dots}))


def _placed(dot: Dot, words: tuple[str, ...]) -> float | None:
    x = float(words.index(str(dot.x))) if words else float(dot.x)
    return x if drawable(x) and drawable(dot.y) else None


def draw_scatter(
    dots: Sequence[Dot],
    view: ScatterView,
    width: int,
    height: int,
    *,
    x_name: str,
    y_name: str,
    pen: Pen = "braille",
    grid: bool = True,
    note: str = "no points",
) -> Picture:
    """A picture of exactly so many cells; several dots of one cell are a digit, ``#`` from ten."""
    sheet = Sheet(max(0, width), max(0, height))
    if width < 1 or height < 1:
        return sheet.done(NOWHERE)
    words = _words(dots)
    points = [(dot, x) for dot in dots if (x := _placed(dot, words)) is not None]
    above = [
        (dot, x)
        for dot, x in points
        if (view.y_scale != "log" or dot.y > 0) and (view.x_scale != "log" or words or x > 0)
    ]
    head = 1 if height >= 3 else 0
    foot = 2 if height - head >= 4 else 0
    rows = height - head - foot
    if head:
        head_line(sheet, f"{y_name} by {x_name}", _said(dots, points, above, view))
    most = max(2, min(11, (rows + 2) // 3))
    scale = fitted(view.y_scale, [dot.y for dot, _ in above], most)
    ticks = scale.ticks(most) if rows > 0 else []
    labels = max((width_of(tick.label) for tick in ticks), default=0) if width >= 16 else 0
    left = min(labels, width // 4) + 1 if labels else 0
    plot = Box(left, head, max(0, width - left - 1), max(0, rows))
    if plot.width < 2 or plot.height < 1:
        return sheet.done(NOWHERE)
    canvas = Canvas(plot.width, plot.height, pen)
    x_scale = _x_scale(view, words, [x for _, x in above], plot.width)

    def cell(x: float, y: float) -> tuple[int, int]:
        # The outermost dots keep off the axes.
        inner = (x_scale.at(x) * (plot.width - 3) + 1) / (plot.width - 1) if plot.width > 4 else 0.5
        return canvas.cell(canvas.column(inner), canvas.row(scale.at(y)))

    if left:
        at = [cell(x_scale.low, tick.value)[1] for tick in ticks]
        side_axis(sheet, plot, thinned(ticks, 1, at), pen, grid=grid)
    if foot and left:
        foot_axis(sheet, plot, _x_labels(x_scale, words, plot.width, cell, scale.low), pen)
    if not above:
        text = fitted_text(note, min(width_of(note), plot.width))
        sheet.put(plot.x + (plot.width - width_of(text)) // 2, plot.y + plot.height // 2, text)
        return sheet.done(plot)
    found: dict[tuple[int, int], list[Dot]] = {}
    for dot, x in above:
        found.setdefault(cell(x, dot.y), []).append(dot)
    for (x_cell, y_cell), here in found.items():
        char = sign(here[0].series)
        if len(here) > 1:
            char = _SEVERAL[len(here) - 2] if len(here) - 2 < len(_SEVERAL) else "#"
        sheet.put(plot.x + x_cell, plot.y + y_cell, char, f"s{here[0].series}")
    for (x_cell, y_cell), here in found.items():
        chosen = next((dot for dot in here if dot.key == view.cursor), None)
        if chosen is not None:
            _read(sheet, plot, x_cell, y_cell, chosen, pen)
    return sheet.done(plot, x_scale.low, x_scale.high)


def _read(sheet: Sheet, plot: Box, x: int, y: int, dot: Dot, pen: Pen) -> None:
    """The dot under the cursor: lines to both axes, its name and values beside it."""
    strokes = strokes_of(pen)
    column, row = plot.x + x, plot.y + y
    for below in range(row + 1, plot.y + plot.height):
        if sheet.roles[below][column] in ("", "grid"):
            sheet.put(column, below, strokes.up, "cursor")
    for before in range(plot.x, column):
        if sheet.roles[row][before] in ("", "grid"):
            sheet.put(before, row, strokes.across, "cursor")
    sheet.put(column, row, sign(dot.series), f"at{dot.series}")
    place = dot.x if isinstance(dot.x, str) else short_number(dot.x)
    text = f" {dot.name}  {place}  {short_number(dot.y)} "
    wide = min(width_of(text), plot.width)
    # Above the dot, to the side where there is room: what it hides is not what is read.
    over = row - 1 if row > plot.y else row + 1
    begin = max(plot.x, min(column + 1, plot.x + plot.width - wide))
    if plot.y <= over < plot.y + plot.height:
        sheet.put(begin, over, fitted_text(text, wide), "place")


def _x_scale(view: ScatterView, words: tuple[str, ...], xs: Sequence[float], width: int) -> Scale:
    if words:
        return Scale("linear", -0.5, len(words) - 0.5)
    return fitted(view.x_scale, xs, max(2, min(8, width // 12)))


def _x_labels(  # type: ignore[no-untyped-def]  # `cell` is the caller's own closure
    scale: Scale, words: tuple[str, ...], width: int, cell, low: float
) -> list[tuple[int, str]]:
    if words:
        room = max(3, width // len(words) - 2)
        fit = [fitted_text(word, min(room, width_of(word))) for word in words]
        return [(cell(float(n), low)[0], text) for n, text in enumerate(fit)]
    found = []
    for most in range(max(2, min(12, width // 9)), 0, -1):
        found = scale.ticks(most)
        wide = max((width_of(tick.label) for tick in found), default=0)
        if len(found) < 2 or (wide + 3) * (len(found) - 1) <= width:
            break
    return [(cell(tick.value, low)[0], tick.label) for tick in found]


def _said(
    dots: Sequence[Dot],
    points: Sequence[tuple[Dot, float]],
    above: Sequence[tuple[Dot, float]],
    view: ScatterView,
) -> list[str]:
    shown, total = len(above), len(dots)
    said = [f"{shown:,} runs" if shown == total else f"{shown:,} of {total:,} runs"]
    if len(points) < total:
        said.append(f"{total - len(points):,} without a value")
    if len(above) < len(points):
        said.append(f"{len(points) - len(above):,} not above 0")
    scales = [f"{scale} {axis}" for axis, scale in (("x", view.x_scale), ("y", view.y_scale))]
    said += [word for word in scales if not word.startswith("linear")]
    return said
