"""Whether an API server that says nothing is well: it is asked, but only when there is reason to.

While nothing changes a watch says nothing but a bookmark a minute, and that is all that may cross
the line. So the server is asked only when a bookmark is overdue, when somebody is at the keys and
has heard nothing for a while, and when a call was not answered. Packets that vanish are found by
the kernel (the transport's socket options); a server that hangs is found only so.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.base import SPEAKING, HealthState, SourceHealth
from mcp_tui.sources.kubernetes.transport import KubeClient

_PATH: Final = "/livez"
# A gateway that answers in the server's stead says that the server does not.
_GATEWAY: Final = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class PulseTiming:
    """Times in seconds; tests shorten them.

    Attributes:
        overdue: A watch that was silent for so long misses its bookmark: servers send one a minute.
        attended: With somebody at the keys, silence of this length is enough.
        suspicious: After a call without an answer, silence of this length is enough.
        deadline: For the answer.
        tick: How often is looked whether there is reason to ask.
        first: Until it is asked again after no answer; it doubles.
        most: The longest such wait.
    """

    overdue: float = 75.0
    attended: float = 15.0
    suspicious: float = 4.0
    deadline: float = 6.0
    tick: float = 2.0
    first: float = 2.0
    most: float = 15.0


class Pulse:
    """Finds out that a server hangs, long before its watches would count as dead.

    Args:
        kube: The server's client.
        watches: The health of what follows it now.
        on_change: Called when :attr:`unanswered` begins or ends.
        timing: The times.
        clock: Monotonic seconds.

    Attributes:
        unanswered: Why the server counts as hanging; empty while it does not.
        asked: How often it was asked.
    """

    def __init__(
        self,
        kube: KubeClient,
        watches: Callable[[], Iterable[SourceHealth]],
        on_change: Callable[[], None],
        *,
        timing: PulseTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._watches = watches
        self._on_change = on_change
        self._timing = timing or PulseTiming()
        self._clock = clock
        self._answered_at = self._failed_at = self._attended_at = self._doubted_at = -1e9
        self._since = self._retry_at = 0.0
        self._delay = self._timing.first
        self._wake = asyncio.Event()
        self.unanswered = ""
        self.asked = 0

    def attend(self) -> None:
        """Somebody is at the keys."""
        self._attended_at = self._clock()
        self._wake.set()

    def doubt(self) -> None:
        """A call was not answered."""
        self._doubted_at = self._clock()
        self._wake.set()

    def over(self, health: SourceHealth) -> SourceHealth:
        """What a watch says of itself, with what is known here: that the server does not answer."""
        if not self.unanswered or health.state not in SPEAKING:
            return health
        return msgspec.structs.replace(
            health,
            state=HealthState.RETRYING,
            message=self.unanswered,
            retry_at=self._retry_at,
            since=self._since,
        )

    async def run(self) -> None:
        """Look after the silence until cancelled."""
        while True:
            if self.unanswered and self._heard_since(self._failed_at):
                self._set("")
            if self._has_reason():
                await self.ask()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.tick):
                    await self._wake.wait()

    def _heard(self) -> list[float]:
        """When each watch that lives was last heard."""
        return [
            health.spoke_at
            for health in self._watches()
            if health.state is HealthState.LIVE and health.spoke_at is not None
        ]

    def _heard_since(self, moment: float) -> bool:
        return max(self._heard(), default=-1e9) > moment

    def _has_reason(self) -> bool:
        now, heard, timing = self._clock(), self._heard(), self._timing
        if self.unanswered:
            return now >= self._retry_at
        if not heard:
            return False  # Nothing is followed, and whatever tries to says so itself.
        newest = max(self._answered_at, *heard)
        quiet = now - newest
        # A word of any watch is a sign of life; a quiet kind of object may miss a bookmark.
        return (
            quiet > timing.overdue
            or (quiet > timing.attended and self._attended_at > newest)
            or (quiet > timing.suspicious and self._doubted_at > newest)
        )

    async def ask(self) -> None:
        """Ask for a sign of life; any answer of the server itself is one."""
        self.asked += 1
        began, words = self._clock(), ""
        try:
            await self._kube.request("GET", _PATH, deadline=self._timing.deadline)
        except ApiError as error:
            if error.status in _GATEWAY:
                words = error.line()
        except UnreachableError as error:
            words = error.line()
        except McpTuiError:
            pass  # Our own credentials fail: that says nothing of the server.
        now = self._clock()
        if not words:
            self._answered_at = now
        else:
            # A word that came while it was waited for counts as much as one that comes later.
            self._failed_at = began
            self._retry_at = now + self._delay
            self._delay = min(self._timing.most, self._delay * 2)
        self._set("" if words and self._heard_since(began) else words)

    def _set(self, words: str) -> None:
        if not words:
            self._delay = self._timing.first
        if bool(words) != bool(self.unanswered):
            self._since = self._clock()
        if words != self.unanswered:
            self.unanswered = words
            self._on_change()
