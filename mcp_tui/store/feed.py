"""The live jobs of one context: reflectors into a store, and only what is looked at beside them.

Watched always: the job kinds that the server has, Kueue's Workloads, and pods of jobs in phase
Failed or Pending. For rows on screen only: the pods of jobs with fewer ready than active pods (no
field selector finds a waiting reason, and CrashLoopBackOff is phase Running), the events of jobs
without a cause, and the newest metrics of their runs. Never all pods of the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from mcp_tui.domain.jobview import JobState, JobView
from mcp_tui.domain.kube import Event, ObjectList, Pod
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import one_line
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import (
    EVENTS,
    JOBS,
    JOBSETS,
    PODS,
    PYTORCHJOBS,
    RAYJOBS,
    TRAINJOBS,
    WORKLOADS,
    Resource,
    Served,
    choose,
    discover,
)
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.queues import pending
from mcp_tui.store.runs import RunTracker
from mcp_tui.store.usage import POD_METRICS, VISIBILITY, measure, places

T = TypeVar("T")

_KINDS: Final[tuple[Resource[Any], ...]] = (JOBS, TRAINJOBS, PYTORCHJOBS, JOBSETS, RAYJOBS)
_JOB_PODS: Final = "batch.kubernetes.io/job-name"
_PODS_EVERY: Final = 5.0
_RUNS_EVERY: Final = 5.0
_TICK: Final = 1.0
_AT_ONCE: Final = 8
# Calls that one look may make for pods and events; what is left waits for the next.
_CALLS_A_LOOK: Final = 16
_EVENT_NAMES: Final = 4
_PODS_KEPT: Final = 5_000
_DENIED_FOR: Final = 60.0
_BUSY_FOR: Final = 10.0
_USED_EVERY: Final = 15.0
_MEASURED: Final = 60
_DISCOVER_RETRY: Final = 10.0
_DISCOVER_AGAIN: Final = 600.0
_ENDPOINTS_RETRY: Final = 15.0
_ALIVE_EVERY: Final = 30.0
_RUNS: Final = 50
_FIRST_RESTART: Final = 1.0
_LAST_RESTART: Final = 60.0
_NEVER: Final = 1e8
_AILING: Final = (HealthState.RETRYING, HealthState.DENIED, HealthState.DOWN)
_SPEAKING: Final = (HealthState.LIVE, HealthState.POLLING)


class JobsFeed:
    """Keeps a :class:`JobStore` in step with one context.

    Args:
        connection: The context's clients.
        namespace: None for all.
        store: Filled by this feed.
        on_change: Called when the store has something to flush, or a source's health changed; on
            the event loop, at any rate.
        label_selector: Of the jobs.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str | None,
        store: JobStore,
        on_change: Callable[[], None],
        *,
        label_selector: str = "",
    ) -> None:
        self.connection = connection
        self.namespace = namespace
        self.store = store
        self._tell = on_change
        self._news = asyncio.Event()
        self._selector = label_selector
        self._reflectors: dict[str, Reflector[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._visible: tuple[str, ...] = ()
        self._focus: str | None = None
        self._looked: dict[str, tuple[str, float]] = {}
        self._events_for: dict[str, str] = {}
        # Until when something is not asked again, by what and where.
        self._not_before: dict[tuple[str, str], float] = {}
        self._said: dict[str, str] = {}
        self._calls = 0
        self._wake = asyncio.Event()
        self._again = asyncio.Event()
        self._tracker = RunTracker()
        self.discovery_error = ""
        self._discovered = False
        self._served: Served = frozenset()
        self._measured_at = -1e9
        self._settled_runs: set[str] = set()
        self.mlflow_health = SourceHealth(name="mlflow", since=time.monotonic())

    def start(self) -> None:
        """Begin; returns at once."""
        # Jobs are everywhere: they are not made to wait for discovery.
        self._follow(JOBS)
        self._spawn("discovery", self._discover)
        self._spawn("pods on screen", self._look)
        self._spawn("mlflow", self._runs)

    async def stop(self) -> None:
        """End everything that was started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def visible(self, uids: Sequence[str]) -> None:
        """These jobs are on screen."""
        self._visible = tuple(uids)
        self._wake.set()

    def focus(self, uid: str | None) -> None:
        """This job is under the cursor."""
        self._focus = uid
        self._wake.set()

    def refresh(self) -> None:
        """Ask again now what is asked at intervals."""
        self._looked.clear()
        self._events_for.clear()
        self._not_before.clear()
        self._settled_runs.clear()
        self._wake.set()
        # Kinds and services that came since are found, too.
        self._again.set()

    @property
    def synced(self) -> bool:
        """Whether the list of Jobs is complete."""
        jobs = self._reflectors.get("jobs")
        return jobs is not None and jobs.synced

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
            if state in _SPEAKING and not reflector.synced:
                return False
        return True

    def _changed(self) -> None:
        self._news.set()
        self._tell()

    def health(self) -> SourceHealth:
        """The health of the Jobs, as that of the cluster; what ails beside them is named in it.

        Rows are as good as the list of Jobs: that pods may not be read, or that one kind does not
        answer, makes no row stale.
        """
        main = self._reflectors["jobs"].health
        if main.state not in _SPEAKING:
            return main
        words = [main.message, *self.troubles()]
        return msgspec.structs.replace(main, message="; ".join(filter(None, words)))

    def troubles(self) -> list[str]:
        """What ails beside the Jobs, each in a line."""
        found = []
        for name, reflector in self._reflectors.items():
            health = reflector.health
            if name != "jobs" and health.state in _AILING:
                found.append(f"{health.name}: {health.message or health.state.value}")
            elif name != "jobs" and health.state is HealthState.LIVE and health.message:
                found.append(f"{health.name}: {health.message}")
        found += self._said.values()
        return list(dict.fromkeys(filter(None, (*found, self.discovery_error, self.store.defect))))

    def _spawn(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(self._guarded(name, work)))

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
        if resource.plural in self._reflectors:
            return

        workloads = resource.plural == "workloads"
        apply = self.store.apply_workloads if workloads else self.store.apply
        self._add(
            resource.plural,
            Reflector(
                self.connection.kube,
                resource,
                namespace=self.namespace,
                label_selector="" if workloads else self._selector,
                sink=self._applying(resource.plural, apply),
                on_health=lambda _health: self._changed(),
            ),
        )

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
            self._spawn(name, reflector.run)

    async def _discover(self) -> None:
        for phase in ("Failed", "Pending"):
            self._follow_pods(phase, _JOB_PODS)
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
            self._served = served
            if choose(served, PYTORCHJOBS) is not None:
                for phase in ("Failed", "Pending"):
                    self._follow_pods(phase, "training.kubeflow.org/job-name")
            self._discovered = True
            self._changed()
            # A CRD may be installed while the console is open.
            await self._pause(_DISCOVER_AGAIN)

    async def _pause(self, seconds: float) -> None:
        """Wait, or until somebody asks for it again."""
        self._again.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()

    async def _look(self) -> None:
        """Fetch what the rows on screen need beside the watches."""
        while True:
            self._wake.clear()
            await self.look()
            try:
                async with asyncio.timeout(_TICK):
                    await self._wake.wait()
            except TimeoutError:
                self.store.tick(time.time())
                self._changed()

    async def look(self) -> None:
        """Fetch the pods and events that the rows on screen need: those due longest, and few."""
        now = time.monotonic()
        wanted: list[tuple[float, JobView]] = []
        for uid in dict.fromkeys((*([self._focus] if self._focus else ()), *self._visible)):
            view = self.store.table.get(uid)
            if view is None or not self._needs_pods(view) or not self._may("pods", view, now):
                continue
            version, at = self._looked.get(uid, ("", -1e9))
            if now - at >= _PODS_EVERY or (version != _version(view) and uid == self._focus):
                wanted.append((at if uid != self._focus else -2e9, view))
        wanted.sort(key=lambda pair: pair[0])
        self._calls = 0
        for start in range(0, len(wanted), _AT_ONCE):
            if self._calls >= _CALLS_A_LOOK:
                break
            batch = [view for _, view in wanted[start : start + _AT_ONCE]]
            for view in batch:
                self._looked[view.key.uid] = (_version(view), now)
            await asyncio.gather(*(self._fetch(view) for view in batch))
        if now - self._measured_at >= _USED_EVERY:
            self._measured_at = now
            await self._look_at_used()
            await self._look_at_places()
        if len(self._looked) > 4_096:
            seen = set(self._visible)
            self._looked = {k: v for k, v in self._looked.items() if k in seen}
            self._events_for = {k: v for k, v in self._events_for.items() if k in seen}

    def _may(self, what: str, view: JobView, now: float) -> bool:
        """Whether something may be asked for: it was not refused just now, nor the server busy."""
        places = ((what, view.key.namespace), ("", ""))
        return all(now >= self._not_before.get(place, -1e9) for place in places)

    @staticmethod
    def _needs_pods(view: JobView) -> bool:
        if view.state in (JobState.DONE, JobState.SUSPENDED):
            return False
        if view.state is JobState.FAILED:
            return view.cause is None or not view.cause.evidence
        return view.ready < view.active or view.state is not JobState.RUNNING

    async def _fetch(self, view: JobView) -> None:
        what, namespace = "pods", view.key.namespace
        selector = pod_selector(view.key.kind, view.key.name)
        try:
            pods = await self._ask(PODS, namespace, {"labelSelector": selector, "limit": "200"})
            self.store.set_pods(view.key.uid, pods)
            self._said.pop(what, None)
            self._changed()
            what = "events"
            if self._needs_events(view):
                self._events_for[view.key.uid] = _version(view)
                self.store.set_events(view.key.uid, await self._events(view, pods))
                self._said.pop(what, None)
        except ApiError as error:
            refused = error.status in (401, 403)
            place = (what, namespace) if refused or error.status == 404 else ("", "")
            wait = _DENIED_FOR if refused else error.retry_after or _BUSY_FOR
            self._not_before[place] = time.monotonic() + wait
            self._said[what] = f"{what}: {error.line()}"
        except McpTuiError:
            # The reflector of the jobs tells how the server is; a cause is a thing more.
            self._not_before["", ""] = time.monotonic() + _BUSY_FOR
        self._changed()

    def _needs_events(self, view: JobView) -> bool:
        known = view.cause is not None and view.cause.evidence and view.key.uid != self._focus
        now = time.monotonic()
        asked = self._events_for.get(view.key.uid) == _version(view)
        return not known and not asked and self._may("events", view, now)

    async def _events(self, view: JobView, pods: Sequence[Pod]) -> tuple[Event, ...]:
        """Of the job, and of the pods that wait or failed."""
        ailing = [p for p in pods if p.status.phase not in ("Running", "Succeeded")] or list(pods)
        names = [view.key.name, *(p.metadata.name for p in ailing)][:_EVENT_NAMES]
        found: list[Event] = []
        for name in names:
            params = {"fieldSelector": f"involvedObject.name={name}", "limit": "100"}
            found += await self._ask(EVENTS, view.key.namespace, params)
        return tuple(found)

    async def _ask(self, resource: Resource[T], namespace: str, params: dict[str, str]) -> list[T]:
        self._calls += 1
        page: ObjectList[T] = await self.connection.kube.get(
            resource.path(namespace),
            ObjectList[resource.type_],  # type: ignore[name-defined] # at run time
            params=params,
        )
        return page.items

    async def _look_at_used(self) -> None:
        """What running jobs on screen use, where the cluster has a metrics API."""
        if POD_METRICS not in self._served:
            return
        running = []
        for uid in self._visible[:_MEASURED]:
            view = self.store.table.get(uid)
            if view is not None and view.ready:
                running.append(view)
        for start in range(0, len(running), _AT_ONCE):
            found = await asyncio.gather(
                *(measure(self.connection.kube, v) for v in running[start : start + _AT_ONCE])
            )
            for view, used in zip(running[start : start + _AT_ONCE], found, strict=True):
                self.store.set_used(view.key.uid, used)

    async def _look_at_places(self) -> None:
        """Places in the queues of the jobs that wait on screen, as Kueue tells them."""
        if not any(group == VISIBILITY for group, _, _ in self._served):
            return
        version = sorted(v for group, v, _ in self._served if group == VISIBILITY)[-1]
        wanted = set()
        for uid in self._visible:
            workload = self.store.workload(uid)
            if workload is not None and pending(workload):
                wanted.add((workload.metadata.namespace, workload.spec.queue_name))
        for namespace, queue in sorted(wanted)[:_AT_ONCE]:
            found = await places(self.connection.kube, version, namespace, queue)
            if found is not None:
                self.store.queues.tell(namespace, queue, found)

    async def _runs(self) -> None:
        """The newest metrics of the runs on screen; those of finished jobs once."""
        while self.connection.mlflow is None:
            if await self.connection.find_endpoints(self.namespace):
                if self.connection.mlflow is None:
                    self._mlflow_is(HealthState.ABSENT, "not configured")
                    self._changed()
                    await self._pause(_NEVER)
            else:
                await self._pause(_ENDPOINTS_RETRY)
        while True:
            await self.look_at_runs(self.connection.mlflow)
            self._changed()
            await asyncio.sleep(_RUNS_EVERY)

    async def look_at_runs(self, mlflow: MlflowClient) -> None:
        """Fetch the runs of the rows on screen: those of finished jobs once."""
        ids: list[tuple[str, str]] = []
        for uid in dict.fromkeys((*([self._focus] if self._focus else ()), *self._visible)):
            view = self.store.table.get(uid)
            if view is not None and view.run_id and view.run_id not in self._settled_runs:
                ids.append((view.run_id, view.experiment_id))
        ids = ids[:_RUNS]
        try:
            if ids:
                found = await fetch_runs(mlflow, ids)
                self.store.set_runs({r: self._tracker.facts(run) for r, run in found.items()})
                self._settled_runs |= {r for r, _ in ids if self._is_settled(r)}
            elif (self.mlflow_health.spoke_at or -1e9) + _ALIVE_EVERY < time.monotonic():
                await mlflow.version()
            else:
                return
            self._mlflow_is(HealthState.LIVE, "")
        except McpTuiError as error:
            self._mlflow_is(HealthState.RETRYING, error.line())

    def _is_settled(self, run_id: str) -> bool:
        """Whether nothing more is to come of a run: its job and it have ended."""
        run = self.store.run(run_id)
        return run is not None and run.status in ("FINISHED", "FAILED", "KILLED")

    def _mlflow_is(self, state: HealthState, message: str) -> None:
        now = time.monotonic()
        old = self.mlflow_health
        live = state is HealthState.LIVE
        self.mlflow_health = SourceHealth(
            name="mlflow",
            state=state,
            spoke_at=now if live else old.spoke_at,
            message=message,
            retry_at=None if live else now + _RUNS_EVERY,
            since=old.since if old.state is state else now,
            synced=live or old.synced,
        )


def _version(view: JobView) -> str:
    """What a change of a job's own status shows in: its pods are looked at again then."""
    return f"{view.state} {view.active} {view.ready} {view.failed} {view.restarts}"


async def fetch_runs(mlflow: MlflowClient, ids: Sequence[tuple[str, str]]) -> dict[str, Run]:
    """Runs by id: in one search where the experiment is known, else one by one.

    Args:
        ids: (run id, experiment id or empty) pairs.

    Raises:
        McpTuiError: MLflow cannot be asked. A run that is not there is absent.
    """
    known = [(run, experiment) for run, experiment in ids if experiment]
    found = await mlflow.newest([r for r, _ in known], sorted({e for _, e in known}))
    for run_id, experiment in ids:
        if not experiment:
            try:
                found[run_id] = await mlflow.get_run(run_id)
            except ApiError as error:
                if error.status != 404:
                    raise
    return found
