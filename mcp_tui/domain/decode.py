"""JSON from outside to typed structs whose strings are safe to show.

Three ways, tried in this order, so that the usual answer costs no more than its parsing:

1. The bytes can hold nothing unsafe: decoded straight into the type.
2. They may hold something unsafe: decoded, then every string of the struct is cleaned.
3. They do not fit (a null, a field of another type, bytes that are not UTF-8, a lone surrogate):
   parsed leniently, cleaned, and what still does not fit is left out, so that one odd field of
   one object never hides the others. Of an object that is odd beyond that, or nested too deeply
   for a parser, a page keeps who it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import FieldInfo

from mcp_tui.domain.jsonparts import elements, members
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


class UnfitError(DecodeError):
    """It may be JSON, but too odd or too deep to be made what was asked for."""


def suspicious(data: bytes) -> bool:
    """Whether JSON bytes may hold a character that must not reach a terminal.

    Never false when there is one; sometimes true when there is none, which costs only time.
    Raw control characters need no look: no JSON parser lets them pass.
    """
    return (
        _odd_at(data, 0) is not None
        or b"\x7f" in data
        or (not data.isascii() and _UNSAFE_UTF8.search(data.translate(None, _ASCII)) is not None)
    )


def _odd_at(data: bytes, start: int) -> int | None:
    """Where an escape is that may stand for something unsafe; None for nowhere."""
    # Looking for one byte costs a twentieth of the expression, and most data has none.
    at = data.find(b"\\", start)
    found = _odd_escape(data, at) if at >= 0 else None
    return None if found is None else found.start()


def decode(type_: type[T], data: bytes | msgspec.Raw) -> T:
    """Decode JSON into ``type_``; every string in the result is sanitised.

    Strings of several lines stay so: what shows one in a row uses ``one_line`` or ``clean_line``.
    A field that is null or of another type than promised is left at its default.

    Args:
        type_: A msgspec struct, or a container of them. Structs are changed in place while they
            are fresh, so frozen ones are fine.
        data: JSON as a server sent it.

    Raises:
        DecodeError: The bytes are no JSON, are nested too deeply for a parser, or are something
            else altogether, such as a list where an object was asked for.
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

    def by_line(piece: bytes) -> Iterator[Any]:
        for odd, lines in groupby(piece.split(b"\n"), suspicious):
            found = parse(b"\n".join(lines))
            yield from map(scrub, found) if odd else found

    def piecewise(piece: bytes) -> Iterator[Any]:
        """Only the lines with an odd escape are cleaned: those between them are parsed as one."""
        if b"\x7f" in piece or not piece.isascii():
            yield from by_line(piece)
            return
        view, start = memoryview(piece), 0
        while (found := _odd_at(piece, start)) is not None:
            begin = max(start, piece.rfind(b"\n", start, found) + 1)
            end = piece.find(b"\n", begin) + 1 or len(piece)
            yield from parse(view[start:begin])
            yield from map(scrub, parse(view[begin:end]))
            start = end
        yield from parse(view[start:])

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


_fields = msgspec.structs.astuple
_set = msgspec.structs.force_setattr


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
        # All at once: to ask for one by its name takes as long as to look whether it is clean.
        for at, old in enumerate(_fields(value)):
            if old.__class__ is str:
                if old.isascii() and old.isprintable():
                    continue
                _set(value, value.__struct_fields__[at], clean(old))
            # A struct may say of itself that it is false, and hold texts all the same.
            elif old is not True and (old or isinstance(old, msgspec.Struct)):
                new = scrub(old)
                if new is not old:
                    _set(value, value.__struct_fields__[at], new)
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
        listed = _listed(type_)
        if listed is None:
            return _fit(type_, _loose(raw))
        return _lenient_page(type_, listed, raw)
    except RecursionError:
        raise UnfitError("the answer is nested too deeply") from None
    except ValueError as error:
        raise DecodeError(f"the answer is not valid JSON ({one_line(str(error))})") from None


