"""Dots in cells: braille, quadrants of blocks, and plain ASCII.

Braille patterns are of one cell in every terminal. Blocks are of ambiguous width, which a chart may
risk and a row may not; ASCII needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

Pen = Literal["braille", "block", "ascii"]


class _Pen(NamedTuple):
    across: int
    down: int
    glyphs: str


# Braille numbers its dots in columns, the fourth row last: bits here go row by row.
_BRAILLE_BITS: Final = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)
_BRAILLE: Final = "".join(
    chr(0x2800 + sum(dot for bit, dot in enumerate(_BRAILLE_BITS) if mask >> bit & 1))
    for mask in range(256)
)
PENS: Final[dict[Pen, _Pen]] = {
    "braille": _Pen(2, 4, " " + _BRAILLE[1:]),
    "block": _Pen(2, 2, " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"),
    # Three heights of a cell: top, middle, bottom, and what stands for several of them.
    "ascii": _Pen(1, 3, " '-'.:,|"),
}


class Canvas:
    """A grid of cells that lines are drawn in, each by an owner.

    Attributes:
        width: Cells.
        height: Cells.
        columns: Dots across.
        rows: Dots down.
        bits: The dots of each cell, row by row.
        owners: Whose dots a cell shows: who drew last; -1 where nobody did.
    """

    def __init__(self, width: int, height: int, pen: Pen) -> None:
        self.width, self.height = max(0, width), max(0, height)
        self._across, self._down, self._glyphs = PENS[pen]
        self.columns, self.rows = self.width * self._across, self.height * self._down
        self._whole = sum(1 << (row * self._across) for row in range(self._down))
        self.bits = [0] * (self.width * self.height)
        self.owners = [-1] * (self.width * self.height)

    def column(self, place: float) -> int:
        """The column of dots at a place between the left edge (0) and the right one (1)."""
        return max(0, min(self.columns - 1, int(place * (self.columns - 1) + 0.5)))

    def row(self, place: float) -> int:
        """The row of dots at a place between the lower edge (0) and the upper one (1)."""
        return max(0, min(self.rows - 1, int((1 - place) * (self.rows - 1) + 0.5)))

    def cell(self, column: int, row: int) -> tuple[int, int]:
        """The cell that a dot is in."""
        return column // self._across, row // self._down

    def dot(self, column: int, row: int, owner: int) -> None:
        """One dot; off the canvas it is nothing."""
        self.run(column, row, row, owner)

    def run(self, column: int, one: int, other: int, owner: int) -> None:
        """The dots of a column from one row to another, both included."""
        top, bottom = (one, other) if one <= other else (other, one)
        top, bottom = max(0, top), min(self.rows - 1, bottom)
        if not 0 <= column < self.columns or top > bottom:
            return
        across, down = self._across, self._down
        x, bit = column // across, 1 << (column % across)
        first, last = top // down, bottom // down
        for y in range(first, last + 1):
            at = y * self.width + x
            self.owners[at] = owner
            if first < y < last:
                self.bits[at] |= self._whole * bit
                continue
            begin, end = max(top - y * down, 0), min(bottom - y * down, down - 1)
            for row in range(begin, end + 1):
                self.bits[at] |= bit << (row * across)

    def line(self, column: int, row: int, to_column: int, to_row: int, owner: int) -> None:
        """A line from one dot to another, rightwards: one dot a column, or one a row."""
        across, rise = to_column - column, to_row - row
        if across <= 0:
            self.run(column, row, to_row, owner)
        elif abs(rise) <= across:
            for n in range(across + 1):
                at = row + (rise * n * 2 + across) // (across * 2)
                self.run(column + n, at, at, owner)
        else:
            way = 1 if rise > 0 else -1
            begin = row
            for n in range(across + 1):
                # Up to half way to the next column: a row belongs to one column only.
                end = (
                    row + way * ((abs(rise) * (2 * n + 1)) // (across * 2))
                    if n < across
                    else to_row
                )
                self.run(column + n, begin, end, owner)
                begin = end + way

    def drawn(self, y: int) -> Iterator[tuple[int, str, int]]:
        """The cells of a line in which something is drawn: where, what it looks like, whose."""
        begin = y * self.width
        for x, owner in enumerate(self.owners[begin : begin + self.width]):
            if owner >= 0:
                yield x, self._glyphs[self.bits[begin + x]], owner
