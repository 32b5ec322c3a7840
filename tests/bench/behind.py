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
    leaders = list(pids)
    for pid in leaders:
        _place(pid, _LAST)
    try:
        yield
    finally:
        for pid in leaders:
            with contextlib.suppress(PermissionError):
                _place(pid, 0)


def _place(pid: int, nice: int) -> None:
    """Set the niceness of a session and, where no sessions count, of all threads of its group.

    Raises:
        PermissionError: It would come earlier than it does, which not everybody may have it do.
    """
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, pid, nice)
    file = Path(f"/proc/{pid}/autogroup")
    for left in reversed(range(_TRIES)):
        try:
            file.write_text(str(nice))
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_PAUSE)
        except (FileNotFoundError, ProcessLookupError):
            return  # A kernel without them, or a process that has ended.
        else:
            return
