"""Objects as the API server stores them, one of each sort, from which thousands are cast.

A server stores its own kinds as protobuf, and reads that several times as fast as JSON. We write
no protobuf: an object of each sort is created, its status written, and what the server has then put
into etcd is taken from there. A copy differs in its names, its uid and its times, each of which is
as long as the one that it replaces, so that every length in the encoding stays true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tests.cluster.ground import Cluster

NODE: Final = "still"
SPACE: Final = "team-00"
JOB: Final = "mould-000000"
POD: Final = f"{JOB}-0"
OWNER: Final = "11111111-2222-3333-4444-555555555555"
PROJECT: Final = "project-00"
BEGUN: Final = datetime(2026, 10, 1, 8, 0, 3, tzinfo=UTC)
ENDED: Final = datetime(2026, 10, 1, 8, 20, 7, tzinfo=UTC)

_JOBS: Final = f"/apis/batch/v1/namespaces/{SPACE}/jobs"
_PODS: Final = f"/api/v1/namespaces/{SPACE}/pods"
_MERGE: Final = "application/merge-patch+json"
_TRIES: Final = 20
_GONE: Final = 404
_IMAGE: Final = "registry.example/team/train:2026.11"
_CAUSES: Final = (("OOMKilled", 137), ("Error", 1), ("DeadlineExceeded", 143))


@dataclass(frozen=True)
class Mould:
    """One sort of object.

    Attributes:
        data: As it is stored.
        uid: Its uid.
        created: When the server made it.
    """

    data: bytes
    uid: str
    created: datetime

    def cast(self, words: Mapping[str, str], created: datetime) -> bytes:
        """A copy with other words, each as long as its own, made at another time."""
        data = self.data
        for old, new in words.items():
            assert len(old) == len(new), (old, new)
            data = data.replace(old.encode(), new.encode())
        times = {
            self.created: created,
            BEGUN: created + (BEGUN - BEGUN.replace(second=0)),
            ENDED: created + (ENDED - BEGUN.replace(second=0)),
        }
        for before, after in times.items():
            data = data.replace(_seconds(before), _seconds(after))
        return data


def _seconds(when: datetime) -> bytes:
    """A time's first field: its seconds as a varint, of five bytes from 1978 to 3058."""
    left, out = int(when.timestamp()), bytearray(b"\x08")
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes((*out, left))


class Moulder:
    """Makes moulds on a cluster.

    Args:
        cluster: Whose.
        stored: Reads what its etcd holds under a key.
    """

    def __init__(self, cluster: Cluster, stored: Callable[[str], bytes]) -> None:
        self._cluster = cluster
        self._stored = stored

    def job(self, status: Mapping[str, Any]) -> Mould:
        """A job with a status."""
        return self._make("jobs", _JOBS, JOB, job_manifest(), status)

    def pod(self, status: Mapping[str, Any]) -> Mould:
        """A pod of a job."""
        return self._make("pods", _PODS, POD, pod_manifest(), status)

    def _make(
        self,
        plural: str,
        path: str,
        name: str,
        manifest: dict[str, Any],
        status: Mapping[str, Any],
    ) -> Mould:
        api = self._cluster.api
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        # Its owner is not there: the garbage collector may be quicker than we are.
        for _ in range(_TRIES):
            made = api("POST", path, manifest).ok()
            patch = {"status": status}
            patched = api("PATCH", f"{path}/{name}/status", patch, content_type=_MERGE)
            data = self._stored(f"/registry/{plural}/{SPACE}/{name}")
            removed = api("DELETE", f"{path}/{name}", options)
            if removed.status != _GONE:
                removed.ok()
            if patched.status != _GONE and data:
                patched.ok()
                break
        else:
            raise RuntimeError(f"{path}/{name} goes away before it can be read")
        meta = made["metadata"]
        created = datetime.fromisoformat(meta["creationTimestamp"])
        mould = Mould(data, meta["uid"], created)
        assert data.startswith(b"k8s\0"), "not the encoding of a server's own kinds"
        assert _seconds(created) in data, "its time is not where it was thought to be"
        return mould


def job_manifest() -> dict[str, Any]:
    """A training job that no controller runs."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": JOB,
            "labels": {"app.kubernetes.io/part-of": PROJECT, "team": "ml"},
            "annotations": {"mcp-tui.io/git-branch": "main"},
        },
        "spec": {
            "managedBy": "mcp-tui.io/nobody",
            "backoffLimit": 2,
            "parallelism": 5,
            "completions": 5,
            "template": {"spec": _pod_spec()},
        },
    }


def pod_manifest() -> dict[str, Any]:
    """One of its pods, on a node that runs nothing."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": JOB, "uid": OWNER}
    labels = {"batch.kubernetes.io/job-name": JOB, "job-name": JOB}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": POD,
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {**_pod_spec(), "nodeName": NODE, "tolerations": [{"operator": "Exists"}]},
    }


