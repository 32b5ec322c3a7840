"""One job, followed: the object, what it owns, its pods, events and run, as one changing row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.kube import Event, ObjectList, Pod
from mcp_tui.domain.podlabels import POD_LABEL, pod_selector
from mcp_tui.errors import McpTuiError
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
    choose,
    discover,
)
from mcp_tui.store.feed import fetch_runs
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.runs import RunTracker

_ROOTS: Final[dict[str, Resource[Any]]] = {
    r.kind: r for r in (JOBS, TRAINJOBS, PYTORCHJOBS, JOBSETS, RAYJOBS)
}
_RUN_EVERY: Final = 2.0
_FAILING: Final = (HealthState.RETRYING, HealthState.DENIED, HealthState.DOWN)


class JobWatch:
    """Follows one job.

    Args:
        connection: The context's clients.
        uid: Of the object meant; one of another uid is not it.
        on_change: Called when there may be something new to see.

    Attributes:
        gone: It was there and is not any more.
        mlflow_error: Why the run cannot be read now; empty when it can.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        kind: str,
        namespace: str,
        name: str,
        uid: str,
        on_change: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.kind, self.namespace, self.name, self.uid = kind, namespace, name, uid
        self.store = JobStore(connection.info.name)
        self.gone = False
        self.mlflow_error = ""
        self._on_change = on_change
        self._tracker = RunTracker()
        self._tasks: list[asyncio.Task[None]] = []
        self._main = self._reflector(_ROOTS[kind], f"metadata.name={name}", "")
        self._events_version = ""

    def start(self) -> None:
        """Begin; returns at once."""
        self._spawn(self._main.run())
        pods = Reflector(
            self.connection.kube,
            PODS,
            namespace=self.namespace,
            label_selector=pod_selector(self.kind, self.name),
            sink=self._on_pods,
        )
        self._spawn(pods.run())
        if self.kind == "TrainJob":
            self._spawn(self._reflector(JOBSETS, f"metadata.name={self.name}", "").run())
        if self.kind in ("TrainJob", "JobSet"):
            selector = f"{POD_LABEL['JobSet']}={self.name}"
            self._spawn(self._reflector(JOBS, "", selector).run())
        self._spawn(self._beside())
        self._spawn(self._workload())

    async def stop(self) -> None:
        """End everything that was started."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def health(self) -> SourceHealth:
        """How the watch of the job itself stands."""
        return self._main.health

    @property
    def failing(self) -> bool:
        """Whether what is known may be old because the cluster does not answer."""
        return self._main.health.state in _FAILING

    def view(self) -> JobView | None:
        """The row as it is now; the last one once the job is gone."""
        self.store.flush(time.time())
        return self.store.table.get(self.uid)

    def _reflector(self, resource: Resource[Any], field: str, label: str) -> Reflector[Any]:
        return Reflector(
            self.connection.kube,
            resource,
            namespace=self.namespace,
            field_selector=field,
            label_selector=label,
            sink=self._on_jobs,
            on_health=lambda _health: self._on_change(),
        )

    def _on_jobs(self, delta: Delta[Any]) -> None:
        if self.uid in delta.removes or (
            delta.synced
            and self.uid not in {o.metadata.uid for o in delta.upserts}
            and self.store.job(self.uid) is None
            and any(o.metadata.name == self.name for o in delta.upserts)
        ):
            self.view()
            self.gone = True
        else:
            self.store.apply(delta)
        self._on_change()

    def _on_pods(self, delta: Delta[Pod]) -> None:
        # Pods that are deleted while the job fails hold the evidence: they are kept here.
        self.store.apply_pods("watch", Delta(upserts=delta.upserts))
        self._on_change()

    async def _workload(self) -> None:
        try:
            served = await discover(self.connection.kube)
        except McpTuiError:
            return
        resource = choose(served, WORKLOADS)
        if resource is not None:

            def sink(delta: Delta[Any]) -> None:
                self.store.apply_workloads(delta)
                self._on_change()

            await Reflector(
                self.connection.kube, resource, namespace=self.namespace, sink=sink
            ).run()

    async def _beside(self) -> None:
        """Events where they may tell more, and the run."""
        while True:
            view = self.view()
            if view is not None:
                await self._fetch_events(view)
                await self._fetch_run(view)
            self.store.tick(time.time())
            self._on_change()
            await asyncio.sleep(_RUN_EVERY)

    async def _fetch_events(self, view: JobView) -> None:
        version = f"{view.state} {view.active} {view.ready} {view.failed} {int(time.time() / 20)}"
        if version == self._events_version or view.state in (JobState.RUNNING, JobState.DONE):
            return
        self._events_version = version
        names = [self.name, *(p.metadata.name for p in self.store.pods(self.uid)[:8])]
        events: list[Event] = []
        for name in names:
            try:
                found = await self.connection.kube.get(
                    EVENTS.path(self.namespace),
                    ObjectList[Event],
                    params={"fieldSelector": f"involvedObject.name={name}", "limit": "100"},
                )
            except McpTuiError:
                return
            events += found.items
        self.store.set_events(self.uid, tuple(events))

    async def _fetch_run(self, view: JobView) -> None:
        mlflow = self.connection.mlflow
        if mlflow is None or not view.run_id:
            return
        try:
            found = await fetch_runs(mlflow, [(view.run_id, view.experiment_id)])
        except McpTuiError as error:
            self.mlflow_error = error.line()
            return
        self.mlflow_error = ""
        self.store.set_runs({run_id: self._tracker.facts(run) for run_id, run in found.items()})

    async def refresh_run(self) -> None:
        """Read the run once more, as at the end: the last metrics come with it."""
        view = self.view()
        if view is not None:
            await self._fetch_run(view)

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))
