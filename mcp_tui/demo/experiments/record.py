"""Runs as they are put on record: parameters, curves, data, artifacts, and where they are from."""

from __future__ import annotations

import hashlib
import secrets
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_tui.demo.experiments.catalog import Spec
from mcp_tui.demo.experiments.data import Data, load
from mcp_tui.demo.experiments.files import evaluation, model_files
from mcp_tui.demo.experiments.fits import Fit, fit
from mcp_tui.demo.experiments.wire import Wire
from mcp_tui.demo.seed_repo import BRANCH
from mcp_tui.demo.stack_files import repository_url
from mcp_tui.domain import keys
from mcp_tui.errors import ApiError

DONE: Final = "mcp-tui.demo"
"""The tag of an experiment whose runs are all there, and of each run: its name in the catalog."""

_BEGUN: Final = "begun"
_BATCH: Final = 900
_IMAGE: Final = "ghcr.io/acme/trainer"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is there: what its model versions need to know of it."""

    run_id: str
    root: str
    made: Mapping[str, str] = {}
    f1: float | None = None


class Recorder:
    """Trains and records the runs of one experiment after the other; what is there it leaves.

    Args:
        wire: The tracking server.
        directory: The demo's, whose repository the runs are said to come from.
        now: Unix time in seconds, before which all was.
    """

    def __init__(self, wire: Wire, directory: Path, now: float) -> None:
        self._wire = wire
        self._directory = directory
        self._now = now

    def experiment(self, name: str, specs: tuple[Spec, ...]) -> dict[str, Made]:
        """Make an experiment and its runs; returns them by their names."""
        try:
            found = self._wire.get("experiments/get-by-name", experiment_name=name)["experiment"]
            experiment_id = str(found["experiment_id"])
        except ApiError as error:
            if error.status != 404:
                raise
            experiment_id = str(
                self._wire.post("experiments/create", {"name": name})["experiment_id"]
            )
        there = self._there(experiment_id)
        for spec in specs:
            if spec.name not in there:
                parent = there[spec.parent].run_id if spec.parent else ""
                there[spec.name] = self._run(experiment_id, spec, load(name), parent)
        self._sum_up(specs, there)
        body = {"experiment_id": experiment_id, "key": DONE, "value": "seeded"}
        self._wire.post("experiments/set-experiment-tag", body)
        return there

    def _sum_up(self, specs: tuple[Spec, ...], there: Mapping[str, Made]) -> None:
        """The best of a sweep, as a figure of the run that its tries are nested in."""
        for sweep in (spec for spec in specs if spec.kind == "sweep"):
            tries = [there[spec.name].f1 for spec in specs if spec.parent == sweep.name]
            known = [f1 for f1 in tries if f1 is not None]
            if known:
                at = self._now - sweep.ago * 3600 + sweep.minutes * 60
                best = _metric("best_f1_macro", max(known), at, len(known))
                body = {"run_id": there[sweep.name].run_id, "metrics": [best]}
                self._wire.post("runs/log-batch", body)

    def _there(self, experiment_id: str) -> dict[str, Made]:
        """Runs of an earlier time; those that it did not finish are taken away."""
        found: dict[str, Made] = {}
        body = {"experiment_ids": [experiment_id], "max_results": 500}
        for run in self._wire.post("runs/search", body).get("runs") or ():
            info = run["info"]
            tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags") or ()}
            if tags.get(DONE) == _BEGUN:
                self._wire.post("runs/delete", {"run_id": info["run_id"]})
            elif DONE in tags:
                found[info["run_name"]] = Made(
                    run_id=info["run_id"],
                    root=info["artifact_uri"],
                    made=_made(tags, load_digests(run)),
                )
        return found

    def _run(self, experiment_id: str, spec: Spec, data: Data, parent: str) -> Made:
        start = self._now - spec.ago * 3600
        tags = self._tags(spec, parent)
        body = {
            "experiment_id": experiment_id,
            "run_name": spec.name,
            "start_time": int(start * 1000),
            "tags": [{"key": k, "value": v} for k, v in tags.items()],
        }
        info = self._wire.post("runs/create", body)["run"]["info"]
        run_id, root = str(info["run_id"]), str(info["artifact_uri"])
        found = Fit() if spec.kind == "sweep" else fit(spec, data)
        # Seconds of training as minutes of a run.
        slower = spec.minutes * 60 / found.took if found.took else 0.0
        points = [
            _metric(name, value, start + point.seconds * slower, point.step)
            for point in found.points
            for name, value in {**point.values, **point.system}.items()
        ]
        files: dict[str, bytes] = {}
        end = start + spec.minutes * 60
        if found.error:
            files["error.txt"] = found.error.encode()
        if found.model is not None:
            files, figures = evaluation(found.model, data)
            model = model_files(found.model, data, run_id, end)
            files |= {f"model/{path}": content for path, content in model.items()}
            figures |= _figures(found, len(model["model.pkl"]))
            last = len(found.points)
            points += [_metric(name, value, end, last) for name, value in figures.items()]
        params = {**spec.params, **({"epochs": spec.steps} if spec.steps else {}), "seed": 1}
        self._log(run_id, params if spec.kind != "sweep" else spec.params, points)
        if spec.kind != "sweep":
            self._wire.post("runs/log-inputs", {"run_id": run_id, "datasets": data.inputs})
        for path, content in files.items():
            self._wire.upload(root, path, content)
        ended: dict[str, Any] = {"run_id": run_id, "status": spec.status}
        if spec.status != "RUNNING":
            ended["end_time"] = int(end * 1000)
        self._wire.post("runs/update", ended)
        self._wire.post("runs/set-tag", {"run_id": run_id, "key": DONE, "value": spec.name})
        digest = "" if spec.kind == "sweep" else _digests(data)
        f1 = found.points[-1].values["f1_macro"] if found.points else None
        return Made(run_id=run_id, root=root, made=_made(tags, digest), f1=f1)

    def _log(self, run_id: str, params: Mapping[str, Any], points: list[dict[str, Any]]) -> None:
        first: dict[str, Any] = {
            "params": [{"key": k, "value": str(v)} for k, v in params.items()],
        }
        for start in range(0, max(1, len(points)), _BATCH):
            part = points[start : start + _BATCH]
            self._wire.post("runs/log-batch", {"run_id": run_id, "metrics": part, **first})
            first = {}

    def _tags(self, spec: Spec, parent: str) -> dict[str, str]:
        """As a submission leaves them; where it is not traced, as a notebook does."""
        tags = {keys.TAG_USER: spec.user, "mlflow.source.name": "train.py"}
        tags |= {keys.TAG_PLAN_ID: secrets.token_hex(16), DONE: _BEGUN}
        if spec.note:
            tags["mlflow.note.content"] = spec.note
        if parent:
            tags[keys.TAG_PARENT_RUN] = parent
        if spec.status == "FAILED":
            tags[keys.TAG_CAUSE] = "ValueError: Input X contains NaN."
        if spec.status == "RUNNING":
            # Of a job that nobody finds any more.
            tags |= {
                keys.TAG_CLUSTER: "demo",
                keys.TAG_NAMESPACE: "ml",
                keys.TAG_KIND: "Job",
                keys.TAG_NAME: f"{spec.name}-{secrets.token_hex(3)}",
                keys.TAG_UID: "5b0f2d5e-0d6f-4f0e-9a3b-2f7f0f5d7c11",
            }
        if not spec.traced:
            tags["mlflow.source.name"] = "try.ipynb"
            return tags
        branch = BRANCH if spec.user == "eva" else "main"
        commit = commit_of(self._directory, branch)
        config = repr(sorted(spec.params.items())).encode()
        tags |= {
            "mlflow.docker.image.uri": f"{_IMAGE}:2.4",
            "mlflow.docker.image.id": f"sha256:{hashlib.sha256(_IMAGE.encode()).hexdigest()}",
            "mcp-tui.config-digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
            **{f"{keys.TAG_PARAM}{name}": str(value) for name, value in spec.params.items()},
        }
        if commit:
            tags |= {
                keys.TAG_COMMIT: commit,
                keys.TAG_BRANCH: branch,
                keys.TAG_REPO: repository_url(self._directory),
            }
        return tags


def commit_of(directory: Path, branch: str) -> str:
    """The commit of a branch of the demo's repository; empty where there is none (yet)."""
    try:
        return (directory / "repo" / ".git" / "refs" / "heads" / branch).read_text().strip()
    except OSError:
        return ""


