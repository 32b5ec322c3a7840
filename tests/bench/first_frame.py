"""How long the first frame takes, beside a bare Textual app's in the same run.

The first frame is there when the terminal has been sent context, tier and headings. Run it to see
the figures: ``python -m tests.bench.first_frame``.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.terminal import NOT_THEIRS

DEADLINE = 60.0

BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("first frame")
Bare().run()
"""

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: somewhere-dev
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: somewhere-dev, context: {cluster: c, user: u}}]
"""


def first_frame(
    argv: list[str], needles: tuple[bytes, ...], env: Mapping[str, str] | None = None
) -> float:
    """Seconds from the start of a process until its terminal was sent all of ``needles``.

    Args:
        argv: The process.
        needles: What is waited for.
        env: Added to its environment.

    Raises:
        TimeoutError: It took more than a minute, or ended first.
    """
    began = time.perf_counter()
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        for name in NOT_THEIRS:
            os.environ.pop(name, None)
        os.environ.update(env or {})
        os.execv(argv[0], argv)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    try:
        while not all(needle in seen for needle in needles):
            if not select.select([fd], [], [], DEADLINE)[0]:
                raise TimeoutError("no first frame")
            try:
                seen += os.read(fd, 65_536)
            except OSError as error:
                raise TimeoutError(f"it ended first: {seen[-2_000:]!r}") from error
        return time.perf_counter() - began
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)


def measure(rounds: int = 5) -> tuple[float, float]:
    """Median seconds of a bare Textual app and of the console, taken in turns."""
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "kubeconfig"
        path.write_text(KUBECONFIG)
        console = [sys.executable, "-m", "mcp_tui", "--kubeconfig", str(path)]
        for _ in range(rounds):
            bare.append(first_frame([sys.executable, "-c", BARE], (b"first frame",)))
            ours.append(first_frame(console, (b"somewhere-dev", b"DEV", b"SINCE")))
    return statistics.median(bare), statistics.median(ours)


def main() -> None:
    """Print the ratio."""
    bare, ours = measure()
    print(f"first frame: bare Textual {bare:.3f} s, console {ours:.3f} s, {ours / bare:.2f}x")


if __name__ == "__main__":
    main()
