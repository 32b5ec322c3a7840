"""A stage for stories: the real cluster, or the embedded plane with its node; MLflow is real."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.cluster.process import MARK, end_marked

TRAIN = """
import argparse, json, os, time, urllib.request

p = argparse.ArgumentParser()
p.add_argument("--lr", default="0.1")
p.add_argument("--steps", type=int, default=3)
p.add_argument("--pause", type=float, default=0.05)
p.add_argument("--fail", type=int, default=0)
p.add_argument("--eat", type=int, default=0)
a = p.parse_args()
print("training", vars(a), flush=True)

def post(what, **body):
    uri, run = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("MLFLOW_RUN_ID")
    if not uri:
        return
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/{what}", json.dumps({"run_id": run, **body}).encode(),
        {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()

post("runs/log-batch", params=[{"key": "lr", "value": a.lr}])
for step in range(1, a.steps + 1):
    now = int(time.time() * 1000)
    post("runs/log-metric", key="loss", value=1 / step, step=step, timestamp=now)
    print("step", step, flush=True)
    time.sleep(a.pause)
if a.eat:
    hog = bytearray(a.eat * 1024 * 1024)
    for i in range(0, len(hog), 4096):
        hog[i] = 1
    time.sleep(30)
if a.fail:
    raise SystemExit(a.fail)
post("runs/update", status="FINISHED", end_time=int(time.time() * 1000))
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Stage:
    """Where a story plays."""

    name: str
    context: str
    server: str
    token: str
    ca: str | None
    mlflow: str
    namespace: str
    directory: Path
    env: Mapping[str, str]

    def api(self) -> httpx.Client:
        """The administrator's client of the API server."""
        return httpx.Client(
            base_url=self.server,
            headers={"Authorization": f"Bearer {self.token}"},
            verify=ssl.create_default_context(cafile=self.ca),
            timeout=30.0,
            trust_env=False,
        )

    def command(self, *args: str) -> list[str]:
        """``mcp-tui`` with this stage's context and namespace."""
        base = [sys.executable, "-m", "mcp_tui", "--context", self.context, "-n", self.namespace]
        return [*base, *args]

    def run(
        self, *args: str, stdin: str = "", timeout: float = 120, env: Mapping[str, str] = {}
    ) -> Ended:
        """Run ``mcp-tui`` to its end, without a terminal."""
        done = subprocess.run(
            self.command(*args),
            cwd=REPO,
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start ``mcp-tui`` in a process group of its own."""
        return subprocess.Popen(
            self.command(*args),
            cwd=REPO,
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs of the namespace."""
        with self.api() as client:
            found = client.get(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
            items: list[dict[str, Any]] = found.raise_for_status().json()["items"]
            return items

    def run_of(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The MLflow run that a job names."""
        run_id = job["metadata"]["labels"]["mcp-tui.io/run-id"]
        answer = httpx.get(
            f"{self.mlflow}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=30
        )
        run: dict[str, Any] = answer.raise_for_status().json()["run"]
        return run

    def config(self, **changes: Any) -> Path:
        """A train config for the repository of this stage; JSON is YAML."""
        base: dict[str, Any] = {
            "name": "story",
            "image": "python:3.12",
            "code": {"url": f"file://{self.directory}/repo"},
            "command": "python train.py",
            "parameters": {"lr": "1e-3", "steps": 3},
            "resources": {"cpu": "50m", "memory": "256Mi"},
            "experiment": f"e-{self.namespace}",
        }
        path = self.directory / f"config-{secrets.token_hex(3)}.yaml"
        path.write_text(json.dumps(base | changes))
        return path


def wait_for(what: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Poll until something is true; the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Send SIGINT and wait."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.fixture(scope="session")
def embedded_with_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The embedded plane and the process node, one for each worker."""
    directory = tmp_path_factory.mktemp("stage")
    mark = secrets.token_hex(8)
    with (directory / "plane.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_tui.demo.plane", "--dir", str(directory), "--node"],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env={**os.environ, MARK: mark},
        )
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        timer.cancel()
        assert line, (directory / "plane.log").read_text()
        said: dict[str, str] = json.loads(line)
        yield said
    finally:
        timer.cancel()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        end_marked(mark)


@pytest.fixture(params=["real", "embedded"])
def stage(request: pytest.FixtureRequest, ground: Ground, tmp_path: Path) -> Iterator[Stage]:
    """A fresh namespace, repository and state directory on each of the two."""
    if request.param == "real":
        dev = ground.dev
        context, server, token = dev.name, dev.server, dev.tokens["admin"]
        ca, kubeconfig = str(dev.ca), str(ground.kubeconfig)
    else:
        said = request.getfixturevalue("embedded_with_node")
        context, server, token = said["context"], said["server"], said["token"]
        ca, kubeconfig = said["ca"], said["kubeconfig"]
    repository(tmp_path / "repo")
    settings = tmp_path / "mcp-tui.toml"
    settings.write_text(f'[contexts.{context}]\ntier = "dev"\nmlflow = "{ground.mlflow}"\n')
    stage = Stage(
        name=request.param,
        context=context,
        server=server,
        token=token,
        ca=ca,
        mlflow=str(ground.mlflow),
        namespace=f"t-{secrets.token_hex(4)}",
        directory=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
            "KUBECONFIG": kubeconfig,
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
    )
    with stage.api() as client:
        body = {"metadata": {"name": stage.namespace}}
        client.post("/api/v1/namespaces", json=body).raise_for_status()
        yield stage
        for job in stage.jobs():
            client.request(
                "DELETE",
                f"/apis/batch/v1/namespaces/{stage.namespace}/jobs/{job['metadata']['name']}",
                json={"propagationPolicy": "Background"},
            )
        client.delete(f"/api/v1/namespaces/{stage.namespace}")


def repository(path: Path) -> str:
    """A git repository with main and feature/v1.2; returns the commit of the branch."""
    path.mkdir()

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *args],
            cwd=path,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"},
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    (path / "train.py").write_text(TRAIN)
    git("add", "-A")
    git("commit", "-qm", "first")
    git("checkout", "-qb", "feature/v1.2")
    (path / "README").write_text("branch")
    git("add", "-A")
    git("commit", "-qm", "second")
    return git("rev-parse", "HEAD")
