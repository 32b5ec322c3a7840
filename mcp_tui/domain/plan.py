"""What an action would write, shown before it does: plan -> check -> confirm -> apply -> record."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from mcp_tui.domain.alias import AliasMove
from mcp_tui.domain.approval import Given, Subject
from mcp_tui.domain.runedit import SeenEdit


class Tier(StrEnum):
    """How much a context matters: what may be done freely, with notice, or by hand only."""

    DEV = "dev"
    TEST = "test"
    PROD = "prod"


class Verb(StrEnum):
    """Actions; one word each, the same on keys, in the journal and on the command line."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"
    DELETE = "delete"
    SHELL = "shell"
    FORWARD = "forward"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    APPROVE = "approve"
    TAG = "tag"
    RENAME = "rename"
    RESTORE = "restore"


class Confirmation(StrEnum):
    """How a user says yes.

    ``NONE``: nothing asked. ``YES``: one deliberate confirmation. ``TYPED``: ``context/name`` is
    typed (or, for several objects, the word of :attr:`Plan.typed_word`).
    """

    NONE = "none"
    YES = "yes"
    TYPED = "typed"


class CheckStatus(StrEnum):
    """The outcome of one check. Only ``FAILED`` blocks."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    UNKNOWN = "unknown"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The object a write is about. ``uid`` is empty for one that is yet to be made."""

    context: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    @property
    def word(self) -> str:
        """What a user types to confirm: ``context/name``."""
        return f"{self.context}/{self.name}"


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a plan, in the order in which it will leave.

    Attributes:
        system: ``kubernetes`` or ``mlflow``.
        method: HTTP method.
        path: Path and query on that system.
        body: What is sent, as plain data; secrets never stand in it.
        content_type: The body's media type.
        summary: In words, one line.
        diff: Lines of a diff, each starting with ``+``, ``-`` or a space.
        optional: The action goes on if this write fails (a record, a tag).
        target: Index of the target it is about; when it fails, only that target's later writes
            are left out.
        yields: Names of values that later bodies use as ``{{mcp-tui.name}}``, each with the
            dotted path where the answer holds it: ``(("run_id", "run.info.run_id"),)``.
    """

    system: str
    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    summary: str = ""
    diff: tuple[str, ...] = ()
    optional: bool = False
    target: int = 0
    yields: tuple[tuple[str, str], ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Something looked at before a plan may be applied."""

    name: str
    status: CheckStatus
    message: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A write that has not happened.

    Attributes:
        id: A client-made tag (random hex), carried by whatever the plan creates.
        verb: What it does.
        tier: Tier of the context.
        targets: One, or several of the same context.
        writes: Every call, in order.
        compensate: Calls that are sent only when a target failed for certain after an earlier
            write of it got through, so that nothing half-made is left (a run without a job).
        interrupted: Calls that are sent only when somebody interrupts after an earlier write of a
            target got through and before the cluster was changed for it.
        checks: Filled by the check step.
        confirmation: What the user will be asked for.
        until: What will be watched for as proof, in words.
        back: How to take it back, in words; empty when it cannot be.
        notes: What the user should know beside it, a line each (the commit a branch resolved to,
            a warning of the config).
        move: The move of an alias of the model registry; None where none is moved.
        edits: Changes to runs, each with what was there when it was planned.
        approval: The approval that is put on record; None where none is given.
        approved: Whose approvals let a promotion through; None where none are asked for, or where
            their lack was overridden.
    """

    id: str
    verb: Verb
    context: str
    tier: Tier
    targets: tuple[Target, ...]
    writes: tuple[Write, ...]
    compensate: tuple[Write, ...] = ()
    interrupted: tuple[Write, ...] = ()
    checks: tuple[Check, ...] = ()
    confirmation: Confirmation = Confirmation.TYPED
    until: str = ""
    back: str = ""
    notes: tuple[str, ...] = ()
    move: AliasMove | None = None
    edits: tuple[SeenEdit, ...] = ()
    approval: Given | None = None
    approved: Subject | None = None

    @property
    def noun(self) -> str:
        """What several targets are called: ``jobs`` or ``runs``."""
        return "runs" if self.edits else "jobs"

    @property
    def typed_word(self) -> str:
        """The word to type: ``context/name``, or ``context/3-jobs`` for several."""
        if len(self.targets) == 1:
            return self.targets[0].word
        return f"{self.context}/{len(self.targets)}-{self.noun}"

    @property
    def blocked(self) -> tuple[Check, ...]:
        """The checks that forbid applying."""
        return tuple(c for c in self.checks if c.status is CheckStatus.FAILED)


class OutcomeStatus(StrEnum):
    """How an applied plan ended.

    ``PROVEN``: the effect was seen through the watch. ``UNPROVEN``: the server accepted the write
    and the effect was not seen in time. ``UNKNOWN``: no answer came, and looking by the client-made
    tag did not settle it. ``FAILED``: the server refused; nothing changed.
    """

    PROVEN = "proven"
    UNPROVEN = "unproven"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one target of a plan.

    Attributes:
        exit_code: Of the error that a failed or unknown one met; 0 when there was none.
    """

    target: Target
    status: OutcomeStatus
    message: str
    exit_code: int = 0
