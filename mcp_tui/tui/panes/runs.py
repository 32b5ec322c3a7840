"""The Runs pane: experiments, and the runs of those that are opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from textual.binding import BindingType

from mcp_tui.tui import bar
from mcp_tui.tui.model import Cell, Line, PaneModel
from mcp_tui.tui.model_runs import RunsModel
from mcp_tui.tui.panes.previewed import PreviewedPane
from mcp_tui.tui.runacts import RunActs
from mcp_tui.tui.screens.frame import FrameScreen, bindings_for
from mcp_tui.tui.screens.modelkeys import RunPromotes
from mcp_tui.tui.widgets.prompt import Ask


class RunsScreen(RunActs, RunPromotes, PreviewedPane, inherit_bindings=False):
    """The Runs pane; its first level are the experiments."""

    KIND: ClassVar[str] = "runs"
    PANE: ClassVar[str] = "runs"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("runs")

    def __init__(self, model: PaneModel) -> None:
        super().__init__(model)
        self._visible: tuple[str, ...] = ()
        self._left = ""

    @property
    def kind(self) -> str:
        """What is offered: on experiments there is nothing to compare and nothing to change."""
        return "runs" if self.shows_runs else "experiments"

    @property
    def runs(self) -> RunsModel | None:
        """The model; None while the console still loads."""
        return cast("RunsModel", self.model) if self.console.ready else None

    @property
    def shows_runs(self) -> bool:
        """Whether runs are shown, and not experiments."""
        return self.runs is not None and self.runs.level == "runs"

    # -- the frame --------------------------------------------------------------------------

    def crumbs(self) -> Sequence[str]:
        """The pane, and what is open."""
        return ("Runs", self.runs.place) if self.runs is not None else ("Runs",)

    def counts(self) -> Sequence[Cell]:
        """The model's counts, and the order with what it is over."""
        if self.runs is None:
            return super().counts()
        if not self.runs.total and self.runs.phase == "loading":
            return ()
        return (Cell(self.runs.summary), Cell(f"   {self.runs.order}", "dim"))

    def notes(self) -> Sequence[Cell]:
        """What is wrong, and the filter that the server was asked for."""
        cells: list[Cell] = []
        if self.runs is not None and self.runs.trouble:
            cells.append(Cell(f"  {bar.reason(self.runs.trouble)}", "attention"))
        if self.runs is not None and self.runs.query:
            cells.append(Cell(f"  {self.runs.query}", "attention"))
        return [*cells, *super().notes()]

    # -- what is looked at ------------------------------------------------------------------

    async def preview_of(self, key: str) -> Sequence[Line]:
        """What the detail of a run begins with; of an experiment nothing is known beside."""
        if not self.shows_runs:
            return ()
        return await self.console.backend.run_details.overview(key)

    def looked_over(self) -> None:
        """Tell which rows are on screen, and that the end of them may be near."""
        visible = self.table.visible_keys
        if self.runs is None:
            return
        if visible != self._visible:
            self._visible = visible
            self.runs.visible(visible)
            self.runs.near(self.table.top + self.table.page)

    # -- keys -------------------------------------------------------------------------------

    def action_open(self) -> None:
        """The runs of the experiments that are marked, or the detail of a run."""
        key = self.table.cursor_key
        if self.runs is None or key is None:
            self.say("nothing under the cursor")
        elif self.runs.level == "experiments":
            self._left = key
            self.runs.enter(self.table.chosen())
            self._restart()
        else:
            from mcp_tui.tui.screens.run import RunScreen

            self.app.push_screen(RunScreen(key, self.PANE))

    def action_back(self) -> None:
        """Marks go first, then filters, then the runs; then it asks whether to leave."""
        runs = self.runs
        held = bool(self.model.filter or self.model.faults)
        if runs is None or self.table.marks or runs.level == "experiments":
            super().action_back()
        elif held:
            self.model.set_faults(False)
            super().set_filter("")
        elif runs.query:
            runs.ask("")
            self._restart()
        elif runs.bin:
            self.show_deleted()
        else:
            key = runs.leave()
            self._restart()
            if key is not None:
                self.table.go_to_key(self._left or key)

    def _restart(self) -> None:
        """Other rows than before: the cursor is on the first."""
        self._visible = ()
        self.table.restart()
        self.forget_preview()
        self.sync()

    def action_unfold(self) -> None:
        """Show what is nested in the run under the cursor, or go into it."""
        key = self.table.cursor_key
        if key is not None and self.runs is not None and self.runs.unfold(key):
            self.sync()
        elif self.shows_runs:
            self.table.move(1)

    def action_fold(self) -> None:
        """Hide what is nested in it, or go to what it is nested in."""
        key = self.table.cursor_key
        if key is not None and self.runs is not None:
            to = self.runs.fold(key)
            self.sync()
            self.table.go_to_key(to)

    def runs_chosen(self) -> tuple[str, ...]:
        """The runs that are marked, or the one under the cursor."""
        return self.table.chosen() if self.shows_runs else ()

    def action_linked(self) -> None:
        """The job of the run."""
        key = self.table.cursor_key
        if key is None or not self.shows_runs:
            self.say("no run under the cursor")
        else:
            show_job(self, key)

    def action_all_namespaces(self) -> None:
        """MLflow knows no namespaces."""
        self.say("runs are of no namespace")

    # -- filter -----------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask for a filter: words for what was read, or MLflow's language for the server."""
        runs = self.runs
        if runs is None:
            return
        self._filter_before = self.model.filter
        begin = Ask("filter", "/", runs.query or self.model.filter)
        completer = runs.completions if runs.level == "runs" else None
        self.ask(begin, completer=completer, history=self.console.filter_history)

    def answering(self, ask: Ask, text: str) -> None:
        """Filter as one types; what the server is asked for, or no more, waits for Enter."""
        runs = self.runs
        if ask.mode != "filter" or runs is None:
            super().answering(ask, text)
        elif runs.is_query(text):
            # Its first letters were words for what was read: their filter goes.
            super().set_filter(self._filter_before)
            self.prompt.say(runs.judge(text))
        else:
            self.prompt.say(super().set_filter(text))

    def unanswered(self, ask: Ask) -> None:
        """Esc brings back what was read as it was shown; the server is asked for nothing else."""
        if ask.mode == "filter":
            super().set_filter(self._filter_before)
        else:
            super().unanswered(ask)

    def answer(self, ask: Ask, text: str) -> None:
        """Ask the server, or keep the filter of what was read."""
        runs = self.runs
        if ask.mode != "filter" or runs is None:
            super().answer(ask, text)
            return
        error = self.set_filter(text)
        if error:
            self.prompt.say(error)
        else:
            self.stop_asking()

    def set_filter(self, text: str) -> str:
        """A filter for the server or for what was read; either takes the other's place."""
        runs = self.runs
        if runs is None:
            return super().set_filter(text)
        asked = text.strip() if runs.is_query(text) else ""
        # One with an error is mended first: what is in force is not given up for it.
        error = runs.judge(asked) if asked else super().set_filter(text)
        if error:
            return error
        if asked:
            super().set_filter("")
        if asked != runs.query:
            error = runs.ask(asked)
            self._restart()
        return error

    def show_deleted(self) -> None:
        """The runs in the bin of what is open, or those that are not in it again."""
        if not self.shows_runs or self.runs is None:
            self.console.say("Enter opens an experiment; :deleted shows its bin then")
            return
        # Leave what is open above the pane: it is of what was looked at before.
        self.console.show_pane(self.PANE)
        self.runs.show_bin(not self.runs.bin)
        self._restart()

    # -- columns ----------------------------------------------------------------------------

    def column_names(self) -> Sequence[str]:
        """What ``:columns`` completes."""
        return self.runs.column_names() if self.runs is not None else ()

    def choose_columns(self, text: str) -> None:
        """Show other columns, and remember them for these experiments."""
        if self.runs is None:
            return
        said, done = self.runs.choose_columns(text)
        self.sync()
        self.say(said, "" if done else "error")


def show_job(screen: FrameScreen, key: str) -> None:
    """The detail of the job of a run, from wherever the run is looked at."""
    from mcp_tui.tui.screens.detail import DetailScreen

    job = screen.console.backend.run_details.job_of(key)
    if job:
        screen.app.push_screen(DetailScreen(job, screen.console.backend.pane("jobs")))
    else:
        screen.say("no job of this run is known here")
