"""Sanitising of outside text: what stays, what goes, and that hostile text costs no time."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain.text import clean, clean_line, one_line, without_credentials

NASTY = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from(
            "\x1b\x9b\x9d\x90\x07\x00\x7f\r\n\t[]();\\0123mKJHA\u202e\u200b\ufeff\ud800"
        ),
    ),
    max_size=200,
)


def unsafe(character: str) -> bool:
    """Whether a terminal may act on it, or draw it out of order or with no width of its own."""
    code = ord(character)
    if character in "\t\n":
        return False
    category = unicodedata.category(character)
    if category in ("Cc", "Cs", "Zl", "Zp"):
        return True
    visible_format = {0x0600, 0x0601, 0x0602, 0x0603, 0x0604, 0x0605, 0x06DD, 0x070F, 0x08E2}
    visible_format |= {0x0890, 0x0891, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    return category == "Cf" and code not in visible_format


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://u:p@h/x", "https://h/x"),
        ("https://ghp_token@h/x", "https://h/x"),
        ("clone HTTPS://u:p@ss@h/x and ftp://a:b@c", "clone HTTPS://h/x and ftp://c"),
        ("s3://key:secret@bucket/a@b", "s3://bucket/a@b"),
        ("https://u:a%2Fb@h:80/", "https://h:80/"),
        ("ssh://git@h/r.git", "ssh://git@h/r.git"),
        ("ssh://git:pw@h/r.git", "ssh://h/r.git"),
        ("abfss://box@acct/d", "abfss://box@acct/d"),
        ("git@h:o/r.git", "git@h:o/r.git"),
        ("docker://h/img@sha256:12", "docker://h/img@sha256:12"),
        ("https://h/a?mail=x@y", "https://h/a?mail=x@y"),
        ("bo@h https://h", "bo@h https://h"),
    ],
)
def test_what_a_url_carries_before_its_host(text: str, left: str) -> None:
    assert without_credentials(text) == left


@given(NASTY)
def test_nothing_unsafe_is_left(text: str) -> None:
    assert not [hex(ord(c)) for c in clean(text) if unsafe(c)]
    for line in (clean_line(text), one_line(text)):
        assert not [hex(ord(c)) for c in line if unsafe(c) or c in "\t\n"]


def test_every_unsafe_character_of_unicode_goes() -> None:
    # On lines of their own, so that no two make an escape sequence.
    everything = "\n".join(chr(code) for code in range(0x110000))
    assert len(clean(everything, limit=0x400000)) > 0x110000
    assert [hex(ord(c)) for c in set(clean(everything, limit=0x400000)) if unsafe(c)] == []


@given(NASTY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert clean_line(clean_line(text)) == clean_line(text)


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert clean_line(text) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]52;c;c2VjcmV0\x1b\\b", "ab"),
        ("a\x1b]8;;http://evil\x07link\x1b]8;;\x07b", "alinkb"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9cx", "x"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("a\x1b(0b", "ab"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("Größe 日本語 ✗ 😀", "Größe 日本語 ✗ 😀"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
        ("two\r\nlines", "two\nlines"),
        ("10%\r20%", "10%\n20%"),
        ("tab\tkept", "tab\tkept"),
        ("a\x00b\x08c", "abc"),
    ],
)
def test_known_attacks(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_sequence_that_never_ends_hides_only_its_line() -> None:
    assert clean("a\x1b]0;title\nthe real message") == "a\nthe real message"
    assert clean("a\x1b[\nb") == "a\nb"


def test_one_line_is_the_first_that_says_something() -> None:
    assert one_line("\n  \n\tKilled: out of memory\nmore") == "Killed: out of memory"
    assert one_line("a\u2028b") == "a"
    assert one_line("\x1b[0m\n") == ""
    assert clean_line("a\r\nb\tc\rd") == "a b c d"


def test_long_text_is_cut_and_says_so() -> None:
    assert clean("x" * 70_000) == "x" * 65_536 + "..."
    assert clean_line("x" * 5_000) == "x" * 4_096 + "..."
    assert clean("é" * 20, limit=10) == "é" * 10 + "..."


@pytest.mark.parametrize(
    "hostile",
    [
        "\x9d" * 65_000 + "\x1bX",
        "\x1b]" * 32_000,
        "\x1b[" + "0" * 65_000,
        "\x9b0" * 32_000,
        "\x1bP" + "\x9d" * 65_000,
        ("\x9b" + "0" * 100) * 640,
        "\x1b[" + " " * 65_000,
    ],
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    # Quadratic, it took over a minute; the bound is for a machine that is busy elsewhere.
    started = time.process_time()
    clean(hostile)
    assert time.process_time() - started < 5


@settings(max_examples=30)
@given(st.binary(max_size=400))
def test_any_bytes_read_as_latin_or_utf_8_are_safe(raw: bytes) -> None:
    for text in (
        raw.decode("latin-1"),
        raw.decode("utf-8", "replace"),
        raw.decode("utf-8", "surrogateescape"),
    ):
        assert not [c for c in clean(text) if unsafe(c)]
