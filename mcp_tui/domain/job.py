"""One row of the Jobs pane: a root owner with all that speaks of it, in one state with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from mcp_tui.domain import keys, quantity
from mcp_tui.domain.cause import cause_in, keep
from mcp_tui.domain.cause_line import Cause
from mcp_tui.domain.jobview import JobKey, JobState, JobView, Used
from mcp_tui.domain.kinds import AnyJob, Outline, outline, run_variable
from mcp_tui.domain.kube import Event, Pod, epoch
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.reltime import duration
from mcp_tui.domain.runfacts import (
    QUIET_AT_LEAST,
    QUIET_INTERVALS,
    MetricFact,
    Progress,
    RunFacts,
    quiet_text,
)
from mcp_tui.domain.text import one_line

__all__ = [
    "JobKey",
    "JobState",
    "JobView",
    "MetricFact",
    "Progress",
    "RunFacts",
    "Used",
    "changes_at",
    "run_id_of",
    "view_job",
]

STALL_AFTER: Final = 600.0
"""Seconds that some pods may wait beside running ones before the job counts as stalled."""

LONG_WAIT: Final = 3_600.0
"""Seconds of waiting after which a job stands before those that run."""

NEW_FAILURE: Final = 86_400.0
"""Seconds that a failure stands on top."""

ENDING: Final = "ending: its pods have succeeded"
"""What a job says between the end of its pods and its own."""

# How often the words of a silence are made anew.
_SILENCE_WORDS: Final = 15.0

# Waits that do not end by themselves: somebody has to do something.
_STUCK: Final = frozenset(
    {
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "QuotaExceeded",
        "AdmissionDenied",
        "PodSecurity",
        "LimitRange",
        "FailedCreate",
        "FailedMount",
    }
)


class _Facts(NamedTuple):
    whole: Outline
    workload: Workload | None
    run: RunFacts | None
    cause: Cause | None
    now: float
    active: int
    ready: int
    ending: bool


def run_id_of(job: AnyJob) -> str:
    """The MLflow run that a job carries: by our label, else by its environment; or empty."""
    label = job.metadata.labels.get(keys.RUN_ID)
    return one_line(label) if label else run_variable(job)


def changes_at(view: JobView, run: RunFacts | None, now: float) -> float | None:
    """When a row may read otherwise although nobody said anything: epoch seconds, or None.

    What depends on time alone is the order of old rows, a wait that becomes a stall, and silence.
    """
    moments: list[float] = []
    if view.state is JobState.DONE:
        return None
    if view.state is JobState.FAILED:
        moments.append(view.since + NEW_FAILURE)
    elif view.state is JobState.WAITING:
        moments.append(view.since + LONG_WAIT)
    elif view.state in (JobState.RUNNING, JobState.STALLED):
        cause = view.cause
        if cause is not None and cause.waiting and 0 < view.ready < view.active:
            held = (cause.at, view.started, view.created)
            moments.append(next((m for m in held if m is not None), now) + STALL_AFTER)
        if run is not None and run.step is not None and run.updated is not None:
            quiet = run.updated + max(QUIET_AT_LEAST, QUIET_INTERVALS * (run.interval or 0))
            # Once it is silent, the row says for how long.
            moments.append(quiet if quiet >= now else now + _SILENCE_WORDS)
    if not moments:
        return None
    # The comparisons are strict, so that the moment itself is just too early.
    return min((m + 0.001 for m in moments if m >= now), default=None)


def view_job(
    job: AnyJob,
    *,
    context: str,
    now: float,
    pods: Iterable[Pod] = (),
    children: Iterable[AnyJob] = (),
    workload: Workload | None = None,
    run: RunFacts | None = None,
    events: Iterable[Event] = (),
    kept: Cause | None = None,
    queue_position: int | None = None,
    used: Used | None = None,
) -> JobView:
    """Join all that is known of one root owner into a row.

    Args:
        job: The root object, of any kind of :data:`mcp_tui.domain.kinds.KINDS`.
        context: The kubeconfig context it was read from.
        now: Epoch seconds.
        pods: Its pods, as far as they were fetched; none is fine.
        children: What stands between it and its pods.
        workload: Kueue's, where the job has one.
        run: Its MLflow run, where that was fetched.
        events: Of the job and its pods.
        kept: The cause seen before, on screen or in the run's tag.
        queue_position: From Kueue's visibility API, counted from 1.
        used: What its pods use now.
    """
    parts = [outline(child) for child in children]
    whole = _with_children(outline(job), parts)
    if kept is None and run is not None and run.cause:
        kept = Cause.from_text(run.cause)
    pods = tuple(pods)
    cause = cause_in(whole, parts, pods, events, workload, now=now)
    if whole.failure is not None:
        cause = keep(kept, cause)
    active, ready = max(0, whole.active), max(0, min(whole.ready, whole.active))
    facts = _Facts(whole, workload, run, cause, now, active, ready, _ending(whole, pods))
    state = _state(facts)
    since = _since(facts, state)
    meta = whole.metadata
    key = JobKey(context, whole.kind, one_line(meta.namespace), one_line(meta.name), meta.uid)
    cpu, memory, accelerators, accelerator_kinds = _figures(tuple(whole.requested.items()))
    return JobView(
        key=key,
        state=state,
        since=since,
        why=_why(facts, state),
        cause=cause,
        progress=_progress(whole, run),
        created=epoch(meta.creation_timestamp),
        started=whole.started,
        finished=whole.finished,
        owner=_owner(whole),
        queue=_queue(whole, workload),
        queue_position=queue_position if state is JobState.WAITING else None,
        cpu=cpu,
        memory=memory,
        accelerators=accelerators,
        accelerator_kinds=accelerator_kinds,
        used=used,
        image=one_line(whole.image),
        commit=one_line(meta.labels.get(keys.COMMIT, "")),
        branch=one_line(meta.annotations.git_branch),
        git_url=one_line(meta.annotations.git_url),
        run_id=run_id_of(job) or (run.run_id if run else ""),
        experiment_id=one_line(meta.annotations.experiment_id),
        parent=one_line(meta.annotations.parent),
        active=active,
        ready=ready,
        succeeded=whole.succeeded,
        failed=whole.failed,
        restarts=whole.restarts,
        completions=whole.completions,
        parallelism=whole.parallelism,
        failed_indexes=one_line(whole.failed_indexes),
        labels=meta.labels,
        suspended_by=_suspended_by(facts),
        deleting=meta.deletion_timestamp is not None,
        run_note=_run_note(state, run),
        urgency=_urgency(state, since, now, key.name),
    )


def _with_children(whole: Outline, parts: Sequence[Outline]) -> Outline:
    """Pods counted from the child Jobs, where the root's status counts only Jobs."""
    if not parts:
        return whole
    jobs = [part for part in parts if part.kind == "Job"]
    inner = next((part for part in parts if part.kind == "JobSet"), None)
    changes: dict[str, object] = {}
    if whole.counts_jobs and jobs:
        changes = {
            name: sum(getattr(part, name) for part in jobs)
            for name in ("active", "ready", "succeeded", "failed")
        }
        starts = [part.started for part in jobs if part.started is not None]
        if starts and whole.started is None:
            changes["started"] = min(starts)
    if whole.counts_jobs and jobs and all(part.done or part.ending for part in jobs):
        changes["ending"] = True
    source = inner or (jobs[0] if jobs else None)
    if source is not None:
        if not whole.image:
            changes["image"] = source.image
        if not whole.requested and inner is not None:
            changes["requested"] = inner.requested
        if inner is not None and inner.restarts and not whole.restarts:
            changes["restarts"] = inner.restarts
    return msgspec.structs.replace(whole, **changes) if changes else whole


