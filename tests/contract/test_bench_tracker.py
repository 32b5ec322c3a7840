"""What the bench's runs look like to who asks the server, at a size that is seeded in a moment."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_tui.domain.run import Run
from mcp_tui.domain.runtree import nest
from mcp_tui.sources.mlflow import MlflowClient
from tests.bench.runs_figures import client_of
from tests.bench.tracker import FIRST, LIVE_METRIC, LONG_METRIC, Size, Tracker, seed, serve

pytestmark = pytest.mark.real

SIZE = Size(runs=240, experiments=4, running=5, points=3_000, wide=3, width=7)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    database = tmp_path_factory.mktemp("tracker") / "seeded.db"
    seed(database, SIZE)
    with serve(SIZE, database=database) as at:
        yield at


async def every(client: MlflowClient, experiments: list[str]) -> list[Run]:
    search, found = client.runs_in_order(experiments), []
    while page := await search.next_page():
        found += page
    return found


async def test_the_server_tells_of_as_many_as_were_seeded(tracker: Tracker) -> None:
    async with client_of(tracker) as client:
        experiments = (await client.search_experiments()).experiments
        ids = {each.experiment_id for each in experiments}
        assert ids - {"0"} == set(tracker.experiment_ids())
        runs = await every(client, tracker.experiment_ids())
        wide = await every(client, [SIZE.wide_experiment])
    assert len(wide) == SIZE.wide
    runs = [run for run in runs if run.info.experiment_id != SIZE.wide_experiment]
    assert [run.run_id for run in runs] == [SIZE.run(n) for n in reversed(range(SIZE.runs))]
    assert set(Counter(run.info.experiment_id for run in runs).values()) == {60}
    assert Counter(run.info.status for run in runs[:10]).get("RUNNING") == SIZE.running
    assert {run.info.status for run in runs[10:]} == {"FINISHED", "FAILED", "KILLED"}
    assert all(bool(run.info.end_time) == run.is_over for run in runs)
    assert {node.depth for node in nest(runs)} == {0, 1}
    assert sum(bool(run.parent_run_id) for run in runs) == SIZE.runs * 3 // 10
    one = runs[7]
    assert (len(one.params), len(one.metrics)) == (8, 6)
    assert one.name == one.tags["mlflow.runName"]
    assert one.info.start_time == FIRST + (SIZE.runs - 8) * 60_000
    assert [(used.dataset.name, used.context) for used in one.datasets] == [("clicks", "training")]
    assert all((len(run.params), len(run.metrics)) == (7, 7) for run in wide)


async def test_its_metrics_have_a_past(tracker: Tracker) -> None:
    run = SIZE.run(SIZE.runs - 1)
    async with client_of(tracker) as client:
        seen = await client.counted((await client.histories([run], LONG_METRIC))[run])
        assert seen.said() == f"320 of about {SIZE.points:,}"
        newest = (await client.get_run(run)).metrics
        assert newest[LONG_METRIC].step == SIZE.points - 1
        (point,) = await client.history([run], LIVE_METRIC)
        assert (point.step, point.value) == (newest[LIVE_METRIC].step, newest[LIVE_METRIC].value)
        best = await client.search_runs(
            tracker.experiment_ids(), order_by=["metrics.accuracy DESC"], max_results=20
        )
    values = [each.metrics["accuracy"].number for each in best.runs]
    assert values == sorted(values, reverse=True)


def test_the_planner_knows_how_much_there_is(tmp_path: Path) -> None:
    seed(tmp_path / "seeded.db", SIZE)
    with sqlite3.connect(tmp_path / "seeded.db") as db:
        told = dict(db.execute("SELECT tbl, max(stat) FROM sqlite_stat1 GROUP BY tbl"))
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert int(told["runs"].split()[0]) == SIZE.runs + SIZE.wide
