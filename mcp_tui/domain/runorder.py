"""The order of runs as MLflow's server gives them, and several searches made one in that order.

MLflow's filters have no OR: ``a OR b`` is two searches, whose pages are merged here. The server
puts runs that lack the value last, NaN before them, and breaks ties by the newest start and then by
the run's id. Texts may be ordered otherwise by a server whose database has a language: the merged
order is off then, and nothing is lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence, Set
from functools import total_ordering
from typing import Any, Final

import msgspec

from mcp_tui.domain.run import Run

NEWEST_FIRST: Final = ("attributes.start_time DESC",)

_CLAUSE: Final = re.compile(
    r"""\s*(?:(?P<kind>[A-Za-z]+)\.)?(?P<key>`[^`]*`|"[^"]*"|[^\s`"]+)\s*(?P<way>asc|desc)?\s*""",
    re.IGNORECASE,
)
_ALIASES: Final = {"created": "start_time", "run name": "run_name", "user": "user_id"}

Key = Callable[[Run], tuple[Any, ...]]


@total_ordering
class _Reversed:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and self.text == other.text

    def __lt__(self, other: _Reversed) -> bool:
        return other.text < self.text

    __hash__ = None  # type: ignore[assignment] # it is compared, and never a key


def sort_key(order_by: Sequence[str]) -> Key:
    """A key that sorts runs as the server does.

    Args:
        order_by: MLflow's clauses, such as ``metrics.f1 DESC``. One that is not understood is
            left out: the server says what is wrong with it.
    """
    parsed = [found for found in map(_parsed, order_by) if found]
    started = any(read.__name__ == "start_time" for read, _ in parsed)

    def key(run: Run) -> tuple[Any, ...]:
        parts: list[Any] = []
        for read, descending in parsed:
            parts += _ranked(read(run), descending)
        if not started:
            parts += _ranked(run.info.start_time or None, True)
        return (*parts, run.run_id)

    return key


def _parsed(clause: str) -> tuple[Callable[[Run], Any], bool] | None:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return None
    kind = (match["kind"] or "attribute").lower()
    name = match["key"].strip('`"')
    descending = (match["way"] or "").lower() == "desc"

    def metric(run: Run) -> Any:
        found = run.metrics.get(name)
        return None if found is None else found.number

    def param(run: Run) -> Any:
        return run.params.get(name)

    def tag(run: Run) -> Any:
        return run.tags.get(name)

    def attribute(run: Run) -> Any:
        # Zero is what a time has that was never set.
        return getattr(run.info, _ALIASES.get(name.lower(), name), None) or None

    if kind in {"metric", "metrics"}:
        return metric, descending
    if kind in {"param", "params", "parameter", "parameters"}:
        return param, descending
    if kind in {"tag", "tags"}:
        return tag, descending
    if kind in {"attr", "attribute", "attributes", "run"}:
        if _ALIASES.get(name.lower(), name) == "start_time":
            attribute.__name__ = "start_time"
        return attribute, descending
    return None


def _ranked(value: Any, descending: bool) -> tuple[int, Any]:
    """What is missing comes last and NaN before it, whichever way the order goes."""
    if value is None:
        return 2, 0
    if isinstance(value, str):
        return 0, _Reversed(value) if descending else value
    if math.isnan(value):
        return 1, 0
    return 0, -value if descending else value


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of one search and was not given yet.

    Attributes:
        runs: In the server's order.
        more: Whether the search has further pages.
    """

    runs: tuple[Run, ...] = ()
    more: bool = False


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a merge.

    Attributes:
        ready: Runs whose place is certain, each once.
        parts: What is kept for the next step.
        wants: Which searches have to be asked for a page before the next step.
    """

    ready: tuple[Run, ...] = ()
    parts: tuple[Part, ...] = ()
    wants: tuple[int, ...] = ()


def merged(parts: Sequence[Part], order_by: Sequence[str], given: Set[str] = frozenset()) -> Merged:
    """Merge the pages of several searches as far as their order is certain.

    Args:
        parts: One for each search.
        order_by: As the searches were asked.
        given: Ids of runs that were given before: a run that fits two searches is given once, and
            so is one that moved to a later page.
    """
    key = sort_key(order_by)
    seen = set(given)
    ready: list[Run] = []
    heads = [0] * len(parts)
    # A key is made once for each run, and for a single search not at all.
    places = [key(part.runs[0]) if part.runs and len(parts) > 1 else () for part in parts]
    # Until a search with further pages has nothing left: what it gives next may come first.
    while not any(
        part.more and at >= len(part.runs) for part, at in zip(parts, heads, strict=True)
    ):
        open_ = [n for n, part in enumerate(parts) if heads[n] < len(part.runs)]
        if not open_:
            break
        n = min(open_, key=places.__getitem__)
        run = parts[n].runs[heads[n]]
        heads[n] += 1
        if len(parts) > 1 and heads[n] < len(parts[n].runs):
            places[n] = key(parts[n].runs[heads[n]])
        if run.run_id not in seen:
            seen.add(run.run_id)
            ready.append(run)
    left = tuple(
        Part(runs=part.runs[at:], more=part.more) for part, at in zip(parts, heads, strict=True)
    )
    wants = tuple(n for n, part in enumerate(left) if part.more and not part.runs)
    return Merged(ready=tuple(ready), parts=left, wants=wants)
