"""Whatever happens, after quiet a reflector's sink has what the server has, and the store too.

Random changes, pages, watches, faults, restarts and restored servers, against a server within the
process on a clock of its own: a step costs milliseconds and may last for minutes. Hypothesis looks
for the shortest way to a ghost, a missing row, or an older version over a newer one.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from mcp_tui.sources.base import HealthState
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes import reflector as reflector_module
from mcp_tui.sources.kubernetes.kubeconfig import ClusterInfo, ContextInfo, UserInfo
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.jobs import JobStore
from tests.faults.apiserver import GONE, ApiServer, Spoilt, encoded, refusal
from tests.faults.follow import Mirror
from tests.faults.virtual import VirtualLoop
from tests.joined.sources import SOURCES, Source
from tests.soak import times

NAMES = ("a", "b", "c", "d", "e")
STATUSES = (400, 401, 403, 404, 405, 408, 409, 410, 422, 429, 500, 502, 503, 504)
# More than an hour: the longest wait that a server may ask for, a watch's time, and a few lists.
QUIET = 4_000.0
WINDOW, MOST_CALLS = 10.0, 60

bodies = st.sampled_from((b"", b"<html><title>no</title></html>", b'{"kind":"Sta', b"[1]"))
spoilt = st.one_of(
    st.builds(
        lambda status, body, after: Spoilt(status, body or encoded(refusal(status)), (), after),
        st.sampled_from(STATUSES),
        bodies,
        st.sampled_from((0.0, 20.0)),
    ),
    st.builds(
        lambda status, wait: Spoilt(status, encoded(refusal(status)), (("Retry-After", wait),)),
        st.sampled_from((429, 503)),
        st.sampled_from(("0", "1", "700", "soon")),
    ),
    st.builds(
        lambda body: Spoilt(200, body),
        st.sampled_from((b"", b'{"kind":"Status"}', b"<html>", b"\xff\xfe\n", b'{"items":[\n')),
    ),
    st.sampled_from((Spoilt(0), Spoilt(-1), Spoilt(410, encoded(GONE)))),
)
lists = st.one_of(
    spoilt,
    st.sampled_from(
        (Spoilt(cut=True), Spoilt(real=True, after=3.0), Spoilt(real=True, after=29.0))
    ),
)
watches = st.one_of(spoilt, st.sampled_from(("gzip", "event", "error")))


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
    """A reflector of one kind on a server of its own."""

    def __init__(self, source: Source, seed: int) -> None:
        rng = random.Random(seed)
        self.source = source
        self.loop = VirtualLoop()
        self.loop.latest = float("inf")
        self.server = ApiServer(source, self.loop.time, rng)
        self.offset = {"clock": 0.0, "wall": 0.0}
        self.mirror = Strict(self.server)
        self.store = JobStore("c")
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
            clock=lambda: self.loop.time() + self.offset["clock"],
            wall=lambda: self.loop.time() + self.offset["wall"],
            rng=rng,
        )
        self.task: asyncio.Task[None] | None = None

    def _sink(self, delta: Delta[Any]) -> None:
        self.mirror(delta)
        if self.source.into == "jobs":
            self.store.apply(delta)
        elif self.source.into == "workloads":
            self.store.apply_workloads(delta)
        elif self.source.into == "pods":
            self.store.apply_pods("all", delta)

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
        recent: deque[float] = deque()
        for at, _ in self.server.calls:
            recent.append(at)
            while recent[0] < at - WINDOW:
                recent.popleft()
            assert len(recent) <= MOST_CALLS, f"{len(recent)} calls in {WINDOW} s"
        self.server.calls = [
            each for each in self.server.calls if each[0] > self.loop.time() - WINDOW
        ]

    def settle(self) -> None:
        """After quiet, everything equals the server."""
        self.server.calm()
        self.go(QUIET)
        there = {
            doc["metadata"]["uid"]: doc["metadata"]["resourceVersion"]
            for doc in self.server.objects.values()
        }
        rows = {uid: row.metadata.resource_version for uid, row in self.mirror.rows.items()}
        assert rows == there, f"{self.reflector.health}"
        assert self.reflector.known() == there
        assert self.mirror.synced
        assert self.reflector.health.state is HealthState.LIVE, self.reflector.health
        assert self.stored() == there

    def stored(self) -> dict[str, str]:
        """What came to the store."""
        self.store.flush(0.0)
        if self.source.into == "jobs":
            kept: Any = [self.store.job(uid) for uid in self.store.table]
            assert len(self.store) == len(kept)
        elif self.source.into == "workloads":
            kept = self.store._workloads.values()
        elif self.source.into == "pods":
            kept = [next(iter(x.values())) for x in self.store._pods._copies.values()]
        else:
            kept = self.mirror.rows.values()
        return {item.metadata.uid: item.metadata.resource_version for item in kept}

    def close(self) -> None:
        try:
            if self.task is not None:
                self.task.cancel()
                self.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))
                self.loop.run_until_complete(self.client.aclose())
                self.loop.run_until_complete(asyncio.sleep(1_000))
            self.loop.leave()
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()


class Machine(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    source = SOURCES[0]

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(self.source, 7)
        self.server = self.scene.server

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), turn=st.integers(0, 3))
    def put(self, names: list[str], turn: int) -> None:
        for name in names:
            if self.server.may_write():
                self.server.put(name, turn)

    @rule(name=st.sampled_from(NAMES))
    def drop(self, name: str) -> None:
        if self.server.may_write():
            self.server.drop(name)

    @rule(name=st.sampled_from(NAMES))
    def make_again(self, name: str) -> None:
        if self.server.may_write():
            self.server.drop(name)
            self.server.put(name, 0)

    @rule(seconds=st.sampled_from((0.0, 0.02, 0.3, 1.5, 6.0, 40.0, 400.0)))
    def wait(self, seconds: float) -> None:
        self.scene.go(seconds)

    @rule(faults=st.lists(lists, min_size=1, max_size=3))
    def lists_fail(self, faults: list[Spoilt]) -> None:
        self.server.on_list.extend(faults)

    @rule(faults=st.lists(watches, min_size=1, max_size=3))
    def watches_fail(self, faults: list[Spoilt | str]) -> None:
        self.server.on_watch.extend(faults)

    @rule(how=st.sampled_from(("cut", "end", "tear cut", "tear end", "late", "stall", "again")))
    def stream(self, how: str) -> None:
        for each in list(self.server.streams):
            if how == "cut":
                each.end(httpx.ReadError("reset"))
            elif how == "end":
                each.end()
            elif how == "late":
                each.late = each.late or []
            elif how == "stall":
                each.stalled = True
            elif how == "again" and each.last:
                each.give(each.last)
            else:
                each.tear = how.removeprefix("tear ")

    @rule(times_=st.integers(1, 3))
    def garbage(self, times_: int) -> None:
        for version in range(self.server.version + 1, self.server.version + 4):
            self.server.spoil[version] = times_

    @rule(many=st.sampled_from((1, 300)))
    def bookmarks(self, many: int) -> None:
        for each in self.server.streams:
            for _ in range(many):
                self.server.bookmark(each)

    @rule(back=st.integers(0, 3))
    def old_event(self, back: int) -> None:
        """An event of long ago comes once more."""
        for each in self.server.streams:
            if len(self.server.history) > back:
                _, type_, doc = self.server.history[-1 - back]
                each.line({"type": type_, "object": doc})

    @rule()
    def compact(self) -> None:
        self.server.compact()

    @rule(down=st.booleans())
    def reach(self, down: bool) -> None:
        self.server.down = down
        if down:
            self.server.cut_all()

    @rule()
    def restart(self) -> None:
        self.server.restart()

    @rule(back=st.integers(1, 6), names=st.lists(st.sampled_from(NAMES), max_size=2))
    def restore(self, back: int, names: list[str]) -> None:
        self.server.restore(back)
        for name in names:
            if self.server.may_write():
                self.server.put(name, 2)

    @rule(kind=st.sampled_from(("stopped", "slept")))
    def suspend(self, kind: str) -> None:
        self.scene.offset["wall"] += 500.0
        if kind == "stopped":
            self.scene.offset["clock"] += 500.0

    @rule()
    def settle(self) -> None:
        self.scene.settle()
        # Whoever had seen the version of before has seen that it went backwards.
        self.server.behind = 0

    def teardown(self) -> None:
        try:
            self.scene.settle()
        finally:
            self.scene.close()


@pytest.mark.soak
@pytest.mark.parametrize(
    "source", [each for each in SOURCES if each.followed], ids=lambda source: source.name
)
def test_the_sink_has_what_the_server_has(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector_module, "PAGE", 2)
    machine = type("Machine", (Machine,), {"source": source})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=times(12, 1_000),
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
