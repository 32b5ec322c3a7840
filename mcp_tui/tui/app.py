"""The console: one app over a backend that it knows only by its protocol."""

from __future__ import annotations

import asyncio
import locale
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.tui import commands, defects, history
from mcp_tui.tui.inside import Inside
from mcp_tui.tui.keymap import KeyMap
from mcp_tui.tui.model import ConsoleBackend, ConsoleOptions, ConsoleState, PaneModel, Tone
from mcp_tui.tui.panes.jobs import JobsScreen, PaneScreen
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.standin import StandIn
from mcp_tui.tui.theme import ASCII_SIGNS, PALETTES, UNICODE_SIGNS, Palette, Signs

if TYPE_CHECKING:
    from textual.timer import Timer

KEY_LOST = 0.5
"""Seconds after which a key that nobody reported on counts as dealt with."""


def utf8_locale() -> bool:
    """Whether the locale can show more than ASCII."""
    # Not the preferred encoding: in the C locale Python prefers UTF-8, and the terminal does not.
    return locale.getencoding().lower().replace("-", "") == "utf8"


class KeyDone(Message):
    """Follows a key on its way up: where this arrives, the key was dealt with."""


class Console(App[int], inherit_bindings=False):
    """The app.

    Args:
        build: Makes the backend; called after the first paint, in a worker.
        options: What is known before.

    Raises:
        UsageError: Keys that clash or may not be bound, or an unknown theme.
    """

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    TITLE = "mcp-tui"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True, id="interrupt")
    ]

    def __init__(
        self, build: Callable[[], ConsoleBackend], options: ConsoleOptions | None = None
    ) -> None:
        self.options = options = options or ConsoleOptions()
        self.keymap = KeyMap(options.keys)
        # Textual's own filter for NO_COLOR turns colours to greys; our palette has none to turn.
        no_color = os.environ.pop("NO_COLOR", None)
        super().__init__()
        if no_color is not None:
            os.environ["NO_COLOR"] = no_color
        self.palette: Palette = PALETTES["default"]
        ascii_only = options.ascii if options.ascii is not None else not utf8_locale()
        self.signs: Signs = ASCII_SIGNS if ascii_only else UNICODE_SIGNS
        for palette in PALETTES.values():
            self.register_theme(palette.theme)
        self.set_palette("none" if options.no_color or no_color else options.theme)
        self.set_keymap(self.keymap.overrides)
        self._build = build
        self._stand_in = StandIn(options)
        self.backend: ConsoleBackend = self._stand_in
        self.ready = False
        self.state: ConsoleState = self.backend.state()
        self.command_history: list[str] = history.read(self.options.history_file)
        self.filter_history: list[str] = []
        self.search_history: list[str] = []
        self.draft = ""
        self.inside = Inside(self)
        self._pending: dict[str, tuple[str, float]] = {}
        self._dirty = False
        self._keys: deque[events.Key] = deque()
        self._key_under_way: Timer | None = None
        self._interrupted_at = 0.0
        self._ticker: Timer | None = None

    # -- starting and stopping --------------------------------------------------------------

    def get_default_screen(self) -> Screen[None]:
        """The Jobs pane, before there is anything to show in it."""
        return JobsScreen(self._stand_in.pane("jobs"))

    def on_mount(self) -> None:
        """Start the backend once the first frame is painted."""
        self._heed_signals()
        self.call_after_refresh(self._begin)

    def _heed_signals(self) -> None:
        """Leave in order when ended from outside or when the terminal is closed.

        Otherwise what the backend started would be left behind.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Not on the main thread (a test): signals are the caller's then.
            with suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self.exit, 128 + number)

    def _begin(self) -> None:
        self.run_worker(self._start(), name="backend", exit_on_error=False)

    async def _start(self) -> None:
        try:
            backend = self._build()
            await backend.start(self.changed)
        except McpTuiError as error:
            self._stand_in.fail(error.line())
            self._apply_change()
            return
        self.backend = backend
        self.ready = True
        model = backend.pane("jobs")
        if self.options.filter:
            model.set_filter(self.options.filter)
        if self.pane is not None:
            self.pane.set_model(model)
        self._ticker = self.set_interval(1.0, self._apply_change)
        self._apply_change()
        if self.options.notice:
            self.say(self.options.notice)

    async def on_unmount(self) -> None:
        """End what the backend started."""
        if self.ready:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await self.backend.stop()
        history.write(self.options.history_file, self.command_history)

    # -- keys -------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """Deliver keys one at a time: the next one goes where the last one put the focus.

        Textual hands every key at once to what has the focus. A key that opens the prompt moves the
        focus only after several messages; what was typed behind it would be taken for commands.
        """
        if not isinstance(event, events.Key) or event.is_forwarded or event.key == "ctrl+c":
            await super().on_event(event)
            return
        self._keys.append(event)
        if self._key_under_way is None:
            await self._deliver()

    async def _deliver(self) -> None:
        if not self._keys:
            return
        event = self._keys.popleft()
        # A widget that is taken away with its queue never tells: then the next key waits no longer.
        self._key_under_way = self.set_timer(KEY_LOST, self._key_dealt_with)
        target = self.focused or self.screen
        await super().on_event(event)
        target.post_message(KeyDone())

    def on_key_done(self, message: KeyDone) -> None:
        """The key before was dealt with; a change of focus that it asked for comes first."""
        message.stop()
        self.call_later(self._key_dealt_with)

    async def _key_dealt_with(self) -> None:
        if self._key_under_way is not None:
            self._key_under_way.stop()
            self._key_under_way = None
        await self._deliver()

    # -- changes ----------------------------------------------------------------------------

    def changed(self) -> None:
        """The backend has something new: drawn once however often it is said."""
        if not self._dirty:
            self._dirty = True
            self.call_later(self._apply_change)

    def _apply_change(self) -> None:
        self._dirty = False
        self.state = self.backend.state()
        if not self.is_running:
            return
        # What lives on behind a dialog is synced too: its clock, health and rows are still seen.
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FrameScreen):
                screen.sync()
                return

    def say(self, text: str, tone: Tone = "") -> None:
        """A message on the keys line of the screen in front."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FrameScreen):
                screen.say(text, tone)
                return

    def report(self, worker: Worker[object]) -> None:
        """Say a defect in one line: an error that is not one of ours, from a worker."""
        error = worker.error
        text = f"defect in {worker.group}: {type(error).__name__}: {one_line(str(error))}"
        if not self.ready:
            self._stand_in.fail(text)
        self._apply_change()
        self.say(text, "error")

    def _fatal_error(self) -> None:
        """Leave with one line where Textual would print a traceback with all its locals.

        The traceback goes to a file for who mends it, where there is a place for one.
        """
        error = self._exception
        text = f"{type(error).__name__}: {one_line(str(error))}"
        kept = defects.keep(error, self.options.state_dir) if error is not None else ""
        told = f"; details in {kept}" if kept else ""
        self.panic(Text(f"mcp-tui: the console failed and had to end: {text}{told}"))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker of the app's own failed."""
        if event.state is WorkerState.ERROR:
            self.report(event.worker)

    # -- dress ------------------------------------------------------------------------------

    def set_palette(self, name: str) -> None:
        """Dress in a colour scheme; UsageError when there is none of that name."""
        palette = PALETTES.get(name)
        if palette is None:
            from mcp_tui.errors import UsageError

            raise UsageError(
                f"no theme {name}", where="theme", hint=f"one of {', '.join(PALETTES)}"
            )
        self.palette = palette
        self.theme = palette.theme.name

    # -- going ------------------------------------------------------------------------------

    def complete_command(self, line: str) -> list[str]:
        """What ``:`` completes."""
        return commands.complete(
            line,
            contexts=self.backend.contexts(),
            namespaces=self.backend.namespaces(),
            columns=[c.id for c in self.backend.pane("jobs").columns if c.sortable],
        )

    @property
    def pane(self) -> PaneScreen | None:
        """The pane at the root."""
        root = self.screen_stack[0] if self.screen_stack else None
        return root if isinstance(root, PaneScreen) else None

    def run_command(self, line: str) -> None:
        """Run a ``:`` command."""
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if not word:
            return
        command = commands.find(word)
        if command is None:
            self.say(commands.unknown(one_line(word)), "error")
            return
        run = getattr(self, f"_command_{command.name}")
        run(rest)

    def _command_jobs(self, rest: str) -> None:
        self.show_pane("jobs")
        if rest:
            self._command_filter(rest)

    def _command_filter(self, rest: str) -> None:
        if self.pane is not None:
            error = self.pane.set_filter(rest)
            if error:
                self.say(error, "error")

    def _command_sort(self, rest: str) -> None:
        pane = self.pane
        if pane is None:
            return
        column = "" if rest in {"", "urgency"} else rest
        known = {c.id for c in pane.model.columns if c.sortable}
        if column and column not in known:
            self.say(f"no column {one_line(rest)}; one of {', '.join(sorted(known))}", "error")
            return
        pane.model.set_sort(column, False)
        pane.sync()

    def _command_theme(self, rest: str) -> None:
        try:
            self.set_palette(rest)
        except McpTuiError as error:
            self.say(error.what + "; " + error.hint, "error")
            return
        for screen in self.screen_stack:
            for widget in screen.walk_children():
                widget.refresh()
            if isinstance(screen, FrameScreen):
                screen.sync()

    def _command_ctx(self, rest: str) -> None:
        names = [name.strip() for name in rest.split(",") if name.strip()]
        known = set(self.backend.contexts())
        missing = [name for name in names if known and name not in known]
        if not names:
            self.say(f"contexts: {', '.join(sorted(known)) or 'none'}")
        elif missing:
            self.say(f"no context {one_line(missing[0])}; Tab lists them", "error")
        else:
            self.show_pane("jobs")
            self._spawn(self.backend.switch_context(names), f"switching to {','.join(names)}")

    def _command_ns(self, rest: str) -> None:
        self.show_pane("jobs")
        self.set_namespace(None if rest in {"", "all", "*"} else rest)

    def _command_submit(self, rest: str) -> None:
        del rest
        self.submit()

    def _command_retry(self, rest: str) -> None:
        changes: dict[str, str] = {}
        for part in rest.split():
            name, equals, value = part.partition("=")
            if not equals or not name or not value:
                self.say(f"not a change: {one_line(part)}; write memory=128Gi", "error")
                return
            changes[name] = value
        front: Screen[object] = self.screen
        subject = getattr(front, "subject", None)
        if subject is None or self.pane is None:
            self.say("nothing to retry here")
            return
        self.plan(Verb.RETRY, subject(), self.pane.model, changes)

    def _command_forward(self, rest: str) -> None:
        front: Screen[object] = self.screen
        place = getattr(front, "place", None)
        self.inside.forward(rest, place() if place is not None else None)

    def _command_unmark(self, rest: str) -> None:
        del rest
        if self.pane is not None:
            self.pane.table.clear_marks()
            self.pane.update_frame()

    def _command_refresh(self, rest: str) -> None:
        del rest
        self.refresh_sources()

    def _command_help(self, rest: str) -> None:
        del rest
        if isinstance(self.screen, FrameScreen):
            self.screen.action_help()

    def _command_q(self, rest: str) -> None:
        del rest
        self.leave()

    def show_pane(self, name: str) -> None:
        """Go to a pane: everything above it is left."""
        del name
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def set_namespace(self, namespace: str | None) -> None:
        """Look at a namespace, or at all."""
        self._spawn(
            self.backend.switch_namespace(namespace),
            f"looking at {one_line(namespace) if namespace else 'all namespaces'}",
        )

    def refresh_sources(self) -> None:
        """Ask the sources again now."""
        self._spawn(self.backend.refresh(), "asked again")

    def _spawn(self, work: object, said: str) -> None:
        async def run() -> None:
            try:
                await work  # type: ignore[misc]  # a coroutine of the backend
            except McpTuiError as error:
                self.say(error.line(), "error")
                return
            self._apply_change()
            self.say(said)

        self.run_worker(run(), group="backend-calls", exit_on_error=False)

    def copy(self, text: str, said: str) -> None:
        """Copy by OSC 52, which never answers: what was asked is said, and how to check."""
        self.copy_to_clipboard(text)
        self.say(f"copied {said} (if the terminal allows OSC 52)")

    # -- acting -----------------------------------------------------------------------------

    def submit(self) -> None:
        """Open the submit editor."""
        if self.may_write("submit"):
            from mcp_tui.tui.screens.submit import SubmitScreen

            self.push_screen(SubmitScreen())

    def plan(
        self,
        verb: Verb,
        keys: Sequence[str],
        model: PaneModel,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        """Plan a verb on objects, then show the plan."""
        if not self.may_write(verb.value):
            return
        if not keys:
            self.say("nothing under the cursor")
            return
        hidden = sum(1 for key in keys if model.index_of(key) is None)
        self.say(
            f"planning to {verb.value} {model.name_of(keys[0])}"
            + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
        )
        self.run_worker(
            self._plan(verb, keys, hidden, changes),
            group="plan",
            exclusive=True,
            exit_on_error=False,
        )

    async def _plan(
        self, verb: Verb, keys: Sequence[str], hidden: int, changes: Mapping[str, str] | None
    ) -> None:
        try:
            async with asyncio.timeout(30):
                plan = await self.backend.actions.plan(verb, keys, changes)
        except McpTuiError as error:
            self.say(error.line(), "error")
            return
        except TimeoutError:
            self.say(f"no plan to {verb.value} in 30 s; nothing was sent", "error")
            return
        self.show_plan(plan, hidden=hidden)

    def show_plan(self, plan: Plan, *, hidden: int = 0) -> None:
        """Show a plan and ask."""
        from mcp_tui.tui.screens.confirm import ConfirmScreen

        if isinstance(self.screen, FrameScreen):
            self.screen.hush()
        self.push_screen(ConfirmScreen(plan, hidden=hidden))

    def may_write(self, what: str) -> bool:
        """Whether writes are possible; says why not."""
        if not self.ready:
            self.say("still loading")
            return False
        if self.state.read_only:
            self.say(f"read-only: {what} is refused here", "error")
            return False
        return True

    # -- what goes on -----------------------------------------------------------------------

    def pending_line(self) -> str:
        """Actions that are under way though their dialog was left."""
        now = self.state.now
        return "   ".join(
            f"{text}: unproven {max(0, int(now - since))} s"
            for text, since in self._pending.values()
        )

    def set_pending(self, plan_id: str, text: str | None) -> None:
        """Say on the keys line that an action goes on, or (None) that it ended."""
        if text is None:
            self._pending.pop(plan_id, None)
        else:
            self._pending[plan_id] = (text, self.state.now)
        self._apply_change()

    # -- leaving ----------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        """Stop what is being asked; a second time within two seconds, leave."""
        now = asyncio.get_running_loop().time()
        if now - self._interrupted_at < 2.0:
            self.exit(0)
            return
        self._interrupted_at = now
        screen = self.screen
        if isinstance(screen, FrameScreen) and screen.prompt.display:
            screen.stop_asking()
        self.workers.cancel_group(self, "plan")
        self.say("ctrl-c again leaves the console")

    def leave(self) -> None:
        """End the console."""
        self.exit(0)


__all__ = ["Console", "utf8_locale"]
