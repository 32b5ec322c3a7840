"""What containers and the machine use, in the words in which a kubelet tells metrics-server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Measured:
    """One running container.

    Attributes:
        group: Its process group.
        started: Epoch seconds.
    """

    namespace: str
    pod: str
    container: str
    group: int
    started: float


def used_by_group(groups: set[int]) -> dict[int, tuple[float, int]]:
    """CPU seconds so far and resident bytes of every process of each group or session.

    Children that were waited for count with their parents. Empty where there is no ``/proc``.
    """
    if sys.platform != "linux":
        return {}
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    totals: dict[int, tuple[float, int]] = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - plain names, and cheaper
        if not name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            fields = (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
            group, session = int(fields[2]), int(fields[3])
            owner = session if session in groups else group
            if owner in groups:
                cpu, memory = totals.get(owner, (0.0, 0))
                ticks = sum(int(field) for field in fields[11:15])
                totals[owner] = (cpu + ticks / tick, memory + int(fields[21]) * page)
    return totals


def resource_metrics(containers: Iterable[Measured], now: float) -> str:
    """The body of ``/metrics/resource``: counters and gauges with their time."""
    found = list(containers)
    used = used_by_group({each.group for each in found})
    return "".join(f"{line} {int(now * 1000)}\n" for line in _lines(found, used))


def _lines(containers: Iterable[Measured], used: Mapping[int, tuple[float, int]]) -> Iterator[str]:
    for each in containers:
        if each.group not in used:
            continue
        cpu, memory = used[each.group]
        labels = f'container="{each.container}",namespace="{each.namespace}",pod="{each.pod}"'
        # Whatever runs has used some CPU; metrics-server passes by what says that it used none.
        yield f"container_cpu_usage_seconds_total{{{labels}}} {cpu or 0.001:.3f}"
        yield f"container_memory_working_set_bytes{{{labels}}} {memory}"
        yield f"container_start_time_seconds{{{labels}}} {each.started:.3f}"
    with suppress(OSError, ValueError, IndexError, KeyError):
        cpu, memory = _machine()
        yield f"node_cpu_usage_seconds_total {cpu:.3f}"
        yield f"node_memory_working_set_bytes {memory}"


def _machine() -> tuple[float, int]:
    """CPU seconds that were not idle since the machine started, and bytes in use."""
    with (_PROC / "stat").open() as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    busy = sum(ticks) - ticks[3] - ticks[4]  # idle, and waiting for a disk
    sizes = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (
            line.partition(":") for line in (_PROC / "meminfo").read_text().splitlines()
        )
    }
    return busy / os.sysconf("SC_CLK_TCK"), sizes["MemTotal"] - sizes["MemAvailable"]
