"""What the console lives through while its clusters do not rest: keys, frames, bytes and memory."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from tests.bench.probe import digest
from tests.bench.storm import Storm
from tests.bench.terminal import Terminal
from tests.cluster import Ground

ARGUMENTS: Final = ("--context", "dev", "-A")
SETTLE: Final = 8.0
"""Seconds until the console has nothing more to do after its start."""

LATEST: Final = 30.0
"""Seconds after a storm by which the console has to hold what the server does."""

FULL_SIZE: Final = (120, 40)
SMALL_SIZE: Final = (80, 24)


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


_MOVES: Final = (("down", "j"), ("up", "k"), ("page", "\x1b[6~"), ("end", "G"), ("top", "g"))


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


def sort_by_each(terminal: Terminal, keys: Keys, pause: float) -> None:
    """Sort by every column that has something in it, also where the screen has no room for it.

    Raises:
        RuntimeError: The console is not sorted by what was asked for.
    """
    for column in (*told(terminal)["columns"].split(), ""):
        for letter in f":sort {column or 'urgency'}":
            terminal.key(letter)
        keys.press(terminal, "sort", "\r")
        if (now := told(terminal)["sort"]) != column:
            raise RuntimeError(f"asked for the order of {column!r}, it is that of {now!r}")
        time.sleep(pause)


def only(times: int) -> Callable[[], bool]:
    """True so many times."""
    left = iter(range(times))
    return lambda: next(left, None) is not None


class Source(Protocol):
    """What makes it storm."""

    def begin(self) -> None:
        """Let it storm."""

    @property
    def running(self) -> bool:
        """Whether it still does."""

    def end(self) -> Storm:
        """Wait for its end."""


@dataclass(frozen=True)
class Weather:
    """A storm as the console lived through it.

    Attributes:
        storm: What there was of it.
        keys: That were pressed meanwhile.
        size: Bytes written to the terminal.
        seconds: From its begin to its end.
        stall: Milliseconds that the event loop was held up at most.
        grown: Bytes of memory more than before.
        same: Whether the console holds what it should, once it is quiet.
        late: Seconds from the end of the storm until that was seen.
        processor: Share of a core.
    """

    storm: Storm
    keys: Keys
    size: int
    seconds: float
    stall: float
    grown: int
    same: bool
    late: float
    processor: float

    def line(self) -> str:
        """It as a person reads it."""
        slowest = ", ".join(f"{name} {value:.1f}" for name, value in self.keys.slowest().items())
        quantiles = ""
        if self.keys.all:
            half, most = self.keys.quantile(0.5), self.keys.quantile(0.99)
            quantiles = f"{len(self.keys.all)} keys P50 {half:.1f} P99 {most:.1f} ms ({slowest}), "
        return (
            f"{self.storm.rate:.0f} events/s for {self.seconds:.0f} s, {quantiles}"
            f"loop held up {self.stall:.0f} ms, {self.size / self.seconds / 1000:.1f} kB/s to the "
            f"terminal, grown {self.grown / 1e6:.1f} MB, {self.processor * 100:.0f} % of a core"
        )


def endure(
    source: Source,
    *,
    env: Mapping[str, str],
    jobs: int,
    expected: Callable[[], str],
    profile: str = "local",
    size: tuple[int, int] = FULL_SIZE,
    keys: bool = True,
    line: float | None = None,
) -> Weather:
    """Open the console, let it storm, and press keys meanwhile.

    Args:
        source: Of the storm; ready to begin.
        env: For the console.
        jobs: Rows that it has when all are there.
        expected: Makes what the console should hold at the end, as :func:`ask` gives it.
        profile: Of the console.
        size: Of the terminal.
        keys: Whether keys are pressed.
        line: Bytes a second that the terminal takes, 0 for none; None for all.
    """
    pressed = Keys()
    arguments = (*ARGUMENTS, "--profile", profile)
    more = {"MCP_TUI_BENCH_STALLS": "1"}
    with Terminal(arguments, env={**env, **more}, size=size) as terminal:
        terminal.wait("rows", str(jobs))
        time.sleep(SETTLE)
        ask(terminal)
        if keys:  # What is imported at the first press of a key is not the storm's.
            use(terminal, Keys(), only(1), 0.02)
        terminal.rate = line
        before, resident, used = terminal.size, terminal.resident, terminal.processor
        began = time.monotonic()
        source.begin()
        if keys:
            use(terminal, pressed, lambda: source.running, 0.05)
        done = source.end()
        took = time.monotonic() - began
        written, used = terminal.size - before, terminal.processor - used
        grown = terminal.resident - resident
        terminal.rate = None
        ended = time.monotonic()
        time.sleep(3)  # What it could not draw meanwhile, the terminal is given now.
        held, stall = ask(terminal)
        wanted = expected()
        while held != wanted and time.monotonic() - ended < LATEST:
            time.sleep(1)
            held, _ = ask(terminal)
        late = time.monotonic() - ended
        same = held == wanted
        return Weather(done, pressed, written, took, stall, grown, same, late, used / took)


def ask(terminal: Terminal) -> tuple[str, float]:
    """What the console holds, and its longest stall in milliseconds since it was asked last."""
    news = told(terminal)
    return news["held"].partition(" ")[2], float(news["stall"])


def told(terminal: Terminal) -> dict[str, str]:
    """What the console says of itself when asked, by name."""
    before = len(terminal.marks)
    os.kill(terminal.pid, signal.SIGUSR1)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        news = {mark.name: mark.value for mark in terminal.marks[before:]}
        if "stall" in news and "held" in news:  # The stall comes last.
            return news
        time.sleep(0.05)
    raise TimeoutError("the console does not say what it holds")


def listed(ground: Ground, changed: Mapping[str, str] | None = None) -> str:
    """What the server holds, in the same form; with what a recording made of it."""
    items = ground.api("GET", "/apis/batch/v1/jobs").ok()["items"]
    versions = {j["metadata"]["uid"]: j["metadata"]["resourceVersion"] for j in items}
    return digest(versions | dict(changed or {}))
