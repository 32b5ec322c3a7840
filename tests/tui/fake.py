"""A backend in memory with a frozen clock: what the shell's tests stand on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mcp_tui.domain.plan import (
    Check,
    CheckStatus,
    Confirmation,
    Outcome,
    OutcomeStatus,
    Plan,
    Target,
    Tier,
    Verb,
    Write,
)
from mcp_tui.errors import MovedError, UnreachableError, UsageError
from mcp_tui.tui.cells import tailored
from mcp_tui.tui.columns import JOB_COLUMNS
from mcp_tui.tui.model import (
    Cell,
    Column,
    ConsoleState,
    FormField,
    Line,
    LogLine,
    LogOptions,
    PaneModel,
    Phase,
    PodLine,
    RowView,
    SourceState,
)
from tests.tui.fake_curves import FakeEvidence
from tests.tui.fake_models import FakeModels
from tests.tui.fake_runs import FakeRunActions, FakeRunDetails, FakeRunsModel

NOW = 1_795_402_920.0
"""2026-11-23T03:02:00Z."""

RANKS = {"failed": 0, "stalled": 1, "waiting": 2, "suspended": 3, "running": 4, "done": 5}


@dataclass(frozen=True)
class FakeJob:
    """One row's worth."""

    name: str
    state: str
    done: str = ""
    since: str = ""
    why: str = ""
    namespace: str = "ml"
    labels: Mapping[str, str] = field(default_factory=dict)
    stale: bool = False
    key: str = ""

    @property
    def id(self) -> str:
        return self.key or f"uid-{self.namespace}-{self.name}"


JOBS = (
    FakeJob(
        "ranker-train-0412",
        "failed",
        "62%",
        "14m",
        "OOMKilled node-1 (exit 137, limit 64Gi) x3, then BackoffLimitExceeded",
        labels={"team": "ads"},
    ),
    FakeJob("ctr-hourly-2310", "stalled", "47%", "12m", "no progress; loss 0.660 flat"),
    FakeJob("embed-v3-nightly", "waiting", "3rd/9", "2h", "quota gpu-a100: needs 8, 2 left"),
    FakeJob("sweep-lr-17", "suspended", "20%", "3h", "suspended by bo"),
    FakeJob("ctr-hourly-2311", "running", "81%", "31m", "loss 0.412 falling; 9 min left"),
    FakeJob("ranker-train-0411", "done", "", "1h", "f1 0.931  run 7be2", labels={"team": "ads"}),
)


def many(count: int) -> tuple[FakeJob, ...]:
    """A long list."""
    states = tuple(RANKS)
    return tuple(
        FakeJob(f"job-{n:06d}", states[n % 6], f"{n % 100}%", f"{n % 60}m", f"step {n:,}")
        for n in range(count)
    )


def _widest(jobs: Sequence[FakeJob]) -> dict[str, int]:
    """What a model knows of its rows' widths."""
    widest = dict.fromkeys((c.id for c in JOB_COLUMNS), 0) | {"state": 11, "since": 5, "done": 5}
    for name in ("name", "namespace", "why"):
        widest[name] = max((len(getattr(job, name)) for job in jobs), default=0)
    return widest


