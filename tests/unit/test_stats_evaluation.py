"""Scores, McNemar's test and the paired bootstrap: worked values, properties, error rates."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn import metrics as sk

from mcp_tui.stats import bootstrap
from mcp_tui.stats.bootstrap import SCORES, difference_intervals
from mcp_tui.stats.classification import from_pairs, scores
from mcp_tui.stats.mcnemar import mcnemar
from tests.soak import times

# --- scores

# The User Guide's example of classification_report.
GUIDE_TRUE = list("01220")
GUIDE_SAID = list("00210")
GUIDE_MATRIX = [[2, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_the_worked_example_of_the_user_guide() -> None:
    found = from_pairs(GUIDE_TRUE, GUIDE_SAID)
    assert found == scores(list("012"), GUIDE_MATRIX)
    assert [round(found.classes["0"][at], 2) for at in range(4)] == [0.67, 1.0, 0.8, 2]
    assert [round(found.classes["1"][at], 2) for at in range(4)] == [0.0, 0.0, 0.0, 1]
    assert [round(found.classes["2"][at], 2) for at in range(4)] == [1.0, 0.5, 0.67, 2]
    assert found.accuracy == 0.6
    assert [round(value, 2) for value in found.macro] == [0.56, 0.5, 0.49]
    assert [round(value, 2) for value in found.weighted] == [0.67, 0.6, 0.59]


labels = st.sampled_from(["a", "b", "c", "d"])
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=40)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(pairs, st.sampled_from([0.0, 1.0]))
def test_scores_agree_with_scikit_learn(rows: list[tuple[str, str]], zero: float) -> None:
    truth, said = [row[0] for row in rows], [row[1] for row in rows]
    found = from_pairs(truth, said, zero_division=zero)
    report = sk.classification_report(truth, said, output_dict=True, zero_division=zero)
    for label, score in found.classes.items():
        theirs = report[label]
        assert score.precision == pytest.approx(theirs["precision"], abs=1e-12)
        assert score.recall == pytest.approx(theirs["recall"], abs=1e-12)
        assert score.f1 == pytest.approx(theirs["f1-score"], abs=1e-12)
        assert score.support == theirs["support"]
    for name, average in (("macro", found.macro), ("weighted", found.weighted)):
        theirs = report[f"{name} avg"]
        expected = [theirs["precision"], theirs["recall"], theirs["f1-score"]]
        assert list(average) == pytest.approx(expected, abs=1e-12)
    micro = sk.precision_recall_fscore_support(truth, said, average="micro", zero_division=zero)
    assert list(found.micro) == pytest.approx(list(micro[:3]), abs=1e-12)
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, said))
    order = sorted(set(truth) | set(said))
    assert scores(order, sk.confusion_matrix(truth, said, labels=order).tolist(),
                  zero_division=zero) == found  # fmt: skip


@given(pairs, st.permutations(range(4)))
def test_scores_know_no_order(rows: list[tuple[str, str]], order: list[int]) -> None:
    found = from_pairs(*zip(*rows, strict=True))
    turned = from_pairs(*zip(*reversed(rows), strict=True))
    assert found == turned
    assert all(0 <= value <= 1 for value in (*found.macro, *found.micro, *found.weighted))
    assert found.micro.f1 == pytest.approx(found.accuracy)
    # Other names for the classes change no average.
    renamed = from_pairs(*([str(order["abcd".index(x)]) for x in side]
                           for side in zip(*rows, strict=True)))  # fmt: skip
    assert list(renamed.macro) == pytest.approx(list(found.macro))


def test_what_has_nothing_below_the_line_is_said() -> None:
    found = from_pairs(["a", "a"], ["a", "b"])
    assert found.classes["b"].undefined == ("recall",)
    assert found.classes["b"].recall == 0
    empty = scores(["a", "b"], [[1, 0], [0, 0]])
    assert empty.classes["b"].undefined == ("precision", "recall", "f1")
    assert scores([], []).accuracy == 0


@pytest.mark.parametrize(
    ("names", "matrix"),
    [
        (["a"], [[1, 2]]),
        (["a", "b"], [[1, 2]]),
        (["a", "a"], [[1, 2], [1, 2]]),
        (["a"], [[-1]]),
        (["a"], [[math.nan]]),
        (["a"], [[math.inf]]),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(
    names: list[str], matrix: list[list[float]]
) -> None:
    with pytest.raises(ValueError):
        scores(names, matrix)


# --- McNemar


@pytest.mark.parametrize(
    ("b", "c", "exact", "mid"),
    [
        # Fagerland, Lydersen, Laake (2013), their two examples: airway hyper-responsiveness (1 and
        # 7 discordant pairs) and complete response (6 and 16).
        (1, 7, 0.0703, 0.0391),
        (6, 16, 0.0525, 0.0347),
    ],
)
def test_the_worked_examples_of_the_paper(b: int, c: int, exact: float, mid: float) -> None:
    found = mcnemar(b, c)
    assert round(found.exact, 4) == exact
    assert round(found.mid_p, 4) == mid
    assert mcnemar(c, b)[:2] == found[:2]


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    found = mcnemar(b, c)
    if b + c:
        theirs = scipy_stats.binomtest(b, b + c, 0.5).pvalue
        assert found.exact == pytest.approx(theirs, rel=1e-9, abs=1e-280)
        point = scipy_stats.binom.pmf(b, b + c, 0.5)
        half = point / 2 if b == c else point
        assert found.mid_p == pytest.approx(theirs - half, rel=1e-6, abs=1e-12)
    assert 0 <= found.mid_p <= found.exact <= 1


def test_mcnemar_at_the_edges() -> None:
    assert mcnemar(0, 0).mid_p == 1.0
    assert mcnemar(5, 5).mid_p == pytest.approx(1 - math.comb(10, 5) / 2**11)
    assert mcnemar(500_000, 500_000).exact == 1.0
    assert mcnemar(499_000, 501_000).exact == pytest.approx(
        scipy_stats.binomtest(499_000, 1_000_000, 0.5).pvalue, rel=1e-6
    )
    assert mcnemar(0, 100_000).exact == 0.0
    with pytest.raises(ValueError):
        mcnemar(-1, 2)


def test_mid_p_keeps_its_level() -> None:
    """Under no difference, in the cases that the paper simulates (pairs 10 to 100).

    Exactly, not by simulation: over all outcomes of n pairs of which a share q is discordant. The
    exact test is never above 0.05. Mid-p is by little, and by most (0.065 at 50) where every pair
    is discordant, which two classifiers of any worth never are.
    """
    for n in (10, 25, 50, 100):
        for q in (0.1, 0.3, 0.6, 1.0):
            wrong_mid = wrong_exact = 0.0
            for discordant in range(n + 1):
                share = float(scipy_stats.binom.pmf(discordant, n, q))
                for b in range(discordant + 1):
                    found = mcnemar(b, discordant - b)
                    weight = share * math.comb(discordant, b) / 2**discordant
                    wrong_mid += weight * (found.mid_p <= 0.05)
                    wrong_exact += weight * (found.exact <= 0.05)
            assert wrong_exact <= 0.05
            assert wrong_mid <= (0.055 if q < 1 else 0.066), (n, q)


# --- bootstrap


def example(seed: int, n: int, better: float = 0.0, classes: str = "abc") -> tuple[list[str], ...]:
    """Truth and two classifiers that share what is hard; the second is right more often."""
    chance = random.Random(seed)
    truth, first, second = [], [], []
    for _ in range(n):
        label = chance.choice(classes)
        hard = chance.random()
        wrong = chance.choice(classes.replace(label, ""))
        truth.append(label)
        first.append(label if hard + chance.gauss(0, 0.1) < 0.8 else wrong)
        second.append(label if hard + chance.gauss(0, 0.1) < 0.8 + better else wrong)
    return truth, first, second


def f1_difference(truth: object, first: object, second: object) -> float:
    """What scikit-learn says."""
    return float(
        sk.f1_score(truth, second, average="macro") - sk.f1_score(truth, first, average="macro")
    )


@pytest.mark.soak
@pytest.mark.parametrize(
    ("method", "theirs", "name"),
    [("bca", "BCa", "f1_macro"), ("percentile", "percentile", "accuracy")],
)
def test_intervals_agree_with_scipy(method: str, theirs: str, name: str) -> None:
    truth, first, second = (np.array(side) for side in example(3, 150, 0.05))
    sides = (list(truth), list(first), list(second))
    ours = difference_intervals(*sides, [name], draws=20_000, method=method)[name]

    def statistic(at: np.ndarray) -> float:
        if name == "accuracy":
            return float(np.mean(truth[at] == second[at]) - np.mean(truth[at] == first[at]))
        return f1_difference(truth[at], first[at], second[at])

    expected = scipy_stats.bootstrap(
        (np.arange(150),),
        statistic,
        method=theirs,
        n_resamples=times(1_000, 9_999),
        vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval
    room = 0.1 * (expected.high - expected.low)
    assert ours.low == pytest.approx(expected.low, abs=room)
    assert ours.high == pytest.approx(expected.high, abs=room)


def test_the_correction_for_skew_is_scipys() -> None:
    """Six of forty wrong and none before: far from symmetric, so that the acceleration shows."""
    truth, first = ["a"] * 40, ["a"] * 40
    second = ["b"] * 6 + ["a"] * 34
    ours = difference_intervals(truth, first, second, ["accuracy"], draws=100_000)["accuracy"]
    wrong = np.array([-1.0] * 6 + [0.0] * 34)
    theirs = scipy_stats.bootstrap(
        (wrong,), np.mean, method="BCa", n_resamples=100_000, rng=np.random.default_rng(1)
    ).confidence_interval
    plain = difference_intervals(
        truth, first, second, ["accuracy"], draws=100_000, method="percentile"
    )["accuracy"]
    # A step is one example, 0.025.
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.001)
    assert ours.low < plain.low - 0.02


@given(pairs=st.lists(st.tuples(labels, labels, labels), min_size=1, max_size=30))
def test_differences_are_those_of_the_scores(pairs: list[tuple[str, str, str]]) -> None:
    truth, first, second = (list(side) for side in zip(*pairs, strict=True))
    one, two = from_pairs(truth, first), from_pairs(truth, second)
    label = truth[0]
    names = [*SCORES, f"recall:{label}", f"precision:{label}", f"f1:{label}"]
    found = difference_intervals(truth, first, second, names, draws=50)
    assert found["accuracy"].difference == pytest.approx(two.accuracy - one.accuracy)
    for at, what in enumerate(("precision", "recall", "f1")):
        for how in ("macro", "micro", "weighted"):
            expected = getattr(two, how)[at] - getattr(one, how)[at]
            assert found[f"{what}_{how}"].difference == pytest.approx(expected), (what, how)
        expected = two.classes[label][at] - one.classes.get(label, (0, 0, 0))[at]
        assert found[f"{what}:{label}"].difference == pytest.approx(expected)
    for interval in found.values():
        assert interval.low <= interval.high
        assert interval.low >= -1 and interval.high <= 1
    # The same the other way round, and in another order of the examples.
    back = difference_intervals(truth, second, first, ["f1_macro"], draws=50, method="percentile")
    assert back["f1_macro"].difference == pytest.approx(-found["f1_macro"].difference)
    assert found == difference_intervals(truth[::-1], first[::-1], second[::-1], names, draws=50)


def test_equal_classifiers_have_no_difference() -> None:
    truth, first, _ = example(1, 100)
    assert difference_intervals(truth, first, first, ["f1_macro"])["f1_macro"] == (0, 0, 0)


def test_draws_in_pieces_are_bounded_and_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = example(5, 60)
    once = difference_intervals(*sides, ["f1_macro"], draws=500, seed=7)
    assert once == difference_intervals(*sides, ["f1_macro"], draws=500, seed=7)
    assert once != difference_intervals(*sides, ["f1_macro"], draws=500, seed=8)
    # The generator is drawn from in the same order, so pieces change nothing.
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 200)
    assert once == difference_intervals(*sides, ["f1_macro"], draws=500, seed=7)


@pytest.mark.parametrize(
    ("metrics", "more"),
    [
        (["nonsense"], {}),
        (["recall:z"], {}),
        (["accuracy:a"], {}),
        (["accuracy"], {"method": "x"}),
        (["accuracy"], {"level": 1.0}),
    ],
)
def test_what_is_unknown_is_refused(metrics: list[str], more: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        difference_intervals(["a", "b"], ["a", "b"], ["a", "b"], metrics, **more)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError):
        difference_intervals([], [], [], ["accuracy"])
    with pytest.raises(ValueError):
        difference_intervals(["a"], ["a", "b"], ["a"], ["accuracy"])


def test_too_many_classes_are_refused_at_once() -> None:
    many = [str(n) for n in range(1_001)]
    with pytest.raises(ValueError, match="too many"):
        difference_intervals(many, many, many, ["accuracy"])


@pytest.mark.soak
def test_intervals_miss_as_often_as_they_say() -> None:
    """Two classifiers of equal worth: a 95 % interval leaves zero out in about 5 % of data sets.

    With 400 data sets of 300 examples the count of misses is binomial: between 2.2 % and 8.5 %
    (4 standard deviations) is what chance leaves.
    """
    worlds = times(400, 2_000)
    wrong = 0
    for seed in range(worlds):
        found = difference_intervals(*example(seed, 300), ["f1_macro"], draws=600, seed=seed)
        wrong += not found["f1_macro"].low <= 0 <= found["f1_macro"].high
    assert 0.022 <= wrong / worlds <= 0.085, wrong / worlds


def test_a_real_difference_is_found() -> None:
    found = sum(
        difference_intervals(*example(seed, 500, 0.1), ["f1_macro"], draws=400)["f1_macro"].low > 0
        for seed in range(40)
    )
    assert found >= 36
