"""A work queue: keys to look at now, and keys to look at later."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Each key is in it once, however often it was added."""

    def __init__(self) -> None:
        self._now: dict[K, None] = {}
        self._later: dict[K, float] = {}

    def add(self, key: K) -> None:
        """Look at ``key`` as soon as possible."""
        self._now[key] = None

    def add_at(self, key: K, due: float) -> None:
        """Look at ``key`` at ``due`` (epoch seconds), or earlier if it was planned earlier."""
        self._later[key] = min(due, self._later.get(key, due))

    def take(self, now: float, most: int) -> list[K]:
        """Takes up to ``most`` keys that are due."""
        if self._later:
            for key in [key for key, due in self._later.items() if due <= now]:
                del self._later[key]
                self._now[key] = None
        taken = list(self._now)[:most]
        for key in taken:
            del self._now[key]
        return taken

    @property
    def pending(self) -> bool:
        """Whether anything is to be looked at now."""
        return bool(self._now)

    def next_due(self) -> float | None:
        """When the next of the later keys is due."""
        return min(self._later.values(), default=None)
