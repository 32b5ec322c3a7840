"""Rows: state, since, reason, progress, resources, grouping and the tree, for every kind."""

# ruff: noqa: E501 - objects stand on one line, so that a table of cases can be read as one

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain.job import JobState, JobView, MetricFact, Progress, RunFacts, view_job
from mcp_tui.domain.jobview import ordinal
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Job, Pod, PodSpec, epoch
from mcp_tui.domain.kube_custom import JobSet, PyTorchJob, RayJob, TrainJob, Workload
from mcp_tui.domain.podrequests import pod_requests
from mcp_tui.domain.roots import pods_by_root, rank_of, root_of, tree_of, workloads_by_root
from mcp_tui.domain.runfacts import number
from tests.contract.cause_cases import container, ended, failed, pending, running, waiting
from tests.unit.test_domain_cause import JOB, POD, WORKLOAD, make
from tests.unit.test_text import unsafe

T0 = epoch("2026-11-23T03:00:00Z") or 0.0


def at(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"2026-11-23T{3 + hours:02d}:{rest // 60:02d}:{rest % 60:02d}Z"


def meta(
    name: str = "train", uid: str = "u1", owner: tuple[str, str, str] | None = None, **more: Any
) -> dict[str, Any]:
    found = {"name": name, "namespace": "ml", "uid": uid, "creationTimestamp": at(0), **more}
    if owner:
        kind, owner_name, owner_uid = owner
        found["ownerReferences"] = [
            {"kind": kind, "name": owner_name, "uid": owner_uid, "controller": True}
        ]
    return found


def true(type_: str, seconds: float, reason: str = "", message: str = "") -> dict[str, Any]:
    return {
        "type": type_,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(seconds),
    }


def job(
    spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any
) -> Job:
    return make(Job, {"metadata": meta(**metadata), "spec": spec or {}, "status": status or {}})


def view(item: AnyJob, *, now: float = 1_000, **more: Any) -> JobView:
    return view_job(item, context="dev", now=T0 + now, **more)


def pod(status: dict[str, Any], name: str = "train-x7k2p", **metadata: Any) -> Pod:
    return make(Pod, {"metadata": meta(name, f"p-{name}", **metadata), "status": status})


RUNNING = {"active": 1, "ready": 1, "startTime": at(10)}
RUN = RunFacts(
    run_id="7be2c0ffee",
    status="RUNNING",
    step=6_200,
    total_steps=10_000,
    metrics=(MetricFact(name="loss", value=0.412, direction="falling"),),
    updated=T0 + 990,
    interval=5,
    seconds_per_step=0.142,
)


def state_of(found: JobView) -> tuple[str, float]:
    return found.state.value, found.since - T0


def test_a_job_from_birth_to_done() -> None:
    assert state_of(view(job(), now=3)) == ("waiting", 0)
    starting = view(job(status={"active": 1, "ready": 0, "startTime": at(10)}))
    assert state_of(starting) == ("waiting", 10)
    assert starting.why == "starting: 0 of 1 pods ready"
    found = view(job(status=RUNNING))
    assert state_of(found) == ("running", 10)
    assert found.why == "1 of 1 pods ready"
    done = view(
        job(
            status={
                "succeeded": 1,
                "startTime": at(10),
                "completionTime": at(800),
                "conditions": [true("SuccessCriteriaMet", 799), true("Complete", 800)],
            }
        )
    )
    assert state_of(done) == ("done", 800)
    assert done.why == "took 13 min"
    assert done.duration == 790
    assert done.progress is not None and done.progress.text() == "100%"


def test_a_condition_that_does_not_hold_says_nothing() -> None:
    held = [dict(true(name, 5), status="False") for name in ("Complete", "Failed", "FailureTarget")]
    held.append(dict(true("SuccessCriteriaMet", 5), status="Unknown"))
    assert state_of(view(job(status={**RUNNING, "conditions": held}))) == ("running", 10)


def test_what_all_containers_of_all_pods_ask_for_is_counted() -> None:
    def asks(**requests: str) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": requests, "limits": {"nvidia.com/gpu": 2}}}

    for extra, cpu, memory, devices in (
        ([], 6.0, 3 * 2**30, 6.0),
        ([asks(cpu="500m")], 7.5, 3 * 2**30, 12.0),
    ):
        pod_spec = {"containers": [asks(cpu="2", memory="1Gi"), *extra]}
        found = view(job({"parallelism": 3, "template": {"spec": pod_spec}}))
        assert (found.cpu, found.memory, found.accelerators) == (cpu, memory, devices)
        assert found.accelerator_kinds == ("nvidia.com/gpu",)


def test_running_with_a_run() -> None:
    found = view(job(status=RUNNING), run=RUN)
    assert found.why == "loss 0.412 falling; 8 min left"
    assert found.progress == Progress(done=6_200, total=10_000, unit="steps")
    assert found.done_text() == "62%"
    assert found.progress.counts() == "6,200 of 10,000 steps"
    assert found.run_id == "7be2c0ffee"
    done = job(status={"startTime": at(10), "conditions": [true("Complete", 800)]})
    result = view(
        done,
        run=RunFacts(
            run_id="7be2c0ffee", status="FINISHED", metrics=(MetricFact(name="f1", value=0.931),)
        ),
    )
    assert result.why == "f1 0.931  run 7be2c0ff"


def test_a_run_without_new_steps_is_stalled() -> None:
    quiet = RunFacts(
        run_id="r",
        step=47,
        total_steps=100,
        metrics=(MetricFact(name="loss", value=0.66, direction="flat"),),
        updated=T0 + 100,
        interval=5,
    )
    found = view(job(status=RUNNING), run=quiet, now=100 + 720)
    assert state_of(found) == ("stalled", 100)
    assert found.why == "no new step for 12m; loss 0.660 flat"
    assert view(job(status=RUNNING), run=quiet, now=100 + 599).state is JobState.RUNNING
    slow = RunFacts(run_id="r", step=47, updated=T0 + 100, interval=300)
    assert view(job(status=RUNNING), run=slow, now=100 + 1_400).state is JobState.RUNNING
    assert view(job(status=RUNNING), run=slow, now=100 + 1_501).state is JobState.STALLED


def test_pods_that_wait_beside_running_ones_stall_the_job_after_a_while() -> None:
    status = {"active": 2, "ready": 1, "startTime": at(10)}
    pods = [
        pod(running(container({"running": {}}), startTime=at(10))),
        pod(
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "no",
                        "lastTransitionTime": at(20),
                    }
                ],
            },
            "train-zzzzz",
        ),
    ]
    assert view(job(status=status), pods=pods, now=600).state is JobState.RUNNING
    found = view(job(status=status), pods=pods, now=700)
    assert state_of(found) == ("stalled", 20)
    assert found.why.startswith("Unschedulable train-zzzzz")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (pending(container(waiting("ImagePullBackOff"))), JobState.STALLED),
        (pending(container(waiting("CreateContainerConfigError"))), JobState.STALLED),
        # What the last pull ended with, and the pause before the next, are told in turn.
        (pending(container(waiting("ErrImagePull"))), JobState.STALLED),
        (pending(container(waiting("RegistryUnavailable"))), JobState.STALLED),
        (pending(container(waiting("SignatureValidationFailed"))), JobState.STALLED),
        (running(container(waiting("CrashLoopBackOff"), last=ended(1))), JobState.STALLED),
        (pending(container(waiting("ContainerCreating"))), JobState.WAITING),
    ],
)
def test_what_does_not_end_by_itself_wants_attention(
    status: dict[str, Any], state: JobState
) -> None:
    assert view(job(status={"active": 1, "startTime": at(10)}), pods=[pod(status)]).state is state


