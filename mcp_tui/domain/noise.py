"""Whether two runs differ by more than noise: only where examples can be paired, else not known.

Two runs are paired by the ids of the examples they predicted, on data of an equal digest, with the
same true label for each: never by the order of rows. Accuracy is then compared by McNemar's mid-p
test, precision, recall and F1 by a paired bootstrap interval (BCa); see :mod:`mcp_tui.stats`.

What is called more than noise is so at 5 %, shared among the candidates that are held against one
champion (Bonferroni): with three candidates each stands at 1.7 %. It is not shared among a row's
metrics, which say much the same thing in other words: of twenty metrics without any difference one
will look like one. It speaks of the examples at hand as a sample; not of another training run with
another seed, and not of data that has changed since.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from mcp_tui.domain.direction import same
from mcp_tui.domain.evalnames import BY_KEY, split_of
from mcp_tui.domain.evaluation import DISPUTED_BY, Evaluation, Value, comparable
from mcp_tui.domain.figures import figure, signed
from mcp_tui.stats.classification import Scores, from_pairs

ALPHA: Final = 0.05
MIN_PAIRS: Final = 30
"""A bootstrap of fewer examples says more than it knows."""

ONE_FIGURE: Final = "one figure each: nothing tells how much it varies"
"""Of a latency, say: there is nothing to be done about it, and it need not be said each time."""

_PARTS: Final = ("precision", "recall", "f1")
PAIRED: Final = frozenset(
    {"accuracy", *(f"{what}_{how}" for what in _PARTS for how in ("macro", "micro", "weighted"))}
)
"""Figures that predictions give."""

OF_MACHINES: Final = ("latency", "accelerator_memory", "model_size")
"""How keys begin whose figures are not of the data that was evaluated on."""


class Verdict(StrEnum):
    """What can be said of a difference."""

    BETTER = "better"
    WORSE = "worse"
    WITHIN_NOISE = "within noise"
    SAME = "same"
    CANNOT_TELL = "cannot tell"


class Difference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One figure of a candidate against the champion's.

    Attributes:
        key: The figure, or ``recall:LABEL`` and its kin.
        delta: Candidate less champion; None when one is missing.
        low, high: The interval around it, where there is one.
        p: McNemar's mid-p, of accuracy.
        pairs: Examples it rests on.
        reason: Why it cannot be told; empty otherwise.
    """

    key: str
    verdict: Verdict
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    pairs: int = 0
    reason: str = ""

    def text(self) -> str:
        """``+0.021 [+0.004 +0.038], 500 pairs: better``."""
        if self.delta is None:
            return f"{self.verdict}: {self.reason}"
        parts = [signed(self.delta)]
        if self.low is not None and self.high is not None:
            parts.append(f"[{signed(self.low)} {signed(self.high)}]")
        text = " ".join(parts)
        text += f", {self.pairs:,} pairs" if self.pairs else ""
        return f"{text}: {self.verdict}" + (f" ({self.reason})" if self.reason else "")


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """Examples that both predicted, in the order of their ids."""

    truth: tuple[str, ...]
    champion: tuple[str, ...]
    candidate: tuple[str, ...]


def pair(candidate: Evaluation, champion: Evaluation) -> Pairs | str:
    """Pair two runs' predictions; or why they cannot be."""
    theirs, ours = champion.predictions, candidate.predictions
    for name, found in (("the champion", theirs), (candidate.label, ours)):
        if found is None:
            return f"{name} logged no predictions"
        if not found.ids:
            return f"the predictions of {name} have no example ids"
        if not found.whole:
            return f"the predictions of {name} were read in part"
    for name, each in (("the champion", champion), (candidate.label, candidate)):
        if not each.data:
            return f"{name}: {each.data_unknown or 'its evaluation data is not known'}"
    other = other_data(candidate, champion)
    if other:
        return other
    if theirs is None or ours is None:  # said above
        return ""
    at = {example: n for n, example in enumerate(theirs.ids)}
    missing = len(at.keys() ^ set(ours.ids))
    if missing:
        return f"{missing:,} example ids are in one and not in the other"
    order = sorted(range(len(ours.ids)), key=lambda n: ours.ids[n])
    places = [at[ours.ids[n]] for n in order]
    truth = tuple(ours.truth[n] for n in order)
    wrong = sum(theirs.truth[p] != label for p, label in zip(places, truth, strict=True))
    if wrong:
        return f"{wrong:,} examples have another true label in one than in the other"
    return Pairs(
        truth=truth,
        champion=tuple(theirs.predicted[p] for p in places),
        candidate=tuple(ours.predicted[n] for n in order),
    )


def differences(
    candidate: Evaluation, champion: Evaluation, *, candidates: int = 1
) -> dict[str, Difference]:
    """Every figure and class of either against the champion's, by key.

    Args:
        candidate: The one that is to be released.
        champion: The one that is live.
        candidates: How many are held against this champion: they share the 5 %.
    """
    alpha = ALPHA / max(1, candidates)
    keys = [key for key in BY_KEY if key in candidate.values or key in champion.values]
    labels = [
        f"{what}:{label}"
        for label in dict.fromkeys([*champion.classes, *candidate.classes])
        for what in _PARTS
    ]
    paired = pair(candidate, champion)
    known = [key for key in keys if key in PAIRED]
    tested: dict[str, Difference] = {}
    if isinstance(paired, Pairs):
        seen = set(paired.truth)
        met = seen | (set(paired.champion) & set(paired.candidate))
        classes = [
            key for key in labels
            if (label := key.partition(":")[2]) in met
            and (label in seen or not key.startswith("recall:"))
        ]  # fmt: skip
        tested = _tested(paired, [*known, *classes], alpha)
        for each, said in ((champion, paired.champion), (candidate, paired.candidate)):
            tested |= _not_what_was_tested(each, from_pairs(paired.truth, said), known)
    return {
        key: _judge(key, candidate, champion, paired, tested.get(key)) for key in [*keys, *labels]
    }


