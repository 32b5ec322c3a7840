"""The gate by itself: the clients of a read-only context are asked for everything, listed or not.

The actions refuse before it, and so would a test of theirs pass without a gate. What may reach
the proxies is written here by hand once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_tui.errors import McpTuiError, RefusedError
from mcp_tui.sources.kubernetes.exec import open_exec
from mcp_tui.sources.kubernetes.portforward import forward
from tests.cluster import Ground
from tests.faults.acting import Actor, acting
from tests.faults.proxy import FaultProxy
from tests.hostile.test_read_only import reads

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "post")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
KUBE = (
    "/version",
    "/api",
    "/apis",
    "/apis/batch/v1",
    "/api/v1/namespaces",
    "/api/v1/namespaces/NS",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/namespaces/NS/jobs",
    "/apis/batch/v1/namespaces/NS/jobs/a",
    "/apis/batch/v1/namespaces/NS/jobs/a/status",
    "/api/v1/namespaces/NS/pods",
    "/api/v1/namespaces/NS/pods/a/log",
    "/api/v1/namespaces/NS/pods/a/exec",
    "/api/v1/namespaces/NS/pods/a/attach",
    "/api/v1/namespaces/NS/pods/a/portforward",
    "/api/v1/namespaces/NS/pods/a/proxy",
    "/api/v1/namespaces/NS/pods/a/proxy/x",
    "/api/v1/namespaces/NS/pods/a/eviction",
    "/api/v1/namespaces/NS/pods/a/binding",
    "/api/v1/namespaces/NS/pods/a/ephemeralcontainers",
    "/api/v1/namespaces/NS/services/a/proxy",
    "/api/v1/namespaces/NS/services/a:80/proxy/api/v1/query",
    "/api/v1/proxy/namespaces/NS/services/a",
    "/api/v1/nodes/a/proxy/exec",
    "/api/v1/namespaces/NS/serviceaccounts/default/token",
    "/api/v1/namespaces/NS/events",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    "/api/v1/namespaces/NS/pods/a/../a/exec",
    "/api/v1/namespaces/NS/pods/a%2fexec",
    "/api/v1/namespaces/NS/pods/a/exec/",
    "/api/v1/namespaces/NS/pods//a/exec",
    "//api/v1/namespaces/NS/pods/a/exec",
)
MLFLOW = (
    "/version",
    "/api/2.0/mlflow/experiments/search",
    "/api/2.0/mlflow/experiments/get-by-name",
    "/api/2.0/mlflow/experiments/create",
    "/api/2.0/mlflow/experiments/delete",
    "/api/2.0/mlflow/runs/search",
    "/api/2.0/mlflow/runs/get",
    "/api/2.0/mlflow/runs/create",
    "/api/2.0/mlflow/runs/update",
    "/api/2.0/mlflow/runs/delete",
    "/api/2.0/mlflow/runs/set-tag",
    "/api/2.0/mlflow/runs/log-batch",
    "/api/2.0/mlflow/runs/log-metric",
    "/api/2.0/mlflow/runs/log-inputs",
    "/api/2.0/mlflow/registered-models/create",
    "/api/2.0/mlflow/model-versions/transition-stage",
    "/ajax-api/2.0/mlflow/upload-artifact",
    "/api/2.0/mlflow/users/create",
)


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path, read_only=True) as it:
        yield it


def seen(proxy: FaultProxy) -> set[tuple[str, str]]:
    """What came to a proxy."""
    return {(call.method, call.target.partition("?")[0]) for call in proxy.calls}


async def test_nothing_but_the_list_leaves_the_kubernetes_client(actor: Actor) -> None:
    kube = actor.engine.kube
    allowed = set()
    for path in (each.replace("NS", actor.namespace) for each in KUBE):
        for method in METHODS:
            for params in ({}, {"dryRun": "All"}) if method in WRITES else ({},):
                before = len(actor.kube.calls)
                with contextlib.suppress(McpTuiError):
                    body = b"{}" if method.upper() not in ("GET", "HEAD") else None
                    await kube.request(method, path, params=params, body=body, deadline=5.0)
                for call in actor.kube.calls[before:]:
                    assert reads(call.method, call.target), f"{call.method} {call.target}"
                    allowed.add((method, path))
        with contextlib.suppress(McpTuiError):
            await streamed(actor, path)
    with pytest.raises(RefusedError):
        async with open_exec(kube, actor.namespace, "a", ["true"], container="main"):
            pass
    with pytest.raises(RefusedError):
        async with forward(kube, actor.namespace, "a", 80):
            pass
    assert all(reads(method, path) for method, path in seen(actor.kube))
    # It is no gate that lets nothing pass.
    assert len({path for _, path in allowed}) >= 12, allowed
    asked = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert ("POST", asked) in seen(actor.kube)


async def streamed(actor: Actor, path: str) -> None:
    async with actor.engine.kube.stream(
        path, params={"timeoutSeconds": "1"}, read_timeout=5.0, connect_deadline=5.0
    ):
        pass


async def test_nothing_but_the_list_leaves_the_mlflow_client(actor: Actor) -> None:
    mlflow = actor.engine.mlflow_client
    assert mlflow is not None
    for path in MLFLOW:
        for method in METHODS:
            with contextlib.suppress(McpTuiError):
                await mlflow.call(method, path, {} if method.upper() != "GET" else None)
    run = "0" * 32
    for write in (
        mlflow.create_experiment("x"),
        mlflow.create_run("0", run_name="x", tags={}, start_time_ms=1),
        mlflow.update_run(run, status="KILLED", end_time_ms=1),
        mlflow.set_tag(run, "a", "b"),
        mlflow.log_batch(run, tags={"a": "b"}),
        mlflow.log_inputs(run, [{"name": "a", "digest": "b"}]),
    ):
        with pytest.raises(RefusedError):
            await write
    assert all(reads(method, path) for method, path in seen(actor.mlflow)), seen(actor.mlflow)
    assert ("POST", "/api/2.0/mlflow/runs/search") in seen(actor.mlflow)
