"""A screen of lines: the base of help, describe and whatever else is text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.screens.frame import FrameScreen, bindings_for
from mcp_tui.tui.widgets.logview import LogView
from mcp_tui.tui.widgets.prompt import Ask


class ViewKeys(FrameScreen, inherit_bindings=False):
    """The keys of a text, shared by every screen that shows one."""

    KIND: ClassVar[str] = "view"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("view")

    @property
    def view(self) -> LogView | None:
        """The text in front, if it is one."""
        raise NotImplementedError

    def on_log_view_status(self, message: LogView.Status) -> None:
        """The crumbs tell the position."""
        message.stop()
        self.update_frame()

    def answer(self, ask: Ask, text: str) -> None:
        """A search or a file name."""
        view = self.view
        if ask.mode == "search" and view is not None:
            self.stop_asking()
            error = view.search(text)
            if error:
                self.say(error, "error")
        elif ask.mode == "save" and view is not None:
            self.stop_asking()
            self._write(view, text)
        else:
            super().answer(ask, text)

    def _write(self, view: LogView, name: str) -> None:
        path = Path(self.console.options.save_dir or ".", name.strip())
        try:
            path = path.expanduser()
            # "x": a file that is there is never overwritten.
            with path.open("x", encoding="utf-8") as file:
                file.write(view.text + "\n")
        except (OSError, RuntimeError, ValueError) as error:
            # Nobody has the home that was meant, or no file can have such a name.
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            self.say(f"not saved: {why}: {path}", "error")
            return
        self.say(f"saved {view.count:,} lines to {path}")

    def action_filter(self) -> None:
        """Search."""
        if self.view is not None:
            self.ask(Ask("search", "/"), history=self.console.search_history)
        else:
            super().action_filter()

    def action_move(self, rows: int) -> None:
        """Scroll."""
        if self.view is not None:
            self.view.move(rows)

    def action_edge(self, direction: int) -> None:
        """To an end."""
        if self.view is not None:
            self.view.move_edge(direction)

    def action_half(self, direction: int) -> None:
        """Half a page."""
        if self.view is not None:
            self.view.move_page(direction, half=True)

    def action_page(self, direction: int) -> None:
        """A page."""
        if self.view is not None:
            self.view.move_page(direction)

    def action_match(self, direction: int) -> None:
        """Next or previous match."""
        if self.view is not None and not self.view.find(direction):
            self.say("no match")

    def action_wrap(self) -> None:
        """Wrap long lines or cut them."""
        if self.view is not None:
            self.say("long lines wrap" if self.view.toggle("wraps") else "long lines are cut")

    def action_timestamps(self) -> None:
        """Show or hide times."""
        if self.view is not None:
            self.view.toggle("timestamps")

    def action_faults(self) -> None:
        """Only lines that look like errors, or all again."""
        if self.view is not None:
            self.view.toggle("faults")

    def action_save(self) -> None:
        """Save the text."""
        if self.view is not None:
            self.ask(Ask("save", "save as ", self.file_name()))

    def action_copy(self) -> None:
        """Copy the text."""
        if self.view is not None:
            self.console.copy(self.view.text, f"{self.view.count:,} lines")

    def file_name(self) -> str:
        """What a saved file is called unless told otherwise."""
        return "text.txt"


class ViewScreen(ViewKeys, inherit_bindings=False):
    """Lines to read.

    Args:
        crumbs: Where one is.
        lines: What is shown.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings_for("view")

    def __init__(self, crumbs: Sequence[str], lines: Iterable[Line] = ()) -> None:
        super().__init__()
        self._crumbs = tuple(crumbs)
        self._view = LogView(id="view")
        self._view.set_lines(lines)

    @property
    def view(self) -> LogView:
        """The text."""
        return self._view

    def body(self) -> Iterable[Widget]:
        """The text."""
        return (self._view,)

    def home(self) -> Widget:
        """The text."""
        return self._view

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return self._crumbs

    def counts(self) -> Sequence[Cell]:
        """Lines."""
        return self._view.status
