"""Filter and sort rows: the grammar behind ``/`` and the order behind ``<`` and ``>``.

A filter is a list of terms that must all hold. A term is a plain word (substring, case-insensitive
unless it has a capital), ``/regex/``, or ``field=value`` (a column such as ``state``, or a label;
``value`` may end in ``*``; ``field!=value`` and ``!term`` negate). A term with spaces is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from mcp_tui.domain.pattern import PatternError, pattern
from mcp_tui.errors import UsageError


class Selectable(Protocol):
    """What a filter looks at."""

    @property
    def haystack(self) -> str:
        """Every text of the row that a user sees, in one line."""

    @property
    def lowered(self) -> str:
        """The same in lower case."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Named texts: columns and labels."""


Predicate = Callable[[Selectable], bool]
S = TypeVar("S")

_FIELD = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._/-]*)(!?=)(.*)$", re.DOTALL)
_TERM = re.compile(
    r"(?P<not>!*+)(?:/(?P<regex>(?:\\/|[^/])+)/(?=\s|$)|\"(?P<quoted>[^\"]*)\"|(?P<word>\S+))"
)
_LONGEST = 400


class Filter:
    """What a filter's text asks of a row.

    Attributes:
        words: Where it asks for nothing but words in any case: those, in lower case. Of a row they
            are all in :attr:`Selectable.lowered` then, and nothing else need be looked at.
    """

    __slots__ = ("_terms", "words")

    def __init__(self, terms: Sequence[Predicate], words: tuple[str, ...] | None) -> None:
        self._terms = tuple(terms)
        self.words = words

    def __call__(self, row: Selectable) -> bool:
        """Whether a row passes."""
        return all(term(row) for term in self._terms)


def parse_filter(text: str) -> Filter | None:
    """Turn a filter's text into a test of one row.

    Args:
        text: As typed; empty means no filter.

    Returns:
        The filter, or None when everything passes.

    Raises:
        UsageError: A regular expression that does not compile or could run for very long, with its
            position.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"a filter has at most {_LONGEST} characters", where="filter")
    terms: list[Predicate] = []
    words: list[str] | None = []
    for match in _TERM.finditer(text):
        term = _term(match)
        if term is None:
            continue
        negated = len(match["not"]) % 2
        if isinstance(term, str):
            words = None if negated or words is None else [*words, term]
            term = _contains(term)
        else:
            words = None
        terms.append(_negate(term) if negated else term)
    return Filter(terms, None if words is None else tuple(words)) if terms else None


def _contains(word: str) -> Predicate:
    return lambda row: word in row.lowered


def _term(match: re.Match[str]) -> Predicate | str | None:
    """A test, or a word that is looked for in any case."""
    if match["regex"] is not None:
        return _regex(match["regex"], match.start("regex"))
    word = match["quoted"] if match["quoted"] is not None else match["word"]
    if not word:
        return None
    field = _FIELD.match(word) if match["quoted"] is None else None
    if field is not None:
        return _field(*field.groups())
    if word == word.lower():
        return word
    return lambda row: word in row.haystack


def _regex(source: str, at: int) -> Predicate:
    try:
        wanted = pattern(source, ignore_case=source == source.lower())
    except PatternError as error:
        raise UsageError(error.what, where=f"filter, column {at + error.at + 1}") from None
    return lambda row: wanted.found(row.haystack)


def _field(name: str, operator: str, value: str) -> Predicate:
    wanted = value.lower()
    prefix = wanted[:-1] if wanted.endswith("*") else None

    def holds(row: Selectable) -> bool:
        found = row.fields.get(name)
        if found is None:
            return False
        found = found.lower()
        return found.startswith(prefix) if prefix is not None else found == wanted

    return _negate(holds) if operator == "!=" else holds


def _negate(term: Predicate) -> Predicate:
    return lambda row: not term(row)


def select(
    rows: Iterable[S],
    *,
    predicate: Callable[[S], bool] | None,
    key: Callable[[S], Any],
    reverse: bool = False,
) -> Sequence[S]:
    """The rows that pass, in order. ``key`` ends in something unique, so that order is total."""
    chosen = list(rows) if predicate is None else [row for row in rows if predicate(row)]
    chosen.sort(key=key, reverse=reverse)
    return chosen
