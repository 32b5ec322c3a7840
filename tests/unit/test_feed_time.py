"""Rows that time alone changes are told of, though no server says a word."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from mcp_tui.config import ContextConfig
from mcp_tui.domain.job import LONG_WAIT
from mcp_tui.domain.kube import Job
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.sources.kubernetes.resources import JOBS
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


async def test_a_wait_that_becomes_a_long_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(CONFIG)
    info = load_kubeconfig({}, path).context()
    connection = Connection(info, ContextConfig(name="dev", tier=Tier.DEV), env={})
    store = JobStore("dev")
    told = asyncio.Event()
    feed = JobsFeed(connection, None, store, lambda: told.set() if store.dirty else None)
    store.apply(Delta((waiting(LONG_WAIT - 5),)))
    store.flush(time.time())
    before = store.table.get("u1")
    # Of a whole feed, some other part might say the word.
    feed._follow(JOBS)
    feed._spawn("pods on screen", feed._look)
    try:
        async with asyncio.timeout(30):
            await told.wait()
        assert "u1" in store.flush(time.time()).changed
    finally:
        await feed.stop()
        await connection.aclose()
    after = store.table.get("u1")
    assert before is not None and after is not None
    assert after.urgency < before.urgency
