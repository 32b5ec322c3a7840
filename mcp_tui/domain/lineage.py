"""From an MLflow run to the job that made it, and where the two disagree."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.cause_line import Cause
from mcp_tui.domain.jobview import JobKey, JobState, JobView
from mcp_tui.domain.reltime import ago
from mcp_tui.domain.run import Run, RunStatus
from mcp_tui.domain.text import one_line

# Clocks of the cluster and of MLflow differ, and a run may be made a moment before its job.
_SKEW: Final = 300.0
# What controllers and people put behind a name to make it unique.
_ENDING: Final = re.compile(r"-[a-z0-9]{1,12}\Z")
_SHORTEST: Final = 7


class JobLink(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run's job.

    Attributes:
        key: Which it is, or was.
        how: By what it was found, in words.
        guess: Nothing says so exactly.
        view: The job as it is now; None where it is not there or not looked at.
        gone: It is known not to be there any more.
    """

    key: JobKey
    how: str
    guess: bool = False
    view: JobView | None = None
    gone: bool = False

    def words(self) -> str:
        """``Job/train-7 in ml at dev: failed; by the run's tags``."""
        key = self.key
        where = " at ".join(filter(None, (f"in {key.namespace}" if key.namespace else "",
                                          key.context)))  # fmt: skip
        stands = self.view.state.value if self.view is not None else "gone" if self.gone else ""
        found = f"{key.kind}/{key.name} {where}".rstrip()
        how = f"a guess, by {self.how}" if self.guess else f"by {self.how}"
        return f"{found}: {stands}; {how}" if stands else f"{found}; {how}"


def tagged_job(run: Run) -> JobKey | None:
    """The job that submit wrote into a run's tags; None where nothing is written."""
    tags = run.tags
    name = one_line(tags.get(keys.TAG_NAME, ""))
    if not name:
        return None
    return JobKey(
        context=one_line(tags.get(keys.TAG_CLUSTER, "")),
        kind=one_line(tags.get(keys.TAG_KIND, "")) or "Job",
        namespace=one_line(tags.get(keys.TAG_NAMESPACE, "")),
        name=name,
        uid=one_line(tags.get(keys.TAG_UID, "")),
    )


def guessed_job(run: Run, jobs: Iterable[JobView]) -> JobView | None:
    """The job of the same commit and name that ran when the run began; None where there is none.

    A job that carries another run is not it. Of several it is the one that was made last before
    the run began.
    """
    commit = one_line(run.tags.get(keys.TAG_COMMIT, ""))
    name = one_line(run.name)
    if len(commit) < _SHORTEST or not name:
        return None
    started = run.info.start_time / 1000 if run.info.start_time else None
    found = [
        view
        for view in jobs
        if not view.run_id
        and _same_commit(view.commit, commit)
        and _same_name(view.key.name, name)
        and _ran_at(view, started)
    ]
    return max(found, key=lambda view: (view.created or 0.0, view.key), default=None)


def _same_commit(one: str, other: str) -> bool:
    """Whether both are the same, one of them short perhaps."""
    one, other = one.lower(), other.lower()
    if min(len(one), len(other)) < _SHORTEST:
        return False
    return one.startswith(other) or other.startswith(one)


def _same_name(job: str, run: str) -> bool:
    return run in (job, _ENDING.sub("", job))


def _ran_at(view: JobView, moment: float | None) -> bool:
    if moment is None:
        return True
    began, ended = view.created, view.finished
    after = began is None or began - _SKEW <= moment
    return after and (ended is None or moment <= ended + _SKEW)


def disagreement(run: Run, job: JobLink | None, *, now: float) -> str:
    """Where a run's status and its job's contradict each other, with the cause; else empty.

    A run's status is what its program said last: one whose job died says RUNNING for ever.

    Args:
        run: As MLflow tells of it.
        job: Its job, if any is known.
        now: Epoch seconds.
    """
    status = one_line(run.info.status)
    if job is None or not status:
        return ""
    found = _against(run, status, job, now)
    perhaps = ", if that is its job" if found and job.guess else ""
    return f"{found}{perhaps}"


def _against(run: Run, status: str, job: JobLink, now: float) -> str:
    view = job.view
    open_ = status in (RunStatus.RUNNING, RunStatus.SCHEDULED)
    if view is None:
        if not (open_ and job.gone):
            return ""
        kept = Cause.from_text(run.tags.get(keys.TAG_CAUSE, ""))
        why = f": {kept.line()}" if kept is not None else ""
        return f"says {status}, but its job is gone{why}"
    if view.state is JobState.FAILED and status != RunStatus.FAILED:
        why = view.cause.line() if view.cause is not None else view.why
        when = ago(view.since, now)
        if open_ or status == RunStatus.FINISHED:
            return f"says {status}, but its job failed {when} ago" + (f": {why}" if why else "")
    if view.state is JobState.DONE and status != RunStatus.FINISHED:
        return f"says {status}, but its job succeeded {ago(view.since, now)} ago"
    if not view.state.over and run.is_over:
        return f"says {status}, but its job is {view.state.value}"
    return ""


def is_dead(run: Run, job: JobLink | None) -> bool:
    """Whether a run that says it is under way cannot be: its job has ended or is gone."""
    if run.is_over or job is None or job.guess:
        return False
    return job.gone or (job.view is not None and job.view.state.over)
