"""Gates: the grammar, where it says an error is, and what passes."""

from __future__ import annotations

import json
import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.evaluation import Evaluation, evaluate
from mcp_tui.domain.gaterules import GateError, GateKind, parse, parse_file
from mcp_tui.domain.gates import GateStatus, check, documents, lines, passed
from mcp_tui.errors import UsageError
from tests.hostile.texts import hostile
from tests.unit.test_compare import run
from tests.unit.test_evaluation import EVAL, judged, predicted

# --- the grammar


@pytest.mark.parametrize(
    ("rule", "test", "metric", "op", "bound", "factor"),
    [
        ("f1_macro >= 0.90", GateKind.BOUND, "f1_macro", ">=", 0.9, 1),
        ("F1_MACRO>=0.90", GateKind.BOUND, "f1_macro", ">=", 0.9, 1),
        ("latency_p99_ms <= 40", GateKind.BOUND, "latency_p99_ms", "<=", 40, 1),
        ("loss < 1e-3", GateKind.BOUND, "loss", "<", 0.001, 1),
        ("r2 > -.5", GateKind.BOUND, "r2", ">", -0.5, 1),
        ("accuracy >= 90%", GateKind.BOUND, "accuracy", ">=", 0.9, 1),
        ("accuracy ≥ 90 %", GateKind.BOUND, "accuracy", ">=", 0.9, 1),
        ('"my metric" <= 3', GateKind.BOUND, "my metric", "<=", 3, 1),
        ("eval/Loss-2 <= 3", GateKind.BOUND, "eval/Loss-2", "<=", 3, 1),
        ('recall of "big cat" >= 0.8', GateKind.BOUND, "recall:big cat", ">=", 0.8, 1),
        ("recall of class cat >= 0.8", GateKind.BOUND, "recall:cat", ">=", 0.8, 1),
        ("f1_macro >= champion", GateKind.CHAMPION, "f1_macro", ">=", 0, 1),
        ("f1_macro >= champion - 0.01", GateKind.CHAMPION, "f1_macro", ">=", -0.01, 1),
        ("f1_macro >= champion -0.01", GateKind.CHAMPION, "f1_macro", ">=", -0.01, 1),
        ("latency_p99_ms <= champion * 1.10", GateKind.CHAMPION, "latency_p99_ms", "<=", 0, 1.1),
        ("latency_p99_ms <= champion + 5", GateKind.CHAMPION, "latency_p99_ms", "<=", 5, 1),
        ("f1_macro drops by at most 0.01", GateKind.CHAMPION, "f1_macro", ">=", -0.01, 1),
        ("latency_p99_ms rises by at most 5", GateKind.CHAMPION, "latency_p99_ms", "<=", 5, 1),
        ("f1_macro is better than champion", GateKind.BETTER, "f1_macro", "", 0, 1),
        ("no class recall drops by more than 0.02", GateKind.NO_CLASS_DROPS, "recall", "", 0.02, 1),
        ("No class F1 is below 0.7", GateKind.NO_CLASS_BELOW, "f1", "", 0.7, 1),
    ],
)
def test_rules_are_understood(
    rule: str, test: GateKind, metric: str, op: str, bound: float, factor: float
) -> None:
    found = parse(rule)
    assert (found.test, found.metric, found.op) == (test, metric, op)
    assert (found.bound, found.factor) == (pytest.approx(bound), factor)


