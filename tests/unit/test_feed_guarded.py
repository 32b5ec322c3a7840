"""Work that ended by a defect begins again, and says so for as long as it does not work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mcp_tui.config import ContextConfig
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import UsageError
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.store import feed as feed_module
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from tests.unit.test_feed_time import CONFIG


@pytest.mark.parametrize("error", [OverflowError("too large"), UsageError("too large")])
async def test_a_defect_is_said_until_the_work_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(CONFIG)
    info = load_kubeconfig({}, path).context()
    connection = Connection(info, ContextConfig(name="dev", tier=Tier.DEV), env={})
    monkeypatch.setattr(feed_module, "_FIRST_RESTART", 0.01)
    said: list[list[str]] = []
    feed = JobsFeed(connection, None, JobStore("dev"), lambda: said.append(feed.troubles()))
    failures, runs = iter([error, error]), asyncio.Event()

    async def work() -> None:
        for failure in failures:
            raise failure
        runs.set()
        await asyncio.Event().wait()

    feed._spawn("work", work)
    try:
        async with asyncio.timeout(30):
            await runs.wait()
        assert len(said) == 2
        assert all("too large" in trouble for troubles in said for trouble in troubles)
        assert all(said)
        assert feed.troubles() == []
    finally:
        await feed.stop()
        await connection.aclose()
