"""The order in which a JobSet makes its Jobs, and which of those that are due are not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcp_tui.domain.kube_custom import DependsOn, JobSetSpec, ReplicaCount


def lacking_jobs(spec: JobSetSpec, counts: Iterable[ReplicaCount]) -> int:
    """How many Jobs are not there although it is their turn.

    Args:
        spec: Of the JobSet.
        counts: Its status of each replicated job; where there is none yet, none is missed.
    """
    known = {each.name: each for each in counts}
    if not known:
        return 0
    replicas = {each.name: each.replicas for each in spec.replicated_jobs}
    in_order = spec.startup_policy.startup_policy_order == "InOrder"
    lacking = 0
    for replicated in spec.replicated_jobs:
        count = known.get(replicated.name, ReplicaCount())
        if all(_reached(each, replicas, known) for each in replicated.depends_on):
            # What is ready is counted as active, too.
            live = max(count.active, count.ready)
            there = live + count.succeeded + count.failed + count.suspended
            lacking += max(0, replicated.replicas - there)
        if in_order and not _has_started(count, replicated.replicas):
            break
    return lacking


def _reached(
    before: DependsOn, replicas: Mapping[str, int], known: Mapping[str, ReplicaCount]
) -> bool:
    """Whether a replicated job is as far as another waits for it to be.

    As JobSet decides it (``pkg/controllers/depends_on.go``).
    """
    count = known.get(before.name)
    if count is None:
        return False
    wanted = replicas.get(before.name, 0)
    return count.succeeded == wanted if before.status == "Complete" else _has_started(count, wanted)


def _has_started(count: ReplicaCount, replicas: int) -> bool:
    return count.ready + count.succeeded + count.failed == replicas
