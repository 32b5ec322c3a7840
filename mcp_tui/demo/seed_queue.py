"""A queue for the demo: what Kueue would do with jobs that name one, in its simplest form.

Each job with the queue's label gets a Workload; the oldest waiting ones are admitted while there is
quota of accelerators, and the others are told how much is missing. It is no Kueue: no cohorts, no
preemption, one flavor. Statuses are those that Kueue documents (kueue.sigs.k8s.io, "Workload").
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from mcp_tui.domain import keys
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.kubernetes.transport import KubeClient

_LOG: Final = logging.getLogger(__name__)
_API: Final = "kueue.x-k8s.io/v1beta1"
_EVERY: Final = 2.0
_MERGE: Final = "application/merge-patch+json"

Obj = Mapping[str, Any]


class Queue:
    """Admits jobs of one LocalQueue until it is cancelled.

    Args:
        kube: As an administrator.
        namespace: Where the queue is.
        name: Of the LocalQueue; its ClusterQueue is called the same.
        resource: What the quota is of.
        quota: How much of it there is.
    """

    def __init__(
        self, kube: KubeClient, *, namespace: str, name: str, resource: str, quota: int
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._resource = resource
        self._quota = quota
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._workloads = f"/apis/{_API}/namespaces/{namespace}/workloads"

    async def run(self) -> None:
        """Make the LocalQueue, then look every two seconds."""
        body = {
            "apiVersion": _API,
            "kind": "LocalQueue",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {"clusterQueue": self._name},
        }
        path = f"/apis/{_API}/namespaces/{self._namespace}/localqueues"
        while True:
            try:
                await self._kube.send("POST", path, body, dict[str, Any])
                break
            except ApiError as error:
                if error.status == 409:
                    break
            except McpTuiError as error:
                _LOG.warning("queue: %s", error.line())
            await asyncio.sleep(_EVERY)
        while True:
            try:
                await self._look()
            except McpTuiError as error:
                _LOG.warning("queue: %s", error.line())
            await asyncio.sleep(_EVERY)

    async def _look(self) -> None:
        selector = [("labelSelector", f"{keys.QUEUE_NAME}={self._name}")]
        jobs = (await self._kube.get(self._jobs, dict[str, Any], params=selector))["items"]
        found = (await self._kube.get(self._workloads, dict[str, Any]))["items"]
        by_owner = {owner["uid"]: w for w in found for owner in _owners(w)}
        held, waiting = 0, []
        for job in sorted(jobs, key=_age):
            workload = by_owner.get(job["metadata"]["uid"])
            if workload is None:
                workload = await self._make(job)
            if _ended(job):
                if not _is(workload, "Finished"):
                    await self._say(workload, "Finished", "Succeeded", "The job has ended")
            elif not workload["spec"].get("active", True):
                await self._hold(job, workload)
            elif _is(workload, "QuotaReserved"):
                held += self._wants(job)
                if job["spec"].get("suspend"):
                    await self._suspend(job, on=False)
            else:
                waiting.append((job, workload))
        for job, workload in waiting:
            wanted = self._wants(job)
            if held + wanted <= self._quota:
                held += wanted
                await self._admit(job, workload)
            else:
                await self._refuse(workload, held + wanted - self._quota)

    def _wants(self, job: Obj) -> int:
        containers = job["spec"]["template"]["spec"]["containers"]
        limits = [(c.get("resources") or {}).get("limits") or {} for c in containers]
        each = sum(int(limit.get(self._resource, 0)) for limit in limits)
        return each * int(job["spec"].get("parallelism", 1))

    async def _make(self, job: Obj) -> Obj:
        meta = job["metadata"]
        owner = {
            "apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"],
            "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip
        body = {
            "apiVersion": _API,
            "kind": "Workload",
            "metadata": {
                "name": f"job-{meta['name']}-{meta['uid'][:5]}",
                "namespace": self._namespace,
                "ownerReferences": [owner],
            },
            "spec": {
                "queueName": self._name,
                "active": True,
                "priority": 0,
                "podSets": [{"name": "main", "count": job["spec"].get("parallelism", 1)}],
            },
        }
        made: Obj = await self._kube.send("POST", self._workloads, body, dict[str, Any])
        request = {"name": "main", "resources": {self._resource: str(self._wants(job))}}
        return await self._status(made, {"resourceRequests": [request]})

    async def _admit(self, job: Obj, workload: Obj) -> None:
        counts = {
            "name": "main",
            "flavors": {self._resource: "a100"},
            "count": job["spec"].get("parallelism", 1),
        }
        admission = {"clusterQueue": self._name, "podSetAssignments": [counts]}
        words = f"Quota reserved in ClusterQueue {self._name}"
        workload = await self._status(workload, {"admission": admission})
        if _is(workload, "Evicted"):
            workload = await self._say(workload, "Evicted", "QuotaReserved", words, on=False)
        workload = await self._say(workload, "QuotaReserved", "QuotaReserved", words)
        await self._say(workload, "Admitted", "Admitted", "The workload is admitted")
        await self._suspend(job, on=False)

    async def _refuse(self, workload: Obj, missing: int) -> None:
        words = (
            "couldn't assign flavors to pod set main: insufficient unused quota for "
            f"{self._resource} in flavor a100, {missing} more needed"
        )
        known = _condition(workload, "QuotaReserved")
        if known is None or known.get("message") != words:
            await self._say(workload, "QuotaReserved", "Pending", words, on=False)

    async def _hold(self, job: Obj, workload: Obj) -> None:
        """Somebody set the Workload inactive: its job is ended until it is active again."""
        if not job["spec"].get("suspend"):
            await self._suspend(job, on=True)
        if not _is(workload, "Evicted"):
            words = "The workload is deactivated"
            workload = await self._say(workload, "Evicted", "Deactivated", words)
            workload = await self._say(workload, "QuotaReserved", "Pending", words, on=False)
            workload = await self._say(workload, "Admitted", "NoReservation", words, on=False)
            await self._status(workload, {"admission": None})

    async def _suspend(self, job: Obj, *, on: bool) -> None:
        path = f"{self._jobs}/{job['metadata']['name']}"
        body = {"spec": {"suspend": on}}
        await self._kube.send("PATCH", path, body, dict[str, Any], content_type=_MERGE)

    async def _say(
        self, workload: Obj, kind: str, reason: str, message: str, *, on: bool = True
    ) -> Obj:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = "True" if on else "False"
        old = _condition(workload, kind)
        since = old["lastTransitionTime"] if old and old["status"] == status else now
        said = {
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since,
        }  # fmt: skip
        others = [c for c in _conditions(workload) if c["type"] != kind]
        return await self._status(workload, {"conditions": [*others, said]})

    async def _status(self, workload: Obj, status: Obj) -> Obj:
        path = f"{self._workloads}/{workload['metadata']['name']}/status"
        answer: Obj = await self._kube.send(
            "PATCH", path, {"status": status}, dict[str, Any], content_type=_MERGE
        )
        return answer


def _owners(obj: Obj) -> list[Obj]:
    return obj["metadata"].get("ownerReferences") or []


def _age(job: Obj) -> tuple[str, str]:
    return job["metadata"]["creationTimestamp"], job["metadata"]["name"]


def _conditions(obj: Obj) -> list[Obj]:
    return (obj.get("status") or {}).get("conditions") or []


def _condition(obj: Obj, kind: str) -> Obj | None:
    return next((c for c in _conditions(obj) if c["type"] == kind), None)


def _is(obj: Obj, kind: str) -> bool:
    found = _condition(obj, kind)
    return found is not None and found["status"] == "True"


def _ended(job: Obj) -> bool:
    return _is(job, "Complete") or _is(job, "Failed")
