"""The deepest cause, on statuses as the real writers write them."""

# ruff: noqa: E501 - messages stand on one line, as their writers write them

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain.cause import Cause, cause_of, keep
from mcp_tui.domain.decode import decode
from mcp_tui.domain.kube import Event, Job, Pod
from mcp_tui.domain.kube_custom import JobSet, PyTorchJob, RayJob, TrainJob, Workload
from tests.contract.cause_cases import (
    CASES,
    Case,
    container,
    disrupted,
    ended,
    failed,
    pending,
    running,
    waiting,
)
from tests.unit.test_text import unsafe

T = TypeVar("T")
NOW = 1_795_404_000.0


def make(type_: type[T], value: dict[str, Any]) -> T:
    return decode(type_, json.dumps(value).encode())


def pod(status: dict[str, Any], name: str = "train-x7k2p", **spec: Any) -> Pod:
    containers = [{"name": "train", "resources": {"limits": {"memory": "64Gi"}}}]
    init = [{"name": "code", "resources": {"limits": {"memory": "512Mi"}}}]
    return make(
        Pod,
        {
            "metadata": {"name": name, "creationTimestamp": "2026-11-23T03:00:00Z"},
            "spec": {"containers": containers, "initContainers": init, **spec},
            "status": status,
        },
    )


def failed_job(
    reason: str = "BackoffLimitExceeded", message: str = "", name: str = "train", **status: Any
) -> Job:
    condition = {"type": "Failed", "status": "True", "reason": reason, "message": message}
    condition["lastTransitionTime"] = "2026-11-23T03:02:15Z"
    return make(Job, {"metadata": {"name": name}, "status": {"conditions": [condition], **status}})


def live_job(name: str = "train", **status: Any) -> Job:
    return make(Job, {"metadata": {"name": name}, "status": {"active": 1, **status}})


def event(
    reason: str, message: str, *, kind: str = "Pod", name: str = "train-x7k2p", at: int = 0
) -> Event:
    return make(
        Event,
        {
            "reason": reason,
            "message": message,
            "involvedObject": {"kind": kind, "name": name},
            "lastTimestamp": f"2026-11-23T03:00:{at:02d}Z",
        },
    )


def line(job: Any, pods: Sequence[Pod] = (), **more: Any) -> str:
    found = cause_of(job, pods, **more)
    return found.line() if found else ""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_reason(case: Case) -> None:
    job = failed_job() if case.fails else live_job()
    found = cause_of(job, [pod(case.status, "train-node-0-1-x7k2p")])
    assert found is not None
    assert found.line() == case.line.format(pod="train-node-0-1")
    assert found.where == "node-0-1"
    assert found.waiting is not case.fails
    assert found.evidence
    assert case.sentence in found.sentence()
    assert Cause.from_text(found.to_json()) == found


def test_the_line_of_the_documents() -> None:
    pods = [
        pod(failed(container(ended(137, "OOMKilled"))), f"train-node-0-1-x7k2{c}") for c in "bcd"
    ]
    assert (
        line(failed_job(), pods)
        == "OOMKilled train-node-0-1 (exit 137, limit 64Gi) x3 -> BackoffLimitExceeded"
    )


def test_a_line_gives_up_words_before_facts() -> None:
    found = cause_of(
        failed_job(name="ranker-0412"),
        [
            pod(failed(container(ended(137, "OOMKilled"))), f"ranker-0412-node-1-{c}x7k2")
            for c in "bcd"
        ],
    )
    assert found is not None
    assert found.line(75) == "OOMKilled ranker-0412-node-1 (137, 64Gi) x3 -> BackoffLimitExceeded"
    assert found.line(60) == "OOMKilled node-1 (137, 64Gi) x3 -> BackoffLimitExceeded"
    assert found.line(35) == "OOMKilled node-1 (137, 64Gi) x3"
    assert found.line(25) == "OOMKilled (137, 64Gi) x3"
    assert found.line(3) == "OOMKilled (137, 64Gi) x3"


def test_one_rank_out_of_memory_is_the_cause_of_its_peers_errors() -> None:
    def at(second: int, code: int, reason: str = "Error") -> dict[str, Any]:
        end = ended(code, reason)["terminated"]
        return failed(
            container({"terminated": {**end, "finishedAt": f"2026-11-23T03:02:{second:02d}Z"}})
        )

    pods = [pod(at(n, 1), f"train-{n}-x7k2p") for n in range(7)]
    pods.append(pod(at(30, 137, "OOMKilled"), "train-7-x7k2p"))
    assert line(failed_job(), pods).startswith("OOMKilled train-7 (exit 137, limit 64Gi) ->")


