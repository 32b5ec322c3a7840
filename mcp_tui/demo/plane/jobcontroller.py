"""The Job controller: makes pods, counts how they end, says when the job is over.

After k8s.io/kubernetes ``pkg/controller/job``. Because a sync is one transaction here, a pod is
counted and released in the same step, and ``uncountedTerminatedPods`` is always empty.
"""

from __future__ import annotations

import contextlib

from mcp_tui.demo.plane import jobrules as rules
from mcp_tui.demo.plane.gc import remove_finalizer
from mcp_tui.demo.plane.jobspec import TRACKING, finished
from mcp_tui.demo.plane.jobsync import Memory, Sync, pod_of
from mcp_tui.demo.plane.model import JOBS, PODS, Obj, condition, parse_time
from mcp_tui.demo.plane.owners import Owners
from mcp_tui.demo.plane.queue import WorkQueue
from mcp_tui.demo.plane.registry import DeleteOptions, Registry, StatusError
from mcp_tui.demo.plane.store import Entry, Event, Key

_SOURCE = "job-controller"
_MOST_AT_ONCE = 100
_RETRY_SECONDS = 5.0


class JobController:
    """Syncs each job that changed, or whose pods did."""

    def __init__(self, registry: Registry, owners: Owners, *, back_off: float) -> None:
        self._registry = registry
        self._owners = owners
        self._back_off = back_off
        self._jobs: WorkQueue[Key] = WorkQueue()
        self._orphans: WorkQueue[Key] = WorkQueue()
        self._memory: dict[str, Memory] = {}

    def observe(self, event: Event) -> None:
        """Notes changed jobs, and the jobs of changed pods."""
        new = event.new
        if new.kind is JOBS:
            if event.type == "DELETED":
                self._memory.pop(new.uid, None)
                for pod in self._owners.dependents(new.uid):
                    if pod.kind is PODS:
                        self._orphans.add(pod.key)
            else:
                self._jobs.add(new.key)
        elif new.kind is PODS:
            owner = next(iter(filter(None, map(self._owners.live, new.owners))), None)
            if owner is not None and owner.kind is JOBS:
                self._jobs.add(owner.key)
            elif TRACKING.encode() in new.raw:
                self._orphans.add(new.key)

    def next_due(self) -> float | None:
        """The next back-off, deadline or time to live that ends."""
        return self._jobs.next_due()

    def work(self, now: float, most: int) -> bool:
        """Syncs what was noted."""
        for key in self._jobs.take(now, most):
            entry = self._registry.store.get(JOBS, *key)
            if entry is not None:
                self._look(entry, now)
        for key in self._orphans.take(now, most):
            pod = self._registry.store.get(PODS, *key)
            if pod is not None and not any(map(self._owners.live, pod.owners)):
                self._release(pod)
        return self._jobs.pending or self._orphans.pending

    def _release(self, pod: Entry) -> None:
        with contextlib.suppress(StatusError):
            remove_finalizer(self._registry, pod, TRACKING)

    # --- one job

    def _look(self, entry: Entry, now: float) -> None:
        job = entry.obj
        manager = job["spec"].get("managedBy")
        if manager not in (None, "kubernetes.io/job-controller"):
            return
        pods = [item.obj for item in self._owners.dependents(entry.uid) if item.kind is PODS]
        status = job.setdefault("status", {})
        sync = Sync(
            entry=entry,
            job=job,
            pods=pods,
            now=now,
            memory=self._memory.setdefault(entry.uid, Memory()),
            succeeded_indexes=rules.parse_indexes(status.get("completedIndexes", "")),
            failed_indexes=rules.parse_indexes(status.get("failedIndexes", "")),
        )
        if finished(job):
            self._after(sync)
            return
        self._count(sync)
        if not job["metadata"].get("deletionTimestamp"):
            self._advance(sync)
        self._write(sync)

    def _after(self, sync: Sync) -> None:
        """A finished job only lets go of its pods, and may have a time to live."""
        for pod in sync.pods:
            self._let_go(pod)
        ttl = sync.spec.get("ttlSecondsAfterFinished")
        if ttl is None or sync.job["metadata"].get("deletionTimestamp"):
            return
        end = condition(sync.job, "Complete") or condition(sync.job, "Failed") or {}
        due = (parse_time(end.get("lastTransitionTime")) or sync.now) + ttl
        if sync.now < due:
            self._jobs.add_at(sync.entry.key, due)
            return
        options = DeleteOptions(propagation="Foreground", uid=sync.entry.uid)
        self._registry.delete(JOBS, *sync.entry.key, options)

    def _let_go(self, pod: Obj) -> None:
        metadata = pod["metadata"]
        if TRACKING not in (metadata.get("finalizers") or ()):
            return
        entry = self._registry.store.get(PODS, metadata["namespace"], metadata["name"])
        if entry is not None and entry.uid == metadata["uid"]:
            self._release(entry)

    # --- counting

    def _count(self, sync: Sync) -> None:
        """Counts every pod that has ended since the last sync, once."""
        for pod in sync.pods:
            if TRACKING not in (pod["metadata"].get("finalizers") or ()):
                continue
            if rules.phase(pod) == "Succeeded":
                self._count_success(sync, pod)
            elif rules.phase(pod) == "Failed" or (
                rules.deleting(pod) and sync.spec.get("podReplacementPolicy") != "Failed"
            ):
                self._count_failure(sync, pod)
            else:
                continue
            self._let_go(pod)
        if sync.indexed:
            sync.status["succeeded"] = len(sync.succeeded_indexes)
            sync.status["completedIndexes"] = rules.format_indexes(sync.succeeded_indexes)
            if sync.per_index:
                sync.status["failedIndexes"] = rules.format_indexes(sync.failed_indexes)

    def _count_success(self, sync: Sync, pod: Obj) -> None:
        index = rules.index_of(pod)
        if not sync.indexed:
            sync.status["succeeded"] = sync.succeeded + 1
        elif index is not None and index < sync.spec["completions"]:
            sync.succeeded_indexes.add(index)
            sync.memory.by_index.pop(index, None)
        sync.memory.failures = 0

    def _count_failure(self, sync: Sync, pod: Obj) -> None:
        verdict = rules.judge(sync.job, pod) if rules.phase(pod) == "Failed" else rules.Verdict()
        if verdict.action == "FailJob" and sync.ending is None:
            sync.ending = rules.Ending("FailureTarget", "PodFailurePolicy", verdict.message)
        if verdict.action == "Ignore":
            return
        sync.status["failed"] = sync.status.get("failed", 0) + 1
        when = rules.finish_time(pod, sync.now)
        sync.memory.failures += 1
        sync.memory.last_failure = max(sync.memory.last_failure, when)
        index = rules.index_of(pod)
        if index is None or not sync.per_index:
            return
        failures = sync.memory.by_index.get(index, (0, 0.0))[0] + 1
        sync.memory.by_index[index] = (failures, when)
        if verdict.action == "FailIndex" or failures > sync.spec["backoffLimitPerIndex"]:
            sync.failed_indexes.add(index)

    # --- going on

    def _advance(self, sync: Sync) -> None:
        """Starts, suspends, ends, or makes and removes pods."""
        status = sync.status
        for name in ("FailureTarget", "SuccessCriteriaMet"):
            found = condition(sync.job, name)
            if found is not None and found["status"] == "True":
                sync.ending = rules.Ending(name, found["reason"], found["message"])
        if not sync.spec.get("suspend") and "startTime" not in status:
            status["startTime"] = sync.stamp()
        active = len(sync.active())
        if sync.ending is None:
            sync.ending = rules.failure(
                sync.job,
                failed=status.get("failed", 0),
                failed_indexes=sync.failed_indexes,
                pods=sync.pods,
                now=sync.now,
            ) or rules.success(
                sync.job,
                succeeded=sync.succeeded,
                failed_indexes=sync.failed_indexes,
                active_pods=active,
            )
        if sync.ending is not None:
            self._end(sync)
        elif sync.spec.get("suspend"):
            self._suspend(sync)
        else:
            self._resume(sync)
            self._manage(sync)
            self._watch_deadline(sync)

    def _watch_deadline(self, sync: Sync) -> None:
        deadline = sync.spec.get("activeDeadlineSeconds")
        started = parse_time(sync.status.get("startTime"))
        if deadline is not None and started is not None:
            self._jobs.add_at(sync.entry.key, started + deadline)

    def _suspend(self, sync: Sync) -> None:
        for pod in sync.active():
            self._remove(sync, pod)
        sync.status.pop("startTime", None)
        if rules.set_condition(
            sync.status, "Suspended", "True", "JobSuspended", "Job suspended", sync.stamp()
        ):
            self._say(sync, "Suspended", "Job suspended")

    def _resume(self, sync: Sync) -> None:
        if condition(sync.job, "Suspended") is None:
            return
        if rules.set_condition(
            sync.status, "Suspended", "False", "JobResumed", "Job resumed", sync.stamp()
        ):
            sync.status["startTime"] = sync.stamp()
            self._say(sync, "Resumed", "Job resumed")

    def _end(self, sync: Sync) -> None:
        """Announces the end, ends what still runs, and then says so for good."""
        ending = sync.ending
        assert ending is not None
        stamp = sync.stamp()
        rules.set_condition(
            sync.status, ending.condition, "True", ending.reason, ending.message, stamp
        )
        failed = ending.condition == "FailureTarget"
        for pod in sync.active():
            if failed:
                # Not let go before: what is ended with its job counts as failed.
                self._delete(pod)
            else:
                self._remove(sync, pod)
        sync.pods = self._current(sync)
        if any(not rules.over(pod) for pod in sync.pods):
            self._count(sync)
            return
        self._count(sync)
        last = "Failed" if failed else "Complete"
        rules.set_condition(sync.status, last, "True", ending.reason, ending.message, stamp)
        if failed:
            self._say(sync, ending.reason, ending.message, warning=True)
        else:
            sync.status["completionTime"] = stamp
            self._say(sync, "Completed", "Job completed")

    def _current(self, sync: Sync) -> list[Obj]:
        found = self._owners.dependents(sync.entry.uid)
        return [item.obj for item in found if item.kind is PODS]

    # --- pods

    def _manage(self, sync: Sync) -> None:
        active = sync.active()
        wanted = rules.wanted_pods(
            sync.job,
            succeeded=sync.succeeded,
            failed_indexes=sync.failed_indexes,
            active_pods=len(active),
        )
        excess = self._misplaced(sync, active)
        kept = [pod for pod in active if pod not in excess]
        if len(kept) > wanted:
            # Whoever has done least goes first.
            kept.sort(key=lambda pod: (rules.ready(pod), rules.phase(pod) == "Running"))
            excess += kept[: len(kept) - wanted]
        for pod in excess:
            self._remove(sync, pod)
            self._say(sync, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        missing = wanted - (len(active) - len(excess))
        if sync.spec.get("podReplacementPolicy") == "Failed":
            missing -= sum(1 for pod in sync.pods if rules.deleting(pod) and not rules.over(pod))
        if missing > 0:
            self._make(
                sync, missing, {index for pod in kept if (index := rules.index_of(pod)) is not None}
            )

    def _misplaced(self, sync: Sync, active: list[Obj]) -> list[Obj]:
        """Active pods of an indexed job whose index is taken, done or out of range."""
        if not sync.indexed:
            return []
        found: list[Obj] = []
        seen = sync.succeeded_indexes | sync.failed_indexes
        for pod in active:
            index = rules.index_of(pod)
            if index is None or index >= sync.spec["completions"] or index in seen:
                found.append(pod)
            else:
                seen = seen | {index}
        return found

    def _make(self, sync: Sync, count: int, taken: set[int]) -> None:
        memory, key = sync.memory, sync.entry.key
        if not sync.per_index:
            due = memory.last_failure + rules.back_off(memory.failures, self._back_off)
            if memory.failures and sync.now < due:
                self._jobs.add_at(key, due)
                return
        indexes: list[int | None] = [None] * count
        if sync.indexed:
            taken = taken | sync.succeeded_indexes | sync.failed_indexes
            free = [index for index in range(sync.spec["completions"]) if index not in taken]
            indexes = []
            for index in free:
                failures, last = memory.by_index.get(index, (0, 0.0))
                due = last + rules.back_off(failures, self._back_off)
                if failures and sync.now < due:
                    self._jobs.add_at(key, due)
                elif len(indexes) < count:
                    indexes.append(index)
        for chosen in indexes[:_MOST_AT_ONCE]:
            if not self._make_one(sync, chosen):
                return
        if len(indexes) > _MOST_AT_ONCE:
            self._jobs.add_at(key, sync.now)

    def _make_one(self, sync: Sync, index: int | None) -> bool:
        pod = pod_of(sync, index)
        try:
            made = self._registry.create(PODS, sync.entry.key[0], pod)
        except StatusError as error:
            self._say(sync, "FailedCreate", f"Error creating: {error.message}", warning=True)
            self._jobs.add_at(sync.entry.key, sync.now + _RETRY_SECONDS)
            return False
        self._say(sync, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        sync.pods.append(made)
        return True

    def _remove(self, sync: Sync, pod: Obj) -> None:
        """Deletes a pod without counting it."""
        self._let_go(pod)
        self._delete(pod)
        sync.pods = [item for item in sync.pods if item is not pod]

    def _delete(self, pod: Obj) -> None:
        metadata = pod["metadata"]
        options = DeleteOptions(propagation="Background", uid=metadata["uid"])
        with contextlib.suppress(StatusError):  # gone already
            self._registry.delete(PODS, metadata["namespace"], metadata["name"], options)

    # --- writing

    def _say(self, sync: Sync, reason: str, message: str, *, warning: bool = False) -> None:
        self._registry.record(sync.job, reason, message, warning=warning, source=_SOURCE)

    def _write(self, sync: Sync) -> None:
        status = sync.status
        pods = self._current(sync)
        counts = {
            "active": sum(1 for pod in pods if rules.active(pod)),
            "succeeded": sync.succeeded,
            "failed": status.get("failed", 0),
        }
        for name, count in counts.items():
            if count:
                status[name] = count
            else:
                status.pop(name, None)
        for name in ("completedIndexes", "failedIndexes"):
            if not status.get(name):
                status.pop(name, None)
        status["ready"] = sum(1 for pod in pods if rules.active(pod) and rules.ready(pod))
        status["terminating"] = sum(
            1 for pod in pods if rules.deleting(pod) and not rules.over(pod)
        )
        status["uncountedTerminatedPods"] = {}
        current = self._registry.store.get(JOBS, *sync.entry.key)
        if current is not None and current.uid == sync.entry.uid:
            job = current.obj
            job["status"] = status
            self._registry.store.put(JOBS, job)
