"""Logs of jobs as both planes serve them: by rank, of the run before, the newest, all merged."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.config import ContextConfig
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.podlog import LogRecord
from mcp_tui.store.joblogs import JobLogs
from tests.conftest import Plane
from tests.contract.test_node import TAINT, Node
from tests.contract.test_store_live import job_of, query
from tests.faults.follow import until

KEEP = 2_000


@pytest.fixture
def node(kube: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A process node for these jobs alone, on either plane."""
    it = Node(kube, tmp_path_factory.mktemp("node"))
    try:
        it.start("--delete-node")
        yield it
    finally:
        it.stop()


@pytest_asyncio.fixture
async def link(kube: Plane) -> AsyncIterator[Connection]:
    info = load_kubeconfig({}, kube.kubeconfig).context(kube.context)
    it = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
    yield it
    await it.aclose()


async def call(kube: Plane, method: str, path: str, body: Any = None) -> Any:
    def send() -> Any:
        with kube.client() as client:
            reply = client.request(method, path, json=body)
            reply.raise_for_status()
            return reply.json()

    return await asyncio.to_thread(send)


async def start(kube: Plane, node: Node, namespace: str, body: dict[str, Any]) -> str:
    pod = body["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"kubernetes.io/hostname": node.name}
    pod["tolerations"] = [{"key": TAINT, "operator": "Exists"}]
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    full = {"apiVersion": "batch/v1", "kind": "Job", **body}
    await call(kube, "POST", path, full)
    return f"{path}/{body['metadata']['name']}"


async def ended(kube: Plane, path: str) -> None:
    end = time.monotonic() + 90
    while True:
        found = await call(kube, "GET", path)
        conditions = found.get("status", {}).get("conditions", [])
        if any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions):
            return
        assert time.monotonic() < end, found["status"]
        await asyncio.sleep(0.2)


async def records(logs: JobLogs) -> list[LogRecord]:
    found: list[LogRecord] = []
    async with asyncio.timeout(90):
        async for batch in logs.batches():
            found += batch
    return found


def indexed(name: str, script: str, count: int, **spec: Any) -> dict[str, Any]:
    return job_of(
        name, script, completionMode="Indexed", completions=count, parallelism=count, **spec
    )


async def test_one_rank_is_read_by_its_number(
    kube: Plane, kube_namespace: str, node: Node, link: Connection
) -> None:
    job = await start(
        kube, node, kube_namespace, indexed("ranks", "echo I am $JOB_COMPLETION_INDEX", 3)
    )
    await ended(kube, job)
    for rank in (0, 2):
        logs = JobLogs(link.kube, query(kube_namespace, "ranks", follow=False, rank=rank))
        assert [record.text for record in await records(logs)] == [f"I am {rank}"]
    logs = JobLogs(link.kube, query(kube_namespace, "ranks", follow=False, rank=7))
    assert await records(logs) == []
    everything = await records(JobLogs(link.kube, query(kube_namespace, "ranks", follow=False)))
    assert sorted(record.text for record in everything) == ["I am 0", "I am 1", "I am 2"]
    assert len({record.pod for record in everything}) == 3


