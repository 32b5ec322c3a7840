"""The console beside kubectl on a cluster of many jobs: start, memory, idling and keys.

All on the real API server; the console is the real one, on a pseudo-terminal, in a process of its
own. ``python -m tests.bench.scale 1000`` prints the figures at another size, and with names behind
the number only these parts of them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.rest import settle
from tests.bench.scene import Scene, Size
from tests.bench.terminal import Terminal
from tests.bench.weather import ARGUMENTS, SETTLE, Keys, only, sort_by_each, use
from tests.cluster import Ground
from tests.cluster.ground import kubectl

FULL: Final = Size(jobs=10_000, pods=50_000)


@dataclass(eq=False)
class Stage:
    """A ground with a filled cluster."""

    ground: Ground
    size: Size

    @property
    def env(self) -> dict[str, str]:
        """For the console."""
        return {"KUBECONFIG": str(self.ground.kubeconfig), "XDG_STATE_HOME": str(self._state)}

    @property
    def _state(self) -> Path:
        return self.ground.directory / "state"

    def terminal(self, *, more: Mapping[str, str] | None = None, **options: Any) -> Terminal:
        """The console on it."""
        return Terminal(ARGUMENTS, env=self.env | dict(more or {}), **options)


@contextlib.contextmanager
def stage(size: Size = FULL) -> Iterator[Stage]:
    """A real cluster of that size; ends with the block.

    ``MCP_TUI_BENCH_GROUND`` names the directory of one that was filled before and stays.
    """
    if given := os.environ.get("MCP_TUI_BENCH_GROUND"):
        ground = Ground.attach(Path(given).resolve())
        page = ground.api("GET", "/apis/batch/v1/jobs", params={"limit": "1"}).ok()
        jobs = len(page["items"]) + page["metadata"].get("remainingItemCount", 0)
        yield Stage(ground, Size(jobs, jobs * 5))
        return
    with tempfile.TemporaryDirectory(prefix="mcp-tui-bench-") as directory:
        ground = Ground.start(Path(directory) / "ground", contexts=("dev",), owner=os.getpid())
        try:
            Scene(ground).fill(size)
            settle(ground, 300)
            yield Stage(ground, size)
        finally:
            ground.stop()


@dataclass(frozen=True)
class Kubectl:
    """What ``kubectl get jobs -A`` takes."""

    seconds: float
    resident: int


def list_by_kubectl(at: Stage) -> Kubectl:
    """One time."""
    command = [str(kubectl()), f"--kubeconfig={at.ground.kubeconfig}", "get", "jobs", "-A"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise RuntimeError("kubectl could not list the jobs")
    return Kubectl(time.monotonic() - began, usage.ru_maxrss * 1024)


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process to rows on the screen, and the memory then."""

    first: float
    every: float
    resident: int


def start(at: Stage) -> Start:
    """One time."""
    with at.terminal() as terminal:
        every = terminal.wait("rows", str(at.size.jobs))
        first = next(m for m in terminal.marks if m.name == "rows" and m.value != "0")
        time.sleep(SETTLE)
        return Start(first.at - terminal.started, every.at - terminal.started, terminal.resident)


def starts(at: Stage, rounds: int = 5) -> tuple[Kubectl, Start]:
    """The best of some rounds of both, in turns: a shared machine is not as fast all the time."""
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(list_by_kubectl(at))
        ours.append(start(at))
    return (
        Kubectl(min(one.seconds for one in theirs), min(one.resident for one in theirs)),
        Start(
            min(one.first for one in ours),
            min(one.every for one in ours),
            max(one.resident for one in ours),
        ),
    )


def quiet_keys(at: Stage, rounds: int = 3) -> Keys:
    """Keys while nothing changes."""
    keys = Keys()
    with at.terminal() as terminal:
        terminal.wait("rows", str(at.size.jobs))
        time.sleep(SETTLE)
        use(terminal, keys, only(rounds), 0.1)
        sort_by_each(terminal, keys, 0.1)
    return keys


def main() -> int:
    """Print the figures at a size; the exit code tells of a missed bound."""
    from tests.bench.scale_figures import figures

    jobs, *parts = sys.argv[1:] or [str(FULL.jobs)]
    began, missed = time.monotonic(), False
    for figure in figures(Size(int(jobs), int(jobs) * 5), parts):
        missed |= not figure.kept
        print(f"{time.monotonic() - began:6.0f} s  {figure.line()}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
