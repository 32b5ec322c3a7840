"""Regular expressions that a user types, held to what a matcher that tries all ways can bear.

Python's matcher goes back and tries the next way whenever one fails: ``(a+)+$`` has a million ways
through twenty letters, and nothing can end it. So the ways through an expression are counted before
it is used. A repeat is safe where at every place only one way goes on: ``(foo|bar)+`` and
``[a-z]+-[0-9]+`` are, ``(a|ab?)+`` is not.
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

_LONGEST: Final = 400
_REACHES: Final = (65_536, 16_384, 8_192, 4_096, 2_048, 1_024, 512, 256)
_MOST: Final = 1 << 25  # steps in one line; the slowest take 50 ns
_FEW: Final = 64  # a repeat of more is as good as one without an end
_CATEGORY: Final = 8  # how many times longer \w takes than a letter
_CUT: Final = "\0"  # no cleaned text has it

# Sets of characters are bits: one for each of ASCII, one for each kind of all others, and one for
# the end of the line, which "$" takes for a character of its own.
_ASCII: Final = (1 << 128) - 1
_DIGIT, _WORD, _SPACE, _OTHER, _END = (1 << (128 + n) for n in range(5))
# What is outside of ASCII and yet a letter of it in the other case, such as the Kelvin sign.
_TWINS: Final = {letter: 1 << (133 + n) for n, letter in enumerate("iks")}
_LETTERS: Final = _WORD | sum(_TWINS.values())
_FOREIGN: Final = _DIGIT | _LETTERS | _SPACE | _OTHER
_ANY: Final = _ASCII | _FOREIGN
_UPPER: Final = ((1 << 26) - 1) << ord("A")
_LOWER: Final = _UPPER << 32
_NOTHING: Final = 0
_KINDS: Final = {
    "DIGIT": (r"\d", _DIGIT),
    "WORD": (r"\w", _DIGIT | _LETTERS),
    "SPACE": (r"\s", _SPACE),
}
_REPEATS: Final = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_AROUND: Final = ("ASSERT", "ASSERT_NOT")


class PatternError(UsageError):
    """An expression that is none, or that could take for ever.

    Attributes:
        at: The character of it that is wrong, from 0.
    """

    def __init__(self, what: str, *, at: int = 0) -> None:
        super().__init__(what)
        self.at = at


@dataclass(frozen=True, slots=True)
class Pattern:
    """What may be searched for.

    Attributes:
        regex: The expression itself, for texts that are no longer than a screen is wide.
        reach: How many characters of a line are searched: the fewer, the more ways there are.
    """

    regex: re.Pattern[str]
    reach: int

    def found(self, line: str) -> bool:
        """Whether a line has it within reach."""
        if len(line) > self.reach:
            # With a mark, since where it is cut is no end for "$".
            line = line[: self.reach] + _CUT
        return self.regex.search(line) is not None


def pattern(source: str, *, ignore_case: bool) -> Pattern:
    """An expression to search single lines with.

    Raises:
        PatternError: It does not compile, or has too many ways to match a line.
    """
    if len(source) > _LONGEST:
        raise PatternError(f"a regular expression has at most {_LONGEST} characters")
    try:
        regex = re.compile(source, re.IGNORECASE if ignore_case else 0)
        parsed = _parser().parse(source)
        return Pattern(regex, _reach(source, parsed))
    except re.error as error:
        raise PatternError(f"not a regular expression: {error.msg}", at=error.pos or 0) from None
    except (OverflowError, RecursionError):
        raise PatternError("not a regular expression: a count or its depth is too large") from None


def literal(text: str) -> Pattern:
    """A text as it stands, in either case, to search all of a line for."""
    return Pattern(re.compile(re.escape(text), re.IGNORECASE), sys.maxsize)


@cache
def _parser() -> Any:
    # The parser has no public name, and no other way tells what repeats what: a search of the
    # source for brackets is what "((a+))+" went past. It is the same from Python 3.11 on.
    return importlib.import_module("re._parser")


def _reach(source: str, parsed: Any) -> int:
    flags = parsed.state.flags
    anchored = bool(parsed.data) and _is_start(*parsed.data[0]) and not flags & re.MULTILINE
    for reach in _REACHES:
        weigher = _Weigher(source, reach // 2)
        weigher.check_flags(flags)
        _, steps = weigher.sequence(parsed, _NOTHING)
        if max(1, steps) * (1 if anchored else reach // 2) <= _MOST:
            return reach
    return _refuse(source, "has too many repeats after each other", "say it with fewer")


def _is_start(op: Any, value: Any) -> bool:
    return op.name == "AT" and value.name in ("AT_BEGINNING", "AT_BEGINNING_STRING")


def _refuse(source: str, what: str, advice: str) -> NoReturn:
    shown = clean_line(source, limit=80)
    raise PatternError(f"/{shown}/ {what}: it could take for ever; {advice}")


class _Weigher:
    """Counts the ways to match a part of an expression, from above.

    Every part has a pair: the ways that lead past it from one place, and the steps to try them all.
    A way that fails at the very next character counts as none, so a part is looked at with the set
    of what may follow it.

    Args:
        source: The whole expression, for messages.
        length: How often a repeat without an end goes on: half a line, on the average.
    """

    def __init__(self, source: str, length: int) -> None:
        self._source = source
        self._length = length

    def sequence(self, nodes: Any, follow: int) -> tuple[int, int]:
        """Parts after each other."""
        follows = [follow]
        for node in reversed(nodes.data):
            first, passes = _first(*node)
            follows.append(first | follows[-1] if passes else first)
        ways, steps = 1, 0
        for node, after in zip(nodes.data, reversed(follows[:-1]), strict=True):
            op, value = node
            more, cost = self._part(op, value, after)
            # Bounded, or the numbers themselves would take for ever.
            steps = min(steps + ways * cost, _MOST * 2)
            ways = min(ways * more, _MOST * 2)
        return ways, steps

    def _part(self, op: Any, value: Any, follow: int) -> tuple[int, int]:
        name = op.name
        if name in _REPEATS:
            low, high, body = value
            ways, steps = self._repeat(low, high, body, follow)
            return (1 if name == "POSSESSIVE_REPEAT" else ways), steps
        if name == "SUBPATTERN":
            self.check_flags(value[1])
            return self.sequence(value[-1], follow)
        if name == "BRANCH":
            return self._branch(value[1], follow)
        if name == "ATOMIC_GROUP":
            return 1, self.sequence(value, _ANY | _END)[1]
        if name in _AROUND:
            return 1, self.sequence(value[1], _ANY | _END)[1] + 1
        if name.startswith("GROUPREF"):
            _refuse(self._source, "refers back to a group", "say it without")
        if name == "IN":
            return 1, _CATEGORY if any(each.name == "CATEGORY" for each, _ in value) else 1
        return 1, 0 if name == "LITERAL" else 1

    def check_flags(self, flags: int) -> None:
        """Refuse the one that makes other sets of ``\\w`` and its kin."""
        if flags & re.ASCII:
            raise PatternError(
                f"/{clean_line(self._source, limit=80)}/ has the flag a; leave it out"
            )

    def _branch(self, branches: Any, follow: int) -> tuple[int, int]:
        weighed = [self.sequence(branch, follow) for branch in branches]
        steps = sum(steps for _, steps in weighed) + len(weighed)
        seen, one = 0, True
        for branch in branches:
            first, passes = _first_of(branch)
            first |= follow if passes else 0
            # Of those that may begin alike more than one may match.
            one = one and not first & seen
            seen |= first
        ways = [ways for ways, _ in weighed]
        return (max(ways) if one else sum(ways)), steps

    def _repeat(self, low: int, high: int, body: Any, follow: int) -> tuple[int, int]:
        if not high:
            return 1, 0
        first, passes = _first_of(body)
        apart = not first & follow and not passes
        if high == 1:
            ways, steps = self.sequence(body, follow)
            return (ways if low or apart else ways + 1), steps + 1
        if not body.getwidth()[0]:
            _refuse(self._source, "repeats what may be empty", "repeat what is inside")
        ways, steps = self.sequence(body, first | follow)
        steps = max(1, steps)
        if high <= _FEW and ways > 1:
            total = sum(min(ways**n, _MOST * 2) for n in range(high + 1))
            return total, total * steps
        if ways > 1:
            _refuse(self._source, "repeats what repeats", "say it with one repeat")
        most = min(high, self._length) if high <= _FEW else self._length
        # What ends the expression has matched when it has come that far.
        tried = max(1, min(low, most)) if follow == _NOTHING else most
        return (1 if low == high or apart else most - min(low, most) + 1), tried * steps


def _first_of(nodes: Any) -> tuple[int, bool]:
    """What a sequence may begin with, and whether it may let through what follows it."""
    found = 0
    for node in nodes.data:
        first, passes = _first(*node)
        found |= first
        if not passes:
            return found, False
    return found, True


def _first(op: Any, value: Any) -> tuple[int, bool]:
    name = op.name
    if name in _REPEATS:
        first, passes = _first_of(value[2])
        return first, passes or not value[0]
    if name == "SUBPATTERN":
        return _first_of(value[-1])
    if name == "ATOMIC_GROUP":
        return _first_of(value)
    if name == "BRANCH":
        firsts = [_first_of(branch) for branch in value[1]]
        found = 0
        for first, _ in firsts:
            found |= first
        return found, any(passes for _, passes in firsts)
    if name == "AT":
        is_end = value.name in ("AT_END", "AT_END_STRING")
        # What takes no character is no end of the expression, either: it may fail.
        return (_END, False) if is_end else (_ANY | _END, True)
    if name in _AROUND or name.startswith("GROUPREF"):
        return _ANY | _END, True
    return _set(name, value)[0], False


def _set(name: str, value: Any) -> tuple[int, int]:
    """The characters that one part takes: at most these, and at least those."""
    if name == "LITERAL":
        return _span(value, value)
    if name == "RANGE":
        return _span(*value)
    if name == "NOT_LITERAL":
        return _ANY & ~_span(value, value)[1], 0
    if name == "CATEGORY":
        return _category(value.name)
    if name == "IN":
        most = least = 0
        for op, inner in value:
            if op.name != "NEGATE":
                more, sure = _set(op.name, inner)
                most, least = most | more, least | sure
        negated = bool(value) and value[0][0].name == "NEGATE"
        return (_ANY & ~least, _ANY & ~most) if negated else (most, least)
    return _ANY, 0


def _span(low: int, high: int) -> tuple[int, int]:
    """From one character to another, in either case."""
    exact = sum(1 << n for n in range(low, min(high, 127) + 1))
    most = exact | (exact & _UPPER) << 32 | (exact & _LOWER) >> 32
    if high > 127:
        most |= _FOREIGN | sum(1 << ord(c) for letter in _TWINS for c in (letter, letter.upper()))
    for letter, twin in _TWINS.items():
        most |= twin if most >> ord(letter) & 1 else 0
    return most, exact


@cache
def _category(name: str) -> tuple[int, int]:
    negated = "_NOT_" in name
    kind, foreign = _KINDS[name.rpartition("_")[2]]
    signs = [chr(n) for n in range(128)]
    taken = foreign | sum(1 << ord(c) for c in signs if re.match(kind, c))
    taken = _ANY & ~taken if negated else taken
    return taken, taken
