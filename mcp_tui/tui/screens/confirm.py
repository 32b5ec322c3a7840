"""The one dialog: a plan, the question, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import msgspec
from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.timer import Timer

from mcp_tui.domain.plan import (
    Confirmation,
    Outcome,
    OutcomeStatus,
    Plan,
)
from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError, MovedError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import Cell, Line, Tone
from mcp_tui.tui.theme import TIER_WORDS
from mcp_tui.tui.widgets.planbox import PlanBox, diff_lines, json_lines, plan_lines, subject
from mcp_tui.tui.widgets.surface import signs_of

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

DEAF = 0.5
"""Seconds for which a new dialog ignores keys: one held down confirms nothing."""

BURST = 0.02
"""Keys closer than this (seconds) come from a paste without brackets, not from a hand."""

MANY = 3
"""Characters so close to each other that make a paste: a hand rolls over two keys at most."""

SETTLED = 0.3
"""Seconds of quiet after which what a paste left behind is looked at, and taken away."""

_AGAIN = 30.0

PASTED = "pastes are ignored here: type it"

View = Literal["plan", "diff", "JSON"]
VIEWS: tuple[View, ...] = ("plan", "diff", "JSON")
_OUTCOMES: dict[OutcomeStatus, tuple[str, Tone]] = {
    OutcomeStatus.PROVEN: ("done", "done"),
    OutcomeStatus.UNPROVEN: ("attention", "attention"),
    OutcomeStatus.UNKNOWN: ("attention", "attention"),
    OutcomeStatus.FAILED: ("failed", "failed"),
}


class ConfirmScreen(ModalScreen[bool], inherit_bindings=False):
    """Shows a plan, asks as the plan says, applies it and says what became of it.

    It answers whether the plan was sent, and not refused.

    Args:
        plan: With its checks made.
        hidden: How many of its objects the filter hides.
        again: Makes the plan anew where what it is about changed before the yes: nothing was sent
            then, and what was meant is asked once more. None where the refusal is the end.
    """

    DEFAULT_CSS: ClassVar[str] = """
    ConfirmScreen { align: left bottom; background: $background 0%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(8)", show=False),
        Binding("pageup", "scroll(-8)", show=False),
    ]

    def __init__(
        self, plan: Plan, *, hidden: int = 0, again: Callable[[], Awaitable[Plan]] | None = None
    ) -> None:
        super().__init__()
        self.plan = plan
        self.again = again
        self.hidden = hidden
        self.box = PlanBox(plan)
        self.typed = ""
        self.state: Literal["asking", "applying", "done"] = "asking"
        self.view: View = "plan"
        self.agree = False
        self.progress = ""
        self.note = ""
        self.outcomes: Sequence[Outcome] = ()
        self.error = ""
        self.clock = time.monotonic
        self.when: Callable[[events.Key], float] = lambda event: event.time
        self._opened = 0.0
        self._last_key = 0.0
        self._burst = 0
        self._pasted = False
        self._settling: Timer | None = None

    @property
    def console(self) -> Console:
        """The app, by its own type."""
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        """The box."""
        yield self.box

    def on_mount(self) -> None:
        """Begin deaf, the safe choice in front."""
        self._opened = self.clock()
        tier = TIER_WORDS[self.plan.tier.value]
        self.box.title = f"{tier}  {self.plan.context}  {self.plan.verb.value} {subject(self.plan)}"
        self.update()
        self.box.focus()

    # -- what is shown ----------------------------------------------------------------------

    def update(self) -> None:
        """Draw the box as things are now."""
        if self.view == "plan":
            most = max(2, min(12, self.app.size.height - 20))
            lines = plan_lines(self.plan, signs_of(self.app), hidden=self.hidden, most=most)
        else:
            lines = diff_lines(self.plan) if self.view == "diff" else json_lines(self.plan)
        self.box.show(lines, self.foot(), self.key_words())

    def key_words(self) -> tuple[str, str]:
        """The words in the lower border."""
        if self.state == "done":
            return "Esc or Enter close", ""
        if self.state == "applying":
            return "Esc leaves this; the action goes on", ""
        if self.plan.blocked:
            return "Esc leave   Tab plan / diff / JSON", ""
        if self.plan.confirmation is Confirmation.TYPED:
            return "Esc leave   Tab plan / diff / JSON", "Enter apply"
        return "Esc leave   Tab plan / diff / JSON / apply", "Enter chooses"

    def foot(self) -> list[Line]:
        """The question, what goes on, or what came of it."""
        if self.state == "applying":
            return [(Cell("now     ", "dim"), Cell(self.progress or "sending", "running"))]
        if self.state == "done":
            return self._outcome_lines()
        if self.plan.blocked:
            return [(Cell("blocked: a check above failed; nothing will be sent", "failed"),)]
        if self.plan.confirmation is Confirmation.TYPED:
            word = self.plan.typed_word
            asked: Line = (Cell("type    ", "dim"), Cell(word, "strong"), Cell("  to go on: "))
            typed: Line = (Cell(self.typed, "accent"), Cell("_", "strong"))
            # A long word has a line of its own to be typed on, so that what is typed is seen.
            if 2 * cell_len(word) + 28 > self.app.size.width:
                lines = [asked, (Cell(" " * 8), *typed)]
            else:
                lines = [(*asked, *typed)]
            return [*lines, (Cell(self.note, "error"),)] if self.note else lines
        leave, apply = ("  Leave  ", "[ Apply ]") if self.agree else ("[ Leave ]", "  Apply  ")
        return [
            (
                Cell(leave, "" if self.agree else "strong"),
                Cell("   "),
                Cell(apply, "strong" if self.agree else ""),
                Cell(f"   {self.view}" if self.view != "plan" else "", "dim"),
            )
        ]

    def _outcome_lines(self) -> list[Line]:
        if self.error:
            return [(Cell("failed  ", "dim"), Cell(self.error, "error"))]
        signs = signs_of(self.app)
        lines: list[Line] = []
        for outcome in self.outcomes[:8]:
            sign, tone = _OUTCOMES[outcome.status]
            text = f"{getattr(signs, sign)} {outcome.status.value}: {outcome.target.name}"
            lines.append((Cell(text, tone), Cell(f"  {outcome.message}")))
        if len(self.outcomes) > 8:
            lines.append((Cell(f"and {len(self.outcomes) - 8} more", "dim"),))
        return lines or [(Cell("nothing was done", "dim"),)]

    # -- keys -------------------------------------------------------------------------------

    def _deaf(self, now: float | None = None) -> bool:
        return (self.clock() if now is None else now) - self._opened < DEAF

    def on_paste(self, event: events.Paste) -> None:
        """A paste confirms nothing."""
        event.stop()
        event.prevent_default()
        self._say(PASTED)

    def _say(self, note: str) -> None:
        self.note = note
        self.box.set_foot(self.foot())

    def on_key(self, event: events.Key) -> None:
        """Type the word, or choose."""
        # When it came, not when its turn is: keys of one paste may wait for each other.
        now = self.when(event)
        if event.key in {"escape", "down", "up", "pagedown", "pageup"} and not self._deaf(now):
            return
        event.stop()
        event.prevent_default()
        quick, self._last_key = now - self._last_key < BURST, now
        if self._deaf(now):
            # What is held down since before stays unheard until it is let go.
            self._opened = max(self._opened, now - DEAF / 2)
        elif event.key in {"tab", "shift+tab"}:
            if not quick:
                self.turn(1 if event.key == "tab" else -1)
        elif self.state == "done":
            if event.key == "enter":
                self.dismiss(self.sent)
        elif self.state == "asking" and not self.plan.blocked:
            if self.plan.confirmation is Confirmation.TYPED:
                self._type(event, quick=quick)
            elif event.key in {"left", "right"}:
                if not quick:
                    self.agree = event.key == "right"
                    self.update()
            elif event.key == "enter" and not quick:
                self._choose()

    def _type(self, event: events.Key, *, quick: bool) -> None:
        self.note = ""
        if event.key == "enter":
            if quick or self._pasted:
                self._drop()
            elif self.typed == self.plan.typed_word:
                self._apply()
                return
            else:
                self.note = "that is not it" if self.typed else ""
        elif event.key == "backspace":
            self.typed = self.typed[:-1]
        elif event.key == "ctrl+u":
            self.typed = ""
        elif event.is_printable and event.character is not None:
            self._burst = self._burst + 1 if quick else 1
            self._pasted = self._pasted or self._burst >= MANY
            if len(self.typed) < 300:
                self.typed += event.character
        if self._pasted:
            self._wait_for_quiet()
        self.box.set_foot(self.foot())

    def _wait_for_quiet(self) -> None:
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLED, self._settle)

    def _settle(self) -> None:
        """A paste came to its end: nothing of it stays, but for the word itself.

        That one waits for an Enter of its own, which came neither with it nor close behind.
        """
        if self._pasted and self.typed != self.plan.typed_word:
            self._drop()
        self._pasted, self._settling = False, None
        if self.state == "asking":
            self.box.set_foot(self.foot())

    def _drop(self) -> None:
        """Take away what was pasted, with whatever of it is still on its way."""
        self.typed, self._pasted, self.note = "", True, PASTED
        self._wait_for_quiet()

    def _choose(self) -> None:
        if self.agree:
            self._apply()
        else:
            self.dismiss(False)

    def turn(self, step: int) -> None:
        """Tab: the next view; with one confirmation, first the other choice."""
        asks_yes = self.plan.confirmation is not Confirmation.TYPED
        if self.state == "asking" and asks_yes and not self.plan.blocked:
            # Tab, Enter applies; a further Tab goes through the views with the safe choice.
            stops: list[tuple[View, bool]] = [("plan", False), ("plan", True), ("diff", False)]
            stops.append(("JSON", False))
            at = stops.index((self.view, self.agree))
            self.view, self.agree = stops[(at + step) % len(stops)]
        else:
            self.view = VIEWS[(VIEWS.index(self.view) + step) % len(VIEWS)]
        self.update()

    def action_scroll(self, rows: int) -> None:
        """Scroll the plan."""
        self.box.scroll_lines(rows)

    def action_leave(self) -> None:
        """Leave: what was sent goes on, and the keys line says so."""
        if self._deaf():
            return
        if self.state == "applying":
            self.console.acting.set_pending(
                self.plan.id, f"{self.plan.verb.value} {subject(self.plan)}"
            )
        self.dismiss(self.sent)

    @property
    def sent(self) -> bool:
        """Whether something of the plan was done, or may have been."""
        if self.state == "done":
            return any(o.status is not OutcomeStatus.FAILED for o in self.outcomes)
        return self.state == "applying"

    # -- applying ---------------------------------------------------------------------------

    def _apply(self) -> None:
        self.state = "applying"
        self.update()
        self.console.acting.apply(self._run())

    async def _run(self) -> None:
        try:
            self.outcomes = await self.console.backend.actions.apply(self.plan, self._told)
        except MovedError as error:
            if self.is_current and await self._ask_anew(error):
                return
            self.error = self.error or error.line()
        except McpTuiError as error:
            self.error = error.line()
        except Exception as error:
            # Said here too: the dialog must not wait for ever for an answer that cannot come.
            self.error = f"defect: {type(error).__name__}: {one_line(str(error))}"
            self._ended()
            raise
        self._ended()

    async def _ask_anew(self, moved: MovedError) -> bool:
        """Plan it again and ask again: nothing was sent, and it is not what was agreed to."""
        if self.again is None:
            return False
        self._told("somebody changed it meanwhile: looking again")
        try:
            async with within(_AGAIN, "no plan"):
                plan = await self.again()
        except McpTuiError as error:
            self.error = f"{moved.what}; now: {error.line()}"
            return False
        if not self.is_current:
            return False
        self.plan = self.box.plan = msgspec.structs.replace(plan, notes=(moved.what, *plan.notes))
        self.state, self.view, self.agree = "asking", "plan", False
        self.typed, self.progress, self.note = (
            "",
            "",
            "it changed meanwhile: look, and say it again",
        )
        self._opened = self.clock()
        self.update()
        return True

    def _ended(self) -> None:
        self.state = "done"
        if self.is_current:
            self.update()
        else:
            self._report()
        self.console.acting.set_pending(self.plan.id, None)

    def _told(self, text: str) -> None:
        self.progress = text
        if self.console.acting.leaving:
            what = subject(self.plan)
            said = text.removeprefix(f"{what}: ")
            self.console.acting.last_words.append(f"{self.plan.verb.value} {what}: {said}")
            return
        if self.is_current:
            self.box.set_foot(self.foot())

    def _report(self) -> None:
        """Say the end on the keys line: the dialog was left."""
        what = f"{self.plan.verb.value} {subject(self.plan)}"
        if self.error:
            self.console.say(f"{what}: {self.error}", "error")
            return
        worst = [o for o in self.outcomes if o.status is not OutcomeStatus.PROVEN]
        if worst:
            self.console.say(f"{what}: {worst[0].status.value}: {worst[0].message}", "attention")
        else:
            self.console.say(f"{what}: proven", "done")
