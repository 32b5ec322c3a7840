"""The console on a real pseudo-terminal: drawn, resized, left, hung up, killed."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal

_PROMPT = b"\x1b[24;"
"""What is written before the terminal's last line, each time that it is drawn."""

CHILD = """
import sys
from mcp_tui.tui.model import ConsoleOptions
from mcp_tui.tui.run import run_console
from tests.tui.fake import FakeBackend
from tests.tui.fake_terminals import offer
from dataclasses import replace
import asyncio
class Backend(FakeBackend):
    def __init__(self):
        super().__init__()
        offer(self).meanwhile = self.stir
    def stir(self, count=0):
        # What the list does behind a shell's back: more frames than a driver that is off queues.
        self.current = replace(self.current, user=f"stirred{count}")
        self.on_change()
        if count < 60:
            asyncio.get_running_loop().call_later(0.02, self.stir, count + 1)
    async def stop(self):
        open(sys.argv[1], "w").write("stopped")
sys.exit(run_console(Backend, ConsoleOptions(contexts=("dev",), ascii=False)))
"""


EARLY = """
import asyncio, sys
from mcp_tui.errors import UsageError
from mcp_tui.tui.model import ConsoleOptions
from mcp_tui.tui.run import run_console
from tests.tui.fake import FakeBackend
class Backend(FakeBackend):
    def begin(self):
        self.early = "textual" not in sys.modules
    async def start(self, on_change):
        await asyncio.Event().wait()
    async def stop(self):
        open(sys.argv[1], "w").write(f"stopped, begun early: {self.early}")
try:
    sys.exit(run_console(Backend, ConsoleOptions(contexts=("dev",), theme=sys.argv[2])))
except UsageError as error:
    sys.exit(error.line())
"""


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    return tmp_path / "stopped"


@pytest.fixture
def terminal(stopped: Path) -> Iterator[Terminal]:
    env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SSH_CONNECTION": ""}
    opened = Terminal([sys.executable, "-c", CHILD, str(stopped)], env, (80, 24))
    try:
        opened.until(lambda: "ranker-train-0412" in opened.text)
        yield opened
    finally:
        opened.close()


def test_it_draws_lives_through_a_resize_and_leaves_in_order(
    terminal: Terminal, stopped: Path
) -> None:
    assert terminal.screen.display[0].startswith(" DEV dev alice WRITE")
    assert terminal.screen.display[4].startswith(" \u2717 failed")
    terminal.resize(60, 15)
    terminal.until(
        lambda: "DONE" not in terminal.text and "? all keys" in terminal.screen.display[14]
    )
    terminal.type("j")
    terminal.type("\x1b[B")
    terminal.type("q")
    terminal.until(lambda: "leave the console?" in terminal.text)
    terminal.type("y")
    assert terminal.wait() == 0
    assert stopped.read_text() == "stopped"
    assert b"\x1b[?1049l" in terminal.raw, "the terminal is given back"


def test_servers_are_asked_before_there_is_a_screen_and_left_though_they_never_answered(
    stopped: Path,
) -> None:
    env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SSH_CONNECTION": ""}
    opened = Terminal([sys.executable, "-c", EARLY, str(stopped), "default"], env, (80, 24))
    try:
        opened.until(lambda: "connecting to dev" in opened.text)
        opened.type("\x03\x03")
        assert opened.wait() == 0
    finally:
        opened.close()
    assert stopped.read_text() == "stopped, begun early: True"


