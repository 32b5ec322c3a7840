"""The manifest of a retry: a new object like an old one. Pure."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from mcp_tui.actions.jobs import Seen
from mcp_tui.actions.kinds import JobKind
from mcp_tui.domain import keys, quantity
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import dump, parse_train_config
from mcp_tui.errors import McpTuiError, UsageError


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


MAX_NAME: Final = 52
"""A pod is called ``<job>-<index>-<5 characters>``, and its host name has at most 63."""

# What the server or a controller wrote: a new object must not carry it.
_SERVER_LABELS: Final = (
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
)
# What a deployment tool tracks its own objects by: with a copy of it, it would take the new object
# for one that nobody wants any more, and delete it.
_TRACKING: Final = (
    "argocd.argoproj.io/",
    "meta.helm.sh/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
)
_SERVER_ANNOTATIONS: Final = ("kubectl.kubernetes.io/last-applied", "batch.kubernetes.io/")
_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
_TRAINERS: Final = ("trainer", "pytorch")


def renewed(seen: Seen, changes: Changes, *, plan_id: str, user: str) -> dict[str, Any]:
    """A new object like an old one: server-set fields gone, a new name, changes made.

    Raises:
        UsageError: A change that is no quantity, or that this kind cannot take.
    """
    old = copy.deepcopy(dict(seen.raw if seen.raw is not None else seen.obj))
    metadata = old.get("metadata") or {}
    labels = _kept(metadata.get("labels"), _SERVER_LABELS + _TRACKING)
    annotations = _kept(metadata.get("annotations"), _SERVER_ANNOTATIONS + _TRACKING)
    name = retry_name(seen.name, labels, plan_id)
    labels[keys.MANAGED_BY] = keys.MANAGER
    labels[keys.PLAN_ID] = plan_id
    annotations[keys.PARENT] = seen.name
    annotations[keys.SUBMITTED_BY] = user
    if changes and keys.CONFIG in annotations:
        config = in_step(annotations.pop(keys.CONFIG), changes)
        annotations |= {keys.CONFIG: config} if config else {}
    spec = old.get("spec") or {}
    _release(spec, seen.kind)
    manifest: dict[str, Any] = {
        "apiVersion": seen.kind.api_version,
        "kind": seen.kind.kind,
        "metadata": {
            "name": name,
            "namespace": seen.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    }
    for template in pod_templates(manifest, seen.kind):
        (template.get("metadata") or {}).pop("creationTimestamp", None)
        _rename(template, seen.name, name)
    for node in _mappings(spec):
        inner = node.get("labels")
        if isinstance(inner, dict):
            for key in _SERVER_LABELS:
                inner.pop(key, None)
            if keys.PLAN_ID in inner:
                inner[keys.PLAN_ID] = plan_id
    _change(manifest, seen.kind, changes)
    return manifest


def _kept(values: Mapping[str, str] | None, without: tuple[str, ...]) -> dict[str, str]:
    return {k: v for k, v in (values or {}).items() if not k.startswith(without)}


def _release(spec: dict[str, Any], kind: JobKind) -> None:
    """Drop what the server set, and what held the old object."""
    if kind.kind == "Job":
        spec.pop("selector", None)
        spec.pop("manualSelector", None)
        spec["suspend"] = False
    elif kind.suspend:
        *parents, last = kind.suspend.strip("/").split("/")[1:]
        parent = spec
        for part in parents:
            parent = parent.get(part) or {}
        parent.pop(last, None)


def _rename(template: dict[str, Any], old: str, new: str) -> None:
    """Nodes that found each other under the old job's name do so under the new one's."""
    spec = template.get("spec") or {}
    if spec.get("subdomain") != old:
        return
    spec["subdomain"] = new
    for container in spec.get("containers") or ():
        for variable in container.get("env") or ():
            if isinstance(variable.get("value"), str):
                variable["value"] = variable["value"].replace(f"{old}-0.{old}", f"{new}-0.{new}")


def retry_name(old: str, labels: Mapping[str, str], plan_id: str) -> str:
    """A name for a retry: the old base with this plan's suffix, at most 52 characters.

    Args:
        old: The old name.
        labels: Of the old object; they tell whether its suffix was ours.
    """
    base, dash, tail = old.rpartition("-")
    made_by = labels.get(keys.PLAN_ID, "")
    ours = (made_by[:6], hashlib.sha256(made_by.encode()).hexdigest()[:6])
    if not (dash and base and made_by and tail in ours):
        base = old
    return f"{base[: MAX_NAME - 7].rstrip('-.')}-{plan_id[:6]}"


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


def _mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside plain data, itself included."""
    if isinstance(node, dict):
        yield node
        for value in list(node.values()):
            yield from _mappings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _mappings(value)


