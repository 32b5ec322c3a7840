"""A command run beside a container's process for somebody who looks on, perhaps at a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from mcp_tui.demo.kubelet.guardian import kill_group
from mcp_tui.demo.kubelet.process import Command, Guardian, StartError, find_program

# Makes the terminal on stdin the controlling one of the new session, then becomes the program: a
# fork hook in this process, which has threads, could deadlock.
_TAKE_TERMINAL: Final = (
    "import fcntl,os,sys,termios\n"
    "fcntl.ioctl(0,termios.TIOCSCTTY,0)\n"
    "os.execv(sys.argv[1],sys.argv[2:])"
)


class _Streams(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells the end of the process from that of its pipes, which others may hold open."""

    def __init__(self) -> None:
        super().__init__(limit=65_536, loop=asyncio.get_running_loop())
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class Session:
    """One such command; made by :meth:`start`."""

    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        protocol: _Streams,
        keeper: Guardian,
        master: int,
    ) -> None:
        self.pid = transport.get_pid()
        self._transport = transport
        self._protocol = protocol
        self._keeper = keeper
        self._master = master
        self._terminal: asyncio.ReadTransport | None = None

    @classmethod
    async def start(cls, command: Command, keeper: Guardian, *, terminal: bool) -> Session:
        """Start a command.

        Raises:
            StartError: If it cannot be started.
        """
        program = find_program(command)
        if not terminal:
            pipe = asyncio.subprocess.PIPE
            transport, protocol = await _spawn(program, command.argv, command, pipe)
            assert protocol.stdout is not None  # a pipe was asked for
            session = cls(transport, protocol, keeper, -1)
            session.stdout, session.stderr = protocol.stdout, protocol.stderr
        else:
            master, slave = pty.openpty()
            try:
                argv = [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, program, *command.argv]
                transport, protocol = await _spawn(sys.executable, argv, command, slave)
            except BaseException:
                os.close(master)
                raise
            finally:
                os.close(slave)
            session = cls(transport, protocol, keeper, master)
            await session._read_terminal()
        keeper.add(session.pid)
        return session

    async def _read_terminal(self) -> None:
        os.set_blocking(self._master, False)
        self.stdout, self.stderr = asyncio.StreamReader(), None
        protocol = asyncio.StreamReaderProtocol(self.stdout)
        self._terminal, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(os.dup(self._master), "rb", 0)
        )

    async def write(self, data: bytes) -> None:
        """Type, or write to the command's input."""
        with suppress(OSError):
            if self._master < 0:
                if self._protocol.stdin is not None:
                    self._protocol.stdin.write(data)
                    await self._protocol.stdin.drain()
                return
            while data and not self._protocol.exited.is_set():
                try:
                    data = data[os.write(self._master, data) :]
                except BlockingIOError:
                    await asyncio.sleep(0.02)

    def resize(self, width: int, height: int) -> None:
        """Tell the terminal its size in characters."""
        if self._master >= 0:
            size = struct.pack("HHHH", height & 0xFFFF, width & 0xFFFF, 0, 0)
            with suppress(OSError):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def close_input(self) -> None:
        """End of input; on a terminal, as ^D does."""
        if self._master < 0 and self._protocol.stdin is not None:
            self._protocol.stdin.close()
        elif self._master >= 0:
            with suppress(OSError):
                os.write(self._master, b"\x04")

    async def wait(self) -> int:
        """The exit code, 128 + N for a signal."""
        await self._protocol.exited.wait()
        code = self._transport.get_returncode() or 0
        return 128 - code if code < 0 else code

    async def stop(self) -> None:
        """End whatever of it still runs and let go of the terminal."""
        if not self._protocol.exited.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGHUP)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._protocol.exited.wait()
        kill_group(self.pid)
        await self._protocol.exited.wait()
        self._keeper.remove(self.pid)
        self._transport.close()
        if self._terminal is not None:
            self._terminal.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


async def _spawn(
    program: str, argv: Sequence[str], command: Command, stream: int
) -> tuple[asyncio.SubprocessTransport, _Streams]:
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            _Streams, *argv, executable=program, env=dict(command.env), cwd=command.cwd,
            stdin=stream, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise StartError(f'exec: "{command.argv[0]}": {error}') from error
