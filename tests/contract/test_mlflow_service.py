"""MLflow as a Service behind the API server: the console's half, before the real MLflow.

The API server's half (its proxy) needs a pod with a routable address; here a proxy of our own takes
the prefix off, and answers as the API server does when it loses its way.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.domain import keys
from mcp_tui.errors import ApiError, McpTuiError, RefusedError, UnknownOutcomeError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Fault, FaultProxy, Lost
from tests.faults.wire import Head

pytestmark = pytest.mark.real

PREFIX = "/api/v1/namespaces/ml/services/mlflow:http/proxy"


class ServiceProxy(FaultProxy):
    """Passes a Service's calls on without their prefix."""

    async def _forward(self, head: Head, body: bytes, up_writer: asyncio.StreamWriter) -> None:
        method, target, version = head.first
        assert target.startswith(PREFIX + "/"), target
        head.first = (method, target.removeprefix(PREFIX), version)
        await super()._forward(head, body, up_writer)


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[ServiceProxy]:
    async with ServiceProxy(ground.mlflow) as made:
        yield made


def client(proxy: FaultProxy, folder: Path, *, read_only: bool = False) -> MlflowClient:
    path = proxy.kubeconfig(folder / "kubeconfig", token="t")
    context = load_kubeconfig({}, path).context("faulty")
    gate = Gate(read_only=read_only)
    kube = KubeClient(context, gate=gate, env={})
    endpoint = Endpoint(service="ml/mlflow:http")
    return MlflowClient(connect("mlflow", endpoint, gate=gate, env={}, kube=kube))


async def close(mlflow: Any) -> None:
    await mlflow.aclose()
    await mlflow._caller._kube.aclose()


async def test_a_kubeconfig_alone_is_enough(proxy: ServiceProxy, tmp_path: Path) -> None:
    mlflow = client(proxy, tmp_path)
    assert await mlflow.version()
    experiment = await mlflow.ensure_experiment(f"service {secrets.token_hex(6)}")
    run = await mlflow.create_run(
        experiment.experiment_id, run_name="r", tags={keys.TAG_PLAN_ID: "p"}, start_time_ms=1
    )
    assert (await mlflow.get_run(run.run_id)).tags[keys.TAG_PLAN_ID] == "p"
    assert all(call.target.startswith(PREFIX) for call in proxy.calls)
    await close(mlflow)


async def test_read_only_judges_what_is_behind_the_prefix(
    proxy: ServiceProxy, tmp_path: Path
) -> None:
    mlflow = client(proxy, tmp_path, read_only=True)
    await mlflow.search_runs(["0"])  # A POST that only reads.
    before = len(proxy.calls)
    with pytest.raises(RefusedError):
        await mlflow.create_run("0", run_name="r", tags={}, start_time_ms=1)
    assert len(proxy.calls) == before
    await close(mlflow)


def status(code: int, message: str) -> Answer:
    body = {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
    return Answer(code, json.dumps({**body, "reason": "ServiceUnavailable"}).encode())


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (status(503, 'no endpoints available for service "mlflow:http"'), ApiError, "ready pod"),
        (status(503, "error trying to reach service: dial tcp 10.0.0.1:80: connect: "
                     "connection refused"), ApiError, "ready pod"),
        (status(503, "error trying to reach service: EOF"), UnknownOutcomeError, "may or may not"),
        (status(503, "error trying to reach service: context deadline exceeded"),
         UnknownOutcomeError, "may or may not"),
        (Lost(), UnknownOutcomeError, "may or may not"),
        (Answer(403, b"Invalid Host header - possible DNS rebinding attack detected",
                (("Content-Type", "text/plain"),)), ApiError, "--allowed-hosts"),
        (Answer(401, b"You are not authenticated.", (("Content-Type", "text/plain"),)), ApiError,
         "You are not authenticated.; MLflow wants credentials of its own"),
    ],
)  # fmt: skip
async def test_a_lost_answer_is_told_from_a_service_that_is_not_there(
    proxy: ServiceProxy, tmp_path: Path, act: Any, error: type[McpTuiError], says: str
) -> None:
    proxy.add(Fault(act=act, path="runs/create"))
    mlflow = client(proxy, tmp_path)
    with pytest.raises(error) as caught:
        await mlflow.create_run("0", run_name="lost", tags={}, start_time_ms=1)
    assert says in caught.value.line()
    assert "service ml/mlflow:http" in caught.value.line() or isinstance(act, Lost)
    assert proxy.count("runs/create") == 1
    await close(mlflow)
