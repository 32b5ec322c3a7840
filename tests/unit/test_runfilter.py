"""The filter language: what is judged here, what is left to the server, and what comes next."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils import search_utils

from mcp_tui.domain.filtercomplete import FilterNames, complete, names_of
from mcp_tui.domain.run import Metric, Pair, Run, RunData
from mcp_tui.domain.runfilter import (
    MAX_QUERIES,
    both,
    check,
    parse,
    quoted_name,
    quoted_value,
    tokens,
)
from mcp_tui.errors import UsageError

NAMES = FilterNames(
    metrics=("a-loss", "accuracy", "f1", "f1_macro", "loss", "val-loss"),
    params=("lr",),
    tags=("mlflow.user",),
    values={"params.lr": ("0.001", "0.1"), "tags.mlflow.user": ("bo's",)},
)


SearchUtils: Any = search_utils.SearchUtils  # its methods have no types


def server_refuses(text: str) -> bool:
    """What the server's own parser says, comparators included."""
    try:
        for found in SearchUtils.parse_search_filter(text):
            kind, operator = found["type"], found["comparator"].upper()
            assert (
                SearchUtils.is_metric(kind, operator)
                or SearchUtils.is_param(kind, operator)
                or SearchUtils.is_tag(kind, operator)
                or SearchUtils.is_attribute(kind, found["key"], operator)
                or SearchUtils.is_dataset(kind, operator)
            )
    except Exception:  # whatever it raises is a refusal
        return True
    return False


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("metrics.f1", "column 11: a comparison is missing here"),
        ("metrics.f1 >", "column 13: a value is missing here; a number"),
        ("metrics.f1 > 'a'", "column 14: a metric is compared with a number"),
        ("metrics.f1 == 0.9", "column 12: a metric cannot be compared by ==; one of > >="),
        ("metrics.f1 LIKE 'x'", "column 12: a metric cannot be compared by LIKE"),
        ("params.lr = 0.001", "column 13: a parameter is compared with a text; '0.001', in quotes"),
        ("params.lr > '1'", "column 11: a parameter cannot be compared by >"),
        ("status = RUNNING", "column 10: status is compared with a text; 'RUNNING', in quotes"),
        ("start_time > 'today'", "column 14: start_time is compared with a number"),
        ("metrik.f1 > 1", "column 1: metrik is no kind of name; did you mean metric?"),
        ("Params.lr = '1'", "column 1: Params is no kind of name; did you mean params?"),
        (
            "metrics.val-loss > 1",
            "column 12: a name with - stands in backticks; metrics.`val-loss`",
        ),
        ("metrics.f1 > 1 AND", "column 19: a condition is missing here"),
        ("OR metrics.f1 > 1", "column 1: a condition is missing here"),
        ("(metrics.f1 > 1", "column 1: the ( is not closed"),
        ("metrics.f1 > 1)", "column 15: a ) without its ("),
        ("tags.a = 'x", "column 10: the ' is not closed"),
        ("NOT metrics.f1 > 1", "column 1: NOT cannot stand here"),
        ("0.9 < metrics.f1", "column 1: a condition begins with a name"),
        ("metrics. > 1", "column 8: a name ends with a dot"),
        ("metrics.f1 > 1 OR params.lr = 1", "column 31: a parameter is compared with a text"),
    ],
)
def test_what_is_certainly_wrong_is_said_with_its_place(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert f"filter, {says}" in caught.value.line()
    # What is not finished yet, servers take: for nothing, or for a metric without a name.
    assert server_refuses(text) or text in ("metrics.f1 > 1 AND", "metrics. > 1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        'metrics.f1 > 0.9 and params.lr = "0.001"',
        "metrics.`val-loss` <= -1.5e-3 AND tags.mlflow.parentRunId = 'x'",
        "attributes.run_id IN ('a', 'b') AND status != 'FAILED'",
        "run_name ILIKE '%x (1) OR y%'",
        "tags.or = 'and' AND params.`a OR b` = 'x'",
        "params.lr IS NULL AND tags.x IS NOT NULL",
        "datasets.name IN ('a') AND dataset.digest = 'd'",
        "params.path = 'it''s'",
        "params.path = 'C:\\'",
        "something.new ~ 4",
        "tags.start_time=1  attributes.`a b`IS NULL",
        "\U0001f600",
    ],
)
def test_what_is_right_or_not_known_is_passed_on_as_it_is(text: str) -> None:
    assert parse(text) == (text.strip(),)


