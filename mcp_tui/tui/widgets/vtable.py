"""The one virtual table: every live pane shows its rows with it.

It draws through the line API and asks its model for visible rows only, so that its cost is that
of the screen and not of the list. It keeps its own offset instead of a scroll view's: a virtual
size would make every added row a layout of the whole screen. What a change repaints is found by
comparing the visible rows with those last painted; a row's unchanged beginning and end are not
sent again, and a row off screen costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.tui.cells import Slot, fit, lay_out
from mcp_tui.tui.model import Cell, Column, PaneModel, RowView
from mcp_tui.tui.widgets.logview import wrap_cells
from mcp_tui.tui.widgets.surface import compose_line, palette_of, signs_of

_CACHE = 512
# Cells between two changed places that cost no more than going to the second.
_NEAR = 8


class _Painted(NamedTuple):
    """What a line of the screen shows."""

    row: RowView | None
    cursor: bool
    marked: bool
    note: str = ""


class VTable(Widget):
    """A list of any length with a cursor and marks that follow their objects.

    Args:
        model: Where rows come from.
        id: The widget's id.
    """

    DEFAULT_CSS: ClassVar[str] = "VTable { height: 1fr; width: 1fr; }"
    ALLOW_SELECT = False
    can_focus = True

    class CursorMoved(Message):
        """The cursor is on another object, or on none."""

        def __init__(self, table: VTable, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        def can_replace(self, message: Message) -> bool:
            """Only the newest place of the cursor matters."""
            return isinstance(message, VTable.CursorMoved)

    class Opened(Message):
        """A row was opened with the mouse."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, model: PaneModel, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = model
        self.marks: dict[str, None] = {}
        self.top = 0
        self.cursor = 0
        self.cursor_key: str | None = None
        self.rows_drawn = 0
        self._top_key: str | None = None
        self._settled = False
        self._slots: list[Slot] = []
        self._columns: tuple[Column, ...] = model.columns
        self._painted: list[_Painted] = []
        self._heading: tuple[object, ...] = ()
        self._strips: OrderedDict[object, Strip] = OrderedDict()
        self._dress: object = None

    # -- what is on screen ------------------------------------------------------------------

    @property
    def page(self) -> int:
        """Rows that fit below the headings."""
        return max(0, self.size.height - 1)

    @property
    def visible_keys(self) -> tuple[str, ...]:
        """Keys of the rows on screen."""
        return tuple(line.row.key for line in self._painted if line.row is not None)

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Ids of the columns that fit."""
        return tuple(self._columns[slot.column].id for slot in self._slots)

    @property
    def hidden_marks(self) -> int:
        """Marked objects that the filter hides."""
        return sum(1 for key in self.marks if self.model.index_of(key) is None)

    def chosen(self) -> tuple[str, ...]:
        """What an action is about: the marked objects, hidden ones included, else the cursor's."""
        if self.marks:
            place = self.model.index_of
            return tuple(sorted(self.marks, key=lambda k: (place(k) is None, place(k) or 0, k)))
        return (self.cursor_key,) if self.cursor_key is not None else ()

    # -- following the model ----------------------------------------------------------------

    def sync(self) -> None:
        """Take the model as it is now: move with the objects, repaint what looks different."""
        for key in [key for key in self.marks if not self.model.exists(key)]:
            del self.marks[key]
        before = self.cursor_key
        self._follow()
        self._repaint()
        if self.cursor_key != before:
            self.post_message(self.CursorMoved(self, self.cursor_key))

    def restart(self) -> None:
        """Forget the cursor, marks and what was painted: the model is another one."""
        self.marks.clear()
        self.top = self.cursor = 0
        self.cursor_key = self._top_key = None
        self._settled = False
        self._painted, self._dress = [], None

    def _follow(self) -> None:
        model, count = self.model, self.model.count
        if count == 0:
            self.top = self.cursor = 0
            self.cursor_key = self._top_key = None
            return
        if self._settled and self.cursor_key is not None:
            at = model.index_of(self.cursor_key)
            # Its object is gone or hidden: the cursor stays where it stood.
            self.cursor = at if at is not None else min(self.cursor, count - 1)
        else:
            self.cursor = min(self.cursor, count - 1)
        self._settled = self._settled or model.phase == "ready"
        if self.top > 0 and self._top_key is not None:
            at = model.index_of(self._top_key)
            self.top = at if at is not None else self.top
        self._clamp()

    def _clamp(self) -> None:
        count, page = self.model.count, max(1, self.page)
        self.cursor = max(0, min(self.cursor, count - 1))
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + page:
            self.top = self.cursor - page + 1
        self.top = max(0, min(self.top, count - page))
        self.cursor_key = self.model.row(self.cursor).key if count else None
        self._top_key = self.model.row(self.top).key if count else None

    def _look(self) -> list[_Painted]:
        """Every line below the headings as it should be now."""
        model, count = self.model, self.model.count
        if count == 0:
            cells = ((Cell(line),) for line in model.note)
            width = max(1, self.size.width - 2)
            note = [
                "".join(cell.text for cell in row)
                for line in cells
                for row in wrap_cells(line, width, words=True)
            ]
            blank = _Painted(None, False, False)
            return [
                _Painted(None, False, False, note[i]) if i < len(note) else blank
                for i in range(self.page)
            ]
        lines: list[_Painted] = []
        for index in range(self.top, self.top + self.page):
            if index < count:
                row = model.row(index)
                lines.append(_Painted(row, index == self.cursor, row.key in self.marks))
            else:
                lines.append(_Painted(None, False, False))
        return lines

    def _repaint(self) -> None:
        width = self.size.width
        if not width:
            return
        palette, signs = palette_of(self.app), signs_of(self.app)
        # Rows that are painted have a cell for each of these, whatever the model shows by then.
        self._columns = self.model.columns
        self._slots = lay_out(self._columns, width)
        ids = tuple(column.id for column in self._columns)
        titles = tuple(column.title for column in self._columns)
        heading = ((tuple(self._slots), ids), self.model.sort, titles)
        dress = (palette.name, signs.failed, width, self.size.height)
        lines = self._look()
        if dress != self._dress or heading[0] != (self._heading[:1] or (None,))[0]:
            self._dress, self._heading, self._painted = dress, heading, lines
            self._strips.clear()
            self.refresh()
            return
        if heading != self._heading:
            self._heading = heading
            self.refresh(Region(0, 0, width, 1))
        for y, line in enumerate(lines):
            old = self._painted[y] if y < len(self._painted) else None
            if line != old:
                for x, end in self._changed_cells(old, line, width):
                    self.refresh(Region(x, y + 1, end - x, 1))
        self._painted = lines

    def _changed_cells(
        self, old: _Painted | None, new: _Painted, width: int
    ) -> list[tuple[int, int]]:
        """Where the lines differ: the first cell of each place, and the one after its last."""
        if (
            old is None
            or old.row is None
            or new.row is None
            or old.cursor != new.cursor
            or (old.row.stale != new.row.stale)
        ):
            return [(0, width)]
        places = [(0, 1)] if old.marked != new.marked else []
        for slot in self._slots:
            state = self._columns[slot.column].kind == "state"
            if old.row.cells[slot.column] != new.row.cells[slot.column] or (
                state and old.row.state != new.row.state
            ):
                begin = slot.x
                if places and begin - places[-1][1] <= _NEAR:
                    begin = places.pop()[0]
                places.append((begin, slot.x + slot.width))
        return places

    # -- drawing ----------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The headings, or the row at ``y``."""
        width = self.size.width
        if self._dress is None or len(self._painted) != self.page:
            self._follow()
            self._repaint()
        if y == 0:
            return self._heading_strip(width)
        line = self._painted[y - 1] if y - 1 < len(self._painted) else None
        if line is None or line.row is None:
            palette = palette_of(self.app)
            note = line.note if line is not None else ""
            return compose_line(((" " + note, "dim"),) if note else (), width, palette)
        strip = self._strips.get(line)
        if strip is None:
            self.rows_drawn += 1
            strip = self._strips[line] = self._row_strip(line, line.row, width)
            if len(self._strips) > _CACHE:
                self._strips.popitem(last=False)
        else:
            self._strips.move_to_end(line)
        return strip

    def _heading_strip(self, width: int) -> Strip:
        palette = palette_of(self.app)
        base = palette[""] + palette["heading"]
        sort, reverse = self.model.sort
        parts: list[tuple[str, str]] = []
        x = 0
        for slot in self._slots:
            column = self._columns[slot.column]
            title = column.title
            if column.short and len(title) > slot.width:
                title = column.short
            sign, hung = "" if column.id != sort else " ^" if reverse else " v", ""
            end = slot.x + slot.width
            if sign and len(title) + len(sign) > slot.width and end < width:
                # Between two columns there is room for it: the title stays whole.
                sign, hung = "", sign[-1]
            room = max(1, slot.width - len(sign))
            if len(title) > room:
                # In its middle: names of metrics differ at their ends.
                title = fit(title, room, cut="middle")
            told = fit(title + sign, slot.width, align=column.align)
            parts.append((" " * (slot.x - x) + told + hung, ""))
            x = end + len(hung)
        return compose_line(parts, width, palette, base)

    def _row_strip(self, line: _Painted, row: RowView, width: int) -> Strip:
        palette, signs = palette_of(self.app), signs_of(self.app)
        plain = palette[""]
        if row.stale:
            plain += palette["dim"]
        if line.cursor:
            plain += palette["cursor"]
        segments = [Segment("*" if line.marked else " ", plain)]
        x = 1
        for slot in self._slots:
            column = self._columns[slot.column]
            cell = row.cells[slot.column]
            text, tone = cell.text, str(cell.tone)
            if column.kind == "state":
                text, tone = f"{signs.state(row.state)} {text}", tone or _tone(row.state)
            style = self._style(plain, palette[tone], row=row, cursor=line.cursor, tone=tone)
            if slot.x > x:
                segments.append(Segment(" " * (slot.x - x), plain))
            cut: Literal["end", "middle"] = "middle" if column.kind == "name" else "end"
            segments.append(Segment(fit(text, slot.width, align=column.align, cut=cut), style))
            x = slot.x + slot.width
        if x < width:
            segments.append(Segment(" " * (width - x), plain))
        return Strip(_merge(segments), width)

    @staticmethod
    def _style(plain: Style, toned: Style, *, row: RowView, cursor: bool, tone: str) -> Style:
        if not tone or row.stale or (cursor and (tone == "dim" or plain.reverse)):
            return plain
        # On the cursor's own background a tone keeps its colour and loses its own background.
        return plain + Style(color=toned.color, bold=toned.bold) if cursor else plain + toned

    # -- moving -----------------------------------------------------------------------------

    def move_to(self, index: int) -> None:
        """Put the cursor on a row; the list scrolls as little as it must."""
        if self.model.count == 0:
            return
        before = self.cursor_key
        self._settled = True
        self.cursor = index
        self._clamp()
        self._repaint()
        if self.cursor_key != before:
            self.post_message(self.CursorMoved(self, self.cursor_key))

    def move(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.move_to(self.cursor + rows)

    def move_page(self, direction: int, *, half: bool = False) -> None:
        """Move by a page, or by half of one, keeping the cursor's place on the screen."""
        step = max(1, self.page // 2 if half else self.page)
        self.top = max(0, min(self.top + direction * step, self.model.count - self.page))
        self.move_to(self.cursor + direction * step)

    def move_edge(self, direction: int) -> None:
        """Move to the first row (-1) or to the last (1)."""
        self.move_to(0 if direction < 0 else self.model.count - 1)

    def go_to_key(self, key: str) -> bool:
        """Put the cursor on an object; False when it is not shown."""
        at = self.model.index_of(key)
        if at is None:
            return False
        self.move_to(at)
        return True

    # -- marks ------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark or unmark the object under the cursor and go on to the next row."""
        if self.cursor_key is None:
            return
        if self.cursor_key in self.marks:
            del self.marks[self.cursor_key]
        else:
            self.marks[self.cursor_key] = None
        if self.cursor < self.model.count - 1:
            self.move(1)
        self._repaint()

    def clear_marks(self) -> None:
        """Unmark everything, hidden rows included."""
        self.marks.clear()
        self._repaint()

    # -- sorting ----------------------------------------------------------------------------

    def sort_by(self, direction: int) -> str:
        """Sort by the column to the left (-1) or right (1) of the present one; returns its id.

        Before the first and after the last column stands the pane's own order (an empty id).
        """
        ids: Sequence[str] = (
            "",
            *(c.id for c in self.model.columns if c.sortable and c.id in self.shown_columns),
        )
        now = self.model.sort[0]
        at = ids.index(now) if now in ids else 0
        chosen = ids[(at + direction) % len(ids)]
        self.model.set_sort(chosen, False)
        self.sync()
        return chosen

    # -- events -----------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor on screen at any size."""
        del event
        self._follow()
        self._repaint()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down."""
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        event.stop()
        self.move(-3)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where it was clicked; a double click opens."""
        index = self.top + event.y - 1
        if event.y > 0 and index < self.model.count:
            self.move_to(index)
            if event.chain > 1 and self.cursor_key is not None:
                self.post_message(self.Opened(self.cursor_key))


def _tone(state: str) -> str:
    from mcp_tui.tui.theme import STATE_TONES

    return STATE_TONES.get(state, "")


def _merge(segments: list[Segment]) -> list[Segment]:
    """Join neighbours of one style: fewer escape sequences on the line."""
    merged: list[Segment] = []
    for segment in segments:
        if merged and merged[-1].style == segment.style:
            merged[-1] = Segment(merged[-1].text + segment.text, segment.style)
        else:
            merged.append(segment)
    return merged
