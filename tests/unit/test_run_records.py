"""What is made of MLflow's runs without asking anybody: order, tree, history, paths, changes."""

from __future__ import annotations

import json
import math
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.artifact import (
    Preview,
    artifact,
    exact_path,
    preview_of,
    shown_uri,
    whereabouts,
)
from mcp_tui.domain.decode import decode
from mcp_tui.domain.experiment import activities, activity, newest_activity
from mcp_tui.domain.history import estimated, extended, history_of, thin
from mcp_tui.domain.run import Experiment, Metric, Pair, Run, RunData, RunInfo
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.domain.runorder import NEWEST_FIRST, Part, merged, sort_key
from mcp_tui.domain.runtree import nest
from mcp_tui.errors import UsageError


def run(
    run_id: str, start: int = 0, parent: str = "", stage: str = "active", **metrics: float
) -> Run:
    tags = (Pair(key="mlflow.parentRunId", value=parent),) if parent else ()
    listed = tuple(Metric(key=key, value=value) for key, value in metrics.items())
    info = RunInfo(run_id=run_id, start_time=start, lifecycle_stage=stage, run_name=f"n-{run_id}")
    return Run(info=info, data=RunData(metrics=listed, tags=tags))


# Order and merge


def test_the_order_is_the_servers() -> None:
    runs = [
        run("a", 1, f1=0.5),
        run("b", 2, f1=math.nan),
        run("c", 3),
        run("d", 4, f1=0.9),
        run("e", 4, f1=0.9),
        run("f", 5, f1=0.9),
    ]

    def order(*clauses: str) -> str:
        return "".join(each.run_id for each in sorted(runs, key=sort_key(clauses)))

    assert order("metrics.f1 DESC") == "fdeabc"
    assert order("metrics.`f1` asc") == "afdebc"
    assert order() == "fdecba"
    assert order("attributes.start_time ASC") == "abcdef"
    assert order("run_name DESC") == "fedcba"
    assert order("no clause at all ;") == "fdecba"


RUNS = st.lists(
    st.builds(
        run,
        st.text("abcdef", min_size=1, max_size=3),
        st.integers(min_value=0, max_value=5),
        f1=st.sampled_from([0.1, 0.5, math.nan, math.inf]),
    ),
    unique_by=lambda each: each.run_id,
    max_size=20,
)
ORDERS = st.sampled_from([NEWEST_FIRST, ("metrics.f1 DESC",), ("metrics.f1 ASC", "run_id DESC")])


@given(st.data(), RUNS, ORDERS, st.integers(min_value=1, max_value=4))
def test_merged_searches_give_each_run_once_in_order(
    data: st.DataObject, runs: list[Run], order: tuple[str, ...], page: int
) -> None:
    """Whatever fits which search, and wherever the pages end."""
    whole = sorted(runs, key=sort_key(order))
    searches = [data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
                for _ in range(3)]  # fmt: skip
    waiting = [[r for r, fits in zip(whole, each, strict=True) if fits] for each in searches]
    parts: tuple[Part, ...] = tuple(Part(more=True) for _ in waiting)
    given_: list[str] = []
    for _ in range(200):
        step = merged(parts, order, set(given_))
        given_ += [each.run_id for each in step.ready]
        parts = step.parts
        if not step.wants:
            break
        changed = list(parts)
        for n in step.wants:
            head, waiting[n] = waiting[n][:page], waiting[n][page:]
            changed[n] = Part(runs=tuple(head), more=bool(waiting[n]))
        parts = tuple(changed)
    assert not any(part.runs or part.more for part in parts)
    fits_any = {r.run_id for n, r in enumerate(whole) if any(each[n] for each in searches)}
    assert given_ == [each.run_id for each in whole if each.run_id in fits_any]


def test_a_run_whose_place_is_not_certain_waits() -> None:
    step = merged(
        (Part(runs=(run("a", 9), run("b", 5)), more=True), Part(runs=(run("c", 7),), more=True)),
        NEWEST_FIRST,
    )
    assert [each.run_id for each in step.ready] == ["a", "c"]
    assert step.wants == (1,)


