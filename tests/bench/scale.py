"""The console beside kubectl on a cluster of many jobs: start, memory, idling, storm and keys.

All on the real API server; the console is the real one, on a pseudo-terminal, in a process of its
own. ``python -m tests.bench.scale 1000`` prints how the figures are at another size.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench.probe import digest
from tests.bench.scene import Scene, Size
from tests.bench.storm import Storm, Writer
from tests.bench.terminal import Terminal
from tests.cluster import Ground
from tests.cluster.ground import kubectl

FULL: Final = Size(jobs=10_000, pods=50_000)
SETTLE: Final = 8.0
_ARGUMENTS: Final = ("--context", "dev", "-A")


@dataclass
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
        return Terminal(_ARGUMENTS, env=self.env | dict(more or {}), **options)


@contextlib.contextmanager
def stage(size: Size = FULL) -> Iterator[Stage]:
    """A real cluster of that size; ends with the block."""
    with tempfile.TemporaryDirectory(prefix="mcp-tui-bench-") as directory:
        ground = Ground.start(Path(directory) / "ground", contexts=("dev",), owner=os.getpid())
        try:
            Scene(ground).fill(size)
            _settle(ground)
            yield Stage(ground, size)
        finally:
            ground.stop()


def _settle(ground: Ground) -> None:
    """Wait until the cluster's own controllers have looked at it all."""
    pids = [found["pid"] for found in ground.state["processes"].values()]
    until = time.monotonic() + 300
    while time.monotonic() < until:
        before = sum(_cpu(pid) for pid in pids)
        time.sleep(5)
        if sum(_cpu(pid) for pid in pids) - before < 1.0:
            return


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@dataclass(frozen=True)
class Kubectl:
    """What ``kubectl get jobs -A`` takes."""

    seconds: float
    resident: int