def test_what_was_begun_is_ended_where_no_screen_can_be(stopped: Path) -> None:
    command = [sys.executable, "-c", EARLY, str(stopped), "nonesuch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, stopped.exists()) == (1, True)
    assert "no theme nonesuch" in done.stderr


def test_ctrl_c_twice_leaves(terminal: Terminal, stopped: Path) -> None:
    terminal.type("\x03")
    terminal.until(lambda: "ctrl-c again" in terminal.text)
    terminal.type("\x03")
    assert terminal.wait() == 0
    assert stopped.exists()


def test_the_terminal_is_given_to_a_shell_and_taken_back(terminal: Terminal) -> None:
    terminal.type("\r\t")
    terminal.until(lambda: "exit 137" in terminal.text)
    terminal.type("je")
    terminal.until(lambda: b"sh-5$" in terminal.raw)
    before = len(terminal.raw)
    end = time.monotonic() + 1.5  # longer than a tick of the console
    while time.monotonic() < end:
        terminal.read()
    assert terminal.raw[before:] == b"", "the console drew on a terminal that was not its own"
    terminal.type("hello\r")
    terminal.until(lambda: "the shell said hello" in terminal.text)
    assert b"hello" in terminal.raw[before:]
    terminal.until(lambda: "stirred60" in terminal.text and "Overview" in terminal.text)
    terminal.type("?")
    terminal.until(lambda: "Everywhere" in terminal.text)


def test_a_bracketed_paste_does_nothing_in_a_list(terminal: Terminal) -> None:
    terminal.type("\x1b[200~xqy\nxx\x1b[201~")
    terminal.type("?")
    terminal.until(lambda: "Everywhere" in terminal.text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(
    terminal: Terminal, stopped: Path, number: signal.Signals
) -> None:
    os.kill(terminal.pid, number)
    assert terminal.wait() == 128 + number
    assert stopped.exists()
    assert b"\x1b[?1049l" in terminal.raw


def test_a_closed_terminal_ends_it_in_order(terminal: Terminal, stopped: Path) -> None:
    os.close(terminal.fd)
    terminal.wait()
    assert stopped.exists()


def pour(terminal: Terminal, data: bytes) -> None:
    """Write much, and read what is drawn meanwhile, as a terminal does."""
    while data:
        readable, writable, _ = select.select([terminal.fd], [terminal.fd], [], 1.0)
        if writable:
            data = data[os.write(terminal.fd, data[:4096]) :]
        if readable:
            terminal.read()


@pytest.mark.parametrize("brackets", [("", ""), ("\x1b[200~", "\x1b[201~")])
def test_a_megabyte_of_rubbish_in_the_filter_is_over_at_once(
    terminal: Terminal, brackets: tuple[str, str]
) -> None:
    terminal.type("/")
    terminal.until(lambda: terminal.screen.display[23].startswith(" /"))
    data = (brackets[0] + "xq zt\r" * 150_000 + brackets[1]).encode()
    pour(terminal, data)
    terminal.until(lambda: "xq zt" in terminal.screen.display[23])
    terminal.insist("\x1b", lambda: "? all keys" in terminal.screen.display[23])
    terminal.type("?")
    terminal.until(lambda: "Everywhere" in terminal.text)


@pytest.mark.parametrize("brackets", [("", ""), ("\x1b[200~", "\x1b[201~")])
def test_a_megabyte_in_one_line_of_the_filter_is_taken_at_once(
    terminal: Terminal, brackets: tuple[str, str]
) -> None:
    """It is one text, cut to what a line holds: drawn a few times, and the next key counts."""
    terminal.type("/")
    terminal.until(lambda: terminal.screen.display[23].startswith(" /"))
    before = len(terminal.raw)
    data = (brackets[0] + "ranker " * 150_000 + brackets[1]).encode()
    sent = len(data)
    assert sent > 1_000_000
    pour(terminal, data)
    terminal.until(lambda: "ranker ranker" in terminal.screen.display[23])
    terminal.insist("\x1b", lambda: "? all keys" in terminal.screen.display[23])
    terminal.type("?")
    terminal.until(lambda: "Everywhere" in terminal.text)
    written = terminal.raw[before:]
    # One for each piece that was read would be hundreds.
    assert written.count(_PROMPT) < 40, written.count(_PROMPT)
    assert len(written) < sent // 20


def test_input_that_is_no_text_ends_nothing(terminal: Terminal) -> None:
    os.write(terminal.fd, b"\xff\xa5\x80\xc3(" * 200)
    terminal.insist(":", lambda: terminal.screen.display[23].startswith(" :"))
    terminal.type("\x1b")
    terminal.until(lambda: "? all keys" in terminal.screen.display[23])
    assert b"Traceback" not in terminal.raw


@pytest.mark.parametrize(
    ("locale", "told"),
    [
        ({"LC_ALL": "C"}, "False"),
        ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, "False"),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, "True"),
        # Without LC_ALL Python puts a locale of UTF-8 in the place of C.
        ({"LANG": "C"}, "False"),
        ({"LC_CTYPE": "C", "LANG": "C.UTF-8"}, "False"),
        ({}, "False"),
        ({"LANG": "C.UTF-8"}, "True"),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, "True"),
    ],
)
def test_the_signs_follow_the_locale_and_not_pythons_preference(
    locale: dict[str, str], told: str
) -> None:
    code = "from mcp_tui.locales import utf8_locale; print(utf8_locale())"
    others = {k: v for k, v in os.environ.items() if k != "LANG" and not k.startswith("LC_")}
    env = {**others, **locale}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == told


def test_ctrl_z_goes_to_the_shell_and_fg_comes_back(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    (tmp_path / "console.py").write_text(CHILD)
    env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "SSH_CONNECTION": "", "PS1": "ready> "}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    opened = Terminal([bash, "--norc", "-i"], env, (80, 24))
    try:
        opened.until(lambda: "ready>" in opened.text)
        opened.type(f"{sys.executable} {tmp_path}/console.py {tmp_path}/stopped\r")
        opened.until(lambda: "ranker-train-0412" in opened.text)
        before = len(opened.raw)
        opened.type("\x1a")
        opened.until(lambda: b"ready> " in opened.raw[before:])
        assert b"\x1b[?1049l" in opened.raw[before:], "the terminal is given back"
        # What is on the screen goes: all of it has to be drawn again.
        opened.type("printf '\\033c'\r")
        opened.until(lambda: "ranker-train-0412" not in opened.text)
        opened.type("fg\r")
        opened.until(lambda: "ranker-train-0412" in opened.text and "? all keys" in opened.text)
        assert opened.screen.display[0].startswith(" DEV dev")
        opened.type("qy")
        opened.until((tmp_path / "stopped").exists)
        opened.type("exit\r")
        opened.wait()
    finally:
        opened.close()


def test_ctrl_z_without_a_shell_behind_stops_nothing(terminal: Terminal) -> None:
    terminal.type("\x1a")
    terminal.until(lambda: "no shell here to go to" in terminal.text)
    terminal.type("?")
    terminal.until(lambda: "Everywhere" in terminal.text)
