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
from mcp_tui.domain.jobparts import ending, resumed, together
from mcp_tui.domain.jobview import JobKey, JobState, JobView, Used
from mcp_tui.domain.kinds import AnyJob, Outline, outline, run_variable
from mcp_tui.domain.kube import Event, Pod, epoch
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.reltime import duration
from mcp_tui.domain.runfacts import MetricFact, Progress, RunFacts, quiet_text
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

# With the kubelet's pauses, of 10 s at first and twice as long each time, so many failures of a
# container that is started again take as long as STALL_AFTER.
_LOOPS: Final = 6

# The longest pause, in seconds, that controllers make between two tries to create pods.
_TRIED_AGAIN: Final = 1_200.0

# Kinds whose status does not tell how many pods are ready: what holds one up is all there is.
_COUNT_NO_PODS: Final = frozenset({"RayJob"})

# What keeps pods from being made at all; its moment is the newest try's.
_REFUSED: Final = frozenset(
    {"QuotaExceeded", "AdmissionDenied", "PodSecurity", "LimitRange", "FailedCreate"}
)

# Waits that do not end by themselves: somebody has to do something. While a pull fails, the
# kubelet says in turn how the last try ended and that it pauses.
_STUCK: Final = _REFUSED | frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
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
    wanted: int
    resumed: float | None
    ending: bool
    counted: str


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
        short = view.short or view.key.kind in _COUNT_NO_PODS
        stalls = _stalls_at(view.cause, short, view.started, view.created, now)
        if view.ready and stalls is not None:
            moments.append(stalls)
        silent = run.silent_since(view.resumed) if run is not None else None
        if run is not None and silent is not None:
            quiet = silent + run.patience
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
    pods = tuple(pods)
    whole = together(outline(job), parts, pods)
    if kept is None and run is not None and run.cause:
        kept = Cause.from_text(run.cause)
    cause = cause_in(whole, parts, pods, events, workload, now=now)
    if whole.failure is not None:
        cause = keep(kept, cause)
    active, ready = max(0, whole.active), max(0, min(whole.ready, whole.active))
    facts = _Facts(
        whole,
        workload,
        run,
        cause,
        now,
        active,
        ready,
        wanted=max(active, whole.wanted),
        resumed=resumed(whole, parts, pods),
        ending=ending(whole, pods),
        # Where its Jobs are known, what counts is their pods.
        counted="jobs" if whole.counts_jobs and not _has_pods(whole, parts) else "pods",
    )
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
        resumed=facts.resumed,
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
        wanted=facts.wanted,
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


def _has_pods(whole: Outline, parts: Sequence[Outline]) -> bool:
    return whole.kind not in _COUNT_NO_PODS and any(part.kind == "Job" for part in parts)


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
        created = epoch(whole.metadata.creation_timestamp)
        short = facts.ready < facts.wanted or whole.kind in _COUNT_NO_PODS
        stalls = _stalls_at(cause, short, whole.started, created, facts.now)
        if stalls is not None and facts.now > stalls:
            return JobState.STALLED
        if facts.run is not None and facts.run.quiet(facts.now, facts.resumed) is not None:
            return JobState.STALLED
        return JobState.RUNNING
    if cause is not None and (cause.reason in _STUCK or _crashes(cause)):
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
        quiet = run is not None and run.quiet(facts.now, facts.resumed) is not None
        moments = (
            run.silent_since(facts.resumed) if run is not None and quiet else None,
            _held_since(cause, whole.started, created, facts.now) if cause is not None else None,
        )
    elif state is JobState.WAITING:
        moments = (cause.at if cause is not None and cause.waiting else None,)
    else:
        moments = ()
    found = (moment for moment in (*moments, whole.started, created) if moment is not None)
    return next(found, facts.now)


def _stalls_at(
    cause: Cause | None, short: bool, started: float | None, created: float | None, now: float
) -> float | None:
    """When a job some of whose pods are ready counts as stalled by what holds up the others."""
    if cause is None or not cause.waiting or not short:
        return None
    if cause.reason in _REFUSED and now - (cause.at or now) > _TRIED_AGAIN:
        return None  # it would have been tried again, and refused
    held = _held_since(cause, started, created, now)
    if _crashes(cause) and cause.loops > _LOOPS:
        # Each crash is the newest, and so is what is held since then: the crashes are counted.
        held = next((moment for moment in (started, created) if moment is not None), held)
    return held + STALL_AFTER


def _held_since(cause: Cause, started: float | None, created: float | None, now: float) -> float:
    at = cause.at if cause.began is None else cause.began
    found = (moment for moment in (at, started, created) if moment is not None)
    return next(found, now)


def _crashes(cause: Cause) -> bool:
    return "CrashLoopBackOff" in _words(cause)


def _why(facts: _Facts, state: JobState) -> str:
    whole, cause, run = facts.whole, facts.cause, facts.run
    if state is JobState.DONE:
        return _result(whole, run)
    if state is JobState.STALLED and run is not None and facts.ready:
        silence = run.quiet(facts.now, facts.resumed)
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
        if not facts.wanted:
            return f"starting: 0 of {whole.parallelism} pods ready"
        return f"starting: {facts.ready} of {facts.wanted} {facts.counted} ready"
    if facts.ending:
        return ENDING
    parts = [run.newest()] if run is not None else []
    if not any(parts) and whole.remaining is not None:
        parts.append(f"{duration(whole.remaining)} left")
    counts = f"{facts.ready} of {facts.wanted} {facts.counted} ready"
    if cause is not None:
        if cause.waiting and cause.reason in _REFUSED and not any(parts):
            # There are no pods that would show that some are missing.
            parts.append(counts)
        parts.append(cause.line() if cause.waiting else f"after {cause.line()}")
    if not any(parts):
        parts = [one_line(whole.message) or counts]
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
