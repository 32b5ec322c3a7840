"""Local processes in groups of their own: started, watched, measured and ended for certain."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mcp_tui.demo.kubelet import guardian

# A descendant that left the group may hold the pipes open: the log is closed after this long.
_DRAIN: Final = 2.0


class StartError(Exception):
    """A process that could not be started, in the words of a container runtime."""


class Guardian:
    """The helper process that ends every group when the node dies without a chance to.

    Strays are known by their HOME, which the node sets below ``directory``.
    """

    def __init__(self, directory: Path) -> None:
        self.marker = b"HOME=" + os.fsencode(str(directory))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the helper, in a session of its own so that a terminal's end does not reach it."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(Path(guardian.__file__)), os.fsdecode(self.marker),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True, env={}, close_fds=True,
        )  # fmt: skip

    def add(self, group: int) -> None:
        """Register a process group."""
        self._tell(b"+%d\n" % group)

    def remove(self, group: int) -> None:
        """Forget a process group that has ended; its number may be used again by others."""
        self._tell(b"-%d\n" % group)

    def _tell(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, RuntimeError):
                self._process.stdin.write(line)

    async def stop(self) -> None:
        """Close the pipe: the helper ends whatever is left, and itself."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._process = None


@dataclass(frozen=True)
class Command:
    """What to start: an argument vector, its whole environment and its working directory."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    marker: bytes = b""


def find_program(command: Command) -> str:
    """The program of a command, as a runtime finds it: by PATH, or by a path with a slash.

    Raises:
        StartError: With the runtime's words for what is not there or may not be executed.
    """
    name = command.argv[0]
    if not command.cwd.is_dir():
        raise StartError(
            f'chdir to cwd ("{command.cwd}") set in config.json failed: no such file or directory'
        )
    if "/" in name:
        path = command.cwd / name
        if not path.is_file():
            raise StartError(f'exec: "{name}": stat {name}: no such file or directory')
        if not os.access(path, os.X_OK):
            raise StartError(f'exec: "{name}": permission denied')
        return str(path)
    found = shutil.which(name, path=command.env.get("PATH", os.defpath))
    if found is None:
        raise StartError(f'exec: "{name}": executable file not found in $PATH')
    return found


class _Output(asyncio.SubprocessProtocol):
    """Hands on what a process writes, and tells its end from that of its pipes.

    ``Process.wait()`` of some Python versions returns only when the pipes are closed too, which a
    stray descendant may hold open for ever.
    """

    def __init__(self, output: Callable[[str, bytes], None]) -> None:
        self._output = output
        self.exited = asyncio.Event()
        self.drained = asyncio.Event()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._output("stderr" if fd == 2 else "stdout", data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._open.discard(fd)
        if not self._open:
            self.drained.set()

    def process_exited(self) -> None:
        self.exited.set()


class Running:
    """One started process group; :meth:`wait` gives the exit code as a kubelet reports it."""

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        protocol: _Output,
        command: Command,
        keeper: Guardian,
    ) -> None:
        self.pid = transport.get_pid()
        self._transport = transport
        self._protocol = protocol
        self._marker = command.marker
        self._keeper = keeper

    @classmethod
    async def start(
        cls, command: Command, keeper: Guardian, output: Callable[[str, bytes], None]
    ) -> Running:
        """Start a command as the leader of a new session.

        Args:
            command: What to run.
            keeper: The guardian that will know of the group.
            output: Takes the name of a stream and what was written to it.

        Raises:
            StartError: If it could not be started.
        """
        program = find_program(command)
        try:
            transport, protocol = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Output(output), *command.argv, executable=program,
                env=dict(command.env), cwd=command.cwd, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise StartError(f'exec: "{command.argv[0]}": {reason.lower()}') from error
        running = cls(transport, protocol, command, keeper)
        keeper.add(running.pid)
        return running

    async def wait(self) -> int:
        """Wait for the first process; end the rest of its group, and give its exit code.

        A process ended by signal N has exit code 128 + N.
        """
        await self._protocol.exited.wait()
        # As in a container, the end of the first process is that of all: the group, and those
        # that left it, by their mark.
        guardian.kill_group(self.pid)
        if self._marker and sys.platform == "linux":
            await asyncio.to_thread(guardian.kill_marked, self._marker)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN):
                await self._protocol.drained.wait()
        self._transport.close()
        self._keeper.remove(self.pid)
        code = self._transport.get_returncode() or 0
        return 128 - code if code < 0 else code

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        if not self._protocol.exited.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def stop(self, grace: float) -> None:
        """TERM, then KILL after ``grace`` seconds; returns when the process has ended."""
        if grace > 0:
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._protocol.exited.wait()
        self.signal(signal.SIGKILL)
        await self._protocol.exited.wait()


def resident_by_group(groups: set[int]) -> dict[int, int]:
    """Resident bytes of every process of each group or session, from /proc (or ``ps``).

    Pages shared after a fork count once for each process.
    """
    totals = dict.fromkeys(groups, 0)
    if sys.platform != "linux":
        return _resident_by_ps(totals)
    page = os.sysconf("SC_PAGE_SIZE")
    for name in os.listdir("/proc"):  # noqa: PTH208 - plain names, and cheaper
        if not name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            fields = Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()
            group, session, pages = int(fields[2]), int(fields[3]), int(fields[21])
            owner = session if session in totals else group
            if owner in totals:
                totals[owner] += pages * page
    return totals


def _resident_by_ps(totals: dict[int, int]) -> dict[int, int]:
    import subprocess

    text = subprocess.run(
        ["ps", "-axo", "pgid=,rss="], capture_output=True, text=True, timeout=5, check=False
    ).stdout
    for line in text.splitlines():
        group, _, size = line.strip().partition(" ")
        if group.isdigit() and int(group) in totals:
            totals[int(group)] += int(size) * 1024
    return totals
