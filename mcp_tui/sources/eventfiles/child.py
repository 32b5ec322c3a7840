"""Asks the process that reads event files, and ends it when it takes too long or says too much."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from mcp_tui.domain.eventlines import EventFolder
from mcp_tui.domain.text import one_line
from mcp_tui.errors import UnreachableError, UsageError

DEADLINE: Final = 90.0
"""Seconds that the reading of one folder may take: 64 MB of small records take some 20."""

_MOST_SAID: Final = 64 * 1024**2
_PROGRAM: Final = "mcp_tui.sources.eventfiles.parse"
# What a Python needs to find its modules; no credential of the caller's goes along.
_KEPT: Final = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "LD_LIBRARY_PATH")


def ensure_reader() -> None:
    """Whether TensorBoard is there.

    Raises:
        UsageError: It is not: how to get it.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard's reader of event files is not installed",
            hint="pip install tensorboard (the extra tensorboard)",
        )


async def parse(paths: Sequence[Path], *, deadline: float = DEADLINE) -> EventFolder:
    """Read the event files of one folder in a process of its own.

    Raises:
        UsageError: TensorBoard is not installed, or its reader could not read them.
        UnreachableError: It took too long.
    """
    ensure_reader()
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # -P: a module in the folder from which the console was started is none of ours.
    command = [sys.executable, "-P", "-m", _PROGRAM, *map(str, paths)]
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**env, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
    )
    try:
        # Cancelled while it starts, it would be left behind.
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            await _end(starting.result())
        raise
    process = starting.result()
    try:
        async with asyncio.timeout(deadline):
            out, err = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            code = await process.wait()
    except TimeoutError:
        raise UnreachableError(f"event files were not read within {deadline:g} s") from None
    finally:
        await _end(process)
    if code or len(out) > _MOST_SAID:
        said = err.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise UsageError(f"event files could not be read: {one_line(said) or f'it ended ({code})'}")
    return await asyncio.to_thread(msgspec.msgpack.decode, out, type=EventFolder)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    await asyncio.shield(process.wait())


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """All that it says; what is beyond the bound is not kept, and the process may end."""
    assert stream is not None
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(65_536):
        if size <= _MOST_SAID:
            parts.append(part)
        size += len(part)
    return b"".join(parts)
