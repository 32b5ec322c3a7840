"""One random schedule of faults against one action, and what must hold however it ended.

    python -m tests.faults.schedule SEED

tells the story of one seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpcore
import yaml

from mcp_tui.actions import journal as journal_module
from mcp_tui.actions import prove
from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.journal import Action as Written
from mcp_tui.actions.journal import Journal
from mcp_tui.config import Endpoint
from mcp_tui.domain import alias, keys
from mcp_tui.domain.approval import TAG, Level, Mode, Rule
from mcp_tui.domain.plan import Outcome, Plan, Tier
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.http import load_httpx
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.reflector import Reflector
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient
from tests.faults.model import World
from tests.faults.network import Call, Network, Trouble
from tests.faults.virtual import VirtualLoop, run
from tests.joined.actions import ACTIONS, RUNS, Action

NOW = 1_700_000_000.0
ASKED = {
    Tier.DEV: Rule(
        mode=Mode.LEVELS,
        levels=(Level(name="sre", people=("alice",)), Level(name="lead", people=("bo",))),
        configured=True,
    )
}
"""What approvals are asked for."""
APPLIED = tuple(a for a in ACTIONS if a.plan is not None)
"""What the engine applies."""


def _says(done: bool, status: int, reason: str, message: str) -> Trouble:
    """A server's error, or a gateway's that speaks as one."""
    body = {"kind": "Status", "code": status, "message": message}
    named = {**body, "reason": reason, "error_code": reason}
    return Trouble(done=done, answer="made", status=status, body=json.dumps(named).encode())


def _page(done: bool, status: int, body: bytes, content_type: str = "text/html") -> Trouble:
    """What somebody in between says."""
    return Trouble(done=done, answer="made", status=status, body=body, content_type=content_type)


_LOG_IN = b"<html>log in</html>"
_ENVOY = (
    b"upstream connect error or disconnect/reset before headers. reset reason: connection "
    b"termination"
)
TROUBLES: dict[str, Trouble] = {
    "reset": Trouble(done=False, answer="drop"),
    "lost": Trouble(done=True, answer="drop"),
    "cut": Trouble(done=True, answer="cut"),
    "vanished": Trouble(done=False, answer="silence"),
    "stalled": Trouble(done=True, answer="silence"),
    "late": Trouble(done=True, answer="silence", after=8.0),
    "very late": Trouble(done=True, answer="silence", after=60.0),
    "slow": Trouble(done=True, after=6.0),
    "504": _says(False, 504, "", "gateway timeout"),
    "504 after it": _page(True, 504, b"<html>"),
    "502 after it": _says(True, 502, "", "bad gateway"),
    "503 of a gateway after it": _page(True, 503, _ENVOY, "text/plain"),
    "store timed out after it": _says(True, 500, "InternalError", "etcdserver: request timed out"),
    "busy": _says(False, 429, "TooManyRequests", "later"),
    "503": _says(False, 503, "ServiceUnavailable", "later"),
    "500": _says(False, 500, "InternalError", "sorry"),
    "denied": _says(False, 403, "Forbidden", "denied by the moon"),
    "conflict": _says(False, 409, "Conflict", "try again"),
    "portal": _page(False, 200, _LOG_IN),
    "html after it": _page(True, 200, _LOG_IN),
    "junk after it": _page(True, 200, b'{"kind":"Status"}', "application/json"),
    "nothing after it": _page(True, 200, b"", "application/json"),
    "sent twice": Trouble(done=True, twice=True),
}
OTHERS = (
    "deletes it",
    "replaces it",
    "finishes it",
    "fails it",
    "suspends it",
    "resumes it",
    "ends its run",
    "takes its run",
    "takes the name",
    "moves the alias",
    "approves it",
    "changes its files",
    "moves it and back",
    "deletes the version",
    "tags the run",
    "renames the run",
    "deletes the run",
    "restores the run",
    "removes the run",
)


@dataclass
class Schedule:
    """What happens when, drawn from a seed. Calls are counted from the beginning of applying."""

    seed: int
    action: Action
    troubles: list[tuple[str, int, str]] = field(default_factory=list)
    """``write`` or ``call``, its number, and which of TROUBLES."""
    other: tuple[str, int, str] | None = None
    """Somebody else acts as that write or call leaves, and is faster."""
    down: tuple[str, int, float] | None = None
    """Which side, from which call, for how many seconds."""
    deaf: bool = False
    """The server does not know selectors."""
    asleep: bool = False
    """No controller works meanwhile."""
    stop: tuple[str, str, int, str, int] | None = None
    """``kill`` or ``interrupt``, at which write or call, at which moment of it, and how many turns
    later."""

    @classmethod
    def draw(cls, seed: int) -> Schedule:
        rng = random.Random(seed)
        # Every action comes in turn; what is drawn for it is chance.
        it = cls(seed, APPLIED[seed % len(APPLIED)])
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
            kind, most = ("write", 7) if rng.random() < 0.65 else ("call", 20)
            it.troubles.append((kind, rng.randrange(most), rng.choice(list(TROUBLES))))
        if rng.random() < 0.4:
            kind, most = ("write", 2) if rng.random() < 0.7 else ("call", 9)
            it.other = (kind, rng.randrange(most), rng.choice(OTHERS))
        if rng.random() < 0.15:
            side = rng.choice(("mlflow", "mlflow", "kube"))
            it.down = (side, rng.randrange(12), rng.choice((2.0, 15.0, 1e6)))
        it.deaf, it.asleep = rng.random() < 0.1, rng.random() < 0.1
        chance = rng.random()
        if chance < 0.45:
            what = "kill" if chance < 0.27 else "interrupt"
            moment = rng.choice(("left", "done", "answered"))
            kind, most = ("write", 6) if rng.random() < 0.5 else ("call", 14)
            it.stop = (what, kind, rng.randrange(most), moment, rng.randrange(12))
            if kind == "write" and rng.random() < 0.6:
                # What is interrupted or killed is on its way, and its answer does not come.
                name = rng.choice(("stalled", "vanished", "late", "very late", "lost"))
                it.troubles = [(kind, it.stop[2], name)]
        return it

    def __str__(self) -> str:
        parts = [f"seed {self.seed}: {self.action.name}"]
        parts += [f"{kind} {n}: {name}" for kind, n, name in self.troubles]
        parts += (
            [f"other at {self.other[0]} {self.other[1]}: {self.other[2]}"] if self.other else []
        )
        parts += [f"down: {self.down}"] if self.down else []
        parts += ["no selectors"] if self.deaf else []
        parts += ["no controllers"] if self.asleep else []
        parts += [f"stop: {self.stop}"] if self.stop else []
        return "; ".join(parts)


@dataclass
class Story:
    """How a schedule went."""

    schedule: Schedule
    world: World
    network: Network
    plan: Plan | None = None
    seen: Sequence[Seen] = ()
    outcomes: tuple[Outcome, ...] | None = None
    error: McpTuiError | None = None
    ended: str = ""
    """``applied``, ``raised``, ``interrupted`` or ``killed``."""
    engine: Engine | None = None
    said: list[str] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    unfinished: list[Written] = field(default_factory=list)
    line: str = ""
    begin: int = 0
    """The number of the first call of applying."""
    worked: int = 0
    """How much the servers had done before it."""

    @property
    def writes(self) -> list[Call]:
        """The writes that left while it was applied."""
        return [c for c in self.network.left[self.begin :] if c.writes]


@functools.cache
def _context() -> ContextInfo:
    folder = Path(tempfile.mkdtemp(prefix="mcp-tui-schedule-"))
    try:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "dev",
            "clusters": [{"name": "dev", "cluster": {"server": "http://kube.test"}}],
            "users": [{"name": "dev", "user": {"token": "t"}}],
            "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "dev"}}],
        }
        path = folder / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return load_kubeconfig({}, path).context()
    finally:
        shutil.rmtree(folder)


def _ended_process() -> str:
    """The name of a process that had our pid and is gone."""
    host, pid, start = _this().rsplit("/", 2)
    return f"{host}/{pid}/{int(start) - 1}"


_this = journal_module.this_process


@contextlib.contextmanager
def _clockwork(loop: VirtualLoop, network: Network) -> Iterator[None]:
    """Give the product our clock and our network, each where it takes one from outside."""
    httpx_loaded = load_httpx()
    assert httpx_loaded
    follow = functools.partial(
        Reflector,
        clock=loop.time,
        wall=loop.time,
        rng=random.Random(1),
    )
    with (
        mock.patch.object(prove, "Reflector", follow),
        mock.patch.object(prove, "time", SimpleNamespace(monotonic=loop.time)),
        mock.patch.object(httpcore._async.connection_pool, "AutoBackend", lambda: network),
        # Who is killed is another process, and this one lives on.
        mock.patch.object(journal_module, "this_process", _ended_process),
        # That a line is on the disk is another test's; ten thousand of them are slow.
        mock.patch.object(os, "fsync", lambda _: None),
    ):
        yield


def play(schedule: Schedule, folder: Path) -> Story:
    """Run one schedule to its end."""
    shutil.rmtree(folder, ignore_errors=True)
    holder: list[Story] = []

    async def main(loop: VirtualLoop) -> None:
        world = World(later=functools.partial(_later, loop), deaf=schedule.deaf)
        network = Network(world, loop)
        story = Story(schedule, world, network)
        holder.append(story)
        with _clockwork(loop, network):
            await _act(story, loop, folder)

    def on_kill() -> None:
        holder[0].ended = "killed"
        _over(holder[0], Journal(folder))

    run(main, on_kill)
    return holder[0]


def _later(loop: VirtualLoop, seconds: float, act: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_later(seconds, act)


def _over(story: Story, journal: Journal) -> None:
    """Read what is left; what still runs of a process that was killed reaches nothing any more."""
    from mcp_tui.actions.unfinished import line, unfinished

    story.written = journal.actions()
    story.unfinished = unfinished(journal, now=time.time())
    story.line = line(story.unfinished)
    story.network.dead = True
    if story.engine is not None:
        story.engine.journal.path = Path("/dev/null/none")


async def _act(story: Story, loop: VirtualLoop, folder: Path) -> None:
    gate = Gate(False)
    kube = KubeClient(_context(), gate=gate, env={})
    endpoint = Endpoint(url="http://mlflow.test")
    mlflow = MlflowClient(connect("mlflow", endpoint, gate=gate, env={}, kube=None))
    scope = Scope(context="dev", tier=Tier.DEV)
    asked = ASKED if story.schedule.action.on == "to approve" else None
    engine = Engine(kube, mlflow, scope, Journal(folder), approvals=asked)
    story.engine = engine
    story.seen = await _scene(story, engine)
    assert story.schedule.action.plan is not None
    plan = await story.schedule.action.plan(engine, story.seen, NOW)
    story.plan = await engine.check(plan)
    assert not story.plan.blocked, story.plan.blocked
    story.begin, story.worked = len(story.network.left), len(story.world.done)
    task = asyncio.ensure_future(engine.apply(story.plan, progress=story.said.append))
    _arm(story, loop, task)
    try:
        story.outcomes = await task
        story.ended = "applied"
    except McpTuiError as error:
        story.error, story.ended = error, "raised"
    except asyncio.CancelledError:
        if story.ended:
            raise
        story.ended, story.outcomes = "interrupted", engine.interrupted
    loop.end_at = None
    _over(story, engine.journal)
    await mlflow.aclose()
    await kube.aclose()


async def _scene(story: Story, engine: Engine) -> Sequence[Seen]:
    """What has to be there before, and see it."""
    world, on = story.world, story.schedule.action.on
    world.experiments["e"] = "77"
    if on in ("model", "promoted", "first"):
        _models(world, on)
        return ()
    if on == "to approve":
        _to_approve(world)
        return ()
    if on in ("runs", "bin"):
        for run_id in RUNS:
            run = world.make_run("77", {"stage": "dev", "old": "x"})
            assert run["info"]["run_id"] == run_id
            run["info"] |= {"run_name": f"run-{run_id[-1]}", "status": "FINISHED"}
            if on == "bin":
                run["info"]["lifecycle_stage"] = "deleted"
        return ()
    if not on:
        return ()
    names = [f"job-{n}" for n in range(story.schedule.action.jobs)]
    for name in names:
        made = world.make_run("77", {"mlflow.source.git.commit": "c"})
        labels = {keys.RUN_ID: made["info"]["run_id"]}
        if on == "queued":
            labels[keys.QUEUE_NAME] = "q"
        job = world.make_job(name, labels=labels)
        if on == "nodes":
            job["spec"]["template"]["spec"]["subdomain"] = name
        made["data"]["tags"].append({"key": keys.TAG_UID, "value": job["metadata"]["uid"]})
        if on == "queued":
            _workload(world, job)
    await asyncio.sleep(1)
    for name in names:
        if on == "suspended":
            world.suspend(name, True)
        if on == "finished":
            world.finish(name)
    await asyncio.sleep(1)
    return [await engine.see("Job", "ml", name) for name in names]


def _models(world: World, on: str) -> None:
    """A model of three versions, and what is on record of its champion."""
    world.registry.make("ranker", 3)
    world.registry.point("ranker", "champion", "2" if on == "promoted" else "1")
    moves = {"promoted": [("1", "2")], "first": [("", "1")]}.get(on, [])
    for came, to in moves:
        plan = "f" * 32
        meant = alias.Intent(
            verb="promote", model="ranker", alias="champion", came=came, to=to, seq=1, at=NOW - 900
        )
        tags = world.registry.models["ranker"]["versions"][to]["tags"]
        tags[alias.intent_key(plan)] = alias.intent_value(meant)
        tags[alias.end_key(plan)] = alias.end_value(alias.End(moved=True, at=NOW - 899, seen=to))


def _to_approve(world: World) -> None:
    """A model of one version, which a run of somebody else's made."""
    world.registry.make("ranker", 0)
    run = world.make_run("77", {"mlflow.user": "bo"})
    root = "mlflow-artifacts:/77/r/artifacts"
    run["info"]["artifact_uri"] = root
    world.registry.add("ranker", f"{root}/model", run_id=run["info"]["run_id"])


