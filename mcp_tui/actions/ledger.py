"""What the writes of a plan have come to so far; what an interruption leaves known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mcp_tui.actions.aliaslook import ALIAS, VERSIONS
from mcp_tui.actions.runlook import is_edit
from mcp_tui.actions.template import pick, words
from mcp_tui.domain import approval
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Write
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ExitCode, McpTuiError, UnknownOutcomeError, UnreachableError

NOTHING_SENT: Final = "interrupted before anything of it was sent"
UNSENT: Final = "nothing was sent"


def unsent(error: McpTuiError) -> McpTuiError:
    """The error; of a server that did not answer also that nothing was sent, which it says once."""
    if isinstance(error, UnreachableError) and UNSENT not in error.line():
        error.hint = "; ".join(filter(None, (error.hint, UNSENT)))
        error.args = (error.line(),)
    return error


def changes(write: Write) -> bool:
    """Whether a write is what its action is for: what comes before can be taken back."""
    path, body = write.path, write.body
    return (
        write.system == "kubernetes"
        or path == ALIAS
        or is_edit(path, body)
        or (path == f"{VERSIONS}/set-tag" and str(body["key"]).startswith(approval.TAG))
    )


class Ledger:
    """What a plan's writes have come to so far.

    Attributes:
        outcomes: One a target that did not get through, by its index.
        targets: The targets as they are now: a created one has its name and uid.
        values: What the writes yielded, such as ``run_id``.
        warnings: Optional writes that failed, in words.
        sending: The write that is on its way, or None.
        done: The writes that got through.
        tried: The writes that were sent, or given up before: none is sent again.
        interrupted: Somebody asked to end: what is begun is ended in order, nothing new is begun.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcomes: dict[int, Outcome] = {}
        self.targets = list(plan.targets)
        self.values: dict[str, str] = {}
        self.warnings: list[str] = []
        self.sending: Write | None = None
        self.done: list[Write] = []
        self.tried: list[Write] = []
        self.interrupted = False

    def begun(self, index: int) -> bool:
        """Whether the cluster was changed for a target, its alias moved or its run changed: it is
        gone on with, not taken back."""
        return any(w.target == index and changes(w) for w in self.done)

    def sent(self, write: Write, answer: Mapping[str, Any]) -> None:
        """A write got through: what it yielded is known from now on."""
        self.done.append(write)
        for name, path in write.yields:
            self.values[name] = pick(answer, path)
        if "uid" in dict(write.yields):
            target = self.targets[write.target]
            self.targets[write.target] = msgspec.structs.replace(
                target,
                name=pick(answer, "metadata.name") or target.name,
                uid=pick(answer, "metadata.uid"),
            )

        if "version" in dict(write.yields):
            target = self.targets[write.target]
            version = self.values["version"]
            self.targets[write.target] = msgspec.structs.replace(target, uid=version)

    def fail(self, index: int, error: McpTuiError, *, left: bool = True) -> None:
        """A target did not get through.

        Args:
            left: Whether the write had left, so that the server may have had it.
        """
        unknown = isinstance(error, UnknownOutcomeError)
        # Of several changes to a run some may have got through.
        done = [
            words(w.summary) for w in self.done if w.target == index and is_edit(w.path, w.body)
        ]
        said = error.line() + (f"; done before: {'; '.join(done)}" if done else "")
        before = any(w.target == index for w in self.done)
        if isinstance(error, UnreachableError) and not left and not before and UNSENT not in said:
            said += f"; {UNSENT}"
        self.outcomes[index] = Outcome(
            target=self.targets[index],
            status=OutcomeStatus.UNKNOWN if unknown else OutcomeStatus.FAILED,
            message=said,
            exit_code=int(error.exit_code),
        )

    def left(self, index: int) -> None:
        """What was made for a target that failed could not be taken away again, as far as known."""
        outcome = self.outcomes[index]
        name = clean_line(outcome.target.name)
        said = f"{outcome.message}; {name} was made and may still be there: cancel it"
        self.outcomes[index] = msgspec.structs.replace(
            outcome, status=OutcomeStatus.UNKNOWN, message=said
        )

    @property
    def live(self) -> dict[int, Target]:
        """The targets that got through so far."""
        return {i: t for i, t in enumerate(self.targets) if i not in self.outcomes}

    def take_back(
        self, index: int, said: str, status: OutcomeStatus = OutcomeStatus.FAILED
    ) -> None:
        """A target was interrupted before the cluster was changed for it."""
        self.outcomes[index] = Outcome(
            target=self.targets[index],
            status=status,
            message=said,
            exit_code=int(ExitCode.INTERRUPTED),
        )

    def as_known(self) -> tuple[Outcome, ...]:
        """The outcomes of a plan that was interrupted here: what is known, no more."""
        return tuple(
            self.outcomes.get(i) or self._interrupted(i, target)
            for i, target in enumerate(self.targets)
        )

    def _interrupted(self, index: int, target: Target) -> Outcome:
        done = [w for w in self.done if w.target == index]
        needed = [w for w in self.plan.writes if w.target == index and not w.optional]
        said = f"; done before: {'; '.join(words(w.summary) for w in done)}" if done else ""
        code = int(ExitCode.INTERRUPTED)
        if all(w in done for w in needed):
            status, text = OutcomeStatus.UNPROVEN, "accepted; interrupted before it was proven"
            said = ""
        elif self.sending is not None and self.sending.target == index:
            what = words(self.sending.summary)
            status, text = OutcomeStatus.UNKNOWN, f"interrupted while this was on its way: {what}"
        elif done:
            status, text = OutcomeStatus.UNKNOWN, "interrupted half-way"
        else:
            status, text = OutcomeStatus.FAILED, NOTHING_SENT
        return Outcome(target=target, status=status, message=text + said, exit_code=code)