# The tree


def test_children_stand_below_their_parents() -> None:
    nodes = nest([run("c", parent="a"), run("a"), run("d", parent="c"), run("b"),
                  run("e", parent="gone")])  # fmt: skip
    assert [(n.run.run_id, n.depth, n.children, n.lost) for n in nodes] == [
        ("a", 0, 1, False),
        ("c", 1, 1, False),
        ("d", 2, 0, False),
        ("b", 0, 0, False),
        ("e", 0, 0, True),
    ]


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", *"abcdefgh", "z"])))
def test_any_nonsense_gives_each_run_once(parents: dict[str, str]) -> None:
    nodes = nest([run(each, parent=parent) for each, parent in parents.items()])
    assert sorted(node.run.run_id for node in nodes) == sorted(parents)
    depth = -1
    for node in nodes:
        assert node.depth <= depth + 1
        depth = node.depth


def test_a_circle_and_a_very_deep_tree_end() -> None:
    nodes = nest([run("a", parent="b"), run("b", parent="a"), run("s", parent="s")])
    assert [(n.run.run_id, n.depth, n.lost) for n in nodes] == [
        ("s", 0, True),
        ("a", 0, True),
        ("b", 1, False),
    ]
    deep = [run(str(n), parent=str(n - 1) if n else "") for n in range(5_000)]
    assert nest(deep)[-1].depth == 4_999


# History


def point(step: int, value: float | str, time: int = 1_000) -> Metric:
    return Metric(key="m", step=step, value=value, timestamp=time)


def test_gaps_stay_gaps_and_are_counted() -> None:
    seen = history_of(
        "r",
        "m",
        [
            point(3, 1.7976931348623157e308, 4_000),
            point(1, 0.5, 2_000),
            point(2, "NaN", 3_000),
            point(-4, -1.7976931348623157e308, 9_000),
            point(1, 0.7, 2_500),
            point(1, 0.7, 2_500),
            point(5, "what?", -7),
            point(6, 1.0, 0),
        ],
    )
    assert seen.steps == (-4, 1, 1, 2, 3, 5, 6)
    assert [v if math.isfinite(v) else None for v in seen.values] == [
        None, 0.5, 0.7, None, None, None, 1.0,
    ]  # fmt: skip
    assert (seen.nan, seen.infinite, seen.repeated, seen.odd_times) == (2, 2, 1, 2)
    assert seen.backwards == 2
    assert seen.times[1] == 2.0
    assert math.isnan(seen.times[5])
    assert (seen.total, seen.sampled) == (7, False)
    assert seen.said() == "7; 2 NaN; 2 infinite; 1 at a repeated step; 2 without a time"


def test_history_says_how_much_of_it_is_shown() -> None:
    sampled = history_of("r", "m", [point(n * 3_000, 1.0) for n in range(320)], sampled=True)
    assert sampled.said() == "320 sampled"
    whole = estimated(sampled, 3_000, 3_000)
    assert whole.said() == "320 of about 957,001"
    assert estimated(history_of("r", "m", [point(1, 1.0)]), 10, 5).said() == "1"
    cut = history_of("r", "m", [point(n, 1.0) for n in range(50)], most=10, cut=True)
    assert cut.total is None
    assert "the rest was not read" in cut.said()


VALUES = st.lists(st.floats() | st.just(math.nan), max_size=300)


@given(VALUES, st.integers(min_value=0, max_value=60))
def test_thinning_keeps_the_ends_and_the_extremes(values: list[float], most: int) -> None:
    kept = list(thin(values, most))
    assert kept == sorted(set(kept))
    assert len(kept) <= max(most, 4)
    if values:
        assert (kept[0], kept[-1]) == (0, len(values) - 1)
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        assert {min(finite), max(finite)} <= {values[i] for i in kept}


POINTS = st.lists(
    st.builds(
        point,
        st.integers(min_value=-5, max_value=30),
        st.sampled_from([0.5, 1.0, "NaN", 1.7976931348623157e308]),
        st.integers(min_value=-5, max_value=9_000),
    ),
    max_size=40,
)


