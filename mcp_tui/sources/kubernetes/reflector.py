"""Follows one kind of object: list in pages, watch from there, and never lose or invent a row.

The rules are those of client-go's reflector, with what Python clients get wrong put right: backoff
also after a watch that ends cleanly but at once, silence is noticed, a torn line loses nothing, a
relist gives differences with their deletions, and a process that was suspended lists again. What
was told stays through every error: an error is a matter of :attr:`Reflector.health`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, get_args

import msgspec

from mcp_tui.domain.decode import Lines
from mcp_tui.domain.kube import (
    ChangeType,
    DecodeError,
    ObjectList,
    Status,
    decode_watch,
    decode_watch_block,
)
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.kubernetes.backoff import Backoff, Timing
from mcp_tui.sources.kubernetes.blocks import iter_blocks
from mcp_tui.sources.kubernetes.doubt import is_behind, is_gone
from mcp_tui.sources.kubernetes.known import Batch, Delta, Known, older, uid_of, version_of
from mcp_tui.sources.kubernetes.resources import Resource
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.kubernetes.watch import RelistError, RewatchError, consume

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
        self._beyond = False
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
        self._on_health = on_health
        self._clock, self._wall, self._sleep = clock, wall, sleep
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not secrets
        self._timing = timing or Timing()
        self._backoff = Backoff(self._timing, clock, self._rng)
        self._known = Known()
        self._version = ""
        self._listed = ""  # The version of the newest page, of a list that may not have ended.
        self._listed_at = float("-inf")
        self._must_list = True
        self._broken = False  # Whether the last watch ended before its time.
        self._watching = False
        self._marked = False  # Whether a bookmark came: then they are to be expected.
        self._expiries = 0
        self._fast_ends = 0
        self._torn_at: str | None = None
        self._watch_denied_until: float | None = None
        self._list_took = 0.0
        scope = f" in {namespace}" if namespace else ""
        self.health = SourceHealth(
            name=f"{client.context.name}: {resource.plural}{scope}", since=clock()
        )

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
            self._set(state=HealthState.DOWN, retry_at=None)

    async def _round(self) -> None:
        """One list if it is needed, then one watch, or one wait where watching is not allowed."""
        if self._must_list:
            await self._list()
            self._must_list = self._broken = False
        elif self._broken:
            deadline = self._timing.page_deadline
            if self._version and await is_behind(
                self.client, self._path, self._selectors, self._version, deadline=deadline
            ):
                raise RelistError("the server has an older state than before")
            self._broken = False
        denied_until = self._watch_denied_until
        if denied_until is None or self._clock() >= denied_until:
            self._watching = True
            await self._watch()
            return
        took = self._list_took * self._timing.poll_factor
        interval = min(self._timing.poll_most, max(self._timing.poll, took))
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
        seen: set[str] = set()
        token = version = ""
        alone = not self.synced and not len(self._known)
        again = False
        done = False
        while not done:
            page = await self._page(token, paged=paged)
            self._spoke()
            version = page.metadata.resource_version or version
            # A server that came back with an older state counts through the same versions again:
            # what they stand for is another matter.
            again = again or older(version, self._version) or older(version, self._listed)
            self._listed = version
            if token and page.metadata.continue_ == token:
                # A server that gives the same page again would be asked for ever.
                raise UnreachableError("the list repeats its continue token", where=self._path)
            token = page.metadata.continue_
            batch = self._take_page(page.items, seen, trust=not again)
            full = self._most is not None and len(seen) >= self._most
            self._beyond = full and (bool(token) or len(seen) < len(page.items))
            done = full or not token
            if done:
                for uid in self._known.unseen(seen):
                    batch.remove(uid)
            first = done and not self.synced
            self._tell(batch.delta(replace=first and alone, synced=first))
            alone = False
        self._version = version
        self._set(synced=True)

    async def _page(self, token: str, *, paged: bool) -> ObjectList[T]:
        params = list(self._selectors)
        if paged:
            params.append(("limit", str(PAGE)))
        if token:
            params.append(("continue", token))
        deadline = self._timing.page_deadline if paged else self._timing.full_deadline
        page: ObjectList[T] = await self.client.get(
            self._path, self._page_type, params=params, deadline=deadline
        )
        if not page.kind.endswith("List"):
            raise UnreachableError(
                f'the answer is no list but "{clean_line(page.kind, limit=60)}"',
                where=self.client.where("GET", self._path),
                hint="is a proxy in between?",
            )
        return page

    def _take_page(self, items: list[T], seen: set[str], *, trust: bool) -> Batch[T]:
        batch: Batch[T] = Batch(self._known)
        for item in items:
            uid = uid_of(item)
            if not uid:
                self._drop()
                continue
            if self._most is not None and len(seen) >= self._most:
                break
            seen.add(uid)
            if not (trust and self._known.holds(uid, version_of(item))):
                batch.upsert(uid, item)
        return batch

    async def _watch(self) -> None:
        """One watch; says by its exceptions how to go on, and returns to watch again."""
        timeout = self._rng.randint(self._timing.watch_least, self._timing.watch_most)
        params = [
            *self._selectors,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(timeout)),
        ]
        if self._version:
            params.append(("resourceVersion", self._version))
        started = self._clock()
        self._broken = True
        silence = timeout + self._timing.slack
        self._marked = False
        async with self.client.stream(
            self._path,
            params=params,
            read_timeout=silence,
            connect_deadline=self._timing.connect_deadline,
        ) as chunks:
            self._watch_denied_until = None
            self._spoke()
            if not self._fast_ends:
                self._live()
            events = await consume(
                iter_blocks(chunks),
                self._take_block,
                alive=self._live,
                silence=lambda: min(silence, self._timing.heartbeat) if self._marked else silence,
                timing=self._timing,
                clock=self._clock,
                wall=self._wall,
            )
        if self.resource.relist or (self._beyond and len(self._known) < (self._most or 0)):
            self._must_list = True
        lasted = self._clock() - started
        self._broken = lasted < timeout - 1
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
        self._spoke()
        self._tell(batch.delta())
        if problem is not None:
            raise problem
        return events

    def _take_line(self, line: bytes, batch: Batch[T]) -> int:
        if not line:
            return 0
        try:
            kind, item = decode_watch(self.resource.type_, line)
        except DecodeError:
            self._torn()
            return 0
        if isinstance(item, Status):
            raise self._watch_error(item)
        if kind not in _CHANGES:
            self._torn()
            return 0
        self._take(kind, item, batch)
        return 1

    def _take(self, kind: str, item: T, batch: Batch[T]) -> None:
        """Apply one event.

        Raises:
            RelistError: It comes after a later one: of what came between nothing is known.
        """
        version = version_of(item)
        if older(version, self._version):
            raise RelistError("the watch is out of order")
        self._version = version or self._version
        if kind == "BOOKMARK":
            self._marked = True
        elif not (uid := uid_of(item)):
            self._drop()
        elif kind == "DELETED":
            batch.remove(uid)
        elif not self._known.holds(uid, version) and (self._most is None or self._has_room(uid)):
            batch.upsert(uid, item)

    def _has_room(self, uid: str) -> bool:
        """Whether an object may be kept; one that is passed over is listed when there is room."""
        if uid in self._known or len(self._known) < (self._most or 0):
            return True
        self._beyond = True
        return False

    def _torn(self) -> None:
        """A line that is no event: ask for it again once, then go on without it."""
        if self._torn_at != self._version:
            self._torn_at = self._version
            raise RewatchError("a line of the watch is broken")
        self._drop()
        # What it said is unknown, so the end of this watch is followed by a list.
        self._must_list = True

    def _watch_error(self, status: Status) -> Exception:
        words = clean_line(status.message or status.reason or "no reason given", limit=300)
        if status.code == 410 or status.reason in ("Expired", "Gone"):
            return RelistError(f"the watch is too old: {words}")
        retry = status.details.retry_after_seconds
        return ApiError(
            words,
            status=status.code or 500,
            reason=status.reason,
            retry_after=float(retry) if retry else None,
            where=self.client.where("WATCH", self._path),
        )

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
        if error.status == 410:
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
        self._set(state=HealthState.RETRYING, message=message, retry_at=self._clock() + delay)
        await self._sleep(delay)

    async def _wait(self, state: HealthState, message: str, seconds: float) -> None:
        delay = self._backoff.spread(seconds)
        self._set(state=state, message=message, retry_at=self._clock() + delay)
        await self._sleep(delay)

    def _tell(self, delta: Delta[T] | None) -> None:
        if delta is not None:
            self._sink(delta)

    def _live(self) -> None:
        count = self.health.dropped
        words = f"{count} object{'s' if count > 1 else ''} could not be read" if count else ""
        if self._beyond:
            words = f"only {self._most:,} of them are read" + (f"; {words}" if words else "")
        if self.health.state is not HealthState.LIVE or self.health.message != words:
            self._set(state=HealthState.LIVE, message=words, retry_at=None)

    def _drop(self) -> None:
        self._set(dropped=self.health.dropped + 1)
        if self.health.state is HealthState.LIVE:
            self._live()

    def _spoke(self) -> None:
        self.health = msgspec.structs.replace(self.health, spoke_at=self._clock())

    def _set(self, **changes: Any) -> None:
        old = self.health
        if changes.get("state", old.state) is not old.state:
            changes["since"] = self._clock()
        self.health = msgspec.structs.replace(old, **changes)
        if self._on_health is not None and _visible(old) != _visible(self.health):
            self._on_health(self.health)


def _visible(health: SourceHealth) -> tuple[object, ...]:
    return (health.state, health.message, health.synced, health.dropped)
