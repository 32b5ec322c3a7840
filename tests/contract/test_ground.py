"""The ground is real: its servers, its controllers, its identities, and its end."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster import Ground, GroundError
from tests.cluster.build import KUBERNETES
from tests.cluster.ground import read_state
from tests.cluster.objects import FAKE_TOLERATION
from tests.cluster.plane import FAKE_NODES, PROCESS_NODE, REPO
from tests.cluster.process import marked

pytestmark = pytest.mark.real


def until(condition: Callable[[], Any], what: str, deadline: float = 60.0) -> Any:
    """Poll ``condition`` until it is true and return what it gave; fail after ``deadline`` s."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.1)


def job(name: str, command: list[str], **pod: Any) -> dict[str, Any]:
    """A Job of one pod with one container."""
    container = {"name": "main", "image": "busybox", "command": command}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [container], **pod},
            },
        },
    }


def condition_of(found: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The condition of that type, if it is True."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def test_the_server_is_the_one_that_was_built(ground: Ground) -> None:
    version = ground.api("GET", "/version").ok()
    assert version["gitVersion"] == KUBERNETES
    nodes = ground.api("GET", "/api/v1/nodes").ok()["items"]
    ready = {n["metadata"]["name"] for n in nodes if condition_of(n, "Ready")}
    assert ready >= {*FAKE_NODES, PROCESS_NODE}


def test_watchlist_is_served(ground: Ground, namespace: str) -> None:
    """The stream of an initial list ends with a bookmark that says so (etcd 3.6 can)."""
    with httpx.Client(
        base_url=ground.dev.server,
        verify=ssl.create_default_context(cafile=str(ground.dev.ca)),
        headers={"Authorization": f"Bearer {ground.dev.tokens['viewer']}"},
        trust_env=False,
    ) as client:
        params = {
            "watch": "1",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "20",
        }
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        with client.stream("GET", path, params=params) as reply:
            event = json.loads(next(reply.iter_lines()))
    assert event["type"] == "BOOKMARK"
    assert event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"


def test_a_pod_that_fits_nowhere_is_unscheduled(ground: Ground, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    container = {
        "name": "main",
        "image": "busybox",
        "resources": {"requests": {"cpu": "100000"}},
    }
    body = {"metadata": {"name": "huge"}, "spec": {"containers": [container]}}
    ground.api("POST", pods, body).ok()

    def unschedulable() -> str:
        found = ground.api("GET", f"{pods}/huge").ok()["status"].get("conditions", [])
        return next((c["message"] for c in found if c["reason"] == "Unschedulable"), "")

    message = until(unschedulable, "PodScheduled=False")
    assert "nodes are available" in message
    assert "Insufficient cpu" in message


def test_a_job_completes_on_a_simulated_node(ground: Ground, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    body = job("fake", ["anything"], tolerations=[FAKE_TOLERATION], nodeSelector={"type": "kwok"})
    ground.api("POST", jobs, body).ok()
    until(lambda: condition_of(ground.api("GET", f"{jobs}/fake").ok(), "Complete"), "Complete")
    pods = ground.api("GET", f"/api/v1/namespaces/{namespace}/pods").ok()["items"]
    assert {p["spec"]["nodeName"] for p in pods} <= set(FAKE_NODES)


def test_a_job_runs_on_the_process_node_and_its_log_is_served(
    ground: Ground, namespace: str
) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    ground.api("POST", jobs, job("real", ["sh", "-c", "echo $((6 * 7)) from $HOSTNAME"])).ok()
    until(lambda: condition_of(ground.api("GET", f"{jobs}/real").ok(), "Complete"), "Complete")
    (pod,) = ground.api("GET", f"/api/v1/namespaces/{namespace}/pods").ok()["items"]
    name = pod["metadata"]["name"]
    assert pod["spec"]["nodeName"] == PROCESS_NODE
    log = ground.api(
        "GET", f"/api/v1/namespaces/{namespace}/pods/{name}/log", identity="viewer"
    ).ok()
    assert log == f"42 from {name}\n"
    assert ground.kubectl("-n", namespace, "logs", name).stdout == log


def test_a_job_that_fails_says_so(ground: Ground, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    ground.api("POST", jobs, job("bad", ["sh", "-c", "exit 3"])).ok()
    failed = until(lambda: condition_of(ground.api("GET", f"{jobs}/bad").ok(), "Failed"), "Failed")
    assert failed["reason"] == "BackoffLimitExceeded"
    (pod,) = ground.api("GET", f"/api/v1/namespaces/{namespace}/pods").ok()["items"]
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def may(ground: Ground, identity: str, verb: str, group: str, resource: str) -> bool:
    """Ask the API server itself what an identity may do."""
    resource, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": "ml",
    }
    review = ground.api(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": attributes}},
        identity=identity,
    ).ok()
    return bool(review["status"]["allowed"])


KINDS = (
    ("batch", "jobs"),
    ("jobset.x-k8s.io", "jobsets"),
    ("kubeflow.org", "pytorchjobs"),
    ("trainer.kubeflow.org", "trainjobs"),
    ("ray.io", "rayjobs"),
)


@pytest.mark.parametrize(("group", "resource"), KINDS)
def test_rights_on_jobs(ground: Ground, group: str, resource: str) -> None:
    rights = {
        identity: {
            verb
            for verb in ("get", "list", "watch", "create", "patch", "delete")
            if may(ground, identity, verb, group, resource)
        }
        for identity in ("operator", "viewer", "nowatch")
    }
    assert rights == {
        "operator": {"get", "list", "watch", "create", "patch", "delete"},
        "viewer": {"get", "list", "watch"},
        "nowatch": {"get", "list"},
    }


def test_rights_on_the_rest(ground: Ground) -> None:
    for identity, patch, execs in (
        ("operator", True, True),
        ("viewer", False, False),
        ("nowatch", False, False),
    ):
        assert may(ground, identity, "get", "", "pods/log")
        assert may(ground, identity, "list", "kueue.x-k8s.io", "workloads")
        assert may(ground, identity, "patch", "kueue.x-k8s.io", "workloads") is patch
        assert may(ground, identity, "create", "", "events") is patch
        assert may(ground, identity, "create", "", "pods/exec") is execs
        assert may(ground, identity, "update", "coordination.k8s.io", "leases") is patch
        assert not may(ground, identity, "delete", "", "pods")
        assert not may(ground, identity, "get", "", "secrets")


def test_a_refusal_is_a_real_one(ground: Ground, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    refused = ground.api("POST", jobs, job("no", ["true"]), identity="viewer")
    assert refused.status == 403
    assert refused.body["reason"] == "Forbidden"
    watch = ground.api(
        "GET", jobs, identity="nowatch", params={"watch": "1", "timeoutSeconds": "1"}
    )
    assert watch.status == 403
    assert ground.api("GET", jobs, identity="nowatch").status == 200


def test_a_client_certificate_logs_in(ground: Ground) -> None:
    said = ground.kubectl("auth", "whoami", "-o", "json", context="dev-cert").stdout
    assert json.loads(said)["status"]["userInfo"]["username"] == "cert-admin"
    said = ground.kubectl("auth", "whoami", "-o", "json", context="dev-viewer").stdout
    assert json.loads(said)["status"]["userInfo"]["username"] == "viewer"


STATUSES: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    (
        "jobset.x-k8s.io/v1alpha2",
        "JobSet",
        {"replicatedJobs": [{"name": "w", "template": {"spec": {"template": {}}}}]},
        {"restarts": 2, "terminalState": "Failed"},
    ),
    (
        "kueue.x-k8s.io/v1beta1",
        "Workload",
        {"queueName": "q", "podSets": []},
        {"requeueState": {"count": 3, "requeueAt": "2030-01-01T00:00:00Z"}},
    ),
    (
        "ray.io/v1",
        "RayJob",
        {"entrypoint": "python train.py"},
        {"jobStatus": "RUNNING", "jobDeploymentStatus": "Running"},
    ),
)


@pytest.mark.parametrize(("version", "kind", "spec", "status"), STATUSES)
def test_custom_resources_take_a_status(
    ground: Ground,
    namespace: str,
    version: str,
    kind: str,
    spec: dict[str, Any],
    status: dict[str, Any],
) -> None:
    path = f"/apis/{version}/namespaces/{namespace}/{kind.lower()}s"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    made = ground.api("POST", path, {**body, "status": status}).ok()
    assert "status" not in made  # a subresource: creating does not set it
    merge = "application/merge-patch+json"
    ground.api("PATCH", f"{path}/x/status", {"status": status}, content_type=merge).ok()
    assert ground.api("GET", f"{path}/x").ok()["status"] == status


def test_mlflow_is_real(ground: Ground) -> None:
    with httpx.Client(base_url=ground.mlflow, trust_env=False, timeout=30) as client:
        reply = client.post(
            "/api/2.0/mlflow/experiments/create", json={"name": f"e-{time.time_ns()}"}
        )
        experiment = reply.raise_for_status().json()["experiment_id"]
        run = client.post("/api/2.0/mlflow/runs/create", json={"experiment_id": experiment})
        assert run.raise_for_status().json()["run"]["info"]["status"] == "RUNNING"


def test_prometheus_scrapes_the_api_server(ground: Ground) -> None:
    def value() -> list[Any]:
        reply = httpx.get(
            f"{ground.prometheus}/api/v1/query",
            params={"query": 'up{job="kube-apiserver-dev"}'},
            trust_env=False,
        )
        found: list[Any] = reply.raise_for_status().json()["data"]["result"]
        return [sample for sample in found if sample["value"][1] == "1"]

    until(value, "up == 1")


def test_three_contexts_are_three_clusters(ground3: Ground) -> None:
    uids = {
        name: cluster.api("GET", "/api/v1/namespaces/kube-system").ok()["metadata"]["uid"]
        for name, cluster in ground3.clusters.items()
    }
    assert list(uids) == ["dev", "test", "prod"]
    assert len(set(uids.values())) == 3
    for name, uid in uids.items():
        seen = ground3.kubectl("get", "ns", "kube-system", "-o", "json", context=name).stdout
        assert json.loads(seen)["metadata"]["uid"] == uid


# --- its end


def cluster_command(directory: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tests.cluster`` as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "tests.cluster", *args, "--dir", str(directory)],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_down_leaves_no_process(tmp_path: Path) -> None:
    up = cluster_command(tmp_path, "up", "--clusters", "1")
    try:
        assert up.returncode == 0, up.stderr
        ground = Ground.attach(tmp_path)
        mark = ground.state["mark"]
        assert len(marked(mark)) >= 6
        again = cluster_command(tmp_path, "up", "--clusters", "1")
        assert again.returncode == 0
        assert "running already" in again.stdout
        with pytest.raises(GroundError, match="running"):
            Ground.start(tmp_path)
    finally:
        down = cluster_command(tmp_path, "down")
    assert down.returncode == 0, down.stderr
    assert marked(mark) == []
    assert read_state(tmp_path) is None
    assert "Nothing runs" in cluster_command(tmp_path, "down").stdout
    with pytest.raises(httpx.ConnectError):
        ground.api("GET", "/version")


@pytest.mark.parametrize("victim", ["owner", "supervisor"])
def test_a_killed_owner_or_supervisor_leaves_no_process(tmp_path: Path, victim: str) -> None:
    owner = subprocess.Popen(["sleep", "600"])
    try:
        ground = Ground.start(tmp_path, owner=owner.pid)
        mark, supervisor = ground.state["mark"], ground.state["supervisor"]["pid"]
        assert len(marked(mark)) >= 6
        os.kill(owner.pid if victim == "owner" else supervisor, signal.SIGKILL)
        if victim == "owner":
            owner.wait()
        until(lambda: not marked(mark), "every server ended", deadline=30)
    finally:
        owner.kill()
        owner.wait()
        Ground(tmp_path, ground.state).stop()