def test_failed_names_the_cause_and_keeps_it() -> None:
    item = job(
        status={
            "failed": 3,
            "startTime": at(10),
            "conditions": [true("Failed", 500, "BackoffLimitExceeded")],
        }
    )
    broken = pod(failed(container(ended(137, "OOMKilled"))))
    found = view(item, pods=[broken])
    assert state_of(found) == ("failed", 500)
    assert found.why == "OOMKilled train-x7k2p (exit 137) -> BackoffLimitExceeded"
    assert found.why_in(40) == "OOMKilled train-x7k2p (137)"
    assert view(item).why == "BackoffLimitExceeded: 3 failed (pods gone)"
    assert view(item, kept=found.cause).why == found.why
    assert found.cause is not None
    kept = RunFacts(run_id="r", status="RUNNING", cause=found.cause.to_json())
    later = view(item, run=kept)
    assert later.why == found.why
    assert later.run_note == "the run still says RUNNING"


def test_suspended_by_hand_and_by_kueue() -> None:
    by_hand = view(job({"suspend": True}, {"conditions": [true("Suspended", 50)]}))
    assert (*state_of(by_hand), by_hand.suspended_by, by_hand.why) == (
        "suspended",
        50,
        "hand",
        "suspended by hand",
    )
    queued = job({"suspend": True}, labels={"kueue.x-k8s.io/queue-name": "team"})
    found = view(queued)
    assert (found.state, found.suspended_by, found.queue, found.why) == (
        JobState.WAITING,
        "kueue",
        "team",
        "queue team",
    )
    held = make(
        Workload,
        {
            "spec": {"queueName": "team"},
            "status": {
                "conditions": [
                    {
                        "type": "QuotaReserved",
                        "status": "False",
                        "reason": "Pending",
                        "message": "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor a, 2 more needed",
                        "lastTransitionTime": at(30),
                    }
                ]
            },
        },
    )
    found = view(queued, workload=held, queue_position=3)
    assert (*state_of(found), found.why) == (
        "waiting",
        30,
        "WaitingForQuota: queue team, a: 2 more cpu needed",
    )
    assert found.done_text() == "3rd"
    stopped = make(Workload, {"spec": {"queueName": "team", "active": False}, "status": {}})
    found = view(queued, workload=stopped)
    assert (found.state, found.suspended_by) == (JobState.SUSPENDED, "hand")


