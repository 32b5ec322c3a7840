"""The console in terminals of all kinds, sizes and manners: narrow, dull, stopped, gone, deaf."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak import times
from tests.tui.terminal import DEADLINE, Terminal

REPO = Path(__file__).parents[2]

# A list that never rests, and an event loop that tells how often it came round.
CHILD = """
import asyncio, json, signal, sys, time
from textual import events
from textual._context import active_app
from textual.geometry import Size
from dataclasses import replace
from mcp_tui.tui.model import ConsoleOptions
from mcp_tui.tui.run import run_console
from tests.tui.fake import FakeBackend, many

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

class Backend(FakeBackend):
    def __init__(self):
        super().__init__(*([many(300)] if len(sys.argv) > 2 else []))
        self.turns, self.longest, self.last = 0, 0.0, time.monotonic()
    async def start(self, on_change):
        await super().start(on_change)
        asyncio.get_running_loop().call_later(0.05, self.turn)
        old, app = Size(20, 5), active_app.get()
        tell = lambda: app.post_message(events.Resize(old, old))
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    def turn(self):
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.last = now
        self.turns += 1
        if len(sys.argv) > 2:
            jobs = list(self.model.jobs.values())
            why = f"step {self.turns} of many"
            self.model.put([replace(job, why=why) for job in jobs])
            self.on_change()
        with open(sys.argv[1], "w") as file:
            json.dump({"turns": self.turns, "longest": self.longest, "resident": resident()}, file)
        asyncio.get_running_loop().call_later(0.05, self.turn)
    async def stop(self):
        open(sys.argv[1] + ".stopped", "w").write("stopped")
sys.exit(run_console(Backend, ConsoleOptions(contexts=("dev",), ascii=None)))
"""


class Opened(Terminal):
    """The console over a list in memory, and what its event loop tells."""

    def __init__(self, folder: Path, env: dict[str, str], *, restless: bool = False) -> None:
        self.told_in = folder / "told"
        base = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SSH_CONNECTION": "",
                "NO_COLOR": "", "PYTHONPATH": str(REPO)}  # fmt: skip
        argv = [sys.executable, "-c", CHILD, str(self.told_in), *(["restless"] * restless)]
        super().__init__(argv, base | env, (80, 24), folder)

    def told(self) -> dict[str, float]:
        """The loop's turns, its longest pause and the resident memory."""
        end = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(ValueError, OSError):
                found: dict[str, float] = json.loads(self.told_in.read_text())
                return found
            assert time.monotonic() < end, "it told nothing"
            time.sleep(0.01)

    def home(self) -> None:
        """To the list, wherever one is."""
        end = time.monotonic() + DEADLINE
        while "leave the console?" not in self.text:
            assert time.monotonic() < end, f"no way back:\n{self.text}"
            self.type("\x1b")
            pause = time.monotonic() + 0.4
            while time.monotonic() < pause and "leave the console?" not in self.text:
                self.read()
        self.type("n")
        self.until(lambda: "leave the console?" not in self.text)

    def leave(self) -> None:
        self.insist("q", lambda: "leave the console?" in self.text)
        self.type("y")
        assert self.wait() == 0


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path, {})
    try:
        opened.until(lambda: "ranker-train-0412" in opened.text)
        yield opened
    finally:
        opened.close()


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path, {}, restless=True)
    try:
        opened.until(lambda: "job-000" in opened.text)
        yield opened
    finally:
        opened.close()


SIZES = [(20, 5), (21, 6), (80, 24), (200, 60), (20, 60), (200, 5), (37, 11), (79, 23)]


@pytest.mark.soak
def test_it_lives_through_a_storm_of_resizes_in_every_screen(restless: Opened) -> None:
    ways = ["", "\r", "\r\t", "l", "?", "s", "s\x14", "t", "x", "L", ":", "/", "q"]
    for number, way in enumerate(ways):
        restless.type(way)
        end = time.monotonic() + times(5, 60) / len(ways)
        step = number
        while time.monotonic() < end:
            restless.resize(*SIZES[step % len(SIZES)])
            step += 3
            pause = time.monotonic() + 0.05
            while time.monotonic() < pause:
                assert restless.read(), f"it ended in {way!r}"
        # From the smallest, too, each of them is left again.
        restless.resize(20, 5)
        restless.type("\x1b")
        restless.resize(80, 24)
        restless.home()
    assert b"Traceback" not in restless.raw
    assert b"failed and had to end" not in restless.raw
    restless.leave()


def test_a_size_that_is_told_too_late_does_not_stay(quiet: Opened) -> None:
    """A signal's handler that the next one interrupts tells its size after that one's."""
    turns = quiet.told()["turns"]
    os.kill(quiet.pid, signal.SIGUSR1)
    quiet.until(lambda: quiet.told()["turns"] > turns + 4)
    quiet.type("/")
    quiet.type("r" * 40)
    quiet.until(lambda: "r" * 40 in quiet.text)


@pytest.mark.parametrize("term", ["screen", "tmux-256color", "xterm", "linux", "xterm-kitty"])
def test_it_draws_and_leaves_in_every_kind_of_terminal(term: str, tmp_path: Path) -> None:
    opened = Opened(tmp_path, {"TERM": term, "COLORTERM": ""})
    try:
        opened.until(lambda: "ranker-train-0412" in opened.text)
        opened.type("j\r")
        opened.until(lambda: "[Overview]" in opened.text)
        opened.type("\x1b")
        opened.until(lambda: "by urgency" in opened.text)
        opened.leave()
    finally:
        opened.close()
    assert b"\x1b[?1049l" in opened.raw, "the terminal is given back"
    if term in ("screen", "xterm", "linux"):
        assert not re.search(rb"\x1b\[[0-9;]*[34]8;[25];", opened.raw), "it has sixteen colours"


