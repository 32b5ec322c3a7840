"""The node controller: a node that no longer renews its lease is not ready, and is tainted."""

from __future__ import annotations

from mcp_tui.demo.plane.model import LEASES, NODES, Obj, condition, dig, parse_time, rfc3339
from mcp_tui.demo.plane.queue import WorkQueue
from mcp_tui.demo.plane.registry import Registry
from mcp_tui.demo.plane.store import Entry, Event

_READY = "node.kubernetes.io/not-ready"
_REACH = "node.kubernetes.io/unreachable"


class NodeController:
    """Looks at a node when it changes, and when its lease should have been renewed."""

    def __init__(self, registry: Registry, grace: float) -> None:
        self._registry = registry
        self._grace = grace
        self._queue: WorkQueue[str] = WorkQueue()

    def observe(self, event: Event) -> None:
        """Notes changed nodes and leases."""
        new = event.new
        lease = new.kind is LEASES and new.key[0] == "kube-node-lease"
        if lease or (new.kind is NODES and event.type != "DELETED"):
            self._queue.add(new.key[1])

    def next_due(self) -> float | None:
        """When the next lease would be too old."""
        return self._queue.next_due()

    def work(self, now: float, most: int) -> bool:
        """Looks at the noted nodes."""
        for name in self._queue.take(now, most):
            entry = self._registry.store.get(NODES, "", name)
            if entry is not None:
                self._look(entry, now)
        return self._queue.pending

    def _look(self, entry: Entry, now: float) -> None:
        node = entry.obj
        seen = self._seen(entry, node)
        lost = now - seen > self._grace
        ready = condition(node, "Ready")
        changed = False
        if lost and ready is not None and ready.get("status") != "Unknown":
            self._lose(node, now)
            changed = True
            text = f"Node {entry.key[1]} status is now: NodeNotReady"
            self._registry.record(node, "NodeNotReady", text, source="node-controller")
        elif not lost:
            self._queue.add_at(entry.key[1], seen + self._grace + 0.1)
        if self._taint(node, now) or changed:
            self._registry.store.put(NODES, node)

    def _seen(self, entry: Entry, node: Obj) -> float:
        """When the node was last heard of (epoch seconds)."""
        lease = self._registry.store.get(LEASES, "kube-node-lease", entry.key[1])
        ready = condition(node, "Ready") or {}
        times = [
            parse_time(node["metadata"].get("creationTimestamp")),
            parse_time(ready.get("lastHeartbeatTime")),
            parse_time(dig(lease.obj, "spec", "renewTime")) if lease is not None else None,
        ]
        return max(when for when in times if when is not None)

    def _lose(self, node: Obj, now: float) -> None:
        for item in node["status"]["conditions"]:
            if item.get("status") != "Unknown":
                item["lastTransitionTime"] = rfc3339(now)
            item["status"] = "Unknown"
            item["reason"] = "NodeStatusUnknown"
            item["message"] = "Kubelet stopped posting node status."

    def _taint(self, node: Obj, now: float) -> bool:
        """Sets the taints that the Ready condition asks for; whether any changed."""
        ready = (condition(node, "Ready") or {}).get("status", "False")
        spec = node.setdefault("spec", {})
        before = list(spec.get("taints") or ())
        kept = [taint for taint in before if taint.get("key") not in (_READY, _REACH)]
        if ready != "True":
            key = _REACH if ready == "Unknown" else _READY
            old = {taint.get("effect"): taint for taint in before if taint.get("key") == key}
            for effect in ("NoSchedule", "NoExecute"):
                fresh = {"key": key, "effect": effect, "timeAdded": rfc3339(now)}
                kept.append(old.get(effect, fresh))
        if kept:
            spec["taints"] = kept
        else:
            spec.pop("taints", None)
        return kept != before
