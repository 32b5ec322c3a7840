"""A form that is filled in, then the plan: what those of jobs and of models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from textual.widget import Widget

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import FormField
from mcp_tui.tui.screens.planning import PlanningScreen
from mcp_tui.tui.widgets.form import Form

ASKING: Final = 20.0
"""Seconds in which the fields have to be there."""


class FormPlanning(PlanningScreen, inherit_bindings=False):
    """A planning screen whose text is the fields of a form.

    Args:
        draft: What the form is about: what is typed is kept for it until it is sent.
    """

    ASKED: ClassVar[str] = ""
    """What is said while the fields are on their way."""

    BINDINGS = PlanningScreen.BINDINGS

    def __init__(self, *draft: str) -> None:
        super().__init__()
        self.form = Form(id="form")
        self._draft = draft

    # -- for the class ----------------------------------------------------------------------

    async def fields(self) -> Sequence[FormField]:
        """What is asked."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Ask for the fields."""
        self.form.say(self.ASKED)
        self.run_worker(self._fill(), group="fields", exclusive=True, exit_on_error=False)

    async def _fill(self) -> None:
        try:
            async with within(ASKING, hint="Esc, and the same key asks once more"):
                fields = await self.fields()
        except McpTuiError as error:
            self.form.say(error.line())
            return
        self.form.put(fields, self.console.acting.drafts.get(self._draft))
        self.update_frame()

    def keep(self) -> None:
        """Keep what was changed."""
        if self.form.fields:
            self.console.acting.drafts[self._draft] = self.form.changes

    def sent(self) -> None:
        """The next one begins anew."""
        self.console.acting.drafts.pop(self._draft, None)

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
