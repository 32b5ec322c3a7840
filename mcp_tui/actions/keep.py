"""What is kept of a job in its run: the cause of a failure, and how it ended.

Pods vanish with their job and events within the hour; the run's tags stay.
"""

from __future__ import annotations

from mcp_tui.actions.runs import OPEN
from mcp_tui.domain import keys
from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.run import Run
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.errors import McpTuiError, RefusedError
from mcp_tui.sources.mlflow import MlflowClient


async def keep_cause(mlflow: MlflowClient, view: JobView, run: RunFacts | None) -> str:
    """Write a failed job's cause into its run's tags, once.

    Only a cause with evidence is written, and never over one that is there. The run is looked at
    once more just before, as by :func:`end_run`: another console may have kept a cause meanwhile.

    Args:
        view: The failed job.
        run: Its run as last seen; nothing is written before it was seen.

    Returns:
        Why it could not be written; empty when it was, or there was nothing to write.
    """
    cause = view.cause
    if view.state is not JobState.FAILED or cause is None or not cause.evidence:
        return ""
    if run is None or run.cause:
        return ""
    try:
        fresh = await mlflow.get_run(view.run_id)
        if fresh.tags.get(keys.TAG_CAUSE) or _is_anothers(fresh, view):
            return ""
        await mlflow.set_tag(view.run_id, keys.TAG_CAUSE, cause.to_json())
    except RefusedError:
        return ""  # Read-only: somebody else's console keeps it.
    except McpTuiError as error:
        return error.line()
    return ""


async def end_run(mlflow: MlflowClient, view: JobView, run: RunFacts | None, *, now: float) -> str:
    """Mark the run of a job that failed FAILED, when its program could not.

    The run is looked at once more just before: MLflow knows no precondition, and the program may
    have ended it since, or another job gone on with it.

    Args:
        now: Unix time in seconds.

    Returns:
        Why it could not be marked; empty when it was or need not be.
    """
    if view.state is not JobState.FAILED or run is None or run.status not in OPEN:
        return ""
    try:
        fresh = await mlflow.get_run(view.run_id)
        if fresh.info.status not in OPEN or _is_anothers(fresh, view):
            return ""
        ended = int((view.finished or now) * 1000)
        await mlflow.update_run(view.run_id, status="FAILED", end_time_ms=ended)
    except McpTuiError as error:
        return error.line()
    return ""


def _is_anothers(run: Run, view: JobView) -> bool:
    """Whether a run went over to another job, by its tags."""
    owner = run.tags.get(keys.TAG_UID, "")
    return bool(owner) and owner != view.key.uid
