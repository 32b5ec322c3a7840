"""Writes to MLflow that belong to a job's plan: its run made, tagged, ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcp_tui.actions.template import placeholder, unfilled
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Target, Write
from mcp_tui.domain.text import clean_line

MLFLOW: Final = "/api/2.0/mlflow"
OPEN: Final = ("RUNNING", "SCHEDULED")
"""Statuses of a run that has not ended."""
DATA_CONTEXT: Final = "mlflow.data.context"
"""The tag of a data set that says what for: training, validation."""


def create_run(
    experiment_id: str,
    *,
    name: str,
    plan_id: str,
    user: str,
    now: float,
    tags: Mapping[str, str],
) -> Write:
    """The write that makes the MLflow run; yields ``run_id``."""
    all_tags = {
        keys.TAG_PLAN_ID: plan_id,
        keys.TAG_USER: user,
        keys.TAG_RUN_NAME: name,
        **tags,
    }
    return Write(
        system="mlflow",
        method="POST",
        path=f"{MLFLOW}/runs/create",
        body={
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": int(now * 1000),
            "tags": [{"key": k, "value": v} for k, v in all_tags.items() if v],
        },
        summary=f"create run {clean_line(name)} in {_experiment(experiment_id)}",
        yields=(("run_id", "run.info.run_id"),),
    )


def _experiment(experiment_id: str) -> str:
    return "the new experiment" if unfilled(experiment_id) else f"experiment {experiment_id}"


def fail_run(now: float) -> Write:
    """The write that ends a run whose job could not be made."""
    return _end_run(now, "FAILED", "its job was not made")


def kill_run(now: float) -> Write:
    """The write that ends a run whose submission was interrupted before its job was made."""
    return _end_run(now, "KILLED", "it was interrupted before its job was made")


def _end_run(now: float, status: str, why: str) -> Write:
    return Write(
        system="mlflow",
        method="POST",
        path=f"{MLFLOW}/runs/update",
        body={
            "run_id": placeholder("run_id"),
            "status": status,
            "end_time": int(now * 1000),
        },
        summary=f"mark the run {status}, as {why}",
        optional=True,
    )


def log_total_steps(steps: str) -> Write:
    """The write that says how many steps there will be, for the progress bar."""
    return Write(
        system="mlflow",
        method="POST",
        path=f"{MLFLOW}/runs/log-batch",
        body={
            "run_id": placeholder("run_id"),
            "params": [{"key": keys.TOTAL_STEPS, "value": steps}],
        },
        summary=f"log parameter {keys.TOTAL_STEPS}={clean_line(steps)}",
        optional=True,
    )


def data_input(
    name: str, digest: str, source_type: str, source: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    """One data set as an input of a run, as MLflow takes it."""
    dataset = {"name": name, "digest": digest, "source_type": source_type, "source": source}
    return {"dataset": dataset, "tags": [{"key": k, "value": v} for k, v in tags.items()]}


def log_inputs(inputs: Sequence[Mapping[str, Any]]) -> Write:
    """The write that records data sets (see :func:`data_input`) as inputs of the run."""
    names = dict.fromkeys(clean_line(each["dataset"]["name"]) for each in inputs)
    return Write(
        system="mlflow",
        method="POST",
        path=f"{MLFLOW}/runs/log-inputs",
        body={"run_id": placeholder("run_id"), "datasets": list(inputs)},
        summary=f"record data {', '.join(names)}",
        optional=True,
    )


def delete_job(target: Target, path: str) -> Write:
    """The write that takes a new job away again, as something that it needs could not be made."""
    return Write(
        system="kubernetes",
        method="DELETE",
        path=path,
        body={
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": placeholder("uid")},
            "propagationPolicy": "Background",
        },
        summary=f"delete {clean_line(target.name)} again, as its Service was not made",
        optional=True,
    )


def tag_run(target: Target) -> Write:
    """The write that links a run to the job made for it."""
    tags = {
        keys.TAG_CLUSTER: target.context,
        keys.TAG_NAMESPACE: target.namespace,
        keys.TAG_KIND: target.kind,
        keys.TAG_NAME: target.name,
        keys.TAG_UID: placeholder("uid"),
    }
    return Write(
        system="mlflow",
        method="POST",
        path=f"{MLFLOW}/runs/log-batch",
        body={
            "run_id": placeholder("run_id"),
            "tags": [{"key": k, "value": v} for k, v in tags.items()],
        },
        summary="tag the run with the job's cluster, namespace, kind, name and uid",
        optional=True,
    )
