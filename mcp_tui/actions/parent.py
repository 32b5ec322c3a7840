"""The run of a job that is tried again: what its successor takes over from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from mcp_tui.actions.jobs import Seen
from mcp_tui.actions.runs import MLFLOW
from mcp_tui.actions.template import pick
from mcp_tui.domain import keys
from mcp_tui.domain.run import DatasetInput
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.mlflow import MlflowClient

# Where the code came from, and the job's parameters.
_TAKEN_OVER: Final = ("mlflow.source.", keys.TAG_PARAM)


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the parent's run.

    Attributes:
        experiment_id: Where the new run goes; empty when none is made.
        run_id: The parent's run; empty when it is gone.
        total_steps: Its ``total_steps`` parameter; empty when it had none.
        tags: Of the parent's run, to be set on the new one.
        data: Its data sets, as inputs for the new one.
        note: What the user should know; empty for nothing.
    """

    experiment_id: str = ""
    run_id: str = ""
    total_steps: str = ""
    tags: Mapping[str, str] = {}
    data: tuple[DatasetInput, ...] = ()
    note: str = ""


async def find(mlflow: MlflowClient | None, seen: Seen, *, without_run: str) -> Parent:
    """Look up the run of a job, or at least its experiment.

    Args:
        without_run: How to go on without a run, for the message when MLflow is not there.

    Raises:
        UnreachableError: MLflow cannot be asked.
    """
    annotations = (seen.obj.get("metadata") or {}).get("annotations") or {}
    experiment_id = str(annotations.get(keys.EXPERIMENT_ID) or "")
    if not seen.run_id and not experiment_id:
        return Parent()
    if mlflow is None:
        return Parent(note="no MLflow is configured, so no run is made")
    try:
        return await _find(mlflow, seen.run_id, experiment_id)
    except UnreachableError as error:
        raise UnreachableError(error.what, where=error.where, hint=without_run) from None


async def _find(mlflow: MlflowClient, run_id: str, experiment_id: str) -> Parent:
    run = None
    if run_id:
        try:
            run = await mlflow.get_run(run_id)
        except ApiError as error:
            if error.status not in (400, 404):  # 400: it is no run id at all
                raise
    if run is not None:
        experiment_id = run.info.experiment_id
    if not experiment_id or not await _is_active(mlflow, experiment_id):
        return Parent(note="its run and experiment are gone from MLflow, so no run is made")
    if run is None:
        return Parent(
            experiment_id=experiment_id,
            note="its run is gone from MLflow; the new one is made in the same experiment",
        )
    deleted = run.info.lifecycle_stage == "deleted"
    return Parent(
        experiment_id=experiment_id,
        run_id="" if deleted else run.run_id,
        total_steps=run.params.get(keys.TOTAL_STEPS, ""),
        tags={k: v for k, v in run.tags.items() if k.startswith(_TAKEN_OVER)},
        data=run.inputs.dataset_inputs,
        note=f"its run {clean_line(run.run_id)} is deleted in MLflow" if deleted else "",
    )


async def _is_active(mlflow: MlflowClient, experiment_id: str) -> bool:
    try:
        answer = await mlflow.call(
            "GET", f"{MLFLOW}/experiments/get", params=[("experiment_id", experiment_id)]
        )
    except ApiError as error:
        if error.status in (400, 404):
            return False
        raise
    return pick(answer, "experiment.lifecycle_stage") == "active"
