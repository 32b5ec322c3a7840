"""A reflector of one kind on a server within the process, on a clock of its own."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from types import TracebackType
from typing import Any

import httpx

from mcp_tui.domain.serving import serving_of
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ContextInfo, UserInfo
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.serving import ServingStore
from tests.faults.apiserver import ApiServer
from tests.faults.follow import Mirror
from tests.faults.virtual import VirtualLoop
from tests.joined.sources import Source

# More than an hour: the longest wait that a server may ask for, a watch's time, and a few lists.
QUIET = 4_000.0
WINDOW, MOST_CALLS = 10.0, 60


class Strict(Mirror):
    """Also: within one list epoch no older version over a newer one, nor what is gone again."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__()
        self._server = server
        self._told: dict[str, tuple[int, int]] = {}

    def __call__(self, delta: Delta[Any]) -> None:
        epoch = self._server.lists
        for item in delta.upserts:
            meta = item.metadata
            version = int(meta.resource_version)
            when, newest = self._told.get(meta.uid, (0, 0))
            assert when < epoch or version > newest, f"{meta.uid}: {version} after {newest}"
            self._told[meta.uid] = (epoch, version)
        super().__call__(delta)
        self.deltas.clear()


class Scene:
    """See the module; a context manager."""

    def __init__(self, source: Source, seed: int = 7, **options: Any) -> None:
        rng = random.Random(seed)
        self.source = source
        self.loop = VirtualLoop()
        self.loop.latest = float("inf")
        self.server = ApiServer(source, self.loop.time, rng)
        self.offset = {"clock": 0.0, "wall": 0.0}
        self.mirror = Strict(self.server)
        self.store = JobStore("c")
        self.serving = ServingStore()
        self.healths: list[SourceHealth] = []
        cluster = ClusterInfo("c", "http://c.invalid")
        user = UserInfo("u", token="t")
        context = ContextInfo("c", "c", cluster.server, "u", "", cluster, user)
        self.client = KubeClient(context, gate=Gate(read_only=True), env={})
        self.client._pool._open = httpx.AsyncClient(transport=self.server, trust_env=False)
        self.reflector = Reflector(
            self.client,
            source.resource,
            namespace=None,
            sink=self._sink,
            on_health=self.healths.append,
            clock=lambda: self.loop.time() + self.offset["clock"],
            wall=lambda: self.loop.time() + self.offset["wall"],
            rng=rng,
            **options,
        )
        self.task: asyncio.Task[None] | None = None

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _sink(self, delta: Delta[Any]) -> None:
        self.mirror(delta)
        if self.source.into == "jobs":
            self.store.apply(delta)
        elif self.source.into == "workloads":
            self.store.apply_workloads(delta)
        elif self.source.into == "pods":
            self.store.apply_pods("all", delta)
        elif self.source.into == "servers":
            self.serving.apply("c", delta)

    def go(self, seconds: float) -> None:
        """Let time pass."""
        asyncio.set_event_loop(self.loop)
        if self.task is None:
            self.task = self.loop.create_task(self.reflector.run())
        self.loop.run_until_complete(asyncio.sleep(seconds))
        if self.task.done():
            self.task.result()
        self.no_hot_loop()

    def no_hot_loop(self) -> None:
        """No cure is a storm of calls."""
        recent: deque[float] = deque()
        for at, _ in self.server.calls:
            recent.append(at)
            while recent[0] < at - WINDOW:
                recent.popleft()
            assert len(recent) <= MOST_CALLS, f"{len(recent)} calls in {WINDOW} s"
        last = self.loop.time() - WINDOW
        self.server.calls = [each for each in self.server.calls if each[0] > last]

    def may_write(self, events: int = 2) -> bool:
        """Whether a server that was restored stays behind until our versions were compared.

        From there on nothing tells its new ones from those of before, unless it was away.
        """
        ours = int(self.reflector._version or "0")
        return ours <= self.server.version or self.server.version + 3 * events < ours

    def may_restore(self, back: int) -> bool:
        """Whether the server would be behind us then, or nobody asks for its changes."""
        version, _ = self.server.past[max(0, len(self.server.past) - 1 - back)]
        return version < int(self.reflector._version or "0")

    def equal(self) -> None:
        """What was told equals the server, here and in the store."""
        there = {
            doc["metadata"]["uid"]: doc["metadata"]["resourceVersion"]
            for doc in self.server.objects.values()
        }
        rows = {uid: row.metadata.resource_version for uid, row in self.mirror.rows.items()}
        assert rows == there, f"{self.reflector.health}"
        # A version that a restored server gave twice stands for the newer state.
        told = {u: row.metadata.labels["turn"] for u, row in self.mirror.rows.items()}
        docs = self.server.objects.values()
        assert told == {d["metadata"]["uid"]: d["metadata"]["labels"]["turn"] for d in docs}
        assert self.reflector.known() == there
        if self.source.into == "servers":
            # It keeps what an object says of models, and no versions.
            self.serving.flush()
            said = (serving_of(row, context="c") for row in self.mirror.rows.values())
            assert self.serving.table.rows() == {each.key: each for each in said}
        else:
            assert self.stored() == there

    def settle(self) -> None:
        """After quiet, everything equals the server."""
        self.server.calm()
        self.go(QUIET)
        self.equal()
        assert self.mirror.synced
        assert self.reflector.health.state is HealthState.LIVE, self.reflector.health

    def stored(self) -> dict[str, str]:
        """What came to the store: versions by uid."""
        self.store.flush(0.0)
        if self.source.into == "jobs":
            kept: Any = [self.store.job(uid) for uid in self.store.table]
            assert len(self.store) == len(kept)
        elif self.source.into == "workloads":
            kept = self.store._workloads.values()
        elif self.source.into == "pods":
            kept = [next(iter(each.values())) for each in self.store._pods._copies.values()]
        else:
            kept = self.mirror.rows.values()
        return {item.metadata.uid: item.metadata.resource_version for item in kept}

    def close(self) -> None:
        """End it, and what its server still waits for."""
        try:
            if self.task is not None:
                self.task.cancel()
                self.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))
                self.loop.run_until_complete(self.client.aclose())
            self.loop.leave()
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
