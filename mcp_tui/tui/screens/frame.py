"""The frame that every screen stands in: bar, panes, crumbs, a body, and the keys line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from mcp_tui.tui import bar
from mcp_tui.tui.keymap import KEYS, SCOPES, normalise
from mcp_tui.tui.model import Cell, Tone
from mcp_tui.tui.widgets.logview import wrap_cells
from mcp_tui.tui.widgets.prompt import Ask, Completer, Prompt
from mcp_tui.tui.widgets.surface import LineWidget

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console


def bindings_for(*screens: str) -> list[BindingType]:
    """Bindings of the registry for kinds of screens, with ids so that a keymap can move them."""
    scopes = {scope for screen in screens for scope in SCOPES[screen]}
    found: list[BindingType] = []
    for key in KEYS:
        # ctrl+c is bound once, by the app and before all others.
        if key.scope in scopes and key.id != "interrupt":
            found += [
                Binding(name, key.action, key.title, show=False, id=key.id)
                for name in normalise(key.keys)
            ]
    return found


MESSAGE = 10.0
"""Seconds a message stays when no key takes it away; an error three times as long."""


MESSAGE_ROWS = 4
"""Lines that a message may take."""


class FrameScreen(Screen[None], inherit_bindings=False):
    """A screen in the console's frame. Subclasses give the body, crumbs and their kind."""

    DEFAULT_CSS: ClassVar[str] = """
    FrameScreen { layout: vertical; overflow: hidden hidden; background: $background; }
    """
    KIND: ClassVar[str] = "jobs"
    PANE: ClassVar[str] = "jobs"

    def __init__(self) -> None:
        super().__init__()
        self.line_bar = LineWidget(id="bar", role="bar-dev")
        self.line_panes = LineWidget(id="panes")
        self.line_crumbs = LineWidget(id="crumbs")
        self.prompt = Prompt(id="keys", role="keys")
        self._message: Cell | None = None
        self._hush: Timer | None = None

    @property
    def console(self) -> Console:
        """The app, by its own type."""
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        """The frame around the body."""
        yield self.line_bar
        yield self.line_panes
        yield self.line_crumbs
        yield from self.body()
        yield self.prompt

    def body(self) -> Iterable[Widget]:
        """What stands between the crumbs and the keys line."""
        return ()

    def home(self) -> Widget | None:
        """What has the focus when nothing is asked."""
        return None

    # -- what the lines say -----------------------------------------------------------------

    def crumbs(self) -> Sequence[str]:
        """Where one is."""
        return ()

    def counts(self) -> Sequence[Cell]:
        """What stands at the right of the crumbs."""
        return ()

    def notes(self) -> Sequence[Cell]:
        """What stands beside the crumbs: a filter, marks."""
        return ()

    @property
    def pane_id(self) -> str:
        """The pane that this belongs to."""
        return self.PANE

    @property
    def kind(self) -> str:
        """Which keys are alive now (a key of SCOPES)."""
        return self.KIND

    def update_frame(self) -> None:
        """Draw the frame as the state is now; what did not change is not sent."""
        state = self.console.state
        width = self.console.size.width
        self.line_bar.set_cells(bar.bar_cells(state, width), role=f"bar-{state.tier.value}")
        self.line_panes.set_cells(bar.panes_cells(self.pane_id, bar.trouble(state), width))
        notes = (*self.notes(), *self.console.inside.cells())
        self.line_crumbs.set_cells(bar.crumbs_cells(self.crumbs(), self.counts(), width, notes))
        self._update_keys()

    def _update_keys(self) -> None:
        if self.prompt.asking:
            return
        width = self.console.size.width
        if self._message is not None:
            # A message is read whole: the lines above give way while it stands.
            rows = wrap_cells((self._message,), max(1, width - 2), words=True)[:MESSAGE_ROWS]
            self.prompt.set_rows([(Cell(" "), *row) for row in rows])
            return
        pending = self.console.acting.pending_line()
        if pending:
            self.prompt.set_cells((Cell(f" {pending}", "attention"),))
            return
        hints = self.console.keymap.hints(self.kind, read_only=self.console.state.read_only)
        self.prompt.set_cells(bar.hint_cells(hints, width))

    def say(self, text: str, tone: Tone = "") -> None:
        """A message on the keys line, until the next key or for a while."""
        self._message = Cell(text, tone)
        self._update_keys()
        if self._hush is not None:
            self._hush.stop()
        self._hush = self.set_timer(MESSAGE * (3 if tone == "error" else 1), self.hush)

    def hush(self) -> None:
        """Take the message away."""
        if self._message is not None:
            self._message = None
            self._update_keys()

    def on_mount(self) -> None:
        """Draw the frame at once, from what is known."""
        self.update_frame()
        home = self.home()
        if home is not None:
            home.focus()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Something that runs beside the screen ended with what nobody foresaw."""
        if event.state is WorkerState.ERROR:
            self.console.report(event.worker)

    def on_screen_resume(self) -> None:
        """Time went by while another screen was in front."""
        self.sync()

    def on_resize(self, event: events.Resize) -> None:
        """Lay the frame out again."""
        del event
        self.update_frame()

    def on_key(self, event: events.Key) -> None:
        """Any key takes the message away."""
        del event
        self.hush()

    def sync(self) -> None:
        """The state changed, or a second went by."""
        self.update_frame()

    # -- the prompt -------------------------------------------------------------------------

    def ask(
        self, ask: Ask, *, completer: Completer | None = None, history: list[str] | None = None
    ) -> None:
        """Ask for a line in place of the keys."""
        self.prompt.open(ask, completer=completer, history=history if history is not None else [])

    def stop_asking(self) -> None:
        """Give the keys line and the focus back."""
        self.prompt.close()
        self.set_focus(self.home())
        self.update_frame()

    def on_prompt_answered(self, message: Prompt.Answered) -> None:
        """Enter in the prompt."""
        message.stop()
        self.answer(message.ask, message.text)

    def on_prompt_changed(self, message: Prompt.Changed) -> None:
        """Typing in the prompt."""
        message.stop()
        self.answering(message.ask, message.text)

    def on_prompt_left(self, message: Prompt.Left) -> None:
        """Esc in the prompt."""
        message.stop()
        self.stop_asking()
        self.unanswered(message.ask)

    def answer(self, ask: Ask, text: str) -> None:
        """What to do with an answer; commands and leaving are the same everywhere."""
        if ask.mode == "command":
            self.stop_asking()
            self.console.command_line.run(text)
        elif ask.mode == "leave":
            self.console.leave()

    def answering(self, ask: Ask, text: str) -> None:
        """The answer so far."""

    def unanswered(self, ask: Ask) -> None:
        """No answer was given."""

    # -- keys that work everywhere ----------------------------------------------------------

    def action_back(self) -> None:
        """Go back to the screen below."""
        self.app.pop_screen()

    def action_command(self) -> None:
        """Ask for a command."""
        self.ask(
            Ask("command", ":"),
            completer=self.console.command_line.complete,
            history=self.console.command_history,
        )

    def action_help(self) -> None:
        """Every key that is alive here."""
        from mcp_tui.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.kind))

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self.console.show_pane(name)

    def action_refresh(self) -> None:
        """Ask the sources again."""
        self.console.refresh_sources()

    def action_filter(self) -> None:
        """Nothing to filter here."""
        self.say("nothing to filter or search here")

    def action_copy(self) -> None:
        """Nothing to copy here."""
        self.say("nothing to copy here")
