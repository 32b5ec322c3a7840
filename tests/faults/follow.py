"""A reflector under test: what its sink was told, beside what the server has."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mcp_tui.domain.kube import ObjectMeta
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import Resource
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.cluster.certs import Pair
from tests.cluster.ground import Cluster, Reply
from tests.faults.proxy import FaultProxy


class Serving(Protocol):
    """A ground, or one cluster with the face of one."""

    @property
    def dev(self) -> Cluster:
        """The cluster."""

    def api(self, method: str, path: str, body: object = None, **options: Any) -> Reply:
        """One call to it."""


class ConfigMap(msgspec.Struct, frozen=True):
    """The cheapest object there is."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] = {}


CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", True, ConfigMap)

# The real times divided by about ten, so that a fault and its cure fit in a second or two.
QUICK = Timing(
    watch_least=20,
    watch_most=40,
    slack=2.0,
    heartbeat=30.0,
    tick=0.1,
    jump=15.0,
    first=0.1,
    most=0.8,
    healthy=10.0,
    fast_end=0.3,
    poll=0.3,
    poll_most=2.0,
    denied=0.5,
    page_deadline=5.0,
    connect_deadline=5.0,
)


class Mirror:
    """What a sink makes of the deltas, strictly: it fails on one that makes no sense."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.deltas: list[Delta[Any]] = []
        self.synced = 0

    def __call__(self, delta: Delta[Any]) -> None:
        self.deltas.append(delta)
        upserts = {item.metadata.uid: item for item in delta.upserts}
        assert len(upserts) == len(delta.upserts), "an object twice in one delta"
        assert not set(upserts) & set(delta.removes), "an object both there and gone"
        assert not (delta.replace and self.rows), "replace after something was told"
        assert set(delta.removes) <= set(self.rows), "something unknown is gone"
        for uid in delta.removes:
            del self.rows[uid]
        self.rows.update(upserts)
        self.synced += delta.synced
        assert self.synced <= 1, "synced twice"

    def state(self) -> dict[str, str]:
        """resourceVersion by name; one name twice is a ghost."""
        state = {row.metadata.name: row.metadata.resource_version for row in self.rows.values()}
        assert len(state) == len(self.rows), "a ghost: two rows of one name"
        return state


class Followed:
    """A running reflector, its mirror, and the server's own view."""

    def __init__(
        self, reflector: Reflector[Any], mirror: Mirror, ground: Serving, health: list[SourceHealth]
    ) -> None:
        self.reflector = reflector
        self.mirror = mirror
        self.ground = ground
        self.healths = health

    @property
    def health(self) -> SourceHealth:
        return self.reflector.health

    def states(self) -> list[HealthState]:
        """The states it went through."""
        return [health.state for health in self.healths]

    async def fresh(self) -> dict[str, str]:
        """What the server has, past the proxy: resourceVersion by name."""
        path = self.reflector.resource.path(self.reflector.namespace)
        body = (await asyncio.to_thread(self.ground.api, "GET", path)).ok()
        return {
            item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in body["items"]
        }

    async def settled(self, deadline: float = 20.0) -> None:
        """Wait until the mirror equals a fresh list."""
        end = time.monotonic() + deadline
        while True:
            fresh = await self.fresh()
            state = self.mirror.state()
            if state == fresh and self.mirror.synced:
                assert self.reflector.known().keys() == self.mirror.rows.keys()
                return
            if time.monotonic() > end:
                missing = sorted(fresh.keys() - state.keys())[:5]
                ghosts = sorted(state.keys() - fresh.keys())[:5]
                raise AssertionError(f"missing {missing}, ghosts {ghosts}; {self.health}")
            await asyncio.sleep(0.05)

    async def reaches(self, state: HealthState, deadline: float = 15.0) -> None:
        """Wait for a state of health."""
        await until(lambda: self.health.state is state, deadline, lambda: str(self.health))


async def until(
    condition: Callable[[], object], deadline: float = 15.0, why: Callable[[], str] = str
) -> None:
    """Wait for a condition; AssertionError at the deadline."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not in {deadline} s: {why()}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def proxied(ground: Serving) -> AsyncIterator[FaultProxy]:
    """A fault proxy before the ground's API server."""
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as proxy:
        yield proxy


def client_of(
    proxy: FaultProxy, ground: Serving, folder: Path, identity: str, pair: Pair | None = None
) -> KubeClient:
    """A client that goes through the proxy as one of the ground's identities.

    The certificate of ``pair`` is for a proxy that wants one.
    """
    token = ground.dev.tokens[identity]
    path = proxy.kubeconfig(folder / f"{identity}.kubeconfig", token=token, pair=pair)
    return KubeClient(load_kubeconfig({}, path).context(), gate=Gate(read_only=True), env={})


@contextlib.asynccontextmanager
async def following(
    ground: Serving,
    proxy: FaultProxy,
    namespace: str,
    folder: Path,
    *,
    resource: Resource[Any] = CONFIGMAPS,
    identity: str = "admin",
    timing: Timing = QUICK,
    client: KubeClient | None = None,
    **options: Any,
) -> AsyncIterator[Followed]:
    """Run a reflector through the proxy for a while; its task must end as it was told."""
    client = client or client_of(proxy, ground, folder, identity)
    mirror = Mirror()
    healths: list[SourceHealth] = []
    reflector = Reflector(
        client,
        resource,
        namespace=namespace,
        sink=mirror,
        on_health=healths.append,
        timing=timing,
        rng=random.Random(7),
        **options,
    )
    task = asyncio.create_task(reflector.run())
    try:
        yield Followed(reflector, mirror, ground, healths)
        assert not task.done(), task
    finally:
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        await client.aclose()
        assert isinstance(done, asyncio.CancelledError), done
        assert reflector.health.state is HealthState.DOWN


class Maps:
    """Makes and unmakes ConfigMaps past the proxy."""

    def __init__(self, ground: Serving, namespace: str) -> None:
        self._ground = ground
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"

    async def make(self, *names: str, value: str = "1") -> None:
        for name in names:
            body = {"metadata": {"name": name}, "data": {"value": value}}
            (await asyncio.to_thread(self._ground.api, "POST", self._path, body)).ok()

    async def change(self, name: str, value: str) -> None:
        body = {"data": {"value": value}}
        reply = await asyncio.to_thread(
            self._ground.api,
            "PATCH",
            f"{self._path}/{name}",
            body,
            content_type="application/merge-patch+json",
        )
        reply.ok()

    async def drop(self, *names: str) -> None:
        for name in names:
            (await asyncio.to_thread(self._ground.api, "DELETE", f"{self._path}/{name}")).ok()
