"""Seeds of the random schedules, played by a real process on the real servers, and a real KILL.

Those that are killed at one of their calls, of every action on jobs that a command does. What is
on the servers then is judged as after a schedule within a process, as far as that can be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import shlex
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from mcp_tui.actions.ended import finished
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Verb
from tests.cluster import Ground
from tests.faults.acting import job, mlflow_client
from tests.faults.schedule import APPLIED, TROUBLES, Schedule, play
from tests.faults.test_interrupted import DEADLINE, Scene, ended, staged
from tests.faults.test_schedules import quiet
from tests.faults.troubled import Course, Troubled
from tests.soak import times

PATIENCE = 20.0
"""Seconds after which it is killed wherever it is, where its schedule's moment never came."""
MAKING = (Verb.SUBMIT, Verb.RETRY)
MERGE = "application/merge-patch+json"


WRITES = {
    "submit": 5,
    "submit without a run": 2,
    "cancel": 3,
    "retry": 4,
    "suspend": 2,
    "resume": 2,
    "delete": 2,
}
"""How many writes each action has at least: it ends before a kill behind them."""


def killed() -> list[int]:
    """The seeds."""

    def is_one(seed: int) -> bool:
        schedule = Schedule.draw(seed)
        if schedule.stop is None or schedule.action.name not in WRITES:
            return False
        how, kind, number, moment, _ = schedule.stop
        own = [TROUBLES[name] for k, n, name in schedule.troubles if (k, n) == (kind, number)]
        comes = all(
            moment == "left"
            or (moment == "done" and trouble.done)
            or (moment == "answered" and trouble.answer not in ("drop", "cut", "silence"))
            for trouble in own
        )
        # One of the calls looks for the effect.
        most = WRITES[schedule.action.name] + (kind == "call")
        return how == "kill" and comes and number < most

    return list(itertools.islice(filter(is_one, itertools.count()), times(6, 200)))


@pytest.mark.parametrize("name", [a.name for a in APPLIED if a.command and a.group == "job"])
def test_every_such_action_is_among_them(name: str, tmp_path: Path) -> None:
    assert len(play(quiet(name), tmp_path).writes) >= WRITES[name]


