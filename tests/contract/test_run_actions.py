"""Runs tagged, renamed, deleted and restored as plans, on the real MLflow and API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_tui.domain.plan import OutcomeStatus, Plan
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.errors import GoneError, UsageError
from tests.cluster import Ground
from tests.faults.acting import Actor, acting, mlflow_client
from tests.faults.proxy import Answer, Fault, Lost

pytestmark = pytest.mark.real

DELETE = RunEdit(kind=EditKind.DELETE)
TAG = RunEdit(kind=EditKind.SET_TAG, key="stage", value="it's \U0001f600")


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


async def done(actor: Actor, plan: Plan) -> list[OutcomeStatus]:
    plan = await actor.engine.check(plan)
    assert not plan.blocked, plan.blocked
    return [o.status for o in await actor.apply(plan)]


async def test_each_change_is_done_once_and_seen(actor: Actor) -> None:
    run_id = await actor.run(old="x")
    for edits in (
        (TAG, RunEdit(kind=EditKind.DELETE_TAG, key="old")),
        (RunEdit(kind=EditKind.RENAME, value="better / name"),),
        (DELETE,),
        (RunEdit(kind=EditKind.RESTORE),),
    ):
        plan = await actor.engine.plan_run_edit([run_id], edits)
        assert await done(actor, plan) == [OutcomeStatus.PROVEN]
    now = await actor.run_now(run_id)
    tags = {t["key"]: t["value"] for t in now["data"]["tags"]}
    assert tags["stage"] == TAG.value and "old" not in tags
    assert now["info"]["run_name"] == "better / name"
    assert now["info"]["lifecycle_stage"] == "active"
    assert len([w for w in actor.writes() if "/runs/" in w]) == 5
    assert [a.started.verb for a in actor.engine.journal.actions()] == [
        "tag", "rename", "delete", "restore",
    ]  # fmt: skip


async def test_a_change_by_somebody_else_is_not_written_over(actor: Actor) -> None:
    run_id = await actor.run(stage="dev")
    plan = await actor.engine.plan_run_edit([run_id], [TAG])
    other = mlflow_client(str(actor.ground.mlflow))
    await other.set_tag(run_id, "stage", "theirs")
    await other.aclose()
    [outcome] = await actor.apply(await actor.engine.check(plan))
    assert outcome.status is OutcomeStatus.FAILED and "is theirs, was dev" in outcome.message
    assert not actor.sent("POST", "/runs/set-tag")


async def test_a_lost_answer_is_looked_for_and_nothing_is_sent_again(actor: Actor) -> None:
    run_id = await actor.run()
    actor.mlflow.add(Fault(Lost(), path="/runs/delete"))
    plan = await actor.engine.plan_run_edit([run_id], [DELETE])
    assert await done(actor, plan) == [OutcomeStatus.PROVEN]
    assert actor.sent("POST", "/runs/delete") == 1


async def test_a_gateway_that_gives_up_is_not_believed(actor: Actor) -> None:
    run_id = await actor.run()
    actor.mlflow.add(Fault(Answer(504, b"<html>"), path="/runs/set-tag"))
    plan = await actor.engine.plan_run_edit([run_id], [TAG])
    assert await done(actor, plan) == [OutcomeStatus.UNKNOWN]
    assert actor.sent("POST", "/runs/set-tag") == 1


async def test_a_run_that_is_not_there_is_said(actor: Actor) -> None:
    with pytest.raises(GoneError, match="there is no run"):
        await actor.engine.plan_run_edit(["0" * 32], [DELETE])
    with pytest.raises(UsageError, match="not a run's id"):
        await actor.engine.plan_run_edit(["../x"], [DELETE])
    assert not actor.writes()
