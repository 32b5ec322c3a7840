"""An API server and an MLflow small enough to be asked ten thousand times over.

Only what actions ask for, with the rules that matter to them: preconditions of a DELETE, tests of
a JSON Patch, names that are taken, labels that select, a job controller that takes up and lets go.
What was changed, and what was read just before, is kept for whoever checks afterwards.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp_tui.actions.ended import finished
from tests.faults.registry import Registry

Object = dict[str, Any]
MLFLOW = "/api/2.0/mlflow"
_NAMED = re.compile(r"(/api/v1|/apis/[^/]+/[^/]+)/namespaces/([^/]+)/([a-z]+)(?:/([^/]+))?")
_KINDS = {
    "jobs": "Job",
    "services": "Service",
    "events": "Event",
    "workloads": "Workload",
    "leases": "Lease",
}
_BY_PLAN = re.compile(r"tags\.`([^`]+)` = '([^']*)'")


@dataclass(frozen=True)
class Reply:
    """An answer; ``events`` makes it a watch from that version on."""

    status: int
    body: Any
    watch: tuple[str, str, int] | None = None


@dataclass(frozen=True)
class Done:
    """A call that reached a server, and whether it changed anything."""

    side: str
    method: str
    path: str
    body: Any
    changed: bool
    seen: Any = None
    """The object as it was when the call came."""

    @property
    def words(self) -> str:
        return f"{self.side} {self.method} {self.path}"


def _status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return Reply(code, {**body, "reason": reason, "message": message})


def _error(code: int, reason: str, message: str = "") -> Reply:
    return Reply(code, {"error_code": reason, "message": message or reason})


@dataclass
class World:
    """Both servers, and everybody else who acts on them.

    Args:
        later: Calls something after some seconds.
    """

    later: Callable[[float, Callable[[], None]], object]
    deaf: bool = False
    """Selectors are not understood: a list gives everything."""
    asleep: bool = False
    """No controller works: nothing is taken up, held or swept away."""
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    history: list[tuple[int, str, str, Object]] = field(default_factory=list)
    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Object] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry)
    files: dict[str, int] = field(default_factory=lambda: {"MLmodel": 9, "model.pkl": 77})
    """Of the one run that has a model, by name; what the MLmodel file says goes with its size."""
    done: list[Done] = field(default_factory=list)
    told: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    def number(self) -> int:
        return next(self._numbers)

    # -- what everybody may do ------------------------------------------------------------------

    def put(self, plural: str, obj: Object, *, type_: str = "ADDED") -> Object:
        """Store an object as new or changed, and tell who watches."""
        meta = obj["metadata"]
        version = self.number()
        meta["resourceVersion"] = str(version)
        if type_ == "ADDED":
            meta["uid"] = f"00000000-0000-4000-8000-{self.number():012d}"
        self.objects[plural, meta["namespace"], meta["name"]] = obj
        self._tell(version, plural, type_, obj)
        return obj

    def take(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object."""
        obj = self.objects.pop((plural, namespace, name), None)
        if obj is not None:
            version = self.number()
            obj["metadata"]["resourceVersion"] = str(version)
            self._tell(version, plural, "DELETED", obj)

    def make_job(self, name: str, *, labels: Mapping[str, str] = {}, **spec: Any) -> Object:
        """A job as somebody else made it; the controller takes it up."""
        job: Object = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": "ml", "labels": dict(labels)},
            "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}, **spec},
        }
        self.put("jobs", job)
        self._control(job)
        return job

    def finish(self, name: str, how: str = "Complete") -> None:
        """The job ends by itself."""
        job = self.objects.get(("jobs", "ml", name))
        if job is not None:
            job["status"] = {"conditions": [{"type": how, "status": "True"}]}
            self.put("jobs", job, type_="MODIFIED")

    def suspend(self, name: str, value: bool) -> None:
        """Somebody else holds it, or lets it go on."""
        job = self.objects.get(("jobs", "ml", name))
        if job is not None:
            job["spec"]["suspend"] = value
            self.put("jobs", job, type_="MODIFIED")
            self._control(job)

    def make_run(self, experiment: str, tags: Mapping[str, str]) -> Object:
        run_id = f"{self.number():032x}"
        run: Object = {
            "info": {
                "run_id": run_id,
                "experiment_id": experiment,
                "status": "RUNNING",
                "lifecycle_stage": "active",
            },
            "data": {"tags": [{"key": k, "value": v} for k, v in tags.items()], "params": []},
            "inputs": {"dataset_inputs": []},
        }
        self.runs[run_id] = run
        return run

    def _tell(self, version: int, plural: str, type_: str, obj: Object) -> None:
        self.history.append((version, plural, type_, copy.deepcopy(obj)))
        for each in list(self.told):
            each()

    def _control(self, job: Object) -> None:
        """What the job controller does a moment later."""
        uid = job["metadata"]["uid"]

        def act() -> None:
            meta = job["metadata"]
            if self.asleep:
                return
            now = self.objects.get(("jobs", meta["namespace"], meta["name"]))
            if now is None or now["metadata"]["uid"] != uid or finished(now):
                return
            held = bool(now["spec"].get("suspend"))
            condition = {"type": "Suspended", "status": "True" if held else "False"}
            now["status"] = {"conditions": [condition]}
            if not held:
                now["status"] |= {"active": 1, "startTime": "2026-01-01T00:00:00Z"}
            self.put("jobs", now, type_="MODIFIED")

        self.later(0.3, act)

    # -- what is asked over the wire --------------------------------------------------------------

    def handle(self, side: str, method: str, target: str, raw: bytes) -> Reply:
        """Answer one call, and keep what it did."""
        parts = urlsplit(target)
        query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        body = json.loads(raw) if raw else None
        before = len(self.history), self._kept()
        seen: Any = None
        if side == "kube":
            found = _NAMED.fullmatch(parts.path)
            key = (found[3], found[2], found[4]) if found and found[4] else None
            seen = copy.deepcopy(self.objects.get(key)) if key else None
            reply = self._kube(method, parts.path, query, body)
        else:
            run_id = (body or {}).get("run_id") or query.get("run_id", "")
            seen = copy.deepcopy(self.runs.get(run_id))
            if "/registered-models/" in parts.path or "/model-versions/" in parts.path:
                name = (body or {}).get("name") or query.get("name", "")
                seen = copy.deepcopy(self.registry.models.get(name))
            reply = self._mlflow(method, parts.path, query, body)
        after = len(self.history), self._kept()
        self.done.append(Done(side, method, parts.path, body, before != after, seen))
        return reply

    def _kept(self) -> str:
        kept = [self.runs, self.experiments, self.registry.models]
        return json.dumps(kept, sort_keys=True)

    def _kube(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Reply:
        if path.endswith("/selfsubjectreviews"):
            return Reply(201, {"status": {"userInfo": {"username": "alice"}}})
        if path.endswith("/selfsubjectaccessreviews"):
            return Reply(201, {"status": {"allowed": True}})
        found = _NAMED.fullmatch(path)
        if found is None or found[3] not in _KINDS:
            return _status(404, "NotFound", "the server could not find the requested resource")
        _, namespace, plural, name = found.groups()
        if name:
            return self._one(method, plural, namespace, name, query, body)
        if method == "POST":
            return self._create(plural, namespace, query, body)
        return self._list(plural, namespace, query)

    def _list(self, plural: str, namespace: str, query: Mapping[str, str]) -> Reply:
        if query.get("watch"):
            start = int(query.get("resourceVersion") or 0)
            return Reply(200, None, (plural, query.get("fieldSelector", ""), start))
        items = [
            copy.deepcopy(obj)
            for (kind, space, _), obj in self.objects.items()
            if kind == plural and space == namespace and (self.deaf or selected(obj, query))
        ]
        kind = f"{_KINDS[plural]}List"
        meta = {"resourceVersion": str(self.number())}
        return Reply(200, {"kind": kind, "apiVersion": "v1", "metadata": meta, "items": items})

    def _create(self, plural: str, namespace: str, query: Mapping[str, str], body: Object) -> Reply:
        obj = copy.deepcopy(body)
        meta = obj["metadata"]
        meta["namespace"] = namespace
        meta.setdefault("name", f"{meta.get('generateName', '')}{self.number()}")
        if (plural, namespace, meta["name"]) in self.objects:
            return _status(409, "AlreadyExists", f'{plural} "{meta["name"]}" already exists')
        if query.get("dryRun"):
            return Reply(201, obj)
        self.put(plural, obj)
        if plural == "jobs":
            self._control(obj)
        return Reply(201, copy.deepcopy(obj))

    def _one(
        self,
        method: str,
        plural: str,
        namespace: str,
        name: str,
        query: Mapping[str, str],
        body: Any,
    ) -> Reply:
        obj = self.objects.get((plural, namespace, name))
        if obj is None:
            return _status(404, "NotFound", f'{plural} "{name}" not found')
        if method == "GET":
            return Reply(200, copy.deepcopy(obj))
        if method == "DELETE":
            wanted = ((body or {}).get("preconditions") or {}).get("uid")
            if wanted and wanted != obj["metadata"]["uid"]:
                return _status(409, "Conflict", "the UID in the precondition does not match")
            if not query.get("dryRun") and self.asleep:
                obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                self.put(plural, obj, type_="MODIFIED")
            elif not query.get("dryRun"):
                self.take(plural, namespace, name)
            return Reply(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        if method == "PUT":
            return self._put(plural, obj, body)
        return self._patch(plural, obj, query, body)

    def _put(self, plural: str, obj: Object, body: Object) -> Reply:
        """The whole object anew, only if it is at the version that is named."""
        if body["metadata"].get("resourceVersion") != obj["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified")
        new = copy.deepcopy(body)
        new["metadata"]["uid"] = obj["metadata"]["uid"]
        self.put(plural, new, type_="MODIFIED")
        return Reply(200, copy.deepcopy(new))

    def _patch(self, plural: str, obj: Object, query: Mapping[str, str], body: Any) -> Reply:
        new = copy.deepcopy(obj)
        for step in body:
            *way, last = str(step["path"]).strip("/").split("/")
            node = new
            for part in way:
                node = node.get(part) or {}
            if step["op"] == "test" and node.get(last) != step["value"]:
                return _status(422, "Invalid", f"testing value {step['path']} failed")
            if step["op"] == "add":
                node[last] = step["value"]
        if not query.get("dryRun"):
            self.put(plural, new, type_="MODIFIED")
            if plural == "jobs":
                self._control(new)
        return Reply(200, copy.deepcopy(new))

    def _mlflow(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Reply:
        what = path.removeprefix(f"{MLFLOW}/")
        ask: Mapping[str, Any] = {**query, **(body or {})}
        if what.startswith("experiments/"):
            return self._experiments(what, ask)
        if what == "users/current":
            return Reply(200, {"user": {"username": "alice@tracker"}})
        if what == "artifacts/list":
            found = [{"path": f"model/{n}", "file_size": s} for n, s in self.files.items()]
            return Reply(200, {"files": found} if ask.get("path") == "model" else {})
        if what == "/get-artifact":
            return Reply(200, {"size": self.files["MLmodel"]})
        if what.startswith(("registered-models/", "model-versions/")):
            return Reply(*self.registry.handle(method, what, ask))
        if what == "runs/create":
            tags = {t["key"]: t["value"] for t in ask.get("tags") or ()}
            run = self.make_run(ask["experiment_id"], tags)
            return Reply(200, {"run": run})
        if what == "runs/search":
            wanted = _BY_PLAN.search(ask.get("filter", ""))
            pair = {"key": wanted[1], "value": wanted[2]} if wanted else None
            runs = [
                r
                for r in self.runs.values()
                if r["info"]["experiment_id"] in ask["experiment_ids"]
                and (pair is None or pair in r["data"]["tags"])
            ]
            return Reply(200, {"runs": runs} if runs else {})
        found = self.runs.get(str(ask.get("run_id", "")))
        if found is None:
            return _error(404, "RESOURCE_DOES_NOT_EXIST")
        if what == "runs/get":
            return Reply(200, {"run": found})
        if what in ("runs/delete", "runs/restore"):
            stage = "deleted" if what == "runs/delete" else "active"
            found["info"]["lifecycle_stage"] = stage
            return Reply(200, {})
        if found["info"]["lifecycle_stage"] == "deleted":
            return _error(400, "INVALID_PARAMETER_VALUE", "The run must be in the 'active' state.")
        if what == "runs/update":
            found["info"] |= {k: ask[k] for k in ("status", "run_name") if k in ask}
            return Reply(200, {"run_info": found["info"]})
        if what in ("runs/set-tag", "runs/delete-tag"):
            tags = found["data"]["tags"]
            kept = [t for t in tags if t["key"] != ask["key"]]
            if what == "runs/delete-tag" and len(kept) == len(tags):
                return _error(404, "RESOURCE_DOES_NOT_EXIST", f"No tag with name: {ask['key']}")
            new = [{"key": ask["key"], "value": ask["value"]}] if "value" in ask else []
            found["data"]["tags"] = kept + new
            return Reply(200, {})
        if what == "runs/log-batch":
            for kind in ("tags", "params"):
                new = list(ask.get(kind) or ())
                kept = [t for t in found["data"][kind] if t["key"] not in {n["key"] for n in new}]
                found["data"][kind] = kept + new
            return Reply(200, {})
        if what == "runs/log-inputs":
            found["inputs"]["dataset_inputs"] += ask.get("datasets") or ()
            return Reply(200, {})
        return _error(404, "ENDPOINT_NOT_FOUND")

    def _experiments(self, what: str, ask: Mapping[str, Any]) -> Reply:
        if what == "experiments/create":
            if ask["name"] in self.experiments:
                return _error(400, "RESOURCE_ALREADY_EXISTS")
            self.experiments[ask["name"]] = str(self.number())
            return Reply(200, {"experiment_id": self.experiments[ask["name"]]})
        if what == "experiments/search":
            return Reply(200, {"experiments": []})
        for name, id_ in self.experiments.items():
            if ask.get("experiment_name") == name or ask.get("experiment_id") == id_:
                found = {"experiment_id": id_, "name": name, "lifecycle_stage": "active"}
                return Reply(200, {"experiment": found})
        return _error(404, "RESOURCE_DOES_NOT_EXIST")


def selected(obj: Object, query: Mapping[str, str]) -> bool:
    """Whether an object is meant by the selectors of a list."""
    name = query.get("fieldSelector", "").partition("metadata.name=")[2]
    if name and obj["metadata"]["name"] != name:
        return False
    labels = obj["metadata"].get("labels") or {}
    pairs = [p.partition("=") for p in query.get("labelSelector", "").split(",") if p]
    return all(labels.get(key) == value for key, _, value in pairs)
