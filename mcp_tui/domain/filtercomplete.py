"""What can come next in a filter of runs, from what the runs at hand have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from mcp_tui.domain.run import Run
from mcp_tui.domain.runfilter import (
    ATTRIBUTES,
    ENTITIES,
    NUMERIC_ATTRIBUTES,
    NUMERIC_OPERATORS,
    STATUSES,
    TEXT_OPERATORS,
    Token,
    quoted_name,
    quoted_value,
    tokens,
)
from mcp_tui.errors import UsageError

MAX_ITEMS: Final = 50
_VALUES: Final = 20
_KINDS: Final = ("metrics.", "params.", "tags.", "attributes.", "datasets.")
_DATASET: Final = ("name", "digest", "context")


class FilterNames(msgspec.Struct, frozen=True, kw_only=True):
    """What filters can name, sorted.

    Attributes:
        metrics: Metrics.
        params: Parameters.
        tags: Tags.
        values: Values that parameters and tags have, by ``params.lr`` or ``tags.team``.
    """

    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = {}


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What can stand from ``start`` to ``end`` instead of what stands there."""

    start: int
    end: int
    items: tuple[str, ...] = ()


def names_of(runs: Iterable[Run]) -> FilterNames:
    """What the runs at hand have."""
    metrics: set[str] = set()
    values: dict[str, dict[str, None]] = {}
    found: dict[str, set[str]] = {"params": set(), "tags": set()}
    for run in runs:
        metrics |= {metric.key for metric in run.data.metrics}
        for kind, pairs in (("params", run.data.params), ("tags", run.data.tags)):
            for pair in pairs:
                found[kind].add(pair.key)
                seen = values.setdefault(f"{kind}.{pair.key}", {})
                if len(seen) < _VALUES and len(pair.value) <= 60:
                    seen[pair.value] = None
    return FilterNames(
        metrics=tuple(sorted(metrics)),
        params=tuple(sorted(found["params"])),
        tags=tuple(sorted(found["tags"])),
        values={key: tuple(sorted(seen)) for key, seen in values.items()},
    )


def complete(text: str, cursor: int, names: FilterNames) -> Completion:
    """What can stand at the cursor.

    Args:
        text: The filter.
        cursor: Where the cursor is, from 0 to the text's length.
        names: What there is.
    """
    before = list(tokens(text[:cursor]))
    typed = ""
    if before and before[-1].kind in ("word", "name", "broken", "dot", "operator", "text"):
        typed = before[-1].text
    clause = _clause(before)
    if not clause or (len(clause) == 1 and typed and clause[0].kind == "word"):
        return _fitting(typed, cursor, (*_KINDS, *ATTRIBUTES))
    name, rest = _name(clause)
    kind = ENTITIES.get(name[0].text, "") if len(name) > 1 else "attribute"
    if not rest and (typed == "." or (typed and len(name) > 1)):
        start = name[2].at if len(name) > 2 else cursor
        return _fitting(text[start:cursor], cursor, _named(kind, names), quote=True)
    key = "".join(token.text for token in name[2:]).strip('`"') if len(name) > 1 else name[0].text
    numeric = kind == "metric" or key in NUMERIC_ATTRIBUTES
    if not rest or (len(rest) == 1 and typed and rest[0].kind != "operator"):
        return _fitting(typed, cursor, NUMERIC_OPERATORS if numeric else TEXT_OPERATORS)
    if len(rest) == 1 or (len(rest) == 2 and typed and rest[1].kind == "broken"):
        if numeric:
            return Completion(start=cursor, end=cursor)
        typed = typed if len(rest) == 2 else ""
        return _fitting(typed.strip("'\""), cursor, _values(kind, key, names), typed=typed)
    return _fitting(typed if before[-1].kind == "word" else "", cursor, ("AND", "OR"))


def _clause(before: list[Token]) -> list[Token]:
    """The pieces of the condition that the cursor is in."""
    clause: list[Token] = []
    for token in before:
        joins = token.kind == "word" and token.text.upper() in ("AND", "OR")
        if (joins and not (clause and clause[-1].kind == "dot")) or token.kind == "open":
            clause = []
        elif token.kind != "space":
            clause.append(token)
    return clause


def _name(clause: list[Token]) -> tuple[list[Token], list[Token]]:
    """The name that a condition begins with, and the rest of it."""
    n = 1
    while n < len(clause) and (clause[n].kind == "dot") == (n % 2 == 1):
        if n % 2 == 0 and clause[n].kind not in ("word", "name", "broken", "text"):
            break
        n += 1
    return clause[:n], clause[n:]


def _named(kind: str, names: FilterNames) -> tuple[str, ...]:
    listed = {"metric": names.metrics, "param": names.params, "tag": names.tags}
    return listed.get(kind) or {"attribute": ATTRIBUTES, "dataset": _DATASET}.get(kind, ())


def _values(kind: str, key: str, names: FilterNames) -> tuple[str, ...]:
    listed: tuple[str, ...]
    if kind == "attribute":
        listed = STATUSES if key == "status" else ()
    else:
        listed = names.values.get(f"{kind}s.{key}", ())
    return tuple(filter(None, map(_quoted, listed)))


def _quoted(value: str) -> str:
    try:
        return quoted_value(value)
    except UsageError:
        return ""


def _fitting(
    start: str, cursor: int, items: Iterable[str], *, quote: bool = False, typed: str | None = None
) -> Completion:
    """Those that begin with what was typed, quotes and case aside; then those that hold it."""
    plain = start.strip("`\"'").lower() if start != "." else ""
    listed = list(dict.fromkeys(items))
    fits = [item for item in listed if item.strip("'\"").lower().startswith(plain)]
    fits += [item for item in listed if plain in item.lower() and item not in fits]
    shown: list[str] = []
    for item in fits[:MAX_ITEMS]:
        try:
            shown.append(quoted_name(item) if quote else item)
        except UsageError:
            continue
    length = len(start if typed is None else typed) if start != "." else 0
    return Completion(start=cursor - length, end=cursor, items=tuple(shown))