@given(POINTS, st.integers(min_value=-5, max_value=30))
def test_a_tail_brings_a_history_to_what_the_whole_would_be(
    points: list[Metric], since: int
) -> None:
    old = history_of("r", "m", [each for each in points if each.step <= since])
    tail = history_of("r", "m", [each for each in points if each.step >= since])
    whole = history_of("r", "m", points)
    seen = extended(old, tail)
    # NaN is equal to nothing, so what is compared is what is written.
    if tail.steps and tail.steps[0] == since:
        assert repr(seen) == repr(msgspec.structs.replace(whole, backwards=seen.backwards))
    assert len(seen) == len(whole)


def test_two_metrics_are_not_made_one() -> None:
    with pytest.raises(ValueError, match="different"):
        extended(history_of("r", "a", []), history_of("r", "b", []))


# Decoding


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(
            st.sampled_from(["run", "info", "data", "metrics", "key", "value", "step", "inputs",
                             "tags", "timestamp", "run_id", "dataset_inputs", "outputs"]), inner),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_answer_is_a_run_or_is_refused_cleanly(answer: object) -> None:
    if not isinstance(answer, dict):
        return
    seen = decode(Run, json.dumps(answer).encode())
    assert isinstance(seen.metrics, dict)
    assert seen.touched >= 0 or seen.data.metrics
    assert isinstance([metric.number for metric in seen.data.metrics], list)


def test_what_a_run_says_of_itself() -> None:
    body = {
        "info": {"run_id": "r", "lifecycle_stage": "deleted", "start_time": 5},
        "data": {
            "metrics": [{"key": "m", "value": 1, "timestamp": 9}],
            "tags": [{"key": "mlflow.runName", "value": "n"}, {"key": "mlflow.user", "value": "u"},
                     {"key": "mlflow.parentRunId", "value": "p"}],
        },
        "inputs": {"dataset_inputs": [{"dataset": {"name": "d", "digest": "1"},
                   "tags": [{"key": "mlflow.data.context", "value": "training"}]}]},
        "outputs": {"model_outputs": [{"model_id": "m-1", "step": 3}]},
    }  # fmt: skip
    seen = decode(Run, json.dumps(body).encode())
    assert (seen.name, seen.user, seen.parent_run_id, seen.is_deleted) == ("n", "u", "p", True)
    assert (seen.datasets[0].dataset.digest, seen.datasets[0].context) == ("1", "training")
    assert (seen.outputs.model_outputs[0].model_id, seen.touched) == ("m-1", 9)


# Experiments


def test_counts_say_what_was_read() -> None:
    runs = [run("a", 5, m=1.0), run("b", 9)]
    assert activity(runs, more=True).count() == "2+"
    assert activity([run(str(n)) for n in range(1_000)], more=True).count() == "1,000+"
    assert activities(runs)[""].newest == 9
    assert newest_activity(Experiment(last_update_time=7), activity(runs)) == 9
    assert newest_activity(Experiment(creation_time=7), None) == 7


# Artifacts


@pytest.mark.parametrize(
    "ref",
    ["/etc/passwd", "../x", "a/../../x", "a/..", "%2e%2e/x", "%252e%252e/x", "a//b", "./a", "a\\b",
     "C:/x", "c%3A/x", "a%00b", "file:///etc/passwd", "FILE:x", "%66ile%3Ax",
     "a/%2e%2e%2fx", "..", ".", "a/ ../b",
     "x" * 5_000, "%25252525252525252525252e%2e/", "a%5c..%5cb", "%2Fetc"],
)  # fmt: skip
def test_paths_that_leave_the_root_are_refused(ref: str) -> None:
    with pytest.raises(UsageError, match="is not a path inside"):
        exact_path(ref)


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4).map("/".join))
def test_a_path_is_asked_for_as_it_is_or_refused(path: str) -> None:
    listed = artifact(path, size=1)
    assert listed.ref.isascii()
    assert listed.ref.isprintable()
    try:
        asked = exact_path(listed.ref)
    except UsageError:
        return
    assert asked == path.rstrip("/")
    assert ".." not in PurePosixPath(unquote(asked)).parts
    assert not unquote(asked).startswith("/")


