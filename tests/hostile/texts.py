"""What an attacker writes where a name or a message is expected, and what of it may be shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from hypothesis import seed, settings
from hypothesis import strategies as st

ESC, BEL, ST = "\x1b", "\x07", "\x1b\\"

BARE: Final = "\uf8ff"
"""Stands for bytes that are no UTF-8, whatever carries them."""

_BARE_BYTES: Final = (
    b"\xff\xfe"  # in no UTF-8 at all
    b"\xc0\xaf\xe0\x80\xaf"  # a slash, longer than it may be, twice
    b"\x80\xbf"  # the rest of a character that has not begun
    b"\xf5\x80\x80\x80"  # beyond the last
    b"\xe3\x81"  # cut off
)

ATTACKS: Final[tuple[str, ...]] = (
    # CSI: a colour that no palette of ours has, a place that is on no screen, erasing, asking.
    f"{ESC}[4;5;7;38;5;199mred",
    f"{ESC}[777;777Hfar",
    f"{ESC}[2J{ESC}[3J{ESC}[Hgone",
    f"{ESC}[6n{ESC}[c{ESC}[>q{ESC}[21t{ESC}[?1$pasked",
    f"{ESC}[?1049l{ESC}[?25h{ESC}[?2004l{ESC}c{ESC}[!preset",
    f"{ESC}[1 q{ESC}[8;5;5t{ESC}[20hodd",
    "\x9b38;5;199mc1\x9b777;777H",
    # OSC: the title, a link, the clipboard; ended by BEL, by ST, by C1's ST, and by nothing.
    f"{ESC}]0;evil title{BEL}titled",
    f"{ESC}]8;;https://evil.example/{ST}link{ESC}]8;;{ST}",
    f"{ESC}]52;c;ZXZpbCBjbGlwYm9hcmQ={BEL}copied",
    f"{ESC}]52;c;ZXZpbCBjbGlwYm9hcmQ=\x9cand",
    "\x9d52;c;ZXZpbCBjbGlwYm9hcmQ=\x9cc1",
    f"{ESC}]1337;File=inline=1:ZXZpbA=={BEL}image",
    f"{ESC}]0;never ended",
    # Device control, application commands, private messages, start of string.
    f"{ESC}P+q544e{ST}dcs{ESC}_Gf=100;ZXZpbA=={ST}apc{ESC}^pm{ST}{ESC}Xsos{ST}",
    "\x90+q544e\x9c\x9fGx\x9c\x9epm\x9c\x98sos\x9c",
    # Sequences within sequences: what is left when the inner one is taken out.
    f"{ESC}{ESC}[0m[2J{ESC}[{ESC}[2J2J",
    f"{ESC}]{ESC}]0;evil title{BEL}0;evil title{BEL}",
    f"\x1b\x00[2J\x1b\u200b]0;evil title{BEL}\x1b\x7f[777;777H",
    # C0: a bell, a backspace over what is true, a return, shifts, flow control.
    "true\b\b\b\bfake",
    "real\rfalse\x0b\x0c\x0e\x0f\x11\x13\x1a\x05\x07",
    "nul\x00in\x00between",
    "del\x7f\x7f\x7fete",
    "one\nmcp-tui: forged line\n\ttwo\r\nthree\x85four\u2028five\u2029six",
    # Direction and width: what is read is not what is there.
    "\u202etxt.exe\u202c \u2066a\u2069 \u2067b\u2069 \u200fc\u061c",
    "zero\u200bwidth\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f\u115f\u3164\uffa0",
    "tags\U000e0001\U000e0041\U000e007f var\ufe0f\ufe0e\U000e0100",
    "music\U0001d173\U0001d17a anno\ufff9\ufffa\ufffb short\U0001bca0",
    # Wide, combining and joined characters.
    "\u65e5\u672c\u8a9e\u30b8\u30e7\u30d6\uff21\uff22 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "Z" + "\u0300\u0301\u0302\u0488\u20dd" * 40 + "algo",
    # Markup of Rich, of Textual, and of what pastes into a page or a sheet.
    "[link=https://evil.example/]markup[/link][bold magenta on red]x[/]",
    "[@click=app.quit()]click[/] [/] [/nothing] [[a]] \\[b] :skull:",
    "<script>alert(1)</script>&amp;<b onclick=x>",
    "=cmd|' /C calc'!A0",
    '+1+1@SUM(A1)-2\t=HYPERLINK("https://evil.example")',
    # What a shell, YAML, TOML or a format would run.
    "$(touch pwned)`touch pwned`;touch pwned|'\"",
    "%s%n%x {0} {x!r} %(a)s",
    "!!python/object/apply:os.system [x]\n- &a *a: {b: [c",
    # Not text at all: half characters, and bytes that are in no UTF-8 (see ``octets``).
    "\ud800lone\udfff",
    "bare\uf8ffbytes\uf8ff",
    "\ufffe\uffff\U0010ffff",
    "../../../../etc/passwd",
    "-rf --help",
    " ",
    "",
)

hostile = st.one_of(
    st.sampled_from(ATTACKS),
    st.lists(st.sampled_from(ATTACKS), min_size=2, max_size=4).map("".join),
    st.text(max_size=40),
    st.text(alphabet=st.sampled_from("\x1b\x9b\x9d\x90\x07\\[]0;mHP\n\r\x00\u202e\u200b a\ud800")),
)
"""One string of an attacker's."""

LONG: Final = 1_000_000
"""Characters of the longest single line."""


def octets(text: str) -> bytes:
    """A text as an attacker sends it: half characters as they are, and bytes that are no text."""
    return text.encode("utf-8", "surrogatepass").replace(BARE.encode(), _BARE_BYTES)


def whole(text: str) -> str:
    """A text as YAML can hold it; the rest of one that it cannot."""
    return re.sub("[\ud800-\udfff\ufffe\uffff]", "", text)


# Marks that stand before what they belong to, and are seen there.
_SEEN: Final = frozenset(
    {0x70F, 0x6DD, 0x8E2, 0x890, 0x891, 0x110BD, 0x110CD}
    | {*range(0x600, 0x606), *range(0x13430, 0x13460)}
)
# Not of the category "format", and not to be seen all the same.
_UNSEEN: Final = frozenset(
    {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}
    | {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)}
    | {*range(0xFFF0, 0xFFF9)}
)


def unsafe(text: str, *, keep: str = "") -> str:
    """The characters of a text that must not reach a terminal, by Unicode's own categories."""
    return "".join(
        char
        for char in text
        if char not in keep
        and (
            unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
            or (unicodedata.category(char) == "Cf" and ord(char) not in _SEEN)
            or ord(char) in _UNSEEN
        )
    )


def apart(share: int, test: Callable[[], None]) -> Callable[[], None]:
    """A test of one share: with examples of its own also where they are the same each time."""
    return seed(share)(test) if settings.default.derandomize else test
