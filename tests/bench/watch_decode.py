"""Watch events from socket bytes to store diff, of every kind: ours beside the official client.

Both sides get the same chunks, as a socket gives them. Ours finds the lines, decodes to the typed
struct, sanitises, notes the version and applies the change to a table. Theirs does what its
``Watch`` does: finds the lines, parses the JSON and builds the model, or a dict where it has none
for the kind; storing it is a dict's item.

    python -m tests.bench.watch_decode
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.blocks import iter_blocks
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ContextInfo, UserInfo
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import JOBS, PODS, Resource
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.table import Table
from tests.bench.figure import Figure
from tests.joined.sources import SOURCES, Source, document

CHUNK = 65_536
OBJECTS = 2000
_BRANCH: Final = "mcp-tui.io/git-branch"


def _metadata(number: int, name: str) -> dict[str, Any]:
    """Metadata as real objects have it; a fifth of the bytes are managedFields.

    Every hundredth has an escape sequence in it, so that sanitising has work to do.
    """
    managed = {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-11-23T10:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {f"f:field{i}": {"f:inner": {}} for i in range(14)},
    }
    return {
        "name": f"{name}-{number % OBJECTS}",
        "generateName": f"{name}-",
        "namespace": "ml",
        "uid": f"00000000-0000-0000-0000-{number % OBJECTS:012d}",
        "resourceVersion": str(1000 + number),
        "generation": 1,
        "creationTimestamp": "2026-11-23T10:00:00Z",
        "labels": {f"example.com/label-{i}": f"value-{i}" for i in range(6)},
        "annotations": {
            _BRANCH: "\x1b[31mred\x1b[0m" if number % 100 == 0 else "main",
            "example.com/other": "x" * 100,
        },
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": "train",
                "uid": "11111111-0000-0000-0000-000000000000",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
        "managedFields": [managed, managed],
    }


def _spec() -> dict[str, Any]:
    """A training pod's spec as the API server fills it in."""
    mounts = [
        {"name": f"volume-{i}", "mountPath": f"/mnt/volume-{i}", "readOnly": True} for i in range(4)
    ]
    container = {
        "name": "main",
        "image": "registry.example/train:1.2",
        "command": ["python", "-m", "train"],
        "env": [{"name": f"VARIABLE_{i}", "value": f"value {i}"} for i in range(20)],
        "ports": [{"name": "metrics", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
            "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
        },
        "volumeMounts": mounts,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False},
    }
    tolerations = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"}
        for key in ("not-ready", "unreachable", "gpu")
    ]
    return {
        "volumes": [
            {"name": f"volume-{i}", "configMap": {"name": f"map-{i}", "defaultMode": 420}}
            for i in range(4)
        ],
        "initContainers": [{**container, "name": "clone"}],
        "containers": [container],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "nodeName": "node-1",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": tolerations,
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def pod(number: int) -> dict[str, Any]:
    """A running pod."""
    state = {"running": {"startedAt": "2026-11-23T10:00:02Z"}}
    status = {
        "name": "main",
        "state": state,
        "lastState": {},
        "ready": bool(number % 2),
        "restartCount": number,
        "image": "registry.example/train:1.2",
        "imageID": "registry.example/train@sha256:" + "0" * 64,
        "containerID": "containerd://" + "1" * 64,
        "started": True,
    }
    conditions = [
        {
            "type": kind,
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": "2026-11-23T10:00:01Z",
        }
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "PodScheduled")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(number, "train"),
        "spec": _spec(),
        "status": {
            "phase": "Running",
            "conditions": conditions,
            "hostIP": "10.0.0.1",
            "podIP": "10.1.0.1",
            "podIPs": [{"ip": "10.1.0.1"}],
            "startTime": "2026-11-23T10:00:01Z",
            "containerStatuses": [status],
            "initContainerStatuses": [{**status, "name": "clone"}],
            "qosClass": "Burstable",
        },
    }


