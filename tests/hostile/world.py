"""Servers that put hostile text wherever the console reads text: Kubernetes, MLflow, Prometheus.

They know just enough of each API to be read: the objects are made of the console's own structs, so
that what it reads of a new one is hostile too. Nothing is stored, and every write is let through.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import yaml

from mcp_tui.domain import kube, kube_wire
from mcp_tui.domain.alias import PREFIX, Intent, end_key, intent_key
from mcp_tui.domain.model import ModelVersion, RegisteredModel
from mcp_tui.domain.podlabels import POD_LABEL
from mcp_tui.domain.run import Experiment, Metric, Run
from mcp_tui.sources.kubernetes.access import Allowed, WhoAmI
from mcp_tui.sources.kubernetes.resources import POD_METRICS, VISIBILITY, Resource
from mcp_tui.store.servingfeed import SERVERS
from tests.hostile.fill import Poison, fill
from tests.hostile.texts import LONG, octets, whole
from tests.joined.sources import SOURCES

MODEL: Final = "ranker"
RUN_ID: Final = "0123456789abcdef0123456789abcdef"
_LONG_AGO: Final = "2026-11-20T03:00:00Z"
NAMESPACE: Final = "ml"

KINDS: Final[tuple[Resource[Any], ...]] = tuple(source.resource for source in SOURCES)
"""What is served; of what is there twice, the first."""

STATES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("failed", {"failed": 3, "conditions": [{"type": "Failed", "status": "True"}]}),
    ("running", {"active": 1, "ready": 1, "startTime": _LONG_AGO}),
    ("waiting", {"active": 1, "ready": 0}),
    ("held", {"conditions": [{"type": "Suspended", "status": "True"}]}),
    ("done", {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}),
)
"""Jobs by name, and what of their status is as it must be for them to be such."""


def _counts(status: dict[str, Any]) -> dict[str, Any]:
    return {"active": 0, "succeeded": 0, "failed": 0, "ready": 0, "terminating": 0} | status


class World:
    """The servers; a context manager.

    Args:
        strings: The hostile texts, used one after another.
        status: When given, what ``fails`` is found in is answered with an error of this status,
            but for discovery.
        fails: A regular expression for ``METHOD target``; empty for all calls.
        named: Objects have hostile names too, beside those that a command may ask for.
        plain: Nothing is said that is not among the texts: no line that is no text, or very long.
    """

    def __init__(
        self,
        strings: Sequence[str],
        *,
        status: int | None = None,
        fails: str = "",
        named: bool = True,
        plain: bool = False,
    ) -> None:
        self.poison = Poison(strings)
        self.strings = list(strings) or [""]
        self.status = status
        self._fails = re.compile(fails)
        self.named = named
        self.plain = plain
        self.calls: list[tuple[str, str, bytes]] = []
        world = self

        class Handler(_Handler):
            """Knows its world."""

            of = world

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.over = threading.Event()
        self.turn = 0
        self._turned = threading.Condition()

    def __enter__(self) -> World:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.over.set()
        with self._turned:
            self._turned.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def change(self, strings: Sequence[str]) -> str:
        """Give all objects other texts, and tell those who watch; a job has the name returned."""
        with self._turned:
            self.strings = list(strings) or [""]
            self.poison = Poison(self.strings)
            self.turn += 1
            self._turned.notify_all()
            return f"turn-{self.turn}-x"

    def wait(self, turn: int) -> None:
        """Wait for the end, or until everything is other than at that turn."""
        with self._turned:
            self._turned.wait_for(lambda: self.over.is_set() or self.turn != turn)

    # -- what is read from files ------------------------------------------------------------

    def files(self, folder: Path, *, tier: str = "dev", told: bool = True) -> dict[str, str]:
        """A kubeconfig and a configuration with hostile text in what they say; as environment.

        Args:
            folder: Where they are written.
            tier: Of the context.
            told: Where MLflow and Prometheus are is told; else they are found by their Services.
        """
        bad = [whole(self.poison()) for _ in range(6)]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "dev",
            "clusters": [
                {"name": "dev", "cluster": {"server": self.url}},
                {"name": f"c{bad[0]}", "cluster": {"server": self.url}},
            ],
            "users": [{"name": f"u{bad[1]}", "user": {"token": "t"}}],
            "contexts": [
                {"name": "dev", "context": {"cluster": f"c{bad[0]}", "user": f"u{bad[1]}",
                                            "namespace": NAMESPACE}},
                {"name": f"x{bad[2]}", "context": {"cluster": "dev", "user": f"u{bad[1]}",
                                                   "namespace": bad[3]}},
                {"name": f"y{bad[4]}", "context": {"cluster": f"nowhere{bad[5]}", "user": bad[0]}},
            ],
        }  # fmt: skip
        kubeconfig = folder / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        # As YAML would write them: escaped, so that they are what they are once it is read.
        kubeconfig.write_text(yaml.safe_dump(config))
        settings = folder / "config.toml"
        where = f'mlflow = "{self.url}/mlflow"\nprometheus = "{self.url}/prometheus"\n'
        settings.write_text(f'[contexts.dev]\ntier = "{tier}"\n{where if told else ""}')
        return {
            "KUBECONFIG": str(kubeconfig),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(folder / "state"),
            "HOME": str(folder),
        }

    # -- objects ----------------------------------------------------------------------------

    def _metadata(self, name: str, uid: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "resourceVersion": str(7 + self.turn),
            "creationTimestamp": _LONG_AGO,
            "deletionTimestamp": None,
            "ownerReferences": [],
            **more,
        }

    def jobs(self, resource: Resource[Any]) -> list[dict[str, Any]]:
        """A job of each state, and one more whose name is hostile itself."""
        made = []
        bad = self.poison() if self.named else "plain"
        states = STATES if resource.kind == "Job" else STATES[::2]
        more = [(f"job{bad}", STATES[0][1])]
        if self.turn and resource.kind == "Job":
            more.append((f"turn-{self.turn}-x", STATES[0][1]))
        for number, (name, status) in enumerate((*states, *more)):
            uid = f"uid-{resource.plural}-{name if number < len(states) else number}"
            if resource.kind != "Job":
                name = f"{resource.kind.lower()}-{name}"
            known: dict[str, Any] = {
                "kind": resource.kind,
                "apiVersion": resource.api_version,
                "metadata": self._metadata(name, uid, labels={"mcp-tui.io/run-id": RUN_ID}),
                "spec": {"suspend": name.endswith("held"), "completionMode": "NonIndexed"},
                "status": _counts(status),
            }
            filled = fill(resource.type_, self.poison, known)
            for condition in (filled.get("status") or {}).get("conditions", ()):
                condition["lastTransitionTime"] = _LONG_AGO
            made.append(filled)
        return made

    def pods(self, of: str) -> list[dict[str, Any]]:
        """Pods of a job, by what selects them."""
        label, _, job = of.partition("=")
        name = job or "failed"
        uid = f"uid-jobs-{name}"
        dead = {"terminated": {"exitCode": 137, "finishedAt": _LONG_AGO, "startedAt": _LONG_AGO}}
        pulling: dict[str, Any] = {"waiting": {}}
        states = [("Failed", dead), ("Pending", pulling)]
        if name == "running":
            states.append(("Running", {"running": {"startedAt": _LONG_AGO}}))
        made = []
        for number, (phase, state) in enumerate(states):
            owner = {"kind": "Job", "name": name, "uid": uid, "controller": True}
            labels = {label or POD_LABEL["Job"]: name}
            known = {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": self._metadata(
                    f"{name}-{number}", f"pod-{name}-{number}", labels=labels,
                    ownerReferences=[owner],
                ),
                "spec": {
                    "containers": [{"name": "main"}, {"name": self.poison()}],
                    "initContainers": [],
                },
                "status": {
                    "phase": phase,
                    "containerStatuses": [
                        {"name": "main", "restartCount": 2, "state": _only(state),
                         "lastState": _only(dead)},
                        {"state": _only(state), "lastState": _only(pulling)},
                    ],
                    "initContainerStatuses": [],
                },
            }  # fmt: skip
            made.append(fill(kube.Pod, self.poison, known))
        if self.named:
            made.append(fill(kube.Pod, self.poison, {"metadata": {"labels": {label: name}}}))
        return made

    def events(self, about: str) -> list[dict[str, Any]]:
        """Events of an object."""
        kind = "Pod" if about[-2:] in ("-0", "-1") else "Job"
        uid = f"pod-{about}" if kind == "Pod" else f"uid-jobs-{about}"
        involved = {"kind": kind, "name": about, "uid": uid, "namespace": NAMESPACE}
        made = []
        for number, (type_, reason) in enumerate(
            (("Warning", "Failed"), ("Warning", None), ("Normal", None))
        ):
            known: dict[str, Any] = {
                "metadata": self._metadata(f"e{number}", f"event-{about}-{number}"),
                "involvedObject": involved,
                "type": type_,
                "lastTimestamp": _LONG_AGO,
            }
            if reason is not None:
                known["reason"] = reason
            made.append(fill(kube.Event, self.poison, known))
        return made

    def servers(self, resource: Resource[Any]) -> list[dict[str, Any]]:
        """What serves: by labels, and by whatever else may name a model, hostile names too."""
        bad = self.poison()
        said: tuple[tuple[str, dict[str, Any]], ...] = (
            ("labelled", {"labels": {"mcp-tui.io/model": MODEL, "mcp-tui.io/model-version": "1"}}),
            ("annotated", {"annotations": {bad: f"models:/{MODEL}@champion"}}),
            ("hostile", {"annotations": {"a": f"models:/{bad}/1", "b": f"runs:/{RUN_ID}/{bad}"}}),
        )
        made = []
        for name, marks in said:
            known = {
                "kind": resource.kind,
                "apiVersion": resource.api_version,
                "metadata": self._metadata(name, f"uid-{resource.plural}-{name}", **marks),
            }
            made.append(fill(resource.type_, self.poison, known))
        if self.named:
            made.append(fill(resource.type_, self.poison))
        return made

    def measured(self, resource: Resource[Any], of: str) -> list[dict[str, Any]]:
        """What a job's pods use, as far as that is a quantity."""
        usage = {"cpu": "250m", "memory": self.poison()}
        known = {
            "metadata": self._metadata(f"{of.partition('=')[2]}-0", "m"),
            "containers": [{"name": "main", "usage": usage}, {}],
        }
        return [fill(resource.type_, self.poison, known)]

    def services(self, resource: Resource[Any]) -> list[dict[str, Any]]:
        """Services of whatever is asked for: one whose name is a text, and one with a plain one."""
        port = {"name": "http", "port": 80}
        known = {"metadata": self._metadata("found", "s"), "spec": {"ports": [port, {}]}}
        each = [fill(resource.type_, self.poison), fill(resource.type_, self.poison, known)]
        return each if self.turn % 2 else each[::-1]

    def objects(self, resource: Resource[Any], query: dict[str, list[str]]) -> list[dict[str, Any]]:
        """A list of a kind."""
        selector = query.get("labelSelector", [""])[0]
        wanted = re.search(r"(?:metadata|involvedObject)\.name=([^,]+)", _first(query))
        if resource.key == POD_METRICS:
            return self.measured(resource, selector)
        if resource.group == VISIBILITY:
            known = {"metadata": self._metadata("w", "w"), "positionInClusterQueue": 2}
            return [fill(resource.type_, self.poison, known), fill(resource.type_, self.poison)]
        if resource.plural == "services":
            return self.services(resource)
        if resource.plural == "pods":
            return self.pods(selector)
        if resource.plural == "events":
            return self.events(wanted[1] if wanted else "failed")
        if resource.plural in ("namespaces", "nodes"):
            known = {"metadata": self._metadata(NAMESPACE, "n")}
            return [fill(resource.type_, self.poison, known), fill(resource.type_, self.poison)]
        if resource in SERVERS:
            return self.servers(resource)
        if resource.plural == "workloads":
            owner = {"kind": "Job", "name": "waiting", "uid": "uid-jobs-waiting"}
            known = {
                "metadata": self._metadata("w", "w", ownerReferences=[owner]),
                "spec": {"active": True},
                "status": {"conditions": [{"type": "QuotaReserved", "status": "False"}]},
            }
            return [fill(resource.type_, self.poison, known)]
        found = self.jobs(resource)
        return [o for o in found if not wanted or o["metadata"]["name"] == wanted[1]]

    def run(self) -> Any:
        """The run that every job is linked to."""
        now = int(time.time() * 1000)
        metrics = [
            {"key": "loss", "value": 0.5, "timestamp": now, "step": 3},
            {"value": "NaN", "timestamp": now, "step": 3},
        ]
        info = {"run_id": RUN_ID, "status": "RUNNING", "start_time": now - 60_000}
        known = {"info": info, "data": {"metrics": metrics}}
        return fill(Run, self.poison, known)

    def log(self) -> bytes:
        """Lines of a container: each of the texts, one that is no text, one that is very long."""
        lines = [octets(text) for text in self.strings]
        odd = [b"\xff\xfe\x80\xc3(\xa0\xa1", b"x" * LONG, "\u202e\x1b[2J".encode() * 2_000]
        lines += [] if self.plain else odd
        return b"\n".join(b"2026-11-20T03:00:00.000000001Z " + line for line in lines) + b"\n"

    def failure(self, code: int) -> bytes:
        """A Status, as an API server says no; and as MLflow and Prometheus do, in one."""
        known = {"kind": "Status", "status": "Failure", "code": code}
        said = fill(kube_wire.Status, self.poison, known)
        said["details"]["retryAfterSeconds"] = None
        return _json({**said, "error_code": self.poison(), "errorType": self.poison()})

    # -- answers ----------------------------------------------------------------------------

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        """The status, content type and body of a call."""
        parts = urlsplit(target)
        path, query = parts.path, parse_qs(parts.query)
        self.calls.append((method, target, body))
        found = _discovery(path)
        if found is not None and method == "GET":
            return 200, "application/json", _json(found)
        if self.status is not None and self.failing(method, target):
            if path.startswith("/prometheus"):
                page = f"<html><title>{self.poison()}</title>"
                return self.status, "text/html", octets(page)
            return self.status, "application/json", self.failure(self.status)
        if path.startswith("/mlflow"):
            if path.endswith("/get-artifact"):
                return 200, "text/plain", self.log()
            if "/registered-models/" in path or "/model-versions/" in path:
                return 200, "application/json", self._registry(path)
            return 200, "application/json", self._mlflow(path)
        if path.startswith("/prometheus"):
            return 200, "application/json", self._prometheus()
        if path.endswith("reviews"):
            return 201, "application/json", self._review(path)
        if path.endswith("/log"):
            return 200, "text/plain", self.log()
        return self._object(method, path, query, body)

    def failing(self, method: str, target: str) -> bool:
        """Whether a call is answered with an error."""
        return self.status is not None and bool(self._fails.search(f"{method} {target}"))

    def _object(
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, str, bytes]:
        resource, name = _served(path)
        if resource is None:
            return 404, "application/json", self.failure(404)
        if method == "POST":
            made = json.loads(body)
            made.setdefault("metadata", {}).setdefault("uid", "new")
            return 201, "application/json", _json(made)
        objects = self.objects(resource, query)
        if name is None:
            return 200, "application/json", _json(_page(resource, objects, 7 + self.turn))
        one = [o for o in objects if o["metadata"]["name"] == name]
        return (200, "application/json", _json(one[0])) if one else (
            404, "application/json", self.failure(404)
        )  # fmt: skip

    def _review(self, path: str) -> bytes:
        if "authentication" in path:
            return _json({"status": {"userInfo": fill(WhoAmI, self.poison)}})
        if "rules" in path:
            rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return _json({"status": {"resourceRules": [rule], "incomplete": False}})
        return _json({"status": fill(Allowed, self.poison, {"allowed": True})})

    def _mlflow(self, path: str) -> bytes:
        if path.endswith("/version"):
            return b"3.17.2"
        run = self.run()
        if path.endswith("/get-history-bulk-interval"):
            now = int(time.time() * 1000)
            points = [
                {"run_id": RUN_ID, "timestamp": now + n, "step": n, "value": value}
                for n, value in enumerate((0.5, "NaN", 0.4, self.poison(), 1.7976931348623157e308))
            ]
            return _json({"metrics": [fill(Metric, self.poison, each) for each in points]})
        if path.endswith("/artifacts/list"):
            return _json({"root_uri": self.poison(), "files": self._artifacts()})
        if path.endswith("/search"):
            known = {"experiment_id": "1", "creation_time": 1, "last_update_time": 1}
            return _json({"runs": [run], "experiments": [fill(Experiment, self.poison, known)]})
        return _json({"run": run, "run_info": run["info"], "experiment": {"experiment_id": "1"}})

    def _artifacts(self) -> list[dict[str, Any]]:
        """Files and folders, most with hostile names; the last has a plain one."""
        bad = [whole(self.poison()) for _ in range(3)]
        folders = [{"path": f"a{bad[0]}", "is_dir": True}, {"path": bad[1], "is_dir": True}]
        return [
            *folders,
            {"path": f"a{bad[2]}.csv", "file_size": "7"},
            {"path": "../../etc/passwd", "file_size": 7},
            {"path": "zz/../report.txt"},
            {"path": "~/report.txt", "file_size": 420},
        ]

    def _registry(self, path: str) -> bytes:
        """A model of two versions, the first its champion; records of its alias, true and not."""
        true = Intent(
            verb="promote", model=MODEL, alias="champion", came="2", to="1", seq=1,
            at=time.time() - 9_000, who=whole(self.poison()), why=whole(self.poison()),
            override=whole(self.poison()), gates=(whole(self.poison()),),
            made={whole(self.poison()): whole(self.poison())},
        )  # fmt: skip
        tags = [
            {"key": intent_key("1" * 32), "value": msgspec.json.encode(true).decode()},
            {"key": end_key("1" * 32), "value": '{"moved":true,"at":1}'},
            {"key": intent_key("2" * 32), "value": self.poison()},
            {"key": end_key("2" * 32), "value": self.poison()},
            {"key": f"{PREFIX}{self.poison()}", "value": self.poison()},
            {"key": self.poison(), "value": self.poison()},
        ]
        now = int(time.time() * 1000)
        dated = {"creation_timestamp": now, "last_updated_timestamp": now, "model_id": None}
        versions = [
            fill(
                ModelVersion, self.poison, {"name": MODEL, "version": number, "tags": each, **dated}
            )
            for number, each in (("1", tags), ("2", []))
        ]
        if path.endswith("model-versions/search"):
            more = [fill(ModelVersion, self.poison, dated)] if self.named else []
            return _json({"model_versions": versions + more})
        aliases = [{"alias": "champion", "version": "1"}, {"alias": self.poison(), "version": "2"}]
        model = fill(RegisteredModel, self.poison, {"name": MODEL, "aliases": aliases})
        if path.endswith("registered-models/search"):
            return _json({"registered_models": [model, fill(RegisteredModel, self.poison)]})
        return _json({"registered_model": model, "model_version": versions[1]})

    def _prometheus(self) -> bytes:
        sample = {
            "metric": {self.poison(): self.poison(), "pod": "failed-0", "namespace": NAMESPACE},
            "value": [time.time(), "1"],
        }
        data = {"resultType": "vector", "result": [sample]}
        return _json({"status": "success", "data": data, "warnings": [self.poison()]})

    def watched(self, target: str) -> Iterator[bytes]:
        """The lines of a watch: each object changes, once, and then nothing more happens."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        resource, _ = _served(parts.path)
        for each in self.objects(resource, query) if resource is not None else ():
            kind = {"kind": each.get("kind") or resource.kind} if resource is not None else {}
            yield _json({"type": "MODIFIED", "object": each | kind}) + b"\n"


def _only(state: dict[str, Any]) -> dict[str, Any]:
    return {"running": None, "waiting": None, "terminated": None} | state


def _first(query: dict[str, list[str]]) -> str:
    return query.get("fieldSelector", [""])[0]


def _json(value: Any) -> bytes:
    return octets(json.dumps(value, ensure_ascii=False))


def _served(path: str) -> tuple[Resource[Any] | None, str | None]:
    """The kind that a path is about, and the object's name where it is about one."""
    place = re.fullmatch(
        r"/(?:api|apis/([^/]+))/(v\w+)(?:/namespaces/[^/]+)?(?:/localqueues/[^/]*)?"
        r"/([a-z]+)(?:/([^/]+))?",
        path,
    )
    for each in KINDS if place else ():
        if place and each.key == (place[1] or "", place[2], place[3]):
            return each, place[4]
    return None, None


