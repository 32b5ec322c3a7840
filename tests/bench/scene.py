"""A cluster full of jobs and pods: the stage of every figure about scale.

The objects are what a real API server makes of a training job and its pods, defaults and managed
fields included: one of each sort is created, and as many as are asked for are cast from it and
written into the etcd behind the server. So 60,000 objects stand in a minute, and everything that
reads them reads a real API server. No controller changes them: the jobs name a controller that is
not there, and the pods a node that runs nothing.
"""

from __future__ import annotations

import base64
import ssl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx

from tests.bench import mould
from tests.bench.mould import Mould, Moulder
from tests.cluster import Ground

NAMESPACES: Final = 20
_AT_ONCE: Final = 100
"""Objects of one write to etcd, which takes 128."""

_RAY_JOBS: Final = "/apis/ray.io/v1/namespaces/{}/rayjobs"
_FIRST: Final = datetime(2026, 11, 1, tzinfo=UTC)


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
        self.moulder = Moulder(self.cluster, self.etcd.get)
        self._spaces()

    @staticmethod
    def namespace(number: int) -> str:
        """Where the job of a number is."""
        return f"team-{number % NAMESPACES:02d}"

    @staticmethod
    def runs(number: int) -> bool:
        """Whether the job of a number is one that runs."""
        return 7 <= number % 10 < 9

    def fill(self, size: Size) -> None:
        """Write jobs and pods; five pods of each of the first jobs."""
        self.put_jobs(size.jobs)
        pods = [self.moulder.pod(mould.pod_running())] * 83
        pods += [self.moulder.pod(mould.pod_ended())] * 13
        pods += [self.moulder.pod(status) for status in mould.pods_failed()]
        pods += [self.moulder.pod(mould.pod_waiting())]
        self._put(self.pod(pods[n % 100], n) for n in range(size.pods))

    def put_jobs(self, count: int) -> None:
        """Write the jobs, or write them again as they were before a storm."""
        done, failed, running = (
            self.moulder.job(status())
            for status in (mould.job_done, mould.job_failed, mould.job_running)
        )
        sorts = [done] * 7 + [running] * 2 + [failed]
        self._put(self.job(sorts[n % 10], n) for n in range(count))

    def job(self, sort: Mould, number: int) -> Stored:
        """A job: most are done, some run, some failed."""
        name, space = f"train-{number:06d}", self.namespace(number)
        words = {
            sort.uid: _uid("job", number),
            mould.JOB: name,
            mould.SPACE: space,
            mould.PROJECT: f"project-{number % 97:02d}",
        }
        return Stored("jobs", space, name, sort.cast(words, _created(number)))

    def pod(self, sort: Mould, number: int) -> Stored:
        """A pod of a job: most run, some are done, a few failed, a hundredth waits."""
        owner = number // 5
        job, space = f"train-{owner:06d}", self.namespace(owner)
        name = f"{job}-{number % 5}"
        words = {
            sort.uid: _uid("pod", number),
            mould.OWNER: _uid("job", owner),
            mould.POD: name,
            mould.JOB: job,
            mould.SPACE: space,
        }
        return Stored("pods", space, name, sort.cast(words, _created(owner)))

    def add_custom(self, count: int) -> None:
        """Write RayJobs, which a server stores as JSON; no operator is there to change them."""
        space = self.namespace(0)
        path = f"{_RAY_JOBS.format(space)}/{mould.JOB}"
        body = {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": mould.JOB},
            "spec": mould.ray_job_spec(),
        }
        meta = self.cluster.api("POST", _RAY_JOBS.format(space), body).ok()["metadata"]
        patch = {"status": mould.ray_job_status()}
        merge = "application/merge-patch+json"
        self.cluster.api("PATCH", f"{path}/status", patch, content_type=merge).ok()
        data = self.etcd.get(f"/registry/ray.io/rayjobs/{space}/{mould.JOB}")
        self.cluster.api("DELETE", path).ok()
        assert data.startswith(b"{"), "not as a server stores custom resources"

        def cast(number: int) -> Stored:
            name, place = f"rayjb-{number:06d}", self.namespace(number)
            new = data.replace(meta["uid"].encode(), _uid("rayjob", number).encode())
            for old, word in ((mould.JOB, name), (space, place)):
                new = new.replace(f'"{old}"'.encode(), f'"{word}"'.encode())
            return Stored("ray.io/rayjobs", place, name, new)

        self._put(cast(number) for number in range(count))

    def remove_custom(self) -> None:
        """Take them away."""
        with self.etcd.client() as etcd:
            first, behind = b"/registry/ray.io/rayjobs/", b"/registry/ray.io/rayjobs0"
            body = {"key": _b64(first), "range_end": _b64(behind)}
            etcd.post("/v3/kv/deleterange", json=body).raise_for_status()

    def _spaces(self) -> None:
        """The namespaces, and the node of all pods; those that are there stay."""
        api = self.cluster.api
        for number in range(NAMESPACES):
            api("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace(number)}})
        node = {"metadata": {"name": mould.NODE}, "spec": {"unschedulable": True}}
        api("POST", "/api/v1/nodes", node)

    def _put(self, objects: Iterator[Stored]) -> None:
        with self.etcd.client() as etcd:
            batch: list[dict[str, dict[str, str]]] = []
            for item in objects:
                batch.append({"requestPut": item.put()})
                if len(batch) == _AT_ONCE:
                    etcd.post("/v3/kv/txn", json={"success": batch}).raise_for_status()
                    batch = []
            if batch:
                etcd.post("/v3/kv/txn", json={"success": batch}).raise_for_status()


@dataclass(frozen=True)
class Stored:
    """An object as etcd holds it."""

    plural: str
    namespace: str
    name: str
    data: bytes

    def put(self) -> dict[str, str]:
        """The request that stores it."""
        key = f"/registry/{self.plural}/{self.namespace}/{self.name}"
        return {"key": _b64(key.encode()), "value": _b64(self.data)}


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

    def client(self) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, verify=self.tls(), timeout=60, trust_env=False)

    def get(self, key: str) -> bytes:
        """What it holds under a key; empty when there is none."""
        with self.client() as client:
            answer = client.post("/v3/kv/range", json={"key": _b64(key.encode())})
            found = answer.raise_for_status().json().get("kvs", ())
            return base64.b64decode(found[0]["value"]) if found else b""


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _uid(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{number}"))


def _created(number: int) -> datetime:
    return _FIRST + timedelta(seconds=number * 30)
