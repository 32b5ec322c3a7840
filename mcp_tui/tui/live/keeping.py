"""The cause of a failure, kept in the run's tags while there is evidence of it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any

from mcp_tui.domain.jobview import JobState
from mcp_tui.tui.live.context import Live


def causes(live: Live, uids: frozenset[str]) -> Iterator[Coroutine[Any, Any, object]]:
    """What has to be done to keep them, each job's once."""
    mlflow = live.connection.mlflow
    if mlflow is None or live.settings.read_only:
        return
    from mcp_tui.actions.keep import keep_cause

    for uid in uids:
        view = live.store.table.get(uid)
        if view is None or view.state is not JobState.FAILED or not view.run_id:
            continue
        run = live.store.run(view.run_id)
        if uid in live.kept or run is None or view.cause is None or not view.cause.evidence:
            continue
        live.kept.add(uid)
        yield keep_cause(mlflow, view, run)
