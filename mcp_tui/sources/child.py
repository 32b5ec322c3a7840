"""Asks a process of our own that reads foreign files, and ends it when it takes too long."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

from mcp_tui.domain.text import one_line
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.sources.process import end, start

MOST_SAID: Final = 64 * 1024**2
"""Bytes of an answer; a longer one is a failure."""

# What a Python needs to find its modules; no credential of the caller's goes along.
_KEPT: Final = ("PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "LD_LIBRARY_PATH")


async def ask_child(
    program: str,
    arguments: Sequence[str] = (),
    *,
    subject: str,
    deadline: float,
    given: bytes | None = None,
) -> bytes:
    """What a module of ours says when it is run as a process of its own.

    Args:
        program: The module.
        arguments: What it is told.
        subject: What it reads, in words: ``event files``.
        deadline: Seconds that it may take.
        given: What it reads from its standard input; None for nothing.

    Raises:
        UsageError: It failed, or said too much.
        UnreachableError: It took too long.
    """
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # -P: a module in the folder from which the console was started is none of ours.
    command = [sys.executable, "-P", "-m", program, *arguments]
    pipe = asyncio.subprocess.PIPE
    process = await start(
        command,
        {**env, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.DEVNULL if given is None else pipe,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        async with asyncio.timeout(deadline):
            out, err, _ = await asyncio.gather(
                _read(process.stdout), _read(process.stderr), _give(process.stdin, given)
            )
            code = await process.wait()
    except TimeoutError:
        what = f"{subject} could not be read within {deadline:g} s"
        raise UnreachableError(what) from None
    finally:
        await end(process)
    if code or len(out) > MOST_SAID:
        said = err.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise UsageError(f"{subject} could not be read: {one_line(said) or f'it ended ({code})'}")
    return out


async def _give(stream: asyncio.StreamWriter | None, given: bytes | None) -> None:
    """All that it is to read; one that ended without reading it says why by itself."""
    if stream is None:
        return
    try:
        stream.write(given or b"")
        await stream.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        stream.close()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """All that it says; what is beyond the bound is not kept, and the process may end."""
    assert stream is not None
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(65_536):
        if size <= MOST_SAID:
            parts.append(part)
        size += len(part)
    return b"".join(parts)
