"""The head of one artifact, as it can be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from mcp_tui.domain.artifact import Preview
from mcp_tui.domain.picture import Picture
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.model_runs import ArtifactLine
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.viewer import ViewScreen
from mcp_tui.tui.widgets.picture import PictureView
from mcp_tui.tui.widgets.prompt import Ask

DEADLINE = 20.0
PICTURE_DEADLINE = 60.0
"""Seconds for a picture, which comes whole."""


class ArtifactScreen(ViewScreen, inherit_bindings=False):
    """The head of an artifact; ``W`` downloads all of it.

    Args:
        key: Of which run.
        line: The artifact.
        crumbs: Where one is.
        pane: The pane that it was opened from.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings_for("view")

    def __init__(self, key: str, line: ArtifactLine, crumbs: Sequence[str], pane: str) -> None:
        super().__init__((*crumbs, line.name), ((Cell(f"asking for {line.name}", "dim"),),))
        self.key = key
        self.line = line
        self.pane = pane
        self._picture = PictureView(id="picture")
        self._picture.display = False

    @property
    def PANE(self) -> str:  # type: ignore[override]  # noqa: N802 - of the pane it was opened from
        """The pane that it belongs to."""
        return self.pane

    def body(self) -> Iterable[Widget]:
        """The text, or the picture."""
        return (self._view, self._picture)

    def home(self) -> Widget:
        """What is shown."""
        return self._picture if self._picture.display else self._view

    def counts(self) -> Sequence[Cell]:
        """Lines, or what the picture is."""
        picture = self._picture.picture
        return super().counts() if picture is None else (Cell(f"  {picture.said}", "dim"),)

    def on_mount(self) -> None:
        """Fetch it."""
        self.run_worker(self._fetch(), group="artifact", exit_on_error=False)

    async def _fetch(self) -> None:
        lines: Sequence[Line]
        details = self.console.backend.run_details
        deadline = PICTURE_DEADLINE if self.line.kind == Preview.IMAGE else DEADLINE
        try:
            async with within(deadline):
                if self.line.kind == Preview.IMAGE:
                    lines = self._show(await details.picture(self.key, self.line.ref))
                else:
                    lines = await details.artifact(self.key, self.line.ref)
        except McpTuiError as error:
            lines = ((Cell(error.line(), "error"),),)
        self.view.set_lines(lines)
        self.update_frame()

    def _show(self, picture: Picture) -> Sequence[Line]:
        """Show it in place of the text, which says what it is to who copies it."""
        self._picture.show(picture)
        self._view.display, self._picture.display = False, True
        if self.focused is self._view:
            self._picture.focus()
        return ((Cell(f"{self.line.name}: {picture.said}"),),)

    def action_save(self) -> None:
        """Download all of it."""
        self.ask(Ask("save", f"download {self.line.name} as ", self.line.name))

    def answer(self, ask: Ask, text: str) -> None:
        """A name for what is downloaded."""
        if ask.mode != "save":
            super().answer(ask, text)
            return
        from mcp_tui.tui.screens.run import download

        self.stop_asking()
        download(self, self.key, self.line.ref, text)