def test_of_several_attempts_the_most_frequent_cause_counts() -> None:
    def attempt(minute: int, code: int) -> dict[str, Any]:
        end = ended(code)["terminated"]
        status = failed(
            container({"terminated": {**end, "finishedAt": f"2026-11-23T03:{minute:02d}:50Z"}})
        )
        return {**status, "startTime": f"2026-11-23T03:{minute:02d}:00Z"}

    pods = [
        pod(attempt(n, code), f"train-{c}x7k2")
        for n, (code, c) in enumerate(zip((1, 2, 2, 2), "bcdf", strict=True))
    ]
    assert line(failed_job(), pods) == "Error train-cx7k2 (exit 2) x3 -> BackoffLimitExceeded"


def test_pods_gone() -> None:
    found = cause_of(failed_job(failed=4))
    assert found is not None
    assert found.line() == "BackoffLimitExceeded: 4 failed (pods gone)"
    assert not found.evidence
    assert "gone" in found.sentence()
    seen = cause_of(failed_job(), [pod(failed(container(ended(137, "OOMKilled"))))])
    kept = keep(seen, found)
    assert kept is not None
    assert kept.line() == "OOMKilled train-x7k2p (exit 137, limit 64Gi) -> BackoffLimitExceeded"
    stuck = cause_of(live_job(), [pod(pending(container(waiting("ErrImagePull", "no"))))])
    late = cause_of(failed_job("DeadlineExceeded", "Job was active longer than specified deadline"))
    assert keep(stuck, late) == late  # the deadline is evidence enough, and newer
    assert keep(stuck, found) == found  # it had its image before it failed
    looping = container(waiting("CrashLoopBackOff"), last=ended(3), restarts=6)
    looped = keep(cause_of(live_job(), [pod(running(looping))]), found)
    assert looped is not None
    assert not looped.waiting
    assert (
        looped.line() == "Error train-x7k2p (exit 3) x7 -> CrashLoopBackOff -> BackoffLimitExceeded"
    )
    assert keep(None, found) == found
    assert keep(seen, None) == seen
    assert keep(seen, seen) == seen


def test_what_the_conditions_say_themselves() -> None:
    deadline = failed_job("DeadlineExceeded", "Job was active longer than specified deadline")
    assert line(deadline) == "DeadlineExceeded: Job was active longer than specified deadline"
    indexes = failed_job("MaxFailedIndexesExceeded", "Job has exceeded", failedIndexes="0-3,7")
    assert line(indexes) == "MaxFailedIndexesExceeded: indexes 0-3,7 failed (pods gone)"
    policy = failed_job(
        "PodFailurePolicy",
        "Container train for pod ml/train-0-x7k2p failed with exit code 42 matching FailJob rule at index 0",
    )
    assert line(policy) == "Error train-0 (exit 42) -> PodFailurePolicy"
    disruption = failed_job(
        "PodFailurePolicy",
        "Pod ml/train-0-x7k2p has condition DisruptionTarget matching FailJob rule at index 1",
    )
    assert line(disruption) == "DisruptionTarget train-0 -> PodFailurePolicy"


def test_a_deadline_spent_waiting_says_on_what() -> None:
    job = failed_job("DeadlineExceeded", "Job was active longer than specified deadline")
    stuck = pod(pending(container(waiting("ImagePullBackOff", 'Back-off pulling image "a:1"'))))
    assert line(job, [stuck]) == "ImagePullBackOff train-x7k2p: a:1 -> DeadlineExceeded"


def test_an_image_that_nobody_names_is_the_one_that_was_asked_for() -> None:
    asked = [{"name": "side", "image": "b:2"}, {"name": "train", "image": "a:1"}]
    stuck = pod(pending(container(waiting("ErrImagePull", ""))), containers=asked)
    assert line(live_job(), [stuck]) == "ErrImagePull train-x7k2p: a:1"


