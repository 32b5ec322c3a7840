"""The one path of a write, as the shell asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from mcp_tui.actions.asked import asked
from mcp_tui.actions.jobs import Seen, plan_cancel, plan_delete, plan_hold
from mcp_tui.actions.retry import Changes
from mcp_tui.domain.plan import Outcome, Plan, Verb
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import EXAMPLE, parse_train_config
from mcp_tui.errors import GoneError, UsageError
from mcp_tui.tui.live.again import changed, differences, retry_fields
from mcp_tui.tui.model import FormField

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend
    from mcp_tui.tui.live.context import Live

WITHOUT_RUN = "ctrl-r and ctrl-o go on without a run"
"""How the console goes on where MLflow cannot be asked."""


class LiveActions:
    """Implements :class:`mcp_tui.tui.model.Actions`."""

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend

    async def plan(
        self,
        verb: Verb,
        keys: Sequence[str],
        changes: Mapping[str, str] | None = None,
        *,
        with_run: bool = True,
    ) -> Plan:
        """Plan a verb on objects of one context; UsageError when they are of several."""
        lives = {self._backend.live_of(key)[0].name for key in keys}
        if len(lives) != 1:
            raise UsageError(
                f"the marked jobs are of {len(lives)} contexts",
                hint="one plan is for one context: mark those of one",
            )
        live = self._backend.live_of(keys[0])[0]
        seen = [await self._see(live, key) for key in keys]
        live.engine.mlflow_client = live.connection.mlflow
        now, scope = time.time(), live.engine.scope
        match verb:
            case Verb.CANCEL:
                plan = plan_cancel(scope, seen, now=now)
            case Verb.DELETE:
                plan = plan_delete(scope, seen)
            case Verb.SUSPEND | Verb.RESUME:
                plan = plan_hold(scope, seen, suspend=verb is Verb.SUSPEND)
            case Verb.RETRY:
                if len(seen) != 1:
                    raise UsageError("one job is retried at a time")
                made = changed(changes or {})
                plan = await _retry(live, seen[0], made, now=now, with_run=with_run)
            case _:
                raise UsageError(f"{verb.value} is not an action on a job")
        return await live.engine.check(plan)

    async def _see(self, live: Live, key: str) -> Seen:
        view = self._backend.jobs.view(key)
        if view is None:
            raise GoneError(f"{self._backend.jobs.name_of(key)} is gone")
        row = view.key
        return await live.engine.see(row.kind, row.namespace, row.name, row.uid)

    async def retry_fields(self, key: str) -> Sequence[FormField]:
        """What a retry may change, with what the job has in it."""
        live = self._backend.live_of(key)[0]
        seen = await self._see(live, key)
        view = self._backend.jobs.view(key)
        killed = view is not None and view.cause is not None and view.cause.reason == "OOMKilled"
        return retry_fields(asked(seen), killed=killed)

    async def plan_submit(self, text: str, *, with_run: bool = True) -> Plan:
        """Plan a submission of a train config, exactly as the command line does."""
        live = self._backend.only()
        live.engine.mlflow_client = live.connection.mlflow
        config = parse_train_config(text, filename="train-config.yaml")
        settings, info = live.settings, live.connection.info
        namespace = config.namespace or live.feed.namespace or settings.namespace or info.namespace
        namespace = namespace or "default"
        plan = await live.engine.plan_submission(
            config,
            ref=config.code.ref,
            namespace=namespace,
            uri=settings.mlflow_in_cluster or live.connection.mlflow_uri_for_pods,
            now=time.time(),
            with_run=with_run,
            without_run=WITHOUT_RUN,
            git_image=settings.git_image,
        )
        return await live.engine.check(plan)

    def example(self) -> str:
        """A documented train config."""
        return self._backend.example or EXAMPLE

    async def apply(self, plan: Plan, progress: Callable[[str], None]) -> Sequence[Outcome]:
        """Apply a plan and wait for its proof."""
        live = self._backend.lives.get(plan.context)
        if live is None:
            raise UsageError(f"{clean_line(plan.context)} is not open any more")
        # What moved since it was shown is said before anything is sent: it is asked again then.
        await live.engine.still_as_planned(plan)
        try:
            return await live.engine.apply(plan, progress=progress)
        finally:
            self._backend.parts.refresh()


async def _retry(live: Live, seen: Seen, made: Changes, *, now: float, with_run: bool) -> Plan:
    plan = await live.engine.plan_retry(
        seen, made, now=now, with_run=with_run, without_run=WITHOUT_RUN
    )
    # What was asked for comes first: in the diff it may stand far below.
    return msgspec.structs.replace(plan, notes=(*differences(asked(seen), made), *plan.notes))
