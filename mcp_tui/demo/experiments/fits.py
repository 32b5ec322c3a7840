"""Training: a curve a step, what the machine did meanwhile, and what came of it."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_tui.demo.experiments.catalog import Spec
from mcp_tui.demo.experiments.data import Data

LATENCIES: Final = 60
"""Examples that are predicted one by one, and timed."""
_TRIES: Final = 3
"""The quickest counts: the others were held up by what else the machine does."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one step, ``seconds`` after the start."""

    step: int
    seconds: float
    values: dict[str, float]
    system: dict[str, float]


class Fit(msgspec.Struct, kw_only=True):
    """What came of a run: ``model`` is None where nothing was made, ``error`` says why."""

    points: list[Point] = msgspec.field(default_factory=list)
    took: float = 0.0
    model: Any = None
    latencies: list[float] = msgspec.field(default_factory=list)
    error: str = ""


class Softmax:
    """Softmax regression written down naively: too high a rate overflows, as in real life."""

    def __init__(self, inputs: int, classes: int, rate: float, batch: int) -> None:
        import numpy as np

        self.np = np
        self.weights = np.zeros((inputs, classes), np.float32)
        self.rate, self.batch, self.classes = rate, batch, classes
        self.random = np.random.default_rng(1)

    def predict_proba(self, features: Any) -> Any:
        """Shares by class; NaN where an exponent overflowed."""
        raised = self.np.exp(features.astype(self.np.float32) @ self.weights)
        return raised / raised.sum(axis=1, keepdims=True)

    def epoch(self, features: Any, classes: Any) -> None:
        """Go once over the examples."""
        order = self.random.permutation(len(classes))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            wrong = self.predict_proba(features[rows])
            wrong[self.np.arange(len(rows)), classes[rows]] -= 1
            inputs = features[rows].astype(self.np.float32)
            self.weights -= self.rate * (inputs.T @ wrong) / len(rows)


class _Machine:
    """What the machine does between two looks."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def look(self) -> dict[str, float]:
        """Metrics by MLflow's own names; those that this system does not tell are missing."""
        wall, cpu = time.perf_counter(), time.process_time()
        busy = (cpu - self._cpu) / max(wall - self._wall, 1e-6)
        self._wall, self._cpu = wall, cpu
        found = {"system/cpu_utilization_percentage": min(100.0, 100.0 * busy)}
        try:
            memory = Path("/proc/meminfo").read_text().splitlines()
            kib = {line.split(":")[0]: float(line.split()[1]) for line in memory if ":" in line}
            used = kib["MemTotal"] - kib["MemAvailable"]
            found["system/system_memory_usage_megabytes"] = used / 1024
            found["system/system_memory_usage_percentage"] = 100 * used / kib["MemTotal"]
        except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError):
            pass
        disk = shutil.disk_usage(os.sep)
        found["system/disk_usage_percentage"] = 100 * disk.used / max(1, disk.total)
        return found


def fit(spec: Spec, data: Data) -> Fit:
    """Train what a run is about; never raises for what training itself can raise."""
    machine, begun = _Machine(), time.perf_counter()
    found = Fit()
    try:
        for step, (model, values) in enumerate(_KINDS[spec.kind](spec, data), 1):
            seconds = time.perf_counter() - begun
            found.points.append(
                Point(step=step, seconds=seconds, values=values, system=machine.look())
            )
            found.model = model
    except ValueError:
        found.error = traceback.format_exc(limit=-2)
        found.model = None
    found.took = time.perf_counter() - begun
    if spec.status != "FINISHED" or spec.kind == "softmax":
        found.model = None
    if found.model is not None:
        found.latencies = _latencies(found.model, data)
    return found


def _latencies(model: Any, data: Data) -> list[float]:
    """Milliseconds of single predictions, one after the other."""
    rows = data.held_out.features
    model.predict(rows[:1])
    took = []
    for number in range(LATENCIES):
        row = rows[number % len(rows)][None, :]
        tries = []
        for _ in range(_TRIES):
            start = time.perf_counter_ns()
            model.predict(row)
            tries.append((time.perf_counter_ns() - start) / 1e6)
        took.append(min(tries))
    return took


_Steps = Iterator[tuple[Any, dict[str, float]]]


def _measured(model: Any, scaled: tuple[Any, Any], data: Data) -> dict[str, float]:
    training, held_out = (model.predict_proba(part) for part in scaled)
    return {
        "train_loss": _log_loss(training, data.training.classes),
        "val_loss": _log_loss(held_out, data.held_out.classes),
        **_shares_right(held_out.argmax(axis=1), data),
    }


