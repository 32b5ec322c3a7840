"""Which objects belong together: one row for each root owner, and the tree below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.kinds import AnyJob, outline
from mcp_tui.domain.kube import ContainerStatus, Pod
from mcp_tui.domain.kube_custom import RayJob, Workload
from mcp_tui.domain.text import clean_line

_CONTROLLER_UID: Final = "batch.kubernetes.io/controller-uid"
_JOBSET_UID: Final = "jobset.sigs.k8s.io/jobset-uid"
_RAY_CLUSTER: Final = "ray.io/cluster"
_REPLICAS: Final = ("jobset.sigs.k8s.io/replicatedjob-name", "training.kubeflow.org/replica-type")
_RANKS: Final = (keys.COMPLETION_INDEX, "training.kubeflow.org/replica-index")


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A root owner with everything that it owns, itself excluded, from the outside in."""

    root: AnyJob
    children: tuple[AnyJob, ...] = ()

    @property
    def uids(self) -> frozenset[str]:
        """Of the root and all its children."""
        return frozenset(item.metadata.uid for item in (self.root, *self.children))


def root_uid(uid: str, known: Mapping[str, AnyJob]) -> tuple[str, int]:
    """The root owner of a known object, and how far below it the object stands.

    Only the controlling owner counts. What is owned by something unknown (a CronJob, or a kind
    that may not be listed) is its own root, and so is what an ownership in a circle leads to.
    """
    root, depth, seen = uid, 0, {uid}
    while (owner := known[root].metadata.controller) is not None and owner.uid in known:
        if owner.uid in seen:
            return uid, 0
        seen.add(owner.uid)
        root, depth = owner.uid, depth + 1
    return root, depth


def in_order(below: Iterable[tuple[int, AnyJob]]) -> tuple[AnyJob, ...]:
    """Children by their depth, then by name, however they came."""
    ordered = sorted(below, key=lambda p: (p[0], p[1].metadata.name, p[1].metadata.uid))
    return tuple(item for _, item in ordered)


def root_of(objects: Iterable[AnyJob]) -> list[Group]:
    """Group jobs of all kinds of one cluster under their root owners, as :func:`root_uid` says."""
    known = {item.metadata.uid: item for item in objects if item.metadata.uid}
    below: dict[str, list[tuple[int, AnyJob]]] = defaultdict(list)
    roots: list[AnyJob] = []
    for uid, item in known.items():
        root, depth = root_uid(uid, known)
        if depth:
            below[root].append((depth, item))
        else:
            roots.append(item)
    return [Group(root=root, children=in_order(below[root.metadata.uid])) for root in roots]


def ray_claim(namespace: str, cluster: str) -> str:
    """What a pod of a Ray cluster claims, since its owner is the cluster and not the job."""
    return f"ray/{namespace}/{cluster}" if cluster else ""


def claim_of(job: AnyJob) -> str:
    """What pods may claim of a job beside its uid; empty for nothing."""
    if isinstance(job, RayJob):
        return ray_claim(job.metadata.namespace, job.status.ray_cluster_name)
    return ""


def claims_of(pod: Pod) -> tuple[str, ...]:
    """What a pod says that it belongs to, the surest first: uids, and Ray's clusters.

    A pod that outlives its Job is released from it, and keeps the labels.
    """
    owner = pod.metadata.controller
    labels = pod.metadata.labels
    found = (
        owner.uid if owner else "",
        labels.get(_CONTROLLER_UID, ""),
        labels.get(_JOBSET_UID, ""),
        ray_claim(pod.metadata.namespace, labels.get(_RAY_CLUSTER, "")),
    )
    return tuple(dict.fromkeys(claim for claim in found if claim))


