"""Runs side by side: what differs, which is best, and exports that do nothing but show."""

from __future__ import annotations

import csv
import io
import json
import math
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mcp_tui.domain import compare as compared
from mcp_tui.domain.compare import Section, as_csv, as_document, as_markdown, compare
from mcp_tui.domain.direction import Direction, Directions, best_of, usual
from mcp_tui.domain.figures import figures, signed
from mcp_tui.domain.run import (
    Dataset,
    DatasetInput,
    Metric,
    Pair,
    Run,
    RunData,
    RunInfo,
    RunInputs,
)
from mcp_tui.domain.tabular import markdown, to_csv, to_markdown
from tests.hostile.texts import ATTACKS, hostile


def run(
    number: int,
    metrics: dict[str, float | str] | None = None,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    data: list[tuple[str, str, str]] | None = None,
    name: str = "",
) -> Run:
    """A run as MLflow tells it; ``data`` are context, name and digest."""
    return Run(
        info=RunInfo(run_id=f"{number:032x}", run_name=name or f"run-{number}", status="FINISHED"),
        data=RunData(
            metrics=tuple(Metric(key=k, value=v) for k, v in (metrics or {}).items()),
            params=tuple(Pair(key=k, value=v) for k, v in (params or {}).items()),
            tags=tuple(Pair(key=k, value=v) for k, v in (tags or {}).items()),
        ),
        inputs=RunInputs(
            dataset_inputs=tuple(
                DatasetInput(
                    dataset=Dataset(name=name, digest=digest, source='{"uri": "s3://b/x"}'),
                    tags=(Pair(key="mlflow.data.context", value=context),) if context else (),
                )
                for context, name, digest in data or []
            )
        ),
    )


# --- directions


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("accuracy", "higher"), ("val_f1_macro", "higher"), ("eval/roc_auc", "higher"),
        ("eval_loss", "lower"), ("valLoss", "lower"), ("accuracy_loss", "lower"),
        ("latency_p99_ms", "lower"), ("rmse", "lower"), ("neg_mean_squared_error", "higher"),
        ("tokens_per_second", "higher"), ("seconds_per_step", "lower"), ("f1_score", "higher"),
        ("score", "higher"), ("loss_score", "lower"), ("false_positive_rate", "lower"),
        ("true_positives", "higher"), ("learning_rate", "neither"), ("grad_norm", "neither"),
        ("epoch", "neither"), ("system/gpu_0_memory", "neither"), ("", "neither"),
        ("cross_entropy", "lower"), ("model_size_mb", "lower"), ("batch_size", "neither"),
        ("recall@10", "higher"), ("perplexity", "lower"),
    ],
)  # fmt: skip
def test_a_metrics_name_tells_which_way_is_better(name: str, direction: str) -> None:
    assert usual(name) == direction


def test_the_configuration_goes_before_the_name() -> None:
    said = Directions(higher=("my_loss", "yield*"), lower=("*_f1", "a_f1"), neither=("loss",))
    assert said.of("my_loss") == Direction.HIGHER
    assert said.of("Yield_rate") == Direction.HIGHER
    assert said.of("x_f1") == Direction.LOWER
    assert said.of("loss") == Direction.NEITHER
    assert said.of("val_loss") == Direction.LOWER
    # A name goes before a pattern.
    assert Directions(higher=("a_*",), lower=("a_b",)).of("a_b") == Direction.LOWER


numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))


@given(st.lists(numbers, max_size=8), st.sampled_from(list(Direction)))
def test_the_best_is_the_best(values: list[float | None], direction: Direction) -> None:
    best = best_of(values, direction)
    there = [v for v in values if v is not None and math.isfinite(v)]
    for at in best:
        value = values[at]
        assert value is not None and math.isfinite(value)
        if direction is Direction.HIGHER:
            assert value >= max(there) - abs(max(there)) * 1e-6
        else:
            assert value <= min(there) + abs(min(there)) * 1e-6
    if direction is Direction.NEITHER or len(there) < 2 or len(set(there)) == 1:
        assert best == ()
    elif max(there) - min(there) > 1e-3 * max(abs(v) for v in there):
        assert best


# --- the table


def test_only_what_differs_is_shown_and_the_rest_is_counted() -> None:
    found = compare(
        [
            run(1, {"f1": 0.9, "loss": 0.5}, {"lr": "0.1", "seed": "1"}, {"team": "a"}),
            run(2, {"f1": 0.8, "loss": 0.5}, {"lr": "0.10", "seed": "1"}, {"team": "a"}),
        ]
    )
    assert [(row.section, row.name) for row in found.shown()] == [
        (Section.METRIC, "f1"), (Section.PARAM, "lr"),
    ]  # fmt: skip
    assert found.hidden() == 3
    assert [row.name for row in found.shown(everything=True)] == [
        "f1", "lr", "loss", "seed", "team",
    ]  # fmt: skip
    assert found.rows[0].best == (0,)
    assert found.rows[0].texts == ("0.900", "0.800")


