"""What is kept of a failed job in its run, on the real MLflow: once, and only with evidence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mcp_tui.actions.keep import end_run, keep_cause
from mcp_tui.domain import keys
from mcp_tui.domain.cause import Cause
from mcp_tui.domain.jobview import JobKey, JobState, JobView
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.acting import Actor, acting

CAUSE = Cause(reason="OOMKilled", pod="a-0", exit_code=137)


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


def client(actor: Actor) -> MlflowClient:
    assert actor.engine.mlflow_client is not None
    return actor.engine.mlflow_client


def failed(run_id: str, **changes: Any) -> JobView:
    key = JobKey(context="dev", kind="Job", namespace="ml", name="a", uid="u")
    base = JobView(key=key, state=JobState.FAILED, since=1.0, why="", cause=CAUSE, run_id=run_id)
    return msgspec.structs.replace(base, **changes)


async def kept(actor: Actor, run_id: str) -> str:
    tags = (await actor.run_now(run_id))["data"].get("tags") or ()
    return str({t["key"]: t["value"] for t in tags}.get(keys.TAG_CAUSE, ""))


async def test_a_cause_is_kept_once(actor: Actor) -> None:
    run_id = await actor.run()
    facts = RunFacts(run_id=run_id, status="RUNNING")
    assert await keep_cause(client(actor), failed(run_id), facts) == ""
    assert Cause.from_text(await kept(actor, run_id)) == CAUSE
    # What another console kept before is not written over.
    other = failed(run_id, cause=Cause(reason="Error", pod="a-1"))
    known = msgspec.structs.replace(facts, cause=CAUSE.to_json())
    assert await keep_cause(client(actor), other, known) == ""
    assert Cause.from_text(await kept(actor, run_id)) == CAUSE
    assert actor.sent("POST", "runs/set-tag") == 1


async def test_what_was_kept_since_it_was_seen_is_not_written_over(actor: Actor) -> None:
    run_id = await actor.run()
    seen = RunFacts(run_id=run_id, status="RUNNING")
    other = Cause(reason="Error", pod="a-1")
    assert await keep_cause(client(actor), failed(run_id, cause=other), seen) == ""
    # This one has not heard of that yet.
    assert await keep_cause(client(actor), failed(run_id), seen) == ""
    assert Cause.from_text(await kept(actor, run_id)) == other
    assert actor.sent("POST", "runs/set-tag") == 1


async def test_no_cause_is_kept_in_a_run_that_went_over_to_another_job(actor: Actor) -> None:
    run_id = await actor.run()
    seen = RunFacts(run_id=run_id, status="RUNNING")
    await client(actor).set_tag(run_id, keys.TAG_UID, "another")
    assert await keep_cause(client(actor), failed(run_id), seen) == ""
    assert await kept(actor, run_id) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"state": JobState.DONE},
        {"state": JobState.RUNNING},
        {"cause": None},
        {"cause": Cause(reason="BackoffLimitExceeded", evidence=False)},
    ],
    ids=["done", "running", "no cause", "no evidence"],
)
async def test_nothing_is_kept_without_a_failure_and_its_evidence(
    actor: Actor, changes: dict[str, Any]
) -> None:
    run_id = await actor.run()
    facts = RunFacts(run_id=run_id, status="RUNNING")
    assert await keep_cause(client(actor), failed(run_id, **changes), facts) == ""
    assert await keep_cause(client(actor), failed(run_id), None) == ""
    assert actor.writes() == []


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED", ""])
async def test_a_run_that_has_ended_is_left_as_it_is(actor: Actor, status: str) -> None:
    run_id = await actor.run()
    facts = RunFacts(run_id=run_id, status=status)
    assert await end_run(client(actor), failed(run_id), facts, now=9.0) == ""
    assert actor.writes() == [] and await actor.status_of(run_id) == "RUNNING"


async def test_an_open_run_of_a_failed_job_is_ended_when_the_job_did(actor: Actor) -> None:
    run_id = await actor.run()
    facts = RunFacts(run_id=run_id, status="RUNNING")
    running = failed(run_id, state=JobState.RUNNING)
    assert await end_run(client(actor), running, facts, now=9.0) == ""
    assert await actor.status_of(run_id) == "RUNNING"
    assert await end_run(client(actor), failed(run_id, finished=7.0), facts, now=9.0) == ""
    info = (await actor.run_now(run_id))["info"]
    assert (info["status"], info["end_time"]) == ("FAILED", 7_000)


async def test_a_run_that_ended_since_it_was_seen_is_left_as_it_is(actor: Actor) -> None:
    run_id = await actor.run()
    facts = RunFacts(run_id=run_id, status="RUNNING")
    await client(actor).update_run(run_id, status="FINISHED", end_time_ms=5)
    assert await end_run(client(actor), failed(run_id), facts, now=9.0) == ""
    info = (await actor.run_now(run_id))["info"]
    assert (info["status"], info["end_time"]) == ("FINISHED", 5)


async def test_a_run_that_another_job_goes_on_with_is_left_open(actor: Actor) -> None:
    run_id = await actor.run(**{keys.TAG_UID: "another"})
    facts = RunFacts(run_id=run_id, status="RUNNING")
    assert await end_run(client(actor), failed(run_id), facts, now=9.0) == ""
    assert await actor.status_of(run_id) == "RUNNING"


async def test_a_server_that_is_down_is_said_in_a_line(actor: Actor) -> None:
    run_id = await actor.run()
    facts = RunFacts(run_id=run_id, status="RUNNING")
    await actor.mlflow.refuse()
    for problem in (
        await keep_cause(client(actor), failed(run_id), facts),
        await end_run(client(actor), failed(run_id), facts, now=9.0),
    ):
        assert "nothing listens" in problem and "\n" not in problem
