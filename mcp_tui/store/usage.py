"""What jobs use now, and their places in the queue: two aggregated APIs that a cluster may have."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from mcp_tui.domain import quantity
from mcp_tui.domain.jobview import JobView, Used
from mcp_tui.domain.kube import Kube, ObjectMeta, Quantities
from mcp_tui.domain.kube_custom import PendingWorkload, PendingWorkloads
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.kubernetes.resources import POD_METRICS, VISIBILITY
from mcp_tui.sources.kubernetes.transport import KubeClient


class ContainerMetrics(Kube, frozen=True, kw_only=True):
    """metrics.k8s.io: what one container uses."""

    name: str = ""
    usage: Quantities = msgspec.field(default_factory=dict)


class PodMetrics(Kube, frozen=True, kw_only=True):
    """metrics.k8s.io/v1beta1 PodMetrics."""

    metadata: ObjectMeta = ObjectMeta()
    containers: tuple[ContainerMetrics, ...] = ()


def used_of(pods: Sequence[PodMetrics]) -> Used | None:
    """The sum over pods, in cores and bytes; None when nothing was measured."""
    total: dict[str, Decimal] = {}
    for pod in pods:
        for container in pod.containers:
            for name, value in container.usage.items():
                parsed = quantity.parse(value)
                if parsed is not None:
                    total[name] = total.get(name, quantity.ZERO) + parsed
    if not total:
        return None
    cpu, memory = total.get("cpu"), total.get("memory")
    return Used(
        cpu=None if cpu is None else float(cpu),
        memory=None if memory is None else float(memory),
    )


async def measure(kube: KubeClient, view: JobView) -> Used | None:
    """What a job's pods use now; None when nobody measures it, or it cannot be asked."""
    group, version, plural = POD_METRICS
    try:
        page = await kube.get(
            f"/apis/{group}/{version}/namespaces/{view.key.namespace}/{plural}",
            ObjectList[PodMetrics],
            params={"labelSelector": pod_selector(view.key.kind, view.key.name)},
        )
    except McpTuiError:
        return None
    return used_of(page.items)


async def places(
    kube: KubeClient, version: str, namespace: str, queue: str
) -> list[PendingWorkload] | None:
    """The pending Workloads of a LocalQueue as Kueue orders them; None when it does not say."""
    path = f"/apis/{VISIBILITY}/{version}/namespaces/{namespace}/localqueues/{queue}"
    try:
        return (await kube.get(f"{path}/pendingworkloads", PendingWorkloads)).items
    except McpTuiError:
        return None
