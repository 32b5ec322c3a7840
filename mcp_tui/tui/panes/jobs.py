"""The Jobs pane: the list, and a preview beside it where the screen is wide."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widget import Widget

from mcp_tui.domain.plan import Verb
from mcp_tui.errors import McpTuiError
from mcp_tui.tui import bar
from mcp_tui.tui.model import Cell, Line, LogOptions, PaneModel
from mcp_tui.tui.screens.frame import FrameScreen, bindings_for
from mcp_tui.tui.widgets.logview import LogView
from mcp_tui.tui.widgets.moves import TableMoves
from mcp_tui.tui.widgets.prompt import Ask
from mcp_tui.tui.widgets.vtable import VTable

WIDE = 132
"""Columns from which the preview is shown."""

REST = 0.25
"""Seconds the cursor rests before its object's preview is fetched."""


PREVIEW_OLD = 10.0
"""Seconds after which a preview is fetched again."""

PREVIEW_REST = 2.0
"""Seconds between two fetches of a preview whose row keeps changing."""


class Preview(LogView):
    """What is known of the object under the cursor; never has the focus."""

    DEFAULT_CSS: ClassVar[str] = "Preview { width: 38%; display: none; padding: 1 0 0 2; }"
    can_focus = False


class PaneScreen(TableMoves, FrameScreen, inherit_bindings=False):
    """A pane with the one table: filter, sort, marks and moving, for any model."""

    KIND: ClassVar[str] = "jobs"

    def __init__(self, model: PaneModel) -> None:
        super().__init__()
        self.model = model
        self.table = VTable(model, id="table")
        self._filter_before = ""

    def set_model(self, model: PaneModel) -> None:
        """Show another model in the same table: the loading one gives way to the real one."""
        self.model = self.table.model = model
        self.table.restart()
        self.sync()

    def body(self) -> Iterable[Widget]:
        """The table."""
        return (self.table,)

    def home(self) -> Widget:
        """The table."""
        return self.table

    def sync(self) -> None:
        """Take the model as it is now."""
        if self.is_mounted:
            self.table.sync()
            self.update_frame()

    # -- the frame --------------------------------------------------------------------------

    def crumbs(self) -> Sequence[str]:
        """The pane and its namespace."""
        namespace = self.console.state.namespace
        return (self.PANE.capitalize(), namespace if namespace else "all namespaces")

    def counts(self) -> Sequence[Cell]:
        """The model's counts and the order."""
        return (Cell(self.model.summary), Cell(f"   {bar.order_words(self.model)}", "dim"))

    def notes(self) -> Sequence[Cell]:
        """The filter in force, and marks with those that it hides."""
        cells: list[Cell] = []
        if self.model.faults:
            cells.append(Cell("  faults only", "attention"))
        if self.model.filter:
            shown = f"  /{self.model.filter}  {self.model.count:,} of {self.model.total:,}"
            cells.append(Cell(shown, "attention"))
        if self.table.marks:
            hidden = self.table.hidden_marks
            note = f" ({hidden} hidden by the filter)" if hidden else ""
            cells.append(Cell(f"  {len(self.table.marks)} marked{note}", "accent"))
        return cells

    # -- filter -----------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for a filter; the list follows while one types."""
        self._filter_before = self.model.filter
        self.ask(Ask("filter", "/", self.model.filter), history=self.console.filter_history)

    def answering(self, ask: Ask, text: str) -> None:
        """Filter as one types: an error leaves the last good filter in force."""
        if ask.mode == "filter":
            self.prompt.say(self.set_filter(text))

    def set_filter(self, text: str) -> str:
        """Filter the list; returns an error in words or nothing."""
        error = self.model.set_filter(text)
        if not error:
            self.sync()
        return error

    def answer(self, ask: Ask, text: str) -> None:
        """Keep the filter; one with an error stays in the prompt to be mended."""
        if ask.mode == "filter":
            error = self.set_filter(text)
            if error:
                self.prompt.say(error)
                return
            self.stop_asking()
        else:
            super().answer(ask, text)

    def unanswered(self, ask: Ask) -> None:
        """Esc in the filter brings back the one before."""
        if ask.mode == "filter":
            self.set_filter(self._filter_before)

    # -- keys -------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark or unmark."""
        self.table.toggle_mark()
        self.update_frame()

    def action_sort(self, direction: int) -> None:
        """Sort by another column."""
        self.table.sort_by(direction)
        self.update_frame()

    def action_turn(self) -> None:
        """Turn the order round."""
        column, reverse = self.model.sort
        if not column:
            self.say("the order is by urgency; < and > choose a column")
            return
        self.model.set_sort(column, not reverse)
        self.sync()

    def action_faults(self) -> None:
        """Only what failed or stalls, or all again."""
        self.model.set_faults(not self.model.faults)
        self.sync()

    def action_all_namespaces(self) -> None:
        """Look at every namespace."""
        self.console.set_namespace(None)

    def action_copy(self) -> None:
        """Copy the name under the cursor."""
        key = self.table.cursor_key
        if key is None:
            self.say("nothing under the cursor")
        else:
            name = self.model.name_of(key)
            self.console.copy(name, name)

    def action_back(self) -> None:
        """Marks go first, then the filter; then it asks whether to leave."""
        if self.table.marks:
            self.table.clear_marks()
            self.update_frame()
        elif self.model.filter or self.model.faults:
            self.model.set_faults(False)
            self.set_filter("")
        else:
            self.ask(
                Ask(
                    "leave",
                    "leave the console? Enter or y leaves, any other key stays",
                    yes_no=True,
                )
            )


