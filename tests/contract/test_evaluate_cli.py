"""``mcp-tui eval`` and ``run compare`` on a real MLflow server."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn import metrics as sk

from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.contract.evaluated import Logged, predicted, predictions_csv

GATES = """\
gates = [
  "f1_macro >= 0.80",
  {rule = "latency_p99_ms <= 40", why = "the page's budget"},
  "no class recall drops by more than 0.02",
  "f1_macro is better than champion",
]
"""


@pytest.fixture(scope="module")
def logged(ground: Ground) -> Logged:
    return Logged(ground)


class Said:
    """A command that ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr


def mcp_tui(
    ground: Ground, folder: Path, *argv: str, url: str = "", stdout: int = subprocess.PIPE
) -> Said:
    """Run it as a CI job does: no kubeconfig, only the address of MLflow."""
    kept = ("PATH", "LANG", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "mcp_tui", *argv],
        env={
            **env,
            "HOME": str(folder),
            "MLFLOW_TRACKING_URI": url or ground.mlflow,
            "PYTHONPATH": str(REPO),
        },
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Said(done)


def test_a_better_candidate_passes_and_a_worse_one_fails(
    ground: Ground, logged: Logged, tmp_path: Path
) -> None:
    good, bad = predicted(2, 400, 0.9), predicted(3, 400, 0.6)
    champion = logged.run(
        "champion", {"latency_p99_ms": 35},
        files={"predictions.csv": predictions_csv(predicted(1, 400, 0.75))},
    )  # fmt: skip
    better = logged.run(
        "better", {"test_latency_p99_s": 0.038},
        files={"eval/predictions.csv": predictions_csv(good)},
    )  # fmt: skip
    worse = logged.run(
        "worse", {"latency_p99_ms": 41}, files={"predictions.csv": predictions_csv(bad)}
    )
    gates = tmp_path / "gates.toml"
    gates.write_text(GATES)
    model = f"m-{secrets.token_hex(4)}"
    logged.version(model, champion, alias="champion")
    version = logged.version(model, better)
    common = ("--champion", f"{model}@champion", "--gates", str(gates))

    said = mcp_tui(ground, tmp_path, "eval", f"{model}/{version}", *common, "-o", "json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert [column["role"] for column in told["columns"]] == ["champion", "candidate"]
    rows = {row["key"]: row for row in told["rows"]}
    truth, predictions = [row[1] for row in good], [row[2] for row in good]
    for what, how in (("f1", "macro"), ("recall", "micro"), ("precision", "weighted")):
        expected = getattr(sk, f"{what}_score")(truth, predictions, average=how)
        assert rows[f"{what}_{how}"]["values"][1] == pytest.approx(expected)
    assert rows["latency_p99_ms"]["values"] == [35, 38]
    difference = rows["f1_macro"]["differences"][1]
    assert (difference["verdict"], difference["pairs"]) == ("better", 400)
    assert told["candidates"][0]["passed"] is True
    assert told["candidates"][0]["label"] == f"{model}/{version}"

    said = mcp_tui(ground, tmp_path, "eval", worse, *common)
    assert said.code == 1, said.err
    assert "champion" in said.out.splitlines()[0]
    statuses = [line.split("  ")[0] for line in said.out.splitlines()[-4:]]
    assert statuses == ["failed", "failed", "failed", "failed"]
    assert "41 is not <= 40" in said.out

    both = mcp_tui(ground, tmp_path, "eval", better, worse, *common, "-o", "md")
    assert both.code == 1
    assert "| passed |" in both.out and "| failed |" in both.out
    sheet = mcp_tui(ground, tmp_path, "eval", better, worse, *common, "-o", "csv")
    head = next(csv.reader(io.StringIO(sheet.out)))
    assert head[-1] == "worse against champion" and sheet.code == 1


def test_what_cannot_be_told_is_neither_passed_nor_failed(
    ground: Ground, logged: Logged, tmp_path: Path
) -> None:
    bare = logged.run("bare", {"f1_macro": 0.95})
    said = mcp_tui(
        ground, tmp_path, "eval", bare, "--gate", "f1_macro >= 0.9", "--gate", "accuracy >= 0.5"
    )
    assert said.code == 6
    assert "cannot tell" in said.out and "bare has no accuracy" in said.out
    said = mcp_tui(ground, tmp_path, "eval", bare, "--gate", "f1_macro > 0.99", "--gate", "x > 1")
    assert said.code == 1  # a gate that failed goes before one that cannot be told
    other = logged.run(
        "other", files={"predictions.csv": predictions_csv(predicted(2, 50, 0.9))}, digest="d2"
    )
    mine = logged.run(
        "mine", files={"predictions.csv": predictions_csv(predicted(2, 50, 0.9))}, digest="d1"
    )
    said = mcp_tui(
        ground, tmp_path, "eval", mine, "--champion", other, "--gate", "f1_macro >= champion"
    )
    assert said.code == 6
    assert "the digests differ" in said.out and "the digests differ" in said.err


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_a_verdict_stands_where_nobody_can_read_it(
    ground: Ground, logged: Logged, tmp_path: Path, output: str
) -> None:
    bare = logged.run("bare", {"f1_macro": 0.95})
    command = ("eval", bare, "--gate", "f1_macro > 0.99", "-o", output)
    gone, end = os.pipe()
    os.close(gone)
    try:
        assert mcp_tui(ground, tmp_path, *command, stdout=end).code == 1
        # Of what only prints a reader that went away is no news.
        assert mcp_tui(ground, tmp_path, "run", "show", bare, stdout=end).code == 0
    finally:
        os.close(end)
    with open("/dev/full", "w") as full:
        said = mcp_tui(ground, tmp_path, *command, stdout=full.fileno())
    assert said.code == 1
    assert "cannot write the output" in said.err


def test_gates_of_the_configuration_stand_unless_others_are_named(
    ground: Ground, logged: Logged, tmp_path: Path
) -> None:
    run = logged.run("r", {"f1_macro": 0.9})
    (tmp_path / "config.toml").write_text('gates = ["f1_macro >= 0.8"]\n')
    (tmp_path / "gates.toml").write_text('gates = ["f1_macro >= 0.95"]\n')
    config = ("--config-file", "config.toml", "eval", run, "-o", "json")
    for more, code, rules in (
        ((), 0, ["f1_macro >= 0.8"]),
        (("--gate", "f1_macro < 1"), 0, ["f1_macro >= 0.8", "f1_macro < 1"]),
        (("--gates", "gates.toml"), 1, ["f1_macro >= 0.95"]),
    ):
        said = mcp_tui(ground, tmp_path, *config, *more)
        assert said.code == code, said.err
        [candidate] = json.loads(said.out)["candidates"]
        assert [gate["rule"] for gate in candidate["gates"]] == rules


def test_reports_and_hostile_files(ground: Ground, logged: Logged, tmp_path: Path) -> None:
    report = {"cat": {"precision": 0.9, "recall": 0.8, "f1-score": 0.85, "support": 10},
              "macro avg": {"f1-score": 0.85}, "accuracy": 0.8}  # fmt: skip
    run = logged.run(
        "with\x1b[2J report",
        files={
            "classification_report.json": json.dumps(report).encode(),
            "confusion_matrix.csv": b"\xff\xfe",
            "predictions.parquet": b"PAR1 no",
        },
    )
    said = mcp_tui(ground, tmp_path, "eval", run, "--gate", "recall of cat >= 0.8", "-o", "json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert len(told["problems"]) == 2
    assert "not UTF-8" in str(told["problems"]) and "not a Parquet" in str(told["problems"])
    assert "\x1b" not in said.out + said.err


def test_a_parquet_file_of_predictions_is_read(
    ground: Ground, logged: Logged, tmp_path: Path
) -> None:
    import pandas as pd

    rows = predicted(2, 200, 0.9)
    frame = pd.DataFrame(rows, columns=["id", "target", "y_pred"])
    frame.to_parquet(tmp_path / "p.parquet")
    data = (tmp_path / "p.parquet").read_bytes()
    run = logged.run("parquet", files={"predictions.parquet": data})
    said = mcp_tui(ground, tmp_path, "eval", run, "-o", "json")
    values = {row["key"]: row["values"] for row in json.loads(said.out)["rows"]}
    right = sum(t == p for _, t, p in rows) / 200
    assert values["accuracy"] == [pytest.approx(right)]


def test_codes_tell_bad_input_from_a_server_that_is_not_there(
    ground: Ground, logged: Logged, tmp_path: Path
) -> None:
    run = logged.run("r", {"f1_macro": 0.9})
    (tmp_path / "bad.toml").write_text('gates = [\n  "f1_macro => 0.9",\n]\n')
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("eval", run, "--gates", "bad.toml"), 2, "bad.toml:2:13"),
        (("eval", run, "--gates", "none.toml"), 2, "No such file"),
        (("eval", run, "--gate", "f1"), 2, "--gate 1, column 3"),
        (("eval", "0" * 32), 5, "there is no run"),
        (("eval", "not-a-run"), 2, "is no run's id"),
        (("eval", run, run), 2, "given twice"),
        (("eval", "nobody/1"), 5, "there is no version 1"),
        (("eval", "nobody@champion"), 5, "there is no registered model"),
        (("run", "compare", run), 2, "between 2 and 50"),
    ]
    for argv, code, says in cases:
        said = mcp_tui(ground, tmp_path, *argv)
        assert (said.code, says in said.err) == (code, True), (argv, said.code, said.err)
        assert len(said.err.splitlines()) == 1
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        said = mcp_tui(ground, tmp_path, "eval", run, url=url)
    assert said.code == 4, said.err


