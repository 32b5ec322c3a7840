"""Follows one kind of object: list in pages, watch from there, and never lose or invent a row.

The rules are those of client-go's reflector, with what Python clients get wrong put right: backoff
also after a watch that ends cleanly but at once, silence is noticed, a torn line loses nothing, a
relist gives differences with their deletions, and a process that was suspended lists again. What
was told stays through every error: an error is a matter of :attr:`Reflector.health`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, get_args

from mcp_tui.domain.decode import DecodeError, Lines, UnfitError
from mcp_tui.domain.kube_wire import (
    ChangeType,
    ObjectList,
    Status,
    decode_watch,
    decode_watch_block,
)
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.kubernetes.backoff import Backoff, Timing
from mcp_tui.sources.kubernetes.blocks import iter_blocks
from mcp_tui.sources.kubernetes.doubt import Trust, is_gone
from mcp_tui.sources.kubernetes.failures import BrokenOffError
from mcp_tui.sources.kubernetes.known import Batch, Delta, Known, older, uid_of
from mcp_tui.sources.kubernetes.pages import pages_of
from mcp_tui.sources.kubernetes.resources import Resource
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.kubernetes.voice import Voice
from mcp_tui.sources.kubernetes.watch import RelistError, RewatchError, consume, error_of, query

__all__ = ["PAGE", "Delta", "Reflector"]

T = TypeVar("T")

PAGE: Final = 500
# How often a list whose pages expired starts again before all is asked for in one answer.
MAX_RESTARTS: Final = 2
_CHANGES: Final = frozenset(get_args(ChangeType))


class Reflector(Generic[T]):
    """Keeps a sink in step with one kind of object.

    Args:
        client: The API server.
        resource: What to follow.
        namespace: None for all namespaces.
        label_selector: As in the API.
        field_selector: As in the API.
        sink: Called with each change, on the event loop; must be quick and must not raise.
        on_health: Called when what :attr:`health` says, other than its times, changes.
        clock: Monotonic seconds.
        wall: Wall-clock seconds; a jump against ``clock`` means that the machine slept.
        sleep: How to wait.
        rng: Randomness for timeouts and jitter.
        timing: The times.
        most: Objects kept at once; further ones are passed over and that is said. None for all.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[T],
        *,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
        sink: Callable[[Delta[T]], None],
        on_health: Callable[[SourceHealth], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        timing: Timing | None = None,
        most: int | None = None,
    ) -> None:
        self.client = client
        self._most = most
        self.resource = resource
        self.namespace = namespace
        self._path = resource.path(namespace)
        self._selectors = tuple(
            (key, value)
            for key, value in (("labelSelector", label_selector), ("fieldSelector", field_selector))
            if value
        )
        self._page_type: Any = ObjectList[resource.type_]  # type: ignore[name-defined] # at run time
        self._sink = sink
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not secrets
        self._timing = timing or Timing()
        self._backoff = Backoff(self._timing, clock, self._rng)
        self._known = Known()
        self._version = ""
        self._trust = Trust(clock, wall, self._timing)
        self._listed_at = float("-inf")
        self._must_list = True
        self._broken = False  # Whether the last watch ended before its time, or said nothing.
        self._watching = False
        self._marked = False  # Whether a bookmark came: then they are to be expected.
        self._expiries = 0
        self._fast_ends = 0
        self._torn_at: str | None = None
        self._watch_denied_until: float | None = None
        self._list_took = 0.0
        what = resource.plural + (f" in {namespace}" if namespace else "")
        self._voice = Voice(f"{client.context.name}: {what}", clock, on_health, most)

    @property
    def health(self) -> SourceHealth:
        """How it stands."""
        return self._voice.health

    @property
    def synced(self) -> bool:
        """Whether one complete list has been delivered."""
        return self.health.synced

    def known(self) -> dict[str, str]:
        """What the sink was told: resourceVersion by uid."""
        return self._known.versions()

    async def run(self) -> None:
        """Follow until cancelled; only a defect raises."""
        try:
            while True:
                self._watching = False
                try:
                    await self._round()
                except RelistError as why:
                    await self._expired(str(why))
                except RewatchError as why:
                    await self._retry(str(why), None)
                except ApiError as error:
                    await self._refused(error)
                except UnreachableError as error:
                    await self._retry(error.line(), None)
                except McpTuiError as error:  # the gate, an exec plugin, a bad certificate
                    await self._wait(HealthState.DENIED, error.line(), self._timing.denied)
        finally:
            self._voice.set(state=HealthState.DOWN, retry_at=None)

    async def _round(self) -> None:
        """One list if it is needed, then one watch, or one wait where watching is not allowed."""
        if self._must_list:
            await self._list()
            self._must_list = self._broken = False
        elif self._broken:
            if self._version:
                await self._trust.check(self.client, self._path, self._selectors, self._version)
            self._broken = False
        denied_until = self._watch_denied_until
        if denied_until is None or self._clock() >= denied_until:
            self._watching = True
            await self._watch()
            return
        interval = self._timing.interval(self._list_took)
        self._must_list = True
        await self._wait(
            HealthState.POLLING,
            f"watching is not allowed; listed every {interval:.0f} s",
            interval,
        )

    async def _list(self) -> None:
        """List everything; when the pages expire, begin again, at last without pages."""
        started = self._clock()
        for attempt in range(MAX_RESTARTS + 1):
            try:
                await self._list_once(paged=attempt < MAX_RESTARTS)
                break
            except ApiError as error:
                if error.status != 410 or attempt == MAX_RESTARTS:
                    raise
        self._listed_at = self._clock()
        self._list_took = self._listed_at - started

    async def _list_once(self, *, paged: bool) -> None:
        """One try: pages are delivered as they come, deletions at the end."""
        version, seen = "", set[str]()
        alone = not self.synced and not len(self._known)
        # What a list tells that does not come to its end is of no known moment.
        sure, self._trust.sure = self._trust.sure, False
        limit = PAGE if paged else 0
        deadline = self._timing.page_deadline if paged else self._timing.full_deadline
        pages = pages_of(
            self.client,
            self._path,
            self._page_type,
            self._selectors,
            limit=limit,
            deadline=deadline,
        )
        async with contextlib.aclosing(pages):
            async for page in pages:
                sure = sure and not self._trust.lapsed()
                self._trust.connected()
                self._voice.spoke()
                version = page.metadata.resource_version or version
                sure = sure and not older(version, self._version)
                batch: Batch[T] = Batch(self._known)
                dropped = batch.page(page.items, seen, most=self._most, trust=sure)
                self._voice.drop(dropped + len(page.unread))
                # They are there: what was told of them before stays.
                seen.update(uid for uid in map(uid_of, page.unread) if uid in self._known)
                more = bool(page.metadata.continue_)
                full = self._most is not None and len(seen) >= self._most
                done = full or not more
                if done:
                    self._voice.beyond = more or batch.beyond
                    for uid in self._known.unseen(seen):
                        batch.remove(uid)
                first = done and not self.synced
                self._tell(batch.delta(replace=first and alone, synced=first))
                alone = False
                if done:
                    break
        self._version = version
        self._trust.sure = True
        self._voice.set(synced=True)

    async def _watch(self) -> None:
        """One watch; says by its exceptions how to go on, and returns to watch again."""
        timeout = self._rng.randint(self._timing.watch_least, self._timing.watch_most)
        started = self._clock()
        self._broken = True
        silence = timeout + self._timing.slack
        self._marked = False
        async with self.client.stream(
            self._path,
            params=query(self._selectors, timeout, self._version),
            # Silence is looked after below, where its beginning is known; this is the last resort.
            read_timeout=silence + 3 * self._timing.tick,
            connect_deadline=self._timing.connect_deadline,
        ) as chunks:
            self._watch_denied_until = None
            self._voice.spoke()
            self._trust.answered()
            if not self._fast_ends:
                self._voice.live()
            try:
                events = await consume(
                    iter_blocks(chunks),
                    self._take_block,
                    alive=self._voice.live,
                    silence=silence,
                    marked=lambda: self._marked,
                    timing=self._timing,
                    clock=self._clock,
                    wall=self._wall,
                )
            except (ApiError, BrokenOffError):
                self._trust.connected()
                raise
        self._trust.connected()
        if self.resource.relist or (self._voice.beyond and len(self._known) < (self._most or 0)):
            self._must_list = True
        lasted = self._clock() - started
        # A watch from a version that is yet to come is answered with silence.
        self._broken = lasted < timeout - 1 or not events
        if lasted < self._timing.fast_end:
            if not events:
                self._fast_ends += 1
                self._must_list = self._must_list or self._fast_ends > 1
                raise RewatchError("the server ends the watch at once")
            await self._sleep(self._timing.fast_end - lasted)
        self._fast_ends = 0

    def _take_block(self, block: Lines) -> int:
        """Apply whole lines as one change, up to the first that ends the watch."""
        batch: Batch[T] = Batch(self._known)
        events = 0
        problem: Exception | None = None
        changes = decode_watch_block(self.resource.type_, block)
        try:
            if changes is not None:
                for change in changes:
                    self._take(change.type, change.object, batch)
                    events += 1
            else:
                for piece in block:
                    for line in bytes(piece).split(b"\n"):
                        events += self._take_line(line, batch)
        except (RelistError, RewatchError, ApiError) as error:
            problem = error
        if events:
            self._fast_ends = 0
        self._trust.connected()
        self._voice.spoke()
        self._tell(batch.delta())
        if problem is not None:
            raise problem
        return events

    def _take_line(self, line: bytes, batch: Batch[T]) -> int:
        if not line:
            return 0
        try:
            kind, item = decode_watch(self.resource.type_, line)
        except UnfitError:
            self._unreadable()  # It is whole: nothing is gained by asking for it again.
            return 0
        except DecodeError:
            self._torn()
            return 0
        if isinstance(item, Status):
            where = self.client.where("WATCH", self._path)
            raise error_of(item, where, self.client.credentials.hide)
        if kind not in _CHANGES:
            self._torn()
            return 0
        self._take(kind, item, batch)
        return 1

    def _take(self, kind: str, item: Any, batch: Batch[T]) -> None:
        """Apply one event.

        Raises:
            RelistError: It comes after a later one: of what came between nothing is known.
        """
        meta = item.metadata
        version, before = meta.resource_version, self._version
        # It is asked of every event of a storm, whose versions are as long as one another.
        if (len(version) != len(before) or version < before) and older(version, before):
            raise RelistError("the watch is out of order")
        if version:
            self._version = version
        if kind == "BOOKMARK":
            self._marked = True
        elif not (uid := meta.uid or uid_of(item)):
            self._voice.drop()
        elif kind == "DELETED":
            batch.remove(uid)
        elif self._most is None or self._has_room(uid):
            batch.upsert(uid, item, version)

    def _has_room(self, uid: str) -> bool:
        """Whether an object may be kept; one that is passed over is listed when there is room."""
        if uid in self._known or len(self._known) < (self._most or 0):
            return True
        self._voice.beyond = True
        return False

    def _torn(self) -> None:
        """A line that is no event: ask for it again once, then go on without it."""
        if self._torn_at != self._version:
            self._torn_at = self._version
            raise RewatchError("a line of the watch is broken")
        self._unreadable()

    def _unreadable(self) -> None:
        """What an event said is unknown, so the end of this watch is followed by a list."""
        self._voice.drop()
        self._must_list = True

    async def _expired(self, message: str) -> None:
        """List again: at once the first time, later with backoff."""
        self._must_list = True
        if self._clock() - self._listed_at > self._timing.most:
            self._expiries = 0
        self._expiries += 1
        if self._expiries > 1:
            await self._retry(message, None)

    async def _refused(self, error: ApiError) -> None:
        """The server answered, but not with what was asked for."""
        if error.status == 410 and self._watching:
            await self._expired(error.line())
        elif self._watching and error.status in (403, 405):
            self._watch_denied_until = self._clock() + self._timing.denied * 5
        elif error.status in (403, 404, 405):
            state = HealthState.ABSENT if error.status == 404 else HealthState.DENIED
            self._must_list = True
            if error.status == 404:
                await self._vanished()
            await self._wait(state, error.line(), self._timing.denied)
        else:
            # A watch that is refused for its own sake (400) is not cured by asking again.
            if error.status < 500 and error.status not in (401, 408, 429):
                self._must_list = True
            await self._retry(error.line(), error.retry_after)

    async def _vanished(self) -> None:
        """Take back what was told of a kind that the server does not have any more."""
        if len(self._known) and await is_gone(self.client, self.resource):
            batch: Batch[T] = Batch(self._known)
            for uid in self._known.unseen(set()):
                batch.remove(uid)
            self._tell(batch.delta())

    async def _retry(self, message: str, asked: float | None) -> None:
        delay = self._backoff.after_failure(asked)
        self._voice.set(state=HealthState.RETRYING, message=message, retry_at=self._clock() + delay)
        await self._sleep(delay)

    async def _wait(self, state: HealthState, message: str, seconds: float) -> None:
        delay = self._backoff.spread(seconds)
        self._voice.set(state=state, message=message, retry_at=self._clock() + delay)
        await self._sleep(delay)

    def _tell(self, delta: Delta[T] | None) -> None:
        if delta is not None:
            self._sink(delta)
