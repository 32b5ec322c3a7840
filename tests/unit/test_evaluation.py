"""What a run's metrics and artifacts say of it, and when two runs differ by more than noise."""

from __future__ import annotations

import csv
import io
import json
import random

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mcp_tui.domain.evalfiles import (
    Confusion,
    EvalFileError,
    Predictions,
    Report,
    kind_of,
    predictions_of,
    read,
)
from mcp_tui.domain.evalnames import split_of, understand
from mcp_tui.domain.evaltable import as_csv, as_document, as_markdown, side_by_side
from mcp_tui.domain.evaluation import Evaluation, evaluate, evaluated_on, wanted
from mcp_tui.domain.noise import Pairs, Verdict, differences, pair
from mcp_tui.errors import McpTuiError
from tests.hostile.texts import hostile
from tests.unit.test_compare import run

TRUE = ["cat", "dog", "cat", "bird", "dog", "cat"]
SAID = ["cat", "dog", "dog", "bird", "dog", "bird"]
EVAL = [("evaluation", "held-out", "d1")]

# --- names


@pytest.mark.parametrize(
    ("name", "key", "split", "scale"),
    [
        ("accuracy", "accuracy", "", 1), ("val_acc", "accuracy", "val", 1),
        ("test/f1_macro", "f1_macro", "test", 1), ("macro avg_f1-score", "f1_macro", "", 1),
        ("eval_f1_score_macro", "f1_macro", "eval", 1), ("f1_score", "f1", "", 1),
        ("weighted_precision", "precision_weighted", "", 1),
        ("recall_micro", "recall_micro", "", 1),
        ("training_accuracy_score", "accuracy", "train", 1),
        ("latency_p99_ms", "latency_p99_ms", "", 1), ("p99_latency_s", "latency_p99_ms", "", 1e3),
        ("inference_latency_seconds", "latency_mean_ms", "", 1e3),
        ("latency/p99", "latency_p99", "", 1), ("latency_ms_median", "latency_p50_ms", "", 1),
        ("peak_gpu_memory_gib", "accelerator_memory_mb", "", 1073.741824),
        ("gpu_memory_mb", "accelerator_memory_mb", "", 1),
        ("model_size_bytes", "model_size_mb", "", 1e-6), ("roc_auc", "roc_auc", "", 1),
    ],
)  # fmt: skip
def test_metrics_are_known_by_their_usual_names(
    name: str, key: str, split: str, scale: float
) -> None:
    found = understand(name)
    assert found is not None
    assert found == (key, split, scale)


@pytest.mark.parametrize(
    "name",
    ["grad_norm", "latency_p99_p95_ms", "latency_budget_ms", "memory_mb", "f1_macro_delta", "test",
     "model_size", "macro_f1_micro", "", "cpu_memory_mb", "accuracy_of_nothing"],
)  # fmt: skip
def test_what_only_looks_alike_is_not_taken(name: str) -> None:
    assert understand(name) is None


def test_one_file_of_each_kind_is_wanted_and_none_on_training_data() -> None:
    assert wanted(
        [
            "model/MLmodel", "training_confusion_matrix.json", "eval/val_predictions.csv",
            "test_predictions.csv", "predictions.json", "classification_report.json",
            "deep/er/classification_report.json", "confusion_matrix.png",
        ]
    ) == ("test_predictions.csv", "classification_report.json")  # fmt: skip
    assert kind_of("a/b/eval_results_table.json") == "predictions"
    assert kind_of("per_class_metrics.csv") == kind_of("x/test_per_class_metrics.csv") == "report"
    assert kind_of("predictions.parquet") == "predictions" and kind_of("notes.txt") == ""
    assert split_of("a/test_report.json") == "test" and split_of("report_val.csv") == "val"


# --- files


