"""A form: fields of one line each, with what they were, what is wrong, and what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.bulk import LaterLines
from mcp_tui.tui.cells import fit
from mcp_tui.tui.model import Cell, FormField
from mcp_tui.tui.widgets.lineedit import LineEdit
from mcp_tui.tui.widgets.logview import wrap_cells
from mcp_tui.tui.widgets.surface import compose_line, palette_of

_HINT_ROWS = 2


class Form(Widget):
    """Fields under each other; Tab and the arrows move, letters belong to the field.

    Args:
        id: The widget's id.
    """

    DEFAULT_CSS: ClassVar[str] = "Form { height: 1fr; width: 1fr; }"
    ALLOW_SELECT = False
    can_focus = True

    class Changed(Message):
        """A field has another value."""

    class Sent(Message):
        """Enter was pressed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.fields: tuple[FormField, ...] = ()
        self.lines: list[LineEdit] = []
        self.errors: dict[str, str] = {}
        self.note = ""
        self.at = 0
        self.top = 0

    # -- content ----------------------------------------------------------------------------

    def put(self, fields: Sequence[FormField], values: Mapping[str, str] | None = None) -> None:
        """Show these fields, with other values in some of them where given."""
        values = values or {}
        there = self.fields[self.at].id if self.at < len(self.fields) else ""
        self.fields = tuple(fields)
        self.lines = [
            LineEdit(field.value if field.fixed else values.get(field.id, field.value))
            for field in self.fields
        ]
        self.errors = {}
        self.note = ""
        self.at = next((n for n, f in enumerate(self.fields) if f.id == there), 0)
        self.refresh()

    def rebase(self, fields: Sequence[FormField]) -> None:
        """Take what is in the fields as what they began with; the cursors stay."""
        known = {field.id: field for field in fields}
        self.fields = tuple(known.get(field.id, field) for field in self.fields)
        self.refresh()

    @property
    def values(self) -> dict[str, str]:
        """What is in each field."""
        return {f.id: e.value.strip() for f, e in zip(self.fields, self.lines, strict=True)}

    @property
    def changes(self) -> dict[str, str]:
        """The fields whose value is not the one they began with."""
        before = {field.id: field.value for field in self.fields}
        return {name: text for name, text in self.values.items() if text != before[name]}

    def say(self, note: str) -> None:
        """Show a line in place of fields: why there are none."""
        self.note = note
        self.refresh()

    def wrong(self, errors: Mapping[str, str]) -> bool:
        """Show what is wrong at its field, the first of them in front; False for no such field."""
        self.errors = {f.id: errors[f.id] for f in self.fields if f.id in errors}
        if self.errors:
            self.at = next(n for n, f in enumerate(self.fields) if f.id in self.errors)
        self.refresh()
        return bool(self.errors)

    # -- keys -------------------------------------------------------------------------------

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Letters are the field's own."""
        del key
        return character is not None and character.isprintable()

    async def on_key(self, event: events.Key) -> None:
        """Edit the field, or go to another."""
        key = event.key
        if key in {"ctrl+c", "escape"} or not self.fields:
            return
        if key in {"tab", "down"} or key in {"shift+tab", "up"}:
            self.at = (self.at + (1 if key in {"tab", "down"} else -1)) % len(self.fields)
        elif key == "enter":
            self.post_message(self.Sent())
        elif not self._edit(event):
            return
        event.stop()
        event.prevent_default()
        self.refresh()

    def _edit(self, event: events.Key) -> bool:
        field, line = self.fields[self.at], self.lines[self.at]
        before = line.value
        if field.fixed:
            return event.is_printable
        if event.is_printable and event.character is not None:
            line.insert(event.character)
        else:
            line.edit(event.key)
        if line.value != before:
            self.errors.pop(field.id, None)
            self.post_message(self.Changed())
        return True

    def on_paste(self, event: events.Paste) -> None:
        """The first line of a paste goes into the field."""
        event.stop()
        if isinstance(event, LaterLines) or not self.fields or self.fields[self.at].fixed:
            return
        if self.lines[self.at].paste(event.text):
            self.errors.pop(self.fields[self.at].id, None)
            self.post_message(self.Changed())
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Go to the field that was clicked."""
        rows = self._rows()
        if self.top + event.y < len(rows):
            self.at = rows[self.top + event.y][0]
            self.refresh()

    # -- drawing ----------------------------------------------------------------------------

    def _rows(self) -> list[tuple[int, bool]]:
        """Each row: its field, and whether it is the one that says what is wrong there."""
        rows: list[tuple[int, bool]] = []
        for n, field in enumerate(self.fields):
            rows.append((n, False))
            if field.id in self.errors:
                rows.append((n, True))
        return rows

    def _hint(self) -> list[list[Cell]]:
        field, width = self.fields[self.at], self.size.width
        hint = Cell(field.fixed or field.hint, "dim")
        if cell_len(self._wrong_line(field)) > width:
            # What does not fit beside its field is read here.
            hint = Cell(self.errors[field.id], "error")
        return wrap_cells([hint], max(1, width - 2), words=True)[:_HINT_ROWS]

    def _wrong_line(self, field: FormField) -> str:
        """What is wrong with a field, as it stands below it; empty where nothing is."""
        wrong = self.errors.get(field.id)
        return f"{' ' * self._label_width()} ! {wrong}" if wrong else ""

    def _scroll(self, rows: Sequence[tuple[int, bool]], room: int) -> None:
        """Keep the field in front, with what is wrong there, on the screen."""
        mine = [n for n, (field, _) in enumerate(rows) if field == self.at]
        self.top = max(mine[-1] - room + 1, min(self.top, mine[0]))
        self.top = max(0, min(self.top, len(rows) - room))

    def render_line(self, y: int) -> Strip:
        """A field, what is wrong with it, or below all what the one in front is for."""
        palette, (width, height) = palette_of(self.app), self.size
        if not self.fields:
            text = self.note if y == 0 else ""
            return compose_line((Cell(" "), Cell(text, "dim")), width, palette)
        rows = self._rows()
        room = max(1, height - _HINT_ROWS - 1) if height > _HINT_ROWS + 2 else height
        self._scroll(rows, room)
        if y >= room:
            hint = self._hint()
            at = y - room - 1
            cells = hint[at] if 0 <= at < len(hint) else []
            return compose_line((Cell(" "), *cells), width, palette)
        if self.top + y >= len(rows):
            return compose_line((), width, palette)
        at, wrong = rows[self.top + y]
        if wrong:
            text = fit(self._wrong_line(self.fields[at]), width).rstrip()
            return compose_line((Cell(text, "error"),), width, palette)
        return self._field_strip(at, width)

    def _label_width(self) -> int:
        return 3 + max(len(field.label) for field in self.fields)

    def _field_strip(self, at: int, width: int) -> Strip:
        palette = palette_of(self.app)
        field, line = self.fields[at], self.lines[at]
        here = at == self.at
        base = palette[""]
        changed = line.value.strip() != field.value
        sign = ">" if here else " "
        label = f"{sign}{'*' if changed else ' '}{field.label}"
        label = fit(label, min(self._label_width(), max(3, width // 2)))
        was = f"  was {field.value}" if changed and field.value else ""
        room = max(4, width - len(label) - 3)
        # What it was gives way to what is typed.
        was = was if len(was) + len(line.value) + 1 <= room else ""
        room -= len(was)
        segments = [Segment(label + " ", base + palette["strong" if here else "dim"])]
        if here and not field.fixed:
            segments += line.segments(room, base)
        else:
            tone = palette["dim"] if field.fixed else palette[""]
            shown = line.value if cell_len(line.value) <= room else fit(line.value, max(1, room))
            segments.append(Segment(clean_line(shown), base + tone))
        segments.append(Segment(was, base + palette["dim"]))
        return Strip(segments).adjust_cell_length(width, base)
