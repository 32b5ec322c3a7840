"""A terminal that takes nothing for a while holds nobody up.

Textual queues thirty writes and then blocks the event loop until the terminal has read: a line that
is slow, or a terminal that was stopped (ctrl-s, a laptop that sleeps), would stop keys, watches and
the end of the console alike. Here what cannot be written is dropped, and all of the screen is drawn
again once the terminal has caught up.
"""

from __future__ import annotations

import os
import re
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import IO, ClassVar

from textual.drivers._writer_thread import WriterThread

MOST = 131_072
"""Characters that may wait to be written."""

MOST_SLOW = 16_384
"""The same over a slow line: what waits there is seconds old when it is seen."""

LEAVING = 1.0
"""Seconds that the terminal is given to take the last of it."""

# One sequence that sets something: a mode, the clipboard. Not the cursor's place, nor the brackets
# of a synchronised frame, which go with the frames.
_SETTING = re.compile(
    r"\x1b(?:\[(?!\?2026[hl])[0-?]*[ -/]*[@-GI-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))", re.DOTALL
)


class PatientWriter(WriterThread):
    """Writes what is drawn, and forgets what was drawn meanwhile when the terminal does not read.

    Args:
        file: The terminal.
    """

    most: ClassVar[int] = MOST
    caught_up: ClassVar[Callable[[], None]]
    """Called from this thread when something was forgotten and the terminal reads again."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(file)
        self._waiting: deque[str] = deque()
        self._size = 0
        self._news = threading.Condition()
        self._forgot = False
        self._over = False

    def write(self, text: str) -> None:
        """Take a text to be written; never waits."""
        setting = len(text) < self.most and _SETTING.fullmatch(text) is not None
        with self._news:
            if self._over:
                return
            full = bool(self._waiting) and self._size + len(text) > self.most
            if full and not self._forgot and not setting:
                self._forget()
            if self._forgot and not setting:
                return
            self._waiting.append(text)
            self._size += len(text)
            self._news.notify()

    def _forget(self) -> None:
        """Drop what is drawn and not written yet; what sets something stays."""
        self._forgot = True
        kept = [text for text in self._waiting if _SETTING.fullmatch(text)]
        self._waiting = deque(kept)
        self._size = sum(map(len, kept))

    def run(self) -> None:
        """Write until told to stop, or until the terminal is gone."""
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        try:
            while (text := self._next()) is not None:
                self._put(text.encode(encoding, "replace"))
        except OSError:
            # The terminal was closed: the loop is told by a signal, not by this thread.
            with self._news:
                self._over = True

    def _next(self) -> str | None:
        """What to write now; None at the end."""
        while True:
            with self._news:
                forgot = self._forgot and not self._waiting
                if forgot:
                    self._forgot = False
                elif not self._waiting and not self._over:
                    self._news.wait()
                if self._waiting:
                    text = self._waiting.popleft()
                    self._size -= len(text)
                    return text
                if self._over:
                    return None
            if forgot:
                type(self).caught_up()

    def _put(self, data: bytes) -> None:
        """Write past Python's buffer: its lock, held here, would keep the process from ending."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file.fileno(), view) :]
            except BlockingIOError:
                select.select([], [self._file.fileno()], [])

    def stop(self) -> None:
        """Write what is left, if the terminal takes it within a moment."""
        with self._news:
            self._over = True
            self._news.notify()
        self.join(LEAVING)


def accept(*, slow: bool, caught_up: Callable[[], None]) -> None:
    """Have Textual's driver write so.

    Args:
        slow: Over a slow line.
        caught_up: As :attr:`PatientWriter.caught_up`.
    """
    from textual.drivers import linux_driver

    PatientWriter.most = MOST_SLOW if slow else MOST
    PatientWriter.caught_up = staticmethod(caught_up)
    # A name of the driver's module, which it looks up each time that it starts to write.
    setattr(linux_driver, "WriterThread", PatientWriter)  # noqa: B010 - not an exported name


__all__ = ["PatientWriter", "accept"]
