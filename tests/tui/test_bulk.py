"""A paste is one event, with brackets or without, and never a flood of keys."""

from __future__ import annotations

import os
import random

import pytest
from textual import events

from mcp_tui.tui.bulk import MANY, MOST, BulkParser, LaterLines


def read(*chunks: str) -> list[object]:
    """What comes of chunks that are read one after another."""
    parser = BulkParser()
    found: list[object] = []
    for chunk in chunks:
        for event in parser.feed(chunk):
            if isinstance(event, events.Paste):
                found.append(event.text)
            elif isinstance(event, events.Key):
                found.append((event.key,))
            else:
                found.append(type(event).__name__)
    return found


def test_keys_stay_keys() -> None:
    assert read("j", "\x1b[A", "dev/a") == [
        ("j",),
        ("up",),
        *((k,) for k in ("d", "e", "v")),
        ("slash",),
        ("a",),
    ]
    word = "prod/" + "a" * 63
    assert len(read(word)) == len(word), "a word that is sent at once is still typed"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_a_bracketed_paste_is_whole_however_it_is_cut(size: int) -> None:
    data = "x\x1b[200~one\ntwo three\x1b[201~y"
    found = read(*(data[n : n + size] for n in range(0, len(data), size)))
    assert found == [("x",), "one\ntwo three", ("y",)]


def test_what_is_pasted_has_line_ends_and_no_sequences_of_its_own() -> None:
    assert read("\x1b[200~a\r\nb\x1b[20", " c\rd\x1b[2", "01~") == ["a\nb[20 c\nd"]
    assert read("\x1b[200~a\x1b[201~b\x1b[200~c\x1b[201~") == ["a", ("b",), "c"]


def test_much_without_brackets_is_a_paste() -> None:
    assert read("x" * MANY + "\r" + "q\ry") == ["x" * MANY + "\nq\ny"]
    assert read("x" * MANY, "\rq", "\x1b[A") == ["x" * MANY, "\nq", ("up",)], "its end is its own"
    assert read("x" * (MANY - 1)) == [("x",)] * (MANY - 1)


def test_what_comes_in_pieces_tells_its_first_line_from_the_rest() -> None:
    parser = BulkParser()
    pieces = ("x" * MANY, "y\r" * MANY, "z" * MANY, "q")
    pasted = [event for piece in pieces for event in parser.feed(piece)]
    assert [type(event) for event in pasted] == [events.Paste, events.Paste, LaterLines, LaterLines]
    assert {event.handler_name for event in pasted} == {"on_paste"}
    parser._bulk_at -= 1.0
    (again,) = parser.feed("x" * MANY)
    assert type(again) is events.Paste, "a later paste has a first line of its own"


def test_a_key_of_its_own_ends_what_belongs_to_a_paste() -> None:
    parser = BulkParser()
    assert len(list(parser.feed("x\r" * MANY))) == 1
    events_of_keys = [*parser.feed("\x1b[B"), *parser.feed("?")]
    assert [getattr(event, "key", None) for event in events_of_keys] == ["down", "question_mark"]


def test_an_escape_that_stands_alone_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told, keyboard = os.pipe()
    monkeypatch.setattr(BulkParser, "terminal", told)
    try:
        (event,) = BulkParser().feed("\x1b")
        assert getattr(event, "key", "") == "escape"
        os.write(keyboard, b"[A")
        parser = BulkParser()
        assert list(parser.feed("\x1b")) == []
        (event,) = parser.feed("[A")
        assert getattr(event, "key", "") == "up"
    finally:
        os.close(told)
        os.close(keyboard)


def test_bulk_of_named_keys_and_of_the_mouse_is_none() -> None:
    assert read("\x1b[B" * 400) == [("down",)] * 400
    moves = "".join(f"\x1b[<35;{n % 80 + 1};10M" for n in range(100))
    assert read(moves) == ["MouseMove"] * 100


def test_rubbish_is_one_event_and_has_no_control_characters() -> None:
    rng = random.Random(7)
    data = "".join(chr(rng.randrange(256)) for _ in range(4096)).replace("\x1b[200~", "")
    found = read(data)
    assert len(found) == 1 and isinstance(found[0], str)
    assert not any(ord(c) < 32 and c not in "\t\n" for c in found[0])


def test_a_paste_without_an_end_takes_no_memory_without_end() -> None:
    parser = BulkParser()
    assert list(parser.feed("\x1b[200~")) == []
    for _ in range(300):
        assert list(parser.feed("x" * 10_000)) == []
    [paste] = parser.feed("\x1b[201~")
    assert isinstance(paste, events.Paste) and len(paste.text) == MOST
    assert [type(e) for e in parser.feed("j")] == [events.Key]
