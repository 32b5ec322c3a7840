"""A plan with its checks made has changed nothing on the real API server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_tui.actions.jobs import plan_cancel, plan_delete, plan_hold
from mcp_tui.errors import RefusedError
from tests.cluster import Ground
from tests.faults.acting import Actor, acting


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


async def test_checking_a_cancel_deletes_nothing(actor: Actor) -> None:
    seen = await actor.make("a")
    plan = await actor.engine.check(plan_cancel(actor.engine.scope, [seen], now=time.time()))
    assert not plan.blocked
    left = await actor.api("GET", actor.path("a"))
    assert "deletionTimestamp" not in left["metadata"]


async def test_checking_a_delete_deletes_nothing(actor: Actor) -> None:
    await actor.make("a", stays=False)
    await actor.finish("a")
    seen = await actor.see("a")
    plan = await actor.engine.check(plan_delete(actor.engine.scope, [seen]))
    assert not plan.blocked
    assert "deletionTimestamp" not in (await actor.api("GET", actor.path("a")))["metadata"]


async def test_checking_a_suspension_suspends_nothing(actor: Actor) -> None:
    seen = await actor.make("a")
    plan = await actor.engine.check(plan_hold(actor.engine.scope, [seen], suspend=True))
    assert not plan.blocked
    assert not (await actor.api("GET", actor.path("a")))["spec"].get("suspend")


async def test_a_delete_that_only_its_query_calls_dry_never_leaves(actor: Actor) -> None:
    await actor.make("a")
    with pytest.raises(RefusedError, match="not a dry run"):
        await actor.engine.kube.send(
            "DELETE",
            actor.path("a"),
            {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"},
            dict,
            params=[("dryRun", "All")],
        )
    assert "deletionTimestamp" not in (await actor.api("GET", actor.path("a")))["metadata"]
