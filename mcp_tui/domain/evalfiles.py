"""What evaluations leave among a run's artifacts: reports, confusion matrices, predictions.

Bytes in, checked structs out; whoever holds the bytes got them from anywhere. Known are

- a classification report: scikit-learn's ``classification_report(output_dict=True)`` as JSON, and
  MLflow's ``per_class_metrics.csv``;
- a confusion matrix, rows true and columns predicted, as JSON (``{"labels", "matrix"}``, a bare
  matrix, pandas' ``split``) or CSV (with a head, with or without an index column, or bare);
- predictions, one row an example: CSV, JSON (records, MLflow's ``{"columns", "data"}``, columns),
  JSON lines, or rows that somebody parsed (Parquet).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from mcp_tui.domain.evalparts import (
    MAX_CLASSES,
    MAX_ROWS,
    Wrong,
    labels_of,
    number_of,
    parse_csv,
    parse_json,
    share_of,
    word_of,
)
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import McpTuiError

MAX_BYTES: Final = 64 * 1024 * 1024


class EvalFileError(McpTuiError):
    """An artifact cannot be read as what its name promises; ``where`` is its path."""


class ClassFigures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One class; None is what was not said, or was not a number."""

    label: str
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    support: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A classification report; averages by name, such as ``f1_macro``, and ``accuracy``."""

    path: str
    classes: tuple[ClassFigures, ...]
    averages: Mapping[str, float]


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """A confusion matrix: rows true, columns predicted."""

    path: str
    labels: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


class Predictions(msgspec.Struct, frozen=True, kw_only=True):
    """What was predicted for each example.

    Attributes:
        ids: Which example; empty when the file does not say, and then it pairs with nothing.
        whole: Whether these are all rows of the file.
    """

    path: str
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    ids: tuple[str, ...] = ()
    whole: bool = True


EvalFile: TypeAlias = Report | Confusion | Predictions

_KINDS: Final = (
    (re.compile(r"(?:^|.*_)per_class_metrics(?:_.*)?\.csv"), "report"),
    (re.compile(r".*classification_?report.*\.json"), "report"),
    (re.compile(r".*confusion_?matrix.*\.(?:json|csv)"), "confusion"),
    (re.compile(r".*predictions?(?:_.*)?\.(?:json|jsonl|ndjson|csv|tsv|parquet)"), "predictions"),
    (re.compile(r"eval_results_table\.json"), "predictions"),
)


def kind_of(path: str) -> str:
    """What a file is by its name: report, confusion, predictions, or empty for none of them."""
    name = posixpath.basename(path).lower()
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), "")


def read(path: str, data: bytes) -> EvalFile:
    """Read a file by what its name says it is.

    Raises:
        EvalFileError: It is not that, is damaged, too large, or of a kind that bytes do not tell
            (Parquet: see :func:`predictions_of`).
    """
    kind, shown = kind_of(path), clean_line(path, limit=300)
    if not kind or path.lower().endswith(".parquet"):
        raise EvalFileError("not a file of an evaluation that can be read here", where=shown)
    if len(data) > MAX_BYTES:
        raise EvalFileError(f"larger than {MAX_BYTES // 1024 // 1024} MiB", where=shown)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise EvalFileError("not UTF-8", where=shown) from None
    suffix = path.lower().rpartition(".")[2]
    try:
        if suffix in ("csv", "tsv"):
            return _OF_CSV[kind](shown, parse_csv(text))
        return _OF_JSON[kind](shown, parse_json(text, lines=suffix in ("jsonl", "ndjson")))
    except Wrong as error:
        raise EvalFileError(str(error), where=shown) from None


def predictions_of(
    path: str, rows: Sequence[Mapping[str, object]], *, whole: bool = True
) -> Predictions:
    """Predictions from rows that somebody parsed, such as the head of a Parquet file.

    Raises:
        EvalFileError: They have no column of labels or predictions, or hold what is none.
    """
    shown = clean_line(path, limit=300)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    try:
        table = ([row.get(column) for column in columns] for row in rows)
        return _predictions(shown, [str(each) for each in columns], table, whole=whole)
    except Wrong as error:
        raise EvalFileError(str(error), where=shown) from None


# --- reports

_AVERAGES: Final = {"macro avg": "macro", "micro avg": "micro", "weighted avg": "weighted"}
_PARTS: Final = (("precision", "precision"), ("recall", "recall"), ("f1-score", "f1"))


def _report_of_json(path: str, tree: Any) -> Report:
    if not isinstance(tree, dict):
        raise Wrong("not a classification report: an object by class is wanted")
    rows = {
        key: row
        for key, row in tree.items()
        if isinstance(row, dict) and not key.endswith(" avg") and {"precision", "recall"} & set(row)
    }
    if not rows:
        raise Wrong("not a classification report: no class has a precision or a recall")
    labels = labels_of(rows)
    averages: dict[str, float] = {}
    accuracy = share_of(tree.get("accuracy"), "accuracy")
    if accuracy is not None:
        averages["accuracy"] = accuracy
    for name, how in _AVERAGES.items():
        row = tree.get(name)
        row = row if isinstance(row, dict) else {}
        for theirs, ours in _PARTS:
            value = share_of(row.get(theirs), f"{theirs} of {name}")
            if value is not None:
                averages[f"{ours}_{how}"] = value
    return Report(
        path=path,
        classes=tuple(
            _class(label, row.get("precision"), row.get("recall"), _f1(row), row.get("support"))
            for label, row in zip(labels, rows.values(), strict=True)
        ),
        averages=averages,
    )


def _f1(row: Mapping[str, Any]) -> Any:
    return row.get("f1-score", row.get("f1_score", row.get("f1")))


def _class(label: str, precision: Any, recall: Any, f1: Any, support: Any) -> ClassFigures:
    count = number_of(support)
    return ClassFigures(
        label=label,
        precision=share_of(precision, f"precision of class {label!r}"),
        recall=share_of(recall, f"recall of class {label!r}"),
        f1=share_of(f1, f"F1 of class {label!r}"),
        support=count if count is not None and count >= 0 else None,
    )


def _report_of_csv(path: str, rows: list[list[str]]) -> Report:
    head = [_name(cell) for cell in rows[0]]
    if "positive_class" not in head:
        raise Wrong("not MLflow's metrics by class: it has no column positive_class")
    body = [dict(zip(head, row, strict=False)) for row in rows[1:]]
    labels = labels_of(row.get("positive_class", "") for row in body)
    classes = []
    for label, row in zip(labels, body, strict=True):
        # scikit-learn's support: the examples that truly are of the class.
        counts = [number_of(row.get(name)) for name in ("true_positives", "false_negatives")]
        support = None if None in counts else sum(c for c in counts if c is not None)
        classes.append(
            _class(
                label,
                row.get("precision_score", row.get("precision")),
                row.get("recall_score", row.get("recall")),
                _f1(row),
                support,
            )
        )
    return Report(path=path, classes=tuple(classes), averages={})


# --- confusion matrices


def _confusion(path: str, labels: Iterable[object], matrix: Sequence[Any]) -> Confusion:
    names = labels_of(labels)
    if len(matrix) != len(names):
        raise Wrong(f"{len(matrix):,} rows for {len(names):,} classes")
    found = []
    for label, row in zip(names, matrix, strict=True):
        if not isinstance(row, list | tuple) or len(row) != len(names):
            raise Wrong(f"the row of class {label!r} does not have {len(names):,} counts")
        counts = [number_of(cell) for cell in row]
        if any(count is None or count < 0 for count in counts):
            raise Wrong(f"the row of class {label!r} holds what is no count")
        found.append(tuple(count for count in counts if count is not None))
    return Confusion(path=path, labels=names, matrix=tuple(found))


def _confusion_of_json(path: str, tree: Any) -> Confusion:
    if isinstance(tree, list):
        return _confusion(path, range(len(tree)), tree)
    if not isinstance(tree, dict):
        raise Wrong("not a confusion matrix")
    matrix = tree.get("matrix", tree.get("confusion_matrix", tree.get("data")))
    labels = tree.get("labels", tree.get("classes", tree.get("columns")))
    if isinstance(matrix, list):
        if labels is not None and not isinstance(labels, list):
            raise Wrong("its labels are no list")
        index = tree.get("index")
        if isinstance(index, list) and isinstance(labels, list):
            matrix = _in_order(labels_of(index), labels_of(labels), matrix)
        return _confusion(path, range(len(matrix)) if labels is None else labels, matrix)
    if tree and all(isinstance(row, dict) for row in tree.values()):
        # By true class, then by predicted class; what is not there was never predicted.
        return _confusion(path, tree, [[row.get(key, 0) for key in tree] for row in tree.values()])
    raise Wrong('not a confusion matrix; {"labels": [...], "matrix": [[...]]} is one')


def _confusion_of_csv(path: str, rows: list[list[str]]) -> Confusion:
    wide = len(rows[0])
    if len(rows) == wide + 1:
        return _confusion(path, rows[0], rows[1:])
    if len(rows) != wide:
        raise Wrong(f"{len(rows):,} rows and {wide:,} columns are no square")
    if number_of(rows[0][0]) is not None:
        return _confusion(path, range(wide), rows)
    columns, index = labels_of(rows[0][1:]), labels_of(row[0] for row in rows[1:])
    return _confusion(path, columns, _in_order(index, columns, [row[1:] for row in rows[1:]]))


def _in_order(index: Sequence[str], columns: Sequence[str], matrix: Sequence[Any]) -> Sequence[Any]:
    """The rows in the order of the columns."""
    if sorted(index) != sorted(columns) or len(matrix) != len(index):
        raise Wrong("its rows and columns are not the same classes")
    by_label = dict(zip(index, matrix, strict=True))
    return [by_label[label] for label in columns]


# --- predictions

_IDS: Final = (
    "example_id", "sample_id", "id", "row_id", "record_id", "uid", "uuid", "key", "example",
)  # fmt: skip
_TRUTH: Final = (
    "label", "target", "y_true", "true_label", "truth", "ground_truth", "actual", "expected",
    "true", "y", "targets", "labels",
)  # fmt: skip
_PREDICTED: Final = (
    "prediction", "predicted", "y_pred", "predicted_label", "pred", "predictions", "output",
    "outputs", "y_hat",
)  # fmt: skip
_NOT_ALNUM: Final = re.compile(r"[^a-z0-9]+")


def _name(text: str) -> str:
    return _NOT_ALNUM.sub("_", text.lower()).strip("_")


def _column(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _predictions(
    path: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, whole: bool = True
) -> Predictions:
    names = [_name(column) for column in columns]
    truth, said = _column(names, _TRUTH), _column(names, _PREDICTED)
    if truth is None or said is None:
        lacking = "true label" if truth is None else "prediction"
        known = ", ".join((_TRUTH if truth is None else _PREDICTED)[:4])
        raise Wrong(f"no column is the {lacking}; known names are {known}")
    at = _column(names, _IDS)
    ids, true_labels, predicted = [], [], []
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise Wrong(f"more than {MAX_ROWS:,} rows")
        if len(row) <= max(truth, said, at or 0):
            raise Wrong(f"row {number:,} is too short")
        true_labels.append(word_of(row[truth]))
        predicted.append(word_of(row[said]))
        if not true_labels[-1] or not predicted[-1]:
            what = "prediction" if true_labels[-1] else "true label"
            raise Wrong(f"row {number:,} has no {what}")
        if at is not None:
            ids.append(word_of(row[at]))
            if not ids[-1]:
                raise Wrong(f"row {number:,} has no id")
    if not true_labels:
        raise Wrong("it has no rows")
    _check_classes(set(true_labels) | set(predicted))
    if ids and len(set(ids)) != len(ids):
        raise Wrong(f"{len(ids) - len(set(ids)):,} ids stand more than once")
    return Predictions(
        path=path,
        truth=tuple(true_labels),
        predicted=tuple(predicted),
        ids=tuple(ids),
        whole=whole,
    )


def _check_classes(labels: set[str]) -> None:
    numbers = [number_of(label) for label in labels]
    if len(labels) > 20 and all(n is not None for n in numbers) and any(
        n is not None and not n.is_integer() for n in numbers
    ):  # fmt: skip
        raise Wrong("its predictions are numbers, not classes")
    if len(labels) > MAX_CLASSES:
        raise Wrong(f"{len(labels):,} classes; at most {MAX_CLASSES:,} can be read")


def _predictions_of_json(path: str, tree: Any) -> Predictions:
    if isinstance(tree, dict):
        columns, data = tree.get("columns"), tree.get("data")
        if isinstance(columns, list) and isinstance(data, list):
            rows = [row if isinstance(row, list) else [] for row in data]
            return _predictions(path, [str(c) for c in columns], rows)
        lists = {key: value for key, value in tree.items() if isinstance(value, list)}
        if lists and len({len(value) for value in lists.values()}) == 1:
            return _predictions(path, list(lists), list(zip(*lists.values(), strict=True)))
        raise Wrong("not a table of predictions")
    if not isinstance(tree, list) or not all(isinstance(row, dict) for row in tree):
        raise Wrong("not a table of predictions: a list of objects is wanted")
    names = list(dict.fromkeys(key for row in tree for key in row))
    return _predictions(path, names, ([row.get(name) for name in names] for row in tree))


def _predictions_of_csv(path: str, rows: list[list[str]]) -> Predictions:
    return _predictions(path, rows[0], rows[1:])


_OF_JSON: Final[Mapping[str, Callable[[str, Any], EvalFile]]] = {
    "report": _report_of_json,
    "confusion": _confusion_of_json,
    "predictions": _predictions_of_json,
}
_OF_CSV: Final[Mapping[str, Callable[[str, list[list[str]]], EvalFile]]] = {
    "report": _report_of_csv,
    "confusion": _confusion_of_csv,
    "predictions": _predictions_of_csv,
}
