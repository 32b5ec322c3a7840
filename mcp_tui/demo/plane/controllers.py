"""The controllers of the plane, run one after another on the plane's event loop.

Every step is synchronous and short, so that a controller sees and changes objects as one
transaction, and yields to requests in between.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from mcp_tui.demo.plane.gc import GarbageCollector
from mcp_tui.demo.plane.jobcontroller import JobController
from mcp_tui.demo.plane.model import EVENTS, parse_time
from mcp_tui.demo.plane.nodes import NodeController
from mcp_tui.demo.plane.owners import Owners
from mcp_tui.demo.plane.registry import Registry
from mcp_tui.demo.plane.scheduler import Scheduler
from mcp_tui.demo.plane.store import Event

_LOG = logging.getLogger(__name__)

_BATCH = 50
_LONGEST_NAP = 30.0


@dataclass(frozen=True)
class Pace:
    """Waiting times, in seconds.

    Args:
        back_off: Before the first replacement of a failed pod; doubles up to 60 times as much.
        node_grace: A node whose lease is older is not ready.
    """

    back_off: float = 10.0
    node_grace: float = 40.0


class Controller(Protocol):
    """One controller."""

    def observe(self, event: Event) -> None:
        """Notes a change; must not write."""

    def work(self, now: float, most: int) -> bool:
        """Does up to ``most`` steps; whether there is more to do at once."""

    def next_due(self) -> float | None:
        """When it wants to be called without a change (epoch seconds)."""


class EventTtl:
    """Takes Events away when they are old. Not announced, as upstream's lease expiry is not."""

    def __init__(self, registry: Registry, ttl: float) -> None:
        self._registry = registry
        self._ttl = ttl
        self._next = 0.0

    def observe(self, event: Event) -> None:
        """Nothing: it goes by the clock."""

    def work(self, now: float, most: int) -> bool:  # noqa: ARG002 - the protocol's
        """Takes away what is too old, every half minute."""
        if now < self._next:
            return False
        self._next = now + min(30.0, self._ttl / 2)
        store = self._registry.store
        for entry in store.buckets[EVENTS].range(None):
            obj = entry.obj
            last = parse_time(obj.get("lastTimestamp")) or parse_time(
                obj["metadata"].get("creationTimestamp")
            )
            if last is not None and last + self._ttl <= now:
                store.remove(entry)
        return False

    def next_due(self) -> float | None:
        """The next round."""
        return self._next


class Controllers:
    """Runs them all until stopped."""

    def __init__(self, registry: Registry, pace: Pace, *, event_ttl: float) -> None:
        self._registry = registry
        self._stopped = False
        self._wake = asyncio.Event()
        owners = Owners(registry.store)
        self._all: list[Controller] = [
            GarbageCollector(registry, owners),
            NodeController(registry, pace.node_grace),
            JobController(registry, owners, back_off=pace.back_off),
            Scheduler(registry),
            EventTtl(registry, event_ttl),
        ]
        self._owners = owners
        registry.store.listen(self._observe)
        for bucket in registry.store.buckets.values():
            for entry in bucket.range(None):
                self._observe(Event("ADDED", entry, None))

    def stop(self) -> None:
        """Ends :meth:`run` soon."""
        self._stopped = True
        self._wake.set()

    def _observe(self, event: Event) -> None:
        self._owners.observe(event)
        for controller in self._all:
            controller.observe(event)
        self._wake.set()

    async def run(self) -> None:
        """Works until :meth:`stop`."""
        while not self._stopped:
            self._wake.clear()
            more = False
            for controller in self._all:
                more = self._step(controller) or more
                await asyncio.sleep(0)
            if not more and not self._wake.is_set():
                await self._nap()

    def _step(self, controller: Controller) -> bool:
        try:
            return controller.work(self._registry.clock(), _BATCH)
        except Exception:  # noqa: BLE001 - one bad object must not end all controllers
            _LOG.exception("%s failed", type(controller).__name__)
            return False

    async def _nap(self) -> None:
        dues = [due for item in self._all if (due := item.next_due()) is not None]
        wait = min(dues, default=0.0) - self._registry.clock() if dues else _LONGEST_NAP
        try:
            async with asyncio.timeout(min(max(wait, 0.001), _LONGEST_NAP)):
                await self._wake.wait()
        except TimeoutError:
            pass
