"""Label and field selectors, as the API server parses them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp_tui.demo.plane.model import Kind
from mcp_tui.demo.plane.status import bad_request
from mcp_tui.demo.plane.store import Entry
from mcp_tui.demo.plane.validation import label_key_faults, label_value_faults

_TOKEN = re.compile(r"\s*(==|!=|[=,()!<>]|[^\s=,()!<>]+)")


@dataclass(frozen=True)
class Requirement:
    """One term of a label selector: the key, an operator, its values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy it; an absent key satisfies != and notin, as upstream."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return _compares(value, self.operator, self.values[0])


def _compares(value: str | None, operator: str, bound: str) -> bool:
    try:
        left, right = int(value or ""), int(bound)
    except ValueError:
        return False
    return left > right if operator == ">" else left < right


class _Parser:
    """A cursor over the tokens of a label selector. Raises StatusError 400."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:  # pragma: no cover - the pattern takes every character
                raise self.fault("a selector")
            self.tokens.append(match.group(1))
            position = match.end()
        self.at = 0

    def fault(self, expected: str) -> Exception:
        found = self.tokens[self.at] if self.at < len(self.tokens) else ""
        return bad_request(f"unable to parse requirement: found '{found}', expected: {expected}")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def identifier(self, expected: str) -> str:
        word = self.peek()
        if not word or word in "=,()!<>" or word in ("==", "!="):
            raise self.fault(expected)
        return self.take()

    def values(self) -> tuple[str, ...]:
        if self.take() != "(":
            self.at -= 1
            raise self.fault("'('")
        found: list[str] = []
        while True:
            if self.peek() in (",", ")"):
                found.append("")
            else:
                found.append(self.identifier("identifier"))
            word = self.take()
            if word == ")":
                return tuple(found)
            if word != ",":
                self.at -= 1
                raise self.fault("',' or ')'")

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.take()
            return Requirement(self.identifier("identifier"), "!")
        key = self.identifier("!, identifier, or ','")
        match self.peek():
            case "" | ",":
                return Requirement(key, "exists")
            case "=" | "==":
                self.take()
                return Requirement(key, "in", (self._optional(),))
            case "!=":
                self.take()
                return Requirement(key, "notin", (self._optional(),))
            case "in" | "notin":
                return Requirement(key, self.take(), self.values())
            case ">" | "<":
                operator = self.take()
                bound = self.identifier("identifier")
                if not re.fullmatch(r"-?\d+", bound):
                    raise bad_request(
                        "unable to parse requirement: values[0]: Invalid value: "
                        f"\"{bound}\": for 'Gt', 'Lt' operators, the value must be an integer"
                    )
                return Requirement(key, operator, (bound,))
            case _:
                raise self.fault("in, notin, =, ==, !=, gt, lt")

    def _optional(self) -> str:
        return "" if self.peek() in ("", ",") else self.identifier("identifier")


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The requirements of a label selector, all of which must hold. Raises StatusError 400."""
    if not text.strip():
        return ()
    parser = _Parser(text)
    found: list[Requirement] = []
    while True:
        requirement = parser.requirement()
        faults = label_key_faults(requirement.key)
        for value in requirement.values:
            faults = faults or label_value_faults(value)
        if faults:
            shown = requirement.key if label_key_faults(requirement.key) else requirement.values
            raise bad_request(f'unable to parse requirement: Invalid value: "{shown}": {faults[0]}')
        found.append(requirement)
        match parser.take():
            case "":
                return tuple(found)
            case ",":
                continue
            case _:
                parser.at -= 1
                raise parser.fault("',' or 'end of string'")


def parse_fields(kind: Kind, text: str) -> tuple[tuple[str, bool, str], ...]:
    """Terms (path, whether equal, value) of a field selector. Raises StatusError 400."""
    found: list[tuple[str, bool, str]] = []
    for term in re.split(r"(?<!\\),", text):
        if not term:
            continue
        match = re.match(r"(.*?)(!=|==|=)(.*)", term, re.DOTALL)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        path, operator, value = match.groups()
        if path not in kind.fields and path not in ("metadata.name", "metadata.namespace"):
            raise bad_request(_unsupported(kind, path))
        if path == "metadata.namespace" and not kind.namespaced:
            raise bad_request(_unsupported(kind, path))
        value = re.sub(r"\\([\\,=])", r"\1", value)
        found.append((path, operator != "!=", value))
    return tuple(found)


def _unsupported(kind: Kind, path: str) -> str:
    if kind.plural in ("pods", "events", "secrets", "nodes", "namespaces"):
        return f"field label not supported: {path}"
    if kind.plural in ("jobs", "services"):
        return f'field label "{path}" not supported for {kind.kind}'
    return (
        f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        if kind.fixed
        else f"field label not supported: {path}"
    )


Selector = Callable[[Entry], bool]


def selector(kind: Kind, labels: str, fields: str) -> Selector | None:
    """One predicate for both selectors; None when everything matches. Raises StatusError 400."""
    wanted = parse_labels(labels)
    terms = parse_fields(kind, fields)
    if not wanted and not terms:
        return None

    def matches(entry: Entry) -> bool:
        for path, equal, value in terms:
            if (entry.field(path) == value) is not equal:
                return False
        return all(requirement.matches(entry.labels) for requirement in wanted)

    return matches