def _ending(whole: Outline, pods: Iterable[Pod]) -> bool:
    """Whether the pods have done their work, and only the job's own end is still to be written.

    The job's controller hears of a pod's end later than whoever watches the pod.
    """
    if whole.ready or whole.suspended:
        return False
    if whole.ending:
        return True
    ended = sum(1 for pod in pods if _succeeded(pod))
    wanted = whole.parallelism if whole.completions is None else whole.completions
    return 0 < wanted <= ended


def _succeeded(pod: Pod) -> bool:
    states = [status.state.terminated for status in pod.status.container_statuses]
    return pod.status.phase == "Succeeded" or (
        bool(states) and all(end is not None and end.exit_code == 0 for end in states)
    )


def _state(facts: _Facts) -> JobState:
    whole, cause = facts.whole, facts.cause
    if whole.done:
        return JobState.DONE
    if whole.failure is not None:
        return JobState.FAILED
    if whole.suspended:
        return JobState.SUSPENDED if _suspended_by(facts) == "hand" else JobState.WAITING
    if facts.ending:
        return JobState.RUNNING
    if facts.ready:
        waits = cause is not None and cause.waiting and facts.ready < facts.active
        if waits and cause is not None and facts.now - _held_since(facts, cause) > STALL_AFTER:
            return JobState.STALLED
        if facts.run is not None and facts.run.quiet(facts.now) is not None:
            return JobState.STALLED
        return JobState.RUNNING
    if cause is not None and (cause.reason in _STUCK or "CrashLoopBackOff" in _words(cause)):
        return JobState.STALLED
    return JobState.WAITING


