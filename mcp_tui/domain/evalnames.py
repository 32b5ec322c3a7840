"""The figures of a release review, and the many names that runs log them by."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from mcp_tui.domain.direction import Direction


class Figure(NamedTuple):
    """A figure of the table: its key (what gates name), its title and its unit."""

    key: str
    title: str
    direction: Direction
    unit: str = ""


class Named(NamedTuple):
    """A logged metric's name, understood: which figure, on which data, times what."""

    key: str
    split: str
    scale: float


_UP, _DOWN = Direction.HIGHER, Direction.LOWER
FIGURES: Final[tuple[Figure, ...]] = (
    Figure("accuracy", "accuracy", _UP),
    *(
        Figure(f"{what}_{how}", f"{'F1' if what == 'f1' else what} {how}", _UP)
        for how in ("macro", "micro", "weighted")
        for what in ("precision", "recall", "f1")
    ),
    Figure("precision", "precision (average not said)", _UP),
    Figure("recall", "recall (average not said)", _UP),
    Figure("f1", "F1 (average not said)", _UP),
    Figure("roc_auc", "ROC AUC", _UP),
    Figure("log_loss", "log loss", _DOWN),
    Figure("loss", "loss", _DOWN),
    *(
        Figure(f"latency_{s}_ms", f"latency {s}", _DOWN, "ms")
        for s in ("mean", "p50", "p95", "p99")
    ),
    *(
        Figure(f"latency_{s}", f"latency {s} (unit not said)", _DOWN)
        for s in ("mean", "p50", "p95", "p99")
    ),
    Figure("accelerator_memory_mb", "accelerator memory", _DOWN, "MB"),
    Figure("model_size_mb", "model size", _DOWN, "MB"),
)
BY_KEY: Final = {figure.key: figure for figure in FIGURES}

SPLITS: Final = ("test", "holdout", "eval", "", "val")
"""What was measured on, the most telling first; ``train`` never stands for an evaluation."""

_SPLIT_WORDS: Final = {
    "test": "test", "testing": "test", "holdout": "holdout", "eval": "eval", "evaluation": "eval",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "train": "train", "training": "train",
}  # fmt: skip
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_TO_MS: Final = {
    "ms": 1.0, "msec": 1.0, "millis": 1.0, "milliseconds": 1.0, "s": 1e3, "sec": 1e3, "secs": 1e3,
    "second": 1e3, "seconds": 1e3, "us": 1e-3, "microseconds": 1e-3, "ns": 1e-6,
}  # fmt: skip
_TO_MB: Final = {
    "b": 1e-6, "bytes": 1e-6, "byte": 1e-6, "kb": 1e-3, "kib": 1024e-6,
    "mb": 1.0, "megabytes": 1.0, "mib": 1.048576,
    "gb": 1e3, "gigabytes": 1e3, "gib": 1073.741824,
}  # fmt: skip
_STATS: Final = {
    "mean": "mean", "avg": "mean", "average": "mean", "p50": "p50", "median": "p50",
    "p95": "p95", "p99": "p99",
}  # fmt: skip
_PLAIN: Final = {
    "accuracy": "accuracy", "acc": "accuracy", "accuracy_score": "accuracy",
    "top1_accuracy": "accuracy", "top_1_accuracy": "accuracy",
    "roc_auc": "roc_auc", "roc_auc_score": "roc_auc", "auroc": "roc_auc", "auc": "roc_auc",
    "log_loss": "log_loss", "logloss": "log_loss", "loss": "loss",
}  # fmt: skip
_AVERAGED: Final = re.compile(
    r"(?:(?P<how1>macro|micro|weighted)_(?:avg_|average_)?)?(?P<what>precision|recall|f1)(?:_score)?"
    r"(?:_(?P<how2>macro|micro|weighted)(?:_avg|_average)?)?"
)


@lru_cache(maxsize=4_096)
def understand(metric: str) -> Named | None:
    """Which figure a logged metric is; None for one that is none of them.

    ``val_f1_macro``, ``macro avg_f1-score`` and ``eval/f1_score_macro`` are F1 macro; a latency
    counts in milliseconds only where its name says its unit.
    """
    words = [word for word in _NOT_WORD.split(metric.lower()) if word]
    split = ""
    if words and words[0] in _SPLIT_WORDS:
        split = _SPLIT_WORDS[words.pop(0)]
    elif len(words) > 1 and words[-1] in _SPLIT_WORDS:
        split = _SPLIT_WORDS[words.pop()]
    base = "_".join(words)
    if base in _PLAIN:
        return Named(_PLAIN[base], split, 1.0)
    found = _AVERAGED.fullmatch(base)
    if found:
        how = found["how1"] or found["how2"]
        if found["how1"] and found["how2"]:
            return None
        return Named(f"{found['what']}_{how}" if how else found["what"], split, 1.0)
    return _amount(words, split)


def _amount(words: list[str], split: str) -> Named | None:
    """A latency, a memory or a size: a kind, at most one statistic and one unit, and no more."""
    rest = set(words)
    stats = [word for word in words if word in _STATS]
    rest -= set(stats)
    if len(stats) > 1:
        return None
    if rest & {"latency", "latencies"}:
        units = [word for word in words if word in _TO_MS]
        rest -= {"latency", "latencies", "inference", "prediction", "predict", "request", *units}
        if rest or len(units) > 1:
            return None
        stat = _STATS[stats[0]] if stats else "mean"
        key = f"latency_{stat}"
        return Named(f"{key}_ms", split, _TO_MS[units[0]]) if units else Named(key, split, 1.0)
    units = [word for word in words if word in _TO_MB]
    if len(units) != 1 or stats:
        return None
    rest -= {*units, "peak", "max", "used", "usage", "allocated", "in"}
    if rest & {"memory", "mem", "vram"} and (
        rest - {"memory", "mem"} and rest <= {"memory", "mem", "vram", "gpu", "cuda", "accelerator",
                                              "device"}
    ):  # fmt: skip
        return Named("accelerator_memory_mb", split, _TO_MB[units[0]])
    if rest == {"model", "size"}:
        return Named("model_size_mb", split, _TO_MB[units[0]])
    return None


_SYSTEM_MEMORY: Final = re.compile(r"system/gpu_[0-9]+_memory_usage_megabytes")


def is_gpu_memory(metric: str) -> bool:
    """Whether it is what MLflow logs by itself of one accelerator's memory."""
    return _SYSTEM_MEMORY.fullmatch(metric) is not None


def split_of(path: str) -> str:
    """On which data an artifact says it was made, by the first word of its name."""
    name = path.rpartition("/")[2].lower()
    words = [word for word in _NOT_WORD.split(name.rpartition(".")[0]) if word]
    for word in (words[0], words[-1]) if words else ():
        if word in _SPLIT_WORDS:
            # MLflow's own ``eval_results_table`` is on whatever was evaluated.
            return _SPLIT_WORDS[word]
    return ""
