"""The keys line, and in its place the one line of input: command, filter, search, a question.

One widget is both: to show and hide two would lay the whole screen out anew at every question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.bulk import LaterLines
from mcp_tui.tui.cells import fit
from mcp_tui.tui.widgets.lineedit import LineEdit
from mcp_tui.tui.widgets.surface import LineWidget, palette_of

Completer = Callable[[str], Sequence[str]]
"""Whole lines that could stand in place of the one typed."""


@dataclass(frozen=True)
class Ask:
    """What is asked for.

    Attributes:
        mode: Told back with the answer: ``command``, ``filter``, ``search``, ``save``, ``leave``.
        sign: Before the input: ``:`` or ``/``, or a question.
        text: To begin with.
        yes_no: No text is typed: ``y`` or Enter agrees, anything else does not.
    """

    mode: str
    sign: str
    text: str = ""
    yes_no: bool = False


class Prompt(LineWidget):
    """A line of text, and when asked a line editor with history and completion.

    Keys never reach what is behind it then.
    """

    can_focus = False

    class Answered(Message):
        """Enter was pressed."""

        def __init__(self, ask: Ask, text: str) -> None:
            super().__init__()
            self.ask = ask
            self.text = text

    class Changed(Message):
        """The text changed."""

        def __init__(self, ask: Ask, text: str) -> None:
            super().__init__()
            self.ask = ask
            self.text = text

    class Left(Message):
        """Left with Esc, or without an answer."""

        def __init__(self, ask: Ask) -> None:
            super().__init__()
            self.ask = ask

    def __init__(self, *, id: str | None = None, role: str = "") -> None:
        super().__init__(id=id, role=role)
        self.asking = False
        self.ask = Ask("", "")
        self.line = LineEdit()
        self.error = ""
        self.history: list[str] = []
        self.completer: Completer | None = None
        self._back = 0
        self._draft = ""
        self._offers: list[str] = []
        self._offer = -1

    @property
    def value(self) -> str:
        """What is typed."""
        return self.line.value

    def open(self, ask: Ask, *, completer: Completer | None, history: list[str]) -> None:
        """Begin to ask."""
        self.ask, self.error = ask, ""
        self.line.put(ask.text)
        self.completer, self.history, self._back = completer, history, 0
        self._offers, self._offer = [], -1
        self.asking = self.can_focus = True
        self.set_cells(self._cells)  # It is of one line now.
        self.focus()
        self.refresh()

    def close(self) -> None:
        """Give the line back."""
        self.asking = self.can_focus = False
        self.refresh()

    def say(self, error: str) -> None:
        """Show what is wrong beside the input, which stays."""
        if error != self.error:
            self.error = error
            self.refresh()

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Every key is the prompt's own, but the one that interrupts."""
        del character
        return key != "ctrl+c"

    async def on_key(self, event: events.Key) -> None:
        """Edit the line."""
        if event.key == "ctrl+c":
            return
        event.stop()
        event.prevent_default()
        if self.ask.yes_no:
            agreed = event.key in {"enter", "y"}
            self.post_message(self.Answered(self.ask, "y") if agreed else self.Left(self.ask))
            return
        if event.key not in {"tab", "shift+tab"}:
            self._offers, self._offer = [], -1
        before = self.value
        if event.key == "enter":
            if self.value.strip() and (not self.history or self.history[-1] != self.value):
                self.history.append(self.value)
            self.post_message(self.Answered(self.ask, self.value))
            return
        if event.key == "escape" or (event.key == "backspace" and not self.value):
            self.post_message(self.Left(self.ask))
            return
        if event.is_printable and event.character is not None:
            self.line.insert(event.character)
        else:
            self._edit(event.key)
        if self.value != before:
            self.error = ""
            self.post_message(self.Changed(self.ask, self.value))
        self.refresh()

    def _edit(self, key: str) -> None:
        if key in {"up", "down"}:
            self._recall(1 if key == "up" else -1)
        elif key in {"tab", "shift+tab"}:
            self._complete(1 if key == "tab" else -1)
        else:
            self.line.edit(key)

    def _recall(self, step: int) -> None:
        if self._back == 0:
            self._draft = self.value
        self._back = max(0, min(len(self.history), self._back + step))
        self.line.put(self.history[-self._back] if self._back else self._draft)

    def _complete(self, step: int) -> None:
        if self.completer is None:
            return
        if not self._offers:
            self._offers = list(self.completer(self.value))
            self._offer = -1 if step > 0 else 0
        if self._offers:
            self._offer = (self._offer + step) % len(self._offers)
            self.line.put(self._offers[self._offer])

    def on_paste(self, event: events.Paste) -> None:
        """Take the first line of a paste, as text; never into a question."""
        event.stop()
        if self.ask.yes_no or isinstance(event, LaterLines):
            return
        if self.line.paste(event.text):
            self.post_message(self.Changed(self.ask, self.value))
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Sign, text with its cursor, then an error or what could be completed; or the text."""
        if not self.asking:
            return super().render_line(y)
        width = self.size.width
        palette = palette_of(self.app)
        base = palette[""] + palette["prompt"]
        sign = clean_line(self.ask.sign)
        if y or not width:
            return Strip.blank(width, base)
        if self.ask.yes_no:
            return Strip([Segment(fit(" " + sign, width), base + palette["strong"])], width)
        if cell_len(sign) > width // 2:
            sign = fit(sign, width // 2, cut="middle")  # what is typed has the other half
        room = max(4, width - cell_len(sign) - 3)
        segments = [
            Segment(" " + sign, base + palette["key"]),
            *self.line.segments(room, base),
        ]
        used = sum(cell_len(segment.text) for segment in segments)
        aside, tone = "", "dim"
        if self.error:
            aside, tone = f"  {self.error}", "error"
        elif self.completer is not None:
            offers = self._offers or self.completer(self.value)
            aside = "  " + "  ".join(clean_line(o) for o in offers[:8] if o != self.value)
        segments.append(Segment(fit(aside, max(0, width - used)), base + palette[tone]))
        return Strip(segments).adjust_cell_length(width, base)
