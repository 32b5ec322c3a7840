"""A view of runs together that is a table with a column for each run, and words below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.widget import Widget

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.screens.together import Looked, Together
from mcp_tui.tui.screens.viewer import ViewScreen
from mcp_tui.tui.widerows import NARROW, WIDEST, WideRows
from mcp_tui.tui.widgets.logview import LogView
from mcp_tui.tui.widgets.moves import TableMoves
from mcp_tui.tui.widgets.prompt import Ask
from mcp_tui.tui.widgets.vtable import VTable


class Below(LogView):
    """What is known of the row under the cursor; never has the focus."""

    can_focus = False


class WideTable(TableMoves, Together, inherit_bindings=False):
    """The table, its column cursor and filter."""

    DEFAULT_CSS: ClassVar[str] = "WideTable Below { height: 4; }"

    def __init__(self, looked: Looked) -> None:
        super().__init__(looked)
        self.rows = WideRows()
        self.table = VTable(self.rows, id="table")
        self.below = Below(id="below")
        self._filter_before = ""

    def body(self) -> Iterable[Widget]:
        """The table, and what is known of its row."""
        return (self.table, self.below)

    def home(self) -> Widget:
        """The table."""
        return self.table

    # -- for the class ----------------------------------------------------------------------

    widest = 20
    """Cells of a column on a narrow screen."""

    def draw(self) -> None:
        """Show what there is now."""
        raise NotImplementedError

    def lines_of(self, key: str) -> Sequence[Line]:
        """What is known of a row, for the lines below the table."""
        raise NotImplementedError

    def whole(self, key: str) -> Sequence[Line]:
        """All that is known of a row."""
        raise NotImplementedError

    def reference(self, place: int) -> str:
        """The reference of the run of a column."""
        raise NotImplementedError

    # -- the frame --------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether no runs are shown yet."""
        return not self.rows.heads

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say it in the place of the rows."""
        del error
        self.rows.note = (text,)
        self.table.sync()

    def notes(self) -> Sequence[Cell]:
        """The filter in force, beside the views."""
        cells = list(super().notes())
        if self.rows.filter:
            shown = f"  /{self.rows.filter}  {self.rows.count:,} of {self.rows.total:,}"
            cells.append(Cell(shown, "attention"))
        return cells

    def settle(self) -> None:
        """Take the rows as they are, with the column that is looked at in sight."""
        self.table.sync()
        for _ in self.rows.heads:
            if not self.rows.reveal(self.table.shown_columns):
                break
            self.table.sync()
        self.update_below()
        self.update_frame()

    def update_below(self) -> None:
        """What is known of the row under the cursor."""
        key = self.table.cursor_key
        lines = self.lines_of(key) if key is not None else ()
        # A row or two of a narrow screen are worth more to the table.
        self.below.display = self.size.height >= 16
        self.below.set_lines(lines)

    def on_vtable_cursor_moved(self, message: VTable.CursorMoved) -> None:
        """Another row."""
        message.stop()
        self.update_below()

    def on_vtable_opened(self, message: VTable.Opened) -> None:
        """A double click opens."""
        message.stop()
        self.action_open()

    def on_resize(self, event: events.Resize) -> None:
        """Cells are longer where there is room; the column that is looked at stays in sight."""
        self.rows.widest = self.widest if event.size.width < NARROW else WIDEST
        self.call_after_refresh(self.draw)

    # -- keys -------------------------------------------------------------------------------

    def action_across(self, cells: int) -> None:
        """Another run's column."""
        self.rows.across(cells)
        self.settle()

    def action_baseline(self) -> None:
        """The run of this column is what others are held against, or none is."""
        if not self.is_empty:
            self.toggle_baseline()
            self.fetch()

    def toggle_baseline(self) -> None:
        """Take the run of this column as the baseline, or none where it is that already."""
        reference = self.reference(self.rows.at)
        self.looked.baseline = "" if self.looked.baseline == reference else reference

    def action_open(self) -> None:
        """All of the row."""
        key = self.table.cursor_key
        if key is not None:
            name = clean_line(self.rows.name_of(key), limit=60)
            self.app.push_screen(ViewScreen((*self.crumbs(), name), self.whole(key)))

    def action_copy(self) -> None:
        """The row, a run a line."""
        key = self.table.cursor_key
        if key is None:
            self.say("nothing to copy yet")
            return
        text = "\n".join("".join(cell.text for cell in line) for line in self.whole(key))
        self.console.copy(text, clean_line(self.rows.name_of(key), limit=60))

    def action_filter(self) -> None:
        """Ask for a filter; the rows follow while one types."""
        self._filter_before = self.rows.filter
        self.ask(Ask("filter", "/", self.rows.filter), history=self.console.filter_history)

    def answering(self, ask: Ask, text: str) -> None:
        """Filter as one types."""
        if ask.mode == "filter":
            self._filter(text)

    def answer(self, ask: Ask, text: str) -> None:
        """Keep the filter."""
        if ask.mode == "filter":
            self._filter(text)
            self.stop_asking()
        else:
            super().answer(ask, text)

    def unanswered(self, ask: Ask) -> None:
        """Esc in the filter brings back the one before."""
        if ask.mode == "filter":
            self._filter(self._filter_before)

    def _filter(self, text: str) -> None:
        self.rows.set_filter(text)
        self.settle()

    def action_back(self) -> None:
        """The filter goes first, then this screen."""
        if self.rows.filter:
            self._filter("")
        else:
            super().action_back()
