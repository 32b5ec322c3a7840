"""The engine of one context: sees objects, checks plans, applies them, proves and records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from mcp_tui.actions.apply import Progress, apply
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.journal import Journal
from mcp_tui.actions.kinds import kind_of
from mcp_tui.actions.prove import prove
from mcp_tui.actions.retry import Changes, plan_retry
from mcp_tui.actions.submit import Tracking
from mcp_tui.actions.template import fill, pick
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Check, CheckStatus, Outcome, Plan, Target, Verb, Write
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import (
    ApiError,
    GoneError,
    McpTuiError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.gate import is_canonical
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient

_RBAC_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
_PAST: Mapping[Verb, str] = {
    Verb.SUBMIT: "submitted",
    Verb.CANCEL: "cancelled",
    Verb.SUSPEND: "suspended",
    Verb.RESUME: "resumed",
    Verb.RETRY: "submitted again",
    Verb.DELETE: "deleted",
}
# Stands in for what a dry run cannot know yet: valid where an id or a uid is wanted.
_DUMMIES = {
    "run_id": "0" * 32,
    "experiment_id": "0",
    "uid": "00000000-0000-0000-0000-000000000000",
}


class Engine:
    """Acts on one cluster and the MLflow that goes with it.

    Args:
        kube: The cluster's client; its gate decides what may leave.
        mlflow: MLflow's, or None where there is none.
        scope: The context and its tier.
        journal: Where actions are written down before they happen.
        proof_timeout: Seconds to wait for an effect to be seen.
    """

    def __init__(
        self,
        kube: KubeClient,
        mlflow: MlflowClient | None,
        scope: Scope,
        journal: Journal,
        *,
        proof_timeout: float = 60.0,
    ) -> None:
        self.kube = kube
        self.mlflow_client = mlflow
        self.scope = scope
        self.journal = journal
        self.proof_timeout = proof_timeout
        self._user: str | None = None

    async def user(self) -> str:
        """Who the cluster says we are; what the kubeconfig calls it where it will not say."""
        if self._user is None:
            try:
                self._user = (await self.kube.whoami()).username
            except (ApiError, RefusedError):
                # Older servers have no SelfSubjectReview.
                self._user = clean_line(self.kube.context.user)
        return self._user

    async def see(self, kind: str, namespace: str, name: str, uid: str = "") -> Seen:
        """The job as it is now, with its Workload and its run.

        Args:
            uid: Of the object that was on screen; empty when it was only named.

        Raises:
            GoneError: It is not there, or another one has its name now.
        """
        row = kind_of(kind)
        try:
            obj = await self.kube.get(row.path(namespace, name), dict[str, Any])
        except ApiError as error:
            if error.status == 404:
                raise GoneError(
                    f"{clean_line(name)} is not there",
                    where=f"{row.plural} in {clean_line(namespace)} of {self.scope.context}",
                ) from None
            raise
        if uid and pick(obj, "metadata.uid") != uid:
            raise GoneError(
                f"{clean_line(name)} was replaced by another object of that name",
                hint="look at it again",
            )
        obj.setdefault("kind", row.kind)
        return Seen(obj=obj, kind=row, workload=await self._workload(obj), run_id=run_id_of(obj))

    async def _workload(self, obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
        namespace, uid = pick(obj, "metadata.namespace"), pick(obj, "metadata.uid")
        labels = (obj.get("metadata") or {}).get("labels") or {}
        if keys.QUEUE_NAME not in labels:
            return None
        for version in ("v1beta2", "v1beta1"):
            path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{namespace}/workloads"
            try:
                found = await self.kube.get(path, dict[str, Any])
            except ApiError as error:
                if error.status == 404:
                    continue
                raise
            for item in found.get("items") or ():
                owners = (item.get("metadata") or {}).get("ownerReferences") or ()
                if any(owner.get("uid") == uid for owner in owners):
                    return {"apiVersion": f"kueue.x-k8s.io/{version}", **item}
            return None
        return None

    async def check(self, plan: Plan) -> Plan:
        """Fill in a plan's checks: read-only, permission, the server's own dry run, MLflow.

        Nothing is written. A check that could not be made is UNKNOWN and blocks nothing, except
        that an unreachable server fails its own.
        """
        if self.kube.gate.read_only:
            refused = Check(
                name="mode", status=CheckStatus.FAILED, message="read-only: nothing is sent"
            )
            return msgspec.structs.replace(plan, checks=(*plan.checks, refused))
        kube_writes = [w for w in plan.writes if w.system == "kubernetes"]
        allowed = await asyncio.gather(*(self._allowed(w) for w in _distinct(kube_writes)))
        checks = [*plan.checks, *allowed]
        if not any(c.status is CheckStatus.FAILED for c in allowed):
            dry = await asyncio.gather(*(self._dry_run(w) for w in kube_writes))
            checks += [c for c in dry if c.status is not CheckStatus.PASSED]
            if dry and all(c.status is CheckStatus.PASSED for c in dry):
                checks.append(dry[0])
        if any(w.system == "mlflow" for w in plan.writes):
            checks.append(await self._mlflow_answers(plan))
        return msgspec.structs.replace(plan, checks=tuple(checks))

    async def _allowed(self, write: Write) -> Check:
        group, resource, namespace, name = _resource_of(write.path)
        verb = _RBAC_VERBS[write.method]
        what = f"{verb} {resource}{'.' + group if group else ''} in {namespace}"
        try:
            answer = await self.kube.can_i(verb, group, resource, namespace, name)
        except ApiError as error:
            return Check(name="rbac", status=CheckStatus.UNKNOWN, message=error.line())
        except McpTuiError as error:
            return Check(name="rbac", status=CheckStatus.FAILED, message=error.line())
        if answer.allowed:
            return Check(name="rbac", status=CheckStatus.PASSED, message=f"you may {what}")
        reason = f" ({answer.reason})" if answer.reason else ""
        return Check(name="rbac", status=CheckStatus.FAILED, message=f"you may not {what}{reason}")

    async def _dry_run(self, write: Write) -> Check:
        path, _, query = fill(write.path, _DUMMIES).partition("?")
        try:
            await self.kube.send(
                write.method,
                path,
                fill(write.body, _DUMMIES),
                dict[str, Any],
                params=[*parse_qsl(query), ("dryRun", "All")],
                content_type=write.content_type,
            )
        except McpTuiError as error:
            return Check(
                name="dry run",
                status=CheckStatus.FAILED,
                message=f"{write.summary}: {error.line()}",
            )
        return Check(
            name="dry run", status=CheckStatus.PASSED, message="dry run accepted by the server"
        )

    async def _mlflow_answers(self, plan: Plan) -> Check:
        needed = any(w.system == "mlflow" and not w.optional for w in plan.writes)
        bad = CheckStatus.FAILED if needed else CheckStatus.WARNING
        if self.mlflow_client is None:
            return Check(name="mlflow", status=bad, message="no MLflow is configured")
        try:
            await self.mlflow_client.version()
        except McpTuiError as error:
            return Check(name="mlflow", status=bad, message=error.line())
        return Check(name="mlflow", status=CheckStatus.PASSED, message="MLflow answers")

    async def plan_retry(
        self, seen: Seen, changes: Changes, *, now: float, with_run: bool = True
    ) -> Plan:
        """Plan a retry: with a new run in the old run's experiment, where there was one.

        Raises:
            UnreachableError: MLflow cannot be asked; without a run it goes on.
        """
        experiment_id = ""
        if with_run and seen.run_id and self.mlflow_client is not None:
            try:
                run = await self.mlflow_client.get_run(seen.run_id)
                experiment_id = run.info.experiment_id
            except ApiError as error:
                if error.status != 404:
                    raise
        labels = (seen.obj.get("metadata") or {}).get("labels") or {}
        return plan_retry(
            self.scope,
            seen,
            changes,
            user=await self.user(),
            now=now,
            experiment_id=experiment_id,
            queue_hold=keys.QUEUE_NAME in labels,
        )

    async def tracking(self, experiment: str, uri: str) -> Tracking:
        """Where a submission's run goes: the experiment looked up by name.

        Raises:
            UnreachableError: MLflow cannot be asked, or there is none.
        """
        if self.mlflow_client is None:
            raise UnreachableError(
                "no MLflow is configured",
                where=self.scope.context,
                hint="set mlflow for this context, or go on without a run",
            )
        found = await self.mlflow_client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage == "deleted":
            raise UsageError(
                f"experiment {clean_line(experiment)!r} is deleted in MLflow",
                hint="restore it, or name another",
            )
        found_id = found.experiment_id if found is not None else ""
        return Tracking(experiment=experiment, experiment_id=found_id, uri=uri)

    async def apply(self, plan: Plan, *, progress: Progress) -> tuple[Outcome, ...]:
        """Apply a confirmed plan; see :func:`mcp_tui.actions.apply.apply`.

        Returns:
            One outcome a target, in the plan's order.
        """
        outcomes, applied = await apply(
            plan,
            self,
            journal=self.journal,
            prove=self._prove,
            record=self._record,
            user=await self.user(),
            progress=progress,
        )
        for warning in applied.warnings:
            progress(f"warning: {warning}")
        return outcomes

    async def _prove(self, plan: Plan, target: Target) -> Outcome:
        return await prove(self.kube, plan, target, timeout=self.proof_timeout)

    async def _record(self, plan: Plan, target: Target, outcome: Outcome) -> None:
        """Leave a Kubernetes Event on the object, so that others see who did what."""
        user = await self.user()
        row = kind_of(target.kind)
        now = _rfc3339()
        message = f"{_PAST[plan.verb]} by {user} with mcp-tui (plan {plan.id[:8]}): "
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "generateName": f"{target.name[:40].rstrip('-.')}-mcp-tui-",
                "namespace": target.namespace,
                "labels": {keys.MANAGED_BY: keys.MANAGER, keys.PLAN_ID: plan.id},
            },
            "involvedObject": {
                "apiVersion": row.api_version,
                "kind": target.kind,
                "namespace": target.namespace,
                "name": target.name,
                "uid": target.uid,
            },
            "reason": f"Job{plan.verb.value.capitalize()}",
            "message": (message + one_line(outcome.message))[:1000],
            "type": "Normal",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": keys.MANAGER},
            "reportingComponent": keys.MANAGER,
            "reportingInstance": "",
        }
        await self.kube.send(
            "POST", f"/api/v1/namespaces/{target.namespace}/events", body, dict[str, Any]
        )

    # How writes leave (the Wire protocol of apply.py).

    async def kubernetes(
        self, method: str, path: str, body: Any, content_type: str
    ) -> dict[str, Any]:
        """Send one call to the API server."""
        bare, _, query = path.partition("?")
        if not is_canonical(bare):
            raise RefusedError(f"not a path that is sent: {clean_line(bare, limit=200)}")
        params = parse_qsl(query)
        if method == "GET":
            return await self.kube.get(bare, dict[str, Any], params=params)
        return await self.kube.send(
            method, bare, body, dict[str, Any], params=params, content_type=content_type
        )

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send one call to MLflow."""
        if self.mlflow_client is None:
            raise UnreachableError("no MLflow is configured", where=self.scope.context)
        answer: dict[str, Any] = await self.mlflow_client.call(method, path, body)
        return answer

    async def find_run(self, plan_id: str, experiment_id: str) -> str:
        """The id of the run that a plan made; empty when there is none."""
        if self.mlflow_client is None:
            return ""
        run = await self.mlflow_client.find_run_by_plan(plan_id, (experiment_id,))
        return run.info.run_id if run else ""


