"""Every cause on real API servers: controllers make the objects, the typed decode reads them.

Where a kubelet would write, the test writes the pod's status in its place; where the API server,
its admission, its scheduler or the Job controller speaks, it is they who speak.
"""

# ruff: noqa: E501 - objects and messages stand on one line, as their writers write them

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from mcp_tui.domain.cause import Cause, cause_of, keep
from mcp_tui.domain.decode import decode
from mcp_tui.domain.job import JobState, view_job
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Event, Job, Pod
from mcp_tui.domain.kube_custom import JobSet, PyTorchJob, RayJob, TrainJob, Workload
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.roots import root_of
from tests.cluster import Ground
from tests.conftest import Plane
from tests.contract.cause_cases import (
    BEGAN,
    CASES,
    Case,
    container,
    ended,
    failed,
    pending,
    waiting,
)

T = TypeVar("T")
DEADLINE = 90.0
MERGE = {"Content-Type": "application/merge-patch+json"}
BATCH = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"


class Site:
    """A namespace of the real cluster, read through the console's own decode."""

    def __init__(self, plane: Plane, namespace: str) -> None:
        self.namespace = namespace
        self.http = plane.client()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self.http.post(path.format(self.namespace), json=body)
        assert reply.is_success, reply.text
        return dict(reply.json())

    def status(self, path: str, status: dict[str, Any]) -> None:
        """Write a status as the object's own controller or kubelet would."""
        reply = self.http.patch(
            f"{path.format(self.namespace)}/status", json={"status": status}, headers=MERGE
        )
        assert reply.is_success, reply.text

    def get(self, type_: type[T], path: str) -> T:
        reply = self.http.get(path.format(self.namespace))
        assert reply.is_success, reply.text
        return decode(type_, reply.content)

    def job(self, name: str) -> Job:
        return self.get(Job, f"{BATCH}/{name}")

    def pods(self, name: str) -> list[Pod]:
        query = f"{PODS}?labelSelector=batch.kubernetes.io/job-name={name}"
        return self.get(ObjectList[Pod], query).items

    def events(self) -> list[Event]:
        return self.get(ObjectList[Event], "/api/v1/namespaces/{}/events").items

    def make_job(
        self,
        *,
        pod: dict[str, Any] | None = None,
        template: dict[str, Any] | None = None,
        **spec: Any,
    ) -> str:
        """A Job whose pods no scheduler looks at, unless ``pod`` says otherwise."""
        name = f"train-{secrets.token_hex(3)}"
        body = {
            "metadata": {
                "name": name,
                "labels": spec.pop("labels", {}),
                **spec.pop("metadata", {}),
            },
            "spec": {
                "backoffLimit": 0,
                "template": {
                    **(template or {}),
                    "spec": {
                        "restartPolicy": "Never",
                        "schedulerName": "nobody",
                        "terminationGracePeriodSeconds": 0,
                        "initContainers": [
                            {
                                "name": "code",
                                "image": "git",
                                "resources": {"limits": {"memory": "512Mi"}},
                            }
                        ],
                        "containers": [
                            {
                                "name": "train",
                                "image": "registry.example/train:1",
                                "resources": {"limits": {"memory": "64Gi"}},
                            }
                        ],
                        **(pod or {}),
                    },
                },
                **spec,
            },
        }
        self.post(BATCH, body)
        return name

    def one_pod(self, name: str, count: int = 1) -> list[Pod]:
        return until(lambda: self.pods(name), lambda pods: len(pods) >= count)

    def write_pods(self, name: str, status: dict[str, Any]) -> None:
        for pod in self.one_pod(name):
            self.status(f"{PODS}/{pod.metadata.name}", status)

    def until_failed(self, name: str) -> Job:
        return until(
            lambda: self.job(name),
            lambda job: any(c.type == "Failed" and c.is_true for c in job.status.conditions),
        )