def _workload(world: World, job: dict[str, Any]) -> None:
    uid = job["metadata"]["uid"]
    world.put(
        "workloads",
        {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {
                "name": f"job-{job['metadata']['name']}",
                "namespace": "ml",
                "labels": {"kueue.x-k8s.io/job-uid": uid},
                "ownerReferences": [{"uid": uid, "kind": "Job"}],
            },
            "spec": {"active": True},
        },
    )


def _arm(story: Story, loop: VirtualLoop, task: asyncio.Task[Any]) -> None:
    """Let the schedule's troubles come when they are due."""
    schedule, network = story.schedule, story.network
    state = {"down": False, "turns": 0}

    def places(call: Call) -> dict[str, int]:
        """Which call of applying it is, and which write."""
        before = network.left[story.begin : call.number]
        nth = sum(c.writes for c in before) if call.writes else -1
        return {"write": nth, "call": call.number - story.begin}

    def trouble(call: Call) -> Trouble | None:
        at = places(call)
        if schedule.other is not None and schedule.other[1] == at[schedule.other[0]]:
            _other(story, schedule.other[2])
        for kind, n, name in schedule.troubles:
            if n == at[kind]:
                return _suited(call, TROUBLES[name])
        return None

    def moment(call: Call, what: str) -> None:
        at = places(call)
        if schedule.down is not None and at["call"] >= schedule.down[1] and not state["turns"]:
            state["down"], state["turns"] = True, 1
            loop.call_later(schedule.down[2], state.__setitem__, "down", False)
        if schedule.stop is None:
            return
        how, kind, number, when, turns = schedule.stop
        if (number, when) == (at[kind], what):
            if how == "kill":
                loop.end_at = loop.turns + turns
            else:
                _after(loop, turns, task.cancel)

    network.trouble, network.moment = trouble, moment
    story.world.asleep = schedule.asleep
    network.down = lambda side: (
        bool(state["down"]) and schedule.down is not None and side == schedule.down[0]
    )
    if schedule.other is not None and schedule.other[:2] == ("call", 0):
        # Between check and apply.
        _other(story, schedule.other[2])
        schedule.other = None


