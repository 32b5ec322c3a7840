"""Bars on an axis of values, with the outline of others behind them: a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_tui.domain.chart.canvas import Pen
from mcp_tui.domain.chart.picture import (
    NOWHERE,
    Box,
    Picture,
    Sheet,
    foot_axis,
    head_line,
    side_axis,
    thinned,
)
from mcp_tui.domain.chart.scale import fitted
from mcp_tui.domain.chart.text import fitted_text, width_of
from mcp_tui.domain.chart.ticks import linear_ticks

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_ASCII: Final = " .:#"


@dataclass(frozen=True)
class Histogram:
    """Shares or counts of bins of equal width.

    Attributes:
        low: Where the first bin begins.
        high: Where the last one ends; above ``low``.
        bars: One for each bin.
        outline: Another one for each, of the same bins, or none: a reference.
        name: What the bars are.
        outline_name: What the outline is.
    """

    low: float
    high: float
    bars: tuple[float, ...]
    outline: tuple[float, ...] = ()
    name: str = ""
    outline_name: str = ""


def draw_bars(
    given: Histogram,
    width: int,
    height: int,
    *,
    pen: Pen = "braille",
    grid: bool = True,
    title: str = "",
    note: str = "no values",
) -> Picture:
    """A picture of exactly so many cells: bars from zero, and the outline as a line of steps."""
    sheet = Sheet(max(0, width), max(0, height))
    if width < 1 or height < 1:
        return sheet.done(NOWHERE)
    head = 1 if height >= 3 else 0
    foot = 2 if height - head >= 4 else 0
    rows = height - head - foot
    if head:
        names = [f"# {given.name}" if given.name else ""]
        names += [f"- {given.outline_name}" if given.outline_name else ""]
        head_line(sheet, title, [name for name in names if name])
    heights = [value for value in (*given.bars, *given.outline) if 0 <= value <= 1e300]
    most = max(2, min(11, (rows + 2) // 3))
    scale = fitted("linear", [0.0, max(heights, default=1.0) or 1.0], most)
    ticks = scale.ticks(most) if rows > 0 else []
    labels = max((width_of(tick.label) for tick in ticks), default=0) if width >= 16 else 0
    left = min(labels, width // 4) + 1 if labels else 0
    plot = Box(left, head, max(0, width - left - 1), max(0, rows))
    if plot.width < 2 or plot.height < 1:
        return sheet.done(NOWHERE)
    glyphs = _ASCII if pen == "ascii" else _EIGHTHS
    levels = len(glyphs) - 1
    if left:
        at = [_row(scale.at(tick.value), plot.height) for tick in ticks]
        side_axis(sheet, plot, thinned(ticks, 1, at), pen, grid=grid)
    if foot and left:
        found = linear_ticks(given.low, given.high, max(2, min(10, plot.width // 9)))
        span = given.high - given.low
        foot_axis(
            sheet,
            plot,
            [(int((t.value - given.low) / span * (plot.width - 1)), t.label) for t in found],
            pen,
        )
    if not heights or not given.bars:
        text = fitted_text(note, min(width_of(note), plot.width))
        sheet.put(plot.x + (plot.width - width_of(text)) // 2, plot.y + plot.height // 2, text)
        return sheet.done(plot, given.low, given.high)
    for x, value in enumerate(_columns(given.bars, plot.width)):
        full = max(0.0, scale.at(value)) * plot.height * levels
        eighths = max(round(full), 1 if value > 0 else 0)  # something is never drawn as nothing
        for up in range(-(-eighths // levels)):
            level = min(levels, eighths - up * levels)
            sheet.put(plot.x + x, plot.y + plot.height - 1 - up, glyphs[level], "fill")
    if given.outline:
        _outline(sheet, plot, _columns(given.outline, plot.width), scale.high, pen)
    return sheet.done(plot, given.low, given.high)


def _row(place: float, height: int) -> int:
    """The row that the upper end of a bar is in."""
    return height - 1 - max(0, min(height - 1, int(place * height)))


def _columns(values: Sequence[float], width: int) -> list[float]:
    """A value for each column: the largest of its bins, where bins are narrower than columns."""
    count = len(values)
    found = []
    for x in range(width):
        begin = x * count // width
        end = max(begin + 1, (x + 1) * count // width)
        found.append(max((v for v in values[begin:end] if 0 <= v <= 1e300), default=0.0))
    return found


def _outline(sheet: Sheet, plot: Box, values: Sequence[float], high: float, pen: Pen) -> None:
    line, up, corners = ("-", "|", "++++") if pen == "ascii" else ("─", "│", "┘└┐┌")
    rows = [plot.y + _row(value / high, plot.height) for value in values]

    def put(column: int, row: int, char: str) -> None:
        # On a full block a line needs the block's colour behind it; ``#`` lets it be seen.
        inside = sheet.chars[row][column] == "█"
        sheet.put(column, row, char, "over" if inside else "outline")

    for x, row in enumerate(rows):
        before = rows[x - 1] if x else row
        column = plot.x + x
        if row == before:
            if values[x] > 0:  # along zero there is nothing to outline, and bars to be seen
                put(column, row, line)
            continue
        for between in range(min(row, before) + 1, max(row, before)):
            put(column, between, up)
        # Down on the screen is a larger row.
        put(column, before, corners[0] if row < before else corners[2])
        put(column, row, corners[3] if row < before else corners[1])


def binned(values: Sequence[float], bins: int, low: float, high: float) -> tuple[int, ...]:
    """How many values are in each of ``bins`` bins between two ends; others are left out."""
    import numpy as np

    given = np.asarray(values, dtype=np.float64)
    counts, _ = np.histogram(given[np.isfinite(given)], bins=bins, range=(low, high))
    return tuple(int(count) for count in counts)
