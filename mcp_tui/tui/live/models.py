"""What stands behind the Models pane: a registry's feed for each open context, and the list."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.approval import Mode
from mcp_tui.domain.approval_rules import rule_for
from mcp_tui.domain.modelrow import ModelRow, VersionRow
from mcp_tui.domain.plan import Plan
from mcp_tui.domain.text import word
from mcp_tui.errors import UsageError
from mcp_tui.sources.base import AILING, HealthState
from mcp_tui.store.registryfeed import Look, RegistryFeed
from mcp_tui.store.servedmodels import KnownModel
from mcp_tui.tui.live.context import Live, source_state
from mcp_tui.tui.live.models_judging import Judging
from mcp_tui.tui.live.models_model import Item, ModelsModel
from mcp_tui.tui.live.serving import LiveServing
from mcp_tui.tui.model import FormField, Line, Phase, SourceState
from mcp_tui.tui.model_models import Part, Subject

if TYPE_CHECKING:
    from mcp_tui.sources.mlflow import MlflowClient
    from mcp_tui.tui.live.backend import LiveBackend
    from mcp_tui.tui.live.models_acts import ModelActs
    from mcp_tui.tui.live.models_details import ModelDetails

_NEVER_HEARD: Final = "no MLflow is configured or found"


class LiveModels:
    """Implements :class:`mcp_tui.tui.model_models.ModelsBackend`, and is the pane's part.

    Args:
        backend: Whose contexts these are.
    """

    def __init__(self, backend: LiveBackend) -> None:
        self.backend = backend
        self.feeds: dict[str, RegistryFeed] = {}
        self._lives: dict[str, Live] = {}
        self._taken: dict[str, int] = {}
        self._front = False
        self.serving = LiveServing(self._changed)
        self.judging = Judging(self)
        self.model = ModelsModel(self._status, self._is_stale, self._unfolded, self._sorted_by)

    # -- the part of a pane -----------------------------------------------------------------

    def reopen(self) -> None:
        """Follow the contexts that are open now, and no others."""
        lives = self.backend.lives
        for name, feed in list(self.feeds.items()):
            if self._lives[name] is not lives.get(name):
                self.backend.spawn(feed.stop())
                del self.feeds[name], self._lives[name]
        for name, live in lives.items():
            if name not in self.feeds:
                self._lives[name] = live
                self.feeds[name] = RegistryFeed(partial(_client, live), self._changed)
        self._taken.clear()
        self.judging.clear()
        self.model.scope(contexts=len(lives))
        self.backend.spawn(self.serving.reopen(dict(lives)))
        self.front(self._front)

    def front(self, on: bool) -> None:
        """Whether the pane is looked at."""
        self._front = on
        self.serving.front(on)
        for feed in self.feeds.values():
            feed.front(on)

    def refresh(self) -> None:
        """Ask again now."""
        self.judging.clear()
        self.serving.refresh()
        for feed in self.feeds.values():
            feed.refresh()

    def sources(self, prefixes: Mapping[str, str]) -> Sequence[SourceState]:
        """How each registry stands."""
        now = time.monotonic()
        return [
            source_state(f"{prefixes.get(name, '')}models", feed.health, now)
            for name, feed in self.feeds.items()
        ]

    async def stop(self) -> None:
        """End the feeds."""
        await self.serving.stop()
        for feed in self.feeds.values():
            await feed.stop()

    # -- from the feeds to the list ---------------------------------------------------------

    def _changed(self) -> None:
        now = {name: feed.version for name, feed in self.feeds.items()}
        now["\n"] = self.serving.version + self.judging.version
        if now != self._taken:
            self._taken = now
            self._take()
        self.backend.tell()

    def judged(self) -> None:
        """It is known how the approvals of a version stand."""
        self._changed()

    def _take(self) -> None:
        of_each: list[list[Item]] = []
        for name, feed in self.feeds.items():
            rows = feed.models
            known = (KnownModel(name=r.name, aliases=dict(r.aliases), newest=r.newest)
                     for r in rows)  # fmt: skip
            self.serving.models(name, known)
            of_each.append([self._item(name, row) for row in rows])
        tops = _merged(of_each, *self.model.sort)
        self.model.put_models(tops, more=any(feed.more for feed in self.feeds.values()))
        for top in tops:
            versions = self.feeds[top.context].versions.get(top.model.name)
            if versions is None or (not versions.rows and not versions.fault and versions.more):
                continue
            if versions.asked_at == float("-inf") and not versions.rows:
                continue  # asked for, and not there yet
            items = [self._version_item(top, row) for row in versions.rows]
            self.model.put_versions(top, items, more=versions.more, fault=versions.fault)

    def _item(self, context: str, row: ModelRow) -> Item:
        old = self.model.item_of(f"{context}/{row.name}")
        served = self.serving.model_cell(context, row.name)
        made = Item(context=context, model=row, served=served)
        return old if old == made and old is not None else made

    def _version_item(self, top: Item, row: VersionRow) -> Item:
        feed = self.feeds[top.context]
        served = self.serving.of_version(
            top.context, row, dict(top.model.aliases), top.model.newest
        )
        return Item(
            context=top.context,
            model=top.model,
            version=row,
            run=feed.runs.get(row.run_id),
            served=self.serving.cell(served),
            approvals=self._approvals(top.context, row),
        )

    def _approvals(self, context: str, row: VersionRow) -> str:
        """``1 of 2`` that count; those on record that nobody looked at yet are marked."""
        rule = rule_for(self._lives[context].settings.tier, self.backend.config.approvals)
        if rule.mode is not Mode.LEVELS:
            return ""
        levels = [level.name for level in rule.levels]
        return self.judging.cell(context, row, levels)

    def _status(self) -> tuple[Phase, tuple[str, ...]]:
        lines: list[str] = []
        waiting = False
        for name, feed in self.feeds.items():
            health = feed.health
            if self._lives[name].feed.mlflow_health.state is HealthState.ABSENT:
                lines.append(f"{name}: {_NEVER_HEARD}; set mlflow for this context")
            elif health.state in AILING:
                lines.append(f"{name}: {health.message}")
                if health.retry_at is not None:
                    left = max(0.0, health.retry_at - time.monotonic())
                    lines.append(f"tried again in {left:.0f} s")
                lines.append(f"mcp-tui doctor --context {word(name)} says more")
            elif not health.synced:
                waiting = True
                seconds = time.monotonic() - health.since
                lines.append(f"asking for the models of {name}, since {seconds:.0f} s")
        if lines:
            return ("loading" if waiting else "broken"), tuple(lines)
        return "ready", ("no registered models; p on a run registers one",)

    def _is_stale(self, context: str) -> bool:
        feed = self.feeds.get(context)
        return feed is None or feed.health.state in AILING

    # -- what is looked at ------------------------------------------------------------------

    def look(self, keys: Sequence[str], *, last: bool) -> None:
        """These rows are on screen."""
        looks: dict[str, Look] = {name: Look(more_models=last) for name in self.feeds}
        for key in keys:
            item = self.model.item_of(key.removesuffix("\n"))
            if item is None or item.context not in looks:
                continue
            look = looks[item.context]
            names = look.models
            if item.model.name not in names:
                names = (*names, item.model.name)
            ids, more_of = look.run_ids, look.more_of
            if item.version is not None:
                if item.version.run_id:
                    ids = (*ids, item.version.run_id)
                versions = self.feeds[item.context].versions.get(item.model.name)
                if versions and versions.more and versions.rows[-1].version == item.version.version:
                    more_of = (*more_of, item.model.name)
            looks[item.context] = replace(look, models=names, run_ids=ids, more_of=more_of)
        for name, feed in self.feeds.items():
            feed.look(looks[name])
        found = (self.model.item_of(key) for key in keys)
        self.judging.look([item for item in found if item is not None])

    def _unfolded(self, subject: Subject, on: bool) -> None:
        feed = self.feeds.get(subject.context)
        if feed is not None:
            (feed.open if on else feed.close)(subject.model)

    def _sorted_by(self, column: str, reverse: bool) -> None:
        for feed in self.feeds.values():
            feed.order(column, reverse)

    def live(self, context: str) -> Live:
        """An open context.

        Raises:
            UsageError: It is not open any more.
        """
        live = self.backend.lives.get(context)
        if live is None:
            raise UsageError("its context is not open any more")
        return live

    # -- details and plans, each imported when first wanted ---------------------------------

    @cached_property
    def _details(self) -> ModelDetails:
        from mcp_tui.tui.live.models_details import ModelDetails

        return ModelDetails(self)

    @cached_property
    def _acts(self) -> ModelActs:
        from mcp_tui.tui.live.models_acts import ModelActs

        return ModelActs(self)

    async def part(self, subject: Subject, part: Part) -> Sequence[Line]:
        """A tab of the detail."""
        return await self._details.part(subject, part)

    async def preview(self, subject: Subject) -> Sequence[Line]:
        """A few lines for the wide screen."""
        return await self._details.preview(subject)

    async def promote_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of a promotion."""
        return await self._acts.promote_fields(subject)

    async def plan_promote(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to move an alias to a version."""
        return await self._acts.plan_promote(subject, fields)

    async def plan_undo(self, subject: Subject, alias: str = "") -> Plan:
        """Plan to take an alias back."""
        return await self._acts.plan_undo(subject, alias)

    async def approve_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of an approval."""
        return await self._acts.approve_fields(subject)

    async def plan_approve(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan an approval."""
        return await self._acts.plan_approve(subject, fields)

    async def copy_fields(self, subject: Subject) -> Sequence[FormField]:
        """The form of a copy."""
        return await self._acts.copy_fields(subject)

    async def plan_copy(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        """Plan to copy a version."""
        return await self._acts.plan_copy(subject, fields)


def _merged(of_each: Sequence[Sequence[Item]], column: str, reverse: bool) -> list[Item]:
    """The models of several registries as one list, each in the order that its server gave."""
    if column == "since":
        return list(heapq.merge(*of_each, key=lambda i: i.model.updated, reverse=not reverse))
    return list(heapq.merge(*of_each, key=lambda i: i.model.name, reverse=reverse))


def _client(live: Live) -> MlflowClient | None:
    return live.connection.mlflow
