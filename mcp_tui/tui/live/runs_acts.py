"""Plans about runs: what MLflow keeps of them changed, and their job submitted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.domain import keys
from mcp_tui.domain.editwords import edits_of
from mcp_tui.domain.plan import Plan
from mcp_tui.domain.rerun import rerun_config
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.tui.live.ranked import split

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend
    from mcp_tui.tui.live.context import Live

MOST: Final = 100
"""Runs that one plan changes."""


class LiveRunActions:
    """Implements :class:`mcp_tui.tui.model_runs.RunActions`."""

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend

    def _live(self, runs: Sequence[str]) -> Live:
        contexts = {split(key)[0] for key in runs}
        if len(contexts) != 1:
            raise UsageError(
                f"the marked runs are of {len(contexts)} contexts",
                hint="one plan is for one context: mark those of one",
            )
        live, _ = self._backend.live_of(runs[0])
        live.engine.mlflow_client = live.connection.mlflow
        return live

    async def plan_edit(self, runs: Sequence[str], text: str) -> Plan:
        """Plan changes to runs of one context, as they are typed."""
        edits = edits_of(text)
        if len(runs) > MOST:
            raise UsageError(f"{len(runs)} runs are marked; one plan changes {MOST} at most")
        live = self._live(runs)
        plan = await live.engine.plan_run_edit([split(key)[1] for key in runs], edits)
        return await live.engine.check(plan)

    async def config_of(self, key: str) -> str:
        """A train config that makes the run again, as far as that is known."""
        live = self._live([key])
        mlflow, run_id = live.connection.mlflow, split(key)[1]
        if mlflow is None:
            raise UnreachableError("no MLflow is configured or found for this context")
        run = await mlflow.get_run(run_id)
        experiment = await mlflow.get_experiment(run.info.experiment_id)
        views = live.store.jobs_of_run(run_id)
        uid = views[0].key.uid if views else run.tags.get(keys.TAG_UID, "")
        view = live.store.table.get(uid) if uid else None
        kept = ""
        if view is not None:
            row = view.key
            seen = await live.engine.see(row.kind, row.namespace, row.name, row.uid)
            annotations = (seen.obj.get("metadata") or {}).get("annotations") or {}
            kept = str(annotations.get(keys.CONFIG, ""))
        return rerun_config(
            run,
            kept=kept,
            experiment=clean_line(experiment.name),
            image=view.image if view is not None else "",
        )
