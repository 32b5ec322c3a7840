"""What only the embedded plane can be made to show: compaction, clocks, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_tui.demo.plane.controllers import Pace
from mcp_tui.demo.plane.model import EVENTS, JOBS, LEASES, NODES, PODS, Kind, rfc3339
from mcp_tui.demo.plane.server import EmbeddedPlane, PlaneOptions
from mcp_tui.demo.plane.store import Key
from mcp_tui.errors import UsageError

CONFIG_MAPS = "/api/v1/namespaces/ml/configmaps"


def client(plane: EmbeddedPlane) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=plane.server,
        headers={"Authorization": f"Bearer {plane.token}"},
        verify=ssl.create_default_context(cafile=str(plane.ca)),
        timeout=20.0,
        trust_env=False,
    )


async def eventually(condition: Callable[[], Any], within: float = 10.0) -> Any:
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "not within time"
        await asyncio.sleep(0.01)
    return found


async def settle() -> None:
    """Lets the controllers, which share this event loop, do all that there is to do."""
    for _ in range(200):
        await asyncio.sleep(0)


class Clock:
    """Seconds since the epoch, set by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[EmbeddedPlane]:
    """A plane that forgets quickly and marks often."""
    options = PlaneOptions(history=5, bookmark_seconds=0.3, controllers=False)
    async with EmbeddedPlane(tmp_path, options) as plane:
        yield plane


async def fill(http: httpx.AsyncClient, count: int) -> None:
    for index in range(count):
        reply = await http.post(CONFIG_MAPS, json={"metadata": {"name": f"c{index:03}"}})
        assert reply.status_code == 201


async def test_an_old_watch_gets_410_in_a_200(small: EmbeddedPlane) -> None:
    async with client(small) as http:
        await fill(http, 12)
        query = {"watch": "1", "resourceVersion": "2"}
        async with http.stream("GET", CONFIG_MAPS, params=query) as reply:
            lines = [line async for line in reply.aiter_lines()]
    assert reply.status_code == 200 and len(lines) == 1
    event = json.loads(lines[0])
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 2 (")


async def test_an_old_page_gets_410_and_a_way_on(small: EmbeddedPlane) -> None:
    async with client(small) as http:
        await fill(http, 4)
        first = (await http.get(CONFIG_MAPS, params={"limit": 2})).json()
        for index in range(12):
            body = {"metadata": {"name": f"d{index}"}}
            await http.post(CONFIG_MAPS, json=body)
        token = first["metadata"]["continue"]
        reply = await http.get(CONFIG_MAPS, params={"limit": 2, "continue": token})
        assert (reply.status_code, reply.json()["reason"]) == (410, "Expired")
        assert reply.json()["message"].startswith("The provided continue parameter is too old")
        token = reply.json()["metadata"]["continue"]
        rest = await http.get(CONFIG_MAPS, params={"limit": 50, "continue": token})
        assert rest.json()["items"][0]["metadata"]["name"] == "c002"
        query = {"resourceVersion": "2", "resourceVersionMatch": "Exact"}
        assert (await http.get(CONFIG_MAPS, params=query)).status_code == 410


async def test_a_quiet_watch_is_marked(small: EmbeddedPlane) -> None:
    async with client(small) as http:
        version = (await http.get(CONFIG_MAPS)).json()["metadata"]["resourceVersion"]
        await http.post("/api/v1/namespaces/ml/secrets", json={"metadata": {"name": "a"}})
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with http.stream("GET", CONFIG_MAPS, params=query) as reply:
            event = json.loads(await anext(reply.aiter_lines()))
    assert event["type"] == "BOOKMARK"
    # It moves on with the server, though nothing of this resource changed.
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


async def test_a_mark_promises_no_more_than_was_sent(small: EmbeddedPlane) -> None:
    """Who goes on from a bookmark misses nothing that came after it."""
    async with client(small) as http:
        query = {"watch": "1", "allowWatchBookmarks": "true"}
        version = (await http.get(CONFIG_MAPS)).json()["metadata"]["resourceVersion"]
        start = {**query, "resourceVersion": version}
        async with http.stream("GET", CONFIG_MAPS, params=start) as reply:
            mark = json.loads(await anext(reply.aiter_lines()))
        assert mark["type"] == "BOOKMARK"
        await http.post(CONFIG_MAPS, json={"metadata": {"name": "after"}})
        start["resourceVersion"] = mark["object"]["metadata"]["resourceVersion"]
        async with http.stream("GET", CONFIG_MAPS, params=start) as reply:
            event = json.loads(await anext(reply.aiter_lines()))
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "after")


