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
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte

DEADLINE = 60.0


class Terminal:
    """A terminal emulator with the console in it."""

    def __init__(
        self,
        argv: list[str],
        env: Mapping[str, str],
        size: tuple[int, int],
        folder: Path | None = None,
    ) -> None:
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(env)
            if folder is not None:
                os.chdir(folder)
            os.execv(argv[0], argv)
        self.code: int | None = None
        self.resize(*size)

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
        return "\n".join(self.screen.display)

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