@pytest.mark.parametrize(
    ("rule", "column", "says", "hint"),
    [
        ("", 1, "empty", "f1_macro >= 0.90"),
        ("f1_macro", 9, "expected >=, <=, > or <, nothing follows", "write for example"),
        ("f1_macro = 0.9", 10, "found '='", "never just equal"),
        ("f1_macro => 0.9", 10, "found '=>'", "did you mean >=?"),
        ("f1_macro >= high", 13, "expected a number, found 'high'", ""),
        ("f1_macro >=", 12, "expected a number, nothing follows", ""),
        (">= 0.9", 1, "expected a metric", ""),
        ("0.9 <= f1_macro", 1, "found the number 0.9", ""),
        ("f1_macro >= 0.9 or 0.8", 17, "expected the end", ""),
        ("no class recal drops by more than 0.02", 10, "found 'recal'", "did you mean recall?"),
        ("no class recall falls", 17, "found 'falls'", "drops by more than 0.02"),
        ("no class recall drops by 0.02", 26, "expected 'more'", ""),
        ("no class recall drops by more than -1", 36, "not negative", ""),
        ("f1_macro >= champion * -1", 24, "not negative", ""),
        ("f1_macro drops by 0.1", 19, "expected 'at'", ""),
        ("f1_macro drops by at most 1 pt", 29, "found 'pt'", "one is 0.01"),
        ("recall of >= 0.9", 11, "expected a class", ""),
        ('"" >= 1', 1, "an empty one", ""),
        ("f1 >= 1e999", 7, "too large", ""),
        ("f1 >= 9" + "9" * 400, 7, "too large", ""),
        ("f1 >= nan", 7, "found 'nan'", ""),
        ("x" * 501, 501, "longer than 500", ""),
    ],
)
def test_errors_say_where_and_what_to_write(rule: str, column: int, says: str, hint: str) -> None:
    with pytest.raises(GateError) as caught:
        parse(rule)
    assert caught.value.column == column
    assert says in caught.value.what
    assert hint in caught.value.hint


@given(st.one_of(hostile, st.lists(st.sampled_from(
    ["no", "class", "recall", "f1_macro", ">=", "<", "champion", "*", "-", "+", "0.5", "5%", "is",
     "better", "than", "drops", "by", "more", "at", "most", "of", '"a"', "below", "%", "'"]
), max_size=10).map(" ".join)))  # fmt: skip
def test_any_text_is_a_rule_or_an_error_that_is_clean(text: str) -> None:
    try:
        gate = parse(text)
    except GateError as error:
        assert 1 <= error.column <= len(text) + 1
        assert "\x1b" not in error.line() and "\n" not in error.line()
        return
    again = parse(gate.rule)
    assert again == gate


FILE = """\
# what a release must keep
gates = [
  "f1_macro >= 0.90",
  {rule = "latency_p99_ms <= 40", why = "the page's budget"},
  "f1_macro >= 0.90",
    "no class recal drops by more than 0.02",
]
"""


def test_a_files_error_says_line_and_column() -> None:
    with pytest.raises(UsageError) as caught:
        parse_file(FILE, "gates.toml")
    assert caught.value.where == "gates.toml:6:15"
    line = FILE.splitlines()[5]
    assert line[14:].startswith("recal ")
    good = parse_file(FILE.replace("recal ", "recall "), "gates.toml")
    assert [gate.why for gate in good] == ["", "the page's budget", "", ""]
    # Each is looked for after the one before, and not where a reason happens to read the same.
    quoted = 'gates = [{why = "a >> 1", rule = "a >= 1"},\n"a >> 1"]'
    with pytest.raises(UsageError) as caught:
        parse_file(quoted, "g")
    assert caught.value.where == "g:2:5"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no gates in it"),
        ("gates = []", "1 to 200 rules"),
        ("gates = 7", "1 to 200 rules"),
        ("gates = [7]", "gate 1 is neither"),
        ("gates = [{rule = 7}]", "gate 1 is neither"),
        ('gates = [{rul = "a"}]', "gate 1 is neither"),
        ("gates = [", "not valid TOML"),
        ("gate = ['a > 1']", "unknown key 'gate'"),
        ("gates = [" + "[" * 5_000, "not valid TOML"),
        ("gates = [" + "9" * 5_000 + "]", "not valid TOML"),
        ('gates = ["a \\u003e\\u003e 1"]', "expected"),
        ("gates = [" + ", ".join(['"a > 1"'] * 201) + "]", "1 to 200 rules"),
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_file(text, "g.toml")
    assert says in caught.value.line()
    assert caught.value.where.startswith("g.toml")


