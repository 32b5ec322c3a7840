"""From a job that was really submitted to its run and back, on the real servers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from mcp_tui.actions.submit import Code, plan_submit
from mcp_tui.config import ContextConfig
from mcp_tui.domain import keys
from mcp_tui.domain.lineage import JobLink, disagreement, is_dead
from mcp_tui.domain.plan import OutcomeStatus, Tier
from mcp_tui.domain.run import Run
from mcp_tui.domain.trainconfig import parse_train_config
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.lineage import job_of, lineage
from mcp_tui.store.serving import ServingStore
from tests.cluster import Ground
from tests.faults.acting import Actor, acting, mlflow_client
from tests.faults.follow import until

COMMIT = "c0ffee" * 6 + "c0ff"
CONFIG = """\
name: lineage
image: python:3.12
command: python train.py
experiment: {experiment}
code: {{url: "https://git.example.org/repo.git", ref: main}}
resources: {{cpu: 50m, memory: 64Mi}}
"""


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


@contextlib.asynccontextmanager
async def fed(actor: Actor, folder: Path) -> AsyncIterator[JobsFeed]:
    info = load_kubeconfig({}, folder / "admin.kubeconfig").context()
    connection = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
    feed = JobsFeed(connection, actor.namespace, JobStore("dev"), lambda: None)
    feed.start()
    try:
        yield feed
    finally:
        await feed.stop()
        await connection.aclose()


class Look:
    """A run as MLflow tells of it, and its job as the feed knows it."""

    def __init__(self, feed: JobsFeed, run: Run) -> None:
        self.feed = feed
        self.run = run

    def covers(self, context: str, namespace: str) -> bool:
        return context == "dev" and namespace == self.feed.namespace and self.feed.synced

    def link(self) -> JobLink | None:
        self.feed.store.flush(time.time())
        return job_of(self.run, {"dev": self.feed.store}, covers=self.covers)

    def sees_job(self) -> bool:
        found = self.link()
        return found is not None and found.view is not None

    def note(self) -> str:
        return disagreement(self.run, self.link(), now=time.time())


async def read_run(ground: Ground, run_id: str) -> Run:
    client = mlflow_client(str(ground.mlflow))
    try:
        return await client.get_run(run_id)
    finally:
        await client.aclose()


async def submitted(actor: Actor) -> tuple[str, str]:
    """Submit on the real servers; the job's name and the run's id."""
    config = parse_train_config(CONFIG.format(experiment=f"lineage-{actor.namespace}"))
    engine = actor.engine
    tracking = await engine.tracking(config.experiment, str(actor.ground.mlflow))
    plan = plan_submit(
        engine.scope,
        config,
        Code(url=config.code.url, ref="main", commit=COMMIT),
        namespace=actor.namespace,
        user="admin",
        now=time.time(),
        tracking=tracking,
    )
    [outcome] = await actor.apply(await engine.check(plan))
    assert outcome.status is not OutcomeStatus.FAILED, outcome
    name = plan.targets[0].name
    job = await actor.api("GET", actor.path(name))
    return name, job["metadata"]["labels"][keys.RUN_ID]


async def test_a_submitted_job_and_its_run_find_each_other(
    ground: Ground, actor: Actor, tmp_path: Path
) -> None:
    name, run_id = await submitted(actor)
    run = await read_run(ground, run_id)
    assert run.tags[keys.TAG_NAME] == name and run.tags[keys.TAG_COMMIT] == COMMIT
    async with fed(actor, tmp_path) as feed:
        look = Look(feed, run)
        await until(look.sees_job)
        link = look.link()
        assert link is not None and link.how == "the job's label" and not link.guess
        # By the tags alone, as where the job's labels were cut.
        feed.store._run_jobs.clear()
        link = look.link()
        assert link is not None and link.how == "the run's tags" and link.view is not None
        assert link.view.key.name == name
        # The job dies; its run goes on saying what it said last.
        spec = {"spec": {"activeDeadlineSeconds": 1}}
        kind = "application/merge-patch+json"
        await actor.api("PATCH", actor.path(name), spec, content_type=kind)
        await until(lambda: "its job failed" in look.note(), 60, look.note)
        assert look.note().startswith("says RUNNING, but its job failed")
        assert "DeadlineExceeded" in look.note()
        assert is_dead(run, look.link())
        whole = lineage(run, now=time.time(), jobs={"dev": feed.store}, servings=ServingStore())
        assert whole.dead and whole.note == look.note() and whole.versions == ()
        # And somebody takes it away.
        gone = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        await asyncio.to_thread(ground.api, "DELETE", actor.path(name), gone)
        await until(lambda: look.note() == "says RUNNING, but its job is gone", 30, look.note)
        assert is_dead(run, look.link())


async def test_a_job_of_others_is_guessed_by_commit_and_name(
    ground: Ground, actor: Actor, tmp_path: Path
) -> None:
    await actor.make("theirs", labels={keys.COMMIT: COMMIT})
    await actor.make("another", labels={keys.COMMIT: COMMIT})
    client = mlflow_client(str(ground.mlflow))
    try:
        experiment = await client.create_experiment(f"theirs-{actor.namespace}")
        tags = {keys.TAG_COMMIT: COMMIT}
        now = int(time.time() * 1000)
        made = await client.create_run(experiment, run_name="theirs", tags=tags, start_time_ms=now)
        run = await client.get_run(made.run_id)
    finally:
        await client.aclose()
    async with fed(actor, tmp_path) as feed:
        look = Look(feed, run)
        await until(look.sees_job)
        link = look.link()
        assert link is not None and link.guess and link.key.name == "theirs"
        assert link.how == "its commit and name" and not is_dead(run, link)


async def test_a_job_that_others_made_is_found_by_its_environment(
    ground: Ground, actor: Actor, tmp_path: Path
) -> None:
    _, run_id = await submitted(actor)
    container = {
        "name": "c",
        "image": "python:3.12",
        "command": ["sleep", "3600"],
        "env": [{"name": "MLFLOW_RUN_ID", "value": run_id}],
    }
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "by-hand"},
        "spec": {"backoffLimit": 0, "template": template},
    }
    run = await read_run(ground, run_id)
    async with fed(actor, tmp_path) as feed:
        look = Look(feed, run)
        await until(look.sees_job)
        [ours] = feed.store.jobs_of_run(run_id)
        gone = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        await asyncio.to_thread(ground.api, "DELETE", actor.path(ours.key.name), gone)
        await until(lambda: not look.sees_job(), 30)
        await actor.api("POST", actor.path(), job)
        await until(look.sees_job)
        link = look.link()
        assert link is not None and link.how == "the job's environment"
        assert link.key.name == "by-hand" and not link.guess
