"""What curves are called, and which metrics are looked at first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from mcp_tui.domain.compare import heads
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line

SYSTEM: Final = "system/"
"""How metrics of the machine begin: MLflow samples them by its own clock."""

_FIRST: Final = ("loss", "f1", "accuracy", "auc", "acc", "reward", "perplex")
_MACHINE: Final = ("gpu", "utilization", "memory_usage_percentage", "memory", "cpu")

_APART: Final = re.compile(r"([_/.\- ])")


def is_system(metric: str) -> bool:
    """Whether a metric is of the machine and not of the model."""
    return metric.startswith(SYSTEM)


def machine_name(metric: str) -> str:
    """A metric of the machine in short, its unit as a sign: ``gpu_0_utilization %``."""
    name = metric.removeprefix(SYSTEM)
    for ending, unit in (("_percentage", " %"), ("_megabytes", " MB"), ("_watts", " W")):
        if name.endswith(ending):
            return name.removesuffix(ending) + unit
    return name


def metrics_of(runs: Iterable[Run]) -> tuple[str, ...]:
    """Every metric of any of the runs, the machine's own last, each part by name."""
    names = {metric.key for run in runs for metric in run.data.metrics}
    return tuple(sorted(names, key=lambda name: (is_system(name), name)))


def first_metric(runs: Sequence[Run]) -> str:
    """The metric to begin with: of most runs, that has a course, and that tells of learning."""
    count: dict[str, int] = {}
    moves: dict[str, bool] = {}
    for run in runs:
        for metric in run.data.metrics:
            count[metric.key] = count.get(metric.key, 0) + 1
            moves[metric.key] = moves.get(metric.key, False) or metric.step > 0
    return min(
        count,
        key=lambda name: (
            is_system(name),
            not moves[name],
            -count[name],
            _place(name.lower(), _FIRST),
            len(name),
            name,
        ),
        default="",
    )


def system_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the machine to look at first: how busy the accelerators are, else memory, else all.

    Metrics of one kind on several devices (``system/gpu_0_...``) come together.
    """
    own = [name for name in names if is_system(name)]
    gpus = [name for name in own if "gpu" in name and "utilization" in name]
    if gpus:
        return tuple(sorted(gpus))
    ranked = sorted(own, key=lambda name: (_place(name.lower(), _MACHINE), name))
    return tuple(ranked[:1])


def _place(name: str, parts: Sequence[str]) -> int:
    return next((at for at, part in enumerate(parts) if part in name), len(parts))


def run_labels(runs: Sequence[Run]) -> tuple[str, ...]:
    """What each run is called among the others."""
    return tuple(head.label for head in heads(runs))


def line_names(labels: Sequence[str], metrics: Sequence[str]) -> dict[tuple[int, str], str]:
    """What the line of each run and metric is called: by what tells it from the others.

    Args:
        labels: What the runs are called, by their place.
        metrics: Those in the chart.
    """
    short = dict(zip(metrics, telling(metrics), strict=True))
    found: dict[tuple[int, str], str] = {}
    for at, label in enumerate(labels):
        for metric in metrics:
            if len(metrics) == 1:
                name = label
            elif len(labels) == 1:
                name = short[metric]
            else:
                name = f"{short[metric]} {label}"
            found[at, metric] = name
    return found


def telling(metrics: Sequence[str]) -> tuple[str, ...]:
    """Metrics' names without the words that all of them have: ``gpu 0`` and ``gpu 1``.

    A word before a number stays: it says what is counted.
    """
    each = [_words(metric) for metric in metrics]
    common = set.intersection(*(set(words) for words in each)) if len(each) > 1 else set()
    found = []
    for metric, words in zip(metrics, each, strict=True):
        kept = [
            word
            for at, word in enumerate(words)
            if word not in common or (at + 1 < len(words) and words[at + 1].isdigit())
        ]
        found.append(" ".join(kept) if kept else clean_line(metric, limit=80))
    # What is no longer told apart keeps its whole name.
    return tuple(
        name if found.count(name) == 1 else clean_line(metric, limit=80)
        for name, metric in zip(found, metrics, strict=True)
    )


def title_of(metrics: Sequence[str]) -> str:
    """What a chart of metrics is called: ``system/gpu_*_utilization_percentage``, or all names."""
    shown = [clean_line(metric, limit=120) for metric in metrics]
    if len(shown) < 2:
        return "".join(shown)
    each = [_APART.split(name) for name in shown]
    if len({len(parts) for parts in each}) == 1:
        columns = [set(column) for column in zip(*each, strict=True)]
        if sum(len(column) > 1 for column in columns) == 1:
            return "".join(column.pop() if len(column) == 1 else "*" for column in columns)
    return ", ".join(shown)


def _words(metric: str) -> list[str]:
    return [word for word in _APART.split(clean_line(metric, limit=120)) if word not in "_/.- "]
