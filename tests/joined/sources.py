"""Every kind of object that the console lists or watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from mcp_tui.actions.prove import Probe
from mcp_tui.domain.kube_custom import PendingWorkload
from mcp_tui.sources.connect import _Service
from mcp_tui.sources.kubernetes import resources
from mcp_tui.sources.kubernetes.resources import POD_METRICS, VISIBILITY, Resource
from mcp_tui.store.usage import PodMetrics

Body = dict[str, Any]
Into = Literal["jobs", "workloads", "pods", "", "servers"]

_TIME: Final = "2026-11-23T03:00:00Z"
_CONTAINER: Final[Body] = {"name": "main", "image": "busybox", "command": ["true"]}
_TEMPLATE: Final[Body] = {"spec": {"restartPolicy": "Never", "containers": [_CONTAINER]}}


@dataclass(frozen=True)
class Source:
    """One kind.

    Attributes:
        name: Unique.
        resource: Where it is served and what its objects decode to.
        body: An object but for its metadata; each turn gives another state of it.
        shown: Who shows it.
        followed: Whether a reflector follows it; else it is listed when it is wanted.
        into: By which door it enters the :class:`mcp_tui.store.jobs.JobStore`, or ``servers`` for
            the :class:`mcp_tui.store.serving.ServingStore`; empty for none.
    """

    name: str
    resource: Resource[Any]
    body: Callable[[int], Body]
    shown: str
    followed: bool = True
    into: Into = ""


def _condition(type_: str, turn: int) -> Body:
    return {
        "type": type_,
        "status": ("True", "False")[turn % 2],
        "reason": f"Reason{turn}",
        "message": f"said in turn {turn}",
        "lastTransitionTime": _TIME,
    }


def _job(turn: int) -> Body:
    return {
        "spec": {"suspend": turn % 3 == 1, "parallelism": 1 + turn, "template": _TEMPLATE},
        "status": {"active": turn, "startTime": _TIME, "conditions": [_condition("Failed", turn)]},
    }


def _pod(turn: int) -> Body:
    waiting = {"waiting": {"reason": f"Wait{turn}", "message": f"turn {turn}"}}
    return {
        "spec": {"nodeName": "n1", "containers": [_CONTAINER]},
        "status": {
            "phase": ("Pending", "Running", "Failed", "Succeeded")[turn % 4],
            "reason": f"Reason{turn}",
            "containerStatuses": [{"name": "main", "restartCount": turn, "state": waiting}],
        },
    }


def _event(turn: int) -> Body:
    return {
        "involvedObject": {"kind": "Job", "name": "one", "uid": "u"},
        "type": ("Normal", "Warning")[turn % 2],
        "reason": f"Reason{turn}",
        "message": f"said in turn {turn}",
        "count": 1 + turn,
        "lastTimestamp": _TIME,
    }


def _node(turn: int) -> Body:
    return {
        "spec": {"unschedulable": turn % 2 == 1},
        "status": {"conditions": [_condition("Ready", turn)], "allocatable": {"cpu": str(turn)}},
    }


def _namespace(turn: int) -> Body:
    return {"status": {"phase": ("Active", "Terminating")[turn % 2]}}


def _train_job(turn: int) -> Body:
    return {
        "spec": {"suspend": turn % 2 == 1, "trainer": {"numNodes": 1 + turn}},
        "status": {"conditions": [_condition("Failed", turn)]},
    }


def _pytorch_job(turn: int) -> Body:
    worker = {"replicas": 1 + turn, "template": _TEMPLATE}
    return {
        "spec": {"pytorchReplicaSpecs": {"Worker": worker}},
        "status": {
            "conditions": [_condition("Failed", turn)],
            "replicaStatuses": {"Worker": {"active": turn}},
        },
    }


def _job_set(turn: int) -> Body:
    inner = {"name": "w", "replicas": 1 + turn, "template": {"spec": {"template": _TEMPLATE}}}
    return {
        "spec": {"suspend": turn % 2 == 1, "replicatedJobs": [inner]},
        "status": {"restarts": turn, "conditions": [_condition("Failed", turn)]},
    }


def _ray_job(turn: int) -> Body:
    return {
        "spec": {"entrypoint": "python t.py", "suspend": turn % 2 == 1},
        "status": {"jobStatus": ("PENDING", "RUNNING", "FAILED")[turn % 3], "startTime": _TIME},
    }


def _workload(turn: int) -> Body:
    return {
        "spec": {"queueName": f"q{turn % 2}", "priority": turn, "active": True},
        "status": {"conditions": [_condition("QuotaReserved", turn)]},
    }


def _server(turn: int) -> Body:
    served = {"name": "MODEL_URI", "value": f"models:/ranker/{1 + turn}"}
    template = {
        "metadata": {"labels": {"app": "ranker"}},
        "spec": {"containers": [{**_CONTAINER, "env": [served]}]},
    }
    return {
        "spec": {
            "replicas": 1 + turn,
            "selector": {"matchLabels": {"app": "ranker"}},
            "template": template,
        },
        "status": {"replicas": turn, "readyReplicas": turn, "updatedReplicas": turn},
    }


def _inference_service(turn: int) -> Body:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": f"s3://models/ranker/{turn}"}
    return {
        "spec": {"predictor": {"minReplicas": 1, "model": model}},
        "status": {"conditions": [_condition("Ready", turn)]},
    }


def _probe(turn: int) -> Body:
    return {"spec": {"suspend": turn % 2 == 1}, "status": {"active": turn}}


def _pod_metrics(turn: int) -> Body:
    return {"containers": [{"name": "main", "usage": {"cpu": f"{turn}m", "memory": f"{turn}Mi"}}]}


def _pending(turn: int) -> Body:
    return {
        "localQueueName": "q",
        "priority": turn,
        "positionInClusterQueue": turn,
        "positionInLocalQueue": turn,
    }


def _service(turn: int) -> Body:
    return {"spec": {"ports": [{"name": "http", "port": 80 + turn}]}}


def _also(resource: Resource[Any], **changes: Any) -> Resource[Any]:
    return msgspec.structs.replace(resource, **changes)


_JOBS_TABLE: Final = "the table of jobs"
_QUEUE: Final = "a job's place in its queue"
_SERVED: Final = "what serves a model's versions"

SOURCES: Final[tuple[Source, ...]] = (
    Source("jobs", resources.JOBS, _job, _JOBS_TABLE, into="jobs"),
    Source("pods", resources.PODS, _pod, "a job's cause, pods and logs", into="pods"),
    Source("events", resources.EVENTS, _event, "a job's cause and its events"),
    Source("nodes", resources.NODES, _node, "nobody yet"),
    Source("namespaces", resources.NAMESPACES, _namespace, "the choice of a namespace"),
    Source("trainjobs", resources.TRAINJOBS, _train_job, _JOBS_TABLE, into="jobs"),
    Source("pytorchjobs", resources.PYTORCHJOBS, _pytorch_job, _JOBS_TABLE, into="jobs"),
    Source("jobsets", resources.JOBSETS, _job_set, _JOBS_TABLE, into="jobs"),
    Source("rayjobs", resources.RAYJOBS, _ray_job, _JOBS_TABLE, into="jobs"),
    Source(
        "rayjobs-v1alpha1",
        _also(resources.RAYJOBS, version="v1alpha1"),
        _ray_job,
        _JOBS_TABLE,
        into="jobs",
    ),
    Source("workloads", resources.WORKLOADS, _workload, _QUEUE, into="workloads"),
    Source(
        "workloads-v1beta1",
        _also(resources.WORKLOADS, version="v1beta1"),
        _workload,
        _QUEUE,
        into="workloads",
    ),
    Source("deployments", resources.DEPLOYMENTS, _server, _SERVED, into="servers"),
    Source(
        "inferenceservices",
        resources.INFERENCESERVICES,
        _inference_service,
        _SERVED,
        into="servers",
    ),
    Source("rollouts", resources.ROLLOUTS, _server, _SERVED, into="servers"),
    Source("proof", _also(resources.JOBS, type_=Probe), _probe, "the outcome of an action"),
    Source(
        "pod-metrics",
        Resource(*POD_METRICS, "PodMetrics", True, PodMetrics),
        _pod_metrics,
        "what a job uses",
        followed=False,
    ),
    Source(
        "pending",
        Resource(VISIBILITY, "v1beta2", "pendingworkloads", "Pending", True, PendingWorkload),
        _pending,
        _QUEUE,
        followed=False,
    ),
    Source(
        "services",
        Resource("", "v1", "services", "Service", True, _Service),
        _service,
        "nobody: MLflow and Prometheus are found by it",
        followed=False,
    ),
)


def document(source: Source, name: str, turn: int = 0, **metadata: Any) -> Body:
    """An object of a kind as a server would give it.

    Args:
        source: The kind.
        name: Its name.
        turn: Which of its states.
        metadata: More of its metadata, such as ``uid`` and ``resourceVersion``.
    """
    meta = {"name": name, "creationTimestamp": _TIME, **metadata}
    if source.resource.namespaced:
        meta.setdefault("namespace", "ml")
    head = {"apiVersion": source.resource.api_version, "kind": source.resource.kind}
    return {**head, "metadata": meta, **source.body(turn)}
