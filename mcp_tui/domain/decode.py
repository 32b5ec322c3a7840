"""JSON from outside to typed structs whose strings are safe to show.

Three ways, tried in this order, so that the usual answer costs no more than its parsing:

1. The bytes can hold nothing unsafe: decoded straight into the type.
2. They may hold something unsafe: decoded, then every string of the struct is cleaned.
3. They do not fit (a null, a field of another type, bytes that are not UTF-8, a lone surrogate):
   parsed leniently, cleaned, and what still does not fit is left out, so that one odd field of
   one object never hides the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final, TypeVar, cast

import msgspec

from mcp_tui.domain.text import clean, one_line
from mcp_tui.errors import UnreachableError

T = TypeVar("T")

Lines = Sequence[bytes | memoryview]
"""Whole lines, in pieces of one or many: bytes, or a view of a part of some bytes."""

MAX_DEPTH: Final = 64
"""Nesting that the lenient way keeps; Kubernetes objects, schemas apart, have about 15."""

_MAX_PRUNED: Final = 64
"""Fields of one object that may be left out before it is given up."""

_ASCII: Final = bytes(range(128))
# Escapes that stand for something other than a quote, a slash, a line end, a tab, or <, > and &,
# which Go's encoder escapes in every annotation that holds markup or a shell line.
_odd_escape: Final = re.compile(rb"\\(?:[bfr]|u(?!00(?:3[ceCE]|26)))").search
# What text.py calls unsafe, as UTF-8; looked for only in the bytes that are not ASCII, which stay
# decodable one by one when the ASCII between them is taken out, since UTF-8 marks its lead bytes.
_UNSAFE_UTF8: Final = re.compile(
    rb"\xc2[\x80-\x9f\xad]|\xcd\x8f|\xd8\x9c|\xe1(?:\x85[\x9f\xa0]|\x9e[\xb4\xb5]|\xa0[\x8b-\x8f])"
    rb"|\xe2(?:\x80[\x8b-\x8f\xa8-\xae]|\x81[\xa0-\xaf])|\xe3\x85\xa4"
    rb"|\xef(?:\xb8[\x80-\x8f]|\xbb\xbf|\xbe\xa0|\xbf[\xb0-\xbb])|\xed[\xa0-\xbf]|\xf3\xa0"
    rb"|\xf0(?:\x9b\xb2[\xa0-\xa3]|\x9d\x85[\xb3-\xba])"
)
_LEFT_OUT: Final = re.compile(r"at `(?:key in )?\$([^`]*)`")


class DecodeError(UnreachableError):
    """A server's answer is not the JSON that its API promises; nothing of it can be used."""


def suspicious(data: bytes) -> bool:
    """Whether JSON bytes may hold a character that must not reach a terminal.

    Never false when there is one; sometimes true when there is none, which costs only time.
    Raw control characters need no look: no JSON parser lets them pass.
    """
    return (
        # Looking for one byte costs a twentieth of the expression, and most data has none.
        (b"\\" in data and _odd_escape(data) is not None)
        or b"\x7f" in data
        or (not data.isascii() and _UNSAFE_UTF8.search(data.translate(None, _ASCII)) is not None)
    )


def decode(type_: type[T], data: bytes | msgspec.Raw) -> T:
    """Decode JSON into ``type_``; every string in the result is sanitised.

    Strings of several lines stay so: what shows one in a row uses ``one_line`` or ``clean_line``.
    A field that is null or of another type than promised is left at its default.

    Args:
        type_: A msgspec struct, or a container of them. Structs are changed in place while they
            are fresh, so frozen ones are fine.
        data: JSON as a server sent it.

    Raises:
        DecodeError: The bytes are no JSON, are nested deeper than :data:`MAX_DEPTH`, or are
            something else altogether, such as a list where an object was asked for.
    """
    return cast(T, decoder(cast(Any, type_))(data if isinstance(data, bytes) else bytes(data)))