def until(read: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Poll until the controllers have done their part."""
    end = time.monotonic() + DEADLINE
    while True:
        value = read()
        if good(value):
            return value
        assert time.monotonic() < end, f"not within {DEADLINE:.0f} s: {value}"
        time.sleep(0.1)


def found(job: AnyJob, pods: Sequence[Pod] = (), **more: Any) -> Cause:
    cause = cause_of(job, pods, **more)
    assert cause is not None
    return cause


def _real(ground: Ground) -> Plane:
    dev = ground.dev
    return Plane("real", ground.kubeconfig, dev.name, dev.server, dev.tokens["admin"], dev.ca)


@pytest.fixture(scope="module", params=[pytest.param("real", marks=pytest.mark.real), "embedded"])
def shared(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One namespace for the whole table, on the real plane and on the embedded one."""
    if request.param == "real":
        plane = _real(request.getfixturevalue("ground"))
    else:
        plane = request.getfixturevalue("embedded")
    found_here = Site(plane, f"t-causes-{secrets.token_hex(3)}")
    body = {"metadata": {"name": found_here.namespace}}
    found_here.http.post("/api/v1/namespaces", json=body).raise_for_status()
    yield found_here
    found_here.http.delete(f"/api/v1/namespaces/{found_here.namespace}")
    found_here.http.close()


@pytest.fixture
def site(ground: Ground, namespace: str) -> Iterator[Site]:
    """A namespace of one test's own on the real plane, whose quotas and labels it may set."""
    own = Site(_real(ground), namespace)
    yield own
    own.http.close()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_reason_as_a_kubelet_writes_it(shared: Site, case: Case) -> None:
    name = shared.make_job()
    shared.write_pods(name, case.status)
    if not case.fails:
        cause = found(shared.job(name), shared.pods(name))
        assert cause.line() == case.line.format(pod=cause.place)
        assert cause.waiting
        return
    job = shared.until_failed(name)
    pods = shared.pods(name)
    cause = found(job, pods)
    assert pods[0].metadata.name.startswith(cause.place)
    assert cause.line() == case.line.format(pod=cause.place)

    shared.http.delete(
        f"{PODS.format(shared.namespace)}/{pods[0].metadata.name}"
    ).raise_for_status()
    until(lambda: shared.pods(name), lambda left: not left)
    gone = found(shared.job(name))
    assert gone.line() == "BackoffLimitExceeded: 1 failed (pods gone)"
    kept = keep(Cause.from_text(cause.to_json()), gone)
    assert kept is not None and kept.line() == cause.line()


def test_three_attempts_are_counted(shared: Site) -> None:
    name = shared.make_job(backoffLimit=2, completionMode="Indexed", completions=1)
    for attempt in range(1, 4):
        fresh = until(
            lambda: [p for p in shared.pods(name) if p.status.phase == "Pending"],
            lambda pods: len(pods) == 1,
        )
        end = {
            **ended(137, "OOMKilled")["terminated"],
            "finishedAt": f"2026-11-23T03:0{attempt}:30Z",
        }
        status = failed(container({"terminated": end}))
        # The backoff between tries is counted from the end, which is long ago here.
        shared.status(
            f"{PODS}/{fresh[0].metadata.name}",
            {**status, "startTime": f"2026-11-23T03:0{attempt}:00Z"},
        )
    cause = found(shared.until_failed(name), shared.pods(name))
    assert cause.line() == f"OOMKilled {name}-0 (exit 137, limit 64Gi) x3 -> BackoffLimitExceeded"


@pytest.mark.real
def test_the_scheduler_finds_no_room(site: Site) -> None:
    resources = {"limits": {"nvidia.com/gpu": "64"}}
    pod = {
        "schedulerName": "default-scheduler",
        "initContainers": [],
        "containers": [{"name": "train", "image": "x", "resources": resources}],
    }
    name = site.make_job(pod=pod)
    pods = until(
        lambda: site.pods(name),
        lambda found: (
            bool(found) and any(c.reason == "Unschedulable" for c in found[0].status.conditions)
        ),
    )
    cause = found(site.job(name), pods)
    assert re.match(
        rf"Unschedulable {name}-\w{{5}}: needs 64 nvidia.com/gpu; 0/\d+ nodes: ", cause.line()
    )
    assert "preemption" not in cause.line()
    row = view_job(site.job(name), context="dev", now=time.time(), pods=pods)
    assert row.state is JobState.WAITING
    assert row.accelerators == 64
    said = until(site.events, lambda all_: any(e.reason == "FailedScheduling" for e in all_))
    gated = found(site.job(name), events=said)
    assert gated.line().startswith(f"Unschedulable {name}-")


@pytest.mark.real
def test_a_scheduling_gate(site: Site) -> None:
    name = site.make_job(
        pod={
            "schedulerName": "default-scheduler",
            "schedulingGates": [{"name": "quota.example/wait"}],
        }
    )
    pods = until(
        lambda: site.pods(name), lambda found: bool(found) and bool(found[0].status.conditions)
    )
    cause = found(site.job(name), pods)
    assert cause.line() == f"SchedulingGated {pods[0].metadata.name}: quota.example/wait"


def refused(site: Site, name: str) -> Cause:
    """The cause of a job whose pods the API server does not let the Job controller create."""
    events = until(
        site.events,
        lambda all_: any(
            e.reason == "FailedCreate" and e.involved_object.name == name for e in all_
        ),
    )
    mine = [event for event in events if event.involved_object.name == name]
    row = view_job(site.job(name), context="dev", now=time.time(), events=mine)
    assert row.state is JobState.STALLED
    assert row.cause is not None
    return row.cause


@pytest.mark.real
def test_a_quota_that_is_used_up(site: Site) -> None:
    site.post(
        "/api/v1/namespaces/{}/resourcequotas",
        {"metadata": {"name": "team"}, "spec": {"hard": {"limits.memory": "1Gi"}}},
    )
    until(
        lambda: site.http.get(f"/api/v1/namespaces/{site.namespace}/resourcequotas/team").json(),
        lambda quota: "hard" in quota.get("status", {}),
    )
    cause = refused(site, site.make_job())
    assert (
        cause.line()
        == "QuotaExceeded: team: requested limits.memory=64Gi, used limits.memory=0, limited limits.memory=1Gi"
    )


@pytest.mark.real
def test_pod_security(site: Site) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    site.http.patch(
        f"/api/v1/namespaces/{site.namespace}", json={"metadata": {"labels": labels}}, headers=MERGE
    ).raise_for_status()
    cause = refused(site, site.make_job(pod={"hostNetwork": True}))
    assert cause.line().startswith('PodSecurity: "baseline:latest": host namespaces')


@pytest.mark.real
def test_a_limit_range(site: Site) -> None:
    limit = {"type": "Container", "max": {"memory": "1Gi"}}
    site.post(
        "/api/v1/namespaces/{}/limitranges",
        {"metadata": {"name": "small"}, "spec": {"limits": [limit]}},
    )
    cause = refused(site, site.make_job())
    assert (
        cause.line() == "LimitRange: maximum memory usage per Container is 1Gi, but limit is 64Gi"
    )


@pytest.mark.real
def test_an_admission_policy(site: Site) -> None:
    name = f"cost-{site.namespace}"
    admission = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    site.post(
        f"{admission}ies",
        {
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "no cost centre"}],
            },
        },
    )
    selector = {"matchLabels": {"kubernetes.io/metadata.name": site.namespace}}
    site.post(
        f"{admission}ybindings",
        {
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": selector},
            },
        },
    )
    try:
        probe = {
            "metadata": {"name": "probe"},
            "spec": {"containers": [{"name": "a", "image": "x"}]},
        }
        dry = PODS.format(site.namespace) + "?dryRun=All"
        until(lambda: site.http.post(dry, json=probe), lambda reply: "no cost centre" in reply.text)
        cause = refused(site, site.make_job())
        assert cause.line() == f"AdmissionDenied: {name}: no cost centre"
    finally:
        site.http.delete(f"{admission}ybindings/{name}")
        site.http.delete(f"{admission}ies/{name}")