def test_a_report_of_scikit_learn() -> None:
    tree = sk.classification_report(TRUE, SAID, output_dict=True, zero_division=0)
    found = read("classification_report.json", json.dumps(tree).encode())
    assert isinstance(found, Report)
    assert [each.label for each in found.classes] == ["bird", "cat", "dog"]
    assert found.classes[1].recall == pytest.approx(1 / 3)
    assert found.averages["f1_macro"] == pytest.approx(sk.f1_score(TRUE, SAID, average="macro"))
    assert found.averages["accuracy"] == pytest.approx(4 / 6)


def test_mlflows_metrics_by_class() -> None:
    data = (
        b"positive_class,true_negatives,false_positives,false_negatives,true_positives,"
        b"example_count,accuracy_score,recall_score,precision_score,f1_score\n"
        b"0,3,1,1,5,10,0.8,0.8333,0.8333,0.8333\n1,6,1,1,2,10,0.8,0.6667,0.6667,0.6667\n"
    )
    found = read("per_class_metrics.csv", data)
    assert isinstance(found, Report)
    assert [(c.label, c.support, c.recall) for c in found.classes] == [
        ("0", 6, 0.8333), ("1", 3, 0.6667),
    ]  # fmt: skip


LABELS = ("bird", "cat", "dog")
MATRIX = ((1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 2.0))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.json", json.dumps({"labels": LABELS, "matrix": MATRIX})),
        ("m.json", json.dumps({"classes": LABELS, "confusion_matrix": MATRIX})),
        ("m.json", pd.DataFrame(MATRIX, LABELS, LABELS).to_json(orient="split")),
        ("m.json", pd.DataFrame(MATRIX, LABELS, LABELS).T.to_json()),
        ("m.csv", pd.DataFrame(MATRIX, LABELS, LABELS).to_csv()),
        ("m.csv", pd.DataFrame(MATRIX, LABELS, LABELS).iloc[::-1].to_csv()),
        ("m.csv", pd.DataFrame(MATRIX, LABELS, LABELS).to_csv(index=False)),
        ("m.csv", pd.DataFrame(MATRIX, LABELS, LABELS).to_csv(sep=";")),
        ("m.csv", "\ufeff" + pd.DataFrame(MATRIX, LABELS, LABELS).to_csv()),
    ],
)
def test_a_confusion_matrix_in_any_of_its_forms(name: str, data: str) -> None:
    found = read(f"confusion_matrix_{name}", data.encode())
    assert isinstance(found, Confusion)
    assert (found.labels, found.matrix) == (LABELS, MATRIX)


def test_a_bare_matrix_has_numbers_for_labels() -> None:
    for name, data in (("json", b"[[1,2],[3,4]]"), ("csv", b"1,2\n3,4\n")):
        found = read(f"confusion_matrix.{name}", data)
        assert isinstance(found, Confusion) and found.labels == ("0", "1")
    # With numbers for labels, beside and above it.
    found = read("confusion_matrix.csv", b",0,1\n0,5,1\n1,2,3\n")
    assert isinstance(found, Confusion)
    assert found.matrix == ((5, 1), (2, 3))


ROWS = [
    {"example_id": f"e{n}", "label": t, "prediction": p, "x": 0.5}
    for n, (t, p) in enumerate(zip(TRUE, SAID, strict=True))
]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("predictions.json", json.dumps(ROWS)),
        ("predictions.jsonl", "\n".join(json.dumps(row) for row in ROWS)),
        ("predictions.csv", pd.DataFrame(ROWS).to_csv(index=False)),
        ("predictions.csv", pd.DataFrame(ROWS).to_csv()),
        ("predictions.tsv", pd.DataFrame(ROWS).to_csv(index=False, sep="\t")),
        ("eval_results_table.json", pd.DataFrame(ROWS).to_json(orient="split")),
        ("predictions.json", json.dumps(pd.DataFrame(ROWS).to_dict(orient="list"))),
    ],
)
def test_predictions_in_any_of_their_forms(name: str, data: str) -> None:
    found = read(name, data.encode())
    assert isinstance(found, Predictions)
    assert found.ids == tuple(f"e{n}" for n in range(6))
    assert (list(found.truth), list(found.predicted)) == (TRUE, SAID)
    assert found == msgspec.structs.replace(predictions_of(name, ROWS), path=name)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_line_of_json_ends_nowhere_but_at_its_end(end: str) -> None:
    rows = [{**row, "text": "a\u2028b\u2029c\x85d"} for row in ROWS]
    data = end.join(json.dumps(row, ensure_ascii=False) for row in rows) + end
    found = read("predictions.jsonl", data.encode())
    assert isinstance(found, Predictions)
    assert list(found.predicted) == SAID


