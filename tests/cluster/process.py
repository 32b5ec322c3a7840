"""Processes of a ground: started so that they cannot outlive it, ended so that nobody else's die.

Every process of one ground carries the ground's random mark in its environment, and what it
starts inherits it. Ending the ground ends exactly the processes with that mark, however they were
re-parented, and never one that merely got a recycled process id. Linux only (``/proc``).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = "MCP_TUI_GROUND_MARK"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class GroundError(Exception):
    """The ground could not be started; says which server, and the last lines of its log."""


def free_ports(count: int) -> list[int]:
    """``count`` free loopback ports below the range from which outgoing connections are served."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            sock = socket.socket()
            try:
                sock.bind(("127.0.0.1", random.randint(20000, 32000)))
            except OSError:
                sock.close()
                continue
            held.append(sock)
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def answers(url: str) -> bool:
    """Whether a GET of a loopback URL is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2.0) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def marked(mark: str) -> list[int]:
    """Ids of the living processes that carry ``mark`` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        pid = int(entry.name)
        if wanted in environ.split(b"\0") and start_time(pid) is not None:
            found.append(pid)
    return found


def end_marked(mark: str, *, sparing: Sequence[int] = (), deadline: float = 10.0) -> list[int]:
    """KILL every process with ``mark``; returns those still there after ``deadline`` seconds."""
    until = time.monotonic() + deadline
    while True:
        left = [pid for pid in marked(mark) if pid not in sparing]
        if not left or time.monotonic() > until:
            return left
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants, so that they are reaped here."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child only calls it

    def preexec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return preexec


@dataclass
class Processes:
    """The servers of one ground, by name, with their logs.

    Start them from the thread that lives as long as the ground: the kernel ends them with the
    thread that started them.
    """

    mark: str
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one server in its own session, its output to ``logs/NAME.log``."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {}), MARK: self.mark},
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )
        return self.running[name]

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a server's log."""
        try:
            text = (self.logs / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def wait(self, name: str, ready: Callable[[], bool], deadline: float = 60.0) -> None:
        """Wait until ``ready()``.

        Raises:
            GroundError: the server ended first, or the deadline (seconds) passed.
        """
        until = time.monotonic() + deadline
        while not ready():
            process = self.running[name]
            if process.poll() is not None:
                raise GroundError(
                    f"{name} ended with {process.returncode} at start:\n{self.tail(name)}"
                )
            if time.monotonic() > until:
                raise GroundError(f"{name} was not ready in {deadline:.0f} s:\n{self.tail(name)}")
            time.sleep(0.05)

    def end(self) -> None:
        """End everything: a TERM to those that clean up after themselves, then KILL to all.

        The API server is not asked: on TERM it drains for up to a minute and keeps its port.
        """
        polite = [p for n, p in self.running.items() if n.startswith(("node", "mlflow"))]
        for process in polite:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self.running.values():
            if process not in polite:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        until = time.monotonic() + 3.0
        while time.monotonic() < until and any(p.poll() is None for p in polite):
            time.sleep(0.02)
        end_marked(self.mark, sparing=[os.getpid()])
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=1)