def test_or_and_parentheses_become_several_searches() -> None:
    assert parse("status = 'RUNNING' or status = 'FAILED'") == (
        "status = 'RUNNING'",
        "status = 'FAILED'",
    )
    assert parse("metrics.f1 > .9 AND (tags.a = 'x' OR (tags.b = 'y' AND tags.c = 'z'))") == (
        "metrics.f1 > .9 AND tags.a = 'x'",
        "metrics.f1 > .9 AND tags.b = 'y' AND tags.c = 'z'",
    )
    assert parse("(tags.a = 'x')") == ("tags.a = 'x'",)
    assert parse("tags.a = 'x' OR tags.a = 'x'") == ("tags.a = 'x'",)
    assert parse("(run_id IN ('a', 'b') OR tags.a = ')')") == (
        "run_id IN ('a', 'b')",
        "tags.a = ')'",
    )


def test_too_many_searches_are_refused_before_they_are_made() -> None:
    some = " OR ".join(f"tags.a = '{n}'" for n in range(MAX_QUERIES))
    assert len(parse(some)) == MAX_QUERIES
    for text in (some + " OR tags.b = ''", " AND ".join(["(tags.a = '' OR tags.b = '')"] * 60)):
        with pytest.raises(UsageError, match="more than 8 searches"):
            parse(text)
    with pytest.raises(UsageError, match="too many parentheses"):
        parse("(" * 5_000)


def test_a_bare_metric_is_told_from_an_attribute_where_it_is_known() -> None:
    problem = check("f1 > 0.9", {"f1"})
    assert problem is not None
    assert "metrics.f1?" in problem.error().line()
    assert check("f1 > 0.9") is None


def test_two_conditions_are_joined() -> None:
    assert both(" ", "b = 'x'") == "b = 'x'"
    assert both("a = 'y'", "b = 'x'") == "a = 'y' AND b = 'x'"


@given(st.text(max_size=200))
def test_pieces_are_the_text_and_nothing_raises_but_what_is_said(text: str) -> None:
    assert "".join(token.text for token in tokens(text)) == text
    try:
        found = parse(text)
    except UsageError:
        return
    assert 1 <= len(found) <= MAX_QUERIES


@given(st.text(max_size=40), st.integers(min_value=0, max_value=40))
def test_something_comes_next_wherever_the_cursor_is(text: str, at: int) -> None:
    cursor = min(at, len(text))
    found = complete(text, cursor, NAMES)
    assert 0 <= found.start <= found.end == cursor


_NAME = st.sampled_from(
    ["f1", "val-loss", "a/b", "`a b`", '"x y"', "status", "start_time", "run_id", "name", "order",
     "max", "mlflow.user", "user", "a:b", "1a", "é"]
)  # fmt: skip
_CLAUSE = st.builds(
    lambda kind, name, gap, operator, value: f"{kind}{name}{gap}{operator}{gap}{value}",
    st.sampled_from(["metrics.", "params.", "tags.", "attributes.", "dataset.", "Metric.", ""]),
    _NAME,
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["=", "!=", ">", "<=", "==", "<>", "=~", " LIKE ", " ilike ", " IN ",
                     " NOT IN ", " IS NULL", " IS NOT NULL", ""]),
    st.sampled_from(["'x'", '"d"', "0.9", "-1e5", ".5", "5.", "abc", "nan", "('a','b')", "",
                     "'it''s'", "+1", "true", "- 1", "1_000"]),
)  # fmt: skip


