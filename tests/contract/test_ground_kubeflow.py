"""The controllers of JobSet, TrainJob and PyTorchJob are the real ones."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import Cluster, Ground
from tests.cluster.kubeflow import RUNTIME


@pytest.fixture
def cluster(kubeflow: Ground) -> Cluster:
    """The cluster with the controllers."""
    return kubeflow.clusters["kubeflow"]


@pytest.fixture
def place(cluster: Cluster) -> Iterator[str]:
    """A fresh namespace there."""
    name = f"t-{secrets.token_hex(4)}"
    cluster.api("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).ok()
    yield name
    cluster.api("DELETE", f"/api/v1/namespaces/{name}")


def finished(cluster: Cluster, path: str) -> Callable[[], str]:
    """A condition: the type of the object's terminal condition once it has one."""

    def found() -> str:
        conditions = cluster.api("GET", path).ok().get("status", {}).get("conditions", [])
        true = {c["type"] for c in conditions if c["status"] == "True"}
        return next((t for t in ("Complete", "Completed", "Succeeded", "Failed") if t in true), "")

    return found


def until(condition: Callable[[], Any], what: str, deadline: float = 90.0) -> Any:
    """Poll ``condition`` until it is true and return what it gave; fail after ``deadline`` s."""
    end = time.monotonic() + deadline
    while not (found := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.1)
    return found


def test_a_trainjob_becomes_a_jobset_a_job_and_a_log(cluster: Cluster, place: str) -> None:
    path = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{place}/trainjobs"
    body = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "t"},
        "spec": {
            "runtimeRef": {"name": RUNTIME},
            "trainer": {"image": "busybox", "command": ["sh", "-c", "echo trained"]},
        },
    }
    cluster.api("POST", path, body).ok()
    assert until(finished(cluster, f"{path}/t"), "TrainJob ended") == "Complete"
    sets = cluster.api("GET", f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{place}/jobsets").ok()
    assert sets["items"][0]["metadata"]["ownerReferences"][0]["kind"] == "TrainJob"
    jobs = cluster.api("GET", f"/apis/batch/v1/namespaces/{place}/jobs").ok()
    assert jobs["items"][0]["metadata"]["ownerReferences"][0]["kind"] == "JobSet"
    (pod,) = cluster.api("GET", f"/api/v1/namespaces/{place}/pods").ok()["items"]
    name = pod["metadata"]["name"]
    log = cluster.api("GET", f"/api/v1/namespaces/{place}/pods/{name}/log").ok()
    assert log == "trained\n"


def test_a_trainjob_of_an_unknown_runtime_is_refused(cluster: Cluster, place: str) -> None:
    """Only the project's own admission webhook knows that."""
    path = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{place}/trainjobs"
    body = {"metadata": {"name": "t"}, "spec": {"runtimeRef": {"name": "absent"}}}
    kind = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob"}
    reply = cluster.api("POST", path, {**kind, **body})
    assert reply.status >= 400
    assert "absent" in reply.body["message"]


def test_a_jobset_that_fails_says_so(cluster: Cluster, place: str) -> None:
    path = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/{place}/jobsets"
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", "exit 4"]}
    pods = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"spec": {"backoffLimit": 0, "template": pods}}
    body = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "s"},
        "spec": {"replicatedJobs": [{"name": "w", "replicas": 1, "template": job}]},
    }
    cluster.api("POST", path, body).ok()
    assert until(finished(cluster, f"{path}/s"), "JobSet ended") == "Failed"
    assert cluster.api("GET", f"{path}/s").ok()["status"]["terminalState"] == "Failed"


def test_a_pytorchjob_runs(cluster: Cluster, place: str) -> None:
    path = f"/apis/kubeflow.org/v1/namespaces/{place}/pytorchjobs"
    container = {"name": "pytorch", "image": "busybox", "command": ["sh", "-c", "echo $RANK"]}
    master = {
        "replicas": 1,
        "restartPolicy": "Never",
        "template": {"spec": {"containers": [container]}},
    }
    body = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "p"},
        "spec": {"pytorchReplicaSpecs": {"Master": master}},
    }
    cluster.api("POST", path, body).ok()
    assert until(finished(cluster, f"{path}/p"), "PyTorchJob ended") == "Succeeded"
    log = cluster.api("GET", f"/api/v1/namespaces/{place}/pods/p-master-0/log").ok()
    assert log == "0\n"