def test_a_failing_job_is_failed_before_its_pods_are_ended() -> None:
    job = make(
        Job,
        {
            "metadata": {"name": "train"},
            "status": {
                "conditions": [
                    {"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}
                ]
            },
        },
    )
    assert (
        line(job, [pod(failed(container(ended(3))))])
        == "Error train-x7k2p (exit 3) -> BackoffLimitExceeded"
    )


def unscheduled(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    return {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": reason,
                "message": message,
                "lastTransitionTime": "2026-11-23T03:00:05Z",
            }
        ],
    }


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "0/12 nodes are available: 4 node(s) had untolerated taint {gpu: true}, 8 Insufficient nvidia.com/gpu. preemption: 0/12 nodes are available: 12 Preemption is not helpful for scheduling.",
            "needs 8 nvidia.com/gpu; 0/12 nodes: 4 untolerated taint gpu, 8 Insufficient nvidia.com/gpu",
        ),
        (
            "0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory. no new claims to deallocate, preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
            "needs 16 cpu, 64Gi memory; 0/3 nodes: 3 Insufficient cpu, 3 Insufficient memory",
        ),
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            "0/3 nodes: 3 other node selector",
        ),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
        ("", ""),
    ],
)
def test_unschedulable(message: str, shown: str) -> None:
    limits = {"memory": "64Gi", "cpu": "16", "nvidia.com/gpu": "8"}
    found = pod(
        unscheduled(message), containers=[{"name": "train", "resources": {"limits": limits}}]
    )
    assert line(live_job(), [found]) == "Unschedulable train-x7k2p" + (
        f": {shown}" if shown else ""
    )


def test_scheduling_gates() -> None:
    found = pod(
        unscheduled("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated"),
        schedulingGates=[{"name": "quota.example/wait"}],
    )
    assert line(live_job(), [found]) == "SchedulingGated train-x7k2p: quota.example/wait"


def test_pods_of_a_kind_are_counted_and_the_deepest_kind_wins() -> None:
    pods = [
        pod(unscheduled("0/3 nodes are available: 3 Insufficient cpu."), f"train-{n}-x7k2p")
        for n in range(4)
    ]
    assert line(live_job(), pods).startswith("Unschedulable train-0 x4: ")
    pods.append(pod(pending(container(waiting("ErrImagePull", "no such host"))), "train-9-x7k2p"))
    assert line(live_job(), pods).startswith("ErrImagePull train-9:")


def test_nothing_to_say() -> None:
    assert line(live_job(), [pod(running(container({"running": {}})))]) == ""
    assert line(live_job(), [pod(pending(container(waiting("ContainerCreating"))))]) == ""
    done = make(Job, {"status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    assert line(done, [pod(failed(container(ended(1))))]) == ""


def test_earlier_attempts_of_a_job_that_goes_on() -> None:
    pods = [
        pod(failed(container(ended(1)))),
        pod(running(container({"running": {}})), "train-zzzzz"),
    ]
    assert line(live_job(), pods) == "Error train-x7k2p (exit 1)"


CREATION = [
    (
        'Error creating: pods "train-x7k2p" is forbidden: exceeded quota: team, requested: requests.cpu=8, used: requests.cpu=10, limited: requests.cpu=12',
        "QuotaExceeded: team: requested requests.cpu=8, used requests.cpu=10, limited requests.cpu=12",
    ),
    (
        'Error creating: admission webhook "deny.example" denied the request: no cost centre',
        "AdmissionDenied: deny.example: no cost centre",
    ),
    (
        "Error creating: pods \"t\" is forbidden: ValidatingAdmissionPolicy 'cost' with binding 'b' denied request: no label",
        "AdmissionDenied: cost: no label",
    ),
    (
        'Error creating: pods "t" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "train" must set it)',
        'PodSecurity: "restricted:latest": allowPrivilegeEscalation != false (container "train" must set it)',
    ),
    (
        'Error creating: pods "t" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        "LimitRange: maximum memory usage per Container is 1Gi, but limit is 2Gi",
    ),
    (
        'Error creating: pods "t" is forbidden: error looking up service account ml/x: serviceaccount "x" not found',
        'FailedCreate: error looking up service account ml/x: serviceaccount "x" not found',
    ),
]


@pytest.mark.parametrize(("message", "shown"), CREATION)
def test_pods_that_cannot_be_created(message: str, shown: str) -> None:
    job = make(Job, {"metadata": {"name": "train"}})
    said = event("FailedCreate", message, kind="Job", name="train")
    assert line(job, events=[said]) == shown


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "data" : configmap "c" not found',
            'FailedMount train-x7k2p: MountVolume.SetUp failed for volume "data" : configmap "c" not found',
        ),
        (
            "FailedScheduling",
            "0/3 nodes are available: 3 Insufficient cpu.",
            "Unschedulable train-x7k2p: 0/3 nodes: 3 Insufficient cpu",
        ),
    ],
)
def test_events_of_waiting_pods(reason: str, message: str, shown: str) -> None:
    held = pod(pending(container(waiting("ContainerCreating"))))
    assert line(live_job(), [held], events=[event(reason, message)]) == shown


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        (
            "Evicted",
            "The node was low on resource: ephemeral-storage. Threshold",
            "Evicted train-x7k2p: node low on ephemeral-storage",
        ),
        (
            "Failed",
            'Failed to pull image "a:1": rpc error: code = NotFound desc = a:1: not found',
            "ErrImagePull train-x7k2p: a:1: not found",
        ),
        (
            "BackOff",
            "Back-off restarting failed container train in pod",
            "CrashLoopBackOff train-x7k2p",
        ),
        (
            "TaintManagerEviction",
            "Marking for deletion Pod ml/train-x7k2p",
            "DeletionByTaintManager train-x7k2p: Marking for deletion Pod ml/train-x7k2p",
        ),
    ],
)
def test_events_outlive_pods(reason: str, message: str, shown: str) -> None:
    said = [event("FailedScheduling", "0/3 nodes are available", at=9), event(reason, message)]
    assert line(failed_job("DeadlineExceeded"), events=said) == f"{shown} -> DeadlineExceeded"
    # A pod that failed had its image and its place.
    outlived = reason != "Failed"
    expected = (
        f"{shown} -> BackoffLimitExceeded" if outlived else "BackoffLimitExceeded (pods gone)"
    )
    assert line(failed_job(), events=said) == expected