@given(st.lists(_CLAUSE, min_size=1, max_size=3), st.sampled_from([" AND ", " and ", "  "]))
def test_what_is_called_wrong_is_refused_by_the_server_too(clauses: list[str], joint: str) -> None:
    """Words of our own are only for what is certain: no filter that works is kept from it."""
    text = joint.join(clauses)
    if re.search(r"\bor\b", text, re.IGNORECASE):
        return
    problem = check(text)
    if problem is not None:
        assert server_refuses(text), (text, problem)


@given(st.lists(st.lists(_CLAUSE, min_size=1, max_size=2), min_size=1, max_size=4))
def test_each_part_of_an_or_is_a_filter_without_one(parts: list[list[str]]) -> None:
    text = " OR ".join(" AND ".join(each) for each in parts)
    try:
        found = parse(text)
    except UsageError:
        return
    expected = tuple(dict.fromkeys(" AND ".join(c.strip() for c in each) for each in parts))
    # Behind the dot of a name (NULL5.) a word is the rest of that name, and no filter is right so.
    if len(parts) > 1 and not re.search(r"[^\W\d]\w*\.(\s|$)", text):
        assert found == expected


@given(st.text(min_size=1, max_size=30))
def test_a_quoted_name_or_value_is_read_as_one(text: str) -> None:
    try:
        written = f"tags.{quoted_name(text)} = {quoted_value(text)}"
    except UsageError:
        assert ("`" in text and '"' in text) or ("'" in text and '"' in text) or text[-1] == "\\"
        return
    assert parse(written) == (written.strip(),)
    pieces = [token for token in tokens(written) if token.kind != "space"]
    assert pieces[-1].text[1:-1] == text
    assert pieces[-2].text == "="


@pytest.mark.parametrize(
    ("text", "start", "first"),
    [
        ("", 0, "metrics."),
        ("me", 0, "metrics."),
        ("sta", 0, "start_time"),
        ("metrics.", 8, "`a-loss`"),
        ("metrics.lo", 8, "loss"),
        ("metrics.F", 8, "f1"),
        ("metrics.`val", 8, "`val-loss`"),
        ("metrics.val-loss"[:11], 8, "`val-loss`"),
        ("tags.ml", 5, "mlflow.user"),
        ("metrics.f1 ", 11, ">"),
        ("params.lr ", 10, "="),
        ("params.lr li", 10, "LIKE"),
        ("params.lr = ", 12, "'0.001'"),
        ("params.lr = '0.1", 12, "'0.1'"),
        ("tags.mlflow.user = ", 19, '"bo\'s"'),
        ("status = ", 9, "'RUNNING'"),
        ("status = 'FAI", 9, "'FAILED'"),
        ("metrics.f1 > 0.9 ", 17, "AND"),
        ("metrics.f1 > 0.9 O", 17, "OR"),
        ("metrics.f1 > 0.9 AND pa", 21, "params."),
        ("(metrics.f1 > 0.9 OR params.", 28, "lr"),
        ("attributes.st", 11, "start_time"),
        ("datasets.", 9, "name"),
    ],
)
def test_what_comes_next(text: str, start: int, first: str) -> None:
    found = complete(text, len(text), NAMES)
    assert (found.start, found.items[:1]) == (start, (first,))


def test_names_come_from_the_runs_at_hand() -> None:
    data = RunData(
        metrics=(Metric(key="f1"),),
        params=(Pair(key="lr", value="1"), Pair(key="long", value="x" * 8_000)),
        tags=(Pair(key="t", value="u"),),
    )
    found = names_of([Run(data=data), Run(data=data)])
    assert (found.metrics, found.params, found.tags) == (("f1",), ("long", "lr"), ("t",))
    assert found.values["params.lr"] == ("1",)
    assert found.values["params.long"] == ()
