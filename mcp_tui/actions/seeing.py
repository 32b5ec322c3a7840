"""A job as it is now, with what belongs to it: its Workload and its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_tui.actions.jobs import Seen
from mcp_tui.actions.kinds import kind_of
from mcp_tui.actions.template import pick
from mcp_tui.domain import keys
from mcp_tui.domain.job import run_id_of
from mcp_tui.domain.kinds import TYPES
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, UnreachableError, UsageError
from mcp_tui.sources.gate import is_canonical
from mcp_tui.sources.kubernetes.transport import KubeClient

_JOB_UID = "kueue.x-k8s.io/job-uid"


async def see(kube: KubeClient, kind: str, namespace: str, name: str, uid: str = "") -> Seen:
    """The job as it is now.

    Args:
        uid: Of the object that was on screen; empty when it was only named.

    Raises:
        GoneError: It is not there, or another one has its name now.
        UsageError: The name or namespace cannot be one.
        UnreachableError: What was answered is another object than was asked for.
    """
    row = kind_of(kind)
    path = row.path(namespace, name)
    if not name or not namespace or "/" in name + namespace or not is_canonical(path):
        raise UsageError(f"{clean_line(f'{namespace}/{name}', limit=200)!r} is not a job's name")
    where = f"{row.plural} in {clean_line(namespace)} of {clean_line(kube.context.name)}"
    try:
        reply = await kube.request("GET", path)
    except ApiError as error:
        if error.status == 404:
            raise GoneError(f"{clean_line(name)} is not there", where=where) from None
        raise
    obj = kube.decoded(reply, dict[str, Any], where)
    # What will be deleted or patched by this name must be what was asked for.
    if pick(obj, "metadata.name") != name or not pick(obj, "metadata.uid"):
        raise UnreachableError("the answer is not the object that was asked for", where=where)
    if uid and pick(obj, "metadata.uid") != uid:
        raise GoneError(
            f"{clean_line(name)} was replaced by another object of that name",
            hint="look at it again",
        )
    obj.setdefault("kind", row.kind)
    raw = _raw(reply.body)
    workload, awaits = await _workload(kube, obj)
    return Seen(
        obj=obj,
        raw=raw,
        kind=row,
        workload=workload,
        awaits_workload=awaits,
        run_id=run_id_of(kube.decoded(reply, TYPES[row.kind], where)),
    )


def _raw(body: bytes) -> Mapping[str, Any] | None:
    """The object exactly as sent; None where it is not strict JSON, and cannot be sent back."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _workload(
    kube: KubeClient, obj: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, bool]:
    """Kueue's Workload of a job, and whether there should be one that cannot be seen.

    Kueue labels a Workload with its job's uid; all of the namespace are looked at only for a job
    that names a queue, as older versions do not.
    """
    namespace, uid = pick(obj, "metadata.namespace"), pick(obj, "metadata.uid")
    labels = (obj.get("metadata") or {}).get("labels") or {}
    queued = keys.QUEUE_NAME in labels
    for version in ("v1beta2", "v1beta1"):
        path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{namespace}/workloads"
        for params in (
            ({"labelSelector": f"{_JOB_UID}={uid}"}, {})
            if queued
            else ({"labelSelector": f"{_JOB_UID}={uid}"},)
        ):
            try:
                found = await kube.get(path, dict[str, Any], params=params)
            except ApiError as error:
                if error.status == 404:
                    break
                # Not for us to see, or Kueue's API is not well: only holding needs to know.
                return None, queued or error.status != 403
            for item in found.get("items") or ():
                owners = (item.get("metadata") or {}).get("ownerReferences") or ()
                if any(owner.get("uid") == uid for owner in owners):
                    return {**item, "apiVersion": f"kueue.x-k8s.io/{version}"}, False
        else:
            return None, queued
    return None, False
