"""A cluster full of jobs and pods: the stage of every figure about scale.

The objects are what a real API server makes of a training job and its pods, defaults and managed
fields included: one of each is created, read back, and written under other names into the etcd
behind the server, as many as are asked for. So 60,000 objects stand in seconds, and everything
that reads them reads a real API server. No controller changes them: the jobs name a controller
that is not there, and the pods a node that runs nothing.
"""

from __future__ import annotations

import base64
import ssl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tests.cluster import Ground

NAMESPACES: Final = 20
NODE: Final = "still"
_AT_ONCE: Final = 100
"""Objects of one write to etcd, which takes 128."""

_IMAGE: Final = "registry.example/team/train:2026.11"
_CAUSES: Final = (("OOMKilled", 137), ("Error", 1), ("DeadlineExceeded", 143))


@dataclass(frozen=True)
class Size:
    """How much there is."""

    jobs: int
    pods: int


class Scene:
    """One context of a ground, filled."""

    def __init__(self, ground: Ground, context: str = "dev") -> None:
        self.ground = ground
        self.context = context
        self.cluster = ground.clusters[context]
        self.etcd = Etcd.of(ground, context)
        # As bytes: what is decoded anew is a copy, at a tenth of a deep copy's time.
        self._job, self._pod = map(msgspec.json.encode, self._templates())

    @staticmethod
    def namespace(number: int) -> str:
        """Where the job of a number is."""
        return f"team-{number % NAMESPACES:02d}"

    def fill(self, size: Size, *, start: int = 0) -> None:
        """Write jobs and pods; five pods of each of the first jobs."""
        self._put("jobs", (self.job(number) for number in range(start, start + size.jobs)))
        self._put("pods", (self.pod(number) for number in range(size.pods)))

    def job(self, number: int) -> dict[str, Any]:
        """A job in one of the states that a list shows: most are done, some run, some failed."""
        job: dict[str, Any] = msgspec.json.decode(self._job)
        _name(job, self.namespace(number), f"train-{number:06d}", _uid("job", number))
        labels = job["metadata"]["labels"]
        labels["app.kubernetes.io/part-of"] = f"project-{number % 97}"
        for place in (job["spec"]["selector"]["matchLabels"], job["spec"]["template"]["metadata"]):
            found = place.get("labels", place)
            found["batch.kubernetes.io/job-name"] = found["job-name"] = job["metadata"]["name"]
            for key in ("batch.kubernetes.io/controller-uid", "controller-uid"):
                if key in found:
                    found[key] = job["metadata"]["uid"]
        started = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number * 30)
        job["metadata"]["creationTimestamp"] = _time(started)
        job["status"] = _job_status(number, started)
        return job

    def pod(self, number: int) -> dict[str, Any]:
        """A pod of a job: most run, some are done, a hundredth failed, a hundredth waits."""
        pod: dict[str, Any] = msgspec.json.decode(self._pod)
        owner = number // 5
        job = f"train-{owner:06d}"
        _name(pod, self.namespace(owner), f"{job}-{number % 5}", _uid("pod", number))
        labels = pod["metadata"]["labels"]
        labels["batch.kubernetes.io/job-name"] = labels["job-name"] = job
        pod["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": job,
                "uid": _uid("job", owner),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
        started = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=owner * 30)
        pod["metadata"]["creationTimestamp"] = _time(started)
        pod["status"] = _pod_status(number, started)
        return pod

    def _templates(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A job and a pod as the server stores them."""
        api = self.cluster.api
        for number in range(NAMESPACES):
            api("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace(number)}})
        node = {"metadata": {"name": NODE}, "spec": {"unschedulable": True}}
        api("POST", "/api/v1/nodes", node)
        space = self.namespace(0)
        jobs, pods = f"/apis/batch/v1/namespaces/{space}/jobs", f"/api/v1/namespaces/{space}/pods"
        job = api("POST", jobs, _job_manifest()).ok()
        api("DELETE", f"{jobs}/{job['metadata']['name']}").ok()
        template = msgspec.json.decode(msgspec.json.encode(job["spec"]["template"]))
        template["spec"] |= {"nodeName": NODE, "tolerations": [{"operator": "Exists"}]}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "mould", "labels": template["metadata"].get("labels", {})},
            "spec": template["spec"],
        }
        pod = api("POST", pods, manifest).ok()
        options = {"gracePeriodSeconds": 0}
        api("DELETE", f"{pods}/mould", options).ok()
        pod["metadata"].setdefault("labels", {})
        return job, pod

    def _put(self, plural: str, objects: Iterator[dict[str, Any]]) -> None:
        with httpx.Client(
            base_url=self.etcd.url, verify=self.etcd.tls(), timeout=60, trust_env=False
        ) as etcd:
            batch: list[dict[str, Any]] = []
            for item in objects:
                batch.append({"requestPut": put(plural, item)})
                if len(batch) == _AT_ONCE:
                    etcd.post("/v3/kv/txn", json={"success": batch}).raise_for_status()
                    batch = []
            if batch:
                etcd.post("/v3/kv/txn", json={"success": batch}).raise_for_status()


@dataclass(frozen=True)
class Etcd:
    """The etcd behind a context."""

    url: str
    ca: str
    cert: str
    key: str

    @classmethod
    def of(cls, ground: Ground, context: str) -> Etcd:
        """As its API server was told."""
        pid = ground.state["processes"][f"kube-apiserver-{context}"]["pid"]
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        found = dict(a[2:].split("=", 1) for a in arguments if a.startswith("--etcd-"))
        names = ("etcd-servers", "etcd-cafile", "etcd-certfile", "etcd-keyfile")
        return cls(*(found[name] for name in names))

    def tls(self) -> ssl.SSLContext:
        """What its clients need."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        return context


def put(plural: str, item: dict[str, Any]) -> dict[str, str]:
    """The request to etcd that stores an object."""
    meta = item["metadata"]
    key = f"/registry/{plural}/{meta['namespace']}/{meta['name']}"
    return {"key": _b64(key.encode()), "value": _b64(msgspec.json.encode(item))}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _uid(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{number}"))


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _name(item: dict[str, Any], namespace: str, name: str, uid: str) -> None:
    meta = item["metadata"]
    meta |= {"namespace": namespace, "name": name, "uid": uid}
    meta.pop("resourceVersion", None)
    meta.pop("deletionTimestamp", None)
    meta.pop("finalizers", None)


def _job_manifest() -> dict[str, Any]:
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
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "mould",
            "labels": {"app.kubernetes.io/part-of": "mould", "team": "ml"},
            "annotations": {"mcp-tui.io/git-branch": "main"},
        },
        "spec": {
            "managedBy": "mcp-tui.io/nobody",
            "backoffLimit": 2,
            "parallelism": 5,
            "completions": 5,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                    "volumes": [{"name": "config", "configMap": {"name": "train"}}],
                }
            },
        },
    }


