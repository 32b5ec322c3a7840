"""Server-side tables: what ``kubectl get`` prints (kubernetes ``pkg/printers/internalversion``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_tui.demo.plane.model import (
    CONFIG_MAPS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    Kind,
    Obj,
    condition,
    dig,
    has_condition,
    parse_time,
)


@dataclass(frozen=True)
class Table:
    """The columns of a kind and the function that fills them; wide columns have priority 1."""

    columns: tuple[str, ...]
    cells: Callable[[Obj, float], list[Any]]


def human_duration(seconds: float) -> str:
    """``duration.HumanDuration``: two units at most, coarser with age."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    years, rest = divmod(days, 365)
    return f"{years}y{rest}d" if days < 2920 and rest else f"{years}y"


def _age(text: object, now: float) -> str:
    since = parse_time(text)
    return "<unknown>" if since is None else human_duration(now - since)


def _created(obj: Obj, now: float) -> str:
    return _age(obj["metadata"].get("creationTimestamp"), now)


def _labels(selector: Any) -> str:
    labels = dig(selector, "matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def job_status(job: Obj) -> str:
    """The STATUS column of a job."""
    for name in ("Complete", "Failed"):
        if has_condition(job, name):
            return name
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for name in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if has_condition(job, name):
            return name
    return "Running"


def _job(job: Obj, now: float) -> list[Any]:
    spec, status = job["spec"], job.get("status") or {}
    succeeded = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    elif spec.get("parallelism", 1) > 1:
        completions = f"{succeeded}/1 of {spec['parallelism']}"
    else:
        completions = f"{succeeded}/1"
    start, end = parse_time(status.get("startTime")), parse_time(status.get("completionTime"))
    duration = "" if start is None else human_duration((now if end is None else end) - start)
    containers = dig(spec, "template", "spec", "containers") or []
    return [
        job["metadata"]["name"],
        job_status(job),
        completions,
        duration,
        _created(job, now),
        ",".join(item["name"] for item in containers),
        ",".join(item.get("image", "") for item in containers),
        _labels(spec.get("selector")),
    ]


def _init_reason(pod: Obj) -> str:
    """What the init containers make of the STATUS column; empty once they are done."""
    wanted = dig(pod, "spec", "initContainers") or []
    for index, status in enumerate(dig(pod, "status", "initContainerStatuses") or ()):
        state = status.get("state") or {}
        ended = state.get("terminated")
        if ended is not None and ended.get("exitCode") == 0:
            continue
        if ended is not None:
            if ended.get("reason"):
                return f"Init:{ended['reason']}"
            if ended.get("signal"):
                return f"Init:Signal:{ended['signal']}"
            return f"Init:ExitCode:{ended.get('exitCode', 0)}"
        waiting = (state.get("waiting") or {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{index}/{len(wanted)}"
    return ""


def _container_reason(pod: Obj, reason: str) -> str:
    running = False
    for status in reversed(dig(pod, "status", "containerStatuses") or []):
        state = status.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            if ended.get("reason"):
                reason = ended["reason"]
            elif ended.get("signal"):
                reason = f"Signal:{ended['signal']}"
            else:
                reason = f"ExitCode:{ended.get('exitCode', 0)}"
        elif status.get("ready") and state.get("running") is not None:
            running = True
    if reason == "Completed" and running:
        return "Running" if has_condition(pod, "Ready") else "NotReady"
    return reason


def pod_status(pod: Obj) -> str:
    """The STATUS column of a pod."""
    status = pod.get("status") or {}
    reason: str = status.get("reason") or status.get("phase") or "Unknown"
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initial = _init_reason(pod)
    reason = initial or _container_reason(pod, reason)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _pod(pod: Obj, now: float) -> list[Any]:
    status = pod.get("status") or {}
    containers = dig(pod, "spec", "containers") or []
    statuses = status.get("containerStatuses") or []
    ready = sum(
        1
        for item in statuses
        if item.get("ready") and (item.get("state") or {}).get("running") is not None
    )
    restarts = sum(item.get("restartCount", 0) for item in statuses)
    if _init_reason(pod):
        restarts = sum(
            item.get("restartCount", 0) for item in status.get("initContainerStatuses") or ()
        )
    ended = [
        parse_time(dig(item, "lastState", "terminated", "finishedAt"))
        for item in statuses
        if dig(item, "lastState", "terminated")
    ]
    last = max((when for when in ended if when is not None), default=None)
    shown = str(restarts)
    if restarts and last is not None:
        shown = f"{restarts} ({human_duration(now - last)} ago)"
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(containers)}",
        pod_status(pod),
        shown,
        _created(pod, now),
        status.get("podIP") or "<none>",
        dig(pod, "spec", "nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        "<none>",
    ]


def _event(event: Obj, now: float) -> list[Any]:
    involved = event.get("involvedObject") or {}
    source = event.get("source") or {}
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = dig(event, "series", "lastObservedTime") or event.get("lastTimestamp") or first
    where = [source.get("component") or event.get("reportingComponent") or "", source.get("host")]
    return [
        _age(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        ", ".join(part for part in where if part),
        str(event.get("message", "")).strip(),
        _age(first, now),
        dig(event, "series", "count") or event.get("count") or 1,
        event["metadata"]["name"],
    ]


def _node(node: Obj, now: float) -> list[Any]:
    ready = condition(node, "Ready")
    if ready is None:
        status = "Unknown"
    else:
        status = "Ready" if ready.get("status") == "True" else "NotReady"
    if dig(node, "spec", "unschedulable"):
        status += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = sorted(
        key.removeprefix(prefix)
        for key in node["metadata"].get("labels") or {}
        if key.startswith(prefix)
    )
    info = dig(node, "status", "nodeInfo") or {}
    addresses = {
        item.get("type"): item.get("address")
        for item in reversed(dig(node, "status", "addresses") or [])
    }
    return [
        node["metadata"]["name"],
        status,
        ",".join(roles) or "<none>",
        _created(node, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or "<none>",
        addresses.get("ExternalIP") or "<none>",
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _service(service: Obj, now: float) -> list[Any]:
    spec = service.get("spec") or {}
    ports = ",".join(
        f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ()
    )
    selector = ",".join(f"{key}={value}" for key, value in (spec.get("selector") or {}).items())
    return [
        service["metadata"]["name"],
        spec.get("type", ""),
        spec.get("clusterIP") or "<none>",
        spec.get("externalName") or "<none>",
        ports or "<none>",
        _created(service, now),
        selector or "<none>",
    ]


def _named(obj: Obj, now: float) -> list[Any]:
    return [obj["metadata"]["name"], _created(obj, now)]


def _namespace(obj: Obj, now: float) -> list[Any]:
    return [obj["metadata"]["name"], dig(obj, "status", "phase") or "", _created(obj, now)]


def _data(obj: Obj, now: float) -> list[Any]:
    size = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [obj["metadata"]["name"], size, _created(obj, now)]


def _secret(obj: Obj, now: float) -> list[Any]:
    name, size, age = _data(obj, now)
    return [name, obj.get("type", ""), size, age]


def _lease(obj: Obj, now: float) -> list[Any]:
    holder = dig(obj, "spec", "holderIdentity") or ""
    return [obj["metadata"]["name"], holder, _created(obj, now)]


_NAMED = Table(("Name", "Age"), _named)

# A "+" marks a wide column.
TABLES: Mapping[Kind, Table] = {
    JOBS: Table(
        ("Name", "Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"),
        _job,
    ),
    PODS: Table(
        (
            *("Name", "Ready", "Status", "Restarts", "Age"),
            *("+IP", "+Node", "+Nominated Node", "+Readiness Gates"),
        ),
        _pod,
    ),
    EVENTS: Table(
        (
            *("Last Seen", "Type", "Reason", "Object", "+Subobject", "+Source", "Message"),
            *("+First Seen", "+Count", "+Name"),
        ),
        _event,
    ),
    NODES: Table(
        (
            *("Name", "Status", "Roles", "Age", "Version", "+Internal-IP", "+External-IP"),
            *("+OS-Image", "+Kernel-Version", "+Container-Runtime"),
        ),
        _node,
    ),
    NAMESPACES: Table(("Name", "Status", "Age"), _namespace),
    CONFIG_MAPS: Table(("Name", "Data", "Age"), _data),
    SECRETS: Table(("Name", "Type", "Data", "Age"), _secret),
    SERVICES: Table(
        ("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"), _service
    ),
    LEASES: Table(("Name", "Holder", "Age"), _lease),
}


def column_definitions(kind: Kind) -> list[Obj]:
    """The head of the kind's table."""
    return [
        {
            "name": name.removeprefix("+"),
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 1 if name.startswith("+") else 0,
        }
        for name in TABLES.get(kind, _NAMED).columns
    ]


def row(kind: Kind, obj: Obj, now: float, include: str) -> Obj:
    """One row; ``include`` is None, Metadata or Object."""
    result: Obj = {"cells": TABLES.get(kind, _NAMED).cells(obj, now)}
    if include == "Object":
        result["object"] = obj
    elif include != "None":
        result["object"] = partial(obj)
    return result


def partial(obj: Obj) -> Obj:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
