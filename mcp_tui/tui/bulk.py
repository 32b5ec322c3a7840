"""Input in bulk: a paste is one event, with or without brackets, and never a flood of keys.

Textual reads input a character at a time. A megabyte pasted into a terminal without bracketed
paste would be a million keys, each with a meaning of its own, and the one that stops it would wait
behind them all.
"""

from __future__ import annotations

import re
import select
import sys
import time
from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual import constants, events
from textual._xterm_parser import XTermParser
from textual.message import Message

START, END = "\x1b[200~", "\x1b[201~"

MANY = 256
"""Characters in one read that no hand typed; the longest word that a dialog asks for is shorter."""

AFTER = 0.15
"""Seconds after so much in which what comes belongs to it, however little it is."""

MOST = 1_000_000
"""Characters of a paste that are kept."""

_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;:<=>?]*[A-Za-z~^$@]|O[A-Za-z])")
"""Keys with names, and what the mouse and the terminal report: bulk of these is no paste."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class LaterLines(events.Paste):
    """What follows the first line of a paste without brackets, which comes in pieces.

    What takes whole texts takes it as the paste that it is; what takes one line has had that.
    """


# Handled wherever a paste is: Textual goes by this name.
LaterLines.handler_name = events.Paste.handler_name


class BulkParser(XTermParser):
    """Textual's parser, but for pastes, and for escapes that stand alone."""

    terminal: ClassVar[int | None] = None
    """The descriptor that is read; None: who feeds it looks after the time."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._pasted: list[str] | None = None
        self._size = 0
        self._held = ""
        self._bulk_at = -AFTER
        self._line_over = False

    def feed(self, data: str) -> Iterable[Message]:
        """The events of what was read at once; empty at the end of all input."""
        if not data:
            yield from super().feed(data)
            return
        data, self._held = self._held + data, ""
        while data:
            if self._pasted is None:
                before, start, data = data.partition(START)
                yield from self._typed(before)
                if start:
                    self._pasted, self._size = [], 0
                continue
            text, end, data = data.partition(END)
            if not end:
                # The end may come in pieces.
                keep = next((n for n in range(len(END) - 1, 0, -1) if text.endswith(END[:n])), 0)
                text, self._held = text[: len(text) - keep], text[len(text) - keep :]
            self._take(text)
            if not end:
                return
            pasted, self._pasted = "".join(self._pasted), None
            yield _paste(pasted)

    def _take(self, text: str) -> None:
        if self._pasted is not None and self._size < MOST:
            self._pasted.append(text[: MOST - self._size])
            self._size += len(text)

    def _typed(self, text: str) -> Iterator[Message]:
        """What came without brackets: keys, unless it is more than a hand types."""
        now = time.monotonic()
        if text == "\x1b" or _SEQUENCE.fullmatch(text):
            # A key that no paste has in it: what comes after it is typed again.
            self._bulk_at = now - AFTER
        goes_on = now - self._bulk_at < AFTER and not text.startswith("\x1b")
        few = 1 if goes_on else MANY
        if len(text) >= few:
            bare = _SEQUENCE.sub("", text)
            if len(bare) >= few:
                later = goes_on and self._line_over
                self._bulk_at = now
                self._line_over = later or "\r" in bare or "\n" in bare
                yield _paste(bare, LaterLines if later else events.Paste)
                return
        if text:
            yield from super().feed(text)
        if text.endswith("\x1b") and not self._more_comes():
            yield from self.tick()

    def _more_comes(self) -> bool:
        """Whether something follows an escape, which stands alone otherwise.

        The driver looks ten times a second; this thread has nothing else to do meanwhile.
        """
        if self.terminal is None:
            return True
        return bool(select.select([self.terminal], [], [], constants.ESCAPE_DELAY + 0.001)[0])


def _paste(text: str, kind: type[events.Paste] = events.Paste) -> events.Paste:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return kind(_CONTROL.sub("", text))


def accept() -> None:
    """Have Textual's driver read its input so."""
    from textual.drivers import linux_driver

    # A name of the driver's module, which it looks up each time that it starts to read.
    BulkParser.terminal = sys.__stdin__.fileno() if sys.__stdin__ is not None else None
    setattr(linux_driver, "XTermParser", BulkParser)  # noqa: B010 - not an exported name


__all__ = ["BulkParser", "LaterLines", "accept"]
