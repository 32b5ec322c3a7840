"""Cancel, delete, suspend and resume against the real API server: what they change, and refuse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.actions.jobs import plan_cancel, plan_delete, plan_hold
from mcp_tui.domain import keys
from mcp_tui.domain.plan import OutcomeStatus, Plan, Tier
from mcp_tui.errors import ExitCode, GoneError, RefusedError, UsageError
from tests.cluster import Ground
from tests.faults.acting import Actor, acting, job

MERGE = "application/merge-patch+json"


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


async def until(condition: Any, what: str, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while True:
        found = await condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


async def pods(actor: Actor, name: str) -> list[dict[str, Any]]:
    found = await actor.api(
        "GET",
        f"/api/v1/namespaces/{actor.namespace}/pods",
        params={"labelSelector": f"batch.kubernetes.io/job-name={name}"},
    )
    items: list[dict[str, Any]] = found["items"]
    return items


async def cancelling(actor: Actor, *names: str) -> Plan:
    seen = [await actor.see(name) for name in names]
    return plan_cancel(actor.engine.scope, seen, now=time.time())


async def test_cancel_removes_the_pods_ends_the_run_and_is_recorded(actor: Actor) -> None:
    run = await actor.run()
    await actor.make("a", parallelism=2, completions=2, labels={keys.RUN_ID: run})

    async def two() -> bool:
        return len(await pods(actor, "a")) == 2

    await until(two, "two pods")
    plan = await actor.engine.check(await cancelling(actor, "a"))
    assert not plan.blocked and actor.writes() == []
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    assert await actor.gone(actor.path("a"))

    async def none() -> bool:
        return not await pods(actor, "a")

    await until(none, "no pods")
    assert await actor.status_of(run) == "KILLED"
    events = await actor.api("GET", f"/api/v1/namespaces/{actor.namespace}/events")
    [event] = [e for e in events["items"] if e["source"].get("component") == "mcp-tui"]
    assert event["involvedObject"]["uid"] == plan.targets[0].uid
    assert event["message"].startswith(f"cancelled by admin with mcp-tui (plan {plan.id[:8]})")
    assert event["metadata"]["labels"][keys.PLAN_ID] == plan.id
    [action] = actor.engine.journal.actions()
    assert (action.result, action.started.user) == ("proven", "admin")


async def test_nothing_is_cancelled_that_finished_meanwhile(actor: Actor) -> None:
    run = await actor.run()
    await actor.make("a", labels={keys.RUN_ID: run})
    plan = await cancelling(actor, "a")
    await actor.finish("a")
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.message == "a is complete meanwhile, so it was not cancelled; delete removes it"
    assert actor.writes() == []
    assert await actor.status_of(run) == "RUNNING"


async def test_a_run_that_ended_by_itself_or_is_anothers_is_left_as_it_is(actor: Actor) -> None:
    ended = await actor.run()
    await actor.engine.mlflow(
        "POST", "/api/2.0/mlflow/runs/update", {"run_id": ended, "status": "FINISHED"}
    )
    others = await actor.run(**{keys.TAG_UID: "another", keys.TAG_NAME: "twin"})
    await actor.make("a", labels={keys.RUN_ID: ended})
    await actor.make("b", labels={keys.RUN_ID: others})
    outcomes = await actor.apply(await cancelling(actor, "a", "b"))
    assert {o.status for o in outcomes} == {OutcomeStatus.PROVEN}
    assert await actor.status_of(ended) == "FINISHED"
    assert await actor.status_of(others) == "RUNNING"
    said = "\n".join(actor.said)
    assert "left as it is: the run is FINISHED already" in said
    assert "the run belongs to another job, twin" in said


async def test_the_run_of_a_jobs_environment_ends_with_it(actor: Actor) -> None:
    """A job that others made has no label of ours; a variable of a variable says nothing."""
    run = await actor.run()
    for name, value in (("a", run), ("b", "$(RUN)")):
        await actor.make(name, env=[{"name": keys.RUN_VARIABLE, "value": value}])
    seen = [await actor.see(name) for name in ("a", "b")]
    assert [each.run_id for each in seen] == [run, ""]
    outcomes = await actor.apply(await cancelling(actor, "a", "b"))
    assert {o.status for o in outcomes} == {OutcomeStatus.PROVEN}
    assert await actor.status_of(run) == "KILLED"


@pytest.mark.parametrize("verb", ["cancel", "delete"])
@pytest.mark.parametrize("seen_late", [False, True])
async def test_an_object_of_the_same_name_is_not_deleted(
    actor: Actor, verb: str, seen_late: bool
) -> None:
    """Also when it is replaced after the last look: then the uid precondition holds."""
    await actor.make("a")
    if verb == "delete":
        await actor.finish("a")
    old = await actor.api("GET", actor.path("a"))
    seen = [await actor.see("a")]
    scope = actor.engine.scope
    plan = plan_delete(scope, seen) if verb == "delete" else plan_cancel(scope, seen, now=1.0)
    await actor.api("DELETE", actor.path("a"), {"propagationPolicy": "Background"})
    await until(lambda: actor.gone(actor.path("a")), "gone")
    new = await actor.api("POST", actor.path(), job("a"))
    if seen_late:
        import json

        from tests.faults.proxy import Answer, Fault

        stale = json.dumps(old).encode()
        actor.kube.add(Fault(Answer(200, stale), method="GET", path="/jobs/a$", nth=1))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    assert "was replaced by another object of that name" in outcome.message
    assert outcome.exit_code == ExitCode.GONE
    assert actor.sent("DELETE", "/jobs/a") == int(seen_late)
    assert (await actor.api("GET", actor.path("a")))["metadata"]["uid"] == new["metadata"]["uid"]
    with pytest.raises(GoneError, match="replaced"):
        await actor.engine.see("Job", actor.namespace, "a", old["metadata"]["uid"])


async def test_somebody_else_deletes_it_meanwhile(actor: Actor) -> None:
    await actor.make("a")
    held = await actor.make("b")
    plan = await cancelling(actor, "a")
    hold = plan_hold(actor.engine.scope, [held], suspend=True)
    for name in ("a", "b"):
        await actor.api("DELETE", actor.path(name), {"propagationPolicy": "Background"})
        await until(lambda n=name: actor.gone(actor.path(n)), "gone")
    [cancelled] = await actor.apply(plan)
    assert "somebody else deleted a already; nothing was sent" in cancelled.message
    [suspended] = await actor.apply(hold)
    assert "somebody else deleted b meanwhile" in suspended.message
    assert {cancelled.exit_code, suspended.exit_code} == {ExitCode.GONE}


async def test_suspend_conflicts_with_a_change_and_not_with_a_busy_status(actor: Actor) -> None:
    seen = await actor.make("a")
    plan = plan_hold(actor.engine.scope, [seen], suspend=True)
    assert not (await actor.engine.check(plan)).blocked
    for n in range(3):
        status = {"status": {"uncountedTerminatedPods": {"failed": [f"{n}"]}}}
        await actor.api("PATCH", f"{actor.path('a')}/status", status, content_type=MERGE)
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    # Again, with a plan made before: the field is not what it was.
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.message == (
        "somebody changed a meanwhile: spec.suspend is true, was false; nothing was changed; "
        "look at it again"
    )
    resume = plan_hold(actor.engine.scope, [await actor.see("a")], suspend=False)
    [outcome] = await actor.apply(resume)
    assert outcome.status is OutcomeStatus.PROVEN, outcome


async def test_one_of_several_fails_and_the_others_do_not_care(
    actor: Actor, ground: Ground
) -> None:
    other = f"{actor.namespace}-b"
    await actor.api("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    try:
        names = ["a", "b", "c"]
        seen = [await actor.make(name) for name in names] + [await actor.make("a", namespace=other)]
        plan = plan_cancel(actor.engine.scope, seen, now=1.0)
        assert plan.typed_word == "dev/4-jobs"
        await actor.finish("b")
        outcomes = await actor.apply(plan)
        words = [(o.target.namespace, o.target.name, o.status.value) for o in outcomes]
        assert words == [
            (actor.namespace, "a", "proven"),
            (actor.namespace, "b", "failed"),
            (actor.namespace, "c", "proven"),
            (other, "a", "proven"),
        ]
        assert not await actor.gone(actor.path("b"))
        assert await actor.gone(actor.path("a", other))
    finally:
        await actor.api("DELETE", f"/api/v1/namespaces/{other}")


async def test_what_cannot_be_done_is_refused_in_the_plan(actor: Actor) -> None:
    scope = actor.engine.scope
    running, done = await actor.make("a"), await actor.make("b")
    await actor.finish("b", "Failed")
    done = await actor.see("b")
    with pytest.raises(RefusedError, match="cancel stops a running one"):
        plan_delete(scope, [running])
    with pytest.raises(RefusedError, match="b is failed already"):
        plan_cancel(scope, [done], now=1.0)
    with pytest.raises(RefusedError, match="b is failed already"):
        plan_hold(scope, [done], suspend=True)
    with pytest.raises(RefusedError, match="not suspended already"):
        plan_hold(scope, [running], suspend=False)
    with pytest.raises(UsageError, match="named twice"):
        plan_cancel(scope, [running, running], now=1.0)
    for bad in ("..", "a?x=1", "a/../b", ""):
        with pytest.raises(UsageError, match="not a job's name"):
            await actor.engine.see("Job", actor.namespace, bad)


async def test_a_child_is_not_written_over_its_owner(actor: Actor) -> None:
    body = job("child")
    owner = {"apiVersion": "x.io/v1", "kind": "TrainJob", "name": "root", "uid": "1"}
    body["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    # Suspended, and with an owner that is not there, it would be collected: only looked at here.
    body["spec"]["suspend"] = True
    body["metadata"]["finalizers"] = ["mcp-tui.test/keep"]
    await actor.api("POST", actor.path(), body)
    try:
        seen = await actor.see("child")
        with pytest.raises(RefusedError, match="act on TrainJob/root"):
            plan_hold(actor.engine.scope, [seen], suspend=False)
        with pytest.raises(RefusedError, match="belongs to TrainJob/root"):
            plan_cancel(actor.engine.scope, [seen], now=1.0)
    finally:
        drop = {"metadata": {"finalizers": None}}
        await actor.api("PATCH", actor.path("child"), drop, content_type=MERGE)


CONTAINER = {"name": "pytorch", "image": "none"}
TEMPLATE: dict[str, Any] = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "PyTorchJob": (
        "kubeflow.org/v1",
        {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": TEMPLATE}}},
    ),
    "TrainJob": (
        "trainer.kubeflow.org/v1alpha1",
        {"runtimeRef": {"name": "torch"}, "trainer": {"image": "none", "numNodes": 1}},
    ),
    "JobSet": (
        "jobset.x-k8s.io/v1alpha2",
        {"replicatedJobs": [{"name": "n", "template": {"spec": {"template": TEMPLATE}}}]},
    ),
    "RayJob": ("ray.io/v1", {"entrypoint": "python x.py"}),
}


def custom(kind: str, namespace: str) -> tuple[str, dict[str, Any]]:
    version, spec = KINDS[kind]
    path = f"/apis/{version}/namespaces/{namespace}/{kind.lower()}s"
    return path, {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}


def held(kind: str, obj: dict[str, Any]) -> Any:
    spec = obj["spec"]
    return spec["runPolicy"]["suspend"] if kind == "PyTorchJob" else spec.get("suspend")


@pytest.mark.parametrize("kind", KINDS)
async def test_other_kinds_are_held_in_their_own_field_and_not_by_their_spec_alone(
    ground: Ground, namespace: str, tmp_path: Path, kind: str
) -> None:
    async with acting(ground, namespace, tmp_path, proof=1.0) as actor:
        path, body = custom(kind, namespace)
        await actor.api("POST", path, body)
        plan = plan_hold(actor.engine.scope, [await actor.see("a", kind)], suspend=True)
        assert not (await actor.engine.check(plan)).blocked
        [outcome] = await actor.apply(plan)
        assert outcome.status is OutcomeStatus.PROVEN, outcome
        assert held(kind, await actor.api("GET", f"{path}/a")) is True
        [outcome] = await actor.apply(plan)
        assert outcome.status is OutcomeStatus.FAILED and "meanwhile" in outcome.message
        # Released by us, and no controller has said a word: that is no proof.
        resume = plan_hold(actor.engine.scope, [await actor.see("a", kind)], suspend=False)
        [outcome] = await actor.apply(resume)
        assert held(kind, await actor.api("GET", f"{path}/a")) is False
        assert outcome.status is OutcomeStatus.UNPROVEN
        assert outcome.message.startswith("accepted, but after 1 s unproven")


def workload(uid: str, *, label: bool) -> dict[str, Any]:
    labels = {"kueue.x-k8s.io/job-uid": uid} if label else {}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": uid}
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "Workload",
        "metadata": {"name": "job-a-1", "labels": labels, "ownerReferences": [owner]},
        "spec": {"queueName": "q"},
    }


@pytest.mark.parametrize("label", [True, False])
async def test_kueues_jobs_are_held_through_their_workload(
    ground: Ground, namespace: str, tmp_path: Path, label: bool
) -> None:
    async with acting(ground, namespace, tmp_path, proof=3.0) as actor:
        queue = {keys.QUEUE_NAME: "q"}
        seen = await actor.make("a", labels=queue, suspend=True)
        # Kueue has not taken it up: releasing the job ourselves would go past the quota.
        with pytest.raises(RefusedError, match="Kueue holds a"):
            plan_hold(actor.engine.scope, [seen], suspend=False)
        root = f"/apis/kueue.x-k8s.io/v1beta1/namespaces/{namespace}/workloads"
        await actor.api("POST", root, workload(seen.uid, label=label))
        admitted = {"type": "QuotaReserved", "status": "True", "reason": "x", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
        status = {"status": {"conditions": [admitted]}}
        await actor.api("PATCH", f"{root}/job-a-1/status", status, content_type=MERGE)
        plan = plan_hold(actor.engine.scope, [await actor.see("a")], suspend=True)
        [write] = plan.writes
        assert "/workloads/job-a-1" in write.path
        assert write.diff == ("- spec.active: true", "+ spec.active: false")
        applying = asyncio.create_task(actor.apply(plan))

        async def inactive() -> bool:
            return (await actor.api("GET", f"{root}/job-a-1"))["spec"].get("active") is False

        await until(inactive, "inactive")
        assert not applying.done(), "inactive, and quota is still held: that is no proof"
        admitted["status"] = "False"
        await actor.api("PATCH", f"{root}/job-a-1/status", status, content_type=MERGE)
        [outcome] = await applying
        assert outcome.status is OutcomeStatus.PROVEN, outcome
        [outcome] = await actor.apply(plan)
        assert "job-a-1 meanwhile: spec.active is false, was true" in outcome.message
        resume = plan_hold(actor.engine.scope, [await actor.see("a")], suspend=False)
        [outcome] = await actor.apply(resume)
        assert outcome.status is OutcomeStatus.PROVEN, outcome
        assert (await actor.api("GET", actor.path("a")))["spec"]["suspend"] is True


async def test_unproven_is_said(ground: Ground, namespace: str, tmp_path: Path) -> None:
    async with acting(ground, namespace, tmp_path, proof=0.5) as actor:
        await actor.make("a")
        await actor.api(
            "PATCH",
            actor.path("a"),
            {"metadata": {"finalizers": ["mcp-tui.test/stays"]}},
            content_type=MERGE,
        )
        [outcome] = await actor.apply(await cancelling(actor, "a"))
        await actor.api(
            "PATCH", actor.path("a"), {"metadata": {"finalizers": None}}, content_type=MERGE
        )
        assert outcome.status is OutcomeStatus.UNPROVEN
        assert outcome.exit_code == ExitCode.UNREACHABLE
        assert "unproven: the job is gone was not seen" in outcome.message


async def test_deleted_by_somebody_while_it_is_waited_for(actor: Actor) -> None:
    path, body = custom("JobSet", actor.namespace)
    body["status"] = {}
    await actor.api("POST", path, body)
    now = "2026-01-01T00:00:00Z"
    said = [{"type": "StartupPolicyCompleted", "status": "True", "reason": "x", "message": "",
             "lastTransitionTime": now}]  # fmt: skip
    await actor.api(
        "PATCH", f"{path}/a/status", {"status": {"conditions": said}}, content_type=MERGE
    )
    plan = plan_hold(actor.engine.scope, [await actor.see("a", "JobSet")], suspend=True)
    applying = asyncio.create_task(actor.apply(plan))

    async def patched() -> bool:
        return (await actor.api("GET", f"{path}/a"))["spec"].get("suspend") is True

    await until(patched, "patched")
    await actor.api("DELETE", f"{path}/a")
    [outcome] = await applying
    assert outcome.status is OutcomeStatus.UNPROVEN
    assert outcome.message == "accepted, but somebody else deleted a before it was proven"
    assert outcome.exit_code == ExitCode.GONE


async def test_a_plan_of_another_context_is_not_applied(actor: Actor) -> None:
    import msgspec

    plan = await cancelling(actor, (await actor.make("a")).name)
    for wrong in ({"context": "prod"}, {"tier": Tier.PROD}):
        with pytest.raises(RefusedError, match="not for this context"):
            await actor.apply(msgspec.structs.replace(plan, **wrong))  # type: ignore[arg-type]  # replaced by name
    assert actor.writes() == []
