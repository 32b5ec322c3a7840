"""The whole feed of a context under random faults of every kind at once, on a virtual clock.

Kinds come, go, and come by another version meanwhile. After quiet the table has each job that the
servers have, once, and no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from mcp_tui.config import ContextConfig
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes import reflector as reflector_module
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ContextInfo, UserInfo
from mcp_tui.sources.kubernetes.resources import NAMESPACES
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from tests.faults.apiserver import JSON, ApiServer, Spoilt, encoded, refusal
from tests.faults.virtual import VirtualLoop
from tests.joined.sources import SOURCES, Source
from tests.soak import times

FOLLOWED = tuple(source for source in SOURCES if source.into not in ("", "servers"))
NAMES = ("a", "b", "c", "d")
QUIET = 2_500.0
# Nobody puts a server back in less.
AWAY = 20.0


class Plane(httpx.AsyncBaseTransport):
    """An API server of many kinds: one history each, one door for all."""

    def __init__(self, loop: VirtualLoop, rng: random.Random) -> None:
        self.servers: dict[str, ApiServer] = {}
        self.served: dict[str, Source] = {}
        for number, source in enumerate(FOLLOWED):
            if source.resource.plural not in self.servers:
                server = ApiServer(source, loop.time, rng)
                server._uids = 1_000 * number
                if source.into == "jobs":
                    server.put("a", 0)
                self.servers[source.resource.plural] = server
                self.served[source.resource.plural] = source
        self.down = False

    @property
    def jobs(self) -> list[ApiServer]:
        return [each for each in self.servers.values() if each.source.into == "jobs"]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.down:
            raise httpx.ConnectError("connection refused")
        for plural, source in self.served.items():
            if path == source.resource.path(None):
                return await self.servers[plural].handle_async_request(request)
        if path in ("/api", "/apis"):
            return httpx.Response(
                200, headers=JSON, stream=httpx.ByteStream(encoded(self._discovery(path)))
            )
        if path.endswith("/services"):
            page = {"kind": "ServiceList", "metadata": {}, "items": []}
            return httpx.Response(200, headers=JSON, stream=httpx.ByteStream(encoded(page)))
        return httpx.Response(
            404, headers={"content-type": "text/plain"}, stream=httpx.ByteStream(b"404 page")
        )

    def _discovery(self, path: str) -> dict[str, Any]:
        groups: dict[str, dict[str, list[str]]] = {}
        for resource in (NAMESPACES, *(source.resource for source in self.served.values())):
            if (path == "/api") == (not resource.group):
                versions = groups.setdefault(resource.group, {})
                versions.setdefault(resource.version, []).append(resource.plural)
        items = [
            {
                "metadata": {"name": group},
                "versions": [
                    {"version": version, "resources": [{"resource": each} for each in plurals]}
                    for version, plurals in versions.items()
                ],
            }
            for group, versions in groups.items()
        ]
        return {"kind": "APIGroupDiscoveryList", "items": items}

    def serve(self, source: Source | None, plural: str) -> None:
        """Have a kind by this version from now on, or not at all: then its objects are gone."""
        server = self.servers[plural]
        server.cut_all()
        if source is None:
            self.served.pop(plural, None)
            for name in list(server.objects):
                server.drop(name)
            server.restart()
        else:
            self.served[plural] = source
            server.source = source


def step(plane: Plane, rng: random.Random) -> None:
    """Something happens."""
    server = rng.choice(list(plane.servers.values()))
    plural = server.source.resource.plural
    kind = rng.randrange(14)
    status = rng.choice((403, 404, 410, 429, 500, 503))
    if kind < 5 and server.source.into != "pods" and plural in plane.served:
        server.put(rng.choice(NAMES), rng.randrange(4))
    elif kind == 5:
        server.drop(rng.choice(NAMES))
    elif kind == 6:
        server.on_list.append(Spoilt(status, encoded(refusal(status))))
    elif kind == 7:
        server.on_watch.append(Spoilt(status, encoded(refusal(status))))
    elif kind == 8:
        server.cut_all()
    elif kind == 9:
        server.compact()
        server.cut_all()
    elif kind == 10 and plural in plane.served:
        restore(plane, server, rng)
    elif kind == 11:
        plane.down = rng.random() < 0.4
        if plane.down:
            for each in plane.servers.values():
                each.cut_all()
    elif kind == 12 and plural not in ("jobs", "pods"):
        by = [source for source in FOLLOWED if source.resource.plural == plural]
        plane.serve(rng.choice([None, *by]), plural)
    else:
        for stream in server.streams:
            stream.tear = "cut"


def restore(plane: Plane, server: ApiServer, rng: random.Random) -> None:
    """It goes away, and comes back with an older state, or with one that has come further."""
    back, names = rng.randint(1, 4), rng.choices(NAMES, k=rng.randrange(8))
    if server.down:
        return  # It is being put back already, and was not there in between.
    server.down = True
    server.restart()

    def done() -> None:
        if server.source.resource.plural in plane.served:
            server.restore(back)
            for name in names if server.source.into != "pods" else ():
                server.put(name, rng.randrange(4))
        server.down = False

    asyncio.get_running_loop().call_later(AWAY, done)


async def quiet(plane: Plane, feed: JobsFeed) -> None:
    """No more faults, and time."""
    await asyncio.sleep(AWAY)
    plane.down = False
    for server in plane.servers.values():
        server.calm()
    await asyncio.sleep(QUIET)
    equal(plane, feed)


def equal(plane: Plane, feed: JobsFeed) -> None:
    """The table has what the servers have."""
    feed.store.flush(0.0)
    rows = {view.key for view in feed.store.table.values()}
    table = {(key.kind, key.name) for key in rows}
    wanted = {
        (server.source.resource.kind, name) for server in plane.jobs for name in server.objects
    }
    assert table == wanted, feed.troubles()
    assert len(feed.store.table) == len(wanted)
    for server in plane.jobs:
        for doc in server.objects.values():
            job = feed.store.job(doc["metadata"]["uid"])
            assert job is not None
            assert job.metadata.resource_version == doc["metadata"]["resourceVersion"]
            assert job.metadata.labels["turn"] == doc["metadata"]["labels"]["turn"]
    assert feed.health().state is HealthState.LIVE
    assert not feed.store.defect
    assert not [line for line in feed.troubles() if "defect" in line]


@contextlib.asynccontextmanager
async def fed(plane: Plane) -> AsyncIterator[JobsFeed]:
    """A feed of the plane, for a while."""
    cluster = ClusterInfo("c", "http://c.invalid")
    info = ContextInfo("c", "c", cluster.server, "u", "", cluster, UserInfo("u", token="t"))
    link = Connection(info, ContextConfig(name="c", tier=Tier.DEV), env={})
    link.kube._pool._open = httpx.AsyncClient(transport=plane, trust_env=False)
    feed = JobsFeed(link, None, JobStore("c"), lambda: None)
    feed.start()
    try:
        await asyncio.sleep(3.0)
        yield feed
    finally:
        await feed.stop()
        await link.aclose()


async def schedule(loop: VirtualLoop, seed: int) -> None:
    rng = random.Random(seed)
    plane = Plane(loop, rng)
    async with fed(plane) as feed:
        for _ in range(2):
            for _ in range(30):
                step(plane, rng)
                await asyncio.sleep(rng.choice((0.0, 0.05, 1.0, 8.0, 60.0)))
            await quiet(plane, feed)


async def upgraded(loop: VirtualLoop) -> None:
    plane = Plane(loop, random.Random(1))
    old, new = (each for each in FOLLOWED if each.resource.plural == "rayjobs")
    assert old.resource.key != new.resource.key
    async with fed(plane) as feed:
        for source in (new, old, None, old):
            plane.serve(source, "rayjobs")
            if source is not None:
                plane.servers["rayjobs"].put("a", 1)
            await asyncio.sleep(90.0)
            equal(plane, feed)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    monkeypatch.setattr(reflector_module, "PAGE", 2)
    loop = VirtualLoop()
    loop.latest = float("inf")
    # The feed gives its reflectors no clock: they have the process's.
    defaults = reflector_module.Reflector.__init__.__kwdefaults__ or {}
    for clock in ("clock", "wall"):
        monkeypatch.setitem(defaults, clock, loop.time)
    asyncio.set_event_loop(loop)
    try:
        yield loop
        loop.leave()
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(times(8, 400)))
def test_the_table_has_what_the_servers_have(loop: VirtualLoop, seed: int) -> None:
    loop.run_until_complete(schedule(loop, seed))


def test_a_kind_by_another_version_is_there_at_once(loop: VirtualLoop) -> None:
    """And one that was away, within the time after which it is asked for again."""
    loop.run_until_complete(upgraded(loop))