@given(st.lists(hostile, max_size=3))
def test_any_file_is_read_or_refused(texts: list[str]) -> None:
    body = "gates = " + json.dumps([t.encode("utf-8", "replace").decode() for t in texts],
                                   ensure_ascii=False).replace("\x7f", "\\u007f")  # fmt: skip
    try:
        tomllib.loads(body)
        parse_file(body, "g.toml")
    except (UsageError, tomllib.TOMLDecodeError) as error:
        assert isinstance(error, tomllib.TOMLDecodeError) or "\x1b" not in error.line()


# --- looking


def status(rule: str, candidate: Evaluation, champion: Evaluation | None = None) -> str:
    [found] = check([parse(rule)], candidate, champion)
    return found.status.value


def figures(number: int = 2, **values: float | str) -> Evaluation:
    return evaluate(run(number, values, data=EVAL))


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("f1_macro >= 0.9", 0.9, "passed"),
        ("f1_macro >= 0.9", 0.8999, "failed"),
        ("f1_macro > 0.9", 0.9, "failed"),
        ("f1_macro <= 0.9", 0.90001, "failed"),
        ("f1_macro < 0.9", 0.9, "failed"),
        # 0.3 is a little less than 0.1 + 0.2 in doubles: no gate turns on that.
        ("f1_macro >= 0.30000000000000004", 0.3, "passed"),
        ("f1_macro >= 0.9", "NaN", "cannot tell"),
        ("f1_macro >= 0.9", "Infinity", "cannot tell"),
    ],
)
def test_an_absolute_gate(rule: str, value: float | str, expected: str) -> None:
    assert status(rule, figures(f1_macro=value)) == expected


def test_a_missing_figure_passes_nothing() -> None:
    [found] = check([parse("f1_macro >= 0.0")], figures(f1_micro=1.0))
    assert found.status is GateStatus.CANNOT_TELL
    assert found.message == "run-2 has no f1_macro (there is f1_micro)"
    assert not passed([found]) and not passed([])
    [found] = check([parse("latency_p99_ms <= 40")], figures(latency_p99=0.04))
    assert "logged without its unit" in found.message
    assert status("training_f1_macro >= 0.5", figures(training_f1_macro=0.9)) == "passed"
    assert status("f1_macro >= 0.5", figures(training_f1_macro=0.9)) == "cannot tell"


def test_a_disputed_figure_passes_nothing() -> None:
    assert status("f1_macro >= 0.5", figures(f1_macro=0.9, macro_f1=0.4)) == "cannot tell"


@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "expected"),
    [
        ("f1_macro >= champion", 0.9, 0.9, "passed"),
        ("f1_macro >= champion", 0.89, 0.9, "failed"),
        ("f1_macro >= champion - 0.02", 0.93, 0.95, "passed"),
        ("f1_macro drops by at most 0.02", 0.93, 0.95, "passed"),
        ("f1_macro drops by at most 0.02", 0.92, 0.95, "failed"),
        ("f1_macro <= champion * 1.1", 0.99, 0.9, "passed"),
        ("f1_macro <= champion * 1.1", 1.0, 0.9, "failed"),
    ],
)
def test_a_gate_against_the_champion(rule: str, ours: float, theirs: float, expected: str) -> None:
    assert status(rule, figures(f1_macro=ours), figures(1, f1_macro=theirs)) == expected
    assert status(rule, figures(f1_macro=ours)) == "cannot tell"
    assert status(rule, figures(f1_macro=ours), figures(1, accuracy=theirs)) == "cannot tell"


