"""The jobs of one context: raw objects of every kind joined into one row per root owner.

A TrainJob owns a JobSet that owns Jobs: one row. Kueue's Workload, pods, events and the MLflow run
are joined in as they are known. Only rows that something was said of are made anew.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec

from mcp_tui.domain.cause import Cause
from mcp_tui.domain.job import changes_at, run_id_of
from mcp_tui.domain.jobview import JobState, JobView, Used
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Event, Job, Pod, epoch
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.roots import claim_of, in_order, newest_workload, root_uid
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.evidence import row_for
from mcp_tui.store.pods import Pods
from mcp_tui.store.queues import Queues
from mcp_tui.store.table import NO_CHANGE, Change, Table

# Jobs whose listed pods and events are kept: those looked at last.
_LOOKED_AT: Final = 512


class JobStore:
    """Rows by uid, joined from what the sources say, in whatever order they say it.

    Args:
        context: The kubeconfig context that the rows belong to.

    Attributes:
        table: The rows; changed by :meth:`flush` only.
        defect: Of ours, in making a row; empty as long as there was none.
    """

    def __init__(self, context: str) -> None:
        self.context = context
        self.defect = ""
        self.table: Table[JobView] = Table()
        self._jobs: dict[str, AnyJob] = {}
        self._children: dict[str, set[str]] = {}
        # What pods claim beside uids: the job's uid by the claim.
        self._aliases: dict[str, str] = {}
        self._workloads: dict[str, Workload] = {}
        self._workloads_of: dict[str, set[str]] = {}
        self.queues = Queues()
        self._queues_seen = self.queues.version
        self._waiting: set[str] = set()
        self._used: dict[str, Used] = {}
        self._pods = Pods()
        self._events: dict[str, tuple[Event, ...]] = {}
        self._looked_at: dict[str, None] = {}
        self._runs: dict[str, RunFacts] = {}
        self._run_jobs: dict[str, set[str]] = {}
        self._causes: dict[str, Cause] = {}
        self._dirty: set[str] = set()
        self._moved: Mapping[str, JobView] = {}
        self._due: list[tuple[float, str]] = []
        self._due_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    # -- what the sources say ---------------------------------------------------------------

    def apply(self, delta: Delta[AnyJob]) -> None:
        """Take changes of one job kind."""
        for job in delta.upserts:
            self._put(job)
        for uid in delta.removes:
            self._drop(uid)

    def _put(self, job: AnyJob) -> None:
        uid = job.metadata.uid
        old, owner, alias, run = self._jobs.get(uid), _owner(job), claim_of(job), run_id_of(job)
        if old is not None and run_id_of(old) != run:
            self._unlink_run(old)
        self._link_run(uid, run)
        if old is not None and _owner(old) == owner and claim_of(old) == alias:
            self._jobs[uid] = job
            self._dirty.add(uid)
            return
        if old is not None:
            self._unlink(old)
        self._jobs[uid] = job
        if owner:
            self._children.setdefault(owner, set()).add(uid)
        if alias:
            self._aliases[alias] = uid
        self._stir(uid, alias)

    def _drop(self, uid: str) -> None:
        gone = self._jobs.get(uid)
        if gone is None:
            return
        self._unlink(gone)
        self._unlink_run(gone)
        del self._jobs[uid]
        self._dirty.add(uid)
        self._due_at.pop(uid, None)
        self._waiting.discard(uid)
        self._causes.pop(uid, None)
        self._used.pop(uid, None)
        self._overlook(uid)

    def _unlink(self, job: AnyJob) -> None:
        """Take a job out of what it belongs to; all that this moves is looked at again."""
        uid, owner, alias = job.metadata.uid, _owner(job), claim_of(job)
        self._dirty.add(root_uid(uid, self._jobs)[0])
        self._stir(uid, alias)
        siblings = self._children.get(owner)
        if siblings is not None:
            siblings.discard(uid)
            if not siblings:
                del self._children[owner]
        if alias and self._aliases.get(alias) == uid:
            del self._aliases[alias]

    def _stir(self, uid: str, alias: str) -> None:
        """A job came, went or moved: so did what stands below it, and its pods."""
        self._dirty.add(uid)
        self._dirty.update(self._below(uid))
        for claim in (uid, alias):
            for pod in self._pods.claiming(claim):
                self._touch_pods(self._pods.claims(pod.metadata.uid))

    def _link_run(self, uid: str, run_id: str) -> None:
        if run_id:
            self._run_jobs.setdefault(run_id, set()).add(uid)

    def _unlink_run(self, job: AnyJob) -> None:
        run_id = run_id_of(job)
        jobs = self._run_jobs.get(run_id)
        if jobs is not None:
            jobs.discard(job.metadata.uid)
            if not jobs:
                del self._run_jobs[run_id]
                self._runs.pop(run_id, None)

    def apply_workloads(self, delta: Delta[Workload]) -> None:
        """Take changes of Kueue's Workloads."""
        for workload in delta.upserts:
            self._unlink_workload(workload.metadata.uid)
            self._workloads[workload.metadata.uid] = workload
            self.queues.put(workload)
            for owner in workload.metadata.owner_references:
                self._workloads_of.setdefault(owner.uid, set()).add(workload.metadata.uid)
                self._touch(owner.uid)
        for uid in delta.removes:
            self.queues.drop(uid)
            self._unlink_workload(uid)

    def _unlink_workload(self, uid: str) -> None:
        old = self._workloads.pop(uid, None)
        for owner in old.metadata.owner_references if old is not None else ():
            held = self._workloads_of.get(owner.uid, set())
            held.discard(uid)
            if not held:
                self._workloads_of.pop(owner.uid, None)
            self._touch(owner.uid)

    def apply_pods(self, source: str, delta: Delta[Pod]) -> None:
        """Take changes of pods as one watch of a phase tells them."""
        for pod in delta.upserts:
            self._touch_pods(self._pods.put(source, pod))
        for uid in delta.removes:
            self._touch_pods(self._pods.drop(source, uid))

    def set_pods(self, uid: str, pods: Iterable[Pod]) -> bool:
        """Take a whole list of the pods of a root job, as its label selects them.

        Returns:
            Whether it says anything new.
        """
        if uid not in self._jobs:
            return False
        self._look_at(uid)
        changed = self._pods.set_list(uid, pods)
        self._touch_pods(changed)
        return bool(changed)

    def set_events(self, uid: str, events: tuple[Event, ...]) -> None:
        """Take the events of a root job and its pods."""
        if uid in self._jobs and self._events.get(uid, ()) != events:
            self._look_at(uid)
            self._events[uid] = events
            self._dirty.add(uid)

    def _look_at(self, uid: str) -> None:
        self._looked_at.pop(uid, None)
        self._looked_at[uid] = None
        if len(self._looked_at) > _LOOKED_AT:
            self._overlook(next(iter(self._looked_at)))

    def _overlook(self, uid: str) -> None:
        """Forget what was fetched for a job because it was looked at."""
        self._looked_at.pop(uid, None)
        self._touch_pods(self._pods.set_list(uid, ()))
        if self._events.pop(uid, None) is not None:
            self._touch(uid)

    def set_used(self, uid: str, used: Used | None) -> None:
        """Take what a job's pods use now; None where nobody measures it."""
        if uid in self._jobs and self._used.get(uid) != used:
            if used is None:
                self._used.pop(uid, None)
            else:
                self._used[uid] = used
            self._dirty.add(uid)

    def set_runs(self, facts: Mapping[str, RunFacts]) -> None:
        """Take what is newly known of runs; of runs that no job carries nothing is kept."""
        for run_id, fact in facts.items():
            jobs = self._run_jobs.get(run_id)
            if jobs and self._runs.get(run_id) != fact:
                self._runs[run_id] = fact
                self._dirty.update(jobs)

    # -- what is known ----------------------------------------------------------------------

    def workload(self, uid: str) -> Workload | None:
        """Kueue's view of a root job."""
        if not self._workloads_of:  # as in a cluster without Kueue
            return None
        owners = (uid, *(child.metadata.uid for child in self.children(uid)))
        held = [w for owner in owners for w in self._workloads_of.get(owner, ())]
        return newest_workload(self._workloads[w] for w in held) if held else None

    def run(self, run_id: str) -> RunFacts | None:
        """What is known of a run."""
        return self._runs.get(run_id)

    def jobs_of_run(self, run_id: str) -> tuple[JobView, ...]:
        """The rows that carry a run, the newest first."""
        roots = {root_uid(uid, self._jobs)[0] for uid in self._run_jobs.get(run_id, ())}
        found = [view for view in map(self.table.get, roots) if view is not None]
        return tuple(sorted(found, key=lambda view: -(view.created or 0.0)))

    def job(self, uid: str) -> AnyJob | None:
        """The raw object of a uid."""
        return self._jobs.get(uid)

    def children(self, uid: str) -> tuple[AnyJob, ...]:
        """Every job object below a root, from the outside in."""
        if uid not in self._children:
            return ()
        placed = ((root_uid(child, self._jobs), child) for child in self._below(uid))
        return in_order((at[1], self._jobs[child]) for at, child in placed if at[0] == uid)

    def _below(self, uid: str) -> list[str]:
        """The known jobs that are owned by one, at any depth."""
        found: dict[str, None] = {}
        level = [uid]
        while level:
            owned = [c for parent in level for c in self._children.get(parent, ())]
            level = [c for c in owned if c not in found and c != uid and c in self._jobs]
            found.update(dict.fromkeys(level))
        return list(found)

    def pods(self, uid: str) -> tuple[Pod, ...]:
        """The pods known of a root job, each once, the oldest first."""
        job = self._jobs.get(uid)
        if job is None or not len(self._pods):
            return ()
        found: dict[str, Pod] = {}
        for owner in (job, *self.children(uid)):
            for claim in (owner.metadata.uid, claim_of(owner)):
                for pod in self._pods.claiming(claim):
                    if self._holder(pod) == uid:
                        found[pod.metadata.uid] = pod
        if not isinstance(job, Job):
            # What stands between it and its pods may not be readable: the label is what is left.
            # A job of this name that went before had pods of the same label.
            born = epoch(job.metadata.creation_timestamp) or 0.0
            for pod in self._pods.listed(uid):
                if not self._holder(pod) and (epoch(pod.metadata.creation_timestamp) or 0) >= born:
                    found[pod.metadata.uid] = pod
        return tuple(
            sorted(
                found.values(),
                key=lambda p: (p.metadata.creation_timestamp or "", p.metadata.name),
            )
        )

    def _holder(self, pod: Pod) -> str:
        """The root that a pod belongs to, or empty."""
        for claim in self._pods.claims(pod.metadata.uid):
            owner = claim if claim in self._jobs else self._aliases.get(claim, "")
            if owner:
                return root_uid(owner, self._jobs)[0]
        return ""

    # -- rows -------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Look again at rows that time alone has changed: silence, long waits, places."""
        while self._due and self._due[0][0] <= now:
            when, uid = heapq.heappop(self._due)
            if self._due_at.get(uid) == when:
                del self._due_at[uid]
                self._touch(uid)
        if self.queues.version != self._queues_seen:
            self._queues_seen = self.queues.version
            self._move_up()

    def _move_up(self) -> None:
        """Places change when another job comes or goes: the rest of such a row stays."""
        moved = {}
        for uid in self._waiting:
            view, workload = self.table.get(uid), self.workload(uid)
            if view is None or workload is None or uid in self._dirty:
                continue
            place = self.queues.place(workload)
            if place != view.queue_position:
                moved[uid] = msgspec.structs.replace(view, queue_position=place)
        self._moved = moved

    @property
    def dirty(self) -> bool:
        """Whether a flush has anything to do."""
        return bool(self._dirty or self._moved)

    def flush(self, now: float, most: int | None = None) -> Change:
        """Make the rows that something was said of anew.

        Args:
            now: Epoch seconds.
            most: Rows made at once, so that keys are not kept waiting; it stays :attr:`dirty`
                while there are more. None makes all.
        """
        if not (self._dirty or self._moved):
            return NO_CHANGE
        dirty, self._dirty = self._dirty, set()
        if most is not None and len(dirty) > most:
            ordered = iter(dirty)
            dirty = set(islice(ordered, most))
            self._dirty = set(ordered)
        moved, self._moved = self._moved, {}
        upserts: dict[str, JobView] = {u: v for u, v in moved.items() if u in self.table}
        removes: set[str] = set()
        made: set[str] = set()
        for uid in dirty:
            root = root_uid(uid, self._jobs)[0] if uid in self._jobs else uid
            if root != uid or root not in self._jobs:
                removes.add(uid)
                upserts.pop(uid, None)
                self._due_at.pop(uid, None)
                self._waiting.discard(uid)
            if root in self._jobs and root not in made:
                made.add(root)
                try:
                    upserts[root] = self._view(root, now)
                except Exception as error:  # noqa: BLE001 - one row's defect must not hide the others
                    self.defect = f"a row cannot be made: {type(error).__name__} ({root})"
        return self.table.apply(upserts, removes)

    def _view(self, uid: str, now: float) -> JobView:
        job = self._jobs[uid]
        workload = self.workload(uid)
        run = self._runs.get(run_id_of(job))
        view = row_for(
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
        if view.cause is not None and view.cause.evidence:
            self._causes[uid] = view.cause
        waits = workload is not None and view.state is JobState.WAITING
        (self._waiting.add if waits else self._waiting.discard)(uid)
        self._wake(uid, changes_at(view, run, now))
        return view

    def _wake(self, uid: str, when: float | None) -> None:
        if when is None:
            self._due_at.pop(uid, None)
        elif self._due_at.get(uid) != when:
            self._due_at[uid] = when
            heapq.heappush(self._due, (when, uid))
            if len(self._due) > 64 + 4 * len(self._due_at):
                # Most of it is of rows that have changed since.
                self._due = [(at, each) for each, at in self._due_at.items()]
                heapq.heapify(self._due)

    def _touch(self, uid: str) -> None:
        if uid in self._jobs:
            self._dirty.add(uid)

    def _touch_pods(self, pods: Iterable[str]) -> None:
        for claim in pods:
            self._touch(claim)
            self._touch(self._aliases.get(claim, ""))


def _owner(job: AnyJob) -> str:
    owner = job.metadata.controller
    return owner.uid if owner is not None else ""
