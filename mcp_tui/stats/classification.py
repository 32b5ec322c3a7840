"""Precision, recall and F1 of a classifier, per class and averaged.

The definitions are scikit-learn's (User Guide, section "Classification metrics";
``sklearn.metrics.precision_recall_fscore_support``): with tp, fp and fn of a class,

- precision = tp / (tp + fp), recall = tp / (tp + fn), F1 = 2 tp / (2 tp + fp + fn);
- macro is the plain mean over classes, micro takes the sums of tp, fp and fn over classes,
  weighted is the mean weighted by support (tp + fn);
- what has a zero below the line is ``zero_division``, 0 unless said otherwise, and counts so in the
  means. Here it is also said (:attr:`ClassScore.undefined`), since a zero may then mean "never
  predicted" and not "always wrong".

With one label an example, micro precision, recall and F1 are all the accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ClassScore(NamedTuple):
    """One class; ``undefined`` names what had a zero below the line."""

    precision: float
    recall: float
    f1: float
    support: float
    undefined: tuple[str, ...] = ()


class Average(NamedTuple):
    """One way to average over classes."""

    precision: float
    recall: float
    f1: float


class Scores(NamedTuple):
    """All that a confusion matrix says; ``classes`` by label, in the order of the matrix."""

    accuracy: float
    macro: Average
    micro: Average
    weighted: Average
    classes: dict[str, ClassScore]
    support: float


def scores(
    labels: Sequence[str], matrix: Sequence[Sequence[float]], *, zero_division: float = 0.0
) -> Scores:
    """Scores from a confusion matrix.

    Args:
        labels: One a class.
        matrix: Rows are the true class, columns the predicted one, as scikit-learn has it. Counts
            or weights, none negative.
        zero_division: What a fraction with a zero below the line is.

    Raises:
        ValueError: The matrix is not square, is not of those labels, or holds what is no count.
    """
    n = len(labels)
    if len(set(labels)) != n:
        raise ValueError("a class stands twice")
    if len(matrix) != n or any(len(row) != n for row in matrix):
        raise ValueError("the matrix is not square, or not of these classes")
    if any(not 0 <= cell < float("inf") for row in matrix for cell in row):
        raise ValueError("the matrix holds what is no count")
    hits = [float(matrix[i][i]) for i in range(n)]
    support = [float(sum(row)) for row in matrix]
    predicted = [float(sum(column)) for column in zip(*matrix, strict=True)]
    return from_counts(labels, hits, support, predicted, zero_division=zero_division)


def from_pairs(
    truth: Sequence[str], predicted: Sequence[str], *, zero_division: float = 0.0
) -> Scores:
    """Scores from the true and the predicted class of each example.

    Classes are those that occur in either, in their order as text.

    Raises:
        ValueError: The two are not equally long.
    """
    hits: dict[str, int] = {}
    support: dict[str, int] = {}
    taken: dict[str, int] = {}
    for true, said in zip(truth, predicted, strict=True):
        support[true] = support.get(true, 0) + 1
        taken[said] = taken.get(said, 0) + 1
        if true == said:
            hits[true] = hits.get(true, 0) + 1
    labels = sorted(support.keys() | taken.keys())
    return from_counts(
        labels,
        [hits.get(each, 0) for each in labels],
        [support.get(each, 0) for each in labels],
        [taken.get(each, 0) for each in labels],
        zero_division=zero_division,
    )


def from_counts(
    labels: Sequence[str],
    hits: Sequence[float],
    support: Sequence[float],
    predicted: Sequence[float],
    *,
    zero_division: float = 0.0,
) -> Scores:
    """Scores from the counts of each class: found rightly, truly there, and predicted."""
    each: list[ClassScore] = []
    for tp, there, said in zip(hits, support, predicted, strict=True):
        undefined = []
        if not said:
            undefined.append("precision")
        if not there:
            undefined.append("recall")
        if not there + said:
            undefined.append("f1")
        each.append(
            ClassScore(
                ratio(tp, said, zero_division),
                ratio(tp, there, zero_division),
                ratio(2 * tp, there + said, zero_division),
                float(there),
                tuple(undefined),
            )
        )
    total = float(sum(support))
    right, said = float(sum(hits)), float(sum(predicted))
    micro = Average(
        ratio(right, said, zero_division),
        ratio(right, total, zero_division),
        ratio(2 * right, total + said, zero_division),
    )
    return Scores(
        accuracy=ratio(right, total, zero_division),
        macro=mean_of(each, [1.0] * len(each), zero_division),
        micro=micro,
        weighted=mean_of(each, [score.support for score in each], zero_division),
        classes=dict(zip(labels, each, strict=True)),
        support=total,
    )


def mean_of(
    each: Sequence[ClassScore], weights: Sequence[float], zero_division: float = 0.0
) -> Average:
    """The weighted mean of class scores: equal weights give macro, the supports give weighted."""
    total = sum(weights)

    def mean(values: Sequence[float]) -> float:
        weighed = sum(w * value for w, value in zip(weights, values, strict=True))
        return ratio(weighed, total, zero_division)

    return Average(
        mean([score.precision for score in each]),
        mean([score.recall for score in each]),
        mean([score.f1 for score in each]),
    )


def ratio(above: float, below: float, zero_division: float = 0.0) -> float:
    """A fraction; ``zero_division`` where there is nothing below the line."""
    return above / below if below else zero_division