def test_of_a_kubelets_events_the_one_that_says_why_is_taken() -> None:
    """The newest only names the state; it comes again every few minutes."""
    said = [
        event("Failed", 'Failed to pull image "a:1": rpc error: desc = a:1: not found', at=1),
        event("Failed", "Error: ErrImagePull", at=2),
        event("BackOff", 'Back-off pulling image "a:1"', at=3),
        event("Failed", "Error: ImagePullBackOff", at=9),
    ]
    assert (
        line(failed_job("DeadlineExceeded"), events=said)
        == "ErrImagePull train-x7k2p: a:1: not found -> DeadlineExceeded"
    )


@pytest.mark.parametrize(
    ("reason", "message", "shown"),
    [
        (
            "Failed",
            'Error: secret "git-token" not found',
            'CreateContainerConfigError train-x7k2p: secret "git-token" not found',
        ),
        (
            "Failed",
            "Error: couldn't find key user in Secret ml/git-token",
            "CreateContainerConfigError train-x7k2p: couldn't find key user in Secret ml/git-token",
        ),
        (
            "ErrImageNeverPull",
            'Container image "a:1" is not present with pull policy of Never',
            'ErrImageNeverPull train-x7k2p: Container image "a:1" is not present with pull policy '
            "of Never",
        ),
    ],
)
def test_what_never_started_says_so_once_its_time_is_over(
    reason: str, message: str, shown: str
) -> None:
    said = [event(reason, message)]
    assert line(failed_job("DeadlineExceeded"), events=said) == f"{shown} -> DeadlineExceeded"
    # A job that failed otherwise had got over it.
    assert line(failed_job(), events=said) == "BackoffLimitExceeded (pods gone)"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("OutOfcpu", "Node didn't have enough resource: cpu, requested: 9"),
        ("OutOfmemory", "Node didn't have enough resource: memory"),
        ("OutOfpods", "Node didn't have enough resource: pods"),
        ("UnexpectedAdmissionError", "Allocate failed due to no healthy devices present"),
        ("TopologyAffinityError", "Resources cannot be allocated with Topology locality"),
        ("NodeAffinity", "Predicate NodeAffinity failed"),
        ("Preempting", "Preempted by pod x on node y"),
        ("Shutdown", "Pod was rejected as the node is shutting down."),
        ("FailedPostStartHook", "PostStartHook failed"),
    ],
)
def test_events_of_pods_that_a_node_turned_away(reason: str, message: str) -> None:
    shown = line(failed_job(), events=[event(reason, message)])
    assert shown == f"{reason} train-x7k2p: {message} -> BackoffLimitExceeded"


