"""The order of rows is that of a plain sort and filter, whatever changes in whatever pieces."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.store import ranking
from mcp_tui.store.ranking import Ranking


@dataclass(frozen=True)
class Row:
    """A row with what it is sorted and filtered by."""

    size: int
    name: str


SORTS = [lambda r: r.size, lambda r: r.name, lambda r: (r.size % 3, -r.size, r.name)]
FILTERS = [None, lambda key, r: r.size % 2 == 0, lambda key, r: "a" in r.name, lambda key, r: False]

keys = st.integers(0, 30).map(lambda n: f"k{n}")
rows = st.builds(Row, st.integers(0, 5), st.text("ab", max_size=2))
steps = st.one_of(
    st.tuples(st.just("change"), st.dictionaries(keys, rows, max_size=12), st.sets(keys)),
    st.tuples(st.just("sort"), st.sampled_from(SORTS)),
    st.tuples(st.just("filter"), st.sampled_from(FILTERS)),
    st.tuples(st.just("clear")),
)


@pytest.mark.parametrize("many", [0, 400])
@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=25))
def test_it_is_always_as_sorted_and_filtered_anew(many: int, steps: list[tuple]) -> None:
    sort, passes, model = SORTS[0], None, {}
    ranked: Ranking[Row] = Ranking(sort)
    before, ranking._MANY = ranking._MANY, many
    try:
        for name, *given_ in steps:
            if name == "change":
                upserts, removes = given_[0], given_[1] - given_[0].keys()
                ranked.change(upserts, removes)
                model = {k: r for k, r in model.items() if k not in removes} | upserts
            elif name == "sort":
                ranked.sort_by(sort := given_[0])
            elif name == "filter":
                ranked.filter_by(passes := given_[0])
            else:
                ranked.clear()
                model = {}
            wanted = sorted(model, key=lambda key: (sort(model[key]), key))
            wanted = [key for key in wanted if passes is None or passes(key, model[key])]
            assert [ranked.at(n) for n in range(len(ranked))] == wanted
            assert ranked.rows == model
            for key in {*model, "k0", "none"}:
                place = wanted.index(key) if key in wanted else None
                assert ranked.index(key) == place
    finally:
        ranking._MANY = before


def test_a_row_that_went_after_a_sort_is_not_sorted_again() -> None:
    ranked: Ranking[Row] = Ranking(SORTS[0])
    ranked.change({"a": Row(1, "x"), "b": Row(2, "y")})
    ranked.sort_by(SORTS[1])
    ranked.change({}, ["a"])
    ranked.sort_by(SORTS[0])
    assert [ranked.at(n) for n in range(len(ranked))] == ["b"]


def test_a_row_that_passes_no_more_goes_though_its_place_is_the_same() -> None:
    ranked: Ranking[Row] = Ranking(SORTS[1])
    ranked.filter_by(FILTERS[1])
    ranked.change({"a": Row(2, "x"), "b": Row(4, "x")})
    ranked.change({"a": Row(3, "x")})
    assert [ranked.at(n) for n in range(len(ranked))] == ["b"]
