"""MLflow's filter language, as far as it can be judged before a server is asked.

The server knows comparisons joined by AND, and nothing else. Here OR and parentheses are allowed
too: the filter becomes several, each of which is asked for. What is certainly wrong, by the rules
that all servers since 2.0 share, is said with its place; what is not certain is left to the server,
whose words are the better ones then.

Grammar and comparators: https://mlflow.org/docs/latest/ml/search/search-runs/
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

MAX_QUERIES: Final = 8
"""Searches that one filter may become."""

MAX_DEPTH: Final = 20

ENTITIES: Final = {
    "metric": "metric", "metrics": "metric",
    "param": "param", "params": "param", "parameter": "param", "parameters": "param",
    "tag": "tag", "tags": "tag",
    "attr": "attribute", "attribute": "attribute", "attributes": "attribute", "run": "attribute",
    "dataset": "dataset", "datasets": "dataset",
}  # fmt: skip
NUMERIC_ATTRIBUTES: Final = frozenset({"start_time", "end_time", "created", "Created"})
ATTRIBUTES: Final = (
    "start_time", "end_time", "status", "run_name", "run_id", "user_id", "artifact_uri",
)  # fmt: skip
STATUSES: Final = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
NUMERIC_OPERATORS: Final = (">", ">=", "<", "<=", "=", "!=")
TEXT_OPERATORS: Final = ("=", "!=", "LIKE", "ILIKE")
_LISTS: Final = ("IN", "NOT IN")
_NULLS: Final = ("IS NULL", "IS NOT NULL")

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>'(?:''|\\'|[^'])*'|"(?:""|\\"|[^"])*")
    |(?P<name>`[^`]*`)
    |(?P<word>[^\W\d]\w*)
    |(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![^\W\d]))
    |(?P<operator>[=<>!~]+)
    |(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<dot>\.)
    |(?P<broken>['"`].*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


class Token(msgspec.Struct, frozen=True, gc=False):
    """A piece of a filter: its kind (a group of the lexer), its text and where it begins."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.at + len(self.text)


class FilterProblem(msgspec.Struct, frozen=True):
    """What is certainly wrong.

    Attributes:
        what: What, in a few words.
        at: Where it begins, from 0.
        hint: What to write.
    """

    what: str
    at: int
    hint: str = ""

    def error(self) -> UsageError:
        """As an error that says where: ``filter, column 12``."""
        return UsageError(self.what, where=f"filter, column {self.at + 1}", hint=self.hint)


def tokens(text: str) -> Iterator[Token]:
    """The pieces of a filter, spaces included: together they are the text."""
    for match in _TOKEN.finditer(text):
        yield Token(match.lastgroup or "other", match[0], match.start())


def parse(text: str) -> tuple[str, ...]:
    """The filters that a server is to be asked for; a run has to fit any of them.

    A filter without OR and parentheses is passed on as it is.

    Raises:
        UsageError: It is certainly wrong (:func:`check`), or would be too many searches.
    """
    problem = check(text)
    if problem:
        raise problem.error()
    pieces = [token for token in tokens(text) if token.kind != "space"]
    if not any(_is_or(pieces, n) or _groups(pieces, n) for n in range(len(pieces))):
        return (text.strip(),)
    found = _Reader(pieces).whole()
    if isinstance(found, FilterProblem):
        raise found.error()
    return tuple(
        dict.fromkeys(
            " AND ".join(text[clause[0].at : clause[-1].end] for clause in each) for each in found
        )
    )


def check(text: str, metrics: Collection[str] = ()) -> FilterProblem | None:
    """What is certainly wrong with a filter; None where it is right, or only the server knows.

    Args:
        text: The filter.
        metrics: Known metrics: a bare ``f1`` is told from an attribute then.
    """
    pieces = [token for token in tokens(text) if token.kind != "space"]
    if not pieces:
        return None
    broken = next((token for token in pieces if token.kind == "broken"), None)
    if broken and "\\" not in text:
        return FilterProblem(f"the {broken.text[0]} is not closed", broken.at)
    found = _Reader(pieces).whole()
    if isinstance(found, FilterProblem):
        return found
    seen: set[int] = set()
    for each in found:
        for clause in each:
            if clause[0].at not in seen:
                seen.add(clause[0].at)
                problem = _judged(clause, metrics)
                if problem:
                    return problem
    return None


