"""An engine that acts on the real servers through fault proxies, which count what it sends."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.journal import Journal
from mcp_tui.config import Endpoint
from mcp_tui.domain.approval import Rule
from mcp_tui.domain.plan import Outcome, Plan, Tier
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.cluster.objects import FAKE_TOLERATION
from tests.faults.proxy import FaultProxy

BATCH = "/apis/batch/v1/namespaces/{}/jobs"
MLFLOW = "/api/2.0/mlflow"
# POSTs that ask, and store nothing.
_ASKS = ("selfsubjectaccessreviews", "selfsubjectreviews", "runs/search", "experiments/search")


def job(
    name: str,
    *,
    labels: Mapping[str, str] = {},
    annotations: Mapping[str, str] = {},
    template_labels: Mapping[str, str] = {},
    env: Sequence[Mapping[str, Any]] = (),
    stays: bool = True,
    **spec: Any,
) -> dict[str, Any]:
    """A Job on the simulated nodes; its pods start and go on (``stays``), or end by themselves."""
    # kwok leaves the status of a pod alone that says so: it never ends.
    marks = {"kwok.x-k8s.io/status": "custom"} if stays else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": dict(labels), "annotations": dict(annotations)},
        "spec": {
            **spec,
            "template": {
                "metadata": {"annotations": marks, "labels": dict(template_labels)},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 0,
                    "nodeSelector": {"type": "kwok"},
                    "tolerations": [FAKE_TOLERATION],
                    "containers": [{"name": "main", "image": "none", "env": list(env)}],
                },
            },
        },
    }


class Actor:
    """An engine, the proxies before its servers, and the servers past the proxies."""

    def __init__(
        self, engine: Engine, ground: Ground, kube: FaultProxy, mlflow: FaultProxy, namespace: str
    ) -> None:
        self.engine = engine
        self.ground = ground
        self.kube = kube
        self.mlflow = mlflow
        self.namespace = namespace
        self.said: list[str] = []

    async def api(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """A call past the proxy, as admin; asserts success."""
        reply = await asyncio.to_thread(self.ground.api, method, path, body, **options)
        return reply.ok()

    async def gone(self, path: str) -> bool:
        """Whether the API server, past the proxy, has no such object."""
        return (await asyncio.to_thread(self.ground.api, "GET", path)).status == 404

    def path(self, name: str = "", namespace: str = "") -> str:
        """Of batch/v1 Jobs in the namespace, or of one."""
        root = BATCH.format(namespace or self.namespace)
        return f"{root}/{name}" if name else root

    async def make(self, name: str, *, namespace: str = "", **options: Any) -> Seen:
        """A Job, made past the proxy and seen through it."""
        await self.api("POST", self.path(namespace=namespace), job(name, **options))
        return await self.see(name, namespace=namespace)

    async def see(self, name: str, kind: str = "Job", *, namespace: str = "") -> Seen:
        return await self.engine.see(kind, namespace or self.namespace, name)

    async def finish(self, name: str, condition: str = "Complete") -> None:
        """End a Job as a kubelet would: its pod succeeds; or by its deadline, for ``Failed``."""
        merge = "application/merge-patch+json"
        if condition == "Failed":
            spec = {"spec": {"activeDeadlineSeconds": 1}}
            await self.api("PATCH", self.path(name), spec, content_type=merge)
        end = time.monotonic() + 30
        while True:
            found = await self.api("GET", self.path(name))
            conditions = found["status"].get("conditions") or ()
            if any(c["type"] == condition and c["status"] == "True" for c in conditions):
                return
            assert time.monotonic() < end, found["status"]
            if condition == "Complete":
                await self._succeed(name)
            await asyncio.sleep(0.1)

    async def _succeed(self, name: str) -> None:
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        selector = {"labelSelector": f"batch.kubernetes.io/job-name={name}"}
        for pod in (await self.api("GET", pods, params=selector))["items"]:
            if pod["status"]["phase"] != "Succeeded":
                await self.api(
                    "PATCH",
                    f"{pods}/{pod['metadata']['name']}/status",
                    {"status": {"phase": "Succeeded"}},
                    content_type="application/merge-patch+json",
                )

    async def run(self, **tags: str) -> str:
        """An MLflow run in an experiment of its own, past the proxy; its id."""
        client = mlflow_client(str(self.ground.mlflow))
        try:
            experiment = await client.create_experiment(f"acting-{secrets.token_hex(4)}")
            run = await client.create_run(experiment, run_name="r", tags=tags, start_time_ms=1)
            return run.run_id
        finally:
            await client.aclose()

    async def run_now(self, run_id: str) -> dict[str, Any]:
        """A run, past the proxy."""
        client = mlflow_client(str(self.ground.mlflow))
        try:
            answer = await client.call("GET", f"{MLFLOW}/runs/get", params=[("run_id", run_id)])
            run: dict[str, Any] = answer["run"]
            return run
        finally:
            await client.aclose()

    async def status_of(self, run_id: str) -> str:
        return str((await self.run_now(run_id))["info"]["status"])

    def told(self, line: str) -> None:
        self.said.append(line)

    async def apply(self, plan: Plan) -> tuple[Outcome, ...]:
        return await self.engine.apply(plan, progress=self.told)

    def writes(self) -> list[str]:
        """Every write that reached a proxy, dry runs apart."""
        return [
            f"{call.method} {urlsplit(call.target).path}"
            for proxy in (self.kube, self.mlflow)
            for call in proxy.calls
            if call.method != "GET"
            and not any(ask in call.target for ask in _ASKS)
            and "dryRun=All" not in call.target
        ]

    def sent(self, method: str, part: str) -> int:
        """How many such writes reached a proxy."""
        return sum(w.startswith(f"{method} ") and part in w for w in self.writes())


def mlflow_client(url: str, gate: Gate | None = None, *, deadline: float = 10.0) -> MlflowClient:
    gate = gate or Gate(read_only=False)
    return MlflowClient(
        connect("mlflow", Endpoint(url=url), gate=gate, env={}, kube=None), deadline=deadline
    )


@contextlib.asynccontextmanager
async def acting(
    ground: Ground,
    namespace: str,
    folder: Path,
    *,
    identity: str = "admin",
    read_only: bool = False,
    dry_run: bool = False,
    tier: Tier = Tier.DEV,
    proof: float = 20.0,
    deadline: float = 10.0,
    with_mlflow: bool = True,
    approvals: Mapping[Tier, Rule] | None = None,
) -> AsyncIterator[Actor]:
    """An actor on ``ground`` as one of its identities."""
    async with (
        FaultProxy(ground.dev.server, ca=ground.dev.ca) as kube,
        FaultProxy(str(ground.mlflow)) as mlflow,
    ):
        folder.mkdir(exist_ok=True)
        path = folder / f"{identity}.kubeconfig"
        kube.kubeconfig(path, token=ground.dev.tokens[identity], context="dev")
        gate = Gate(read_only, dry_run=dry_run)
        client = KubeClient(load_kubeconfig({}, path).context(), gate=gate, env={})
        runs = mlflow_client(mlflow.url, gate, deadline=deadline) if with_mlflow else None
        engine = Engine(
            client,
            runs,
            Scope(context="dev", tier=tier),
            Journal(folder / "state"),
            proof_timeout=proof,
            deadline=deadline,
            approvals=approvals,
        )
        try:
            yield Actor(engine, ground, kube, mlflow, namespace)
        finally:
            await client.aclose()
            if runs is not None:
                await runs.aclose()
