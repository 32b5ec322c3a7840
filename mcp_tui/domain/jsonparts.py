"""The parts of JSON that is nested too deeply for a parser, which goes down into what it skips."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT: Final = rb'\{[^"\[\]{}]*+(?:%s[^"\[\]{}]*+)*+\}' % _STRING
# Up to the next bracket that stands in no string, nor opens or closes an object that holds none:
# most do not, and what is seen here is seen ten times as fast as bracket by bracket.
_bracket: Final = re.compile(
    rb'[^"\[\]{}]*+(?:(?:%s|%s)[^"\[\]{}]*+)*+([\[\]{}])' % (_STRING, _FLAT), re.DOTALL
).match
_key: Final = re.compile(rb"\s*+(%s)\s*+:\s*+" % _STRING, re.DOTALL).match
_scalar: Final = re.compile(rb'%s|[^\s,:\[\]{}"]++' % _STRING, re.DOTALL).match
_space: Final = re.compile(rb"\s*+").match
_CLOSED_BY: Final = {ord("{"): ord("}"), ord("["): ord("]")}


def members(raw: bytes) -> dict[str, bytes]:
    """The values of an object by their keys, each as it stands there.

    Of the values nothing is looked at but where they end.

    Raises:
        ValueError: It is no object, or it is cut off.
    """
    return dict(_parts(raw, b"{"))


def elements(raw: bytes) -> list[bytes]:
    """The elements of a list, as :func:`members`."""
    return [value for _, value in _parts(raw, b"[")]


def _parts(raw: bytes, opening: bytes) -> Iterator[tuple[str, bytes]]:
    """Each value, with its key in an object."""
    at = _skip(raw, 0)
    if raw[at : at + 1] != opening:
        raise ValueError("something else stands in its place")
    closing = bytes([_CLOSED_BY[opening[0]]])
    at = _skip(raw, at + 1)
    empty = raw[at : at + 1] == closing
    while not empty:
        key = ""
        if opening == b"{":
            key, at = _key_at(raw, at)
        end = _end(raw, at)
        yield key, raw[at:end]
        at = _skip(raw, end)
        if raw[at : at + 1] == closing:
            break
        if raw[at : at + 1] != b",":
            raise ValueError("a comma is missing")
        at = _skip(raw, at + 1)
    if _skip(raw, at + 1) != len(raw):
        raise ValueError("something stands behind it")


def _key_at(raw: bytes, at: int) -> tuple[str, int]:
    """A key, and where its value begins."""
    found = _key(raw, at)
    if found is None:
        raise ValueError("a key is missing")
    return json.loads(found[1].decode("utf-8", "replace"), strict=False), found.end()


def _skip(raw: bytes, at: int) -> int:
    found = _space(raw, at)
    return at if found is None else found.end()


def _end(raw: bytes, at: int) -> int:
    """Where a value ends."""
    if raw[at : at + 1] not in (b"{", b"["):
        scalar = _scalar(raw, at)
        if scalar is None:
            raise ValueError("a value is missing")
        return scalar.end()
    open_ = bytearray((_CLOSED_BY[raw[at]],))
    at += 1
    while open_:
        found = _bracket(raw, at)
        if found is None:
            raise ValueError("it is cut off")
        at = found.end()
        closed_by = _CLOSED_BY.get(raw[at - 1])
        if closed_by is not None:
            open_.append(closed_by)
        elif open_.pop() != raw[at - 1]:
            raise ValueError("a bracket is closed by another")
    return at
