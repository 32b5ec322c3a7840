"""What every source tells the rest of the console about itself."""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec


class HealthState(Enum):
    """How a source stands with its server.

    CONNECTING: nothing has come yet. LIVE: changes arrive as they happen. POLLING: lists at an
    interval, because watching is not allowed. RETRYING: it failed, and is tried again at
    ``retry_at``; what is on screen is old. DENIED: not allowed; asked again now and then. ABSENT:
    the server does not have this kind. DOWN: stopped for good.
    """

    CONNECTING = "connecting"
    LIVE = "live"
    POLLING = "polling"
    RETRYING = "retrying"
    DENIED = "denied"
    ABSENT = "absent"
    DOWN = "down"


SPEAKING: Final = (HealthState.LIVE, HealthState.POLLING)
"""Its rows are as new as they can be."""
AILING: Final = (HealthState.RETRYING, HealthState.DENIED, HealthState.DOWN)
"""Something is wrong with it that somebody may have to mend."""


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one source at one moment.

    Args:
        name: What it watches, such as ``dev: jobs``.
        state: How it stands.
        spoke_at: When the server last said anything, on the monotonic clock (seconds); None before
            it ever did. ``now - spoke_at`` is the data's age.
        message: Why it is not LIVE, or what was dropped; one sanitised line, else empty.
        retry_at: When it will be tried again, on the monotonic clock; None when nothing is planned.
        since: When this state began, on the monotonic clock.
        synced: Whether one complete answer has ever arrived, so that absence means absence.
        dropped: How many objects could not be decoded and are missing.
    """

    name: str
    state: HealthState = HealthState.CONNECTING
    spoke_at: float | None = None
    message: str = ""
    retry_at: float | None = None
    since: float = 0.0
    synced: bool = False
    dropped: int = 0

    def age(self, now: float) -> float | None:
        """Seconds since the server last spoke, at monotonic time ``now``; None if it never did."""
        return None if self.spoke_at is None else max(0.0, now - self.spoke_at)
