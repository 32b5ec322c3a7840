"""Processes in groups of their own, of which nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any


async def start(
    command: Sequence[str], env: Mapping[str, str], **options: Any
) -> asyncio.subprocess.Process:
    """Start a process in a group of its own, to be ended by :func:`end`.

    Args:
        command: The program and its arguments.
        env: Its whole environment.
        options: More, as for :func:`asyncio.create_subprocess_exec`.

    Raises:
        OSError: It cannot be started.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(*command, env=env, start_new_session=True, **options)
    )
    try:
        # Cancelled while it starts, asyncio would kill it alone, or leave it behind, and wait for
        # its pipes for ever.
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            await end(starting.result())
        raise
    return starting.result()


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill its group, also when it ended by itself: a helper (ssh) may be left over."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    await asyncio.shield(process.wait())