def test_deactivated_by_kueue_is_not_by_hand() -> None:
    item = job({"suspend": True}, labels={"kueue.x-k8s.io/queue-name": "team"})
    given_up = make(
        Workload,
        {
            "spec": {"active": False},
            "status": {
                "conditions": [
                    true("Evicted", 60, "DeactivatedDueToRequeuingLimitExceeded", "too often")
                ]
            },
        },
    )
    found = view(item, workload=given_up)
    assert (found.state, found.suspended_by) == (JobState.WAITING, "kueue")
    assert found.why == "RequeuingLimitExceeded: too often -> Deactivated"


def test_columns_from_metadata_and_template() -> None:
    template = {
        "spec": {
            "containers": [
                {
                    "name": "train",
                    "image": "reg/train@sha256:4e",
                    "resources": {
                        "limits": {"nvidia.com/gpu": "4", "memory": "64Gi", "rdma/ib": "1"},
                        "requests": {"cpu": "7500m"},
                    },
                }
            ]
        }
    }
    found = view(
        job(
            {"parallelism": 4, "completions": 4, "completionMode": "Indexed", "template": template},
            {**RUNNING, "active": 4, "ready": 4, "succeeded": 0},
            labels={"mcp-tui.io/commit": "9c1f2ab", "mcp-tui.io/run-id": "7be2", "team": "rank"},
            annotations={"mcp-tui.io/git-branch": "feature/v1.2", "mcp-tui.io/submitted-by": "bo"},
        )
    )
    assert (found.cpu, found.memory, found.accelerators) == (30.0, 256 * 2**30, 16.0)
    assert found.accelerator_kinds == ("nvidia.com/gpu",)
    assert (found.image, found.commit, found.branch, found.run_id, found.owner) == (
        "reg/train@sha256:4e",
        "9c1f2ab",
        "feature/v1.2",
        "7be2",
        "bo",
    )
    assert found.progress == Progress(done=0, total=4, unit="completions")
    assert str(found.key) == "dev/u1"
    assert view(job(owner=("CronJob", "nightly", "c1"))).owner == "CronJob/nightly"