def _log_loss(shares: Any, classes: Any) -> float:
    """The mean of -log p of the true class: NaN where p is, and never infinite."""
    import numpy as np

    return float(-np.log(np.maximum(shares[np.arange(len(classes)), classes], 1e-12)).mean())


def _scaled(data: Data) -> tuple[Any, Any]:
    return tuple(data.scaler.transform(p.features) for p in (data.training, data.held_out))


def _whole(model: Any, data: Data) -> Any:
    """The model with the scaling before it, so that it takes what the data set holds."""
    from sklearn.pipeline import make_pipeline

    return make_pipeline(data.scaler, model)


def _epochs(model: Any, spec: Spec, data: Data) -> _Steps:
    scaled, whole = _scaled(data), _whole(model, data)
    every = range(len(data.labels))
    for _ in range(spec.steps):
        model.partial_fit(scaled[0], data.training.classes, classes=every)
        yield whole, _measured(model, scaled, data)


def _logistic(spec: Spec, data: Data) -> _Steps:
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss",
        learning_rate="constant",
        eta0=float(spec.params["learning_rate"]),
        alpha=float(spec.params["alpha"]),
        random_state=1,
    )
    yield from _epochs(model, spec, data)


def _mlp(spec: Spec, data: Data) -> _Steps:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        tuple(int(size) for size in str(spec.params["hidden"]).split(",")),
        learning_rate_init=float(spec.params["learning_rate"]),
        batch_size=int(spec.params["batch_size"]),
        alpha=float(spec.params["alpha"]),
        random_state=1,
    )
    yield from _epochs(model, spec, data)


def _forest(spec: Spec, data: Data) -> _Steps:
    from sklearn.ensemble import RandomForestClassifier

    scaled, trees = _scaled(data), int(spec.params["trees"])
    model = RandomForestClassifier(
        max_depth=int(spec.params["max_depth"]), warm_start=True, random_state=1
    )
    whole = _whole(model, data)
    for step in range(1, spec.steps + 1):
        model.n_estimators = trees * step // spec.steps
        model.fit(scaled[0], data.training.classes)
        yield whole, _measured(model, scaled, data)


def _svm(spec: Spec, data: Data) -> _Steps:
    from sklearn.svm import SVC

    model, scaled = SVC(C=float(spec.params["C"]), random_state=1), _scaled(data)
    if spec.status == "FAILED":
        # What a join that found nothing leaves in a table.
        scaled[0][17, 3] = float("nan")
    model.fit(scaled[0], data.training.classes)
    guessed = model.predict(scaled[1])
    yield _whole(model, data), _shares_right(guessed, data)


def _neighbours(spec: Spec, data: Data) -> _Steps:
    from sklearn.neighbors import KNeighborsClassifier

    model, scaled = KNeighborsClassifier(int(spec.params["k"])), _scaled(data)
    model.fit(scaled[0], data.training.classes)
    yield _whole(model, data), _shares_right(model.predict(scaled[1]), data)


def _shares_right(guessed: Any, data: Data) -> dict[str, float]:
    """Counted here: scikit-learn's own take longer than an epoch does."""
    import numpy as np

    truth, classes = data.held_out.classes, len(data.labels)
    right = np.bincount(truth[guessed == truth], minlength=classes)
    said = np.bincount(guessed, minlength=classes) + np.bincount(truth, minlength=classes)
    return {
        "accuracy": float(right.sum() / len(truth)),
        "f1_macro": float(np.mean(2 * right / np.maximum(said, 1))),
    }


def _softmax(spec: Spec, data: Data) -> _Steps:
    import numpy as np

    scaled = _scaled(data)
    model = Softmax(
        len(data.columns),
        len(data.labels),
        float(spec.params["learning_rate"]),
        int(spec.params["batch_size"]),
    )
    with np.errstate(all="ignore"):
        for _ in range(spec.steps):
            model.epoch(scaled[0], data.training.classes)
            yield model, {**_measured(model, scaled, data), "learning_rate": model.rate}
            model.rate *= float(spec.params["growth"])


_KINDS: Final[dict[str, Callable[[Spec, Data], _Steps]]] = {
    "logistic": _logistic,
    "mlp": _mlp,
    "forest": _forest,
    "svm": _svm,
    "neighbours": _neighbours,
    "softmax": _softmax,
}
