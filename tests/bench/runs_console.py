"""The console's Runs pane on a tracking server with much in it, in a process of its own.

No cluster answers: what is measured is what MLflow's part costs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.first_frame import KUBECONFIG
from tests.bench.terminal import Mark, Terminal
from tests.bench.tracker import Tracker

READ: Final = 3_000
"""Runs that are gone down to."""

_TURNS: Final = 10
_OPENINGS: Final = 3
_QUIET: Final = 1.0
_NOTHING: Final = 200
"""Bytes a second: ages in the bar, and no counts of experiments that are still read."""

_DEADLINE: Final = 60.0


@dataclass(frozen=True)
class Opened:
    """Seconds and bytes.

    Attributes:
        first: From the key that opens an experiment to its first rows.
        rows: How many rows, nested runs not counted, were gone down to.
        stall: The longest that the loop was held up meanwhile.
        resident: The console's memory behind it.
    """

    first: float
    rows: int
    stall: float
    resident: int


@contextlib.contextmanager
def console(at: Tracker, **more: str) -> Iterator[Terminal]:
    """The console on the experiments of a server."""
    with tempfile.TemporaryDirectory(prefix="mcp-tui-bench-") as directory:
        home = Path(directory)
        (home / "kubeconfig").write_text(KUBECONFIG)
        (home / "config.toml").write_text(
            f'[contexts.somewhere-dev]\ntier = "dev"\nmlflow = {{url = "{at.url}"}}\n'
        )
        env = {
            "KUBECONFIG": str(home / "kubeconfig"),
            "MCP_TUI_CONFIG": str(home / "config.toml"),
            "XDG_STATE_HOME": str(home / "state"),
            **more,
        }
        with Terminal((), env=env) as terminal:
            terminal.wait("rows")
            terminal.press("3")
            # The one experiment that each server has is among them.
            terminal.wait("rows", str(len(at.experiment_ids()) + 1))
            _rest(terminal)
            yield terminal


def _rest(terminal: Terminal) -> None:
    """Wait until the console writes next to nothing any more."""
    until = time.monotonic() + _DEADLINE
    while time.monotonic() < until:
        size = terminal.size
        time.sleep(_QUIET)
        if terminal.size - size < _NOTHING:
            return
    raise TimeoutError("the console does not come to rest")


def _rows(terminal: Terminal, more_than: int, since: float) -> Mark:
    """The mark of more rows than so many, after a moment."""
    at, until = since, time.monotonic() + _DEADLINE
    while True:
        mark = terminal.wait("rows", since=at, deadline=until - time.monotonic())
        if int(mark.value) > more_than:
            return mark
        at = mark.at


def open_runs(at: Tracker) -> Opened:
    """Open the experiment of the newest run, and go down it."""
    with console(at, MCP_TUI_BENCH_STALLS="1") as terminal:
        terminal.key("g")
        _stall(terminal)
        began = terminal.press("\r")
        shown = _rows(terminal, 0, began)
        first = shown.at - began
        while (count := int(shown.value)) < READ:
            terminal.press("G")
            shown = _rows(terminal, count, shown.at)
        return Opened(first, count, _stall(terminal), terminal.resident)


@dataclass(frozen=True)
class Side:
    """Seconds from a key to its frame.

    Attributes:
        opened: The key that puts the marked runs side by side, until they stand there; each time.
        shown: All rows in place of those that differ, and back: the slowest.
    """

    opened: tuple[float, ...]
    shown: float


def compare_runs(at: Tracker) -> Side:
    """Mark all wide runs, put them side by side, and ask for all rows."""
    with console(at) as terminal:
        for keys in ("/", *"wide", "\r"):
            terminal.key(keys)
        _rows(terminal, at.size.wide - 1, terminal.press("\r"))
        _rest(terminal)
        for _ in range(at.size.wide):
            terminal.key(" ")
        _rest(terminal)
        opened = []
        for _ in range(_OPENINGS):
            terminal.look_for(b"group/metric_00")
            pressed = terminal.press("=")
            opened.append(terminal.wait("needle", since=pressed, deadline=_DEADLINE).at - pressed)
            _rest(terminal)
            shown = [terminal.key("0") for _ in range(_TURNS)]
            terminal.key("q")
            _rest(terminal)
        return Side(tuple(opened), max(shown))


def _stall(terminal: Terminal) -> float:
    """The longest that the loop was held up since this was asked last, in seconds."""
    now = time.monotonic()
    os.kill(terminal.pid, signal.SIGUSR1)
    return float(terminal.wait("stall", since=now).value) / 1000
