"""What the cluster says of the jobs that runs name, as far as it can be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mcp_tui.cli.tracker import Tracker
from mcp_tui.domain.job import view_job
from mcp_tui.domain.lineage import JobLink, tagged_job
from mcp_tui.domain.run import Run
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.gate import is_canonical
from mcp_tui.sources.kubernetes.resources import (
    JOBS,
    JOBSETS,
    PYTORCHJOBS,
    RAYJOBS,
    TRAINJOBS,
    Resource,
)

_ROOTS: Final[Mapping[str, Resource[Any]]] = {
    each.kind: each for each in (JOBS, TRAINJOBS, PYTORCHJOBS, JOBSETS, RAYJOBS)
}
_MOST: Final = 50
"""Jobs that are asked for: one call each."""
_AT_ONCE: Final = 8
_DEADLINE: Final = 5.0


async def links(
    tracker: Tracker, runs: Iterable[Run], *, every: bool = False
) -> tuple[dict[str, JobLink], str]:
    """The jobs of runs by the runs' ids; of those that say they go on, as they are now.

    Args:
        tracker: Its cluster is asked, where it has one.
        runs: Whose.
        every: Ask for the jobs of runs that are over, too.

    Returns:
        The jobs, and why the cluster could not be asked; empty where it could.
    """
    listed = list(runs)
    found: dict[str, JobLink] = {}
    asked: list[tuple[str, JobLink]] = []
    for run in listed:
        key = tagged_job(run)
        if key is None:
            continue
        found[run.run_id] = JobLink(key=key, how="the run's tags")
        if every or not run.is_over:
            asked.append((run.run_id, found[run.run_id]))
    if tracker.connection is None or not asked:
        return found, ""
    slots = asyncio.Semaphore(_AT_ONCE)
    problems: list[str] = []

    async def one(run_id: str, link: JobLink) -> None:
        async with slots:
            if problems:
                return  # A cluster that is not there is not asked fifty times.
            try:
                found[run_id] = await _as_it_is(tracker, link)
            except McpTuiError as error:
                problems.append(error.line())

    await asyncio.gather(*(one(*each) for each in asked[:_MOST]))
    if len(asked) > _MOST and not problems:
        problems.append(f"only the jobs of the first {_MOST} runs that go on were asked for")
    return found, problems[0] if problems else ""


async def _as_it_is(tracker: Tracker, link: JobLink) -> JobLink:
    """A job as the cluster has it: gone only where it is this cluster's beyond doubt."""
    connection, key = tracker.connection, link.key
    resource = _ROOTS.get(key.kind)
    if connection is None or resource is None or not key.namespace:
        return link
    path = resource.path(key.namespace, key.name)
    if "/" in key.namespace + key.name or not is_canonical(path):
        return link
    here = key.context == connection.info.name
    try:
        job = await connection.kube.get(path, resource.type_, deadline=_DEADLINE)
    except ApiError as error:
        if error.status == 404 and here:
            return JobLink(key=key, how=link.how, gone=True)
        if error.status in (403, 404):
            return link
        raise
    if key.uid and job.metadata.uid != key.uid:
        # Another job of that name: in another cluster ours may be well.
        return JobLink(key=key, how=link.how, gone=here)
    view = view_job(job, context=connection.info.name, now=time.time())
    return JobLink(key=view.key, how=link.how, view=view)