def test_a_class_is_the_same_as_number_and_as_text() -> None:
    found = predictions_of("p", [{"id": 1, "y_true": 1, "y_pred": 1.0}, {"id": "2.0", "y_true": "1",
                                  "y_pred": True}])  # fmt: skip
    assert (found.ids, found.truth, found.predicted) == (("1", "2"), ("1", "1"), ("1", "True"))


BAD: list[tuple[str, bytes, str]] = [
    ("classification_report.json", b"", "not valid JSON"),
    ("classification_report.json", b"{", "not valid JSON"),
    ("classification_report.json", b"[]", "not a classification report"),
    ("classification_report.json", b"{}", "no class has"),
    ("classification_report.json", b"\xff\xfe", "not UTF-8"),
    ("classification_report.json", b'{"a":' * 100_000, "nested too deep"),
    ("classification_report.json", b"1" * 10_000, "not valid JSON"),
    ("classification_report.json", b'{"a": {"precision": 95, "recall": 1}}', "no share"),
    ("classification_report.json", b'{"a": {"recall": -0.1}}', "no share"),
    ("classification_report.json", b'{"\\u001b[2J": {"recall": 1}}', "has no name"),
    ("classification_report.json", b'{"a": {"recall": 1}, "a ": {"recall": 1}}', "stands twice"),
    ("confusion_matrix.json", b"[[1,2],[3]]", "does not have 2 counts"),
    ("confusion_matrix.json", b"[[1,-2],[3,4]]", "no count"),
    ("confusion_matrix.json", b'[["x",2],[3,4]]', "no count"),
    ("confusion_matrix.json", b"[[NaN,2],[3,4]]", "no count"),
    ("confusion_matrix.json", b"[]", "0 classes"),
    ("confusion_matrix.json", b'{"labels": ["a"], "matrix": [[1,2],[3,4]]}', "2 rows for 1"),
    ("confusion_matrix.json", b'{"labels": ["a", "a"], "matrix": [[1,2],[3,4]]}', "stands twice"),
    ("confusion_matrix.json", b'{"labels": "ab", "matrix": [[1,2],[3,4]]}', "no list"),
    ("confusion_matrix.json", b"7", "not a confusion matrix"),
    ("confusion_matrix.json", b'{"x": 1}', "is one"),
    ("confusion_matrix.csv", b"1,2,3\n4,5,6\n", "no square"),
    ("confusion_matrix.csv", b",a,b\na,1,2\nc,3,4\n", "not the same classes"),
    ("confusion_matrix.csv", b"\n\n", "it is empty"),
    ("confusion_matrix.json", b"[[" + b"9" * 4000 + b"]]", "no count"),
    ("predictions.csv", b"a,b\n1,2\n", "no column is the true label"),
    ("predictions.csv", b"label,b\n1,2\n", "no column is the prediction"),
    ("predictions.csv", b"label,prediction\n1,\n", "row 1 has no prediction"),
    ("predictions.csv", b"label,prediction\nnan\n", "row 1 is too short"),
    ("predictions.csv", b"id,label,prediction\n1,a,a\n1,b,b\n", "1 ids stand more than once"),
    ("predictions.csv", b"id,label,prediction\n,a,a\n", "row 1 has no id"),
    ("predictions.csv", b"label,prediction\n", "no rows"),
    ("predictions.csv", b'label,prediction\n"' + b"a" * 200_000, "not valid CSV"),
    ("predictions.json", b'{"a": 1}', "not a table"),
    ("predictions.json", b"[1, 2]", "a list of objects"),
    ("predictions.json", b'{"columns": ["label", "prediction"], "data": [1]}', "too short"),
    ("predictions.json", b'[{"label": 1e400, "prediction": 1}]', "no true label"),
    ("predictions.json", b'[{"label": {"a": 1}, "prediction": 1}]', "no true label"),
    ("predictions.csv", b"label,prediction\n" + b"\n".join(b"%d.5,.25" % n for n in range(30)),
     "numbers, not classes"),
    ("predictions.csv", b"label,prediction\n" + b"\n".join(b"c%d,a" % n for n in range(1_001)),
     "1,002 classes"),
    ("predictions.parquet", b"PAR1", "not a file"),
    ("notes.txt", b"", "not a file"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "data", "says"), BAD)