def test_the_lowest_loss_is_the_best_and_a_tie_has_none() -> None:
    [row] = compare([run(n, {"loss": v}) for n, v in enumerate((0.5, 0.3, 0.3))]).rows
    assert row.best == (1, 2)
    [row] = compare([run(n, {"loss": 0.3}) for n in range(3)]).rows
    assert row.best == () and not row.differs


def test_missing_values_are_missing_and_no_zeros() -> None:
    found = compare([run(1, {"f1": 0.9}, {"a": ""}), run(2, {"f1": "NaN"}), run(3)])
    f1 = next(row for row in found.rows if row.name == "f1")
    assert f1.texts == ("0.900", "NaN", None)
    assert f1.differs and f1.best == ()
    a = next(row for row in found.rows if row.name == "a")
    # Logged as empty is not the same as not logged.
    assert a.texts == ("", None, None) and a.differs
    document = as_document(found)
    assert document["rows"][0]["values"] == [0.9, "NaN", None]
    assert json.loads(msgspec.json.encode(document)) == document
    # Missing in the first differs as missing in another does.
    [row] = compare([run(1), run(2, {"f1": 0.5})]).rows
    assert row.differs and row.texts == (None, "0.500")
    # NaN in both is no difference, infinity is never the best.
    [row] = compare([run(1, {"f1": "NaN"}), run(2, {"f1": "NaN"})]).rows
    assert not row.differs
    [row] = compare([run(1, {"f1": 1.797e308}), run(2, {"f1": 0.5}), run(3, {"f1": 0.4})]).rows
    assert row.texts[0] == "inf" and row.best == (1,)


def test_numbers_that_differ_look_different() -> None:
    assert figures([0.93111, 0.93149]) == ["0.93111", "0.93149"]
    assert figures([0.9, 0.8, None]) == ["0.900", "0.800", None]
    assert figures([1e-12, 2e-12, math.nan, math.inf]) == ["1e-12", "2e-12", "NaN", "inf"]
    assert signed(0.0123) == "+0.0123" and signed(-0.5) == "-0.5" and signed(0.0) == "0"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=5))
def test_figures_tell_apart_what_ten_digits_do(values: list[float]) -> None:
    texts = figures(values)
    different = {f"{v:.10g}" for v in values}
    assert len(set(texts)) >= len({float(text) for text in different})


def test_data_sets_and_code_are_compared() -> None:
    tags = {"mlflow.source.git.commit": "a" * 40, "mlflow.source.name": "train.py"}
    other = {**tags, "mlflow.source.git.commit": "b" * 40, "mlflow.docker.image.id": "sha256:1"}
    found = compare(
        [
            run(1, tags=tags, data=[("training", "clicks", "d1"), ("eval", "held", "e")]),
            run(2, tags=other, data=[("training", "clicks", "d2"), ("eval", "held", "e")]),
        ],
        joined={f"{1:032x}": {"image digest": "sha256:2"}},
    )
    differing = {(row.section.value, row.name): row.texts for row in found.shown()}
    assert differing == {
        ("dataset", "training digest"): ("d1", "d2"),
        ("code", "commit"): ("a" * 40, "b" * 40),
        ("code", "image digest"): ("sha256:2", "sha256:1"),
    }
    same = {row.name: row.texts for row in found.rows if not row.differs}
    assert same["training source"] == ("s3://b/x", "s3://b/x")
    # Several sets of one context stand together, whatever the order they came in.
    one = compared.datasets(run(1, data=[("", "b", "2"), ("", "a", "1")]).inputs.dataset_inputs)
    assert one == {
        "data name": "a; b", "data digest": "1; 2", "data source": "s3://b/x; s3://b/x",
    }  # fmt: skip


@pytest.mark.parametrize("source", ["{", "{}", '{"uri": 7}', "[1]", '{"a":' * 50_000, "s3://x"])
def test_a_source_that_is_no_json_stays_as_it_is(source: str) -> None:
    assert Dataset(source=source).address == source


def test_book_keeping_is_not_shown_but_kept() -> None:
    found = compare(
        [run(n, tags={"mcp-tui.plan-id": str(n), "mlflow.user": f"u{n}"}) for n in range(2)]
    )
    assert [row.name for row in found.shown()] == ["mlflow.user"]
    assert {row.name for row in found.rows} == {"mlflow.user", "mcp-tui.plan-id"}


def test_runs_of_one_name_are_told_apart() -> None:
    found = compared.heads([run(1, name="a"), run(2, name="a"), run(3, name="b"), Run()])
    assert [head.label for head in found] == [
        "a 00000000", "a 00000000", "b", "(no name)",
    ]  # fmt: skip


def test_fifty_runs_with_two_hundred_rows_are_quick() -> None:
    runs = [
        run(
            n,
            {f"m{k}_f1": (n * 7 + k) % 50 / 50 for k in range(100)},
            {f"p{k}": str((n + k) % 3) for k in range(100)},
        )
        for n in range(50)
    ]
    compare(runs)
    took = min(_cpu(runs) for _ in range(5))
    assert len(compare(runs).rows) == 200
    # Ten times what it takes: no figure of a loaded machine, but no square of anything either.
    assert took < 0.2


