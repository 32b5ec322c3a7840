"""Places in Kueue's queues, and who holds the quota that a job waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mcp_tui.domain import quantity
from mcp_tui.domain.kube import condition
from mcp_tui.domain.kube_custom import PendingWorkload, Workload

# How many holders a row names.
HOLDERS: Final = 3


def pending(workload: Workload) -> bool:
    """Whether a Workload waits for its quota."""
    reserved = condition(workload.status.conditions, "QuotaReserved")
    finished = condition(workload.status.conditions, "Finished")
    over = finished is not None and finished.is_true
    return workload.spec.active and not over and not (reserved is not None and reserved.is_true)


def admitted(workload: Workload) -> bool:
    """Whether a Workload holds quota."""
    finished = condition(workload.status.conditions, "Finished")
    over = finished is not None and finished.is_true
    return workload.status.admission is not None and not over and not pending(workload)


class Queues:
    """The Workloads of one cluster by queue.

    Places come from Kueue's visibility API where it is served; else they are worked out as Kueue
    orders its queues: by priority, then by age (kueue.sigs.k8s.io, "Queueing strategy").
    """

    def __init__(self) -> None:
        self.version = 0
        """Grows when a place may have changed."""
        self._workloads: dict[str, Workload] = {}
        self._order: dict[tuple[str, str], dict[str, int]] | None = None
        self._told: dict[tuple[str, str], dict[str, int]] = {}

    def put(self, workload: Workload) -> None:
        """Take a new or newer Workload."""
        self._workloads[workload.metadata.uid] = workload
        self._order = None
        self.version += 1

    def drop(self, uid: str) -> None:
        """Forget one that is gone."""
        if self._workloads.pop(uid, None) is not None:
            self._order = None
            self.version += 1

    def tell(self, namespace: str, queue: str, items: Iterable[PendingWorkload]) -> None:
        """Take what the visibility API says of the pending Workloads of a LocalQueue."""
        told = {item.metadata.name: item.position_in_cluster_queue + 1 for item in items}
        if told != self._told.get((namespace, queue), {}):
            self._told[namespace, queue] = told
            self.version += 1

    def untell(self, namespace: str, queue: str) -> None:
        """Forget what was told of a LocalQueue: nobody says so any more."""
        if self._told.pop((namespace, queue), None) is not None:
            self.version += 1

    def place(self, workload: Workload) -> int | None:
        """Place of a pending Workload, counted from 1; None for one that does not wait."""
        if not pending(workload):
            return None
        meta = workload.metadata
        told = self._told.get((meta.namespace, workload.spec.queue_name), {}).get(meta.name)
        if told is not None:
            return told
        if self._order is None:
            self._order = self._ordered()
        return self._order.get((meta.namespace, workload.spec.queue_name), {}).get(meta.uid)

    def _ordered(self) -> dict[tuple[str, str], dict[str, int]]:
        queues: dict[tuple[str, str], list[Workload]] = {}
        for workload in self._workloads.values():
            if pending(workload):
                key = (workload.metadata.namespace, workload.spec.queue_name)
                queues.setdefault(key, []).append(workload)
        return {
            key: {w.metadata.uid: n for n, w in enumerate(sorted(waiting, key=_rank), 1)}
            for key, waiting in queues.items()
        }

    def holders(self, workload: Workload) -> list[str]:
        """Who holds quota of the queue that a Workload waits in, the largest first.

        Returns:
            ``namespace/name (4 nvidia.com/gpu)``, at most :data:`HOLDERS`.
        """
        cluster_queues = {
            w.status.admission.cluster_queue
            for w in self._workloads.values()
            if w.status.admission is not None
            and w.spec.queue_name == workload.spec.queue_name
            and w.metadata.namespace == workload.metadata.namespace
        }
        found = [
            w
            for w in self._workloads.values()
            if admitted(w)
            and w.status.admission is not None
            and w.status.admission.cluster_queue in cluster_queues
        ]
        found.sort(key=lambda w: (-_accelerators(w), w.metadata.name))
        return [_holder(w) for w in found[:HOLDERS]]


def _rank(workload: Workload) -> tuple[int, str, str]:
    meta = workload.metadata
    return (-(workload.spec.priority or 0), meta.creation_timestamp or "", meta.name)


def _requests(workload: Workload) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for request in workload.status.resource_requests:
        for name, value in request.resources.items():
            parsed = quantity.parse(value)
            if parsed is not None:
                found[name] = found.get(name, 0.0) + float(parsed)
    return found


def _accelerators(workload: Workload) -> float:
    return sum(v for name, v in _requests(workload).items() if quantity.is_accelerator(name))


def _holder(workload: Workload) -> str:
    owner = workload.metadata.controller
    name = owner.name if owner is not None else workload.metadata.name
    what = ", ".join(
        f"{value:g} {name}"
        for name, value in sorted(_requests(workload).items())
        if quantity.is_accelerator(name)
    )
    return f"{workload.metadata.namespace}/{name}" + (f" ({what})" if what else "")
