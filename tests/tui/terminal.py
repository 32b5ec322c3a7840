"""The console on a real pseudo-terminal, with an emulator that shows what came of its bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import pyte
from wcwidth import wcwidth

DEADLINE = 60.0


class Screen(pyte.Screen):
    """An emulator that draws what stands behind a mark which encloses a character.

    pyte joins to a character what has a combining class, and gives up the rest of a text at any
    other mark without a width, such as U+0488: terminals draw the rest.
    """

    def draw(self, data: str) -> None:
        super().draw("".join(c for c in data if unicodedata.combining(c) or wcwidth(c)))


class Terminal:
    """A terminal emulator with the console in it."""

    def __init__(
        self,
        argv: list[str],
        env: Mapping[str, str],
        size: tuple[int, int],
        folder: Path | None = None,
    ) -> None:
        self.screen = Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(env)
            if folder is not None:
                os.chdir(folder)
            self.begin(argv)
        self.code: int | None = None
        self.resize(*size)

    def begin(self, argv: list[str]) -> NoReturn:
        """Become what runs in the terminal; called in the child."""
        os.execv(argv[0], argv)

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def read(self) -> bool:
        """Take in what was written; False when the other side is gone."""
        if select.select([self.fd], [], [], 0.05)[0]:
            try:
                data = os.read(self.fd, 65_536)
            except OSError:
                return False
            self.raw += data
            # pyte knows no kitty keyboard sequences and would print their tails.
            self.stream.feed(data.replace(b"\x1b[>25u", b"").replace(b"\x1b[<u", b""))
        return True

    @property
    def text(self) -> str:
        # Not the emulator's own display, which fails where half of a wide character is overwritten:
        # so it stands in the midst of a frame.
        lines, columns = range(self.screen.lines), range(self.screen.columns)
        return "\n".join("".join(self.screen.buffer[y][x].data for x in columns) for y in lines)

    def halves(self) -> list[tuple[int, int]]:
        """Line and column of each second half of a wide character whose first half is gone."""
        return [
            (y, x)
            for y in range(self.screen.lines)
            for x in range(self.screen.columns)
            if not self.screen.buffer[y][x].data
            and (not x or wcwidth(self.screen.buffer[y][x - 1].data[:1]) != 2)
        ]

    def until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < end, f"never came true:\n{self.text}\n{self.raw[-500:]!r}"
            self.read()

    def insist(self, key: str, true: Callable[[], object]) -> None:
        """Press a key now and then until it is heard: close behind a paste it is part of that."""
        end = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < end, f"never came true:\n{self.text}"
            self.type(key)
            pause = time.monotonic() + 1.0
            while time.monotonic() < pause and not true():
                self.read()

    def wait(self) -> int:
        """The exit status; the process is reaped."""
        end = time.monotonic() + DEADLINE
        while self.code is None:
            assert time.monotonic() < end, "it did not end"
            with contextlib.suppress(OSError):
                self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.fd)
