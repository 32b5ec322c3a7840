"""Runs as they are put on record: parameters, curves, data, artifacts, and where they are from."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_tui.demo.experiments.catalog import LOGGED, Spec
from mcp_tui.demo.experiments.data import Data, load
from mcp_tui.demo.experiments.files import evaluation, model_files
from mcp_tui.demo.experiments.fits import Fit, fit
from mcp_tui.demo.experiments.logged import log_model, logged_by
from mcp_tui.demo.experiments.origin import digests_logged, digests_of, made_of, tags_of
from mcp_tui.demo.experiments.wire import Wire
from mcp_tui.errors import ApiError

DONE: Final = "mcp-tui.demo"
"""The tag of an experiment whose runs are all there, and of each run: its name in the catalog."""

_BEGUN: Final = "begun"
_BATCH: Final = 900


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is there: what its model versions need to know of it.

    Attributes:
        model_id: Of the logged model that it made; empty where the model is among its artifacts.
        made: What it was made of, as a promotion puts it on record.
    """

    run_id: str
    root: str
    model_id: str = ""
    made: Mapping[str, str] = {}
    f1: float | None = None

    @property
    def source(self) -> str:
        """Where its model is."""
        return f"models:/{self.model_id}" if self.model_id else f"{self.root}/model"


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
                    model_id=logged_by(run),
                    made=made_of(tags, digests_logged(run)),
                )
        return found

    def _run(self, experiment_id: str, spec: Spec, data: Data, parent: str) -> Made:
        start = self._now - spec.ago * 3600
        tags = {**tags_of(self._directory, spec, parent), DONE: _BEGUN}
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
        end = start + spec.minutes * 60
        model_id, files = "", {"error.txt": found.error.encode()} if found.error else {}
        if found.model is not None:
            files, figures = evaluation(found.model, data)
            model = model_files(found.model, data, run_id, end)
            if data.name in LOGGED:
                model_id = log_model(self._wire, experiment_id, run_id, spec.params, model)
            else:
                files |= {f"model/{path}": content for path, content in model.items()}
            figures |= _figures(found, len(model["model.pkl"]))
            last = len(found.points)
            points += [_metric(name, value, end, last) for name, value in figures.items()]
        self._log(run_id, spec, points)
        digest = ""
        if spec.kind != "sweep":
            digest = digests_of(data)
            self._wire.post("runs/log-inputs", {"run_id": run_id, "datasets": data.inputs})
        for path, content in files.items():
            self._wire.upload(root, path, content)
        self._end(run_id, spec, end)
        f1 = found.points[-1].values["f1_macro"] if found.points else None
        made = made_of(tags, digest)
        return Made(run_id=run_id, root=root, model_id=model_id, made=made, f1=f1)

    def _log(self, run_id: str, spec: Spec, points: list[dict[str, Any]]) -> None:
        params = dict(spec.params)
        if spec.kind != "sweep":
            params |= {"epochs": spec.steps, "seed": 1} if spec.steps else {"seed": 1}
        first: dict[str, Any] = {
            "params": [{"key": k, "value": str(v)} for k, v in params.items()],
        }
        for start in range(0, max(1, len(points)), _BATCH):
            part = points[start : start + _BATCH]
            self._wire.post("runs/log-batch", {"run_id": run_id, "metrics": part, **first})
            first = {}

    def _end(self, run_id: str, spec: Spec, end: float) -> None:
        ended: dict[str, Any] = {"run_id": run_id, "status": spec.status}
        if spec.status != "RUNNING":
            ended["end_time"] = int(end * 1000)
        self._wire.post("runs/update", ended)
        self._wire.post("runs/set-tag", {"run_id": run_id, "key": DONE, "value": spec.name})


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
