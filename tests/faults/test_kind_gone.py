"""A custom kind that appears, or goes away, while its rows are on screen; on the real server."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes.resources import Resource
from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.contract.api import eventually
from tests.faults.follow import ConfigMap, following, proxied, until
from tests.faults.proxy import Answer, Fault, FaultProxy
from tests.tui.terminal import Terminal

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Kind:
    """A kind of our own on the ground."""

    def __init__(self, ground: Ground, namespace: str) -> None:
        self._ground = ground
        self.group = f"g{secrets.token_hex(4)}.example"
        self.resource = Resource(self.group, "v1", "things", "Thing", True, ConfigMap)
        self.path = self.resource.path(namespace)

    def install(self) -> None:
        """Make the kind, and wait until it is served."""
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True}
        body = {
            "metadata": {"name": f"things.{self.group}"},
            "spec": {
                "group": self.group,
                "scope": "Namespaced",
                "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
                "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
            },
        }
        self._ground.api("POST", CRDS, body).ok()

    def remove(self) -> None:
        """Take the kind away, with all its objects."""
        self._ground.api("DELETE", f"{CRDS}/things.{self.group}")

    def served(self) -> bool:
        return self._ground.api("GET", self.path).status == 200

    def make(self, *names: str) -> None:
        for name in names:
            api = f"{self.group}/v1"
            body = {"apiVersion": api, "kind": "Thing", "metadata": {"name": name}}
            self._ground.api("POST", self.path, body).ok()


@pytest.fixture
def kind(ground: Ground, namespace: str) -> Iterator[Kind]:
    it = Kind(ground, namespace)
    yield it
    it.remove()


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with proxied(ground) as it:
        yield it


async def test_a_kind_appears_and_goes_and_comes_back(
    ground: Ground, namespace: str, proxy: FaultProxy, kind: Kind, tmp_path: Path
) -> None:
    async with following(ground, proxy, namespace, tmp_path, resource=kind.resource) as it:
        await it.reaches(HealthState.ABSENT)
        for _ in range(2):
            await asyncio.to_thread(kind.install)
            await until(kind.served, 60)
            await asyncio.to_thread(kind.make, "a", "b")
            await it.reaches(HealthState.LIVE, 60)
            await it.settled(60)
            await asyncio.to_thread(kind.remove)
            await until(lambda: not it.mirror.rows, 60, lambda: str(it.health))
            await it.reaches(HealthState.ABSENT, 60)


async def test_a_kind_that_goes_while_nobody_looks_leaves_no_ghosts(
    ground: Ground, namespace: str, proxy: FaultProxy, kind: Kind, tmp_path: Path
) -> None:
    await asyncio.to_thread(kind.install)
    await until(kind.served, 60)
    await asyncio.to_thread(kind.make, "a", "b")
    async with following(ground, proxy, namespace, tmp_path, resource=kind.resource) as it:
        await it.settled(60)
        await proxy.refuse()
        await it.reaches(HealthState.RETRYING)
        await asyncio.to_thread(kind.remove)
        await until(lambda: not kind.served(), 60)
        assert len(it.mirror.rows) == 2, "old rows stay through an outage"
        await proxy.accept()
        await until(lambda: not it.mirror.rows, 60, lambda: str(it.health))
        await it.reaches(HealthState.ABSENT, 60)


@pytest.mark.parametrize("discovery", [404, 503, 200])
async def test_404_of_somebody_in_between_takes_no_row_away(
    ground: Ground,
    namespace: str,
    proxy: FaultProxy,
    kind: Kind,
    tmp_path: Path,
    discovery: int,
) -> None:
    await asyncio.to_thread(kind.install)
    await until(kind.served, 60)
    await asyncio.to_thread(kind.make, "a", "b")
    async with following(ground, proxy, namespace, tmp_path, resource=kind.resource) as it:
        await it.settled(60)
        text: Any = (("Content-Type", "text/plain"),)
        lost = proxy.add(Fault(Answer(404, b"404 page not found\n", text), path=kind.group))
        asked = proxy.add(Fault(Answer(discovery, b"{}"), path=r"^/apis?$"))
        await proxy.drop_all()
        await it.reaches(HealthState.ABSENT)
        await until(lambda: asked.hits)
        asked_before = lost.hits
        await until(lambda: lost.hits > asked_before)
        assert it.mirror.state().keys() == {"a", "b"}
        proxy.clear()
        await it.reaches(HealthState.LIVE)
        await it.settled()


def test_a_console_lives_through_a_kind_that_goes_and_comes_back(
    ground3: Ground, tmp_path: Path
) -> None:
    """On a cluster where nobody else needs RayJobs."""
    cluster, space = ground3.clusters["test"], f"t-{secrets.token_hex(4)}"
    crd, jobs = f"{CRDS}/rayjobs.ray.io", f"/apis/ray.io/v1/namespaces/{space}/rayjobs"
    kind = cluster.api("GET", crd).ok()
    body = {"metadata": {"name": kind["metadata"]["name"]}, "spec": kind["spec"]}

    def make(name: str) -> bool:
        job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}}
        return cluster.api("POST", jobs, job | {"spec": {"entrypoint": "x"}}).status == 201

    def going(found: Any) -> bool:
        return "deletionTimestamp" in found.get("metadata", {})

    cluster.api("POST", "/api/v1/namespaces", {"metadata": {"name": space}}).ok()
    assert make("first")
    env = {**ground3.env, "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm-256color"}
    argv = [sys.executable, "-m", "mcp_tui", "--context", "test", "-n", space]
    terminal = Terminal(argv, env, (120, 30), REPO)
    try:
        terminal.until(lambda: "first" in terminal.text)
        cluster.api("DELETE", crd).ok()
        terminal.until(lambda: "first" not in terminal.text and "no jobs" in terminal.text)
        # While it ends it is there still.
        terminal.until(lambda: cluster.api("POST", CRDS, body).status == 201)
        terminal.until(lambda: make("second"))
        terminal.until(lambda: "second" in terminal.text)
        assert "first" not in terminal.text and "Traceback" not in terminal.text
        terminal.insist("\x03", lambda: not terminal.read())
        assert terminal.wait() == 0
    finally:
        terminal.close()
        eventually(lambda: not going(cluster.api("GET", crd).body), within=60)
        assert cluster.api("POST", CRDS, body).status in (201, 409)
        cluster.api("DELETE", f"/api/v1/namespaces/{space}")
