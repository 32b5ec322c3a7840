"""The plan of a retry: a new object like an old one, which names it as its parent. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from mcp_tui.actions.jobs import Scope, Seen, confirmation, new_plan_id, ours_to_write
from mcp_tui.actions.kinds import JobKind
from mcp_tui.actions.parent import Parent
from mcp_tui.actions.renew import Changes, pod_templates, relink, renewed
from mcp_tui.actions.runs import (
    create_run,
    data_input,
    delete_job,
    fail_run,
    kill_run,
    log_inputs,
    log_total_steps,
    tag_run,
)
from mcp_tui.actions.template import placeholder, words
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Plan, Target, Verb, Write
from mcp_tui.domain.text import clean, clean_line

__all__ = ["Changes", "plan_retry"]


def plan_retry(
    scope: Scope,
    seen: Seen,
    changes: Changes,
    *,
    user: str,
    now: float,
    parent: Parent | None = None,
    queue_hold: bool = False,
) -> Plan:
    """A new job like one that ended (or runs), which names it as its parent.

    Args:
        user: Who submits it.
        now: Unix time in seconds.
        parent: What is known of the old job's run; a new one is made where it names an experiment.
        queue_hold: The job goes through Kueue, so it starts suspended.

    Raises:
        UsageError: A change that is no quantity, or that this kind cannot take.
        RefusedError: It belongs to another object, which would make it again itself.
    """
    ours_to_write(seen, leaving=True)
    parent = parent or Parent()
    plan_id = new_plan_id()
    manifest = renewed(seen, changes, plan_id=plan_id, user=user)
    if queue_hold and seen.kind.suspend:
        _hold(manifest, seen.kind)
    name = manifest["metadata"]["name"]
    target = Target(context=scope.context, kind=seen.kind.kind, namespace=seen.namespace, name=name)
    writes: list[Write] = []
    compensate: list[Write] = []
    interrupted: list[Write] = []
    service = _service(manifest, seen)
    if service is not None:
        compensate.append(delete_job(target, seen.kind.path(seen.namespace, name)))
    if parent.experiment_id:
        writes += _run_writes(parent, name=name, plan_id=plan_id, user=user, now=now)
        compensate.append(fail_run(now))
        interrupted.append(kill_run(now))
        relink(manifest, placeholder("run_id"), parent.experiment_id)
    else:
        relink(manifest, "", "")
    writes.append(
        Write(
            system="kubernetes",
            method="POST",
            path=seen.kind.path(seen.namespace),
            body=manifest,
            summary=f"create {seen.kind.plural}/{clean_line(name)}, parent {clean_line(seen.name)}",
            diff=diff(seen.obj, manifest),
            yields=(("uid", "metadata.uid"),),
        )
    )
    if service is not None:
        writes.append(service)
    if parent.experiment_id:
        writes.append(tag_run(target))
    notes = [] if changes else ["nothing changes but the name and the run"]
    notes += [parent.note] if parent.note else []
    return Plan(
        id=plan_id,
        verb=Verb.RETRY,
        context=scope.context,
        tier=scope.tier,
        targets=(target,),
        writes=tuple(writes),
        compensate=tuple(compensate),
        interrupted=tuple(interrupted),
        confirmation=confirmation(Verb.RETRY, scope.tier),
        until="the cluster takes it up",
        back="x cancels it",
        notes=tuple(notes),
    )


def _run_writes(parent: Parent, *, name: str, plan_id: str, user: str, now: float) -> list[Write]:
    tags = dict(parent.tags)
    if parent.run_id:
        tags["mlflow.parentRunId"] = parent.run_id
    writes = [
        create_run(parent.experiment_id, name=name, plan_id=plan_id, user=user, now=now, tags=tags)
    ]
    if parent.total_steps:
        writes.append(log_total_steps(parent.total_steps))
    if parent.data:
        # The same experiment: MLflow knows these data sets by name and digest, and only links them.
        data = [(each.dataset, {p.key: p.value for p in each.tags}) for each in parent.data]
        writes.append(
            log_inputs([data_input(d.name, d.digest, d.source_type, d.source, t) for d, t in data])
        )
    return writes


def _hold(manifest: dict[str, Any], kind: JobKind) -> None:
    """Start suspended, as Kueue wants what it is to admit."""
    *parents, last = kind.suspend.strip("/").split("/")
    node = manifest
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = True


def _service(manifest: Mapping[str, Any], seen: Seen) -> Write | None:
    """The headless Service under which the nodes of an indexed Job find each other.

    The old one is the old job's and goes with it; None where the pods name none.
    """
    name = manifest["metadata"]["name"]
    subdomains = {
        (template.get("spec") or {}).get("subdomain")
        for template in pod_templates(manifest, seen.kind)
    }
    if seen.kind.kind != "Job" or name not in subdomains:
        return None
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": placeholder("uid")}
    labels = manifest["metadata"]["labels"]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": seen.namespace,
            "labels": {k: labels[k] for k in (keys.MANAGED_BY, keys.PLAN_ID)},
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {keys.JOB_NAME: name},
        },
    }
    return Write(
        system="kubernetes",
        method="POST",
        path=f"/api/v1/namespaces/{seen.namespace}/services",
        body=body,
        summary=f"create services/{name}, under which its nodes find each other",
        diff=(f"+ Service {clean_line(seen.namespace)}/{clean_line(name)}",),
    )


_NOT_SHOWN = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation")


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines of a diff of two objects as YAML, without what the server sets; safe to show."""
    import yaml

    def text(obj: Mapping[str, Any]) -> list[str]:
        shown = {k: v for k, v in obj.items() if k != "status"}
        metadata = dict(shown.get("metadata") or {})
        for key in _NOT_SHOWN:
            metadata.pop(key, None)
        # kubectl's copy of the whole object, on one line: a new object has none, and needs none.
        annotations = dict(metadata.get("annotations") or {})
        annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
        shown["metadata"] = {**metadata, "annotations": annotations}
        dumped = yaml.safe_dump(shown, sort_keys=True, width=1000)
        return clean(words(dumped), limit=1_000_000).splitlines()

    lines = difflib.unified_diff(text(old), text(new), lineterm="", n=1)
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))
