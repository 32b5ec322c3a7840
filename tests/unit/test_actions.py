"""Plans, their texts, and the manifests of retries: pure, so tried on odd objects."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mcp_tui.actions.ended import finished
from mcp_tui.actions.jobs import Scope, Seen, confirmation, plan_cancel, plan_delete, plan_hold
from mcp_tui.actions.kinds import JOB_KINDS, kind_of
from mcp_tui.actions.ledger import Ledger
from mcp_tui.actions.parent import Parent
from mcp_tui.actions.prove import Probe, Watched, holds
from mcp_tui.actions.renew import Changes, renewed, retry_name
from mcp_tui.actions.retry import diff, plan_retry
from mcp_tui.actions.runs import delete_job
from mcp_tui.actions.show import MOST, as_data, as_text
from mcp_tui.actions.template import fill, placeholder, unfilled, words
from mcp_tui.cli.act import exit_code
from mcp_tui.domain import keys
from mcp_tui.domain.decode import decode
from mcp_tui.domain.plan import Confirmation, Outcome, OutcomeStatus, Plan, Target, Tier, Verb
from mcp_tui.domain.trainconfig import parse_train_config
from mcp_tui.errors import (
    ExitCode,
    GoneError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    UsageError,
)

SCOPE = Scope(context="dev", tier=Tier.DEV)
PLAN = "0123456789abcdef0123456789abcdef"


def seen(obj: dict[str, Any] | None = None, **metadata: Any) -> Seen:
    obj = copy.deepcopy(obj or {"kind": "Job", "spec": {"suspend": False, "template": {}}})
    base = {"name": "a", "namespace": "ml", "uid": f"uid-{metadata.get('name', 'a')}"}
    obj["metadata"] = {**base, **metadata}
    return Seen(obj=obj, kind=kind_of(obj["kind"]))


def retried(job: Seen, **changes: Any) -> dict[str, Any]:
    return renewed(job, Changes(**changes), plan_id=PLAN, user="me")


@pytest.mark.parametrize(
    ("verb", "dev", "prod"),
    [
        (Verb.SUBMIT, Confirmation.NONE, Confirmation.TYPED),
        (Verb.RETRY, Confirmation.NONE, Confirmation.TYPED),
        (Verb.CANCEL, Confirmation.YES, Confirmation.TYPED),
        (Verb.DELETE, Confirmation.YES, Confirmation.TYPED),
        (Verb.SUSPEND, Confirmation.NONE, Confirmation.YES),
        (Verb.RESUME, Confirmation.NONE, Confirmation.YES),
    ],
)
def test_how_a_verb_is_confirmed(verb: Verb, dev: Confirmation, prod: Confirmation) -> None:
    assert confirmation(verb, Tier.DEV) is confirmation(verb, Tier.TEST) is dev
    assert confirmation(verb, Tier.PROD) is prod


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({}, ""),
        ({"conditions": [{"type": "Failed", "status": "False"}]}, ""),
        ({"conditions": [{"type": "FailureTarget", "status": "True"}]}, ""),
        ({"conditions": [{"type": "Failed", "status": "True"}]}, "failed"),
        ({"conditions": [{"type": "Completed", "status": "True"}]}, "complete"),
        ({"conditions": [{"type": "Succeeded", "status": "True"}]}, "complete"),
        ({"jobStatus": "RUNNING", "jobDeploymentStatus": "Running"}, ""),
        ({"jobStatus": "SUCCEEDED", "jobDeploymentStatus": "Complete"}, "complete"),
        ({"jobStatus": "FAILED", "jobDeploymentStatus": "Complete"}, "failed"),
        ({"jobStatus": "STOPPED"}, "failed"),
        ({"jobDeploymentStatus": "Failed"}, "failed"),
    ],
)
def test_how_a_job_ended(status: dict[str, Any], word: str) -> None:
    assert finished({"status": status}) == word


@pytest.mark.parametrize(
    ("verb", "kind", "obj", "proven"),
    [
        (Verb.CANCEL, "Job", None, True),
        (Verb.CANCEL, "Job", {}, False),
        (Verb.SUSPEND, "Job", {"spec": {"suspend": True}, "status": {"active": 2}}, False),
        (Verb.SUSPEND, "Job", {"spec": {"suspend": True}, "status": {"active": 0}}, True),
        (Verb.SUSPEND, "Job", {"spec": {"suspend": False}}, False),
        # The specification says what is wanted, not what is: its controller has not spoken.
        (
            Verb.SUSPEND,
            "JobSet",
            {"spec": {"suspend": True}, "status": {"conditions": [{"type": "X"}]}},
            False,
        ),
        (
            Verb.SUSPEND,
            "PyTorchJob",
            {
                "spec": {"runPolicy": {"suspend": True}},
                "status": {"conditions": [{"type": "Suspended", "status": "True"}]},
            },
            True,
        ),
        (
            Verb.SUSPEND,
            "RayJob",
            {"spec": {"suspend": True}, "status": {"jobDeploymentStatus": "Running"}},
            False,
        ),
        (
            Verb.SUSPEND,
            "RayJob",
            {"spec": {"suspend": True}, "status": {"jobDeploymentStatus": "Suspended"}},
            True,
        ),
        (
            Verb.RESUME,
            "Job",
            {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}},
            False,
        ),
        (Verb.RESUME, "Job", {"status": {"startTime": "2026-01-01T00:00:00Z"}}, True),
        (Verb.SUBMIT, "Job", {}, False),
        (Verb.SUBMIT, "Job", {"status": {"startTime": "2026-01-01T00:00:00Z"}}, True),
    ],
)
def test_what_proves_a_verb(
    verb: Verb, kind: str, obj: dict[str, Any] | None, proven: bool
) -> None:
    probe = None if obj is None else decode(Probe, json.dumps(obj).encode())
    assert bool(holds(verb, kind, probe)) is proven


@pytest.mark.parametrize("row", JOB_KINDS, ids=lambda r: r.kind)
@pytest.mark.parametrize(("namespace", "name"), [("workloads", "a"), ("ml", "workloads")])
def test_what_is_called_workloads_is_proven_by_itself(row: Any, namespace: str, name: str) -> None:
    """By the place in the path: a namespace, or a job, may be called as Kueue's resource is."""
    job = seen({"kind": row.kind, "spec": {}}, namespace=namespace, name=name)
    spec: dict[str, Any] = {"suspend": True, "runPolicy": {"suspend": True}}
    held = seen({"kind": row.kind, "spec": spec}, namespace=namespace, name=name)
    plans = [
        plan_hold(SCOPE, [job], suspend=True),
        plan_hold(SCOPE, [held], suspend=False),
        plan_cancel(SCOPE, [job], now=1.0),
    ]
    for plan in plans:
        watched = Watched(plan, 0, plan.targets[0])
        assert (watched.kind, watched.uid, watched.name) == (row.kind, job.uid, name)
        assert (watched.resource.group, watched.resource.plural) == (row.group, row.plural)


