"""What child Jobs and pods say beside a job's own status: of its end, what is ready, silence."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcp_tui.domain.job import ENDING, JobState, JobView, RunFacts, changes_at
from mcp_tui.domain.kinds import outline
from mcp_tui.domain.kube import Event, Job, Pod, epoch
from mcp_tui.domain.kube_custom import JobSet, PyTorchJob, RayJob, TrainJob
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store import jobwatch
from mcp_tui.store.evidence import row_for
from mcp_tui.store.jobwatch import JobWatch
from tests.contract.cause_cases import container, ended, pending, running, waiting
from tests.unit.test_domain_cause import make
from tests.unit.test_domain_job import RUNNING, T0, at, job, meta, true

GOOD = {"phase": "Succeeded", "containerStatuses": [container(ended(0, "Completed"))]}
UNPLACED = pending(
    conditions=[
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/12 nodes are available: 12 Insufficient nvidia.com/gpu.",
            "lastTransitionTime": at(20),
        }
    ]
)
QUOTA = (
    'Error creating: pods "train-2-x" is forbidden: exceeded quota: gpu, requested: '
    "requests.cpu=8, used: requests.cpu=16, limited: requests.cpu=16"
)


def looping(
    restarts: int = 7, ready: bool | None = None, last: int = 400, ran: int = 20
) -> dict[str, Any]:
    end = ended(1)
    end["terminated"] |= {"startedAt": at(last - ran), "finishedAt": at(last)}
    crashed = container(waiting("CrashLoopBackOff"), last=end, restarts=restarts)
    conditions = [{"type": "Ready", "status": str(ready)}] if ready is not None else []
    return running(crashed, conditions=conditions)


def works(**more: Any) -> dict[str, Any]:
    inside = container({"running": {"startedAt": at(30)}})
    return running(inside, conditions=[{"type": "Ready", "status": "True"}], **more)


def pod(status: dict[str, Any], name: str, owner: str = "", born: float = 0) -> Pod:
    owners = [{"kind": "Job", "name": owner, "uid": owner, "controller": True}] if owner else []
    body = meta(name, f"p-{name}-{born:g}", creationTimestamp=at(born))
    return make(Pod, {"metadata": {**body, "ownerReferences": owners}, "status": status})


def refusal(kind: str, uid: str, reason: str, message: str, when: float) -> Event:
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": kind, "name": "x", "uid": uid},
        "reason": reason,
        "message": message,
        "lastTimestamp": at(when),
    }
    return make(Event, body)


def row(item: Any, *pods: Pod, now: float = 1_000, **more: Any) -> JobView:
    more.setdefault("events", ())
    return row_for(item, pods=pods, context="dev", now=T0 + now, **more)


def child(name: str, status: dict[str, Any], **spec: Any) -> Job:
    return job(spec, status, name=name, uid=name, owner=("JobSet", "llm", "s"))


def job_set(*replicated: dict[str, Any], owner: bool = False, **status: Any) -> JobSet:
    body = meta("llm", "s", ("TrainJob", "llm", "t") if owner else None)
    spec = {"replicatedJobs": list(replicated)}
    return make(JobSet, {"metadata": body, "spec": spec, "status": status})


def followed(kind: str, uid: str, *events: Event) -> tuple[JobWatch, list[str]]:
    """A watch of a job that is not begun, and what it asks for: Events."""
    asked: list[str] = []

    async def get(path: str, type_: Any, **more: Any) -> Any:
        asked.append(path)
        return type_(items=list(events))

    dev = SimpleNamespace(name="dev")
    links = SimpleNamespace(kube=SimpleNamespace(get=get, context=dev), info=dev)
    watch = JobWatch(
        cast("Connection", links),
        kind=kind,
        namespace="ml",
        name="x",
        uid=uid,
        on_change=lambda: None,
    )
    return watch, asked


COMPLETE = {"succeeded": 1, "conditions": [true("Complete", 60)]}
TWO = ({"name": "data", "replicas": 1}, {"name": "node", "replicas": 1})


def train_job(*pods: Pod, node: dict[str, Any]) -> JobView:
    counts = [{"name": "data", "succeeded": 1}, {"name": "node", "active": 1}]
    train = make(
        TrainJob,
        {
            "metadata": meta("llm", "t"),
            "spec": {"trainer": {"numNodes": 1}},
            "status": {"jobsStatus": counts},
        },
    )
    below = (job_set(*TWO, owner=True), child("llm-data-0", COMPLETE), child("llm-node-0", node))
    return row(train, pod(GOOD, "llm-data-0-0-x7k2p", "llm-data-0"), *pods, children=below)


# -- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        (UNPLACED, JobState.WAITING, "Unschedulable"),
        (looping(), JobState.STALLED, "Error llm-node-0-0 (exit 1) x8 -> CrashLoopBackOff"),
        (GOOD, JobState.RUNNING, ENDING),
    ],
)
def test_an_initializer_that_is_through_ends_no_train_job(
    status: dict[str, Any], state: JobState, why: str
) -> None:
    own = pod(status, "llm-node-0-0-x7k2p", "llm-node-0")
    found = train_job(own, node={"active": 1, "startTime": at(70)})
    assert found.state is state
    assert found.why.startswith(why)


def test_a_job_set_ends_with_all_completions() -> None:
    template = {"spec": {"parallelism": 1, "completions": 8}}
    whole = job_set({"name": "w", "replicas": 1, "template": template})
    first = pod(GOOD, "llm-w-0-0-x7k2p", "llm-w-0")
    counts = {"active": 1, "ready": 0, "succeeded": 1, "startTime": at(10)}
    below = child("llm-w-0", counts, parallelism=1, completions=8)
    found = row(whole, first, pod(UNPLACED, "llm-w-0-1-x7k2p", "llm-w-0"), children=[below])
    assert found.state is JobState.WAITING
    assert found.why.startswith("Unschedulable")
    last = [pod(GOOD, f"llm-w-0-{n}-x7k2p", "llm-w-0") for n in range(8)]
    assert row(whole, *last, children=[below]).why == ENDING


def test_a_job_set_whose_next_job_cannot_be_made_does_not_end() -> None:
    whole = job_set({"name": "prep", "replicas": 1}, {"name": "train", "replicas": 2})
    prep = child("llm-prep-0", COMPLETE)
    found = row(whole, children=[prep])
    assert (found.state, found.why) == (JobState.WAITING, "starting: 0 of 3 pods ready")
    denied = 'admission webhook "x" denied the request: no'
    said = refusal("JobSet", "s", "JobCreationFailed", denied, 900)
    found = row(whole, children=[prep], events=[said])
    assert (found.state, found.why) == (JobState.STALLED, "AdmissionDenied: x: no")
    others = [child(f"llm-train-{n}", COMPLETE) for n in range(2)]
    assert row(whole, children=[prep, *others]).why == ENDING
    # One that may not be read is counted by the JobSet itself.
    counts = [{"name": "prep", "succeeded": 1}, {"name": "train", "succeeded": 1}]
    assert row(job_set(*TWO, replicatedJobsStatus=counts)).why == ENDING
    assert row(job_set(*TWO, replicatedJobsStatus=counts[:1])).why != ENDING


WORKS = {"active": 2, "ready": 2, "startTime": at(10)}
COUNTS = [{"name": "lead", "active": 1, "ready": 1}, {"name": "work"}]


def half_made(
    *counts: dict[str, Any], owner: bool = False, order: str = "AnyOrder", **work: Any
) -> JobSet:
    template = {"spec": {"parallelism": 2}}
    groups = [{"name": name, "template": template, **more} for name, more in
              (("lead", {}), ("work", {"replicas": 2, **work}))]  # fmt: skip
    body = meta("llm", "s", ("TrainJob", "llm", "t") if owner else None)
    spec = {"replicatedJobs": groups, "startupPolicy": {"startupPolicyOrder": order}}
    status = {"replicatedJobsStatus": counts}
    return make(JobSet, {"metadata": body, "spec": spec, "status": status})


def test_a_job_set_whose_second_job_cannot_be_made_is_not_whole() -> None:
    """Its first Job is ready, which alone looks well."""
    said = refusal("JobSet", "s", "JobCreationFailed", "exceeded quota: jobs", 900)
    lead = child("llm-lead-0", WORKS, parallelism=2)
    whole = half_made(*COUNTS)
    found = row(whole, children=[lead], events=[said])
    assert (found.state, found.ready, found.wanted) == (JobState.RUNNING, 2, 6)
    assert found.why == "2 of 6 pods ready; FailedCreate: exceeded quota: jobs"
    first = refusal("JobSet", "s", "JobCreationFailed", "exceeded quota: jobs", 100)
    assert row(whole, children=[lead], events=[first, said]).state is JobState.STALLED
    # What the JobSet itself counts is enough where its Jobs may not be read.
    alone = row(whole, events=[said])
    assert (alone.ready, alone.wanted) == (1, 3)
    assert alone.why.startswith("1 of 3 jobs ready")
    one_of_two = half_made(COUNTS[0], {"name": "work", "active": 1, "ready": 1})
    assert (row(one_of_two).ready, row(one_of_two).wanted) == (2, 3)
    # By a TrainJob as well.
    train = make(TrainJob, {"metadata": meta("llm", "t")})
    below = (half_made(*COUNTS, owner=True), lead)
    assert row(train, children=below, events=[said]).wanted == 6
    assert row(train, children=below[:1], events=[said]).wanted == 3
    # A Job runs no more pods at once than it has to complete.
    short = half_made(*COUNTS, template={"spec": {"parallelism": 4, "completions": 1}})
    assert row(short, children=[lead], events=[said]).wanted == 4
    none = half_made({"name": "lead"}, {"name": "work"})
    assert row(none).why == "starting: 0 of 3 jobs ready"
    assert row(half_made()).why == "starting: 0 of 6 pods ready"


@pytest.mark.parametrize(
    "whole",
    [
        half_made({"name": "lead", "active": 1}, {"name": "work"}, order="InOrder"),
        half_made(*COUNTS, dependsOn=[{"name": "lead", "status": "Complete"}]),
        half_made({"name": "lead", "active": 1}, dependsOn=[{"name": "lead", "status": "Ready"}]),
        half_made(*COUNTS, dependsOn=[{"name": "gone", "status": "Ready"}]),
        half_made(),
        half_made(COUNTS[0], {"name": "work", "suspended": 2}),
        half_made(COUNTS[0], {"name": "work", "active": 2, "ready": 1}),
        half_made(COUNTS[0], {"name": "work", "succeeded": 1, "failed": 1}),
    ],
    ids=["order", "complete", "ready", "unknown", "uncounted", "suspended", "there", "over"],
)
def test_a_job_that_is_to_come_later_or_has_been_is_not_missed(whole: JobSet) -> None:
    lead = child("llm-lead-0", WORKS, parallelism=2)
    found = row(whole, children=[lead])
    assert (found.state, found.ready, found.wanted) == (JobState.RUNNING, 2, 2)


def test_one_that_is_deleted_before_its_last_job_was_made_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobwatch, "_JUDGE_PAUSE", 0)
    watch, _ = followed("JobSet", "s")
    watch.store.apply(Delta((job_set(*TWO), child("llm-data-0", COMPLETE))))
    watch.store.apply_pods("watch", Delta((pod(GOOD, "llm-data-0-0-x7k2p", "llm-data-0"),)))
    assert asyncio.run(watch.judge()) is None
    watch.store.apply(Delta((child("llm-node-0", COMPLETE),)))
    assert asyncio.run(watch.judge()) is JobState.DONE


def test_of_a_ray_job_no_pods_are_counted() -> None:
    ray = make(RayJob, {"metadata": meta("r", "r"), "status": {"jobStatus": "RUNNING"}})
    status = {"active": 1, "ready": 1, "startTime": at(10)}
    submits = job({}, status, name="r-x", uid="r-x", owner=("RayJob", "r", "r"))
    assert row(ray, children=[submits]).why == "1 of 1 jobs ready"


def test_a_ray_job_ends_with_the_job_that_submits_it() -> None:
    ray = make(RayJob, {"metadata": meta("r", "r"), "status": {"jobStatus": "RUNNING"}})
    submits = job({}, COMPLETE, name="r-x", uid="r-x", owner=("RayJob", "r", "r"))
    assert row(ray, pod(works(), "r-head"), children=[submits]).why == ENDING


# -- readiness ----------------------------------------------------------------------------------


def torch(workers: int = 0, running: int | None = None, began: int = 5) -> PyTorchJob:
    replicas = {"Master": {"replicas": 1}} | ({"Worker": {"replicas": workers}} if workers else {})
    active = {"Master": {"active": 1}} | ({"Worker": {"active": running}} if running else {})
    status = {"startTime": at(began), "replicaStatuses": active}
    status["conditions"] = [true("Running", 9)]
    spec = {"pytorchReplicaSpecs": replicas}
    return make(PyTorchJob, {"metadata": meta(), "spec": spec, "status": status})


@pytest.mark.parametrize("ready", [False, None])
def test_a_pytorch_job_that_crashes_is_not_ready(ready: bool | None) -> None:
    """Its operator counts every pod of phase Running, as one whose container waits to restart."""
    found = row(torch(), pod(looping(ready=ready), "train-master-0"))
    assert (found.state, found.ready, found.active) == (JobState.STALLED, 0, 1)
    assert found.why == "Error train-master-0 (exit 1) x8 -> CrashLoopBackOff"
    # Its pod was made anew under the same name, and works.
    old, new = pod(looping(ready=ready), "train-master-0"), pod(works(), "train-master-0", born=50)
    found = row(torch(), old, new)
    assert (found.state, found.ready) == (JobState.RUNNING, 1)


def test_a_worker_that_keeps_crashing_stalls_the_others() -> None:
    others = [pod(works(), "train-master-0"), pod(works(), "train-worker-0")]
    for crashes, state in ((2, JobState.RUNNING), (7, JobState.STALLED)):
        crashing = pod(looping(crashes, ready=False, last=990), "train-worker-1")
        found = row(torch(2, 2), *others, crashing)
        assert (found.state, found.ready, found.active) == (state, 2, 3)
        assert found.why.startswith("Error train-worker-1 (exit 1)")


@pytest.mark.parametrize(
    ("crashes", "pods", "ran", "began", "state"),
    [
        (7, 1, 20, 5, JobState.STALLED),
        (1, 4, 20, 5, JobState.RUNNING),  # each once, as while the first cannot be found yet
        (9, 1, 700, 5, JobState.RUNNING),  # now and then in days
        (7, 1, 20, 960, JobState.RUNNING),  # so young that it may be all in its beginning
    ],
)
def test_what_is_a_crash_loop(
    crashes: int, pods: int, ran: int, began: int, state: JobState
) -> None:
    item = torch(4, 4, began=began)
    others = [pod(works(), f"train-worker-{n}") for n in range(10, 14)]
    bad = [
        pod(looping(crashes, ready=False, last=990, ran=ran), f"train-worker-{n}")
        for n in range(pods)
    ]
    assert row(item, *others, *bad).state is state


@pytest.mark.parametrize(
    "status",
    [
        running(
            container({"running": {"startedAt": at(30)}}),
            conditions=[{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
        ),
        running(
            container({"terminated": {"exitCode": 0}}),
            container({"running": {"startedAt": at(30)}}, name="proxy"),
            conditions=[{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
        ),
    ],
    ids=["a probe fails", "its proxy still runs"],
)
def test_a_pod_whose_containers_do_well_works(status: dict[str, Any]) -> None:
    found = row(torch(0), pod(status, "train-master-0"))
    assert (found.state, found.ready) == (JobState.RUNNING, 1)


def test_a_crash_beside_a_ray_job_is_told_though_it_counts_no_pods() -> None:
    status = {"jobStatus": "RUNNING", "jobDeploymentStatus": "Running", "startTime": at(5)}
    ray = make(RayJob, {"metadata": meta(), "status": status})
    found = row(ray, pod(works(), "r-head"), pod(looping(ready=False), "r-worker"))
    assert (found.state, found.ready, found.active) == (JobState.STALLED, 1, 1)


# -- pods that are missing ------------------------------------------------------------------------

GANG = {"parallelism": 4, "completions": 4, "completionMode": "Indexed"}
TWO_RUN = {"active": 2, "ready": 2, "startTime": at(10)}


def test_pods_that_cannot_be_made_are_missed() -> None:
    item = job(GANG, TWO_RUN)
    found = row(item)
    assert (found.why, found.wanted, found.active) == ("2 of 4 pods ready", 4, 2)
    said = [refusal("Job", "u1", "FailedCreate", QUOTA, when) for when in (12, 590)]
    found = row(item, pod(works(), "train-0-x7k2p", "u1"), now=600, events=said)
    assert found.state is JobState.RUNNING
    assert found.why.startswith("2 of 4 pods ready; QuotaExceeded: gpu")
    when = changes_at(found, None, T0 + 600)
    assert when is not None and when == pytest.approx(T0 + 12 + 600, abs=1)
    # It is tried again and again, and each try is the newest: the wait began with the first.
    again = [*said, refusal("Job", "u1", "FailedCreate", QUOTA, 605)]
    found = row(item, pod(works(), "train-0-x7k2p", "u1"), now=when - T0, events=again)
    assert (found.state, found.since) == (JobState.STALLED, T0 + 12)
    assert found.why.startswith("QuotaExceeded: gpu")


@pytest.mark.parametrize("ago", [3, 400, 1_500])
def test_a_refusal_in_a_long_life_stalls_nothing_at_once(ago: int) -> None:
    """A quota counts the pod that goes while its successor is made; and what is old is over."""
    item = job(GANG, {**TWO_RUN, "active": 3, "ready": 3})
    said = [refusal("Job", "u1", "FailedCreate", QUOTA, 18_000 - ago)]
    found = row(item, pod(works(), "train-0-x7k2p", "u1"), now=18_000, events=said)
    assert found.state is JobState.RUNNING


@pytest.mark.parametrize(
    ("spec", "status", "wanted"),
    [
        (GANG, TWO_RUN, 4),
        (GANG, {**TWO_RUN, "succeeded": 2}, 2),
        (GANG, {**TWO_RUN, "succeeded": 1, "uncountedTerminatedPods": {"succeeded": ["a"]}}, 2),
        (GANG, {**TWO_RUN, "failedIndexes": "1,3"}, 2),
        ({**GANG, "completions": 9}, {**TWO_RUN, "failedIndexes": "0-4,7"}, 3),
        ({"parallelism": 4}, TWO_RUN, 4),
        # Work is taken from a queue: who finds nothing left ends, and no more are made.
        ({"parallelism": 4}, {**TWO_RUN, "succeeded": 1}, 2),
        ({"parallelism": 2, "completions": 8}, {**TWO_RUN, "succeeded": 5}, 2),
        ({"parallelism": 0}, {}, 0),
        ({**GANG, "suspend": True}, {}, 0),
        (GANG, {"failed": 4, "conditions": [true("Failed", 90, "BackoffLimitExceeded")]}, 0),
        (GANG, {"succeeded": 4, "conditions": [true("Complete", 90)]}, 0),
    ],
)
def test_how_many_pods_there_should_be(
    spec: dict[str, Any], status: dict[str, Any], wanted: int
) -> None:
    assert row(job(spec, status)).wanted == wanted


def test_who_follows_a_job_asks_why_pods_are_missing() -> None:
    said = refusal("Job", "u1", "FailedCreate", QUOTA, 590)
    watch, asked = followed("Job", "u1", said)
    watch.store.apply(Delta((job(GANG, {**TWO_RUN, "active": 4, "ready": 4}),)))
    asyncio.run(watch.refresh_events())
    assert not asked, "nothing is missing"
    watch.store.apply(Delta((job(GANG, TWO_RUN),)))
    asyncio.run(watch.refresh_events())
    found = watch.view()
    assert asked and found is not None and found.cause is not None
    assert found.cause.reason == "QuotaExceeded"


# -- silence --------------------------------------------------------------------------------------

BEFORE = RunFacts(run_id="r", step=500, total_steps=1_000, updated=T0 - 10_800, interval=10)


def test_a_job_that_was_started_again_is_not_silent_yet() -> None:
    """It carries on a run whose last step is hours old: it is given the time to log another."""
    resumed = job(status={**RUNNING, "startTime": at(970)})
    found = row(resumed, run=BEFORE)
    assert found.state is JobState.RUNNING
    when = changes_at(found, BEFORE, T0 + 1_000)
    assert when is not None and when == pytest.approx(T0 + 970 + 600, abs=1)
    found = row(resumed, run=BEFORE, now=when - T0)
    assert (found.state, found.since, found.why) == (
        JobState.STALLED,
        T0 + 970,
        "no new step for 10m",
    )


def test_a_pod_made_anew_or_started_again_counts_as_well() -> None:
    made = pod(works(startTime=at(950)), "train-x7k2p", "u1")
    again = pod(running(container({"running": {"startedAt": at(950)}})), "train-x7k2p", "u1")
    old = job(status=RUNNING)
    quiet = RunFacts(run_id="r", step=5, updated=T0 + 100, interval=10)
    assert row(old, run=quiet).state is JobState.STALLED
    for each in (made, again):
        found = row(old, each, run=quiet)
        assert (found.state, found.resumed) == (JobState.RUNNING, T0 + 950)
        assert changes_at(found, quiet, T0 + 1_000) == pytest.approx(T0 + 950 + 600, abs=1)
    below = child("llm-node-0", {**RUNNING, "startTime": at(960)})
    assert row(job_set(*TWO), children=[below], run=quiet).state is JobState.RUNNING


def test_what_crashes_beside_them_is_no_new_attempt_of_the_others() -> None:
    quiet = RunFacts(run_id="r", step=5, updated=T0 + 100, interval=10)
    worker = pod(works(startTime=at(20)), "train-0-x7k2p", "u1")
    again = pod(works(startTime=at(950)), "train-1-x7k2p", "u1", born=950)
    shipper = container({"running": {"startedAt": at(990)}}, name="shipper")
    inside = container({"running": {"startedAt": at(30)}})
    beside = pod(running(inside, shipper, startTime=at(20)), "train-2-x7k2p", "u1")
    found = row(job(status=RUNNING), worker, again, beside, run=quiet)
    assert (found.state, found.resumed) == (JobState.STALLED, T0 + 30)


def test_times_that_cannot_be_read_are_none() -> None:
    assert epoch("soon") is None
    assert row(job(status={"active": 1, "ready": 1, "startTime": "soon"})).resumed is None


READY, DONE = {"name": "lead", "active": 1, "ready": 1}, {"name": "lead", "succeeded": 1}
FAILED = {"name": "lead", "failed": 1}


@pytest.mark.parametrize(
    "whole",
    [
        half_made(READY, order="InOrder"),
        half_made(DONE, order="InOrder"),
        half_made(FAILED, dependsOn=[{"name": "lead", "status": "Ready"}]),
        half_made(DONE, dependsOn=[{"name": "lead", "status": "Complete"}]),
        half_made(READY, {"name": "work"}, dependsOn=[{"name": "lead", "status": "Ready"}]),
    ],
)
def test_a_job_whose_turn_it_is_is_missed(whole: JobSet) -> None:
    assert outline(whole).lacking == 2


def ordered(*counts: dict[str, Any]) -> JobSet:
    """``lead`` of two Jobs, then ``work``, then ``last``: of one, two and eight pods each."""
    groups = [
        {"name": name, "template": {"spec": {"parallelism": pods}}, **more}
        for name, pods, more in (
            ("lead", 1, {"replicas": 2}),
            ("work", 2, {"dependsOn": [{"name": "lead", "status": "Ready"}]}),
            ("last", 8, {"dependsOn": [{"name": "work", "status": "Ready"}]}),
        )
    ]
    spec = {"replicatedJobs": groups}
    status = {"replicatedJobsStatus": counts}
    return make(JobSet, {"metadata": meta("llm", "s"), "spec": spec, "status": status})


def test_of_an_order_only_that_is_missed_whose_turn_it_is() -> None:
    ready = {"active": 1, "ready": 1, "startTime": at(10)}
    leads = [child(f"llm-lead-{n}", ready, parallelism=1) for n in range(2)]
    # The second is there and has no pod now: a JobSet counts it nowhere.
    resting = [leads[0], child("llm-lead-1", {"failed": 1, "startTime": at(10)}, parallelism=1)]
    found = row(ordered({"name": "lead", "active": 1, "ready": 1}), children=resting)
    assert (found.ready, found.wanted) == (1, 2)
    # The next cannot be made; the last but one is not waited for.
    whole = ordered({"name": "lead", "active": 2, "ready": 2}, {"name": "work"})
    said = refusal("JobSet", "s", "JobCreationFailed", "exceeded quota: jobs", 900)
    found = row(whole, children=leads, events=[said])
    assert found.why == "2 of 4 pods ready; FailedCreate: exceeded quota: jobs"
    # One that was made stays due, whatever became of what it waited for.
    fallen = ordered({"name": "lead", "active": 2, "ready": 1}, {"name": "work", "active": 1})
    found = row(fallen, children=[*leads, child("llm-work-0", {"active": 2}, parallelism=2)])
    assert (found.ready, found.wanted) == (2, 4)
    assert outline(fallen).due_pods == 4
