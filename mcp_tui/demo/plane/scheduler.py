"""The scheduler: binds pending pods to ready nodes that have room, or says why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_tui.demo.plane.model import NODES, PODS, Obj, condition, dig, rfc3339
from mcp_tui.demo.plane.quantity import parse_quantity
from mcp_tui.demo.plane.queue import WorkQueue
from mcp_tui.demo.plane.registry import Registry
from mcp_tui.demo.plane.store import Entry, Event, Key

Amounts = dict[str, int]
"""Resource -> thousandths."""

_SOURCE = "default-scheduler"


def amounts(given: Mapping[str, Any] | None) -> Amounts:
    """Quantities in thousandths; what cannot be read counts as nothing."""
    return {name: int((parse_quantity(value) or 0) * 1000) for name, value in (given or {}).items()}


def pod_requests(spec: Obj) -> Amounts:
    """What a pod asks for: its containers together, or its largest init container."""
    total: Counter[str] = Counter({"pods": 1000})
    for container in spec.get("containers") or ():
        total.update(amounts(dig(container, "resources", "requests")))
    for container in spec.get("initContainers") or ():
        asked = amounts(dig(container, "resources", "requests"))
        if container.get("restartPolicy") == "Always":
            total.update(asked)
            continue
        for name, amount in asked.items():
            total[name] = max(total[name], amount)
    total.update(amounts(spec.get("overhead")))
    return {name: amount for name, amount in total.items() if amount > 0}


class Scheduler:
    """Knows what runs where from the store's changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._queue: WorkQueue[Key] = WorkQueue()
        self._waiting: dict[Key, None] = {}
        self._placed: dict[Key, tuple[str, Amounts]] = {}
        self._used: dict[str, Counter[str]] = {}
        self._nodes: dict[str, Obj] = {}

    def observe(self, event: Event) -> None:
        """Notes room taken and given back, and pods that want some."""
        new = event.new
        if new.kind is NODES:
            if event.type == "DELETED":
                self._nodes.pop(new.key[1], None)
            else:
                self._nodes[new.key[1]] = new.obj
            self._retry()
        elif new.kind is PODS:
            self._observe_pod(event)

    def _observe_pod(self, event: Event) -> None:
        new = event.new
        node = new.field("spec.nodeName")
        over = event.type == "DELETED" or new.field("status.phase") in ("Succeeded", "Failed")
        if over or not node:
            placed = self._placed.pop(new.key, None)
            if placed is not None:
                self._used[placed[0]].subtract(placed[1])
                self._retry()
        elif new.key not in self._placed:
            asked = pod_requests(new.obj["spec"])
            self._placed[new.key] = (node, asked)
            self._used.setdefault(node, Counter()).update(asked)
        if over or node:
            self._waiting.pop(new.key, None)
        elif new.key not in self._waiting:
            self._queue.add(new.key)

    def _retry(self) -> None:
        for key in self._waiting:
            self._queue.add(key)
        self._waiting.clear()

    def next_due(self) -> float | None:
        """It goes by changes only."""
        return None

    def work(self, now: float, most: int) -> bool:
        """Places the pods that wait."""
        for key in self._queue.take(now, most):
            entry = self._registry.store.get(PODS, *key)
            if entry is not None and not entry.field("spec.nodeName"):
                self._place(entry, now)
        return self._queue.pending

    def _place(self, entry: Entry, now: float) -> None:
        pod = entry.obj
        spec = pod["spec"]
        if pod["metadata"].get("deletionTimestamp"):
            return
        if spec.get("schedulerName") != _SOURCE:
            return
        if spec.get("schedulingGates"):
            text = "Scheduling is blocked due to non-empty scheduling gates"
            self._say(pod, "SchedulingGated", text, now)
            return
        asked = pod_requests(spec)
        refused: Counter[str] = Counter()
        misfits: list[list[str]] = []
        fitting: list[str] = []
        for name, node in self._nodes.items():
            reasons = self._misfits(spec, asked, name, node)
            refused.update(reasons)
            misfits.append(reasons)
            if not reasons:
                fitting.append(name)
        if fitting:
            self._bind(pod, min(fitting, key=self._load), now)
            return
        self._waiting[entry.key] = None
        text = "no nodes available to schedule pods"
        if self._nodes:
            why = ", ".join(sorted(f"{count} {reason}" for reason, count in refused.items()))
            full = sum(1 for reasons in misfits if any(map(_is_shortage, reasons)))
            text = _unavailable(len(self._nodes), why, full)
        self._say(pod, "Unschedulable", text, now)

    def _load(self, name: str) -> tuple[float, str]:
        room = amounts(dig(self._nodes[name], "status", "allocatable"))
        used = self._used.get(name, Counter())
        shares = [used[item] / room[item] for item in ("cpu", "memory", "pods") if room.get(item)]
        return max(shares, default=0.0), name

    def _misfits(self, spec: Obj, asked: Amounts, name: str, node: Obj) -> list[str]:
        """Why the pod cannot go to that node, in the scheduler's words."""
        if dig(node, "spec", "unschedulable"):
            return ["node(s) were unschedulable"]
        labels = node["metadata"].get("labels") or {}
        wanted = spec.get("nodeSelector") or {}
        if any(labels.get(key) != value for key, value in wanted.items()) or not _affine(
            spec, labels, name
        ):
            return ["node(s) didn't match Pod's node affinity/selector"]
        for taint in dig(node, "spec", "taints") or ():
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(
                _tolerates(item, taint) for item in spec.get("tolerations") or ()
            ):
                return ["node(s) had untolerated taint(s)"]
        if (condition(node, "Ready") or {}).get("status") != "True":
            return ["node(s) were not ready"]
        if _beyond_us(spec):
            return ["node(s) have pod affinity or spreading rules, which are not served here"]
        room = amounts(dig(node, "status", "allocatable"))
        used = self._used.get(name, Counter())
        short = [item for item, amount in asked.items() if amount > room.get(item, 0) - used[item]]
        return ["Too many pods" if item == "pods" else f"Insufficient {item}" for item in short]

    def _bind(self, pod: Obj, node: str, now: float) -> None:
        metadata = pod["metadata"]
        pod["spec"]["nodeName"] = node
        _set_condition(pod, {"type": "PodScheduled", "status": "True"}, now)
        self._registry.store.put(PODS, pod)
        text = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
        self._registry.record(pod, "Scheduled", text, source=_SOURCE)

    def _say(self, pod: Obj, reason: str, message: str, now: float) -> None:
        found = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        before = condition(pod, "PodScheduled") or {}
        if all(before.get(key) == value for key, value in found.items()):
            return
        _set_condition(pod, found, now)
        self._registry.store.put(PODS, pod)
        if reason == "Unschedulable":
            self._registry.record(pod, "FailedScheduling", message, warning=True, source=_SOURCE)


