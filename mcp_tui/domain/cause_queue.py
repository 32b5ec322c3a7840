"""What Kueue's Workload says of a job that is held back or was taken out."""

from __future__ import annotations

from typing import Final

import msgspec

from mcp_tui.domain import cause_messages as messages
from mcp_tui.domain.cause_line import MESSAGE_LIMIT, Cause, shorten
from mcp_tui.domain.kube import Condition, condition, epoch
from mcp_tui.domain.kube_custom import Workload
from mcp_tui.domain.reltime import clock
from mcp_tui.domain.text import one_line

_TAKEN_BY: Final = {
    "InClusterQueue": "by a job of higher priority in its queue",
    "InCohortReclamation": "by the queue that had lent the quota",
    "InCohortFairSharing": "by fair sharing in the cohort",
    "InCohortReclaimWhileBorrowing": "by a queue that borrows in the cohort",
}


def queued(workload: Workload, *, now: float) -> Cause | None:
    """Why Kueue holds the job back; None once it is admitted or finished.

    Args:
        workload: The job's.
        now: Epoch seconds, to say on which day it is tried again.
    """
    conditions = workload.status.conditions
    if _holds(conditions, "Finished"):
        return None
    reserved = condition(conditions, "QuotaReserved")
    taken = condition(conditions, "Evicted")
    if not workload.spec.active:
        return _deactivated(workload, taken)
    if taken is not None and taken.is_true and not _holds(conditions, "QuotaReserved"):
        if reserved is not None and _tried_since(taken, reserved):
            found = _unreserved(workload, reserved)
            before = dict.fromkeys((one_line(taken.reason) or "Evicted", "Evicted"))
            chain = tuple(reason for reason in before if reason != found.reason)
            return msgspec.structs.replace(found, chain=chain)
        return _evicted(workload, taken, now)
    if reserved is None or not reserved.is_true:
        return _unreserved(workload, reserved)
    if not _holds(conditions, "Admitted"):
        return _checks(workload, condition(conditions, "Admitted"))
    return None


def ended(workload: Workload) -> Cause | None:
    """Why Kueue gave a job up: deactivated after too many tries, or over its time."""
    if workload.spec.active:
        return None
    taken = condition(workload.status.conditions, "Evicted")
    target = condition(workload.status.conditions, "DeactivationTarget")
    return _deactivated(workload, taken) if taken or target else None


def _deactivated(workload: Workload, taken: Condition | None) -> Cause:
    target = condition(workload.status.conditions, "DeactivationTarget")
    said = target or taken
    reason = said.reason if said else ""
    # DeactivatedDueToRequeuingLimitExceeded, in one word with the condition's.
    reason = one_line(reason).removeprefix("DeactivatedDueTo") or "Deactivated"
    message = messages.first_line(said.message) if said else "the workload is set inactive"
    chain = ("Deactivated",) if reason != "Deactivated" else ()
    at = epoch(said.last_transition_time) if said else None
    return Cause(reason=reason, message=message, chain=chain, waiting=True, at=at)


def _tried_since(taken: Condition, reserved: Condition) -> bool:
    """Whether a place was looked for again since an eviction, which stands until one is found.

    The eviction itself writes its own message to both, with no reason that says more.
    """
    reason = messages.queue_reason(reserved.reason, reserved.message)
    own = reserved.message != taken.message and reserved.reason != taken.reason
    return own and reason not in ("Pending", "Inadmissible")


def _evicted(workload: Workload, taken: Condition, now: float) -> Cause:
    reason = one_line(taken.reason) or "Evicted"
    parts = []
    preempted = condition(workload.status.conditions, "Preempted")
    if reason == "Preempted":
        by = _TAKEN_BY.get(preempted.reason if preempted else "", "")
        parts.append(by or messages.first_line(taken.message))
    else:
        parts.append(messages.first_line(taken.message))
    again = workload.status.requeue_state
    when = epoch(again.requeue_at) if again else None
    if again is not None and when is not None and when > now:
        tries = f" (try {again.count + 1})" if again.count else ""
        parts.append(f"tried again {clock(when, now=now)}{tries}")
    return Cause(
        reason=reason,
        message=shorten("; ".join(part for part in parts if part), MESSAGE_LIMIT),
        chain=("Evicted",),
        waiting=True,
        at=epoch(taken.last_transition_time),
    )


def _unreserved(workload: Workload, reserved: Condition | None) -> Cause:
    queue = one_line(workload.spec.queue_name)
    if reserved is None:
        # Kueue has not looked at it; without a queue of that name it never will.
        message = f"queue {queue} has not answered" if queue else "no queue is named"
        return Cause(
            reason="Pending",
            message=message,
            waiting=True,
            at=epoch(workload.metadata.creation_timestamp),
        )
    message = messages.queueing(reserved.message)
    if queue and queue not in message:
        message = f"queue {queue}, {message}" if message else f"queue {queue}"
    return Cause(
        reason=one_line(messages.queue_reason(reserved.reason, reserved.message)),
        message=shorten(message, MESSAGE_LIMIT),
        waiting=True,
        at=epoch(reserved.last_transition_time),
    )


def _checks(workload: Workload, admitted: Condition | None) -> Cause | None:
    """Quota is reserved, admission checks are not all ready."""
    for check in workload.status.admission_checks:
        if check.state != "Ready":
            said = messages.first_line(check.message) or check.state.lower()
            message = one_line(f"{check.name}: {said}")
            return Cause(
                reason=f"AdmissionCheck{one_line(check.state)}", message=message, waiting=True
            )
    if admitted is None:
        return None
    return Cause(
        reason=one_line(admitted.reason) or "NotAdmitted",
        message=messages.first_line(admitted.message),
        waiting=True,
        at=epoch(admitted.last_transition_time),
    )


def _holds(conditions: tuple[Condition, ...], type_: str) -> bool:
    found = condition(conditions, type_)
    return found is not None and found.is_true
