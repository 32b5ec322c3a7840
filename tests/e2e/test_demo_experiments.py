"""The experiments of ``mcp-tui demo``, by the commands that a user has for them."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.demo.experiments.catalog import EXPERIMENTS
from mcp_tui.demo.stack_files import GATES
from tests.e2e.demo_process import Served, left_over, wait_for

pytestmark = pytest.mark.slow

_SEEDED = 240.0
"""Seconds for what takes ten on a machine that has nothing else to do."""


class Api:
    """The demo's MLflow and API server, past the console."""

    def __init__(self, demo: Served) -> None:
        self.base = demo.exports["MLFLOW_TRACKING_URI"]
        self.directory = demo.directory
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.base}/api/2.0/mlflow/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with self.open(request, timeout=60) as reply:
            return dict(json.load(reply))

    def get(self, path: str) -> dict[str, Any]:
        with self.open(f"{self.base}/api/2.0/mlflow/{path}", timeout=60) as reply:
            return dict(json.load(reply))

    def artifact(self, root: str, path: str) -> bytes:
        inside = root.removeprefix("mlflow-artifacts:/")
        url = f"{self.base}/api/2.0/mlflow-artifacts/artifacts/{inside}/{path}"
        with self.open(url, timeout=60) as reply:
            return bytes(reply.read())

    def experiment(self, name: str) -> str:
        found = self.get(f"experiments/get-by-name?experiment_name={name}")
        return str(found["experiment"]["experiment_id"])

    def runs(self, name: str) -> dict[str, dict[str, Any]]:
        body = {"experiment_ids": [self.experiment(name)], "max_results": 500}
        found = self.post("runs/search", body).get("runs") or []
        assert len({run["info"]["run_name"] for run in found}) == len(found), "none twice"
        return {run["info"]["run_name"]: run for run in found}

    def kubernetes(self, path: str) -> list[dict[str, Any]]:
        config = json.loads((self.directory / "kubeconfig").read_text())
        cluster = config["clusters"][0]["cluster"]
        request = urllib.request.Request(
            cluster["server"] + path,
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
        )
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        with urllib.request.urlopen(request, timeout=60, context=context) as reply:
            return list(json.load(reply)["items"])


def ended(demo: Served) -> int | None:
    state = json.loads((demo.directory / "state.json").read_text())
    code = state["services"]["experiments"]["ended"]
    return None if code is None else int(code)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    demo = Served(tmp_path_factory.mktemp("demo"))
    try:
        wait_for(lambda: ended(demo) is not None, _SEEDED, "experiments that are made")
        assert ended(demo) == 0, demo.log("experiments")
        yield demo
    finally:
        demo.end()


@pytest.fixture
def api(served: Served) -> Api:
    return Api(served)


def tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def metrics(run: dict[str, Any]) -> dict[str, float]:
    return {metric["key"]: metric["value"] for metric in run["data"].get("metrics") or ()}


def test_every_run_of_the_catalog_is_there(api: Api) -> None:
    for name, specs in EXPERIMENTS.items():
        found = api.runs(name)
        assert set(found) == {spec.name for spec in specs}
        for spec in specs:
            run = found[spec.name]
            assert run["info"]["status"] == spec.status, spec.name
            assert ("mlflow.source.git.commit" in tags(run)) == spec.traced, spec.name
            if spec.parent:
                parent = found[spec.parent]["info"]["run_id"]
                assert tags(run)["mlflow.parentRunId"] == parent
    assert metrics(api.runs("digits")["sweep-lr"])["best_f1_macro"] > 0.95


def test_a_run_has_its_curves_data_and_artifacts(api: Api) -> None:
    run = api.runs("digits")["mlp-128x64"]
    run_id, root = run["info"]["run_id"], run["info"]["artifact_uri"]
    told = metrics(run)
    assert {"train_loss", "val_loss", "accuracy", "f1_macro", "latency_p99_ms"} <= set(told)
    assert {"model_size_mb", "system/cpu_utilization_percentage"} <= set(told)
    history = api.get(f"metrics/get-history?run_id={run_id}&metric_key=val_loss")["metrics"]
    assert [point["step"] for point in history] == list(range(1, 41))
    assert history[-1]["value"] < history[0]["value"] / 2
    assert history[0]["timestamp"] < history[-1]["timestamp"] <= run["info"]["end_time"]
    inputs = {each["tags"][0]["value"]: each["dataset"] for each in run["inputs"]["dataset_inputs"]}
    assert set(inputs) == {"training", "evaluation"}
    others = api.runs("digits")["mlp-32"]["inputs"]["dataset_inputs"]
    assert inputs["evaluation"]["digest"] in {each["dataset"]["digest"] for each in others}
    for name in ("classification_report.json", "confusion_matrix.json", "confusion_matrix.png"):
        assert api.artifact(root, name), name
    lines = api.artifact(root, "predictions.csv").decode().splitlines()
    assert lines[0] == "id,label,prediction"
    assert len(lines) == 541


