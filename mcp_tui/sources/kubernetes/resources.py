"""The kinds that the console reads, and which of them a server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from mcp_tui.domain import kube, kube_custom, kube_serving
from mcp_tui.errors import ApiError

if TYPE_CHECKING:
    from mcp_tui.sources.kubernetes.transport import KubeClient

T = TypeVar("T")


class Resource(msgspec.Struct, Generic[T], frozen=True):
    """One kind as a server serves it.

    Attributes:
        group: The API group; empty for the core group.
        version: The API version, such as ``v1``.
        plural: The resource's name in paths.
        kind: The kind's name.
        namespaced: Whether its objects live in namespaces.
        type_: The struct that its objects decode to.
        relist: Whether a watch that ended is followed by a list rather than resumed. Events need
            it: a watch of theirs from a version that is too old ends empty with status 200.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    type_: type[T]
    relist: bool = False

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str, str]:
        """What :func:`discover` lists it under."""
        return (self.group, self.version, self.plural)

    def path(
        self, namespace: str | None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The path of a list, an object or a sub-resource.

        Args:
            namespace: None for all namespaces, or for a kind that has none.
            name: None for the list.
            subresource: Such as ``status`` or ``log``.
        """
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
            if subresource:
                parts.append(subresource)
        return "/".join(parts)


JOBS: Final = Resource("batch", "v1", "jobs", "Job", True, kube.Job)
PODS: Final = Resource("", "v1", "pods", "Pod", True, kube.Pod)
EVENTS: Final = Resource("", "v1", "events", "Event", True, kube.Event, relist=True)
NODES: Final = Resource("", "v1", "nodes", "Node", False, kube.Node)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", False, kube.Namespace)
TRAINJOBS: Final = Resource(
    "trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob", True, kube_custom.TrainJob
)
PYTORCHJOBS: Final = Resource(
    "kubeflow.org", "v1", "pytorchjobs", "PyTorchJob", True, kube_custom.PyTorchJob
)
JOBSETS: Final = Resource(
    "jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet", True, kube_custom.JobSet
)
RAYJOBS: Final = Resource("ray.io", "v1", "rayjobs", "RayJob", True, kube_custom.RayJob)
WORKLOADS: Final = Resource(
    "kueue.x-k8s.io", "v1beta2", "workloads", "Workload", True, kube_custom.Workload
)
DEPLOYMENTS: Final = Resource(
    "apps", "v1", "deployments", "Deployment", True, kube_serving.Deployment
)
INFERENCESERVICES: Final = Resource(
    "serving.kserve.io",
    "v1beta1",
    "inferenceservices",
    "InferenceService",
    True,
    kube_serving.InferenceService,
)
ROLLOUTS: Final = Resource(
    "argoproj.io", "v1alpha1", "rollouts", "Rollout", True, kube_serving.Rollout
)

# Newest version first where a group has served several that decode alike.
RESOURCES: Final[tuple[Resource[Any], ...]] = (
    JOBS,
    PODS,
    EVENTS,
    NODES,
    NAMESPACES,
    TRAINJOBS,
    PYTORCHJOBS,
    JOBSETS,
    RAYJOBS,
    msgspec.structs.replace(RAYJOBS, version="v1alpha1"),
    WORKLOADS,
    msgspec.structs.replace(WORKLOADS, version="v1beta1"),
    DEPLOYMENTS,
    INFERENCESERVICES,
    ROLLOUTS,
)

# Aggregated APIs: servers of their own behind the API server, where a cluster has them.
POD_METRICS: Final = ("metrics.k8s.io", "v1beta1", "pods")
VISIBILITY: Final = "visibility.kueue.x-k8s.io"

_GROUPS: Final = frozenset({r.group for r in RESOURCES} | {POD_METRICS[0], VISIBILITY})
_SILENT: Final = ""

# A version whose own server does not answer stands in it with an empty plural.
Served = frozenset[tuple[str, str, str]]


def silent(served: Served) -> tuple[str, ...]:
    """``group/version`` of what the console uses and whose own server does not answer now."""
    return tuple(sorted(f"{g}/{v}" for g, v, p in served if p == _SILENT and g in _GROUPS))


def choose(served: Served, wanted: Resource[T]) -> Resource[T] | None:
    """The newest served version of a kind, or None when the server does not have it."""
    for known in RESOURCES:
        same = (known.group, known.plural) == (wanted.group, wanted.plural)
        if same and known.key in served:
            return known
    return wanted if wanted.key in served else None


class _Name(msgspec.Struct, frozen=True):
    name: str = ""


class _ResourceItem(msgspec.Struct, frozen=True):
    resource: str = ""


class _VersionItem(msgspec.Struct, frozen=True):
    version: str = ""
    freshness: str = ""
    resources: tuple[_ResourceItem, ...] = ()


class _GroupItem(msgspec.Struct, frozen=True):
    metadata: _Name = _Name()
    versions: tuple[_VersionItem, ...] = ()


class _Aggregated(msgspec.Struct, frozen=True):
    kind: str = ""
    items: tuple[_GroupItem, ...] = ()


class _GroupVersion(msgspec.Struct, frozen=True, rename="camel"):
    group_version: str = ""


class _Group(msgspec.Struct, frozen=True):
    name: str = ""
    versions: tuple[_GroupVersion, ...] = ()


class _Groups(msgspec.Struct, frozen=True):
    groups: tuple[_Group, ...] = ()


class _ResourceList(msgspec.Struct, frozen=True):
    resources: tuple[_Name, ...] = ()


_ACCEPT: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)


async def discover(client: KubeClient, *, deadline: float = 10.0) -> Served:
    """What a server serves: (group, version, plural) of each resource.

    Two calls where the server aggregates its discovery (since Kubernetes 1.26); else one for each
    version of the groups that the console uses.

    Raises:
        ApiError, UnreachableError, RefusedError: As the client's ``request``.
    """
    served: set[tuple[str, str, str]] = set()
    for root in ("/api", "/apis"):
        reply = await client.request("GET", root, accept=_ACCEPT, deadline=deadline)
        where = client.where("GET", root)
        found = client.decoded(reply, _Aggregated, where)
        if found.kind == "APIGroupDiscoveryList":
            served |= {
                (group.metadata.name, version.version, item.resource)
                for group in found.items
                for version in group.versions
                for item in version.resources
            }
            served |= {
                (group.metadata.name, version.version, _SILENT)
                for group in found.items
                for version in group.versions
                if version.freshness == "Stale" and not version.resources
            }
        elif root == "/api":
            served |= await _version(client, "", "v1", deadline)
        else:
            groups = client.decoded(reply, _Groups, where).groups
            for group in groups:
                for each in group.versions if group.name in _GROUPS else ():
                    version = each.group_version.rpartition("/")[2]
                    served |= await _version(client, group.name, version, deadline)
    return frozenset(served)


async def _version(
    client: KubeClient, group: str, version: str, deadline: float
) -> set[tuple[str, str, str]]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        found = await client.get(path, _ResourceList, deadline=deadline)
    except ApiError as error:
        # One aggregated API that is down must not hide the others.
        if error.status in (404, 503):
            return {(group, version, _SILENT)} if error.status == 503 else set()
        raise
    return {(group, version, each.name) for each in found.resources if "/" not in each.name}