def job(number: int) -> dict[str, Any]:
    """A running job."""
    labels = {f"example.com/label-{i}": f"value-{i}" for i in range(6)}
    condition = {
        "type": "Suspended",
        "status": "False",
        "reason": "JobResumed",
        "message": "Job resumed",
        "lastProbeTime": "2026-11-23T10:00:01Z",
        "lastTransitionTime": "2026-11-23T10:00:01Z",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(number, "train"),
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 3,
            "completionMode": "NonIndexed",
            "suspend": False,
            "selector": {"matchLabels": labels},
            "podReplacementPolicy": "TerminatingOrFailed",
            "template": {"metadata": {"labels": labels}, "spec": _spec()},
        },
        "status": {
            "active": 1,
            "ready": number % 2,
            "startTime": "2026-11-23T10:00:01Z",
            "uncountedTerminatedPods": {},
            "conditions": [condition],
        },
    }


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of object as it is measured.

    Attributes:
        make: Objects of it, by number.
        resource: What ours decodes it as.
        model: What theirs makes of it; empty for a dict.
        bound: How many times as fast ours has to be.
    """

    make: Callable[[int], dict[str, Any]]
    resource: Resource[Any]
    model: str = ""
    bound: float = 5


def _kind(source: Source) -> Kind:
    def make(number: int) -> dict[str, Any]:
        item = document(source, "x", number % 7)
        return item | {"metadata": _metadata(number, source.resource.plural)}

    return Kind(make, source.resource)


KINDS: Final[Mapping[str, Kind]] = {
    **{source.name: _kind(source) for source in SOURCES},
    # The two that storms are made of, whole as a real server gives them, beside models.
    "pods": Kind(pod, PODS, "V1Pod", 50),
    "jobs": Kind(job, JOBS, "V1Job", 50),
}


def event(item: dict[str, Any]) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": "MODIFIED", "object": item}, separators=(",", ":")).encode() + b"\n"


@cache
def chunks(make: Callable[[int], dict[str, Any]], count: int) -> list[bytes]:
    """``count`` events in pieces as a socket gives them."""
    whole = b"".join(event(make(number)) for number in range(count))
    return [whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK)]


async def ours(pieces: list[bytes], resource: Resource[Any]) -> Table[Any]:
    """Our way; returns the table."""
    table: Table[Any] = Table()

    def sink(delta: Delta[Any]) -> None:
        table.apply({item.metadata.uid: item for item in delta.upserts}, delta.removes)

    cluster = ClusterInfo("c", "http://127.0.0.1:1")
    context = ContextInfo("c", "c", cluster.server, "u", "default", cluster, UserInfo("u"))
    client = KubeClient(context, gate=Gate(read_only=True), env={})
    reflector = Reflector(client, resource, namespace=None, sink=sink)

    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async for block in iter_blocks(source()):
        reflector._take_block(block)
    return table


def theirs(pieces: list[bytes], model: str) -> dict[str, Any]:
    """The official client's way; without a model its way for kinds that it does not know."""
    from kubernetes import client as official

    api: Any = official.ApiClient()
    stored: dict[str, Any] = {}
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            raw = json.dumps(json.loads(line)["object"])
            item = api.deserialize(raw, model or "object", "application/json")
            stored[item.metadata.uid if model else item["metadata"]["uid"]] = item
    return stored


def _branch(item: Any) -> str | None:
    """What an object's annotation says, which is sanitised; None where its struct keeps none."""
    annotations = getattr(item.metadata, "annotations", None)
    if isinstance(annotations, Mapping):
        return annotations.get(_BRANCH)
    return getattr(annotations, "git_branch", None)


def our_cost(kind: str, events: int) -> float:
    """Seconds of processor time for one event, our way."""
    pieces = chunks(KINDS[kind].make, events)
    started = time.process_time()
    table = asyncio.run(ours(pieces, KINDS[kind].resource))
    took = time.process_time() - started
    assert len(table) == OBJECTS
    branches = {_branch(item) for item in table.values()}
    assert branches in ({"red", "main"}, {None}), branches
    return took / events


def their_cost(kind: str, events: int) -> float:
    """Seconds of processor time for one event, the official client's way."""
    pieces, model = chunks(KINDS[kind].make, events), KINDS[kind].model
    theirs(pieces[:1], model)  # Its imports are not what is measured.
    started = time.process_time()
    assert len(theirs(pieces, model)) == events
    return (time.process_time() - started) / events


@dataclass(frozen=True)
class Pace:
    """Events a second of processor time, each the best of some rounds."""

    ours: float
    theirs: float


def measure(
    kinds: Iterable[str], *, events: int = 4000, reference: int = 150, rounds: int = 15
) -> Iterator[tuple[str, Pace]]:
    """How fast each kind is.

    Each side runs in a process of its own, as it would in a program: 300,000 objects of the other
    one's models in the heap would be a cost of every collection.
    """
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as one,
        ProcessPoolExecutor(1, mp_context=context) as other,
    ):
        for kind in kinds:
            mine, reference_costs = [], []
            for _ in range(rounds):
                mine.append(one.submit(our_cost, kind, events).result())
                reference_costs.append(other.submit(their_cost, kind, reference).result())
            yield kind, Pace(1 / min(mine), 1 / min(reference_costs))


def figures() -> Iterator[Figure]:
    """As ``make bench`` prints them."""
    modelled = [name for name, kind in KINDS.items() if kind.model]
    others = [name for name in KINDS if name not in modelled]
    for found in (measure(modelled), measure(others, events=OBJECTS, rounds=5)):
        for name, pace in found:
            whose = "models" if KINDS[name].model else "dicts"
            yield Figure(
                f"watch events to store diff, {name}",
                pace.ours / pace.theirs,
                KINDS[name].bound,
                "x",
                f"{pace.ours:,.0f} events/s, kubernetes {whose} {pace.theirs:,.0f}",
                at_least=True,
            )


if __name__ == "__main__":
    for figure in figures():
        print(figure.line(), flush=True)
