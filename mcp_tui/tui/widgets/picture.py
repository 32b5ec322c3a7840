"""A picture in character cells, drawn for the size that it has."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.domain.picture import Colour, Drawn, Picture, half_blocks, shaded
from mcp_tui.tui.theme import ASCII_SIGNS, Palette
from mcp_tui.tui.widgets.surface import palette_of, signs_of


class PictureView(Widget):
    """A picture as large as it can be, in its middle.

    Two colours a cell where the palette has colours of its own; where it speaks the terminal's
    sixteen or none, or signs are ASCII, characters from blank to dense.
    """

    DEFAULT_CSS: ClassVar[str] = "PictureView { height: 1fr; width: 1fr; }"
    ALLOW_SELECT = False
    can_focus = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.picture: Picture | None = None
        self._drawn: Drawn = ()
        self._of: object = None

    def show(self, picture: Picture) -> None:
        """Show this one."""
        self.picture = picture
        self.refresh()

    def _lines(self, palette: Palette) -> Drawn:
        if self.picture is None:
            return ()
        many = not palette.theme.ansi and signs_of(self.app) is not ASCII_SIGNS
        of = self.picture, many, self.size
        if of != self._of:
            draw = half_blocks if many else shaded
            self._of, self._drawn = of, draw(self.picture, *self.size)
        return self._drawn

    def render_line(self, y: int) -> Strip:
        """A line of the picture; blank around it."""
        palette = palette_of(self.app)
        base, width = palette[""], self.size.width
        lines = self._lines(palette)
        if y >= len(lines):
            return Strip.blank(width, base)
        left = (width - sum(len(patch.text) for patch in lines[y])) // 2
        segments = [Segment(" " * left, base)] if left else []
        for text, upper, lower in lines[y]:
            segments.append(Segment(text, base + _style(upper, lower)))
        return Strip(segments).adjust_cell_length(width, base)


@lru_cache(maxsize=65_536)
def _style(upper: Colour | None, lower: Colour | None) -> Style:
    return Style(
        color=None if upper is None else Color.from_rgb(*upper),
        bgcolor=None if lower is None else Color.from_rgb(*lower),
    )
