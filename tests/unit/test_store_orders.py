"""Watches and lists tell of one world, each at its own pace: the rows end as a fresh list's would.

What changes is put on the stream of whoever tells of it: a watch of jobs, of Workloads, of pods in
one phase, and answers to lists of one job's pods and Events that were asked for earlier. Streams
keep their own order, and nothing else: any of them may be ahead of any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from mcp_tui.domain.jobview import JobState, JobView
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Event, Pod
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.roots import pods_by_root, root_of, workloads_by_root
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.evidence import row_for
from mcp_tui.store.jobs import JobStore
from tests.unit.test_domain_cause import make
from tests.unit.test_store_jobs import T0, at, job_of, owners, workload_of

UID = st.sampled_from(("a", "b", "c", "d"))
OWNER = st.sampled_from(("", "", "a", "b", "c", "d", "elsewhere"))
POD = st.sampled_from(("p1", "p2", "p3"))
WATCHED = ("Failed", "Pending")
STATUS: dict[str, dict[str, Any]] = {
    "Pending": {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
                "lastTransitionTime": at(8),
            }
        ]
    },
    "Running": {
        "startTime": at(9),
        "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": at(9)}}}],
    },
    "Failed": {
        "startTime": at(9),
        "containerStatuses": [
            {"name": "c", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
        ],
    },
}


def pod_of(name: str, owner: str, phase: str, version: int) -> Pod:
    return make(
        Pod,
        {
            "metadata": {
                "name": name,
                "namespace": "ml",
                "uid": name,
                "resourceVersion": str(version),
                "creationTimestamp": at(7),
                "labels": {"batch.kubernetes.io/controller-uid": owner} if owner else {},
                "ownerReferences": owners(owner or None),
            },
            "spec": {
                "containers": [{"name": "c"}],
                "nodeName": "" if phase == "Pending" else "n",
            },
            "status": {"phase": phase, **STATUS[phase]},
        },
    )


def scheduling_event(pod: Pod) -> Event:
    return make(
        Event,
        {
            "metadata": {"name": f"{pod.metadata.name}.1", "namespace": "ml"},
            "involvedObject": {"kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid},
            "reason": "FailedScheduling",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
            "lastTimestamp": at(8),
        },
    )


class Streams(RuleBasedStateMachine):
    """One world, told by streams that overtake each other."""

    def __init__(self) -> None:
        super().__init__()
        self.store = JobStore("dev")
        self.jobs: dict[str, AnyJob] = {}
        self.pods: dict[str, Pod] = {}
        self.workloads: dict[str, Workload] = {}
        self.events: dict[str, Event] = {}
        self.streams: dict[str, deque[Callable[[], None]]] = {}
        self.version = 0
        self.now = T0 + 600

    def tell(self, stream: str, what: Callable[[], None]) -> None:
        self.streams.setdefault(stream, deque()).append(what)

    # -- the world ---------------------------------------------------------------------------

    @rule(uid=UID, owner=OWNER, kind=st.integers(0, 4))
    def job(self, uid: str, owner: str, kind: int) -> None:
        job = self.jobs[uid] = job_of(uid, owner or None, kind)
        self.tell(f"jobs {job.kind}", lambda: self.store.apply(Delta((job,))))

    @rule(uid=UID)
    def no_job(self, uid: str) -> None:
        job = self.jobs.pop(uid, None)
        if job is not None:
            self.tell(f"jobs {job.kind}", lambda: self.store.apply(Delta((), (uid,))))

    @rule(name=POD, owner=OWNER, phase=st.sampled_from(("Failed", "Pending", "Running")))
    def pod(self, name: str, owner: str, phase: str) -> None:
        old = self.pods.get(name)
        if old is not None:
            # What a pod belongs to is for ever.
            controller = old.metadata.controller
            owner = controller.uid if controller else ""
        self.version += 1
        pod = self.pods[name] = pod_of(name, owner, phase, self.version)
        if phase == "Pending":
            self.events[name] = scheduling_event(pod)
        self._pod_left(old, phase)
        if phase in WATCHED:
            self.tell(f"pods {phase}", lambda: self.store.apply_pods(phase, Delta((pod,))))

    @rule(name=POD)
    def no_pod(self, name: str) -> None:
        self._pod_left(self.pods.pop(name, None), "")
        self.events.pop(name, None)

    def _pod_left(self, old: Pod | None, phase: str) -> None:
        if old is not None and old.status.phase in WATCHED and old.status.phase != phase:
            before, uid = old.status.phase, old.metadata.uid
            self.tell(f"pods {before}", lambda: self.store.apply_pods(before, Delta((), (uid,))))

    @rule(name=st.sampled_from(("w1", "w2")), owner=UID, admitted=st.booleans())
    def workload(self, name: str, owner: str, admitted: bool) -> None:
        workload = self.workloads[name] = workload_of(name, owner, 0, admitted)
        self.tell("workloads", lambda: self.store.apply_workloads(Delta((workload,))))

    @rule(name=st.sampled_from(("w1", "w2")))
    def no_workload(self, name: str) -> None:
        if self.workloads.pop(name, None) is not None:
            self.tell("workloads", lambda: self.store.apply_workloads(Delta((), (name,))))

    # -- what is asked for ---------------------------------------------------------------------

    def held(self, uid: str) -> tuple[list[Pod], tuple[Event, ...]]:
        """The pods of a root as the server lists them now, and their Events."""
        pods = pods_by_root(root_of(self.jobs.values()), self.pods.values()).get(uid, [])
        names = sorted(pod.metadata.name for pod in pods)
        return pods, tuple(self.events[name] for name in names if name in self.events)

    @rule(uid=UID)
    def ask(self, uid: str) -> None:
        """A list whose answer is of now, and comes when it comes."""
        pods, events = self.held(uid)
        self.tell(f"lists {uid}", lambda: self.store.set_pods(uid, pods))
        self.tell(f"lists {uid}", lambda: self.store.set_events(uid, events))

    # -- what arrives --------------------------------------------------------------------------

    @rule(choice=st.integers(0, 20), count=st.integers(1, 4))
    def deliver(self, choice: int, count: int) -> None:
        waiting = [name for name in sorted(self.streams) if self.streams[name]]
        if waiting:
            stream = self.streams[waiting[choice % len(waiting)]]
            for _ in range(min(count, len(stream))):
                stream.popleft()()

    @rule(most=st.sampled_from((None, 1)))
    def flush(self, most: int | None) -> None:
        self.store.flush(self.now, most)
        assert self.store.defect == ""
        for view in self.store.table.values():
            # Its own status says that all of its pods are ready: no older word counts.
            if view.key.kind == "Job" and 0 < view.active <= view.ready:
                assert view.state is not JobState.RUNNING or "Unschedulable" not in view.why, view

    def drain(self) -> None:
        for name in sorted(self.streams):
            while self.streams[name]:
                self.streams[name].popleft()()

    # -- what must hold ------------------------------------------------------------------------

    def fresh(self) -> dict[str, JobView]:
        groups = root_of(self.jobs.values())
        workloads = workloads_by_root(groups, self.workloads.values())
        rows = {}
        for group in groups:
            uid = group.root.metadata.uid
            workload = workloads.get(uid)
            pods, events = self.held(uid)
            rows[uid] = row_for(
                group.root,
                context="dev",
                now=self.now,
                pods=sorted(
                    pods, key=lambda p: (p.metadata.creation_timestamp or "", p.metadata.name)
                ),
                children=group.children,
                workload=workload,
                queue_position=self.store.queues.place(workload) if workload else None,
                run=None,
                events=events,
                kept=self.store._causes.get(uid),
            )
        return rows

    def teardown(self) -> None:
        self.drain()
        # Watches alone leave no ghost of a pod that is gone from their phases and no list held.
        # Roots last, as only they are asked for: a list of what is below one says nothing of it.
        roots = {group.root.metadata.uid for group in root_of(self.jobs.values())}
        for uid in sorted(self.jobs, key=lambda uid: (uid in roots, uid)):
            pods, events = self.held(uid)
            self.store.set_pods(uid, pods)
            self.store.set_events(uid, events)
        self.store.tick(self.now)
        self.store.flush(self.now)
        assert self.store.defect == ""
        rows, fresh = dict(self.store.table.rows()), self.fresh()
        assert rows.keys() == fresh.keys()
        for uid, row in rows.items():
            assert msgspec.structs.asdict(row) == msgspec.structs.asdict(fresh[uid])
        self._nothing_is_left()

    def _nothing_is_left(self) -> None:
        for uid in sorted(self.jobs):
            self.no_job(uid)
        for name in sorted(self.pods):
            self.no_pod(name)
        for name in sorted(self.workloads):
            self.no_workload(name)
        self.drain()
        self.store.flush(self.now)
        assert not len(self.store.table)
        held = {
            name: value
            for name, value in vars(self.store).items()
            if name.startswith("_") and isinstance(value, dict | set) and value
        }
        assert not held, "something is kept of what is gone"
        assert not self.store._pods._copies
        assert not self.store._pods._claiming
        assert not self.store._pods._lists


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
