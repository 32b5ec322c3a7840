"""One job, followed: the object, what it owns, its pods, events and run, as one changing row."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from mcp_tui.domain.job import ENDING, JobState, JobView
from mcp_tui.domain.kube import Event, Pod
from mcp_tui.domain.podlabels import POD_LABEL, pod_selector
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.base import AILING, SourceHealth
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
    Served,
    choose,
    discover,
)
from mcp_tui.store.events import asker, events_of
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.pulse import Pulse, PulseTiming
from mcp_tui.store.runfeed import fetch_runs
from mcp_tui.store.runs import RunTracker

_ROOTS: Final[dict[str, Resource[Any]]] = {
    r.kind: r for r in (JOBS, TRAINJOBS, PYTORCHJOBS, JOBSETS, RAYJOBS)
}
_RUN_EVERY: Final = 2.0
_PODS_ASKED: Final = 8
_DISCOVER_RETRY: Final = 10.0
# The Event of a job's end may come a moment later than the deletion.
_JUDGE_TRIES: Final = 4
_JUDGE_PAUSE: Final = 0.7
# Reasons of the Events by which the controllers of job kinds tell of an end.
_DONE_REASONS: Final = frozenset(
    {"Completed", "AllJobsCompleted", "PyTorchJobSucceeded", "TrainJobCompleted", "Succeeded"}
)
_FAILED_REASONS: Final = frozenset(
    {
        "BackoffLimitExceeded",
        "DeadlineExceeded",
        "PodFailurePolicy",
        "FailedIndexes",
        "MaxFailedIndexesExceeded",
        "FailedJobs",
        "ReachedMaxRestarts",
        "PyTorchJobFailed",
        "TrainJobFailed",
    }
)


class JobWatch:
    """Follows one job.

    Args:
        connection: The context's clients.
        uid: Of the object meant; one of another uid is not it.
        on_change: Called when there may be something new to see.
        pulse: When a server that says nothing is asked how it is.

    Attributes:
        gone: It was there and is not any more.
        verdict: How a job ended that was gone before its end was seen, as its Events and pods
            say: done, failed, or None when they do not.
        mlflow_error: Why the run cannot be read now; empty when it can.
        defect: Of ours, that ended a part of this; empty while there is none.
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
        pulse: PulseTiming | None = None,
    ) -> None:
        self.connection = connection
        self.kind, self.namespace, self.name, self.uid = kind, namespace, name, uid
        self.store = JobStore(connection.info.name)
        self.gone = False
        self.verdict: JobState | None = None
        self.mlflow_error = ""
        self.defect = ""
        self._on_change = on_change
        self._tracker = RunTracker()
        self._tasks: list[asyncio.Task[None]] = []
        self._main = self._reflector(_ROOTS[kind], f"metadata.name={name}", "", self._on_root)
        self._pods = Reflector(
            connection.kube,
            PODS,
            namespace=namespace,
            label_selector=pod_selector(kind, name),
            sink=self._on_pods,
        )
        self._pulse = Pulse(
            connection.kube, lambda: (self._main.health,), self._on_change, timing=pulse
        )
        self._ask = asker(connection.kube, namespace)
        self._events_version = ""

    def start(self) -> None:
        """Begin; returns at once."""
        self._spawn(self._main.run())
        self._spawn(self._pods.run())
        if self.kind == "TrainJob":
            inner = self._reflector(JOBSETS, f"metadata.name={self.name}", "", self._on_children)
            self._spawn(inner.run())
        if self.kind in ("TrainJob", "JobSet"):
            selector = f"{POD_LABEL['JobSet']}={self.name}"
            self._spawn(self._reflector(JOBS, "", selector, self._on_children).run())
        self._spawn(self._pulse.run())
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
        return self._pulse.over(self._main.health)

    @property
    def failing(self) -> bool:
        """Whether what is known may be old because the cluster does not answer."""
        return self.health.state in AILING

    def view(self) -> JobView | None:
        """The row as it is now; the last one once the job is gone."""
        self.store.flush(time.time())
        return self.store.table.get(self.uid)

    def _reflector(
        self,
        resource: Resource[Any],
        field: str,
        label: str,
        sink: Callable[[Delta[Any]], None],
    ) -> Reflector[Any]:
        return Reflector(
            self.connection.kube,
            resource,
            namespace=self.namespace,
            field_selector=field,
            label_selector=label,
            sink=sink,
            on_health=lambda _health: self._on_change(),
        )

    def _on_root(self, delta: Delta[Any]) -> None:
        """Only the object meant counts: one of its name and another uid came after it."""
        mine = tuple(job for job in delta.upserts if job.metadata.uid == self.uid)
        self.store.apply(Delta(mine))
        known = self.store.job(self.uid) is not None
        if self.uid in delta.removes or (delta.synced and not known):
            # The row stays: it is the last that was seen.
            self.view()
            self.gone = True
        self._on_change()

    def _on_children(self, delta: Delta[Any]) -> None:
        # Those of an object of this name that went before find no owner, and make no row of ours.
        self.store.apply(delta)
        self._on_change()

    async def judge(self) -> JobState | None:
        """How a job ended that is gone: it may have been deleted by its own time to live.

        Its Events outlive it. Without them its pods tell, when all have succeeded.
        """
        for attempt in range(_JUDGE_TRIES):
            found: Sequence[Event] = ()
            with contextlib.suppress(McpTuiError):
                found = await self._ask(self.name)
            reasons = {e.reason for e in found if e.involved_object.uid == self.uid}
            if reasons & _DONE_REASONS:
                return JobState.DONE
            if reasons & _FAILED_REASONS:
                return JobState.FAILED
            if attempt + 1 < _JUDGE_TRIES:
                await asyncio.sleep(_JUDGE_PAUSE)
        view = self.view()
        if view is not None and view.why == ENDING:
            return JobState.DONE
        return None

    def _on_pods(self, delta: Delta[Pod]) -> None:
        # Pods that are deleted while the job fails hold the evidence: they are kept here.
        self.store.apply_pods("watch", Delta(upserts=delta.upserts))
        self._on_change()

    async def _workload(self) -> None:
        served = await self._served()
        resource = choose(served, WORKLOADS)
        if resource is not None:

            def sink(delta: Delta[Any]) -> None:
                self.store.apply_workloads(delta)
                self._on_change()

            await Reflector(
                self.connection.kube, resource, namespace=self.namespace, sink=sink
            ).run()

    async def _served(self) -> Served:
        while True:
            try:
                return await discover(self.connection.kube)
            except McpTuiError:
                await asyncio.sleep(_DISCOVER_RETRY)

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
        whole = view.state is JobState.RUNNING and not view.short
        if version == self._events_version or whole or view.state is JobState.DONE:
            return
        self._events_version = version
        job = self.store.job(self.uid)
        if job is None:
            return
        children, pods = self.store.children(self.uid), self.store.pods(self.uid)
        # They are a thing more: without them the job is followed all the same.
        with contextlib.suppress(McpTuiError):
            events = await events_of(self._ask, job, children, pods, most_pods=_PODS_ASKED)
            if events:
                self.store.set_events(self.uid, events)

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

    async def refresh_events(self) -> None:
        """Read the events now: of pods that are gone, only they may tell."""
        view = self.view()
        if view is not None:
            self._events_version = ""
            await self._fetch_events(view)

    async def refresh_run(self) -> None:
        """Read the run once more, as at the end: the last metrics come with it."""
        view = self.view()
        if view is not None:
            await self._fetch_run(view)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that dies by a defect of ours is not passed over in silence."""
        if not task.cancelled() and task.exception() is not None:
            self.defect = f"defect: {type(task.exception()).__name__} while following"
            self._on_change()
