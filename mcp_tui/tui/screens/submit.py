"""Submitting: a train config as text or as a form, checked with the place of its fault."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.scrollbar import ScrollBarRender
from textual.widget import Widget
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from mcp_tui.domain.plan import Plan
from mcp_tui.domain.text import clean
from mcp_tui.domain.yamlmarks import ConfigError
from mcp_tui.errors import McpTuiError, UsageError
from mcp_tui.tui.acting import Draft
from mcp_tui.tui.bulk import MOST
from mcp_tui.tui.configform import errors_of, form_fields, write
from mcp_tui.tui.keymap import FORBIDDEN
from mcp_tui.tui.model import Cell
from mcp_tui.tui.screens.planning import PlanningScreen
from mcp_tui.tui.theme import ASCII_SIGNS
from mcp_tui.tui.widgets.form import Form
from mcp_tui.tui.widgets.surface import signs_of

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


class WholeCells(ScrollBarRender):
    """A scroll bar that ends with a cell: what stands for parts of one is not in ASCII."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.VERTICAL_BARS)
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.HORIZONTAL_BARS)


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

    def on_mount(self) -> None:
        """Draw with nothing but ASCII where that is all there is."""
        if signs_of(self.app) is ASCII_SIGNS:
            for bar in (self.vertical_scrollbar, self.horizontal_scrollbar):
                # For the type checker it is the class's alone.
                setattr(bar, "renderer", WholeCells)  # noqa: B010

    def edit(self, edit: Edit) -> EditResult:
        """Type, paste or undo; cleaned, so that what is submitted is what is seen."""
        text = clean(edit.text, limit=MOST)
        return super().edit(edit if text == edit.text else replace(edit, text=text))

    def load_text(self, text: str) -> None:
        """Show another text, cleaned."""
        super().load_text(clean(text, limit=MOST))


class SubmitScreen(PlanningScreen, inherit_bindings=False):
    """A train config, as text or as a form of its common fields, and then its plan.

    The text is what is planned: the form is read from it, and written back into it.

    Args:
        draft: What is being written; it keeps what is typed, however the screen is left.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *PlanningScreen.BINDINGS,
        Binding("ctrl+t", "swap", show=False, priority=True),
    ]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.editor = Editor("", id="editor", show_line_numbers=True, soft_wrap=False)
        # A cursor that blinks is sent over the line twice a second.
        self.editor.cursor_blink = False
        self.form = Form(id="form")
        self.as_form = False
        self.fault = ""

    def body(self) -> Iterable[Widget]:
        """The editor, and the form in its place."""
        return (self.editor, self.form)

    def home(self) -> Widget:
        """What is in front."""
        return self.form if self.as_form else self.editor

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return ("Jobs", "submit", "form" if self.as_form else "text")

    def counts(self) -> Sequence[Cell]:
        """The fault, with its line."""
        return (Cell(self.fault, "error"),) if self.fault else ()

    def more_keys(self) -> Sequence[tuple[str, str]]:
        """The other way to write it."""
        return (("ctrl-t", "as text" if self.as_form else "as a form"),)

    def on_mount(self) -> None:
        """Begin with what was left here last, or with the example."""
        draft = self.draft
        self.editor.text = draft.text or draft.begun or self.console.backend.actions.example()
        self.form.display = False
        if self.console.acting.as_form:
            self.action_swap()

    # -- text and form ----------------------------------------------------------------------

    def action_swap(self) -> None:
        """The form in place of the text, or the text again with what was typed in the form."""
        if self.as_form:
            self.keep()
            try:
                self._check_pairs()
            except UsageError as error:
                self.show_fault(error)
                return
        else:
            try:
                fields = form_fields(self.editor.text)
                self.form.put(fields, self.draft.unwritten)
            except ConfigError as error:
                # Only the text can show what is no config at all.
                self.show_fault(error)
                return
        self.fault = ""
        self.hush()
        self._show(as_form=not self.as_form)

    def _show(self, *, as_form: bool) -> None:
        self.as_form = self.console.acting.as_form = as_form
        self.form.display = as_form
        self.editor.display = not as_form
        self.home().focus()
        self.update_frame()

    def on_form_changed(self, message: Form.Changed) -> None:
        """What is typed is kept from now on, however the screen is left."""
        message.stop()
        self.draft.text = self._written()

    def _written(self) -> str:
        """The text with what is typed in the form; what cannot be written there is kept aside."""
        text, unwritten = self.editor.text, {}
        for name, value in self.form.changes.items():
            try:
                text = write(text, {name: value})
            except (ConfigError, ValueError):
                unwritten[name] = value
        self.draft.unwritten = unwritten
        return text

    def on_form_sent(self, message: Form.Sent) -> None:
        """Enter plans."""
        message.stop()
        self.action_check()

    def on_text_area_changed(self, message: TextArea.Changed) -> None:
        """What is typed is kept from now on, however the screen is left."""
        message.stop()
        self.draft.text = self.editor.text

    def keep(self) -> None:
        """Keep the text, with what was typed in the form."""
        if self.as_form:
            self.editor.text = self._written()
            with suppress(ConfigError):
                self.form.rebase(form_fields(self.editor.text))
        self.draft.text = self.editor.text

    def sent(self) -> None:
        """What made a run again has served: the next time begins with the run."""
        if self.draft.begun:
            self.draft.text, self.draft.unwritten = "", {}

    # -- planning ---------------------------------------------------------------------------

    async def make(self) -> Plan:
        """Plan the text."""
        if self.as_form:
            self._check_pairs()
        actions = self.console.backend.actions
        return await actions.plan_submit(self.editor.text, with_run=self.with_run)

    def _check_pairs(self) -> None:
        """Refuse what could not be written into the text."""
        for name, value in self.form.changes.items():
            try:
                write(self.editor.text, {name: value})
            except ValueError as error:
                raise UsageError(str(error).partition(": ")[2], where=name) from None

    def show_well(self) -> None:
        """Nothing is wrong any more."""
        self.fault = ""
        self.form.wrong({})

    def show_fault(self, error: McpTuiError) -> None:
        """At its field, or at its line and column."""
        self.fault = ""
        if self.as_form and self._shown_in_form(error):
            return
        place = _PLACE.search(error.where)
        if place is not None:
            line = int(place.group(1))
            column = int(place.group(2) or 1)
            self.fault = f"line {line}, column {column}"
            last = self.editor.document.line_count - 1
            self.editor.move_cursor((min(line - 1, last), max(0, column - 1)))
            if self.as_form:
                # It stands where the form shows nothing.
                self._show(as_form=False)
        self.say(error.line(), "error")

    def _shown_in_form(self, error: McpTuiError) -> bool:
        text = f"{error.what}; {error.hint}" if error.hint else error.what
        errors = {error.where: text}
        if isinstance(error, ConfigError):
            errors = errors_of(self.editor.text, error)
            if "" in errors:
                return False
        elif self.form.values.get("code.url") == error.where:
            # Git was asked: if it answered, it is the branch that it does not know.
            errors = {"code.ref" if isinstance(error, UsageError) else "code.url": text}
        if not self.form.wrong(errors):
            return False
        self.hush()
        return True
