"""Text from outside, made safe to show.

A label, a log line or an error message may carry terminal escape sequences, control characters,
bidirectional overrides or invisible characters (CVE-2021-25743 was kubectl's). Every string from
outside passes :func:`clean` or :func:`clean_line` at the one place where it enters.
"""

from __future__ import annotations

import re

# CSI, OSC/DCS/SOS/PM/APC strings (ended by BEL, ST or the end), and two-character escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 but tab and newline, DEL, C1, soft hyphen, Arabic letter mark, zero-width and bidi controls,
# line and paragraph separators, invisible operators, BOM, interlinear annotations, tag characters,
# variation selectors (they change a sign's width), and lone surrogates.
_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff"
)
_CONTROLS = re.compile(f"[{_UNSAFE}]")
_CONTROLS_AND_BREAKS = re.compile(f"[{_UNSAFE}\t\n]")
_FAST_SAFE = re.compile(r"[ -~]*")


def clean(text: str, *, limit: int = 65_536) -> str:
    """Sanitise text that may have several lines: tabs and newlines are kept.

    Args:
        text: Anything from outside.
        limit: The most characters kept; the cut is marked with ``...``.

    Returns:
        The text without escape sequences; other unsafe characters are dropped.
    """
    if len(text) > limit:
        text = text[:limit] + "..."
    text = text.replace("\r\n", "\n")
    if "\x1b" in text or any("\x80" <= c <= "\x9f" for c in text):
        text = _ESCAPES.sub("", text)
    return _CONTROLS.sub("", text)


def clean_line(text: str, *, limit: int = 4_096) -> str:
    """Sanitise text for one line: as :func:`clean`, with tabs and newlines turned to spaces."""
    if len(text) <= limit and _FAST_SAFE.fullmatch(text):
        return text
    text = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return _CONTROLS_AND_BREAKS.sub("", clean(text, limit=limit))


def one_line(text: str) -> str:
    """The first non-empty line of a message, cleaned: what a table cell or an error shows."""
    for line in text.splitlines():
        stripped = clean_line(line).strip()
        if stripped:
            return stripped
    return ""
