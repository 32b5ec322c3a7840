"""A job's log: all its pods merged by time, new pods and new attempts joined as they come."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

import msgspec

from mcp_tui.domain.kube import ContainerStatus, Pod
from mcp_tui.domain.roots import rank_of
from mcp_tui.errors import ApiError, ExitCode, McpTuiError, RefusedError, UnreachableError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes.podlog import Cursor, LogRecord, read_log
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import PODS
from mcp_tui.sources.kubernetes.transport import KubeClient

# Lines of several pods that arrive within this time are put in the order of their stamps.
MERGE_WINDOW: Final = 0.15
# So long is waited for a line before it is looked at what else became of the job.
_QUIET: Final = 0.5
_Key = tuple[str, str]
# What may wait between the readers and the consumer where every line counts: past it the readers
# stand still, and the kubelet's side with them; nothing is lost.
_QUEUED: Final = 64
# Lines given out at once: more would hold up whoever shows them.
_BATCH: Final = 4_000
# Containers read at once; a job of more pods says so.
_READERS: Final = 128
_TROUBLES: Final = 8
_FAILED: Final = (HealthState.DENIED, HealthState.ABSENT, HealthState.DOWN)


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted.

    Attributes:
        selector: Label selector of the job's pods.
        pod: One pod only; empty for all.
        container: One container only; empty for the main one, or the init container while that
            is all there is.
        rank: One completion index only.
        follow: Go on until the job's pods have ended and ``done`` is set.
        previous: The attempt before: of a container that restarted.
        tail: The newest lines of each container.
        keep: How many lines may wait to be shown; older ones are dropped then, and their number
            said. 0 drops none: what writes faster than it is read waits.
    """

    namespace: str
    selector: str
    pod: str = ""
    container: str = ""
    rank: int | None = None
    follow: bool = True
    previous: bool = False
    tail: int | None = None
    keep: int = 0


def readable(pod: Pod, wanted: str, *, previous: bool = False) -> list[tuple[str, int]]:
    """The containers of a pod whose log can be read now, each with its number of restarts.

    Without a wanted one: every init container that failed, and the first main container once it
    has started; an init container that runs, while no main one has.
    """
    inits = {s.name: s for s in pod.status.init_container_statuses}
    mains = {s.name: s for s in pod.status.container_statuses}
    if wanted:
        status = mains.get(wanted) or inits.get(wanted)
        return _entry(status, previous) if status else []
    first = pod.spec.containers[0].name if pod.spec.containers else ""
    found: list[tuple[str, int]] = []
    main = _entry(mains[first], previous) if first in mains else []
    for init in inits.values():
        ended = init.state.terminated
        if (ended is None or ended.exit_code != 0) and not main:
            found += _entry(init, previous)
    return found + main


def _entry(status: ContainerStatus, previous: bool) -> list[tuple[str, int]]:
    state, last = status.state, status.last_state
    if previous:
        return [(status.name, status.restart_count)] if last.terminated else []
    if state.running or state.terminated:
        return [(status.name, status.restart_count)]
    # It waits to be started again: its last run is what there is to read.
    return [(status.name, status.restart_count)] if last.terminated else []


def _status_of(pod: Pod, container: str) -> ContainerStatus | None:
    both = (*pod.status.container_statuses, *pod.status.init_container_statuses)
    return next((status for status in both if status.name == container), None)


