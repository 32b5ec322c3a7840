"""Which of several things that are said of a job is the cause: the one that still holds, or counts."""

# ruff: noqa: E501 - messages stand on one line, as their writers write them

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mcp_tui.domain.cause import cause_of, keep
from mcp_tui.domain.kube import Event, Job, Pod
from mcp_tui.domain.kube_custom import JobSet, PyTorchJob, RayJob
from tests.contract.cause_cases import container, disrupted, ended, failed, running, waiting
from tests.unit.test_domain_cause import failed_job, line, make, pod, workload

QUOTA = 'Error creating: pods "train-2-x" is forbidden: exceeded quota: gpu, requested: cpu=8, used: cpu=16, limited: cpu=16'
REFUSED = "QuotaExceeded: gpu: requested cpu=8, used cpu=16, limited cpu=16"
GOOD = container({"running": {}})


def clock(minute: int) -> str:
    return f"2026-11-23T03:{minute:02d}:00Z"


def refused(minute: int, *, uid: str = "", kind: str = "Job") -> Event:
    """A pod could not be created then."""
    return make(
        Event,
        {
            "reason": "FailedCreate",
            "message": QUOTA,
            "involvedObject": {"kind": kind, "name": "train", "uid": uid},
            "lastTimestamp": clock(minute),
        },
    )


def born(status: dict[str, Any], minute: int, name: str = "train-x7k2p", owner: str = "") -> Pod:
    by = [{"kind": "Job", "name": "train", "uid": owner, "controller": True}] if owner else []
    meta = {"name": name, "creationTimestamp": clock(minute), "ownerReferences": by}
    return make(Pod, {"metadata": meta, "status": {**status, "startTime": clock(minute)}})


def died(minute: int, code: int = 1, reason: str = "Error") -> dict[str, Any]:
    end = {**ended(code, reason)["terminated"], "finishedAt": clock(minute)}
    return failed(container({"terminated": end}))


def job_of(active: int, **spec: Any) -> Job:
    return make(
        Job, {"metadata": {"name": "train", "uid": "j"}, "spec": spec, "status": {"active": active}}
    )


def test_pods_that_could_not_be_created_and_then_were_are_not_the_cause() -> None:
    """Both were made later, and failed; the next is waited for. The event stands for an hour."""
    pods = [born(died(40), 10), born(died(59), 45, "train-zzzzz")]
    found = cause_of(job_of(0), pods, [refused(5)])
    assert found is not None
    assert found.line() == "Error train-x7k2p (exit 1) x2"
    assert not found.waiting
    # Now it is the one after them that cannot be created.
    assert line(job_of(0), pods, events=[refused(5), refused(59)]) == REFUSED


def test_what_failed_after_pods_could_not_be_created_is_newer() -> None:
    pods = [born(died(40), 3)]
    assert line(job_of(0), pods, events=[refused(5)]) == "Error train-x7k2p (exit 1)"
    assert line(job_of(0), pods, events=[refused(41)]) == REFUSED


def test_a_deadline_was_not_spent_on_creating_what_was_created() -> None:
    late = failed_job("DeadlineExceeded", "Job was active longer than specified deadline")
    there = born(running(GOOD), 10)
    assert line(late, events=[refused(5)]) == f"{REFUSED} -> DeadlineExceeded"
    assert line(late, [there], events=[refused(5)]) == f"DeadlineExceeded: {late_words(late)}"


def late_words(job: Job) -> str:
    return job.status.conditions[0].message


def test_of_pods_of_which_only_some_can_be_created_that_is_the_cause() -> None:
    gang = job_of(2, parallelism=4, completions=4, completionMode="Indexed")
    pods = [born(running(GOOD), 5, f"train-{n}-x7k2p") for n in range(2)]
    assert line(gang, pods, events=[refused(6)]) == REFUSED
    # One of those that run was restarted since, which makes room for nobody.
    again = container({"running": {}}, last=ended(1), restarts=1)
    last = again["lastState"]["terminated"]
    last["finishedAt"] = clock(7)
    restarted = born(running(again), 5, "train-1-x7k2p")
    assert line(gang, [pods[0], restarted], events=[refused(6)]) == REFUSED
    # All are there: whatever was said before is over, whether they are known or not.
    whole = job_of(4, parallelism=4, completions=4, completionMode="Indexed")
    assert line(whole, pods, events=[refused(6)]) == ""
    assert line(whole, events=[refused(6)]) == ""