class FakeModel:
    """A list of jobs, filtered and sorted as the console's own."""

    def __init__(self, jobs: Sequence[FakeJob] = JOBS) -> None:
        several = len({job.namespace for job in jobs}) > 1
        hidden = {"context"} if several else {"context", "namespace"}
        columns = [c for c in JOB_COLUMNS if c.id not in hidden]
        self.columns: tuple[Column, ...] = tailored(columns, _widest(jobs))
        self.version = 0
        self.phase: Phase = "ready"
        self.note: tuple[str, ...] = ("no jobs in ml; s submits one, 0 shows all namespaces",)
        self.sort: tuple[str, bool] = ("", False)
        self.own_order = "by urgency"
        self.filter = ""
        self.faults = False
        self.asked_rows = 0
        self.jobs: dict[str, FakeJob] = {}
        self._shown: list[FakeJob] = []
        self._at: dict[str, int] = {}
        self.put(jobs)

    def put(self, jobs: Sequence[FakeJob]) -> None:
        self.jobs = {job.id: job for job in jobs}
        self._select()

    def change(self, name: str, **fields: object) -> None:
        job = next(job for job in self.jobs.values() if job.name == name)
        self.jobs[job.id] = replace(job, key=job.id, **fields)  # type: ignore[arg-type]  # by name
        self._select()

    def remove(self, name: str) -> None:
        self.jobs = {k: j for k, j in self.jobs.items() if j.name != name}
        self._select()

    def _passes(self, job: FakeJob) -> bool:
        if self.faults and job.state not in {"failed", "stalled"}:
            return False
        for term in self.filter.split():
            negative, term = term.startswith("!"), term.removeprefix("!")
            if "=" in term:
                label, _, value = term.partition("=")
                hit = job.labels.get(label) == value
            elif len(term) > 2 and term[0] == term[-1] == "/":
                hit = re.search(term[1:-1], job.name) is not None
            else:
                hit = term.lower() in f"{job.name} {job.state} {job.why}".lower()
            if hit == negative:
                return False
        return True

    def _select(self) -> None:
        shown = [job for job in self.jobs.values() if self._passes(job)]
        column, reverse = self.sort
        if column:
            shown.sort(key=lambda j: str(getattr(j, column, "")), reverse=reverse)
        else:
            shown.sort(key=lambda j: RANKS.get(j.state, 9))
        self._shown = shown
        self._at = {job.id: n for n, job in enumerate(shown)}
        self.version += 1

    @property
    def count(self) -> int:
        return len(self._shown)

    @property
    def total(self) -> int:
        return len(self.jobs)

    @property
    def summary(self) -> str:
        states = [job.state for job in self.jobs.values()]
        parts = [f"{len(states):,} jobs"]
        parts += [
            f"{states.count(word)} {word}"
            for word in ("failed", "waiting", "stalled")
            if word in states
        ]
        return "  ".join(parts)

    def row(self, index: int) -> RowView:
        self.asked_rows += 1
        return self._row(self._shown[index])

    def row_of(self, key: str) -> RowView | None:
        job = self.jobs.get(key)
        return None if job is None else self._row(job)

    def _row(self, job: FakeJob) -> RowView:
        given = {
            "state": job.state,
            "name": job.name,
            "namespace": job.namespace,
            "done": job.done,
            "since": job.since,
            "why": job.why,
            "owner": "alice",
            "queue": "research",
            "accelerators": "8",
            "memory": "64Gi/64Gi",
            "cpu": "12/16",
            "commit": "9c1f2ab",
            "run": "7be2",
        }
        return RowView(
            job.id, tuple(Cell(given.get(c.id, "")) for c in self.columns), job.state, job.stale
        )

    def index_of(self, key: str) -> int | None:
        return self._at.get(key)

    def exists(self, key: str) -> bool:
        return key in self.jobs

    def name_of(self, key: str) -> str:
        job = self.jobs.get(key)
        return f"{job.namespace}/{job.name}" if job else key

    def set_filter(self, text: str) -> str:
        for term in text.split():
            bare = term.removeprefix("!")
            if len(bare) > 2 and bare[0] == bare[-1] == "/":
                try:
                    re.compile(bare[1:-1])
                except re.error as error:
                    return f"not a regular expression: {error}"
        self.filter = text
        self._select()
        return ""

    def set_faults(self, on: bool) -> None:
        self.faults = on
        self._select()

    def set_sort(self, column_id: str, reverse: bool) -> None:
        self.sort = (column_id, reverse)
        self._select()


