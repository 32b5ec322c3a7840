"""Create, update and delete with the API server's rules, over the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcp_tui.demo.plane.model import (
    EVENTS,
    LEASES,
    NAMESPACES,
    PODS,
    Clock,
    Kind,
    Obj,
    dig,
    new_uid,
    parse_time,
    random_suffix,
    rfc3339,
)
from mcp_tui.demo.plane.status import (
    StatusError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    not_found,
)
from mcp_tui.demo.plane.store import Entry, Store
from mcp_tui.demo.plane.strategy import carry_over, create_faults, prepare, update_faults

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True)
class DeleteOptions:
    """``metav1.DeleteOptions``, already checked."""

    propagation: str = ""
    grace: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


class Registry:
    """The one way objects change, for requests and controllers alike.

    Every method is synchronous: on one event loop each is a transaction.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def get(self, kind: Kind, namespace: str, name: str) -> Entry:
        """The object. Raises StatusError 404."""
        entry = self.store.get(kind, namespace, name)
        if entry is None:
            raise not_found(kind, name)
        return entry

    def create(self, kind: Kind, namespace: str, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Adds ``obj`` (taken over by the store). Raises StatusError 400, 403, 404, 409, 422."""
        metadata = obj["metadata"]
        self._place(kind, namespace, metadata)
        if metadata.get("resourceVersion"):
            # Upstream it is an error without a reason, which answers 500.
            text = "resourceVersion should not be set on objects to be created"
            raise StatusError(500, "", text)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + random_suffix()
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"):
            metadata.pop(name, None)
        metadata.pop("generation", None)
        metadata["uid"] = new_uid()
        metadata["creationTimestamp"] = rfc3339(self.clock())
        prepare(kind, obj)
        faults = create_faults(kind, obj)
        if faults:
            raise invalid(kind.qualified_kind, metadata.get("name", ""), faults)
        if self.store.get(kind, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise already_exists(kind, metadata["name"])
        if dry_run:
            return obj
        return self.store.put(kind, obj).obj

    def _place(self, kind: Kind, namespace: str, metadata: Obj) -> None:
        """Checks and sets the namespace."""
        if not kind.namespaced:
            if metadata.pop("namespace", None):
                name = metadata.get("name", "")
                fault = invalid_value("metadata.namespace", "", "not allowed on this type")
                raise invalid(kind.qualified_kind, name, [fault])
            return
        if metadata.get("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        metadata["namespace"] = namespace
        home = self.store.get(NAMESPACES, "", namespace)
        if home is None:
            raise not_found(NAMESPACES, namespace)
        if home.field("status.phase") == "Terminating":
            why = (
                f"unable to create new content in namespace {namespace} because it is being "
                "terminated"
            )
            raise forbidden(kind, metadata.get("name") or metadata.get("generateName", ""), why)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Obj], Obj],
        *,
        subresource: str = "",
        dry_run: bool = False,
        check_version: bool = False,
    ) -> Obj:
        """Replaces the object by what ``change`` makes of a copy of it.

        Args:
            change: Gets the current object, returns the wanted one (with the resourceVersion
                that it was made from, or none).
            check_version: Whether a missing resourceVersion is refused for kinds that need one.

        Raises:
            StatusError: 400, 404, 409 or 422.
        """
        entry = self.get(kind, namespace, name)
        old = entry.obj
        new = change(entry.obj)
        metadata = new["metadata"]
        if metadata.get("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the "
                f"URL ({name})"
            )
        if kind.namespaced and metadata.get("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        self._check_version(entry, metadata, check_version)
        new = carry_over(kind, new, old, subresource)
        faults = update_faults(kind, new, old)
        if faults:
            raise invalid(kind.qualified_kind, name, faults)
        if dry_run:
            new["metadata"]["resourceVersion"] = str(entry.rv)
            return new
        if self._deletable(kind, new):
            return self.store.remove(entry, new).obj
        return self.store.put(kind, new).obj

    def _check_version(self, entry: Entry, metadata: Obj, needed: bool) -> None:
        kind, name = entry.kind, entry.key[1]
        uid = metadata.get("uid") or entry.uid
        if uid != entry.uid and needed:
            raise conflict(
                kind,
                name,
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {entry.uid}",
            )
        version = metadata.get("resourceVersion") or ""
        if version not in ("", "0", str(entry.rv)):
            if not version.isdigit():
                text = f'strconv.ParseUint: parsing "{version}": invalid syntax'
                raise StatusError(500, "", text)
            raise conflict(kind, name)
        if not version and needed and kind is LEASES:
            fault = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(kind.resource, name, [fault])

    def _deletable(self, kind: Kind, obj: Obj) -> bool:
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return False
        if kind is NAMESPACES:
            return not dig(obj, "spec", "finalizers")
        return not metadata.get("deletionGracePeriodSeconds")

    def delete(
        self, kind: Kind, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Obj, bool]:
        """Deletes, or begins to.

        Returns:
            The object's last state, and whether it is gone already.

        Raises:
            StatusError: 404, or 409 for a failed precondition.
        """
        entry = self.get(kind, namespace, name)
        _check_preconditions(entry, options)
        obj = entry.obj
        metadata = obj["metadata"]
        finalizers = _finalizers(kind, metadata.get("finalizers") or [], options.propagation)
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        grace = self._grace(kind, obj, options.grace)
        stamped = parse_time(metadata.get("deletionTimestamp"))
        if stamped is None:
            metadata["deletionTimestamp"] = rfc3339(self.clock() + grace)
            if kind is not NAMESPACES:
                metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata:
                metadata["generation"] += 1
        elif grace < metadata.get("deletionGracePeriodSeconds", 0):
            # A second call may only shorten what is left.
            metadata["deletionTimestamp"] = rfc3339(
                stamped - metadata["deletionGracePeriodSeconds"] + grace
            )
            metadata["deletionGracePeriodSeconds"] = grace
        if kind is NAMESPACES:
            obj["status"] = {"phase": "Terminating"}
        gone = self._deletable(kind, obj)
        if options.dry_run:
            return obj, gone
        if gone:
            if stamped is None and kind is not PODS:
                # It goes at once: nobody ever sees it terminating.
                return self.store.remove(entry).obj, True
            return self.store.remove(entry, obj).obj, True
        return self.store.put(kind, obj).obj, False

    def _grace(self, kind: Kind, pod: Obj, asked: int | None) -> int:
        if kind is not PODS:
            return 0
        if not dig(pod, "spec", "nodeName") or dig(pod, "status", "phase") in (
            "Succeeded",
            "Failed",
        ):
            return 0
        if asked is not None:
            return asked if asked >= 0 else 1
        return max(int(pod["spec"].get("terminationGracePeriodSeconds", 30)), 0)

    def record(
        self, about: Obj, reason: str, message: str, *, warning: bool = False, source: str
    ) -> None:
        """Writes an Event about an object; the same one again counts up instead."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        if self.store.get(NAMESPACES, "", namespace) is None:
            return
        involved = {
            "kind": about["kind"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        now = rfc3339(self.clock())
        # The name is the same for the same event, so that the series is found without a search.
        digest = f"{hash((metadata['uid'], reason, message, source)) & 0xFFFFFFFFFFFFFFFF:016x}"
        name = f"{metadata['name'][:230]}.{digest}"
        old = self.store.get(EVENTS, namespace, name)
        if old is not None:
            event = old.obj
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = now
            self.store.put(EVENTS, event)
            return
        event = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": new_uid(),
                "creationTimestamp": now,
            },
            "involvedObject": {key: value for key, value in involved.items() if value},
            "reason": reason,
            "message": message[:1024],
            "source": {"component": source},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": "Warning" if warning else "Normal",
            "eventTime": None,
            "reportingComponent": source,
            "reportingInstance": "",
        }
        self.store.put(EVENTS, event)


def _check_preconditions(entry: Entry, options: DeleteOptions) -> None:
    if options.uid and options.uid != entry.uid:
        raise _precondition(
            entry,
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({entry.uid}). The object might have been deleted and then recreated",
        )
    wanted = options.resource_version
    if wanted and wanted != str(entry.rv):
        raise _precondition(
            entry,
            f"the ResourceVersion in the precondition ({wanted}) does not match the "
            f"ResourceVersion in record ({entry.rv}). The object might have been modified",
        )


def _precondition(entry: Entry, why: str) -> StatusError:
    kind, name = entry.kind, entry.key[1]
    details: Obj = {"name": name, "kind": kind.kind}
    if kind.group:
        details["group"] = kind.group
    text = f'Operation cannot be fulfilled on {kind.qualified_kind} "{name}": {why}'
    return StatusError(409, "Conflict", text, details=details)


def _finalizers(kind: Kind, present: list[str], propagation: str) -> list[str]:
    """The finalizers after a delete call; batch/v1 orphans where nothing is said."""
    policy = propagation
    if not policy:
        if ORPHAN in present or FOREGROUND in present:
            return present
        policy = "Orphan" if kind.group == "batch" else "Background"
    kept = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    if policy == "Orphan":
        kept.append(ORPHAN)
    elif policy == "Foreground":
        kept.append(FOREGROUND)
    return kept


__all__ = ["FOREGROUND", "ORPHAN", "DeleteOptions", "Registry", "StatusError"]