def _since(facts: _Facts, state: JobState) -> float:
    whole, cause, run = facts.whole, facts.cause, facts.run
    if state is JobState.DONE and whole.finished is not None:  # as most rows are
        return whole.finished
    created = epoch(whole.metadata.creation_timestamp)
    moments: tuple[float | None, ...]
    if state is JobState.FAILED:
        failure = whole.failure
        changed = epoch(failure.last_transition_time) if failure else None
        moments = (changed, whole.finished)
    elif state is JobState.DONE:
        moments = (whole.finished,)
    elif state is JobState.SUSPENDED:
        moments = (whole.suspended_since,)
    elif state is JobState.STALLED:
        quiet = run is not None and run.quiet(facts.now) is not None
        moments = (
            run.updated if run is not None and quiet else None,
            _held_since(facts, cause) if cause is not None else None,
        )
    elif state is JobState.WAITING:
        moments = (cause.at if cause is not None and cause.waiting else None,)
    else:
        moments = ()
    found = (moment for moment in (*moments, whole.started, created) if moment is not None)
    return next(found, facts.now)


def _held_since(facts: _Facts, cause: Cause) -> float:
    found = (cause.at, facts.whole.started, epoch(facts.whole.metadata.creation_timestamp))
    return next((moment for moment in found if moment is not None), facts.now)


def _why(facts: _Facts, state: JobState) -> str:
    whole, cause, run = facts.whole, facts.cause, facts.run
    if state is JobState.DONE:
        return _result(whole, run)
    if state is JobState.STALLED and run is not None and facts.ready:
        silence = run.quiet(facts.now)
        if silence is not None:
            return quiet_text(silence, run)
    if state is JobState.SUSPENDED:
        return "suspended by hand"
    if state is not JobState.RUNNING and cause is not None:
        return cause.line()
    if state is JobState.WAITING:
        if whole.suspended:
            return f"queue {_queue(whole, facts.workload) or 'unknown'}"
        if whole.message:
            return one_line(whole.message)
        if whole.failed and not facts.active:
            return f"trying again: {whole.failed} pod{'s' if whole.failed > 1 else ''} failed"
        return f"starting: {facts.ready} of {facts.active or whole.parallelism} pods ready"
    if facts.ending:
        return ENDING
    parts = [run.newest()] if run is not None else []
    if not any(parts) and whole.remaining is not None:
        parts.append(f"{duration(whole.remaining)} left")
    if cause is not None:
        parts.append(cause.line() if cause.waiting else f"after {cause.line()}")
    if not any(parts):
        what = "jobs" if whole.counts_jobs else "pods"
        parts = [one_line(whole.message) or f"{facts.ready} of {facts.active} {what} ready"]
    return "; ".join(part for part in parts if part)


