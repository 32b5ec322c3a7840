"""Rows that time alone changes are told of, though no server says a word."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from mcp_tui.config import ContextConfig
from mcp_tui.domain.job import LONG_WAIT
from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_custom import RayJob
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.sources.kubernetes.resources import JOBS, RAYJOBS
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from tests.unit.test_domain_cause import make

CONFIG = """
apiVersion: v1
kind: Config
current-context: dev
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: dev, context: {cluster: c, user: u}}]
"""


def waiting(seconds: float) -> Job:
    """A job that has waited for so long."""
    born = datetime.fromtimestamp(time.time() - seconds, UTC).isoformat()
    meta = {"name": "w", "namespace": "ml", "uid": "u1", "creationTimestamp": born}
    return make(Job, {"metadata": meta, "spec": {}, "status": {}})


@contextlib.asynccontextmanager
async def feeding(path: Path, store: JobStore, told: asyncio.Event) -> AsyncIterator[JobsFeed]:
    """A feed of a server that is not there; ``told`` is set when there is something to flush."""
    (path / "kubeconfig").write_text(CONFIG)
    info = load_kubeconfig({}, path / "kubeconfig").context()
    connection = Connection(info, ContextConfig(name="dev", tier=Tier.DEV), env={})
    feed = JobsFeed(connection, None, store, lambda: told.set() if store.dirty else None)
    try:
        yield feed
    finally:
        await feed.stop()
        await connection.aclose()


@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "rows that move"])
async def test_a_wait_that_becomes_a_long_one_is_told(tmp_path: Path, moving: bool) -> None:
    store, told = JobStore("dev"), asyncio.Event()
    store.apply(Delta((waiting(LONG_WAIT - 2),)))
    store.flush(time.time())
    before = store.table.get("u1")
    async with feeding(tmp_path, store, told) as feed:
        # Of a whole feed, some other part might say the word.
        feed._follow(JOBS)
        feed._spawn("pods on screen", feed._look)
        async with asyncio.timeout(15):
            while not told.is_set():
                if moving:
                    feed.focus(str(time.monotonic()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await told.wait()
        assert "u1" in store.flush(time.time()).changed
    after = store.table.get("u1")
    assert before is not None and after is not None
    assert after.urgency < before.urgency


async def test_a_metrics_api_that_hangs_keeps_no_cause_waiting(tmp_path: Path) -> None:
    """Also of the feed: looking for causes goes on beside it."""
    looks, hanging = 0, asyncio.Event()

    async def look() -> None:
        nonlocal looks
        looks += 1

    async def hangs() -> None:
        hanging.set()
        await asyncio.Event().wait()

    async with feeding(tmp_path, JobStore("dev"), asyncio.Event()) as feed:
        feed._looking.look = look  # type: ignore[method-assign]  # counted
        feed._looking.look_aside = hangs  # type: ignore[method-assign]  # for ever
        feed.start()
        async with asyncio.timeout(30):
            await hanging.wait()
            seen = looks
            while looks < seen + 3:
                feed.focus(str(looks))
                await asyncio.sleep(0.01)


async def test_a_kind_that_comes_by_another_version_leaves_no_ghosts(tmp_path: Path) -> None:
    store = JobStore("dev")
    async with feeding(tmp_path, store, asyncio.Event()) as feed:
        feed._follow(msgspec.structs.replace(RAYJOBS, version="v1alpha1"))
        before = feed._reflectors["rayjobs"]
        meta = {"name": "a", "namespace": "ml", "uid": "u1", "resourceVersion": "1"}
        job = make(RayJob, {"metadata": meta})
        before._known.remember("u1", job)
        before._tell(Delta((job,)))
        assert "u1" in store.flush(0.0).added
        before._voice.set(state=HealthState.ABSENT, message="not found")
        assert any("not found" in line for line in feed.troubles()), "its rows are on screen"
        feed._follow(RAYJOBS)
        assert feed._reflectors["rayjobs"] is not before
        # The new one lists, and the server has nothing.
        store.flush(0.0)
        assert store.table.get("u1") is None


async def test_a_kind_that_never_was_is_no_trouble(tmp_path: Path) -> None:
    async with feeding(tmp_path, JobStore("dev"), asyncio.Event()) as feed:
        feed._follow(RAYJOBS)
        feed._reflectors["rayjobs"]._voice.set(state=HealthState.ABSENT, message="not found")
        assert feed.troubles() == []
