"""Shells and forwarded ports, as the console offers them: asked for, agreed to, given over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import SuspendNotSupported
from textual.binding import BindingType

from mcp_tui.domain.plan import Confirmation, Plan
from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import Cell, Terminals, Tone
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.frame import FrameScreen

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

DEADLINE = 30.0
"""Seconds in which a plan has to be there."""


class InsideConfirm(ConfirmScreen, inherit_bindings=False):
    """The dialog of what is not applied in the dialog: it goes, and what was agreed to begins."""

    BINDINGS: ClassVar[list[BindingType]] = ConfirmScreen.BINDINGS

    def __init__(self, plan: Plan, begin: Callable[[Plan], None]) -> None:
        super().__init__(plan)
        self._begin = begin

    def _apply(self) -> None:
        self.dismiss(True)
        # Once the screen below is in front: it is the one that is given over.
        self.app.call_later(self._begin, self.plan)


class Inside:
    """The console's shells and forwarded ports.

    Args:
        console: Whose.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # Where ports may be forwarded from: not looked for before one was asked for.
        self._forwarding: Terminals | None = None

    def _terminals(self, what: str) -> Terminals | None:
        if not self._console.acting.may_write(what):
            return None
        details = self._console.backend.details
        if not isinstance(details, Terminals):
            self._console.say(f"no {what} here")
            return None
        return details

    # -- shells -----------------------------------------------------------------------------

    def shell(self, place: tuple[str, str, str] | None) -> None:
        """Plan a shell at a place (the job's key, pod, container), ask, and give the screen over.

        Empty pod and container are the main container of the first pod that runs.
        """
        terminals = self._terminals("shell")
        if terminals is None:
            return
        if place is None:
            self._console.say("nothing under the cursor")
            return
        self._console.say("planning a shell")
        self._plan(terminals.plan_shell(*place), lambda plan: self._open(terminals, plan))

    def _open(self, terminals: Terminals, plan: Plan) -> None:
        self._console.run_worker(
            self._give_over(terminals, plan), group="shell", exclusive=True, exit_on_error=False
        )

    async def _give_over(self, terminals: Terminals, plan: Plan) -> None:
        """Give the terminal to a shell and take it back, whatever comes of it."""
        console = self._console
        said = ""
        tone: Tone = ""
        failure: BaseException | None = None
        try:
            # The list goes on living behind: nothing of it may be drawn meanwhile.
            with console.batch_update(), console.suspend():
                try:
                    said = await terminals.shell(plan)
                except McpTuiError as error:
                    said, tone = error.line(), "error"
                except BaseException as error:  # noqa: BLE001 - the terminal is taken back first
                    failure = error
        except SuspendNotSupported:
            said, tone = "this terminal cannot be given over", "error"
        if failure is not None:
            raise failure
        console.draw_again()
        console.say(said, tone)

    # -- ports ------------------------------------------------------------------------------

    def forward(self, text: str, place: tuple[str, str, str] | None) -> None:
        """``:forward [LOCAL:]REMOTE``, ``:forward stop [LOCAL]``, or nothing: what there is."""
        terminals = self._terminals("port-forward")
        if terminals is None:
            return
        words = text.split()
        if not words:
            there = ", ".join(terminals.forwards())
            self._console.say(f"forwarded: {there}" if there else "no port is forwarded; write one")
        elif words[0] == "stop":
            self._stop(terminals, words[1:])
        elif place is None:
            self._console.say("nothing under the cursor")
        else:
            pair = _ports(words[0])
            if pair is None or len(words) > 1:
                self._console.say("write a port, or local:remote, such as 8080:80", "error")
                return
            self._console.say(f"planning to forward port {pair[1]}")
            plan = terminals.plan_forward(place[0], place[1], *pair)
            self._plan(plan, lambda plan: self._begin_forward(terminals, plan))

    def _begin_forward(self, terminals: Terminals, plan: Plan) -> None:
        self._forwarding = terminals
        self._run(terminals.forward(plan, self._said), group="forward")

    def _stop(self, terminals: Terminals, words: Sequence[str]) -> None:
        if len(words) > 1 or not all(word.isdigit() for word in words):
            self._console.say("write stop, or stop and the local port", "error")
            return

        async def stop() -> str:
            count = await terminals.stop_forwards(int(words[0]) if words else 0)
            return f"{count} forwarded port{'s' if count != 1 else ''} closed"

        self._run(stop(), group="forward")

    def _said(self, text: str) -> None:
        self._console.say(one_line(text), "attention")

    def cells(self) -> Sequence[Cell]:
        """The forwards under way, for the crumbs line."""
        there = self._forwarding.forwards() if self._forwarding is not None else ()
        if len(there) > 2:
            return (Cell(f"  {len(there)} ports forwarded", "accent"),)
        return tuple(Cell(f"  port {words}", "accent") for words in there)

    # -- both -------------------------------------------------------------------------------

    def _plan(self, planning: Awaitable[Plan], begin: Callable[[Plan], None]) -> None:
        async def plan() -> None:
            try:
                async with within(DEADLINE, "no plan", hint="nothing was sent"):
                    made = await planning
            except McpTuiError as error:
                self._console.say(error.line(), "error")
            else:
                self._ask(made, begin)

        self._console.run_worker(plan(), group="plan", exclusive=True, exit_on_error=False)

    def _ask(self, plan: Plan, begin: Callable[[Plan], None]) -> None:
        if plan.blocked:
            self._console.say(plan.blocked[0].message, "error")
        elif plan.confirmation is Confirmation.NONE:
            begin(plan)
        else:
            if isinstance(self._console.screen, FrameScreen):
                self._console.screen.hush()
            self._console.push_screen(InsideConfirm(plan, begin))

    def _run(self, work: Awaitable[str], *, group: str) -> None:
        async def run() -> None:
            try:
                self._console.say(await work)
            except McpTuiError as error:
                self._console.say(error.line(), "error")

        self._console.run_worker(run(), group=group, exit_on_error=False)


def _ports(text: str) -> tuple[int, int] | None:
    """``[LOCAL:]REMOTE``; one port stands for both ends. None when it is neither."""
    local, _, remote = text.partition(":")
    numbers = [
        int(p) for p in (local, remote or local) if p.isascii() and p.isdigit() and len(p) < 6
    ]
    if len(numbers) != 2 or numbers[0] > 65_535 or not 0 < numbers[1] <= 65_535:
        return None
    return numbers[0], numbers[1]
