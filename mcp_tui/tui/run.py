"""The way into the console. Textual reads its environment at import: so this imports it last."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping
from dataclasses import replace

from mcp_tui.tui.model import ConsoleBackend, ConsoleOptions

SLOW_FPS = "12"
"""Frames a second over a slow line."""


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
        env.setdefault("TEXTUAL_FPS", "30")
    return replace(options, profile=profile, theme=theme, no_color=no_color)


def run_console(build: Callable[[], ConsoleBackend], options: ConsoleOptions | None = None) -> int:
    """Open the console and stay until it is left.

    Args:
        build: Makes the backend. Called once the first frame is on the screen, on the event loop:
            it must return quickly; importing what is heavy belongs into its ``start``.
        options: What is known before.

    Returns:
        The exit code.

    Raises:
        UsageError: Keys that clash, or an unknown theme: before the screen is taken.
    """
    prepared = prepare(options or ConsoleOptions(), os.environ)
    from mcp_tui.tui.app import Console

    app = Console(build, prepared)
    result = app.run(mouse=prepared.profile != "ssh")
    if result is not None:
        return result
    return app.return_code or 0


__all__ = ["prepare", "run_console"]
