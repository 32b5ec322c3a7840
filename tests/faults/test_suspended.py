"""The console stopped by ctrl-z while the cluster goes on, and ended by a terminal that closes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from mcp_tui.sources.kubernetes.backoff import Timing
from tests.cluster.plane import REPO
from tests.faults.apiserver import encoded, refusal
from tests.faults.consoles import ENV, all_until, closing, opened
from tests.faults.proxy import Answer, Fault
from tests.faults.test_interrupted import DEADLINE, Scene, scene
from tests.faults.test_machine import make
from tests.hostile.stream import faults
from tests.soak import times
from tests.tui.terminal import Terminal

__all__ = ["scene"]

SIZE = (120, 30)
# Seconds in the shell. Who was there longer than a tick may be late lists again by itself.
MOMENT = 4
LONGER = times(int(Timing().tick + Timing().jump) + 1, 180)
GIVEN_BACK = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[<u", b"\x1b[?1004l")
TAKEN = (b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[?2004h", b"\x1b[>25u", b"\x1b[?1004h")


EXPIRED = encoded(refusal(410, "Expired", "too old resource version"))


@dataclass
class Compacted(Fault):
    """What a watch from a version before this one gets."""

    before: int = 0

    def takes(self, method: str, target: str) -> bool:
        asked = parse_qs(urlsplit(target).query)
        if "watch" not in asked or int(asked.get("resourceVersion", ["0"])[0]) >= self.before:
            return False
        return super().takes(method, target)


def cooked(terminal: Terminal) -> tuple[bool, bool, bool]:
    """Whether the terminal puts lines together, echoes, and turns ctrl-c into a signal."""
    flags = termios.tcgetattr(terminal.fd)[3]
    return bool(flags & termios.ICANON), bool(flags & termios.ECHO), bool(flags & termios.ISIG)


def in_shell(scene: Scene) -> Terminal:
    """The console, started by hand in a shell that leaves the terminal's modes as it finds them."""
    shell = shutil.which("dash") or shutil.which("bash")
    assert shell is not None
    env = {**scene.env, **ENV, "PS1": "ready> ", "ENV": "", "HOME": "/nonexistent"}
    options = [] if shell.endswith("dash") else ["--norc", "--noediting"]
    terminal = Terminal([shell, *options, "-i"], env, SIZE, REPO)
    terminal.until(lambda: "ready>" in terminal.text)
    terminal.type(f"{sys.executable} -m mcp_tui -n {scene.namespace}\r")
    return terminal


def rows(terminal: Terminal) -> set[str]:
    return set(re.findall(r"\bpart-\w+", terminal.text))


def stop(terminal: Terminal, scene: Scene) -> None:
    """To the shell by ctrl-z: the terminal is as it was before."""
    before = len(terminal.raw)
    terminal.type("\x1a")
    terminal.until(lambda: b"ready> " in terminal.raw[before:])
    for mode in GIVEN_BACK:
        assert mode in terminal.raw[before:], mode
    assert cooked(terminal) == (True, True, True)
    # It is stopped: what comes meanwhile is not even asked for.
    terminal.type("printf '\\033c'; echo here\r")
    terminal.until(lambda: terminal.text.startswith("here") and not rows(terminal))


def resume(terminal: Terminal) -> int:
    before = len(terminal.raw)
    terminal.type("fg\r")
    terminal.until(lambda: "Enter open" in terminal.text)
    for mode in TAKEN:
        assert mode in terminal.raw[before:], mode
    assert cooked(terminal) == (False, False, False)
    return before


def leave(terminal: Terminal) -> None:
    terminal.insist("q", lambda: "leave the console?" in terminal.text)
    terminal.type("y")
    terminal.until(lambda: terminal.raw.rstrip().endswith(b"ready>"))
    terminal.type("echo $? ended\r")
    terminal.until(lambda: "0 ended" in terminal.text)