def test_a_name_is_shown_safe_and_asked_for_exactly() -> None:
    heart = artifact("sub/\u2764\ufe0f\x1b[31m.txt", size=None)
    assert heart.path == "sub/\u2764.txt"
    assert heart.size == 0
    assert unquote(heart.ref) == "sub/\u2764\ufe0f\x1b[31m.txt"
    assert artifact("d", is_dir=True, size=3).size is None


@pytest.mark.parametrize(
    ("path", "preview"),
    [("MLmodel", "yaml"), ("a/b.CSV", "table"), ("x.parquet", "parquet"), ("p.png", "image"),
     ("report.json", "json"), ("model.pkl", "binary"), ("README.md", "markdown"), ("", "binary")],
)  # fmt: skip
def test_how_a_file_can_be_looked_at(path: str, preview: str) -> None:
    assert preview_of(path) is Preview(preview)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://b/x/artifacts", "at s3://b/x/artifacts, which MLflow does not serve"),
        ("ftp://u:s3cr3t@h/x?sig=s3cr3t#s3cr3t", "at ftp://h/x,"),
        ("wasbs://c@acc.blob.example.com/x", "wasbs://c@acc.blob"),
        ("file:///mnt/x", "on the disk of the machine that logged them"),
        ("/mnt/x\x1b[2J", "in /mnt/x on the disk"),
        ("mlflow-artifacts:/1/r/artifacts", "--serve-artifacts"),
        ("", "does not say"),
    ],
)
def test_where_artifacts_are_is_said_without_secrets(uri: str, says: str) -> None:
    assert says in whereabouts(uri)
    assert "s3cr3t" not in whereabouts(uri) + shown_uri(uri)
    assert "\x1b" not in whereabouts(uri)


# Changes to a run's record


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (RunEdit(kind=EditKind.RENAME, run_id="r", value=" "), "empty name"),
        (RunEdit(kind=EditKind.SET_TAG, run_id="r", key="a*b", value=""), "not a tag's name"),
        (RunEdit(kind=EditKind.SET_TAG, run_id="r", key="k" * 251), "not a tag's name"),
        (RunEdit(kind=EditKind.DELETE_TAG, run_id="r"), "not a tag's name"),
        (RunEdit(kind=EditKind.SET_TAG, run_id="r", key="a", value="x" * 8_001), "8,001"),
        (RunEdit(kind=EditKind.RENAME, run_id="r", value="x" * 8_001), "that long"),
    ],
)
def test_a_change_that_mlflow_would_refuse_or_cut_is_not_sent(edit: RunEdit, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        edit.checked()


def test_a_change_is_seen_and_taken_back() -> None:
    before = run("r")
    tagged = msgspec.structs.replace(before, data=RunData(tags=(Pair(key="a", value="1"),)))
    deleted = run("r", stage="deleted")
    set_ = RunEdit(kind=EditKind.SET_TAG, run_id="r", key="a", value="1")
    assert (set_.is_done(before), set_.is_done(tagged)) == (False, True)
    back = set_.back(before)
    assert back is not None
    assert (back.kind, back.is_done(tagged), back.is_done(before)) == ("delete-tag", False, True)
    changed = msgspec.structs.replace(set_, value="2").back(tagged)
    assert changed == set_
    rename = RunEdit(kind=EditKind.RENAME, run_id="r", value="new")
    assert rename.line() == "rename to new"
    assert rename.back(before) == msgspec.structs.replace(rename, value="n-r")
    delete = RunEdit(kind=EditKind.DELETE, run_id="r")
    restore = RunEdit(kind=EditKind.RESTORE, run_id="r")
    assert (delete.is_done(deleted), restore.is_done(deleted)) == (True, False)
    assert (delete.back(before), restore.back(deleted)) == (restore, delete)
    assert delete.back(deleted) is None
    assert delete.line() == "delete run"


def test_a_reference_is_the_quoted_path() -> None:
    assert artifact("a b/\U0001f600").ref == quote("a b/\U0001f600")
