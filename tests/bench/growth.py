"""How the figures grow with the number of jobs, as a table in Markdown.

``python -m tests.bench.growth`` measures a thousand, ten thousand and a hundred thousand jobs, each
on a real cluster of its own, in about a quarter of an hour; numbers behind it measure those.
"""

from __future__ import annotations

import sys
from typing import Final

from tests.bench import idle, scale, scale_figures
from tests.bench.scene import Size
from tests.bench.weather import Weather

SIZES: Final = (1_000, 10_000, 100_000)
_PODS: Final = 50_000
_STORM: Final = 20.0
_REST: Final = 60.0
HEADINGS: Final = (
    "jobs",
    "first rows, s",
    "all rows, s",
    "memory, MB",
    "filter, ms",
    "sort, ms",
    "move, ms",
    "storm, events/s",
    "its keys' P99, ms",
    "idle, % of a core",
    "idle, KiB/min",
    "kubectl, s",
    "kubectl, MB",
)


def row(jobs: int) -> tuple[str, ...]:
    """The figures at a size, in the order of the headings; of keys the slowest."""
    with scale.stage(Size(jobs, min(jobs * 5, _PODS))) as at:
        other, ours = scale.starts(at, 2)
        keys = scale.quiet_keys(at).slowest()
        storm = _stormed(at)
        rest = idle.of_console(at.ground, env=at.env, rows=jobs, seconds=_REST)
        return (
            f"{at.size.jobs:,}",
            f"{ours.first:.2f}",
            f"{ours.every:.2f}",
            f"{ours.resident / 1e6:.0f}",
            f"{max(keys['filter'], keys['enter'], keys['escape']):.0f}",
            f"{keys['sort']:.0f}",
            f"{max(keys.get(name, 0) for name in ('down', 'up', 'page', 'end', 'top')):.0f}",
            f"{storm.storm.rate:.0f}",
            f"{storm.keys.quantile(0.99):.0f}",
            f"{rest.processor * 100:.2f}",
            f"{rest.per_minute / 1024:.1f}",
            f"{other.seconds:.2f}",
            f"{other.resident / 1e6:.0f}",
        )


def _stormed(at: scale.Stage) -> Weather:
    """Keys while a recording of a storm is given at its full rate.

    Raises:
        RuntimeError: Something of it was lost.
    """
    told = scale_figures.replayed(at, _STORM)
    if not told.same:
        raise RuntimeError(f"the last state differs: {told.line()}")
    return told


def main() -> None:
    """Print the table, each row as it is known."""
    sizes = tuple(int(word) for word in sys.argv[1:]) or SIZES
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " ---: |" * len(HEADINGS), flush=True)
    for jobs in sizes:
        print("| " + " | ".join(row(jobs)) + " |", flush=True)


if __name__ == "__main__":
    main()