def run_id_of(obj: Mapping[str, Any]) -> str:
    """The MLflow run that a job names: by our label, else by ``MLFLOW_RUN_ID`` in a container."""
    labels = (obj.get("metadata") or {}).get("labels") or {}
    if labels.get(keys.RUN_ID):
        return clean_line(str(labels[keys.RUN_ID]))
    found: list[str] = []

    def walk(node: Any, depth: int) -> None:
        if depth > 16 or found:
            return
        if isinstance(node, Mapping):
            found.extend(
                str(variable.get("value") or "")
                for variable in node.get("env") or ()
                if isinstance(variable, Mapping) and variable.get("name") == "MLFLOW_RUN_ID"
            )
            for value in node.values():
                walk(value, depth + 1)
        elif isinstance(node, list):
            for value in node:
                walk(value, depth + 1)

    walk(obj.get("spec") or {}, 0)
    return clean_line(found[0]) if found else ""


def _distinct(writes: list[Write]) -> list[Write]:
    """One write of each permission that is needed; names count, as RBAC may name objects."""
    seen: dict[tuple[str, str], Write] = {}
    for write in writes:
        seen.setdefault((write.method, write.path), write)
    return list(seen.values())[:50]


def _resource_of(path: str) -> tuple[str, str, str, str]:
    """Group, resource, namespace and name of a namespaced path."""
    parts = path.partition("?")[0].strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[parts.index("namespaces") + 1 :]
    return group, rest[1], rest[0], rest[2] if len(rest) > 2 else ""


def _rfc3339() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
