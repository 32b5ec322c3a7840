"""What is asked for, and how often; aggregated APIs that hang or stop keep no cause waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mcp_tui.domain.jobview import JobState, Used
from mcp_tui.domain.kube import Job, JobSpec
from mcp_tui.domain.kube_custom import PendingWorkloads, PyTorchJob, Workload
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.sources.kubernetes.resources import POD_METRICS, VISIBILITY
from mcp_tui.store import looking
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.turn import Turn
from tests.faults.virtual import VirtualLoop
from tests.unit.test_domain_cause import make

KUEUE = (VISIBILITY, "v1beta1", "localqueues/pendingworkloads")
WAITING = ("w0", "w1", "w2")


class Kube:
    """An API server behind which other servers hang or answer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hangs = False
        self.fails = False
        self.takes = 0.0
        self.pods: list[dict[str, Any]] = []
        self.answered = 0

    async def get(self, path: str, type_: type, *, params: Any = (), deadline: float = 10.0) -> Any:
        self.calls.append(path)
        await asyncio.sleep(self.takes)
        self.answered += 1
        if self.hangs and ("metrics" in path or VISIBILITY in path):
            await asyncio.sleep(deadline)
            raise UnreachableError(f"no answer within {deadline:g} s")
        if self.fails:
            raise UnreachableError("no")
        if type_ is PendingWorkloads:
            items = [
                {"metadata": {"name": name}, "positionInClusterQueue": 10 + n}
                for n, name in enumerate(WAITING)
            ]
            return make(PendingWorkloads, {"items": items})
        items = [{"containers": [{"usage": {"cpu": "250m"}}]}] if "metrics" in path else []
        items = self.pods if path.endswith("/pods") and "metrics" not in path else items
        return make(type_, {"items": items})


class Bench:
    """Rows on screen, and a clock that is the loop's."""

    def __init__(self, loop: VirtualLoop, running: int) -> None:
        self.loop = loop
        self.kube = Kube()
        self.store = JobStore("dev")
        self.said: dict[str, str] = {}
        jobs = [job(f"j{n}", {"active": 1, "ready": 1}) for n in range(running)]
        jobs += [job(name, {}) for name in WAITING]
        self.store.apply(Delta(tuple(jobs)))
        self.store.apply_workloads(
            Delta(tuple(workload(n, name) for n, name in enumerate(WAITING)))
        )
        self.store.flush(1.8e9)
        silence = self.silences = list[float]()
        self.looking = looking.Looking(
            self.kube,  # type: ignore[arg-type]  # stands in for the client
            self.store,
            self.said,
            lambda: None,
            lambda: silence.append(loop.time()),
            Turn(),
        )
        self.looking.visible = tuple(each.metadata.uid for each in jobs)
        self.looking.served = frozenset({POD_METRICS, KUEUE})

    def aside(self) -> float:
        """One look at what is due; how long it took."""
        self.loop.now += looking.ASIDE_EVERY
        began = self.loop.time()
        self.loop.run_until_complete(self.looking.look_aside())
        return self.loop.time() - began

    def asked(self, word: str) -> int:
        """How often something was asked for since the last time."""
        found = sum(word in path for path in self.kube.calls)
        self.kube.calls.clear()
        return found

    def used(self) -> list[Used | None]:
        self.store.flush(1.8e9)
        return [view.used for view in self.store.table.values() if view.ready]

    def places(self) -> list[int | None]:
        found = [self.store.workload(name) for name in WAITING]
        return [self.store.queues.place(each) for each in found if each is not None]


def job(name: str, status: dict[str, Any]) -> Job:
    born = "2026-11-23T03:00:00Z"
    meta = {"name": name, "namespace": "ml", "uid": name, "creationTimestamp": born}
    return make(Job, {"metadata": meta, "spec": {"parallelism": 1}, "status": status})


def workload(number: int, name: str) -> Workload:
    owner = {"kind": "Job", "name": name, "uid": name, "controller": True}
    born = f"2026-11-23T03:00:0{number}Z"
    meta = {"name": name, "namespace": "ml", "uid": f"wl-{name}", "creationTimestamp": born}
    spec = {"queueName": "q", "active": True}
    return make(Workload, {"metadata": {**meta, "ownerReferences": [owner]}, "spec": spec})


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    monkeypatch.setattr(time, "monotonic", loop.time)
    asyncio.set_event_loop(loop)
    try:
        yield loop
        loop.leave()
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_metrics_api_that_hangs_costs_one_call_of_each_batch(loop: VirtualLoop) -> None:
    bench = Bench(loop, running=50)
    bench.aside()
    assert bench.used() == [Used(cpu=0.25, memory=None)] * 50
    assert bench.asked("metrics") == 50
    bench.kube.hangs = True
    assert bench.aside() == pytest.approx(3.0)
    assert bench.asked("metrics") == looking.AT_ONCE
    assert bench.used() == [None] * 50, "what is not known any more is not shown"
    assert "metrics API" in bench.said["used"]
    assert not bench.silences, "the API server itself does answer"
    for _ in range(3):
        assert bench.aside() == 0.0
    assert bench.asked("metrics") == 0
    bench.kube.hangs = False
    bench.aside()
    assert bench.used() == [Used(cpu=0.25, memory=None)] * 50
    assert not bench.said


