"""A new try of a job with changes: a form filled in with what the job has, then the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.model import Cell, FormField, PaneModel
from mcp_tui.tui.screens.formplanning import FormPlanning

ASKING = 20.0
"""Seconds in which the job has to say what it has."""


class RetryScreen(FormPlanning, inherit_bindings=False):
    """The form of a retry.

    Args:
        key: The job.
        model: The list it stands in.
    """

    BINDINGS = FormPlanning.BINDINGS

    def __init__(self, key: str, model: PaneModel) -> None:
        super().__init__()
        self.key = key
        self.model = model

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

    def keep(self) -> None:
        """Keep the changes for this job."""
        if self.form.fields:
            self.console.acting.retry_drafts[self.key] = self.form.changes

    def sent(self) -> None:
        """The next retry of this job begins with what it has."""
        self.console.acting.retry_drafts.pop(self.key, None)

    async def make(self) -> Plan:
        """Plan the retry with the fields that were changed."""
        return await self.console.backend.actions.plan(
            Verb.RETRY, (self.key,), self.form.changes, with_run=self.with_run
        )