@cache
def decoder(type_: Any) -> Callable[[bytes], Any]:
    """:func:`decode` for one type, kept: what decodes many events holds it."""
    parse = msgspec.json.Decoder(type_).decode

    def decode_bytes(raw: bytes) -> Any:
        try:
            value = parse(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _lenient(type_, raw)
        return scrub(value) if suspicious(raw) else value

    return decode_bytes


@cache
def lines_decoder(type_: Any) -> Callable[[Lines], list[Any] | None]:
    """For whole lines of JSON that all are as promised: their values, or None when one is not.

    Then each line is for :func:`decoder`.
    """
    parse = msgspec.json.Decoder(type_).decode_lines

    def piecewise(piece: bytes) -> Iterator[Any]:
        for odd, lines in groupby(piece.split(b"\n"), suspicious):
            found = parse(b"\n".join(lines))
            yield from map(scrub, found) if odd else found

    def decode_lines(pieces: Lines) -> list[Any] | None:
        values: list[Any] = []
        try:
            for piece in pieces:
                # Of a view all that it is a part of is looked over: that costs less than a copy.
                whole = piece if isinstance(piece, bytes) else cast(bytes, piece.obj)
                values += piecewise(bytes(piece)) if suspicious(whole) else parse(piece)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return values

    return decode_lines


def scrub(value: Any) -> Any:
    """Clean every string inside a fresh decoded value, dict keys included; returns the value."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is str:
        return value if value.isascii() and value.isprintable() else clean(value)
    if kind is int or kind is float:
        return value
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            old = getattr(value, name)
            if old.__class__ is str:
                if old.isascii() and old.isprintable():
                    continue
                msgspec.structs.force_setattr(value, name, clean(old))
            # A struct may say of itself that it is false, and hold texts all the same.
            elif old is not True and (old or isinstance(old, msgspec.Struct)):
                new = scrub(old)
                if new is not old:
                    msgspec.structs.force_setattr(value, name, new)
        return value
    if kind is dict:
        return {scrub(key): scrub(item) for key, item in value.items()}
    if kind is tuple:
        return tuple([scrub(item) for item in value])
    if kind is list:
        return [scrub(item) for item in value]
    return value


_frame = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw] | None).decode


def _lenient(type_: Any, raw: bytes) -> Any:
    try:
        item_type = _item_type(type_)
        if item_type is None:
            return _fit(type_, _loose(raw))
        return _lenient_page(type_, item_type, raw)
    except RecursionError:
        raise DecodeError("the answer is nested too deeply") from None
    except ValueError as error:
        raise DecodeError(f"the answer is not valid JSON ({one_line(str(error))})") from None


def _lenient_page(type_: Any, item_type: Any, raw: bytes) -> Any:
    """Item by item, so that one that does not fit loses its own fields, and costs its own time."""
    try:
        frame = _frame(raw)
        listed = _items(frame.pop("items", b"null")) or ()
    except (msgspec.MsgspecError, ValueError):
        # Not even the frame parses strictly.
        rest = _loose(raw)
        if not isinstance(rest, dict):
            raise DecodeError("not the list asked for") from None
        found = rest.pop("items", [])
        items = [_fit(item_type, item) for item in found if isinstance(item, dict)]
    else:
        rest = _loose(msgspec.json.encode(frame))
        one = decoder(item_type)
        items = [one(bytes(item)) for item in listed if bytes(item)[:1] == b"{"]
    page = _fit(type_, {**rest, "items": []})
    msgspec.structs.force_setattr(page, "items", items)
    return page


def _loose(raw: bytes) -> Any:
    """Parse what strict JSON does not allow: bad UTF-8, raw controls, lone surrogates."""
    return _plain(json.loads(raw.decode("utf-8", "replace"), strict=False), MAX_DEPTH)


def _plain(value: Any, depth: int) -> Any:
    """Clean a parsed JSON value and drop nulls: absent and null mean the same to Kubernetes."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict | list):
        if not depth:
            raise RecursionError
        if isinstance(value, list):
            return [_plain(item, depth - 1) for item in value if item is not None]
        return {
            clean(key): _plain(item, depth - 1) for key, item in value.items() if item is not None
        }
    return value


def _item_type(type_: Any) -> Any:
    """The type of a list envelope's items; None for anything else."""
    origin = getattr(type_, "__origin__", None)
    return type_.__args__[0] if getattr(origin, "is_page", False) else None


def _fit(type_: Any, value: Any) -> Any:
    """Convert to ``type_``, leaving out what does not fit."""
    for _ in range(_MAX_PRUNED):
        try:
            return msgspec.convert(value, type_, strict=False)
        except msgspec.ValidationError as error:
            found = _LEFT_OUT.search(str(error))
            if not found or not _prune(value, found.group(1)):
                raise DecodeError(f"not the object asked for: {one_line(str(error))}") from None
    raise DecodeError("not the object asked for: too many fields of other types")


def _prune(value: Any, path: str) -> bool:
    """Take out the field at msgspec's ``.a.b``; for ``.a.b[...]``, the whole of ``b``.

    Keys may hold dots themselves, as annotations do: the longest that fits is meant.
    """
    while isinstance(value, dict):
        fits = [k for k in value if path[1:].startswith(k) and path[len(k) + 1 :][:1] in ".[" and k]
        if not fits:
            return False
        key = max(fits, key=len)
        path = path[len(key) + 1 :]
        if not path.startswith("."):
            del value[key]
            return True
        value = value[key]
    return False
