"""The reflector on a real API server and on the embedded one, without faults."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcp_tui.domain.kube import Job
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes import reflector as reflector_module
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.pages import LATER
from mcp_tui.sources.kubernetes.reflector import Reflector
from mcp_tui.sources.kubernetes.resources import JOBS
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.conftest import Plane
from tests.contract.test_transport import job
from tests.faults.follow import QUICK, Mirror, until


@contextlib.asynccontextmanager
async def followed(
    plane: Plane, namespace: str, **options: Any
) -> AsyncIterator[tuple[Reflector[Job], Mirror, list[tuple[str, str]]]]:
    calls: list[tuple[str, str]] = []
    gate = Gate(read_only=True, recorder=lambda _source, method, path: calls.append((method, path)))
    context = load_kubeconfig({}, plane.kubeconfig).context(plane.context)
    client = KubeClient(context, gate=gate, env={})
    mirror = Mirror()
    options = {"timing": QUICK, **options}
    reflector = Reflector(client, JOBS, namespace=namespace, sink=mirror, **options)
    task = asyncio.create_task(reflector.run())
    try:
        yield reflector, mirror, calls
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()


def names(mirror: Mirror) -> set[str]:
    return set(mirror.state())


async def post(plane: Plane, namespace: str, body: dict[str, Any]) -> None:
    with plane.client() as http:
        (await asyncio.to_thread(http.post, JOBS.path(namespace), json=body)).raise_for_status()


async def delete(plane: Plane, namespace: str, name: str) -> None:
    with plane.client() as http:
        path = JOBS.path(namespace, name)
        params = {"propagationPolicy": "Background"}
        (await asyncio.to_thread(http.delete, path, params=params)).raise_for_status()


async def test_it_follows(kube: Plane, kube_namespace: str) -> None:
    await post(kube, kube_namespace, job("before"))
    async with followed(kube, kube_namespace) as (reflector, mirror, calls):
        await until(lambda: mirror.synced and names(mirror) == {"before"})
        await until(lambda: reflector.health.state is HealthState.LIVE)
        await post(kube, kube_namespace, job("after"))
        await until(lambda: names(mirror) == {"before", "after"})
        await delete(kube, kube_namespace, "before")
        await until(lambda: names(mirror) == {"after"})
        old = next(iter(mirror.rows))
        await delete(kube, kube_namespace, "after")
        await until(lambda: not mirror.rows)
        await post(kube, kube_namespace, job("after"))
        await until(lambda: names(mirror) == {"after"})
        assert old not in mirror.rows
        assert len(calls) == 2


async def test_it_goes_on_after_the_end_of_a_watch(kube: Plane, kube_namespace: str) -> None:
    timing = dataclasses.replace(QUICK, watch_least=1, watch_most=1)
    async with followed(kube, kube_namespace, timing=timing) as (reflector, mirror, calls):
        await until(lambda: mirror.synced)
        await until(lambda: len(calls) >= 4, deadline=20)
        await post(kube, kube_namespace, job("late"))
        await until(lambda: names(mirror) == {"late"})
        assert len(calls) < 8
        assert reflector.health.state is HealthState.LIVE


async def test_pages(kube: Plane, kube_namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector_module, "PAGE", 4)
    for number in range(4 + 4 * LATER + 1):
        await post(kube, kube_namespace, job(f"j{number}"))
    async with followed(kube, kube_namespace) as (_, mirror, calls):
        await until(lambda: mirror.synced)
        assert len(mirror.rows) == 4 + 4 * LATER + 1
        assert len([delta for delta in mirror.deltas if delta.upserts]) >= 3
        await until(lambda: len(calls) == 4)


async def test_selectors(kube: Plane, kube_namespace: str) -> None:
    async with followed(
        kube, kube_namespace, label_selector="team=a", field_selector="metadata.name!=hidden"
    ) as (_, mirror, _calls):
        await until(lambda: mirror.synced)
        await post(kube, kube_namespace, job("b", labels={"team": "b"}))
        await post(kube, kube_namespace, job("hidden", labels={"team": "a"}))
        await post(kube, kube_namespace, job("a", labels={"team": "a"}))
        await until(lambda: names(mirror) == {"a"})


async def test_a_cancelled_reflector_leaves_no_connection(kube: Plane, kube_namespace: str) -> None:
    async with followed(kube, kube_namespace) as (reflector, mirror, _):
        await until(lambda: mirror.synced and reflector.health.state is HealthState.LIVE)
    assert reflector.health.state is HealthState.DOWN
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others