async def test_the_run_before_is_what_previous_gives(
    kube: Plane, kube_namespace: str, node: Node, link: Connection
) -> None:
    """The first run fails and says so; the second stays."""
    script = "if [ -e was ]; then echo second; sleep 300; else touch was; echo first; exit 1; fi"
    body = job_of("twice", script, restart="OnFailure")
    pod = body["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "data", "emptyDir": {}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    pod["containers"][0]["workingDir"] = "/data"
    job = await start(kube, node, kube_namespace, body)
    one = JobLogs(link.kube, query(kube_namespace, "twice", follow=False))
    end = time.monotonic() + 60
    while [record.text for record in await records(one)] != ["second"]:
        assert time.monotonic() < end
        one = JobLogs(link.kube, query(kube_namespace, "twice", follow=False))
        await asyncio.sleep(0.2)
    before = JobLogs(link.kube, query(kube_namespace, "twice", follow=False, previous=True))
    assert [record.text for record in await records(before)] == ["first"]
    await call(kube, "DELETE", f"{job}?propagationPolicy=Background")


async def test_the_newest_lines_of_each_container(
    kube: Plane, kube_namespace: str, node: Node, link: Connection
) -> None:
    script = "i=0; while [ $i -lt 50 ]; do echo $JOB_COMPLETION_INDEX-$i; i=$((i+1)); done"
    job = await start(kube, node, kube_namespace, indexed("tails", script, 2))
    await ended(kube, job)
    for tail in (0, 3, 1_000):
        logs = JobLogs(link.kube, query(kube_namespace, "tails", follow=False, tail=tail))
        found = await records(logs)
        for rank in (0, 1):
            mine = [r.text for r in found if r.text.startswith(f"{rank}-")]
            assert mine == [f"{rank}-{i}" for i in range(max(0, 50 - tail), 50)], tail


async def test_lines_of_several_pods_come_in_order_of_their_time(
    kube: Plane, kube_namespace: str, node: Node, link: Connection
) -> None:
    script = "i=0; while [ $i -lt 25 ]; do echo $i; i=$((i+1)); sleep 0.05; done"
    job = await start(kube, node, kube_namespace, indexed("merged", script, 3))
    await ended(kube, job)
    found = await records(JobLogs(link.kube, query(kube_namespace, "merged", follow=False)))
    assert len(found) == 75
    stamps = [record.stamp for record in found]
    assert all(stamps)
    assert stamps == sorted(stamps)
    for pod in {record.pod for record in found}:
        assert [r.text for r in found if r.pod == pod] == [str(i) for i in range(25)]


async def test_a_pod_that_writes_more_than_can_be_shown(
    kube: Plane, kube_namespace: str, node: Node, link: Connection
) -> None:
    """20,000 lines a second: the newest are kept, the rest is counted, memory is bounded.

    The reader stands still while most of it is written, as a screen that is suspended would.
    """
    lines = 100_000
    program = (
        "import sys,time\n"
        "for second in range(5):\n"
        "    began = time.monotonic()\n"
        "    sys.stdout.write(''.join(f'line {second * 20000 + i}\\n' for i in range(20000)))\n"
        "    sys.stdout.flush()\n"
        "    time.sleep(max(0, 1 - (time.monotonic() - began)))\n"
    )
    body = job_of("burst")
    body["spec"]["template"]["spec"]["containers"][0]["command"] = ["python3", "-c", program]
    job = await start(kube, node, kube_namespace, body)
    logs = JobLogs(link.kube, query(kube_namespace, "burst", keep=KEEP))
    stream = logs.batches()
    tracemalloc.start()
    try:
        async with asyncio.timeout(150):
            first = await anext(stream)
            assert first[0].text.startswith(("line 0", "["))
            await ended(kube, job)
            await until(lambda: _newest(logs) == f"line {lines - 1}", 60, lambda: _newest(logs))
            assert len(logs._buffer) <= KEEP
            peak = tracemalloc.get_traced_memory()[1]
            logs.done.set()
            rest = [record async for batch in stream for record in batch]
    finally:
        tracemalloc.stop()
        await stream.aclose()
    shown = [*first, *rest]
    assert shown[-1].text == f"line {lines - 1}"
    numbers = [int(r.text.split()[1]) for r in shown if r.text.startswith("line ")]
    assert numbers == sorted(set(numbers)), "no line twice, none out of order"
    notes = [r.text for r in shown if r.text.startswith("[")]
    dropped = sum(int(note[1:].split(" ")[0].replace(",", "")) for note in notes)
    assert dropped + len(numbers) == lines, "every line is shown or counted"
    assert dropped > lines // 2
    # 100,000 lines would be some 30 MB.
    assert peak < 12_000_000, peak


def _newest(logs: JobLogs) -> str:
    batches = logs._buffer._batches
    return batches[-1][-1].text if batches else ""
