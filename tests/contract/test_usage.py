"""What jobs use and where they stand in their queues, through real aggregated APIs.

metrics-server is the real one, and measures what the process node really runs. Kueue's own server
is not to be had: a small one of ours says what its documentation says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.config import ContextConfig
from mcp_tui.domain.job import JobState
from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.resources import discover, silent
from mcp_tui.store import feed as feeds
from mcp_tui.store import looking
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.usage import measure
from tests.cluster import Cluster, Ground
from tests.cluster.certs import Authority
from tests.cluster.metrics import aggregated
from tests.faults.follow import until
from tests.faults.proxy import Answer, Fault, FaultProxy

MIB = 1024 * 1024
BUSY = """
import time
kept = bytearray(96 * 1024 * 1024)
kept[::4096] = b"1" * len(kept[::4096])
while True:
    start = time.monotonic()
    while time.monotonic() < start + 0.05:
        pass
    time.sleep(0.2)
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask twice a second."""
    for module in (looking, feeds):
        monkeypatch.setattr(module, "ASIDE_EVERY", 0.5)


@pytest.fixture
def cluster(kubeflow: Ground) -> Cluster:
    """The cluster with metrics-server."""
    return kubeflow.clusters["kubeflow"]


@contextlib.contextmanager
def fresh(cluster: Cluster) -> Iterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    cluster.api("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).ok()
    try:
        yield name
    finally:
        cluster.api("DELETE", f"/api/v1/namespaces/{name}")


@contextlib.asynccontextmanager
async def feeding(kubeconfig: Path, namespace: str) -> AsyncIterator[JobsFeed]:
    info = load_kubeconfig({}, kubeconfig).context()
    link = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
    feed = JobsFeed(link, namespace, JobStore(info.name), lambda: None)
    feed.start()
    try:
        yield feed
    finally:
        async with asyncio.timeout(20):
            await feed.stop()
        await link.aclose()


def rows(feed: JobsFeed) -> dict[str, JobView]:
    """What is known now, all of it on screen."""
    feed.store.tick(time.time())
    feed.store.flush(time.time())
    feed.visible(tuple(feed.store.table))
    found = (feed.store.table.get(uid) for uid in feed.store.table)
    return {view.key.name: view for view in found if view is not None}


def busy(namespace: str) -> tuple[str, dict[str, Any]]:
    """A Job that holds 96 MiB and keeps a fifth of a CPU busy."""
    container = {
        "name": "c",
        "image": "python:3.12",
        "command": ["python", "-c", BUSY],
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}},
    }
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    return path, {"metadata": {"name": "busy"}, "spec": {"template": pod}}


# --- metrics.k8s.io


async def test_a_row_shows_what_is_used_of_what_was_asked_for(cluster: Cluster) -> None:
    with fresh(cluster) as place:
        path, body = busy(place)
        cluster.api("POST", path, body).ok()
        async with feeding(cluster.kubeconfig, place) as feed:
            await until(
                lambda: "busy" in rows(feed) and rows(feed)["busy"].used is not None,
                120,
                lambda: f"{rows(feed)} {feed.connection.kube}",
            )
            view = rows(feed)["busy"]
            assert view.used is not None and view.used.cpu and view.used.memory
            # The interpreter's own pages come on top; the sum of CPU is a good deal below a whole.
            assert 96 * MIB < view.used.memory < 256 * MIB
            assert 0.02 < view.used.cpu < 0.9
            assert (view.cpu, view.memory) == (0.5, 128 * MIB)
            # The server's own answer, added up by hand.
            answer = cluster.api("GET", f"/apis/metrics.k8s.io/v1beta1/namespaces/{place}/pods")
            (pod,) = answer.ok()["items"]
            assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "busy"
            cluster.api("DELETE", f"{path}/busy", {"propagationPolicy": "Background"})
            await until(lambda: "busy" not in rows(feed), 60)


async def test_a_cluster_without_measurements_is_not_asked_for_them(
    ground: Ground, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = looking.Looking.look

    async def counted(self: looking.Looking) -> None:
        nonlocal looks
        await look(self)
        looks += 1

    monkeypatch.setattr(looking.Looking, "look", counted)
    path, body = busy(namespace)
    ground.api("POST", path, body).ok()
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as proxy:
        kubeconfig = proxy.kubeconfig(tmp_path / "k", token=ground.dev.tokens["admin"])
        async with feeding(kubeconfig, namespace) as feed:
            await until(lambda: "busy" in rows(feed) and rows(feed)["busy"].ready == 1, 60)
            seen = looks
            await until(lambda: rows(feed) and looks > seen + 2, 60)
            view = rows(feed)["busy"]
            assert view.state is JobState.RUNNING
            assert (view.used, view.cpu) == (None, 0.5)
            assert proxy.count("metrics.k8s.io|visibility") == 0
            # Asked all the same, the server has no such thing: nothing is known, nothing fails.
            assert await measure(feed.connection.kube, view) is None
            proxy.add(Fault(act=Answer(503, b"service unavailable"), path="metrics"))
            assert await measure(feed.connection.kube, view) is None
    ground.api("DELETE", f"{path}/busy", {"propagationPolicy": "Background"})


# --- Kueue's visibility API

GROUP = "visibility.kueue.x-k8s.io"


class Visibility:
    """An aggregated API server with one answer, which is the caller's to write."""

    def __init__(self, folder: Path) -> None:
        self.pending: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.users: set[str] = set()
        self.starting = False
        said = self

        class Handler(BaseHTTPRequestHandler):
            # Head and body go out in two writes: the second would wait for an acknowledgement.
            disable_nagle_algorithm = True

            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return self.client_address[0]

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                answer = said.answer(self.path, self.headers.get("X-Remote-User", ""))
                code = 503 if said.starting else 200 if answer else 404
                body = json.dumps(answer or {"kind": "Status", "code": code}).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        pair = Authority(folder).issue("visibility", common_name="visibility", server=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(self, target: str, user: str) -> dict[str, Any] | None:
        """Discovery, or the pending Workloads of the LocalQueue ``q``."""
        path = target.partition("?")[0]
        version = f"/apis/{GROUP}/v1beta1"
        if path == version:
            # As Kueue has it: what can be asked for are the sub-resources.
            found = []
            for name, namespaced in (("clusterqueues", False), ("localqueues", True)):
                known = {"singularName": "", "namespaced": namespaced}
                found.append({**known, "name": name, "kind": "", "verbs": []})
                summary = {"kind": "PendingWorkloadsSummary", "verbs": ["get"]}
                found.append({**known, **summary, "name": f"{name}/pendingworkloads"})
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/v1beta1",
                "resources": found,
            }
        if path.startswith(f"{version}/namespaces/") and path.endswith(
            "/localqueues/q/pendingworkloads"
        ):
            self.asked.append(path)
            self.users.add(user)
            return {
                "kind": "PendingWorkloadsSummary",
                "apiVersion": f"{GROUP}/v1beta1",
                "metadata": {"creationTimestamp": None},
                "items": self.pending,
            }
        return None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def visibility(cluster: Cluster, tmp_path: Path) -> Iterator[Visibility]:
    """The server, and the API server's way to it."""
    server = Visibility(tmp_path)
    service, registration = aggregated(GROUP, "v1beta1", server.port)
    services = "/api/v1/namespaces/kube-system/services"
    registrations = "/apis/apiregistration.k8s.io/v1/apiservices"
    name = registration["metadata"]["name"]
    cluster.api("POST", services, service).ok()
    cluster.api("POST", registrations, registration).ok()
    try:
        yield server
    finally:
        cluster.api("DELETE", f"{registrations}/{name}")
        cluster.api("DELETE", f"{services}/{service['metadata']['name']}")
        server.stop()


