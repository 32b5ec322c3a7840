"""A new try of a job with changes: a form filled in with what the job has, then the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from textual.widget import Widget

from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.model import Cell, FormField, PaneModel
from mcp_tui.tui.screens.planning import PlanningScreen
from mcp_tui.tui.widgets.form import Form

ASKING = 20.0
"""Seconds in which the job has to say what it has."""


class RetryScreen(PlanningScreen, inherit_bindings=False):
    """The form of a retry.

    Args:
        key: The job.
        model: The list it stands in.
    """

    BINDINGS = PlanningScreen.BINDINGS

    def __init__(self, key: str, model: PaneModel) -> None:
        super().__init__()
        self.key = key
        self.model = model
        self.form = Form(id="form")

    def body(self) -> Iterable[Widget]:
        """The form."""
        return (self.form,)

    def home(self) -> Widget:
        """The form."""
        return self.form

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return ("Jobs", self.model.name_of(self.key), "retry")

    def counts(self) -> Sequence[Cell]:
        """How much changes."""
        if not self.form.fields:
            return ()
        count = len(self.form.changes)
        changed = f"{count} change{'' if count == 1 else 's'}" if count else "nothing changes"
        return (Cell(changed, "accent" if count else "dim"),)

    def more_keys(self) -> Sequence[tuple[str, str]]:
        """The form's own keys."""
        return (("Tab", "next"),)

    def on_mount(self) -> None:
        """Ask what the job has."""
        self.form.say("asking what the job has")
        self.run_worker(self._fill(), group="fields", exclusive=True, exit_on_error=False)

    async def _fill(self) -> None:
        fields: Sequence[FormField] = ()
        try:
            async with asyncio.timeout(ASKING):
                fields = await self.console.backend.actions.retry_fields(self.key)
        except McpTuiError as error:
            self.form.say(error.line())
            return
        except TimeoutError:
            self.form.say(f"no answer in {ASKING:.0f} s; Esc, and t again asks once more")
            return
        self.form.put(fields, self.console.acting.retry_drafts.get(self.key))
        self.update_frame()

    def on_form_changed(self, message: Form.Changed) -> None:
        """The crumbs tell how much changes; what is typed is kept from now on."""
        message.stop()
        self.keep()
        self.update_frame()

    def on_form_sent(self, message: Form.Sent) -> None:
        """Enter plans."""
        message.stop()
        self.action_check()

    def keep(self) -> None:
        """Keep the changes for this job."""
        if self.form.fields:
            self.console.acting.retry_drafts[self.key] = self.form.changes

    def sent(self) -> None:
        """The next retry of this job begins with what it has."""
        self.console.acting.retry_drafts.pop(self.key, None)

    def action_check(self) -> None:
        """Plan it, once it is known what the job has."""
        if self.form.fields:
            super().action_check()

    async def make(self) -> Plan:
        """Plan the retry with the fields that were changed."""
        return await self.console.backend.actions.plan(
            Verb.RETRY, (self.key,), self.form.changes, with_run=self.with_run
        )

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