def test_a_run_that_diverged_says_nan(api: Api) -> None:
    assert str(metrics(api.runs("digits")["rate-warm-up"])["train_loss"]) == "NaN"


def test_the_failed_one_says_why(api: Api) -> None:
    run = api.runs("digits")["svm-night"]
    text = api.artifact(run["info"]["artifact_uri"], "error.txt").decode()
    assert "ValueError: Input X contains NaN" in text


def test_a_model_can_be_loaded_and_says_what_was_logged(
    api: Api, served: Served, tmp_path: Path
) -> None:
    run = api.runs("digits")["mlp-32"]
    code = (
        "import sys, mlflow.sklearn; from mcp_tui.demo.experiments.data import load;"
        "model = mlflow.sklearn.load_model(sys.argv[1]); data = load('digits');"
        "print(*model.predict(data.held_out.features))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, f"runs:/{run['info']['run_id']}/model"],
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": api.base,
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = api.artifact(run["info"]["artifact_uri"], "predictions.csv").decode().splitlines()
    assert done.stdout.split() == [line.split(",")[2] for line in lines[1:]]


@pytest.mark.parametrize(("version", "code"), [("4", 0), ("5", 1), ("2", 1)])
def test_gates_let_the_challenger_pass_and_hold_others_back(
    served: Served, version: str, code: int
) -> None:
    done = served.run(
        *("eval", f"digits-classifier/{version}", "--champion", "digits-classifier@champion"),
        *("-o", "json"),
    )
    assert done.returncode == code, done.stdout + done.stderr
    (candidate,) = json.loads(done.stdout)["candidates"]
    assert len(candidate["gates"]) == len(GATES)


def test_the_champion_has_a_history_and_a_way_back(served: Served) -> None:
    done = served.run("model", "history", "digits-classifier", "-o", "json")
    told = json.loads(done.stdout)
    assert told["current"] == "3"
    assert [(m["from"], m["to"], m["verb"], m["state"]) for m in told["moves"]] == [
        ("", "1", "promote", "done"),
        ("1", "2", "promote", "done"),
        ("2", "1", "rollback", "done"),
        ("1", "3", "promote", "done"),
    ]
    assert told["moves"][3]["who"] == "eva"
    assert told["back"]["to"] == "1"
    assert not told["problems"]
    other = json.loads(served.run("model", "history", "cancer-screen", "-o", "json").stdout)
    assert other["moves"][-1]["state"] == "foreign"
    # Versions are older than their promotions.
    shown = json.loads(served.run("model", "show", "digits-classifier/3", "-o", "json").stdout)
    assert shown["created"] < told["moves"][3]["at"]
    assert {"commit", "image", "config", "data"} <= set(told["moves"][3]["made"])


def test_a_rollback_goes_down_the_record_and_forth_again(served: Served) -> None:
    done = served.run("model", "rollback", "digits-classifier", "--confirm", "digits-classifier")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(served.run("model", "history", "digits-classifier", "-o", "json").stdout)
    assert told["current"] == "1"
    done = served.run(
        *("model", "promote", "digits-classifier/3", "--why", "as it was"),
        *("--override", "it was live before"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(served.run("model", "history", "digits-classifier", "-o", "json").stdout)
    assert told["current"] == "3"
    assert told["back"]["to"] == "1"


def test_production_asks_for_an_approval_and_goes_on_with_it(served: Served) -> None:
    version, words = "digits-classifier/4", ("--confirm", "demo-prod/digits-classifier")
    promote = ("--context", "demo-prod", "model", "promote", version, "--why", "F1", *words)
    done = served.run(*promote)
    assert done.returncode == 3
    assert "approvals 0 of 1" in done.stdout + done.stderr
    lead = ("--context", "demo-prod-lead")
    done = served.run(
        *(*lead, "approve", version, "--level", "ml-lead", "--reason", "better"),
        *("--confirm", "demo-prod-lead/digits-classifier"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    done = served.run(*promote)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was version 3" in done.stdout
    back = ("--context", "demo-prod", "model", "rollback", "digits-classifier")
    done = served.run(*back, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is version 3, was version 4" in done.stdout


def test_a_model_of_mlflow_3_is_beside_its_run(api: Api, served: Served) -> None:
    shown = json.loads(served.run("model", "show", "wine-cultivar/1", "-o", "json").stdout)
    assert shown["source"].startswith("models:/m-")
    assert "alcohol" in shown["signature"]["inputs"]
    run = api.runs("wine")["forest"]
    assert run["outputs"]["model_outputs"][0]["model_id"] == shown["source"].partition("/")[2]


def test_something_serves_each_version(api: Api) -> None:
    (rollout,) = api.kubernetes("/apis/argoproj.io/v1alpha1/rollouts")
    (shadow,) = api.kubernetes("/apis/serving.kserve.io/v1beta1/inferenceservices")
    deployments = api.kubernetes("/apis/apps/v1/namespaces/ml/deployments")
    assert [each["metadata"]["name"] for each in deployments] == ["digits-api", "digits-kiosk"]
    assert deployments[0]["metadata"]["annotations"]["mcp-tui.io/model-version"] == "3"
    assert deployments[0]["status"]["readyReplicas"] == 3
    model = shadow["spec"]["predictor"]["model"]
    assert model["storageUri"] == "models:/digits-classifier/4"
    run = api.runs("breast-cancer")["logistic"]["info"]["run_id"]
    assert run in json.dumps(rollout["spec"])


def test_the_console_joins_versions_with_what_serves_them(served: Served) -> None:
    def said(words: str) -> str:
        done = served.run("model", "show", words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    versions = {line.split()[0]: line for line in said("digits-classifier").splitlines()[2:]}
    assert "Deployment/digits-api 3/3" in versions["3"]
    assert "Deployment/digits-batch" in versions["3"], "which follows the alias"
    assert "InferenceService/digits-shadow" in versions["4"]
    assert "Deployment/digits-kiosk" in versions["1"]
    assert "Rollout/cancer-screen" in said("cancer-screen")


def test_a_second_seeding_adds_nothing(api: Api, served: Served) -> None:
    def counts() -> list[int]:
        runs = [len(api.runs(name)) for name in EXPERIMENTS]
        found = api.get("model-versions/search?max_results=100")["model_versions"]
        return [*runs, len(found)]

    before = counts()
    seeding = [sys.executable, "-P", "-m", "mcp_tui.demo.experiments", "--dir"]
    done = subprocess.run(
        [*seeding, str(served.directory), "--mlflow", api.base],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert counts() == before


def test_a_demo_that_is_ended_while_it_trains_leaves_nothing(tmp_path: Path) -> None:
    demo = Served(tmp_path)
    try:
        artifacts = demo.directory / "mlflow" / "artifacts"
        wait_for(lambda: list(artifacts.glob("*/*/*/*.json")), _SEEDED, "a first run")
        assert ended(demo) is None
        assert demo.signal(signal.SIGTERM) == 0, demo.text
        wait_for(lambda: not left_over(demo.directory), 30, "the end of its processes")
        wait_for(lambda: not demo.directory.exists(), 30, "the end of its directory")
    finally:
        demo.end()


def test_a_seeding_that_was_killed_is_gone_on_with(api: Api, served: Served) -> None:
    # As a kill leaves it: a run that was begun, and one that is missing.
    experiment = api.experiment("wine")
    begun = [{"key": "mcp-tui.demo", "value": "begun"}]
    body = {"experiment_id": experiment, "run_name": "half", "start_time": 1}
    api.post("runs/create", {**body, "tags": begun})
    api.post("runs/create", {**body, "run_name": "a user's"})
    api.post("runs/delete", {"run_id": api.runs("wine")["svm"]["info"]["run_id"]})
    assert set(api.runs("wine")) == {
        *("half", "a user's", "forest", "logistic", "mlp-16", "neighbours"),
    }
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "mcp_tui.demo.experiments"),
            *("--dir", str(served.directory), "--mlflow", api.base),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(api.runs("wine")) == {"a user's", *(spec.name for spec in EXPERIMENTS["wine"])}
