"""A server that hangs is said to, soon; one that is only quiet is left in peace."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.config import ContextConfig
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from mcp_tui.store.pulse import Pulse, PulseTiming
from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.cluster.process import MARK, end_marked
from tests.contract.test_store_live import connect, create, job_of
from tests.faults.follow import until
from tests.faults.proxy import Answer, Fault, FaultProxy

LIVEZ = r"/livez$"
# The real times, made short; what is not meant never comes due.
OVERDUE = PulseTiming(
    overdue=1.5, attended=1e6, suspicious=1e6, deadline=1.0, tick=0.1, first=0.2, most=0.5
)
AT_THE_KEYS = PulseTiming(
    overdue=1e6, attended=0.5, suspicious=1e6, deadline=1.0, tick=0.1, first=0.2, most=0.5
)
AFTER_A_CALL = PulseTiming(
    overdue=1e6, attended=1e6, suspicious=0.5, deadline=1.0, tick=0.1, first=0.2, most=0.5
)


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
async def fed(
    connection: Connection,
    namespace: str,
    pulse: PulseTiming,
    on_change: Callable[[], None] = lambda: None,
) -> AsyncIterator[JobsFeed]:
    feed = JobsFeed(connection, namespace, JobStore("dev"), on_change, pulse=pulse)
    feed.start()
    try:
        await until(lambda: feed.health().state is HealthState.LIVE, 30)
        assert await feed.settle(30)
        feed.store.flush(time.time())
        yield feed
    finally:
        await feed.stop()


def stale(feed: JobsFeed) -> bool:
    health = feed.health()
    return health.state is HealthState.RETRYING and "no answer within 1 s" in health.message


async def test_a_server_that_hangs_is_found_when_its_bookmark_is_overdue(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    await create(ground, namespace, job_of("still", suspend=True))
    async with fed(connection, namespace, OVERDUE) as feed:
        proxy.freeze()
        await until(lambda: stale(feed), 20, lambda: str(feed.health()))
        assert feed.health().retry_at is not None
        assert "/livez" in feed.health().message
        assert len(feed.store.table) == 1, "rows stay"
        asked = proxy.count(LIVEZ)
        proxy.clear()
        await until(lambda: feed.health().state is HealthState.LIVE)
        assert proxy.count(r"watch=true.*") > 0
        assert proxy.count(LIVEZ) >= asked
        assert feed.health().message == ""


async def test_a_server_that_hangs_is_found_by_whoever_is_at_the_keys(
    namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    async with fed(connection, namespace, AT_THE_KEYS) as feed:
        proxy.freeze()
        quiet = time.monotonic()
        await until(lambda: time.monotonic() - quiet > 1.5)
        assert proxy.count(LIVEZ) == 0, "nobody is there who would want to know"
        # Rows come and go under a cursor that nobody moves.
        feed.focus("some-job")
        feed.visible(("some-job",))
        moved = time.monotonic()
        await until(lambda: time.monotonic() - moved > 1.5)
        assert proxy.count(LIVEZ) == 0
        feed.attend()
        await until(lambda: stale(feed), 20, lambda: str(feed.health()))
        proxy.clear()
        await until(lambda: feed.health().state is HealthState.LIVE)


async def test_a_call_without_an_answer_is_reason_enough_to_ask(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    """A job that waits on screen has its pods listed now and then: that call finds out."""
    body = job_of("waits")
    body["spec"]["template"]["spec"]["nodeSelector"] = {"there": "is-none"}
    uid = await create(ground, namespace, body)
    async with fed(connection, namespace, AFTER_A_CALL) as feed:
        proxy.freeze()
        assert proxy.count(LIVEZ) == 0
        feed.visible([uid])
        await until(lambda: stale(feed), 40, lambda: str(feed.health()))
        proxy.clear()
        await until(lambda: feed.health().state is HealthState.LIVE)


async def test_a_change_that_comes_ends_the_doubt(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    """The probe itself may be what is lost: a watch that speaks is proof enough."""
    lost = proxy.add(Fault(Answer(503, b'{"message": "no upstream"}'), path=LIVEZ))
    states: list[HealthState] = []
    feeds: list[JobsFeed] = []

    def changed() -> None:
        states.extend(feed.health().state for feed in feeds)

    async with fed(connection, namespace, OVERDUE, changed) as feed:
        await until(lambda: "no upstream" in feed.health().message, 20)
        assert feed.health().state is HealthState.RETRYING
        assert lost.hits >= 1
        feeds.append(feed)
        await create(ground, namespace, job_of("news", suspend=True))
        await until(lambda: HealthState.LIVE in states)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_any_answer_of_the_server_itself_is_a_sign_of_life(
    namespace: str, proxy: FaultProxy, connection: Connection, status: int
) -> None:
    answer = proxy.add(Fault(Answer(status, b'{"message": "not for you"}'), path=LIVEZ))
    async with fed(connection, namespace, OVERDUE) as feed:
        await until(lambda: answer.hits >= 1, 20)
        await until(lambda: feed._pulse._answered_at > 0)
        assert feed.health().state is HealthState.LIVE


async def test_the_watch_of_one_job_says_it_too(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    uid = await create(ground, namespace, job_of("one", suspend=True))
    changes: list[int] = []
    watch = JobWatch(
        connection,
        kind="Job",
        namespace=namespace,
        name="one",
        uid=uid,
        on_change=lambda: changes.append(1),
        pulse=OVERDUE,
    )
    watch.start()
    try:
        await until(lambda: watch.view() is not None and watch.health.state is HealthState.LIVE)
        proxy.freeze()
        await until(lambda: watch.failing, 20, lambda: str(watch.health))
        assert "no answer" in watch.health.message
        assert watch.view() is not None
        proxy.clear()
        await until(lambda: not watch.failing)
    finally:
        await watch.stop()


@contextlib.contextmanager
def plane(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """An embedded control plane of our own, which may be stopped in its tracks."""
    mark = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_tui.demo.plane", "--dir", str(directory)],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, MARK: mark},
    )
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        timer.cancel()
        yield process, said
    finally:
        timer.cancel()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        end_marked(mark)


async def test_a_server_whose_process_is_stopped_is_found_and_found_again(tmp_path: Path) -> None:
    """Its kernel still takes connections and bytes: nothing but a question tells."""
    with plane(tmp_path) as (process, said):
        info = load_kubeconfig({}, Path(said["kubeconfig"])).context(said["context"])
        link = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
        try:
            async with fed(link, "default", OVERDUE) as feed:
                process.send_signal(signal.SIGSTOP)
                await until(lambda: stale(feed), 20, lambda: str(feed.health()))
                process.send_signal(signal.SIGCONT)
                await until(lambda: feed.health().state is HealthState.LIVE)
                assert feed._reflectors["jobs"].health.state is HealthState.LIVE
        finally:
            await link.aclose()


# -- when there is reason to ask ------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def watch_of(spoke_at: float, state: HealthState = HealthState.LIVE) -> SourceHealth:
    return SourceHealth(name="w", state=state, spoke_at=spoke_at)


@pytest.fixture
def pulse(tmp_path: Path) -> tuple[Pulse, list[SourceHealth], Clock]:
    clock = Clock()
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    kube = KubeClient(load_kubeconfig({}, path).context(), gate=Gate(read_only=True), env={})
    watches: list[SourceHealth] = []
    return Pulse(kube, lambda: watches, lambda: None, clock=clock), watches, clock


def test_bookmarks_that_come_each_minute_are_all_that_crosses_the_line(
    pulse: tuple[Pulse, list[SourceHealth], Clock],
) -> None:
    it, watches, clock = pulse
    watches[:] = [watch_of(clock.now), watch_of(clock.now + 30)]
    for second in range(600):
        clock.now += 1
        watches[:] = [
            watch_of(1_000.0 + 62 * (second // 62)),
            watch_of(1_030.0 + 62 * max(0, (second - 30) // 62)),
        ]
        assert not it._has_reason(), second


def test_a_kind_that_misses_a_bookmark_is_no_reason_while_another_is_heard(
    pulse: tuple[Pulse, list[SourceHealth], Clock],
) -> None:
    """A real server leaves one out for a kind of which nothing has changed since it was listed."""
    it, watches, clock = pulse
    watches[:] = [watch_of(clock.now), watch_of(clock.now + 60)]
    clock.now += 120
    assert not it._has_reason()
    watches[:] = [watch_of(1_000.0), watch_of(1_120.0)]
    clock.now += 74
    assert not it._has_reason()
    clock.now += 2
    assert it._has_reason(), "now all are silent for longer than a bookmark takes"
    it._answered_at = clock.now
    clock.now += 74
    assert not it._has_reason(), "it answered"


def test_keys_ask_once_for_a_silence_and_no_key_asks_not_at_all(
    pulse: tuple[Pulse, list[SourceHealth], Clock],
) -> None:
    it, watches, clock = pulse
    watches[:] = [watch_of(clock.now)]
    clock.now += 40
    assert not it._has_reason()
    it.attend()
    assert it._has_reason()
    it._answered_at = clock.now
    for _ in range(14):
        clock.now += 1
        it.attend()
        assert not it._has_reason(), "fifteen seconds apart at least"
    clock.now += 2
    assert it._has_reason(), "the last key is newer than the last word"


def test_what_is_not_followed_is_not_asked_after(
    pulse: tuple[Pulse, list[SourceHealth], Clock],
) -> None:
    it, watches, clock = pulse
    watches[:] = [watch_of(clock.now, HealthState.RETRYING), watch_of(1.0, HealthState.POLLING)]
    clock.now += 1_000
    it.attend()
    it.doubt()
    assert not it._has_reason()
    said = it.over(watches[0])
    assert said is watches[0]


async def test_a_word_that_comes_while_the_server_is_asked_is_an_answer(
    pulse: tuple[Pulse, list[SourceHealth], Clock],
) -> None:
    """Nothing listens there, so the question itself fails."""
    it, watches, clock = pulse
    watches[:] = [watch_of(clock.now)]
    clock.now += 80
    await it.ask()
    assert "nothing listens" in it.unanswered
    assert it.over(watches[0]).state is HealthState.RETRYING
    watches[:] = [watch_of(clock.now + 1)]
    await it.ask()
    assert it.unanswered == ""
    assert it.over(watches[0]) is watches[0]
