"""The process that owns the demo's servers and ends them, however the console ends.

``python -P -m mcp_tui.demo.stack_keeper SPEC FD``: started in a session of its own by the console,
with the read end of a pipe (FD) whose write end only the console has. It starts what SPEC lists,
each in a session and process group of its own, and sleeps. When the pipe closes, because the
console was left, killed or lost its terminal, it ends every group (TERM, then KILL), every process
that carries the demo's mark in its environment, and removes the directory. Standard library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

from mcp_tui.demo.kubelet import guardian

MARK: Final = "MCP_TUI_DEMO"
"""The environment variable that marks every process of one demo."""

STATE: Final = "state.json"
GRACE: Final = 3.0
"""Seconds between TERM and KILL."""

_PDEATHSIG: Final = 1
_SUBREAPER: Final = 36
_NOTICE: Final = 1.0


class _Stop(Exception):
    """Asked to end by a signal."""


def _on_term(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask for a signal when we die."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # before the fork: the child only calls it
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Keeper:
    """Starts, notices and ends the processes of one demo."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.directory = Path(spec["directory"])
        self.remove: bool = spec["remove"]
        self.mark: str = spec["mark"]
        self.services: list[dict[str, Any]] = spec["services"]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.failed: dict[str, str] = {}

    def start(self) -> None:
        """Start every service; one that cannot be started is written down and left out."""
        for service in self.services:
            name, descriptors = service["name"], service.get("fds", [])
            # The plane ends its own node in order; the others need no time.
            number = signal.SIGTERM if name == "plane" else signal.SIGKILL
            try:
                with (self.directory / "logs" / f"{name}.log").open("ab") as log:
                    self.running[name] = subprocess.Popen(  # ended in end(), by its group
                        service["argv"],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **service.get("env", {})},
                        cwd=self.directory,
                        pass_fds=descriptors,
                        start_new_session=True,
                        preexec_fn=_die_with_parent(number),  # noqa: PLW1509 - one thread only
                    )
            except OSError as error:
                self.failed[name] = error.strerror or "cannot be started"
            for descriptor in descriptors:
                os.close(descriptor)
        self._write()

    def _write(self) -> None:
        """Say in the directory what runs; readers see the old or the new text, never half."""
        services: dict[str, dict[str, object]] = {
            name: {"pid": process.pid, "ended": process.poll()}
            for name, process in self.running.items()
        }
        services |= {name: {"pid": 0, "ended": 127, "why": w} for name, w in self.failed.items()}
        text = json.dumps({"keeper": os.getpid(), "mark": self.mark, "services": services})
        with suppress(OSError):
            temporary = self.directory / f"{STATE}.new"
            temporary.write_text(text)
            temporary.replace(self.directory / STATE)

    def watch(self, pipe: int) -> None:
        """Return when the pipe has closed; write down what ends before."""
        told: set[str] = set()
        while True:
            ready, _, _ = select.select([pipe], [], [], _NOTICE)
            if ready and not os.read(pipe, 4096):
                return
            ended = {n for n, p in self.running.items() if p.poll() is not None}
            if ended != told:
                told = ended
                self._write()

    def end(self) -> None:
        """End every process of the demo; only then is its directory removed."""
        for process in self.running.values():
            _signal_group(process.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and any(_alive(p) for p in self.running.values()):
            time.sleep(0.02)
        for process in self.running.values():
            _signal_group(process.pid, signal.SIGKILL)
        # What left its group: the node and its pods have sessions of their own.
        guardian.kill_marked(os.fsencode(f"{MARK}={self.mark}"))
        guardian.kill_marked(b"HOME=" + os.fsencode(self.directory / "plane"))
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        if self.remove:
            remove_tree(self.directory)
        else:
            with suppress(OSError):
                (self.directory / STATE).unlink()


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _alive(process: subprocess.Popen[bytes]) -> bool:
    """Whether anything of a process's group is left; reaps the process itself."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says so of a group of which only a zombie is left.
        return process.returncode is None
    return True


def remove_tree(directory: Path) -> None:
    """Remove a directory that something that was just killed may still have been filling."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05)


def main(spec: str, pipe: str) -> int:
    """The command; returns its exit code."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _on_term)
    if sys.platform == "linux":
        # Orphans of what we started come to us and leave no zombies with anybody else.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    keeper = Keeper(json.loads(Path(spec).read_text()))
    os.environ.pop(MARK, None)
    for service in keeper.services:
        service["env"] = {**service.get("env", {}), MARK: keeper.mark}
    try:
        keeper.start()
        keeper.watch(int(pipe))
    except _Stop:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        keeper.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
