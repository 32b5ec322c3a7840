"""JSON for a struct of ours with an attacker's text in each of its fields, found by its types.

A struct or a field that is new is in by itself: nothing here names one.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Final

import msgspec

_DEEPEST: Final = 12


class Poison:
    """Gives one hostile string after another, round and round."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._next = cycle(strings or [""])

    def __call__(self) -> str:
        return next(self._next)


def fill(type_: Any, poison: Poison, known: Any = None, *, depth: int = 0) -> Any:
    """A value that decodes to ``type_``, each text in it a hostile one.

    Args:
        type_: A struct, or what a field of one is.
        poison: Where the texts come from.
        known: What must be as it is, by its names on the wire: a mapping for a struct, a list for
            a sequence (then it is as long as that), anything else as it is.
    """
    if depth > _DEEPEST:
        return None
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if origin in (typing.Union, types.UnionType):
        return _of_union(args, poison, known, depth)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _struct(type_, poison, known or {}, depth)
    if origin is not None and isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return _struct(type_, poison, known or {}, depth)
    if origin in (dict, Mapping):
        extra = {poison(): fill(args[1], poison, depth=depth + 1) for _ in range(2)}
        given = {k: fill(args[1], poison, v, depth=depth + 1) for k, v in (known or {}).items()}
        return {**extra, **given}
    if origin in (tuple, list, Sequence):
        inner = args[0] if args else str
        each = known if known is not None else [None, None]
        return [fill(inner, poison, one, depth=depth + 1) for one in each]
    return _plain(type_, poison, known)


def _struct(type_: Any, poison: Poison, known: Mapping[str, Any], depth: int) -> Any:
    made: dict[str, Any] = {}
    for name, inner in _fields(type_):
        if name in known and known[name] is None:
            continue
        made[name] = fill(inner, poison, known.get(name), depth=depth + 1)
    config = type_.__struct_config__ if hasattr(type_, "__struct_config__") else None
    if config is not None and config.array_like:
        return list(made.values())
    # What no struct of ours declares is there too, and skipped.
    rest = {key: value for key, value in known.items() if key not in made and value is not None}
    return {**made, **rest}


@functools.cache
def _fields(type_: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of a struct by their names on the wire, and their types; slow to find out."""
    of = getattr(type_, "__origin__", type_)
    given = dict(zip(getattr(of, "__parameters__", ()), typing.get_args(type_), strict=False))
    hints = {name: given.get(hint, hint) for name, hint in typing.get_type_hints(of).items()}
    return tuple((f.encode_name, hints[f.name]) for f in msgspec.structs.fields(type_))


def _of_union(args: Sequence[Any], poison: Poison, known: Any, depth: int) -> Any:
    best = sorted(
        (arg for arg in args if arg is not type(None)),
        key=lambda arg: (arg is not str, arg in (int, float, bool)),
    )
    # A text where a number may stand, too.
    return fill(best[0], poison, known, depth=depth)


def _plain(type_: Any, poison: Poison, known: Any) -> Any:
    if known is not None:
        return known
    if type_ is str:
        return poison()
    if type_ in (int, float):
        return 3
    if type_ is bool:
        return False
    if type_ is msgspec.Raw or type_ is Any:
        return {poison(): [poison(), {poison(): poison()}]}
    if typing.get_origin(type_) is typing.Literal:
        return typing.get_args(type_)[0]
    return poison()
