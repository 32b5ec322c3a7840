"""Servers that share the processors with what is measured have what that leaves of them.

Who uses the console has its servers on other machines. On one machine Linux shares the processors
out between sessions first (sched(7), "The autogroup feature"), and each server is a session of its
own: five busy servers leave the console a sixth, whatever the niceness of any process, and what is
measured is that share.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_LAST: Final = 19
_TRIES: Final = 5
_PAUSE: Final = 0.11
"""Seconds between two changes that who is not root may make."""


@contextlib.contextmanager
def behind(pids: Iterable[int]) -> Iterator[None]:
    """Processes that lead sessions of their own come last while the block runs.

    To put them back takes rights that only root has; for others they stay where they are.
    """
    were = {pid: place for pid in pids if (place := _place_of(pid)) is not None}
    for pid in were:
        _place(pid, _LAST, _LAST)
    try:
        yield
    finally:
        for pid, (nice, session) in were.items():
            with contextlib.suppress(PermissionError):
                _place(pid, nice, session)


def _place_of(pid: int) -> tuple[int, int] | None:
    """The niceness of a process and of its session, 0 where none counts; None of none there."""
    try:
        nice = os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return None
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return nice, int(Path(f"/proc/{pid}/autogroup").read_text().rpartition(" ")[2])
    return nice, 0


def _place(pid: int, nice: int, session: int) -> None:
    """Set the niceness of a group's threads, which counts where sessions do not, and a session's.

    Raises:
        PermissionError: It would come earlier than it does, which not everybody may have it do.
    """
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, pid, nice)
    file = Path(f"/proc/{pid}/autogroup")
    for left in reversed(range(_TRIES)):
        try:
            file.write_text(str(session))
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_PAUSE)
        except (FileNotFoundError, ProcessLookupError):
            return  # A kernel without them, or a process that has ended.
        else:
            return
