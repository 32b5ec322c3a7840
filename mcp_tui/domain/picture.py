"""Pictures as character cells: half blocks of two colours, or characters from blank to dense.

A cell is about twice as high as wide: a half block's two parts are about square, a whole cell
stands for two such squares, one above the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Final, NamedTuple

import msgspec

Colour = tuple[int, int, int]

UPPER: Final = "\u2580"
"""The upper half block: its colour above, that behind it below."""

RAMP: Final = " .:-=+*#%@"
"""From blank to dense, in ASCII."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture, made small enough to be drawn in cells.

    Attributes:
        kind: What its content says it is: ``PNG``.
        width: Pixels of the file.
        height: Likewise.
        moves: Whether it is the first of several.
        columns: Pixels of what is here.
        rows: Likewise.
        pixels: Red, green and blue of each, row by row.
    """

    kind: str
    width: int
    height: int
    moves: bool = False
    columns: int
    rows: int
    pixels: bytes

    def __post_init__(self) -> None:
        """See that there is something, and all of it."""
        if min(self.columns, self.rows, self.width, self.height) < 1:
            raise ValueError("a picture without pixels")
        if len(self.pixels) != 3 * self.columns * self.rows:
            raise ValueError("not as many pixels as it says")

    @property
    def said(self) -> str:
        """Kind and size in words: ``PNG, 640 x 480``."""
        first = ", the first of several" if self.moves else ""
        return f"{self.kind}, {self.width:,} x {self.height:,}{first}"


class Patch(NamedTuple):
    """Cells of a line that look alike; a colour that is None is the terminal's own."""

    text: str
    upper: Colour | None = None
    lower: Colour | None = None


Drawn = tuple[tuple[Patch, ...], ...]


def fitted(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """The largest size of the same shape within ``columns`` x ``rows``, at least one by one."""
    if width * rows > height * columns:
        return columns, max(1, round(height * columns / width))
    return max(1, round(width * rows / height)), rows


def half_blocks(picture: Picture, width: int, height: int) -> Drawn:
    """The picture in two colours a cell, as large as it can be in the room.

    Args:
        width: Cells of the room.
        height: Lines of it.
    """
    if width < 1 or height < 1:
        return ()
    columns, rows = fitted(picture.width, picture.height, width, 2 * height)
    red, green, blue = (_scaled(plane, columns, rows) for plane in _planes(picture))
    pixels = [list(zip(*row, strict=True)) for row in zip(red, green, blue, strict=True)]
    lines = []
    for y in range(0, rows, 2):
        lower: Sequence[Colour | None] = pixels[y + 1] if y + 1 < rows else [None] * columns
        cells = groupby(zip(pixels[y], lower, strict=True))
        lines.append(tuple(Patch(UPPER * len(list(same)), *pair) for pair, same in cells))
    return tuple(lines)


def shaded(picture: Picture, width: int, height: int) -> Drawn:
    """The picture in ASCII, from blank to dense, as large as it can be in the room.

    What most of it is like is left blank: dark lines on white paper are drawn as lines, and so are
    bright ones on black. The darkest and the brightest take the ends of the ramp.
    """
    if width < 1 or height < 1:
        return ()
    columns, rows = fitted(picture.width, picture.height, width, 2 * height)
    red, green, blue = (
        _scaled(plane, columns, max(1, (rows + 1) // 2)) for plane in _planes(picture)
    )
    grey = [
        # The parts that the eye takes: Rec. 709.
        [(2126 * r + 7152 * g + 722 * b) // 10_000 for r, g, b in zip(*row, strict=True)]
        for row in zip(red, green, blue, strict=True)
    ]
    every = [value for row in grey for value in row]
    low, high = min(every), max(every)
    paper = 2 * sum(every) > (low + high) * len(every)
    span, most = max(1, high - low), len(RAMP) - 1
    tones = [round((v - low) * most / span) for v in range(low, high + 1)]
    signs = [RAMP[most - tone if paper else tone] for tone in tones]
    return tuple((Patch("".join(signs[v - low] for v in row)),) for row in grey)


def _planes(picture: Picture) -> list[list[bytes]]:
    """The rows of red, of green and of blue."""
    size = 3 * picture.columns
    rows = [picture.pixels[at : at + size] for at in range(0, len(picture.pixels), size)]
    return [[row[colour::3] for row in rows] for colour in range(3)]


def _scaled(plane: Sequence[bytes], columns: int, rows: int) -> list[list[int]]:
    """Means of what falls together where it gets smaller; the nearest where it gets larger."""
    across = _spans(len(plane[0]), columns)
    narrow = []
    for row in plane:
        sums = list(accumulate(row, initial=0))
        narrow.append([(sums[end] - sums[start]) // (end - start) for start, end in across])
    scaled = []
    for start, end in _spans(len(plane), rows):
        some = narrow[start:end]
        count = len(some)
        scaled.append([sum(each) // count for each in zip(*some, strict=True)])
    return scaled


def _spans(size: int, parts: int) -> list[tuple[int, int]]:
    """For each of the parts the pixels that it stands for, at least one."""
    starts = [n * size // parts for n in range(parts)]
    ends = [(n + 1) * size // parts for n in range(parts)]
    return [(start, max(start + 1, end)) for start, end in zip(starts, ends, strict=True)]
