"""What may not be done is said before anything is sent: RBAC, admission, quota, read-only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_tui.actions.jobs import plan_cancel, plan_hold
from mcp_tui.actions.retry import Changes
from mcp_tui.domain.plan import CheckStatus, OutcomeStatus, Plan
from mcp_tui.errors import RefusedError
from tests.cluster import Ground
from tests.faults.acting import Actor, acting

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{}"
POLICIES = "/apis/admissionregistration.k8s.io/v1"


async def cancelling(actor: Actor) -> Plan:
    plan = plan_cancel(actor.engine.scope, [await actor.make("a")], now=1.0)
    return await actor.engine.check(plan)


@pytest.mark.parametrize("identity", ["viewer", "nowatch"])
async def test_who_may_only_look_is_told_so(
    ground: Ground, namespace: str, tmp_path: Path, identity: str
) -> None:
    async with acting(ground, namespace, tmp_path, identity=identity) as actor:
        plan = await cancelling(actor)
        [check] = plan.blocked
        assert check.name == "rbac"
        assert check.message.startswith(f"you may not delete jobs.batch in {namespace}")
        with pytest.raises(RefusedError, match="you may not delete"):
            await actor.apply(plan)
        assert actor.writes() == [] and actor.engine.journal.actions() == []
        assert not [c for c in actor.kube.calls if "dryRun" in c.target]


async def test_an_operator_may(ground: Ground, namespace: str, tmp_path: Path) -> None:
    async with acting(ground, namespace, tmp_path, identity="operator") as actor:
        plan = await cancelling(actor)
        assert [c.status for c in plan.checks] == [CheckStatus.PASSED] * 2
        [outcome] = await actor.apply(plan)
        assert outcome.status is OutcomeStatus.PROVEN
        assert actor.engine.journal.actions()[0].started.user == "operator"
        assert not [s for s in actor.said if "warning" in s]


async def test_without_the_watch_verb_the_effect_is_seen_by_asking(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path, identity="nowatch") as actor:
        rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["patch", "delete"]}]
        await actor.api(
            "POST", RBAC.format(namespace, "roles"), {"metadata": {"name": "w"}, "rules": rules}
        )
        user = {"kind": "User", "name": "nowatch", "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "Role", "name": "w", "apiGroup": "rbac.authorization.k8s.io"}
        await actor.api(
            "POST",
            RBAC.format(namespace, "rolebindings"),
            {"metadata": {"name": "w"}, "subjects": [user], "roleRef": role},
        )
        seen = await actor.make("a")
        end = time.monotonic() + 10
        plan = plan_hold(actor.engine.scope, [seen], suspend=True)
        while (checked := await actor.engine.check(plan)).blocked:
            assert time.monotonic() < end, checked.blocked
        [outcome] = await actor.apply(checked)
        assert outcome.status is OutcomeStatus.PROVEN, outcome
        # It may not make Events: said, and no failure.
        assert any("warning: not recorded as an Event" in line for line in actor.said)


async def test_read_only_sends_nothing_and_a_dry_run_only_dry_runs(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path, read_only=True) as actor:
        plan = await cancelling(actor)
        assert [c.message for c in plan.blocked] == ["read-only: nothing is sent"]
        with pytest.raises(RefusedError, match="read-only"):
            await actor.apply(plan)
        # A review of oneself is a POST that stores nothing: it is on the list of reads.
        posts = [c.target for c in actor.kube.calls if c.method != "GET"]
        assert all("/selfsubject" in target for target in posts), posts
    async with acting(ground, namespace, tmp_path, dry_run=True) as actor:
        seen = await actor.see("a")
        scope = actor.engine.scope
        for made in (
            plan_cancel(scope, [seen], now=1.0),
            plan_hold(scope, [seen], suspend=True),
            await actor.engine.plan_retry(seen, Changes(memory="1Gi"), now=1.0),
        ):
            plan = await actor.engine.check(made)
            assert not plan.blocked and plan.checks[-1].message == "dry run accepted by the server"
            # Even if it were applied, the gate would not let it leave.
            [outcome] = await actor.apply(plan)
            assert outcome.status is OutcomeStatus.FAILED
        assert actor.writes() == []
        assert actor.kube.count("dryRun=All") == 3
        assert not await actor.gone(actor.path("a"))


async def test_a_quota_speaks_through_the_dry_run(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        seen = await actor.make("a")
        quota = {"metadata": {"name": "few"}, "spec": {"hard": {"count/jobs.batch": "1"}}}
        path = f"/api/v1/namespaces/{namespace}/resourcequotas"
        await actor.api("POST", path, quota)
        end = time.monotonic() + 20
        while not (await actor.api("GET", f"{path}/few")).get("status", {}).get("used"):
            assert time.monotonic() < end
        made = await actor.engine.plan_retry(seen, Changes(), now=1.0)
        [check] = (await actor.engine.check(made)).blocked
        assert check.name == "dry run"
        assert "exceeded quota: few, requested: count/jobs.batch=1" in check.message


@pytest.fixture
def policy(ground: Ground, namespace: str) -> Iterator[str]:
    """An admission policy for one namespace; its words."""
    words = "no job is suspended on a Friday"
    name = f"{namespace}-policy"
    rules = [
        {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"],
         "resources": ["jobs"]}
    ]  # fmt: skip
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    match = {"namespaceSelector": selector, "resourceRules": rules}
    made = f"{POLICIES}/validatingadmissionpolicies"
    bound = f"{POLICIES}/validatingadmissionpolicybindings"
    body = {
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": match,
            "validations": [{"expression": "object.spec.suspend != true", "message": words}],
        },
    }
    ground.api("POST", made, body).ok()
    spec = {"policyName": name, "validationActions": ["Deny"]}
    ground.api("POST", bound, {"metadata": {"name": name}, "spec": spec}).ok()
    yield words
    ground.api("DELETE", f"{bound}/{name}")
    ground.api("DELETE", f"{made}/{name}")


async def test_an_admission_policy_speaks_through_the_dry_run(
    ground: Ground, namespace: str, tmp_path: Path, policy: str
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        seen = await actor.make("a")
        end = time.monotonic() + 30
        while True:
            plan = plan_hold(actor.engine.scope, [seen], suspend=True)
            checked = await actor.engine.check(plan)
            if checked.blocked:
                break
            assert time.monotonic() < end, "the policy is not in force"
        assert policy in checked.blocked[0].message and actor.writes() == []
        # Also when it came into force after the check.
        [outcome] = await actor.apply(plan)
        assert outcome.status is OutcomeStatus.FAILED and policy in outcome.message
