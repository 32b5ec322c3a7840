"""A real API server whose etcd was put back to an older state: versions count backwards."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.sources.base import HealthState
from tests.cluster.build import ensure_all
from tests.cluster.ground import Cluster, Reply
from tests.cluster.plane import ControlPlane
from tests.cluster.process import Processes
from tests.faults.follow import QUICK, Maps, following, until
from tests.faults.proxy import FaultProxy


class Small:
    """etcd and an API server, which tests may stop; a face like the ground's."""

    def __init__(self, folder: Path) -> None:
        self.processes = Processes(secrets.token_hex(8), folder / "logs")
        self.plane = ControlPlane("small", folder / "small", ensure_all(), self.processes)
        self.data = folder / "small" / "etcd"
        end = self.plane.endpoint
        self.dev = Cluster(
            name="small",
            server=end.server,
            ca=end.ca,
            tokens=end.tokens,
            cert=end.client.cert,
            key=end.client.key,
            kubeconfig=end.admin_kubeconfig,
        )

    def api(self, method: str, path: str, body: object = None, **options: Any) -> Reply:
        return self.dev.api(method, path, body, **options)

    def start(self) -> None:
        self.plane.launch()
        self.plane.wait_api()

    def version(self) -> int:
        """The newest of its versions."""
        body = self.api("GET", "/api/v1/namespaces/default/configmaps").ok()
        return int(body["metadata"]["resourceVersion"])

    def stop(self, tool: str) -> None:
        process = self.processes.running[f"{tool}-small"]
        process.kill()
        process.wait(timeout=60)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    it = Small(tmp_path / "plane")
    try:
        it.start()
        yield it
    finally:
        it.processes.end()


@pytest.mark.parametrize("passed", [False, True], ids=["behind", "passed"])
async def test_a_server_that_was_restored_shows_what_it_has(
    small: Small, tmp_path: Path, passed: bool
) -> None:
    """No ghost of the state that was lost, and nothing hidden by versions that count again."""
    timing = dataclasses.replace(QUICK, away=1.0 if passed else 3_600.0)
    maps = Maps(small, "default")
    await maps.make("stays", "goes", "changes")
    small.stop("etcd")
    await asyncio.to_thread(shutil.copytree, small.data, tmp_path / "kept")
    small.plane._start_etcd()
    await until(lambda: small.plane._api_ready(), 60)
    async with (
        FaultProxy(small.dev.server, ca=small.dev.ca) as proxy,
        following(small, proxy, "default", tmp_path, timing=timing) as it,
    ):
        await it.settled()
        for turn in range(60):
            await maps.change("changes", f"before {turn}")
        await maps.make("lost")
        await maps.drop("goes")
        await it.settled()
        seen = int(it.reflector._version)
        small.stop("kube-apiserver")
        small.stop("etcd")
        await it.reaches(HealthState.RETRYING)
        await asyncio.to_thread(shutil.rmtree, small.data)
        await asyncio.to_thread(shutil.move, tmp_path / "kept", small.data)
        await proxy.refuse()
        small.start()  # its processes end with the thread that starts them
        await maps.change("changes", "after")
        while passed and await asyncio.to_thread(small.version) <= seen:
            await asyncio.gather(*(maps.change("changes", f"again {n}") for n in range(20)))
        await proxy.accept()
        await it.settled(deadline=60)
        names = {row.metadata.name for row in it.mirror.rows.values()}
        assert {"stays", "goes", "changes"} <= names
        assert "lost" not in names
        assert (int(it.reflector._version) > seen) == passed
        # One that has passed us may have been asked too, before it was away for long enough.
        assert passed or proxy.count("resourceVersionMatch=NotOlderThan")