@pytest.mark.real
def test_a_deadline_spent_on_an_image(site: Site) -> None:
    name = site.make_job(activeDeadlineSeconds=2)
    site.write_pods(
        name, pending(container(waiting("ImagePullBackOff", 'Back-off pulling image "a:1"')))
    )
    stuck = found(site.job(name), site.pods(name))
    job = site.until_failed(name)
    assert found(job).line() == "DeadlineExceeded: Job was active longer than specified deadline"
    kept = keep(stuck, found(job))
    assert kept is not None


@pytest.mark.real
def test_a_pod_failure_policy_outlives_its_pod(site: Site) -> None:
    rule = {
        "action": "FailJob",
        "onExitCodes": {"containerName": "train", "operator": "In", "values": [42]},
    }
    name = site.make_job(backoffLimit=6, podFailurePolicy={"rules": [rule]})
    site.write_pods(name, failed(container(ended(42, message="corrupt shard 7"))))
    job = site.until_failed(name)
    place = found(job, site.pods(name)).place
    assert (
        found(job, site.pods(name)).line()
        == f"Error {place} (exit 42): corrupt shard 7 -> PodFailurePolicy"
    )
    assert found(job).line() == f"Error {place} (exit 42) -> PodFailurePolicy"


@pytest.mark.real
@pytest.mark.parametrize(
    ("limit", "reason"),
    [({}, "FailedIndexes"), ({"maxFailedIndexes": 0}, "MaxFailedIndexesExceeded")],
)
def test_failed_indexes(site: Site, limit: dict[str, Any], reason: str) -> None:
    name = site.make_job(
        backoffLimit=None,
        backoffLimitPerIndex=0,
        completionMode="Indexed",
        completions=2,
        parallelism=2,
        **limit,
    )
    pods = {p.metadata.name: p for p in site.one_pod(name, 2)}
    broken = next(n for n in pods if n.startswith(f"{name}-1-"))
    for pod in pods:
        good = {
            "phase": "Succeeded",
            "startTime": BEGAN,
            "containerStatuses": [container(ended(0, "Completed"))],
        }
        site.status(f"{PODS}/{pod}", failed(container(ended(3))) if pod == broken else good)
    job = site.until_failed(name)
    assert found(job, site.pods(name)).line() == f"Error {name}-1 (exit 3) -> {reason}"
    assert found(job).line() == f"{reason}: indexes 1 failed (pods gone)"


