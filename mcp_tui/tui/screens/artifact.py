"""The head of one artifact, as it can be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.model_runs import ArtifactLine
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.viewer import ViewScreen
from mcp_tui.tui.widgets.prompt import Ask

DEADLINE = 20.0


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

    @property
    def PANE(self) -> str:  # type: ignore[override]  # noqa: N802 - of the pane it was opened from
        """The pane that it belongs to."""
        return self.pane

    def on_mount(self) -> None:
        """Fetch it."""
        self.run_worker(self._fetch(), group="artifact", exit_on_error=False)

    async def _fetch(self) -> None:
        lines: Sequence[Line]
        try:
            async with asyncio.timeout(DEADLINE):
                lines = await self.console.backend.run_details.artifact(self.key, self.line.ref)
        except McpTuiError as error:
            lines = ((Cell(error.line(), "error"),),)
        except TimeoutError:
            lines = ((Cell(f"no answer in {DEADLINE:.0f} s", "error"),),)
        if self.view is not None:
            self.view.set_lines(lines)
        self.update_frame()

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