@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "expected", "bound"),
    [
        ("loss rises by at most 10%", 0.1, 0.01, "failed", "<= 0.011 (10% above"),
        ("loss rises by at most 10%", 0.0109, 0.01, "passed", "<= 0.011 (10% above"),
        ("loss <= champion + 10%", 0.1, 0.01, "failed", "<= 0.011 (10% above"),
        ("loss <= champion +10 %", 0.011, 0.01, "passed", "<= 0.011 (10% above"),
        ("latency_p99_ms rises by at most 5%", 41.9, 40, "passed", "<= 42 (5% above"),
        ("latency_p99_ms rises by at most 5%", 42.1, 40, "failed", "<= 42 (5% above"),
        ("f1_macro drops by at most 1%", 0.8905, 0.9, "failed", ">= 0.891 (1% below"),
        ("f1_macro >= champion - 1%", 0.8905, 0.9, "failed", ">= 0.891 (1% below"),
        ("f1_macro >= champion -1%", 0.8915, 0.9, "passed", ">= 0.891 (1% below"),
        # One point of a hundred is a number.
        ("f1_macro drops by at most 0.01", 0.8905, 0.9, "passed", ">= 0.89"),
        # A share is of the size: a drop of what is negative goes further down.
        ("elbo drops by at most 10%", -109, -100, "passed", ">= -110 (10% below"),
        ("elbo drops by at most 10%", -111, -100, "failed", ">= -110 (10% below"),
        ("elbo <= champion + 10%", -91, -100, "passed", "<= -90 (10% above"),
        # Of nothing, any share is nothing.
        ("loss rises by at most 10%", 0.001, 0, "failed", "<= 0 (10% above"),
        ("loss rises by at most 10%", 0, 0, "passed", "<= 0 (10% above"),
    ],
)
def test_a_percentage_is_of_the_champions_figure(
    rule: str, ours: float, theirs: float, expected: str, bound: str
) -> None:
    gate = parse(rule)
    [found] = check([gate], figures(**{gate.metric: ours}), figures(1, **{gate.metric: theirs}))
    assert found.status == expected
    assert bound in found.message
    assert f"the champion's {theirs:g})" in found.message or "%" not in rule


@pytest.mark.parametrize("share", ["1%", "10%", "250%"])
@pytest.mark.parametrize(("ours", "theirs"), [(0.1, 0.01), (0.0101, 0.01), (50, 40), (44, 40)])
def test_a_share_more_is_the_factor_that_it_makes(share: str, ours: float, theirs: float) -> None:
    factor = 1 + float(share[:-1]) / 100
    told = [
        status(f"loss {rule}", figures(loss=ours), figures(1, loss=theirs))
        for rule in (
            f"<= champion * {factor:g}",
            f"<= champion + {share}",
            f"rises by at most {share}",
        )
    ]
    assert len(set(told)) == 1


def test_of_a_class_a_percentage_is_of_the_champions_too() -> None:
    rule = "no class recall drops by more than 10%"
    champion = by_class(1, cat=0.9, fraud=0.2)
    assert status(rule, by_class(2, cat=0.82, fraud=0.19), champion) == "passed"
    # Though the other dropped by more points.
    [found] = check([parse(rule)], by_class(2, cat=0.82, fraud=0.15), champion)
    assert found.status is GateStatus.FAILED
    assert found.message == "worst: fraud 0.15, champion 0.2 (-0.05; 10% is 0.02)"


def test_figures_of_other_data_are_not_compared() -> None:
    ours, theirs = figures(test_f1_macro=0.9), figures(1, val_f1_macro=0.8)
    assert status("f1_macro >= champion", ours, theirs) == "cannot tell"
    elsewhere = evaluate(run(1, {"f1_macro": 0.8, "latency_p99_ms": 9}, data=[("eval", "x", "d9")]))
    assert status("f1_macro >= champion", ours, elsewhere) == "cannot tell"
    # A latency is not of the data.
    quick = figures(latency_p99_ms=8)
    assert status("latency_p99_ms <= champion", quick, elsewhere) == "passed"
    # Where one does not say, that is said, and they are compared.
    silent = evaluate(run(1, {"f1_macro": 0.8}))
    [found] = check([parse("f1_macro >= champion")], ours, silent)
    assert found.status is GateStatus.PASSED
    assert "not known: run-1: no data set is logged" in found.message


def test_better_than_the_champion_means_more_than_noise() -> None:
    rule = "f1_macro is better than champion"
    weak, strong = judged(1, predicted(1, 300, 0.7)), judged(2, predicted(2, 300, 0.9))
    assert status(rule, strong, weak) == "passed"
    assert status(rule, weak, strong) == "failed"
    assert status(rule, judged(3, predicted(3, 300, 0.71)), weak) == "failed"
    assert status(rule, figures(f1_macro=0.99), weak) == "cannot tell"