def test_job_sets_and_train_jobs_form_a_chain() -> None:
    def root(kind: type[Any], reason: str) -> Any:
        return make(
            kind,
            {
                "metadata": {"name": "llm"},
                "status": {
                    "conditions": [
                        {
                            "type": "Failed",
                            "status": "True",
                            "reason": reason,
                            "message": "jobset failed",
                        }
                    ]
                },
            },
        )

    child = failed_job(name="llm-node-0")
    jobset = root(JobSet, "FailedJobs")
    train = root(TrainJob, "FailedJobs")
    pods = [pod(failed(container(ended(137, "OOMKilled"))), "llm-node-0-1-x7k2p")]
    assert (
        line(jobset, pods, children=[child])
        == "OOMKilled llm-node-0-1 (exit 137, limit 64Gi) -> BackoffLimitExceeded -> FailedJobs"
    )
    assert line(train, pods, children=[jobset, child]).endswith(
        " -> BackoffLimitExceeded -> FailedJobs"
    )
    assert (
        line(root(JobSet, "ReachedMaxRestarts"), children=[child])
        == "BackoffLimitExceeded -> ReachedMaxRestarts (pods gone)"
    )
    assert (
        line(root(TrainJob, "TrainingRuntimeNotSupported"))
        == "TrainingRuntimeNotSupported: jobset failed"
    )
    assert (
        line(root(TrainJob, "DeadlineExceeded"), children=[live_job()])
        == "DeadlineExceeded: jobset failed"
    )


def test_other_kinds() -> None:
    torch = make(
        PyTorchJob,
        {
            "metadata": {"name": "t"},
            "status": {
                "conditions": [
                    {
                        "type": "Failed",
                        "status": "True",
                        "reason": "PyTorchJobFailed",
                        "message": "PyTorchJob t is failed because 1 Worker replica(s) failed.",
                    }
                ]
            },
        },
    )
    assert (
        line(torch, [pod(failed(container(ended(1))), "t-worker-0")])
        == "Error t-worker-0 (exit 1) -> PyTorchJobFailed"
    )
    ray = make(
        RayJob,
        {
            "metadata": {"name": "r"},
            "status": {
                "jobStatus": "FAILED",
                "jobDeploymentStatus": "Failed",
                "reason": "DeadlineExceeded",
                "message": "The RayJob has passed the activeDeadlineSeconds",
            },
        },
    )
    assert line(ray) == "DeadlineExceeded: The RayJob has passed the activeDeadlineSeconds"


def workload(*conditions: tuple[str, str, str, str], **more: Any) -> Workload:
    found = [
        {
            "type": t,
            "status": s,
            "reason": r,
            "message": m,
            "lastTransitionTime": "2026-11-23T03:00:00Z",
        }
        for t, s, r, m in conditions
    ]
    status = {"conditions": found, **more.pop("status", {})}
    return make(Workload, {"spec": {"queueName": "team", **more}, "status": status})