def _page(resource: Resource[Any], items: list[dict[str, Any]], version: int) -> dict[str, Any]:
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(version)},
        "items": items,
    }


def _discovery(path: str) -> dict[str, Any] | None:
    if path not in ("/api", "/apis"):
        return (
            {"gitVersion": "v1.36.3", "major": "1", "minor": "36"} if path == "/version" else None
        )
    groups: dict[str, dict[str, list[str]]] = {}
    for each in KINDS:
        if bool(each.group) == (path == "/apis"):
            named = groups.setdefault(each.group, {}).setdefault(each.version, [])
            named += [each.plural] if each.plural not in named else []
    items = [
        {
            "metadata": {"name": group},
            "versions": [
                {"version": version, "resources": [{"resource": name} for name in names]}
                for version, names in versions.items()
            ],
        }
        for group, versions in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "items": items}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none."""


class _Handler(BaseHTTPRequestHandler):
    of: World
    protocol_version = "HTTP/1.1"
    # Head and body go out in two writes: the second would wait 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""

    def _do(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        watching = "watch=1" in self.path or "watch=true" in self.path
        following = "follow=true" in self.path
        if watching and not self.of.failing(self.command, self.path):
            self.of.calls.append((self.command, self.path, body))
            self._stream(lambda: self.of.watched(self.path))
            return
        status, kind, answer = self.of.answer(self.command, self.path, body)
        if following and status == 200:
            self._stream(lambda: iter((answer,)))
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _stream(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        """Write what there is, and again whenever everything was changed."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while not self.of.over.is_set():
            turn = self.of.turn
            for piece in pieces():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.of.wait(turn)
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815 - as the library calls them


__all__ = ["NAMESPACE", "RUN_ID", "STATES", "World"]
