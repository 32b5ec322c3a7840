"""Every kind that has its real controller, and Jobs that Kueue holds, followed to their end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from mcp_tui.config import ContextConfig
from mcp_tui.domain.job import JobState
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from tests.cluster import Cluster, Ground
from tests.cluster.kubeflow import RUNTIME, runtime
from tests.contract.test_store_live import job_of
from tests.faults.follow import until

TRAINJOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs"
PYTORCHJOBS = "/apis/kubeflow.org/v1/namespaces/{}/pytorchjobs"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta1/namespaces/{}/workloads"
JSON_MERGE = "application/merge-patch+json"


@contextlib.contextmanager
def fresh(cluster: Cluster) -> Iterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    cluster.api("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).ok()
    try:
        yield name
    finally:
        cluster.api("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def cluster(kubeflow: Ground) -> Cluster:
    """The cluster with the controllers of TrainJob and PyTorchJob."""
    return kubeflow.clusters["kubeflow"]


@pytest.fixture
def place(cluster: Cluster) -> Iterator[str]:
    with fresh(cluster) as name:
        yield name


@contextlib.asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Connection]:
    info = load_kubeconfig({}, cluster.kubeconfig).context()
    link = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
    try:
        yield link
    finally:
        await link.aclose()


class Seen:
    """Every state that one job was seen in, in order."""

    def __init__(self, watch: JobWatch) -> None:
        self.watch = watch
        self.states: list[JobState] = []
        self.whys: list[str] = []

    def look(self) -> None:
        view = self.watch.view()
        if view is not None and (not self.states or self.states[-1] is not view.state):
            self.states.append(view.state)
        if view is not None and (not self.whys or self.whys[-1] != view.why):
            self.whys.append(view.why)

    async def reaches(self, state: JobState, deadline: float = 90.0) -> None:
        def there() -> bool:
            self.look()
            return bool(self.states) and self.states[-1] is state

        await until(there, deadline, lambda: f"{self.states} {self.whys} {self.watch.defect}")

    async def says(self, words: str, deadline: float = 60.0) -> None:
        def said() -> bool:
            self.look()
            return bool(self.whys) and words in self.whys[-1]

        await until(said, deadline, lambda: f"{self.states} {self.whys}")


@contextlib.asynccontextmanager
async def watched(
    link: Connection, kind: str, namespace: str, body: dict[str, Any]
) -> AsyncIterator[Seen]:
    meta = body["metadata"]
    watch = JobWatch(
        link,
        kind=kind,
        namespace=namespace,
        name=meta["name"],
        uid=meta["uid"],
        on_change=lambda: seen.look(),
    )
    seen = Seen(watch)
    watch.start()
    try:
        yield seen
        assert watch.defect == ""
    finally:
        await watch.stop()


def train_job(name: str, script: str, nodes: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": {
            "runtimeRef": {"name": RUNTIME},
            "trainer": {"image": "i", "numNodes": nodes, "command": ["sh", "-c", script]},
            **spec,
        },
    }


def once() -> dict[str, Any]:
    """The cluster's runtime, with a single try."""
    made: dict[str, Any] = runtime()
    job = made["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]
    job["spec"]["backoffLimit"] = 0
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    return {**made, "kind": "TrainingRuntime", "metadata": {**made["metadata"], "name": "once"}}


def pytorch_job(name: str, script: str, workers: int = 1, **policy: Any) -> dict[str, Any]:
    container = {"name": "pytorch", "image": "i", "command": ["sh", "-c", script]}
    template = {"spec": {"containers": [container]}}
    replica = {"restartPolicy": "Never", "template": template}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name},
        "spec": {
            "runPolicy": policy,
            "pytorchReplicaSpecs": {
                "Master": {"replicas": 1, **replica},
                "Worker": {"replicas": workers, **replica},
            },
        },
    }