def test_requests_as_the_scheduler_counts_them() -> None:
    spec = make(
        PodSpec,
        {
            "containers": [
                {"resources": {"requests": {"cpu": "1"}}},
                {"resources": {"limits": {"cpu": "2"}}},
            ],
            "initContainers": [
                {"resources": {"requests": {"cpu": "5"}}},
                {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            ],
        },
    )
    assert {k: float(v) for k, v in pod_requests(spec).items()} == {"cpu": 5.0}
    sidecar_first = make(
        PodSpec,
        {
            "containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "initContainers": [
                {"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                {"resources": {"requests": {"cpu": "5"}}},
            ],
        },
    )
    assert {k: float(v) for k, v in pod_requests(sidecar_first).items()} == {"cpu": 6.0}


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        ({"requests": {"cpu": "8"}}, {"cpu": 8.0, "memory": 3.0, "nvidia.com/gpu": 2.0}),
        # As an API server fills it in: the limit is asked for where no container asks.
        (
            {"limits": {"memory": "64", "hugepages-2Mi": "4"}},
            {"cpu": 1.0, "memory": 3.0, "nvidia.com/gpu": 2.0, "hugepages-2Mi": 4.0},
        ),
        (
            {"requests": {"memory": "32"}, "limits": {"memory": "64"}},
            {"cpu": 1.0, "memory": 32.0, "nvidia.com/gpu": 2.0},
        ),
        ({"requests": {"cpu": "many"}}, {"cpu": 1.0, "memory": 3.0, "nvidia.com/gpu": 2.0}),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_what_a_pod_asks_for_as_a_whole_stands_for_its_containers(
    resources: dict[str, Any], asked: dict[str, float], beside: bool
) -> None:
    needs = {"requests": {"cpu": "1", "memory": "3"}, "limits": {"nvidia.com/gpu": "2"}}
    containers = [{"name": "a", "resources": needs}, *([{"name": "b"}] if beside else [])]
    spec = {"resources": resources, "containers": containers}
    found = pod_requests(make(PodSpec, spec))
    assert {name: float(value) for name, value in found.items()} == asked
    row = view(job({"parallelism": 3, "template": {"spec": spec}}))
    assert (row.cpu, row.memory) == (3 * asked["cpu"], 3 * asked["memory"])


def test_a_container_without_a_limit_is_held_to_its_pods() -> None:
    crashed = failed(container(ended(137, "OOMKilled")))
    for own, shown in (({}, "64Gi"), ({"memory": "8Gi"}, "8Gi")):
        containers = [{"name": "train", "resources": {"limits": own}}]
        spec = {"resources": {"limits": {"memory": "64Gi"}}, "containers": containers}
        body = {"metadata": meta("train-x7k2p"), "spec": spec, "status": crashed}
        found = view(job(status={"active": 1}), pods=[make(Pod, body)])
        assert found.why == f"OOMKilled train-x7k2p (exit 137, limit {shown})"


def test_train_jobs_over_job_sets_over_jobs_make_one_row() -> None:
    train = make(
        TrainJob,
        {
            "metadata": meta("llm", "t"),
            "spec": {
                "trainer": {
                    "numNodes": 2,
                    "image": "reg/llm",
                    "resourcesPerNode": {"requests": {"nvidia.com/gpu": 8}},
                }
            },
            "status": {"jobsStatus": [{"name": "node", "active": 1, "ready": 1}]},
        },
    )
    jobset = make(
        JobSet, {"metadata": meta("llm", "s", ("TrainJob", "llm", "t")), "status": {"restarts": 2}}
    )
    child = job(
        {"parallelism": 2, "completions": 2},
        {"active": 2, "ready": 2, "startTime": at(30)},
        name="llm-node-0",
        uid="j",
        owner=("JobSet", "llm", "s"),
    )
    alone = job(name="other", uid="o")
    groups = root_of([alone, child, jobset, train])
    assert [(g.root.metadata.name, [c.metadata.uid for c in g.children]) for g in groups] == [
        ("other", []),
        ("llm", ["s", "j"]),
    ]
    member = pod(
        running(container({"running": {}})), "llm-node-0-0-x7k2p", owner=("Job", "llm-node-0", "j")
    )
    stranger = pod({}, "web", owner=("ReplicaSet", "web", "r"))
    assert {
        k: [p.metadata.name for p in v] for k, v in pods_by_root(groups, [member, stranger]).items()
    } == {"t": ["llm-node-0-0-x7k2p"]}
    found = view(train, children=groups[1].children, pods=[member])
    assert (found.state, found.active, found.ready, found.restarts) == (JobState.RUNNING, 2, 2, 2)
    assert (found.accelerators, found.image) == (16.0, "reg/llm")
    assert found.started == T0 + 30
    queue = make(
        Workload,
        {
            "metadata": {"ownerReferences": [{"uid": "s"}], "creationTimestamp": at(0)},
            "spec": {"queueName": "q"},
        },
    )
    assert workloads_by_root(groups, [queue])["t"].spec.queue_name == "q"


def test_other_kinds_have_rows() -> None:
    replica = {
        "replicas": 3,
        "template": {
            "spec": {"containers": [{"image": "reg/t", "resources": {"requests": {"cpu": "2"}}}]}
        },
    }
    torch = make(
        PyTorchJob,
        {
            "metadata": meta(),
            "spec": {
                "pytorchReplicaSpecs": {"Master": {**replica, "replicas": 1}, "Worker": replica}
            },
            "status": {
                "startTime": at(5),
                "replicaStatuses": {"Master": {"active": 1}, "Worker": {"active": 3}},
                "conditions": [true("Running", 9)],
            },
        },
    )
    found = view(torch)
    assert (found.state, found.active, found.cpu, found.image, found.parallelism) == (
        JobState.RUNNING,
        4,
        8.0,
        "reg/t",
        4,
    )
    ray = make(
        RayJob,
        {
            "metadata": meta(),
            "spec": {
                "rayClusterSpec": {
                    "headGroupSpec": {
                        "template": {
                            "spec": {
                                "containers": [
                                    {"image": "reg/ray", "resources": {"requests": {"cpu": "1"}}}
                                ]
                            }
                        }
                    },
                    "workerGroupSpecs": [
                        {
                            "replicas": 2,
                            "template": {
                                "spec": {"containers": [{"resources": {"requests": {"cpu": "4"}}}]}
                            },
                        },
                        {
                            "replicas": 2,
                            "numOfHosts": 4,
                            "template": {
                                "spec": {"containers": [{"resources": {"requests": {"cpu": "2"}}}]}
                            },
                        },
                    ],
                }
            },
            "status": {"jobDeploymentStatus": "Initializing"},
        },
    )
    found = view(ray)
    assert (found.state, found.cpu, found.why) == (JobState.WAITING, 25.0, "Initializing")
    assert found.parallelism == 11
    over = make(
        RayJob,
        {
            "metadata": meta(),
            "status": {
                "jobDeploymentStatus": "Complete",
                "jobStatus": "SUCCEEDED",
                "startTime": at(1),
                "endTime": at(61),
            },
        },
    )
    assert state_of(view(over)) == ("done", 61)
    stopped = make(
        RayJob,
        {
            "metadata": meta(),
            "status": {
                "jobDeploymentStatus": "Complete",
                "jobStatus": "STOPPED",
                "endTime": at(61),
            },
        },
    )
    assert view(stopped).state is JobState.FAILED
    jobset = make(
        JobSet,
        {
            "metadata": meta(),
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "replicas": 2,
                        "template": {
                            "spec": {
                                "parallelism": 3,
                                "template": {
                                    "spec": {
                                        "containers": [
                                            {
                                                "image": "reg/js",
                                                "resources": {"requests": {"cpu": "1"}},
                                            }
                                        ]
                                    }
                                },
                            }
                        },
                    }
                ]
            },
            "status": {"conditions": [true("Completed", 90)]},
        },
    )
    found = view(jobset)
    assert (*state_of(found), found.cpu, found.image) == ("done", 90, 6.0, "reg/js")
    train = make(
        TrainJob,
        {
            "metadata": meta(),
            "status": {
                "trainerStatus": {"progressPercentage": 40, "estimatedRemainingSeconds": 600},
                "jobsStatus": [{"active": 1, "ready": 1}],
            },
        },
    )
    assert view(train).done_text() == "40%"
    assert view(train).why == "10 min left"