def _cpu(runs: list[Run]) -> float:
    start = time.process_time()
    compare(runs)
    return time.process_time() - start


# --- exports


def test_csv_has_all_digits_and_runs_no_formula() -> None:
    evil = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", " =1", "\uff1d1", 'a";=1', "x\n=1", "a;=1"]
    found = compare(
        [
            run(1, {"f1": 1 / 3, "m": -0.25}, {f"p{n}": text for n, text in enumerate(evil)}),
            run(2, {"f1": 0.5, "m": "Infinity"}, name="=cmd|' /C calc'!A0"),
        ]
    )
    text = as_csv(found)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["section", "name", "direction", "run-1", "'=cmd|' /C calc'!A0"]
    assert ["metric", "f1", "higher", str(1 / 3), "0.5"] in rows
    assert ["metric", "m", "neither", "-0.25", "inf"] in rows
    for row in rows:
        for cell in row:
            try:
                float(cell)
            except ValueError:
                assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d")), cell
    # Every text stands in quotes, so no other separator makes two cells of one.
    assert '"a"";=1"' in text and '"a;=1"' in text
    assert len(text.splitlines()) == len(rows)


@given(st.lists(hostile, min_size=1, max_size=4))
def test_any_text_in_csv_is_one_harmless_cell(texts: list[str]) -> None:
    [row] = list(csv.reader(io.StringIO(to_csv([""], [texts]))))[1:]
    assert len(row) == len(texts)
    for cell in row:
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))
        assert "\n" not in cell and "\x1b" not in cell


RENDER = MarkdownIt("commonmark").enable("table")


def cells_of(text: str) -> list[list[str]]:
    """The cells of a rendered table: what each shows; anything but text and code is a fault."""
    found: list[list[str]] = []
    for token in RENDER.parse(text):
        if token.type == "tr_open":
            found.append([])
        elif token.type == "inline":
            assert all(child.type in ("text", "code_inline") for child in token.children or ())
            found[-1].append("".join(child.content for child in token.children or ()))
        else:
            assert token.type.partition("_")[0] in ("table", "thead", "tbody", "tr", "th", "td")
    return found


@given(st.lists(hostile, min_size=1, max_size=4))
def test_any_text_in_markdown_is_one_harmless_cell(texts: list[str]) -> None:
    from mcp_tui.domain.text import clean_line

    head = [f"h{n}" for n in range(len(texts))]
    shown = cells_of(to_markdown(head, [["x", *texts[1:]], texts]))
    assert len(shown) == 3 and all(len(row) == len(texts) for row in shown)
    for cell, text in zip(shown[2], texts, strict=True):
        expected = clean_line(text).strip().replace("\\|", "\\ |")
        assert "".join(cell.split()) == "".join(expected.split())


@pytest.mark.parametrize(
    "text",
    [*ATTACKS, "a|b", "a\\|b", "`", "``x", "<img src=x>", "![x](http://e)", "[a](b)", "a\\",
     "@everyone", "*b*", "# h", "https://e", "a`|`b", "\\`", "-", "~~x~~"],
)  # fmt: skip
def test_markup_stays_text(text: str) -> None:
    rows = cells_of(to_markdown(["a", "b"], [[text, "end"]]))
    assert rows[1][1] == "end"
    assert "<" not in markdown(text) or markdown(text).startswith("`")


def test_a_bar_never_ends_a_cell() -> None:
    # cmark-gfm takes a backslash before a backslash for an escape, and the bar after it as an end.
    assert markdown("a\\|b") == "`a\\ \\|b`"
    assert markdown("see www.evil.example") == "`see www.evil.example`", "GitHub makes it a link"
    assert markdown("a|b") == "`a\\|b`"
    assert markdown("a\\") == "`a\\ `"


def test_markdown_of_a_comparison_says_which_is_best() -> None:
    found = compare([run(1, {"f1": 0.9}), run(2, {"f1": 0.8})])
    assert cells_of(as_markdown(found)) == [
        ["", "", "run-1", "run-2"], ["metric", "f1", "0.900 (best)", "0.800"],
    ]  # fmt: skip


@given(st.lists(hostile, min_size=4, max_size=4))
def test_nothing_hostile_comes_through(texts: list[str]) -> None:
    a, b, c, d = texts
    found = compare([run(1, {a: 1.0}, {b: c}, {d: a}, name=b), run(2, {a: 2.0}, {b: d}, name=c)])
    for row in found.rows:
        for text in (row.name, *row.texts):
            assert text is None or not set(text) & set("\x1b\n\r\t\u202e\x9b")
    for head in found.runs:
        assert not set(head.label) & set("\x1b\n\r\t\u202e\x9b")
    as_csv(found, everything=True)
    cells_of(as_markdown(found, everything=True))
    msgspec.json.encode(as_document(found, everything=True))
