"""The live jobs of one context: reflectors into a store, and only what is looked at beside them.

Watched always: the job kinds that the server has, Kueue's Workloads, and pods of jobs in phase
Failed or Pending. For rows on screen only: the pods of jobs with fewer ready than active pods, the
events of jobs without a cause, and the newest metrics of their runs. Never all pods of the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from mcp_tui.domain.text import one_line
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.base import AILING, SPEAKING, HealthState, SourceHealth
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import (
    JOBS,
    JOBSETS,
    PODS,
    PYTORCHJOBS,
    RAYJOBS,
    TRAINJOBS,
    WORKLOADS,
    Resource,
    choose,
    discover,
    silent,
)
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.looking import ASIDE_EVERY, Looking
from mcp_tui.store.pulse import Pulse, PulseTiming
from mcp_tui.store.runfeed import RUNS_EVERY, RunFeed
from mcp_tui.store.turn import Turn

_KINDS: Final[tuple[Resource[Any], ...]] = (JOBS, TRAINJOBS, PYTORCHJOBS, JOBSETS, RAYJOBS)
_JOB_PODS: Final = "batch.kubernetes.io/job-name"
_TICK: Final = 1.0
_PODS_KEPT: Final = 5_000
# What is looked at has its turn after keys and rows: a look rests for so many times as long as it
# kept the processor, and so many seconds at most.
_LOOK_SHARE: Final = 3.0
_LOOK_REST: Final = 2.0
_DISCOVER_RETRY: Final = 10.0
_DISCOVER_AGAIN: Final = 600.0
# An aggregated API that does not answer now may just be starting; one that never does is asked
# for ever less often.
_DISCOVER_SILENT: Final = 5.0
_ENDPOINTS_RETRY: Final = 15.0
# Seconds for which what is not about Jobs waits for the list of them.
_JOBS_FIRST: Final = 2.0
_FIRST_RESTART: Final = 1.0
_LAST_RESTART: Final = 60.0
_NEVER: Final = 1e8


class JobsFeed:
    """Keeps a :class:`JobStore` in step with one context.

    Args:
        connection: The context's clients.
        namespace: None for all.
        store: Filled by this feed.
        on_change: Called when the store has something to flush, or a source's health changed; on
            the event loop, at any rate.
        label_selector: Of the jobs.
        pulse: When a server that says nothing is asked how it is.
        turn: What is looked at beside the watches waits for it.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str | None,
        store: JobStore,
        on_change: Callable[[], None],
        *,
        label_selector: str = "",
        pulse: PulseTiming | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.connection = connection
        self.namespace = namespace
        self.store = store
        self._tell = on_change
        self._news = asyncio.Event()
        self._selector = label_selector
        self._reflectors: dict[str, Reflector[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._following: dict[str, asyncio.Task[None]] = {}
        self._said: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self._pulse = Pulse(
            connection.kube,
            lambda: [reflector.health for reflector in self._reflectors.values()],
            self._changed,
            timing=pulse,
        )
        self._looking = Looking(
            connection.kube, store, self._said, self._changed, self._pulse.doubt, turn or Turn()
        )
        self._runs = RunFeed(store)
        self.discovery_error = ""
        self._discovered = False

    def start(self) -> None:
        """Begin; returns at once."""
        # Jobs are everywhere: they are not made to wait for discovery.
        self._follow(JOBS)
        self._spawn("discovery", self._discover)
        self._spawn("pods on screen", self._look)
        self._spawn("use and places", self._look_aside)
        self._spawn("mlflow", self._follow_runs)
        self._spawn("signs of life", self._pulse.run)

    async def stop(self) -> None:
        """End everything that was started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def visible(self, uids: Sequence[str]) -> None:
        """These jobs are on screen."""
        self._looking.visible = tuple(uids)
        self._wake.set()

    def focus(self, uid: str | None) -> None:
        """This job is under the cursor."""
        self._looking.focus = uid
        self._wake.set()

    def attend(self) -> None:
        """Somebody is at the keys: a server that is silent is asked sooner."""
        self._pulse.attend()

    def refresh(self) -> None:
        """Ask again now what is asked at intervals."""
        self._looking.refresh()
        self._runs.refresh()
        self._pulse.attend()
        self._wake.set()
        # Kinds and services that came since are found, too.
        self._again.set()

    @property
    def synced(self) -> bool:
        """Whether the list of Jobs is complete."""
        jobs = self._reflectors.get("jobs")
        return jobs is not None and jobs.synced

    @property
    def mlflow_health(self) -> SourceHealth:
        """How MLflow stands."""
        return self._runs.health

    async def settle(self, timeout: float) -> bool:
        """Wait until every source has said all it has, or that it cannot.

        Returns:
            Whether that was so within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._settled():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _settled(self) -> bool:
        if not self._discovered:
            return False
        for reflector in self._reflectors.values():
            state = reflector.health.state
            if state in (HealthState.CONNECTING, HealthState.RETRYING):
                return False
            if state in SPEAKING and not reflector.synced:
                return False
        return True

    def _changed(self) -> None:
        self._news.set()
        self._tell()

    @property
    def login(self) -> str:
        """What a credential plugin that all else waits for has said; empty without one."""
        return self.connection.kube.credentials.login

    def rows_health(self) -> SourceHealth:
        """The health of the list of Jobs alone: asked for each row that is painted."""
        return self._pulse.over(self._reflectors["jobs"].health)

    def health(self) -> SourceHealth:
        """The health of the Jobs, as that of the cluster; what ails beside them is named in it.

        Rows are as good as the list of Jobs: that pods may not be read, or that one kind does not
        answer, makes no row stale.
        """
        main = self.rows_health()
        if main.state not in SPEAKING:
            return main
        words = [main.message, *self.troubles()]
        return msgspec.structs.replace(main, message="; ".join(filter(None, words)))

    def troubles(self) -> list[str]:
        """What ails beside the Jobs, each in a line."""
        found = []
        for name, reflector in self._reflectors.items():
            health = reflector.health
            # Of a kind that the server does not have just now, what was told may be on screen.
            absent = health.state is HealthState.ABSENT and reflector.known()
            if name != "jobs" and (health.state in AILING or absent):
                found.append(f"{health.name}: {health.message or health.state.value}")
            elif name != "jobs" and health.state is HealthState.LIVE and health.message:
                found.append(f"{health.name}: {health.message}")
        found += self._said.values()
        return list(dict.fromkeys(filter(None, (*found, self.discovery_error, self.store.defect))))

    def _spawn(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(self._guarded(name, work)))
        return self._tasks[-1]

    async def _guarded(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin work again that ended by an error or a defect, and say so: never in silence."""
        delay = _FIRST_RESTART
        while True:
            try:
                await work()
            except McpTuiError as error:
                self._said[name] = error.line()
            except Exception as error:  # noqa: BLE001 - a defect of one source must not end the rest
                self._said[name] = (
                    f"defect in {name}: {type(error).__name__}: {one_line(str(error))}"
                )
            else:
                return
            self._changed()
            await asyncio.sleep(delay)
            # What fails again says so again; of what works again nothing is left to say.
            self._said.pop(name, None)
            delay = min(_LAST_RESTART, delay * 2)

    def _applying(
        self, name: str, apply: Callable[[Delta[Any]], None]
    ) -> Callable[[Delta[Any]], None]:
        """A sink that one object cannot break for all others."""

        def sink(delta: Delta[Any]) -> None:
            try:
                apply(delta)
            except Exception:  # noqa: BLE001 - found below which object it is
                for each in (*(Delta((o,)) for o in delta.upserts), Delta((), delta.removes)):
                    try:
                        apply(each)
                    except Exception as error:  # noqa: BLE001 - the others are to be taken
                        self._said[name] = f"defect in {name}: {type(error).__name__}"
            self._changed()

        return sink

    def _follow(self, resource: Resource[Any]) -> None:
        before = self._reflectors.get(resource.plural)
        if before is not None:
            absent = before.health.state is HealthState.ABSENT
            if before.resource.key == resource.key or not absent:
                return
        workloads = resource.plural == "workloads"
        apply = self.store.apply_workloads if workloads else self.store.apply
        sink = self._applying(resource.plural, apply)
        if before is not None:
            # The server has the kind by another version now. Whoever follows that knows of no row
            # that was told before: what went meanwhile would stay.
            self._following[resource.plural].cancel()
            del self._reflectors[resource.plural]
            sink(Delta((), tuple(before.known())))
        self._add(
            resource.plural,
            Reflector(
                self.connection.kube,
                resource,
                namespace=self.namespace,
                label_selector="" if workloads else self._selector,
                sink=sink,
                on_health=self._heard,
            ),
        )

    def _heard(self, health: SourceHealth) -> None:
        if health.state is HealthState.ABSENT:
            # A kind that went may be there by another version.
            self._again.set()
        self._changed()

    def _follow_pods(self, phase: str, selector: str) -> None:
        source = f"{phase} {selector}"

        self._add(
            source,
            Reflector(
                self.connection.kube,
                PODS,
                namespace=self.namespace,
                label_selector=selector,
                field_selector=f"status.phase={phase}",
                sink=self._applying(source, partial(self.store.apply_pods, source)),
                on_health=lambda _health: self._changed(),
                most=_PODS_KEPT,
            ),
        )

    def _add(self, name: str, reflector: Reflector[Any]) -> None:
        if name not in self._reflectors:
            self._reflectors[name] = reflector
            self._following[name] = self._spawn(name, reflector.run)

    async def listed(self) -> None:
        """Wait until all Jobs are there, or an error in their place, but not for ever.

        What is asked for beside them would be answered beside them, and the rows come later.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_JOBS_FIRST):
                while not self._reflectors["jobs"].synced:
                    if self._reflectors["jobs"].health.state in AILING:
                        return
                    self._news.clear()
                    await self._news.wait()

    async def _discover(self) -> None:
        await self.listed()
        for phase in ("Failed", "Pending"):
            self._follow_pods(phase, _JOB_PODS)
        again = _DISCOVER_SILENT
        while True:
            try:
                served = await discover(self.connection.kube)
            except McpTuiError as error:
                self.discovery_error = f"discovery: {error.line()}"
                self._changed()
                await self._pause(_DISCOVER_RETRY)
                continue
            self.discovery_error = ""
            for wanted in (*_KINDS[1:], WORKLOADS):
                found = choose(served, wanted)
                if found is not None:
                    self._follow(found)
            self._looking.served = served
            if choose(served, PYTORCHJOBS) is not None:
                for phase in ("Failed", "Pending"):
                    self._follow_pods(phase, "training.kubeflow.org/job-name")
            self._discovered = True
            self._changed()
            # A CRD may be installed while the console is open.
            if silent(served):
                await self._pause(again)
                again = min(_DISCOVER_AGAIN, again * 2)
            else:
                again = _DISCOVER_SILENT
                await self._pause(_DISCOVER_AGAIN)

    async def _pause(self, seconds: float) -> None:
        """Wait, or until somebody asks for it again."""
        self._again.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()

    async def _look(self) -> None:
        """Fetch what the rows on screen need beside the watches."""
        await self.listed()
        clock = asyncio.get_running_loop().time
        ticked = clock()
        while True:
            self._wake.clear()
            used = time.thread_time()
            await self._looking.look()
            await asyncio.sleep(min(_LOOK_REST, _LOOK_SHARE * (time.thread_time() - used)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK) as rest:
                    await self._wake.wait()
            # Rows on screen may change all the time: the clocks in them go on meanwhile.
            if rest.expired() or clock() - ticked >= _TICK:
                ticked = clock()
                self.store.tick(time.time())
                if self.store.dirty:
                    self._changed()

    async def _look_aside(self) -> None:
        """Fetch what the rows on screen need of servers that may hang by themselves."""
        await self.listed()
        while True:
            await self._looking.look_aside()
            await asyncio.sleep(ASIDE_EVERY)

    async def look(self) -> None:
        """Fetch what the rows on screen need now: of what is due longest, and little."""
        await asyncio.gather(self._looking.look(), self._looking.look_aside())

    async def _follow_runs(self) -> None:
        """The newest metrics of the runs on screen; those of finished jobs once."""
        await self.listed()
        while self.connection.mlflow is None:
            if await self.connection.find_endpoints(self.namespace):
                if self.connection.mlflow is None:
                    self._runs.absent()
                    self._changed()
                    await self._pause(_NEVER)
            else:
                await self._pause(_ENDPOINTS_RETRY)
        while True:
            await self.look_at_runs(self.connection.mlflow)
            self._changed()
            await asyncio.sleep(RUNS_EVERY)

    async def look_at_runs(self, mlflow: MlflowClient) -> None:
        """Fetch the runs of the rows on screen: those of finished jobs once."""
        await self._runs.look(mlflow, self._looking.uids)
