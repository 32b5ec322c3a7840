"""What the widgets share: the app they stand in, and single lines drawn without layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol, cast

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.cells import take
from mcp_tui.tui.model import Cell
from mcp_tui.tui.theme import ASCII_SIGNS, DEFAULT, UNICODE_SIGNS, Palette, Signs


class Dressed(Protocol):
    """An app with a palette and signs."""

    palette: Palette
    signs: Signs


def palette_of(app: App[object]) -> Palette:
    """The palette in force; the default one outside the console (widgets alone in a test)."""
    return cast("Dressed", app).palette if hasattr(app, "palette") else DEFAULT


def signs_of(app: App[object]) -> Signs:
    """The signs in force."""
    return cast("Dressed", app).signs if hasattr(app, "signs") else UNICODE_SIGNS


def compose_line(
    cells: Iterable[Cell | tuple[str, str]], width: int, palette: Palette, base: Style | None = None
) -> Strip:
    """A strip of exactly ``width`` cells from pieces of text; what does not fit is cut.

    The text is cleaned here once more, so that nothing from outside reaches the terminal as
    anything but text; it is never read as markup.
    """
    base = base if base is not None else palette[""]
    segments: list[Segment] = []
    used = 0
    for text, tone in cells:
        text = take(clean_line(text), width - used)
        if text:
            segments.append(Segment(text, base + palette[tone] if tone else base))
            used += cell_len(text)
        if used >= width:
            break
    if used < width:
        segments.append(Segment(" " * (width - used), base))
    return Strip(segments, width)


class LineWidget(Widget):
    """One line of text pieces. Setting the same content again costs nothing on the terminal."""

    DEFAULT_CSS: ClassVar[str] = "LineWidget { height: 1; width: 1fr; }"
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, role: str = "") -> None:
        super().__init__(id=id)
        self.role = role
        self._cells: tuple[Cell, ...] = ()
        self._more: tuple[tuple[Cell, ...], ...] = ()

    @property
    def text(self) -> str:
        """The content as plain text."""
        return "".join(cell.text for row in (self._cells, *self._more) for cell in row)

    def set_rows(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Show several lines for a while; the next :meth:`set_cells` makes it one again."""
        first, *more = [tuple(row) for row in rows]
        if (first, tuple(more)) != (self._cells, self._more):
            self._cells, self._more = first, tuple(more)
            self.styles.height = 1 + len(more)
            self.refresh()

    def set_cells(self, cells: Sequence[Cell], *, role: str | None = None) -> None:
        """Show these pieces; repaints from the first cell that differs."""
        new = tuple(cells)
        if self._more:
            self._more = ()
            self.styles.height = 1
        if role is not None and role != self.role:
            self.role = role
            self._cells = new
            self.refresh()
            return
        if new == self._cells:
            return
        same = 0
        for old_cell, new_cell in zip(self._cells, new, strict=False):
            if old_cell != new_cell:
                break
            same += cell_len(clean_line(new_cell.text))
        self._cells = new
        if same < self.size.width:
            self.refresh(Region(same, 0, self.size.width - same, 1))

    def render_line(self, y: int) -> Strip:
        """The line; blank below it."""
        palette = palette_of(self.app)
        base = palette[""] + palette[self.role]
        rows = (self._cells, *self._more)
        return compose_line(rows[y] if y < len(rows) else (), self.size.width, palette, base)


__all__ = [
    "ASCII_SIGNS",
    "LineWidget",
    "compose_line",
    "palette_of",
    "signs_of",
]
