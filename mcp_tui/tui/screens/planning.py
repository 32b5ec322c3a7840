"""What a screen on which a plan is written down has in common: its keys, a run or none, a draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from mcp_tui.domain.plan import Plan
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import Cell
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.widgets.prompt import Ask

DEADLINE = 60.0
"""Seconds in which a plan has to be there."""


class PlanningScreen(FrameScreen, inherit_bindings=False):
    """Something is typed, then planned. What was typed stays, whatever goes wrong."""

    KIND: ClassVar[str] = "jobs"
    ASKS_RUN: ClassVar[bool] = True
    """Whether an MLflow run may be made or not."""
    ASKS_AGAIN: ClassVar[bool] = False
    """Whether it is planned and asked anew when what it is about changed meanwhile."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False, priority=True),
        Binding("ctrl+o", "check", show=False, priority=True),
        Binding("ctrl+r", "run", show=False, priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.with_run = True

    # -- for the screens --------------------------------------------------------------------

    async def make(self) -> Plan:
        """Plan what is typed; McpTuiError where that cannot be."""
        raise NotImplementedError

    def keep(self) -> None:
        """Keep what is typed for the next time."""
        raise NotImplementedError

    def sent(self) -> None:
        """It was sent: what was typed has served."""

    def show_fault(self, error: McpTuiError) -> None:
        """Show what is wrong, at its place where it has one."""
        raise NotImplementedError

    def show_well(self) -> None:
        """Nothing is wrong any more."""

    def more_keys(self) -> Sequence[tuple[str, str]]:
        """Further keys for the keys line, and what they do."""
        return ()

    # -- the frame --------------------------------------------------------------------------

    def notes(self) -> Sequence[Cell]:
        """That no run is made, where that was chosen."""
        return () if self.with_run else (Cell("  without an MLflow run", "attention"),)

    def _update_keys(self) -> None:
        if self._message is not None:
            super()._update_keys()
            return
        run = "without a run" if self.with_run else "with a run"
        told = [("ctrl-o", "show the plan"), *self.more_keys()]
        if self.ASKS_RUN:
            told.insert(1, ("ctrl-r", run))
        cells = [Cell(" ")]
        for key, what in (*told, ("Esc", "back, kept")):
            cells += [Cell(key, "key"), Cell(f" {what}   ")]
        self.prompt.set_cells(cells)

    def ask(self, ask: Ask, **kwargs: object) -> None:
        """Nothing is asked here: letters belong to the text."""
        del ask, kwargs

    # -- keys -------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Back; what is typed is kept for the next time."""
        self.keep()
        self.app.pop_screen()

    def action_run(self) -> None:
        """Go on without an MLflow run, or with one again."""
        if not self.ASKS_RUN:
            return
        self.with_run = not self.with_run
        self.say(
            "an MLflow run is made" if self.with_run else "no MLflow run is made; ctrl-o plans it"
        )
        self.update_frame()

    def action_check(self) -> None:
        """Plan it."""
        self.keep()
        self.say("checking")
        # The screen's own worker: who goes back meanwhile is not asked.
        self.run_worker(self._plan(), group="plan", exclusive=True, exit_on_error=False)

    async def _plan(self) -> None:
        try:
            async with within(DEADLINE, "no plan", hint="nothing was sent"):
                plan = await self.make()
        except McpTuiError as error:
            self.show_fault(error)
            self.update_frame()
            return
        self.show_well()
        self.hush()
        self.update_frame()
        again = self.make if self.ASKS_AGAIN else None
        self.console.acting.show_plan(plan, then=self._answered, again=again)

    def _answered(self, sent: bool | None) -> None:
        """Back to the list once it is done: here the next Enter would do it again."""
        if sent and self.is_current:
            self.sent()
            self.app.pop_screen()
