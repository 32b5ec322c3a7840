"""A real process killed (KILL) at any call of submit, cancel and retry, on the real servers.

The seeds say where: before a server has the call, when it has done it, or a moment later. What is
left is then found by the next start, and is never two of anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from mcp_tui.domain import keys
from tests.faults.acting import job, mlflow_client
from tests.faults.proxy import Act, Answer, Cut, Fault, Hold, Lost, Stall
from tests.faults.test_interrupted import DEADLINE, Scene, ended, scene
from tests.soak import times

__all__ = ["scene"]

SEEDS = range(times(8, 200))
# The calls of each verb in order: whose, method, path, and which of those that match.
CALLS: dict[str, tuple[tuple[str, str, str, int], ...]] = {
    "submit": (
        ("mlflow", "POST", "experiments/create", 1),
        ("mlflow", "POST", "runs/create", 1),
        ("mlflow", "POST", "runs/log-batch", 1),
        ("kube", "POST", r"/jobs$", 1),
        ("mlflow", "POST", "runs/log-batch", 2),
        ("kube", "POST", "/events", 1),
    ),
    "cancel": (
        ("kube", "DELETE", "/jobs/old", 1),
        ("mlflow", "GET", "runs/get", 1),
        ("mlflow", "POST", "runs/update", 1),
        ("kube", "POST", "/events", 1),
    ),
    "retry": (
        ("mlflow", "POST", "runs/create", 1),
        ("kube", "POST", r"/jobs$", 1),
        ("mlflow", "POST", "runs/log-batch", 1),
        ("kube", "POST", "/events", 1),
    ),
}
MOMENTS = ("before", "done", "later")
BEFORE: tuple[Act | None, ...] = (None, None, None, Lost(), Answer(504, b"<html>"), Cut())
# POSTs that ask, and store nothing.
ASKS = re.compile("selfsubject|runs/search|experiments/search|dryRun=All")


async def old(scene: Scene) -> tuple[dict[str, Any], str]:
    """A job that runs, another beside it, and its run."""
    client = mlflow_client(str(scene.ground.mlflow))
    try:
        experiment = await client.create_experiment(scene.experiment)
        run = await client.create_run(experiment, run_name="r", tags={}, start_time_ms=1)
    finally:
        await client.aclose()
    path = f"/apis/batch/v1/namespaces/{scene.namespace}/jobs"
    made = job("old", labels={keys.RUN_ID: run.run_id})
    for body in (job("bystander"), made):
        reply = await asyncio.to_thread(scene.ground.api, "POST", path, body)
    found: dict[str, Any] = reply.ok()
    return found, run.run_id


def writes(scene: Scene) -> Counter[str]:
    """What left: each write, and how often."""
    return Counter(
        f"{call.method} {urlsplit(call.target).path}"
        for proxy in (scene.kube, scene.mlflow)
        for call in proxy.calls
        if call.method != "GET" and not ASKS.search(call.target)
    )


async def killed(scene: Scene, verb: str, rng: random.Random) -> int | None:
    """Start a verb, and kill it where the seed says; its exit code where it ended before."""
    calls = CALLS[verb]
    at = rng.randrange(len(calls))
    side, method, path, nth = calls[at]
    moment, earlier = rng.choice(MOMENTS), rng.choice(BEFORE)
    hold = Hold()
    if at and earlier is not None:
        where, how, what, which = calls[rng.randrange(at)]
        scene.proxy(where).add(Fault(earlier, method=how, path=what, nth=which))
    act: Act = Stall() if moment == "before" else hold
    fault = scene.proxy(side).add(Fault(act, method=method, path=path, nth=nth))
    words: Sequence[str] = {
        "submit": ("submit", "--config", str(scene.config)),
        "cancel": ("cancel", "old", "--confirm", "old"),
        "retry": ("retry", "old"),
    }[verb]
    process = await scene.start("job", *words)
    async with asyncio.timeout(DEADLINE):
        while not fault.hits and process.returncode is None:
            await asyncio.sleep(0.02)
        if moment != "before" and fault.hits:
            await hold.reached.wait()
    if moment == "later":
        hold.release.set()
        await asyncio.sleep(rng.random() * 0.1)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    code, _, _ = await ended(process)
    scene.kube.clear()
    scene.mlflow.clear()
    return code if code >= 0 else None


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_a_kill_leaves_is_one_of_each_and_is_said(scene: Scene, seed: int) -> None:
    rng = random.Random(seed)
    verb = ("submit", "cancel", "retry")[seed % 3]
    before, run = (await old(scene)) if verb != "submit" else ({}, "")
    code = await killed(scene, verb, rng)
    left = writes(scene)
    # Both are batches of one run: its steps, and what it is linked to.
    twice = {w: n for w, n in left.items() if n > (2 if w.endswith("runs/log-batch") else 1)}
    assert not twice, left
    lines = scene.journal() if left else []
    if left:
        assert lines and lines[0]["event"] == "started", "written down before anything left"
    if not lines:
        return
    plan = lines[0]["plan"]
    jobs = await scene.jobs()
    mine = [j for j in jobs if (j["metadata"].get("labels") or {}).get(keys.PLAN_ID) == plan]
    tag = {"key": keys.TAG_PLAN_ID, "value": plan}
    runs = [r for r in await scene.runs() if tag in r["data"].get("tags", ())]
    assert len(mine) <= 1 and len(runs) <= 1
    by_name = {j["metadata"]["name"]: j["metadata"]["uid"] for j in jobs}
    if verb != "submit":
        assert "bystander" in by_name
        assert by_name.get("old") in ((before["metadata"]["uid"], None))
    if verb == "retry":
        assert "old" in by_name
        assert [r["info"]["status"] for r in await scene.runs() if r["info"]["run_id"] == run] == [
            "RUNNING"
        ]
    if len(lines) == 2:  # It ended before it was killed, as one that met a fault may.
        assert lines[1]["event"] == "ended" and lines[1]["plan"] == plan
        assert code != 0 or lines[1]["outcomes"][0]["status"] == "proven"
        return
    _, _, err = await scene.run("journal")
    [said] = [line for line in err.splitlines() if "did not end" in line]
    command = said.rpartition(" says: ")[2]
    code, out, err = await scene.run(*shlex.split(command)[1:], *_as_json(verb))
    if verb == "cancel":
        assert (code, "old" in by_name) in ((0, True), (5, False)), err
        code, _, err = await scene.run("job", "cancel", "old", "--confirm", "old")
        assert code == (0 if "old" in by_name else 5), err
    else:
        assert code == 0, err
        found = json.loads(out)
        found = found if isinstance(found, list) else [found]
        assert [f["uid"] for f in found] == [j["metadata"]["uid"] for j in mine]


def _as_json(verb: str) -> tuple[str, ...]:
    return () if verb == "cancel" else ("-o", "json")
