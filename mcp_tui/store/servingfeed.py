"""Follows what serves models in one context, for as long as somebody looks at models.

Deployments always; InferenceServices and Rollouts where the server has them. What may not be read
is said and hides nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.base import AILING, SPEAKING, HealthState, SourceHealth
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import (
    DEPLOYMENTS,
    INFERENCESERVICES,
    ROLLOUTS,
    Resource,
    choose,
    discover,
)
from mcp_tui.store.serving import ServingStore

SERVERS: Final[tuple[Resource[Any], ...]] = (DEPLOYMENTS, INFERENCESERVICES, ROLLOUTS)
_MOST: Final = 20_000
_AT_ONCE: Final = 50
_DISCOVER_RETRY: Final = 10.0
_DISCOVER_AGAIN: Final = 600.0


class ServingFeed:
    """Keeps one context's part of a :class:`ServingStore` in step with the cluster.

    Args:
        connection: The context's clients.
        namespace: None for all.
        store: Filled by this feed; emptied of the context by :meth:`stop`.
        on_change: Called on the event loop when the store has something to flush, or a source's
            health changed.
        fallback: The namespace that is read where not all of them may be.
        timing: The reflectors'.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str | None,
        store: ServingStore,
        on_change: Callable[[], None] = lambda: None,
        *,
        fallback: str = "",
        timing: Timing | None = None,
    ) -> None:
        self.connection = connection
        self.namespace = namespace
        self.fallback = fallback if namespace is None else ""
        self.store = store
        self._tell = on_change
        self._timing = timing
        self._reflectors: dict[str, Reflector[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._following: dict[str, asyncio.Task[None]] = {}
        self._narrow: set[str] = set()
        self._pending: deque[tuple[str, Delta[Any]]] = deque()
        self._arrived = asyncio.Event()
        self._news = asyncio.Event()
        self._again = asyncio.Event()
        self._discovered = False
        self._undiscovered = ""
        self._defect = ""

    @property
    def context(self) -> str:
        """The context's name."""
        return self.connection.info.name

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return bool(self._tasks)

    def start(self) -> None:
        """Begin; returns at once. Once it runs, nothing happens."""
        if self._tasks:
            return
        self._discovered, self._undiscovered, self._defect = False, "", ""
        self._follow(DEPLOYMENTS)
        self._spawn(self._discover())
        self._spawn(self._take())

    async def stop(self, *, forget: bool = True) -> None:
        """End everything that was started, and forget what it told unless that is wanted still."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._reflectors.clear()
        self._following.clear()
        self._narrow.clear()
        self._pending.clear()
        if forget:
            self.store.forget(self.context)
            self._tell()

    def refresh(self) -> None:
        """Ask again now which kinds there are."""
        self._again.set()

    @property
    def known(self) -> bool:
        """Whether all was read, so that nothing means that nothing serves.

        A kind that the server does not have serves nothing.
        """
        return (
            self._discovered
            and not self._narrow
            and not self._pending
            and all(
                r.synced or r.health.state is HealthState.ABSENT for r in self._reflectors.values()
            )
        )

    def healths(self) -> tuple[SourceHealth, ...]:
        """How each kind stands."""
        return tuple(reflector.health for reflector in self._reflectors.values())

    def troubles(self) -> tuple[str, ...]:
        """What is not known and why, each in a line."""
        found = [self._undiscovered, self._defect]
        if self._narrow:
            kinds = " and ".join(sorted(self._narrow))
            found.append(f"{self.context}: {kinds} may be read in {self.fallback} only")
        for health in self.healths():
            ails = health.state in AILING
            said = health.message or (health.state.value if ails else "")
            if said and (ails or health.state is HealthState.LIVE):
                found.append(f"{health.name}: {said}")
        return tuple(dict.fromkeys(filter(None, found)))

    async def settle(self, timeout: float) -> bool:
        """Wait until every kind has said all it has, or that it cannot.

        Returns:
            Whether all was read.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._settled():
                    self._news.clear()
                    await self._news.wait()
        self.store.flush()
        return self.known

    def _settled(self) -> bool:
        if self._pending or not (self._discovered or self._undiscovered or self._defect):
            return False
        for plural, reflector in self._reflectors.items():
            state = reflector.health.state
            if plural in self._narrow and reflector.namespace is None:
                return False  # about to be asked in one namespace
            waits = state is HealthState.CONNECTING or (state in SPEAKING and not reflector.synced)
            if waits:
                return False
        return True

    def _changed(self) -> None:
        # MLflow may be found later than the first server.
        self.store.belongs(self.context, registry_of(self.connection))
        self._news.set()
        self._tell()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.append(task)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a defect of one source must not end the rest
            self._defect = f"defect in what serves: {type(error).__name__}: {one_line(str(error))}"
            self._changed()

    def _follow(self, resource: Resource[Any]) -> None:
        if resource.plural in self._reflectors:
            return

        def sink(delta: Delta[Any]) -> None:
            self._pending.append((resource.plural, delta))
            self._arrived.set()

        def heard(health: SourceHealth) -> None:
            denied = health.state is HealthState.DENIED and not health.synced
            if denied and self.fallback and resource.plural not in self._narrow:
                self._narrow.add(resource.plural)
                asyncio.get_running_loop().call_soon(self._narrowed, resource)
            self._changed()

        narrow = resource.plural in self._narrow
        reflector = Reflector(
            self.connection.kube,
            resource,
            namespace=self.fallback if narrow else self.namespace,
            sink=sink,
            on_health=heard,
            timing=self._timing,
            most=_MOST,
        )
        self._reflectors[resource.plural] = reflector
        self._following[resource.plural] = self._spawn(reflector.run())

    def _narrowed(self, resource: Resource[Any]) -> None:
        """Read one namespace instead of all, which is not allowed."""
        task = self._following.pop(resource.plural, None)
        if task is not None and self._tasks:
            task.cancel()
            del self._reflectors[resource.plural]
            self._follow(resource)
            self._changed()

    async def _take(self) -> None:
        """Take what arrived, a little at a time: a page of objects would hold up keys."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._pending:
                plural, delta = self._pending[0]
                for at in range(0, len(delta.upserts), _AT_ONCE):
                    self._apply(plural, Delta(delta.upserts[at : at + _AT_ONCE]))
                    await asyncio.sleep(0)
                self._apply(plural, Delta((), delta.removes))
                self._pending.popleft()
            self._changed()

    def _apply(self, plural: str, delta: Delta[Any]) -> None:
        try:
            self.store.apply(self.context, delta)
        except Exception as error:  # noqa: BLE001 - one object must not hide the others
            if len(delta.upserts) > 1:
                for each in delta.upserts:
                    self._apply(plural, Delta((each,)))
                return
            self._defect = f"defect in {plural}: {type(error).__name__}"

    async def _discover(self) -> None:
        """Follow the kinds that are there, and those that come."""
        while True:
            try:
                served = await discover(self.connection.kube)
            except McpTuiError as error:
                self._undiscovered = f"discovery: {error.line()}"
                self._changed()
                await self._pause(_DISCOVER_RETRY)
                continue
            for wanted in SERVERS:
                found = choose(served, wanted)
                if found is not None:
                    self._follow(found)
            self._undiscovered, self._discovered = "", True
            self._changed()
            await self._pause(_DISCOVER_AGAIN)

    async def _pause(self, seconds: float) -> None:
        """Wait, or until somebody asks for it again."""
        self._again.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()


def registry_of(connection: Connection) -> str:
    """What tells one context's registry from another's; empty where it has none.

    A URL is the same from everywhere; a Service of the cluster is of that cluster alone.
    """
    endpoint = connection.settings.mlflow
    if endpoint is None:
        return ""
    return endpoint.url or f"{connection.info.name} {endpoint.service}"
