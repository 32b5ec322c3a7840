"""A registered model or one of its versions: its tabs, each fetched only when it is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from mcp_tui.errors import McpTuiError
from mcp_tui.tui import bar
from mcp_tui.tui.model import Cell
from mcp_tui.tui.model_models import Part, Subject
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.modelkeys import ModelKeys
from mcp_tui.tui.screens.viewer import ViewKeys
from mcp_tui.tui.widgets.logview import LogView
from mcp_tui.tui.widgets.surface import LineWidget

MODEL_TABS: tuple[Part, ...] = ("Overview", "History", "Approvals")
DEADLINE = 20.0
"""Seconds after which a part is said not to answer."""

SLOW = 0.3
"""Seconds from which it is said what is waited for."""

FRESH = 10.0
"""Seconds after which the tab in front is fetched again."""


class ModelScreen(ModelKeys, ViewKeys, inherit_bindings=False):
    """The detail of a model or a version.

    Args:
        subject: Of which.
        tab: The tab to begin with.
    """

    KIND: ClassVar[str] = "model"
    PANE: ClassVar[str] = "models"
    DEFAULT_CSS: ClassVar[str] = "#model-parts { height: 1fr; width: 1fr; layers: base; }"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("model", "log")

    def __init__(self, subject: Subject, tab: Part = "Overview") -> None:
        super().__init__()
        self.of = subject
        self.tab: Part = tab
        self.tabs = LineWidget(id="tabs")
        self.texts = {name: LogView(id=f"model-{name}") for name in MODEL_TABS}
        self._filled: dict[str, float] = {}
        self._stale: dict[str, str] = {}
        self._fetching: set[str] = set()

    @property
    def view(self) -> LogView:
        """The text in front."""
        return self.texts[self.tab]

    def body(self) -> Iterable[Widget]:
        """Tabs, and the parts one behind the other."""
        return (self.tabs, Container(*self.texts.values(), id="model-parts"))

    def home(self) -> Widget:
        """The text in front."""
        return self.view

    def crumbs(self) -> Sequence[str]:
        """The pane and the object."""
        version = (f"version {self.of.version}",) if self.of.version else ()
        return ("Models", self.of.shown, *version)

    def counts(self) -> Sequence[Cell]:
        """Position in the text."""
        return self.view.status

    def notes(self) -> Sequence[Cell]:
        """That the tab in front could not be refreshed."""
        if self.tab not in self._stale:
            return ()
        why = bar.reason(self._stale[self.tab])
        return (Cell(f"  not refreshed: {why}", "attention"),)

    def on_mount(self) -> None:
        """Show the first tab."""
        self.show_part(self.tab)

    def sync(self) -> None:
        """Keep the tab in front fresh."""
        super().sync()
        at = self._filled.get(self.tab)
        if at is not None and self.console.state.now - at >= FRESH:
            self.fetch(self.tab)

    def front_subject(self) -> Subject:
        """This one."""
        return self.of

    def show_part(self, part: Part) -> None:
        """Bring a tab to the front and fetch it if it was not."""
        self.tab = part
        cells: list[Cell] = []
        for name, widget in self.texts.items():
            widget.display = name == part
            mine = name == part
            cells += [Cell(" "), Cell(f"[{name}]" if mine else f" {name} ",
                                      "strong" if mine else "dim")]  # fmt: skip
        self.tabs.set_cells(cells)
        self.view.focus()
        if part not in self._filled:
            self.fetch(part)
        self.update_frame()

    def fetch(self, part: Part) -> None:
        """Fetch a part in a worker of its own, unless it is on its way."""
        if part not in self._fetching:
            self._fetching.add(part)
            self.run_worker(
                self._fetch(part), group=f"part-{part}", exclusive=True, exit_on_error=False
            )

    async def _fetch(self, part: Part) -> None:
        text = self.texts[part]
        there = part in self._filled
        waiting = None
        if not there:
            asking = (Cell(f"asking for {part.lower()}", "dim"),)
            waiting = self.set_timer(SLOW, lambda: text.set_lines([asking]))
        fault = ""
        try:
            async with asyncio.timeout(DEADLINE):
                lines = await self.console.backend.models.part(self.of, part)
        except McpTuiError as error:
            fault = error.line()
        except TimeoutError:
            fault = f"no answer in {DEADLINE:.0f} s; r asks again"
        else:
            text.set_lines(lines, keep=there)
        finally:
            if waiting is not None:
                waiting.stop()
            self._fetching.discard(part)
        if fault and not there:
            text.set_lines([(Cell(fault, "error"),)])
        elif fault:
            self._stale[part] = fault
        else:
            self._stale.pop(part, None)
        if there or not fault:
            self._filled[part] = self.console.state.now
        self.update_frame()

    # -- keys -------------------------------------------------------------------------------

    def action_tab(self, step: int) -> None:
        """Next tab."""
        self.show_part(MODEL_TABS[(MODEL_TABS.index(self.tab) + step) % len(MODEL_TABS)])

    def action_refresh(self) -> None:
        """Fetch this part again."""
        self.fetch(self.tab)

    def file_name(self) -> str:
        """Named after the object and the tab."""
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.of.shown)[:80]
        version = f"-{self.of.version}" if self.of.version else ""
        return f"{name}{version}-{self.tab.lower()}.txt"
