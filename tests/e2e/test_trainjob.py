"""A TrainJob of ours on the real controllers: submitted, followed to its end, seen as one job."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Ground
from tests.cluster.kubeflow import RUNTIME, runtime
from tests.e2e.conftest import Stage, repository, wait_for

BRANCH = ("--git-branch", "feature/v1.2")
PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces"


@pytest.fixture
def stage(kubeflow: Ground, tmp_path: Path) -> Iterator[Stage]:
    """A fresh namespace on the cluster with the controllers."""
    cluster = kubeflow.clusters["kubeflow"]
    repository(tmp_path / "repo")
    settings = tmp_path / "mcp-tui.toml"
    settings.write_text(f'[contexts.kubeflow]\ntier = "dev"\nmlflow = "{kubeflow.mlflow}"\n')
    made = Stage(
        name="real",
        context="kubeflow",
        server=cluster.server,
        token=cluster.tokens["admin"],
        ca=str(cluster.ca),
        mlflow=kubeflow.mlflow,
        namespace=f"t-{secrets.token_hex(4)}",
        directory=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
            "KUBECONFIG": str(kubeflow.kubeconfig),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
    )
    cluster.api("POST", "/api/v1/namespaces", {"metadata": {"name": made.namespace}}).ok()
    yield made
    cluster.api("DELETE", f"{PATH}/{made.namespace}/trainjobs")
    cluster.api("DELETE", f"/api/v1/namespaces/{made.namespace}")


def trainjobs(stage: Stage) -> list[dict[str, object]]:
    with stage.api() as client:
        found = client.get(f"{PATH}/{stage.namespace}/trainjobs").raise_for_status().json()
    items: list[dict[str, object]] = found["items"]
    return items


def test_a_trainjob_is_followed_to_its_success(stage: Stage) -> None:
    config = stage.config(kind="trainjob", runtime=RUNTIME, total_steps=3, nodes=2)
    done = stage.run("job", "submit", "--config", str(config), *BRANCH, "--watch", "--logs")
    assert done.code == 0, done.err + done.out
    assert "step 3" in done.out and "100%" in done.out
    [job] = trainjobs(stage)
    with stage.api() as client:
        pods = client.get(f"/api/v1/namespaces/{stage.namespace}/pods").json()["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Succeeded"] * 2
    run = stage.run_of(job)
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert (tags["mcp-tui.kind"], tags["mcp-tui.uid"]) == ("TrainJob", job["metadata"]["uid"])
    assert run["info"]["status"] == "FINISHED"
    # One row: the JobSet and the Job below it are no jobs of their own.
    listed = json.loads(stage.run("job", "ls", "-o", "json").out)
    assert [(j["kind"], j["state"]) for j in listed] == [("TrainJob", "done")]


@pytest.fixture
def strict(stage: Stage) -> str:
    """A runtime of the namespace that tries once."""
    found = runtime()
    found["kind"] = "TrainingRuntime"
    found["metadata"] = {**found["metadata"], "name": "strict"}
    job = found["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]
    job["spec"]["backoffLimit"] = 0
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    with stage.api() as client:
        path = f"{PATH}/{stage.namespace}/trainingruntimes"
        client.post(path, json=found).raise_for_status()
    return "strict"


def test_a_trainjob_that_fails_says_why(stage: Stage, strict: str) -> None:
    config = stage.config(
        kind="trainjob",
        runtime=strict,
        runtime_kind="TrainingRuntime",
        parameters={"steps": 1, "fail": 3},
    )
    done = stage.run("job", "submit", "--config", str(config), *BRANCH, "--watch")
    assert done.code == 1, done.err + done.out
    assert "exit 3" in done.err.splitlines()[-1]
    [job] = trainjobs(stage)
    run = stage.run_of(job)
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert json.loads(tags["mcp-tui.cause"])["exit_code"] == 3
    assert run["info"]["status"] == "FAILED"


def pytorchjob(stage: Stage, **scripts: str) -> None:
    """A PyTorchJob made by somebody else: what each kind of replica runs."""

    def replica(script: str) -> dict[str, object]:
        container = {"name": "pytorch", "image": "busybox", "command": ["sh", "-c", script]}
        pods = {"spec": {"containers": [container]}}
        return {"replicas": 1, "restartPolicy": "Never", "template": pods}

    replicas = {name: replica(script) for name, script in scripts.items()}
    body = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "p"},
        "spec": {"pytorchReplicaSpecs": replicas},
    }
    with stage.api() as client:
        path = f"/apis/kubeflow.org/v1/namespaces/{stage.namespace}/pytorchjobs"
        client.post(path, json=body).raise_for_status()


def row(stage: Stage) -> dict[str, object]:
    [job] = json.loads(stage.run("job", "ls", "-o", "json").out)
    assert job["kind"] == "PyTorchJob"
    found: dict[str, object] = job
    return found


def test_a_pytorchjob_runs_and_succeeds(stage: Stage) -> None:
    pytorchjob(stage, Master="until [ -e go ]; do sleep 0.1; done", Worker="true")
    wait_for(lambda: row(stage)["state"] == "running")
    # The operator makes a worker wait for its master's name, which no DNS tells here.
    seen = row(stage)
    assert (seen["ready"], seen["active"]) == (1, 2)
    done = stage.run("job", "shell", "p", "--pod", "p-master-0", "--", "touch", "go")
    assert done.code == 0, done.err
    followed = stage.run("job", "show", "p", "--watch")
    assert followed.code == 0, followed.err + followed.out
    assert row(stage)["state"] == "done"


def test_a_pytorchjob_that_fails_says_why(stage: Stage) -> None:
    pytorchjob(stage, Master="exit 4")
    followed = stage.run("job", "show", "p", "--watch")
    assert followed.code == 1, followed.err + followed.out
    last = followed.err.splitlines()[-1]
    assert "p-master-0 (exit 4)" in last, last
    assert row(stage)["state"] == "failed"
