"""What changed is written, and nothing beside it.

Textual draws a changed part of a line from the line's beginning, ends each with a line feed of no
use, and draws all of the screen whenever the place of anything in it changes: a prompt that opens,
a screen on top of another. Over a slow line that was half of all that was sent. Here what the
terminal shows is kept in mind, and only what differs from it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from textual import _compositor
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

_BEYOND: Final = "\U00010000"
_PIECES: Final = 12
"""Parts of a line that are drawn over each other before they are made one."""


class Shown:
    """What the terminal shows, line by line, as far as it was drawn here."""

    def __init__(self) -> None:
        # The whole line, and what was drawn over it since, each where it begins.
        self._lines: dict[int, list[tuple[int, Strip]]] = {}
        self._unsure: set[int] = set()

    def forget(self) -> None:
        """Something else may have written, or what was written may not have come: draw all."""
        self._lines.clear()
        self._unsure.clear()

    def whole(self, y: int, line: Strip) -> None:
        """All of a line was drawn."""
        self._lines[y] = [(0, line)]
        (self._unsure.discard if sure(line) else self._unsure.add)(y)

    def part(self, y: int, x: int, piece: Strip) -> None:
        """A part of a line was drawn."""
        if not sure(piece):
            self._unsure.add(y)
        pieces, end = self._lines.get(y), x + piece.cell_length
        if pieces is None:
            return
        if end > pieces[0][1].cell_length:
            # Of another width than we think: nothing is known of that line.
            del self._lines[y]
            return
        # What changes again and again is kept once: a line of a storm never has many pieces.
        pieces[1:] = [(at, old) for at, old in pieces[1:] if at < x or at + old.cell_length > end]
        pieces.append((x, piece))
        if len(pieces) > _PIECES:
            self.line(y)

    def is_sure(self, y: int) -> bool:
        """Whether what stands in a line stands where we think, as far as it is known."""
        return y not in self._unsure

    def line(self, y: int) -> Strip | None:
        """A line; None where it is not known."""
        pieces = self._lines.get(y)
        if pieces is None:
            return None
        line = pieces[0][1]
        if len(pieces) > 1:
            # Of segments: a strip for each step costs many times as much, on all lines at once.
            segments, width = list(line), line.cell_length
            for x, piece in pieces[1:]:
                before, *rest = Segment.divide(segments, (x, x + piece.cell_length, width))
                segments = [*before, *piece, *(segment for part in rest[1:] for segment in part)]
            line = Strip(segments, width)
            pieces[:] = [(0, line)]
        return line


SHOWN: Final = Shown()
"""By the one terminal of this process."""


def sure(line: Strip) -> bool:
    """Whether every terminal agrees with us on the place of each character of a line.

    On what is wide, joins or is an emoji they do not: then a line is drawn from its beginning, so
    that its parts stand beside each other wherever they are.
    """
    return all(
        text.isascii() or (cell_len(text) == len(text) and max(text) < _BEYOND)
        for text, _, _ in line
    )


def difference(old: Strip | None, new: Strip) -> tuple[int, int]:
    """The first cell in which two lines differ and the one after the last; equal: none."""
    width = new.cell_length
    if old is None or old.cell_length != width:
        return 0, width
    before, after = list(old.simplify()), list(new.simplify())
    if before == after:
        return 0, 0
    if not (sure(old) and sure(new)):
        return 0, width
    first = _same(before, after)
    return first, max(first, width - _same(reversed(before), reversed(after)))


def _same(one: Iterable[Segment], other: Iterable[Segment]) -> int:
    """Cells of the segments that both begin with."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(cell_len(segment.text) for segment, _ in pairs)


class _Pen:
    """Writes pieces of lines, from above to below."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._row = -2
        self.written: list[str] = []

    def put(self, y: int, x: int, piece: Strip) -> None:
        """Draw a piece at a place."""
        # The line below is fewer bytes away.
        near = x == 0 and y == self._row + 1
        self.written.append("\r\n" if near else f"\x1b[{y + 1};{x + 1}H")
        self.written.append(piece.render(self._console))
        self._row = y

    def differing(self, y: int, x: int, line: Strip) -> None:
        """Draw of a whole line what is not there."""
        first, stop = difference(SHOWN.line(y), line)
        if first < stop:
            self.put(y, x + first, line.crop(first, stop))
        SHOWN.whole(y, line)


class ExactUpdate(ChopsUpdate):
    """Textual's update of parts of lines, from the first cell of each to its last."""

    def render_segments(self, console: Console) -> str:
        """The sequences and texts for the terminal."""
        pen = _Pen(console)
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                begin, stop = max(x, first), min(end, last)
                if strip is None or begin >= stop:
                    continue
                if not (sure(strip) and SHOWN.is_sure(y)):
                    begin, stop = x, end
                piece = strip.crop(begin - x, stop - x)
                if begin == 0 and stop == self.chop_ends[y][-1]:
                    # Whole lines are drawn of a widget that says only that it changed.
                    pen.differing(y, 0, piece)
                else:
                    pen.put(y, begin, piece)
                    SHOWN.part(y, begin, piece)
        return "".join(pen.written)


class ExactLayout(LayoutUpdate):
    """Textual's update of all of the screen, without what is there already."""

    def render_segments(self, console: Console) -> str:
        """The sequences and texts for the terminal."""
        pen = _Pen(console)
        for y, strips in enumerate(self.strips, self.region.y):
            pen.differing(y, self.region.x, Strip.join(strips))
        return "".join(pen.written)


def accept() -> None:
    """Have Textual draw so."""
    # Names of the compositor's module, which it looks up at each update.
    setattr(_compositor, "ChopsUpdate", ExactUpdate)  # noqa: B010 - not an exported name
    setattr(_compositor, "LayoutUpdate", ExactLayout)  # noqa: B010 - not an exported name


__all__ = ["SHOWN", "ExactLayout", "ExactUpdate", "Shown", "accept", "difference"]