class Buffer:
    """What waits between the readers and the consumer.

    Args:
        keep: Lines; 0 makes :meth:`put` wait instead.

    Attributes:
        dropped: Lines given up so that newer ones could be kept, since they were said last.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._batches: deque[list[LogRecord]] = deque()
        self._lines = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return self._lines

    async def put(self, batch: list[LogRecord]) -> None:
        """Add lines; waits for room where none may be dropped."""
        while not self._keep and len(self._batches) >= _QUEUED:
            self._room.clear()
            await self._room.wait()
        self._batches.append(batch)
        self._lines += len(batch)
        self._filled.set()
        while self._keep and self._lines > self._keep:
            over = self._lines - self._keep
            oldest = self._batches[0]
            if len(oldest) <= over:
                self._batches.popleft()
                cut = len(oldest)
            else:
                self._batches[0], cut = oldest[over:], over
            self._lines -= cut
            self.dropped += cut
        # A socket that always has more must not keep everybody else waiting.
        await asyncio.sleep(0)

    async def get(self, most: int) -> list[LogRecord]:
        """The oldest lines, at most so many; waits for one."""
        while not self._batches:
            self._filled.clear()
            await self._filled.wait()
        batch = self._batches.popleft()
        if len(batch) > most:
            self._batches.appendleft(batch[most:])
            batch = batch[:most]
        self._lines -= len(batch)
        self._room.set()
        return batch


class JobLogs:
    """Reads the logs of a job's pods as one stream.

    Args:
        client: The cluster's client.
        query: Which lines.
        on_note: Told once of each kind of trouble, in one line.

    Attributes:
        done: Set when the job has ended: what is there is read to its end, and no more awaited.
        errors: The troubles, each kind once.
        failures: Those for which a log, or all of them, could not be read to its end, and of how
            many; what was refused comes first.
    """

    def __init__(
        self,
        client: KubeClient,
        query: LogQuery,
        on_note: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self._client = client
        self._query = query
        self._on_note = on_note
        self._buffer = Buffer(query.keep)
        # By pod and container: who reads it, how far, which attempt is there, which was read.
        self._readers: dict[_Key, asyncio.Task[None]] = {}
        self._cursors: dict[_Key, Cursor] = {}
        self._there: dict[_Key, int] = {}
        self._read: dict[_Key, int] = {}
        self._pods: dict[str, Pod] = {}
        self._troubles: set[str] = set()
        self.done = asyncio.Event()
        self.errors: list[str] = []
        self._failures: dict[str, tuple[McpTuiError, int]] = {}

    async def batches(self, *, idle: bool = False) -> AsyncGenerator[list[LogRecord], None]:
        """Batches in the order of time, as well as a merge of live streams can.

        Ends when everything was read (not following), or ``done`` is set and the readers ended.

        Args:
            idle: Give an empty batch where no line came for a while, so that who shows them can
                say why, and look whether the job has ended.

        Raises:
            McpTuiError: Nothing at all could be read.
        """
        reflector = Reflector(
            self._client,
            PODS,
            namespace=self._query.namespace,
            label_selector=self._query.selector,
            field_selector=f"metadata.name={self._query.pod}" if self._query.pod else "",
            sink=self._on_pods,
        )
        watching = asyncio.create_task(reflector.run())
        read_any = False
        try:
            while not self._is_over(reflector, watching):
                batch = await self._next()
                read_any = read_any or bool(batch)
                if batch or idle:
                    yield batch
            if not read_any and self._failures:
                raise self.failures[0][0]
        finally:
            tasks = [watching, *self._readers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _is_over(self, reflector: Reflector[Pod], watching: asyncio.Task[None]) -> bool:
        if len(self._buffer):
            return False
        health = reflector.health
        idle = all(task.done() for task in self._readers.values())
        if watching.done() or health.state in _FAILED:
            words = health.message or "the pods cannot be watched"
            known = reflector.synced and (self.done.is_set() or not self._query.follow)
            if idle and not known:
                denied = health.state is HealthState.DENIED
                self._fail("pods", RefusedError(words) if denied else UnreachableError(words))
            else:  # it may pass, while what is there is read
                self._trouble("pods", words)
            return idle
        if health.state is HealthState.RETRYING:
            self._trouble("pods", health.message)
        if not reflector.synced:
            # Without following, a server that does not answer is an answer.
            if health.state is HealthState.RETRYING and not self._query.follow:
                self._fail("pods", UnreachableError(health.message))
                return True
            return False
        return idle and (not self._query.follow or self.done.is_set())

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that were seen and are there still."""
        return tuple(self._pods.values())

    async def _next(self) -> list[LogRecord]:
        """What arrives within one merge window, in order of time."""
        try:
            async with asyncio.timeout(_QUIET):
                batch = await self._buffer.get(_BATCH)
        except TimeoutError:
            return []
        if len(self._readers) > 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(MERGE_WINDOW):
                    while len(batch) < _BATCH:
                        batch = batch + await self._buffer.get(_BATCH)
            batch = sorted(batch, key=lambda record: record.stamp)
        dropped, self._buffer.dropped = self._buffer.dropped, 0
        if dropped:
            words = f"[{dropped:,} lines came faster than they can be shown, and are left out]"
            batch = [LogRecord(words, batch[0].stamp, batch[0].pod, batch[0].container), *batch]
        return batch

    def _on_pods(self, delta: Delta[Pod]) -> None:
        for uid in delta.removes:
            self._pods.pop(uid, None)
        for pod in delta.upserts:
            self._pods[pod.metadata.uid] = pod
            self._consider(pod)

    def _consider(self, pod: Pod) -> None:
        if self._query.rank is not None and rank_of(pod) != self._query.rank:
            return
        for container, attempt in readable(
            pod, self._query.container, previous=self._query.previous
        ):
            self._begin((pod.metadata.uid, container), pod.metadata.name, attempt)

    def _begin(self, key: _Key, pod: str, attempt: int) -> None:
        """Read an attempt, once the one before is read to its end."""
        self._there[key] = attempt
        reader = self._readers.get(key)
        if (reader is not None and not reader.done()) or self._read.get(key) == attempt:
            return
        reading = sum(1 for task in self._readers.values() if not task.done())
        if reading >= _READERS:
            self._trouble("many", f"only {_READERS} containers are read at once; choose a pod")
            return
        self._readers[key] = task = asyncio.create_task(self._read_container(key, pod))
        task.add_done_callback(self._next_in_line)

    def _next_in_line(self, task: asyncio.Task[None]) -> None:
        """There is room for a container that found none."""
        if not task.cancelled() and "many" in self._troubles:
            for pod in tuple(self._pods.values()):
                self._consider(pod)

    async def _read_container(self, key: _Key, pod: str) -> None:
        """All attempts of a container, one after another: none twice, and no line twice."""
        cursor = self._cursors.setdefault(key, Cursor())
        while self._read.get(key) != self._there[key]:
            attempt = self._there[key]
            try:
                async for batch in read_log(
                    self._client,
                    self._query.namespace,
                    pod,
                    key[1],
                    follow=self._query.follow,
                    previous=self._query.previous,
                    tail=self._query.tail,
                    cursor=cursor,
                    ended=functools.partial(self._has_ended, key, attempt),
                    on_trouble=functools.partial(self._trouble, "again"),
                ):
                    await self._buffer.put(batch)
            except McpTuiError as error:
                # A pod that was deleted meanwhile has no log any more, which is no fault.
                if (
                    getattr(error, "status", 0) != 404
                    or f'pods "{pod}" not found' not in error.what
                ):
                    self._fail("log", error)
            self._read[key] = attempt

    def _has_ended(self, key: _Key, attempt: int) -> bool:
        """Whether an attempt has ended, as the watch of the pods says."""
        pod = self._pods.get(key[0])
        status = _status_of(pod, key[1]) if pod is not None else None
        if pod is None or status is None or pod.status.phase in ("Succeeded", "Failed"):
            return True
        return status.restart_count != attempt or status.state.running is None

    @property
    def failures(self) -> list[tuple[McpTuiError, int]]:
        """See the class."""
        found = self._failures.values()
        return sorted(found, key=lambda each: each[0].exit_code is not ExitCode.REFUSED)

    def _fail(self, what: str, error: McpTuiError) -> None:
        """A log that should be there is not, or not whole."""
        status = error.status if isinstance(error, ApiError) else type(error).__name__
        kind = f"{what} {status}"
        first, count = self._failures.get(kind, (error, 0))
        # Asked again and again, the pods are still the same ones.
        self._failures[kind] = first, count + 1 if what == "log" else 1
        self._trouble(kind, error.line())

    def _trouble(self, kind: str, words: str) -> None:
        """Say each kind of trouble once, not for each of a thousand pods."""
        if kind in self._troubles or words in ("", *self.errors) or len(self.errors) >= _TROUBLES:
            return
        self._troubles.add(kind)
        self.errors.append(words)
        self._on_note(words)