@dataclass
class Cast:
    """What was there before, and what somebody else did.

    Attributes:
        old: The uid of the job; empty where there is none.
        run: The run of that job.
        new: The uid of the job that somebody put in its place.
    """

    scene: Scene
    old: str = ""
    run: str = ""
    new: str = ""

    @property
    def path(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.scene.namespace}/jobs"

    async def api(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """A call past the proxies, which may be refused."""
        return await asyncio.to_thread(self.scene.ground.api, method, path, body, **options)

    async def enter(self, on: str) -> None:
        """Make what has to be there."""
        client = mlflow_client(str(self.scene.ground.mlflow))
        try:
            experiment = await client.create_experiment(self.scene.experiment)
            if not on:
                return
            run = await client.create_run(experiment, run_name="r", tags={}, start_time_ms=1)
            self.run = run.run_id
        finally:
            await client.aclose()
        held = {"suspend": True} if on == "suspended" else {}
        made = job("old", labels={keys.RUN_ID: self.run}, stays=on != "finished", **held)
        for body in (job("bystander"), made):
            reply = await self.api("POST", self.path, body)
        self.old = reply.ok()["metadata"]["uid"]
        async with asyncio.timeout(DEADLINE):
            while on == "finished" and not finished((await self.api("GET", self.at)).ok()):
                await asyncio.sleep(0.1)

    @property
    def at(self) -> str:
        return f"{self.path}/old"

    async def other(self, what: str) -> None:
        """Somebody else acts; what does not suit this action does nothing, as in a schedule."""
        if what == "takes the name":
            name = self.scene.journal()[0]["targets"][0]["name"]
            await self.api("POST", self.path, job(name))
        elif not self.old or self.new:
            return
        elif what in ("deletes it", "replaces it"):
            await self.api("DELETE", self.at, {"propagationPolicy": "Background"})
            while what == "replaces it" and not self.new:
                reply = await self.api("POST", self.path, job("old"))
                self.new = reply.ok()["metadata"]["uid"] if reply.status == 201 else ""
        elif what in ("finishes it", "fails it"):
            soon = {"spec": {"activeDeadlineSeconds": 1}}
            await self.api("PATCH", self.at, soon, content_type=MERGE)
        elif what in ("suspends it", "resumes it"):
            held = {"spec": {"suspend": what == "suspends it"}}
            await self.api("PATCH", self.at, held, content_type=MERGE)
        elif what in ("ends its run", "takes its run"):
            client = mlflow_client(str(self.scene.ground.mlflow))
            try:
                if what == "ends its run":
                    await client.update_run(self.run, status="FINISHED", end_time_ms=2)
                else:
                    await client.set_tag(self.run, keys.TAG_UID, "another")
            finally:
                await client.aclose()


@pytest_asyncio.fixture
async def stage(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Scene]:
    kube = Troubled("kube", ground.dev.server, ca=ground.dev.ca)
    mlflow = Troubled("mlflow", str(ground.mlflow))
    async with staged(ground, namespace, tmp_path, kube, mlflow) as it:
        yield it


async def play_really(scene: Scene, schedule: Schedule, cast: Cast) -> tuple[Course, int]:
    """Run the action's command until it is killed, or has ended before; its exit code."""
    names = {"NAME": "old", "FILE": str(scene.config)}
    words = [names.get(word, word) for word in schedule.action.command]
    if "delete" in words:
        words[-1] = "faulty/old"
    process: asyncio.subprocess.Process | None = None

    def kill() -> None:
        assert process is not None
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    journal = Path(scene.env["XDG_STATE_HOME"]) / "mcp-tui" / "journal.jsonl"
    course = Course(schedule, journal.exists, kill, cast.other)
    for proxy in (scene.kube, scene.mlflow):
        assert isinstance(proxy, Troubled)
        proxy.course = course
    process = await scene.start("job", *words)
    with contextlib.suppress(TimeoutError):
        # Its end is waited for by others too: its output is read there.
        await asyncio.wait_for(asyncio.shield(process.wait()), PATIENCE)
    kill()
    code, _, _ = await ended(process)
    await course.settle()
    return course, code


def check_calls(course: Course) -> None:
    """Everything is sent once, and nothing but what the action may write."""
    sent = Counter((c.side, c.method, c.target, c.body) for c in course.writes)
    assert max(sent.values(), default=0) <= 1, sent
    for call in course.writes:
        words = f"{call.side} {call.method} {urlsplit(call.target).path}"
        assert any(re.fullmatch(each, words) for each in course.schedule.action.writes), words


@pytest.mark.soak
@pytest.mark.parametrize("seed", killed())
async def test_a_real_kill_in_a_schedule_leaves_what_the_next_start_says(
    stage: Scene, seed: int
) -> None:
    schedule, scene = Schedule.draw(seed), stage
    cast = Cast(scene)
    await cast.enter(schedule.action.on)
    course, code = await play_really(scene, schedule, cast)
    check_calls(course)
    assert course.killed or code or course.missed, f"its kill never came: {schedule}"
    lines = scene.journal() if course.left else []
    assert lines or not course.writes, "written down before anything left"
    jobs = await scene.jobs()
    by_name = {each["metadata"]["name"]: each for each in jobs}
    if cast.old:
        assert "bystander" in by_name
    if cast.new:
        # What was put in its place is nobody's that was seen.
        theirs = by_name["old"]
        assert theirs["metadata"]["uid"] == cast.new and not theirs["spec"].get("suspend")
    if not lines:
        return
    plan = lines[0]["plan"]
    mine = [j for j in jobs if (j["metadata"].get("labels") or {}).get(keys.PLAN_ID) == plan]
    tag = {"key": keys.TAG_PLAN_ID, "value": plan}
    runs = [r for r in await scene.runs() if tag in r["data"].get("tags", ())]
    making = schedule.action.verb in MAKING
    assert (len(mine), len(runs)) <= ((1, 1) if making else (0, 0))
    if len(lines) == 1:
        await check_next_start(scene, plan, mine if making else by_name)
        return
    # It ended before it was killed, as one that met a fault may.
    assert lines[1]["event"] == "ended" and lines[1]["plan"] == plan
    [outcome] = lines[1]["outcomes"]
    assert code != 0 or outcome["status"] == "proven"
    uids = {each["metadata"]["uid"] for each in jobs}
    if outcome["status"] == "proven" and schedule.action.verb in (Verb.CANCEL, Verb.DELETE):
        assert cast.old not in uids
    if making and outcome["status"] == "proven":
        assert [each["metadata"]["uid"] for each in mine] == [outcome["target"]["uid"]]
    if making and outcome["status"] == "failed":
        assert not mine, outcome


async def check_next_start(
    scene: Scene, plan: str, there: Sequence[dict[str, Any]] | dict[str, dict[str, Any]]
) -> None:
    """It says what did not end, and the command that it gives tells what became of it."""
    scene.kube.clear()
    _, _, err = await scene.run("journal")
    [said] = [line for line in err.splitlines() if "did not end" in line]
    command = shlex.split(said.rpartition(" says: ")[2])
    if isinstance(there, dict):
        code, _, err = await scene.run(*command[1:])
        assert code == (0 if "old" in there else 5), err
        return
    assert f"{keys.PLAN_ID}={plan}" in command
    code, out, err = await scene.run(*command[1:], "-o", "json")
    assert code == 0, err
    found = json.loads(out)
    found = found if isinstance(found, list) else [found]
    assert [each["uid"] for each in found] == [each["metadata"]["uid"] for each in there]