@pytest.mark.parametrize("namespace", ["workloads", "ml"])
def test_what_kueue_holds_is_proven_by_its_workload(namespace: str) -> None:
    job = seen(namespace=namespace)
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "metadata": {"name": "job-a", "namespace": namespace, "uid": "w"},
        "spec": {},
    }
    plan = plan_hold(SCOPE, [Seen(obj=job.obj, kind=job.kind, workload=workload)], suspend=True)
    watched = Watched(plan, 0, plan.targets[0])
    assert (watched.kind, watched.uid, watched.name) == ("Workload", "", "job-a")
    assert watched.where == ("kueue.x-k8s.io", "v1beta2", "workloads", namespace)


def test_a_users_own_braces_are_left_alone() -> None:
    body = {"args": ["{{run_id}} {{ uid }}", placeholder("run_id")]}
    assert unfilled(body)
    assert fill(body, {"run_id": "7be2"}) == {"args": ["{{run_id}} {{ uid }}", "7be2"]}
    assert words(f"in {placeholder('experiment_id')}") == "in (the new experiment)"


HOSTILE = "\x1b]52;c;aGk=\x07evil\u202e\x9b2J"


def test_nothing_hostile_reaches_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    obj = {
        "kind": "Job",
        "spec": {
            "suspend": False,
            "template": {"spec": {"containers": [{"name": "x", "args": [f"keep\r\n{HOSTILE}"]}]}},
        },
    }
    raw = seen(obj, name=HOSTILE, labels={"x": HOSTILE}, annotations={"y": HOSTILE})
    clean_name = "evil"
    job = seen(obj, name=clean_name)
    job = Seen(obj=job.obj, raw=raw.obj, kind=job.kind)
    plans = [
        plan_cancel(SCOPE, [raw], now=1.0),
        plan_hold(SCOPE, [raw], suspend=True),
        plan_retry(SCOPE, job, Changes(memory="1Gi"), user=HOSTILE, now=1.0),
    ]
    for plan in plans:
        text = "\n".join(as_text(plan))
        data = json.dumps(as_data(plan), ensure_ascii=False)
        diffs = "\n".join(line for w in plan.writes for line in w.diff)
        for shown in (text, data, diffs):
            assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(shown)
            assert "\\u001b" not in shown
    # What is sent is what the old job had, to the byte.
    body = plans[2].writes[0].body
    assert body["spec"]["template"]["spec"]["containers"][0]["args"] == [f"keep\r\n{HOSTILE}"]
    assert body["metadata"]["annotations"]["y"] == HOSTILE