def test_a_pod_of_another_job_of_the_set_says_nothing_of_what_could_not_be_created() -> None:
    whole = make(JobSet, {"metadata": {"name": "s"}, "spec": {"replicatedJobs": []}})
    said = [refused(5, uid="j")]
    done = {"phase": "Succeeded"}
    assert line(whole, [born(done, 10, owner="j")], events=said) == ""
    assert line(whole, [born(done, 10, owner="other")], events=said) == REFUSED


POLICY = "Container main for pod ml/train-zzzzz failed with exit code 42 matching FailJob rule at index 1"


def evicted(minute: int, name: str) -> Pod:
    low = "The node was low on resource: memory. "
    told = {**disrupted("TerminationByKubelet", low), "lastTransitionTime": clock(minute + 5)}
    return born(failed(reason="Evicted", message=low, conditions=[told]), minute, name)


def test_a_pod_failure_policy_names_the_pod_that_made_it_act() -> None:
    job = failed_job("PodFailurePolicy", POLICY)
    let_pass = [evicted(n, f"train-{c * 5}") for n, c in ((0, "b"), (10, "c"), (20, "d"))]
    ends = container({"terminated": {**ended(42, message="bad shard")["terminated"]}}, name="main")
    ends["state"]["terminated"]["finishedAt"] = clock(50)
    fatal = born(failed(ends), 40, "train-zzzzz")
    expected = "Error train-zzzzz (exit 42): bad shard -> PodFailurePolicy"
    assert line(job, [*let_pass, fatal]) == expected
    # They ran side by side.
    assert line(job, [*let_pass, born(failed(ends), 1, "train-zzzzz")]) == expected
    # Only its condition still tells of it.
    assert line(job, let_pass) == "Error train-zzzzz (exit 42) -> PodFailurePolicy"
    # It was evicted, too, once it had ended.
    assert line(job, [evicted(40, "train-zzzzz")]) == line(job, let_pass)


def test_memory_that_ran_out_beside_it_is_what_a_pod_failure_policy_acted_on() -> None:
    job = failed_job("PodFailurePolicy", POLICY.replace("code 42", "code 1"))
    pods = [
        born(died(10), 0, "train-zzzzz"),
        born(died(11, 137, "OOMKilled"), 0, "train-7-x7k2p"),
    ]
    assert line(job, pods) == "OOMKilled train-7 (exit 137) -> PodFailurePolicy"
    # An attempt before it that ran out of memory is another matter.
    before = born(died(3, 137, "OOMKilled"), 0, "train-7-x7k2p")
    assert line(job, [before, born(died(10), 5, "train-zzzzz")]) == (
        "Error train-zzzzz (exit 1) -> PodFailurePolicy"
    )


def test_a_policy_that_acts_on_a_condition_says_what_the_pod_says_of_it() -> None:
    said = "Pod ml/train-bbbbb has condition DisruptionTarget matching FailJob rule at index 0"
    pods = [evicted(0, "train-bbbbb"), born(died(50), 40, "train-ccccc")]
    assert line(failed_job("PodFailurePolicy", said), pods) == (
        "Evicted train-bbbbb: node low on memory -> PodFailurePolicy"
    )


@pytest.mark.parametrize(("code", "reason"), [(143, "Error"), (137, "Error"), (137, "OOMKilled")])
@pytest.mark.parametrize("declared", [True, False])
def test_how_a_sidecar_of_a_pod_that_succeeded_ended_is_no_failure(
    code: int, reason: str, declared: bool
) -> None:
    beside = [{"name": "proxy", "restartPolicy": "Always"}] if declared else []
    main = container(ended(0, "Completed"))
    status = failed(main, init=(container(ended(code, reason), name="proxy"),))
    done = pod({**status, "phase": "Succeeded"}, "train-0-x7k2p", initContainers=beside)
    assert line(job_of(1, completions=4), [done]) == ""
    late = failed_job("DeadlineExceeded", "too long")
    assert line(late, [done]) == "DeadlineExceeded: too long"


