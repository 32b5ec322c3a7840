"""The kubelet's back-off: at once, then 10 s doubling to 300 s, forgotten after a long good run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class BackOff:
    """How long to wait before the next try of one container or image.

    Args:
        initial: Seconds of the first real wait.
        limit: The longest wait in seconds.
    """

    initial: float = 10.0
    limit: float = 300.0
    _next: float = 0.0

    def step(self) -> float:
        """Seconds to wait before this try; the first is 0 and each later one doubles."""
        wait = self._next
        self._next = min(self.limit, wait * 2) if wait else self.initial
        return wait

    def ran(self, seconds: float) -> None:
        """A container ran for that long: after twice the limit its past is forgotten."""
        if seconds > 2 * self.limit:
            self._next = 0.0