async def test_only_the_owner_reads_what_it_writes(small: EmbeddedPlane) -> None:
    for path in small.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert small.server.startswith("https://127.0.0.1:")


async def test_no_token_no_answer(small: EmbeddedPlane) -> None:
    async with client(small) as http:
        del http.headers["Authorization"]
        for path in (CONFIG_MAPS, "/version", "/openapi/v3"):
            assert (await http.get(path)).status_code == 401


async def test_verbs_without_a_contract_are_refused(small: EmbeddedPlane) -> None:
    async with client(small) as http:
        assert (await http.delete(CONFIG_MAPS)).status_code == 405
        headers = {"Content-Type": "application/apply-patch+yaml"}
        reply = await http.patch(f"{CONFIG_MAPS}/a", content=b"{}", headers=headers)
        assert reply.status_code == 415
        headers = {"Content-Type": "application/strategic-merge-patch+json"}
        reply = await http.patch(f"{CONFIG_MAPS}/a", content=b"{}", headers=headers)
        assert reply.status_code == 415
        reply = await http.post("/api/v1/namespaces/ml/pods/a/eviction", json={})
        assert reply.status_code == 404
        reply = await http.post(CONFIG_MAPS, content=b" " * 4_000_000)
        assert reply.status_code == 413


async def test_a_port_that_is_taken_is_said(small: EmbeddedPlane, tmp_path: Path) -> None:
    port = int(small.server.rpartition(":")[2])
    with pytest.raises(UsageError, match="cannot listen"):
        async with EmbeddedPlane(tmp_path / "b", PlaneOptions(port=port)):
            pass


def test_unknown_kinds_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kubflow"):
        EmbeddedPlane(tmp_path, PlaneOptions(extras=("kubflow",)))


async def test_custom_kinds_are_served_when_asked_for(tmp_path: Path) -> None:
    async with (
        EmbeddedPlane(tmp_path, PlaneOptions(extras=("kueue",))) as plane,
        client(plane) as http,
    ):
        path = "/apis/kueue.x-k8s.io/v1beta1/namespaces/ml/workloads"
        body = {"metadata": {"name": "a"}, "spec": {"queueName": "q"}, "status": {"x": 1}}
        made = (await http.post(path, json=body)).json()
        assert made["metadata"]["generation"] == 1 and "status" not in made
        headers = {"Content-Type": "application/merge-patch+json"}
        patch = {"spec": {"active": False}, "status": {"x": 1}}
        reply = await http.patch(f"{path}/a", json=patch, headers=headers)
        assert reply.json()["metadata"]["generation"] == 2 and "status" not in reply.json()
        reply = await http.patch(f"{path}/a/status", json=patch, headers=headers)
        assert reply.json()["status"] == {"x": 1}
        listed = (await http.get(path)).json()
        # Items of a custom kind do carry their type.
        assert listed["items"][0]["kind"] == "Workload"


JOB = {
    "kind": "Job",
    "apiVersion": "batch/v1",
    "metadata": {"name": "a"},
    "spec": {
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}
        }
    },
}


def node(name: str, clock: Clock, **allocatable: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": rfc3339(clock())}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "status": {"allocatable": {"pods": "10", **allocatable}, "conditions": [ready]},
    }


def add_node(plane: EmbeddedPlane, body: dict[str, Any]) -> None:
    status = body.pop("status")
    plane.registry.create(NODES, "", body)
    set_status(plane, NODES, ("", body["metadata"]["name"]), status)


def set_status(plane: EmbeddedPlane, kind: Kind, key: Key, status: dict[str, Any]) -> None:
    plane.registry.update(kind, *key, lambda old: {**old, "status": status}, subresource="status")


def hold(plane: EmbeddedPlane, holder: str) -> None:
    """Changes the node's lease without renewing it, so that the controllers look."""

    def change(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "spec": {**old["spec"], "holderIdentity": holder}}

    plane.registry.update(LEASES, "kube-node-lease", "n", change)