def test_a_sidecar_that_was_stopped_with_its_pod_is_not_what_failed() -> None:
    beside = [{"name": "proxy", "restartPolicy": "Always"}]
    proxy = container(ended(2), last=ended(2), restarts=3, name="proxy")
    over = pod(failed(container(ended(143)), init=(proxy,)), initContainers=beside)
    assert line(failed_job(), [over]) == "Terminated train-x7k2p (exit 143) -> BackoffLimitExceeded"
    # While the pod goes on, it is one that fails.
    proxy = container({"running": {}}, last=ended(2), restarts=3, name="proxy")
    going = pod(running(GOOD, initContainerStatuses=[proxy]), initContainers=beside)
    assert line(job_of(1), [going]) == "Error train-x7k2p (init proxy, exit 2) x3"


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_a_try_that_failed_and_was_made_good_counts_once(phase: str) -> None:
    again = container(ended(0, "Completed"), last=ended(1), restarts=1, name="code")
    main = GOOD if phase == "Running" else container(ended(0, "Completed"))
    status = {**failed(main, init=(again,)), "phase": phase}
    assert line(job_of(1), [pod(status)]) == "Error train-x7k2p (init code, exit 1)"
    again["restartCount"] = 3
    assert line(job_of(1), [pod(status)]) == "Error train-x7k2p (init code, exit 1) x3"


def test_a_main_container_that_got_through_at_last_says_how_often_it_failed() -> None:
    main = container(ended(0, "Completed"), last=ended(1), restarts=2)
    done = pod({**failed(main), "phase": "Succeeded"}, "train-0-x7k2p")
    assert line(job_of(1), [done]) == "Error train-0 (exit 1) x2"


def sentence(job: Any, pods: Sequence[Pod]) -> str:
    found = cause_of(job, pods)
    assert found is not None
    return found.sentence()


def test_ends_are_counted_in_times_and_pods_in_pods() -> None:
    looping = container(waiting("CrashLoopBackOff", "back-off 5m0s"), last=ended(1), restarts=30)
    assert "(Error, exit 1), 31 times; then" in sentence(job_of(1), [pod(running(looping))])
    nothing = container(
        waiting("CrashLoopBackOff", "back-off"), last=ended(0, "Completed"), restarts=1
    )
    assert "(CrashLoopBackOff), 2 times: ends" in sentence(job_of(1), [pod(running(nothing))])
    stuck = {"phase": "Pending", "containerStatuses": [container(waiting("ErrImagePull", "no"))]}
    pods = [pod(stuck, f"train-{n}-x7k2p") for n in range(3)]
    assert "(ErrImagePull), 3 pods: " in sentence(job_of(3), pods)
    # A deadline that was spent on them does not make it three times.
    assert "(ErrImagePull), 3 pods: " in sentence(failed_job("DeadlineExceeded"), pods)


def ray(message: str) -> RayJob:
    status = {"jobStatus": "FAILED", "jobDeploymentStatus": "Failed", "reason": "AppFailed"}
    return make(RayJob, {"metadata": {"name": "r"}, "status": {**status, "message": message}})


LOGS = "Job entrypoint command failed with exit code 1, last available logs (truncated to 20,000 chars):\n"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            f"{LOGS}Traceback (most recent call last):\n\x1b[31mValueError: bad lr\n\n",
            "AppFailed (exit 1): ValueError: bad lr",
        ),
        (LOGS, "AppFailed (exit 1)"),
        (
            "Job entrypoint command failed with exit code -9. No logs available.",
            "AppFailed (exit -9)",
        ),
        ("Job supervisor actor died.", "AppFailed: Job supervisor actor died."),
        ("", "AppFailed (pods gone)"),
    ],
)
def test_a_ray_jobs_last_words_are_kept(message: str, shown: str) -> None:
    found = cause_of(ray(message))
    assert found is not None
    assert found.line() == shown
    assert found.evidence is bool(message)