def _job_status(number: int, started: datetime) -> dict[str, Any]:
    begun = _time(started + timedelta(seconds=3))
    ended = _time(started + timedelta(minutes=20))
    if number % 10 < 7:
        condition = _condition("Complete", ended, "CompletionsReached", "Reached expected pods")
        return {
            "succeeded": 5,
            "startTime": begun,
            "completionTime": ended,
            "conditions": [
                _condition("SuccessCriteriaMet", ended, "CompletionsReached"),
                condition,
            ],
        }
    if number % 10 < 9:
        return {"active": 5, "ready": 5, "startTime": begun, "conditions": []}
    reason = "Job has reached the specified backoff limit"
    condition = _condition("Failed", ended, "BackoffLimitExceeded", reason)
    return {"failed": 3, "startTime": begun, "conditions": [condition]}


def _condition(kind: str, at: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": at,
        "lastTransitionTime": at,
    }


def _pod_status(number: int, started: datetime) -> dict[str, Any]:
    begun, ended = _time(started + timedelta(seconds=5)), _time(started + timedelta(minutes=19))
    state: dict[str, Any] = {"running": {"startedAt": begun}}
    phase, ready = "Running", True
    kind = number % 100
    if kind < 15:
        phase, ready = "Succeeded", False
        state = {"terminated": _ended("Completed", 0, begun, ended)}
    elif kind == 15:
        phase, ready = "Failed", False
        reason, code = _CAUSES[number // 100 % len(_CAUSES)]
        state = {"terminated": _ended(reason, code, begun, ended)}
    elif kind == 16:
        phase, ready = "Pending", False
        state = {"waiting": {"reason": "ImagePullBackOff", "message": f"pulling {_IMAGE}"}}
    status = {
        "name": "train",
        "state": state,
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
        "image": _IMAGE,
        "imageID": "registry.example/team/train@sha256:" + "0" * 64,
        "containerID": f"containerd://{number:064d}",
        "started": ready,
    }
    # Not Ready: of pods that are, on a node that does not report, every one would be written again.
    names = {"PodReadyToStartContainers": "True", "Initialized": "True", "Ready": "False"}
    names |= {"ContainersReady": "False", "PodScheduled": "True"}
    return {
        "phase": phase,
        "conditions": [
            {"type": name, "status": holds, "lastProbeTime": None, "lastTransitionTime": begun}
            for name, holds in names.items()
        ],
        "hostIP": "10.0.0.1",
        "podIP": "10.1.0.1",
        "startTime": begun,
        "containerStatuses": [status],
        "qosClass": "Burstable",
    }


def _ended(reason: str, code: int, begun: str, ended: str) -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "startedAt": begun, "finishedAt": ended}
