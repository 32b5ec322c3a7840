"""What a run leaves among its artifacts: its evaluation, and the model with its MLmodel file."""

from __future__ import annotations

import csv
import io
import json
import pickle
import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mcp_tui.demo.experiments.data import Data


def evaluation(model: Any, data: Data) -> tuple[dict[str, bytes], dict[str, float]]:
    """Report, confusion matrix and predictions of the held-out examples, and their figures."""
    from sklearn.metrics import classification_report, confusion_matrix

    truth = data.held_out.classes
    guessed = model.predict(data.held_out.features)
    report = classification_report(
        truth, guessed, target_names=data.labels, output_dict=True, zero_division=0
    )
    counts = confusion_matrix(truth, guessed).tolist()
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "label", "prediction"])
    for each, true, found in zip(data.held_out.ids, truth, guessed, strict=True):
        rows.writerow([each, data.labels[int(true)], data.labels[int(found)]])
    files = {
        "classification_report.json": json.dumps(report, indent=1).encode(),
        "confusion_matrix.json": json.dumps(
            {"labels": data.labels, "matrix": counts}, indent=1
        ).encode(),
        "confusion_matrix.png": picture(counts),
        "predictions.csv": text.getvalue().encode(),
    }
    average = report["macro avg"]
    figures = {
        "precision_macro": float(average["precision"]),
        "recall_macro": float(average["recall"]),
        "f1_micro": float(report["accuracy"]),
    }
    return files, figures


def picture(counts: Sequence[Sequence[int]], cell: int = 24) -> bytes:
    """A confusion matrix as PNG: each row by its share, dark is much."""
    rows = []
    for row in counts:
        total = max(1, sum(row))
        line = b"".join(bytes([255 - round(235 * n / total)]) * cell for n in row)
        rows += [b"\0" + line] * cell
    side = cell * len(counts)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data)
        )  # fmt: skip

    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
            chunk(b"IDAT", zlib.compress(b"".join(rows))),
            chunk(b"IEND", b""),
        )
    )


def model_files(model: Any, data: Data, run_id: str, made: float) -> dict[str, bytes]:
    """The model as ``mlflow.sklearn`` saves and loads it; by path, below ``model/``."""
    import sklearn
    import yaml

    pickled = pickle.dumps(model)
    inputs: list[Mapping[str, Any]]
    if len(data.columns) > 32:
        shape = [-1, len(data.columns)]
        inputs = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}]
    else:
        inputs = [{"type": "double", "name": name, "required": True} for name in data.columns]
    outputs = [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]
    requirements = f"scikit-learn=={sklearn.__version__}\n"
    document = {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
            },
            "sklearn": {
                "pickled_model": "model.pkl",
                "serialization_format": "pickle",
                "sklearn_version": sklearn.__version__,
            },
        },
        "mlflow_version": _mlflow_version(),
        "model_size_bytes": len(pickled),
        "run_id": run_id,
        "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None},
        "utc_time_created": datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    return {
        "MLmodel": yaml.safe_dump(document, sort_keys=False).encode(),
        "model.pkl": pickled,
        "python_env.yaml": b"dependencies:\n- -r requirements.txt\n",
        "requirements.txt": requirements.encode(),
    }


def _mlflow_version() -> str:
    import importlib.metadata

    return importlib.metadata.version("mlflow")
