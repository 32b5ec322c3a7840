"""Plans of the registry as the Models pane asks for them: the same that the command line makes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mcp_tui.actions.models import CHAMPION, Wanted
from mcp_tui.actions.promoting import ARTIFACT, wanted_copy, wanted_of_run
from mcp_tui.actions.weighing import Weighing, weigh
from mcp_tui.domain.alias import alias_fault
from mcp_tui.domain.approval_rules import Standing, who_may
from mcp_tui.domain.modelrow import in_order
from mcp_tui.domain.plan import Plan
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.tui.model import FormField
from mcp_tui.tui.model_models import Subject

if TYPE_CHECKING:
    from mcp_tui.sources.mlflow import MlflowClient
    from mcp_tui.tui.live.context import Live
    from mcp_tui.tui.live.models import LiveModels


_WHY = (
    FormField("why", "reason", "", "kept on record with the move"),
    FormField("override", "override", "", "only where a gate failed or an approval is missing: why "
              "it is promoted all the same; kept on record"),
)  # fmt: skip


class ModelActs:
    """Makes the plans."""

    def __init__(self, models: LiveModels) -> None:
        self._models = models

    def _live(self, subject: Subject) -> tuple[Live, MlflowClient]:
        live = self._models.live(subject.context)
        client = live.connection.mlflow
        if client is None:
            raise UnreachableError("no MLflow is configured", where=live.name,
                                   hint="set mlflow for this context")  # fmt: skip
        live.engine.mlflow_client = client
        return live, client

    async def promote_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form: which alias, and why; of a run also as what it is registered."""
        live, client = self._live(subject)
        if subject.is_run:
            return await self._run_fields(client, subject)
        seen = await live.engine.see_model(subject.model)
        told = [f"{a} is version {v}" for a, v in sorted(seen.aliases.items())]
        now = "; ".join(told) or "no alias is set"
        hint = clean_line(f"the alias that is moved; {now}")
        return (FormField("alias", "alias", CHAMPION, hint), *_WHY)

    @staticmethod
    async def _run_fields(client: MlflowClient, subject: Subject) -> Sequence[FormField]:
        """As what a run is registered: as it was before, where it was."""
        there = await client.versions_of_run(subject.run_id)
        name = clean_line(there[0].name) if there else ""
        is_one = ", ".join(f"{clean_line(v.name)} version {v.version}" for v in there[:3])
        told = f"; it is {is_one} already, and none is made twice" if is_one else ""
        return (
            FormField(
                "model", "model", name, f"the registered model that it becomes a version of{told}"
            ),
            FormField("artifact", "artifact", ARTIFACT, "where the run's MLmodel file is"),
            FormField("alias", "alias", CHAMPION, "moved to the new version; empty registers only"),
            *_WHY,
        )

    async def plan_promote(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to move an alias to a version, with what speaks for it and against it."""
        live, client = self._live(subject)
        alias = fields.get("alias", "").strip() or ("" if subject.is_run else CHAMPION)
        fault = alias_fault(alias) if alias else ""
        if fault:
            raise UsageError(f"{clean_line(alias, limit=80)!r} is no alias", where="alias",
                             hint=fault)  # fmt: skip
        model, wanted = subject.model, Wanted(version=subject.version)
        if subject.is_run:
            model = fields.get("model", "").strip()
            if not model or clean_line(model) != model or "/" in model:
                raise UsageError("name the model that it becomes a version of", where="model")
            artifact = fields.get("artifact", "").strip() or ARTIFACT
            try:
                wanted = await wanted_of_run(live.engine, subject.run_id, artifact)
            except UsageError as error:
                hint = "it is named where its MLmodel file is"
                raise UsageError(error.what, where="artifact", hint=hint) from None
        elif not subject.version:
            raise UsageError("choose a version to promote", hint="Enter shows a model's versions")
        plan = await live.engine.plan_promotion(
            model,
            wanted,
            now=time.time(),
            alias=alias,
            why=fields.get("why", ""),
            override=fields.get("override", ""),
            evidence=await weigh(client, live.engine, model, wanted, self._by(live, alias)),
        )
        return await live.engine.check(plan)

    def _by(self, live: Live, alias: str) -> Weighing:
        """What the context asks of a version."""
        config = self._models.backend.config
        return Weighing(alias=alias, gates=live.settings.gates, directions=config.metrics)

    async def plan_undo(self, subject: Subject, alias: str = "") -> Plan:
        """Plan to take an alias back to where it was before, by its record."""
        live, _ = self._live(subject)
        if not alias:
            seen = await live.engine.see_model(subject.model)
            # Of a version that has aliases one of those; else what is live.
            every = [a for a, _ in in_order(seen.aliases)]
            held = (
                [a for a in every if seen.aliases[a] == subject.version] if subject.version else []
            )
            alias = (held or every or [CHAMPION])[0]
        plan = await live.engine.plan_taking_back(subject.model, now=time.time(), alias=alias)
        return await live.engine.check(plan)

    async def approve_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of an approval."""
        live, _ = self._live(subject)
        found = (await live.engine.approvals(subject.model, subject.version)).approvals
        if not found.levels:
            raise UsageError(f"{found.text()} in this tier", where=live.name,
                             hint="[approvals] in the configuration names levels")  # fmt: skip
        open_ = [e for e in found.levels if e.standing is not Standing.GIVEN]
        first = (open_ or list(found.levels))[0].level.name
        stands = "; ".join(
            f"{e.level.name}: {e.standing}, by {who_may(e.level)}" for e in found.levels
        )
        return (
            FormField("level", "level", first, clean_line(stands)),
            FormField("reason", "reason", "", "what was looked at; kept on record"),
        )

    async def plan_approve(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to put an approval on record, in the name by which the servers know us."""
        live, _ = self._live(subject)
        if not fields.get("reason", "").strip():
            raise UsageError("an approval says why", where="reason")
        plan = await live.engine.plan_approval(
            subject.model, subject.version, fields.get("level", ""), fields["reason"],
            now=time.time(),
        )  # fmt: skip
        return await live.engine.check(plan)

    async def copy_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of a copy."""
        return (
            FormField("to", "to model", "", f"the registered model that {subject.words} is copied "
                      "to; it is made where it is not there"),
            FormField("alias", "alias", "", "moved to the copy; empty moves none"),
            FormField("why", "reason", "", "kept on record with the move"),
        )  # fmt: skip

    async def plan_copy(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to copy a version to another model, and to move an alias there if one is named."""
        live, client = self._live(subject)
        to, alias = fields.get("to", "").strip(), fields.get("alias", "").strip()
        if not to or clean_line(to) != to:
            raise UsageError("name the model that it is copied to", where="to")
        if to == subject.model:
            raise UsageError("that is the model it is in", where="to")
        if not subject.version:
            raise UsageError("choose a version to copy", hint="Enter shows a model's versions")
        wanted = await wanted_copy(live.engine, subject.model, subject.version)
        plan = await live.engine.plan_promotion(
            to,
            wanted,
            now=time.time(),
            alias=alias,
            why=fields.get("why", ""),
            evidence=await weigh(client, live.engine, to, wanted, self._by(live, alias)),
        )
        return await live.engine.check(plan)
