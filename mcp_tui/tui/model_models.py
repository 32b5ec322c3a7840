"""What the Models pane needs of the rest, as protocols: plain data, as in :mod:`mcp_tui.tui.model`.

Strings are sanitised where they entered. Whatever is awaited may raise McpTuiError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard

from mcp_tui.domain.plan import Plan
from mcp_tui.tui.model import FormField, Line, PaneModel

Part = Literal["Overview", "History", "Approvals"]
"""A tab of the detail."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A registered model or, with a version, one of its versions; or a run that may become one.

    Attributes:
        model: As MLflow has it: what calls are made with. Shown by :attr:`shown` only.
        shown: The model's name on one line.
        run_id: The run that made the version; the run itself where there is no model.
    """

    context: str
    model: str
    shown: str
    version: str = ""
    run_id: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is a run, and no version yet."""
        return not self.model

    @property
    def words(self) -> str:
        """``ranker version 4``."""
        if self.is_run:
            return f"run {self.run_id[:8]}"
        return f"{self.shown} version {self.version}" if self.version else self.shown


class ModelsList(PaneModel, Protocol):
    """The list: models, and in those that are open their versions."""

    def subject(self, key: str) -> Subject | None:
        """What a row is about; None for one that only says something."""

    def is_branch(self, key: str) -> bool:
        """Whether a row holds others."""

    def is_open(self, key: str) -> bool:
        """Whether those are shown."""

    def unfold(self, key: str) -> None:
        """Show them; those that are not known are asked for."""

    def fold(self, key: str) -> None:
        """Hide them."""

    def holder(self, key: str) -> str | None:
        """The row that holds a row."""


class ModelsBackend(Protocol):
    """What the console's backend has for the Models pane."""

    def look(self, keys: Sequence[str], *, last: bool) -> None:
        """These rows are on screen; ``last`` when the end of the list is near."""

    async def part(self, subject: Subject, part: Part) -> Sequence[Line]:
        """A tab of the detail."""

    async def preview(self, subject: Subject) -> Sequence[Line]:
        """A few lines for the wide screen."""

    async def promote_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of a promotion, filled in with what is usual in that tier."""

    async def plan_promote(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to move an alias to a version, with its gates and approvals looked at.

        A run is registered first, unless it is a version already.

        Args:
            fields: Of the form; UsageError has the field in ``where`` if it is wrong.
        """

    async def plan_undo(self, subject: Subject, alias: str = "") -> Plan:
        """Plan to take an alias back to where it was before; RefusedError says why not.

        Args:
            alias: Empty takes the version's own, or the tier's.
        """

    async def approve_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of an approval: a level that is not given yet, and a reason."""

    async def plan_approve(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to put an approval of a version on record."""

    async def copy_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of a copy to another model."""

    async def plan_copy(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to copy a version to another registered model, never twice."""


def is_models_list(model: PaneModel) -> TypeGuard[ModelsList]:
    """Whether it is the list itself, and not what stands in until that is there."""
    return hasattr(model, "subject")