def list_by_kubectl(at: Stage, rounds: int = 3) -> Kubectl:
    """The best of some rounds."""
    found = []
    command = [str(kubectl()), f"--kubeconfig={at.ground.kubeconfig}", "get", "jobs", "-A"]
    for _ in range(rounds):
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status:
            raise RuntimeError("kubectl could not list the jobs")
        found.append(Kubectl(time.monotonic() - began, usage.ru_maxrss * 1024))
    return min(found, key=lambda one: one.seconds)


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process to rows on the screen, and the memory then."""

    first: float
    every: float
    resident: int


def start(at: Stage, rounds: int = 3) -> Start:
    """The best of some rounds."""
    found = []
    for _ in range(rounds):
        with at.terminal() as terminal:
            every = terminal.wait("rows", str(at.size.jobs))
            first = next(m for m in terminal.marks if m.name == "rows" and m.value != "0")
            time.sleep(SETTLE)
            found.append(
                Start(first.at - terminal.started, every.at - terminal.started, terminal.resident)
            )
    return Start(
        min(one.first for one in found),
        min(one.every for one in found),
        max(one.resident for one in found),
    )


def idle(at: Stage, seconds: float = 30.0) -> float:
    """The share of a core that the console takes while nothing changes."""
    with at.terminal() as terminal:
        terminal.wait("rows", str(at.size.jobs))
        time.sleep(SETTLE)
        before = terminal.processor
        time.sleep(seconds)
        return (terminal.processor - before) / seconds


@dataclass
class Keys:
    """Milliseconds from each key press to its frame, by what the key does."""

    times: dict[str, list[float]] = field(default_factory=dict)

    def press(self, terminal: Terminal, name: str, keys: str) -> None:
        """Press one and note how long it took."""
        self.times.setdefault(name, []).append(terminal.key(keys) * 1000)

    @property
    def all(self) -> list[float]:
        """In order of length."""
        return sorted(one for times in self.times.values() for one in times)

    def quantile(self, share: float) -> float:
        """Of all."""
        every = self.all
        return every[min(len(every) - 1, int(share * len(every)))]

    def slowest(self) -> dict[str, float]:
        """By name."""
        return {name: max(times) for name, times in self.times.items()}


_MOVES: Final = (("down", "j"), ("up", "k"), ("page", "\x06"), ("end", "G"), ("top", "g"))


def use(terminal: Terminal, keys: Keys, go_on: Callable[[], bool], pause: float) -> None:
    """Scroll, filter and sort as long as it is wanted."""
    draw = random.Random(11)
    while go_on():
        for _ in range(6):
            name, key = draw.choice(_MOVES)
            keys.press(terminal, name, key)
            time.sleep(pause)
        keys.press(terminal, "slash", "/")
        for letter in "0012":
            keys.press(terminal, "filter", letter)
            time.sleep(pause)
        keys.press(terminal, "enter", "\r")
        keys.press(terminal, "escape", "\x1b")
        time.sleep(pause)
        keys.press(terminal, "sort", ">")
        time.sleep(pause)


def quiet_keys(at: Stage, rounds: int = 3) -> Keys:
    """Keys while nothing changes."""
    keys = Keys()
    left = iter(range(rounds))
    with at.terminal() as terminal:
        terminal.wait("rows", str(at.size.jobs))
        time.sleep(SETTLE)
        use(terminal, keys, lambda: next(left, None) is not None, 0.1)
    return keys


@dataclass(frozen=True)
class Weather:
    """A storm as the console lived through it."""

    storm: Storm
    keys: Keys
    size: int
    seconds: float
    stall: float
    grown: int
    same: bool
    processor: float


def storm(
    at: Stage,
    *,
    rate: float = 1000,
    seconds: float = 30,
    profile: str = "local",
    size: tuple[int, int] = (120, 40),
    keys: bool = True,
    line: float | None = None,
) -> Weather:
    """Let it storm, press keys meanwhile, and hold what the console has against a fresh list.

    Args:
        at: Where.
        rate: Events a second, if the server can take them.
        seconds: For how long.
        profile: Of the console.
        size: Of the terminal.
        keys: Whether keys are pressed.
        line: Bytes a second that the terminal takes; None for all.
    """
    pressed = Keys()
    more = {"MCP_TUI_BENCH_STALLS": "1"}
    with (
        Writer(at.ground, jobs=at.size.jobs, rate=rate, seconds=seconds) as writer,
        Terminal((*_ARGUMENTS, "--profile", profile), env=at.env | more, size=size) as terminal,
    ):
        terminal.wait("rows", str(at.size.jobs))
        time.sleep(SETTLE)
        ask(terminal)
        terminal.rate = line
        before, resident, used = terminal.size, terminal.resident, terminal.processor
        began = time.monotonic()
        writer.begin()
        if keys:
            use(terminal, pressed, lambda: writer.running, 0.05)
        done = writer.end()
        took = time.monotonic() - began
        written, used = terminal.size - before, terminal.processor - used
        terminal.rate = None
        time.sleep(3)
        held, stall = ask(terminal)
        return Weather(
            storm=done,
            keys=pressed,
            size=written,
            seconds=took,
            stall=stall,
            grown=terminal.resident - resident,
            same=held == listed(at),
            processor=used / took,
        )


def ask(terminal: Terminal) -> tuple[str, float]:
    """What the console holds, and its longest stall in milliseconds since it was asked last."""
    told = len(terminal.marks)
    os.kill(terminal.pid, signal.SIGUSR1)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        news = {mark.name: mark.value for mark in terminal.marks[told:]}
        if "stall" in news and "held" in news:
            return news["held"].partition(" ")[2], float(news["stall"])
        time.sleep(0.05)
    raise TimeoutError("the console does not say what it holds")


def listed(at: Stage) -> str:
    """What the server holds, in the same form."""
    items = at.ground.api("GET", "/apis/batch/v1/jobs").ok()["items"]
    return digest({j["metadata"]["uid"]: j["metadata"]["resourceVersion"] for j in items})


def main() -> None:
    """Print the figures at a size."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else FULL.jobs
    size = Size(jobs, jobs * 5)
    began = time.monotonic()
    with stage(size) as at:
        print(f"{jobs:,} jobs, {size.pods:,} pods stand after {time.monotonic() - began:.0f} s")
        other, ours = list_by_kubectl(at), start(at)
        print(
            f"kubectl {other.seconds:.2f} s {other.resident / 1e6:.0f} MB; first rows "
            f"{ours.first:.2f} s ({ours.first / other.seconds:.2f}x), all {ours.every:.2f} s "
            f"({ours.every / other.seconds:.2f}x), {ours.resident / 1e6:.0f} MB",
            flush=True,
        )
        print(f"idle {idle(at) * 100:.2f} % of a core", flush=True)
        keys = quiet_keys(at)
        print(f"keys P50 {keys.quantile(0.5):.1f} P99 {keys.quantile(0.99):.1f} ms", end=" ")
        print(json.dumps({k: round(v, 1) for k, v in keys.slowest().items()}), flush=True)
        for profile in ("local", "ssh"):
            shape = (80, 24) if profile == "ssh" else (120, 40)
            told = storm(at, profile=profile, size=shape)
            print(
                f"storm {profile}: {told.storm.rate:.0f} events/s, keys P50 "
                f"{told.keys.quantile(0.5):.1f} P99 {told.keys.quantile(0.99):.1f} ms, "
                f"stall {told.stall:.0f} ms, {told.size / told.seconds / 1000:.1f} kB/s, "
                f"grown {told.grown / 1e6:.1f} MB, {told.processor * 100:.0f} % of a core, "
                f"{'same' if told.same else 'DIFFERS'}",
                json.dumps({k: round(v, 1) for k, v in told.keys.slowest().items()}),
                flush=True,
            )


if __name__ == "__main__":
    main()
