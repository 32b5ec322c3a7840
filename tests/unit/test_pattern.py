"""Regular expressions that are typed: which are refused, and that the others come to an end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain.pattern import PatternError, literal, pattern

ACCEPTED = [
    "foo.*bar",
    "(foo|bar)+",
    "(foo|bar)+x",
    "(ml|ml-ops)+$",
    r"\d+",
    r"^a-\d+-b$",
    "(?:ml|ops)-.*",
    "[a-z]+-[0-9]+",
    ".*=x",
    "error.*node.*gpu",
    r"error.*took \d+s",
    "^foo.*bar.*baz$",
    r"\d+-\d+-\d+ \d+:\d+:\d+",
    r"(\d{1,3}\.){3}\d{1,3}",
    r"(\d+\.)+\d+",
    r"\S+\s+\S+",
    "[^,]*,[^,]*,[^,]*",
    "error|fail(ed)?|oom",
    r"\bstep \d+\b",
    r"https?://\S+",
    '"[^"]*": true',
    "(?!foo)bar",
    "(?i)é+",
    "a++b",
    "",
]
REPEATED = [
    "((a+))+$",
    "(a|a)*$",
    "(a+)+$",
    "(a|aa)+",
    "(a|ab?)+",
    "(x+x+)+y",
    r"(\d+\.?)+x",
    "(?:a|b|ab)*c",
    "(?:a{1,99})+b",
    "(?:a|a){65,}b",
    "(?=(a+)+$)x",
    "(?!(a+)+$)x",
    "(?>(a|a)+)x",
    "(?i:(s+|\u017f)+)$",
    "(?i:(?:kk|\u212aa)+)$",
    r"(?:s|[^\x00-\x7f])+$",
    "((?:ab)+|(?:abab)+)+c",
]
EMPTY = ["(a*)*", "(.*)*", "(a|b*)*", "(a?b?)+", "(a?){30}", "(?:^){1000}", r"(?:\b|a)+", "(|a)+"]
MANY = [
    ".*.*.*.*=x",
    r"\w+\w+\w+x",
    "a.*b.*c.*d",
    "(?:a|a){20}x",
    "(?:a{1,9}){1,9}b",
    "a*" * 30 + "b",
    "(?:a|a)" * 40 + "b",
    r"(.*?,){11}P",
]
BACK = [r"(a)\1", r"(.*)\1", "(a)?(?(1)b|c)", r"(?P<n>a+)(?P=n)"]


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("source", ACCEPTED)
def test_what_people_type_is_accepted(source: str, ignore_case: bool) -> None:
    assert pattern(source, ignore_case=ignore_case).reach >= 256


@pytest.mark.parametrize(
    ("source", "said"),
    [
        *((source, "repeats what repeats") for source in REPEATED),
        *((source, "repeats what may be empty") for source in EMPTY),
        *((source, "too many repeats after each other") for source in MANY),
        *((source, "refers back to a group") for source in BACK),
    ],
)
def test_what_could_take_for_ever_is_refused_in_one_line(source: str, said: str) -> None:
    with pytest.raises(PatternError, match=said) as caught:
        pattern(source, ignore_case=True)
    assert "it could take for ever; " in caught.value.what
    assert caught.value.what.isprintable()


@pytest.mark.parametrize(
    ("source", "said", "at"),
    [
        ("ab(", "missing )", 2),
        ("[z-a]", "bad character range", 1),
        ("a{99999999999}", "too large", 0),
        ("(" * 199 + ")" * 199 + "(", "missing )", 398),
        ("a" * 401, "at most 400 characters", 0),
        (r"(?a)\w", "leave it out", 0),
        (r"(?a:\S+\s)", "leave it out", 0),
    ],
)
def test_what_is_none_says_why_and_where(source: str, said: str, at: int) -> None:
    with pytest.raises(PatternError, match=re.escape(said)) as caught:
        pattern(source, ignore_case=False)
    assert caught.value.at == at


def test_the_more_ways_the_less_of_a_line_is_searched() -> None:
    reaches = [pattern(s, ignore_case=True).reach for s in ("ab", "a.*b", "a.*b.*c")]
    assert reaches == sorted(reaches, reverse=True)
    assert len(set(reaches)) == 3
    two = pattern("a.*b", ignore_case=True)
    assert two.found("a" + "-" * (two.reach - 2) + "b")
    assert not two.found("a" + "-" * (two.reach - 1) + "b")


def test_where_a_line_is_cut_is_not_its_end() -> None:
    digits = pattern(r"x\d*$", ignore_case=True)
    assert digits.found("x" + "1" * (digits.reach - 1))
    assert not digits.found("x" + "1" * digits.reach + "y")


def test_a_text_is_looked_for_in_all_of_a_line() -> None:
    assert literal("(A+)+$").found("-" * 100_000 + "(a+)+$")


# -- that what is accepted ends: by a matcher of our own, which counts its steps ------------------

LENGTH = 24
STEPS = 60 * LENGTH**3
"""Three repeats in a row, times the parts of an expression; 2**24 is twenty times as many."""


class Counting:
    """Tries all ways as Python's matcher does, only without what makes that faster."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps = 0

    def ends(self, nodes: Any, at: int) -> Iterator[int]:
        """Where a sequence may end, one way after the other."""
        self.steps += 1
        assert self.steps <= STEPS, "it takes for ever"
        if not nodes:
            yield at
            return
        (op, value), rest = nodes[0], nodes[1:]
        for end in self.part(op.name, value, at):
            yield from self.ends(rest, end)

    def part(self, name: str, value: Any, at: int) -> Iterator[int]:
        if name == "BRANCH":
            for branch in value[1]:
                yield from self.ends(list(branch), at)
        elif name == "SUBPATTERN":
            yield from self.ends(list(value[-1]), at)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            yield from self.repeat(*value, at, name == "MAX_REPEAT", 0)
        elif name == "AT":
            if at == len(self.text):
                yield at
        elif at < len(self.text) and self.takes(name, value, self.text[at]):
            yield at + 1

    def repeat(
        self, low: int, high: int, body: Any, at: int, greedy: bool, done: int
    ) -> Iterator[int]:
        if not greedy and done >= low:
            yield at
        if done < high:
            for end in self.ends(list(body), at):
                if end > at:
                    yield from self.repeat(low, high, body, end, greedy, done + 1)
        if greedy and done >= low:
            yield at

    def takes(self, name: str, value: Any, char: str) -> bool:
        if name == "LITERAL":
            return ord(char) == value
        if name == "NOT_LITERAL":
            return ord(char) != value
        if name == "IN":
            negated = value[0][0].name == "NEGATE"
            return negated != any(
                self.takes(op.name, v, char) for op, v in value if op.name != "NEGATE"
            )
        return name == "ANY"