def _after(loop: VirtualLoop, turns: int, act: Any) -> None:
    if turns:
        loop.call_soon(_after, loop, turns - 1, act)
    else:
        act()


def _suited(call: Call, trouble: Trouble) -> Trouble | None:
    """A trouble as it can befall this call."""
    if "watch=true" in call.target and (trouble.answer == "cut" or trouble.twice):
        return None
    # Only what has a name can be sent twice by a gateway without harm that nobody can undo.
    if trouble.twice and not (call.side == "kube" and call.method == "POST" and call.writes):
        return None
    return trouble


def _other(story: Story, what: str) -> None:
    """Somebody else acts."""
    world, name = story.world, "job-0"
    job = world.objects.get(("jobs", "ml", name))
    if "ranker" in world.registry.models:
        _other_of_models(story, what)
        return
    if story.schedule.action.on in ("runs", "bin"):
        _other_of_runs(story, what)
        return
    if what == "takes the name" and story.plan is not None:
        target = story.plan.targets[0]
        if ("jobs", "ml", target.name) not in world.objects:
            world.make_job(target.name)
        return
    if job is None:
        return
    run_id = job["metadata"]["labels"].get(keys.RUN_ID, "")
    if what in ("deletes it", "replaces it"):
        world.take("jobs", "ml", name)
    if what == "replaces it":
        world.make_job(name)
    elif what == "finishes it":
        world.finish(name)
    elif what == "fails it":
        world.finish(name, "Failed")
    elif what in ("suspends it", "resumes it"):
        world.suspend(name, what == "suspends it")
    elif what == "ends its run" and run_id:
        world.runs[run_id]["info"]["status"] = "FINISHED"
    elif what == "takes its run" and run_id:
        world.runs[run_id]["data"]["tags"] = [{"key": keys.TAG_UID, "value": "another"}]


