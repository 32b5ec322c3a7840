"""Lines of text of any number: logs that follow, YAML, events, help. Drawn by the line API.

Only what is on screen is wrapped, cleaned and drawn, so that a burst of lines costs the appending
of a list. The buffer keeps the newest lines and counts those it dropped.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.domain.pattern import Pattern, PatternError, literal, pattern
from mcp_tui.domain.text import clean
from mcp_tui.tui.cells import fit, take
from mcp_tui.tui.model import Cell, Line, LogLine
from mcp_tui.tui.widgets.faultwords import is_fault
from mcp_tui.tui.widgets.surface import compose_line, palette_of

CAPACITY = 50_000
"""Lines kept."""

PATIENCE = 3.0
"""Seconds that one search may keep the keys waiting."""


def lines_of(count: int) -> str:
    """``1 line``, ``1,204 lines``."""
    return f"{count:,} line{'' if count == 1 else 's'}"


def plain(item: Line | LogLine) -> str:
    """A line's text, tabs expanded, safe to show."""
    text = item.text if isinstance(item, LogLine) else "".join(cell.text for cell in item)
    return clean(text).replace("\n", " ").expandtabs(4)


def _tells(item: Line | LogLine) -> bool:
    """Whether a line tells of a failure, or of why there are no more of them."""
    return (isinstance(item, LogLine) and bool(item.tone)) or is_fault(plain(item))


def wrap_cells(cells: Sequence[Cell], width: int, *, words: bool = False) -> list[list[Cell]]:
    """Break pieces of text into rows of at most ``width`` cells, between words where asked."""
    rows: list[list[Cell]] = [[]]
    left = width
    for cell in cells:
        text = cell.text
        while text:
            part = take(text, left)
            if words and len(part) < len(text) and text[len(part)] != " ":
                blank = part.rfind(" ") + 1
                part = part[:blank] if blank or left < width else part
            if not part:
                if left == width:
                    part = text[:1]
                else:
                    rows.append([])
                    left = width
                    continue
            rows[-1].append(Cell(part, cell.tone))
            left -= cell_len(part)
            text = text[len(part) :]
            if words and text.startswith(" ") and len(text) > 1:
                # The blank at which a row ends stands on neither of the two.
                text, left = text[1:], 0
            if left <= 0 and text:
                rows.append([])
                left = width
    return rows


