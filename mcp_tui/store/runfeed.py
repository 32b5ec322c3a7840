"""The newest of the MLflow runs that rows on screen carry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from mcp_tui.domain.run import Run
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.runs import RunTracker

RUNS_EVERY: Final = 5.0
# With nothing to fetch, MLflow is asked how it is: it has no watch that would tell.
_ALIVE_EVERY: Final = 30.0
_RUNS: Final = 50
_ENDED: Final = ("FINISHED", "FAILED", "KILLED")


class RunFeed:
    """Brings what runs say into a store; those that have ended, and their jobs too, once.

    A run whose job goes on may be resumed by the job's next pod, whatever it says.

    Attributes:
        health: Of MLflow.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._tracker = RunTracker()
        self._settled: set[str] = set()
        self.health = SourceHealth(name="mlflow", since=time.monotonic())

    def refresh(self) -> None:
        """Ask again for what had ended, too."""
        self._settled.clear()

    def absent(self) -> None:
        """No MLflow is configured or found."""
        self._is(HealthState.ABSENT, "not configured")

    async def look(self, mlflow: MlflowClient, uids: Sequence[str]) -> None:
        """Fetch the runs of some jobs."""
        views = [view for view in map(self._store.table.get, uids) if view is not None]
        going = {view.run_id for view in views if not view.state.over}
        self._settled -= going
        runs = {view.run_id: view.experiment_id for view in views if view.run_id}
        ids = [each for each in runs.items() if each[0] not in self._settled][:_RUNS]
        try:
            if ids:
                found = await fetch_runs(mlflow, ids)
                self._store.set_runs({r: self._tracker.facts(run) for r, run in found.items()})
                # As the jobs stood before it was asked: what a job's end brings is seen.
                self._settled |= {r for r, _ in ids if r not in going and self._has_ended(r)}
            elif (self.health.spoke_at or -1e9) + _ALIVE_EVERY < time.monotonic():
                await mlflow.version()
            else:
                return
            self._is(HealthState.LIVE, "")
        except McpTuiError as error:
            self._is(HealthState.RETRYING, error.line())

    def _has_ended(self, run_id: str) -> bool:
        run = self._store.run(run_id)
        return run is not None and run.status in _ENDED

    def _is(self, state: HealthState, message: str) -> None:
        now = time.monotonic()
        old = self.health
        live = state is HealthState.LIVE
        self.health = SourceHealth(
            name="mlflow",
            state=state,
            spoke_at=now if live else old.spoke_at,
            message=message,
            retry_at=None if live else now + RUNS_EVERY,
            since=old.since if old.state is state else now,
            synced=live or old.synced,
        )


async def fetch_runs(mlflow: MlflowClient, ids: Sequence[tuple[str, str]]) -> dict[str, Run]:
    """Runs by id: in one search where the experiment is known, else one by one.

    Args:
        ids: (run id, experiment id or empty) pairs.

    Raises:
        McpTuiError: MLflow cannot be asked. A run that is not there is absent.
    """
    known = [(run, experiment) for run, experiment in ids if experiment]
    found = await mlflow.newest([r for r, _ in known], sorted({e for _, e in known}))
    for run_id, experiment in ids:
        if not experiment:
            try:
                found[run_id] = await mlflow.get_run(run_id)
            except ApiError as error:
                if error.status != 404:
                    raise
    return found