ATOMS = st.sampled_from(["a", "b", "ab", ".", "[ab]", "[^a]", "aa", "$"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repeat: Callable[[tuple[str, str]], str] = lambda p: f"(?:{p[0]}){p[1]}"  # noqa: E731
    marks = st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,3}", "{2,}"])
    return st.one_of(
        st.tuples(inner, marks).map(repeat),
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: f"(?:{'|'.join(each)})"),
    )


@settings(max_examples=400, deadline=None)
@given(
    st.recursive(ATOMS, grown, max_leaves=8),
    st.sampled_from(["a", "ab", "aab", "b"]),
    st.sampled_from(["", "c", "$", "b", "[^ab]"]),
)
def test_what_is_accepted_ends_in_few_steps(source: str, piece: str, tail: str) -> None:
    try:
        accepted = pattern(source + tail, ignore_case=False)
    except PatternError:
        return
    from re import _parser  # type: ignore[attr-defined]  # it has no public name

    text = (piece * LENGTH)[: LENGTH - 1] + "!"
    counting = Counting(text)
    nodes = list(_parser.parse(source + tail))
    found = any(next(counting.ends(nodes, at), None) is not None for at in range(LENGTH + 1))
    assert found == accepted.found(text), "it counts what Python's matcher does"


@pytest.mark.parametrize("source", ["(a|a)*$", "(?:a|aa)+$", "((a+))+$"])
def test_the_counting_would_notice(source: str) -> None:
    from re import _parser  # type: ignore[attr-defined]  # it has no public name

    with pytest.raises(AssertionError, match="for ever"):
        list(Counting("a" * LENGTH + "!").ends(list(_parser.parse(source)), 0))
