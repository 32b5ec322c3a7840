"""What a release review wants to know of one run: its figures, where each comes from, its classes.

A figure is what the run logged under any of its usual names, or what its report, confusion matrix
or predictions give. Where both are there and do not agree, the figure is disputed and no gate
passes on it. What was measured on training data is no evaluation and is never taken for one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from mcp_tui.domain.compare import context_of
from mcp_tui.domain.evalfiles import (
    Confusion,
    EvalFile,
    EvalFileError,
    Predictions,
    Report,
    kind_of,
    read,
)
from mcp_tui.domain.evalnames import BY_KEY, SPLITS, is_gpu_memory, split_of, understand
from mcp_tui.domain.run import Run
from mcp_tui.domain.runfacts import number
from mcp_tui.domain.text import clean_line
from mcp_tui.stats.classification import Scores, from_pairs, mean_of, scores

DISPUTED_BY: Final = 0.005
"""A logged share and one that is worked out may differ so much: two digits, rounded."""

_EVAL_CONTEXTS: Final = frozenset(
    {"eval", "evaluation", "test", "testing", "val", "valid", "validation", "holdout", "dev"}
)
_NO_DIGEST: Final = frozenset({"", "unknown", "none", "null"})


F = TypeVar("F", Report, Confusion, Predictions)


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One figure of a run.

    Attributes:
        number: As the figure's unit has it.
        source: The metric's name or the artifact's path.
        split: On which data, where the name says so: test, holdout, eval, val, or empty.
        disputed: Why it is not to be relied on; empty when nothing speaks against it.
    """

    number: float
    source: str
    split: str = ""
    disputed: str = ""


class ClassValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One class; None is what nobody logged or what is not defined (no example of the class)."""

    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    support: float | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of how good one run is.

    Attributes:
        values: Figures by their key (:data:`mcp_tui.domain.evalnames.FIGURES`).
        metrics: Every metric's newest finite value, by the name it was logged by.
        classes: By label.
        classes_from: The artifact that the classes are from.
        classes_split: On which data that was, where its name says so.
        predictions: What was predicted for each example, where that was logged.
        data: Digests of the data it was evaluated on; empty where they are not known.
        data_unknown: Why they are not.
        problems: What could not be read or does not agree, a line each.
    """

    run_id: str
    label: str
    values: Mapping[str, Value] = {}
    metrics: Mapping[str, float] = {}
    classes: Mapping[str, ClassValue] = {}
    classes_from: str = ""
    classes_split: str = ""
    predictions: Predictions | None = None
    data: frozenset[str] = frozenset()
    data_unknown: str = ""
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> Value | None:
        """A figure by its key, else a metric by its very name."""
        if name in self.values:
            return self.values[name]
        if name in self.metrics:
            return Value(number=self.metrics[name], source=name)
        return None


def wanted(paths: Sequence[str]) -> tuple[str, ...]:
    """Which of a run's artifacts an evaluation reads: one of each kind, the most telling.

    That is the one on test data before others, then the one nearest to the root. Those on training
    data are never wanted.
    """
    best: dict[str, tuple[int, int, str]] = {}
    for path in paths:
        kind, split = kind_of(path), split_of(path)
        if kind and split in SPLITS:
            rank = (SPLITS.index(split), path.count("/"), path)
            best[kind] = min(best.get(kind, rank), rank)
    return tuple(path for _, _, path in best.values())


def evaluate(
    run: Run,
    files: Mapping[str, bytes] | None = None,
    *,
    label: str = "",
    parsed: Sequence[EvalFile] = (),
    model_size: int | None = None,
    problems: Sequence[str] = (),
) -> Evaluation:
    """Make an evaluation from what was read of a run.

    Args:
        run: With the newest value of each metric and its data sets.
        files: Artifacts by path (see :func:`wanted`); what cannot be read becomes a problem.
        label: How it is called; the run's name otherwise.
        parsed: Files that were parsed elsewhere (Parquet).
        model_size: Bytes of the model's files, from its MLmodel.
        problems: What the caller could not fetch, a line each.
    """
    said = list(problems)
    read_files: list[EvalFile] = list(parsed)
    for path, data in (files or {}).items():
        try:
            read_files.append(read(path, data))
        except EvalFileError as error:
            said.append(error.line())
    report = _first(read_files, Report)
    confusion = _first(read_files, Confusion)
    predictions = _first(read_files, Predictions)
    worked, classes, source = _worked_out(report, confusion, predictions)
    split = split_of(source)
    logged = _logged(run, model_size)
    values = _settle(logged, worked, source, split, said)
    digests, unknown = evaluated_on(run)
    return Evaluation(
        run_id=clean_line(run.run_id, limit=80),
        label=label or clean_line(run.info.run_name, limit=200) or run.run_id[:8],
        values=values,
        metrics={m.key: m.number for m in run.data.metrics if math.isfinite(m.number)},
        classes=classes,
        classes_from=source,
        classes_split=split,
        predictions=predictions,
        data=digests,
        data_unknown=unknown,
        problems=tuple(said),
    )


def _first(files: Sequence[EvalFile], kind: type[F]) -> F | None:
    ranked = sorted(
        (file for file in files if isinstance(file, kind) and split_of(file.path) in SPLITS),
        key=lambda file: SPLITS.index(split_of(file.path)),
    )
    return ranked[0] if ranked else None