def _pod_spec() -> dict[str, Any]:
    container = {
        "name": "train",
        "image": _IMAGE,
        "command": ["python", "-m", "train", "--config", "/etc/train/config.yaml"],
        "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(8)],
        "resources": {
            "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
            "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/train"}],
    }
    return {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "train"}}],
    }


def ray_job_spec() -> dict[str, Any]:
    """Of a RayJob: what it runs, and the cluster that it asks for."""
    group = {"groupName": "gpu", "replicas": 4, "template": {"spec": _pod_spec()}}
    head = {"rayStartParams": {}, "template": {"spec": _pod_spec()}}
    return {
        "entrypoint": "python -m train --config /etc/train/config.yaml",
        "rayClusterSpec": {"headGroupSpec": head, "workerGroupSpecs": [group]},
    }


def ray_job_status() -> dict[str, Any]:
    """Of a RayJob that runs."""
    return {
        "jobId": JOB,
        "jobStatus": "RUNNING",
        "jobDeploymentStatus": "Running",
        "startTime": _time(BEGUN),
    }


def job_done() -> dict[str, Any]:
    """The status of a job that is done."""
    reason = ("CompletionsReached", "Reached expected number of succeeded pods")
    return {
        "succeeded": 5,
        "startTime": _time(BEGUN),
        "completionTime": _time(ENDED),
        "conditions": [_condition(kind, *reason) for kind in ("SuccessCriteriaMet", "Complete")],
    }


def job_failed(failed: int = 3) -> dict[str, Any]:
    """Of one that failed."""
    reason = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    return {
        "failed": failed,
        "startTime": _time(BEGUN),
        "conditions": [_condition(kind, *reason) for kind in ("FailureTarget", "Failed")],
    }


def job_running(ready: int = 5, failed: int = 0) -> dict[str, Any]:
    """Of one that runs."""
    return {"active": 5, "ready": ready, "failed": failed, "startTime": _time(BEGUN)}


def pod_running() -> dict[str, Any]:
    """The status of a pod that runs."""
    return _pod("Running", {"running": {"startedAt": _time(BEGUN)}}, started=True)


def pod_ended(reason: str = "Completed", code: int = 0) -> dict[str, Any]:
    """Of one that ended."""
    end = {
        "exitCode": code,
        "reason": reason,
        "startedAt": _time(BEGUN),
        "finishedAt": _time(ENDED),
    }
    return _pod("Failed" if code else "Succeeded", {"terminated": end})


def pods_failed() -> list[dict[str, Any]]:
    """Of those that failed, by cause."""
    return [pod_ended(reason, code) for reason, code in _CAUSES]


def pod_waiting() -> dict[str, Any]:
    """Of one that cannot start."""
    waiting = {"reason": "ImagePullBackOff", "message": f"pulling {_IMAGE}"}
    return _pod("Pending", {"waiting": waiting})


def _pod(phase: str, state: dict[str, Any], *, started: bool = False) -> dict[str, Any]:
    status = {
        "name": "train",
        "state": state,
        "lastState": {},
        "ready": started,
        "restartCount": 0,
        "image": _IMAGE,
        "imageID": "registry.example/team/train@sha256:" + "0" * 64,
        "containerID": "containerd://" + "1" * 64,
        "started": started,
    }
    # Not Ready: of pods that are, on a node that does not report, every one would be written again.
    holds = {"PodReadyToStartContainers": "True", "Initialized": "True", "Ready": "False"}
    holds |= {"ContainersReady": "False", "PodScheduled": "True"}
    return {
        "phase": phase,
        "conditions": [
            {"type": name, "status": value, "lastTransitionTime": _time(BEGUN)}
            for name, value in holds.items()
        ],
        "hostIP": "10.0.0.1",
        "hostIPs": [{"ip": "10.0.0.1"}],
        "podIP": "10.1.0.1",
        "podIPs": [{"ip": "10.1.0.1"}],
        "startTime": _time(BEGUN),
        "containerStatuses": [status],
    }


def _condition(kind: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": _time(ENDED),
        "lastTransitionTime": _time(ENDED),
    }


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
