"""The Models pane: registered models, their versions, and where their aliases point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from mcp_tui.tui.model import Line, PaneModel
from mcp_tui.tui.model_models import ModelsList, Part, Subject, is_models_list
from mcp_tui.tui.panes.previewed import PreviewedPane
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.modelkeys import ModelKeys

NEAR = 40
"""Rows below the screen from which further models are asked for."""


class ModelsScreen(ModelKeys, PreviewedPane, inherit_bindings=False):
    """The Models pane."""

    KIND: ClassVar[str] = "models"
    PANE: ClassVar[str] = "models"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("models")

    def __init__(self, model: PaneModel) -> None:
        super().__init__(model)
        self._looked: tuple[tuple[str, ...], bool] | None = None

    @property
    def rows(self) -> ModelsList | None:
        """The list, once it is there."""
        return self.model if is_models_list(self.model) else None

    def set_model(self, model: PaneModel) -> None:
        """Another list: what is on screen is told anew."""
        self._looked = None
        super().set_model(model)

    def crumbs(self) -> Sequence[str]:
        """The pane; a registry has no namespaces."""
        return ("Models",)

    async def preview_of(self, key: str) -> Sequence[Line]:
        """Where its aliases point, and what it was made of."""
        rows = self.rows
        subject = rows.subject(key.removesuffix("\n")) if rows is not None else None
        return () if subject is None else await self.console.backend.models.preview(subject)

    def looked_over(self) -> None:
        """Tell which rows are on screen, and whether the end of what was read is near."""
        rows = self.rows
        if rows is None:
            return
        last = self.table.top + self.table.page + NEAR >= rows.count
        looked = (self.table.visible_keys, last)
        # What was read meanwhile may not be enough: said again until the end is far.
        if looked != self._looked or last:
            self._looked = looked
            self.console.backend.models.look(looked[0], last=last)

    # -- looking ----------------------------------------------------------------------------

    def front_subject(self) -> Subject | None:
        """What the row under the cursor is about."""
        key, rows = self.table.cursor_key, self.rows
        subject = None
        if key is not None and rows is not None:
            subject = rows.subject(key.removesuffix("\n"))
        if subject is None:
            self.say("nothing under the cursor" if self.console.ready else "still loading")
        return subject

    def chosen(self) -> tuple[Subject, ...]:
        """The marked rows, or the one under the cursor."""
        rows = self.rows
        if rows is None or not self.table.marks:
            return super().chosen()
        found = (rows.subject(key) for key in self.table.chosen())
        return tuple(subject for subject in found if subject is not None)

    def action_open(self) -> None:
        """The versions of a model, or the detail of a version."""
        rows, key = self.rows, self.table.cursor_key
        if rows is not None and key is not None and rows.is_branch(key):
            if rows.is_open(key):
                self.action_fold()
            else:
                self.action_unfold()
        else:
            self.show_part("Overview")

    def action_unfold(self) -> None:
        """Show the versions; on a model whose versions are shown, go to the first."""
        rows, key = self.rows, self.table.cursor_key
        if rows is None or key is None or not rows.is_branch(key):
            return
        if rows.is_open(key):
            self.table.move(1)
            return
        rows.unfold(key)
        self.sync()

    def action_fold(self) -> None:
        """Hide the versions; on a version, go to its model."""
        rows, key = self.rows, self.table.cursor_key
        if rows is None or key is None:
            return
        if rows.is_open(key):
            rows.fold(key)
            self.sync()
            return
        holder = rows.holder(key)
        if holder is not None:
            self.table.go_to_key(holder)

    def show_part(self, part: Part) -> None:
        """A tab of the detail."""
        subject = self.front_subject()
        if subject is not None:
            from mcp_tui.tui.screens.modeldetail import ModelScreen

            self.app.push_screen(ModelScreen(subject, part))