def test_runs_are_compared(ground: Ground, logged: Logged, tmp_path: Path) -> None:
    tags = {"mlflow.source.git.commit": "a" * 40}
    one = logged.run("one", {"val_loss": 0.5, "f1": 0.9}, {"lr": "0.1", "seed": "1"}, tags)
    two = logged.run("two", {"val_loss": 0.4, "f1": 0.9}, {"lr": "=1+1", "seed": "1"}, digest="d2")
    said = mcp_tui(ground, tmp_path, "run", "compare", one, two)
    assert said.code == 0, said.err
    names = [line.split()[1] for line in said.out.splitlines()[1:]]
    assert names == ["val_loss", "lr", "evaluation", "commit"]
    assert "0.400 *" in said.out and "rows more say the same" in said.err
    told = json.loads(mcp_tui(ground, tmp_path, "run", "compare", one, two, "-o", "json",
                              "--all").out)  # fmt: skip
    assert {row["name"] for row in told["rows"]} >= {"seed", "f1", "evaluation name"}
    loss = next(row for row in told["rows"] if row["name"] == "val_loss")
    assert loss["best"] == [two] and loss["values"] == [0.5, 0.4]
    sheet = mcp_tui(ground, tmp_path, "run", "compare", one, two, "-o", "csv").out
    assert ["param", "lr", "neither", "0.1", "'=1+1"] in list(csv.reader(io.StringIO(sheet)))
    assert "| `=1+1` |" in mcp_tui(ground, tmp_path, "run", "compare", one, two, "-o", "md").out