def test_what_cannot_be_read_says_why(path: str, data: bytes, says: str) -> None:
    with pytest.raises(EvalFileError) as caught:
        read(path, data)
    assert says in caught.value.what
    assert caught.value.where == path


@given(
    path=st.sampled_from([path for path, _, _ in BAD]),
    data=st.one_of(
        st.binary(max_size=60),
        hostile.map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), hostile),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(["labels", "matrix", "columns", "data", "precision", "recall",
                                     "label", "prediction", "id", "a"]), inner, max_size=3),
            ),
            max_leaves=12,
        ).map(lambda tree: json.dumps(tree).encode()),
        st.lists(st.lists(hostile, min_size=1, max_size=3), max_size=4).map(
            lambda rows: "\n".join(",".join(r) for r in rows).encode("utf-8", "replace")),
    ),
)  # fmt: skip
def test_any_file_is_read_or_refused(path: str, data: bytes) -> None:
    try:
        found = read(path, data)
    except EvalFileError as error:
        assert "\x1b" not in error.line() and "\n" not in error.line()
        return
    shown = repr(found)
    assert "\\x1b" not in shown and "\\u202e" not in shown
    evaluate(run(1), {path: data})


# --- one run


def predictions_csv(rows: list[tuple[str, str, str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([("id", "label", "prediction"), *rows])
    return out.getvalue().encode()


def test_figures_come_from_metrics_and_files() -> None:
    found = evaluate(
        run(
            1,
            {
                "test_f1_macro": 0.9, "val_f1_macro": 0.99, "training_accuracy": 1.0,
                "latency_p99_s": 0.038, "custom": 3.0, "log_loss": "NaN",
                "system/gpu_0_memory_usage_megabytes": 1000.0,
                "system/gpu_1_memory_usage_megabytes": 500.0,
            },
            data=EVAL,
        ),
        {"test_confusion_matrix.json": json.dumps({"labels": LABELS, "matrix": MATRIX}).encode()},
        model_size=2_000_000,
    )  # fmt: skip
    value = found.values["f1_macro"]
    # On test data before that on validation data; and the matrix says something else.
    assert (value.number, value.source, value.split) == (0.9, "test_f1_macro", "test")
    assert "test_confusion_matrix.json gives 0.656" in value.disputed
    assert any("test_f1_macro is 0.900, but" in line for line in found.problems)
    assert found.values["latency_p99_ms"].number == pytest.approx(38)
    assert found.values["accelerator_memory_mb"].number == 1500
    assert found.values["model_size_mb"].number == 2
    # What was measured on training data stands for nothing; the matrix' accuracy is taken.
    assert found.values["accuracy"].source == "test_confusion_matrix.json"
    assert found.values["accuracy"].number == pytest.approx(4 / 6)
    assert "log_loss" not in found.values
    assert found.find("custom") is not None and found.find("nothing") is None
    assert found.classes["cat"].recall == pytest.approx(1 / 3)
    assert found.data == {"d1"}


def test_figures_agree_with_scikit_learn() -> None:
    rows = [(str(n), t, p) for n, (t, p) in enumerate(zip(TRUE, SAID, strict=True))]
    found = evaluate(run(1), {"predictions.csv": predictions_csv(rows)})
    for how in ("macro", "micro", "weighted"):
        expected = sk.precision_recall_fscore_support(TRUE, SAID, average=how, zero_division=0)
        got = [found.values[f"{what}_{how}"].number for what in ("precision", "recall", "f1")]
        assert got == pytest.approx(list(expected[:3]))


def test_a_class_that_nothing_is_known_of_is_no_zero() -> None:
    matrix = [[3, 0, 0], [0, 2, 0], [0, 0, 0]]
    data = json.dumps({"labels": ["a", "b", "c"], "matrix": matrix}).encode()
    found = evaluate(run(1), {"confusion_matrix.json": data})
    assert found.classes["c"].recall is None
    assert found.values["f1_macro"].number == 1.0


def test_two_metrics_that_say_different_things_are_disputed() -> None:
    found = evaluate(run(1, {"test_accuracy": 0.9, "test_acc": 0.7}))
    assert found.values["accuracy"].disputed


def test_a_file_that_cannot_be_read_is_a_problem_and_no_more() -> None:
    found = evaluate(run(1, {"accuracy": 0.5}), {"confusion_matrix.json": b"{"})
    assert found.values["accuracy"].number == 0.5
    assert "confusion_matrix.json: not valid JSON" in found.problems[0]


@pytest.mark.parametrize(
    ("data", "digests", "why"),
    [
        ([("evaluation", "a", "d1"), ("training", "b", "d2")], {"d1"}, ""),
        ([("", "a", "d1")], {"d1"}, ""),
        ([("test", "a", "d1"), ("val", "b", "d2")], {"d1", "d2"}, ""),
        ([("", "a", "d1"), ("", "b", "d2")], set(), "which of its data sets"),
        ([("training", "a", "d1")], set(), "only training data"),
        ([], set(), "no data set"),
        ([("eval", "a", "unknown")], set(), "no digest"),
        ([("eval", "a", "")], set(), "no digest"),
    ],
)
def test_the_data_evaluated_on(
    data: list[tuple[str, str, str]], digests: set[str], why: str
) -> None:
    found, said = evaluated_on(run(1, data=data))
    assert found == digests
    assert bool(said) == bool(why) and why in said


# --- two runs


def predicted(seed: int, n: int, right: float) -> list[tuple[str, str, str]]:
    """Predictions by a classifier of that worth on examples that are the same for all."""
    world, own = random.Random(1), random.Random(seed)
    rows = []
    for number in range(n):
        label = world.choice("abc")
        hit = own.random() < right
        rows.append((f"e{number}", label, label if hit else own.choice("abc".replace(label, ""))))
    return rows


def judged(
    number: int, rows: list[tuple[str, str, str]], data: list[tuple[str, str, str]] | None = None,
    metrics: dict[str, float | str] | None = None,
) -> Evaluation:  # fmt: skip
    return evaluate(
        run(number, metrics, data=EVAL if data is None else data),
        {"predictions.csv": predictions_csv(rows)},
    )


def test_a_clear_difference_is_more_than_noise_whatever_the_order_of_rows() -> None:
    champion = judged(1, predicted(1, 400, 0.7))
    rows = predicted(2, 400, 0.9)
    random.Random(0).shuffle(rows)
    found = differences(judged(2, rows), champion)
    for key in ("accuracy", "f1_macro", "recall_weighted", "recall:a"):
        assert found[key].verdict is Verdict.BETTER, key
        assert found[key].pairs == 400
    assert found["accuracy"].p is not None and found["accuracy"].p < 0.001
    back = differences(champion, judged(2, rows))
    assert back["f1_macro"].verdict is Verdict.WORSE
    in_order = differences(judged(2, predicted(2, 400, 0.9)), champion)
    assert in_order == found
    assert found["f1_macro"].text().endswith("400 pairs: better")


def test_a_small_difference_is_within_noise() -> None:
    found = differences(judged(2, predicted(2, 300, 0.8)), judged(1, predicted(1, 300, 0.8)))
    assert found["f1_macro"].verdict is Verdict.WITHIN_NOISE
    low, high = found["f1_macro"].low, found["f1_macro"].high
    assert low is not None and high is not None and low < 0 < high


def test_more_candidates_share_the_five_per_cent() -> None:
    ours, theirs = judged(2, predicted(2, 300, 0.91)), judged(1, predicted(1, 300, 0.82))
    one, many = differences(ours, theirs), differences(ours, theirs, candidates=20)
    assert one["f1_macro"].low is not None and many["f1_macro"].low is not None
    assert many["f1_macro"].low < one["f1_macro"].low
    assert one["accuracy"].verdict is Verdict.BETTER
    assert many["accuracy"].verdict is Verdict.WITHIN_NOISE


OTHER = [("evaluation", "held-out", "d2")]


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (judged(2, predicted(2, 100, 0.9), OTHER), "digests differ"),
        (judged(2, predicted(2, 100, 0.9), []), "no data set is logged"),
        (judged(2, predicted(2, 99, 0.9)), "1 example ids are in one"),
        (judged(2, [(i, "a" if i == "e7" else t, p) for i, t, p in predicted(1, 100, 0.9)]),
         "another true label"),
        (evaluate(run(2, {"f1_macro": 0.9}, data=EVAL)), "run-2 logged no predictions"),
        (evaluate(run(2, data=EVAL), {"predictions.csv": b"label,prediction\na,a\n"}),
         "have no example ids"),
        (evaluate(run(2, {"f1_macro": 0.9}, data=EVAL), parsed=[
            predictions_of("p.parquet", [{"id": 1, "label": "a", "prediction": "a"}], whole=False)
        ]), "read in part"),
        (judged(2, predicted(2, 100, 0.9), metrics={"f1_macro": 0.2}), "disputed"),
        (judged(2, predicted(2, 100, 0.9), metrics={"test_f1_macro": 0.849}), ""),
    ],
)  # fmt: skip
def test_what_cannot_be_paired_cannot_be_told(candidate: Evaluation, why: str) -> None:
    champion = judged(1, predicted(1, 100, 0.7))
    found = differences(candidate, champion)["f1_macro"]
    if why:
        assert found.verdict is Verdict.CANNOT_TELL
        assert why in found.reason
    else:
        assert found.verdict is not Verdict.CANNOT_TELL


def test_a_figure_on_other_data_than_the_predictions_is_not_told_by_them() -> None:
    champion, rows = judged(1, predicted(1, 100, 0.7)), predicted(2, 100, 0.9)
    accuracy = sum(t == p for _, t, p in rows) / 100
    data = predictions_csv(rows)
    ours = evaluate(run(2, {"test_accuracy": accuracy}, data=EVAL), {"val_predictions.csv": data})
    found = differences(ours, champion)["accuracy"]
    assert (found.verdict, "on val data" in found.reason) == (Verdict.CANNOT_TELL, True)


def test_too_few_examples_are_said() -> None:
    found = differences(judged(2, predicted(2, 20, 0.9)), judged(1, predicted(1, 20, 0.5)))
    assert found["f1_macro"].reason == "20 examples are too few"


def test_a_latency_has_nothing_to_tell_noise_by() -> None:
    ours, theirs = (evaluate(run(n, {"latency_p99_ms": 30.0 + n})) for n in (2, 1))
    found = differences(ours, theirs)["latency_p99_ms"]
    assert (found.verdict, found.delta) == (Verdict.CANNOT_TELL, 1.0)
    assert "one figure each" in found.reason
    assert differences(ours, ours)["latency_p99_ms"].verdict is Verdict.SAME


@given(st.permutations(range(40)), st.permutations(range(40)))
def test_pairs_know_no_order(one: list[int], other: list[int]) -> None:
    a, b = predicted(1, 40, 0.7), predicted(2, 40, 0.8)
    found = pair(judged(2, [b[n] for n in one]), judged(1, [a[n] for n in other]))
    assert isinstance(found, Pairs)
    by_id = {row[0]: row for row in a}, {row[0]: row for row in b}
    order = sorted(by_id[0])
    assert found.truth == tuple(by_id[0][i][1] for i in order)
    assert found.champion == tuple(by_id[0][i][2] for i in order)
    assert found.candidate == tuple(by_id[1][i][2] for i in order)


# --- the table


def test_the_champion_stands_first_and_the_rest_beside_it() -> None:
    champion = judged(1, predicted(1, 400, 0.7), metrics={"latency_p99_ms": 30, "odd": 1.0})
    better = judged(2, predicted(2, 400, 0.9), metrics={"latency_p99_ms": 35})
    bare = evaluate(run(3, {"f1_macro": 0.8}))
    table = side_by_side([better, bare], champion, also=["odd", "absent"])
    assert [column.role for column in table.columns] == ["champion", "candidate", "candidate"]
    rows = {row.key: row for row in table.rows}
    assert rows["f1_macro"].cell(1).endswith("better") and "(best)" in rows["f1_macro"].cell(1)
    assert rows["latency_p99_ms"].best == (0,)
    assert rows["accuracy"].cell(2) == "-" and rows["accuracy"].texts[2] is None
    assert rows["odd"].group == "metric" and "absent" not in rows
    assert rows["recall:a"].group == "class"
    assert rows["f1_macro"].differences[0] is None
    cannot = rows["f1_macro"].differences[2]
    assert cannot is not None and cannot.verdict is Verdict.CANNOT_TELL
    document = as_document(table)
    assert json.loads(msgspec.json.encode(document))["columns"][0]["role"] == "champion"
    assert "cannot tell: run-3 logged no predictions" in as_csv(table)
    assert as_markdown(table).splitlines()[0].count("|") == 5


def test_without_a_champion_it_is_a_table_all_the_same() -> None:
    table = side_by_side([evaluate(run(n, {"f1_macro": n / 10})) for n in (1, 2)])
    [row] = table.rows
    assert row.best == (1,) and row.cell(0) == "0.100" and row.differences == (None, None)


def test_figures_on_other_data_or_disputed_are_not_the_best() -> None:
    table = side_by_side(
        [evaluate(run(1, {"test_f1_macro": 0.9})), evaluate(run(2, {"val_f1_macro": 0.8}))]
    )
    assert table.rows[0].best == ()
    disputed = evaluate(run(3, {"f1_macro": 0.99, "macro_f1": 0.5}))
    table = side_by_side([disputed, *(evaluate(run(n, {"f1_macro": n / 10})) for n in (1, 2))])
    assert table.rows[0].best == (2,) and table.problems


def test_equal_figures_of_other_data_are_not_the_same() -> None:
    rows = predicted(1, 100, 0.8)
    ours, theirs = judged(2, rows, OTHER), judged(1, rows)
    found = differences(ours, theirs)
    for key in ("accuracy", "recall:a"):
        assert (found[key].verdict, found[key].delta) == (Verdict.CANNOT_TELL, 0.0)
        assert "digests differ" in found[key].reason
    better = judged(3, predicted(3, 100, 0.95), OTHER)
    assert all(row.best == () for row in side_by_side([better], theirs).rows)
    quick = [evaluate(run(n, {"latency_p99_ms": n}, data=d)) for n, d in ((1, EVAL), (2, OTHER))]
    assert side_by_side(quick[1:], quick[0]).rows[0].best == (0,)


def test_errors_are_those_of_the_house() -> None:
    assert issubclass(EvalFileError, McpTuiError)
