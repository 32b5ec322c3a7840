"""What is written down before a version is promoted or copied: a small form, then the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from mcp_tui.domain.plan import Plan
from mcp_tui.tui.model import Cell, FormField
from mcp_tui.tui.model_models import Subject
from mcp_tui.tui.screens.formplanning import FormPlanning


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
    ASKED = "asking where the aliases are"
    BINDINGS = FormPlanning.BINDINGS

    def __init__(self, subject: Subject, *, pane: str = "models") -> None:
        super().__init__(self.WHAT, subject.context, subject.model, subject.version, subject.run_id)
        self.of = subject
        self.PANE = pane  # type: ignore[misc]  # the form belongs to where it was opened from

    # -- for the class ----------------------------------------------------------------------

    async def plan(self, values: Mapping[str, str]) -> Plan:
        """The plan of what is in the fields."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return (self.PANE.capitalize(), self.of.words, self.WHAT)

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
