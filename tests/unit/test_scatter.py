"""A parameter against a metric: points for what is there, and a count of what is not."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.scatter import scatter
from tests.hostile.texts import hostile
from tests.unit.test_compare import run


def test_numbers_are_numbers_and_what_is_missing_is_counted() -> None:
    found = scatter(
        [
            run(1, {"f1": 0.9}, {"lr": "1e-4"}),
            run(2, {"f1": 0.8}, {"lr": " 0.1 "}),
            run(3, {"f1": 0.7}),
            run(4, {"f1": "NaN"}, {"lr": "0.1"}),
            run(5, {}, {"lr": "0.1"}),
        ],
        "lr",
        "f1",
    )
    assert [(p.at, p.x, p.y) for p in found.points] == [(0, 1e-4, 0.9), (1, 0.1, 0.8)]
    assert (found.left_out, found.categories, found.log_fits) == (3, (), True)


def test_words_are_categories() -> None:
    runs = [run(n, {"f1": n / 10}, {"opt": word}) for n, word in enumerate(("sgd", "adam", "1"))]
    found = scatter(runs, "opt", "f1")
    assert found.categories == ("1", "adam", "sgd")
    assert [p.x for p in found.points] == [2, 1, 0]
    assert not found.log_fits


def test_a_span_over_zero_is_not_for_logarithms() -> None:
    for texts in (("0", "100"), ("-1", "100"), ("1", "99")):
        runs = [run(n, {"f1": 0.5}, {"p": text}) for n, text in enumerate(texts)]
        assert not scatter(runs, "p", "f1").log_fits
    assert scatter([], "p", "f1").points == ()


@given(st.lists(st.tuples(hostile, st.floats()), max_size=5))
def test_every_run_is_a_point_or_counted(rows: list[tuple[str, float]]) -> None:
    found = scatter(
        [run(n, {"m": value}, {"p": text}) for n, (text, value) in enumerate(rows)], "p", "m"
    )
    assert len(found.points) + found.left_out == len(rows)
    assert all(math.isfinite(p.x) and math.isfinite(p.y) for p in found.points)
    assert not any(set(text) & set("\x1b\n\u202e") for text in found.categories)
