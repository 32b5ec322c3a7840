"""Filters and order."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.errors import UsageError
from mcp_tui.store.select import parse_filter, select


class Row(msgspec.Struct, frozen=True):
    haystack: str
    fields: Mapping[str, str] = {}

    @property
    def lowered(self) -> str:
        return self.haystack.lower()


ROWS = [
    Row("failed ranker-train OOMKilled node-1", {"state": "failed", "team": "ranking"}),
    Row("running ctr-hourly loss 0.4", {"state": "running", "team": "ads"}),
    Row("waiting embed-v3 quota gpu-a100", {"state": "waiting"}),
]


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("", [0, 1, 2]),
        ("ranker", [0]),
        ("oomkilled", [0]),
        ("OOMKilled", [0]),
        ("OOMKILLED", []),
        ("!ranker", [1, 2]),
        ("!!ranker", [0]),
        ("/^(failed|waiting)/", [0, 2]),
        ("!/^(failed|waiting)/", [1]),
        ("state=failed", [0]),
        ("state!=failed", [1, 2]),
        ("state=FAILED", [0]),
        ("team=ad*", [1]),
        ("team!=ads", [0, 2]),
        ("loss state=running", [1]),
        ('"loss 0.4"', [1]),
        ("a e !quota", [0]),
        ("!", [0, 1, 2]),
    ],
)
def test_terms(text: str, hits: list[int]) -> None:
    predicate = parse_filter(text)
    found = select(ROWS, predicate=predicate, key=ROWS.index)
    assert found == [ROWS[i] for i in hits]


BAD = ["/(/", "/[z-a]/", "/(a+)+b/", "/(a|b*)*/", "/((a+))+$/", "/(a|a)*$/", "x" * 401]


@pytest.mark.parametrize("text", BAD)
def test_bad_filters_say_so(text: str) -> None:
    with pytest.raises(UsageError, match="filter"):
        parse_filter(text)


def test_what_is_refused_says_where() -> None:
    with pytest.raises(UsageError, match=r"column 6: .* repeats what repeats"):
        parse_filter("job /((a+))+$/")
    with pytest.raises(UsageError, match="column 8: not a regular expression"):
        parse_filter("job /ab[/")


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_a_filter_or_a_clear_no(text: str, haystack: str) -> None:
    try:
        predicate = parse_filter(text)
    except UsageError:
        return
    if predicate is not None:
        assert predicate(Row(haystack)) in (True, False)


def test_order() -> None:
    assert select([3, 1, 2], predicate=None, key=lambda n: n) == [1, 2, 3]
    assert select([3, 1, 2], predicate=lambda n: n > 1, key=lambda n: n, reverse=True) == [3, 2]