def _not_what_was_tested(
    evaluation: Evaluation, counted: Scores, keys: Sequence[str]
) -> dict[str, Difference]:
    """Figures in the table that the predictions do not give: a test of others says nothing."""
    split = split_of(evaluation.predictions.path) if evaluation.predictions else ""
    found = {}
    for key in keys:
        value, what = evaluation.values.get(key), ""
        if value is None:
            continue
        part, _, how = key.partition("_")
        number = getattr(getattr(counted, how), part) if how else counted.accuracy
        if not comparable(value.split, split):
            what = f"{evaluation.label}'s predictions are on {split} data"
        elif abs(value.number - number) > DISPUTED_BY:
            what = f"{evaluation.label}'s predictions give {figure(number, 3)}"
        if what:
            found[key] = Difference(key=key, verdict=Verdict.CANNOT_TELL, reason=what)
    return found


def class_figure(evaluation: Evaluation, key: str) -> Value | None:
    """A class' figure by ``recall:LABEL`` and its kin."""
    what, _, label = key.partition(":")
    found = evaluation.classes.get(label)
    value = getattr(found, what, None) if found is not None and what in _PARTS else None
    if value is None:
        return None
    return Value(number=value, source=evaluation.classes_from, split=evaluation.classes_split)


def of(evaluation: Evaluation, key: str) -> Value | None:
    """A figure, a metric, or a class' figure."""
    return class_figure(evaluation, key) if ":" in key else evaluation.find(key)


def other_data(*evaluations: Evaluation) -> str:
    """Why figures of these runs are not of the same data; empty where that is not known."""
    known = {each.data for each in evaluations if each.data}
    return "evaluated on other data: the digests differ" if len(known) > 1 else ""


def not_the_same_data(candidate: Value, champion: Value) -> str:
    """Why two figures are not to be held against each other; empty when nothing speaks for that."""
    if candidate.split and champion.split and candidate.split != champion.split:
        return f"measured on {candidate.split} data, the champion's on {champion.split} data"
    return ""


def _judge(
    key: str,
    candidate: Evaluation,
    champion: Evaluation,
    paired: Pairs | str,
    tested: Difference | None,
) -> Difference:
    ours, theirs = of(candidate, key), of(champion, key)
    if ours is None or theirs is None:
        who = champion.label if theirs is None else candidate.label
        return Difference(key=key, verdict=Verdict.CANNOT_TELL, reason=f"{who} has no such figure")
    delta = ours.number - theirs.number
    why = not_the_same_data(ours, theirs)
    if not why and not key.startswith(OF_MACHINES):
        why = other_data(candidate, champion)
    for each, value in ((champion, theirs), (candidate, ours)):
        if value.disputed and not why:
            why = f"disputed for {each.label}: {value.disputed}"
    if not why and tested is not None and not tested.reason:
        return msgspec.structs.replace(tested, delta=delta)
    if not why and same(ours.number, theirs.number):
        return Difference(key=key, verdict=Verdict.SAME, delta=0.0)
    if not why and tested is not None:
        why = tested.reason
    if not why and isinstance(paired, str) and (key in PAIRED or ":" in key):
        why = paired
    why = why or ONE_FIGURE
    return Difference(key=key, verdict=Verdict.CANNOT_TELL, delta=delta, reason=why)


def _tested(paired: Pairs, keys: Sequence[str], alpha: float) -> dict[str, Difference]:
    from mcp_tui.stats.bootstrap import difference_intervals
    from mcp_tui.stats.mcnemar import mcnemar

    n = len(paired.truth)
    found: dict[str, Difference] = {}
    reason = f"{n:,} examples are too few" if n < MIN_PAIRS else ""
    intervals = {}
    if not reason:
        # The same data gives the same interval, on every console and at every time.
        seed = zlib.crc32("\x1f".join((*paired.truth, *paired.champion, *paired.candidate)).encode(
            "utf-8", "surrogatepass"
        ))  # fmt: skip
        try:
            intervals = difference_intervals(
                paired.truth, paired.champion, paired.candidate, keys, level=1 - alpha, seed=seed
            )
        except ValueError as error:
            reason = str(error)
    for key in keys:
        interval = intervals.get(key)
        low, high = (interval.low, interval.high) if interval else (None, None)
        if key == "accuracy":
            right = [
                [said == truth for said, truth in zip(side, paired.truth, strict=True)]
                for side in (paired.champion, paired.candidate)
            ]
            test = mcnemar(
                sum(a and not b for a, b in zip(*right, strict=True)),
                sum(b and not a for a, b in zip(*right, strict=True)),
            )
            up = test.only_second > test.only_first
            found[key] = Difference(
                key=key,
                verdict=_verdict(test.mid_p < alpha, up),
                low=low,
                high=high,
                p=test.mid_p,
                pairs=n,
            )
        elif low is None or high is None:
            found[key] = Difference(
                key=key, verdict=Verdict.CANNOT_TELL, pairs=n, reason=reason or "no interval"
            )
        else:
            out = low > 0 or high < 0
            verdict = _verdict(out, low > 0)
            found[key] = Difference(key=key, verdict=verdict, low=low, high=high, pairs=n)
    return found


def _verdict(told: bool, up: bool) -> Verdict:
    """Of a figure that is better when higher, as all are that predictions give."""
    if not told:
        return Verdict.WITHIN_NOISE
    return Verdict.BETTER if up else Verdict.WORSE
