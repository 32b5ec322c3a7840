"""Watch events from socket bytes to store diff: ours beside the official client's models.

Both sides get the same chunks, as a socket gives them. Ours finds the lines, decodes to the typed
struct, sanitises, notes the version and applies the change to a table. Theirs does what its
``Watch`` does: finds the lines, parses the JSON and builds the model; storing it is a dict's item.

    python -m tests.bench.watch_decode
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.blocks import iter_blocks
from mcp_tui.sources.kubernetes.kubeconfig import ClusterInfo, ContextInfo, UserInfo
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import JOBS, PODS, Resource
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.table import Table

CHUNK = 65_536
OBJECTS = 2000


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
            "mcp-tui.io/git-branch": "\x1b[31mred\x1b[0m" if number % 100 == 0 else "main",
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


KINDS: dict[str, tuple[Callable[[int], dict[str, Any]], Resource[Any]]] = {
    "pods": (pod, PODS),
    "jobs": (job, JOBS),
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
    """The official client's way."""
    from kubernetes import client as official

    api: Any = official.ApiClient()
    stored: dict[str, Any] = {}
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            raw = json.dumps(json.loads(line)["object"])
            item = api.deserialize(raw, model, "application/json")
            stored[item.metadata.uid] = item
    return stored


def our_cost(kind: str, events: int) -> float:
    """Seconds of processor time for one event, our way."""
    make, resource = KINDS[kind]
    pieces = chunks(make, events)
    started = time.process_time()
    table = asyncio.run(ours(pieces, resource))
    took = time.process_time() - started
    assert len(table) == OBJECTS
    assert {item.metadata.annotations.git_branch for item in table.values()} == {"red", "main"}
    return took / events


def their_cost(kind: str, events: int) -> float:
    """Seconds of processor time for one event, the official client's way."""
    make, resource = KINDS[kind]
    pieces = chunks(make, events)
    theirs(pieces[:1], f"V1{resource.kind}")  # Its imports are not what is measured.
    started = time.process_time()
    assert len(theirs(pieces, f"V1{resource.kind}")) == events
    return (time.process_time() - started) / events


def measure(
    kind: str, *, events: int = 4000, reference: int = 150, rounds: int = 15
) -> tuple[float, float]:
    """Events a second of processor time, ours and theirs, each the best of some rounds.

    Each side runs in a process of its own, as it would in a program: 300,000 objects of the other
    one's models in the heap would be a cost of every collection.
    """
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as one,
        ProcessPoolExecutor(1, mp_context=context) as other,
    ):
        mine, reference_costs = [], []
        for _ in range(rounds):
            mine.append(one.submit(our_cost, kind, events).result())
            reference_costs.append(other.submit(their_cost, kind, reference).result())
    return 1 / min(mine), 1 / min(reference_costs)


def main() -> None:
    """Print the ratios."""
    for kind in KINDS:
        fast, slow = measure(kind)
        print(
            f"watch decode, {kind}: {fast:,.0f} events/s, "
            f"kubernetes models {slow:,.0f} events/s, ratio {fast / slow:.0f}x (at least 50x)"
        )


if __name__ == "__main__":
    main()
