"""A cluster at rest: a measurement beside its controllers' work would be one of that work too."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.cluster import Ground

BEAT: Final = 5.0
"""Seconds between two looks."""

_RESTS: Final = 0.12
"""Of one processor, by all servers together: ten thousand jobs at rest take half of it."""

_LATEST: Final = 600.0
"""Seconds that a ground is waited for, all times together: some machines never rest so far."""

_waited: Counter[str] = Counter()


def servers(ground: Ground) -> list[int]:
    """The processes of the ground."""
    return [found["pid"] for found in ground.state["processes"].values()]


def settle(ground: Ground) -> None:
    """Wait until the cluster's own controllers have looked at all that was written to it.

    They go on for a minute after ten thousand jobs were; that they did not rest is said.
    """
    pids = servers(ground)
    used = _used(pids)
    while True:
        time.sleep(BEAT)
        before, used = used, _used(pids)
        if used - before < _RESTS * BEAT:
            return
        _waited[str(ground.directory)] += BEAT
        if _waited[str(ground.directory)] >= _LATEST:
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