async def test_pods_go_where_there_is_room(tmp_path: Path) -> None:
    clock = Clock()
    async with EmbeddedPlane(tmp_path, PlaneOptions(clock=clock)) as plane:
        add_node(plane, node("small", clock, cpu="1"))
        add_node(plane, node("large", clock, cpu="4"))

        def make(name: str, cpu: str) -> None:
            container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
            body = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}}
            plane.registry.create(PODS, "ml", {**body, "spec": {"containers": [container]}})

        def where(name: str) -> str:
            entry = plane.store.get(PODS, "ml", name)
            return entry.field("spec.nodeName") if entry else ""

        make("a", "3")
        assert await eventually(lambda: where("a")) == "large"
        make("b", "2")

        def message() -> str:
            entry = plane.store.get(PODS, "ml", "b")
            found = entry.obj["status"].get("conditions") if entry else None
            return str(found[0]["message"]) if found else ""

        assert (await eventually(message)).startswith(
            "0/2 nodes are available: 2 Insufficient cpu."
        )
        # Room given back is used at once.
        set_status(plane, PODS, ("ml", "a"), {"phase": "Succeeded"})
        assert await eventually(lambda: where("b")) == "large"


async def test_a_silent_node_is_not_ready(tmp_path: Path) -> None:
    clock = Clock()
    async with EmbeddedPlane(tmp_path, PlaneOptions(clock=clock)) as plane:
        add_node(plane, node("n", clock, cpu="1"))

        def taints() -> list[str]:
            entry = plane.store.get(NODES, "", "n")
            spec = entry.obj.get("spec") or {} if entry else {}
            return [item["key"] for item in spec.get("taints", ())]

        await eventually(lambda: taints() == [])
        clock.now += 39
        lease = {
            "kind": "Lease",
            "apiVersion": LEASES.api_version,
            "metadata": {"name": "n"},
            "spec": {"renewTime": rfc3339(clock())},
        }
        plane.registry.create(LEASES, "kube-node-lease", lease)
        clock.now += 39
        hold(plane, "n")
        await settle()
        assert taints() == []
        clock.now += 2
        hold(plane, "m")
        await eventually(lambda: "node.kubernetes.io/unreachable" in taints())


async def test_the_back_off_grows_and_scales(tmp_path: Path) -> None:
    clock = Clock()
    options = PlaneOptions(clock=clock, pace=Pace(back_off=10))
    async with EmbeddedPlane(tmp_path, options) as plane:
        plane.registry.create(JOBS, "ml", json.loads(json.dumps(JOB)))

        def pods() -> list[Any]:
            return plane.store.buckets[PODS].range("ml")

        def fail_all() -> None:
            for entry in pods():
                if entry.field("status.phase") == "Pending":
                    set_status(plane, PODS, entry.key, {"phase": "Failed"})

        def nudge(seconds: float) -> None:
            """Moves the clock and makes the controllers look."""
            clock.now += seconds
            plane.registry.update(
                JOBS,
                "ml",
                "a",
                lambda old: {
                    **old,
                    "metadata": {**old["metadata"], "annotations": {"now": str(clock.now)}},
                },
            )

        for number, wait in enumerate((10, 20, 40), start=1):
            await eventually(lambda count=number: len(pods()) == count)
            fail_all()
            await settle()
            nudge(wait - 1)
            await settle()
            assert len(pods()) == number
            nudge(1)
        await eventually(lambda: len(pods()) == 4)


async def test_events_grow_old(tmp_path: Path) -> None:
    clock = Clock()
    options = PlaneOptions(clock=clock, event_ttl=60)
    async with EmbeddedPlane(tmp_path, options) as plane:
        plane.registry.create(JOBS, "ml", json.loads(json.dumps(JOB)))
        await eventually(lambda: plane.store.buckets[EVENTS].range("ml"))
        clock.now += 61
        plane.registry.create(JOBS, "default", json.loads(json.dumps(JOB)))
        await eventually(lambda: not plane.store.buckets[EVENTS].range("ml"))


def launch(directory: Path, **options: Any) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "mcp_tui.demo.plane", "--dir", str(directory)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True, **options)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert set(said) == {"server", "kubeconfig", "context", "token", "ca"}
    return process


def test_it_ends_with_its_standard_input(tmp_path: Path) -> None:
    process = launch(tmp_path, stdin=subprocess.PIPE)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=20) == 0


def test_it_ends_on_term(tmp_path: Path) -> None:
    process = launch(tmp_path, stdin=subprocess.DEVNULL)
    process.terminate()
    assert process.wait(timeout=20) == 0


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'mcp_tui.demo.plane', '--dir', sys.argv[1]],"
        " stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("it lives on")