FLAVORS = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 6 more needed"
KUEUE = [
    (
        workload(("QuotaReserved", "False", "WaitingForQuota", FLAVORS)),
        "WaitingForQuota: queue team, a100: 6 more nvidia.com/gpu needed",
    ),
    (
        workload(("QuotaReserved", "False", "Pending", FLAVORS)),
        "WaitingForQuota: queue team, a100: 6 more nvidia.com/gpu needed",
    ),
    (
        workload(
            (
                "QuotaReserved",
                "False",
                "ExceedsMaxQuota",
                "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, previously considered podsets requests (0) + current podset request (30) > maximum capacity (20)",
            )
        ),
        "ExceedsMaxQuota: queue team, default: needs 30 cpu, at most 20",
    ),
    (
        workload(
            (
                "QuotaReserved",
                "False",
                "Pending",
                "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, request > maximum capacity (30 > 20)",
            )
        ),
        "ExceedsMaxQuota: queue team, default: needs 30 cpu, at most 20",
    ),
    (
        workload(
            (
                "QuotaReserved",
                "False",
                "NoMatchingFlavor",
                "couldn't assign flavors to pod set main: flavor spot doesn't match node affinity",
            )
        ),
        "NoMatchingFlavor: queue team, flavor spot doesn't match node affinity",
    ),
    (
        workload(("QuotaReserved", "False", "Inadmissible", "LocalQueue team doesn't exist")),
        "Misconfigured: LocalQueue team doesn't exist",
    ),
    (
        workload(("QuotaReserved", "False", "Inadmissible", "ClusterQueue main is inactive")),
        "QueueStopped: queue team, ClusterQueue main is inactive",
    ),
    (workload(), "Pending: queue team has not answered"),
    (
        workload(
            ("Evicted", "True", "Preempted", "Preempted to accommodate a workload (UID: a)"),
            ("Preempted", "True", "InClusterQueue", "x"),
            ("QuotaReserved", "False", "Pending", "y"),
        ),
        "Preempted: by a job of higher priority in its queue -> Evicted",
    ),
    (
        workload(
            ("Evicted", "True", "PodsReadyTimeout", "Exceeded the PodsReady timeout ml/train"),
            ("QuotaReserved", "False", "Pending", "y"),
            status={"requeueState": {"count": 2, "requeueAt": "2026-11-23T15:30:00Z"}},
        ),
        "PodsReadyTimeout: Exceeded the PodsReady timeout ml/train; tried again 15:30Z (try 3) -> Evicted",
    ),
    (
        workload(
            (
                "Evicted",
                "True",
                "DeactivatedDueToRequeuingLimitExceeded",
                "exceeded the maximum number of re-queuing retries",
            ),
            active=False,
        ),
        "RequeuingLimitExceeded: exceeded the maximum number of re-queuing retries -> Deactivated",
    ),
    (
        workload(
            ("QuotaReserved", "True", "QuotaReserved", ""),
            status={
                "admissionChecks": [
                    {"name": "prov", "state": "Pending", "message": "waiting for nodes"}
                ]
            },
        ),
        "AdmissionCheckPending: prov: waiting for nodes",
    ),
    (
        workload(
            ("QuotaReserved", "True", "QuotaReserved", ""), ("Admitted", "True", "Admitted", "")
        ),
        "",
    ),
]


@pytest.mark.parametrize(("queue", "shown"), KUEUE)
def test_kueue(queue: Workload, shown: str) -> None:
    job = make(Job, {"metadata": {"name": "train"}, "spec": {"suspend": True}})
    assert line(job, workload=queue, now=NOW) == shown


def test_pods_say_why_they_were_not_ready_in_time() -> None:
    late = workload(
        ("Evicted", "True", "PodsReadyTimeout", "Exceeded"),
        ("QuotaReserved", "False", "Pending", "y"),
    )
    stuck = pod(pending(container(waiting("ImagePullBackOff", 'Back-off pulling image "a:1"'))))
    assert (
        line(live_job(), [stuck], workload=late)
        == "ImagePullBackOff train-x7k2p: a:1 -> PodsReadyTimeout -> Evicted"
    )


def test_kept_causes_of_others_are_read_and_sanitised() -> None:
    assert Cause.from_text("") is None
    assert Cause.from_text("  ") is None
    assert Cause.from_text("OOMKilled\x1b[31m node") == Cause(reason="OOMKilled node")
    found = Cause.from_text(
        '{"reason":"a\\u001b[2Jb","message":"x\\ny","chain":["c\\u202ed"],"count":-3}'
    )
    assert found == Cause(reason="ab", message="x y", chain=("cd",), count=1)
    assert Cause.from_text('{"reason":3}') is not None
    assert Cause.from_text("[" * 10_000) is not None


