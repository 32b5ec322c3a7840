"""What is kept of runs that were read, who is nested in whom, and how a list follows a server."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.cause_line import Cause
from mcp_tui.domain.direction import Direction
from mcp_tui.domain.editwords import edits_of
from mcp_tui.domain.filterkind import is_query
from mcp_tui.domain.history import History
from mcp_tui.domain.rerun import rerun_config
from mcp_tui.domain.run import Experiment, Pair, Run, RunData
from mcp_tui.domain.runedit import EditKind
from mcp_tui.domain.runrow import guessed_columns, row_of
from mcp_tui.domain.trainconfig import EXAMPLE, dump, parse_train_config
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.sources.base import HealthState
from mcp_tui.store import runlist
from mcp_tui.store.experimentwatch import ExperimentWatch
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.runlist import RunList
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.store.turn import Turn
from mcp_tui.tui.live.bests import Best, best_in
from tests.tui.fake_mlflow import FakeMlflow, run, until


def id_(number: int) -> str:
    return f"{number:032x}"


def tops(kept: RunList) -> set[str]:
    return {row.run_id for row in kept.rows.values() if kept.is_top(row)}


def shown(kept: RunList) -> list[str]:
    """Every run that a tree with all open shows, each as often as it shows it."""
    found: list[str] = []
    left = list(tops(kept))
    while left:
        found.append(left.pop())
        assert len(found) <= len(kept), "a circle"
        left += kept.children(found[-1])
    return found


# -- what is kept ------------------------------------------------------------------------------


def test_a_row_has_the_values_of_the_columns() -> None:
    row = row_of(run(1, f1=0.5, lr="0.1"), ("params.lr", "metrics.f1", "metrics.none"))
    assert row.values == ("0.1", 0.5, None)


def test_a_kept_cause_is_told_as_a_line() -> None:
    cause = Cause(reason="OOMKilled", evidence=True)
    tags = (Pair(key="mcp-tui.cause", value=cause.to_json()),)
    failed = Run(info=run(1, status="FAILED").info, data=RunData(tags=tags))
    assert row_of(failed, ()).cause == cause.line()
    assert "{" not in row_of(failed, ()).cause


def test_whole_runs_are_kept_of_the_newest_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlist, "WHOLE", 3)
    kept = RunList(("metrics.f1",))
    kept.take(run(n, f1=float(n)) for n in range(1, 11))
    assert len(kept) == 10
    assert [r.run_id for r in kept.wholes()] == [id_(8), id_(9), id_(10)]
    kept.choose(("metrics.f1", "params.lr"))
    assert kept.unread([id_(1), id_(10)]) == [id_(1)], "known of the whole ones at once"
    kept.take([run(1, f1=1.0, lr="0.1")])
    assert kept.rows[id_(1)].values == (1.0, "0.1")


def test_runs_with_much_in_them_push_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlist, "WEIGHT", 100)
    kept = RunList()
    kept.take(run(n, **{f"m{i}": 1.0 for i in range(50)}) for n in range(1, 5))
    assert [r.run_id for r in kept.wholes()] == [id_(4)]


def test_what_goes_into_the_bin_leaves_the_list_and_the_other_way_round() -> None:
    kept = RunList()
    kept.take([run(1), run(2)])
    assert kept.take([run(1, stage="deleted")]) == {id_(1)}
    assert set(kept.rows) == {id_(2)}
    binned = RunList(deleted=True)
    binned.take([run(1, stage="deleted"), run(2)])
    assert set(binned.rows) == {id_(1)}


def test_the_same_again_is_no_change() -> None:
    kept = RunList(("metrics.f1",))
    assert kept.take([run(1, f1=0.5)])
    assert not kept.take([run(1, f1=0.5)])
    assert kept.take([run(1, f1=0.6)]) == {id_(1)}


# -- who is in whom ----------------------------------------------------------------------------


def test_a_child_stands_at_the_top_until_its_parent_comes() -> None:
    kept = RunList()
    kept.take([run(2, parent=1)])
    assert kept.rows[id_(2)].lost
    touched = kept.take([run(1)])
    assert {id_(1), id_(2)} <= touched
    assert tops(kept) == {id_(1)}
    assert kept.children(id_(1)) == [id_(2)]
    kept.drop(id_(1))
    assert tops(kept) == {id_(2)}


def test_a_parent_is_as_new_as_the_newest_in_it() -> None:
    kept = RunList()
    kept.take([run(1, start=10), run(2, parent=1, start=20)])
    touched = kept.take([run(3, parent=2, start=99)])
    assert {id_(1), id_(2), id_(3)} == touched
    assert kept.rows[id_(1)].family == 99
    kept.take([run(1, start=10, f1=1.0)])
    assert kept.rows[id_(1)].family == 99, "read again, it is as new as it was"


@given(
    parents=st.lists(st.integers(min_value=0, max_value=8), min_size=8, max_size=8),
    order=st.permutations(range(1, 9)),
    gone=st.sets(st.integers(min_value=1, max_value=8)),
    again=st.lists(
        st.tuples(st.integers(min_value=1, max_value=8), st.integers(min_value=0, max_value=8)),
        max_size=6,
    ),
)
def test_whatever_parents_are_claimed_each_run_is_shown_once(
    parents: list[int], order: list[int], gone: set[int], again: list[tuple[int, int]]
) -> None:
    kept = RunList()
    for number in order:
        kept.take([run(number, parent=parents[number - 1])])
        assert sorted(shown(kept)) == sorted(kept.rows)
    for number, parent in again:
        kept.take([run(number, parent=parent)])
        assert sorted(shown(kept)) == sorted(kept.rows)
    for number in gone:
        kept.drop(id_(number))
        assert sorted(shown(kept)) == sorted(kept.rows)


# -- columns and words -------------------------------------------------------------------------


def test_columns_are_guessed_from_what_tells_most() -> None:
    runs = [
        run(1, loss=1.0, val_loss=1.0, f1=0.5, **{"system/gpu": 1.0}, lr="0.1", kind="a"),
        run(2, loss=1.0, val_loss=1.0, steps=3.0, lr="0.2", kind="a"),
    ]
    assert guessed_columns(runs) == (
        "metrics.val_loss",
        "metrics.loss",
        "metrics.f1",
        "params.lr",
    )


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("metrics.f1 > 0.9", True),
        ("(metrics.f1>0.9)", True),
        ("params.lr = '1' or tags.a = 'b'", True),
        ("status = 'FAILED'", True),
        ("status='FAILED'", True),
        ("start_time>5", True),
        ("run_name LIKE 'a%'", True),
        ("run_id in ('a')", True),
        ("status=failed", False),
        ("failed", False),
        ("run 7", False),
        ("/regex.x/", False),
        ("name", False),
        ("f1 > 0.9", False),
        ("", False),
        ("!status", False),
    ],
)
def test_which_filters_are_for_the_server(text: str, *, yes: bool) -> None:
    assert is_query(text) is yes


def test_changes_as_they_are_typed() -> None:
    tagged = edits_of('tag stage=prod old- "note=a b"')
    assert [(e.kind, e.key, e.value) for e in tagged] == [
        (EditKind.SET_TAG, "stage", "prod"),
        (EditKind.DELETE_TAG, "old", ""),
        (EditKind.SET_TAG, "note", "a b"),
    ]
    assert edits_of("rename a new name ")[0].value == "a new name"
    assert edits_of("delete")[0].kind is EditKind.DELETE
    assert edits_of("restore")[0].kind is EditKind.RESTORE
    for wrong in ("", "explode", "delete now", "tag", "tag x", "rename  ", "tag 'a=b", "tag -"):
        with pytest.raises(UsageError):
            edits_of(wrong)


def test_a_run_is_made_again_of_its_commit() -> None:
    tagged = run(1)
    tags = (
        Pair(key="mlflow.source.git.commit", value="a" * 40),
        Pair(key="mlflow.source.git.repoURL", value="https://git.example.com/x.git"),
        Pair(key="mcp-tui.param.lr", value="0.1"),
    )
    made = Run(info=tagged.info, data=RunData(tags=tags))
    kept = dump(parse_train_config(EXAMPLE))
    again = parse_train_config(rerun_config(made, kept=kept))
    assert again.code.ref == "a" * 40
    assert again.name == "churn"
    told = rerun_config(made, kept="not: [a config", experiment="ranker")
    assert "Not known of it: image." in told
    assert "lr: '0.1'" in told and "experiment: ranker" in told


def test_the_best_of_a_history_by_its_direction() -> None:
    seen = History(
        run_id="r", key="f1", steps=(0, 1, 2, 3), values=(0.2, 0.9, math.nan, 0.9), sampled=True
    )
    assert best_in(seen, Direction.HIGHER) == Best(value=0.9, step=1, about=True)
    assert best_in(seen, Direction.LOWER) == Best(value=0.2, step=0, about=True)
    assert best_in(seen, Direction.NEITHER) is None
    assert best_in(History(run_id="r", key="f1"), Direction.HIGHER) is None


# -- following ---------------------------------------------------------------------------------


def watch(server: FakeMlflow, columns: Sequence[str] | None = (), **more: Any) -> RunWatch:
    return RunWatch(
        server,  # type: ignore[arg-type]  # what it asks of it is there
        ["1"],
        columns,
        health=more.pop("health", MlflowHealth()),
        on_change=lambda _: None,
        turn=Turn(),
        **more,
    )


async def running(made: RunWatch | ExperimentWatch, body: Callable[[], Awaitable[None]]) -> None:
    made.start()
    try:
        await body()
    finally:
        await made.stop()


async def test_pages_come_as_the_end_is_near_and_not_before() -> None:
    server = FakeMlflow([run(n) for n in range(1, 26)])
    made = watch(server)

    async def body() -> None:
        await until(lambda: len(made.list) == 10)
        assert not made.done
        assert server.calls.count("search  attributes.start_time DESC") == 1
        made.more()
        made.more()
        await until(lambda: not made.loading)
        assert len(made.list) == 20, "asked twice, read once"
        made.more()
        await until(lambda: made.done)
        assert len(made.list) == 25
        made.more()
        assert not made.loading

    await running(made, body)


async def test_parents_that_are_far_down_come_with_their_children() -> None:
    runs = [run(n, parent=25) for n in range(1, 11)] + [run(n) for n in range(11, 26)]
    made = watch(FakeMlflow(runs))

    async def body() -> None:
        await until(lambda: len(made.list) == 11)
        assert tops(made.list) == {id_(25)}

    await running(made, body)


async def test_what_goes_on_is_read_again_and_what_is_new_is_found() -> None:
    server = FakeMlflow([run(n, status="RUNNING", f1=0.1) for n in range(1, 4)])
    made = watch(server, ("metrics.f1",))

    async def body() -> None:
        await until(lambda: made.done)
        made.visible([id_(1)])
        server.runs[0] = run(1, status="RUNNING", f1=0.2)
        server.runs.append(run(9, start=2_000_000, f1=0.9))
        made.refresh()
        await until(lambda: id_(9) in made.list.rows)
        assert made.list.rows[id_(1)].values == (0.2,)
        server.runs = [r for r in server.runs if r.run_id != id_(1)]
        made.refresh()
        await until(lambda: id_(1) not in made.list.rows)

    await running(made, body)


async def test_a_metric_is_sorted_by_the_server_until_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcp_tui.store.runwatch.SERVER_SORTS_IN", 0.05)
    server = FakeMlflow([run(n, f1=n / 100) for n in range(1, 26)])
    made = watch(server, ("metrics.f1",))

    async def body() -> None:
        await until(lambda: len(made.list) == 10)
        made.ask(("",), ("metrics.f1 DESC",))
        await until(lambda: not made.loading)
        assert set(made.list.rows) == {id_(n) for n in range(16, 26)}, "the ten best of all"
        assert not made.slow
        server.slow = 5.0
        made.ask(("",), ("metrics.f1 DESC",))
        await until(lambda: made.slow and not made.loading)
        assert set(made.list.rows) == {id_(n) for n in range(1, 11)}, "the ten newest"

    await running(made, body)


async def test_a_filter_that_the_server_refuses_is_said_and_not_asked_for_again() -> None:
    server = FakeMlflow([run(1)])
    health = MlflowHealth()
    made = watch(server, health=health)

    async def body() -> None:
        await until(lambda: made.done)
        made.ask(("bad",), ())
        await until(lambda: made.refused)
        assert "Invalid clause" in made.refused
        assert health.health.state is HealthState.LIVE, "the server is well"
        made.ask(("",), ())
        await until(lambda: made.done)
        assert not made.refused

    await running(made, body)
    assert sum("bad" in call for call in server.calls) == 1


async def test_a_server_that_is_away_is_said_and_what_was_read_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcp_tui.store.mlflowhealth._FIRST_RETRY", 0.01)
    server = FakeMlflow([run(n) for n in range(1, 26)])
    health = MlflowHealth()
    made = watch(server, health=health)

    async def body() -> None:
        await until(lambda: len(made.list) == 10)
        server.fails = UnreachableError("nobody there")
        made.more()
        await until(lambda: health.health.state is HealthState.RETRYING)
        assert "nobody there" in health.health.message
        assert len(made.list) == 10
        server.fails = None
        await until(lambda: len(made.list) == 20)

    await running(made, body)


async def test_an_experiment_that_is_deleted_meanwhile_is_said() -> None:
    server = FakeMlflow([run(1)])
    made = watch(server)

    async def body() -> None:
        await until(lambda: made.done)
        server.experiments = []
        made.refresh()
        await until(lambda: made.gone == ("1",))

    await running(made, body)


async def test_experiments_tell_what_was_read_of_those_on_screen_only() -> None:
    server = FakeMlflow([run(n, status="RUNNING" if n == 1 else "FAILED") for n in range(1, 26)])
    server.experiments = [Experiment(experiment_id=str(n), name=f"e{n}") for n in range(1, 4)]
    made = ExperimentWatch(
        server,  # type: ignore[arg-type]  # what it asks of it is there
        health=MlflowHealth(),
        on_change=lambda: None,
        turn=Turn(),
    )

    async def body() -> None:
        await until(lambda: made.synced)
        assert all(row.count is None for row in made.rows.values())
        made.visible(["1"])
        await until(lambda: made.rows["1"].count is not None)
        row = made.rows["1"]
        assert (row.counted(), row.running, row.failed) == ("10+", 1, 9)
        assert made.rows["2"].count is None
        made.read("1", [row_of(run(n), ()) for n in range(1, 1_235)], True)
        assert made.rows["1"].counted() == "1,234+"

    await running(made, body)