class LogView(Widget):
    """A viewer of lines.

    Args:
        follow: Stay at the newest line until scrolled away from it.
        capacity: Lines kept; the oldest are dropped and counted.
        id: The widget's id.
    """

    DEFAULT_CSS: ClassVar[str] = "LogView { height: 1fr; width: 1fr; }"
    ALLOW_SELECT = False
    can_focus = True

    class Status(Message):
        """Position, number of lines or the search changed."""

        def can_replace(self, message: Message) -> bool:
            """One is enough."""
            return isinstance(message, LogView.Status)

    def __init__(
        self, *, follow: bool = False, capacity: int = CAPACITY, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.capacity = capacity
        self.follows = follow
        self.wraps = True
        self.timestamps = False
        self.faults = False
        self.dropped = 0
        self.unseen = 0
        self.pattern: Pattern | None = None
        self.rows_drawn = 0
        self._lines: list[Line | LogLine] = []
        # Where the lines are that tell of a failure, while only these are shown.
        self._faulty: list[int] = []
        self._top = 0
        self._sub = 0
        self._rows: list[tuple[int, list[Cell]]] | None = None
        self._shown: list[tuple[int, list[Cell]]] = []
        self._found: int | None = None
        self._given_up = False

    # -- content ----------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Lines in the buffer."""
        return len(self._lines)

    @property
    def at_end(self) -> bool:
        """Whether the newest line of those that are shown is on screen."""
        rows, shown = self._page_rows(), self._passing
        return not shown or (bool(rows) and rows[-1][0] >= shown[-1])

    @property
    def text(self) -> str:
        """All lines as plain text."""
        return "\n".join(plain(item) for item in self._lines)

    @property
    def status(self) -> tuple[Cell, ...]:
        """What the crumbs line says of the view, the most important first."""
        parts: list[Cell] = []
        if self.unseen:
            parts.append(Cell(f"{self.unseen:,} new lines, G follows", "attention"))
        elif self.follows:
            parts.append(Cell("following", "dim"))
        if self.faults:
            none = "" if self._faulty else ": there are none"
            parts.append(Cell(f"  faults only{none}", "attention"))
        if self.dropped:
            parts.append(Cell(f"  {self.dropped:,} older dropped", "attention"))
        parts.append(Cell(f"  {lines_of(self.count)}", "dim"))
        return tuple(parts)

    def set_lines(self, lines: Iterable[Line | LogLine], *, keep: bool = False) -> None:
        """Show other lines, from their beginning (or their end when following).

        Args:
            keep: They are a newer form of those before: the place stays.
        """
        self._lines = list(lines)
        self.dropped = self.unseen = 0
        if not keep:
            self._top = self._sub = 0
        elif self._top >= len(self._lines):
            self._top, self._sub = max(0, len(self._lines) - 1), 0
        self._sift(0)
        self._changed()

    def set_text(self, text: str) -> None:
        """Show a text."""
        self.set_lines((Cell(line),) for line in text.split("\n"))

    def append(self, lines: Sequence[Line | LogLine]) -> None:
        """Add the newest lines; one repaint however many they are."""
        if not lines:
            return
        self._lines.extend(lines)
        self._sift(len(self._lines) - len(lines))
        # Dropping in large steps keeps the cost of a line constant.
        if len(self._lines) > self.capacity + self.capacity // 8:
            gone = len(self._lines) - self.capacity
            del self._lines[:gone]
            self.dropped += gone
            self._faulty = [at - gone for at in self._faulty if at >= gone]
            if self._top < gone:
                self._sub = 0
            self._top = max(0, self._top - gone)
            if self._found is not None:
                self._found = max(0, self._found - gone)
        if not self.follows:
            self.unseen += len(lines)
        self._changed()

    def _sift(self, begin: int) -> None:
        """Look from a line on for those that tell of a failure, each once, where it matters."""
        del self._faulty[bisect_left(self._faulty, begin) :]
        if self.faults:
            found = range(begin, len(self._lines))
            self._faulty += [at for at in found if _tells(self._lines[at])]

    @property
    def _passing(self) -> Sequence[int]:
        """Where the lines are that are shown, in their order."""
        return self._faulty if self.faults else range(len(self._lines))

    # -- rows -------------------------------------------------------------------------------

    def _cells(self, item: Line | LogLine) -> list[Cell]:
        """The pieces of a line, cleaned, with its time and source."""
        if not isinstance(item, LogLine):
            return [Cell(clean(c.text).replace("\n", " ").expandtabs(4), c.tone) for c in item]
        cells: list[Cell] = []
        if self.timestamps:
            at = item.at
            stamp = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S") if at else "--:--:--"
            cells.append(Cell(f"{stamp} ", "dim"))
        if item.source:
            cells.append(Cell(f"{clean(item.source)} ", "accent"))
        text = plain(item)
        cells.append(Cell(text, item.tone or ("attention" if is_fault(text) else "")))
        return cells

    def _line_rows(self, index: int) -> list[list[Cell]]:
        width = max(1, self.size.width - 1)
        cells = self._cells(self._lines[index])
        if self.wraps:
            return wrap_cells(cells, width, words=not isinstance(self._lines[index], LogLine))
        text = "".join(cell.text for cell in cells)
        if cell_len(text) <= width:
            return [cells]
        return [[Cell(fit(text, width), cells[-1].tone if cells else "")]]

    def _page_rows(self) -> list[tuple[int, list[Cell]]]:
        if self._rows is None:
            self._rows = [] if self.follows else self._rows_from_top()
            if self.follows or ((self._top or self._sub) and len(self._rows) < self.size.height):
                # Below the last line there is nothing to see: what is above it fills the page.
                self._rows = self._rows_from_end()
        return self._rows

    def _rows_from_top(self) -> list[tuple[int, list[Cell]]]:
        height, passing = self.size.height, self._passing
        rows: list[tuple[int, list[Cell]]] = []
        for at in range(bisect_left(passing, self._top), len(passing)):
            if len(rows) >= height:
                break
            index = passing[at]
            skip = self._sub if index == self._top else 0
            rows += [(index, row) for row in self._line_rows(index)[skip:]]
        return rows[:height]

    def _rows_from_end(self) -> list[tuple[int, list[Cell]]]:
        height = self.size.height
        rows: list[tuple[int, list[Cell]]] = []
        for index in reversed(self._passing):
            if len(rows) >= height:
                break
            line = [(index, row) for row in self._line_rows(index)]
            sub = max(0, len(line) - (height - len(rows)))
            rows = line[sub:] + rows
            self._top, self._sub = index, sub
        return rows

    def _changed(self) -> None:
        """The lines or the position changed."""
        self._rows = None
        self._repaint()

    def _repaint(self) -> None:
        """Repaint the rows that differ."""
        if self.size.height and self.is_mounted:
            rows = self._page_rows()
            for y in range(self.size.height):
                new = rows[y][1] if y < len(rows) else None
                old = self._shown[y][1] if y < len(self._shown) else None
                if new != old:
                    self.refresh(Region(0, y, self.size.width, 1))
            self._shown = rows
        self.post_message(self.Status())

    def render_line(self, y: int) -> Strip:
        """The row at ``y``, matches marked."""
        palette = palette_of(self.app)
        width = self.size.width
        rows = self._page_rows()
        if y >= len(rows):
            return compose_line((), width, palette)
        self.rows_drawn += 1
        cells: list[Cell | tuple[str, str]] = [(" ", ""), *self._marked(rows[y][1])]
        return compose_line(cells, width, palette)

    def _marked(self, cells: Sequence[Cell]) -> list[Cell | tuple[str, str]]:
        if self.pattern is None:
            return list(cells)
        marked: list[Cell | tuple[str, str]] = []
        for cell in cells:
            at = 0
            for found in self.pattern.regex.finditer(cell.text):
                if found.end() > found.start():
                    marked.append((cell.text[at : found.start()], cell.tone))
                    marked.append((found.group(), "match"))
                    at = found.end()
            marked.append((cell.text[at:], cell.tone))
        return marked

    # -- moving -----------------------------------------------------------------------------

    def move(self, rows: int) -> None:
        """Scroll by rows; upwards stops following, the end of a log follows again."""
        self._found = None
        if not self._lines:
            return
        was_log = self.follows or self.unseen > 0 or self._is_log()
        self._page_rows()
        if self.follows and rows > 0:
            return
        self.follows = False
        step = 1 if rows > 0 else -1
        for _ in range(abs(rows)):
            if not self._step(step):
                break
        self._rows = None
        if rows > 0 and was_log and self.at_end:
            self.follows, self.unseen = True, 0
        self._changed()

    def _is_log(self) -> bool:
        return isinstance(self._lines[-1], LogLine)

    def _step(self, step: int) -> bool:
        """Move the first row shown by one row; False at an end."""
        passing = self._passing
        at = bisect_left(passing, self._top)
        if step > 0:
            here = at < len(passing) and passing[at] == self._top
            if here and self._sub + 1 < len(self._line_rows(self._top)):
                self._sub += 1
                return True
            if at + here >= len(passing):
                return False
            self._top, self._sub = passing[at + here], 0
            return True
        if self._sub > 0:
            self._sub -= 1
            return True
        if not at:
            return False
        self._top = passing[at - 1]
        self._sub = len(self._line_rows(self._top)) - 1
        return True

    def move_page(self, direction: int, *, half: bool = False) -> None:
        """Scroll by a page or half of one."""
        self.move(direction * max(1, self.size.height // 2 if half else self.size.height - 1))

    def move_edge(self, direction: int) -> None:
        """To the beginning (-1), or to the end (1), where a log follows."""
        self._found = None
        if direction < 0:
            self.follows = False
            self._top = self._sub = 0
        else:
            self.follows, self.unseen = True, 0
            self._rows = None
            self._page_rows()
            self.follows = bool(self._lines) and self._is_log()
        self._changed()

    # -- searching --------------------------------------------------------------------------

    def search(self, text: str) -> str:
        """Look for a text (or ``/regex/``) from here on; returns an error in words, or nothing."""
        if not text:
            self.pattern = None
            self._shown = []
            self._changed()
            return ""
        try:
            is_regex = len(text) > 2 and text.startswith("/") and text.endswith("/")
            self.pattern = pattern(text[1:-1], ignore_case=True) if is_regex else literal(text)
        except PatternError as error:
            return f"{error.what}, at character {error.at + 1}" if error.at else error.what
        self._shown = []
        self.refresh()
        return "" if self.find(1, here=True) else f"no match for {text}{self.short}"

    @property
    def short(self) -> str:
        """What the last search did not look at, in words; empty when nothing."""
        if self._given_up:
            return f" in {PATIENCE:g} s: no more lines were searched"
        reach = self.pattern.reach if self.pattern is not None else 0
        if reach and any(len(plain(item)) > reach for item in self._lines):
            return f" in the first {reach:,} characters of a line"
        return ""

    def find(self, direction: int, *, here: bool = False) -> bool:
        """Go to the next (1) or previous (-1) match, round the end; False when there is none."""
        found = self.pattern.found if self.pattern is not None else is_fault
        self._given_up = False
        until = time.monotonic() + PATIENCE
        self._page_rows()
        passing = self._passing
        line = self._top if self._found is None else self._found
        if direction > 0:
            start = bisect_left(passing, line) if here else bisect_right(passing, line)
        else:
            start = bisect_left(passing, line) - 1
        for offset in range(len(passing)):
            index = passing[(start + direction * offset) % len(passing)]
            if time.monotonic() > until:
                self._given_up = True
                return False
            if found(plain(self._lines[index])):
                self.follows = False
                self._top, self._sub, self._found = index, 0, index
                self._rows = None
                self._repaint()
                return True
        return False

    def toggle(self, what: str) -> bool:
        """Turn ``wraps``, ``timestamps`` or ``faults`` on or off; returns what it is now."""
        now = not getattr(self, what)
        setattr(self, what, now)
        self._sub = 0
        if what == "faults":
            self._sift(0)
        self._changed()
        return now

    # -- events -----------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """Wrap again."""
        del event
        self._rows = None
        self._shown = []
        self._sub = 0

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down."""
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        event.stop()
        self.move(-3)
