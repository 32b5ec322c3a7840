"""The console says at its start what did not end: a command that was killed, or another console."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from mcp_tui.domain import keys
from tests.faults.acting import BATCH
from tests.faults.consoles import all_press, all_read, all_until, closing, opened
from tests.faults.proxy import Act, Fault, Hold, Stall
from tests.faults.test_interrupted import DEADLINE, Scene, holding, reached, scene
from tests.faults.test_machine import make
from tests.tui.terminal import Terminal

__all__ = ["scene"]

# The whole line can be read.
SIZE = (260, 30)


def console(scene: Scene) -> Terminal:
    return opened(scene.env, "-n", scene.namespace, size=SIZE)


def said_at_the_start(scene: Scene, *words: str) -> str:
    """Open a console, wait for the words in one of its lines, and leave it; the line."""

    def line(it: Terminal) -> str:
        return next((s for s in it.text.split("\n") if all(w in s for w in words)), "")

    with closing([console(scene)]) as [it]:
        all_until([it], line)
        found = line(it)
        # It is no more than said: the console is there to be used.
        all_press([it], "?", lambda it: "Help" in it.text)
        all_press([it], "\x1b", lambda it: "Enter open" in it.text)
        all_press([it], "q", lambda it: "leave the console?" in it.text)
        it.type("y")
        assert it.wait() == 0
        assert b"Traceback" not in it.raw
    return found


async def test_what_a_killed_command_left_is_said(scene: Scene) -> None:
    proxy, fault = holding(scene, "mlflow", "POST", "log-batch", Stall())
    process = await scene.submit()
    await reached(proxy, fault, process)
    process.kill()
    await process.wait()
    scene.mlflow.clear()
    [started] = scene.journal()
    name = started["targets"][0]["name"]
    line = await asyncio.to_thread(
        said_at_the_start, scene, "did not end", f"submit {scene.namespace}/{name} of "
    )
    assert f"job ls -l {keys.PLAN_ID}={started['plan']}" in line


@pytest.mark.parametrize("done", [False, True], ids=["on its way", "done"])
async def test_what_a_killed_console_left_is_said(scene: Scene, done: bool) -> None:
    """Killed (KILL) while it applies: at the call, or when the server has done it."""
    await make(scene, "a")
    hold = Hold()
    act: Act = hold if done else Stall()
    fault = scene.kube.add(Fault(act, method="PATCH", path="/jobs/a$", nth=1))

    def killed() -> None:
        with closing([console(scene)]) as [it]:
            all_until([it], lambda it: "1 job" in it.text)
            all_press([it], "z", lambda it: "[ Leave ]" in it.text)
            all_press([it], "\t", lambda it: "[ Apply ]" in it.text)
            # An Enter close behind another key is taken for a paste's, and confirms nothing.
            all_read([it], 1.0)
            it.type("\r")
            all_until([it], lambda _: hold.reached.is_set() if done else fault.hits)
            os.kill(it.pid, signal.SIGKILL)
            assert it.wait() == -signal.SIGKILL

    await asyncio.wait_for(asyncio.to_thread(killed), 3 * DEADLINE)
    scene.kube.clear()
    [started] = scene.journal()
    assert (started["event"], started["verb"]) == ("started", "suspend")
    line = await asyncio.to_thread(
        said_at_the_start, scene, "did not end", f"suspend {scene.namespace}/a of "
    )
    assert f"mcp-tui --context faulty -n {scene.namespace} job show a" in line
    # It says that it is not known, and it is not: the object knows.
    found = await asyncio.to_thread(scene.ground.api, "GET", BATCH.format(scene.namespace) + "/a")
    assert bool(found.ok()["spec"].get("suspend")) is done
    assert fault.hits == 1
