"""The feed and the watch of one job, as somebody who may not do everything."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_tui.config import ContextConfig
from mcp_tui.domain.job import JobState
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.joblogs import JobLogs
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from tests.cluster import Ground
from tests.contract.test_store_live import create, delete, job_of, query, read
from tests.faults.follow import until
from tests.faults.proxy import FaultProxy


@contextlib.asynccontextmanager
async def as_one(
    ground: Ground, folder: Path, token: str
) -> AsyncIterator[tuple[Connection, FaultProxy]]:
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as proxy:
        info = load_kubeconfig({}, proxy.kubeconfig(folder / "kubeconfig", token=token)).context()
        link = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
        try:
            yield link, proxy
        finally:
            await link.aclose()


@contextlib.asynccontextmanager
async def fed(connection: Connection, namespace: str) -> AsyncIterator[JobsFeed]:
    feed = JobsFeed(connection, namespace, JobStore("dev"), lambda: None)
    feed.start()
    try:
        yield feed
    finally:
        async with asyncio.timeout(10):
            await feed.stop()


@contextlib.asynccontextmanager
async def watched(
    connection: Connection, namespace: str, name: str, uid: str
) -> AsyncIterator[JobWatch]:
    watch = JobWatch(
        connection, kind="Job", namespace=namespace, name=name, uid=uid, on_change=lambda: None
    )
    watch.start()
    try:
        yield watch
    finally:
        await watch.stop()


def names(feed: JobsFeed) -> list[str]:
    feed.store.flush(time.time())
    return sorted(view.key.name for view in feed.store.table.values())


def state(feed: JobsFeed, name: str) -> str:
    feed.store.flush(time.time())
    return next((f"{v.state} {v.why}" for v in feed.store.table.values() if v.key.name == name), "")


def secret_reader(ground: Ground, namespace: str, rules: list[dict[str, Any]]) -> str:
    """A service account that may do only this, in this namespace; gives its token."""
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    account = {"metadata": {"name": "little"}}
    ground.api("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account).ok()
    ground.api("POST", f"{base}/roles", {"metadata": {"name": "little"}, "rules": rules}).ok()
    binding = {
        "metadata": {"name": "little"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "little"},
        "subjects": [{"kind": "ServiceAccount", "name": "little", "namespace": namespace}],
    }
    ground.api("POST", f"{base}/rolebindings", binding).ok()
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/little/token"
    token: str = ground.api("POST", path, {"spec": {}}).ok()["status"]["token"]
    return token


JOBS_ONLY = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]}]
NO_EVENTS = [
    *JOBS_ONLY,
    {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
]
NO_LOGS = [
    *JOBS_ONLY,
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list", "watch"]},
]


async def allowed(ground: Ground, namespace: str, token: str) -> None:
    """Wait until the authorizer has heard of the role."""
    path = f"{ground.dev.server}/apis/batch/v1/namespaces/{namespace}/jobs"
    trust = ssl.create_default_context(cafile=str(ground.dev.ca))
    async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
        end = time.monotonic() + 20
        while True:
            reply = await client.get(path, headers={"Authorization": f"Bearer {token}"})
            if reply.status_code == 200:
                return
            assert time.monotonic() < end, reply.text
            await asyncio.sleep(0.1)


# -- list, but no watch ---------------------------------------------------------------------------


async def test_without_the_watch_verb_the_feed_polls_says_so_and_misses_nothing(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    await create(ground, namespace, job_of("first", suspend=True))
    async with (
        as_one(ground, tmp_path, ground.dev.tokens["nowatch"]) as (link, proxy),
        fed(link, namespace) as feed,
    ):
        assert await feed.settle(30)
        await until(lambda: feed.health().state is HealthState.POLLING)
        assert "watching is not allowed" in feed.health().message
        assert names(feed) == ["first"]
        await create(ground, namespace, job_of("second", suspend=True))
        await delete(ground, namespace, "first")
        await until(lambda: names(feed) == ["second"], 40, lambda: str(names(feed)))
        assert feed.health().state is HealthState.POLLING
        asked = proxy.count(r"/jobs\?.*watch=true")
        assert asked <= 2, "a refusal is not asked for again and again"


async def test_when_watching_is_allowed_again_the_feed_watches_again(
    ground: Ground, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]}]
    token = await asyncio.to_thread(secret_reader, ground, namespace, rules)
    await allowed(ground, namespace, token)
    async with as_one(ground, tmp_path, token) as (link, _), fed(link, namespace) as feed:
        await until(lambda: feed.health().state is HealthState.POLLING, 30)
        base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/little"
        await asyncio.to_thread(
            ground.api,
            "PATCH",
            base,
            {"rules": JOBS_ONLY},
            content_type="application/merge-patch+json",
        )
        # The reflector asks again after minutes: the time is up at once here.
        main = feed._reflectors["jobs"]
        await until(lambda: _once_more(main), 30)
        await until(lambda: feed.health().state is HealthState.LIVE, 60)
        await create(ground, namespace, job_of("seen", suspend=True))
        await until(lambda: names(feed) == ["seen"])


def _once_more(reflector: Any) -> bool:
    reflector._watch_denied_until = None
    return True


async def test_without_the_watch_verb_one_job_is_followed_to_its_end(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    uid = await create(ground, namespace, job_of("slow", "sleep 1"))
    async with (
        as_one(ground, tmp_path, ground.dev.tokens["nowatch"]) as (link, _),
        watched(link, namespace, "slow", uid) as watch,
    ):
        await until(lambda: watch.health.state is HealthState.POLLING, 30)
        assert not watch.failing, "polling is no failure"
        await until(lambda: _done(watch), 60, lambda: str(watch.view()))
        await delete(ground, namespace, "slow")
        await until(lambda: watch.gone, 60)


def _done(watch: JobWatch) -> bool:
    view = watch.view()
    return view is not None and view.state is JobState.DONE


# -- no pods, no events, no logs ------------------------------------------------------------------


async def test_where_only_jobs_may_be_read_the_rows_live_and_the_rest_is_said(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    token = await asyncio.to_thread(secret_reader, ground, namespace, JOBS_ONLY)
    await allowed(ground, namespace, token)
    uid = await create(ground, namespace, job_of("fails", "exit 3", backoffLimit=0))
    async with (
        as_one(ground, tmp_path, token) as (link, proxy),
        fed(link, namespace) as feed,
        watched(link, namespace, "fails", uid) as watch,
    ):
        await until(lambda: state(feed, "fails").startswith("failed"), 60)
        feed.visible([uid])
        await until(lambda: "pods" in feed.health().message, 30)
        assert feed.health().state is HealthState.LIVE, "no row is stale for that"
        assert "BackoffLimitExceeded" in state(feed, "fails")
        await until(lambda: (row := watch.view()) is not None and row.state.over, 30)
        assert not watch.failing
        assert watch.defect == ""
        listed = r"/pods\?.*limit=200"
        await until(lambda: proxy.count(listed) == 1 and "pods" in feed._said)
        for _ in range(5):
            feed._looking._looked.clear()
            await feed.look()
        assert proxy.count(listed) == 1, "a refusal is not asked for again and again"


async def test_where_events_may_not_be_read_pods_still_tell_the_cause(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    token = await asyncio.to_thread(secret_reader, ground, namespace, NO_EVENTS)
    await allowed(ground, namespace, token)
    body = job_of("waits")
    body["spec"]["template"]["spec"]["nodeSelector"] = {"there": "is-none"}
    waits = await create(ground, namespace, body)
    fails = await create(ground, namespace, job_of("fails", "exit 3", backoffLimit=0))
    async with as_one(ground, tmp_path, token) as (link, proxy), fed(link, namespace) as feed:
        await until(lambda: state(feed, "fails").startswith("failed"), 60)
        feed.visible([waits, fails])
        feed.focus(waits)
        await until(lambda: "exit 3" in state(feed, "fails"), 30)
        await until(lambda: "Unschedulable" in state(feed, "waits"), 30)
        await until(lambda: "events:" in feed.health().message, 30, lambda: str(feed.health()))
        asked = proxy.count(r"/events\?")
        for _ in range(5):
            feed._looking._looked.clear()
            await feed.look()
        assert proxy.count(r"/events\?") == asked, "a refusal is not asked for again and again"
        assert feed.health().state is HealthState.LIVE


async def test_where_logs_may_not_be_read_that_is_what_is_said(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    token = await asyncio.to_thread(secret_reader, ground, namespace, NO_LOGS)
    await allowed(ground, namespace, token)
    uid = await create(ground, namespace, job_of("quick", "echo hidden"))
    async with as_one(ground, tmp_path, token) as (link, _):
        async with watched(link, namespace, "quick", uid) as watch:
            await until(lambda: _done(watch), 60)
        with pytest.raises(McpTuiError, match="pods/log") as error:
            await read(JobLogs(link.kube, query(namespace, "quick", follow=False)))
        assert "forbidden" in str(error.value).lower() or "cannot get" in str(error.value)


async def test_a_viewer_sees_every_row_with_its_cause(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    await create(ground, namespace, job_of("fails", "exit 4", backoffLimit=0))
    async with (
        as_one(ground, tmp_path, ground.dev.tokens["viewer"]) as (link, _),
        fed(link, namespace) as feed,
    ):
        await until(lambda: "exit 4" in state(feed, "fails"), 60, lambda: state(feed, "fails"))
        assert await feed.settle(30)
        assert feed.health().state is HealthState.LIVE
        assert feed.troubles() == []
