"""How long each command takes to its first output, beside a bare Python that imports two clients.

Every command of the parser, in a process of its own, against servers that answer at once: what is
measured is what a command imports and does before it says something.
``python -m tests.bench.commands`` prints all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure
from tests.bench.first_frame import first_frame
from tests.cluster.plane import REPO
from tests.hostile.commands import NAMES, fake_git, train_config
from tests.hostile.world import World
from tests.joined.commands import COMMANDS, Command

WITHIN: Final = 4.0
"""Times a bare Python."""

DEMO_WITHIN: Final = 2.0
"""Times the console alone: the demo starts five servers on the same processors meanwhile."""

BARE: Final = "import httpx, msgspec; print('there', flush=True)"
ROUNDS: Final = 3
_SAYS: Final = b"\x1b["
"""What a console says first, of whatever it is about."""

_OF_NO_CONTEXT: Final = ("demo",)
_DEFECT: Final = 70
_DEADLINE: Final = 60.0


def first_output(argv: Sequence[str], *, env: Mapping[str, str], folder: Path) -> float:
    """Seconds from the start of a process to its first byte, on whichever stream.

    Raises:
        RuntimeError: It says nothing, or ends as what is broken does.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        argv,
        env={**os.environ, **env},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            first = os.read(process.stdout.fileno(), 1)
            took = time.perf_counter() - began
            rest, _ = process.communicate(timeout=_DEADLINE)
        finally:
            process.kill()
    said = (first + rest).decode(errors="replace")
    if not first or process.returncode == _DEFECT or "Traceback" in said:
        raise RuntimeError(f"{' '.join(argv)}: {process.returncode}, {said[-500:]}")
    return took


def command_line(command: Command, names: Mapping[str, str]) -> list[str]:
    """A command as it is measured: what writes is asked for its plan."""
    given = command.argv(names)
    words = len(command.words.split())
    more = ["--dry-run"] if command.writes else []
    context = [] if command.words in _OF_NO_CONTEXT else ["--context", "dev"]
    program = [sys.executable, "-m", "mcp_tui"]
    return [*program, *context, *given[:words], *more, *given[words:]]


def measure(
    commands: Sequence[Command] = COMMANDS, rounds: int = ROUNDS
) -> tuple[float, dict[str, float]]:
    """Seconds, medians of some rounds in turns: a bare Python's, and each command's by name."""
    taken: dict[str, list[float]] = {}
    with (
        World(["plain"]) as world,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory,
    ):
        folder = Path(directory)
        env = {**world.files(folder), "PYTHONPATH": str(REPO)}
        env["PATH"] = fake_git(folder, world, fails=False) + ":" + os.environ["PATH"]
        names = NAMES | {"config": str(train_config(folder))}
        bare = [sys.executable, "-c", BARE]
        for _ in range(rounds):
            taken.setdefault("", []).append(first_output(bare, env=env, folder=folder))
            for command in commands:
                argv = command_line(command, names)
                took = (
                    first_frame(argv, (_SAYS,), env)
                    if command.terminal
                    else first_output(argv, env=env, folder=folder)
                )
                taken.setdefault(command.words, []).append(took)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    return medians.pop(""), medians


def figures() -> Iterator[Figure]:
    """As ``make bench`` prints them."""
    bare, found = measure()
    demo, console = found.pop("demo"), found["console"]
    slowest = sorted(found, key=found.__getitem__, reverse=True)
    words = ", ".join(f"{name} {found[name] * 1000:.0f}" for name in slowest[:5])
    beside = f"a bare Python {bare * 1000:.0f} ms; the slowest of {len(found)}: {words}"
    name = "commands to their first output, the slowest"
    yield Figure(name, found[slowest[0]] / bare, WITHIN, "x", beside)
    beside = f"demo {demo * 1000:.0f} ms, console alone {console * 1000:.0f} ms"
    yield Figure("demo to its first output", demo / console, DEMO_WITHIN, "x", beside)


def main() -> None:
    """Print all."""
    bare, found = measure()
    print(f"a bare Python with two clients: {bare * 1000:.0f} ms")
    for name, took in sorted(found.items(), key=lambda item: item[1]):
        print(f"{took * 1000:6.0f} ms {took / bare:5.1f}x  {name}")


if __name__ == "__main__":
    main()
