"""What a job asks for now, in the words of a retry's changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_tui.actions.jobs import Seen
from mcp_tui.actions.renew import pod_templates, training_container
from mcp_tui.errors import UsageError


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a retry may change, as it is.

    Attributes:
        memory: Quantities, one for each kind of pod that differs; empty where none is asked for.
        cpu: As ``memory``.
        deadline: Seconds; None where there is none.
        retries: ``backoffLimit``, or that of each index; None where the job does not say.
        limited: Whether its kind takes a deadline and retries at all.
    """

    memory: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    deadline: int | None = None
    retries: int | None = None
    limited: bool = False


def asked(seen: Seen) -> Asked:
    """What the training containers of a job ask for, and how long and often it may be tried."""
    obj = seen.raw if seen.raw is not None else seen.obj
    spec: Mapping[str, Any] = obj.get("spec") or {}
    resources = _resources(obj, seen)
    limited = seen.kind.kind in ("Job", "PyTorchJob", "RayJob")
    policy = (spec.get("runPolicy") or {}) if seen.kind.kind == "PyTorchJob" else spec
    deadline = policy.get("activeDeadlineSeconds")
    retries = policy.get("backoffLimitPerIndex", policy.get("backoffLimit"))
    return Asked(
        memory=_each(resources, "memory"),
        cpu=_each(resources, "cpu"),
        deadline=deadline if limited and isinstance(deadline, int) else None,
        retries=retries if limited and isinstance(retries, int) else None,
        limited=limited,
    )


def _resources(obj: Mapping[str, Any], seen: Seen) -> list[Mapping[str, Any]]:
    if seen.kind.kind == "TrainJob":
        own = (obj.get("spec") or {}).get("trainer") or {}
        return [own.get("resourcesPerNode") or {}]
    try:
        return [training_container(t).get("resources") or {} for t in pod_templates(obj, seen.kind)]
    except UsageError:
        return []


def _each(resources: list[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in resources:
        text = (each.get("requests") or {}).get(name, (each.get("limits") or {}).get(name))
        if text is not None:
            found[str(text)] = None
    return tuple(found)