@pytest.mark.real
def test_a_mount_that_fails_is_told_by_its_event(site: Site) -> None:
    name = site.make_job()
    site.write_pods(name, pending(container(waiting("ContainerCreating"))))
    pod = site.pods(name)[0]
    message = 'MountVolume.SetUp failed for volume "data" : configmap "shards" not found'
    site.post(
        "/api/v1/namespaces/{}/events",
        {
            "metadata": {"generateName": "pod."},
            "involvedObject": {
                "kind": "Pod",
                "name": pod.metadata.name,
                "namespace": site.namespace,
                "uid": pod.metadata.uid,
            },
            "reason": "FailedMount",
            "message": message,
            "type": "Warning",
            "firstTimestamp": BEGAN,
            "lastTimestamp": BEGAN,
            "count": 7,
            "source": {"component": "kubelet"},
        },
    )
    said = [e for e in site.events() if e.involved_object.uid == pod.metadata.uid]
    assert (
        found(site.job(name), site.pods(name), events=said).line()
        == f"FailedMount {pod.metadata.name}: {message}"
    )


@pytest.mark.real
def test_hostile_words_in_a_status_come_out_harmless(site: Site) -> None:
    name = site.make_job()
    site.write_pods(
        name,
        failed(container(ended(1, message="\x1b]0;owned\x07\x1b[31mred\u202e\nlast\x1b[2J words"))),
    )
    job = site.until_failed(name)
    assert (
        found(job, site.pods(name)).line().endswith("(exit 1): last words -> BackoffLimitExceeded")
    )


@pytest.mark.real
def test_a_process_that_ends_with_an_error(site: Site) -> None:
    """Nobody writes here: the process node runs the command and reports its end."""
    nodes = decode(ObjectList[Pod], site.http.get("/api/v1/nodes").content).items
    names = [
        n.metadata.name
        for n in nodes
        if any(c.type == "Ready" and c.is_true for c in n.status.conditions)
        and n.metadata.labels.get("type") != "kwok"
    ]
    if not names:
        pytest.fail("no process node is ready")
    command = ["sh", "-c", "echo starting; exit 3"]
    pod = {
        "schedulerName": "default-scheduler",
        "initContainers": [],
        "containers": [{"name": "train", "image": "local", "command": command}],
    }
    name = site.make_job(pod=pod)
    job = site.until_failed(name)
    cause = found(job, site.pods(name))
    assert cause.line().startswith(f"Error {cause.place} (exit 3)")
    assert cause.line().endswith("-> BackoffLimitExceeded")


def ended_condition(reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": "Failed",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-23T03:03:00Z",
    }


def owned_by(made: dict[str, Any]) -> dict[str, Any]:
    meta = made["metadata"]
    return {
        "ownerReferences": [
            {
                "apiVersion": made["apiVersion"],
                "kind": made["kind"],
                "name": meta["name"],
                "uid": meta["uid"],
                "controller": True,
            }
        ]
    }


