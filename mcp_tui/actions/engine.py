"""The engine of one context: sees objects, checks plans, applies them, proves and records."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from mcp_tui.actions import approving, checks, lease, parent, promoting, runedits, runlook, seeing
from mcp_tui.actions.aliaslook import SeenModel, see_model, still_as_planned
from mcp_tui.actions.apply import Progress, apply
from mcp_tui.actions.evidence import Evidence, Why
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.journal import Journal, this_process
from mcp_tui.actions.ledger import Ledger, unsent
from mcp_tui.actions.models import CHAMPION, Wanted, plan_promote, plan_rollback
from mcp_tui.actions.prove import prove
from mcp_tui.actions.record import record
from mcp_tui.actions.retry import Changes, plan_retry
from mcp_tui.actions.submit import Code, Tracking, plan_submit
from mcp_tui.domain import keys
from mcp_tui.domain.approval import Rule
from mcp_tui.domain.approval_rules import rule_for
from mcp_tui.domain.plan import Outcome, Plan, Target, Tier
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import TrainConfig
from mcp_tui.errors import (
    ApiError,
    McpTuiError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources import git
from mcp_tui.sources.gate import is_canonical
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient


class Engine:
    """Acts on one cluster and the MLflow that goes with it.

    Args:
        kube: The cluster's client; its gate decides what may leave.
        mlflow: MLflow's, or None where there is none.
        scope: The context and its tier.
        journal: Where actions are written down before they happen.
        proof_timeout: Seconds to wait for an effect to be seen.
        deadline: Seconds around each write to the API server.
        approvals: What the configuration says of approvals, by tier.
    """

    def __init__(
        self,
        kube: KubeClient,
        mlflow: MlflowClient | None,
        scope: Scope,
        journal: Journal,
        *,
        proof_timeout: float = 60.0,
        deadline: float = 10.0,
        approvals: Mapping[Tier, Rule] | None = None,
    ) -> None:
        self.kube = kube
        self.mlflow_client = mlflow
        self.scope = scope
        self.journal = journal
        self.proof_timeout = proof_timeout
        self.rule = rule_for(scope.tier, approvals or {})
        self._deadline = deadline
        self._user: str | None = None
        self._alias_seen: dict[str, str | None] = {}
        self.interrupted: tuple[Outcome, ...] = ()
        """What the last plan came to that was interrupted while it was applied."""

    async def user(self) -> str:
        """Who the cluster says we are; what the kubeconfig calls it where it will not say."""
        if self._user is None:
            try:
                self._user = (await self.kube.whoami()).username
            except (ApiError, RefusedError):
                # Older servers have no SelfSubjectReview.
                self._user = clean_line(self.kube.context.user)
        return self._user

    async def see(self, kind: str, namespace: str, name: str, uid: str = "") -> Seen:
        """The job as it is now; see :func:`mcp_tui.actions.seeing.see`."""
        return await seeing.see(self.kube, kind, namespace, name, uid)

    async def check(self, plan: Plan) -> Plan:
        """Fill in a plan's checks; see :mod:`mcp_tui.actions.checks`. Nothing is written."""
        if promoting.is_about_models(plan) and not self.kube.gate.read_only:
            found = await lease.check(self.kube, plan.targets[0].name)
            plan = msgspec.structs.replace(plan, checks=(*plan.checks, found))
        return await checks.check(plan, self.kube, self.mlflow_client)

    async def see_model(self, name: str) -> SeenModel:
        """A registered model as it is now, with its versions, aliases and their record."""
        return await see_model(self, name)

    async def plan_promotion(
        self,
        name: str,
        wanted: Wanted,
        *,
        now: float,
        alias: str = CHAMPION,
        why: str = "",
        override: str = "",
        evidence: Evidence | None = None,
    ) -> Plan:
        """Plan a promotion: where the alias is now, and what its record says, looked up.

        Args:
            wanted: See :func:`mcp_tui.actions.promoting.wanted_of_run` and ``wanted_copy``.
            override: Why it is done although a gate failed; it is recorded.
            evidence: Gates, origin and approvals, as whoever evaluated the version says.

        Raises:
            GoneError: No such model or version.
            UsageError: An alias that MLflow does not take.
            RefusedError: The alias is there already.
        """
        seen = await self.see_model(name)
        if wanted.version:
            seen.existing(self.scope.context)
        asks = Why(user=await self.user(), now=now, why=why, override=override)
        evidence = evidence or Evidence()
        if alias:
            approved = await approving.of_promotion(self, seen, wanted, override)
            evidence = approved.added_to(evidence)
        return plan_promote(self.scope, seen, wanted, asks, alias=alias, evidence=evidence)

    async def approvals(self, name: str, version: str) -> approving.Judged:
        """How a version's approvals stand now.

        Raises:
            GoneError: There is no such version.
            UsageError: MLflow does not serve its files: nothing says what would be approved.
            UnreachableError: MLflow cannot be asked.
        """
        _, found = await approving.see_version(self, name, version)
        return await approving.judged(self, found)

    async def plan_approval(
        self, name: str, version: str, level: str, reason: str, *, now: float
    ) -> Plan:
        """Plan an approval of a version, in the name by which the servers know us.

        Raises:
            UsageError: No reason, no such level's name, or its files are not served.
            GoneError: There is no such version.
            RefusedError: The cluster does not say who we are. Why somebody may not give it is a
                check that blocks.
        """
        found = await self.approvals(name, version)
        who = await approving.identity(self)
        return approving.plan_approve(
            self.scope, self.rule, found, who, level, reason=reason, now=now
        )

    async def plan_taking_back(
        self, name: str, *, now: float, alias: str = CHAMPION, to: str = "", why: str = ""
    ) -> Plan:
        """Plan a rollback of an alias: to where it was before, or to a version that is named.

        Raises:
            GoneError: No such model or version.
            RefusedError: The record does not say where; says why.
        """
        seen = (await self.see_model(name)).existing(self.scope.context)
        asks = Why(user=await self.user(), now=now, why=why)
        return plan_rollback(self.scope, seen, asks, alias=alias, to=to)

    async def still_as_planned(self, plan: Plan) -> None:
        """Look again whether an alias is where it was when its move was planned.

        Raises:
            RefusedError: Somebody moved it meanwhile; nothing was done.
            McpTuiError: It cannot be looked at; nothing was sent.
        """
        if plan.move is None:
            return
        try:
            seen = await self.see_model(plan.move.intent.model)
        except McpTuiError as error:
            raise unsent(error) from None
        still_as_planned(plan, seen)

    async def plan_run_edit(self, run_ids: Sequence[str], edits: Sequence[RunEdit]) -> Plan:
        """Plan the same changes to each of some runs, which are looked at now.

        Args:
            run_ids: Which; each once.
            edits: Of one verb: tags, a name, the bin. Their ``run_id`` is not looked at.

        Raises:
            UsageError: It makes no sense, or MLflow cannot take it.
            GoneError: There is no such run.
            RefusedError: All of it is so already.
            UnreachableError: MLflow cannot be asked.
        """
        ids = list(dict.fromkeys(run_ids))
        deletes = any(edit.kind is EditKind.DELETE for edit in edits)
        runs, registered = await runlook.see_runs(self, ids, registered=deletes)
        return runedits.plan_run_edit(self.scope, runs, edits, registered=registered)

    async def plan_retry(
        self,
        seen: Seen,
        changes: Changes,
        *,
        now: float,
        with_run: bool = True,
        without_run: str = "--no-run goes on without an MLflow run",
    ) -> Plan:
        """Plan a retry: with a new run in the old run's experiment, where there was one.

        Args:
            without_run: How to go on without a run, for the message when MLflow is not there.

        Raises:
            UnreachableError: MLflow cannot be asked; without a run it goes on.
        """
        found = parent.Parent()
        if with_run:
            found = await parent.find(self.mlflow_client, seen, without_run=without_run)
        labels = (seen.obj.get("metadata") or {}).get("labels") or {}
        return plan_retry(
            self.scope,
            seen,
            changes,
            user=await self.user(),
            now=now,
            parent=found,
            queue_hold=keys.QUEUE_NAME in labels,
        )

    async def plan_submission(
        self,
        config: TrainConfig,
        *,
        ref: str,
        namespace: str,
        uri: str,
        now: float,
        with_run: bool = True,
        without_run: str = "",
        name: str = "",
        git_image: str = "",
    ) -> Plan:
        """Plan a submission: the branch resolved to a commit, the experiment looked up.

        Args:
            ref: Branch, tag or commit; empty takes the repository's HEAD.
            uri: MLflow's URL as the pods see it.
            without_run: How to go on without a run, for the message when MLflow is not there.

        Raises:
            UsageError: No such ref, a deleted experiment, or a manifest that cannot be built.
            UnreachableError: Git or MLflow is not there.
        """
        resolving = asyncio.create_task(git.resolve(config.code.url, ref))
        tracking = None
        try:
            if with_run:
                try:
                    tracking = await self.tracking(config.experiment or "Default", uri)
                except UnreachableError as error:
                    raise UnreachableError(
                        error.what, where=error.where, hint=without_run or error.hint
                    ) from None
            resolved = await resolving
            user = await self.user()
        finally:
            resolving.cancel()
            await asyncio.gather(resolving, return_exceptions=True)
        return plan_submit(
            self.scope,
            msgspec.structs.replace(config, namespace=namespace),
            Code(
                url=resolved.url_clean,
                ref=resolved.ref,
                commit=resolved.commit,
                note=resolved.note,
            ),
            namespace=namespace,
            user=user,
            now=now,
            tracking=tracking,
            name=name,
            git_image=git_image,
        )

    async def tracking(self, experiment: str, uri: str) -> Tracking:
        """Where a submission's run goes: the experiment looked up by name.

        Raises:
            UnreachableError: MLflow cannot be asked, or there is none.
        """
        if self.mlflow_client is None:
            raise UnreachableError(
                "no MLflow is configured",
                where=self.scope.context,
                hint="set mlflow for this context, or go on without a run",
            )
        found = await self.mlflow_client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage == "deleted":
            raise UsageError(
                f"experiment {clean_line(experiment)!r} is deleted in MLflow",
                hint="restore it, or name another",
            )
        found_id = found.experiment_id if found is not None else ""
        return Tracking(experiment=experiment, experiment_id=found_id, uri=uri)

    async def apply(self, plan: Plan, *, progress: Progress) -> tuple[Outcome, ...]:
        """Apply a confirmed plan; see :func:`mcp_tui.actions.apply.apply`.

        Returns:
            One outcome a target, in the plan's order.
        """
        if plan.context != self.scope.context or plan.tier is not self.scope.tier:
            raise RefusedError(f"this plan is for {clean_line(plan.context)}, not for this context")
        ledger = Ledger(plan)
        try:
            await approving.still_the_same(self, plan)
            user = await self.user()
            async with self._alone(plan, user, progress):
                outcomes, warnings = await apply(
                    plan,
                    self,
                    journal=self.journal,
                    prove=self._prove,
                    record=self._record,
                    user=user,
                    progress=progress,
                    ledger=ledger,
                )
        except asyncio.CancelledError:
            self.interrupted = ledger.as_known()
            raise
        except McpTuiError as error:
            if not ledger.tried:
                unsent(error)
            raise
        for warning in warnings:
            progress(f"warning: {warning}")
        return outcomes

    def _alone(
        self, plan: Plan, user: str, progress: Progress
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Keep other consoles out meanwhile, where the plan is about something they share."""
        if not promoting.is_about_models(plan):
            return contextlib.nullcontext()
        if plan.blocked:
            raise RefusedError(plan.blocked[0].message, where=f"{plan.verb} {plan.context}")
        holder = f"{user} ({this_process()}, plan {plan.id[:8]})"
        return lease.held(self.kube, plan.targets[0].name, holder, progress)

    async def _prove(self, plan: Plan, targets: Mapping[int, Target]) -> Mapping[int, Outcome]:
        if plan.approval is not None:
            return await approving.prove_approval(self, plan, targets, timeout=self.proof_timeout)
        if promoting.is_about_models(plan):
            timeout = self.proof_timeout
            found, seen = await promoting.prove_models(self, plan, targets, timeout=timeout)
            self._alias_seen[plan.id] = seen
            return found
        if runlook.is_about_runs(plan):
            return await runlook.prove_runs(self, plan, targets, timeout=self.proof_timeout)
        return await prove(self.kube, plan, targets, timeout=self.proof_timeout)

    async def _record(self, plan: Plan, target: Target, outcome: Outcome) -> None:
        if promoting.is_about_models(plan):
            await promoting.record_end(self, plan, target, self._alias_seen.pop(plan.id, None))
            return
        if runlook.is_about_runs(plan):
            return  # MLflow keeps no record of who changed a run, and the cluster knows none.
        await record(self.kube, plan, target, outcome, user=await self.user())

    # How writes leave (the Wire protocol of look.py).

    async def kubernetes(
        self, method: str, path: str, body: Any, content_type: str
    ) -> dict[str, Any]:
        """Send one call to the API server."""
        bare, _, query = path.partition("?")
        if not is_canonical(bare):
            raise RefusedError(f"not a path that is sent: {clean_line(bare, limit=200)}")
        params = parse_qsl(query)
        if method == "GET":
            return await self.kube.get(bare, dict[str, Any], params=params)
        if method == "DELETE" and not _names_one(bare):
            raise RefusedError("only one named object is ever deleted")
        reply = await self.kube.request(
            method,
            bare,
            params=params,
            body=None if body is None else msgspec.json.encode(body),
            content_type=content_type,
            deadline=self._deadline,
        )
        where = self.kube.where(method, bare)
        try:
            return self.kube.decoded(reply, dict[str, Any], where)
        except UnreachableError as error:
            # It was done, or somebody in between answered: what was made is looked for.
            raise UnknownOutcomeError(
                f"{error.what}; it may or may not have been done", where=where
            ) from None

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send one call to MLflow."""
        if self.mlflow_client is None:
            raise UnreachableError("no MLflow is configured", where=self.scope.context)
        answer: dict[str, Any] = await self.mlflow_client.call(method, path, body)
        return answer

    async def find_run(self, plan_id: str, experiment_id: str) -> str:
        """The id of the run that a plan made; empty when there is none."""
        if self.mlflow_client is None:
            return ""
        run = await self.mlflow_client.find_run_by_plan(plan_id, (experiment_id,))
        return run.info.run_id if run else ""


def _names_one(path: str) -> bool:
    """Whether a path names one object of a namespace: a slash too many names all of them."""
    parts = path.partition("/namespaces/")[2].split("/")
    return len(parts) == 3 and all(parts)
