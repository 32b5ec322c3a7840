"""McNemar's test for two classifiers on the same examples.

Fagerland, Lydersen, Laake (2013), "The McNemar test for binary matched-pairs data: mid-p and
asymptotic are better than exact conditional", BMC Medical Research Methodology 13:91. Only the
discordant pairs count: with b examples that the first alone has right and c that the second alone
has right, under no difference b is binomial with n = b + c and 1/2.

- exact conditional: twice the smaller tail, at most 1; never too small, often too large;
- mid-p: the exact one less the probability of what was seen. The paper finds that it keeps its
  level in all but a few cases, and then by little, with more power: it is what the console uses.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class McNemar(NamedTuple):
    """Two-sided p-values, and the discordant pairs they come from."""

    exact: float
    mid_p: float
    only_first: int
    only_second: int


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """The test on counts of discordant pairs; without any, both p-values are 1.

    Raises:
        ValueError: A count is negative.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError("a count of pairs is not negative")
    n, k = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return McNemar(1.0, 1.0, 0, 0)
    point = _point(k, n)
    exact = min(1.0, 2.0 * _tail(k, n, point))
    # Where both sides are equal the point stands in both tails, and is taken once from one.
    mid = 1.0 - point / 2.0 if only_first == only_second else exact - point
    return McNemar(exact, max(0.0, min(1.0, mid)), only_first, only_second)


def _point(k: int, n: int) -> float:
    """The probability of exactly k of n at 1/2; by logarithms, so that no n overflows."""
    if n <= 1_000:
        return float(math.comb(n, k) / 2**n)
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2.0)
    return math.exp(log)


def _tail(k: int, n: int, point: float) -> float:
    """The probability of at most k of n, summed downwards until a term no longer counts."""
    total, term = point, point
    while k > 0:
        term *= k / (n - k + 1)
        if term < total * 1e-18:
            break
        total += term
        k -= 1
    return total
