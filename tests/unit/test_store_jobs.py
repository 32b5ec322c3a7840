"""The job store: any order of what the sources say gives the rows of a fresh build."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcp_tui.domain import job as job_module
from mcp_tui.domain.job import JobState, JobView, RunFacts, run_id_of
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Job, Pod, epoch
from mcp_tui.domain.kube_custom import JobSet, RayJob, TrainJob, Workload
from mcp_tui.domain.roots import pods_by_root, root_of, workloads_by_root
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store import jobs as jobs_module
from mcp_tui.store.evidence import row_for
from mcp_tui.store.jobs import JobStore
from tests.unit.test_domain_cause import make

T0 = epoch("2026-11-23T03:00:00Z") or 0.0
UIDS = ("a", "b", "c", "d", "e")
KINDS: dict[str, type[AnyJob]] = {"a": TrainJob, "b": JobSet, "c": Job, "d": Job, "e": RayJob}
TERMINATED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
HELD = {"waiting": {"reason": "CrashLoopBackOff"}}


def at(seconds: int) -> str:
    return f"2026-11-23T03:{seconds // 60:02d}:{seconds % 60:02d}Z"


def owners(owner: str | None, bystander: str | None = None) -> list[dict[str, Any]]:
    found = []
    if bystander:  # an owner that is no controller: it does not count
        found.append({"kind": "X", "name": bystander, "uid": bystander, "controller": False})
    if owner:
        found.append({"kind": "X", "name": owner, "uid": owner, "controller": True})
    return found


def job_of(
    uid: str, owner: str | None = None, kind: int = 0, run: str = "", bystander: str | None = None
) -> AnyJob:
    statuses: list[dict[str, Any]] = [
        {},
        {"active": 2, "ready": 2, "startTime": at(5)},
        {"active": 2, "ready": 1, "startTime": at(5)},
        {"active": 1, "startTime": at(5)},
        {
            "failed": 1,
            "startTime": at(5),
            "conditions": [
                {
                    "type": "Failed",
                    "status": "True",
                    "reason": "BackoffLimitExceeded",
                    "lastTransitionTime": at(90),
                }
            ],
        },
    ]
    status = dict(statuses[kind % len(statuses)])
    if KINDS[uid] is not Job:
        status = {"conditions": status.get("conditions", [])}
    if uid == "e":
        status = {"rayClusterName": f"ray{kind % 2}", "jobStatus": ("", "RUNNING")[kind % 2]}
    return make(
        KINDS[uid],
        {
            "metadata": {
                "name": f"job-{uid}",
                "namespace": "ml",
                "uid": uid,
                "resourceVersion": str(kind),
                "creationTimestamp": at(0),
                "labels": {"mcp-tui.io/run-id": run} if run else {},
                "ownerReferences": owners(owner, bystander),
            },
            "spec": {},
            "status": status,
        },
    )


def pod_of(name: str, owner: str | None, phase: str, labels: dict[str, str] | None = None) -> Pod:
    state = {"Failed": TERMINATED, "Running": HELD}.get(phase, {"waiting": {"reason": "Hm"}})
    return make(
        Pod,
        {
            "metadata": {
                "name": name,
                "namespace": "ml",
                "uid": name,
                "creationTimestamp": at(7),
                "labels": labels or {},
                "ownerReferences": owners(owner),
            },
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]},
        },
    )


def workload_of(name: str, owner: str, priority: int = 0, admitted: bool = False) -> Workload:
    return make(
        Workload,
        {
            "metadata": {
                "name": name,
                "namespace": "ml",
                "uid": name,
                "creationTimestamp": at(int(name[-1])),
                "ownerReferences": owners(owner),
            },
            "spec": {"queueName": "q", "priority": priority},
            "status": {
                "conditions": [
                    {
                        "type": "QuotaReserved",
                        "status": "True" if admitted else "False",
                        "reason": "Pending",
                        "lastTransitionTime": at(3),
                    }
                ]
            },
        },
    )


class World:
    """What there is, told to a store change by change."""

    def __init__(self) -> None:
        self.store = JobStore("dev")
        self.jobs: dict[str, AnyJob] = {}
        self.pods: dict[str, Pod] = {}
        self.workloads: dict[str, Workload] = {}
        self.runs: dict[str, RunFacts] = {}
        self.now = T0 + 600

    def fresh(self) -> dict[str, JobView]:
        groups = root_of(self.jobs.values())
        pods = pods_by_root(groups, self.pods.values())
        workloads = workloads_by_root(groups, self.workloads.values())
        rows = {}
        for group in groups:
            uid = group.root.metadata.uid
            workload = workloads.get(uid)
            found = sorted(
                pods.get(uid, ()),
                key=lambda p: (p.metadata.creation_timestamp or "", p.metadata.name),
            )
            rows[uid] = row_for(
                group.root,
                context="dev",
                now=self.now,
                pods=found,
                children=group.children,
                workload=workload,
                queue_position=self.store.queues.place(workload) if workload else None,
                run=self.runs.get(run_id_of(group.root)),
                events=(),
                # What was seen and is gone is the one thing that a fresh build cannot know.
                kept=self.store._causes.get(uid),
            )
        return rows

    def agree(self) -> None:
        self.now += 100
        self.store.tick(self.now)
        self.store.flush(self.now)
        assert dict(self.store.table.rows()) == self.fresh()

    # one change each

    def job(self, uid: str, owner: str, kind: int, run: str, bystander: str) -> None:
        self.jobs[uid] = job_of(uid, owner or None, kind, run, bystander or None)
        self.store.apply(Delta((self.jobs[uid],)))

    def drop_job(self, uid: str) -> None:
        if self.jobs.pop(uid, None) is not None:
            self.store.apply(Delta((), (uid,)))

    def pod(self, name: str, owner: str, phase: str, label: str) -> None:
        """As watches of two phases tell it."""
        old = self.pods.pop(name, None)
        labels = {"batch.kubernetes.io/controller-uid": label} if label in UIDS else {}
        if label.startswith("ray"):
            labels = {"ray.io/cluster": label}
        self.pods[name] = pod_of(name, owner or None, phase, labels)
        if old is not None and old.status.phase != phase:
            self.store.apply_pods(old.status.phase, Delta((), (name,)))
        self.store.apply_pods(phase, Delta((self.pods[name],)))

    def drop_pod(self, name: str) -> None:
        old = self.pods.pop(name, None)
        if old is not None:
            self.store.apply_pods(old.status.phase, Delta((), (name,)))

    def workload(self, name: str, owner: str, priority: int, admitted: bool) -> None:
        self.workloads[name] = workload_of(name, owner, priority, admitted)
        self.store.apply_workloads(Delta((self.workloads[name],)))

    def drop_workload(self, name: str) -> None:
        if self.workloads.pop(name, None) is not None:
            self.store.apply_workloads(Delta((), (name,)))

    def run(self, name: str, step: int, ago: int) -> None:
        facts = RunFacts(run_id=name, status="RUNNING", step=step, updated=self.now - ago)
        self.store.set_runs({name: facts})
        if any(run_id_of(job) == name for job in self.jobs.values()):
            self.runs[name] = facts

    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.store.tick(self.now)

    def flush(self, most: int | None) -> None:
        self.store.flush(self.now, most)


UID = st.sampled_from(UIDS)
OWNER = st.sampled_from(("", "", *UIDS, "unknown"))
POD = st.sampled_from(("p1", "p2", "p3"))
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("job"), UID, OWNER, st.integers(0, 4), st.sampled_from(("", "r1", "r2")), OWNER
        ),
        st.tuples(st.just("drop_job"), UID),
        st.tuples(
            st.just("pod"),
            POD,
            OWNER,
            st.sampled_from(("Failed", "Pending", "Running")),
            st.sampled_from(("", "ray0", "ray1", *UIDS)),
        ),
        st.tuples(st.just("drop_pod"), POD),
        st.tuples(
            st.just("workload"),
            st.sampled_from(("w1", "w2", "w3")),
            UID,
            st.integers(0, 2),
            st.booleans(),
        ),
        st.tuples(st.just("drop_workload"), st.sampled_from(("w1", "w2", "w3"))),
        st.tuples(
            st.just("run"), st.sampled_from(("r1", "r2")), st.integers(0, 5), st.integers(0, 900)
        ),
        st.tuples(st.just("wait"), st.integers(1, 50_000)),
        st.tuples(st.just("flush"), st.sampled_from((None, 1, 2))),
    ),
    max_size=25,
)


@example([("job", "a", "", 0, "r1", ""), ("run", "r1", 0, 0), ("job", "a", "a", 4, "r1", "")])
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_order_gives_the_rows_of_a_fresh_build(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for name, *arguments in steps:
        getattr(world, name)(*arguments)
        if name in ("job", "drop_job"):  # facts of runs that no job carries are not kept
            carried = {run_id_of(job) for job in world.jobs.values()}
            world.runs = {run: facts for run, facts in world.runs.items() if run in carried}
    world.agree()
    for uid in list(world.jobs):
        world.drop_job(uid)
    for pod in list(world.pods):
        world.drop_pod(pod)
    for workload in list(world.workloads):
        world.drop_workload(workload)
    world.runs.clear()
    world.agree()
    store = world.store
    assert not len(store.table)
    leftovers = {
        name: value
        for name, value in vars(store).items()
        if name.startswith("_") and isinstance(value, dict | set) and value
    }
    assert not leftovers, "something is kept of what is gone"
    assert not store._pods._copies
    assert not store._pods._claiming


def test_a_child_that_comes_first_leaves_no_row_behind() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", "b"),)))
    store.flush(T0)
    assert set(store.table) == {"c"}
    store.apply(Delta((job_of("a"), job_of("b", "a"))))
    change = store.flush(T0)
    assert change.removed == frozenset({"c"})
    assert set(store.table) == {"a"}
    assert [child.metadata.uid for child in store.children("a")] == ["b", "c"]
    store.apply(Delta((), ("b",)))
    store.flush(T0)
    assert set(store.table) == {"a", "c"}


def test_an_owner_that_is_no_controller_does_not_count() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("a"), job_of("c", None, bystander="a"))))
    store.flush(T0)
    assert set(store.table) == {"a", "c"}


def test_owners_in_a_circle_are_rows_of_their_own() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("b", "c"), job_of("c", "b"), job_of("d", "c"))))
    store.flush(T0)
    assert set(store.table) == {"b", "c", "d"}


def test_a_later_job_of_the_same_name_gets_nothing_of_the_one_before() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=4),)))
    store.apply_pods("Failed", Delta((pod_of("p1", "c", "Failed"),)))
    store.flush(T0)
    row = store.table.get("c")
    assert row is not None
    assert row.cause is not None
    assert row.cause.evidence
    # The old one is deleted, its pod is still ending, and a job of that name is made anew.
    store.apply(Delta((job_of("d", kind=4),), ("c",)))
    store.set_pods("d", (pod_of("p1", "c", "Failed", {"batch.kubernetes.io/job-name": "job-c"}),))
    store.flush(T0)
    row = store.table.get("d")
    assert row is not None
    assert row.cause is not None
    assert not row.cause.evidence
    assert set(store.table) == {"d"}


def test_a_cause_is_kept_when_the_pods_are_gone() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=4),)))
    store.apply_pods("Failed", Delta((pod_of("p1", "c", "Failed"),)))
    store.flush(T0)
    before = store.table.get("c")
    store.apply_pods("Failed", Delta((), ("p1",)))
    store.flush(T0)
    row = store.table.get("c")
    assert row is not None
    assert before is not None
    assert row.why == before.why
    assert "OOMKilled p1" in row.why
    assert store.pods("c") == ()


def test_what_a_watch_lets_go_is_not_believed_from_an_older_list() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=3),)))
    pending = pod_of("p1", "c", "Pending")
    store.apply_pods("Pending", Delta((pending,)))
    store.set_pods("c", (pending,))
    store.apply_pods("Pending", Delta((), ("p1",)))
    assert store.pods("c") == ()
    # A list that says more than the watch's phase stays.
    store.apply_pods("Pending", Delta((pending,)))
    store.set_pods("c", (pod_of("p1", "c", "Running"),))
    store.apply_pods("Pending", Delta((), ("p1",)))
    assert [pod.status.phase for pod in store.pods("c")] == ["Running"]


def test_whoever_spoke_last_of_a_pod_is_believed() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=3),)))
    first, second, third = (pod_of("p1", "c", "Pending", {"word": word}) for word in "123")

    def word() -> str:
        return store.pods("c")[0].metadata.labels["word"]

    store.apply_pods("Pending", Delta((first,)))
    store.set_pods("c", (second,))
    assert word() == "2"
    store.apply_pods("Pending", Delta((third,)))
    assert word() == "3"
    store.set_pods("c", (second,))
    assert word() == "2"


def test_a_listed_pod_that_its_watch_lets_go_is_on_no_list_any_more() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("a"),)))
    pending = pod_of("p1", "hidden", "Pending")
    store.set_pods("a", (pending,))
    store.apply_pods("Pending", Delta((pending,)))
    assert [pod.metadata.name for pod in store.pods("a")] == ["p1"]
    store.apply_pods("Pending", Delta((), ("p1",)))
    assert store.pods("a") == ()


def test_pods_of_a_train_job_are_found_where_nothing_between_may_be_read() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("a"),)))
    store.set_pods("a", (pod_of("p1", "hidden", "Running"),))
    assert [pod.metadata.name for pod in store.pods("a")] == ["p1"]


def test_a_pod_moves_when_what_it_claims_first_appears() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("d", kind=3),)))
    labels = {"batch.kubernetes.io/controller-uid": "d"}
    store.apply_pods("Failed", Delta((pod_of("p1", "c", "Failed", labels),)))
    store.flush(T0)
    row = store.table.rows()["d"]
    assert row.cause is not None
    store.apply(Delta((job_of("c", kind=3),)))
    store.flush(T0)
    assert [store.table.rows()[uid].cause is not None for uid in "cd"] == [True, False]
    store.apply(Delta((), ("c",)))
    store.flush(T0)
    assert store.table.rows()["d"].cause is not None


def test_a_job_that_is_released_takes_its_pods_with_it() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("b"), job_of("c", "b", kind=3))))
    store.apply_pods("Failed", Delta((pod_of("p1", "c", "Failed"),)))
    store.flush(T0)
    assert store.table.rows()["b"].cause is not None
    store.apply(Delta((job_of("c", kind=3),)))
    store.flush(T0)
    assert store.table.rows()["b"].cause is None
    assert store.table.rows()["c"].cause is not None


def test_what_was_fetched_for_rows_long_gone_from_the_screen_is_forgotten(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(jobs_module, "_LOOKED_AT", 1)
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=3), job_of("d", kind=3))))
    store.set_pods("c", (pod_of("p1", "c", "Running"),))
    store.set_pods("d", (pod_of("p2", "d", "Running"),))
    assert (len(store.pods("c")), len(store.pods("d"))) == (0, 1)
    store.set_pods("gone", (pod_of("p3", "gone", "Running"),))
    assert len(store._pods) == 1


def made_by(store: JobStore, now: float, monkeypatch: Any) -> int:
    """How many rows a flush makes anew."""
    calls = []

    def counted(*args: Any, **more: Any) -> JobView:
        calls.append(args)
        return row_for(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "row_for", counted)
        store.flush(now)
    return len(calls)


def test_only_what_was_told_of_is_made_anew(monkeypatch: Any) -> None:
    store = JobStore("dev")
    jobs = []
    for number in range(1_000):
        job = job_of("c", kind=1)
        meta = {"name": f"j{number}", "namespace": "ml", "uid": str(number)}
        meta["creationTimestamp"] = at(0)
        jobs.append(make(Job, {"metadata": meta, "status": {"active": 1, "ready": 1}}))
    assert job
    store.apply(Delta(tuple(jobs)))
    assert made_by(store, T0, monkeypatch) == 1_000
    assert made_by(store, T0, monkeypatch) == 0
    store.apply(Delta(tuple(jobs[:10])))
    assert made_by(store, T0, monkeypatch) == 10
    for second in range(100):  # running jobs that nobody says anything of cost nothing
        store.tick(T0 + second)
        assert not store.dirty
    assert store.table.version == 1


def test_a_flush_of_many_rows_can_be_taken_in_parts() -> None:
    store = JobStore("dev")
    metas = ({"name": f"j{n}", "namespace": "ml", "uid": str(n)} for n in range(1_000))
    store.apply(Delta(tuple(make(Job, {"metadata": meta}) for meta in metas)))
    sizes = []
    while store.dirty:
        sizes.append(len(store.flush(T0, 300).added))
    assert sizes == [300, 300, 300, 100]


def test_a_wait_grows_long_and_a_failure_old_without_a_word(monkeypatch: Any) -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c"), job_of("d", kind=4))))
    store.flush(T0 + 100)
    assert [store.table.rows()[uid].urgency[0] for uid in "cd"] == [3, 0]
    store.tick(T0 + job_module.LONG_WAIT + 1)
    assert made_by(store, T0 + job_module.LONG_WAIT + 1, monkeypatch) == 1
    later = T0 + 90 + job_module.NEW_FAILURE + 1
    store.tick(later)
    store.flush(later)
    assert [store.table.rows()[uid].urgency[0] for uid in "cd"] == [2, 6]


def test_a_place_in_the_queue_moves_up_without_the_row_made_anew(monkeypatch: Any) -> None:
    store = JobStore("dev")
    held = [workload_of("w1", "c"), workload_of("w2", "d")]
    store.apply(Delta((job_of("c"), job_of("d"))))
    store.apply_workloads(Delta(tuple(held)))
    store.flush(T0)
    assert [store.table.rows()[uid].queue_position for uid in "cd"] == [1, 2]
    store.apply_workloads(Delta((workload_of("w1", "c", admitted=True),)))
    assert made_by(store, T0, monkeypatch) == 1
    store.tick(T0 + 1)
    assert made_by(store, T0 + 1, monkeypatch) == 0
    assert store.table.rows()["d"].queue_position == 1


def test_the_queue_goes_by_priority_and_then_by_age() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("b"), job_of("c"), job_of("d"))))
    early, late = workload_of("w1", "b"), workload_of("w2", "c")
    store.apply_workloads(Delta((late, early, workload_of("w3", "d", priority=2))))
    store.flush(T0)
    assert [store.table.rows()[uid].queue_position for uid in "dbc"] == [1, 2, 3]


def test_a_run_becomes_silent_without_a_word() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=1, run="r"),)))
    store.set_runs({"r": RunFacts(run_id="r", step=3, updated=T0 + 8)})
    store.flush(T0 + 10)
    assert store.table.rows()["c"].state is JobState.RUNNING
    store.tick(T0 + 607)
    assert not store.dirty
    store.tick(T0 + 609)
    store.flush(T0 + 609)
    assert store.table.rows()["c"].state is JobState.STALLED


def test_a_run_is_not_linked_past_the_label() -> None:
    store = JobStore("dev")
    store.apply(Delta((job_of("c", kind=1, run="r1"),)))
    store.set_runs({"r1": RunFacts(run_id="r1", step=3), "r2": RunFacts(run_id="r2")})
    assert store.run("r2") is None
    store.apply(Delta((job_of("c", kind=2, run="r2"),)))
    store.flush(T0)
    assert store.table.rows()["c"].run_id == "r2"
    assert store.run("r1") is None
