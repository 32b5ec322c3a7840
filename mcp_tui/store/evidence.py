"""A row from all that is known of a job, where some of it is older than the rest.

Watches, lists and Events each tell of another moment. What a pod waited for is told by lists that
are not repeated once all of the job's pods are ready, and by Events that are never taken back:
where something newer contradicts them, they do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mcp_tui.domain.cause import UNPLACED, UNSTARTED
from mcp_tui.domain.job import view_job
from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Event, Pod


def standing(events: Iterable[Event], pods: Iterable[Pod]) -> tuple[Event, ...]:
    """Those that still hold: what a known pod waited for and has got over is over."""
    placed: set[str] = set()
    started: set[str] = set()
    for pod in pods:
        statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
        if pod.spec.node_name:
            placed.add(pod.metadata.name)
        if any(s.state.running or s.state.terminated for s in statuses):
            started.add(pod.metadata.name)
    return tuple(
        event
        for event in events
        if not (event.reason in UNPLACED and event.involved_object.name in placed | started)
        and not (event.reason in UNSTARTED and event.involved_object.name in started)
    )


def row_for(job: AnyJob, *, pods: Sequence[Pod], events: Sequence[Event], **known: Any) -> JobView:
    """The row of a root job.

    Args:
        job: The root.
        pods: As they were told last.
        events: As they were fetched last.
        **known: The rest of what :func:`mcp_tui.domain.job.view_job` takes.
    """
    view = view_job(job, pods=pods, events=standing(events, pods) if events else (), **known)
    if view.cause is not None and view.cause.waiting and _all_run(view):
        # Nobody lists its pods any more: what says that one waits is older than its status.
        view = view_job(job, pods=[p for p in pods if p.status.phase != "Pending"], **known)
    return view


def _all_run(view: JobView) -> bool:
    """Whether every pod that there should be now is ready, as the job's own status counts."""
    wanted = view.wanted
    if view.key.kind != "Job":
        # A RayJob, for one, does not count its pods.
        wanted = max(wanted, view.parallelism)
    return 0 < wanted <= view.ready
