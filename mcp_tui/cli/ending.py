"""How a command ends when it is told to: in order, whichever signal says so."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

_NUMBERS = (signal.SIGTERM, signal.SIGHUP)
_DESCRIPTORS = 3


def run(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end; SIGTERM and SIGHUP cancel it, as SIGINT does.

    What was begun is then ended in order: a terminal put back, a run marked KILLED, the journal
    written. A signal that was ignored when we were started (``nohup``) stays ignored.

    Returns:
        Its exit code, or 128 and the signal's number.

    Raises:
        KeyboardInterrupt: SIGINT came.
        OSError: There are no file descriptors left for an event loop.
    """
    try:
        _room()
    except OSError:
        command.close()
        raise
    came: list[int] = []

    async def main() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(number: int) -> None:
            came.append(number)
            if task is not None:
                task.cancel()

        for number in _NUMBERS:
            if signal.getsignal(number) is signal.SIG_DFL:
                loop.add_signal_handler(number, end, number)
        return await command

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if came:
            return 128 + came[0]
        raise


def _room() -> None:
    """Try whether an event loop can be made: asyncio leaves half of one behind, which complains."""
    held: list[int] = []
    try:
        while len(held) < _DESCRIPTORS:
            held.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for each in held:
            os.close(each)