def waiting(cluster: Cluster, place: str, name: str, priority: int) -> None:
    """A Job that Kueue would hold, and its Workload as Kueue would write it."""
    container = {"name": "c", "image": "busybox", "command": ["true"]}
    body = {
        "metadata": {"name": name, "labels": {"kueue.x-k8s.io/queue-name": "q"}},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
    job = cluster.api("POST", f"/apis/batch/v1/namespaces/{place}/jobs", body).ok()
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name,
        "uid": job["metadata"]["uid"],
        "controller": True,
    }
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "Workload",
        "metadata": {"name": f"job-{name}", "ownerReferences": [owner]},
        "spec": {"queueName": "q", "priority": priority, "active": True},
    }
    path = f"/apis/kueue.x-k8s.io/v1beta1/namespaces/{place}/workloads"
    cluster.api("POST", path, workload).ok()


def item(place: str, name: str, position: int) -> dict[str, Any]:
    return {
        "metadata": {"name": f"job-{name}", "namespace": place, "creationTimestamp": None},
        "priority": 0,
        "localQueueName": "q",
        "positionInClusterQueue": position,
        "positionInLocalQueue": position // 4,
    }


async def test_places_are_those_that_kueue_tells(cluster: Cluster, visibility: Visibility) -> None:
    with fresh(cluster) as place:
        # By priority, which is all that a Workload shows, the first would be first.
        waiting(cluster, place, "first", 100)
        waiting(cluster, place, "second", 0)
        visibility.pending = [item(place, "second", 0), item(place, "first", 7)]

        def places(feed: JobsFeed) -> dict[str, int | None]:
            return {name: view.queue_position for name, view in rows(feed).items()}

        async with feeding(cluster.kubeconfig, place) as feed:
            wanted = {"first": 8, "second": 1}
            await until(
                lambda: places(feed) == wanted,
                90,
                lambda: f"{places(feed)} {visibility.asked[-3:]}",
            )
            visibility.pending = [item(place, "first", 0), item(place, "second", 1)]
            await until(lambda: places(feed) == {"first": 1, "second": 2}, 60)
        assert set(visibility.asked) == {
            f"/apis/{GROUP}/v1beta1/namespaces/{place}/localqueues/q/pendingworkloads"
        }
        assert visibility.users == {"admin"}, "the API server says who asks"


async def test_an_api_whose_server_starts_late_is_found(
    cluster: Cluster, visibility: Visibility, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_DISCOVER_SILENT", 0.5)
    visibility.starting = True
    info = load_kubeconfig({}, cluster.kubeconfig).context()
    link = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
    name = f"{GROUP}/v1beta1"

    async def unheard() -> bool:
        return name in silent(await discover(link.kube))

    with fresh(cluster) as place:
        waiting(cluster, place, "first", 0)
        visibility.pending = [item(place, "first", 4)]
        try:
            async with asyncio.timeout(90):
                while not await unheard():
                    await asyncio.sleep(0.2)
            async with feeding(cluster.kubeconfig, place) as feed:
                await until(lambda: "first" in rows(feed) and feed._discovered, 60)
                assert not visibility.asked
                visibility.starting = False
                await until(lambda: rows(feed)["first"].queue_position == 5, 120)
            assert not await unheard()
        finally:
            await link.aclose()
