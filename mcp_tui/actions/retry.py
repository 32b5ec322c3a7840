"""The plan of a retry: a new object like an old one, which names it as its parent. Pure."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_tui.actions.jobs import Scope, Seen, confirmation, new_plan_id
from mcp_tui.actions.kinds import JobKind
from mcp_tui.actions.runs import create_run, fail_run, tag_run
from mcp_tui.actions.template import placeholder
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Plan, Target, Verb, Write
from mcp_tui.domain.text import clean, clean_line
from mcp_tui.errors import UsageError


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a retry does differently; None and empty mean as before.

    Attributes:
        memory: Quantity for requests and limits of the training container.
        cpu: Quantity for its CPU request (and limit, where it had one).
        deadline: Seconds; 0 removes it.
        retries: ``backoffLimit``.
        env: Variables to set.
    """

    memory: str | None = None
    cpu: str | None = None
    deadline: int | None = None
    retries: int | None = None
    env: Mapping[str, str] = {}

    def __bool__(self) -> bool:
        return self != Changes()


def plan_retry(
    scope: Scope,
    seen: Seen,
    changes: Changes,
    *,
    user: str,
    now: float,
    experiment_id: str = "",
    queue_hold: bool = False,
) -> Plan:
    """A new job like one that ended (or runs), which names it as its parent.

    Args:
        user: Who submits it.
        now: Unix time in seconds.
        experiment_id: MLflow's; a new run is made in it when given.
        queue_hold: The job goes through Kueue, so it starts suspended.

    Raises:
        UsageError: A change that this kind cannot take.
    """
    plan_id = new_plan_id()
    manifest = renewed(seen, changes, plan_id=plan_id, user=user)
    if queue_hold and seen.kind.suspend:
        manifest["spec"]["suspend"] = True
    writes: list[Write] = []
    compensate: list[Write] = []
    name = manifest["metadata"]["name"]
    if experiment_id:
        writes.append(
            create_run(
                experiment_id,
                name=name,
                plan_id=plan_id,
                user=user,
                now=now,
                tags={"mlflow.parentRunId": seen.run_id} if seen.run_id else {},
            )
        )
        compensate.append(fail_run(now))
        relink(manifest, placeholder("run_id"), experiment_id)
    else:
        relink(manifest, "", "")
    target = Target(context=scope.context, kind=seen.kind.kind, namespace=seen.namespace, name=name)
    writes.append(
        Write(
            system="kubernetes",
            method="POST",
            path=seen.kind.path(seen.namespace),
            body=manifest,
            summary=f"create {seen.kind.plural}/{name}, parent {clean_line(seen.name)}",
            diff=diff(seen.obj, manifest),
            yields=(("uid", "metadata.uid"),),
        )
    )
    if experiment_id:
        writes.append(tag_run(target))
    return Plan(
        id=plan_id,
        verb=Verb.RETRY,
        context=scope.context,
        tier=scope.tier,
        targets=(target,),
        writes=tuple(writes),
        compensate=tuple(compensate),
        confirmation=confirmation(Verb.RETRY, scope.tier),
        until="the cluster takes it up",
        back="x cancels it",
        notes=() if changes else ("nothing changes but the name and the run",),
    )


# What the server or a controller wrote: a new object must not carry it.
_SERVER_LABELS = (
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
)


