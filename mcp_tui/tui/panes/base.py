"""What every pane is: the one table over a model, with filter, sort, marks and moving."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from mcp_tui.tui import bar
from mcp_tui.tui.model import Cell, PaneModel
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.widgets.moves import TableMoves
from mcp_tui.tui.widgets.prompt import Ask
from mcp_tui.tui.widgets.vtable import VTable


class PaneScreen(TableMoves, FrameScreen, inherit_bindings=False):
    """A pane with the one table: filter, sort, marks and moving, for any model."""

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

    # -- what some panes can do --------------------------------------------------------------

    def column_names(self) -> Sequence[str]:
        """What could stand in a column, where that is chosen."""
        return ()

    def choose_columns(self, text: str) -> None:
        """Choose the columns, where that can be done."""
        del text
        self.console.say("columns are chosen in the Runs pane")

    def show_deleted(self) -> None:
        """Show what is in the bin, where there is one."""
        self.console.say("the bin is of runs: the Runs pane shows it")

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
            self.say(f"the order is {self.model.own_order}; < and > choose a column")
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