def _change(manifest: dict[str, Any], kind: JobKind, changes: Changes) -> None:
    for name, given in (("memory", changes.memory), ("cpu", changes.cpu)):
        if given and not (quantity.parse(given) or 0) > 0:
            raise UsageError(
                f"{name} {clean_line(given, limit=60)!r} is no quantity",
                hint="such as 128Gi" if name == "memory" else "such as 8 or 500m",
            )
    spec = manifest["spec"]
    _limit(spec, kind, changes)
    if not (changes.memory or changes.cpu or changes.env):
        return
    if kind.kind == "TrainJob":
        trainer = spec.setdefault("trainer", {})
        if changes.memory or changes.cpu:
            _resources(trainer.setdefault("resourcesPerNode", {}), changes)
        _env(trainer, changes.env)
        return
    containers = [training_container(t) for t in pod_templates(manifest, kind)]
    if not containers:
        raise UsageError(f"this {kind.kind} has no container to change")
    for container in containers:
        if changes.memory or changes.cpu:
            _resources(container.setdefault("resources", {}), changes)
        _env(container, changes.env)


def _limit(spec: dict[str, Any], kind: JobKind, changes: Changes) -> None:
    if changes.deadline is None and changes.retries is None:
        return
    if kind.kind not in ("Job", "PyTorchJob", "RayJob"):
        raise UsageError(f"a {kind.kind} takes no deadline or retries of its own")
    policy = spec.setdefault("runPolicy", {}) if kind.kind == "PyTorchJob" else spec
    if changes.deadline:
        policy["activeDeadlineSeconds"] = changes.deadline
    elif changes.deadline is not None:
        policy.pop("activeDeadlineSeconds", None)
    if changes.retries is not None:
        # An indexed Job may count by index; the sum is then the server's default, out of reach.
        per_index = "backoffLimitPerIndex" in policy
        policy["backoffLimitPerIndex" if per_index else "backoffLimit"] = changes.retries


def training_container(template: Mapping[str, Any]) -> dict[str, Any]:
    """The container that trains: the pod's default one, else by its usual name, else the first."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    wanted = (annotations.get(_DEFAULT_CONTAINER), *_TRAINERS)
    containers: list[dict[str, Any]] = (template.get("spec") or {}).get("containers") or []
    if not containers:
        raise UsageError("a pod template has no container to change")
    for name in wanted:
        for container in containers:
            if name and container.get("name") == name:
                return container
    return containers[0]


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
    if env:
        kept = [e for e in container.get("env") or [] if e.get("name") not in env]
        container["env"] = kept + [{"name": k, "value": v} for k, v in env.items()]


def in_step(text: str, changes: Changes) -> str:
    """The train config of the old job with the changes made; empty where that is not possible."""
    try:
        config = parse_train_config(text, filename="annotation")
        asked = config.resources
        asked = msgspec.structs.replace(
            asked,
            memory=changes.memory or asked.memory,
            cpu=changes.cpu or asked.cpu,
            cpu_limit=(changes.cpu or asked.cpu_limit) if asked.cpu_limit else "",
        )
        deadline = config.deadline
        if changes.deadline is not None:
            deadline = f"{changes.deadline}s" if changes.deadline else ""
        config = msgspec.structs.replace(
            config,
            resources=asked,
            deadline=deadline,
            retries=config.retries if changes.retries is None else changes.retries,
            env={**config.env, **changes.env},
        )
        new = dump(config)
        parse_train_config(new, filename="annotation")
    except McpTuiError:
        return ""
    return new


def relink(manifest: dict[str, Any], run_id: str, experiment_id: str) -> None:
    """Point every reference to the old run at a new one, or drop it when there is none."""
    metadata = manifest["metadata"]
    metadata["labels"].pop(keys.RUN_ID, None)
    if run_id:
        metadata["labels"][keys.RUN_ID] = run_id
        metadata["annotations"][keys.EXPERIMENT_ID] = experiment_id
    known = {keys.RUN_VARIABLE: run_id, "MLFLOW_EXPERIMENT_ID": experiment_id}
    for node in list(_mappings(manifest["spec"])):
        labels, env = node.get("labels"), node.get("env")
        if isinstance(labels, dict) and labels.pop(keys.RUN_ID, None) is not None and run_id:
            labels[keys.RUN_ID] = run_id
        if isinstance(env, list):
            node["env"] = [
                {"name": e["name"], "value": known[e["name"]]} if known.get(e.get("name")) else e
                for e in env
                if run_id or e.get("name") != keys.RUN_VARIABLE
            ]