def by_class(number: int, **recalls: float) -> Evaluation:
    report = {name: {"precision": 0.9, "recall": value} for name, value in recalls.items()}
    data = json.dumps(report).encode()
    return evaluate(run(number, data=EVAL), {"classification_report.json": data})


RULE = "no class recall drops by more than 0.02"


def test_no_class_may_drop() -> None:
    champion = by_class(1, cat=0.95, dog=0.80, bird=0.7)
    assert status(RULE, by_class(2, cat=0.93, dog=0.9, bird=0.7), champion) == "passed"
    [found] = check([parse(RULE)], by_class(2, cat=0.92, dog=0.77, bird=0.9), champion)
    assert found.status is GateStatus.FAILED
    assert "champion" in found.found and found.found.split(" ")[0] in ("cat", "dog")
    assert status(RULE, by_class(2, cat=0.95, dog=0.80), champion) == "cannot tell"
    # 0.9 - 0.88 is no more than 0.02, in spite of the last bits of doubles.
    assert 0.9 - 0.88 > 0.02
    assert status(RULE, by_class(2, cat=0.88), by_class(1, cat=0.9)) == "passed"
    # One that dropped fails, whatever is missing beside it.
    assert status(RULE, by_class(2, cat=0.5), champion) == "failed"
    assert status(RULE, figures(accuracy=1.0), champion) == "cannot tell"
    assert status(RULE, champion, figures(1, accuracy=1.0)) == "cannot tell"
    assert status(RULE, champion) == "cannot tell"
    # A class that the champion does not have cannot drop.
    assert status(RULE, by_class(2, cat=0.95, dog=0.8, bird=0.7, cow=0.1), champion) == "passed"


def test_no_class_may_be_below() -> None:
    rule = "no class recall is below 0.7"
    assert status(rule, by_class(2, cat=0.7, dog=0.9)) == "passed"
    assert status(rule, by_class(2, cat=0.69, dog=0.9)) == "failed"
    assert status(rule, figures(accuracy=1.0)) == "cannot tell"
    assert status('recall of "cat" >= 0.7', by_class(2, cat=0.7)) == "passed"
    [found] = check([parse("recall of cats >= 0.7")], by_class(2, cat=0.7))
    assert found.message == "run-2 has no recall of class cats (there is cat)"


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1),
    st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1),
    st.floats(0, 0.5),
)
def test_the_class_gate_is_what_it_says(
    ours: dict[str, float], theirs: dict[str, float], limit: float
) -> None:
    rule = f"no class recall drops by more than {limit:.6f}"
    found = status(rule, by_class(2, **ours), by_class(1, **theirs))
    drops = [theirs[name] - ours[name] for name in theirs if name in ours]
    bound = float(f"{limit:.6f}")
    if any(drop > bound + 1e-9 for drop in drops):
        assert found == "failed"
    elif set(theirs) - set(ours):
        assert found == "cannot tell"
    elif all(drop < bound - 1e-9 for drop in drops):
        assert found == "passed"


@given(st.floats(0, 1), st.floats(0, 1))
def test_of_two_figures_the_better_passes_wherever_the_worse_does(one: float, other: float) -> None:
    for rule in ("f1_macro >= 0.5", "f1_macro > 0.25", "f1_macro >= champion - 0.1"):
        low, high = sorted((one, other))
        champion = figures(1, f1_macro=0.6)
        if status(rule, figures(f1_macro=low), champion) == "passed":
            assert status(rule, figures(f1_macro=high), champion) == "passed"


def test_results_as_text_and_as_data() -> None:
    gates = parse_file(FILE.replace("recal ", "recall "), "g")
    found = check(gates, figures(f1_macro=0.95, latency_p99_ms=50))
    assert [line.split("  ")[0].strip() for line in lines(found)] == [
        "passed", "failed", "passed", "cannot tell",
    ]  # fmt: skip
    told = documents(found)
    assert told[1] == {
        "rule": "latency_p99_ms <= 40",
        "why": "the page's budget",
        "status": "failed",
        "found": "50 (latency_p99_ms)",
        "message": "50 is not <= 40",
    }
    assert json.loads(msgspec.json.encode(told)) == told
