"""Text from outside, made safe to show.

A label, a log line or an error message may carry terminal escape sequences, control characters,
bidirectional overrides or invisible characters (CVE-2021-25743 was kubectl's). Every string from
outside passes :func:`clean` or :func:`clean_line` at the one place where it enters.
"""

from __future__ import annotations

import re

# CSI, OSC/DCS/SOS/PM/APC strings (ended by BEL, ST, another escape or the end of the line, so that
# one that never ends hides no more than its line), and two-character escapes. The quantifiers are
# possessive and no alternative fails after a long run: linear on hostile text.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*+(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*+[0-~]?"
)
# C0 but tab and newline, DEL, C1, soft hyphen, Arabic letter mark, zero-width and bidi controls,
# line and paragraph separators, invisible operators, BOM, interlinear annotations, tag characters,
# variation selectors (they change a sign's width), lone surrogates, shorthand and musical format
# controls. decode.py looks for the same characters in UTF-8: change both.
_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_CONTROLS = re.compile(f"[{_UNSAFE}]")
_CONTROLS_AND_BREAKS = re.compile(f"[{_UNSAFE}\t\n]")
_FAST_SAFE = re.compile(r"[ -~]*")
# What stands before the host of a URL: a slash in a password is written as %2F.
_USERS = re.compile(r"(?<=://)[^\s/'\"?#]*@")


def clean(text: str, *, limit: int = 65_536) -> str:
    """Sanitise text that may have several lines: tabs and newlines are kept.

    A lone carriage return, which would overwrite the line so far, becomes a newline.

    Args:
        text: Anything from outside.
        limit: The most characters kept; the cut is marked with ``...``.

    Returns:
        The text without escape sequences; other unsafe characters are dropped.
    """
    if len(text) > limit:
        text = text[:limit] + "..."
    if text.isascii() and text.isprintable():
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROLS.search(text) is None:
        return text
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def clean_line(text: str, *, limit: int = 4_096) -> str:
    """Sanitise text for one line: as :func:`clean`, with tabs and newlines turned to spaces."""
    if len(text) <= limit and _FAST_SAFE.fullmatch(text):
        return text
    text = text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return _CONTROLS_AND_BREAKS.sub("", clean(text, limit=limit))


def one_line(text: str) -> str:
    """The first non-empty line of a message, cleaned: what a table cell or an error shows."""
    if not text:  # as most fields of most objects are
        return text
    if text.isascii() and text.isprintable() and len(text) <= 4_096:
        return text.strip()
    for line in text.splitlines():
        stripped = clean_line(line).strip()
        if stripped:
            return stripped
    return ""


def without_credentials(text: str) -> str:
    """Text in which no URL carries a password, or a token in the place of a user.

    A user alone is an address in ``ssh://git@host`` and a container in ``abfss://``, and stays.
    """
    if "@" not in text or "://" not in text:
        return text

    def kept(found: re.Match[str]) -> str:
        web = text[: found.start()].lower().endswith(("http://", "https://"))
        return "" if web or ":" in found.group() else found.group()

    return _USERS.sub(kept, text)


def word(text: str) -> str:
    """One word of a command that is shown: whoever pastes it into a shell runs nothing else."""
    import shlex

    return shlex.quote(clean_line(text))


def escaped(json: str) -> str:
    """Safe JSON of any: what must not reach a terminal is written as JSON's own escapes."""

    def escape(match: re.Match[str]) -> str:
        units = match.group().encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))

    return _CONTROLS.sub(escape, json)