def evaluated_on(run: Run) -> tuple[frozenset[str], str]:
    """The digests of the data that a run was evaluated on, or why they are not known."""
    used = [
        (context_of(each).lower(), each.dataset.name, each.dataset.digest)
        for each in run.inputs.dataset_inputs
    ]
    chosen = [each for each in used if each[0] in _EVAL_CONTEXTS]
    if not chosen:
        chosen = [each for each in used if not each[0]]
        if len(chosen) != 1:
            why = (
                "no data set is logged" if not used
                else "which of its data sets it was evaluated on is not logged" if chosen
                else "only training data is logged"
            )  # fmt: skip
            return frozenset(), why
    if any(digest.strip().lower() in _NO_DIGEST for _, _, digest in chosen):
        return frozenset(), "its evaluation data has no digest"
    return frozenset(clean_line(digest, limit=200) for _, _, digest in chosen), ""


# --- figures


def _logged(run: Run, model_size: int | None) -> dict[str, list[Value]]:
    """What was logged, by figure; where several names are one figure, all of them."""
    found: dict[str, list[Value]] = {}
    memory: list[float] = []
    for metric in run.data.metrics:
        value = metric.number
        if not math.isfinite(value):
            continue
        if is_gpu_memory(metric.key):
            memory.append(value)
        named = understand(metric.key)
        if named is not None and named.split in SPLITS:
            entry = Value(
                number=value * named.scale, source=clean_line(metric.key), split=named.split
            )
            found.setdefault(named.key, []).append(entry)
    if memory and "accelerator_memory_mb" not in found:
        source = f"system metrics of {len(memory)} at their last"
        found["accelerator_memory_mb"] = [Value(number=sum(memory), source=source)]
    if model_size is not None and "model_size_mb" not in found:
        found["model_size_mb"] = [Value(number=model_size / 1e6, source="MLmodel")]
    return found


def _worked_out(
    report: Report | None, confusion: Confusion | None, predictions: Predictions | None
) -> tuple[dict[str, float], dict[str, ClassValue], str]:
    """Figures and classes from the most exact file there is, and which that was.

    Of predictions that were read in part nothing is worked out.
    """
    if predictions is not None and predictions.whole:
        counted = from_pairs(predictions.truth, predictions.predicted)
        return (*_of_scores(counted), predictions.path)
    if confusion is not None:
        return (*_of_scores(scores(confusion.labels, confusion.matrix)), confusion.path)
    if report is not None:
        classes = {
            each.label: ClassValue(
                precision=each.precision, recall=each.recall, f1=each.f1, support=each.support
            )
            for each in report.classes
        }
        return dict(report.averages), classes, report.path
    return {}, {}, ""


def _of_scores(found: Scores) -> tuple[dict[str, float], dict[str, ClassValue]]:
    # A class of no example and no prediction (an empty row and column of a matrix) is none that
    # was evaluated: scikit-learn leaves it out where labels are taken from the data.
    met = [score for score in found.classes.values() if "f1" not in score.undefined]
    macro = mean_of(met, [1.0] * len(met))
    values = {"accuracy": found.accuracy}
    for how, average in (
        ("macro", macro), ("micro", found.micro), ("weighted", found.weighted),
    ):  # fmt: skip
        values |= {
            f"precision_{how}": average.precision,
            f"recall_{how}": average.recall,
            f"f1_{how}": average.f1,
        }
    classes = {
        label: ClassValue(
            precision=None if "precision" in score.undefined else score.precision,
            recall=None if "recall" in score.undefined else score.recall,
            f1=None if "f1" in score.undefined else score.f1,
            support=score.support,
        )
        for label, score in found.classes.items()
    }
    return values, classes


def _settle(
    logged: Mapping[str, list[Value]],
    worked: Mapping[str, float],
    source: str,
    split: str,
    problems: list[str],
) -> dict[str, Value]:
    """One value a figure: of what was logged the most telling, else what is worked out."""
    values: dict[str, Value] = {}
    for key in BY_KEY:
        entries = sorted(
            logged.get(key, ()), key=lambda v: (SPLITS.index(v.split), len(v.source), v.source)
        )
        known = worked.get(key)
        if not entries:
            if known is not None:
                values[key] = Value(number=known, source=source, split=split)
            continue
        chosen = entries[0]
        rivals = [e for e in entries if e.split == chosen.split and not _near(e, chosen.number)]
        disputed = ""
        if rivals:
            disputed = f"{rivals[0].source} says {number(rivals[0].number)}"
        elif known is not None and comparable(chosen.split, split) and not _near(chosen, known):
            disputed = f"{source} gives {number(known)}"
        if disputed:
            problems.append(f"{chosen.source} is {number(chosen.number)}, but {disputed}")
        values[key] = msgspec.structs.replace(chosen, disputed=disputed)
    return values


def comparable(one: str, other: str) -> bool:
    """Whether two figures may be of the same data: unless both say what they are on, and differ."""
    return one == other or not one or not other


def _near(value: Value, other: float) -> bool:
    return abs(value.number - other) <= max(DISPUTED_BY, 1e-6 * abs(other))
