"""Gates as lines that a person can read: their grammar, and the files they stand in.

::

    f1_macro >= 0.90
    latency_p99_ms <= 40
    "my metric/with signs" < 3
    recall of "cat" >= 0.85              one class
    f1_macro >= champion - 0.01          a number is absolute: of 0.90, 0.89
    f1_macro drops by at most 0.01       the same
    f1_macro drops by at most 1%         a percentage is of the champion's: of 0.90, 0.891
    latency_p99_ms <= champion + 10%     the same as champion * 1.10
    latency_p99_ms rises by at most 5
    f1_macro is better than champion     by more than noise (see mcp_tui.domain.noise)
    no class recall drops by more than 0.02
    no class f1 is below 0.70

Only beside a champion is a percentage a share of anything: ``accuracy >= 90%`` is 0.9.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from mcp_tui.domain.evalnames import BY_KEY
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

MAX_GATES: Final = 200
MAX_RULE: Final = 500
_EXAMPLE: Final = "f1_macro >= 0.90"
_POINTS: Final = ("pt", "pts", "pp", "point", "points")


class GateKind(StrEnum):
    """What kind of rule a gate is."""

    BOUND = "bound"
    CHAMPION = "champion"
    BETTER = "better"
    NO_CLASS_DROPS = "no class drops"
    NO_CLASS_BELOW = "no class below"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, understood.

    Attributes:
        rule: As it was written.
        metric: A figure's key, a metric's name, ``recall:LABEL``, or of class rules the part
            (``recall``).
        op: ``>=``, ``<=``, ``>`` or ``<``.
        bound: The number; of ``CHAMPION`` what is added to the champion's.
        factor: Of ``CHAMPION`` what the champion's is multiplied by.
        share: What is added as a share of the champion's, of which the sign does not count.
        why: Why the gate is there, from the file.
    """

    rule: str
    test: GateKind
    metric: str
    op: str = ""
    bound: float = 0.0
    factor: float = 1.0
    share: float = 0.0
    why: str = ""

    @property
    def needs_champion(self) -> bool:
        """Whether it can only be told beside a champion."""
        return self.test in (GateKind.CHAMPION, GateKind.BETTER, GateKind.NO_CLASS_DROPS)

    def offset(self, champion: float) -> float:
        """How far from a champion's figure the bound is."""
        return self.bound + self.share * abs(champion)


