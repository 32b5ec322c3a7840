"""MLflow and Prometheus as Services, through the real API server's own proxy.

The servers run in a network of their own, where a Service has an endpoint that is not loopback.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mcp_tui.config import ContextConfig, Endpoint
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Tier
from mcp_tui.domain.run import Metric
from mcp_tui.errors import ApiError, RefusedError, UnreachableError
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.cluster.plane import REPO

NAMED = ContextConfig(
    name="dev",
    tier=Tier.DEV,
    mlflow=Endpoint(service="ml/mlflow:http"),
    prometheus=Endpoint(service="ml/prometheus:web"),
)
BARE = ContextConfig(name="dev", tier=Tier.DEV)


@pytest.fixture
def kubeconfig(secluded: Ground, tmp_path: Path) -> Path:
    """Nothing but the API server's address and a token."""
    dev = secluded.dev
    path = tmp_path / "kubeconfig"
    users = [{"name": n, "user": {"token": t}} for n, t in dev.tokens.items()]
    contexts = [
        {"name": "dev" if n == "admin" else n, "context": {"cluster": "dev", "user": n}}
        for n in dev.tokens
    ]
    cluster = {"server": dev.server, "certificate-authority": str(dev.ca)}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "dev",
                "clusters": [{"name": "dev", "cluster": cluster}],
                "users": users,
                "contexts": contexts,
            }
        )
    )
    return path


