"""A new try of a job with changes: a form filled in with what the job has, then the plan."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.tui.model import Cell, FormField, PaneModel
from mcp_tui.tui.screens.formplanning import FormPlanning


class RetryScreen(FormPlanning, inherit_bindings=False):
    """The form of a retry.

    Args:
        key: The job.
        model: The list it stands in.
    """

    ASKED = "asking what the job has"
    BINDINGS = FormPlanning.BINDINGS

    def __init__(self, key: str, model: PaneModel) -> None:
        super().__init__("retry", key)
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

    async def fields(self) -> Sequence[FormField]:
        """What the job has."""
        return await self.console.backend.actions.retry_fields(self.key)

    async def make(self) -> Plan:
        """Plan the retry with the fields that were changed."""
        return await self.console.backend.actions.plan(
            Verb.RETRY, (self.key,), self.form.changes, with_run=self.with_run
        )
