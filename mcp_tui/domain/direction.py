"""Which way a metric is better: by configuration, else by its name, else nobody says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import msgspec


class Direction(StrEnum):
    """``NEITHER`` also where nothing tells: then no value is called the best."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_HIGHER: Final = _words(
    "accuracy acc precision recall f1 fbeta f2 auc auroc roc prauc auprc ap map mrr ndcg hits hit",
    "bleu rouge rouge1 rouge2 rougel rougelsum meteor chrf bertscore r2 reward iou miou dice",
    "jaccard kappa mcc psnr ssim throughput qps sensitivity specificity correct em top1 top5",
    "similarity coverage faithfulness relevance groundedness vmaf mos pesq stoi",
)
_LOWER: Final = _words(
    "loss error errors err mse rmse mae mape smape msle rmsle nll logloss crossentropy",
    "perplexity ppl bpb bpc wer cer ter der eer fid kid lpips latency duration time seconds ms",
    "memory mem brier ece hamming divergence kl fpr fnr regret cost toxicity residual deviance",
    "aic bic p50 p90 p95 p99",
)
_LOWER_PAIRS: Final = (("cross", "entropy"), ("model", "size"))
_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
_PER_TIME: Final = re.compile(r"(?:^|_)per_(?:s|sec|second|min|minute|h|hour)(?:_|$)")


class Directions(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says: names or patterns (``*``, ``?``), letter case aside.

    A name goes before a pattern, and both before what names usually mean.
    """

    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()

    def of(self, name: str) -> Direction:
        """The direction of a metric."""
        said = (
            (Direction.HIGHER, self.higher),
            (Direction.LOWER, self.lower),
            (Direction.NEITHER, self.neither),
        )
        small = name.lower()
        for direction, names in said:
            if any(small == each.lower() for each in names):
                return direction
        for direction, patterns in said:
            if any(fnmatchcase(small, each.lower()) for each in patterns):
                return direction
        return usual(name)


@lru_cache(maxsize=4_096)
def usual(name: str) -> Direction:
    """The direction that a metric's name tells: of ``val_f1_macro`` higher, of ``eval/loss`` lower.

    Of several telling words the last decides (``accuracy_loss`` is a loss), and ``neg_`` in front
    turns it round, as scikit-learn's scorers have it.
    """
    if name.startswith("system/"):
        return Direction.NEITHER
    words = [word.lower() for word in _SPLIT.split(name) if word]
    if _PER_TIME.search("_".join(words)):
        return Direction.HIGHER
    found = Direction.NEITHER
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if before in ("false", "true") and word.startswith(("positive", "negative")):
            found = Direction.LOWER if before == "false" else Direction.HIGHER
        elif word in _HIGHER:
            found = Direction.HIGHER
        elif word in _LOWER or (before, word) in _LOWER_PAIRS:
            found = Direction.LOWER
    # A score decides only where nothing else does.
    if found is Direction.NEITHER and "score" in words:
        found = Direction.HIGHER
    if words[:1] == ["neg"] and found is Direction.LOWER:
        return Direction.HIGHER
    return found


def best_of(values: Iterable[float | None], direction: Direction) -> tuple[int, ...]:
    """Places of the best values; empty where none is better than another.

    What is missing, not a number or infinite is never the best, and a value that stands alone is
    not either: there is nothing that it is better than.
    """
    import math

    if direction is Direction.NEITHER:
        return ()
    there = [(at, v) for at, v in enumerate(values) if v is not None and math.isfinite(v)]
    if len(there) < 2:
        return ()
    numbers = [value for _, value in there]
    top = max(numbers) if direction is Direction.HIGHER else min(numbers)
    found = tuple(at for at, value in there if same(value, top))
    return () if len(found) == len(there) else found


def same(one: float, other: float) -> bool:
    """Whether two figures are the same but for the last bits of their doubles."""
    import math

    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-300)
