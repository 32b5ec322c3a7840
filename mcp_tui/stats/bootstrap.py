"""Bootstrap intervals for the difference of two classifiers' scores on the same examples.

Efron, Tibshirani (1993), "An Introduction to the Bootstrap", chapters 13 (percentile) and 14 (BCa);
BCa is from Efron (1987), "Better Bootstrap Confidence Intervals", JASA 82:171-185. Examples are
drawn as pairs, so that what both find hard is hard for both in every sample (Berg-Kirkpatrick,
Burkett, Klein (2012), "An Empirical Investigation of Statistical Significance in NLP").

A score of this kind depends on an example only through its cell: true class, what the first said,
what the second said. Drawing n examples with replacement is then drawing the counts of the cells
from a multinomial distribution, and the jackknife of BCa has one value a cell, not one an example:
the same numbers in law, at a cost that does not grow with n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SCORES: Final = (
    "accuracy",
    *(f"{what}_{how}" for how in ("macro", "micro", "weighted") for what in
      ("precision", "recall", "f1")),
)  # fmt: skip
"""The scores that a difference is known of; with ``recall:LABEL`` and its kin for one class."""

DRAWS: Final = 2_000
MOST_WORK: Final = 1_000_000
"""Different cells times classes: a few seconds of one core. More is refused."""

_AT_ONCE: Final = 4_000_000
"""The most numbers of one intermediate table."""


class Interval(NamedTuple):
    """A difference, second less first, and the interval around it."""

    difference: float
    low: float
    high: float


def difference_intervals(
    truth: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    metrics: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    method: str = "bca",
) -> dict[str, Interval]:
    """Intervals for ``second - first`` of several scores, from the same draws.

    Args:
        truth: The true class of each example.
        first: What the first classifier said of the same examples, in the same order.
        second: What the second said.
        metrics: Of :data:`SCORES`, or ``recall:LABEL``, ``precision:LABEL``, ``f1:LABEL``.
        level: How often the interval should hold the true difference.
        draws: Samples drawn.
        seed: The same seed gives the same interval.
        method: ``bca`` or ``percentile``.

    Raises:
        ValueError: Sequences of different lengths or none, an unknown score, class or method, or
            more than :data:`MOST_WORK`.
    """
    import numpy as np

    if not truth or not 0.0 < level < 1.0 or method not in ("bca", "percentile"):
        raise ValueError("no examples, or no such level or method")
    cells = Counter(zip(truth, first, second, strict=True))
    order = sorted(cells)
    labels = sorted({label for cell in order for label in cell})
    if not metrics:
        return {}
    if len(order) * len(labels) > MOST_WORK:
        raise ValueError(f"{len(order):,} kinds of outcome of {len(labels):,} classes are too many")
    place = {label: at for at, label in enumerate(labels)}
    codes = np.array([[place[label] for label in cell] for cell in order])
    counts = np.array([cells[cell] for cell in order], dtype=np.float64)
    n = int(counts.sum())
    measure = _Measure(codes, labels, metrics)
    seen = measure(counts[None, :])[0]
    generator = np.random.default_rng(seed)
    drawn = np.concatenate(
        [
            measure(generator.multinomial(n, counts / n, size=size).astype(np.float64))
            for size in _pieces(draws, len(order), len(labels))
        ]
    )
    # Without one example of each cell in turn.
    left_out = _without_one(measure, counts, len(labels)) if n > 1 and method == "bca" else None
    found: dict[str, Interval] = {}
    for at, name in enumerate(metrics):
        jackknife = None if left_out is None else left_out[:, at]
        low, high = _bounds(drawn[:, at], float(seen[at]), jackknife, counts, level, method)
        found[name] = Interval(float(seen[at]), low, high)
    return found


def _pieces(rows: int, cells: int, classes: int) -> list[int]:
    """How many rows of counts are measured at a time, so that memory stays bounded."""
    most = max(1, _AT_ONCE // (cells + 6 * classes))
    return [most] * (rows // most) + ([rows % most] if rows % most else [])


def _without_one(measure: _Measure, counts: Numbers, classes: int) -> Numbers:
    """The differences without one example of each cell in turn."""
    import numpy as np

    found, start = [], 0
    for size in _pieces(len(counts), len(counts), classes):
        rows = np.repeat(counts[None, :], size, axis=0)
        rows[np.arange(size), np.arange(start, start + size)] -= 1.0
        found.append(measure(rows))
        start += size
    return np.concatenate(found)


class _Measure:
    """Differences of scores from counts of cells, for many draws at once."""

    def __init__(
        self, codes: NDArray[np.int64], labels: Sequence[str], metrics: Sequence[str]
    ) -> None:
        import numpy as np

        self._labels = labels
        self._metrics = metrics
        for name in metrics:
            what, colon, label = name.partition(":")
            known = what in ("precision", "recall", "f1") and label in labels if colon else False
            if not known and name not in SCORES:
                raise ValueError(f"no score or class: {name}")
        classes = np.arange(len(labels))
        # Indicators: which cells count for which class.
        self._true = (codes[:, :1] == classes).astype(np.float64)
        self._said = [(codes[:, side, None] == classes).astype(np.float64) for side in (1, 2)]
        self._hits = [self._true * said for said in self._said]

    def __call__(self, counts: Numbers) -> Numbers:
        import numpy as np

        support = counts @ self._true
        sides = [
            self._side(counts, support, counts @ hits, counts @ said)
            for hits, said in zip(self._hits, self._said, strict=True)
        ]
        return np.stack([sides[1][name] - sides[0][name] for name in self._metrics], axis=1)

    def _side(
        self, counts: Numbers, support: Numbers, hits: Numbers, said: Numbers
    ) -> dict[str, Numbers]:
        import numpy as np

        def ratio(above: Numbers, below: Numbers) -> Numbers:
            return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

        each = {
            "precision": ratio(hits, said),
            "recall": ratio(hits, support),
            "f1": ratio(2 * hits, support + said),
        }
        # A class that a draw has none of, neither true nor predicted, is no class of that draw.
        there = (support + said > 0).astype(np.float64)
        total = counts.sum(axis=1)
        right = ratio(hits.sum(axis=1), total)
        found = {"accuracy": right}
        for what, values in each.items():
            found[f"{what}_micro"] = right
            found[f"{what}_macro"] = ratio((values * there).sum(axis=1), there.sum(axis=1))
            found[f"{what}_weighted"] = ratio((values * support).sum(axis=1), support.sum(axis=1))
        for name in self._metrics:
            what, colon, label = name.partition(":")
            if colon:
                found[name] = each[what][:, self._labels.index(label)]
        return found


def _bounds(
    drawn: Numbers,
    seen: float,
    jackknife: Numbers | None,
    weights: Numbers,
    level: float,
    method: str,
) -> tuple[float, float]:
    """The two ends of an interval."""
    import numpy as np

    tail = (1.0 - level) / 2.0
    ends = (tail, 1.0 - tail)
    if method == "bca" and jackknife is not None:
        ends = _corrected(drawn, seen, jackknife, weights, ends)
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def _corrected(
    drawn: Numbers, seen: float, jackknife: Numbers, weights: Numbers, ends: tuple[float, float]
) -> tuple[float, float]:
    """BCa's percentages: corrected for bias (z0) and acceleration (a); Efron (1987), 2.3 and 6.6.

    A statistic that is the same in all draws has no correction: its percentiles are kept.
    """
    from statistics import NormalDist

    normal = NormalDist()
    # Ties count by half, as a score of counts has many.
    below = float((drawn < seen).mean() + (drawn == seen).mean() / 2.0)
    if not 0.0 < below < 1.0:
        return ends
    z0 = normal.inv_cdf(below)
    middle = float((jackknife * weights).sum() / weights.sum())
    away = middle - jackknife
    squares = float((weights * away**2).sum())
    skew = float((weights * away**3).sum()) / (6.0 * squares**1.5) if squares > 1e-24 else 0.0

    def moved(end: float) -> float:
        z = z0 + normal.inv_cdf(end)
        scale = 1.0 - skew * z
        return normal.cdf(z0 + z / scale) if scale > 0 else end

    return moved(ends[0]), moved(ends[1])