@pytest.mark.soak(minutes=3)
@pytest.mark.parametrize("lasts", sorted({MOMENT, times(MOMENT, LONGER)}))
async def test_stopped_while_watches_end_and_versions_expire(scene: Scene, lasts: int) -> None:
    """What went while it was stopped goes from the screen, and its age is told as it is."""
    await make(scene, "part-a", "part-b", "part-c")
    terminal = await asyncio.to_thread(in_shell, scene)
    path = f"/apis/batch/v1/namespaces/{scene.namespace}/jobs"
    try:
        await asyncio.to_thread(
            terminal.until, lambda: rows(terminal) == {"part-a", "part-b", "part-c"}
        )
        await asyncio.to_thread(terminal.until, lambda: scene.kube.count(r"/jobs\?.*watch=true"))
        await asyncio.to_thread(stop, terminal, scene)
        over = time.monotonic() + lasts
        # The server ends the watches, moves on, and then is not to be had for a while.
        await scene.kube.refuse()
        gone = await asyncio.to_thread(
            scene.ground.api, "DELETE", f"{path}/part-b", {"propagationPolicy": "Background"}
        )
        gone.ok()
        await make(scene, "part-d")
        listed = await asyncio.to_thread(scene.ground.api, "GET", path)
        now = int(listed.ok()["metadata"]["resourceVersion"])
        await asyncio.sleep(over - time.monotonic())
        asked = len(scene.kube.calls)
        await asyncio.to_thread(resume, terminal)

        ages: list[int] = []

        def is_said() -> bool:
            told = re.search(r"k8s (?:STALE|DOWN) +(\d+)([sm])", terminal.text)
            ages.extend([int(told[1]) * (60 if told[2] == "m" else 1)] if told else [])
            return len(ages) > 3

        # Rows of before are still there, and nobody takes them for what is.
        await asyncio.to_thread(terminal.until, is_said)
        assert min(ages) >= lasts, ages
        assert rows(terminal) == {"part-a", "part-b", "part-c"}
        assert len(scene.kube.calls) == asked
        # It is back, and what it kept for those watches is gone.
        compacted = scene.kube.add(Compacted(Answer(410, EXPIRED), before=now))
        await scene.kube.accept()
        await asyncio.to_thread(
            terminal.until, lambda: rows(terminal) == {"part-a", "part-c", "part-d"}
        )
        await asyncio.to_thread(terminal.until, lambda: "STALE" not in terminal.text)
        # Who was away for long does not even ask for what it missed.
        assert bool(compacted.hits) is (lasts < Timing().away), scene.kube.calls[asked:]
        # And it follows again.
        await make(scene, "part-e")
        await asyncio.to_thread(terminal.until, lambda: "part-e" in rows(terminal))
        await asyncio.to_thread(leave, terminal)
        assert b"Traceback" not in terminal.raw
    finally:
        terminal.close()


@pytest.mark.soak(minutes=3)
async def test_stopped_for_long_it_lists_again_though_its_watch_is_open(scene: Scene) -> None:
    """What was sent meanwhile has come, and is nothing to go by after so long."""
    await make(scene, "part-a", "part-b")
    terminal = await asyncio.to_thread(in_shell, scene)
    path = f"/apis/batch/v1/namespaces/{scene.namespace}/jobs"
    lists, watches = rf"{path}\?(?!.*watch=)", rf"{path}\?.*watch=true"
    try:
        await asyncio.to_thread(terminal.until, lambda: rows(terminal) == {"part-a", "part-b"})
        await asyncio.to_thread(terminal.until, lambda: scene.kube.count(watches))
        # The first look of a watch, from which on its time counts.
        await asyncio.sleep(Timing().fast_end)
        assert (scene.kube.count(lists), scene.kube.count(watches)) == (1, 1)
        await asyncio.to_thread(stop, terminal, scene)
        over = time.monotonic() + LONGER
        gone = await asyncio.to_thread(
            scene.ground.api, "DELETE", f"{path}/part-b", {"propagationPolicy": "Background"}
        )
        gone.ok()
        await make(scene, "part-c")
        await asyncio.sleep(over - time.monotonic())
        assert (scene.kube.count(lists), scene.kube.count(watches)) == (1, 1)
        await asyncio.to_thread(resume, terminal)
        await asyncio.to_thread(terminal.until, lambda: rows(terminal) == {"part-a", "part-c"})
        await asyncio.to_thread(terminal.until, lambda: scene.kube.count(watches) == 2)
        await make(scene, "part-d")
        await asyncio.to_thread(terminal.until, lambda: "part-d" in rows(terminal))
        assert (scene.kube.count(lists), scene.kube.count(watches)) == (2, 2)
        await asyncio.to_thread(leave, terminal)
        assert b"Traceback" not in terminal.raw
    finally:
        terminal.close()


