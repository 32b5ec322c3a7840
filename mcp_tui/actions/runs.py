"""Writes to MLflow that belong to a job's plan: its run made, tagged, ended."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_tui.actions.template import placeholder
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Target, Write

MLFLOW: str = "/api/2.0/mlflow"


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
        summary=f"create run {name} in experiment {experiment_id}",
        yields=(("run_id", "run.info.run_id"),),
    )


def fail_run(now: float) -> Write:
    """The write that ends a run whose job could not be made."""
    return Write(
        system="mlflow",
        method="POST",
        path=f"{MLFLOW}/runs/update",
        body={
            "run_id": placeholder("run_id"),
            "status": "FAILED",
            "end_time": int(now * 1000),
        },
        summary="mark the run FAILED, as its job was not made",
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
