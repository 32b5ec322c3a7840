"""What the contract tests share: manifests, a client that speaks plain HTTP, polling."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import yaml

from tests.conftest import Plane

Obj = dict[str, Any]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

JOBS = "/apis/batch/v1"
CORE = "/api/v1"


def job(name: str, *, suspend: bool = True, **spec: Any) -> Obj:
    """A job whose pods fit on no node, so that only the test says how they end."""
    template = {
        "metadata": {"labels": {"app": "contract"}},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"contract": "nowhere"},
            "containers": [{"name": "main", "image": "busybox", "command": ["true"]}],
        },
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"suspend": suspend, "template": template, **spec},
    }


def pod(name: str, **spec: Any) -> Obj:
    """A pod that fits on no node."""
    return {
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"contract": "nowhere"},
            "containers": [{"name": "main", "image": "busybox:1"}],
            **spec,
        },
    }


def config_map(name: str, **labels: str) -> Obj:
    """A small object that no controller minds."""
    return {"metadata": {"name": name, "labels": labels}, "data": {"a": "b"}}


class Api:
    """One namespace of one plane, as one user."""

    def __init__(self, plane: Plane, namespace: str, role: str = "") -> None:
        self.plane = plane
        self.namespace = namespace
        self.client = plane.client()
        if role:
            self.client.headers["Authorization"] = f"Bearer {token_of(plane, role)}"

    def path(self, plural: str, name: str = "", sub: str = "") -> str:
        """The path of a namespaced resource."""
        base = JOBS if plural == "jobs" else CORE
        if plural == "leases":
            base = "/apis/coordination.k8s.io/v1"
        parts = [base, "namespaces", self.namespace, plural, name, sub]
        return "/".join(part for part in parts if part)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **params: str | int,
    ) -> httpx.Response:
        """One request."""
        headers = {"Accept": accept}
        content = None
        if body is not None:
            headers["Content-Type"] = content_type
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.request(method, path, content=content, headers=headers, params=params)

    def create(self, plural: str, body: Obj, **params: str) -> httpx.Response:
        """POST."""
        return self.call("POST", self.path(plural), body, **params)

    def made(self, plural: str, body: Obj) -> Obj:
        """POST that must succeed."""
        reply = self.create(plural, body)
        assert reply.status_code == 201, reply.text
        found: Obj = reply.json()
        return found

    def get(self, plural: str, name: str, **params: str) -> httpx.Response:
        """GET of one object."""
        return self.call("GET", self.path(plural, name), **params)

    def found(self, plural: str, name: str) -> Obj:
        """GET that must succeed."""
        reply = self.get(plural, name)
        assert reply.status_code == 200, reply.text
        obj: Obj = reply.json()
        return obj

    def list(self, plural: str, **params: str | int) -> httpx.Response:
        """GET of a collection."""
        return self.call("GET", self.path(plural), **params)

    def items(self, plural: str, **params: str | int) -> Sequence[Obj]:
        """The items of a list that must succeed."""
        reply = self.list(plural, **params)
        assert reply.status_code == 200, reply.text
        items: Sequence[Obj] = reply.json()["items"]
        return items

    def names(self, plural: str, **params: str | int) -> Sequence[str]:
        """The names that a list gives."""
        return [item["metadata"]["name"] for item in self.items(plural, **params)]

    def merge(
        self, plural: str, name: str, patch: Any, sub: str = "", **params: str
    ) -> httpx.Response:
        """PATCH with a merge patch."""
        path = self.path(plural, name, sub)
        return self.call("PATCH", path, patch, content_type=MERGE, **params)

    def patch(self, plural: str, name: str, *operations: Obj, sub: str = "") -> httpx.Response:
        """PATCH with a JSON Patch."""
        path = self.path(plural, name, sub)
        return self.call("PATCH", path, list(operations), content_type=JSON_PATCH)

    def delete(self, plural: str, name: str, **options: Any) -> httpx.Response:
        """DELETE."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
        return self.call("DELETE", self.path(plural, name), body)

    @contextmanager
    def watch(self, path: str, **params: str | int) -> Iterator[Iterator[Obj]]:
        """The events of a watch, which ends after 10 s at most."""
        query = {"watch": "1", "timeoutSeconds": "10", **params}
        with self.client.stream("GET", path, params=query) as reply:
            if reply.status_code != 200:
                reply.read()
            assert reply.status_code == 200, reply.text
            yield (json.loads(line) for line in reply.iter_lines())

    # --- pods of a job, ended as a kubelet would

    def pods(self, job_name: str) -> Sequence[Obj]:
        """The pods of a job."""
        return self.items("pods", labelSelector=f"batch.kubernetes.io/job-name={job_name}")

    def end(self, pod: Obj, phase: str, exit_code: int = 0) -> None:
        """Writes how a pod ended."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        terminated = {
            "exitCode": exit_code,
            "reason": "Error" if exit_code else "Completed",
            "startedAt": now,
            "finishedAt": now,
        }
        status = {
            "phase": phase,
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "busybox",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": terminated},
                }
            ],
        }
        reply = self.merge("pods", pod["metadata"]["name"], {"status": status}, "status")
        assert reply.status_code == 200, reply.text


def token_of(plane: Plane, role: str) -> str:
    """The token of a role, from the plane's kubeconfig."""
    document = yaml.safe_load(plane.kubeconfig.read_text())
    name = f"{plane.context}-{role}"
    user = next(item for item in document["contexts"] if item["name"] == name)["context"]["user"]
    found = next(item for item in document["users"] if item["name"] == user)["user"]
    return str(found["token"])


def eventually(condition: Callable[[], Any], *, within: float = 20.0) -> Any:
    """What ``condition`` says once it is true; fails after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"still {found!r} after {within} s"
        time.sleep(0.05)


def reason(reply: httpx.Response) -> tuple[int, str]:
    """The code and the reason of a Status."""
    body = reply.json()
    assert body["kind"] == "Status", body
    assert body["code"] == reply.status_code
    return reply.status_code, body.get("reason", "")


def causes(reply: httpx.Response) -> set[tuple[str, str]]:
    """(reason, field) of every cause of a 422."""
    assert reply.status_code == 422, reply.text
    return {(cause["reason"], cause["field"]) for cause in reply.json()["details"]["causes"]}