def test_many_marks_are_counted_and_some_are_shown() -> None:
    jobs = [seen(name=f"job-{n}") for n in range(MOST + 7)]
    plan = plan_cancel(Scope(context="prod", tier=Tier.PROD), jobs, now=1.0)
    text = as_text(plan)
    assert plan.typed_word == f"prod/{MOST + 7}-jobs"
    assert f"confirm by typing prod/{MOST + 7}-jobs" in text
    assert sum("- ml/job-" in line for line in text) == MOST
    assert any("and 7 more jobs" in line for line in text)
    assert len(plan.writes) == MOST + 7 == len(as_data(plan)["writes"])


@pytest.mark.parametrize(
    ("labels", "old", "new"),
    [
        ({}, "train", "train-012345"),
        # A word that looks like one of our suffixes, on an object that is not ours.
        ({}, "train-facade", "train-facade-012345"),
        ({keys.PLAN_ID: "facade" + "0" * 26}, "train-facade", "train-012345"),
        ({keys.PLAN_ID: "9" * 32}, "train-facade", "train-facade-012345"),
        ({}, "x" * 63, "x" * 45 + "-012345"),
        ({}, "y" * 44 + "-.tail", "y" * 44 + "-012345"),
    ],
)
def test_the_name_of_a_retry(labels: dict[str, str], old: str, new: str) -> None:
    assert retry_name(old, labels, PLAN) == new and len(new) <= 52


def test_a_retry_of_a_retry_keeps_the_base() -> None:
    job, name = seen(name="ranker-train"), ""
    for n in range(4):
        plan_id = f"{n}{PLAN[1:]}"
        body = renewed(job, Changes(), plan_id=plan_id, user="me")
        name = body["metadata"]["name"]
        assert body["metadata"]["annotations"][keys.PARENT] == job.name
        job = Seen(obj={**body, "kind": "Job"}, kind=job.kind)
    assert name == "ranker-train-312345"


def test_a_retry_changes_the_container_that_trains() -> None:
    def template(**annotations: str) -> dict[str, Any]:
        return {
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "proxy"}, {"name": "trainer"}, {"name": "main"}]},
        }

    job = seen({"kind": "Job", "spec": {"template": template()}})
    containers = retried(job, memory="2Gi")["spec"]["template"]["spec"]["containers"]
    assert [bool(c.get("resources")) for c in containers] == [False, True, False]
    marked = template(**{"kubectl.kubernetes.io/default-container": "main"})
    job = seen({"kind": "Job", "spec": {"template": marked}})
    containers = retried(job, env={"A": "b"})["spec"]["template"]["spec"]["containers"]
    assert [c.get("env") for c in containers] == [None, None, [{"name": "A", "value": "b"}]]


@pytest.mark.parametrize("bad", [{"memory": "lots"}, {"memory": "-1Gi"}, {"cpu": "0"}])
def test_a_change_that_is_no_quantity(bad: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="is no quantity"):
        retried(seen(), **bad)