async def make(cluster: Cluster, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create an object; the trainer's webhook hears of a new runtime a moment later."""
    end = time.monotonic() + 30
    while True:
        reply = await asyncio.to_thread(cluster.api, "POST", path, body)
        if "must be created before" not in str(reply.body) or time.monotonic() > end:
            made: dict[str, Any] = reply.ok()
            return made
        await asyncio.sleep(0.1)


async def change(cluster: Cluster, path: str, body: dict[str, Any]) -> None:
    reply = await asyncio.to_thread(cluster.api, "PATCH", path, body, content_type=JSON_MERGE)
    reply.ok()


async def test_a_train_job_is_followed_through_its_job_set_and_jobs(
    cluster: Cluster, place: str
) -> None:
    path = TRAINJOBS.format(place)
    made = await make(cluster, path, train_job("good", "echo on; sleep 2"))
    async with connected(cluster) as link, watched(link, "TrainJob", place, made) as seen:
        await seen.reaches(JobState.RUNNING)
        view = seen.watch.view()
        assert view is not None
        assert (view.active, view.ready) == (1, 1)
        kinds = [child.kind for child in seen.watch.store.children(view.key.uid)]
        assert kinds == ["JobSet", "Job"]
        assert len(seen.watch.store.pods(view.key.uid)) == 1
        await seen.reaches(JobState.DONE)
        running = seen.states.index(JobState.RUNNING)
        assert seen.states[running:] == [JobState.RUNNING, JobState.DONE], "it never goes back"


async def test_a_train_job_that_fails_says_what_its_container_did(
    cluster: Cluster, place: str
) -> None:
    path = TRAINJOBS.format(place)
    await make(cluster, path.replace("trainjobs", "trainingruntimes"), once())
    reference = {"name": "once", "kind": "TrainingRuntime"}
    made = await make(cluster, path, train_job("bad", "exit 7", runtimeRef=reference))
    async with connected(cluster) as link, watched(link, "TrainJob", place, made) as seen:
        await seen.reaches(JobState.FAILED)
        await seen.says("exit 7")


async def test_a_train_job_that_is_suspended_is_waited_for(cluster: Cluster, place: str) -> None:
    path = TRAINJOBS.format(place)
    made = await make(cluster, path, train_job("held", "true", suspend=True))
    async with connected(cluster) as link, watched(link, "TrainJob", place, made) as seen:
        await seen.reaches(JobState.SUSPENDED)
        await change(cluster, f"{path}/held", {"spec": {"suspend": False}})
        await seen.reaches(JobState.DONE)


async def test_a_pytorch_job_is_followed_by_all_its_replicas(cluster: Cluster, place: str) -> None:
    path = PYTORCHJOBS.format(place)
    made = await make(cluster, path, pytorch_job("good", "echo $RANK; sleep 2"))
    async with connected(cluster) as link, watched(link, "PyTorchJob", place, made) as seen:
        await seen.reaches(JobState.RUNNING)
        await until(lambda: len(seen.watch.store.pods(made["metadata"]["uid"])) == 2, 60)
        await seen.reaches(JobState.DONE)
        selector = "training.kubeflow.org/job-name=good"
        logs = JobLogs(link.kube, LogQuery(namespace=place, selector=selector, follow=False))
        lines = [record.text async for batch in logs.batches() for record in batch]
        assert "0" in lines, "the master's; workers wait here for a name service"


async def test_a_pytorch_job_that_fails_says_what_its_container_did(
    cluster: Cluster, place: str
) -> None:
    path = PYTORCHJOBS.format(place)
    made = await make(cluster, path, pytorch_job("bad", "test $RANK = 0 && exit 9; sleep 60"))
    async with connected(cluster) as link, watched(link, "PyTorchJob", place, made) as seen:
        await seen.reaches(JobState.FAILED)
        await seen.says("exit 9")


async def test_a_name_that_comes_again_brings_nothing_of_the_one_before(
    cluster: Cluster, place: str
) -> None:
    """A PyTorchJob's pods bear the same names each time, and so do their Events."""
    path = PYTORCHJOBS.format(place)
    body = pytorch_job("again", "exit 9")
    container = body["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    container["nodeSelector"] = {"there": "is-none"}
    made = await make(cluster, path, body)
    async with connected(cluster) as link:
        async with watched(link, "PyTorchJob", place, made) as seen:
            await seen.says("Unschedulable")
            await asyncio.to_thread(cluster.api, "DELETE", f"{path}/again")
            await until(lambda: seen.watch.gone, 60)
        await until(lambda: not pods_of(cluster, place), 60)
        again = await make(cluster, path, pytorch_job("again", "sleep 1"))
        async with watched(link, "PyTorchJob", place, again) as seen:
            await seen.reaches(JobState.DONE)
            assert not [why for why in seen.whys if "Unschedulable" in why]


def pods_of(cluster: Cluster, place: str) -> list[Any]:
    found: list[Any] = cluster.api("GET", f"/api/v1/namespaces/{place}/pods").ok()["items"]
    return found


async def test_the_feed_shows_one_row_for_a_train_job(cluster: Cluster, place: str) -> None:
    await make(cluster, TRAINJOBS.format(place), train_job("one", "true"))
    await make(cluster, PYTORCHJOBS.format(place), pytorch_job("two", "true"))
    async with connected(cluster) as link:
        feed = JobsFeed(link, place, JobStore("dev"), lambda: None)
        feed.start()
        try:

            def rows() -> list[tuple[str, str, str]]:
                feed.store.flush(time.time())
                return sorted(
                    (v.key.kind, v.key.name, str(v.state)) for v in feed.store.table.values()
                )

            done = str(JobState.DONE)
            wanted = [("PyTorchJob", "two", done), ("TrainJob", "one", done)]
            await until(lambda: rows() == wanted, 90, lambda: str(rows()))
            assert feed.troubles() == []
        finally:
            await feed.stop()


# -- Kueue ----------------------------------------------------------------------------------------


def condition(type_: str, status: str, reason: str, message: str = "x") -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-23T03:00:00Z",
    }


QUOTA = (
    "couldn't assign flavors to pod set main: "
    "insufficient unused quota for nvidia.com/gpu in flavor a100, 6 more needed"
)


async def test_a_job_that_kueue_holds_and_lets_go(ground: Ground, namespace: str) -> None:
    """Kueue's Workload is written as Kueue would: held, admitted, preempted, admitted, finished."""
    dev = ground.dev
    body = job_of("queued", "sleep 2", suspend=True)
    body["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "team"}
    made = await make(dev, JOBS.format(namespace), body)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "queued", "controller": True}
    owner["uid"] = made["metadata"]["uid"]
    pod_set = {"name": "main", "count": 1, "template": body["spec"]["template"]}
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "Workload",
        "metadata": {"name": "job-queued", "ownerReferences": [owner]},
        "spec": {"queueName": "team", "podSets": [pod_set]},
    }
    path = WORKLOADS.format(namespace)
    await make(dev, path, workload)

    async def says(*conditions: dict[str, Any]) -> None:
        await change(dev, f"{path}/job-queued/status", {"status": {"conditions": list(conditions)}})

    async def suspend(held: bool) -> None:
        await change(dev, f"{JOBS.format(namespace)}/queued", {"spec": {"suspend": held}})

    reserved = condition("QuotaReserved", "True", "QuotaReserved")
    async with connected(dev) as link, watched(link, "Job", namespace, made) as seen:
        await says(condition("QuotaReserved", "False", "Pending", QUOTA))
        await seen.says("WaitingForQuota: queue team, a100: 6 more nvidia.com/gpu needed")
        view = seen.watch.view()
        assert view is not None
        assert (view.state, view.suspended_by, view.queue) == (JobState.WAITING, "kueue", "team")
        assert view.queue_position == 1
        await says(reserved)
        await suspend(False)
        await seen.reaches(JobState.RUNNING)
        await says(
            condition("QuotaReserved", "False", "Pending"),
            condition("Evicted", "True", "Preempted", "Preempted to accommodate a workload"),
            condition("Preempted", "True", "InClusterQueue"),
        )
        await suspend(True)
        await seen.says("Preempted")
        await seen.reaches(JobState.WAITING)
        await says(reserved)
        await suspend(False)
        await seen.reaches(JobState.DONE)
        assert "Preempted" not in seen.whys[-1]


async def test_a_job_whose_workload_was_stopped_by_hand_is_suspended(
    ground: Ground, namespace: str
) -> None:
    dev = ground.dev
    body = job_of("stopped", suspend=True)
    body["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "team"}
    made = await make(dev, JOBS.format(namespace), body)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "stopped", "controller": True}
    owner["uid"] = made["metadata"]["uid"]
    pod_set = {"name": "main", "count": 1, "template": body["spec"]["template"]}
    path = WORKLOADS.format(namespace)
    await make(
        dev,
        path,
        {
            "apiVersion": "kueue.x-k8s.io/v1beta1",
            "kind": "Workload",
            "metadata": {"name": "job-stopped", "ownerReferences": [owner]},
            "spec": {"queueName": "team", "active": False, "podSets": [pod_set]},
        },
    )
    evicted = condition("Evicted", "True", "Deactivated", "The workload is deactivated")
    await change(dev, f"{path}/job-stopped/status", {"status": {"conditions": [evicted]}})
    async with connected(dev) as link, watched(link, "Job", namespace, made) as seen:
        await seen.reaches(JobState.SUSPENDED)
        view = seen.watch.view()
        assert view is not None
        assert view.suspended_by == "hand"
