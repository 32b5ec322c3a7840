"""The live jobs of one context: reflectors into a store, and only what is looked at beside them.

Watched always: the job kinds that the server has, Kueue's Workloads, and pods of jobs in phase
Failed or Pending. For rows on screen only: the pods of jobs with fewer ready than active pods (no
field selector finds a waiting reason, and CrashLoopBackOff is phase Running), the events of jobs
without a cause, and the newest metrics of their runs. Never all pods of the cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from mcp_tui.domain.jobview import JobState, JobView
from mcp_tui.domain.kube import Event, ObjectList, Pod
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.run import Run
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

_KINDS: Final[tuple[Resource[Any], ...]] = (JOBS, TRAINJOBS, PYTORCHJOBS, JOBSETS, RAYJOBS)
_JOB_PODS: Final = "batch.kubernetes.io/job-name"
_PODS_EVERY: Final = 5.0
_RUNS_EVERY: Final = 5.0
_TICK: Final = 1.0
_AT_ONCE: Final = 8
_USED_EVERY: Final = 15.0
_MEASURED: Final = 60
_DISCOVER_AGAIN: Final = 300.0
_RUNS: Final = 50
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
        self._wake = asyncio.Event()
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
        self._spawn(self._discover())
        self._spawn(self._look())
        self._spawn(self._runs())

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
        self._wake.set()

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
        """The worst health of the reflectors, as that of the cluster."""
        order = (
            HealthState.DOWN,
            HealthState.RETRYING,
            HealthState.DENIED,
            HealthState.CONNECTING,
            HealthState.POLLING,
            HealthState.LIVE,
        )
        main = self._reflectors["jobs"].health
        if main.state in (HealthState.RETRYING, HealthState.DENIED, HealthState.CONNECTING):
            return main
        healths = [r.health for r in self._reflectors.values()]
        for state in order[:2]:
            for health in healths:
                if health.state is state:
                    return health
        return main

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _follow(self, resource: Resource[Any]) -> None:
        if resource.plural in self._reflectors:
            return

        def sink(delta: Delta[Any]) -> None:
            if resource.plural == "workloads":
                self.store.apply_workloads(delta)
            else:
                self.store.apply(delta)
            self._changed()

        self._add(
            resource.plural,
            Reflector(
                self.connection.kube,
                resource,
                namespace=self.namespace,
                label_selector="" if resource.plural == "workloads" else self._selector,
                sink=sink,
                on_health=lambda _health: self._changed(),
            ),
        )

    def _follow_pods(self, phase: str, selector: str) -> None:
        source = f"{phase} {selector}"

        def sink(delta: Delta[Pod]) -> None:
            self.store.apply_pods(source, delta)
            self._changed()

        self._add(
            source,
            Reflector(
                self.connection.kube,
                PODS,
                namespace=self.namespace,
                label_selector=selector,
                field_selector=f"status.phase={phase}",
                sink=sink,
                on_health=lambda _health: self._changed(),
            ),
        )

    def _add(self, name: str, reflector: Reflector[Any]) -> None:
        if name not in self._reflectors:
            self._reflectors[name] = reflector
            self._spawn(reflector.run())

    async def _discover(self) -> None:
        for phase in ("Failed", "Pending"):
            self._follow_pods(phase, _JOB_PODS)
        while True:
            try:
                served = await discover(self.connection.kube)
            except McpTuiError as error:
                self.discovery_error = error.line()
                await asyncio.sleep(10.0)
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
            await asyncio.sleep(_DISCOVER_AGAIN)

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
        """Fetch the pods and events that the rows on screen need, those that are due."""
        now = time.monotonic()
        wanted = []
        for uid in dict.fromkeys((*self._visible, *([self._focus] if self._focus else ()))):
            view = self.store.table.get(uid)
            if view is None:
                continue
            version, at = self._looked.get(uid, ("", -1e9))
            if self._needs_pods(view) and (version != _version(view) or now - at >= _PODS_EVERY):
                self._looked[uid] = (_version(view), now)
                wanted.append(view)
        for start in range(0, len(wanted), _AT_ONCE):
            await asyncio.gather(*(self._fetch(view) for view in wanted[start : start + _AT_ONCE]))
        if now - self._measured_at >= _USED_EVERY:
            self._measured_at = now
            await self._look_at_used()
            await self._look_at_places()
        if len(self._looked) > 4_096:
            self._looked = {k: v for k, v in self._looked.items() if k in set(self._visible)}

    @staticmethod
    def _needs_pods(view: JobView) -> bool:
        if view.state in (JobState.DONE, JobState.SUSPENDED):
            return False
        if view.state is JobState.FAILED:
            return view.cause is None or not view.cause.evidence
        return view.ready < view.active or view.state is not JobState.RUNNING

    async def _fetch(self, view: JobView) -> None:
        kube = self.connection.kube
        selector = pod_selector(view.key.kind, view.key.name)
        try:
            pods = await kube.get(
                PODS.path(view.key.namespace),
                ObjectList[Pod],
                params={"labelSelector": selector, "limit": "200"},
            )
            self.store.set_pods(view.key.uid, tuple(pods.items))
            if self._events_for.get(view.key.uid) != _version(view):
                self._events_for[view.key.uid] = _version(view)
                events: list[Event] = []
                names = [view.key.name, *(p.metadata.name for p in pods.items[:8])]
                for name in names:
                    found = await kube.get(
                        EVENTS.path(view.key.namespace),
                        ObjectList[Event],
                        params={"fieldSelector": f"involvedObject.name={name}", "limit": "100"},
                    )
                    events += found.items
                self.store.set_events(view.key.uid, tuple(events))
        except McpTuiError:
            # The reflector of the jobs tells how the server is; a cause is a thing more.
            return
        self._changed()

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
        if self.connection.mlflow is None:
            await self.connection.find_endpoints(self.namespace)
        mlflow = self.connection.mlflow
        if mlflow is None:
            self._mlflow_is(HealthState.ABSENT, "not configured")
            return
        while True:
            await self.look_at_runs(mlflow)
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
            else:
                await mlflow.version()
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
