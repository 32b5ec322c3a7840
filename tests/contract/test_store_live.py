"""Logs, the feed and the watch of one job, on the real cluster and through the fault proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.config import ContextConfig
from mcp_tui.domain.job import JobState
from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.kube import Pod
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.resources import JOBS
from mcp_tui.store import feed as feed_module
from mcp_tui.store import looking
from mcp_tui.store.evidence import row_for
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from tests.cluster import Ground
from tests.cluster.objects import FAKE_TOLERATION
from tests.faults.follow import Maps, following, until
from tests.faults.proxy import Answer, Cut, Fault, FaultProxy, Hold, Stall

LOG = r"/pods/[^/]+/log"
POD_LISTS = r"/pods\?.*labelSelector=.*limit=200"


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as it:
        yield it


def connect(proxy: FaultProxy, ground: Ground, folder: Path) -> Connection:
    path = proxy.kubeconfig(folder / "kubeconfig", token=ground.dev.tokens["admin"])
    info = load_kubeconfig({}, path).context()
    return Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})


@pytest_asyncio.fixture
async def connection(
    proxy: FaultProxy, ground: Ground, tmp_path: Path
) -> AsyncIterator[Connection]:
    it = connect(proxy, ground, tmp_path)
    yield it
    await it.aclose()


def job_of(name: str, script: str = "true", **spec: Any) -> dict[str, Any]:
    restart = spec.pop("restart", "Never")
    fake = spec.pop("fake", False)
    pod: dict[str, Any] = {
        "restartPolicy": restart,
        "containers": [{"name": "c", "image": "i", "command": ["sh", "-c", script]}],
    }
    if fake:
        pod |= {"tolerations": [FAKE_TOLERATION], "nodeSelector": {"type": "kwok"}}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}, **spec}}


async def create(
    ground: Ground, namespace: str, body: dict[str, Any], kind: str = "/apis/batch/v1/{}/jobs"
) -> str:
    path = kind.format(f"namespaces/{namespace}")
    made = (await asyncio.to_thread(ground.api, "POST", path, body)).ok()
    uid: str = made["metadata"]["uid"]
    return uid


async def delete(ground: Ground, namespace: str, name: str) -> None:
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
    await asyncio.to_thread(
        ground.api, "DELETE", path, {"propagationPolicy": "Background", "kind": "DeleteOptions"}
    )


async def ended(ground: Ground, namespace: str, name: str, deadline: float = 60) -> None:
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
    end = time.monotonic() + deadline
    while True:
        found = await asyncio.to_thread(ground.api, "GET", path)
        conditions = found.body.get("status", {}).get("conditions", [])
        if found.status == 404 or any(c["type"] in ("Complete", "Failed") for c in conditions):
            return
        assert time.monotonic() < end, found.body
        await asyncio.sleep(0.2)


def query(namespace: str, name: str, **more: Any) -> LogQuery:
    return LogQuery(namespace=namespace, selector=f"batch.kubernetes.io/job-name={name}", **more)


async def read(logs: JobLogs) -> list[str]:
    lines: list[str] = []
    async with asyncio.timeout(90):
        async for batch in logs.batches():
            lines += [record.text for record in batch]
    return lines


async def end_with(ground: Ground, namespace: str, name: str, logs: JobLogs) -> None:
    await ended(ground, namespace, name)
    logs.done.set()


async def test_a_log_that_breaks_again_and_again_loses_and_doubles_nothing(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    script = "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.05; done"
    await create(ground, namespace, job_of("breaks", script))
    proxy.add(Fault(Cut(after_lines=3, within=True), path=LOG, nth=1))
    proxy.add(Fault(Cut(after_lines=9, within=True, clean=True), path=LOG, nth=1))
    proxy.add(Fault(Cut(after_lines=2, clean=True), path=LOG, nth=1))
    proxy.add(Fault(Answer(503, b"{}"), path=LOG, nth=1))
    logs = JobLogs(connection.kube, query(namespace, "breaks"))
    ending = asyncio.create_task(end_with(ground, namespace, "breaks", logs))
    lines = await read(logs)
    await ending
    assert lines == [f"line {i}" for i in range(60)]
    assert proxy.count(LOG) >= 5


async def test_attempts_of_one_pod_follow_each_other_without_doubles(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    script = "echo start $$; echo $(date +%s%N); exit 1"
    body = job_of("again", script, restart="OnFailure", backoffLimit=2)
    await create(ground, namespace, body)
    logs = JobLogs(connection.kube, query(namespace, "again"))
    ending = asyncio.create_task(end_with(ground, namespace, "again", logs))
    lines = await read(logs)
    await ending
    stamps = [line for line in lines if not line.startswith("start")]
    assert len(set(stamps)) == len(stamps) >= 2, lines
    assert len(lines) == 2 * len(stamps)


async def test_an_init_container_that_fails_is_what_is_read(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    body = job_of("init", "echo never", backoffLimit=0)
    body["spec"]["template"]["spec"]["initContainers"] = [
        {"name": "code", "image": "i", "command": ["sh", "-c", "echo no such branch; exit 3"]}
    ]
    await create(ground, namespace, body)
    await ended(ground, namespace, "init")
    logs = JobLogs(connection.kube, query(namespace, "init", follow=False))
    assert await read(logs) == ["no such branch"]


async def test_hostile_lines_arrive_harmless(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    script = r"printf 'a\033]52;c;ZXZpbA==\007b\n'; printf '10%%\r20%%\r\n'; printf 'no end'"
    await create(ground, namespace, job_of("hostile", script))
    await ended(ground, namespace, "hostile")
    lines = await read(JobLogs(connection.kube, query(namespace, "hostile", follow=False)))
    assert lines[1:] == ["20%", "no end"]
    assert lines[0].isprintable()
    assert "\x1b" not in lines[0]


async def test_logs_that_may_not_be_read_are_said_once(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    await create(ground, namespace, job_of("secret", "echo x", completions=3, parallelism=3))
    await ended(ground, namespace, "secret")
    refusal = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "not you"}
    proxy.add(Fault(Answer(403, json.dumps(refusal).encode()), path=LOG))
    notes: list[str] = []
    logs = JobLogs(connection.kube, query(namespace, "secret", follow=False), notes.append)
    with pytest.raises(McpTuiError, match="not you"):
        await read(logs)
    assert len(notes) == 1
    assert proxy.count(LOG) == 3


async def test_pods_that_may_not_be_listed_end_the_log(
    namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    proxy.add(Fault(Answer(403, b'{"message": "no pods for you"}'), path=r"/pods\?"))
    with pytest.raises(McpTuiError, match="no pods for you"):
        await read(JobLogs(connection.kube, query(namespace, "any")))


async def test_a_log_that_is_left_leaves_nothing(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    await create(ground, namespace, job_of("long", "echo one; sleep 60"))
    before = asyncio.all_tasks()
    stream = JobLogs(connection.kube, query(namespace, "long")).batches()
    async with asyncio.timeout(60):
        assert [r.text for r in await anext(stream)] == ["one"]
    await stream.aclose()
    await until(lambda: asyncio.all_tasks() <= before)
    await delete(ground, namespace, "long")


# -- the feed ---------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def fed(connection: Connection, namespace: str) -> AsyncIterator[JobsFeed]:
    feed = JobsFeed(connection, namespace, JobStore("dev"), lambda: None)
    feed.start()
    try:
        yield feed
    finally:
        async with asyncio.timeout(10):
            await feed.stop()


async def waiting_jobs(ground: Ground, namespace: str, count: int) -> None:
    """Jobs whose pods no node takes."""
    for number in range(count):
        body = job_of(f"w{number:02d}")
        body["spec"]["template"]["spec"]["nodeSelector"] = {"there": "is-none"}
        await create(ground, namespace, body)


async def test_nothing_is_asked_beside_the_first_page_of_jobs(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    await create(ground, namespace, job_of("one"))
    held = Hold()
    proxy.add(Fault(held, path=r"/jobs\?", nth=1))
    async with fed(connection, namespace) as feed:
        async with asyncio.timeout(30):
            await held.reached.wait()
            await asyncio.sleep(0)
        assert proxy.count(r"/jobs\?") == 1
        assert proxy.count(r"/pods|/apis?$") == 0
        # A list that is not answered holds nothing else up for good.
        await until(lambda: proxy.count(r"/pods\?") > 1 and proxy.count(r"/apis$") > 0)
        held.release.set()
        assert await feed.settle(60)


@contextlib.asynccontextmanager
async def looked_at(connection: Connection, namespace: str, count: int) -> AsyncIterator[JobsFeed]:
    """Rows that wait, all on screen; nobody looks at them but the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "_TICK", 1e6)
        async with fed(connection, namespace) as feed:
            assert await feed.settle(60)
            feed.store.flush(time.time())
            assert len(feed.store.table) == count
            feed._looking.visible = tuple(feed.store.table)
            yield feed


