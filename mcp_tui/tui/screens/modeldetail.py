"""A registered model or one of its versions: its tabs, each fetched only when it is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from textual.binding import BindingType

from mcp_tui.tui.model import Line
from mcp_tui.tui.model_models import Part, Subject
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.modelkeys import ModelKeys
from mcp_tui.tui.screens.tabbed import Tabbed

MODEL_TABS: tuple[Part, ...] = ("Overview", "History", "Approvals")


class ModelScreen(ModelKeys, Tabbed, inherit_bindings=False):
    """The detail of a model or a version.

    Args:
        subject: Of which.
        tab: The tab to begin with.
    """

    KIND: ClassVar[str] = "model"
    PANE: ClassVar[str] = "models"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("model", "log")
    TABS: ClassVar[tuple[str, ...]] = MODEL_TABS
    FRESH: ClassVar[Mapping[str, float]] = dict.fromkeys(MODEL_TABS, 10.0)

    def __init__(self, subject: Subject, tab: Part = "Overview") -> None:
        super().__init__(tab)
        self.of = subject

    def crumbs(self) -> Sequence[str]:
        """The pane and the object."""
        version = (f"version {self.of.version}",) if self.of.version else ()
        return ("Models", self.of.shown, *version)

    def front_subject(self) -> Subject:
        """This one."""
        return self.of

    def show_part(self, part: Part) -> None:
        """Bring a tab to the front."""
        self.show(part)

    async def lines(self, tab: str) -> Sequence[Line]:
        """The text of a tab."""
        return await self.console.backend.models.part(self.of, cast("Part", tab))

    def file_name(self) -> str:
        """Named after the object and the tab."""
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.of.shown)[:80]
        version = f"-{self.of.version}" if self.of.version else ""
        return f"{name}{version}-{self.tab.lower()}.txt"
