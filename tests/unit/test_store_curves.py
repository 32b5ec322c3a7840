"""Histories kept up to date: what is asked of the server, and what is known after it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.history import History, estimated, history_of, later, with_part
from mcp_tui.domain.run import Metric, Run, RunData, RunInfo
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.curves import CurveBook
from mcp_tui.tui.live import curves
from mcp_tui.tui.live.curves import LiveCurves


@dataclass
class Server:
    """As much of a server as a book asks for: points by run and metric."""

    points: dict[tuple[str, str], list[Metric]] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    fails: int = 0
    meanwhile: Callable[[], Awaitable[None]] | None = None

    def log(self, run: str, key: str, *values: float, start: int = 0) -> None:
        line = self.points.setdefault((run, key), [])
        begin = start or (line[-1].step + 1 if line else 0)
        line += [
            Metric(key=key, value=value, step=begin + n, timestamp=1_000 * (begin + n + 1))
            for n, value in enumerate(values)
        ]

    def run(self, run_id: str) -> Run:
        # As MLflow has it: of the largest step, and of that the newest.
        newest = tuple(
            max(line, key=lambda m: (m.step, m.timestamp))
            for (run, _), line in self.points.items()
            if run == run_id
        )
        status = "FINISHED" if run_id in self.over else "RUNNING"
        info = RunInfo(run_id=run_id, experiment_id="1", status=status)
        return Run(info=info, data=RunData(metrics=newest))

    async def histories(
        self,
        run_ids: Iterable[str],
        key: str,
        *,
        steps: tuple[int, int] | None = None,
        max_points: int = 320,
    ) -> dict[str, History]:
        ids = list(run_ids)
        self.asked.append(f"{key} of {','.join(ids)} {steps or 'all'}")
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        if self.fails:
            self.fails -= 1
            raise UnreachableError("no answer")
        found = {}
        for run in ids:
            every = self.points.get((run, key), [])
            inside = [m for m in every if steps is None or steps[0] <= m.step <= steps[1]]
            stride = max(1, math.ceil(len(inside) / max_points))
            some = inside[::stride]
            if stride > 1 and some[-1] is not inside[-1]:
                some.append(inside[-1])
            found[run] = history_of(run, key, some, sampled=stride > 1)
        return found

    async def tail(self, run_id: str, key: str, since: int) -> History:
        found = await self.histories([run_id], key, steps=(since, 2**63 - 1))
        return found[run_id]

    async def counted(self, seen: History) -> History:
        self.asked.append(f"count {seen.run_id}")
        return estimated(seen, 1, len(self.points[seen.run_id, seen.key]) // (seen.steps[-1] + 1))

    async def newest(self, run_ids: Iterable[str], experiments: Sequence[str]) -> dict[str, Run]:
        self.asked.append("newest")
        return {run_id: self.run(run_id) for run_id in run_ids}


def book(server: Server, *run_ids: str) -> CurveBook:
    return CurveBook(cast(MlflowClient, server), [server.run(run_id) for run_id in run_ids])


def values(made: CurveBook, run: str, key: str = "loss") -> tuple[float, ...]:
    found = made.history(run, key)
    assert found is not None
    return found.values


async def test_what_is_known_is_not_asked_again() -> None:
    server = Server()
    server.log("a", "loss", 3, 2, 1)
    made = book(server, "a")
    assert made.history("a", "loss") is None
    await made.load(["loss"])
    await made.load(["loss"])
    assert server.asked == ["loss of a all"]
    assert values(made, "a") == (3, 2, 1)
    await made.load(["loss"], points=1_000)
    assert len(server.asked) == 2, "more points are read anew"


async def test_a_run_that_is_over_is_never_asked_again() -> None:
    server = Server(over={"a"})
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    server.asked.clear()
    assert not await made.follow(["loss"])
    assert server.asked == []


async def test_what_was_logged_since_is_read_from_the_last_step_on() -> None:
    server = Server()
    server.log("a", "loss", 3, 2)
    server.log("b", "loss", 9)
    made = book(server, "a", "b")
    await made.load(["loss"])
    assert not await made.follow(["loss"]), "nothing new"
    server.asked.clear()
    server.log("a", "loss", 1, math.nan)
    assert await made.follow(["loss"])
    assert server.asked == ["newest", f"loss of a (1, {2**63 - 1})"]
    found = made.history("a", "loss")
    assert found is not None
    assert found.values[:3] == (3, 2, 1)
    assert (found.nan, found.total) == (1, 4)
    assert values(made, "b") == (9,)


async def test_a_metric_that_begins_later_is_read_whole() -> None:
    server = Server()
    server.log("a", "other", 1)
    made = book(server, "a")
    await made.load(["loss"])
    assert values(made, "a") == ()
    server.log("a", "loss", 5, 4)
    assert await made.follow(["loss"])
    assert values(made, "a") == (5, 4)


async def test_the_last_points_of_a_run_that_ends_are_there() -> None:
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", 2)
    server.over.add("a")
    assert await made.follow(["loss"])
    assert values(made, "a") == (3, 2)
    assert made.running == ()


async def test_the_end_of_a_run_is_read_though_it_failed_at_first() -> None:
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", 2)
    server.over.add("a")
    server.fails = 1
    with pytest.raises(UnreachableError):
        await made.follow(["loss"])
    assert made.running == () and made.goes_on(["loss"])
    assert await made.follow(["loss"])
    assert values(made, "a") == (3, 2)
    assert not made.goes_on(["loss"])


async def test_a_metric_that_was_not_in_front_when_its_run_ended_gets_its_end() -> None:
    server = Server()
    server.log("a", "loss", 3)
    server.log("a", "f1", 0.1)
    made = book(server, "a")
    await made.load(["loss", "f1"])
    server.log("a", "f1", 0.2)
    server.over.add("a")
    await made.follow(["loss"])
    assert not made.goes_on(["loss"])
    assert await made.follow(["f1"])
    assert values(made, "a", "f1") == (0.1, 0.2)


async def test_what_could_not_be_read_is_drawn_when_it_could_and_the_fault_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curves, "_FAILING", 0.0)
    monkeypatch.setattr(curves, "PACE", 0.0)
    monkeypatch.setattr(curves, "SHARE", 0.0)
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", 2)
    server.fails = 1
    follows = LiveCurves({"dev": made}, [("dev", "a")]).changes(["loss"])
    assert "no answer" in await anext(follows)
    assert values(made, "a") == (3,)
    assert await anext(follows) == ""
    assert values(made, "a") == (3, 2)
    await follows.aclose()  # type: ignore[attr-defined]  # a generator


async def test_a_run_is_followed_until_its_end_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_FAILING", 0.0)
    monkeypatch.setattr(curves, "PACE", 0.0)
    monkeypatch.setattr(curves, "SHARE", 0.0)
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", 2)
    server.over.add("a")
    server.fails = 1
    follows = LiveCurves({"dev": made}, [("dev", "a")]).changes(["loss"])
    assert [bool(told) async for told in follows] == [True, False]
    assert values(made, "a") == (3, 2)


async def test_that_a_server_answers_again_is_told_though_nothing_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curves, "_FAILING", 0.0)
    monkeypatch.setattr(curves, "PACE", 0.0)
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    newest = server.newest

    async def down(run_ids: Iterable[str], experiments: Sequence[str]) -> dict[str, Run]:
        server.newest = newest  # type: ignore[method-assign]  # a fake's
        raise UnreachableError("no answer")

    server.newest = down  # type: ignore[method-assign]  # a fake's
    follows = LiveCurves({"dev": made}, [("dev", "a")]).changes(["loss"])
    assert "no answer" in await anext(follows)
    assert await asyncio.wait_for(anext(follows), 5) == ""
    await follows.aclose()  # type: ignore[attr-defined]  # a generator


async def test_points_of_a_run_that_was_resumed_are_there_when_it_is_where_it_was() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(101)))
    made = book(server, "a")
    await made.load(["loss"])
    await resumed(server, "a", range(50, 100))
    await made.follow(["loss"])
    assert len(values(made, "a")) == 101, "no search tells of these"
    server.asked.clear()
    await resumed(server, "a", range(100, 106))
    await made.follow(["loss"])
    assert len(values(made, "a")) == 157
    assert server.asked == ["newest", f"loss of a (100, {2**63 - 1})", "loss of a all"]
    # It is read anew once, and followed as before.
    server.asked.clear()
    await resumed(server, "a", range(106, 108))
    await made.follow(["loss"])
    assert server.asked == ["newest", f"loss of a (105, {2**63 - 1})"]


async def resumed(server: Server, run: str, steps: Iterable[int]) -> None:
    """A run logs steps again, later."""
    line = server.points[run, "loss"]
    last = max(m.timestamp for m in line)
    line += [
        Metric(key="loss", value=0.5, step=step, timestamp=last + 1_000 * n)
        for n, step in enumerate(steps, 1)
    ]


async def test_points_of_a_run_that_was_resumed_are_there_when_it_ends() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(101)))
    made = book(server, "a")
    await made.load(["loss"])
    await resumed(server, "a", range(50, 80))
    server.over.add("a")
    await made.follow(["loss"])
    assert len(values(made, "a")) == 131
    server.asked.clear()
    assert not await made.follow(["loss"])
    assert server.asked == []


async def test_several_points_of_a_step_are_no_return_to_it() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(101)))
    made = book(server, "a")
    await made.load(["loss"])
    server.points["a", "loss"].append(Metric(key="loss", value=7, step=100, timestamp=101_500))
    server.asked.clear()
    await made.follow(["loss"])
    assert len(values(made, "a")) == 102
    assert server.asked == ["newest", f"loss of a (100, {2**63 - 1})"]


async def test_what_was_followed_is_not_made_coarser_by_the_end() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(300)))
    made = book(server, "a")
    await made.load(["loss"])
    for _ in range(3):
        server.log("a", "loss", *(float(n) for n in range(100)))
        await made.follow(["loss"])
    server.over.add("a")
    await made.follow(["loss"])
    found = made.history("a", "loss")
    assert found is not None and (len(found), found.sampled, found.total) == (600, False, 600)


async def test_a_burst_that_is_sampled_is_read_anew() -> None:
    server = Server()
    server.log("a", "loss", *range(10))
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", *range(5_000))
    await made.follow(["loss"])
    found = made.history("a", "loss")
    assert found is not None
    assert found.sampled
    assert found.last_step == 5_009


async def test_runs_of_different_lengths_keep_their_totals() -> None:
    server = Server()
    server.log("long", "loss", *range(5_000))
    server.log("short", "loss", 1, 2)
    made = book(server, "long", "short")
    await made.load(["loss"])
    assert await made.count(["loss"])
    before = made.history("long", "loss")
    assert before is not None and before.total is not None
    server.log("long", "loss", 7)
    server.log("short", "loss", 7)
    await made.follow(["loss"])
    after = made.history("long", "loss")
    assert after is not None
    assert after.total == before.total + 1
    assert values(made, "short") == (1, 2, 7)


async def test_one_call_for_several_runs_counts_no_point_twice() -> None:
    server = Server()
    server.log("ahead", "loss", *range(5_000))
    server.log("behind", "loss", *range(4_900))
    made = book(server, "ahead", "behind")
    await made.load(["loss"])
    await made.count(["loss"])
    before = made.history("ahead", "loss")
    assert before is not None and before.total is not None
    server.log("ahead", "loss", 7)
    server.log("behind", "loss", 7)
    server.asked.clear()
    await made.follow(["loss"])
    assert len(server.asked) == 2, "one search, one call for both"
    after = made.history("ahead", "loss")
    assert after is not None
    assert after.total == before.total + 1
    assert len(after) == len(before) + 1


async def test_what_was_read_is_not_read_again() -> None:
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", 2)
    await made.follow(["loss"])
    server.asked.clear()
    await made.follow(["loss"])
    assert server.asked == ["newest"]


async def test_a_closer_look_has_all_points_of_its_part() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(10_000)))
    made = book(server, "a")
    await made.load(["loss"])
    whole = made.history("a", "loss")
    assert whole is not None
    assert await made.look({("a", "loss"): (100, 200)})
    found = made.history("a", "loss")
    assert found is not None
    assert set(range(100, 201)) <= set(found.steps)
    assert list(found.steps) == sorted(set(found.steps))
    assert found.steps[-1] == 9_999, "the rest is still there"
    assert not await made.look({("a", "loss"): (100, 200)}), "it is there already"
    await made.look({})
    assert made.history("a", "loss") is whole


async def test_what_is_whole_needs_no_closer_look() -> None:
    server = Server()
    server.log("a", "loss", 1, 2, 3)
    made = book(server, "a")
    await made.load(["loss"])
    assert not await made.look({("a", "loss"): (0, 1)})
    assert len(server.asked) == 1


async def test_points_that_come_while_one_looks_closer_are_there() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(10_000)))
    made = book(server, "a")
    await made.load(["loss"])
    await made.look({("a", "loss"): (9_900, 20_000)})
    server.log("a", "loss", 0.5)
    await made.follow(["loss"])
    found = made.history("a", "loss")
    assert found is not None
    assert (found.steps[-1], found.values[-1]) == (10_000, 0.5)


async def test_a_refresh_reads_all_anew() -> None:
    server = Server()
    server.log("a", "loss", 1)
    made = book(server, "a")
    await made.load(["loss"])
    server.points["a", "loss"].insert(0, Metric(key="loss", value=9.0, step=-5, timestamp=1))
    await made.refresh()
    await made.load(["loss"])
    assert values(made, "a") == (9.0, 1.0)


async def test_a_refresh_that_fails_leaves_curves_that_go_on() -> None:
    server = Server()
    server.log("a", "loss", 3)
    made = book(server, "a")
    await made.load(["loss"])
    await made.refresh()
    server.fails = 1
    with pytest.raises(UnreachableError):
        await made.load(["loss"])
    server.log("a", "loss", 2)
    assert await made.follow(["loss"])
    assert values(made, "a") == (3, 2)
    server.asked.clear()
    await made.load(["loss"])
    assert server.asked == ["loss of a all"], "it is still wanted anew"


async def test_a_refresh_while_more_is_read_breaks_nothing() -> None:
    server = Server()
    server.log("a", "loss", *(float(n) for n in range(10_000)))
    made = book(server, "a")
    await made.load(["loss"])
    server.log("a", "loss", 7)
    server.meanwhile = made.refresh
    assert await made.follow(["loss"])
    server.meanwhile = made.refresh
    assert await made.look({("a", "loss"): (100, 200)})
    await made.refresh()
    assert not await made.look({})
    assert values(made, "a")[-1] == 7


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=60, unique=True),
    st.integers(-60, 60),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_a_part_takes_the_place_of_what_was_there(
    steps: list[int], low: int, span: int, stride: int
) -> None:
    points = [Metric(key="m", value=float(s), step=s, timestamp=1) for s in sorted(steps)]
    whole = history_of("a", "m", points[::stride], sampled=True)
    window = (low, low + span)
    part = history_of("a", "m", [p for p in points if low <= p.step <= low + span])
    joined = with_part(whole, part, window)
    assert list(joined.steps) == sorted(set(joined.steps)), "each step once"
    assert set(joined.steps) == set(whole.steps) | set(part.steps)
    assert list(joined.values) == [float(s) for s in joined.steps]


@given(st.lists(st.integers(-9, 9), max_size=20), st.integers(-12, 12))
def test_what_is_later_is_counted_anew(steps: list[int], since: int) -> None:
    points = [
        Metric(key="m", value="NaN" if n % 3 == 0 else 1.0, step=s, timestamp=1 + n)
        for n, s in enumerate(steps)
    ]
    found = later(history_of("a", "m", points), since)
    same = history_of("a", "m", [p for p in points if p.step >= since])
    assert (found.steps, found.nan, found.total, found.repeated) == (
        same.steps, same.nan, same.total, same.repeated,
    )  # fmt: skip


def test_the_fake_server_samples() -> None:
    server = Server()
    server.log("a", "loss", *range(1_000))
    found = asyncio.run(server.histories(["a"], "loss"))["a"]
    assert found.sampled and len(found) <= 321
