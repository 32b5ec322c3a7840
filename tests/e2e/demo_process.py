"""One ``mcp-tui demo`` as a process, with or without a terminal, and what is left of it."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

COMMAND = [sys.executable, "-m", "mcp_tui", "demo"]
START = 90.0
"""Seconds that a start may take on a machine that does much else."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll until a condition holds; AssertionError after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.05)


def environment(temporary: Path, **more: str) -> dict[str, str]:
    """A user's environment whose home and temporary directory are the test's own."""
    home = temporary / "home"
    home.mkdir(exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MCP_TUI_", "MLFLOW_", "XDG_", "SSH_"))
    }
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    kept |= {"HOME": str(home), "XDG_CACHE_HOME": cache, "TERM": "xterm-256color"}
    return {**kept, "TMPDIR": str(temporary), "KUBECONFIG": str(home / "none"), **more}


def left_over(directory: Path) -> list[str]:
    """Command lines of living processes that know of a demo's directory, whoever started them."""
    wanted = os.fsencode(directory)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            known = wanted in line or wanted in (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if known and state not in "ZX":
            found.append(f"{entry.name} {line.decode(errors='replace')}")
    return found


def _die_with_us() -> None:
    """A test that is killed leaves no demo behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG


class Served:
    """``mcp-tui demo --no-console``, running."""

    def __init__(self, temporary: Path, *arguments: str, **env: str) -> None:
        self.output = temporary / "output.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "--no-console", *arguments],
                env=environment(temporary, **env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=temporary,
                start_new_session=True,
                preexec_fn=_die_with_us,
            )
        try:
            wait_for(lambda: self._said("# Prometheus"), START, "the instructions")
        except BaseException:
            self.end()
            raise
        self.exports: Mapping[str, str] = dict(
            re.findall(r"^export (\w+)=(.*)$", self.text, re.MULTILINE)
        )
        self.directory = Path(self.exports["KUBECONFIG"]).parent

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text()

    def _said(self, words: str) -> bool:
        assert self.process.poll() is None, self.text
        return words in self.text

    def wait_mlflow(self) -> None:
        """Wait until MLflow answers too."""
        wait_for(lambda: self._said("MLflow is up"), START, "MLflow")

    def run(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run ``mcp-tui`` with the printed exports."""
        return subprocess.run(
            [sys.executable, "-m", "mcp_tui", *words],
            env={**environment(self.output.parent), **self.exports},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def jobs(self) -> list[dict[str, object]]:
        """The jobs of every namespace, as ``job ls`` tells them."""
        done = self.run("job", "ls", "-A", "-o", "json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, object]] = json.loads(done.stdout)
        return rows

    def pods_run(self) -> bool:
        """Whether a container of a pod runs."""
        mark = os.fsencode(self.directory / "plane" / "node" / "pods") + b"/"
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and b"HOME=" + mark in (entry / "environ").read_bytes():
                    return True
            except OSError:
                continue
        return False

    def wait_pod(self) -> None:
        """Wait until a container runs; AssertionError with the logs of the servers."""
        try:
            wait_for(self.pods_run, 60, "a running pod")
        except AssertionError as error:
            names = ("keeper", "plane", "simulator", "mlflow")
            told = "\n".join(f"{name}: {self.log(name)}" for name in names)
            raise AssertionError(f"{error}\n{told}") from None

    def log(self, name: str) -> str:
        """The end of a server's log."""
        path = self.directory / "logs" / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else "(none)"

    def keeper(self) -> int:
        """Process id of the keeper."""
        return int(json.loads((self.directory / "state.json").read_text())["keeper"])

    def signal(self, number: int) -> int:
        """Send a signal and wait for the end of the first process; its return code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def end(self) -> None:
        """End it, if it is still there."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


class OnTerminal:
    """``mcp-tui demo`` on a pseudo-terminal of its own, read into a screen."""

    def __init__(
        self, temporary: Path, arguments: Sequence[str] = (), size: tuple[int, int] = (80, 24)
    ) -> None:
        columns, rows = size
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.temporary = temporary
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(temporary)
            os.execve(COMMAND[0], [*COMMAND, *arguments], environment(temporary))
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float = 0.1) -> None:
        """Take what has come."""
        if self.fd >= 0 and select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65_536)
            except OSError:
                return
            # The screen does not know the keyboard protocol's private sequences.
            self._stream.feed(re.sub(rb"\x1b\[[>=<][0-9;]*[a-zA-Z]", b"", data))

    def until(self, words: str, seconds: float = START) -> None:
        """Read until words are on the screen."""
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"no {words!r} on:\n{self.text}"
            assert not self.over(), f"ended with {self.status} on:\n{self.text}"
            self.read()

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self.fd, keys.encode())

    def directory(self) -> Path:
        """The demo's directory."""
        (found,) = self.temporary.glob("mcp-tui-demo-*")
        return found

    def over(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def wait(self, seconds: float = 30.0) -> None:
        """Read until it has ended."""
        end = time.monotonic() + seconds
        while not self.over():
            assert time.monotonic() < end, f"still there:\n{self.text}"
            self.read(0.05)

    def hang_up(self) -> None:
        """Close the terminal."""
        os.close(self.fd)
        self.fd = -1

    def end(self) -> None:
        """End it, if it is still there."""
        if not self.over():
            os.kill(self.pid, signal.SIGKILL)
            wait_for(self.over, 10, "its end")
        if self.fd >= 0:
            self.hang_up()
