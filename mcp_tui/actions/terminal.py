"""Joins this process's terminal, or its pipes, to a command that runs in a container.

The terminal is put into raw mode while the command has it, and is put back as it was whatever
ends the command: its own end, a broken connection, a signal, a cancelled task.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import termios
import tty as raw_mode
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from mcp_tui.errors import McpTuiError, UnreachableError
from mcp_tui.sources.kubernetes.exec import STDERR, ExecSession

_CHUNK: Final = 32_768
# What is read ahead of a connection that does not take it: then reading stands still.
_AHEAD: Final = 8


def is_terminal(*fds: int) -> bool:
    """Whether all of these are terminals; one that is closed is none."""
    return all(os.isatty(fd) for fd in fds)


async def attach(
    session: ExecSession, *, tty: bool, stdin: int = 0, stdout: int = 1, stderr: int = 2
) -> int:
    """Let a command have the terminal until it ends.

    Args:
        session: The command, opened with the same ``tty``.
        tty: Whether the command has a terminal: ours is then put into raw mode, and its changes of
            size are passed on. Otherwise the end of our input ends the command's.
        stdin: Where its input comes from.
        stdout: Where its output goes.
        stderr: Where its errors go; with a terminal everything goes to ``stdout``.

    Returns:
        The command's exit code.

    Raises:
        UnreachableError: The connection ended before the command was known to have.
        McpTuiError: The server said, instead of an exit code, why it failed.
        BrokenPipeError: Nobody reads our output any more.
    """
    with raw(stdin) if tty else contextlib.nullcontext():
        sending = [asyncio.create_task(_send_input(session, stdin, ends=not tty))]
        if tty:
            sending.append(asyncio.create_task(_send_size(session, stdout)))
        try:
            async for channel, data in session.output():
                await asyncio.to_thread(_write, stderr if channel == STDERR else stdout, data)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
    if session.exit_code is not None:
        return session.exit_code
    if session.message:
        raise McpTuiError(session.message)
    raise UnreachableError(
        "the connection ended before the command did", hint="the container may have gone"
    )


@contextlib.contextmanager
def raw(fd: int) -> Iterator[None]:
    """Put a terminal into raw mode, and back as it was."""
    before = termios.tcgetattr(fd)
    try:
        raw_mode.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        # What was typed and not sent is for nobody: the shell behind us must not run it.
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


async def _send_input(session: ExecSession, fd: int, *, ends: bool) -> None:
    with contextlib.suppress(UnreachableError):  # what comes out says how it ended
        async with contextlib.aclosing(read_input(fd)) as pieces:
            async for data in pieces:
                await session.write(data)
        if ends:
            await session.close_input()


async def read_input(fd: int) -> AsyncGenerator[bytes, None]:
    """What comes on a descriptor until its end; no thread is left waiting when it is given up."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        # A file is always ready, which an event loop does not take for an answer.
        while data := await asyncio.to_thread(os.read, fd, _CHUNK):
            yield data
        return
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    def ready() -> None:
        try:
            data = os.read(fd, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # a terminal that was hung up
            data = b""
        queue.put_nowait(data)
        if not data or queue.qsize() >= _AHEAD:
            loop.remove_reader(fd)

    try:
        loop.add_reader(fd, ready)
    except OSError:  # a device that cannot be waited for, such as /dev/null
        while data := await asyncio.to_thread(os.read, fd, _CHUNK):
            yield data
        return
    try:
        while data := await queue.get():
            yield data
            if queue.empty():
                loop.add_reader(fd, ready)
    finally:
        loop.remove_reader(fd)


async def _send_size(session: ExecSession, fd: int) -> None:
    """The size at once and after every change of it."""
    changed = asyncio.Event()
    changed.set()
    loop = asyncio.get_running_loop()
    # Off the main thread there are no signals to be had: the first size has to do.
    with contextlib.suppress(ValueError, RuntimeError):
        loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        with contextlib.suppress(UnreachableError):
            while True:
                await changed.wait()
                changed.clear()
                size = os.get_terminal_size(fd)
                if size.columns and size.lines:
                    await session.resize(size.columns, size.lines)
    finally:
        with contextlib.suppress(ValueError, RuntimeError):
            loop.remove_signal_handler(signal.SIGWINCH)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
