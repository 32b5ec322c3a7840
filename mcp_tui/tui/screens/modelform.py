"""What is written down before a version is promoted or copied: a small form, then the plan."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

from mcp_tui.domain.plan import Plan
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.model import Cell, FormField
from mcp_tui.tui.model_models import Subject
from mcp_tui.tui.screens.formplanning import FormPlanning

ASKING = 20.0
"""Seconds in which the fields have to be there."""


class ModelForm(FormPlanning, inherit_bindings=False):
    """A form about a version.

    Args:
        subject: The version, or the run.
        pane: The pane that it was opened from.
    """

    PANE: ClassVar[str] = "models"
    KIND: ClassVar[str] = "model"
    ASKS_RUN: ClassVar[bool] = False
    ASKS_AGAIN: ClassVar[bool] = True
    WHAT: ClassVar[str] = ""
    BINDINGS = FormPlanning.BINDINGS

    def __init__(self, subject: Subject, *, pane: str = "models") -> None:
        super().__init__()
        self.of = subject
        self.PANE = pane  # type: ignore[misc]  # the form belongs to where it was opened from

    # -- for the class ----------------------------------------------------------------------

    async def fields(self) -> Sequence[FormField]:
        """What is asked."""
        raise NotImplementedError

    async def plan(self, values: Mapping[str, str]) -> Plan:
        """The plan of what is in the fields."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return (self.PANE.capitalize(), self.of.words, self.WHAT)

    def on_mount(self) -> None:
        """Ask for the fields."""
        self.form.say("asking where the aliases are")
        self.run_worker(self._fill(), group="fields", exclusive=True, exit_on_error=False)

    async def _fill(self) -> None:
        try:
            async with asyncio.timeout(ASKING):
                found = await self.fields()
        except McpTuiError as error:
            self.form.say(error.line())
            return
        except TimeoutError:
            self.form.say(f"no answer in {ASKING:.0f} s; Esc, and the same key asks once more")
            return
        self.form.put(found, self.console.acting.drafts.get(self._draft))
        self.update_frame()

    @property
    def _draft(self) -> tuple[str, ...]:
        return (self.WHAT, self.of.context, self.of.model, self.of.version, self.of.run_id)

    def keep(self) -> None:
        """Keep what is typed for this version."""
        if self.form.fields:
            self.console.acting.drafts[self._draft] = self.form.changes

    def sent(self) -> None:
        """The next one begins anew."""
        self.console.acting.drafts.pop(self._draft, None)

    async def make(self) -> Plan:
        """The plan."""
        return await self.plan(self.form.values)

    def counts(self) -> Sequence[Cell]:
        """Nothing is counted."""
        return ()


class PromoteScreen(ModelForm, inherit_bindings=False):
    """Which alias is moved to the version, and why."""

    WHAT: ClassVar[str] = "promote"
    BINDINGS = FormPlanning.BINDINGS

    async def fields(self) -> Sequence[FormField]:
        """Alias, reason, override."""
        return await self.console.backend.models.promote_fields(self.of)

    async def plan(self, values: Mapping[str, str]) -> Plan:
        """The move, with what speaks for it and against it."""
        return await self.console.backend.models.plan_promote(self.of, values)


class ApproveScreen(ModelForm, inherit_bindings=False):
    """Which level is filled, and why."""

    WHAT: ClassVar[str] = "approve"
    BINDINGS = FormPlanning.BINDINGS

    async def fields(self) -> Sequence[FormField]:
        """A level that is not given yet, and a reason."""
        return await self.console.backend.models.approve_fields(self.of)

    async def plan(self, values: Mapping[str, str]) -> Plan:
        """The record."""
        return await self.console.backend.models.plan_approve(self.of, values)


class CopyScreen(ModelForm, inherit_bindings=False):
    """To which model the version is copied."""

    WHAT: ClassVar[str] = "copy"
    BINDINGS = FormPlanning.BINDINGS

    async def fields(self) -> Sequence[FormField]:
        """The model, an alias of it, a reason."""
        return await self.console.backend.models.copy_fields(self.of)

    async def plan(self, values: Mapping[str, str]) -> Plan:
        """The copy, and the move of the alias where one is named."""
        return await self.console.backend.models.plan_copy(self.of, values)