def both(filter_: str, condition: str) -> str:
    """A filter with one more condition; either may be empty."""
    return " AND ".join(part for part in (filter_.strip(), condition.strip()) if part)


def quoted_name(name: str) -> str:
    """A metric's, parameter's or tag's name as it stands in a filter.

    Raises:
        UsageError: It holds both kinds of quotes, and no filter can name it.
    """
    if re.fullmatch(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*", name):
        return name
    for mark in '`"':
        if mark not in name:
            return f"{mark}{name}{mark}"
    raise UsageError(f"no filter can name {clean_line(name, limit=80)!r}")


def quoted_value(value: str) -> str:
    """A text as it stands in a filter.

    Raises:
        UsageError: It holds both kinds of quotes, or ends with a backslash.
    """
    for mark in "'\"":
        if mark not in value and not value.endswith("\\"):
            return f"{mark}{value}{mark}"
    raise UsageError(f"no filter can hold {clean_line(value, limit=80)!r}")


Clause = tuple[Token, ...]
Any_ = tuple[tuple[Clause, ...], ...]
"""Any of these, of which all: a disjunctive normal form."""


def _keyword(pieces: Sequence[Token], n: int) -> str:
    """The keyword at a place: a word that is no part of a name."""
    token = pieces[n]
    after_dot = n > 0 and pieces[n - 1].kind == "dot"
    before_dot = n + 1 < len(pieces) and pieces[n + 1].kind == "dot"
    return "" if token.kind != "word" or after_dot or before_dot else token.text.upper()


def _is_or(pieces: Sequence[Token], n: int) -> bool:
    return _keyword(pieces, n) == "OR"


def _groups(pieces: Sequence[Token], n: int) -> bool:
    """Whether this is a parenthesis around conditions, and not around a list."""
    return pieces[n].kind == "open" and (n == 0 or _keyword(pieces, n - 1) != "IN")


class _Reader:
    """Reads ``a AND (b OR c)`` into its normal form."""

    def __init__(self, pieces: Sequence[Token]) -> None:
        self._pieces = pieces
        self._n = 0

    def whole(self) -> Any_ | FilterProblem:
        found = self._any(0)
        if not isinstance(found, FilterProblem) and self._n < len(self._pieces):
            return FilterProblem("a ) without its (", self._pieces[self._n].at)
        return found

    def _next(self) -> str:
        return _keyword(self._pieces, self._n) if self._n < len(self._pieces) else ""

    def _any(self, depth: int) -> Any_ | FilterProblem:
        found: list[tuple[Clause, ...]] = []
        while True:
            each = self._all(depth)
            if isinstance(each, FilterProblem):
                return each
            found += each
            if len(found) > MAX_QUERIES:
                return self._too_many()
            if self._next() != "OR":
                return tuple(found)
            self._n += 1

    def _all(self, depth: int) -> Any_ | FilterProblem:
        found: Any_ = ((),)
        while True:
            each = self._one(depth)
            if isinstance(each, FilterProblem):
                return each
            found = tuple((*left, *right) for left in found for right in each)
            if len(found) > MAX_QUERIES:
                return self._too_many()
            if self._next() != "AND":
                return found
            self._n += 1

    def _one(self, depth: int) -> Any_ | FilterProblem:
        pieces, start = self._pieces, self._n
        if start < len(pieces) and pieces[start].kind == "open":
            if depth >= MAX_DEPTH:
                return FilterProblem("too many parentheses", pieces[start].at)
            self._n += 1
            inner = self._any(depth + 1)
            if isinstance(inner, FilterProblem):
                return inner
            if self._n >= len(pieces):
                return FilterProblem("the ( is not closed", pieces[start].at)
            self._n += 1
            return inner
        lists = 0
        while self._n < len(pieces):
            kind = pieces[self._n].kind
            if kind == "open":
                lists += 1
            elif kind == "close":
                if not lists:
                    break
                lists -= 1
            elif not lists and self._next() in ("AND", "OR"):
                break
            self._n += 1
        if self._n == start:
            at = pieces[start].at if start < len(pieces) else pieces[-1].end
            return FilterProblem("a condition is missing here", at, "such as metrics.f1 > 0.9")
        return ((tuple(pieces[start : self._n]),),)

    def _too_many(self) -> FilterProblem:
        at = self._pieces[min(self._n, len(self._pieces) - 1)].at
        return FilterProblem(f"this makes more than {MAX_QUERIES} searches", at, "use fewer OR")


def _judged(clause: Clause, metrics: Collection[str]) -> FilterProblem | None:
    """What is certainly wrong with one comparison."""
    first = clause[0]
    if _keyword(clause, 0) == "NOT":
        return FilterProblem("NOT cannot stand here", first.at, "use !=, or NOT IN for run_id")
    if first.kind in ("number", "operator") or (
        first.kind == "text" and len(clause) > 1 and clause[1].kind == "operator"
    ):
        return FilterProblem("a condition begins with a name", first.at, "such as metrics.f1 > 0.9")
    if first.kind != "word":
        return None
    parts = 1
    while (
        parts + 1 < len(clause)
        and clause[parts].kind == "dot"
        and clause[parts + 1].kind in ("word", "name", "text", "number", "other")
    ):
        parts += 2
    if parts < len(clause) and clause[parts].kind == "dot":
        return FilterProblem("a name ends with a dot", clause[parts].at)
    entity = "attribute"
    key = first.text
    if parts > 1:
        known = ENTITIES.get(first.text)
        if known is None:
            near = difflib.get_close_matches(first.text.lower(), ENTITIES, 1, 0.75)
            hint = f"did you mean {near[0]}?" if near else ""
            return (
                FilterProblem(f"{first.text} is no kind of name", first.at, hint) if near else None
            )
        entity = known
        key = "".join(token.text for token in clause[2:parts]).strip('`"')
    elif first.text in metrics and first.text not in ATTRIBUTES:
        return FilterProblem(f"{first.text} is no attribute", first.at, f"metrics.{first.text}?")
    return _compared(entity, key, clause, parts)


def _compared(entity: str, key: str, clause: Clause, n: int) -> FilterProblem | None:
    end = clause[-1].end
    if n >= len(clause):
        return FilterProblem("a comparison is missing here", end, "such as > 0.9 or = 'x'")
    if entity == "attribute" and key not in ATTRIBUTES and key not in NUMERIC_ATTRIBUTES:
        return None  # the server knows its attributes better
    token = clause[n]
    words = " ".join(_keyword(clause, i) or "." for i in range(n, min(n + 3, len(clause))))
    operator = next((w for w in (*_NULLS, *_LISTS) if f"{words} ".startswith(f"{w} ")), "")
    if not operator:
        if token.kind == "other" and token.text in "-/:%@#&" and clause[0].end <= token.at:
            return FilterProblem(
                f"a name with {token.text} stands in backticks", token.at, "metrics.`val-loss`"
            )
        if token.kind == "operator" or _keyword(clause, n) in ("LIKE", "ILIKE"):
            operator = token.text.upper()
        else:
            return None
    if len(clause) > n + 2 and operator not in (*_LISTS, *_NULLS):
        return None  # more follows than a value: servers read that in their own way
    numeric = entity == "metric" or (entity == "attribute" and key in NUMERIC_ATTRIBUTES)
    what = {"metric": "a metric", "param": "a parameter", "tag": "a tag"}.get(entity, key)
    allowed = NUMERIC_OPERATORS if numeric else (*TEXT_OPERATORS, *_LISTS, *_NULLS)
    if operator not in allowed:
        hint = f"one of {' '.join(NUMERIC_OPERATORS if numeric else TEXT_OPERATORS)}"
        return FilterProblem(f"{what} cannot be compared by {operator}", token.at, hint)
    if operator in _NULLS or operator in _LISTS:
        return None
    if n + 1 >= len(clause):
        hint = "a number" if numeric else "a text in quotes"
        return FilterProblem("a value is missing here", end, hint)
    value = clause[n + 1]
    if numeric and value.kind in ("text", "word", "name"):
        return FilterProblem(f"{what} is compared with a number", value.at, "without quotes")
    if not numeric and value.kind in ("number", "word") and entity != "dataset":
        shown = clean_line(value.text, limit=40)
        return FilterProblem(f"{what} is compared with a text", value.at, f"'{shown}', in quotes")
    return None
