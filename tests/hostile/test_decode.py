"""Whatever a server writes into whatever field: no text of the decoded object can do harm."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcp_tui
from mcp_tui.domain.decode import DecodeError, decode, decoder
from mcp_tui.domain.kube_wire import ObjectList, WatchChange, decode_watch, decode_watch_block
from mcp_tui.domain.text import clean, clean_line, one_line
from tests.hostile.fill import Poison, fill
from tests.hostile.texts import ATTACKS, BARE, LONG, hostile, octets, unsafe
from tests.soak import times

_PACKAGES = ("domain", "sources", "actions", "store")


def _structs() -> list[type[msgspec.Struct]]:
    """Every struct of the product that can be decoded: it may be from outside."""
    for package in _PACKAGES:
        root = importlib.import_module(f"mcp_tui.{package}")
        for module in pkgutil.walk_packages(root.__path__, f"mcp_tui.{package}."):
            importlib.import_module(module.name)

    def below(of: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
        for each in of.__subclasses__():
            yield each
            yield from below(each)

    found = []
    for struct in below(msgspec.Struct):
        if struct.__module__.split(".")[:2][-1] not in _PACKAGES:
            continue
        if not struct.__module__.startswith(mcp_tui.__name__):
            continue
        if getattr(struct, "__parameters__", ()):
            continue  # Of something: tried with each of the others.
        try:
            msgspec.json.Decoder(struct)
        except TypeError:
            continue  # It holds what no JSON is: it is made by us alone.
        found.append(struct)
    return sorted(set(found), key=lambda struct: (struct.__module__, struct.__qualname__))


STRUCTS = _structs()


def texts(value: Any) -> Iterator[str]:
    """Every text in a decoded value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, msgspec.Raw):
        return  # Decoded by whoever looks into it.
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from texts(getattr(value, name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from texts(item)


def assert_safe(value: Any) -> None:
    for text in texts(value):
        assert not unsafe(text, keep="\n\t"), repr(text)[:200]
        assert len(text) <= 65_536 + 3


WAYS = st.sampled_from(["escaped", "bare", "bytes"])
"""JSON as Python writes it, as Go does, and as nobody should: with bytes that are no text."""


def _poison(strings: list[str], how: str) -> Poison:
    return Poison([f"{t[:1]}{BARE}{t[1:]}" for t in strings] if how == "bytes" else strings)


def _bytes(value: Any, how: str) -> bytes:
    text = json.dumps(value, ensure_ascii=how == "escaped")
    # Half characters as they are: no JSON, and taken all the same.
    return octets(text) if how == "bytes" else text.encode("utf-8", "surrogatepass")


def test_the_structs_are_found() -> None:
    names = {struct.__qualname__ for struct in STRUCTS}
    assert {"Job", "Pod", "Event", "Workload", "Run", "Status", "Experiment", "Entry"} <= names
    assert len(STRUCTS) > 80


@pytest.mark.soak
@settings(max_examples=times(25, 1_000))
@given(
    strings=st.lists(hostile, min_size=1, max_size=12),
    how=WAYS,
    at=st.integers(0, 10_000),
)
def test_no_text_of_any_object_is_harmful(strings: list[str], how: str, at: int) -> None:
    # Not all of them each time: their number grows with the product.
    for struct in STRUCTS[at % 5 :: 5]:
        data = _bytes(fill(struct, _poison(strings, how)), how)
        try:
            assert_safe(decode(struct, data))
        except DecodeError as error:
            assert_safe([error.what, error.hint])


@pytest.mark.soak
@settings(max_examples=times(25, 1_000))
@given(
    strings=st.lists(hostile, min_size=1, max_size=12),
    how=WAYS,
    kind=st.sampled_from(["Job", "Pod", "Event", "Node", "Workload", "JobSet", "Namespace"]),
)
def test_no_text_of_a_list_or_a_watch_is_harmful(strings: list[str], how: str, kind: str) -> None:
    struct = next(each for each in STRUCTS if each.__qualname__ == kind)
    made = [fill(struct, _poison(strings[n:] or strings, how)) for n in range(3)]
    page = decode(ObjectList[struct], _bytes({"items": made, "metadata": {}}, how))  # type: ignore[valid-type]  # chosen as it runs
    assert len(page.items) == 3
    assert_safe(page)
    lines = [_bytes({"type": "ADDED", "object": one}, how) for one in made]
    block = decode_watch_block(struct, [b"\n".join(lines)])
    for change in block or ():
        assert_safe(change)
    for line in lines:
        assert_safe(decode_watch(struct, line)[1])
        assert_safe(decoder(WatchChange[struct])(line))  # type: ignore[valid-type]  # as above


def test_bytes_that_are_no_text_hide_nothing_else() -> None:
    """They are marked where they stand; what is around them, and the object, is read."""
    job = next(each for each in STRUCTS if each.__qualname__ == "Job")
    said = {"metadata": {"name": f"a{BARE}b", "uid": "u"}, "spec": {"parallelism": 7}}
    for found in (decode(job, _bytes(said, "bytes")), decode_watch(job, _bytes(
        {"type": "ADDED", "object": said}, "bytes"))[1]):  # fmt: skip
        meta = found.metadata
        assert (meta.name[0], meta.name[-1], meta.uid) == ("a", "b", "u")
        assert "\ufffd" in meta.name and found.spec.parallelism == 7
        assert_safe(found)


@pytest.mark.soak
@settings(max_examples=times(300, 50_000))
@given(text=hostile, other=hostile)
def test_cleaned_is_clean_and_stays_so(text: str, other: str) -> None:
    for raw in (text, text + other, f"{text} {other}"):
        assert not unsafe(clean(raw), keep="\n\t")
        assert not unsafe(clean_line(raw))
        assert not unsafe(one_line(raw))
        assert clean(clean(raw)) == clean(raw)
        assert clean_line(clean_line(raw)) == clean_line(raw)


@pytest.mark.soak
@pytest.mark.parametrize("attack", ATTACKS)
def test_much_of_an_attack_is_cleaned_as_a_little_is(attack: str) -> None:
    text = (attack or "x") * (times(LONG // 20, LONG) // max(1, len(attack)))
    assert not unsafe(clean(text, limit=LONG * 2), keep="\n\t")
    assert not unsafe(clean_line(text, limit=LONG * 2))
    assert len(clean_line(text)) <= 4_096 + 3
