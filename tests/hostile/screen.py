"""The console on a pseudo-terminal, led by its keys from view to view."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tests.joined.panes import Pane
from tests.tui.terminal import DEADLINE, Terminal

REPO: Final = Path(__file__).parents[2]

BYTES: Final[Mapping[str, str]] = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "space": " ",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "slash": "/",
    "colon": ":",
    "equals_sign": "=",
    "question_mark": "?",
}
"""What a terminal sends for keys by Textual's names."""


def sent(key: str) -> str:
    """What a terminal sends for a key."""
    if key.startswith("ctrl+"):
        return chr(ord(key[-1]) & 0x1F)
    return BYTES.get(key, key)


class Console(Terminal):
    """``mcp-tui`` itself in a terminal.

    Args:
        env: Its environment, on top of ours.
        arguments: For ``mcp-tui``.
        size: Columns and lines.
        folder: Where it is started.
        context: Which context is opened.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        *arguments: str,
        size: tuple[int, int] = (80, 24),
        folder: Path | None = None,
        context: str = "dev",
    ) -> None:
        self.size = size
        base = {
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "SSH_CONNECTION": "",
            "NO_COLOR": "",
            "PYTHONPATH": str(REPO),
        }
        argv = [sys.executable, "-m", "mcp_tui", "--context", context, *arguments]
        super().__init__(argv, {**base, **env}, size, folder)

    def press(self, *keys: str) -> None:
        """Keys by Textual's names."""
        for key in keys:
            self.type(sent(key))

    def quiet(self, seconds: float = 0.25) -> None:
        """Take in what is written until nothing more comes for a moment; not for ever."""
        end = time.monotonic() + 10
        last = time.monotonic()
        while time.monotonic() - last < seconds and time.monotonic() < end:
            before = len(self.raw)
            if not self.read():
                return
            if len(self.raw) != before:
                last = time.monotonic()

    def tells(self, text: str) -> bool:
        """Whether a text is on the screen."""
        return text in "\n" + self.text

    def go(self, pane: Pane) -> None:
        """From the Jobs pane to a view."""
        for number, key in enumerate(pane.keys if len(pane.keys) > 1 else ()):
            self.press(key)
            waits = pane.behind(number)
            if waits:
                self.until(partial(self.tells, waits))
            if number < len(pane.keys) - 1:
                self.quiet(0.1)
        if len(pane.keys) == 1:
            # Close behind a paste or an escape a key is part of that.
            self.insist(sent(pane.keys[0]), lambda: pane.shown in "\n" + self.text)
            return
        self.until(lambda: pane.shown in "\n" + self.text)

    def home(self) -> None:
        """Back to the Jobs pane, wherever one is."""
        end = time.monotonic() + DEADLINE
        while "leave the console?" not in self.text:
            assert time.monotonic() < end, f"no way back:\n{self.text}"
            self.press("escape")
            self.quiet(0.15)
        self.press("n")
        self.until(lambda: "leave the console?" not in self.text)
        if "\n Jobs / " not in self.text:
            self.insist("2", lambda: "\n Jobs / " in self.text)
            self.home()  # that pane is as it was left, with its filter

    def choose(self, name: str, kind: str = "Job") -> None:
        """Have one job alone in the list, and be asked no more."""
        self.type("/")
        self.until(self._asks)
        self.type(f"/ {kind} {name} /\r")
        self.until(lambda: f" {name} " in self.text and "1 of " in self.text)
        self.until(lambda: not self._asks())

    def _asks(self) -> bool:
        """Whether the last line is that of a filter."""
        return self.screen.display[self.size[1] - 1].startswith(" /")

    def paste(self, text: str) -> None:
        """A paste in brackets, whatever is in it but their end."""
        data = text.replace("\x1b[201~", "").encode("utf-8", "surrogatepass")
        os.write(self.fd, b"\x1b[200~" + data + b"\x1b[201~")
        self.quiet()

    def leave(self) -> int:
        """Leave; the exit status."""
        self.home()
        self.press("q")
        self.until(lambda: "leave the console?" in self.text)
        self.press("y")
        return self.wait()
