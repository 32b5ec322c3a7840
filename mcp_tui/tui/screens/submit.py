"""The submit editor: a train config, checked with the line and column of its fault."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import TextArea

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.keymap import FORBIDDEN
from mcp_tui.tui.model import Cell
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.widgets.prompt import Ask

_PLACE = re.compile(r":(\d+)(?::(\d+))?\s*$")


def _allowed(bindings: Iterable[BindingType]) -> list[BindingType]:
    """A widget's bindings without the keys that are left to the terminal."""
    kept: list[BindingType] = []
    for binding in bindings:
        if isinstance(binding, Binding):
            keys = [key for key in binding.key.split(",") if key not in FORBIDDEN]
            if keys and "escape" not in keys:
                kept.append(Binding(",".join(keys), binding.action, show=False))
    return kept


class Editor(TextArea, inherit_bindings=False):
    """A plain text editor; undo is ctrl-_ since ctrl-z is the shell's."""

    DEFAULT_CSS: ClassVar[str] = """
    Editor { height: 1fr; border: none; padding: 0; background: $background; }
    Editor:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *_allowed(TextArea.BINDINGS),
        Binding("ctrl+underscore", "undo", show=False),
    ]


class SubmitScreen(FrameScreen, inherit_bindings=False):
    """Edit a train config, then see its plan. The text stays whatever goes wrong."""

    KIND: ClassVar[str] = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False, priority=True),
        Binding("ctrl+o", "check", show=False, priority=True),
        Binding("ctrl+r", "run", show=False, priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.editor = Editor("", id="editor", show_line_numbers=True, soft_wrap=False)
        self.fault = ""
        self.with_run = True
        self._example = ""

    def body(self) -> Iterable[Widget]:
        """The editor."""
        return (self.editor,)

    def home(self) -> Widget:
        """The editor."""
        return self.editor

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return ("Jobs", "submit")

    def notes(self) -> Sequence[Cell]:
        """That no run is made, where that was chosen."""
        return () if self.with_run else (Cell("  without an MLflow run", "attention"),)

    def counts(self) -> Sequence[Cell]:
        """The fault, with its line."""
        return (Cell(self.fault, "error"),) if self.fault else ()

    def on_mount(self) -> None:
        """Begin with what was left here last, or with the example."""
        self._example = self.console.backend.actions.example()
        self.editor.text = self.console.acting.draft or self._example

    def _update_keys(self) -> None:
        if self._message is not None:
            super()._update_keys()
            return
        self.line_keys.set_cells(
            (
                Cell(" "),
                Cell("ctrl-o", "key"),
                Cell(" check and show the plan   "),
                Cell("ctrl-r", "key"),
                Cell(" without a run   " if self.with_run else " with a run   "),
                Cell("Esc", "key"),
                Cell(" back, text kept"),
            )
        )

    def action_back(self) -> None:
        """Back; the text is kept for the next time."""
        if self.prompt.display:
            self.stop_asking()
            return
        self.console.acting.draft = self.editor.text
        self.app.pop_screen()

    def action_run(self) -> None:
        """Go on without an MLflow run, or with one again."""
        self.with_run = not self.with_run
        self.say(
            "an MLflow run is made" if self.with_run else "no MLflow run is made; ctrl-o plans it"
        )
        self.update_frame()

    def action_check(self) -> None:
        """Plan it."""
        self.console.acting.draft = self.editor.text
        self.say("checking")
        self.run_worker(
            self._plan(self.editor.text), group="plan", exclusive=True, exit_on_error=False
        )

    async def _plan(self, text: str) -> None:
        try:
            async with asyncio.timeout(60):
                plan = await self.console.backend.actions.plan_submit(text, with_run=self.with_run)
        except McpTuiError as error:
            self._show_fault(error)
            return
        except TimeoutError:
            self.say("no plan in 60 s; nothing was sent", "error")
            return
        self.fault = ""
        self._message = None
        self.update_frame()
        self.console.acting.show_plan(plan)

    def _show_fault(self, error: McpTuiError) -> None:
        place = _PLACE.search(error.where)
        self.fault = ""
        if place is not None:
            line = int(place.group(1))
            column = int(place.group(2) or 1)
            self.fault = f"line {line}, column {column}"
            last = self.editor.document.line_count - 1
            self.editor.move_cursor((min(line - 1, last), max(0, column - 1)))
        self.say(error.line(), "error")
        self.update_frame()

    def ask(self, ask: Ask, **kwargs: object) -> None:
        """Nothing is asked here: letters belong to the text."""
        del ask, kwargs
