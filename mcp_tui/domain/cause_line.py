"""Why a job failed or waits, as one value: its line, its sentences, and the form it is kept in."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from mcp_tui.domain.text import clean_line

MESSAGE_LIMIT: Final = 300
"""Characters of a message that are kept: what an MLflow tag and one line can hold."""

# The random end that controllers give to pods' names, and the alphabet they take it from.
_RANDOM: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")

_WORDS: Final = {
    "OOMKilled": "ran out of memory",
    "Killed": "was killed from outside (SIGKILL)",
    "Terminated": "was asked to end (SIGTERM)",
    "Error": "ended with an error",
    "ImagePullBackOff": "cannot get its image",
    "ErrImagePull": "cannot get its image",
    "ErrImageNeverPull": "may not pull its image, which is not on the node",
    "InvalidImageName": "has an image name that is not valid",
    "CreateContainerConfigError": "cannot be configured",
    "CreateContainerError": "cannot be created",
    "StartError": "cannot be started",
    "ContainerCannotRun": "cannot be started",
    "RunContainerError": "cannot be started",
    "CrashLoopBackOff": "ends again and again",
    "Evicted": "was evicted from its node",
    "Unschedulable": "fits on no node",
    "SchedulingGated": "is held back by a scheduling gate",
    "PreemptionByScheduler": "had to make room for a more important pod",
    "TerminationByKubelet": "was ended by its node",
    "EvictionByEvictionAPI": "was evicted, as by a node drain",
    "DeletionByTaintManager": "was deleted because its node was tainted",
    "DeletionByPodGC": "was deleted because its node is gone",
}
_JOB_WORDS: Final = {
    "QuotaExceeded": "Pods cannot be created: the namespace's quota is used up",
    "AdmissionDenied": "Pods cannot be created: an admission webhook refuses them",
    "PodSecurity": "Pods cannot be created: the namespace's pod security refuses them",
    "LimitRange": "Pods cannot be created: the namespace's limits refuse them",
    "FailedCreate": "Pods cannot be created",
    "DeadlineExceeded": "It ran longer than its deadline allows",
    "BackoffLimitExceeded": "It failed more often than it may be tried",
    "AppFailed": "Its Ray job failed",
    "WaitingForQuota": "It waits for quota in its queue",
    "ExceedsMaxQuota": "It asks for more than its queue may ever have",
    "NoMatchingFlavor": "No resource flavor of its queue fits",
    "Preempted": "A more important job took its quota",
    "PodsReadyTimeout": "Its pods were not ready in time",
}
_ADVICE: Final = {
    "OOMKilled": "retry with more memory",
    "ImagePullBackOff": "check the image and its pull secret",
    "ErrImagePull": "check the image and its pull secret",
    "InvalidImageName": "correct the image name",
    "CreateContainerConfigError": "create what is missing",
    "QuotaExceeded": "free quota, or ask for less",
    "Unschedulable": "ask for less, or wait for room",
    "ExceedsMaxQuota": "ask for less, or use another queue",
    "DeadlineExceeded": "retry with a later deadline",
    "Evicted": "retry with requests that match its use",
}


# What a line gives up first where room is short: length, words, the chain, the message, the pod.
_NARROWER: Final[tuple[dict[str, int], ...]] = (
    {"message_limit": 80},
    {"message_limit": 80, "words": False},
    {"message_limit": 40, "words": False, "short": True},
    {"message_limit": 40, "words": False, "short": True, "chain": False},
    {"message_limit": 0, "words": False, "short": True, "chain": False},
    {"message_limit": 0, "words": False, "short": True, "chain": False, "pod": False},
)


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The deepest known reason, and what it led to.

    Every string is sanitised and of one line.
    """

    reason: str
    """The field's own word: OOMKilled, Unschedulable, WaitingForQuota; a signal by its name."""
    message: str = ""
    """What its author said, shortened to what matters."""
    pod: str = ""
    """The pod's whole name; empty when no single pod is concerned."""
    job: str = ""
    """The root job's name, so that a row need not repeat it."""
    container: str = ""
    init: bool = False
    node: str = ""
    exit_code: int | None = None
    limit: str = ""
    """The memory limit that was passed, as the manifest has it."""
    count: int = 1
    """How many failures, restarts included, or else how many pods are of this kind."""
    chain: tuple[str, ...] = ()
    """The reasons that followed from it, the outermost last."""
    evidence: bool = True
    """False when what lies deeper is gone with its pods and events."""
    waiting: bool = False
    """It holds the job up, rather than having ended it."""
    at: float | None = None
    """When it happened, in epoch seconds."""
    began: float | None = None
    """When that was first so, where ``at`` is the newest of many tries; epoch seconds."""
    loops: int = 0
    """How often the container that crashes most has, each time soon; 0 where none does."""

    def line(self, width: int | None = None) -> str:
        """One line; with a width, the longest wording that fits, or else the shortest."""
        text = self._form()
        if width is None or len(text) <= width:
            return text
        for change in _NARROWER:
            text = self._form(**change)
            if len(text) <= width:
                break
        return text

    def row(self) -> str:
        """The line for a row that names the job already: the pod stands in it only where it tells
        more than that, so that the message comes sooner."""
        tells = self.place != self.pod or not self.job or not self.pod.startswith(f"{self.job}-")
        return self._form(words=False, short=True, pod=tells, message_limit=80)

    @property
    def where(self) -> str:
        """The pod within the job: without the job's name and the controller's random end."""
        full = self.place
        short = full.removeprefix(f"{self.job}-") if self.job else full
        return short if short and not _RANDOM.fullmatch(f"-{short}") else full

    @property
    def place(self) -> str:
        """The pod without its random end, unless that is all that tells it from the job."""
        trimmed = _RANDOM.sub("", self.pod)
        return self.pod if trimmed == self.job else trimmed

    def sentence(self) -> str:
        """The chain in plain words, for the preview and the detail."""
        words = _WORDS.get(self.reason)
        if self.pod and (words or self.exit_code is not None):
            who = f"{'Init container' if self.init else 'Container'} {self.container} of pod "
            text = (who if self.container else "Pod ") + self.pod
            text += f" {words or 'failed'} ({', '.join([self.reason, *self._details()])})"
        else:
            text = _JOB_WORDS.get(self.reason, self.reason)
            if self.reason in _JOB_WORDS:
                text += f" ({', '.join([self.reason, *self._details()])})"
            text += f", pod {self.pod}" if self.pod else ""
        if self.count > 1:
            text += f", {self.count} {'times' if self._counts_ends else 'pods'}"
        if self.message:
            text += f": {self.message}"
        if self.chain:
            text += f"; then {', then '.join(self.chain)}"
        if not self.evidence:
            text += "; its pods and events are gone, so the deeper cause is not known"
        return text + "."

    def advice(self) -> str:
        """What is likely to help, in a few words; empty when nothing is likely."""
        return _ADVICE.get(self.reason, "")

    def to_json(self) -> str:
        """The form kept in the run's tag; :meth:`from_text` reads it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_text(cls, text: str) -> Cause | None:
        """Read a kept cause; a text in no known form is the reason itself. Sanitised."""
        if not text.strip():
            return None
        try:
            kept = msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return cls(reason=clean_line(text, limit=MESSAGE_LIMIT).strip() or "unknown")
        return cls(
            reason=clean_line(kept.reason, limit=100) or "unknown",
            message=clean_line(kept.message, limit=MESSAGE_LIMIT),
            pod=clean_line(kept.pod, limit=253),
            job=clean_line(kept.job, limit=253),
            container=clean_line(kept.container, limit=63),
            init=kept.init,
            node=clean_line(kept.node, limit=253),
            exit_code=kept.exit_code,
            limit=clean_line(kept.limit, limit=40),
            count=max(1, kept.count),
            chain=tuple(clean_line(item, limit=100) for item in kept.chain[:8]),
            evidence=kept.evidence,
            waiting=kept.waiting,
            at=kept.at,
            began=kept.began,
            loops=max(0, kept.loops),
        )

    @property
    def _counts_ends(self) -> bool:
        """Whether the count is of a container's ends, of which one pod may have many."""
        looping = self.reason == "CrashLoopBackOff" and bool(self.container)
        return self.exit_code is not None or looping

    def _details(self, words: bool = True) -> list[str]:
        details = []
        if self.init:
            details.append(f"init {self.container}".strip())
        if self.exit_code is not None:
            details.append(f"exit {self.exit_code}" if words else str(self.exit_code))
        if self.limit:
            details.append(f"limit {self.limit}" if words else self.limit)
        if self.node and words:
            details.append(f"node {self.node}")
        return details

    def _form(
        self,
        *,
        message_limit: int = MESSAGE_LIMIT,
        words: int = True,
        short: int = False,
        chain: int = True,
        pod: int = True,
    ) -> str:
        text = self.reason
        if self.pod and pod:
            text += f" {self.where if short else self.place}"
        details = self._details(bool(words))
        if details:
            text += f" ({', '.join(details)})"
        if self.count > 1:
            text += f" x{self.count}"
        if self.message and message_limit:
            text += f": {shorten(self.message, message_limit)}"
        if chain:
            text += "".join(f" -> {item}" for item in self.chain)
            if not self.evidence:
                text += " (pods gone)"
        return text


def shorten(text: str, limit: int) -> str:
    """Cut at a word's end, marked with ``...``; ``limit`` counts the mark too."""
    if len(text) <= limit:
        return text
    cut = text[: max(0, limit - 3)]
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) > limit // 2 else cut).rstrip(" ,;:") + "..."
