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


class Session:
    """One such command; made by :meth:`start`."""

    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None

    def __init__(self, process: asyncio.subprocess.Process, keeper: Guardian, master: int) -> None:
        self._process = process
        self._keeper = keeper
        self._master = master
        self._transport: asyncio.ReadTransport | None = None

    @classmethod
    async def start(cls, command: Command, keeper: Guardian, *, terminal: bool) -> Session:
        """Start a command.

        Raises:
            StartError: If it cannot be started.
        """
        program = find_program(command)
        if not terminal:
            process = await _spawn(program, command.argv, command, asyncio.subprocess.PIPE)
            assert process.stdout is not None  # asked for
            session = cls(process, keeper, -1)
            session.stdout, session.stderr = process.stdout, process.stderr
        else:
            master, slave = pty.openpty()
            try:
                argv = [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, program, *command.argv]
                process = await _spawn(sys.executable, argv, command, slave)
            except BaseException:
                os.close(master)
                raise
            finally:
                os.close(slave)
            session = cls(process, keeper, master)
            await session._read_terminal()
        keeper.add(process.pid)
        return session

    async def _read_terminal(self) -> None:
        os.set_blocking(self._master, False)
        self.stdout, self.stderr = asyncio.StreamReader(), None
        protocol = asyncio.StreamReaderProtocol(self.stdout)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: protocol, os.fdopen(os.dup(self._master), "rb", 0)
        )

    async def write(self, data: bytes) -> None:
        """Type, or write to the command's input."""
        with suppress(OSError):
            if self._master < 0:
                if self._process.stdin is not None:
                    self._process.stdin.write(data)
                    await self._process.stdin.drain()
                return
            while data and self._process.returncode is None:
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
        if self._master < 0 and self._process.stdin is not None:
            self._process.stdin.close()
        elif self._master >= 0:
            with suppress(OSError):
                os.write(self._master, b"\x04")

    async def wait(self) -> int:
        """The exit code, 128 + N for a signal."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    async def stop(self) -> None:
        """End whatever of it still runs and let go of the terminal."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGHUP)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._process.wait()
        kill_group(self._process.pid)
        await self._process.wait()
        self._keeper.remove(self._process.pid)
        if self._transport is not None:
            self._transport.close()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1


async def _spawn(
    program: str, argv: Sequence[str], command: Command, stream: int
) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv, executable=program, env=dict(command.env), cwd=command.cwd,
            stdin=stream, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise StartError(f'exec: "{command.argv[0]}": {error}') from error
