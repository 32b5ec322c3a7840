"""A job's log: all its pods merged by time, new pods and new attempts joined as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec

from mcp_tui.domain.keys import COMPLETION_INDEX
from mcp_tui.domain.kube import ContainerStatus, Pod
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.kubernetes.podlog import LogRecord, read_log
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import PODS
from mcp_tui.sources.kubernetes.transport import KubeClient

# Lines of several pods that arrive within this time are put in the order of their stamps.
MERGE_WINDOW: Final = 0.15
# What may wait between the readers and the consumer: past it the readers stand still, and the
# kubelet's side with them; nothing is lost.
_QUEUED: Final = 64
_READERS: Final = 32


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
    """

    namespace: str
    selector: str
    pod: str = ""
    container: str = ""
    rank: int | None = None
    follow: bool = True
    previous: bool = False
    tail: int | None = None


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
    return [(status.name, status.restart_count - 1)] if last.terminated else []


class JobLogs:
    """Reads the logs of a job's pods as one stream.

    Args:
        client: The cluster's client.
        query: Which lines.
    """

    def __init__(self, client: KubeClient, query: LogQuery) -> None:
        self._client = client
        self._query = query
        self._queue: asyncio.Queue[list[LogRecord]] = asyncio.Queue(_QUEUED)
        self._readers: dict[tuple[str, str, int], asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_READERS)
        self._pods: dict[str, Pod] = {}
        self.done = asyncio.Event()
        self.errors: list[str] = []

    async def batches(self) -> AsyncIterator[list[LogRecord]]:
        """Batches in the order of time, as well as a merge of live streams can.

        Ends when everything was read (not following), or ``done`` is set and the readers ended.

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
            while True:
                batch = await self._next()
                if batch:
                    read_any = True
                    yield batch
                    continue
                if not reflector.synced:
                    continue
                idle = not any(not t.done() for t in self._readers.values())
                if idle and (not self._query.follow or self.done.is_set()):
                    break
            if not read_any and self.errors:
                raise McpTuiError(self.errors[0])
        finally:
            watching.cancel()
            for task in self._readers.values():
                task.cancel()
            await asyncio.gather(watching, *self._readers.values(), return_exceptions=True)

    async def _next(self) -> list[LogRecord]:
        """What arrives within one merge window, in order of time."""
        try:
            async with asyncio.timeout(0.5):
                batch = list(await self._queue.get())
        except TimeoutError:
            return []
        if len(self._readers) > 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(MERGE_WINDOW):
                    while len(batch) < 20_000:
                        batch += await self._queue.get()
            batch.sort(key=lambda record: record.stamp)
        return batch

    def _on_pods(self, delta: Delta[Pod]) -> None:
        for uid in delta.removes:
            self._pods.pop(uid, None)
        for pod in delta.upserts:
            self._pods[pod.metadata.uid] = pod
            if self._query.rank is not None:
                index = pod.metadata.labels.get(COMPLETION_INDEX)
                if index != str(self._query.rank):
                    continue
            for container, attempt in readable(
                pod, self._query.container, previous=self._query.previous
            ):
                key = (pod.metadata.uid, container, attempt)
                if key not in self._readers:
                    name = pod.metadata.name
                    self._readers[key] = asyncio.create_task(self._read(name, container))

    async def _read(self, pod: str, container: str) -> None:
        async with self._room:
            try:
                async for batch in read_log(
                    self._client,
                    self._query.namespace,
                    pod,
                    container,
                    follow=self._query.follow,
                    previous=self._query.previous,
                    tail=self._query.tail,
                ):
                    await self._queue.put(batch)
            except ApiError as error:
                # A pod that was deleted meanwhile has no log any more, which is no fault.
                if error.status != 404:
                    self.errors.append(error.line())
            except McpTuiError as error:
                self.errors.append(error.line())