def test_ownership_in_a_circle_or_of_the_unknown() -> None:
    a = job(name="a", uid="a", owner=("Job", "b", "b"))
    b = job(name="b", uid="b", owner=("Job", "a", "a"))
    own = job(name="c", uid="c", owner=("Job", "c", "c"))
    orphan = job(name="d", uid="d", owner=("JobSet", "x", "x"))
    groups = root_of([a, b, own, orphan])
    assert sorted(g.root.metadata.name for g in groups) == ["a", "b", "c", "d"]
    assert all(not g.children for g in groups)
    assert tree_of(a, [b], []).children[0].name == "b"


def test_the_tree() -> None:
    pods = [
        pod(
            running(
                container({"running": {}}, last=ended(1), restarts=2),
                conditions=[{"type": "Ready", "status": "True"}],
            ),
            "train-1-bbbbb",
            labels={"batch.kubernetes.io/job-completion-index": "1"},
        ),
        pod(
            running(container(waiting("CrashLoopBackOff"), last=ended(1), restarts=3)),
            "train-0-bbbbb",
            labels={"batch.kubernetes.io/job-completion-index": "0"},
        ),
        pod(
            failed(container(ended(137, "OOMKilled"))),
            "train-10-bbbbb",
            labels={"batch.kubernetes.io/job-completion-index": "10"},
        ),
    ]
    tree = tree_of(job(status=RUNNING), [], pods)
    assert [node.name for node in tree.children] == [
        "train-0-bbbbb",
        "train-1-bbbbb",
        "train-10-bbbbb",
    ]
    assert [node.state for node in tree.children] == ["CrashLoopBackOff", "Running", "Failed"]
    assert [node.restarts for node in tree.children] == [3, 2, 0]
    inner = tree.children[2].children[0]
    assert (inner.kind, inner.name, inner.state, inner.exit_code) == (
        "Container",
        "train",
        "OOMKilled",
        137,
    )
    assert tree.children[1].children[0].message == "before: Error (exit 1)"
    assert [rank_of(p) for p in pods] == [1, 0, 10]
    torch = make(PyTorchJob, {"metadata": meta()})
    ranks = [
        pod(
            {"phase": "Running"},
            f"t-{kind}-{n}",
            labels={
                "training.kubeflow.org/replica-type": kind,
                "training.kubeflow.org/replica-index": str(n),
            },
        )
        for kind, n in (("worker", 1), ("master", 0), ("worker", 0))
    ]
    shown = tree_of(torch, [], ranks)
    assert [(node.kind, node.name, len(node.children)) for node in shown.children] == [
        ("Replica", "master", 1),
        ("Replica", "worker", 2),
    ]