@contextmanager
def storm(scene: Scene, *names: str) -> Iterator[list[int]]:
    """The jobs change as fast as one caller can change them."""
    over = threading.Event()
    done = [0]

    def change() -> None:
        while not over.is_set():
            for name in names:
                done[0] += 1
                scene.ground.api(
                    "PATCH",
                    f"/apis/batch/v1/namespaces/{scene.namespace}/jobs/{name}",
                    {"metadata": {"annotations": {"n": str(done[0])}}},
                    content_type="application/merge-patch+json",
                ).ok()

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join(DEADLINE)


def marked(mark: str) -> list[str]:
    """Living processes with a mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or mark.encode() not in (entry / "environ").read_bytes():
                continue
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def with_hanging_plugin(scene: Scene, folder: Path) -> dict[str, str]:
    """A second context, whose exec plugin is a process that never ends by itself."""
    path = folder / "kubeconfig"
    config = yaml.safe_load(path.read_text())
    script = folder / "login.sh"
    script.write_text(f'#!/bin/sh\ntouch "{folder}/asked"\nsleep 600 & wait\n')
    script.chmod(0o700)
    version = "client.authentication.k8s.io/v1"
    plugin = {"apiVersion": version, "command": str(script), "interactiveMode": "Never"}
    config["users"].append({"name": "slow", "user": {"exec": plugin}})
    config["contexts"].append({"name": "slow", "context": {"cluster": "faulty", "user": "slow"}})
    path.write_text(json.dumps(config))
    return {**scene.env, "MCP_TUI_TEST_MARK": secrets.token_hex(12)}


@pytest.mark.parametrize("how", ["hang up", "hang up unread", "HUP", "TERM"])
async def test_a_terminal_that_closes_in_a_storm_leaves_no_process(
    scene: Scene, tmp_path: Path, how: str
) -> None:
    names = ("part-a", "part-b", "part-c")
    await make(scene, *names)
    env = with_hanging_plugin(scene, tmp_path)
    mark = env["MCP_TUI_TEST_MARK"]

    def use() -> None:
        terminal = opened(env, "--context", "faulty,slow", "-n", scene.namespace)
        with closing([terminal]):
            all_until([terminal], lambda it: rows(it) == set(names))
            all_until([terminal], lambda _: (tmp_path / "asked").exists())
            assert len(marked(mark)) >= 3
            with storm(scene, *names) as done:
                before, drawn = done[0], len(terminal.raw)
                terminal.type(":sort name\r")
                all_until([terminal], lambda it: done[0] > before + 30 and len(it.raw) > drawn)
                if how == "hang up unread":
                    # It is writing, and can not go on with that, when the terminal goes.
                    for number in range(40):
                        terminal.resize(60 + number, 20 + number // 4)
                        terminal.type("j")
                if how.startswith("hang up"):
                    os.close(terminal.fd)
                else:
                    os.kill(terminal.pid, getattr(signal, f"SIG{how}"))
                code = terminal.wait()
                assert code in (0, 129, 143, -signal.SIGHUP), code
            end = time.monotonic() + DEADLINE
            while left := marked(mark):
                assert time.monotonic() < end, f"left: {left}"
                time.sleep(0.05)
            if how in ("HUP", "TERM"):
                assert code == 128 + getattr(signal, f"SIG{how}")
                all_until([terminal], lambda it: not it.read())
                assert GIVEN_BACK[0] in terminal.raw
                assert not faults(terminal.raw, (100, 30))

    await asyncio.to_thread(use)
