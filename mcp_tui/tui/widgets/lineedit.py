"""One line of text as it is typed: what the prompt and the fields of a form have in common."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.cells import take, take_end

LONGEST = 4_000
"""Characters that a line holds; what is pasted beyond them is not taken."""


class LineEdit:
    """A line with a cursor.

    Args:
        value: To begin with.
    """

    def __init__(self, value: str = "") -> None:
        self.value = value
        self.at = len(value)

    def put(self, value: str) -> None:
        """Stand in place of what is there."""
        self.value, self.at = value, len(value)

    def insert(self, text: str) -> None:
        """Type a text, cleaned: what is sent is what is seen."""
        text = clean_line(text, limit=LONGEST)[: max(0, LONGEST - len(self.value))]
        self.value = self.value[: self.at] + text + self.value[self.at :]
        self.at += len(text)

    def paste(self, text: str) -> bool:
        """Type the first line of a paste, cleaned; whether that changed anything."""
        before = self.value
        lines = text[: 4 * LONGEST].splitlines()
        if lines:
            self.insert(lines[0])
        return self.value != before

    def edit(self, key: str) -> None:
        """Carry out an editing key; others do nothing."""
        value, at = self.value, self.at
        if key == "backspace":
            self.value, self.at = value[: max(0, at - 1)] + value[at:], max(0, at - 1)
        elif key == "delete":
            self.value = value[:at] + value[at + 1 :]
        elif key == "left":
            self.at = max(0, at - 1)
        elif key == "right":
            self.at = min(len(value), at + 1)
        elif key == "home":
            self.at = 0
        elif key in {"end", "ctrl+e"}:
            self.at = len(value)
        elif key == "ctrl+u":
            self.value, self.at = value[at:], 0
        elif key == "ctrl+k":
            self.value = value[:at]
        elif key == "ctrl+w":
            head = value[:at].rstrip()
            head = head[: head.rfind(" ") + 1]
            self.value, self.at = head + value[at:], len(head)

    def segments(self, room: int, base: Style) -> list[Segment]:
        """The part of the line around its cursor, in at most ``room`` cells and the cursor's."""
        head = take_end(clean_line(self.value[: self.at], limit=LONGEST), room)
        under = clean_line(self.value[self.at : self.at + 1]) or " "
        rest = clean_line(self.value[self.at + 1 :], limit=LONGEST)
        return [
            Segment(head, base),
            Segment(under, base + Style(reverse=True)),
            Segment(take(rest, max(0, room - cell_len(head))), base),
        ]