def _lenient_page(type_: Any, listed: FieldInfo, raw: bytes) -> Any:
    """Item by item, so that one that does not fit loses its own fields, and costs its own time."""
    name = listed.encode_name
    item_type = listed.type.__args__[0]
    try:
        rest, found = _frame_and_items(name, raw)
    except RecursionError:
        rest, found = _deep_frame_and_items(name, raw)
    page = _fit(type_, {**rest, name: []})
    one = decoder(item_type)
    items, unread = [], []
    for item in found:
        try:
            items.append(one(item) if isinstance(item, bytes) else _fit(item_type, item))
        except UnfitError:
            if "unread" not in page.__struct_fields__:
                raise
            unread.append(_fit(item_type, {"metadata": _identity(item)}))
    msgspec.structs.force_setattr(page, listed.name, listed.type.__origin__(items))
    if unread:
        msgspec.structs.force_setattr(page, "unread", unread)
    return page


def _frame_and_items(name: str, raw: bytes) -> tuple[dict[str, Any], list[Any]]:
    """A page without its items, and those: as JSON, or parsed if it does not parse strictly."""
    try:
        frame = _frame(raw)
        found = _items(frame.pop(name, b"null")) or ()
    except (msgspec.MsgspecError, ValueError):
        rest = _loose(raw)
        if not isinstance(rest, dict):
            raise DecodeError("not the list asked for") from None
        loose = rest.pop(name, [])
        loose = loose if isinstance(loose, list) else []
        return rest, [item for item in loose if isinstance(item, dict)]
    listed = [item for item in map(bytes, found) if item[:1] == b"{"]
    return _loose(msgspec.json.encode(frame)), listed


def _deep_frame_and_items(name: str, raw: bytes) -> tuple[dict[str, Any], list[Any]]:
    """As :func:`_frame_and_items`, for a page whose items no parser comes to the bottom of.

    Nothing has looked into it yet, so what is not just as it should be spoils the page.
    """
    frame = members(raw)
    found = elements(frame.pop(name, b"[]"))
    return _loose(msgspec.json.encode({key: msgspec.Raw(frame[key]) for key in frame})), found


_IDENTITY: Final = ("uid", "namespace", "name", "resourceVersion")


def _identity(item: dict[str, Any] | bytes) -> dict[str, str]:
    """Who a Kubernetes object is of which nothing else can be read."""
    if isinstance(item, dict):
        meta = item.get("metadata")
        found = meta if isinstance(meta, dict) else {}
        return {key: found[key] for key in _IDENTITY if key in found}
    raw = members(item).get("metadata", b"")
    fields = members(raw) if raw[:1] == b"{" else {}
    return {key: _loose(fields[key]) for key in _IDENTITY if fields.get(key, b"")[:1] == b'"'}


def _loose(raw: bytes) -> Any:
    """Parse what strict JSON does not allow: bad UTF-8, raw controls, lone surrogates."""
    return _plain(json.loads(raw.decode("utf-8", "replace"), strict=False), MAX_DEPTH)


def _plain(value: Any, depth: int) -> Any:
    """Clean a parsed JSON value; drop what is nested deeper, and nulls.

    Absent and null mean the same to Kubernetes.
    """
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value if _stays(item, depth)]
    if isinstance(value, dict):
        return {
            clean(key): _plain(item, depth - 1)
            for key, item in value.items()
            if _stays(item, depth)
        }
    return value


def _stays(item: Any, depth: int) -> bool:
    return item is not None and (depth > 1 or not isinstance(item, dict | list))


@cache
def _listed(type_: Any) -> FieldInfo | None:
    """The field of a page that holds its items, the first list that it has; None for what is none.

    What is a page says so by a class variable ``is_page``.
    """
    if not getattr(getattr(type_, "__origin__", type_), "is_page", False):
        return None
    fields = msgspec.structs.fields(type_)
    return next(f for f in fields if getattr(f.type, "__origin__", None) in (list, tuple))


def _fit(type_: Any, value: Any) -> Any:
    """Convert to ``type_``, leaving out what does not fit."""
    for _ in range(_MAX_PRUNED):
        try:
            return msgspec.convert(value, type_, strict=False)
        except msgspec.ValidationError as error:
            found = _LEFT_OUT.search(str(error))
            if not found or not _prune(value, found.group(1)):
                raise UnfitError(f"not the object asked for: {one_line(str(error))}") from None
    raise UnfitError("not the object asked for: too many fields of other types")


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
