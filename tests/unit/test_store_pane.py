"""The Jobs pane's model: whatever comes, its order is that of a fresh sort."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain.jobview import JobKey, JobState, JobView
from mcp_tui.domain.runfacts import Progress
from mcp_tui.store import ranking
from mcp_tui.store.rows import row_of
from mcp_tui.store.table import Table
from mcp_tui.tui.live import jobs_model
from mcp_tui.tui.live.jobs_model import _SORTS, JobsModel

STATES = tuple(JobState)


def view_of(number: int, state: int, since: int, name: str = "train") -> JobView:
    chosen = STATES[state % len(STATES)]
    return JobView(
        key=JobKey("dev", "Job", f"ns{number % 3}", f"{name}-{number}", str(number)),
        state=chosen,
        since=float(since),
        why=("loss 0.4", "OOMKilled")[since % 2],
        progress=Progress(done=since % 5, total=5, unit="steps") if since % 3 else None,
        owner=f"o{since % 4}",
        memory=float(since % 7),
        labels={"team": f"t{state % 2}"},
        urgency=(chosen.urgency, float(since), name),
    )


def model_of() -> JobsModel:
    return JobsModel(lambda: ("ready", ()), lambda _context: False, lambda: 0.0)


ROW = st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(0, 6))
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("take"), st.lists(ROW, max_size=12), st.lists(st.integers(0, 30), max_size=4)
        ),
        st.tuples(
            st.just("filter"),
            st.sampled_from(
                (
                    "",
                    "oom",
                    "oom ns1",
                    "train-1 T",
                    "!oom",
                    "state=failed",
                    "team=t1",
                    "/[12]$/",
                    "ns1 !done",
                    "/(/",
                )
            ),
        ),
        st.tuples(st.just("sort"), st.sampled_from(tuple(_SORTS)), st.booleans()),
        st.tuples(st.just("faults"), st.booleans()),
        st.tuples(st.just("prepare"), st.integers(0, 9)),
        st.tuples(st.just("scope")),
    ),
    max_size=20,
)


@pytest.mark.parametrize("rebuild", [0, 5, 400])
@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_the_order_is_that_of_a_fresh_sort(rebuild: int, steps: list[tuple[Any, ...]]) -> None:
    before = ranking._MANY
    ranking._MANY = rebuild  # type: ignore[misc]  # so that both ways of moving rows are met
    try:
        check(steps)
    finally:
        ranking._MANY = before  # type: ignore[misc]  # as above


def check(steps: list[tuple[Any, ...]]) -> None:
    model = model_of()
    table: Table[JobView] = Table()
    for step, *arguments in steps:
        version = model.version
        if step == "take":
            rows, removes = arguments
            change = table.apply(
                {str(n): view_of(n, state, since) for n, state, since in rows}, map(str, removes)
            )
            model.take("dev", change, table.get)
            assert model.version > version or not change
        elif step == "filter":
            assert bool(model.set_filter(arguments[0])) == (arguments[0] == "/(/")
        elif step == "sort":
            model.set_sort(*arguments)
        elif step == "faults":
            model.set_faults(*arguments)
        elif step == "prepare":
            more = model.prepare(arguments[0])
            assert more or all(is_ready(model, key) for key in model._ranking.rows)
        else:
            model.scope(contexts=1, namespaced=True)
            table = Table()
        agree(model, table)


def is_ready(model: JobsModel, key: str) -> bool:
    """Whether the texts of a row are made, and those of the row as it is now."""
    row = model._rows.get(key)
    return row is not None and row.view is model.view(key)


def agree(model: JobsModel, table: Table[JobView]) -> None:
    column, reverse = model.sort
    shown = [(f"dev/{uid}", view) for uid, view in table.rows().items() if passes(model, view)]
    shown.sort(key=lambda pair: (_SORTS[column](pair[1]), pair[0]), reverse=reverse)
    assert [model.row(i).key for i in range(model.count)] == [key for key, _ in shown]
    assert (model.count, model.total) == (len(shown), len(table))
    for index, (key, view) in enumerate(shown):
        assert model.index_of(key) == index
        assert model.view(key) is view
        assert model.row_of(key) == model.row(index)
        assert model.name_of(key) == f"{view.key.namespace}/{view.key.name}"
    hidden = {f"dev/{uid}" for uid in table} - {key for key, _ in shown}
    for key in hidden:
        assert model.exists(key)
        assert model.index_of(key) is None
        row, view = model.row_of(key), model.view(key)
        assert row is not None and view is not None and row.state == view.state.value
    assert model.row_of("dev/none") is None
    failed = sum(1 for view in table.values() if view.state is JobState.FAILED)
    assert (f"{failed} failed" in model.summary) == bool(failed)


def passes(model: JobsModel, view: JobView) -> bool:
    """By a model of its own, which was never told anything else."""
    fresh = model_of()
    fresh.set_faults(model.faults)
    fresh.set_filter(model.filter)
    table: Table[JobView] = Table()
    fresh.take("dev", table.apply({view.key.uid: view}), table.get)
    return fresh.count == 1


def test_what_is_gone_can_be_named_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_model, "_GONE_NAMES", 2)
    model, table = model_of(), Table[JobView]()
    rows = {str(n): view_of(n, 0, 0) for n in range(5)}
    model.take("dev", table.apply(rows), table.get)
    for number in range(5):
        model.take("dev", table.apply({}, [str(number)]), table.get)
    assert model.name_of("dev/4") == "ns1/train-4"
    assert model.name_of("dev/0") == "dev/0"
    assert len(model._gone_names) == 2


def test_a_change_of_many_rows_tests_only_those(monkeypatch: pytest.MonkeyPatch) -> None:
    model, table = model_of(), Table[JobView]()
    rows = {str(n): view_of(n, n, n) for n in range(10_000)}
    model.take("dev", table.apply(rows), table.get)
    model.set_filter("train")
    tested = []
    real = row_of

    def counted(view: JobView) -> Any:
        tested.append(view)
        return real(view)

    monkeypatch.setattr(jobs_model, "row_of", counted)
    newer = {str(n): msgspec.structs.replace(rows[str(n)], why="newer") for n in range(1_000)}
    model.take("dev", table.apply(newer), table.get)
    assert len(tested) == 1_000
    tested.clear()
    model.set_sort("", True)
    assert not tested


def test_ten_thousand_rows_are_filtered_and_sorted(capsys: pytest.CaptureFixture[str]) -> None:
    """The time is printed, not asserted: a busy machine proves nothing."""
    model, table = model_of(), Table[JobView]()
    rows = {str(n): view_of(n, n, n * 7919 % 10_000) for n in range(10_000)}
    model.take("dev", table.apply(rows), table.get)
    spent = {}
    for text in ("train-77", "state=failed", "/-9[0-9]* /", "team=t0 !oom"):
        begun = time.perf_counter()
        model.set_filter(text)
        spent[text] = time.perf_counter() - begun
        model.set_filter("")
        begun = time.perf_counter()
        model.set_filter(text)
        spent[f"{text} again"] = time.perf_counter() - begun
        assert 0 < model.count < 10_000
    model.set_filter("")
    begun = time.perf_counter()
    model.set_sort("since", True)
    spent["sort"] = time.perf_counter() - begun
    assert model.count == 10_000
    with capsys.disabled():
        print("10,000 rows:", {k: f"{v * 1000:.0f} ms" for k, v in spent.items()})