class JobsScreen(PaneScreen, inherit_bindings=False):
    """The Jobs pane."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_for("jobs")

    def __init__(self, model: PaneModel) -> None:
        super().__init__(model)
        self.preview = Preview(id="preview")
        self._preview_key: str | None = None
        self._previewed_key: str | None = None
        self._previewed_at = 0.0
        self._previewed: object = None
        self._rest: Timer | None = None
        self._visible: tuple[str, ...] = ()

    def body(self) -> Iterable[Widget]:
        """The list, the preview at its right."""
        return (_Split(self.table, self.preview),)

    def sync(self) -> None:
        """Take the model as it is now, and tell which rows are looked at."""
        super().sync()
        self._tell_visible()
        self._refresh_preview()

    def _tell_visible(self) -> None:
        visible = self.table.visible_keys
        if visible != self._visible:
            self._visible = visible
            self.console.backend.visible(visible)

    # -- preview ----------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """The preview comes and goes with the width."""
        wide = event.size.width >= WIDE
        if self.preview.display != wide:
            self.preview.display = wide
            self._preview_key = None
            self._rested()

    def _refresh_preview(self) -> None:
        """Fetch the preview again when its row changed, or is old."""
        key, at = self._preview_key, self._previewed_at
        if key is None or key != self.table.cursor_key or not self.preview.display:
            return
        aged = self.console.state.now - at
        if aged >= PREVIEW_OLD or (aged >= PREVIEW_REST and self._row_of(key) != self._previewed):
            self._preview_key = None
            self._rested()

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
        self._tell_visible()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._rested)

    def on_vtable_opened(self, message: VTable.Opened) -> None:
        """A double click opens."""
        message.stop()
        self.action_open()

    def _rested(self) -> None:
        key = self.table.cursor_key
        self.console.backend.focus(key)
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
            async with asyncio.timeout(15):
                lines = await self.console.backend.details.preview(key)
        except McpTuiError as error:
            lines = ((Cell(self.model.name_of(key), "strong"),), (Cell(error.line(), "error"),))
        except TimeoutError:
            lines = ((Cell("no answer in 15 s", "error"),),)
        if key == self.table.cursor_key:
            self.preview.set_lines(lines, keep=key == self._previewed_key)
            self._previewed_key = key

    # -- looking ----------------------------------------------------------------------------

    def _detail(self, tab: str, logs: LogOptions | None = None) -> None:
        key = self.table.cursor_key
        if key is None:
            self.say("nothing under the cursor")
            return
        from mcp_tui.tui.screens.detail import DetailScreen

        self.app.push_screen(DetailScreen(key, self.model, tab, logs))

    def action_open(self) -> None:
        """The detail."""
        self._detail("Overview")

    def action_logs(self) -> None:
        """The logs."""
        self._detail("Logs")

    def action_choose_logs(self) -> None:
        """Whose logs: all merged, of a rank, a pod, a container, or of the attempt before."""
        key = self.table.cursor_key
        if key is None:
            self.say("nothing under the cursor")
            return
        from mcp_tui.tui.screens.chooselogs import ChooseLogs

        def chosen(options: LogOptions | None) -> None:
            if options is not None and self.table.go_to_key(key):
                self._detail("Logs", options)

        self.app.push_screen(ChooseLogs(key, self.model.name_of(key)), chosen)

    def action_yaml(self) -> None:
        """The YAML."""
        self._detail("YAML")

    def action_describe(self) -> None:
        """The object in words."""
        self._detail("Describe")

    def action_linked(self) -> None:
        """The run."""
        self._detail("Run")

    # -- acting -----------------------------------------------------------------------------

    def subject(self) -> tuple[str, ...]:
        """What an action is about."""
        return self.table.chosen()

    def place(self) -> tuple[str, str, str] | None:
        """Where a shell is opened: in the first pod of the job under the cursor that runs."""
        key = self.table.cursor_key
        return None if key is None else (key, "", "")

    def action_shell(self) -> None:
        """Plan a shell in the job under the cursor."""
        self.console.inside.shell(self.place())

    def action_submit(self) -> None:
        """Plan a new job."""
        self.console.acting.submit()

    def action_retry(self) -> None:
        """Plan a new try of the job under the cursor, or of the one marked."""
        self.console.acting.retry(self.table.chosen(), self.model)

    def action_act(self, verb: str) -> None:
        """Plan a verb on the marked jobs, or on the one under the cursor."""
        self.console.acting.plan(Verb(verb), self.table.chosen(), self.model)

    def action_hold(self) -> None:
        """Suspend, or resume what is suspended."""
        chosen = self.table.chosen()
        places = (self.model.index_of(key) for key in chosen)
        states = {self.model.row(at).state for at in places if at is not None}
        verb = Verb.RESUME if states == {"suspended"} else Verb.SUSPEND
        self.console.acting.plan(verb, chosen, self.model)


class _Split(Horizontal):
    """The list and its preview side by side."""

    DEFAULT_CSS: ClassVar[str] = "_Split { height: 1fr; }"

    def __init__(self, *parts: Widget) -> None:
        super().__init__()
        self._parts = parts

    def compose(self) -> ComposeResult:
        """Both parts."""
        yield from self._parts