def renewed(seen: Seen, changes: Changes, *, plan_id: str, user: str) -> dict[str, Any]:
    """The manifest of a new object like an old one: server-set fields gone, a new name, changes.

    Raises:
        UsageError: A change that this kind cannot take.
    """
    old = copy.deepcopy(dict(seen.obj))
    metadata = old.get("metadata") or {}
    base = metadata.get("name", "job")
    annotations = {
        k: v
        for k, v in (metadata.get("annotations") or {}).items()
        if not k.startswith(("kubectl.kubernetes.io/", "batch.kubernetes.io/", "deployment."))
    }
    annotations[keys.PARENT] = seen.name
    annotations[keys.SUBMITTED_BY] = user
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k not in _SERVER_LABELS}
    labels[keys.MANAGED_BY] = keys.MANAGER
    labels[keys.PLAN_ID] = plan_id
    spec = old.get("spec") or {}
    if seen.kind.kind == "Job":
        spec.pop("selector", None)
        spec.pop("manualSelector", None)
        spec["suspend"] = False
    elif seen.kind.suspend:
        parts = seen.kind.suspend.strip("/").split("/")[1:]
        parent = spec
        for part in parts[:-1]:
            parent = parent.get(part) or {}
        parent.pop(parts[-1], None)
    manifest: dict[str, Any] = {
        "apiVersion": seen.kind.api_version,
        "kind": seen.kind.kind,
        "metadata": {
            "name": retry_name(base, plan_id),
            "namespace": seen.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    }
    for template in pod_templates(manifest, seen.kind):
        template_labels = (template.get("metadata") or {}).get("labels") or {}
        for key in _SERVER_LABELS:
            template_labels.pop(key, None)
        (template.get("metadata") or {}).pop("creationTimestamp", None)
        if keys.PLAN_ID in template_labels:
            template_labels[keys.PLAN_ID] = plan_id
    _change(manifest, seen.kind, changes)
    return manifest


def retry_name(base: str, plan_id: str) -> str:
    """A name for a retry: the old base with this plan's suffix, at most 52 characters so that the
    names of a Job's pods stay within 63."""
    stem, _, tail = base.rpartition("-")
    if stem and len(tail) == 6 and all(c in "0123456789abcdef" for c in tail):
        base = stem
    return f"{base[:45].rstrip('-.')}-{plan_id[:6]}"


def pod_templates(manifest: Mapping[str, Any], kind: JobKind) -> list[dict[str, Any]]:
    """Every pod template inside an object."""
    found: list[dict[str, Any]] = []
    for path in kind.templates:
        level: list[Any] = [manifest]
        for part in path.split("."):
            following: list[Any] = []
            for node in level:
                if part == "*":
                    following += list(node.values()) if isinstance(node, dict) else list(node)
                elif isinstance(node, Mapping) and node.get(part) is not None:
                    following.append(node[part])
            level = following
        found += [node for node in level if isinstance(node, dict)]
    return found


def _change(manifest: dict[str, Any], kind: JobKind, changes: Changes) -> None:
    spec = manifest["spec"]
    if changes.deadline is not None or changes.retries is not None:
        policy = spec.setdefault("runPolicy", {}) if kind.kind == "PyTorchJob" else spec
        if kind.kind not in ("Job", "PyTorchJob", "RayJob"):
            raise UsageError(f"a {kind.kind} takes no deadline or retries of its own")
        if changes.deadline is not None:
            if changes.deadline:
                policy["activeDeadlineSeconds"] = changes.deadline
            else:
                policy.pop("activeDeadlineSeconds", None)
        if changes.retries is not None:
            policy["backoffLimit"] = changes.retries
    if kind.kind == "TrainJob":
        trainer = spec.setdefault("trainer", {})
        if changes.memory or changes.cpu:
            _resources(trainer.setdefault("resourcesPerNode", {}), changes)
        if changes.env:
            _env(trainer, changes.env)
        return
    if not (changes.memory or changes.cpu or changes.env):
        return
    for template in pod_templates(manifest, kind):
        container = (template.get("spec", {}).get("containers") or [{}])[0]
        if changes.memory or changes.cpu:
            _resources(container.setdefault("resources", {}), changes)
        if changes.env:
            _env(container, changes.env)


def _resources(resources: dict[str, Any], changes: Changes) -> None:
    requests = resources.setdefault("requests", {})
    if changes.memory:
        requests["memory"] = changes.memory
        resources.setdefault("limits", {})["memory"] = changes.memory
    if changes.cpu:
        requests["cpu"] = changes.cpu
        if "cpu" in (resources.get("limits") or {}):
            resources["limits"]["cpu"] = changes.cpu


def _env(container: dict[str, Any], env: Mapping[str, str]) -> None:
    kept = [e for e in container.get("env") or [] if e.get("name") not in env]
    container["env"] = kept + [{"name": k, "value": v} for k, v in env.items()]


def relink(manifest: dict[str, Any], run_id: str, experiment_id: str) -> None:
    """Point every reference to the old run at a new one, or drop it when there is none."""
    metadata = manifest["metadata"]
    metadata["labels"].pop(keys.RUN_ID, None)
    if run_id:
        metadata["labels"][keys.RUN_ID] = run_id
        metadata["annotations"][keys.EXPERIMENT_ID] = experiment_id

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            labels = node.get("labels")
            if isinstance(labels, dict) and keys.RUN_ID in labels and node is not metadata:
                if run_id:
                    labels[keys.RUN_ID] = run_id
                else:
                    del labels[keys.RUN_ID]
            env = node.get("env")
            if isinstance(env, list):
                node["env"] = [
                    {**e, "value": run_id} if e.get("name") == "MLFLOW_RUN_ID" else e
                    for e in env
                    if run_id or e.get("name") != "MLFLOW_RUN_ID"
                ]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(manifest["spec"])


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines of a diff of two objects as YAML, without what the server sets."""
    import yaml

    def text(obj: Mapping[str, Any]) -> list[str]:
        shown = {k: v for k, v in obj.items() if k not in ("status",)}
        metadata = dict(shown.get("metadata") or {})
        for key in ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"):
            metadata.pop(key, None)
        shown["metadata"] = metadata
        return clean(yaml.safe_dump(shown, sort_keys=True, width=1000)).splitlines()

    lines = difflib.unified_diff(text(old), text(new), lineterm="", n=1)
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))
