"""The live Runs pane over servers in memory: what is asked, sorted, joined and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mcp_tui.domain.run import Experiment
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.turn import Turn
from mcp_tui.tui.live.runs_model import LiveRuns
from tests.tui.fake_mlflow import FakeMlflow, run, until


class Backend:
    """As much of the live backend as the part needs."""

    def __init__(self, servers: dict[str, FakeMlflow | None], folder: Path) -> None:
        self.config = SimpleNamespace(state_dir=folder, metrics=None)
        self.turn = Turn()
        self.told = 0
        self.tasks: list[asyncio.Task[Any]] = []
        absent = SourceHealth(name="mlflow", state=HealthState.ABSENT)
        self.lives = {
            name: SimpleNamespace(
                name=name,
                connection=SimpleNamespace(mlflow=server),
                store=JobStore(name),
                feed=SimpleNamespace(namespace="ml", synced=True, mlflow_health=absent),
                asked=None,
            )
            for name, server in servers.items()
        }

    def tell(self) -> None:
        self.told += 1

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]


@asynccontextmanager
async def pane(folder: Path, **servers: FakeMlflow | None) -> AsyncIterator[LiveRuns]:
    """The part, looked at."""
    backend = Backend(servers, folder)
    made = LiveRuns(backend)  # type: ignore[arg-type]  # what it needs of it is there
    made.reopen()
    made.front(True)
    try:
        yield made
    finally:
        made.front(False)
        await made.stop()
        for task in backend.tasks:
            task.cancel()


def shown(made: LiveRuns) -> list[str]:
    at = [c.id for c in made.columns].index("name")
    return [made.row(n).cells[at].text for n in range(made.count)]


async def opened(made: LiveRuns, *keys: str) -> None:
    await until(lambda: made.phase == "ready" and made.count)
    made.enter(keys or ("dev/1",))
    await until(lambda: made.phase == "ready" and made.count)


async def test_nothing_is_asked_while_nobody_looks(tmp_path: Path) -> None:
    server = FakeMlflow([run(1, status="RUNNING")])
    async with pane(tmp_path, dev=server) as made:
        await opened(made)
        made.front(False)
        await asyncio.sleep(0)
        asked = len(server.calls)
        made.refresh()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(server.calls) == asked
        server.runs.append(run(7, start=2_000_000))
        made.front(True)
        await until(lambda: made.total == 2)


async def test_in_and_out_before_anything_else_runs_the_experiments_are_followed_still(
    tmp_path: Path,
) -> None:
    server = FakeMlflow([run(1)])
    async with pane(tmp_path, dev=server) as made:
        await until(lambda: made.phase == "ready" and made.count)
        made.enter(("dev/1",))
        assert made.leave() == "dev/1"
        await asyncio.sleep(0)
        server.experiments.append(Experiment(experiment_id="2", name="two"))
        made.refresh()
        await until(lambda: made.count == 2)


async def test_a_metric_sorts_on_the_server_where_there_is_more_and_here_where_not(
    tmp_path: Path,
) -> None:
    server = FakeMlflow([run(n, f1=n / 100, lr=str(n)) for n in range(1, 26)])
    async with pane(tmp_path, dev=server) as made:
        await opened(made)
        assert made.summary == "10+ runs"
        made.set_sort("metrics.f1", False)
        assert not made.order.endswith("read")
        await until(lambda: made.count)
        assert shown(made)[0] == "run-25"
        assert made.order == "by f1, by the server"
        made.set_sort("params.lr", False)
        await until(lambda: made.count)
        assert made.order == "by lr, over 10 read"
        made.set_sort("", False)
        for _ in range(3):
            made.near(made.count)
            await until(lambda: not made._watches()[0].loading)
        asked = len(server.calls)
        made.set_sort("metrics.f1", True)
        assert (shown(made)[0], made.order) == ("run-1", "by f1, reversed")
        assert len(server.calls) == asked, "all of it is here"


async def test_columns_are_guessed_then_chosen_then_remembered(tmp_path: Path) -> None:
    server = FakeMlflow([run(n, val_loss=0.1, f1=0.5, lr=str(n)) for n in range(1, 4)])
    async with pane(tmp_path, dev=server) as made:
        assert made.choose_columns("f1")[1] is False, "no experiment is open"
        await opened(made)
        assert made.runs.chosen == ("metrics.val_loss", "metrics.f1", "params.lr")
        assert made.choose_columns("nonsense") == (
            "no metric, parameter or tag is called nonsense in what was read",
            False,
        )
        assert made.choose_columns("lr metrics.later")[1]
        assert made.runs.chosen == ("params.lr", "metrics.later"), "one that will come may be named"
    async with pane(tmp_path, dev=server) as again:
        await opened(again)
        assert again.runs.chosen == ("params.lr", "metrics.later")
        again.choose_columns("default")
        await until(lambda: again.count)
        assert again.runs.chosen[0] == "metrics.val_loss"


async def test_a_filter_of_the_server_s_is_asked_once_and_its_refusal_said(tmp_path: Path) -> None:
    server = FakeMlflow([run(n, f1=0.5) for n in range(1, 4)])
    async with pane(tmp_path, dev=server) as made:
        await opened(made)
        assert "missing" in made.ask("metrics.f1 >") or made.query == ""
        assert made.ask("metrics.f1 > 0.1 or metrics.bad > 1") == ""
        await until(lambda: made.trouble)
        assert "refused by MLflow" in made.trouble
        assert made.ask("") == ""
        await until(lambda: made.count == 3)
        assert not made.trouble
        assert made.completions("metrics.f") == ["metrics.f1"]


async def test_a_run_whose_job_is_gone_is_marked(tmp_path: Path) -> None:
    tags = {
        "mcp-tui.cluster": "dev",
        "mcp-tui.kind": "Job",
        "mcp-tui.namespace": "ml",
        "mcp-tui.name": "train-7",
        "mcp-tui.uid": "u7",
    }
    server = FakeMlflow([run(1, status="RUNNING", tags=tags), run(2, status="RUNNING")])
    async with pane(tmp_path, dev=server) as made:
        await opened(made)
        at = made.index_of(f"dev/{1:032x}")
        assert at is not None
        assert made.row(at).state == "stalled"
        assert "job gone" in [cell.text for cell in made.row(at).cells]
        other = made.index_of(f"dev/{2:032x}")
        assert other is not None
        assert made.row(other).state == "running", "nothing says that it ever had a job"


async def test_runs_of_two_contexts_stand_together(tmp_path: Path) -> None:
    one = FakeMlflow([run(n) for n in (1, 3)])
    two = FakeMlflow([run(n) for n in (2, 4)])
    async with pane(tmp_path, dev=one, prod=two) as made:
        await until(lambda: made.count == 2)
        await opened(made, "dev/1", "prod/1")
        await until(lambda: made.count == 4)
        assert shown(made) == ["run-1", "run-2", "run-3", "run-4"], "the newest first"
        assert made.leave() == "dev/1"
        assert made.level == "experiments"


async def test_no_mlflow_and_one_that_is_away_are_said(tmp_path: Path) -> None:
    async with pane(tmp_path, dev=None) as made:
        assert made.phase == "ready"
        assert "no MLflow is configured or found for dev" in made.note[0]
    away = FakeMlflow([])
    away.fails = UnreachableError("nobody there")
    away.experiments = [Experiment(experiment_id="1", name="one")]
    async with pane(tmp_path, dev=away) as made:
        await until(lambda: made.phase == "broken")
        assert any("nobody there" in line for line in made.note)
