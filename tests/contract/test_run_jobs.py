"""What a real cluster says of the jobs that runs name: there, over, gone, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from mcp_tui.cli.output import Printer
from mcp_tui.cli.runjobs import links
from mcp_tui.cli.runviews import shown
from mcp_tui.cli.tracker import Tracker
from mcp_tui.config import Config, ContextConfig
from mcp_tui.domain import keys
from mcp_tui.domain.job import JobState
from mcp_tui.domain.run import Pair, Run, RunData, RunInfo
from mcp_tui.store.runs import RunTracker
from tests.cluster import Ground
from tests.faults.acting import Actor, acting
from tests.faults.proxy import Answer, Fault

pytestmark = pytest.mark.real


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


def of_job(number: int, namespace: str, name: str, uid: str, *, context: str = "dev",
           status: str = "RUNNING") -> Run:  # fmt: skip
    tags = {keys.TAG_CLUSTER: context, keys.TAG_NAMESPACE: namespace, keys.TAG_KIND: "Job",
            keys.TAG_NAME: name, keys.TAG_UID: uid}  # fmt: skip
    return Run(
        info=RunInfo(run_id=f"{number:032x}", status=status),
        data=RunData(tags=tuple(Pair(key=k, value=v) for k, v in tags.items())),
    )


def tracker(actor: Actor) -> Tracker:
    there = SimpleNamespace(kube=actor.engine.kube, info=SimpleNamespace(name="dev"))
    client = actor.engine.mlflow_client
    assert client is not None
    return Tracker(client, Config(), ContextConfig(), Printer(color=False), cast(Any, there))


async def test_a_run_that_says_running_though_its_job_is_over_is_marked(actor: Actor) -> None:
    going = await actor.make("going")
    over = await actor.make("over")
    await actor.finish("over", "Failed")
    space = actor.namespace
    runs = [
        of_job(1, space, "going", going.uid),
        of_job(2, space, "over", over.uid),
        of_job(3, space, "was", "00000000-0000-4000-8000-000000000000"),
        of_job(4, space, "going", "00000000-0000-4000-8000-000000000000"),
        of_job(5, space, "was", "00000000-0000-4000-8000-000000000000", context="elsewhere"),
        of_job(6, "../x", "a?b", "u"),
        Run(info=RunInfo(run_id=f"{7:032x}", status="RUNNING")),
    ]
    found, problem = await links(tracker(actor), runs)
    assert not problem
    views = {r.run_id[-1]: shown(r, RunTracker(), {}, found.get(r.run_id)) for r in runs}
    assert {n for n, view in views.items() if view.dead} == {"2", "3", "4"}
    assert views["2"].mark[1] == "job over" and "DeadlineExceeded" in views["2"].note
    assert "its job is gone" in views["3"].note
    job = views["1"].job
    assert job is not None and job.view is not None and job.view.state is not JobState.FAILED
    assert views["5"].note == "" and views["7"].job is None
    # Those that are over are asked for only where somebody wants to know.
    ended = of_job(8, space, "over", over.uid, status="FAILED")
    found, _ = await links(tracker(actor), [ended])
    assert found[ended.run_id].view is None
    found, _ = await links(tracker(actor), [ended], every=True)
    assert found[ended.run_id].view is not None


async def test_a_cluster_that_does_not_answer_is_said_once_and_marks_nothing(actor: Actor) -> None:
    actor.kube.add(Fault(Answer(503, b"no"), path="/jobs/", times=100))
    runs = [of_job(n, actor.namespace, f"job-{n}", "u") for n in range(1, 30)]
    found, problem = await links(tracker(actor), runs)
    assert "503" in problem or "no" in problem
    assert len(found) == 29 and not any(link.gone or link.view for link in found.values())
    assert sum("/jobs/" in call.target for call in actor.kube.calls) <= 8