class FakeDetails:
    """Parts of an object, after a moment."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.feed: asyncio.Queue[Sequence[LogLine]] = asyncio.Queue()
        self.log_options: list[LogOptions] = []

    async def overview(self, key: str) -> Sequence[Line]:
        self.asked.append(f"overview {key}")
        return (
            (Cell("ranker-train-0412", "strong"), Cell("   failed 14 min ago", "failed")),
            (),
            (Cell("OOMKilled in train-node-1 (exit 137, limit 64Gi), 3 of 3 tries", "failed"),),
            (Cell("  then BackoffLimitExceeded, then run marked FAILED"),),
            (),
            (Cell("created   ", "dim"), Cell("2026-11-23 01:40:02Z by alice")),
            (Cell("commit    ", "dim"), Cell("9c1f2ab feature/v1.2")),
            (Cell("image     ", "dim"), Cell("registry/train@sha256:4e..")),
            (),
            (Cell("t", "key"), Cell(" retry with more memory   "), Cell("l", "key"), Cell(" logs")),
        )

    async def preview(self, key: str) -> Sequence[Line]:
        self.asked.append(f"preview {key}")
        return (
            (Cell("ranker-train-0412", "strong"), Cell("   failed 14 min ago", "failed")),
            (Cell("OOMKilled in node-1 (exit 137, limit 64Gi), 3 of 3 tries"),),
            (Cell("  then BackoffLimitExceeded, then run marked FAILED"),),
            (Cell("02:46:10 step 6200 loss 0.4120", "dim"),),
            (Cell("02:46:12 Killed", "attention"),),
        )

    async def pods(self, key: str) -> Sequence[PodLine]:
        self.asked.append(f"pods {key}")
        return (
            PodLine(0, "ranker-train-0412", "failed", "BackoffLimitExceeded"),
            PodLine(1, "ranker-train-0412-0", "done", "", pod="ranker-train-0412-0", rank=0),
            PodLine(
                1, "ranker-train-0412-1", "failed", "OOMKilled", pod="ranker-train-0412-1", rank=1
            ),
            PodLine(
                2,
                "train",
                "failed",
                "exit 137, 3 restarts",
                pod="ranker-train-0412-1",
                container="train",
                rank=1,
                restarts=3,
            ),
        )

    async def events(self, key: str) -> Sequence[Line]:
        self.asked.append(f"events {key}")
        return ((Cell("02:46:12Z Warning BackoffLimitExceeded", "attention"),),)

    async def yaml(self, key: str) -> str:
        self.asked.append(f"yaml {key}")
        return "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: ranker-train-0412\n"

    async def describe(self, key: str) -> str:
        self.asked.append(f"describe {key}")
        return "Name:  ranker-train-0412\n"

    async def run(self, key: str) -> Sequence[Line]:
        self.asked.append(f"run {key}")
        return ((Cell("run 7be2   loss 0.412 at step 6,200"),),)

    async def logs(self, key: str, options: LogOptions) -> AsyncIterator[Sequence[LogLine]]:
        self.asked.append(f"logs {key}")
        self.log_options.append(options)
        yield [
            LogLine(f"step {n * 100} loss {1 - n / 100:.4f}", NOW - 60 + n, "node-1")
            for n in range(40)
        ]
        yield [
            LogLine("RuntimeError: CUDA out of memory", NOW, "node-1"),
            LogLine("Killed", NOW, "node-1"),
        ]
        while True:
            yield await self.feed.get()


class FakeActions:
    """Plans, and outcomes that are released by the test."""

    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend
        self.planned: list[tuple[Verb, tuple[str, ...]]] = []
        self.applied: list[Plan] = []
        self.changes: dict[str, str] = {}
        self.release = asyncio.Event()
        self.ended = asyncio.Event()
        self.outcome = OutcomeStatus.PROVEN
        self.confirmation = Confirmation.TYPED
        self.blocked = False
        self.with_run = True
        self.mlflow_down = False
        self.moved = ""

    async def plan(
        self,
        verb: Verb,
        keys: Sequence[str],
        changes: Mapping[str, str] | None = None,
        *,
        with_run: bool = True,
    ) -> Plan:
        self.changes = dict(changes or {})
        self.with_run = with_run
        if self.mlflow_down and with_run and verb is Verb.RETRY:
            raise UnreachableError(
                "MLflow cannot be reached", hint="ctrl-r and ctrl-o go on without a run"
            )
        if "lots" in self.changes.values():
            raise UsageError("'lots' is no quantity", where="memory", hint="such as 128Gi")
        self.planned.append((verb, tuple(keys)))
        return self.make(verb, keys)

    async def retry_fields(self, key: str) -> Sequence[FormField]:
        return (
            FormField("memory", "memory", "64Gi", "it ran out of memory with 64Gi: 128Gi is twice"),
            FormField("cpu", "cpu", "8", "for each node, such as 8 or 500m"),
            FormField("deadline", "deadline", "", "", "a job of this kind takes none of its own"),
            FormField("retries", "retries", "0", "failed pods that are replaced"),
        )

    def make(self, verb: Verb, keys: Sequence[str]) -> Plan:
        state = self.backend.state()
        context = state.contexts[0]
        model = self.backend.model
        targets = tuple(
            Target(
                context=context,
                kind="Job",
                namespace=model.jobs[k].namespace,
                name=model.jobs[k].name,
                uid=k,
            )
            for k in keys
        )
        checks = [
            Check(name="allowed", status=CheckStatus.PASSED, message="you may"),
            Check(name="dry run", status=CheckStatus.PASSED, message="dry run accepted"),
        ]
        if self.blocked:
            checks.append(
                Check(
                    name="owner",
                    status=CheckStatus.FAILED,
                    message="owned by Kueue: suspend the workload instead",
                )
            )
        return Plan(
            id="feed1234",
            verb=verb,
            context=context,
            tier=state.tier,
            targets=targets,
            writes=tuple(
                Write(
                    system="kubernetes",
                    method="DELETE",
                    path=f"/apis/batch/v1/namespaces/{t.namespace}/jobs/{t.name}",
                    summary=f"delete job {t.name}, only if uid {t.uid}",
                    diff=("- parallelism: 4",),
                )
                for t in targets
            ),
            checks=tuple(checks),
            confirmation=self.confirmation,
            until="waits until the job and its pods are gone (usually 8 s)",
            back="t (retry) starts it again from its config",
        )

    async def plan_submit(self, text: str, *, with_run: bool = True) -> Plan:
        self.with_run = with_run
        if "no mlflow" in text and with_run:
            raise UnreachableError("MLflow cannot be reached", hint="ctrl-r goes on without a run")
        if "bad" in text:
            raise UsageError("unknown field bad; did you mean image", where="editor:2:3")
        return self.make(Verb.SUBMIT, [next(iter(self.backend.model.jobs))])

    def example(self) -> str:
        return "name: ranker\nimage: registry/train\n"

    async def apply(self, plan: Plan, progress: Callable[[str], None]) -> Sequence[Outcome]:
        if self.moved:
            said, self.moved = self.moved, ""
            raise MovedError(said, hint="look at it again")
        self.applied.append(plan)
        progress("sent; waiting until the job is gone")
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            progress("interrupted: ending what is begun")
            await self.ended.wait()
            progress("it is unknown what became of it")
            raise
        return tuple(Outcome(target=t, status=self.outcome, message="gone") for t in plan.targets)


class FakeBackend:
    """Everything in memory."""

    def __init__(self, jobs: Sequence[FakeJob] = JOBS, **fields: object) -> None:
        self.model = FakeModel(jobs)
        self.runs = FakeRunsModel()
        self.panes: dict[str, PaneModel] = {"jobs": self.model, "runs": self.runs}
        self._models: FakeModels | None = None
        self.details = FakeDetails()
        self.run_details = FakeRunDetails()
        self.actions = FakeActions(self)
        self.run_actions = FakeRunActions(self.actions.make)
        self.evidence = FakeEvidence()
        self.calls: list[str] = []
        self.attended = 0
        self.keys = 0
        self.on_change: Callable[[], None] = lambda: None
        self.current = replace(
            ConsoleState(
                now=NOW,
                contexts=("dev",),
                cluster="dev-1",
                tier=Tier.DEV,
                user="alice",
                namespace="ml",
                sources=(SourceState("k8s", "live", 0.0), SourceState("mlflow", "live", 2.0)),
            ),
            **fields,  # type: ignore[arg-type]  # by name
        )

    def state(self) -> ConsoleState:
        return self.current

    @property
    def models(self) -> FakeModels:
        if self._models is None:
            self._models = FakeModels(self)
        return self._models

    def pane(self, name: str) -> PaneModel:
        return self.models.model if name == "models" else self.panes[name]

    def run_of(self, key: str) -> str:
        job = self.model.jobs.get(key)
        return f"dev/{0x7BE2:032x}" if job is not None and job.state != "waiting" else ""

    def contexts(self) -> Sequence[str]:
        return ("dev", "test", "prod")

    def namespaces(self) -> Sequence[str]:
        return ("ml", "research")

    def begin(self) -> None:
        self.calls.append("begin")

    async def start(self, on_change: Callable[[], None]) -> None:
        self.on_change = on_change

    async def stop(self) -> None:
        self.calls.append("stop")

    async def switch_context(self, names: Sequence[str]) -> None:
        self.calls.append(f"ctx {','.join(names)}")
        self.current = replace(self.current, contexts=tuple(names))

    async def switch_namespace(self, namespace: str | None) -> None:
        self.calls.append(f"ns {namespace}")
        self.current = replace(self.current, namespace=namespace)

    async def refresh(self) -> None:
        self.calls.append("refresh")

    def attend(self) -> None:
        self.attended += 1

    def key(self) -> None:
        self.keys += 1

    def focus(self, key: str | None) -> None:
        self.calls.append(f"focus {key}")

    def visible(self, keys: Sequence[str]) -> None:
        pass

    def front(self, pane: str) -> None:
        self.calls.append(f"front {pane}")