class GateError(UsageError):
    """A rule makes no sense; ``column`` is where, counted from 1."""

    def __init__(self, what: str, *, column: int, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.column = column


# --- the grammar

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<op>[<>]=?|=[<>=]?|≥|≤)|(?P<sign>[*+%-](?![A-Za-z0-9_.]))"""
    r"""|(?P<word>[^\s"'<>=≥≤*]+)|(?P<odd>\S))"""
)
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?%?")
_OPS: Final = {">=": ">=", "≥": ">=", "<=": "<=", "≤": "<=", ">": ">", "<": "<"}
PARTS: Final = ("precision", "recall", "f1")


class _Rule:
    """A rule on its way to being understood: its words, each with its column."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[tuple[str, str, int]] = []
        for match in _TOKEN.finditer(text):
            kind = match.lastgroup
            if kind is not None:
                self.words.append((kind, match[kind], match.start(kind) + 1))
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        """The next word, in small letters; empty at the end, and for a quoted one."""
        at = self.at + ahead
        if at >= len(self.words) or self.words[at][0] == "quoted":
            return ""
        return self.words[at][1].lower()

    @property
    def column(self) -> int:
        """Where the next word is."""
        if self.at < len(self.words):
            return self.words[self.at][2]
        return len(self.text.rstrip()) + 1

    def fail(self, what: str, hint: str = "") -> GateError:
        """An error at the next word."""
        return GateError(what, column=self.column, hint=hint or f"write for example {_EXAMPLE}")

    def shown(self) -> str:
        """The next word as a message shows it."""
        if self.at >= len(self.words):
            return "nothing follows"
        return f"found {clean_line(self.words[self.at][1], limit=60)!r}"

    def take(self, *words: str) -> bool:
        """Go over these words, if they come next."""
        if all(self.peek(n) == word for n, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def want(self, *words: str) -> None:
        """Go over these words."""
        for word in words:
            if not self.take(word):
                raise self.fail(f"expected {word!r}, {self.shown()}")

    def name(self, what: str) -> str:
        """A name, with quotes or without."""
        if self.at >= len(self.words) or self.words[self.at][0] not in ("quoted", "word"):
            raise self.fail(f"expected {what}, {self.shown()}")
        kind, text, _ = self.words[self.at]
        text = text[1:-1] if kind == "quoted" else text
        if not text.strip():
            raise self.fail(f"expected {what}, found an empty one")
        if kind == "word" and _NUMBER.fullmatch(text):
            raise self.fail(f"expected {what}, found the number {text}")
        self.at += 1
        return text

    def number(self) -> float:
        """A number; 5 % is 0.05."""
        if self.at >= len(self.words) or not _NUMBER.fullmatch(self.words[self.at][1]):
            raise self.fail(f"expected a number, {self.shown()}")
        text = self.words[self.at][1]
        percent = text.endswith("%")
        value = float(text.rstrip("%"))
        self.at += 1
        if not percent:
            percent = self.take("%")
        if not math.isfinite(value):
            self.at -= 1
            raise self.fail("the number is too large")
        return value / 100 if percent else value

    def amount(self) -> float:
        """A number that is not negative."""
        at = self.at
        value = self.number()
        if value < 0:
            self.at = at
            raise self.fail("an amount is not negative")
        return value

    def offset(self, sign: float = 1.0, *, signed: bool = False) -> tuple[float, float]:
        """How far from a champion's: a gate's ``bound``, and its ``share`` where it has a %."""
        at = self.at
        value = sign * (self.number() if signed else self.amount())
        percent = any(text.endswith("%") for _, text, _ in self.words[at : self.at])
        return (0.0, value) if percent else (value, 0.0)

    def end(self) -> None:
        """Nothing may follow."""
        if self.at < len(self.words):
            hint = "points are written as a number: one is 0.01" if self.peek() in _POINTS else ""
            raise self.fail(f"expected the end of the gate, {self.shown()}", hint)


def parse(text: str, *, why: str = "") -> Gate:
    """Understand one rule.

    Raises:
        GateError: It makes no sense; says at which column, and what to write instead.
    """
    if len(text) > MAX_RULE:
        raise GateError(f"longer than {MAX_RULE} characters", column=MAX_RULE + 1)
    rule = _Rule(text)
    if not rule.words:
        raise rule.fail("the gate is empty")
    shown = clean_line(text).strip()
    gate = _class_gate(rule, shown) if rule.take("no", "class") else _figure_gate(rule, shown)
    rule.end()
    return msgspec.structs.replace(gate, why=clean_line(why, limit=1_000))


def _class_gate(rule: _Rule, shown: str) -> Gate:
    part = rule.peek()
    if part not in PARTS:
        near = difflib.get_close_matches(part, PARTS, n=1)
        hint = f"did you mean {near[0]}?" if near else "write precision, recall or f1"
        raise rule.fail(f"expected precision, recall or f1, {rule.shown()}", hint)
    rule.at += 1
    if rule.take("drops"):
        rule.want("by", "more", "than")
        bound, share = rule.offset()
        drops = GateKind.NO_CLASS_DROPS
        return Gate(rule=shown, test=drops, metric=part, bound=bound, share=share)
    rule.take("is")
    if rule.take("below"):
        return Gate(rule=shown, test=GateKind.NO_CLASS_BELOW, metric=part, bound=rule.number())
    raise rule.fail(
        f"expected 'drops by more than' or 'is below', {rule.shown()}",
        f"write for example no class {part} drops by more than 0.02",
    )


def _figure_gate(rule: _Rule, shown: str) -> Gate:
    metric = rule.name("a metric")
    if rule.peek() == "of" and metric.lower() in PARTS:
        rule.at += 1
        rule.take("class")
        metric = f"{metric.lower()}:{rule.name('a class')}"
    elif metric.lower() in BY_KEY:
        metric = metric.lower()
    if rule.take("is", "better", "than", "champion"):
        return Gate(rule=shown, test=GateKind.BETTER, metric=metric)
    for word, op, sign in (("drops", ">=", -1.0), ("rises", "<=", 1.0)):
        if rule.take(word):
            rule.want("by", "at", "most")
            return _beside(shown, metric, op, rule.offset(sign))
    compares = _OPS.get(rule.peek())
    if compares is None:
        hint = {"=>": "did you mean >=?", "=<": "did you mean <=?"}.get(rule.peek(), "")
        if rule.peek() in ("=", "=="):
            hint = "two figures are never just equal: write >= or <="
        raise rule.fail(f"expected >=, <=, > or <, {rule.shown()}", hint)
    rule.at += 1
    if not rule.take("champion"):
        return Gate(
            rule=shown, test=GateKind.BOUND, metric=metric, op=compares, bound=rule.number()
        )
    factor, offset = 1.0, (0.0, 0.0)
    if rule.take("*"):
        factor = rule.amount()
    elif rule.take("+"):
        offset = rule.offset()
    elif rule.take("-"):
        offset = rule.offset(-1.0)
    elif rule.peek()[:1] in ("+", "-") and _NUMBER.fullmatch(rule.peek()):
        offset = rule.offset(signed=True)
    return _beside(shown, metric, compares, offset, factor)


def _beside(
    shown: str, metric: str, op: str, offset: tuple[float, float], factor: float = 1.0
) -> Gate:
    bound, share = offset
    return Gate(
        rule=shown,
        test=GateKind.CHAMPION,
        metric=metric,
        op=op,
        bound=bound,
        factor=factor,
        share=share,
    )


# --- files


def parse_file(text: str, path: str) -> tuple[Gate, ...]:
    """The gates of a TOML file: ``gates = ["f1_macro >= 0.90", {rule = "...", why = "..."}]``.

    Raises:
        UsageError: It is no such file, or a rule makes no sense; names line and column.
    """
    shown = clean_line(path, limit=300)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not valid TOML: {clean_line(str(error))}", where=shown) from None
    except (RecursionError, ValueError):
        raise UsageError("not valid TOML: nested too deep, or a number too long",
                         where=shown) from None  # fmt: skip
    unknown = [key for key in tree if key != "gates"]
    if unknown or "gates" not in tree:
        what = f"unknown key {clean_line(unknown[0], limit=80)!r}" if unknown else "no gates in it"
        raise UsageError(what, where=shown, hint=f'write gates = ["{_EXAMPLE}"]')
    return read_tree(tree["gates"], text, shown)


def read_tree(tree: Any, text: str, path: str) -> tuple[Gate, ...]:
    """Gates from what stands behind ``gates =`` in a TOML file; none is an error too.

    Args:
        tree: A list of texts, and of tables with ``rule`` and ``why``.
        text: The file, to say where something is.
        path: The file's name.

    Raises:
        UsageError: As of :func:`parse_file`.
    """
    if not isinstance(tree, list) or not tree or len(tree) > MAX_GATES:
        raise UsageError(
            f"gates is a list of 1 to {MAX_GATES} rules", where=path,
            hint=f'write gates = ["{_EXAMPLE}"]',
        )  # fmt: skip
    found, start = [], 0
    for number, entry in enumerate(tree, 1):
        rule, why = _entry(entry, number, path)
        line, column, start = _place(text, rule, start)
        try:
            found.append(parse(rule, why=why))
        except GateError as error:
            where = f"{path}:{line}:{column + error.column - 1}" if line else (
                f"{path}: gate {number}, column {error.column}"
            )  # fmt: skip
            raise GateError(error.what, column=error.column, where=where, hint=error.hint) from None
    return tuple(found)


def _entry(entry: Any, number: int, path: str) -> tuple[str, str]:
    if isinstance(entry, str):
        return entry, ""
    if isinstance(entry, Mapping) and set(entry) <= {"rule", "why"}:
        rule, why = entry.get("rule"), entry.get("why", "")
        if isinstance(rule, str) and isinstance(why, str):
            return rule, why
    raise UsageError(
        f"gate {number} is neither a text nor a table of rule and why", where=path,
        hint=f'write "{_EXAMPLE}" or {{rule = "{_EXAMPLE}", why = "..."}}',
    )  # fmt: skip


def _place(text: str, rule: str, start: int) -> tuple[int, int, int]:
    """Line and column of a rule in the file, and where to look for the next; 0 if not found.

    It is found where it is written as it reads, which a rule without TOML's escapes is.
    """
    at = -1
    for quote in ('"', "'"):
        seen = text.find(f"{quote}{rule}{quote}", start)
        if seen >= 0 and (at < 0 or seen < at):
            at = seen
    if at < 0 or not rule:
        return 0, 0, start
    at += 1
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), at + len(rule)
