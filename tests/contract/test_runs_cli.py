"""``mcp-tui run ls|experiments|show|curves|download`` on a real MLflow server."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.contract.test_evaluate_cli import mcp_tui
from tests.unit.eventbytes import losses

pytestmark = pytest.mark.real

NOW = 1_700_000_000_000


@dataclass
class Server:
    """MLflow by its own API, and an experiment of the module's own."""

    url: str
    experiment: str = ""

    def post(self, path: str, **body: Any) -> Any:
        reply = httpx.post(
            f"{self.url}/api/2.0/mlflow/{path}", json=body, timeout=60, trust_env=False
        )
        return reply.raise_for_status().json()

    def run(self, name: str, start: int = NOW, **metrics: float) -> str:
        """A finished run with its metrics at step 1."""
        made = self.post(
            "runs/create",
            experiment_id=self.experiment,
            run_name=name,
            start_time=start,
            tags=[{"key": "mlflow.user", "value": "bo"}],
        )
        run_id = str(made["run"]["info"]["run_id"])
        for key, value in metrics.items():
            self.log(run_id, key, value, 1)
        self.post("runs/update", run_id=run_id, status="FINISHED", end_time=start + 1000)
        return run_id

    def log(self, run_id: str, key: str, value: float, step: int) -> None:
        # JSON has no NaN; MLflow takes the word.
        sent = value if math.isfinite(value) else "NaN"
        self.post("runs/log-metric", run_id=run_id, key=key, value=sent,
                  timestamp=NOW + 1000 * step, step=step)  # fmt: skip

    def put(self, run_id: str, path: str, data: bytes) -> None:
        url = f"{self.url}/api/2.0/mlflow-artifacts/artifacts"
        at = f"{self.experiment}/{run_id}/artifacts/{path}"
        httpx.put(f"{url}/{at}", content=data, timeout=60, trust_env=False).raise_for_status()


@pytest.fixture(scope="module")
def name() -> str:
    return f"cli's \U0001f600 / {secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def server(ground: Ground, name: str) -> Server:
    made = Server(str(ground.mlflow))
    made.experiment = made.post("experiments/create", name=name)["experiment_id"]
    return made


@pytest.fixture(scope="module")
def runs(server: Server) -> list[str]:
    """Five runs, the oldest first; their f1 rises and falls."""
    found = [
        server.run(f"run-{n}", NOW + n, f1=value, loss=1 - value)
        for n, value in enumerate((0.5, 0.9, 0.7, 0.8, 0.6))
    ]
    server.post("runs/delete", run_id=found[4])
    return found


def test_runs_are_listed_and_it_is_said_that_there_are_more(
    ground: Ground, runs: list[str], name: str, server: Server, tmp_path: Path
) -> None:
    def listed(*argv: str) -> list[str]:
        said = mcp_tui(ground, tmp_path, "run", "ls", "-e", name, "-o", "name", *argv)
        assert said.code == 0, said.err
        return said.out.split()

    newest = [runs[3], runs[2], runs[1], runs[0]]
    assert listed() == newest
    assert listed("--limit", "2") == newest[:2]
    assert listed("--view", "deleted") == [runs[4]]
    assert listed("--view", "all") == [runs[4], *newest]
    assert listed("--sort", "metrics.f1") == [runs[1], runs[3], runs[2], runs[0]]
    assert listed("--sort", "metrics.loss") == [runs[1], runs[3], runs[2], runs[0]]
    assert listed("--sort", "metrics.loss desc") == [runs[0], runs[2], runs[3], runs[1]]
    assert listed("--filter", "metrics.f1 > 0.85 OR metrics.f1 < 0.55") == [runs[1], runs[0]]
    assert listed("-e", server.experiment) == newest
    said = mcp_tui(ground, tmp_path, "run", "ls", "-e", name, "--limit", "3")
    assert "3+ runs" in said.err and said.out.count("finished") == 3
    said = mcp_tui(ground, tmp_path, "run", "ls", "-e", name, "--limit", "4")
    assert "+ runs" not in said.err and "f1 0.500" in said.out


def test_what_makes_no_sense_is_one_line_and_an_exit_code(
    ground: Ground, runs: list[str], name: str, tmp_path: Path
) -> None:
    for argv, code, words in (
        (["ls", "-e", "none such"], 5, "there is no experiment 'none such'"),
        (["ls", "--filter", "metrics.f1 >"], 2, "filter, column"),
        (["ls", "--sort", "weather.today"], 2, "--sort"),
        (["ls", "--watch", "--view", "deleted"], 2, "active"),
        (["show", "0" * 32], 5, "there is no run"),
        (["show", "../x"], 2, "no run's id"),
        (["show", runs[0], "--artifact", "../../etc/passwd"], 2, "not a path inside"),
        (["curves", runs[0], "--metric", "none"], 5, "there are: f1, loss"),
        (["curves", runs[0], "--smooth", "1"], 2, "below 1"),
    ):
        said = mcp_tui(ground, tmp_path, "run", *argv)
        assert (said.code, words in said.err) == (code, True), (argv, said.code, said.err)
        assert len(said.err.strip().splitlines()) == 1
    said = mcp_tui(ground, tmp_path, "run", "ls", url="http://127.0.0.1:9")
    assert said.code == 4, said.err


