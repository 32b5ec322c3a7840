"""A cluster at rest: a measurement beside its controllers' work would be one of that work too."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from tests.cluster import Ground

BEAT: Final = 5.0
"""Seconds between two looks."""

_RESTS: Final = 0.12
"""Of one processor, by all servers together; ten thousand jobs at rest take less."""

LATEST: Final = 60.0
"""Seconds that they are waited for: some are busy for ever, and come last then (``behind``)."""


def servers(ground: Ground) -> list[int]:
    """The processes of the ground."""
    return [found["pid"] for found in ground.state["processes"].values()]


def settle(ground: Ground, latest: float = LATEST) -> None:
    """Wait until the cluster's own controllers have looked at all that was written to it.

    They go on for minutes after ten thousand jobs were; that they did not rest is said.
    """
    pids = servers(ground)
    used, until = _used(pids), time.monotonic() + latest
    while True:
        time.sleep(BEAT)
        before, used = used, _used(pids)
        if used - before < _RESTS * BEAT:
            return
        if time.monotonic() > until:
            break
    share = (used - before) / BEAT
    print(f"     the servers do not rest: {share * 100:.0f} % of a core", flush=True)


def _used(pids: list[int]) -> float:
    return sum(map(_cpu, pids))


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
