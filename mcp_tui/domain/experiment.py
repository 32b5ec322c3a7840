"""What is known of an experiment's runs without a count: MLflow has none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from mcp_tui.domain.run import Experiment, Run, RunStatus


class Activity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was read of an experiment's runs.

    Attributes:
        runs: How many were read.
        more: Whether there are further ones.
        running: How many of those read say RUNNING.
        failed: How many of those read say FAILED.
        newest: When anything of them was touched last, in ms; 0 without runs.
    """

    runs: int = 0
    more: bool = False
    running: int = 0
    failed: int = 0
    newest: int = 0

    def count(self) -> str:
        """``12`` or ``1,000+``: at least so many."""
        return f"{self.runs:,}{'+' if self.more else ''}"


def activity(runs: Iterable[Run], *, more: bool = False) -> Activity:
    """The activity that some runs of one experiment show.

    Args:
        runs: What was read.
        more: Whether the server has further ones.
    """
    listed = list(runs)
    status = Counter(run.info.status for run in listed)
    return Activity(
        runs=len(listed),
        more=more,
        running=status[RunStatus.RUNNING],
        failed=status[RunStatus.FAILED],
        newest=max((run.touched for run in listed), default=0),
    )


def activities(runs: Iterable[Run], *, more: bool = False) -> dict[str, Activity]:
    """The same for each of several experiments, by id; ``more`` holds for all of them."""
    by_id: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_id[run.info.experiment_id].append(run)
    return {each: activity(found, more=more) for each, found in by_id.items()}


def newest_activity(experiment: Experiment, seen: Activity | None) -> int:
    """When an experiment was last used, in ms: by a run that was read, else by its own record."""
    return max(seen.newest if seen else 0, experiment.last_update_time, experiment.creation_time)
