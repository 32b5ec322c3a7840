"""A cluster at rest: a measurement beside its controllers' work would be one of that work too."""

from __future__ import annotations

import time
from typing import Final

from tests.bench.tracker import processor
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
    used, until = processor(pids), time.monotonic() + latest
    while True:
        time.sleep(BEAT)
        before, used = used, processor(pids)
        if used - before < _RESTS * BEAT:
            return
        if time.monotonic() > until:
            break
    share = (used - before) / BEAT
    print(f"     the servers do not rest: {share * 100:.0f} % of a core", flush=True)
