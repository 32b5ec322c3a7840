"""A pane whose wide form shows, beside the list, what is known of the object under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widget import Widget

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import Cell, Line, PaneModel
from mcp_tui.tui.panes.base import PaneScreen
from mcp_tui.tui.widgets.logview import LogView
from mcp_tui.tui.widgets.vtable import VTable

WIDE = 132
"""Columns from which the preview is shown."""

REST = 0.25
"""Seconds the cursor rests before its object's preview is fetched."""

PREVIEW_OLD = 10.0
"""Seconds after which a preview is fetched again."""

PREVIEW_REST = 2.0
"""Seconds between two fetches of a preview whose row keeps changing."""

_DEADLINE = 15.0


class Preview(LogView):
    """What is known of the object under the cursor; never has the focus."""

    DEFAULT_CSS: ClassVar[str] = "Preview { width: 38%; display: none; padding: 1 0 0 2; }"
    can_focus = False


class PreviewedPane(PaneScreen, inherit_bindings=False):
    """The list, and a preview at its right from :data:`WIDE` columns."""

    def __init__(self, model: PaneModel) -> None:
        super().__init__(model)
        self.preview = Preview(id="preview")
        self._preview_key: str | None = None
        self._previewed_key: str | None = None
        self._previewed_at = 0.0
        self._previewed: object = None
        self._rest: Timer | None = None

    # -- for the class ----------------------------------------------------------------------

    async def preview_of(self, key: str) -> Sequence[Line]:
        """What the preview of an object shows; McpTuiError where it cannot be had."""
        raise NotImplementedError

    def looked_at(self, key: str | None) -> None:
        """The cursor rests on an object, or on none."""

    def looked_over(self) -> None:
        """The rows on screen may be others."""

    def action_open(self) -> None:
        """The detail."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------

    def body(self) -> Iterable[Widget]:
        """The list, the preview at its right."""
        return (_Split(self.table, self.preview),)

    def sync(self) -> None:
        """Take the model as it is now, and tell which rows are looked at."""
        super().sync()
        self.looked_over()
        self._refresh_preview()

    def on_resize(self, event: events.Resize) -> None:
        """The preview comes and goes with the width."""
        wide = event.size.width >= WIDE
        if self.preview.display != wide:
            self.preview.display = wide
            self._preview_key = None
            self._rested()

    def _refresh_preview(self) -> None:
        """Fetch the preview again when its row changed, or is old."""
        if self.table.cursor_key is None and self._previewed_key is not None:
            self.forget_preview()
        key, at = self._preview_key, self._previewed_at
        if key is None or key != self.table.cursor_key or not self.preview.display:
            return
        aged = self.console.state.now - at
        if aged >= PREVIEW_OLD or (aged >= PREVIEW_REST and self._row_of(key) != self._previewed):
            self._preview_key = None
            self._rested()

    def forget_preview(self) -> None:
        """Show nothing beside the list until the cursor rests on something."""
        self._preview_key = self._previewed_key = None
        self.preview.set_lines(())

    def _row_of(self, key: str) -> object:
        """What the row says, but for its ages."""
        at = self.model.index_of(key)
        if at is None:
            return None
        row = self.model.row(at)
        ages = {n for n, column in enumerate(self.model.columns) if column.id == "since"}
        return (row.state, tuple(c for n, c in enumerate(row.cells) if n not in ages))

    def on_vtable_cursor_moved(self, message: VTable.CursorMoved) -> None:
        """Fetch the preview after a short rest, so that the cursor never waits for it."""
        message.stop()
        self.looked_over()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._rested)

    async def on_vtable_opened(self, message: VTable.Opened) -> None:
        """A double click opens, as the key does."""
        message.stop()
        await self.app.run_action("open", self)

    def _rested(self) -> None:
        key = self.table.cursor_key
        self.looked_at(key)
        if not self.preview.display or key == self._preview_key:
            return
        self._preview_key = key
        self._previewed_at = self.console.state.now
        self._previewed = self._row_of(key) if key is not None else None
        if key is None:
            self.preview.set_lines(())
        else:
            self.run_worker(
                self._fetch_preview(key), group="preview", exclusive=True, exit_on_error=False
            )

    async def _fetch_preview(self, key: str) -> None:
        lines: Sequence[Line]
        try:
            async with within(_DEADLINE):
                lines = await self.preview_of(key)
        except McpTuiError as error:
            lines = ((Cell(self.model.name_of(key), "strong"),), (Cell(error.line(), "error"),))
        if key == self.table.cursor_key:
            self.preview.set_lines(lines, keep=key == self._previewed_key)
            self._previewed_key = key
        elif key == self._preview_key:
            # Nobody sees this answer: whoever comes back to its object asks anew.
            self._preview_key = None


class _Split(Horizontal):
    """The list and its preview side by side."""

    DEFAULT_CSS: ClassVar[str] = "_Split { height: 1fr; }"

    def __init__(self, *parts: Widget) -> None:
        super().__init__()
        self._parts = parts

    def compose(self) -> ComposeResult:
        """Both parts."""
        yield from self._parts
