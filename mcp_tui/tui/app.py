"""The console: one app over a backend that it knows only by its protocol."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.worker import Worker, WorkerState

from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.locales import utf8_locale
from mcp_tui.tui import collector, defects, exact, history, jobcontrol, scarce
from mcp_tui.tui.acting import Acting
from mcp_tui.tui.commandline import CommandLine
from mcp_tui.tui.inside import Inside
from mcp_tui.tui.keymap import KeyMap
from mcp_tui.tui.keysinorder import KeysInOrder
from mcp_tui.tui.model import PANES, ConsoleBackend, ConsoleOptions, ConsoleState, PaneInfo, Tone
from mcp_tui.tui.panes.base import PaneScreen
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.standin import StandIn
from mcp_tui.tui.theme import ASCII_SIGNS, PALETTES, UNICODE_SIGNS, Palette, Signs

if TYPE_CHECKING:
    from textual.actions import ActionParseResult
    from textual.dom import DOMNode
    from textual.timer import Timer


class Console(KeysInOrder, inherit_bindings=False):
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
    DEFAULT_MODE = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True, id="interrupt"),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
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
        self.inside = Inside(self)
        self.acting = Acting(self)
        # The run that others are held against, wherever it was chosen; empty for none.
        self.baseline = ""
        self.command_line = CommandLine(self)
        self._panes: dict[str, PaneScreen] = {}
        for pane in PANES:
            self.add_mode(pane.id, partial(self._make_pane, pane))
        self._dirty = False
        self._interrupted_at = 0.0
        self._attended_at = 0.0
        self._key_at = float("-inf")
        self._ticker: Timer | None = None

    # -- starting and stopping --------------------------------------------------------------

    def _make_pane(self, pane: PaneInfo) -> PaneScreen:
        """A pane's screen, when it is first looked at; the first before there is a backend."""
        module, _, name = pane.screen.partition(":")
        made: PaneScreen = getattr(import_module(module), name)(self.backend.pane(pane.id))
        self._panes[pane.id] = made
        return made

    def on_mount(self) -> None:
        """Start the backend once the first frame is painted."""
        self._heed_signals()
        # Stopped and continued: what the terminal shows by then is not ours.
        self.app_resume_signal.subscribe(self, lambda _app: self._draw_all())
        self.call_after_refresh(self._begin)

    def _heed_signals(self) -> None:
        """Leave in order when ended from outside or when the terminal is closed.

        Otherwise what the backend started would be left behind.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unheeded)
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
            self.apply_change()
            return
        self.backend = backend
        self.ready = True
        if self.options.filter:
            backend.pane("jobs").set_filter(self.options.filter)
        for name, pane in self._panes.items():
            pane.set_model(backend.pane(name))
        backend.front(self.current_mode)
        self._ticker = self.set_interval(1.0, self._each_second)
        self.apply_change()
        if self.options.notice is not None:
            said = await asyncio.to_thread(self.options.notice)
            if said:
                self.say(said)

    async def on_unmount(self) -> None:
        """End what the backend started."""
        if self.ready:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await self.backend.stop()
        history.write(self.options.history_file, self.command_history)

    def post_message(self, message: Message) -> bool:
        """Tell the backend of a key at once: before what stands in the queue in front of it."""
        if isinstance(message, events.Key):
            self._key_at = message.time
            self.backend.key()
        return super().post_message(message)

    async def on_event(self, event: events.Event) -> None:
        """Any key tells the backend that somebody is there, at most once a second."""
        if isinstance(event, events.Key) and event.time - self._attended_at > 1.0:
            self._attended_at = event.time
            self.backend.attend()
        if isinstance(event, events.Resize):
            # Terminals move what they show then, each in its way.
            exact.SHOWN.forget()
        await super().on_event(event)
        if isinstance(event, events.Resize):
            self.set_timer(0.1, self._after_resize)

    def _after_resize(self) -> None:
        """Look again: a screen that shrank and grew at once has lost what it showed.

        Of two signals, the second may interrupt the handler of the first, which then tells a size
        that is not so any more, and last.
        """
        if not self.is_headless:
            size = Size(*shutil.get_terminal_size((0, 0)))
            if all(size) and size != self.size:
                self.post_message(events.Resize(size, size))
        self.draw_again()

    # -- changes ----------------------------------------------------------------------------

    def changed(self) -> None:
        """The backend has something new: drawn once however often it is said."""
        if not self._dirty:
            self._dirty = True
            self.call_later(self.apply_change)

    def apply_change(self) -> None:
        """Draw what there is now."""
        self._dirty = False
        self.state = self.backend.state()
        if not self.is_running:
            return
        # What lives on behind a dialog is synced too: its clock, health and rows are still seen.
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FrameScreen):
                screen.sync()
                return

    def _each_second(self) -> None:
        """Once a second: clocks go on, and what waits for a rest is done in one."""
        self.apply_change()
        collector.at_rest(monotonic() - self._key_at)

    def draw_again(self) -> None:
        """Draw all of the screen: what the terminal shows is not known. From any thread."""
        self.call_later(self._draw_all)

    def _draw_all(self) -> None:
        exact.SHOWN.forget()
        self.refresh(layout=True)

    def say(self, text: str, tone: Tone = "") -> None:
        """A message on the keys line of the screen in front."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, FrameScreen):
                screen.say(text, tone)
                return

    def report(self, worker: Worker[object]) -> None:
        """Say a defect in one line: an error that is not one of ours, from a worker."""
        if worker.error is not None:
            self._defect(f"defect in {worker.group}", worker.error)

    def _defect(self, where: str, error: BaseException) -> None:
        text = f"{where}: {type(error).__name__}: {one_line(str(error))}"
        defects.keep(error, self.options.state_dir)
        if not self.ready:
            self._stand_in.fail(text)
        self.apply_change()
        self.say(text, "error")

    def _unheeded(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error of a timer, or of a task that nobody waits for: asyncio would print it."""
        del loop
        error = context.get("exception")
        # What only says that something was not closed, or what somebody was told, is no defect.
        if isinstance(error, Exception) and not isinstance(error, McpTuiError):
            self.call_later(self._defect, "defect beside the screen", error)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """What a key does; one whose screen cannot be loaded for want of files says so."""
        with scarce.Said(lambda text: self.say(text, "error")):
            return await super().run_action(action, default_namespace, namespaces)
        return True

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

    @property
    def pane(self) -> PaneScreen | None:
        """The pane at the root."""
        root = self.screen_stack[0] if self.screen_stack else None
        return root if isinstance(root, PaneScreen) else None

    def show_pane(self, name: str) -> None:
        """Go to a pane, which is as it was left: everything above the one in front is left."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if name != self.current_mode:
            self.backend.front(name)
            self.switch_mode(name)

    def set_namespace(self, namespace: str | None) -> None:
        """Look at a namespace, or at all."""
        self.spawn(
            self.backend.switch_namespace(namespace),
            f"looking at {one_line(namespace) if namespace else 'all namespaces'}",
        )

    def refresh_sources(self) -> None:
        """Ask the sources again now."""
        self.spawn(self.backend.refresh(), "asked again")

    def refresh_quietly(self) -> None:
        """Ask the sources again now, and say nothing of it."""
        self.run_worker(self.backend.refresh(), group="backend-calls", exit_on_error=False)

    def spawn(self, work: Awaitable[None], said: str) -> None:
        """Let a call of the backend run, and say what came of it."""

        async def run() -> None:
            try:
                await work
            except McpTuiError as error:
                self.say(error.line(), "error")
                return
            self.apply_change()
            self.say(said)

        self.run_worker(run(), group="backend-calls", exit_on_error=False)

    def copy(self, text: str, said: str) -> None:
        """Copy by OSC 52, which never answers: what was asked is said, and how to check.

        Tabs become blanks: in a shell they ask for completions.
        """
        self.copy_to_clipboard(text.expandtabs(4))
        self.say(f"copied {said} (if the terminal allows OSC 52)")

    # -- leaving ----------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        """Stop what is being asked; a second time within two seconds, leave."""
        now = asyncio.get_running_loop().time()
        if self.acting.leaving or now - self._interrupted_at < 2.0:
            self.exit(0)
            return
        self._interrupted_at = now
        self._stop_asking()
        self.workers.cancel_group(self, "plan")
        self.workers.cancel_group(self.screen, "plan")
        self.say("ctrl-c again leaves the console")

    def _stop_asking(self) -> None:
        screen = self.screen
        if isinstance(screen, FrameScreen) and screen.prompt.asking:
            ask = screen.prompt.ask
            screen.stop_asking()
            screen.unanswered(ask)

    def action_suspend_process(self) -> None:
        """To the shell; ``fg`` comes back."""
        if self._driver is None or not self._driver.can_suspend:
            return
        if jobcontrol.has_shell():
            jobcontrol.stop()
        else:
            self.say("no shell here to go to: the console is all that runs in this terminal")

    def leave(self) -> None:
        """End the console."""
        self.exit(0)

    def exit(
        self, result: int | None = None, return_code: int = 0, message: object | None = None
    ) -> None:
        """End the console; what is being applied is first ended in order, as on a command line.

        Whoever insists (a second ctrl-c, a second signal) does not wait for that.
        """
        if self.acting.leaving or not self.acting.applying():
            super().exit(result, return_code, message)  # type: ignore[arg-type]  # Rich's own type
            return
        self.acting.leaving = True
        self._stop_asking()
        self.say("ending what is begun; ctrl-c leaves at once", "attention")
        ending = self._end_applying(result, return_code)
        self.run_worker(ending, group="leave", exit_on_error=False)

    async def _end_applying(self, result: int | None, return_code: int) -> None:
        await self.acting.interrupt()
        super().exit(result, return_code)
