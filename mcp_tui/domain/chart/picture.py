"""A picture: lines of pieces of text with the roles that they play."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mcp_tui.domain.chart.canvas import Pen
from mcp_tui.domain.chart.text import fitted_text, width_of
from mcp_tui.domain.chart.ticks import Tick

SIGNS: Final = "xo+*#@%&=$ABCDEFGHIJKLMNPQRSTUVWYZ"
"""What a series is told by where colours do not tell it; the first are easiest told apart."""


def sign(series: int) -> str:
    """The sign of a series, by its place."""
    return SIGNS[series % len(SIGNS)]


class Run(NamedTuple):
    """A piece of a line.

    Roles are ``title``, ``note``, ``axis``, ``label``, ``grid``, ``cursor``, ``gap``, ``fill``, the
    empty one of blanks, and ``s0``, ``s1`` ... of the series with ``raw0``, ``raw1`` ... of what
    they were smoothed from.
    """

    text: str
    role: str = ""


class Box(NamedTuple):
    """Where the plot is in a picture, without its axes, in cells."""

    x: int
    y: int
    width: int
    height: int


NOWHERE: Final = Box(0, 0, 0, 0)


class Strokes(NamedTuple):
    """What axes are drawn with."""

    up: str
    across: str
    corner: str
    up_tick: str
    across_tick: str
    grid: str


UNICODE_STROKES: Final = Strokes("│", "─", "└", "┤", "┬", "╌")
ASCII_STROKES: Final = Strokes("|", "-", "+", "+", "+", ".")


def strokes_of(pen: Pen) -> Strokes:
    """What goes with a pen."""
    return ASCII_STROKES if pen == "ascii" else UNICODE_STROKES


@dataclass(frozen=True)
class Picture:
    """Lines of the width and as many as were asked for.

    Attributes:
        lines: From the top.
        plot: Where the plot is; of no size where there was no room.
        low: The place on the x axis in the middle of the plot's first column.
        high: The one in the middle of its last column.
    """

    lines: tuple[tuple[Run, ...], ...]
    plot: Box = NOWHERE
    low: float = 0.0
    high: float = 1.0

    @property
    def text(self) -> str:
        """The picture without colours, blanks at the ends of lines cut."""
        return "\n".join("".join(run.text for run in line).rstrip() for line in self.lines)


@dataclass
class Sheet:
    """A picture in the making: one character and one role a cell."""

    width: int
    height: int
    chars: list[list[str]] = field(init=False)
    roles: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.chars = [[" "] * self.width for _ in range(self.height)]
        self.roles = [[""] * self.width for _ in range(self.height)]

    def put(self, x: int, y: int, text: str, role: str = "") -> None:
        """Write a text at a cell; what lies outside is cut. A wide character takes two cells."""
        if not 0 <= y < self.height:
            return
        for char in text:
            cells = width_of(char)
            if cells == 0:
                continue
            if x >= 0 and x + cells <= self.width:
                self.chars[y][x], self.roles[y][x] = char, role
                if cells == 2:
                    self.chars[y][x + 1], self.roles[y][x + 1] = "", role
            x += cells

    def free(self, x: int, y: int, width: int) -> bool:
        """Whether so many cells, and one on either side of them, are blank."""
        if not (0 <= y < self.height and x >= 0 and x + width <= self.width):
            return False
        return all(char == " " for char in self.chars[y][max(0, x - 1) : x + width + 1])

    def done(self, plot: Box, low: float = 0.0, high: float = 1.0) -> Picture:
        """As it is now."""
        return Picture(tuple(self._line(y) for y in range(self.height)), plot, low, high)

    def _line(self, y: int) -> tuple[Run, ...]:
        runs: list[Run] = []
        begin = 0
        roles, chars = self.roles[y], self.chars[y]
        for x in range(1, self.width + 1):
            if x == self.width or roles[x] != roles[begin]:
                runs.append(Run("".join(chars[begin:x]), roles[begin]))
                begin = x
        return tuple(runs)


def head_line(sheet: Sheet, title: str, said: Sequence[str]) -> None:
    """The first line: the title at the left, and at the right what there is room for.

    Args:
        sheet: Where.
        title: Cut where it must be.
        said: The most important first; the last go where there is no room.
    """
    kept = list(said)
    room = max(8, sheet.width // 3)
    title_width = min(width_of(title), room)
    while kept and sum(len(part) + 2 for part in kept) + title_width > sheet.width:
        kept.pop()
    right = "  ".join(kept)
    left = sheet.width - (width_of(right) + 2 if right else 0)
    sheet.put(0, 0, fitted_text(title, min(width_of(title), left)), "title")
    sheet.put(sheet.width - width_of(right), 0, right, "note")


def side_axis(
    sheet: Sheet, plot: Box, ticks: Iterable[tuple[int, str]], pen: Pen, *, grid: bool = True
) -> None:
    """The axis at the left, with its labels and a line behind the plot at each.

    Args:
        sheet: Where.
        plot: The axis stands left of it.
        ticks: Rows of the plot, and what is written beside them.
        pen: What it is drawn with.
        grid: Whether there are lines behind the plot.
    """
    strokes = strokes_of(pen)
    for y in range(plot.y, plot.y + plot.height):
        sheet.put(plot.x - 1, y, strokes.up, "axis")
    for row, label in ticks:
        sheet.put(plot.x - 1, plot.y + row, strokes.up_tick, "axis")
        width = plot.x - 1
        sheet.put(0, plot.y + row, fitted_text(label, width, right=True), "label")
        # A dotted line would be taken for a drawn one where both are made of full stops.
        if grid and pen != "ascii":
            sheet.put(plot.x, plot.y + row, strokes.grid * plot.width, "grid")


def foot_axis(sheet: Sheet, plot: Box, ticks: Iterable[tuple[int, str]], pen: Pen) -> None:
    """The axis below, and below it the labels that do not touch one another.

    Args:
        sheet: Where.
        plot: The axis is the line under it.
        ticks: Columns of the plot, and what is written under them.
        pen: What it is drawn with.
    """
    strokes = strokes_of(pen)
    y = plot.y + plot.height
    sheet.put(plot.x - 1, y, strokes.corner + strokes.across * plot.width, "axis")
    end = -2
    for column, label in ticks:
        wide = width_of(label)
        x = max(0, min(plot.x + column - (wide - 1) // 2, sheet.width - wide))
        sheet.put(plot.x + column, y, strokes.across_tick, "axis")
        if x >= end + 2:
            sheet.put(x, y + 1, label, "label")
            end = x + wide


def thinned(ticks: Sequence[Tick], gap: int, rows: Sequence[int]) -> list[tuple[int, str]]:
    """Ticks and their rows, without those nearer than ``gap`` to the one before."""
    kept: list[tuple[int, str]] = []
    for tick, row in zip(ticks, rows, strict=True):
        if not kept or abs(row - kept[-1][0]) >= gap:
            kept.append((row, tick.label))
    return kept