TEXT = st.sampled_from(
    [
        "",
        "Error",
        "OOMKilled",
        "Evicted",
        "CrashLoopBackOff",
        "ContainerCreating",
        "Failed",
        "x\ny",
        "\x1b[31mred",
        "Insufficient cpu",
        "0/3 nodes are available: 3 Insufficient cpu.",
    ]
) | st.text(max_size=20)
WHEN = st.sampled_from([None, "", "2026-11-23T03:00:00Z", "junk", "9999-12-31T23:59:59Z"])
STATE = st.fixed_dictionaries(
    {},
    optional={
        "running": st.fixed_dictionaries({}, optional={"startedAt": WHEN}),
        "waiting": st.fixed_dictionaries({}, optional={"reason": TEXT, "message": TEXT}),
        "terminated": st.fixed_dictionaries(
            {},
            optional={
                "exitCode": st.integers(-300, 400),
                "signal": st.integers(-5, 80),
                "reason": TEXT,
                "message": TEXT,
                "finishedAt": WHEN,
            },
        ),
    },
)
CONTAINER = st.fixed_dictionaries(
    {"state": STATE, "lastState": STATE},
    optional={"name": TEXT, "restartCount": st.integers(-2, 9), "image": TEXT},
)
CONDITION = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "Failed",
                "Complete",
                "FailureTarget",
                "Suspended",
                "PodScheduled",
                "DisruptionTarget",
                "QuotaReserved",
                "Evicted",
                "Admitted",
                "Ready",
            ]
        )
        | TEXT,
        "status": st.sampled_from(["True", "False", "Unknown", ""]),
    },
    optional={"reason": TEXT, "message": TEXT, "lastTransitionTime": WHEN},
)
POD = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": TEXT}, optional={"deletionTimestamp": WHEN}),
        "status": st.fixed_dictionaries(
            {
                "phase": st.sampled_from(
                    ["Pending", "Running", "Failed", "Succeeded", "Unknown", ""]
                )
            },
            optional={
                "reason": TEXT,
                "message": TEXT,
                "startTime": WHEN,
                "conditions": st.lists(CONDITION, max_size=3),
                "containerStatuses": st.lists(CONTAINER, max_size=2),
                "initContainerStatuses": st.lists(CONTAINER, max_size=2),
            },
        ),
    }
)
JOB = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": TEXT}),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "conditions": st.lists(CONDITION, max_size=3),
                "active": st.integers(-1, 5),
                "failed": st.integers(-1, 5),
                "failedIndexes": TEXT,
            },
        ),
    },
    optional={"spec": st.fixed_dictionaries({"suspend": st.booleans()})},
)
EVENT = st.fixed_dictionaries(
    {
        "reason": st.sampled_from(
            [
                "FailedCreate",
                "Failed",
                "BackOff",
                "Evicted",
                "FailedMount",
                "FailedScheduling",
                "OOMKilling",
            ]
        ),
        "message": TEXT,
        "involvedObject": st.fixed_dictionaries(
            {"kind": st.sampled_from(["Pod", "Job"]), "name": TEXT}
        ),
        "lastTimestamp": WHEN,
    }
)
WORKLOAD = st.none() | st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries({}, optional={"active": st.booleans(), "queueName": TEXT}),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "conditions": st.lists(CONDITION, max_size=4),
                "requeueState": st.fixed_dictionaries(
                    {}, optional={"count": st.integers(0, 3), "requeueAt": WHEN}
                ),
            },
        ),
    }
)


@settings(max_examples=250)
@given(
    JOB,
    st.lists(POD, max_size=4),
    st.lists(EVENT, max_size=3),
    WORKLOAD,
    st.sampled_from([Job, TrainJob, PyTorchJob, JobSet]),
)
def test_no_combination_of_statuses_is_too_odd(
    job: Any, pods: Any, events: Any, queue: Any, kind: Any
) -> None:
    found = cause_of(
        make(kind, job),
        [make(Pod, item) for item in pods],
        [make(Event, item) for item in events],
        make(Workload, queue) if queue is not None else None,
        now=NOW,
    )
    if found is None:
        return
    for text in (found.line(), found.line(35), found.sentence(), found.to_json()):
        assert not [c for c in text if unsafe(c) or c in "\n\t"], text
    assert found.reason
    assert found.count >= 1
    assert Cause.from_text(found.to_json()) == found


def test_cases_cover_the_disruptions() -> None:
    named = {
        "PreemptionByScheduler",
        "TerminationByKubelet",
        "EvictionByEvictionAPI",
        "DeletionByTaintManager",
        "DeletionByPodGC",
    }
    written = {c["reason"] for case in CASES for c in case.status.get("conditions", ())}
    assert named <= written
    assert disrupted("a", "b")["type"] == "DisruptionTarget"


def test_a_row_says_no_more_of_the_pod_than_its_name_adds() -> None:
    alone = Cause(reason="CreateContainerConfigError", pod="a-x2v4z", job="a", message="no secret")
    assert alone.row() == "CreateContainerConfigError: no secret"
    indexed = Cause(reason="OOMKilled", pod="a-3-x2v4z", job="a", exit_code=137, limit="64Gi")
    assert indexed.row() == "OOMKilled 3 (137, 64Gi)"
    assert "a-x2v4z" in alone.line()
