"""What a shell or a forward writes down, before it begins and when it ended."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mcp_tui.actions.shell import Place, Record, find_place, plan_forward, plan_shell, recorded
from mcp_tui.domain.plan import Check, CheckStatus, Plan
from mcp_tui.errors import GoneError, RefusedError, UsageError
from tests.cluster import Ground
from tests.faults.acting import Actor, acting


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


async def a_plan(actor: Actor, *, forward: bool = False) -> Plan:
    seen = await actor.make("a")
    place = Place(namespace=actor.namespace, pod="a-0", uid="u", container="main")
    scope = actor.engine.scope
    return plan_forward(scope, seen, place, 0, 80) if forward else plan_shell(scope, seen, place)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """The journal's lock, held as by another console."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    fd = os.open(folder / "journal.jsonl", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield fd
    os.close(fd)


async def test_the_loop_goes_on_while_another_console_holds_the_journal(
    actor: Actor, held: int
) -> None:
    plan = await a_plan(actor)
    begun = asyncio.Event()
    over = asyncio.Event()

    async def inside() -> None:
        async with recorded(actor.engine, plan) as record:
            begun.set()
            await over.wait()
            record.ended("exit code 0")

    await actor.engine.user()
    task = asyncio.create_task(inside())
    for _ in range(20):
        await asyncio.sleep(0)
    # Reached only when the writer does not wait on the loop; it gives up after a while otherwise.
    assert not begun.is_set() and not task.done()
    fcntl.flock(held, fcntl.LOCK_UN)
    await asyncio.wait_for(begun.wait(), 20)
    fcntl.flock(held, fcntl.LOCK_EX)
    over.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    fcntl.flock(held, fcntl.LOCK_UN)
    await asyncio.wait_for(task, 20)
    [action] = actor.engine.journal.actions()
    assert (action.result, action.started.verb.value) == ("proven", "shell")


@pytest.mark.parametrize("when", ["before", "inside"])
async def test_an_interrupted_one_is_written_to_its_end(actor: Actor, held: int, when: str) -> None:
    plan = await a_plan(actor, forward=True)
    begun = asyncio.Event()

    async def inside() -> None:
        async with recorded(actor.engine, plan):
            begun.set()
            await asyncio.Event().wait()

    await actor.engine.user()
    task = asyncio.create_task(inside())
    if when == "inside":
        fcntl.flock(held, fcntl.LOCK_UN)
        await asyncio.wait_for(begun.wait(), 20)
        fcntl.flock(held, fcntl.LOCK_EX)
    else:
        for _ in range(20):
            await asyncio.sleep(0)
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    fcntl.flock(held, fcntl.LOCK_UN)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    [action] = actor.engine.journal.actions()
    assert action.ended is not None
    assert action.ended.outcomes[0].message == "interrupted before its outcome was known"


async def test_how_it_ended_is_written_down(actor: Actor) -> None:
    with pytest.raises(GoneError):
        async with recorded(actor.engine, await a_plan(actor)):
            raise GoneError("the pod is gone")
    [action] = actor.engine.journal.actions()
    assert action.ended is not None
    assert (action.result, action.ended.outcomes[0].message) == ("failed", "the pod is gone")


async def test_nothing_is_opened_that_is_blocked_or_cannot_be_written_down(
    actor: Actor, tmp_path: Path
) -> None:
    plan = await a_plan(actor)
    no = Check(name="rbac", status=CheckStatus.FAILED, message="you may not")
    with pytest.raises(RefusedError, match="you may not"):
        async with recorded(actor.engine, msgspec.structs.replace(plan, checks=(no,))):
            pytest.fail("it was opened")
    (tmp_path / "state").write_text("a file, where a directory should be")
    with pytest.raises(UsageError, match="cannot write the journal"):
        async with recorded(actor.engine, plan):
            pytest.fail("it was opened")


async def test_a_journal_that_fails_at_the_end_is_a_warning(actor: Actor) -> None:
    kept: list[Record] = []
    async with recorded(actor.engine, await a_plan(actor)) as record:
        kept.append(record)
        path = actor.engine.journal.path
        path.rename(path.with_suffix(".old"))
        path.mkdir()
    [warning] = kept[0].warnings
    assert warning.startswith("how it ended is not in the journal: ")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"terminated": {"exitCode": 3, "reason": "Error"}}, "has ended with exit code 3"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, r"waits \(CrashLoopBackOff\)"),
        ({"waiting": {}}, "has not started"),
        (None, "has not started"),
    ],
)
async def test_a_container_that_does_not_run_is_not_entered(
    actor: Actor, state: dict[str, object] | None, words: str
) -> None:
    """Its pod runs: another container of it does."""
    seen = await actor.make("a")
    pods = f"/api/v1/namespaces/{actor.namespace}/pods"
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while not found:
            selector = {"labelSelector": "batch.kubernetes.io/job-name=a"}
            found = list((await actor.api("GET", pods, params=selector))["items"])
            await asyncio.sleep(0.05)
    [pod] = found
    name = pod["spec"]["containers"][0]["name"]
    status = {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    statuses = [] if state is None else [{**status, "state": state}]
    await actor.api(
        "PATCH",
        f"{pods}/{pod['metadata']['name']}/status",
        {"status": {"phase": "Running", "containerStatuses": statuses}},
        content_type="application/merge-patch+json",
    )
    with pytest.raises(RefusedError, match=words):
        await find_place(actor.engine.kube, seen)
    # A port is the pod's, whichever of its containers listens.
    place = await find_place(actor.engine.kube, seen, any_container=True)
    assert (place.pod, place.container) == (pod["metadata"]["name"], "")