def _is_shortage(reason: str) -> bool:
    return reason.startswith("Insufficient") or reason == "Too many pods"


def _unavailable(nodes: int, why: str, full: int) -> str:
    """The scheduler's message: why no node fits, and what preemption could do (nothing)."""
    hopes = {
        "No preemption victims found for incoming pod": full,
        "Preemption is not helpful for scheduling": nodes - full,
    }
    rest = ", ".join(f"{count} {hope}" for hope, count in hopes.items() if count)
    return (
        f"0/{nodes} nodes are available: {why}. no new claims to deallocate, "
        f"preemption: 0/{nodes} nodes are available: {rest}."
    )


def _set_condition(pod: Obj, found: Obj, now: float) -> None:
    status = pod["status"]
    others = [item for item in status.get("conditions") or () if item["type"] != found["type"]]
    old = condition(pod, found["type"]) or {}
    since = old.get("lastTransitionTime")
    if old.get("status") != found["status"] or since is None:
        since = rfc3339(now)
    about = {"observedGeneration": pod["metadata"].get("generation", 1), "lastProbeTime": None}
    status["conditions"] = [*others, {**about, **found, "lastTransitionTime": since}]


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    key = toleration.get("key") or ""
    if key and key != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(key) and toleration.get("value", "") == taint.get("value", "")


def _beyond_us(spec: Obj) -> bool:
    """Rules between pods, which are refused rather than ignored."""
    hard = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = spec.get("affinity") or {}
    between = any(
        (affinity.get(name) or {}).get(hard) for name in ("podAffinity", "podAntiAffinity")
    )
    spread = any(
        item.get("whenUnsatisfiable") == "DoNotSchedule"
        for item in spec.get("topologySpreadConstraints") or ()
    )
    return between or spread


def _affine(spec: Obj, labels: Mapping[str, str], name: str) -> bool:
    """Whether the node satisfies the required node affinity."""
    rule = dig(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if not rule:
        return True
    fields = {"metadata.name": name}
    return any(
        _all_match(term.get("matchExpressions") or (), labels)
        and _all_match(term.get("matchFields") or (), fields)
        for term in rule.get("nodeSelectorTerms") or ()
        if term.get("matchExpressions") or term.get("matchFields")
    )


def _all_match(expressions: Iterable[Obj], labels: Mapping[str, str]) -> bool:
    return all(_matches(item, labels.get(item.get("key", ""))) for item in expressions)


def _matches(expression: Obj, value: str | None) -> bool:
    values = expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                left, right = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return left > right if operator == "Gt" else left < right
    return False
