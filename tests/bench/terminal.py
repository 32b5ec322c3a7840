"""A terminal for what is measured: the console in a process of its own, and when what came.

It reads as a terminal does, at full speed, or as a slow line does; it keeps no picture, only the
bytes' count and the marks of :mod:`tests.bench.probe` with the time at which each came.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.probe import END, START

_MARK: Final = re.compile(re.escape(START) + rb"([a-z]+)=([^\x07]*)" + re.escape(END))
_HZ: Final = os.sysconf("SC_CLK_TCK")

NOT_THEIRS: Final = ("NO_COLOR", "SSH_CONNECTION", "PYTHONDONTWRITEBYTECODE")
"""Taken from the environment of what is measured. What a user has installed is compiled: without
its bytecode a start would mostly measure Python's compiler."""


@dataclass(frozen=True)
class Mark:
    """A moment that the console told of; ``at`` is monotonic seconds, when it was read here."""

    at: float
    name: str
    value: str


class Terminal:
    """Runs the marked console until closed.

    Args:
        arguments: As for ``mcp-tui``.
        env: Added to the environment.
        size: Columns and lines.
        rate: Bytes a second that the terminal takes; None for all that come.
        module: What marks its frames.
        command: Another program in its place, which marks nothing.
        needle: Where it first stands in what is written, there is a mark ``needle``.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        size: tuple[int, int] = (120, 40),
        rate: float | None = None,
        module: str = "tests.bench.probe",
        command: Sequence[str] = (),
        needle: bytes = b"",
    ) -> None:
        self._needle = needle
        self.rate = rate
        self.size = 0
        self.tail = b""
        self.marks: list[Mark] = []
        self._ended = False
        self._news = threading.Condition()
        self.started = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
            for name in NOT_THEIRS:
                os.environ.pop(name, None)
            os.environ.update(env)
            command = command or [sys.executable, "-m", module, *arguments]
            os.execv(command[0], list(command))
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the console."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        self._reader.join(5)
        os.close(self._fd)

    def _read(self) -> None:
        rest = b""
        while True:
            piece = 65_536 if self.rate is None else max(1, int(self.rate / 50))
            if self.rate == 0:
                time.sleep(0.02)
                continue
            try:
                data = os.read(self._fd, piece)
            except OSError:
                data = b""
            now = time.monotonic()
            if not data:
                with self._news:
                    self._ended = True
                    self._news.notify_all()
                return
            rest += data
            found = [
                Mark(now, match[1].decode(), match[2].decode()) for match in _MARK.finditer(rest)
            ]
            # A mark may be cut between two reads; nothing else is kept.
            end = max((match.end() for match in _MARK.finditer(rest)), default=0)
            at = rest.rfind(START[:1], end)
            rest = rest[at:] if at >= 0 and len(rest) - at < 64 else b""
            if self._needle and self._needle in self.tail + data:
                self._needle = b""
                found.append(Mark(now, "needle", ""))
            with self._news:
                self.size += len(data)
                self.tail = (self.tail + data)[-500:]
                self.marks += found
                self._news.notify_all()
            if self.rate:  # It may have been told to stop meanwhile.
                time.sleep(len(data) / self.rate)

    def wait(
        self, name: str, value: str | None = None, *, since: float = 0.0, deadline: float = 120.0
    ) -> Mark:
        """The first mark of a name after a moment, of that value where one is given.

        Raises:
            TimeoutError: It did not come.
            RuntimeError: The console ended before.
        """
        until = time.monotonic() + deadline
        looked = 0
        with self._news:
            while True:
                for mark in self.marks[looked:]:
                    if mark.name == name and value in (None, mark.value) and mark.at > since:
                        return mark
                looked = len(self.marks)
                left = until - time.monotonic()
                if self._ended:
                    raise RuntimeError(f"the console ended: {self.tail.decode(errors='replace')}")
                if left <= 0 or not self._news.wait(left):
                    last = self.marks[-3:]
                    raise TimeoutError(f"no mark {name}={value} in {deadline:.0f} s; last: {last}")

    def look_for(self, needle: bytes) -> None:
        """Have a mark ``needle`` where that is written next."""
        with self._news:
            self.tail = b""
            self._needle = needle

    def press(self, keys: str) -> float:
        """Press keys; returns when, in monotonic seconds."""
        now = time.monotonic()
        os.write(self._fd, keys.encode())
        return now

    def key(self, keys: str, *, deadline: float = 30.0) -> float:
        """Seconds from a key press to the frame that shows what it did."""
        with self._news:
            dealt = sum(mark.name == "key" for mark in self.marks)
        pressed = self.press(keys)
        return self.wait("key", str(dealt + 1), deadline=deadline).at - pressed

    @property
    def processor(self) -> float:
        """Seconds of processor time that the console has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _HZ

    @property
    def resident(self) -> int:
        """Bytes of memory that the console holds."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024
