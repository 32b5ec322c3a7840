"""What a reflector says of its own health."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mcp_tui.sources.base import HealthState, SourceHealth


class Voice:
    """Keeps the health of one source, and tells of what can be seen of it.

    Args:
        name: What is followed.
        clock: Monotonic seconds.
        on_health: Called when what the health says, other than its times, changes.
        most: How many objects are read at most; None for all.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float],
        on_health: Callable[[SourceHealth], None] | None,
        most: int | None,
    ) -> None:
        self.health = SourceHealth(name=name, since=clock())
        self.beyond = False
        self._clock = clock
        self._on_health = on_health
        self._most = most

    def live(self) -> None:
        """Changes arrive as they happen; what is missing nevertheless is said."""
        count = self.health.dropped
        words = f"{count} object{'s' if count > 1 else ''} could not be read" if count else ""
        if self.beyond:
            words = f"only {self._most:,} of them are read" + (f"; {words}" if words else "")
        if self.health.state is not HealthState.LIVE or self.health.message != words:
            self.set(state=HealthState.LIVE, message=words, retry_at=None)

    def drop(self, count: int = 1) -> None:
        """So many more objects cannot be read."""
        self.set(dropped=self.health.dropped + count)
        if self.health.state is HealthState.LIVE:
            self.live()

    def spoke(self) -> None:
        """The server said something."""
        self.health = msgspec.structs.replace(self.health, spoke_at=self._clock())

    def set(self, **changes: Any) -> None:
        """Change fields of the health."""
        old = self.health
        if changes.get("state", old.state) is not old.state:
            changes["since"] = self._clock()
        self.health = msgspec.structs.replace(old, **changes)
        if self._on_health is not None and _visible(old) != _visible(self.health):
            self._on_health(self.health)


def _visible(health: SourceHealth) -> tuple[object, ...]:
    return (health.state, health.message, health.synced, health.dropped)