class Opener:
    """Opens connections, and closes them."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self.opened: list[Connection] = []

    def __call__(self, settings: ContextConfig, context: str = "dev") -> Connection:
        info = load_kubeconfig({}, self._kubeconfig).context(context)
        self.opened.append(Connection(info, settings, env={}))
        return self.opened[-1]


@pytest.fixture
async def opened(kubeconfig: Path) -> AsyncIterator[Opener]:
    opener = Opener(kubeconfig)
    yield opener
    for connection in opener.opened:
        await connection.aclose()


def read_only(settings: ContextConfig) -> ContextConfig:
    from msgspec.structs import replace

    return replace(settings, read_only=True)


async def test_a_run_is_made_logged_and_found(secluded: Ground, opened: Opener) -> None:
    mlflow = opened(NAMED).mlflow
    assert mlflow is not None
    assert (await mlflow.version()).startswith("3.")
    experiment = await mlflow.ensure_experiment(f"proxied é {secrets.token_hex(6)}")
    plan = secrets.token_hex(8)
    run = await mlflow.create_run(
        experiment.experiment_id, run_name="r", tags={keys.TAG_PLAN_ID: plan}, start_time_ms=1
    )
    points = [Metric(key="loss", value=1 / n, timestamp=n, step=n) for n in range(1, 51)]
    await mlflow.log_batch(run.run_id, params={"lr": "0.1"}, metrics=points)
    await mlflow.update_run(run.run_id, status="FINISHED", end_time_ms=60)
    found = await mlflow.find_run_by_plan(plan, [experiment.experiment_id])
    assert found is not None
    assert (found.run_id, found.info.status, found.newest_step) == (run.run_id, "FINISHED", 50)
    assert len(await mlflow.history([run.run_id], "loss")) == 50  # by a path under /ajax-api
    # The very server that is asked without any proxy holds it.
    answer = httpx.get(
        f"{secluded.mlflow}/api/2.0/mlflow/runs/get", params={"run_id": run.run_id}, timeout=30
    ).json()
    assert answer["run"]["data"]["params"] == [{"key": "lr", "value": "0.1"}]


async def test_prometheus_is_asked_by_its_own_client(opened: Opener) -> None:
    prometheus = opened(NAMED).prometheus
    assert prometheus is not None
    assert await prometheus.ready()
    nasty = 'label_replace(vector(7), "a", "b/c&d=é", "", "")'
    answer = await prometheus.query(nasty)
    assert [(s.labels, s.value) for s in answer.samples] == [({"a": "b/c&d=é"}, 7.0)]
    series = (await prometheus.query_range("vector(7)", start=1000, end=1030, step=15)).series
    assert [point[1] for point in series[0].points] == [7.0, 7.0, 7.0]
    with pytest.raises(ApiError, match="parse error"):
        await prometheus.query("sum(")


async def test_services_with_the_usual_labels_are_found(opened: Opener) -> None:
    connection = opened(BARE)
    assert connection.mlflow is None
    assert await connection.find_endpoints("ml")
    assert connection.settings.mlflow is not None and connection.settings.prometheus is not None
    assert connection.settings.mlflow.service == "ml/mlflow:http"
    assert connection.settings.prometheus.service == "ml/prometheus:web"
    assert connection.mlflow_uri_for_pods == "http://mlflow.ml.svc:80"
    assert connection.mlflow is not None and connection.prometheus is not None
    assert await connection.mlflow.version()
    assert (await connection.prometheus.query("1 + 1")).single == 2.0


async def test_a_port_may_be_a_number(opened: Opener) -> None:
    settings = ContextConfig(name="dev", mlflow=Endpoint(service="ml/mlflow:80"))
    connection = opened(settings)
    assert connection.mlflow is not None
    assert await connection.mlflow.version()
    assert connection.mlflow_uri_for_pods == "http://mlflow.ml.svc:80"


async def test_read_only_lets_reads_through_to_what_is_configured_and_to_nothing_else(
    opened: Opener,
) -> None:
    path = "/api/v1/namespaces/ml/services/{}/proxy{}"
    refused = f"refused-{secrets.token_hex(4)}"
    open_one, closed = opened(NAMED), opened(read_only(NAMED))
    assert closed.mlflow is not None and closed.prometheus is not None
    await closed.mlflow.search_runs(["0"])  # A POST that only reads.
    assert (await closed.prometheus.query("1")).single == 1.0
    with pytest.raises(RefusedError, match="read-only"):
        await closed.mlflow.create_run("0", run_name=refused, tags={}, start_time_ms=1)
    # All of these are really there, and would have answered.
    for service, below in (("other:http", "/version"), ("mlflow:80", "/version"),
                           ("mlflow:http", "/"), ("prometheus:web", "/graph"),
                           ("prometheus:web", "/version")):  # fmt: skip
        with pytest.raises(RefusedError, match="read-only"):
            await closed.kube.request("GET", path.format(service, below))
    for service in ("other:http", "mlflow:80"):
        reply = await open_one.kube.request("GET", path.format(service, "/version"))
        assert reply.body.startswith(b"3.")
    with pytest.raises(RefusedError):
        await closed.kube.request("GET", "/api/v1/namespaces/ml/pods/mlflow-0/proxy/version")
    assert open_one.mlflow is not None
    page = await open_one.mlflow.search_runs(["0"])
    assert refused not in [run.info.run_name for run in page.runs]


async def test_who_may_not_use_the_proxy_is_told_so(opened: Opener) -> None:
    connection = opened(NAMED, "viewer")
    assert connection.mlflow is not None
    with pytest.raises(ApiError) as caught:
        await connection.mlflow.version()
    line = caught.value.line()
    assert caught.value.status == 403
    assert "services/proxy" in line and "service ml/mlflow:http" in line


@pytest.fixture
def broken(secluded: Ground) -> Iterator[dict[str, str]]:
    """Services that lead nowhere: one without a pod, one before a port where nobody listens."""
    mark = secrets.token_hex(4)
    names = {"empty": f"empty-{mark}", "deaf": f"deaf-{mark}"}
    base = "/api/v1/namespaces/ml"
    for kind, name in names.items():
        spec = {"ports": [{"name": "http", "port": 80, "targetPort": 9}]}
        chosen = "mlflow" if kind == "deaf" else name
        body = {
            "metadata": {"name": name},
            "spec": {**spec, "selector": {"app.kubernetes.io/instance": chosen}},
        }
        secluded.api("POST", f"{base}/services", body).ok()
    yield names
    for name in names.values():
        secluded.api("DELETE", f"{base}/services/{name}")


@pytest.mark.parametrize("kind", ["empty", "deaf"])
async def test_a_service_that_leads_nowhere_is_told_from_a_lost_answer(
    secluded: Ground, broken: dict[str, str], kind: str, opened: Opener
) -> None:
    name = broken[kind]
    if kind == "deaf":
        slices = "/apis/discovery.k8s.io/v1/namespaces/ml/endpointslices"
        query = {"labelSelector": f"kubernetes.io/service-name={name}"}
        old = f"/api/v1/namespaces/ml/endpoints/{name}"

        def leads() -> bool:
            found = secluded.api("GET", slices, params=query).ok()["items"]
            return any(s["endpoints"] for s in found) and secluded.api("GET", old).status == 200

        _until(leads)
    connection = opened(BARE)
    caller = connect(
        "mlflow",
        Endpoint(service=f"ml/{name}:http"),
        gate=connection.gate,
        env={},
        kube=connection.kube,
    )
    with pytest.raises(ApiError) as caught:
        await MlflowClient(caller).create_run("0", run_name="x", tags={}, start_time_ms=1)
    assert caught.value.status == 503
    assert "does the Service have a ready pod?" in caught.value.line()


async def test_a_service_that_is_not_there_is_said(opened: Opener) -> None:
    settings = ContextConfig(name="dev", mlflow=Endpoint(service="ml/absent:http"))
    mlflow = opened(settings).mlflow
    assert mlflow is not None
    with pytest.raises((ApiError, UnreachableError)) as caught:
        await mlflow.search_runs(["0"])
    assert 'services "absent" not found' in caught.value.line()


def _until(condition: Any, deadline: float = 60.0) -> None:
    import time

    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.05)


# --- the command line, with a kubeconfig and nothing else


@pytest.fixture
def env(kubeconfig: Path, tmp_path: Path) -> dict[str, str]:
    settings = tmp_path / "config.toml"
    settings.write_text('[contexts.dev]\ntier = "dev"\nnamespace = "ml"\n')
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PROMETHEUS"))}
    return {
        **kept,
        "KUBECONFIG": str(kubeconfig),
        "MCP_TUI_CONFIG": str(settings),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def mcp_tui(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_tui", "--context", "dev", *args],
        cwd=REPO,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_doctor_says_which_services_it_found(env: dict[str, str]) -> None:
    done = mcp_tui(env, "doctor", "-o", "json")
    found = {f["what"]: f for f in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["mlflow"]["verdict"] == found["prometheus"]["verdict"] == "ok"
    assert "service ml/mlflow:http (from Service labelled" in found["mlflow"]["message"]
    assert "MLflow 3." in found["mlflow"]["message"]


def test_a_kubeconfig_alone_is_enough_to_submit(
    secluded: Ground, env: dict[str, str], tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    subprocess.run(
        ["git", *who, "-C", str(repo), "commit", "-q", "--allow-empty", "-m", "one"], check=True
    )
    config = tmp_path / "train-config.yaml"
    name = f"proxied-{secrets.token_hex(3)}"
    config.write_text(
        json.dumps(
            {
                "name": "proxied",
                "image": "busybox",
                "command": "true",
                "code": {"url": f"file://{repo}"},
                "experiment": name,
            }
        )
    )
    done = mcp_tui(env, "job", "submit", "--config", str(config), "--name", name)
    assert done.returncode == 0, done.stdout + done.stderr
    job = secluded.api("GET", f"/apis/batch/v1/namespaces/ml/jobs/{name}").ok()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each.get("value") for each in container["env"]}
    assert given["MLFLOW_TRACKING_URI"] == "http://mlflow.ml.svc:80"
    answer = httpx.get(
        f"{secluded.mlflow}/api/2.0/mlflow/runs/get",
        params={"run_id": given["MLFLOW_RUN_ID"]},
        timeout=30,
    ).json()
    tags = {tag["key"]: tag["value"] for tag in answer["run"]["data"]["tags"]}
    assert tags["mcp-tui.uid"] == job["metadata"]["uid"]
