"""``mcp-tui demo`` leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.demo_process import OnTerminal, Served, left_over, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc"),
]

_END = 30.0


def _nothing_left(directory: Path) -> None:
    wait_for(lambda: not left_over(directory), _END, f"an end of {left_over(directory)}")
    wait_for(lambda: not directory.exists(), _END, f"the end of {directory}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    demo = Served(tmp_path)
    yield demo
    demo.end()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 0),
        (signal.SIGTERM, 0),
        (signal.SIGHUP, 0),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left_after_a_signal(served: Served, number: int, code: int) -> None:
    served.wait_pod()
    # The console, keeper, plane, node, its guardian, MLflow and a simulator at the least.
    assert len(left_over(served.directory)) >= 6
    assert served.signal(number) == code, served.text
    _nothing_left(served.directory)
    assert "Traceback" not in served.text


def test_nothing_is_left_when_the_keeper_is_killed(served: Served) -> None:
    served.wait_mlflow()
    served.wait_pod()
    os.kill(served.keeper(), signal.SIGKILL)
    assert served.process.wait(30) == 4, served.text
    assert "was ended from outside" in served.text
    _nothing_left(served.directory)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[OnTerminal]:
    demo = OnTerminal(tmp_path)
    yield demo
    demo.end()


@pytest.mark.parametrize("how", ["keys", "TERM", "KILL", "hang up"])
def test_nothing_is_left_of_a_console(console: OnTerminal, how: str) -> None:
    console.until("STATE")
    directory = console.directory()
    console.until("vision-r")
    assert len(left_over(directory)) >= 6
    if how == "keys":
        console.type("\x03")
        console.read(0.3)
        console.type("\x03")
    elif how == "hang up":
        console.hang_up()
    else:
        os.kill(console.pid, getattr(signal, f"SIG{how}"))
    console.wait()
    _nothing_left(directory)
    if how == "keys":
        assert console.status == 0


def test_a_terminal_closed_in_the_middle_of_a_frame_leaves_nothing(console: OnTerminal) -> None:
    # Not read, so that the console is writing, and fails in it, when the terminal goes.
    wait_for(lambda: len(list(console.temporary.glob("mcp-tui-demo-*/state.json"))), 60, "a start")
    directory = console.directory()
    console.read(60.0)
    console.hang_up()
    wait_for(console.over, 60, "its end")
    _nothing_left(directory)


def test_a_console_left_before_its_servers_are_up_leaves_nothing(console: OnTerminal) -> None:
    console.until("STATE")
    directory = console.directory()
    os.kill(console.pid, signal.SIGKILL)
    console.wait()
    _nothing_left(directory)