def test_the_pod_that_runs_a_ray_jobs_program_says_its_last_words() -> None:
    job = ray(f"{LOGS}ValueError: bad lr\n")
    assert "Its Ray job failed (AppFailed, exit 1): ValueError: bad lr." in sentence(job, [])
    submits = pod(failed(container(ended(1))), "r-x7k2p")
    assert line(job, [submits]) == "Error r-x7k2p (exit 1): ValueError: bad lr -> AppFailed"
    oom = pod(failed(container(ended(137, "OOMKilled"))), "r-worker-x7k2p")
    assert line(job, [submits, oom]) == ("OOMKilled r-worker (exit 137, limit 64Gi) -> AppFailed")
    # Seen once, it is still the deeper one when its cluster is gone.
    seen, now = cause_of(job, [oom]), cause_of(job)
    assert keep(seen, now) == seen
    assert keep(now, seen) == seen
    assert keep(cause_of(ray("old words")), now) == now


def torch(message: str, **status: Any) -> PyTorchJob:
    condition = {"type": "Failed", "status": "True", "reason": "PyTorchJobFailed"}
    said = [{**condition, "message": message}]
    return make(PyTorchJob, {"metadata": {"name": "t"}, "status": {"conditions": said, **status}})


def test_which_limit_a_pytorch_job_passed_is_read_from_its_message() -> None:
    late = "PyTorchJob t has failed because it was active longer than specified deadline"
    often = "PyTorchJob t has failed because it has reached the specified backoff limit"
    assert line(torch(late)) == f"DeadlineExceeded: {late}"
    stuck = pod(
        {"phase": "Pending", "containerStatuses": [container(waiting("ErrImagePull", "no"))]}
    )
    assert line(torch(late), [stuck]) == "ErrImagePull train: no -> DeadlineExceeded"
    counts = {"replicaStatuses": {"Worker": {"failed": 2}}}
    assert line(torch(often, **counts)) == "BackoffLimitExceeded: 2 failed (pods gone)"
    ends = pod(failed(container(ended(3))), "t-worker-0")
    assert line(torch(often), [ends]) == "Error t-worker-0 (exit 3) -> BackoffLimitExceeded"


def test_a_symptoms_own_words_are_kept_where_there_is_nothing_better() -> None:
    said = "PyTorchJob t is failed because 1 Worker replica(s) failed."
    assert line(torch(said)) == f"PyTorchJobFailed: {said} (pods gone)"
    counts = {"replicaStatuses": {"Worker": {"failed": 1}}}
    assert line(torch(said, **counts)) == "PyTorchJobFailed: 1 failed (pods gone)"


NO_ROOM = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 6 more needed"
PREEMPTED = "Preempted to accommodate a workload (UID: a) due to prioritization in the ClusterQueue"


@pytest.mark.parametrize(
    ("reserved", "shown"),
    [
        (
            ("QuotaReserved", "False", "Pending", NO_ROOM),
            "WaitingForQuota: queue team, a100: 6 more nvidia.com/gpu needed -> Preempted -> Evicted",
        ),
        (
            ("QuotaReserved", "False", "Waiting", "waiting for all admitted workloads"),
            "Waiting: queue team, waiting for all admitted workloads -> Preempted -> Evicted",
        ),
        # As the eviction itself leaves it.
        (
            ("QuotaReserved", "False", "Pending", PREEMPTED),
            "Preempted: by a job of higher priority in its queue -> Evicted",
        ),
        (
            ("QuotaReserved", "False", "Preempted", "in other words"),
            "Preempted: by a job of higher priority in its queue -> Evicted",
        ),
    ],
)
def test_what_was_evicted_says_what_it_waits_for_now(
    reserved: tuple[str, str, str, str], shown: str
) -> None:
    queue = workload(
        ("Evicted", "True", "Preempted", PREEMPTED),
        ("Preempted", "True", "InClusterQueue", PREEMPTED),
        reserved,
    )
    assert line(job_of(0, suspend=True), workload=queue) == shown


def test_a_queue_that_was_stopped_is_not_mistaken_for_a_new_try() -> None:
    stopped = "The ClusterQueue is stopped"
    queue = workload(
        ("Evicted", "True", "ClusterQueueStopped", stopped),
        ("QuotaReserved", "False", "Pending", stopped),
    )
    assert line(job_of(0, suspend=True), workload=queue) == (
        f"ClusterQueueStopped: {stopped} -> Evicted"
    )
