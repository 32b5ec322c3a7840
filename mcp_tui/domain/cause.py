"""The deepest cause of a job that failed or waits, joined from all that speaks of it.

Deepest first: container and init-container statuses; a pod's eviction or disruption; its place in
the scheduler; what a pod failure policy or an event recorded of pods that are gone; the Job's own
condition; the JobSet's and the TrainJob's; Kueue's Workload. What is less deep becomes the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Final

import msgspec

from mcp_tui.domain import cause_messages as messages
from mcp_tui.domain.cause_line import Cause, shorten
from mcp_tui.domain.cause_pods import Finding, behind, deepest, failures, holdups
from mcp_tui.domain.cause_queue import ended, queued
from mcp_tui.domain.kinds import AnyJob, Outline, outline
from mcp_tui.domain.kube import Condition, Event, Pod, epoch
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.text import one_line

__all__ = ["Cause", "cause_in", "cause_of", "keep"]

# Reasons that only say that pods failed: the cause lies deeper, and may be gone.
_SYMPTOMS: Final = frozenset(
    {
        "BackoffLimitExceeded",
        "FailedIndexes",
        "MaxFailedIndexesExceeded",
        "PodFailurePolicy",
        "FailedJobs",
        "ReachedMaxRestarts",
        "FailJobSetFailurePolicyAction",
        "PyTorchJobFailed",
        "AppFailed",
        "Failed",
        "JobFailed",
    }
)
# Events of pods, by depth, with the reason that they stand for once the pod is gone.
_POD_EVENTS: Final = {
    "Evicted": (1, "Evicted"),
    "Preempted": (1, "PreemptionByScheduler"),
    "TaintManagerEviction": (1, "DeletionByTaintManager"),
    "NodeNotReady": (1, "NodeNotReady"),
    "Preempting": (1, "Preempting"),
    "Shutdown": (1, "Shutdown"),
    "OutOfcpu": (1, "OutOfcpu"),
    "OutOfmemory": (1, "OutOfmemory"),
    "OutOfpods": (1, "OutOfpods"),
    "UnexpectedAdmissionError": (1, "UnexpectedAdmissionError"),
    "TopologyAffinityError": (1, "TopologyAffinityError"),
    "NodeAffinity": (1, "NodeAffinity"),
    "FailedMount": (2, "FailedMount"),
    "FailedAttachVolume": (2, "FailedAttachVolume"),
    "FailedCreatePodSandBox": (2, "FailedCreatePodSandBox"),
    "InspectFailed": (2, "InvalidImageName"),
    "ErrImageNeverPull": (2, "ErrImageNeverPull"),
    "FailedPostStartHook": (2, "FailedPostStartHook"),
    "Failed": (2, "Failed"),
    "BackOff": (3, "BackOff"),
    "FailedScheduling": (4, "Unschedulable"),
}
# What let a pod wait, which it may have got over before it failed.
UNPLACED: Final = frozenset({"FailedScheduling"})
"""Events of what keeps a pod from a node."""
UNSTARTED: Final = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})
"""Events of what keeps a pod from starting on its node."""
_WAITING_EVENTS: Final = UNPLACED | UNSTARTED
_IMAGE_EVENTS: Final = frozenset({"InspectFailed", "ErrImageNeverPull", "Failed"})
_ENDING_EVENTS: Final = frozenset(_POD_EVENTS) - _WAITING_EVENTS - _IMAGE_EVENTS


def cause_of(
    job: AnyJob,
    pods: Iterable[Pod] = (),
    events: Iterable[Event] = (),
    workload: Workload | None = None,
    *,
    children: Iterable[AnyJob] = (),
    now: float = 0.0,
) -> Cause | None:
    """Why a job failed, or what holds it up; None for one that is done or has nothing to say.

    Args:
        job: The root object of a row.
        pods: Its pods, as far as they are still there; of some of them the failed and waiting.
        events: Of the job and of its pods.
        workload: Kueue's, if the job has one.
        children: Objects between the job and its pods: a TrainJob's JobSet and Jobs.
        now: Epoch seconds; used only to word when Kueue tries again.
    """
    parts = [outline(child) for child in children]
    return cause_in(outline(job), parts, pods, events, workload, now=now)


def cause_in(
    whole: Outline,
    parts: Sequence[Outline],
    pods: Iterable[Pod],
    events: Iterable[Event],
    workload: Workload | None,
    *,
    now: float,
) -> Cause | None:
    """:func:`cause_of` for outlines that the caller has already."""
    if whole.done:
        return None
    name = one_line(whole.metadata.name)
    pods, events = tuple(pods), tuple(events)
    if whole.failure is not None:
        found = _failed(whole, parts, pods, events, name)
    else:
        found = _held(whole, parts, pods, events, name, workload, now)
    return None if found is None else msgspec.structs.replace(found, job=name)


def keep(before: Cause | None, now: Cause | None) -> Cause | None:
    """The cause to go on with: what was once seen is kept when its evidence is gone.

    A cause read from pods stays when the pods vanish and only the job's condition is left; that
    condition becomes part of its chain.
    """
    if before is None or now is None or not before.evidence:
        return now if now is not None else before
    # The words that a symptom came with are less than what pods said.
    deeper = now.reason in _SYMPTOMS and not now.pod and now.reason != before.reason
    if now.evidence and not deeper:
        return now
    if before.waiting and "CrashLoopBackOff" not in (before.reason, *before.chain):
        # What once held it up, it had got over before it failed.
        return now
    chain = _joined(before.reason, [*before.chain, now.reason, *now.chain])
    return msgspec.structs.replace(before, chain=chain, waiting=False)


def _failed(
    whole: Outline,
    parts: Sequence[Outline],
    pods: Sequence[Pod],
    events: Sequence[Event],
    name: str,
) -> Cause | None:
    outer = _conditions(whole, parts)
    reasons = [_reason(item) for item in outer]
    tries = failures(pods, name)
    found = _by_policy(outer, tries, name) or deepest(tries)
    late = "DeadlineExceeded" in reasons
    if found is None and late:
        # It ran out of time, and this is what the time went into.
        found = deepest(holdups(pods, name))
    if found is None:
        # A job that failed for another reason had got over what it once waited for.
        found = _from_events(events, name, _POD_EVENTS.keys() if late else _ENDING_EVENTS)
    if found is None and late:
        found = _not_created(events, pods)
    told = _told(whole, parts, outer[0])
    if found is None:
        return msgspec.structs.replace(told, chain=_joined(told.reason, reasons[1:]))
    if told.exit_code is not None and found.reason == "Error" and not found.message:
        # What a program wrote last, which the pod that ran it does not say.
        found = msgspec.structs.replace(found, message=told.message)
    chain = _joined(found.reason, [*found.chain, *reasons])
    return msgspec.structs.replace(found, chain=chain, waiting=False)


def _told(whole: Outline, parts: Sequence[Outline], first: Condition) -> Cause:
    """What the deepest condition says by itself, with nothing of pods or events."""
    reason = _reason(first)
    symptom = reason in _SYMPTOMS
    message, code = messages.first_line(first.message), None
    if reason == "AppFailed":
        message, code = messages.entrypoint(first.message)
        symptom = not message and code is None
    elif symptom:
        jobs = [part.failed for part in parts if part.kind == "Job"]
        count = sum(jobs) if jobs or whole.counts_jobs else whole.failed
        message = f"{count:,} failed" if count > 0 else message
        if whole.failed_indexes:
            message = shorten(f"indexes {one_line(whole.failed_indexes)} failed", 80)
    return Cause(
        reason=reason,
        message=message,
        exit_code=code,
        evidence=not symptom,
        at=epoch(first.last_transition_time),
    )


def _held(
    whole: Outline,
    parts: Sequence[Outline],
    pods: Sequence[Pod],
    events: Sequence[Event],
    name: str,
    workload: Workload | None,
    now: float,
) -> Cause | None:
    if workload is not None:
        found = ended(workload) or queued(workload, now=now)
        if found is not None:
            # Pods that were not ready in time say why, while they are there.
            late = found.reason == "PodsReadyTimeout" or "PodsReadyTimeout" in found.chain
            deeper = deepest(holdups(pods, name)) if late else None
            if deeper is None:
                return found
            chain = _joined(deeper.reason, [*deeper.chain, found.reason, *found.chain])
            return msgspec.structs.replace(deeper, chain=chain)
    if whole.suspended:
        return None
    found = deepest(holdups(pods, name))
    if found is not None:
        return found
    if not pods or all(pod.status.phase == "Pending" for pod in pods):
        found = _from_events(events, name, _WAITING_EVENTS)
    if found is None and _lacks_pods(whole, pods):
        found = _not_created(events, pods)
        over = [pod for pod in pods if pod.status.phase == "Failed"]
        if found is not None and any(end.at > (found.at or 0.0) for end in failures(over, name)):
            # It had been got over, and another is to be made for the one that failed.
            found = None
    if found is None:
        # Earlier attempts, while the job goes on.
        found = deepest(failures(pods, name))
    if found is None:
        failed = [part.failure for part in parts if part.failure is not None]
        if failed:
            reason = _reason(failed[0])
            found = Cause(reason=reason, evidence=reason not in _SYMPTOMS)
    return found


def _conditions(whole: Outline, parts: Sequence[Outline]) -> list[Condition]:
    """The failures' conditions from the pods outward: child Jobs, the JobSet, the root.

    Of several children of a kind the one that failed first, and of equal ones the one that says
    most, is the deepest; the others follow from it.
    """
    order = {"Job": 0, "JobSet": 1}
    firsts: dict[str, Condition] = {}
    failed = [part for part in parts if part.failure is not None and part.kind != whole.kind]
    failed.sort(key=lambda part: (order.get(part.kind, 2), _at(part.failure), part.metadata.name))
    for part in failed:
        if part.failure is not None:
            firsts.setdefault(part.kind, part.failure)
    found = list(firsts.values())
    return [*found, whole.failure] if whole.failure is not None else found


def _by_policy(outer: Sequence[Condition], tries: Sequence[Finding], name: str) -> Cause | None:
    """What made a pod failure policy act: its message names the pod, and outlives it.

    Other pods may have failed before, and more often, in ways that the policy lets pass.
    """
    for item in outer:
        match = messages.policy(item.message)
        if match is not None:
            known = behind(tries, one_line(match.pod), match.exit_code)
            return known or Cause(
                reason=one_line(match.condition) or "Error",
                pod=one_line(match.pod),
                job=name,
                container=one_line(match.container),
                exit_code=match.exit_code,
                at=epoch(item.last_transition_time),
            )
    return None


def _from_events(events: Sequence[Event], name: str, reasons: Set[str]) -> Cause | None:
    """The deepest thing that events still say of pods; the newest of equals."""
    known = [
        event for event in events if event.involved_object.kind == "Pod" and event.reason in reasons
    ]
    if not known:
        return None
    event = min(
        known,
        key=lambda item: (
            _POD_EVENTS[item.reason][0],
            messages.only_names(item.message),
            -(item.last_seen or 0.0),
        ),
    )
    reason = _POD_EVENTS[event.reason][1]
    same = {e.involved_object.name for e in known if e.reason == event.reason}
    text = event.message
    if reason == "Unschedulable":
        message = messages.scheduling(text, {})
    elif reason == "Evicted":
        message = messages.evicted(text)[0]
    elif event.reason == "Failed" and "image" in text.lower():
        reason, message = "ErrImagePull", messages.image(text, "")
    elif event.reason == "BackOff" and "image" in text.lower():
        reason, message = "ImagePullBackOff", messages.image(text, "")
    elif event.reason == "Failed" and messages.config(text):
        reason, message = "CreateContainerConfigError", messages.config(text)
    elif event.reason == "BackOff":
        reason, message = "CrashLoopBackOff", ""
    else:
        message = messages.runtime(text)
    return Cause(
        reason=reason,
        message=message,
        pod=one_line(event.involved_object.name),
        job=name,
        count=len(same),
        waiting=True,
        at=event.last_seen,
    )


def _not_created(events: Sequence[Event], pods: Sequence[Pod]) -> Cause | None:
    """The newest of the controllers' failures to create pods, or what makes them.

    One after which a pod was created is over; its event stands for an hour all the same.
    """
    known = [
        event
        for event in events
        if event.involved_object.kind != "Pod"
        and event.reason in ("FailedCreate", "JobCreationFailed", "FailedCreatePod", "CreateFailed")
        and not any(_created_since(event, pod) for pod in pods)
    ]
    if not known:
        return None
    event = max(known, key=lambda item: item.last_seen or 0.0)
    reason, message = messages.creation(event.message)
    firsts = [epoch(each.first_timestamp) or each.last_seen for each in known]
    began = min((first for first in firsts if first is not None), default=None)
    return Cause(reason=reason, message=message, waiting=True, at=event.last_seen, began=began)


def _lacks_pods(whole: Outline, pods: Sequence[Pod]) -> bool:
    """Whether there are fewer pods than there should be, as far as a kind tells."""
    if whole.active < whole.wanted:
        return True
    return whole.kind != "Job" and not any(
        pod.status.phase in ("Running", "Pending") for pod in pods
    )


def _created_since(event: Event, pod: Pod) -> bool:
    """Whether whoever could not create pods has created this one later."""
    seen, created = event.last_seen, epoch(pod.metadata.creation_timestamp)
    if seen is None or created is None or created <= seen:
        return False
    by, who = pod.metadata.controller, event.involved_object
    # A sibling's pods say nothing of it.
    return by is None or by.kind != who.kind or not who.uid or by.uid == who.uid


def _reason(item: Condition) -> str:
    reason = one_line(item.reason) or one_line(item.type) or "Failed"
    if reason == "PyTorchJobFailed":
        # Its operator has one reason for all failures, and says the rest in words.
        return messages.limit_passed(item.message) or reason
    return reason


def _at(item: Condition | None) -> float:
    return (epoch(item.last_transition_time) if item else None) or 0.0


def _joined(reason: str, following: Iterable[str]) -> tuple[str, ...]:
    """A chain without repetitions and without the reason itself."""
    return tuple(item for item in dict.fromkeys(following) if item != reason)