def pods_by_root(groups: Sequence[Group], pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    """The pods of each group, by its root's uid; pods that belong to none are left out."""
    owners = {uid: group.root.metadata.uid for group in groups for uid in group.uids}
    owners |= {
        claim: group.root.metadata.uid
        for group in groups
        for claim in map(claim_of, (group.root, *group.children))
        if claim
    }
    found: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        uid = next((owners[claim] for claim in claims_of(pod) if claim in owners), "")
        if uid:
            found[uid].append(pod)
    return found


def newest_workload(workloads: Iterable[Workload]) -> Workload | None:
    """Of several Workloads of one job, the one that counts."""
    return max(
        workloads,
        key=lambda w: (w.metadata.creation_timestamp or "", w.metadata.name, w.metadata.uid),
        default=None,
    )


def workloads_by_root(
    groups: Sequence[Group], workloads: Iterable[Workload]
) -> dict[str, Workload]:
    """Kueue's Workload of each group, by its root's uid; of several, the newest."""
    owners = {uid: group.root.metadata.uid for group in groups for uid in group.uids}
    held: dict[str, list[Workload]] = defaultdict(list)
    for workload in workloads:
        for reference in workload.metadata.owner_references:
            if reference.uid in owners:
                held[owners[reference.uid]].append(workload)
    return {uid: max_ for uid, each in held.items() if (max_ := newest_workload(each)) is not None}


class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line of the tree: job, replicated job, pod or container."""

    kind: str
    name: str
    state: str = ""
    """In the field's words: Running, Pending, OOMKilled, ImagePullBackOff."""
    restarts: int = 0
    ready: bool | None = None
    exit_code: int | None = None
    node: str = ""
    message: str = ""
    children: tuple[Node, ...] = ()


def tree_of(job: AnyJob, children: Iterable[AnyJob] = (), pods: Iterable[Pod] = ()) -> Node:
    """The tree job -> replicas -> pods -> containers; nothing that was given is left out."""
    below: Mapping[str, list[AnyJob]] = defaultdict(list)
    children = tuple(children)
    known = {job.metadata.uid, *(child.metadata.uid for child in children)}
    for child in children:
        owner = child.metadata.controller
        parent = (
            owner.uid if owner and owner.uid in known - {child.metadata.uid} else job.metadata.uid
        )
        below[parent].append(child)
    held: Mapping[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        owner = pod.metadata.controller
        uid = owner.uid if owner else pod.metadata.labels.get(_CONTROLLER_UID, "")
        held[uid if uid in known else job.metadata.uid].append(pod)
    return _job_node(job, below, held, frozenset())


def _job_node(
    job: AnyJob,
    below: Mapping[str, list[AnyJob]],
    held: Mapping[str, list[Pod]],
    above: frozenset[str],
) -> Node:
    uid = job.metadata.uid
    found = outline(job)
    if found.failure is not None:
        state = found.failure.reason or "Failed"
    elif found.done:
        state = "Complete"
    elif found.suspended:
        state = "Suspended"
    else:
        state = "Running" if found.ready else "Pending"
    inner = [
        _job_node(child, below, held, above | {uid})
        for child in sorted(below.get(uid, ()), key=lambda item: item.metadata.name)
        if child.metadata.uid not in above | {uid}
    ]
    return Node(
        kind=found.kind,
        name=clean_line(job.metadata.name),
        state=clean_line(state),
        restarts=found.restarts,
        message=clean_line(found.failure.message) if found.failure else "",
        children=(*inner, *_replica_nodes(held.get(uid, ()))),
    )


def _replica_nodes(pods: Iterable[Pod]) -> list[Node]:
    """Pods under their replica's name where they have one, by rank, then by age."""
    replicas: dict[str, list[Pod]] = defaultdict(list)
    for pod in sorted(pods, key=_order):
        labels = pod.metadata.labels
        name = next((labels[label] for label in _REPLICAS if label in labels), "")
        replicas[name].append(pod)
    nodes: list[Node] = []
    for name, members in replicas.items():
        inner = tuple(_pod_node(pod) for pod in members)
        if name and len(replicas) > 1:
            ready = sum(1 for node in inner if node.ready)
            nodes.append(
                Node(
                    kind="Replica",
                    name=clean_line(name),
                    state=f"{ready}/{len(inner)} ready",
                    children=inner,
                )
            )
        else:
            nodes.extend(inner)
    return nodes


def rank_of(pod: Pod) -> int | None:
    """The pod's index among its peers, by the label of its kind."""
    for label in _RANKS:
        value = pod.metadata.labels.get(label, "")
        if value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
    return None


def _order(pod: Pod) -> tuple[int, str, str]:
    rank = rank_of(pod)
    return (
        -1 if rank is None else rank,
        pod.metadata.creation_timestamp or "",
        pod.metadata.name,
    )


def _pod_node(pod: Pod) -> Node:
    status = pod.status
    containers = [
        *(_container_node(item, "Init container") for item in status.init_container_statuses),
        *(_container_node(item, "Container") for item in status.container_statuses),
    ]
    if not containers:
        containers = [
            Node(kind="Container", name=clean_line(item.name), state="Pending")
            for item in pod.spec.containers
        ]
    state = status.reason or status.phase or "Pending"
    if pod.metadata.deletion_timestamp:
        state = "Terminating"
    elif status.phase in ("Pending", "Running") and not status.reason:
        odd = [node.state for node in containers if node.state not in _QUIET]
        state = odd[0] if odd else state
    ready = next((item.is_true for item in status.conditions if item.type == "Ready"), False)
    return Node(
        kind="Pod",
        name=clean_line(pod.metadata.name),
        state=clean_line(state),
        restarts=sum(node.restarts for node in containers),
        ready=ready,
        node=clean_line(pod.spec.node_name),
        message=clean_line(status.message),
        children=tuple(containers),
    )


_QUIET: Final = frozenset(
    {"Running", "Pending", "Completed", "Waiting", "ContainerCreating", "PodInitializing"}
)


def _container_node(item: ContainerStatus, kind: str) -> Node:
    state, message, code = "Waiting", "", None
    if item.state.terminated is not None:
        end = item.state.terminated
        state, message, code = end.reason or "Terminated", end.message, end.exit_code
    elif item.state.running is not None:
        state = "Running"
        last = item.last_state.terminated
        if last is not None:
            message = f"before: {last.reason or 'ended'} (exit {last.exit_code})"
    elif item.state.waiting is not None:
        state, message = item.state.waiting.reason or "Waiting", item.state.waiting.message
    return Node(
        kind=kind,
        name=clean_line(item.name),
        state=clean_line(state),
        restarts=item.restart_count,
        ready=item.ready,
        exit_code=code,
        message=clean_line(message, limit=300),
    )
