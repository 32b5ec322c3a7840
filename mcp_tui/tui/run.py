"""The way into the console. Textual reads its environment at import: so this imports it last."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.text import clean_line
from mcp_tui.tui import anybytes
from mcp_tui.tui.model import ConsoleBackend, ConsoleOptions

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

SLOW_FPS = "60"
"""Beats a second at which a frame may be painted over a slow line."""

FPS = "250"
"""Elsewhere. What has changed is painted at the next beat but one, and what a key does is often
in two frames; without a change there is no beat. How often rows change is not decided here."""

SWITCH = 0.001
"""Seconds for which one thread keeps the interpreter from another: the one that reads keys and the
one that writes frames wait for the loop's, each at every key."""

LAST_WORDS: Final = 3.0
"""Seconds in which a backend that no console has taken over may end what it began."""

HANG_UP_GRACE = 4.0
"""Seconds that an orderly end is given once the terminal is closed."""


def prepare(options: ConsoleOptions, env: MutableMapping[str, str]) -> ConsoleOptions:
    """Decide the profile and set what Textual reads when it is imported.

    The ``ssh`` profile, taken by itself where SSH_CONNECTION is set: few frames, no animations,
    sixteen colours, no mouse, and 300 ms of patience with an escape sequence in pieces.

    Args:
        options: As asked for.
        env: The process's environment; changed. What the user set there is kept.
    """
    profile = options.profile or ("ssh" if env.get("SSH_CONNECTION") else "normal")
    no_color = options.no_color or bool(env.get("NO_COLOR"))
    # Where a shell exported them, the size would be theirs for ever: no resize would be seen.
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    env.setdefault("TEXTUAL_ANIMATIONS", "none")
    env.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    theme = options.theme
    if profile == "ssh":
        env.setdefault("TEXTUAL_FPS", SLOW_FPS)
        env.setdefault("ESCDELAY", "300")
        if theme == "default":
            theme = "ansi16"
    else:
        # A frame waits for the next beat, and a lone escape for what might follow it.
        env.setdefault("TEXTUAL_FPS", FPS)
        env.setdefault("ESCDELAY", "20")
    return replace(options, profile=profile, theme=theme, no_color=no_color)


def end_with_terminal(descriptor: int, grace: float = HANG_UP_GRACE) -> None:
    """End this process when its terminal is closed, if it has not left by itself by then.

    The thread that writes to the terminal dies of the first write to one that is closed, and the
    event loop then waits for it for ever: no signal handler of the loop's is run any more.

    Args:
        descriptor: Of the terminal.
        grace: Seconds that an orderly end is given.
    """

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # a hang-up is always told
        if not any(what & (select.POLLHUP | select.POLLERR) for _, what in poll.poll()):
            return  # The descriptor is not open: there is nothing to watch.
        time.sleep(grace)
        os._exit(128 + signal.SIGHUP)

    threading.Thread(target=watch, name="terminal", daemon=True).start()


def run_console(build: Callable[[], ConsoleBackend], options: ConsoleOptions | None = None) -> int:
    """Open the console and stay until it is left.

    Args:
        build: Makes the backend; called on the event loop before the screen is imported.
        options: What is known before.

    Returns:
        The exit code.

    Raises:
        UsageError: Keys that clash, or an unknown theme: before the screen is taken.
    """
    prepared = prepare(options or ConsoleOptions(), os.environ)
    sys.setswitchinterval(SWITCH)
    return asyncio.run(_open(build, prepared))


async def _open(build: Callable[[], ConsoleBackend], prepared: ConsoleOptions) -> int:
    backend = build()
    # Servers are asked before the screen is there: they work on the first pages while we import,
    # which takes longer than all else of a start.
    backend.begin()
    app: Console | None = None
    try:
        await asyncio.to_thread(import_module, "mcp_tui.tui.app")
        app = make_console(backend, prepared)
        result = await app.run_async(mouse=prepared.profile != "ssh")
        for line in app.acting.last_words:
            with suppress(OSError):
                sys.stderr.write(f"mcp-tui: {clean_line(line)}\n")
        return result if result is not None else app.return_code or 0
    finally:
        if app is None or not app.ready:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await backend.stop()


def make_console(backend: ConsoleBackend, prepared: ConsoleOptions) -> Console:
    """The console, and the terminal made ready for it.

    Args:
        backend: That it shows.
        prepared: As of :func:`prepare`.
    """
    from mcp_tui.tui.app import Console

    app = Console(lambda: backend, prepared)
    # What was imported stays: no collection needs to look through it.
    gc.freeze()
    if os.name == "posix":
        from mcp_tui.tui import bulk, collector, exact, patient

        anybytes.accept()
        exact.accept()
        collector.spare()
        bulk.accept()
        patient.accept(slow=prepared.profile == "ssh", caught_up=app.draw_again)
    if os.isatty(0):
        end_with_terminal(0)
    return app


__all__ = ["make_console", "prepare", "run_console"]