def test_a_terminal_that_cannot_place_text_is_said(tmp_path: Path) -> None:
    for term in ("dumb", ""):
        argv = [sys.executable, "-m", "mcp_tui"]
        opened = Terminal(argv, {"TERM": term, "PYTHONPATH": str(REPO)}, (80, 24), tmp_path)
        try:
            assert opened.wait() == 2
        finally:
            opened.close()
        assert b"cannot place text" in opened.raw
        assert b"\x1b" not in opened.raw


def test_nothing_but_ascii_is_written_where_the_locale_is_c(tmp_path: Path) -> None:
    opened = Opened(tmp_path, {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": ""})
    try:
        opened.until(lambda: "ranker-train-0412" in opened.text)
        for keys, there in (("\r", "[Overview]"), ("\t", "[Pods]"), ("?", "Everywhere")):
            opened.type(keys)
            opened.until(lambda there=there: there in opened.text)  # type: ignore[misc]  # bound now
        opened.type("\x1b")
        opened.until(lambda: "[Pods]" in opened.text)
        opened.type("\x1b")
        opened.until(lambda: "by urgency" in opened.text)
        opened.type("x")
        opened.until(lambda: "checks" in opened.text)
        opened.home()
        opened.leave()
    finally:
        opened.close()
    assert opened.raw.isascii()


def test_no_colour_is_written_where_none_is_wanted(tmp_path: Path) -> None:
    opened = Opened(tmp_path, {"NO_COLOR": "1"})
    try:
        opened.until(lambda: "ranker-train-0412" in opened.text)
        opened.type("\r")
        opened.until(lambda: "[Overview]" in opened.text)
        opened.type("\x1b")
        opened.until(lambda: "by urgency" in opened.text)
        opened.leave()
    finally:
        opened.close()
    styles = {part for found in re.findall(rb"\x1b\[([0-9;]*)m", opened.raw)
              for part in found.split(b";")}  # fmt: skip
    assert styles <= {b"", b"0", b"1", b"2", b"3", b"4", b"7"}, styles


@pytest.mark.soak
def test_a_reader_that_stops_holds_nothing_up_and_costs_no_memory(restless: Opened) -> None:
    before = restless.told()
    # Nothing is read: the way to the terminal is full within a second or two.
    time.sleep(times(4, 60))
    full = restless.told()["turns"]
    end = time.monotonic() + DEADLINE
    while restless.told()["turns"] < full + 10:
        assert time.monotonic() < end, "the loop stands still"
        time.sleep(0.05)
    after = restless.told()
    assert after["resident"] - before["resident"] < 30_000_000
    # What is drawn when it reads again is what there is now, whole.
    turns = after["turns"]

    def caught_up() -> bool:
        found = re.search(r"step (\d+) of", restless.text)
        return found is not None and int(found[1]) > turns

    restless.until(caught_up)
    restless.type("?")
    restless.until(lambda: "Everywhere" in restless.text)
    restless.type("\x1b")

    def whole() -> bool:
        lines = restless.screen.display
        return lines[0].startswith(" DEV dev") and lines[3].startswith(" STATE")

    restless.until(lambda: "by urgency" in restless.text and whole())
    restless.leave()


@pytest.mark.parametrize("busy", [False, True])
def test_a_terminal_that_is_closed_leaves_no_process(tmp_path: Path, busy: bool) -> None:
    opened = Opened(tmp_path, {}, restless=busy)
    try:
        opened.until(lambda: "by urgency" in opened.text)
        if busy:
            time.sleep(2)  # Unread: its writer is stuck by now.
        os.close(opened.fd)
        opened.wait()
        with pytest.raises(ProcessLookupError):
            os.kill(opened.pid, 0)
    finally:
        opened.close()


def test_a_reader_that_stopped_does_not_keep_it_from_leaving(restless: Opened) -> None:
    time.sleep(2)
    os.kill(restless.pid, signal.SIGTERM)
    end = time.monotonic() + DEADLINE
    while os.waitpid(restless.pid, os.WNOHANG)[0] == 0:
        assert time.monotonic() < end, "it waits for a reader"
        time.sleep(0.05)
    restless.code = 143


def test_ctrl_z_again_and_again(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "console.py").write_text(CHILD)
    env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SSH_CONNECTION": "", "PS1": "ready> ",
           "PYTHONPATH": str(REPO)}  # fmt: skip
    opened = Terminal([bash, "--norc", "-i"], env, (80, 24))
    try:
        opened.until(lambda: "ready>" in opened.text)
        opened.type(f"{sys.executable} {tmp_path}/console.py {tmp_path}/told restless\r")
        opened.until(lambda: "by urgency" in opened.text)
        for size in ((100, 30), (20, 5), (80, 24)):
            before = len(opened.raw)
            opened.type("\x1a")
            opened.until(lambda b=before: b"ready> " in opened.raw[b:])  # type: ignore[misc]  # bound now
            opened.resize(*size)
            before = len(opened.raw)
            opened.type("fg\r")
            opened.until(lambda b=before: b"\x1b[?1049h" in opened.raw[b:])  # type: ignore[misc]  # as above
            opened.until(lambda: "DEV" in opened.screen.display[0])
        opened.until(lambda: "? all keys" in opened.text)
        opened.insist("q", lambda: "leave the console?" in opened.text)
        opened.type("y")
        opened.until((tmp_path / "told.stopped").exists)
        opened.type("exit\r")
        opened.wait()
    finally:
        opened.close()