@pytest.mark.real
def test_a_train_job_over_a_job_set_over_a_job(site: Site) -> None:
    train_path = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs"
    set_path = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/{}/jobsets"
    train = site.post(
        train_path,
        {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": "llm"},
            "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 1}},
        },
    )
    template = {
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "x"}]}
            }
        }
    }
    jobset = site.post(
        set_path,
        {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "metadata": {"name": "llm", **owned_by(train)},
            "spec": {"replicatedJobs": [{"name": "node", "replicas": 1, "template": template}]},
        },
    )
    name = site.make_job(metadata=owned_by(jobset))
    site.write_pods(name, failed(container(ended(137, "OOMKilled"))))
    child = site.until_failed(name)
    reason = [ended_condition("FailedJobs", "jobset failed due to one or more job failures")]
    counts = [
        {"name": "node", "ready": 0, "succeeded": 0, "failed": 1, "active": 0, "suspended": 0}
    ]
    site.status(
        f"{set_path}/llm",
        {
            "conditions": reason,
            "restarts": 0,
            "replicatedJobsStatus": counts,
            "terminalState": "Failed",
        },
    )
    site.status(f"{train_path}/llm", {"conditions": reason, "jobsStatus": counts})

    everything: list[AnyJob] = [
        site.get(TrainJob, f"{train_path}/llm"),
        site.get(JobSet, f"{set_path}/llm"),
        child,
    ]
    (group,) = root_of(everything)
    assert group.root.metadata.uid == train["metadata"]["uid"]
    cause = found(group.root, site.pods(name), children=group.children)
    assert (
        cause.line()
        == f"OOMKilled {cause.place} (exit 137, limit 64Gi) -> BackoffLimitExceeded -> FailedJobs"
    )
    assert (
        found(group.root, children=group.children).line()
        == "BackoffLimitExceeded: 1 failed -> FailedJobs (pods gone)"
    )


@pytest.mark.real
@pytest.mark.parametrize("reason", ["ReachedMaxRestarts", "FailedJobs"])
def test_a_job_set_whose_jobs_are_gone(site: Site, reason: str) -> None:
    path = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/{}/jobsets"
    template = {
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "x"}]}
            }
        }
    }
    site.post(
        path,
        {
            "apiVersion": "jobset.x-k8s.io/v1alpha2",
            "kind": "JobSet",
            "metadata": {"name": "llm"},
            "spec": {"replicatedJobs": [{"name": "node", "template": template}]},
        },
    )
    site.status(f"{path}/llm", {"conditions": [ended_condition(reason)], "restarts": 3})
    cause = found(site.get(JobSet, f"{path}/llm"))
    assert cause.line() == f"{reason} (pods gone)"


@pytest.mark.real
@pytest.mark.parametrize("reason", ["TrainingRuntimeNotSupported", "DeadlineExceeded"])
def test_a_train_job_by_itself(site: Site, reason: str) -> None:
    path = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs"
    site.post(
        path,
        {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": "llm"},
            "spec": {"runtimeRef": {"name": "gone"}},
        },
    )
    site.status(
        f"{path}/llm", {"conditions": [ended_condition(reason, "the words of the controller")]}
    )
    assert (
        found(site.get(TrainJob, f"{path}/llm")).line() == f"{reason}: the words of the controller"
    )


@pytest.mark.real
def test_pytorch_jobs_and_ray_jobs(site: Site) -> None:
    torch = "/apis/kubeflow.org/v1/namespaces/{}/pytorchjobs"
    replica = {
        "replicas": 1,
        "restartPolicy": "Never",
        "template": {"spec": {"containers": [{"name": "pytorch", "image": "x"}]}},
    }
    site.post(
        torch,
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {"name": "t"},
            "spec": {"pytorchReplicaSpecs": {"Master": replica}},
        },
    )
    site.status(
        f"{torch}/t",
        {
            "conditions": [ended_condition("PyTorchJobFailed", "PyTorchJob t is failed")],
            "replicaStatuses": {"Master": {"failed": 1}},
        },
    )
    assert (
        found(site.get(PyTorchJob, f"{torch}/t")).line() == "PyTorchJobFailed: 1 failed (pods gone)"
    )
    ray = "/apis/ray.io/v1/namespaces/{}/rayjobs"
    site.post(
        ray,
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": "r"},
            "spec": {"entrypoint": "python a.py"},
        },
    )
    site.status(
        f"{ray}/r",
        {
            "jobStatus": "FAILED",
            "jobDeploymentStatus": "Failed",
            "reason": "DeadlineExceeded",
            "message": "The RayJob has passed the activeDeadlineSeconds",
        },
    )
    assert (
        found(site.get(RayJob, f"{ray}/r")).line()
        == "DeadlineExceeded: The RayJob has passed the activeDeadlineSeconds"
    )


