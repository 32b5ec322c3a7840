"""Plans of the job actions: cancel, suspend, resume, delete. Pure: objects in, plan out.

Each write is pinned to what was seen: a delete by the uid as precondition, a patch by JSON Patch
``test`` on the uid and on the fields that the plan shows. Not on ``resourceVersion``: a busy object
changes it several times a second, and the write would conflict for ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcp_tui.actions.ended import finished
from mcp_tui.actions.kinds import JobKind
from mcp_tui.actions.runs import MLFLOW
from mcp_tui.actions.template import at_pointer, pick
from mcp_tui.domain.plan import Confirmation, Plan, Target, Tier, Verb, Write
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import RefusedError, UsageError
from mcp_tui.sources.kubernetes.transport import JSON_PATCH

_WORKLOADS = "/apis/{version}/namespaces/{namespace}/workloads/{name}"


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plan applies: one context and its tier. Never several tiers in one plan."""

    context: str
    tier: Tier


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the API server has it at planning time.

    Attributes:
        obj: The whole object, sanitised.
        raw: The same, not sanitised: what a retry is made from, never shown. None when there is
            no difference.
        workload: Kueue's Workload that owns its admission, or None.
        awaits_workload: Kueue owns its admission, and its Workload cannot be seen.
        run_id: The MLflow run linked to it; empty when there is none.
    """

    obj: Mapping[str, Any]
    kind: JobKind
    raw: Mapping[str, Any] | None = None
    workload: Mapping[str, Any] | None = None
    awaits_workload: bool = False
    run_id: str = ""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return pick(self.obj, "metadata.namespace")

    @property
    def name(self) -> str:
        """Its name."""
        return pick(self.obj, "metadata.name")

    @property
    def uid(self) -> str:
        """Its uid."""
        return pick(self.obj, "metadata.uid")

    @property
    def path(self) -> str:
        """Its path on the API server."""
        return self.kind.path(self.namespace, self.name)

    def target(self, scope: Scope) -> Target:
        """It as the target of a plan."""
        return Target(
            context=scope.context,
            kind=self.kind.kind,
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
        )


def new_plan_id() -> str:
    """A client-made tag that nobody else has: 32 hex digits."""
    return secrets.token_hex(16)


def confirmation(verb: Verb, tier: Tier) -> Confirmation:
    """How a verb is confirmed: prod types what ships or destroys; elsewhere only what destroys
    is asked for."""
    takes_back = verb in (Verb.SUSPEND, Verb.RESUME)
    destroys = verb in (Verb.CANCEL, Verb.DELETE)
    if tier is Tier.PROD:
        return Confirmation.YES if takes_back else Confirmation.TYPED
    return Confirmation.YES if destroys else Confirmation.NONE


def ours_to_write(job: Seen, *, leaving: bool = False) -> None:
    """Refuse what must be told to somebody else, or is on its way out.

    Args:
        leaving: One that is being deleted will do.

    Raises:
        RefusedError: Its controller would write it back, or it is being deleted.
    """
    metadata = job.obj.get("metadata") or {}
    for owner in metadata.get("ownerReferences") or ():
        # A CronJob makes Jobs and never touches them again.
        if owner.get("controller") and owner.get("kind") != "CronJob":
            root = clean_line(f"{owner.get('kind')}/{owner.get('name')}")
            raise RefusedError(
                f"{clean_line(job.name)} belongs to {root}, which would write it back",
                hint=f"act on {root}",
            )
    if metadata.get("deletionTimestamp") and not leaving:
        raise RefusedError(f"{clean_line(job.name)} is being deleted already")


def _plan(
    verb: Verb,
    scope: Scope,
    seen: Sequence[Seen],
    writes: Sequence[Write],
    *,
    until: str,
    back: str,
    notes: Sequence[str] = (),
) -> Plan:
    if not seen:
        raise UsageError("no job is chosen", hint="move the cursor to one, or mark some")
    if len({s.uid for s in seen}) != len(seen):
        raise UsageError("a job is named twice")
    return Plan(
        id=new_plan_id(),
        verb=verb,
        context=scope.context,
        tier=scope.tier,
        targets=tuple(s.target(scope) for s in seen),
        writes=tuple(writes),
        confirmation=confirmation(verb, scope.tier),
        until=until,
        back=back,
        notes=tuple(notes),
    )


def _delete(seen: Seen, index: int) -> Write:
    words = (
        f"delete {seen.kind.plural}/{clean_line(seen.name)} and its pods, only if uid {seen.uid}"
    )
    return Write(
        system="kubernetes",
        method="DELETE",
        path=seen.path,
        body={
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": seen.uid},
            # Without it a batch/v1 Job leaves its pods running.
            "propagationPolicy": "Background",
        },
        summary=words,
        diff=(f"- {seen.kind.kind} {clean_line(seen.namespace)}/{clean_line(seen.name)}",),
        target=index,
    )


def plan_cancel(scope: Scope, seen: Sequence[Seen], *, now: float) -> Plan:
    """Stop jobs for good: the object deleted with its pods, its run marked KILLED.

    Args:
        now: Unix time in seconds, for the run's end time.

    Raises:
        RefusedError: One of them has finished already, or is not ours to write.
    """
    writes: list[Write] = []
    for index, job in enumerate(seen):
        ours_to_write(job)
        ended = finished(job.obj)
        if ended:
            raise RefusedError(
                f"{clean_line(job.name)} is {ended} already",
                hint="a finished job is deleted, not cancelled",
            )
        writes.append(_delete(job, index))
        if job.run_id:
            writes.append(
                Write(
                    system="mlflow",
                    method="POST",
                    path=f"{MLFLOW}/runs/update",
                    body={
                        "run_id": job.run_id,
                        "status": "KILLED",
                        "end_time": int(now * 1000),
                    },
                    summary=f"mark run {clean_line(job.run_id)} KILLED, only if it is still open",
                    diff=("+ status: KILLED",),
                    optional=True,
                    target=index,
                )
            )
    return _plan(
        Verb.CANCEL,
        scope,
        seen,
        writes,
        until="the job is gone",
        back="none: submit or retry it again",
    )


def plan_delete(scope: Scope, seen: Sequence[Seen]) -> Plan:
    """Remove finished jobs and their pods; their runs stay.

    Raises:
        RefusedError: One of them has not finished.
    """
    for job in seen:
        ours_to_write(job)
        if not finished(job.obj):
            raise RefusedError(
                f"{clean_line(job.name)} has not finished",
                hint="only a finished job is deleted; cancel stops a running one",
            )
    writes = [_delete(job, index) for index, job in enumerate(seen)]
    return _plan(
        Verb.DELETE, scope, seen, writes, until="the job is gone", back="none: logs go with it"
    )


def plan_hold(scope: Scope, seen: Sequence[Seen], *, suspend: bool) -> Plan:
    """Suspend jobs (their pods are ended) or resume them.

    Where Kueue owns a job's admission, its Workload is told, never the job: Kueue would write
    ``spec.suspend`` back.

    Raises:
        RefusedError: One has finished, or is in that state already, or its kind cannot be held.
    """
    verb = Verb.SUSPEND if suspend else Verb.RESUME
    writes = [_hold(job, index, suspend=suspend) for index, job in enumerate(seen)]
    return _plan(
        verb,
        scope,
        seen,
        writes,
        until="its pods are ended" if suspend else "the cluster takes it up",
        back="z resumes it, from the start of its pods" if suspend else "z suspends it again",
    )


def _hold(job: Seen, index: int, *, suspend: bool) -> Write:
    ours_to_write(job)
    ended = finished(job.obj)
    if ended:
        raise RefusedError(f"{clean_line(job.name)} is {ended} already")
    if job.awaits_workload:
        raise RefusedError(
            f"Kueue holds {clean_line(job.name)}, and its Workload is not there (or not for you)",
            hint="spec.suspend is Kueue's to write; try again when Kueue has taken it up",
        )
    if job.workload is not None:
        path = _WORKLOADS.format(
            version=pick(job.workload, "apiVersion"),
            namespace=job.namespace,
            name=pick(job.workload, "metadata.name"),
        )
        spec, field, value = job.workload, "/spec/active", not suspend
        uid, default = pick(job.workload, "metadata.uid"), True
        what = f"workloads/{clean_line(pick(job.workload, 'metadata.name'))}"
    else:
        if not job.kind.suspend:
            raise RefusedError(f"a {job.kind.kind} cannot be suspended")
        path, spec, field, value = job.path, job.obj, job.kind.suspend, suspend
        uid, default = job.uid, False
        what = f"{job.kind.plural}/{clean_line(job.name)}"
    old = at_pointer(spec, field)
    was = bool(default if old is None else old)
    if was is value:
        raise RefusedError(
            f"{clean_line(job.name)} is {'suspended' if suspend else 'not suspended'} already"
        )
    dotted = field.strip("/").replace("/", ".")
    return Write(
        system="kubernetes",
        method="PATCH",
        path=path,
        body=[
            {"op": "test", "path": "/metadata/uid", "value": uid},
            *_set(spec, field, old, value),
        ],
        content_type=JSON_PATCH,
        summary=f"patch {what}, only if uid {uid} and {dotted} is {str(was).lower()}",
        diff=(f"- {dotted}: {str(was).lower()}", f"+ {dotted}: {str(value).lower()}"),
        target=index,
    )


def _set(obj: Mapping[str, Any], field: str, old: Any, value: bool) -> list[dict[str, Any]]:
    """The steps of a JSON Patch that set a field, pinned to what it was.

    A ``test`` for null passes where the last part of a path is missing and fails where one before
    it is, so a missing parent is what is tested and added.
    """
    parts = field.strip("/").split("/")
    new: Any = value
    for depth in range(1, len(parts)):
        parent = "/" + "/".join(parts[:depth])
        if at_pointer(obj, parent) is None:
            for part in reversed(parts[depth:]):
                new = {part: new}
            field, old = parent, None
            break
    return [
        {"op": "test", "path": field, "value": old},
        {"op": "add", "path": field, "value": new},
    ]
