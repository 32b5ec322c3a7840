"""Models as MLflow 3 has them: things of their own beside the run that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_tui.demo.experiments.wire import Wire


def log_model(
    wire: Wire, experiment_id: str, run_id: str, params: Mapping[str, Any], files: dict[str, bytes]
) -> str:
    """Make a logged model of a run's model files; returns its id.

    Raises:
        ApiError: The server refuses it.
    """
    made = wire.post(
        "logged-models",
        {
            "experiment_id": experiment_id,
            "name": "model",
            "source_run_id": run_id,
            "params": [{"key": key, "value": str(value)} for key, value in params.items()],
        },
    )["model"]["info"]
    model_id = str(made["model_id"])
    for path, content in files.items():
        wire.upload(str(made["artifact_uri"]), path, content)
    ready = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
    wire.patch(f"logged-models/{model_id}", ready)
    outputs = {"run_id": run_id, "models": [{"model_id": model_id, "step": 0}]}
    wire.post("runs/outputs", outputs)
    return model_id


def logged_by(run: Mapping[str, Any]) -> str:
    """The logged model of a run as the server tells it; empty for none."""
    outputs = (run.get("outputs") or {}).get("model_outputs") or ()
    return next((str(each["model_id"]) for each in outputs), "")
