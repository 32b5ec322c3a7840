"""No run is left out of a list: not by a failure, a pause, a deletion, or a clock that is ahead."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mcp_tui.domain.run import Experiment, Pair, Run, RunData, RunInfo
from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.mlflow import ExperimentPage, MlflowClient, RunPage
from mcp_tui.sources.mlflow import runs as source
from mcp_tui.store import experimentwatch, mlflowhealth, runwatch
from mcp_tui.store.experimentwatch import ExperimentWatch
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.store.turn import Turn
from tests.tui.fake_mlflow import until

NOW = int(time.time() * 1000)
HOUR = 3_600_000


def id_(number: int) -> str:
    return f"{number:032x}"


def run(
    number: int,
    start: int,
    *,
    status: str = "FINISHED",
    experiment: str = "1",
    parent: int | None = None,
    stage: str = "active",
) -> Run:
    named = () if parent is None else (Pair(key="mlflow.parentRunId", value=id_(parent)),)
    return Run(
        info=RunInfo(
            run_id=id_(number),
            run_name=f"r{number}",
            experiment_id=experiment,
            status=status,
            start_time=start,
            lifecycle_stage=stage,
        ),
        data=RunData(tags=named),
    )


class Server(MlflowClient):
    """Runs by id, newest first, in pages whose tokens count rows, as MLflow's SQL store's do."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs: dict[str, Run] = {}
        self.put(*runs)
        self.names = ["1"]
        self.asked: list[str] = []
        self.fails: Callable[[str], Exception | None] = lambda _: None
        self.holds: dict[str, asyncio.Event] = {}

    def put(self, *runs: Run) -> None:
        self.runs.update((each.run_id, each) for each in runs)

    def alive(self) -> set[str]:
        return {each.run_id for each in self.runs.values() if not each.is_deleted}

    async def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_: str = "",
        *,
        max_results: int = 100,
        page_token: str = "",
        view: str = "ACTIVE_ONLY",
        **_: Any,
    ) -> RunPage:
        kind = "ids" if " IN (" in filter_ else "new" if "start_time >" in filter_ else "page"
        self.asked.append(f"{kind} {page_token}".strip())
        await asyncio.sleep(0)
        if kind in self.holds:
            await self.holds[kind].wait()
        if (error := self.fails(filter_)) is not None:
            raise error
        found = [r for r in self.runs.values() if r.info.experiment_id in experiment_ids]
        if view == "ACTIVE_ONLY":
            found = [r for r in found if not r.is_deleted]
        if kind == "ids":
            ids = set(re.findall(r"'(\w+)'", filter_))
            found = [r for r in found if r.run_id in ids]
        if since := re.search(r"start_time > (\d+)", filter_):
            found = [r for r in found if r.info.start_time > int(since[1])]
        found.sort(key=lambda r: (-r.info.start_time, r.run_id))
        start = int(page_token or 0)
        end = start + max_results
        more = str(end) if end < len(found) else ""
        return RunPage(runs=tuple(found[start:end]), next_page_token=more)

    async def get_experiment(self, experiment_id: str) -> Experiment:
        return Experiment(experiment_id=experiment_id, name="e")

    async def search_experiments(self, **_: Any) -> ExperimentPage:
        return ExperimentPage(
            experiments=tuple(Experiment(experiment_id=each, name=each) for each in self.names)
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for at intervals is asked for soon."""
    monkeypatch.setattr(runwatch, "ON_SCREEN_EVERY", 0.01)
    monkeypatch.setattr(runwatch, "RESTS", 0.0)
    for name in ("NEW_EVERY", "NEW_AT_LEAST_EVERY", "OTHERS_EVERY"):
        monkeypatch.setattr(runwatch, name, 0.02)
    monkeypatch.setattr(mlflowhealth, "_FIRST_RETRY", 0.01)
    monkeypatch.setattr(experimentwatch, "NEW_EVERY", 0.02)
    monkeypatch.setattr(experimentwatch, "AGAIN_EVERY", 0.03)
    monkeypatch.setattr(experimentwatch, "_TICK", 0.01)


def watch(server: Server) -> RunWatch:
    return RunWatch(server, ["1"], (), health=MlflowHealth(), on_change=lambda _: None, turn=Turn())


def experiments(server: Server) -> ExperimentWatch:
    return ExperimentWatch(server, health=MlflowHealth(), on_change=lambda: None, turn=Turn())


@asynccontextmanager
async def looked_at(made: RunWatch | ExperimentWatch) -> AsyncIterator[None]:
    made.start()
    try:
        yield
    finally:
        await made.stop()


async def all_read(made: RunWatch) -> None:
    """Go down the list to its end."""

    def at_the_end() -> bool:
        made.more()
        return made.done

    await until(at_the_end)


async def asked(server: Server, what: str, times: int = 1) -> None:
    """Wait until a question was put that often from now on."""
    before = server.asked.count(what)
    await until(lambda: server.asked.count(what) >= before + times)


# -- pages -------------------------------------------------------------------------------------


def nested() -> list[Run]:
    runs = [run(n, NOW - HOUR - n * 1_000, parent=5_000 + n // 10) for n in range(300)]
    return runs + [run(5_000 + n, NOW - 9 * HOUR - n) for n in range(30)]


async def test_a_page_whose_parents_cannot_be_asked_for_is_not_lost() -> None:
    server = Server(nested())
    made = watch(server)
    async with looked_at(made):
        await until(lambda: made.list.rows)
        failed: list[str] = []

        def once(filter_: str) -> Exception | None:
            if " IN (" not in filter_ or failed:
                return None
            failed.append(filter_)
            return UnreachableError("no answer within 10 s")

        server.fails = once
        await all_read(made)
    assert failed
    assert set(made.list.rows) == server.alive()


async def test_a_page_whose_parents_are_asked_for_as_the_pane_is_left_is_not_lost() -> None:
    server = Server(nested())
    made = watch(server)
    async with looked_at(made):
        await until(lambda: not made.loading)
        server.holds["ids"] = asyncio.Event()
        made.more()
        await asked(server, "ids")
    server.holds.clear()
    async with looked_at(made):
        await all_read(made)
    assert set(made.list.rows) == server.alive()


async def test_a_page_in_hand_is_not_that_of_another_filter() -> None:
    server = Server(nested())
    made = watch(server)
    async with looked_at(made):
        await until(lambda: not made.loading)
        server.holds["ids"] = asyncio.Event()
        made.more()
        await asked(server, "ids")
    server.holds.clear()
    made.ask(("tags.a = 'b'",), ())
    async with looked_at(made):
        await until(lambda: not made.loading)
        assert len(made.list) == runwatch.FIRST_PAGE


async def test_rows_that_are_deleted_hide_none_of_the_pages_behind_them() -> None:
    server = Server(run(n, NOW - HOUR - n * 100_000) for n in range(300))
    made = watch(server)
    async with looked_at(made):
        await until(lambda: not made.loading)
        for n in range(30):
            server.put(run(n, NOW - HOUR - n * 100_000, stage="deleted"))
        made.visible([id_(n) for n in range(40)])
        await until(lambda: id_(29) not in made.list.rows)
        await all_read(made)
    assert set(made.list.rows) == server.alive()


async def test_a_list_is_not_done_when_rows_may_have_gone_before_its_last_page() -> None:
    server = Server(run(n, NOW - HOUR - n * 100_000) for n in range(300))
    made = watch(server)
    async with looked_at(made):
        await until(lambda: not made.loading)
        for n in range(30):
            server.put(run(n, NOW - HOUR - n * 100_000, stage="deleted"))
        await all_read(made)
        assert len(made.list) == 270, "the pages began too late"
        made.visible([id_(n) for n in range(40)])
        await until(lambda: set(made.list.rows) == server.alive() and not made.loading)
        assert made.done
        pages = len([each for each in server.asked if each.startswith("page")])
        await asked(server, "new", times=4)
        assert len([each for each in server.asked if each.startswith("page")]) == pages


async def test_rows_that_go_from_a_list_that_was_read_are_no_reason_to_read_it_again() -> None:
    server = Server(run(n, NOW - HOUR - n * 100_000) for n in range(300))
    made = watch(server)
    async with looked_at(made):
        await all_read(made)
        made.visible([id_(n) for n in range(40)])
        await asked(server, "ids", times=2)
        server.asked.clear()
        server.put(*(run(n, NOW - HOUR - n * 100_000, stage="deleted") for n in range(5)))
        await until(lambda: set(made.list.rows) == server.alive())
        made.more()
        await asked(server, "ids", times=2)
        assert made.done
    assert not [each for each in server.asked if each.startswith("page")]


async def test_asked_to_refresh_a_list_finds_what_was_written_late() -> None:
    server = Server(run(n, NOW - HOUR - n * 1_000) for n in range(150))
    made = watch(server)
    async with looked_at(made):
        await all_read(made)
        server.put(run(999, NOW - HOUR - 120_500))
        made.refresh()
        await until(lambda: set(made.list.rows) == server.alive())
        await until(lambda: made.done)


async def test_a_long_list_is_read_anew_as_its_end_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runwatch, "ANEW_AT_ONCE", 100)
    server = Server(run(n, NOW - HOUR - n * 1_000) for n in range(150))
    made = watch(server)
    async with looked_at(made):
        await all_read(made)
        server.put(run(999, NOW - HOUR - 120_500))
        server.asked.clear()
        made.refresh()
        await asked(server, "new", times=2)
        assert made.done and not [each for each in server.asked if each.startswith("page")]
        made.more()
        await until(lambda: set(made.list.rows) == server.alive() and not made.loading)
        server.asked.clear()
        made.more()
        await asked(server, "new", times=2)
        assert not [each for each in server.asked if each.startswith("page")], "once is enough"


async def test_a_walk_through_known_pages_may_take_longer_than_one_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runwatch, "SERVER_SORTS_IN", 0.1)
    server = Server(run(n, NOW - HOUR - n * 1_000) for n in range(600))
    made = watch(server)
    async with looked_at(made):
        made.ask(("",), ("metrics.f1 DESC",))
        await all_read(made)

        async def slowly(*args: Any, **how: Any) -> RunPage:
            await asyncio.sleep(0.03)
            return await Server.search_runs(server, *args, **how)

        monkeypatch.setattr(server, "search_runs", slowly)
        server.put(run(9_999, NOW - 2 * HOUR))
        made.refresh()
        await until(lambda: set(made.list.rows) == server.alive())
        assert not made.slow


# -- new runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [10, 1], ids=["read on", "too many to read on"])
async def test_new_runs_that_fill_several_pages_are_all_listed(
    monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(source, "NEW_PAGES", pages)
    server = Server(run(n, NOW - 9 * HOUR - n * 1_000) for n in range(50))
    made = watch(server)
    async with looked_at(made):
        await all_read(made)
    server.put(*(run(1_000 + n, NOW - HOUR + n * 1_000) for n in range(300)))
    async with looked_at(made):
        await asked(server, "new", times=2)
        if pages == 1:
            await until(lambda: len(made.list) > 150)
            assert not made.done, "there are more"
        await all_read(made)
        assert set(made.list.rows) == server.alive()


@pytest.mark.parametrize("newest", [NOW, NOW + HOUR], ids=["just now", "by clocks ahead"])
async def test_where_nothing_is_new_one_page_is_asked_for(newest: int) -> None:
    # All within the minute that is looked at again, or after it.
    server = Server(run(n, newest - n * 10) for n in range(400))
    made = watch(server)
    one = experiments(server)
    async with looked_at(made):
        await all_read(made)
        server.asked.clear()
        await asked(server, "new", times=3)
    async with looked_at(one):
        one.visible(["1"])
        await asked(server, "new", times=3)
    assert not [each for each in server.asked if each.startswith("new ")]


async def test_a_run_of_the_future_hides_none_that_start_now() -> None:
    server = Server([run(1, NOW + HOUR, status="RUNNING"), run(2, NOW - HOUR)])
    made = watch(server)
    async with looked_at(made):
        await all_read(made)
    server.put(run(3, NOW - HOUR // 2), run(4, NOW))
    async with looked_at(made):
        await until(lambda: set(made.list.rows) == server.alive())


async def test_runs_on_screen_that_one_search_does_not_take_have_their_turn() -> None:
    server = Server(run(n, NOW - HOUR - n * 100_000, status="RUNNING") for n in range(120))
    made = watch(server)
    async with looked_at(made):
        await all_read(made)
        made.visible([id_(n) for n in range(120)])
        server.put(*(run(n, NOW - HOUR - n * 100_000) for n in range(60, 120)))
        await until(lambda: sum(row.is_over for row in made.list.rows.values()) == 60)


# -- experiments -------------------------------------------------------------------------------


async def test_an_experiment_that_comes_back_on_screen_has_the_runs_of_meanwhile() -> None:
    server = Server([run(1, NOW - 9 * HOUR), run(2, NOW - 9 * HOUR, experiment="2")])
    server.names = ["1", "2"]
    made = experiments(server)
    async with looked_at(made):
        made.visible(["1", "2"])
        await until(lambda: {row.count for row in made.rows.values()} == {1})
        made.visible(["1"])
        # As if ten minutes had gone by since it went off the screen.
        made._reads["2"].asked = NOW - 600_000
        server.put(run(3, NOW - 300_000, status="RUNNING", experiment="2"), run(4, NOW))
        await until(lambda: made.rows["1"].count == 2)
        made.visible(["1", "2"])
        await until(lambda: made.rows["2"].count == 2)
        assert made.rows["2"].running == 1


@pytest.mark.parametrize("pages", [10, 1], ids=["read on", "too many to read on"])
async def test_runs_of_a_long_pause_are_all_counted_or_more_are_said(
    monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(source, "NEW_PAGES", pages)
    server = Server([run(1, NOW - 9 * HOUR)])
    made = experiments(server)
    async with looked_at(made):
        made.visible(["1"])
        await until(lambda: made.rows and made.rows["1"].count)
    made._reads["1"].asked = NOW - 2 * HOUR
    server.put(*(run(1_000 + n, NOW - HOUR + n * 1_000) for n in range(300)))
    async with looked_at(made):
        told = "301" if pages == 10 else "101+"
        await until(lambda: made.rows["1"].counted() == told)


async def test_asked_to_refresh_experiments_are_read_anew() -> None:
    server = Server(run(n, NOW - HOUR - n) for n in range(20))
    made = experiments(server)
    async with looked_at(made):
        made.visible(["1"])
        await until(lambda: made.rows and made.rows["1"].count == 20)
        for n in range(5):
            server.put(run(n, NOW - HOUR - n, stage="deleted"))
        server.put(run(999, NOW - 5 * HOUR))
        made.refresh()
        await until(lambda: made.rows["1"].counted() == "16")


async def test_read_anew_what_lies_behind_the_first_page_is_still_known() -> None:
    server = Server(run(n, NOW - HOUR - n * 1_000) for n in range(250))
    made, list_ = experiments(server), watch(server)
    async with looked_at(list_):
        await all_read(list_)
    async with looked_at(made):
        made.visible(["1"])
        await until(lambda: made.rows and made.rows["1"].counted() == "100+")
        made.read("1", list_.list.rows.values(), more=False)
        assert made.rows["1"].counted() == "250"
        for n in range(5):
            server.put(run(n, NOW - HOUR - n * 1_000, stage="deleted"))
        made.refresh()
        await until(lambda: made.rows["1"].counted() == "245")


async def test_an_experiment_s_runs_that_go_on_have_their_turn_and_go_when_deleted() -> None:
    server = Server(run(n, NOW - HOUR - n * 100_000, status="RUNNING") for n in range(90))
    made = experiments(server)
    async with looked_at(made):
        made.visible(["1"])
        await until(lambda: made.rows and made.rows["1"].running == 90)
        server.put(*(run(n, NOW - HOUR - n * 100_000) for n in range(60, 90)))
        await until(lambda: made.rows["1"].running == 60)
        server.put(*(run(n, NOW - HOUR - n * 100_000, stage="deleted") for n in range(30)))
        await until(lambda: (made.rows["1"].count, made.rows["1"].running) == (60, 30))
        del server.runs[id_(30)]
        await until(lambda: made.rows["1"].count == 59)


# -- stopping, waiting, refusing ---------------------------------------------------------------


@pytest.mark.parametrize("make", [watch, experiments])
async def test_what_is_stopped_and_started_in_one_turn_goes_on(
    make: Callable[[Server], RunWatch | ExperimentWatch],
) -> None:
    server = Server([run(1, NOW - HOUR)])
    made = make(server)
    async with looked_at(made):
        made.visible(["1"])
        await asked(server, "new")
        ending = asyncio.ensure_future(made.stop())
        made.start()
        await ending
        await asked(server, "new", times=2)


@pytest.mark.parametrize("make", [watch, experiments])
async def test_asked_to_refresh_what_waits_to_try_again_tries_at_once(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[Server], RunWatch | ExperimentWatch]
) -> None:
    monkeypatch.setattr(mlflowhealth, "_FIRST_RETRY", 60.0)
    server = Server([run(1, NOW - HOUR)])
    server.fails = lambda _: UnreachableError("down")
    made = make(server)
    health = made._health
    async with looked_at(made):
        made.visible(["1"])
        await until(lambda: health.health.state is HealthState.RETRYING)
        made.refresh()
        await asked(server, "page")
        await until(lambda: (health.health.retry_at or 0.0) > time.monotonic() + 50)
        assert (health.health.retry_at or 0.0) < time.monotonic() + 70, "and no later after that"
        server.fails = lambda _: None
        made.refresh()
        await until(lambda: health.health.state is HealthState.LIVE)


async def test_a_filter_that_was_replaced_is_refused_in_silence() -> None:
    server = Server([run(1, NOW - HOUR)])
    states: list[HealthState] = []
    made = RunWatch(
        server,
        ["1"],
        (),
        health=MlflowHealth(),
        on_change=lambda _: states.append(made._health.health.state),
        turn=Turn(),
    )
    server.fails = lambda f: ApiError("bad filter", status=400) if f == "bad" else None
    async with looked_at(made):
        await all_read(made)
        server.holds["page"] = asyncio.Event()
        made.ask(("bad",), ())
        await asked(server, "page")
        made.ask(("",), ())
        server.holds["page"].set()
        await until(lambda: made.done)
    assert HealthState.RETRYING not in states
    assert not made.refused