def test_deadline_and_retries_where_a_kind_has_them() -> None:
    spec = retried(seen(), deadline=60, retries=3)["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (60, 3)
    ptj = seen({"kind": "PyTorchJob", "spec": {}})
    assert retried(ptj, retries=3)["spec"]["runPolicy"] == {"backoffLimit": 3}
    indexed = seen({"kind": "Job", "spec": {"backoffLimitPerIndex": 1, "template": {}}})
    assert retried(indexed, retries=3)["spec"]["backoffLimitPerIndex"] == 3
    assert (
        "activeDeadlineSeconds"
        not in retried(
            seen({"kind": "Job", "spec": {"activeDeadlineSeconds": 9, "template": {}}}), deadline=0
        )["spec"]
    )
    with pytest.raises(UsageError, match="JobSet takes no deadline"):
        retried(seen({"kind": "JobSet", "spec": {}}), deadline=1)


def test_what_others_track_their_objects_by_is_not_copied() -> None:
    job = seen(
        labels={"argocd.argoproj.io/instance": "app", "team": "x", "controller-uid": "1"},
        annotations={
            "meta.helm.sh/release-name": "r",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "why": "y",
        },
    )
    metadata = retried(job)["metadata"]
    assert set(metadata["labels"]) == {"team", keys.MANAGED_BY, keys.PLAN_ID}
    assert set(metadata["annotations"]) == {"why", keys.PARENT, keys.SUBMITTED_BY}


CONFIG = """image: i
code: {url: "https://git.example.org/x.git"}
command: c
resources: {memory: 1Gi, cpu: "1"}
"""


def test_the_kept_config_follows_the_changes_or_goes() -> None:
    template = {"spec": {"containers": [{"name": "x"}]}}
    job = seen({"kind": "Job", "spec": {"template": template}}, annotations={keys.CONFIG: CONFIG})
    assert retried(job)["metadata"]["annotations"][keys.CONFIG] == CONFIG
    text = retried(job, memory="2Gi", deadline=90, retries=2, env={"A": "b"})
    config = parse_train_config(text["metadata"]["annotations"][keys.CONFIG])
    assert (config.resources.memory, config.resources.cpu) == ("2Gi", "1")
    assert (config.deadline, config.retries, config.env) == ("90s", 2, {"A": "b"})
    broken = seen(annotations={keys.CONFIG: "no: config"})
    assert keys.CONFIG not in retried(broken, retries=2)["metadata"]["annotations"]


def test_a_retry_without_a_run_points_at_none() -> None:
    env = [{"name": "MLFLOW_RUN_ID", "value": "old"}, {"name": "A", "value": "b"}]
    template = {
        "metadata": {"labels": {keys.RUN_ID: "old"}},
        "spec": {"containers": [{"name": "x", "env": env}]},
    }
    job = seen({"kind": "Job", "spec": {"template": template}}, labels={keys.RUN_ID: "old"})
    plan = plan_retry(SCOPE, job, Changes(), user="me", now=1.0)
    assert "old" not in json.dumps(plan.writes[0].body)
    parent = Parent(
        experiment_id="7", run_id="old", total_steps="9", tags={"mlflow.source.name": "x"}
    )
    plan = plan_retry(SCOPE, job, Changes(), user="me", now=1.0, parent=parent)
    create, steps, made, _ = plan.writes
    tags = {t["key"]: t["value"] for t in create.body["tags"]}
    assert (tags["mlflow.parentRunId"], tags["mlflow.source.name"]) == ("old", "x")
    assert steps.body["params"] == [{"key": "total_steps", "value": "9"}]
    filled = fill(made.body, {"run_id": "new"})
    assert filled["spec"]["template"]["metadata"]["labels"][keys.RUN_ID] == "new"
    assert not [line for line in as_text(plan) if "{{" in line or line.count("\n")]


def test_nodes_of_a_retry_find_each_other_under_its_own_name() -> None:
    env = [{"name": "MASTER_ADDR", "value": "a-0.a"}]
    template = {"spec": {"subdomain": "a", "containers": [{"name": "x", "env": env}]}}
    plan = plan_retry(
        SCOPE, seen({"kind": "Job", "spec": {"template": template}}), Changes(), user="me", now=1.0
    )
    made, service = plan.writes
    name = made.body["metadata"]["name"]
    spec = made.body["spec"]["template"]["spec"]
    assert spec["subdomain"] == service.body["metadata"]["name"] == name
    assert spec["containers"][0]["env"][0]["value"] == f"{name}-0.{name}"
    assert service.body["spec"]["selector"] == {keys.JOB_NAME: name}


@pytest.mark.parametrize("row", JOB_KINDS, ids=lambda r: r.kind)
def test_a_hold_is_pinned_to_what_was_seen(row: Any) -> None:
    job = seen({"kind": row.kind, "spec": {}})
    [write] = plan_hold(SCOPE, [job], suspend=True).writes
    uid, was, sets = write.body
    assert uid == {"op": "test", "path": "/metadata/uid", "value": job.uid}
    assert was["op"] == "test" and was["value"] is None and was["path"] == sets["path"]
    assert "only if uid uid-a and" in write.summary


def test_a_delete_is_pinned_to_the_uid_and_takes_the_pods_with_it_in_the_background() -> None:
    """Without a policy a Job leaves its pods; in the foreground it stays until they have ended."""
    body = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": "uid-a"},
        "propagationPolicy": "Background",
    }
    status = {"conditions": [{"type": "Complete", "status": "True"}]}
    over = seen({"kind": "Job", "spec": {}, "status": status})
    for plan in (plan_cancel(SCOPE, [seen()], now=1.0), plan_delete(SCOPE, [over])):
        assert [w.body for w in plan.writes if w.method == "DELETE"] == [body]
    target = Target(context="dev", kind="Job", namespace="ml", name="a")
    back = delete_job(target, "/x")
    assert back.body == {**body, "preconditions": {"uid": "{{mcp-tui.uid}}"}}


