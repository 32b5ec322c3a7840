"""A row of the Jobs pane as a value: its identity, its state, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from mcp_tui.domain.cause_line import Cause
from mcp_tui.domain.runfacts import Progress


class JobState(StrEnum):
    """What a job is doing, as far as anybody must act; the value is the word shown."""

    FAILED = "failed"
    STALLED = "stalled"
    WAITING = "waiting"
    SUSPENDED = "suspended"
    RUNNING = "running"
    DONE = "done"

    @property
    def sign(self) -> str:
        """One cell wide everywhere."""
        return _SIGNS[self][0]

    @property
    def ascii(self) -> str:
        """The sign where the locale is not UTF-8."""
        return _SIGNS[self][1]

    @property
    def urgency(self) -> int:
        """The lower, the sooner somebody should look."""
        return _URGENCIES[self]

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.FAILED, JobState.DONE)


_URGENCIES: Final = {state: number for number, state in enumerate(JobState)}

_SIGNS: Final = {
    JobState.FAILED: ("\u2717", "X"),
    JobState.STALLED: ("!", "!"),
    JobState.WAITING: ("~", "~"),
    JobState.SUSPENDED: ("~", "~"),
    JobState.RUNNING: (">", ">"),
    JobState.DONE: ("\u2713", "."),
}


class JobKey(NamedTuple):
    """Identity of a row. The uid tells an object from a later one of the same name."""

    context: str
    kind: str
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.context}/{self.uid or '/'.join(self[1:4])}"


class Used(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a job's pods use now: cores, bytes, devices; None where nobody measures it."""

    cpu: float | None = None
    memory: float | None = None
    accelerators: float | None = None


class JobView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row, ready to be formatted. Times are epoch seconds; strings are of one line."""

    key: JobKey
    state: JobState
    since: float
    """When it came into this state."""
    why: str
    cause: Cause | None = None
    progress: Progress | None = None
    created: float | None = None
    started: float | None = None
    resumed: float | None = None
    """When the newest of what runs was started: after a restart later than ``started``."""
    finished: float | None = None
    owner: str = ""
    queue: str = ""
    queue_position: int | None = None
    """1 is next; None when not known or not waiting."""
    cpu: float = 0.0
    memory: float = 0.0
    accelerators: float = 0.0
    accelerator_kinds: tuple[str, ...] = ()
    used: Used | None = None
    image: str = ""
    commit: str = ""
    branch: str = ""
    git_url: str = ""
    run_id: str = ""
    experiment_id: str = ""
    parent: str = ""
    active: int = 0
    ready: int = 0
    wanted: int = 0
    """How many pods there should be now, those that could not be made among them."""
    succeeded: int = 0
    failed: int = 0
    restarts: int = 0
    completions: int | None = None
    parallelism: int = 1
    failed_indexes: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    suspended_by: str = ""
    """``kueue``, or ``hand`` for somebody's ``spec.suspend``; empty when it is not suspended."""
    deleting: bool = False
    run_note: str = ""
    """Where run and job disagree, such as a run that says RUNNING after its job failed."""
    urgency: tuple[int, float, str] = (0, 0.0, "")
    """Sorts rows: failed and new, stalled, waiting too long, then the rest."""

    @property
    def short(self) -> bool:
        """Whether fewer pods are ready than there should be."""
        return self.ready < self.wanted

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, for a job that has ended."""
        if self.started is None or self.finished is None:
            return None
        return max(0.0, self.finished - self.started)

    def why_in(self, width: int) -> str:
        """The reason in at most ``width`` cells where it can be worded so."""
        if self.cause is not None and self.why == self.cause.line():
            return self.cause.line(width)
        return self.why

    def done_text(self) -> str:
        """The DONE column: ``62%``, or the place in the queue, ``3rd``."""
        if self.state is JobState.WAITING and self.queue_position is not None:
            return ordinal(self.queue_position)
        return self.progress.text() if self.progress is not None else ""


def ordinal(place: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``11th``."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{'th' if 10 < place % 100 < 14 else ending}"
