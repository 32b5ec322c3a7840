"""One opened context: its clients, its live rows, what writes there, and how its sources stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from mcp_tui.actions.journal import Journal
from mcp_tui.config import ContextConfig
from mcp_tui.sources.base import AILING, HealthState, SourceHealth
from mcp_tui.sources.connect import Connection
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.turn import Turn
from mcp_tui.tui.model import SourceState, SourceWord

if TYPE_CHECKING:
    from mcp_tui.actions.engine import Engine
    from mcp_tui.domain.approval import Rule
    from mcp_tui.domain.plan import Tier

# A server that says nothing is asked long before; what is silent for so long though it answers has
# missed a bookmark, which come once a minute.
_STALE_AFTER: Final = 90.0
_WORDS: Final[Mapping[HealthState, SourceWord]] = {
    HealthState.CONNECTING: "connecting",
    HealthState.LIVE: "live",
    HealthState.POLLING: "polling",
    HealthState.RETRYING: "retrying",
    HealthState.DENIED: "denied",
    HealthState.DOWN: "down",
}


class Live:
    """One opened context."""

    def __init__(
        self,
        name: str,
        connection: Connection,
        namespace: str | None,
        journal: Journal,
        changed: Callable[[], None],
        turn: Turn | None = None,
        *,
        approvals: Mapping[Tier, Rule] | None = None,
    ) -> None:
        self.name = name
        self._approvals = approvals
        self.connection = connection
        self.settings: ContextConfig = connection.settings
        self.store = JobStore(name)
        self.feed = JobsFeed(connection, namespace, self.store, changed, turn=turn)
        self._journal = journal
        self.user = ""
        self.kept: set[str] = set()
        self.prometheus: SourceHealth | None = None
        # How MLflow answers the pane that asks it, while somebody looks at that.
        self.asked: MlflowHealth | None = None

    @cached_property
    def engine(self) -> Engine:
        """What writes there."""
        from mcp_tui.actions.engine import Engine
        from mcp_tui.actions.jobs import Scope

        scope = Scope(context=self.name, tier=self.settings.tier)
        return Engine(
            self.connection.kube,
            self.connection.mlflow,
            scope,
            self._journal,
            approvals=self._approvals,
        )

    def sources(self, prefix: str) -> list[SourceState]:
        """What the frame says of each source; ``prefix`` tells several contexts apart."""
        now = time.monotonic()
        found = [source_state(f"{prefix}k8s", self.feed.health(), now)]
        mlflow = self._mlflow_health()
        if mlflow.state is not HealthState.ABSENT:
            found.append(source_state(f"{prefix}mlflow", mlflow, now))
        if self.prometheus is not None:
            found.append(source_state(f"{prefix}prometheus", self.prometheus, now))
        return found

    def _mlflow_health(self) -> SourceHealth:
        """As who asks most sees it: a pane of runs or models, else the jobs' runs."""
        known = self.feed.mlflow_health
        if self.asked is None:
            return known
        asked = self.asked.health
        heard = (asked.spoke_at or 0.0) >= (known.spoke_at or 0.0)
        return asked if asked.state in AILING or (asked.synced and heard) else known

    @property
    def is_stale(self) -> bool:
        """Whether the source of the rows is silent."""
        source = source_state("k8s", self.feed.rows_health(), time.monotonic())
        return source.state in {"stale", "retrying", "down", "denied"}

    async def close(self) -> None:
        """End it."""
        await self.feed.stop()
        await self.connection.aclose()


def source_state(name: str, health: SourceHealth, now: float) -> SourceState:
    """A source's health in the frame's words; ``now`` is monotonic seconds."""
    age = health.age(now)
    word = _WORDS.get(health.state, "down")
    if word == "live" and age is not None and age > _STALE_AFTER:
        word = "stale"
    if word == "retrying" and health.spoke_at is not None:
        word = "stale"
    retry = None if health.retry_at is None else max(0.0, health.retry_at - now)
    return SourceState(name=name, state=word, age=age, message=health.message, retry_in=retry)