def test_what_is_on_its_way_out_is_left_alone() -> None:
    job = seen(deletionTimestamp="2026-01-01T00:00:00Z")
    for plan in (
        lambda: plan_cancel(SCOPE, [job], now=1.0),
        lambda: plan_hold(SCOPE, [job], suspend=True),
        lambda: plan_delete(SCOPE, [job]),
    ):
        with pytest.raises(RefusedError, match="being deleted already"):
            plan()
    with pytest.raises(UsageError, match="no job is chosen"):
        plan_cancel(SCOPE, [], now=1.0)


def outcome(status: OutcomeStatus, code: int = 0) -> Outcome:
    target = Target(context="dev", kind="Job", namespace="ml", name="a")
    return Outcome(target=target, status=status, message="", exit_code=code)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([outcome(OutcomeStatus.PROVEN)], ExitCode.OK),
        ([outcome(OutcomeStatus.PROVEN), outcome(OutcomeStatus.UNPROVEN)], ExitCode.UNREACHABLE),
        # One that was not sent because another's outcome is unknown hides that by no means.
        (
            [outcome(OutcomeStatus.UNKNOWN, 4), outcome(OutcomeStatus.FAILED, 3)],
            ExitCode.UNREACHABLE,
        ),
        (
            [outcome(OutcomeStatus.FAILED, 3), outcome(OutcomeStatus.UNKNOWN, 4)],
            ExitCode.UNREACHABLE,
        ),
        (
            [outcome(OutcomeStatus.UNKNOWN, 4), outcome(OutcomeStatus.FAILED, 5)],
            ExitCode.UNREACHABLE,
        ),
        ([outcome(OutcomeStatus.UNKNOWN, 3)], ExitCode.UNREACHABLE),
        ([outcome(OutcomeStatus.FAILED, 3), outcome(OutcomeStatus.UNPROVEN, 4)], ExitCode.REFUSED),
        ([outcome(OutcomeStatus.FAILED, 2)], ExitCode.REFUSED),
        ([outcome(OutcomeStatus.FAILED, 4)], ExitCode.UNREACHABLE),
        ([outcome(OutcomeStatus.FAILED, 5)], ExitCode.GONE),
        ([outcome(OutcomeStatus.UNPROVEN, 5)], ExitCode.GONE),
    ],
)
def test_exit_codes(outcomes: list[Outcome], code: ExitCode) -> None:
    assert exit_code(outcomes) == code


def test_the_ledger_of_an_interrupted_plan_says_what_is_known() -> None:
    plan: Plan = plan_cancel(SCOPE, [seen(name=n) for n in "abcde"], now=1.0)
    ledger = Ledger(plan)
    ledger.sent(plan.writes[0], {})
    ledger.fail(1, GoneError("b is gone"))
    ledger.fail(2, UnknownOutcomeError("no answer"))
    ledger.sending = plan.writes[3]
    a, b, c, d, e = ledger.as_known()
    assert (a.status, b.status, c.status) == (
        OutcomeStatus.UNPROVEN,
        OutcomeStatus.FAILED,
        OutcomeStatus.UNKNOWN,
    )
    assert d.status is OutcomeStatus.UNKNOWN and "on its way: delete jobs/d" in d.message
    assert e.status is OutcomeStatus.FAILED and "before anything of it was sent" in e.message


def test_a_target_that_failed_before_anything_left_for_it_says_so() -> None:
    plan: Plan = plan_cancel(SCOPE, [seen(name=n) for n in "abc"], now=1.0)
    ledger = Ledger(plan)
    ledger.sent(plan.writes[2], {})
    for index, left in ((0, False), (1, True), (2, False)):
        ledger.fail(index, UnreachableError("no answer"), left=left)
    told = [ledger.outcomes[index].message for index in range(3)]
    assert told == ["no answer; nothing was sent", "no answer", "no answer"]


def test_a_retry_shows_nothing_of_what_kubectl_keeps_for_itself() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"spec": "all of it"}'}
    old = {"metadata": {"name": "a", "annotations": applied}, "spec": {"x": 1}}
    new = {"metadata": {"name": "b", "annotations": {}}, "spec": {"x": 1}}
    changed = [line for line in diff(old, new) if not line.startswith(" ")]
    assert changed == ["-  name: a", "+  name: b"]
