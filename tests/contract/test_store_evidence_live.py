"""What a row says when its evidence is old, or gone before anybody looked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from mcp_tui.domain.job import JobState
from mcp_tui.domain.jobview import JobView
from mcp_tui.sources.connect import Connection
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from tests.cluster import Ground
from tests.contract.test_store_live import connect, create, ended, job_of
from tests.faults.follow import until
from tests.faults.proxy import FaultProxy

EVENTS = r"/events\?"


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as it:
        yield it


@pytest_asyncio.fixture
async def connection(
    proxy: FaultProxy, ground: Ground, tmp_path: Path
) -> AsyncIterator[Connection]:
    it = connect(proxy, ground, tmp_path)
    yield it
    await it.aclose()


@contextlib.asynccontextmanager
async def fed(connection: Connection, namespace: str) -> AsyncIterator[JobsFeed]:
    feed = JobsFeed(connection, namespace, JobStore("dev"), lambda: None)
    feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


def row(feed: JobsFeed, uid: str) -> JobView | None:
    feed.store.flush(time.time())
    return feed.store.table.get(uid)


def why(feed: JobsFeed, uid: str) -> str:
    view = row(feed, uid)
    return view.why if view is not None else ""


async def test_a_job_that_found_a_node_no_longer_says_that_it_waits_for_one(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    """The cursor is on it, so its Events were read; nobody reads them again while it runs."""
    body = job_of("later", "sleep 8")
    body["spec"]["template"]["spec"]["nodeSelector"] = {f"test.example/{namespace}": "yes"}
    uid = await create(ground, namespace, body)
    nodes = (await asyncio.to_thread(ground.api, "GET", "/api/v1/nodes")).ok()["items"]
    # The ground's own process node: neither simulated, nor that of a test.
    real = next(
        n["metadata"]["name"]
        for n in nodes
        if n["metadata"].get("labels", {}).get("type") != "kwok" and not n["spec"].get("taints")
    )

    async def label(value: str | None) -> None:
        patch = {"metadata": {"labels": {f"test.example/{namespace}": value}}}
        path = f"/api/v1/nodes/{real}"
        await asyncio.to_thread(
            ground.api, "PATCH", path, patch, content_type="application/merge-patch+json"
        )

    async with fed(connection, namespace) as feed:
        await until(lambda: row(feed, uid) is not None, 30)
        feed.visible([uid])
        feed.focus(uid)
        await until(lambda: "Unschedulable" in why(feed, uid), 60, lambda: why(feed, uid))
        await until(lambda: feed.store._events.get(uid), 30)
        await label("yes")
        try:
            await until(lambda: (v := row(feed, uid)) is not None and v.ready == 1, 60)
            said = set()
            while (view := row(feed, uid)) is not None and view.state is JobState.RUNNING:
                said.add(view.why)
                await asyncio.sleep(0.05)
            assert said
            assert not [words for words in said if "Unschedulable" in words], said
        finally:
            await label(None)


async def test_events_still_tell_why_a_job_failed_whose_pods_are_gone(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    """A pod that is started again in place is taken away with the job's last try."""
    body = job_of("loops", "exit 3", restart="OnFailure", backoffLimit=1)
    uid = await create(ground, namespace, body)
    await ended(ground, namespace, "loops", 120)
    pods = f"/api/v1/namespaces/{namespace}/pods"

    def gone() -> bool:
        return not ground.api("GET", pods).ok()["items"]

    await asyncio.to_thread(_poll, gone)
    async with fed(connection, namespace) as feed:
        await until(lambda: row(feed, uid) is not None, 30)
        assert why(feed, uid).startswith("BackoffLimitExceeded")
        feed.visible([uid])
        await until(lambda: "CrashLoopBackOff" in why(feed, uid), 30, lambda: why(feed, uid))
        assert "BackoffLimitExceeded" in why(feed, uid)
        view = row(feed, uid)
        assert view is not None
        assert view.cause is not None
        assert view.cause.pod.startswith("loops-")
        asked = proxy.count(EVENTS)
        assert 2 <= asked <= 4, "of the job, and of the pods that it made"
        for _ in range(3):
            await feed.look()
        assert proxy.count(EVENTS) == asked, "once is enough: what is gone does not come back"


async def test_a_failure_without_pods_or_events_is_asked_after_once(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    uid = await create(ground, namespace, job_of("gone", "exit 3", backoffLimit=0))
    await ended(ground, namespace, "gone", 120)
    for what in ("pods", "events"):
        await asyncio.to_thread(ground.api, "DELETE", f"/api/v1/namespaces/{namespace}/{what}")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    await asyncio.to_thread(_poll, lambda: not ground.api("GET", pods).ok()["items"])
    async with fed(connection, namespace) as feed:
        await until(lambda: row(feed, uid) is not None, 30)
        feed.visible([uid])
        await until(lambda: proxy.count(EVENTS) >= 1, 30)
        # Those of this job: the lists behind the watches may come at any time.
        before = proxy.count(r"%3Dgone&limit=")
        feed._looking._looked = {k: (v, -1e9) for k, (v, _) in feed._looking._looked.items()}
        for _ in range(3):
            await feed.look()
        assert before >= 2
        assert proxy.count(r"%3Dgone&limit=") - before <= 1
        assert "BackoffLimitExceeded" in why(feed, uid)


def _poll(condition: object, deadline: float = 60.0) -> None:
    assert callable(condition)
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


async def test_a_pod_that_is_taken_away_while_its_job_is_followed_stays_evidence(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    """The controller deletes it as the job fails; what it did is still to be told."""
    body = job_of("taken", "exit 3", restart="OnFailure", backoffLimit=1)
    uid = await create(ground, namespace, body)
    watch = JobWatch(
        connection, kind="Job", namespace=namespace, name="taken", uid=uid, on_change=lambda: None
    )
    watch.start()
    try:
        await until(lambda: (v := watch.view()) is not None and v.state is JobState.FAILED, 90)
        path = f"/api/v1/namespaces/{namespace}/pods"
        await asyncio.to_thread(_poll, lambda: not ground.api("GET", path).ok()["items"])
        await until(lambda: not watch._pods.known(), 30)
        assert [pod.metadata.name for pod in watch.store.pods(uid)]
        view = watch.view()
        assert view is not None
        assert "exit 3" in view.why
    finally:
        await watch.stop()