def test_urgency_orders_the_pane() -> None:
    def fails(seconds: float, name: str) -> JobView:
        return view(
            job(
                status={"conditions": [true("Failed", seconds, "BackoffLimitExceeded")]}, name=name
            ),
            now=40_000,
        )

    stuck = view(
        job(status={"active": 1, "startTime": at(10)}, name="stalled"),
        pods=[pod(pending(container(waiting("ImagePullBackOff"))))],
        now=40_000,
    )
    rows = [
        view(job(status={"conditions": [true("Complete", 900)]}, name="done"), now=40_000),
        view(job(status=RUNNING, name="running"), now=40_000),
        view(job(name="long wait"), now=40_000),
        view(
            make(Job, {"metadata": {**meta("new wait"), "creationTimestamp": at(39_000)}}),
            now=40_000,
        ),
        view(job({"suspend": True}, name="held"), now=40_000),
        fails(100, "failed early"),
        fails(900, "failed late"),
        stuck,
        view_job(
            job(status={"conditions": [true("Failed", 0, "x")]}, name="failed long ago"),
            context="d",
            now=T0 + 100_000,
        ),
    ]
    assert [row.key.name for row in sorted(rows, key=lambda row: row.urgency)] == [
        "failed late",
        "failed early",
        "stalled",
        "long wait",
        "new wait",
        "running",
        "held",
        "failed long ago",
        "done",
    ]


def test_signs_are_told_apart_without_colour_and_without_unicode() -> None:
    assert len({state.value for state in JobState}) == 6
    assert all(
        len(state.sign) == len(state.ascii) == 1 and state.ascii.isascii() for state in JobState
    )
    assert [s.ascii for s in JobState] == ["X", "!", "~", "~", ">", "."]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.412, "0.412"),
        (0, "0"),
        (12.3456, "12.35"),
        (1234.5, "1234"),
        (99_999.4, "99999"),
        (1e-4, "1.0e-04"),
        (3e12, "3e+12"),
        (float("nan"), "NaN"),
        (float("-inf"), "-inf"),
        (-0.5, "-0.500"),
        (123_456.0, "1.2e+05"),
    ],
)
def test_numbers_of_metrics(value: float, shown: str) -> None:
    assert number(value) == shown
    assert len(shown) <= 8


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "22nd",
        "101st",
        "111th",
    ]


@settings(max_examples=200)
@given(
    JOB,
    st.lists(POD, max_size=3),
    WORKLOAD,
    st.sampled_from([Job, TrainJob, PyTorchJob, JobSet]),
    st.floats(0, 4e9),
)
def test_any_object_makes_a_row_and_a_tree(
    item: Any, pods: Any, queue: Any, kind: Any, now: float
) -> None:
    found = make(kind, item)
    members = [make(Pod, p) for p in pods]
    row = view_job(
        found,
        context="dev",
        now=now,
        pods=members,
        workload=make(Workload, queue) if queue is not None else None,
        run=RUN,
    )
    for text in (
        row.why,
        row.why_in(30),
        row.owner,
        row.queue,
        row.image,
        row.key.name,
        row.run_note,
    ):
        assert not [c for c in text if unsafe(c) or c in "\n\t"], text
    assert row.state in JobState
    assert row.urgency < (8,)
    assert len(tree_of(found, [], members).children) == len(members)
