"""What a change costs on the wire: bytes written to a terminal by the console itself.

The console runs in a process of its own on a pseudo-terminal, over rows in memory, and does what
it is told through a pipe; this side counts what reaches the terminal. Run it to see the figures:
``python -m tests.bench.terminal_bytes``.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.terminal import NOT_THEIRS

QUIET = 0.25
"""Seconds without output after which a step is over, once the console said that it drew."""

DEADLINE = 60.0
STEPS = (
    "nothing",
    "visible cell",
    "cell off screen",
    "cursor",
    "page",
    "repaint",
    "laid out anew",
    "prompt",
    "drawn again",
)


@dataclass(frozen=True)
class Cost:
    """Bytes written by one step."""

    step: str
    size: int


def measure(
    profile: str = "normal", *, rows: int = 10_000, size: tuple[int, int] = (120, 40)
) -> dict[str, int]:
    """Bytes per step.

    Args:
        profile: ``normal`` or ``ssh``.
        rows: Rows of the list.
        size: Columns and lines of the terminal.

    Raises:
        TimeoutError: The console did not answer in a minute.
    """
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    arguments = [profile, str(rows), str(command_read), str(answer_write)]
    pid, fd = pty.fork()
    if pid == 0:
        os.set_inheritable(command_read, True)
        os.set_inheritable(answer_write, True)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        for name in NOT_THEIRS:
            os.environ.pop(name, None)
        os.execv(sys.executable, [sys.executable, "-m", __spec__.name, "--child", *arguments])
    os.close(command_read)
    os.close(answer_write)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    try:
        costs: dict[str, int] = {}
        _drain(fd, answer_read)
        for step in STEPS:
            os.write(command_write, step.encode() + b"\n")
            costs[step] = _drain(fd, answer_read)
        return costs
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for each in (fd, command_write, answer_read):
            os.close(each)


def _drain(fd: int, answers: int) -> int:
    """Count what is written until the console says it drew and then is quiet."""
    end = time.monotonic() + DEADLINE
    total, answered = 0, False
    while True:
        if time.monotonic() > end:
            raise TimeoutError("the console did not answer")
        ready, _, _ = select.select([fd, answers], [], [], QUIET)
        if fd in ready:
            total += len(os.read(fd, 65_536))
        if answers in ready:
            os.read(answers, 100)
            answered = True
        if not ready and answered:
            return total


async def _obey(app: object, steps: dict[str, Callable[[], None]], commands: int, out: int) -> None:
    """Do what is asked for, and answer when it is drawn."""
    loop = asyncio.get_running_loop()
    while not app.ready:  # type: ignore[attr-defined]  # the console
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    os.write(out, b"ready\n")
    while True:
        line = await loop.run_in_executor(None, os.read, commands, 100)
        if not line:
            return
        steps[line.decode().strip()]()
        await asyncio.sleep(0.5)
        os.write(out, b"drawn\n")


def _child(profile: str, rows: int, commands: int, answers: int) -> None:
    """The console, on this process's terminal."""
    from mcp_tui.tui.model import ConsoleOptions
    from mcp_tui.tui.run import make_console, prepare

    options = ConsoleOptions(contexts=("dev",), ascii=False, profile=profile)
    options = prepare(options, os.environ)
    from tests.tui.fake import FakeBackend, many

    backend = FakeBackend(many(rows))
    app = make_console(backend, options)

    def change(name: str) -> None:
        backend.model.change(name, why="step 99 loss 0.1")
        backend.on_change()

    def table() -> object:
        assert app.pane is not None
        return app.pane.table

    def repaint() -> None:
        for widget in app.screen.walk_children():
            widget.refresh()

    steps: dict[str, Callable[[], None]] = {
        "nothing": backend.on_change,
        "visible cell": lambda: change("job-000006"),
        "cell off screen": lambda: change(f"job-{rows - 1:06d}"),
        "cursor": lambda: table().move(1),  # type: ignore[attr-defined]  # the table
        "page": lambda: table().move_page(1),  # type: ignore[attr-defined]  # the table
        "repaint": repaint,
        "laid out anew": lambda: app.refresh(layout=True),
        "prompt": lambda: app.screen.action_filter(),  # type: ignore[attr-defined]  # of the frame
        "drawn again": app.draw_again,
    }

    async def both() -> None:
        obeying = asyncio.create_task(_obey(app, steps, commands, answers))
        await app.run_async(mouse=profile != "ssh")
        obeying.cancel()

    asyncio.run(both())


def main() -> None:
    """Print the figures."""
    for profile in ("normal", "ssh"):
        costs = measure(profile)
        print(f"terminal bytes, profile {profile}, 120x40, 10,000 rows")
        for step, size in costs.items():
            print(f"  {step:<16} {size:>7,}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