async def test_many_rows_that_wait_are_asked_for_a_few_at_a_time(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    none = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await create(ground, namespace, none, "/api/v1/{}/resourcequotas")
    await waiting_jobs(ground, namespace, 30)
    async with looked_at(connection, namespace, 30) as feed:
        look, calls = feed._looking, r"/(pods|events)\?.*limit="
        before, lists = proxy.count(calls), proxy.count(POD_LISTS)
        await feed.look()
        assert proxy.count(POD_LISTS) - lists == 1, "the pods of all of them"
        # The last rows that are begun ask for what their events are about; 60 calls in all.
        asked = proxy.count(calls) - before
        assert looking.AT_ONCE < asked < looking.CALLS_A_LOOK + 2 * looking.AT_ONCE
        assert len(look._events_for) < 30
        for _ in range(10):
            await feed.look()
        assert set(look._events_for) == set(feed.store.table), "every row has its turn"


async def test_pods_that_are_more_than_their_jobs_say_are_all_found(
    ground: Ground,
    namespace: str,
    proxy: FaultProxy,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await waiting_jobs(ground, namespace, 3)
    monkeypatch.setattr(looking, "PODS_A_LIST", 4)
    for number in range(3):
        await create(ground, namespace, stray_pod(f"a-{number}", of="w00"), "/api/v1/{}/pods")
    async with looked_at(connection, namespace, 3) as feed:
        before = proxy.count(r"/pods\?.*limit=4")
        await feed.look()
        assert proxy.count(r"/pods\?.*limit=4") - before == 4, "together, then each"
        pods = {
            feed.store.table.get(uid).key.name: len(feed.store._pods.listed(uid))
            for uid in feed.store.table
        }
        assert pods == {"w00": 4, "w01": 1, "w02": 1}


async def test_pods_that_stay_as_they_are_are_listed_ever_less_often(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    await waiting_jobs(ground, namespace, 3)
    async with looked_at(connection, namespace, 3) as feed:
        look = feed._looking
        lists = pod_names(look)

        async def asked(later: float) -> int:
            """Jobs whose pods are listed by a look so many seconds after the last one."""
            look._looked = {uid: (seen, at - later) for uid, (seen, at) in look._looked.items()}
            lists.clear()
            await feed.look()
            return len(lists)

        await asked(0)
        while await asked(6):  # until the scheduler and the watches have said all they have
            feed.store.flush(time.time())
        assert await asked(4) == 3, "ten seconds after the last"
        assert [await asked(10), await asked(6), await asked(6)] == [0, 0, 3], "twenty after it"
        look._rests = dict.fromkeys(look.visible, looking.PODS_SELDOM)
        assert await asked(looking.PODS_SELDOM - 10) == 0
        assert await asked(11) == 3
        look.focus = look.visible[0]
        assert await asked(looking.PODS_SELDOM / 10) == 1, "what one looks at is looked after"
        look._looked = {uid: ("another", at) for uid, (_, at) in look._looked.items()}
        assert await asked(6) == 3, "a job that changed is looked at again"
        look.refresh()
        assert await asked(0) == 3


def pod_names(look: looking.Looking) -> list[str]:
    """Names of the jobs whose pods are listed from now on."""
    found: list[str] = []
    real = look._list_pods

    async def noted(group: Sequence[JobView]) -> Mapping[str, Sequence[Pod]]:
        found.extend(view.key.name for view in group)
        return await real(group)

    look._list_pods = noted  # type: ignore[method-assign]  # to see what is asked for
    return found


def stray_pod(name: str, *, of: str) -> dict[str, Any]:
    """A pod with a job's label that the job did not make."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"batch.kubernetes.io/job-name": of}},
        "spec": {
            "nodeSelector": {"there": "is-none"},
            "containers": [{"name": "main", "image": "none"}],
        },
    }


async def test_pods_that_may_not_be_read_are_said_and_not_asked_again(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    await waiting_jobs(ground, namespace, 3)
    proxy.add(Fault(Answer(403, b'{"message": "no pods for you"}'), path=r"/pods\?"))
    async with fed(connection, namespace) as feed:
        await until(lambda: feed.health().state is HealthState.LIVE)
        feed.store.flush(time.time())
        assert len(feed.store.table) == 3
        feed._looking.visible = tuple(feed.store.table)
        for _ in range(5):
            feed._looking._looked.clear()
            await feed.look()
        assert proxy.count(POD_LISTS) <= 3
        assert "no pods for you" in feed.health().message


async def test_a_defect_in_one_source_is_said_and_got_over(
    namespace: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_FIRST_RESTART", 0.05)
    real, calls, seen = looking.Looking.look, [], asyncio.Event()

    async def broken(self: looking.Looking) -> None:
        calls.append(1)
        if not seen.is_set():
            raise RuntimeError("on purpose")
        await real(self)

    monkeypatch.setattr(looking.Looking, "look", broken)
    async with fed(connection, namespace) as feed:
        await until(lambda: "on purpose" in feed.health().message)
        assert feed.health().state is HealthState.LIVE
        seen.set()
        tries = len(calls)
        await until(lambda: len(calls) > tries and not feed.troubles())
        assert feed.health().state is HealthState.LIVE


async def test_one_row_that_cannot_be_made_hides_no_other(
    ground: Ground, namespace: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = row_for

    def broken(job: Any, **more: Any) -> Any:
        if job.metadata.name == "w01":
            raise ZeroDivisionError
        return real(job, **more)

    monkeypatch.setattr("mcp_tui.store.jobs.row_for", broken)
    await waiting_jobs(ground, namespace, 3)
    async with fed(connection, namespace) as feed:
        assert await feed.settle(60)
        feed.store.flush(time.time())
        assert sorted(v.key.name for v in feed.store.table.values()) == ["w00", "w02"]
        assert "ZeroDivisionError" in feed.health().message


async def test_kinds_are_found_when_discovery_comes_back(
    namespace: str, proxy: FaultProxy, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_DISCOVER_RETRY", 0.3)
    down = proxy.add(Fault(Answer(503, b"{}"), path=r"^/apis$"))
    async with fed(connection, namespace) as feed:
        await until(lambda: down.hits >= 2)
        assert "discovery" in feed.health().message or not feed.synced
        proxy.clear()
        assert await feed.settle(60)
        assert "trainjobs" in feed._reflectors
        assert feed.troubles() == []


async def test_a_server_that_hangs_does_not_keep_a_feed_from_ending(
    namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    proxy.add(Fault(Stall()))
    async with fed(connection, namespace):  # its end has a deadline
        await until(lambda: proxy.count() >= 3)


async def test_switching_quickly_leaves_no_task_and_no_connection(
    ground: Ground, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    before = asyncio.all_tasks()
    for turn in range(20):
        connection = connect(proxy, ground, tmp_path)
        async with fed(connection, namespace):
            await asyncio.sleep(0.02 * (turn % 5))
        await connection.aclose()
    await until(lambda: not proxy._tasks, 20, lambda: f"{len(proxy._tasks)} connections")
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_reflector_keeps_no_more_than_it_may(
    ground: Ground, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    maps = Maps(ground, namespace)
    await maps.make(*(f"m{i}" for i in range(8)))
    async with following(ground, proxy, namespace, tmp_path, most=5) as it:
        await it.reaches(HealthState.LIVE)
        assert len(it.mirror.rows) == 5
        assert it.health.message == "only 5 of them are read"
        await maps.make("later")
        kept = sorted(row.metadata.name for row in it.mirror.rows.values())
        await maps.change(kept[0], "2")
        await until(lambda: len(it.mirror.deltas) > 1)
        assert len(it.mirror.rows) == 5


# -- one job ----------------------------------------------------------------------------------


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


async def test_deleted_by_its_time_to_live_while_nobody_could_look(
    ground: Ground, namespace: str, proxy: FaultProxy, connection: Connection
) -> None:
    body = job_of("brief", fake=True, ttlSecondsAfterFinished=0)
    body["spec"]["suspend"] = True
    uid = await create(ground, namespace, body)
    async with watched(connection, namespace, "brief", uid) as watch:
        await until(lambda: watch.view() is not None)
        await proxy.refuse()
        await until(lambda: watch.failing)
        path = JOBS.path(namespace, "brief")
        patch = {"spec": {"suspend": False}}
        await asyncio.to_thread(
            ground.api, "PATCH", path, patch, content_type="application/merge-patch+json"
        )
        end = time.monotonic() + 60
        while (await asyncio.to_thread(ground.api, "GET", path)).status != 404:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
        await proxy.accept()
        await until(lambda: watch.gone, 60)
        assert await watch.judge() is JobState.DONE


async def test_deleted_by_hand_and_made_anew_is_gone(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    body = job_of("same", suspend=True)
    uid = await create(ground, namespace, body)
    async with watched(connection, namespace, "same", uid) as watch:
        await until(lambda: watch.view() is not None)
        await delete(ground, namespace, "same")
        later = await create(ground, namespace, body)
        await until(lambda: watch.gone)
        assert await watch.judge() is None
        row = watch.view()
        assert row is not None
        assert row.key.uid == uid
        assert watch.store.job(later) is None
    async with watched(connection, namespace, "same", uid) as watch:
        await until(lambda: watch.gone)
    async with watched(connection, namespace, "never-there", uid) as watch:
        await until(lambda: watch.gone)


async def test_between_the_pods_end_and_the_jobs_it_does_not_start_again(
    ground: Ground, namespace: str, connection: Connection
) -> None:
    uid = await create(ground, namespace, job_of("short", "sleep 1"))
    said: list[str] = []
    async with watched(connection, namespace, "short", uid) as watch:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            row = watch.view()
            if row is not None and (not said or said[-1] != f"{row.state} {row.why}"):
                said.append(f"{row.state} {row.why}")
            if row is not None and row.state.over:
                break
            await asyncio.sleep(0.01)
    ran = next((i for i, words in enumerate(said) if words.startswith("running")), len(said))
    assert said[-1].startswith("done"), said
    assert not [words for words in said[ran:] if re.match("waiting", words)], said