_EVALUATED = """
import mlflow, sys
import pandas as pd
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(experiment_id=sys.argv[2])
X, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=30).fit(X[::2], y[::2])
frame = pd.DataFrame(X[1::2], columns=list("abcd"))
frame["label"], frame["prediction"] = y[1::2], model.predict(X[1::2])
frame["example_id"] = range(len(frame))
data = mlflow.data.from_pandas(frame, targets="label", predictions="prediction", name="iris")
right = (frame["label"] == frame["prediction"]).mean()
for more in ("table", "none"):
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="evaluation")
        mlflow.models.evaluate(
            data=data, model_type="classifier", evaluator_config={"log_explainer": False}
        )
        if more == "table":
            mlflow.log_table(frame[["example_id", "label", "prediction"]], "predictions.json")
    print("run", run.info.run_id, right, more)
"""


def test_what_mlflows_own_evaluation_logs(ground: Ground, logged: Logged, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _EVALUATED, ground.mlflow, logged.experiment],
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    made = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("run ")]
    assert [more for _, _, more in made] == ["table", "none"]
    for run, right, more in made:
        said = mcp_tui(
            ground, tmp_path, "eval", run, "--gate", "no class recall is below 0.5", "-o", "json"
        )
        assert said.code == 0, said.err
        told = json.loads(said.out)
        rows = {row["key"]: row for row in told["rows"]}
        assert rows["accuracy"]["values"] == [pytest.approx(float(right))]
        assert {"recall:0", "recall:1", "recall:2"} <= set(rows)
        assert ("f1_macro" in rows) == (more == "table")
        source = "predictions.json" if more == "table" else "per_class_metrics.csv"
        assert rows["recall:0"]["sources"] == [source]
        assert told["problems"] == []
