"""What becomes of jobs, on the real controllers and the embedded ones.

The pods fit on no node, and the test says how they end, as a kubelet would.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.conftest import Plane
from tests.contract.api import Api, Obj, eventually, job, pod


@pytest.fixture
def api(kube: Plane, kube_namespace: str) -> Api:
    return Api(kube, kube_namespace)


def start(api: Api, **spec: Any) -> Obj:
    return api.made("jobs", job("a", suspend=False, **spec))


def active(api: Api, count: int) -> Sequence[Obj]:
    """The pods that have not ended, once there are so many."""

    def found() -> Sequence[Obj] | None:
        pods = [
            item
            for item in api.pods("a")
            if item["status"]["phase"] not in ("Succeeded", "Failed")
            and "deletionTimestamp" not in item["metadata"]
        ]
        return pods if len(pods) == count else None

    pods: Sequence[Obj] = eventually(found)
    return pods


def conditions(api: Api) -> dict[str, Obj]:
    found = api.found("jobs", "a")["status"].get("conditions", [])
    return {item["type"]: item for item in found if item["status"] == "True"}


def condition(api: Api, kind: str) -> Obj:
    found: Obj = eventually(lambda: conditions(api).get(kind))
    return found


def status(api: Api) -> Obj:
    found: Obj = api.found("jobs", "a")["status"]
    return found


def reasons(api: Api, kind: str = "Job", name: str = "a") -> set[str]:
    selector = f"involvedObject.kind={kind},involvedObject.name={name}"
    return {item["reason"] for item in api.items("events", fieldSelector=selector)}


def index(pod: Obj) -> int:
    return int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])


def test_a_job_makes_a_pod_of_its_own(api: Api) -> None:
    made = start(api)
    (found,) = active(api, 1)
    metadata = found["metadata"]
    assert metadata["name"].startswith("a-") and len(metadata["name"]) == len("a-12345")
    assert metadata["generateName"] == "a-"
    owner = metadata["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "a", made["metadata"]["uid"])
    assert owner["controller"] and owner["blockOwnerDeletion"]
    assert metadata["labels"] == made["spec"]["template"]["metadata"]["labels"]
    assert metadata["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    eventually(lambda: status(api).get("active") == 1)
    found_status = status(api)
    assert found_status["ready"] == 0 and found_status["terminating"] == 0
    assert found_status["startTime"] and found_status["uncountedTerminatedPods"] == {}
    eventually(lambda: "SuccessfulCreate" in reasons(api))


def test_a_pod_that_fits_nowhere_says_so(api: Api) -> None:
    api.made("pods", pod("p"))

    def unschedulable() -> Obj | None:
        found = api.found("pods", "p")["status"].get("conditions", [])
        return next((item for item in found if item["type"] == "PodScheduled"), None)

    found = eventually(unschedulable)
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    assert found["message"].startswith(("0/", "no nodes available to schedule pods"))
    eventually(lambda: "FailedScheduling" in reasons(api, "Pod", "p"))


def test_a_job_completes(api: Api) -> None:
    start(api)
    api.end(active(api, 1)[0], "Succeeded")
    assert condition(api, "Complete")["reason"] == "CompletionsReached"
    assert conditions(api)["SuccessCriteriaMet"]["message"] == (
        "Reached expected number of succeeded pods"
    )
    found = status(api)
    assert found["succeeded"] == 1 and found["completionTime"]
    assert "active" not in found and "failed" not in found
    assert "finalizers" not in api.pods("a")[0]["metadata"]
    eventually(lambda: "Completed" in reasons(api))


def test_parallelism_is_kept_until_completions_are_reached(api: Api) -> None:
    start(api, completions=3, parallelism=2)
    first, second = active(api, 2)
    api.end(first, "Succeeded")
    eventually(lambda: status(api).get("succeeded") == 1)
    pods = active(api, 2)
    assert second["metadata"]["name"] in {item["metadata"]["name"] for item in pods}
    api.end(pods[0], "Succeeded")
    (last,) = active(api, 1)
    api.end(last, "Succeeded")
    condition(api, "Complete")
    assert status(api)["succeeded"] == 3


def test_a_work_queue_ends_when_one_succeeds_and_none_runs(api: Api) -> None:
    start(api, parallelism=2)
    first, second = active(api, 2)
    api.end(first, "Succeeded")
    eventually(lambda: status(api).get("succeeded") == 1)
    assert "Complete" not in conditions(api)
    api.end(second, "Succeeded")
    condition(api, "Complete")


def test_the_back_off_limit_fails_a_job(api: Api) -> None:
    start(api, backoffLimit=0)
    api.end(active(api, 1)[0], "Failed", 1)
    found = condition(api, "Failed")
    assert found["reason"] == "BackoffLimitExceeded"
    assert found["message"] == "Job has reached the specified backoff limit"
    assert conditions(api)["FailureTarget"]["reason"] == "BackoffLimitExceeded"
    assert status(api)["failed"] == 1 and "completionTime" not in status(api)
    eventually(lambda: "BackoffLimitExceeded" in reasons(api))


def test_a_failed_job_takes_its_other_pods_with_it(api: Api) -> None:
    start(api, backoffLimit=0, completions=2, parallelism=2)
    first, second = active(api, 2)
    api.end(first, "Failed", 1)
    condition(api, "Failed")
    assert api.get("pods", second["metadata"]["name"]).status_code == 404
    assert status(api)["failed"] == 2


def test_a_failed_pod_is_replaced_after_a_while(api: Api) -> None:
    """Ten seconds after the first failure, not at once."""
    start(api, backoffLimit=2)
    (first,) = active(api, 1)
    api.end(first, "Failed", 1)
    ended = time.monotonic()
    eventually(lambda: status(api).get("failed") == 1)
    assert "active" not in status(api)
    eventually(lambda: len(api.pods("a")) == 2, within=40)
    assert time.monotonic() - ended > 7


def test_a_deadline_fails_a_job(api: Api) -> None:
    start(api, activeDeadlineSeconds=1)
    found = condition(api, "Failed")
    assert found["reason"] == "DeadlineExceeded"
    assert found["message"] == "Job was active longer than specified deadline"
    eventually(lambda: not api.pods("a"))


def test_suspending_removes_pods_and_resuming_brings_new_ones(api: Api) -> None:
    start(api)
    (first,) = active(api, 1)
    assert api.merge("jobs", "a", {"spec": {"suspend": True}}).status_code == 200
    found = condition(api, "Suspended")
    assert (found["reason"], found["message"]) == ("JobSuspended", "Job suspended")
    eventually(lambda: api.get("pods", first["metadata"]["name"]).status_code == 404)
    eventually(lambda: "active" not in status(api))
    assert "startTime" not in status(api) and "failed" not in status(api)
    assert api.merge("jobs", "a", {"spec": {"suspend": False}}).status_code == 200
    active(api, 1)
    eventually(lambda: "Suspended" not in conditions(api))
    assert status(api)["startTime"]
    resumed = next(item for item in status(api)["conditions"] if item["type"] == "Suspended")
    assert (resumed["status"], resumed["reason"]) == ("False", "JobResumed")
    eventually(lambda: {"Suspended", "Resumed"} <= reasons(api))


def test_a_job_made_suspended_waits(api: Api) -> None:
    api.made("jobs", job("a"))
    condition(api, "Suspended")
    assert api.pods("a") == [] and "startTime" not in status(api)


def test_an_indexed_job_counts_by_index(api: Api) -> None:
    start(api, completionMode="Indexed", completions=4, parallelism=2)
    pods = active(api, 2)
    assert sorted(map(index, pods)) == [0, 1]
    zero = min(pods, key=index)
    metadata, spec = zero["metadata"], zero["spec"]
    assert metadata["name"].startswith("a-0-") and spec["hostname"] == "a-0"
    assert metadata["labels"]["batch.kubernetes.io/job-completion-index"] == "0"
    env = next(
        item for item in spec["containers"][0]["env"] if item["name"] == "JOB_COMPLETION_INDEX"
    )
    path = env["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['batch.kubernetes.io/job-completion-index']"
    for item in pods:
        api.end(item, "Succeeded")
    eventually(lambda: status(api).get("completedIndexes") == "0,1")
    pods = active(api, 2)
    assert sorted(map(index, pods)) == [2, 3]
    api.end(pods[0], "Succeeded")
    api.end(pods[1], "Succeeded")
    condition(api, "Complete")
    assert status(api)["completedIndexes"] == "0-3" and status(api)["succeeded"] == 4


def test_an_index_may_fail_alone(api: Api) -> None:
    start(api, completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=0)
    zero, one = sorted(active(api, 2), key=index)
    api.end(zero, "Failed", 1)
    eventually(lambda: status(api).get("failedIndexes") == "0")
    assert "Failed" not in conditions(api)
    api.end(one, "Succeeded")
    found = condition(api, "Failed")
    assert (found["reason"], found["message"]) == ("FailedIndexes", "Job has failed indexes")
    assert status(api)["completedIndexes"] == "1"


def test_too_many_failed_indexes_fail_a_job(api: Api) -> None:
    start(
        api,
        completionMode="Indexed",
        completions=3,
        parallelism=3,
        backoffLimitPerIndex=0,
        maxFailedIndexes=0,
    )
    api.end(active(api, 3)[0], "Failed", 1)
    found = condition(api, "Failed")
    assert found["reason"] == "MaxFailedIndexesExceeded"


FAIL_ON_42 = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]
}


def test_a_failure_policy_ends_a_job_by_exit_code(api: Api) -> None:
    start(api, podFailurePolicy=FAIL_ON_42, backoffLimit=5)
    (found,) = active(api, 1)
    api.end(found, "Failed", 42)
    failed = condition(api, "Failed")
    assert failed["reason"] == "PodFailurePolicy"
    assert failed["message"] == (
        f"Container main for pod {api.namespace}/{found['metadata']['name']} failed with exit "
        "code 42 matching FailJob rule at index 0"
    )


def test_a_failure_policy_ignores_disruptions(api: Api) -> None:
    start(api, podFailurePolicy=FAIL_ON_42, backoffLimit=0)
    (found,) = active(api, 1)
    target = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    patch = {"status": {"phase": "Failed", "conditions": [target]}}
    assert api.merge("pods", found["metadata"]["name"], patch, "status").status_code == 200
    eventually(lambda: len(api.pods("a")) == 2)
    assert "failed" not in status(api) and "FailureTarget" not in conditions(api)


def test_a_deleted_pod_is_replaced(api: Api) -> None:
    start(api)
    (first,) = active(api, 1)
    api.delete("pods", first["metadata"]["name"])
    eventually(lambda: api.get("pods", first["metadata"]["name"]).status_code == 404)

    def another() -> bool:
        names = {item["metadata"]["name"] for item in api.pods("a")}
        return bool(names - {first["metadata"]["name"]})

    eventually(another, within=40)


def test_less_parallelism_removes_pods(api: Api) -> None:
    start(api, completions=3, parallelism=3)
    active(api, 3)
    api.merge("jobs", "a", {"spec": {"parallelism": 1}})
    active(api, 1)
    assert "failed" not in status(api)
    eventually(lambda: "SuccessfulDelete" in reasons(api))


def test_a_finished_job_goes_when_its_time_is_over(api: Api) -> None:
    start(api, ttlSecondsAfterFinished=1)
    (found,) = active(api, 1)
    api.end(found, "Succeeded")
    eventually(lambda: api.get("jobs", "a").status_code == 404, within=30)
    eventually(lambda: api.get("pods", found["metadata"]["name"]).status_code == 404)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, True),
        ({"propagationPolicy": "Orphan"}, True),
        ({"propagationPolicy": "Background"}, False),
        ({"propagationPolicy": "Foreground"}, False),
    ],
)
def test_what_deleting_a_job_does_to_its_pods(api: Api, options: Obj, left: bool) -> None:
    start(api)
    (found,) = active(api, 1)
    name = found["metadata"]["name"]
    assert api.delete("jobs", "a", **options).status_code == 200
    eventually(lambda: api.get("jobs", "a").status_code == 404)
    if left:
        eventually(lambda: "ownerReferences" not in api.found("pods", name)["metadata"])
        eventually(lambda: "finalizers" not in api.found("pods", name)["metadata"])
    else:
        eventually(lambda: api.get("pods", name).status_code == 404)


def test_gpus_that_nobody_has_are_named(api: Api) -> None:
    limits = {"nvidia.com/gpu": "4096"}
    container = {"name": "c", "image": "x", "resources": {"limits": limits}}
    anywhere = [{"operator": "Exists"}]
    api.made("pods", pod("p", nodeSelector={}, tolerations=anywhere, containers=[container]))

    def message() -> str:
        found = api.found("pods", "p")["status"].get("conditions", [])
        return next((item["message"] for item in found if item["type"] == "PodScheduled"), "")

    found = eventually(message)
    assert "Insufficient nvidia.com/gpu" in found or found.startswith("no nodes available")


def test_gated_pods_are_not_scheduled(api: Api) -> None:
    api.made("pods", pod("p", schedulingGates=[{"name": "example.com/wait"}]))

    def gated() -> Obj | None:
        found = api.found("pods", "p")["status"].get("conditions", [])
        return next((item for item in found if item["type"] == "PodScheduled"), None)

    assert eventually(gated)["reason"] == "SchedulingGated"
