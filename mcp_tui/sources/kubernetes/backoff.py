"""How long to wait before asking an API server again; the figures are client-go's."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_MOST_ASKED: Final = 600.0
"""The longest wait, in seconds, that a server is granted."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The reflector's times, in seconds; tests shorten them.

    Attributes:
        watch_least: Least ``timeoutSeconds`` of a watch; the server ends it then.
        watch_most: Most of it; a random value between them keeps watches from ending together.
        slack: How much longer than that silence may last before a connection counts as dead.
        heartbeat: The longest silence once a bookmark has come; servers send one a minute.
        tick: How often a quiet watch is looked after.
        away: After so long without a word of the server, between watches, all is listed again: in
            that time it may have been put back to an older state, and have counted past ours.
        jump: How much later than asked a tick may come before we count as having been suspended.
        first: The first wait after a failure; it doubles.
        most: The longest wait.
        jitter: Random share added to a wait.
        healthy: After so long without failures the wait starts at ``first`` again.
        fast_end: A watch that ends sooner than this, without an event, ended too fast.
        poll: Least time between lists where watching is not allowed.
        poll_most: Most time between them.
        poll_factor: A list that took t is not repeated within ``poll_factor * t``.
        denied: Wait after a refusal or where the kind is absent, and between tries to watch again.
        page_deadline: For one page of a list.
        full_deadline: For a whole list in one answer.
        connect_deadline: Until a watch answers at all.
    """

    watch_least: int = 300
    watch_most: int = 600
    slack: float = 15.0
    heartbeat: float = 150.0
    tick: float = 5.0
    away: float = 15.0
    jump: float = 15.0
    first: float = 0.8
    most: float = 30.0
    jitter: float = 0.5
    healthy: float = 120.0
    fast_end: float = 1.0
    poll: float = 10.0
    poll_most: float = 300.0
    poll_factor: float = 20.0
    denied: float = 60.0
    page_deadline: float = 30.0
    full_deadline: float = 120.0
    connect_deadline: float = 15.0

    def interval(self, took: float) -> float:
        """Seconds until a list that took so many is repeated."""
        return min(self.poll_most, max(self.poll, took * self.poll_factor))


class Backoff:
    """Waits that double from ``first`` to ``most``, with jitter, and start again after health."""

    def __init__(self, timing: Timing, clock: Callable[[], float], rng: random.Random) -> None:
        self._timing = timing
        self._clock = clock
        self._rng = rng
        self._next = timing.first
        self._failed_at = float("-inf")

    def after_failure(self, asked: float | None = None) -> float:
        """Seconds to wait after a failure now.

        Args:
            asked: What the server asked for (Retry-After); never waited for less than that.
        """
        now = self._clock()
        if now - self._failed_at > self._timing.healthy + self._next:
            self._next = self._timing.first
        self._failed_at = now
        delay = self._next * (1 + self._rng.random() * self._timing.jitter)
        self._next = min(self._timing.most, self._next * 2)
        if asked is not None and asked > delay:
            return min(asked, _MOST_ASKED) * (1 + self._rng.random() * 0.1)
        return delay

    def spread(self, seconds: float) -> float:
        """A planned wait, with jitter so that several do not fall together."""
        return seconds * (1 + self._rng.random() * 0.2)