def load_digests(run: Mapping[str, Any]) -> str:
    """The digests of a run's data, as a promotion puts them on record."""
    inputs = (run.get("inputs") or {}).get("dataset_inputs") or ()
    return ", ".join(sorted({each["dataset"]["digest"] for each in inputs}))


def _digests(data: Data) -> str:
    return ", ".join(sorted({data.training.digest, data.held_out.digest}))


def _made(tags: Mapping[str, str], data: str) -> dict[str, str]:
    parts = {
        "commit": tags.get(keys.TAG_COMMIT, ""),
        "image": tags.get("mlflow.docker.image.id", ""),
        "config": tags.get("mcp-tui.config-digest", ""),
        "data": data,
    }
    return {part: value for part, value in parts.items() if value}


def _metric(name: str, value: float, at: float, step: int) -> dict[str, Any]:
    # JSON has no NaN; MLflow takes the word.
    said = "NaN" if value != value else value  # noqa: PLR0124 - what NaN is known by
    return {"key": name, "value": said, "timestamp": int(at * 1000), "step": step}


def _figures(found: Fit, size: int) -> dict[str, float]:
    """Latency and size, as measured."""
    cuts = statistics.quantiles(found.latencies, n=100, method="inclusive")
    return {
        "latency_mean_ms": statistics.fmean(found.latencies),
        "latency_p50_ms": cuts[49],
        "latency_p95_ms": cuts[94],
        "latency_p99_ms": cuts[98],
        "model_size_mb": size / 1e6,
        "fit_seconds": found.took,
    }
