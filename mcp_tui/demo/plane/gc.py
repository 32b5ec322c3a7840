"""The garbage collector and the namespace controller."""

from __future__ import annotations

import contextlib

from mcp_tui.demo.plane.model import JOBS, NAMESPACES, NODES, PODS, Kind, Obj, rfc3339
from mcp_tui.demo.plane.owners import Owners
from mcp_tui.demo.plane.queue import WorkQueue
from mcp_tui.demo.plane.registry import FOREGROUND, ORPHAN, DeleteOptions, Registry, StatusError
from mcp_tui.demo.plane.store import Entry, Event, Key

Place = tuple[Kind, Key]


class GarbageCollector:
    """Deletes what has lost all its owners, and finishes orphaning and foreground deletion."""

    def __init__(self, registry: Registry, owners: Owners) -> None:
        self._registry = registry
        self._owners = owners
        self._places: WorkQueue[Place] = WorkQueue()
        self._namespaces: WorkQueue[str] = WorkQueue()
        self._lost_nodes: WorkQueue[str] = WorkQueue()

    def observe(self, event: Event) -> None:
        """Notes whatever may now be garbage or be done with."""
        new = event.new
        if event.type == "DELETED":
            for dependent in self._owners.dependents(new.uid):
                self._places.add((dependent.kind, dependent.key))
            for uid in new.owners:
                owner = self._owners.live(uid)
                if owner is not None:
                    self._places.add((owner.kind, owner.key))
            if new.key[0]:
                self._namespaces.add(new.key[0])
            if new.kind is NODES:
                self._lost_nodes.add(new.key[1])
            return
        if new.owners or b'"deletionTimestamp"' in new.raw:
            self._places.add((new.kind, new.key))
            if new.kind is NAMESPACES:
                self._namespaces.add(new.key[1])

    def next_due(self) -> float | None:
        """It goes by changes only."""
        return None

    def work(self, now: float, most: int) -> bool:
        """Looks at what was noted."""
        for kind, key in self._places.take(now, most):
            entry = self._registry.store.get(kind, *key)
            if entry is not None:
                with contextlib.suppress(StatusError):
                    self._look(entry)
        for name in self._namespaces.take(now, most):
            self._empty(name)
        for name in self._lost_nodes.take(now, most):
            self._lose(name)
        return self._places.pending or self._namespaces.pending or self._lost_nodes.pending

    def _look(self, entry: Entry) -> None:
        obj = entry.obj
        metadata = obj["metadata"]
        finalizers = metadata.get("finalizers") or ()
        if metadata.get("deletionTimestamp"):
            if ORPHAN in finalizers:
                for dependent in self._owners.dependents(entry.uid):
                    self._disown(dependent, {entry.uid})
                self._finalize(entry, ORPHAN)
            elif FOREGROUND in finalizers:
                self._drain(entry)
            return
        if entry.owners:
            self._check_owners(entry, obj)

    def _check_owners(self, entry: Entry, obj: Obj) -> None:
        served = {(kind.api_version, kind.kind) for kind in self._registry.store.buckets}
        owners = obj["metadata"]["ownerReferences"]
        if any((owner["apiVersion"], owner["kind"]) not in served for owner in owners):
            return  # an owner that nobody here can look up may well exist
        absent = {uid for uid in entry.owners if self._owners.live(uid) is None}
        if not absent:
            return
        if absent == set(entry.owners):
            self._delete(entry)
        else:
            self._disown(entry, absent)

    def _drain(self, owner: Entry) -> None:
        blocking = [
            dependent
            for dependent in self._owners.dependents(owner.uid)
            if any(
                reference.get("uid") == owner.uid and reference.get("blockOwnerDeletion")
                for reference in dependent.obj["metadata"]["ownerReferences"]
            )
        ]
        for dependent in blocking:
            if b'"deletionTimestamp"' not in dependent.raw:
                self._delete(dependent)
        if not blocking:
            self._finalize(owner, FOREGROUND)

    def _delete(self, entry: Entry) -> None:
        options = DeleteOptions(propagation="Background", uid=entry.uid)
        self._registry.delete(entry.kind, *entry.key, options)

    def _disown(self, entry: Entry, uids: set[str]) -> None:
        def change(obj: Obj) -> Obj:
            metadata = obj["metadata"]
            metadata["ownerReferences"] = [
                owner for owner in metadata["ownerReferences"] if owner["uid"] not in uids
            ]
            if not metadata["ownerReferences"]:
                del metadata["ownerReferences"]
            return obj

        self._registry.update(entry.kind, *entry.key, change)

    def _finalize(self, entry: Entry, finalizer: str) -> None:
        remove_finalizer(self._registry, entry, finalizer)

    # --- namespaces

    def _empty(self, name: str) -> None:
        home = self._registry.store.get(NAMESPACES, "", name)
        if home is None or home.field("status.phase") != "Terminating":
            return
        left = False
        # Jobs first, so that no pod is made anew while its siblings go.
        kinds = sorted(self._registry.store.buckets, key=lambda kind: kind is not JOBS)
        for kind in kinds:
            if not kind.namespaced:
                continue
            for entry in self._registry.store.buckets[kind].range(name):
                if b'"deletionTimestamp"' not in entry.raw:
                    self._delete(entry)
                left = left or self._registry.store.get(kind, *entry.key) is not None
        if not left:
            obj = home.obj
            obj["spec"] = {}
            self._registry.store.remove(home, obj)

    # --- pods of nodes that are gone

    def _lose(self, name: str) -> None:
        if self._registry.store.get(NODES, "", name) is not None:
            return
        now = rfc3339(self._registry.clock())
        for entry in self._registry.store.buckets[PODS].range(None):
            if entry.field("spec.nodeName") != name:
                continue
            pod = entry.obj
            if entry.field("status.phase") not in ("Succeeded", "Failed"):
                pod["status"]["phase"] = "Failed"
                pod["status"].setdefault("conditions", []).append(
                    {
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "DeletionByPodGC",
                        "message": "PodGC: node no longer exists",
                        "lastTransitionTime": now,
                    }
                )
                self._registry.store.put(PODS, pod)
            self._registry.delete(PODS, *entry.key, DeleteOptions(grace=0))


def remove_finalizer(registry: Registry, entry: Entry, finalizer: str) -> None:
    """Takes one finalizer away, which may be the end of the object. Raises StatusError."""

    def change(obj: Obj) -> Obj:
        metadata = obj["metadata"]
        kept = [name for name in metadata.get("finalizers") or () if name != finalizer]
        if kept:
            metadata["finalizers"] = kept
        else:
            metadata.pop("finalizers", None)
        return obj

    registry.update(entry.kind, *entry.key, change)
