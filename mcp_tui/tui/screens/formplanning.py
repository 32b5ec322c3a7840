"""A form that is filled in, then the plan: what those of jobs and of models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.screens.planning import PlanningScreen
from mcp_tui.tui.widgets.form import Form


class FormPlanning(PlanningScreen, inherit_bindings=False):
    """A planning screen whose text is the fields of a form."""

    BINDINGS = PlanningScreen.BINDINGS

    def __init__(self) -> None:
        super().__init__()
        self.form = Form(id="form")

    def body(self) -> Iterable[Widget]:
        """The form."""
        return (self.form,)

    def home(self) -> Widget:
        """The form."""
        return self.form

    def more_keys(self) -> Sequence[tuple[str, str]]:
        """The form's own keys."""
        return (("Tab", "next"),)

    def on_form_changed(self, message: Form.Changed) -> None:
        """The crumbs may tell how much changes; what is typed is kept from now on."""
        message.stop()
        self.keep()
        self.update_frame()

    def on_form_sent(self, message: Form.Sent) -> None:
        """Enter plans."""
        message.stop()
        self.action_check()

    def action_check(self) -> None:
        """Plan it, once the fields are there."""
        if self.form.fields:
            super().action_check()

    def show_fault(self, error: McpTuiError) -> None:
        """At its field, or below."""
        text = f"{error.what}; {error.hint}" if error.hint else error.what
        if self.form.wrong({error.where: text}):
            self.hush()
        else:
            self.say(error.line(), "error")

    def show_well(self) -> None:
        """Nothing is wrong any more."""
        self.form.wrong({})