def _other_of_runs(story: Story, what: str) -> None:
    """Somebody else changes the first run."""
    run = story.world.runs.get(RUNS[0])
    if run is None:
        return
    if what == "tags the run":
        run["data"]["tags"] = [{"key": "stage", "value": "theirs"}]
    elif what == "renames the run":
        run["info"]["run_name"] = "theirs"
    elif what in ("deletes the run", "restores the run"):
        run["info"]["lifecycle_stage"] = "deleted" if what == "deletes the run" else "active"
    elif what == "removes the run":
        del story.world.runs[RUNS[0]]


def _other_of_models(story: Story, what: str) -> None:
    """Somebody else acts on the registry."""
    registry = story.world.registry
    move = story.plan.move.intent if story.plan is not None and story.plan.move else None
    if what == "approves it" and "1" in registry.models["ranker"]["versions"]:
        registry.models["ranker"]["versions"]["1"]["tags"][f"{TAG}sre"] = "theirs"
    elif what == "changes its files":
        story.world.files["model.pkl"] += 1
    elif what == "deletes the version" and move is None:
        registry.models["ranker"]["versions"].pop("1", None)
    if move is None or move.model not in registry.models:
        return
    versions = registry.models[move.model]["versions"]
    before = registry.models[move.model]["aliases"].get(move.alias, "")
    if what in ("moves the alias", "moves it and back"):
        registry.point(move.model, move.alias, registry.add(move.model, "s3://another"))
        if what == "moves it and back":
            registry.point(move.model, move.alias, before)
    elif what == "deletes the version" and move.to in versions and move.to != before:
        del versions[move.to]


def tell(story: Story) -> str:
    """A story in words, for whoever looks for a defect."""
    lines = [str(story.schedule), f"ended: {story.ended} {story.error or ''}"]
    lines += [
        f"  left {c.number}: {c.side} {c.method} {c.target}"
        for c in story.network.left[story.begin :]
    ]
    lines += [f"  did {d.words} changed={d.changed}" for d in story.world.done[story.worked :]]
    lines += [f"  said: {line}" for line in story.said]
    lines += [
        f"  outcome: {o.target.name} {o.status.value}: {o.message}" for o in story.outcomes or ()
    ]
    lines += [f"  journal: {a.started.verb.value} {a.result}" for a in story.written]
    return "\n".join(lines)


if __name__ == "__main__":
    from tests.faults.holds import broken

    told = play(Schedule.draw(int(sys.argv[1])), Path(tempfile.gettempdir()) / "mcp-tui-schedule")
    print(tell(told))
    print("\n".join(broken(told)) or "all holds")