def test_pods_and_events_do_not_wait_for_it(loop: VirtualLoop) -> None:
    bench = Bench(loop, running=50)
    bench.kube.hangs = True
    began = loop.time()
    loop.run_until_complete(bench.looking.look())
    assert loop.time() == began
    assert bench.kube.calls and bench.asked("metrics") == 0


def test_words_of_one_that_hung_end_with_what_was_asked_for(loop: VirtualLoop) -> None:
    bench = Bench(loop, running=1)
    bench.kube.hangs = True
    bench.aside()
    assert bench.said.keys() == {"used", "places"}
    bench.looking.visible = ()
    for _ in range(5):
        bench.aside()
    assert not bench.said


def test_who_asks_while_a_look_is_under_way_has_what_that_brings(loop: VirtualLoop) -> None:
    bench = Bench(loop, running=2)
    bench.kube.takes = 1.0

    async def twice() -> None:
        other = asyncio.create_task(bench.looking.look())
        await asyncio.sleep(0.5)
        await bench.looking.look()
        assert bench.kube.answered == len(bench.kube.calls) > 0
        await other

    loop.run_until_complete(twice())


@pytest.mark.parametrize("how", ["hangs", "fails", "not served", "off screen"])
def test_places_that_nobody_tells_any_more_are_worked_out(loop: VirtualLoop, how: str) -> None:
    bench = Bench(loop, running=0)
    bench.aside()
    assert bench.places() == [11, 12, 13]
    if how == "not served":
        bench.looking.served = frozenset()
    elif how == "off screen":
        bench.looking.visible = ()
        for _ in range(3):
            bench.aside()
        assert bench.places() == [11, 12, 13]
    else:
        setattr(bench.kube, how, True)
    version = bench.store.queues.version
    bench.aside()
    assert bench.places() == [1, 2, 3]
    assert bench.store.queues.version > version, "rows are told of it"
    bench.kube.hangs = bench.kube.fails = False
    bench.looking.served, bench.looking.visible = frozenset({KUEUE}), WAITING
    for _ in range(5):
        bench.aside()
    assert bench.places() == [11, 12, 13]


def torch(name: str) -> PyTorchJob:
    born = "2026-11-23T03:00:00Z"
    meta = {"name": name, "namespace": "ml", "uid": name, "creationTimestamp": born}
    status = {"startTime": born, "replicaStatuses": {"Master": {"active": 1}}}
    spec = {"pytorchReplicaSpecs": {"Master": {"replicas": 1}}}
    return make(PyTorchJob, {"metadata": meta, "spec": spec, "status": status})


def crashing(name: str) -> dict[str, Any]:
    labels = {"training.kubeflow.org/job-name": name}
    owner = {"kind": "PyTorchJob", "name": name, "uid": name, "controller": True}
    inside = {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    return {
        "metadata": {"name": f"{name}-0", "uid": "p", "labels": labels, "ownerReferences": [owner]},
        "status": {"phase": "Running", "containerStatuses": [inside]},
    }


def looks(bench: Bench, seconds: int) -> list[str]:
    """What is asked for in so long, by looks as often as a console's."""
    bench.kube.calls.clear()
    for _ in range(seconds // 5):
        bench.loop.run_until_complete(bench.looking.look())
        bench.store.flush(1.8e9)
        bench.loop.now += 5
    return bench.kube.calls


def test_jobs_that_run_with_all_their_pods_are_not_asked_for(loop: VirtualLoop) -> None:
    bench = Bench(loop, running=50)
    bench.looking.visible = tuple(f"j{n}" for n in range(50))
    assert looks(bench, 3_600) == []
    short = {"active": 2, "ready": 2, "startTime": "2026-11-23T03:00:00Z"}
    gang = msgspec.structs.replace(job("j0", short), spec=JobSpec(parallelism=4, completions=4))
    bench.store.apply(Delta((gang,)))
    bench.store.flush(1.8e9)
    assert {path.rpartition("/")[2] for path in looks(bench, 10)} == {"pods", "events"}


def test_pods_that_a_kinds_status_does_not_tell_of_are_listed_seldom(loop: VirtualLoop) -> None:
    """That a container crashes shows nowhere but in the pod: its operator has it as running."""
    bench = Bench(loop, running=0)
    names = tuple(f"t{n}" for n in range(20))
    bench.store.apply(Delta(tuple(map(torch, names))))
    bench.store.flush(1.8e9)
    bench.looking.visible = names
    first = looks(bench, 600)
    assert 0 < len(first) <= 8, "ever less often, and all of a namespace at once"
    again = looks(bench, 3_600)
    assert 0 < len(again) <= 3_600 / looking.PODS_SELDOM + 1
    assert all(path.endswith("/pods") for path in [*first, *again]), "they lack no cause"
    bench.kube.pods = [crashing("t7")]
    looks(bench, 600)
    rows = bench.store.table.rows()
    assert [name for name in names if rows[name].state is JobState.STALLED] == ["t7"]
    assert (rows["t7"].ready, rows["t7"].active) == (0, 1)