def _result(whole: Outline, run: RunFacts | None) -> str:
    parts: list[str] = []
    if run is not None:
        parts = [f"{m.name} {_value(m)}" for m in run.metrics[:2]]
        if run.run_id:
            parts.append(f"run {one_line(run.run_id)[:8]}")
    if not parts and whole.started is not None and whole.finished is not None:
        parts.append(f"took {duration(whole.finished - whole.started)}")
    return "  ".join(parts)


def _value(metric: MetricFact) -> str:
    return msgspec.structs.replace(metric, name="", direction="").text().strip()


def _progress(whole: Outline, run: RunFacts | None) -> Progress | None:
    if whole.done:
        return Progress(done=1, total=1, unit="percent")
    if run is not None and run.step is not None and run.total_steps:
        return Progress(done=run.step, total=run.total_steps, unit="steps")
    if whole.percent is not None:
        return Progress(done=whole.percent, total=100, unit="percent")
    if whole.completions is not None and whole.completions > 1:
        return Progress(done=whole.succeeded, total=whole.completions, unit="completions")
    return None


def _suspended_by(facts: _Facts) -> str:
    """Kueue holds a job by suspending it; ``active: false`` on its Workload is somebody's doing."""
    whole, workload = facts.whole, facts.workload
    if whole.done or whole.failure is not None or not whole.suspended:
        return ""
    if workload is not None:
        by_hand = not workload.spec.active and facts.cause is not None
        return "hand" if by_hand and _words(facts.cause)[0] == "Deactivated" else "kueue"
    return "kueue" if keys.QUEUE_NAME in whole.metadata.labels else "hand"


def _words(cause: Cause | None) -> tuple[str, ...]:
    return (cause.reason, *cause.chain) if cause is not None else ("",)


def _owner(whole: Outline) -> str:
    meta = whole.metadata
    if meta.annotations.submitted_by:
        return one_line(meta.annotations.submitted_by)
    owner = meta.controller
    return one_line(f"{owner.kind}/{owner.name}") if owner is not None else ""


def _queue(whole: Outline, workload: Workload | None) -> str:
    named = whole.metadata.labels.get(keys.QUEUE_NAME, "")
    return one_line(named or (workload.spec.queue_name if workload is not None else ""))


def _run_note(state: JobState, run: RunFacts | None) -> str:
    if run is None or not run.status:
        return ""
    if state.over and run.status in ("RUNNING", "SCHEDULED"):
        return f"the run still says {run.status}"
    if state is JobState.DONE and run.status in ("FAILED", "KILLED"):
        return f"the run says {run.status}"
    if not state.over and run.status in ("FINISHED", "FAILED", "KILLED"):
        return f"the run already says {one_line(run.status)}"
    return ""


def _urgency(state: JobState, since: float, now: float, name: str) -> tuple[int, float, str]:
    if state is JobState.FAILED:
        return (0 if now - since < NEW_FAILURE else 6, -since, name)
    if state is JobState.STALLED:
        return 1, since, name
    if state is JobState.WAITING:
        return (2 if now - since > LONG_WAIT else 3, since, name)
    if state is JobState.RUNNING:
        return 4, -since, name
    return (5 if state is JobState.SUSPENDED else 7, -since, name)


# The same few requests stand in thousands of jobs.
@lru_cache(maxsize=1024)
def _figures(
    requested: tuple[tuple[str, Decimal], ...],
) -> tuple[float, float, float, tuple[str, ...]]:
    """Cores, bytes, devices and the names of these."""
    held = dict(requested)
    devices = {n: v for n, v in requested if v and quantity.is_accelerator(n)}
    return (
        _number(held.get("cpu")),
        _number(held.get("memory")),
        _number(sum(devices.values(), quantity.ZERO)),
        tuple(sorted(devices)),
    )


def _number(value: Decimal | None) -> float:
    return float(value) if value is not None else 0.0