def test_runs_as_json_and_csv(ground: Ground, runs: list[str], name: str, tmp_path: Path) -> None:
    said = mcp_tui(ground, tmp_path, "run", "ls", "-e", name, "-o", "json")
    first = json.loads(said.out)[0]
    assert (first["run_id"], first["experiment"], first["user"]) == (runs[3], name, "bo")
    assert first["metrics"]["f1"] == 0.8 and first["started"] == (NOW + 3) / 1000
    said = mcp_tui(ground, tmp_path, "run", "ls", "-e", name, "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [row["metrics.f1"] for row in rows] == ["0.8", "0.7", "0.9", "0.5"]


def test_experiments_say_at_least_how_many_runs_they_have(
    ground: Ground, runs: list[str], name: str, tmp_path: Path
) -> None:
    argv = ("run", "experiments", "-e", name)
    [found] = json.loads(mcp_tui(ground, tmp_path, *argv, "-o", "json").out)
    assert (found["runs"], found["more"]) == (4, False)
    assert " 3+ " in mcp_tui(ground, tmp_path, *argv, "--read", "3").out
    assert " 4  " in mcp_tui(ground, tmp_path, *argv, "--read", "4").out


def test_a_run_says_its_best_and_its_gaps(ground: Ground, server: Server, tmp_path: Path) -> None:
    run_id = server.run("shown")
    for step, value in enumerate((0.1, 0.9, math.nan, 0.4)):
        server.log(run_id, "f1", value, step)
    said = mcp_tui(ground, tmp_path, "run", "show", run_id, "-o", "json")
    found = json.loads(said.out)["metrics"]["f1"]
    assert (found["last"], found["best"], found["best_step"]) == (0.4, 0.9, 1)
    said = mcp_tui(ground, tmp_path, "run", "show", run_id)
    [line] = [each for each in said.out.splitlines() if each.startswith("f1")]
    assert line.split() == ["f1", "0.400", "3", "0.900", "at", "1", "higher", "4;", "1", "NaN"]
    said = mcp_tui(ground, tmp_path, "run", "curves", run_id, "--metric", "f1", "--size", "60x12")
    assert "1 gap" in said.out and "1 NaN" in said.err
    assert len(said.out.splitlines()) <= 12 and max(map(len, said.out.splitlines())) <= 60
    said = mcp_tui(ground, tmp_path, "run", "curves", run_id, "-m", "f1", "-o", "json")
    [curve] = json.loads(said.out)
    assert [p["value"] for p in curve["points"]] == [0.1, 0.9, "NaN", 0.4]
    assert (curve["total"], curve["nan"]) == (4, 1)


def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(
    ground: Ground, runs: list[str], name: str, tmp_path: Path
) -> None:
    said = mcp_tui(ground, tmp_path, "run", "ls", "-e", name)
    assert runs[0][:8] in said.out and runs[0][:9] not in said.out
    for text, run_id in ((runs[0][:8], runs[0]), (runs[4][:12].upper(), runs[4])):
        said = mcp_tui(ground, tmp_path, "run", "show", text, "-o", "name")
        assert said.out.split() == [run_id], said.err
    said = mcp_tui(ground, tmp_path, "run", "show", "abcabcabcabc")
    assert (said.code, "no run that begins with" in said.err) == (5, True)
    said = mcp_tui(ground, tmp_path, "run", "show", "abc")
    assert (said.code, "the first of them" in said.err) == (2, True)


def test_a_long_metric_says_how_many_of_its_points_are_shown(
    ground: Ground, server: Server, tmp_path: Path
) -> None:
    run_id = server.run("long")
    for start in range(0, 3_000, 1_000):
        points = [
            {"key": "loss", "value": 1 / (s + 1), "timestamp": NOW + s, "step": s}
            for s in range(start, start + 1_000)
        ]
        server.post("runs/log-batch", run_id=run_id, metrics=points)
    said = mcp_tui(ground, tmp_path, "run", "curves", run_id, "--points", "200")
    assert "of 3,000 points" in said.out or "of about 3,000 points" in said.out, said.out


def test_scalars_of_event_files_are_drawn_beside_metrics(
    ground: Ground, server: Server, tmp_path: Path
) -> None:
    run_id = server.run("tensorboard")
    server.log(run_id, "f1", 0.5, 1)
    server.put(run_id, "tb/train/events.out.tfevents.1.host", losses(600))
    server.put(run_id, "tb/val/events.out.tfevents.1.host", losses(5) + b"\x01")
    server.put(run_id, "tb/val/events.out.tfevents.2.host", b"")
    argv = ("run", "curves", run_id, "-m", "tb: train/loss")
    said = mcp_tui(ground, tmp_path, *argv, "--points", "100", "--size", "60x12")
    assert (said.code, "tb:train/loss" in said.out) == (0, True), said.err
    assert "of 600 points" in said.out
    ends = "tb/val/events.out.tfevents.1.host: it ends within a record, after 6 whole ones"
    assert ends in said.err and "tfevents.2.host: it is empty" in said.err
    argv = ("run", "curves", run_id, "-m", "tb:val/loss", "-m", "f1", "-o", "json")
    curve, metric = json.loads(mcp_tui(ground, tmp_path, *argv).out)
    assert [(p["step"], p["time"]) for p in curve["points"]] == [(n, 1.7e9 + n) for n in range(5)]
    assert (curve["metric"], curve["total"], metric["metric"]) == ("tb:val/loss", 5, "f1")
    said = mcp_tui(ground, tmp_path, "run", "curves", run_id, "-m", "tb:loss")
    assert (said.code, "there are: tb:train/loss, tb:val/loss" in said.err) == (5, True)
    other = server.run("none")
    said = mcp_tui(ground, tmp_path, "run", "curves", other, "-m", "tb:loss")
    assert (said.code, "no event files among the artifacts" in said.err) == (5, True)


def test_artifacts_are_listed_looked_at_and_downloaded(
    ground: Ground, server: Server, tmp_path: Path
) -> None:
    run_id = server.run("files")
    files = {"a b.txt": b"first\nsecond\n", "deep/x.json": b'{"a":1}', "deep/t.csv": b"p,q\n1,22\n"}
    for path, data in files.items():
        server.put(run_id, path, data)
    said = mcp_tui(ground, tmp_path, "run", "show", run_id, "--artifacts", "-o", "name")
    assert sorted(said.out.splitlines()) == sorted(files)
    head = mcp_tui(ground, tmp_path, "run", "show", run_id, "--artifact", "deep/t.csv")
    assert head.out.splitlines() == ["p  q", "1  22"]
    head = mcp_tui(ground, tmp_path, "run", "show", run_id, "--artifact", "deep/x.json")
    assert json.loads(head.out) == {"a": 1} and '  "a"' in head.out
    assert mcp_tui(ground, tmp_path, "run", "show", run_id, "--artifact", "none").code == 5
    to = tmp_path / "to"
    to.mkdir()
    for argv in ((), ("deep",)):
        said = mcp_tui(ground, tmp_path, "run", "download", run_id, *argv, "--dir", str(to))
        assert said.code == (0 if not argv else 2), said.err  # what is there stays
    assert {str(p.relative_to(to)): p.read_bytes() for p in to.rglob("*") if p.is_file()} == files
    said = mcp_tui(ground, tmp_path, "run", "download", run_id, "a b.txt", "--dir", str(tmp_path))
    assert (tmp_path / "a b.txt").read_bytes() == files["a b.txt"]


def test_a_watch_tells_of_new_runs_and_of_those_that_go_on(
    ground: Ground, server: Server, name: str, tmp_path: Path
) -> None:
    made = server.post("runs/create", experiment_id=server.experiment, run_name="going",
                       start_time=NOW + 60_000)  # fmt: skip
    going = made["run"]["info"]["run_id"]
    with watched(ground, tmp_path, "-e", name, "--limit", "1") as lines:
        assert "STATE" in next(lines) and "running" in next(lines)
        server.log(going, "f1", 0.25, 7)
        assert "f1 0.250" in next(lines)
        server.run("just begun", NOW + 120_000)
        assert "just begun" in next(lines)
        server.post("runs/update", run_id=going, status="FAILED")
        assert "failed" in next(lines)


def test_a_watch_of_all_experiments_finds_those_that_are_made_meanwhile(
    ground: Ground, server: Server, name: str, tmp_path: Path
) -> None:
    called = f"new {secrets.token_hex(6)}"
    filter_ = f"attributes.run_name = '{called}'"
    with watched(ground, tmp_path, "--filter", filter_, "-o", "name") as lines:
        first = server.run(called, NOW + 60_000)
        assert next(lines).strip() == first
        other = Server(server.url)
        other.experiment = other.post("experiments/create", name=f"{name} 2")["experiment_id"]
        second = other.run(called, NOW + 120_000)
        assert next(lines).strip() == second


@contextlib.contextmanager
def watched(ground: Ground, home: Path, *words: str) -> Iterator[Iterator[str]]:
    """The lines of ``run ls --watch``, which is interrupted behind the block."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "mcp_tui", "run", "ls", "--watch", *words],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "MLFLOW_TRACKING_URI": str(ground.mlflow),
            "PYTHONPATH": str(REPO),
        },
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    # A line that does not come ends the lines.
    too_late = threading.Timer(90, watching.kill)
    too_late.start()
    try:
        yield iter(watching.stdout.readline, "")
    finally:
        too_late.cancel()
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)
    assert watching.returncode == 130