FLAVORS = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 6 more needed"
TOO_MUCH = "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, previously considered podsets requests (0) + current podset request (30) > maximum capacity (20)"
NO_FLAVOR = "couldn't assign flavors to pod set main: flavor spot doesn't match node affinity"


def condition(type_: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": BEGAN,
    }


@pytest.mark.real
@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (
            {"conditions": [condition("QuotaReserved", "False", "WaitingForQuota", FLAVORS)]},
            "WaitingForQuota: queue team, a100: 6 more nvidia.com/gpu needed",
        ),
        (
            {"conditions": [condition("QuotaReserved", "False", "Pending", FLAVORS)]},
            "WaitingForQuota: queue team, a100: 6 more nvidia.com/gpu needed",
        ),
        (
            {"conditions": [condition("QuotaReserved", "False", "ExceedsMaxQuota", TOO_MUCH)]},
            "ExceedsMaxQuota: queue team, default: needs 30 cpu, at most 20",
        ),
        (
            {"conditions": [condition("QuotaReserved", "False", "NoMatchingFlavor", NO_FLAVOR)]},
            "NoMatchingFlavor: queue team, flavor spot doesn't match node affinity",
        ),
        (
            {
                "conditions": [
                    condition("QuotaReserved", "False", "Pending", "x"),
                    condition(
                        "Evicted", "True", "Preempted", "Preempted to accommodate a workload"
                    ),
                    condition("Preempted", "True", "InClusterQueue", "x"),
                ]
            },
            "Preempted: by a job of higher priority in its queue -> Evicted",
        ),
        (
            {
                "conditions": [
                    condition("QuotaReserved", "False", "Pending", "x"),
                    condition(
                        "Evicted",
                        "True",
                        "PodsReadyTimeout",
                        "Exceeded the PodsReady timeout ml/train",
                    ),
                ],
                "requeueState": {"count": 1, "requeueAt": "2030-01-02T03:04:05Z"},
            },
            "PodsReadyTimeout: Exceeded the PodsReady timeout ml/train; tried again 2 Jan 03:04Z (try 2) -> Evicted",
        ),
        (
            {
                "conditions": [
                    condition("QuotaReserved", "True", "QuotaReserved", "ok"),
                    condition("Admitted", "False", "UnsatisfiedAdmissionChecks", "x"),
                ],
                "admissionChecks": [
                    {
                        "name": "prov",
                        "state": "Pending",
                        "message": "waiting for nodes",
                        "lastTransitionTime": BEGAN,
                    }
                ],
            },
            "AdmissionCheckPending: prov: waiting for nodes",
        ),
    ],
    ids=[
        "waiting",
        "pending (older)",
        "too much",
        "no flavor",
        "preempted",
        "not ready in time",
        "admission check",
    ],
)
def test_kueue_holds_the_job(site: Site, version: str, status: dict[str, Any], shown: str) -> None:
    name = site.make_job(suspend=True, labels={"kueue.x-k8s.io/queue-name": "team"})
    job = site.job(name)
    path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{{}}/workloads"
    made = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "uid": job.metadata.uid},
    }
    pod_set = {
        "name": "main",
        "count": 1,
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "x"}]}
        },
    }
    site.post(
        path,
        {
            "apiVersion": f"kueue.x-k8s.io/{version}",
            "kind": "Workload",
            "metadata": {"name": f"job-{name}", **owned_by(made)},
            "spec": {"queueName": "team", "podSets": [pod_set]},
        },
    )
    site.status(f"{path}/job-{name}", status)
    workload = site.get(Workload, f"{path}/job-{name}")
    row = view_job(site.job(name), context="dev", now=time.time(), workload=workload)
    assert (row.state, row.queue, row.why) == (JobState.WAITING, "team", shown)
