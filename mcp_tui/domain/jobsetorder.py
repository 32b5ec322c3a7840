"""The order in which a JobSet makes its Jobs, and which of those that are due are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp_tui.domain.kube_custom import DependsOn, JobSetSpec, ReplicaCount, ReplicatedJob


def due_jobs(spec: JobSetSpec, known: Mapping[str, ReplicaCount]) -> tuple[ReplicatedJob, ...]:
    """The replicated jobs whose turn it is, or was: others wait for them to be ready or complete.

    Args:
        spec: Of the JobSet.
        known: Its status of each replicated job, by name.
    """
    replicas = {each.name: each.replicas for each in spec.replicated_jobs}
    in_order = spec.startup_policy.startup_policy_order == "InOrder"
    due, turn = [], True
    for replicated in spec.replicated_jobs:
        count = known.get(replicated.name, ReplicaCount())
        reached = all(_reached(each, replicas, known) for each in replicated.depends_on)
        # What was made once its turn had come stays, whatever becomes of what it waited for.
        if (turn and reached) or _there(count):
            due.append(replicated)
        turn = turn and not (in_order and not _has_started(count, replicated.replicas))
    return tuple(due)


def lacking_jobs(due: Sequence[ReplicatedJob], known: Mapping[str, ReplicaCount]) -> int:
    """How many Jobs are not there although it is their turn.

    A JobSet does not count a Job that has no active pod, so that some of them may be there.

    Args:
        due: See :func:`due_jobs`.
        known: The JobSet's status of each replicated job, by name; where there is none yet, none
            is missed.
    """
    if not known:
        return 0
    none = ReplicaCount()
    return sum(max(0, each.replicas - _there(known.get(each.name, none))) for each in due)


def _there(count: ReplicaCount) -> int:
    # What is ready is counted as active, too.
    return max(count.active, count.ready) + count.succeeded + count.failed + count.suspended


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
