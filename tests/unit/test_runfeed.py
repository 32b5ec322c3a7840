"""The runs of the jobs on screen: which are asked for again, and which are settled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from mcp_tui.domain.jobview import JobState
from mcp_tui.domain.run import Metric, Run, RunData, RunInfo
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.runfeed import RunFeed

RUN = "a" * 32


class Store:
    """As much of a job store as the feed asks for."""

    def __init__(self, **states: JobState) -> None:
        self.states = states
        self.facts: dict[str, RunFacts] = {}
        self.table = self

    def get(self, uid: str) -> Any:
        return SimpleNamespace(run_id=RUN, experiment_id="1", state=self.states[uid])

    def run(self, run_id: str) -> RunFacts | None:
        return self.facts.get(run_id)

    def set_runs(self, facts: Mapping[str, RunFacts]) -> None:
        self.facts.update(facts)


class Server:
    """One run, and how often it was asked for."""

    def __init__(self) -> None:
        self.status, self.step, self.asked = "RUNNING", 100, 0

    async def newest(self, run_ids: Iterable[str], experiments: Sequence[str]) -> dict[str, Run]:
        assert (list(run_ids), list(experiments)) == ([RUN], ["1"])
        self.asked += 1
        metric = Metric(key="loss", value=1.0, step=self.step, timestamp=self.step)
        info = RunInfo(run_id=RUN, experiment_id="1", status=self.status)
        return {RUN: Run(info=info, data=RunData(metrics=(metric,)))}


def made(**states: JobState) -> tuple[RunFeed, Store, Server]:
    store = Store(**states)
    return RunFeed(cast("JobStore", store)), store, Server()


async def look(feed: RunFeed, store: Store, server: Server) -> RunFacts:
    await feed.look(cast("MlflowClient", server), tuple(store.states))
    return store.facts[RUN]


async def test_a_run_that_the_jobs_next_pod_resumes_is_followed_again() -> None:
    feed, store, server = made(job=JobState.RUNNING)
    server.status = "FAILED"  # its first pod's
    assert (await look(feed, store, server)).status == "FAILED"
    server.status, server.step = "RUNNING", 900
    facts = await look(feed, store, server)
    assert (facts.status, facts.step) == ("RUNNING", 900)


async def test_a_run_is_looked_at_once_more_when_its_job_is_over_and_then_no_more() -> None:
    feed, store, server = made(job=JobState.RUNNING)
    server.status = "FINISHED"
    await look(feed, store, server)
    store.states["job"], server.step = JobState.DONE, 200
    for _ in range(3):
        assert (await look(feed, store, server)).step == 200
    assert server.asked == 2
    feed.refresh()
    await look(feed, store, server)
    assert server.asked == 3


async def test_another_job_that_goes_on_with_a_run_has_it_asked_for() -> None:
    feed, store, server = made(first=JobState.FAILED)
    server.status = "FAILED"
    for _ in range(2):
        await look(feed, store, server)
    assert server.asked == 1
    store.states["second"] = JobState.RUNNING
    server.status, server.step = "RUNNING", 300
    assert (await look(feed, store, server)).status == "RUNNING"
    server.status, store.states["second"] = "FINISHED", JobState.DONE
    for _ in range(3):
        await look(feed, store, server)
    assert store.facts[RUN].status == "FINISHED" and server.asked == 3
