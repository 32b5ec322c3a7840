"""What no longer holds is not believed, and what is said of a namesake is not ours."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_tui.domain.job import JobState
from mcp_tui.domain.kube import Event, Job, Pod
from mcp_tui.domain.kube_custom import PyTorchJob, RayJob
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.events import events_of, made_pods, mine
from mcp_tui.store.evidence import standing
from mcp_tui.store.jobs import JobStore
from tests.unit.test_domain_cause import make
from tests.unit.test_store_jobs import T0, at, job_of
from tests.unit.test_store_orders import pod_of, scheduling_event


def event_of(
    name: str, reason: str, message: str = "", *, uid: str = "", kind: str = "Pod", when: int = 30
) -> Event:
    return make(
        Event,
        {
            "metadata": {"name": f"{name}.{when}", "namespace": "ml"},
            "involvedObject": {"kind": kind, "name": name, "uid": uid},
            "reason": reason,
            "message": message,
            "lastTimestamp": at(when),
        },
    )


def why(store: JobStore, uid: str = "c") -> str:
    store.flush(T0)
    return store.table.rows()[uid].why


def test_a_job_that_runs_says_nothing_of_what_its_pods_once_waited_for() -> None:
    """Its Events were fetched while it waited; once all its pods are ready nobody asks again."""
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=3),)))
    waiting = pod_of("p1", "c", "Pending", 1)
    store.apply_pods("Pending", Delta((waiting,)))
    store.set_pods("c", (waiting,))
    store.set_events("c", (scheduling_event(waiting),))
    assert "Unschedulable" in why(store)
    store.apply_pods("Pending", Delta((), ("p1",)))
    store.apply(Delta((job_of("c", kind=1),)))
    row = why(store)
    assert "Unschedulable" not in row
    assert store.table.rows()["c"].cause is None
    assert store.table.rows()["c"].state is JobState.RUNNING
    # An answer to a list that was asked for before the pod was placed comes last.
    store.set_pods("c", (waiting,))
    assert "Unschedulable" not in why(store)
    # It waits again: what is known then counts again.
    store.apply(Delta((job_of("c", kind=3),)))
    assert "Unschedulable" in why(store)


def test_a_pytorch_job_some_of_whose_pods_wait_says_so() -> None:
    """Its operator counts only pods that run: one of two is not all."""
    store = JobStore("dev")
    job = make(
        PyTorchJob,
        {
            "metadata": {"name": "t", "namespace": "ml", "uid": "t", "creationTimestamp": at(0)},
            "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1}, "Worker": {"replicas": 1}}},
            "status": {"replicaStatuses": {"Master": {"active": 1}}, "startTime": at(5)},
        },
    )
    store.apply(Delta((job,)))
    waiting = pod_of("p1", "t", "Pending", 1)
    store.set_pods("t", (waiting, pod_of("p2", "t", "Running", 1)))
    assert "Unschedulable" in why(store, "t")


def test_a_ray_job_some_of_whose_pods_wait_says_so() -> None:
    """It counts no pods: that it runs does not say that all of them do."""
    store = JobStore("dev")
    job = make(
        RayJob,
        {
            "metadata": {"name": "r", "namespace": "ml", "uid": "r", "creationTimestamp": at(0)},
            "spec": {
                "rayClusterSpec": {
                    "headGroupSpec": {},
                    "workerGroupSpecs": [{"groupName": "w", "replicas": 2}],
                }
            },
            "status": {
                "jobStatus": "RUNNING",
                "jobDeploymentStatus": "Running",
                "rayClusterName": "r-x",
                "startTime": at(5),
            },
        },
    )
    store.apply(Delta((job,)))
    store.set_pods("r", (pod_of("p1", "r", "Pending", 1), pod_of("p2", "r", "Running", 1)))
    store.flush(T0)
    view = store.table.rows()["r"]
    assert view.active == view.ready == 1
    assert "Unschedulable" in view.why


def test_a_pod_that_was_placed_or_started_has_got_over_it() -> None:
    gone, waits, placed, runs = (
        pod_of("gone", "c", "Pending", 1),
        pod_of("waits", "c", "Pending", 1),
        pod_of("placed", "c", "Pending", 1),
        pod_of("runs", "c", "Running", 1),
    )
    placed = make(
        Pod,
        {
            "metadata": {"name": "placed", "uid": "placed"},
            "spec": {"nodeName": "n"},
            "status": {"phase": "Pending"},
        },
    )
    said = [scheduling_event(pod) for pod in (gone, waits, placed, runs)]
    said += [event_of(name, "FailedMount") for name in ("waits", "placed", "runs")]
    said += [event_of("runs", "BackOff")]
    left = [(e.reason, e.involved_object.name) for e in standing(said, (waits, placed, runs))]
    assert left == [
        ("FailedScheduling", "gone"),
        ("FailedScheduling", "waits"),
        ("FailedMount", "waits"),
        ("FailedMount", "placed"),
        ("BackOff", "runs"),
    ]


def test_while_its_image_is_pulled_a_job_does_not_wait_for_a_node() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=3),)))
    waiting = pod_of("p1", "c", "Pending", 1)
    store.apply_pods("Pending", Delta((waiting,)))
    store.set_events("c", (scheduling_event(waiting),))
    assert "Unschedulable" in why(store)
    body: dict[str, Any] = {
        "metadata": {"name": "p1", "namespace": "ml", "uid": "p1", "creationTimestamp": at(7)},
        "spec": {"nodeName": "n", "containers": [{"name": "c"}]},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [
                {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}
            ],
        },
    }
    body["metadata"]["labels"] = {"batch.kubernetes.io/controller-uid": "c"}
    store.apply_pods("Pending", Delta((make(Pod, body),)))
    assert "Unschedulable" not in why(store)


@pytest.mark.parametrize(
    ("event", "ours"),
    [
        (event_of("job-c", "X", kind="Job", uid="c"), True),
        (event_of("job-c", "X", kind="Job", uid="before"), False),
        (event_of("p1", "X", uid="p1"), True),
        (event_of("p1", "X", uid="before"), False),
        (event_of("gone", "X", uid="gone", when=10), True),
        (event_of("p1", "X", uid=""), True),
    ],
    ids=["job", "job before", "pod", "pod before", "pod gone", "no uid"],
)
def test_what_is_said_of_a_namesake_is_not_ours(event: Event, ours: bool) -> None:
    pods = (pod_of("p1", "c", "Running", 1),)
    assert mine([event], job_of("c"), (), pods) == ((event,) if ours else ())


def test_what_was_said_before_the_job_was_is_not_ours() -> None:
    job = make(
        Job,
        {"metadata": {"name": "j", "uid": "new", "creationTimestamp": at(60)}},
    )
    before, after = (event_of("j-0", "BackOff", uid="u", when=w) for w in (59, 60))
    assert mine([before, after], job, (), ()) == (after,)


def test_the_pods_that_controllers_made_are_known_when_they_are_gone() -> None:
    made = [
        event_of("j", "SuccessfulCreate", "Created pod: j-aaaaa", kind="Job", when=1),
        event_of("j", "SuccessfulCreatePod", "Created pod: j-worker-0", kind="PyTorchJob", when=9),
        event_of("j", "SuccessfulCreate", "Created pod: ../../x", kind="Job", when=2),
        event_of("j", "FailedCreate", "Created pod: j-zzzzz", kind="Job", when=3),
    ]
    assert made_pods(made) == ["j-worker-0", "j-aaaaa"]


async def test_events_are_asked_for_by_few_names() -> None:
    asked: list[str] = []
    job = job_of("c", kind=4)
    created = [
        event_of("job-c", "SuccessfulCreate", f"Created pod: g{i}", kind="Job", uid="c", when=i)
        for i in range(9)
    ]
    backoff = event_of("g8", "BackOff", "Back-off restarting failed container", uid="g8")

    async def ask(name: str) -> list[Event]:
        asked.append(name)
        return {"job-c": created, "g8": [backoff]}.get(name, [])

    found = await events_of(ask, job)
    assert asked == ["job-c", "g8", "g7", "g6"]
    assert backoff in found
    asked.clear()
    await events_of(ask, job, (job_of("d"),), (pod_of("p1", "c", "Failed", 1),))
    assert asked == ["job-c", "job-d", "p1"]
