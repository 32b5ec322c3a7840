"""The jobs of one context: raw objects of every kind joined into one row per root owner.

A TrainJob owns a JobSet that owns Jobs: one row. Kueue's Workload, pods, events and the MLflow run
are joined in as they are known. Only rows that something was said of are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcp_tui.domain.cause import Cause
from mcp_tui.domain.job import view_job
from mcp_tui.domain.jobview import JobState, JobView, Used
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Event, Pod
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.queues import Queues
from mcp_tui.store.table import NO_CHANGE, Change, Table

_LISTED = "listed"
_DEEPEST = 8


class JobStore:
    """Rows by uid, joined from what the sources say.

    Args:
        context: The kubeconfig context that the rows belong to.

    Attributes:
        table: The rows; changed by :meth:`flush` only.
    """

    def __init__(self, context: str) -> None:
        self.context = context
        self.table: Table[JobView] = Table()
        self._jobs: dict[str, AnyJob] = {}
        self._children: dict[str, set[str]] = {}
        self._workloads: dict[str, Workload] = {}
        self._workload_owner: dict[str, str] = {}
        self.queues = Queues()
        self._used: dict[str, Used] = {}
        # Pods by job, by the source that told of them: watches and lists overlap.
        self._pods: dict[str, dict[str, dict[str, Pod]]] = {}
        self._pod_job: dict[tuple[str, str], str] = {}
        self._events: dict[str, tuple[Event, ...]] = {}
        self._runs: dict[str, RunFacts] = {}
        self._run_jobs: dict[str, set[str]] = {}
        self._causes: dict[str, Cause] = {}
        self._dirty: set[str] = set()
        self._timed: set[str] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def apply(self, delta: Delta[AnyJob]) -> None:
        """Take changes of one job kind."""
        for job in delta.upserts:
            uid = job.metadata.uid
            old = self._jobs.get(uid)
            self._jobs[uid] = job
            if old is None:
                for owner in job.metadata.owner_references:
                    self._children.setdefault(owner.uid, set()).add(uid)
                self._dirty.update(self._children.get(uid, ()))
            self._touch(uid)
        for uid in delta.removes:
            gone = self._jobs.pop(uid, None)
            if gone is None:
                continue
            for owner in gone.metadata.owner_references:
                siblings = self._children.get(owner.uid)
                if siblings is not None:
                    siblings.discard(uid)
                    if not siblings:
                        del self._children[owner.uid]
                self._touch(owner.uid)
            # What it owned may stand by itself now.
            self._dirty.update(self._children.get(uid, ()))
            self._dirty.add(uid)
            self._forget(uid)

    def apply_workloads(self, delta: Delta[Workload]) -> None:
        """Take changes of Kueue's Workloads."""
        for workload in delta.upserts:
            self.queues.put(workload)
            for owner in workload.metadata.owner_references:
                self._workloads[owner.uid] = workload
                self._workload_owner[workload.metadata.uid] = owner.uid
                self._touch(owner.uid)
        for uid in delta.removes:
            self.queues.drop(uid)
            owner_uid = self._workload_owner.pop(uid, "")
            current = self._workloads.get(owner_uid)
            if current is not None and current.metadata.uid == uid:
                del self._workloads[owner_uid]
                self._touch(owner_uid)

    def apply_pods(self, source: str, delta: Delta[Pod]) -> None:
        """Take changes of pods as one watch tells them; a pod it drops may live on elsewhere."""
        for pod in delta.upserts:
            owner = pod.metadata.controller
            if owner is None:
                continue
            self._pod_job[source, pod.metadata.uid] = owner.uid
            by_source = self._pods.setdefault(owner.uid, {})
            by_source.setdefault(source, {})[pod.metadata.uid] = pod
            self._touch(owner.uid)
        for uid in delta.removes:
            job_uid = self._pod_job.pop((source, uid), "")
            pods = self._pods.get(job_uid, {}).get(source, {})
            if pods.pop(uid, None) is not None:
                self._touch(job_uid)

    def set_pods(self, uid: str, pods: Iterable[Pod]) -> None:
        """Take a whole list of the pods of a root job."""
        listed = {pod.metadata.uid: pod for pod in pods}
        by_source = self._pods.setdefault(uid, {})
        if by_source.get(_LISTED) != listed:
            by_source[_LISTED] = listed
            self._touch(uid)

    def set_events(self, uid: str, events: tuple[Event, ...]) -> None:
        """Take the events of a root job and its pods."""
        if self._events.get(uid) != events:
            self._events[uid] = events
            self._touch(uid)

    def set_used(self, uid: str, used: Used | None) -> None:
        """Take what a job's pods use now; None where nobody measures it."""
        if self._used.get(uid) != used:
            if used is None:
                self._used.pop(uid, None)
            else:
                self._used[uid] = used
            self._touch(uid)

    def workload(self, uid: str) -> Workload | None:
        """Kueue's view of a root job."""
        return self._workloads.get(uid)

    def set_runs(self, facts: Mapping[str, RunFacts]) -> None:
        """Take what is newly known of runs."""
        for run_id, fact in facts.items():
            if self._runs.get(run_id) != fact:
                self._runs[run_id] = fact
                self._dirty.update(self._run_jobs.get(run_id, ()))

    def run(self, run_id: str) -> RunFacts | None:
        """What is known of a run."""
        return self._runs.get(run_id)

    def job(self, uid: str) -> AnyJob | None:
        """The raw object of a uid."""
        return self._jobs.get(uid)

    def children(self, uid: str) -> tuple[AnyJob, ...]:
        """Every job object below a root."""
        found: list[AnyJob] = []
        level = self._children.get(uid, set())
        for _ in range(_DEEPEST):
            following: set[str] = set()
            for child in sorted(level):
                if child in self._jobs:
                    found.append(self._jobs[child])
                    following |= self._children.get(child, set())
            if not following:
                break
            level = following
        return tuple(found)

    def pods(self, uid: str) -> tuple[Pod, ...]:
        """The pods known of a root job, each once; a list is newer than a watch that dropped it."""
        owners = [uid, *(child.metadata.uid for child in self.children(uid))]
        found: dict[str, Pod] = {}
        for owner in owners:
            for pods in self._pods.get(owner, {}).values():
                found.update(pods)
        return tuple(found.values())

    def tick(self, now: float) -> None:
        """Look again at rows whose state may change with time alone: silence, long waits."""
        self._dirty |= self._timed
        _ = now

    @property
    def dirty(self) -> bool:
        """Whether a flush has anything to do."""
        return bool(self._dirty)

    def flush(self, now: float) -> Change:
        """Make the rows that something was said of anew.

        Args:
            now: Epoch seconds.
        """
        if not self._dirty:
            return NO_CHANGE
        dirty, self._dirty = self._dirty, set()
        upserts: dict[str, JobView] = {}
        removes: set[str] = set()
        for uid in dirty:
            root = self._root(uid)
            if root != uid:
                removes.add(uid)
            if root in upserts:
                continue
            if root not in self._jobs:
                removes.add(root)
                self._timed.discard(root)
                continue
            upserts[root] = self._view(root, now)
        return self.table.apply(upserts, removes)

    def _view(self, uid: str, now: float) -> JobView:
        job = self._jobs[uid]
        run = self._run_of(uid)
        workload = self._workloads.get(uid)
        view = view_job(
            job,
            context=self.context,
            now=now,
            pods=self.pods(uid),
            children=self.children(uid),
            workload=workload,
            queue_position=self.queues.place(workload) if workload is not None else None,
            used=self._used.get(uid),
            run=run,
            events=self._events.get(uid, ()),
            kept=self._causes.get(uid),
        )
        if view.run_id:
            self._run_jobs.setdefault(view.run_id, set()).add(uid)
            if run is None and view.run_id in self._runs:
                return self._view(uid, now)
        if view.cause is not None and view.cause.evidence:
            self._causes[uid] = view.cause
        moves = view.state in (JobState.WAITING, JobState.RUNNING, JobState.STALLED)
        (self._timed.add if moves else self._timed.discard)(uid)
        return view

    def _run_of(self, uid: str) -> RunFacts | None:
        old = self.table.get(uid)
        return self._runs.get(old.run_id) if old is not None and old.run_id else None

    def _root(self, uid: str) -> str:
        for _ in range(_DEEPEST):
            job = self._jobs.get(uid)
            if job is None:
                return uid
            owner = next(
                (o.uid for o in job.metadata.owner_references if o.uid in self._jobs), None
            )
            if owner is None:
                return uid
            uid = owner
        return uid

    def _touch(self, uid: str) -> None:
        if uid in self._jobs:
            self._dirty.add(uid)

    def _forget(self, uid: str) -> None:
        for source, pods in self._pods.pop(uid, {}).items():
            for pod in pods:
                self._pod_job.pop((source, pod), None)
        self._events.pop(uid, None)
        self._used.pop(uid, None)
        self._causes.pop(uid, None)
        old = self.table.get(uid)
        if old is not None and old.run_id:
            jobs = self._run_jobs.get(old.run_id, set())
            jobs.discard(uid)
            if not jobs:
                self._run_jobs.pop(old.run_id, None)
                self._runs.pop(old.run_id, None)
