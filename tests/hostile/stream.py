"""Reads what reached a terminal: only what our own renderer writes may be in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from typing import Final

from wcwidth import wcswidth

from tests.hostile.texts import unsafe

# Every escape sequence, whoever it is from: CSI, strings up to their end or the next one, others.
_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*.?", re.DOTALL
)
# At the end of what was read, one in pieces.
_CUT: Final = re.compile(r"\x1b(?:\[[0-?]*|\][^\x07\x1b]*)?\Z")
_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
_PLACE: Final = re.compile(r"\x1b\[(\d+);(\d+)H")
_CLIPBOARD: Final = re.compile(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
_MODES: Final = ["1000", "1003", "1004", "1006", "1015", "1049", "2004", "2026", "2048", "25", "7"]
_OURS: Final = frozenset(
    {
        *(f"\x1b[?{mode}{end}" for mode in _MODES for end in "hl"),
        "\x1b[?2026$p",
        "\x1b[?2048$p",
        "\x1b[>25u",
        "\x1b[<u",
        "\x1b]22;default\x07",
    }
)
_FOREIGN_STYLE: Final = "38;5;199"


def decode(raw: bytes) -> tuple[str, list[str]]:
    """What was written as text; and that it was no UTF-8, if it was none."""
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError as error:
        # The read may have ended within a character.
        cut = error.reason == "unexpected end of data"
        return raw.decode("utf-8", "replace"), [] if cut else [f"not UTF-8: {error}"]


def faults(raw: bytes, size: tuple[int, int], *, copied: Collection[str] = ()) -> list[str]:
    """What is in a console's output that it does not write itself.

    Args:
        raw: All that it wrote, from its start.
        size: Columns and lines of the terminal.
        copied: What may have been copied to the clipboard; a bare ``*`` for anything that is safe.
    """
    text, found = decode(raw)
    text = _CUT.sub("", text)
    for match in _SEQUENCE.finditer(text):
        sequence = match.group()
        place = _PLACE.fullmatch(sequence)
        clip = _CLIPBOARD.fullmatch(sequence)
        if place is not None:
            if int(place[1]) > size[1] or int(place[2]) > size[0]:
                found.append(f"off the screen: {sequence!r}")
        elif clip is not None:
            words = base64.b64decode(clip[1]).decode("utf-8", "replace")
            if words not in copied and "*" not in copied:
                found.append(f"copied: {words[:80]!r}")
            if unsafe(words, keep="\n"):
                found.append(f"copied unsafe: {unsafe(words, keep=chr(10))[:20]!r}")
        elif _STYLE.fullmatch(sequence):
            if _FOREIGN_STYLE in sequence:
                found.append(f"foreign style: {sequence!r}")
        elif sequence not in _OURS:
            found.append(f"foreign sequence: {sequence[:80]!r}")
    return found + plain_faults(_SEQUENCE.sub("", text), keep="\r\n")


def printed_faults(raw: bytes, size: tuple[int, int]) -> list[str]:
    """What is in a command's output on a terminal that it does not write itself.

    Its own are colours, and a line that is drawn in place of the one that the cursor is in: that
    one must not be as wide as the terminal, or what is drawn next goes below it.

    Args:
        raw: All that it wrote.
        size: Columns and lines of the terminal.
    """
    text, found = decode(raw)
    for match in _SEQUENCE.finditer(text):
        sequence = match.group()
        if _STYLE.fullmatch(sequence):
            if _FOREIGN_STYLE in sequence:
                found.append(f"foreign style: {sequence!r}")
        elif sequence != "\x1b[K" or text[match.start() - 1 : match.start()] != "\r":
            found.append(f"foreign sequence: {sequence[:80]!r}")
    # What ends with a line's end is not drawn again.
    for drawn in re.findall(r"\r\x1b\[K([^\r\n]*)(?=\r\x1b\[K|\Z)", text):
        words = _SEQUENCE.sub("", drawn)
        if wcswidth(words) >= size[0]:
            found.append(f"wider than a line: {words!r}")
    return found + plain_faults(printed(raw))


def printed(raw: bytes) -> str:
    """A command's output on a terminal without its own sequences; what is drawn in lines too."""
    text, _ = decode(raw)
    # The terminal's driver puts a return before each line's end.
    return _SEQUENCE.sub("", text.replace("\r\x1b[K", "\n").replace("\r\n", "\n"))


def plain_faults(text: str, *, keep: str = "\n") -> list[str]:
    """What is unsafe in a text without any escape sequence."""
    bad = unsafe(text, keep=keep)
    if not bad:
        return []
    at = text.index(bad[0])
    return [f"unsafe {bad[:10]!r} near {text[max(0, at - 60) : at + 60]!r}"]
