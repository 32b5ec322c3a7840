"""What speaks for a version and what stands against its promotion: gates, origin, the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from mcp_tui.actions.aliaslook import SeenModel, named
from mcp_tui.domain.alias import Record
from mcp_tui.domain.aliashistory import MoveState
from mcp_tui.domain.approval import Subject
from mcp_tui.domain.plan import Check, CheckStatus
from mcp_tui.domain.reltime import age
from mcp_tui.domain.text import clean_line

if TYPE_CHECKING:
    from mcp_tui.domain.gates import GateResult

PARTS: Final = ("commit", "image", "config", "data")
"""What a version must say to be made again."""
UNDER_WAY: Final = 120.0
"""Seconds in which a move that has no end may still be going on: as long as a Lease is held."""

GATES: Final = "gates"
MADE_OF: Final = "reproducible"
UNENDED: Final = "unfinished"
RECORD: Final = "record"
"""Names of checks."""


class GateLine(msgspec.Struct, frozen=True, kw_only=True):
    """A gate as it was judged.

    Attributes:
        passed: None where it could not be told.
        said: In words, with its numbers: ``f1_macro 0.93 >= 0.90``.
    """

    passed: bool | None
    said: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for a version, as whoever evaluated it says.

    Attributes:
        gates: Empty where none are configured.
        made: What it was made of: ``commit``, ``image``, ``config``, ``data``.
        checks: Further checks, such as of approvals; one that failed blocks.
        approved: Whose approvals those are, where they stand.
    """

    gates: tuple[GateLine, ...] = ()
    made: Mapping[str, str] = {}
    checks: tuple[Check, ...] = ()
    approved: Subject | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Who does it, when (Unix time), and why; ``override`` is why in spite of a failed gate."""

    user: str
    now: float
    why: str = ""
    override: str = ""


def from_gates(results: Sequence[GateResult]) -> tuple[GateLine, ...]:
    """Gates as the evaluation judged them."""
    passed = {"passed": True, "failed": False}
    return tuple(
        GateLine(passed=passed.get(r.status.value), said=f"{r.gate.rule}: {r.message}")
        for r in results
    )


def gate_words(gate: GateLine) -> str:
    """A gate in one line, for the record."""
    mark = {True: "passed", False: "FAILED", None: "cannot tell"}[gate.passed]
    return f"{mark}: {clean_line(gate.said, limit=150)}"


def gates(evidence: Evidence, why: Why, *, goes_live: bool = True) -> list[Check]:
    """One that failed, or cannot be told, blocks, unless a reason is given.

    Args:
        goes_live: An alias is moved, or another model gets it. What is registered only does no
            harm, and has to be there before it can be approved: then it is said, and blocks not.
    """
    if not evidence.gates:
        return [Check(name=GATES, status=CheckStatus.UNKNOWN, message="no gates were looked at")]
    # One that cannot be told has not passed.
    bad = [g for g in evidence.gates if not g.passed]
    if bad:
        said = "; ".join(gate_words(g) for g in bad)
        if not goes_live:
            over = f"gates: {said}; no alias could be moved to it"
            return [Check(name=GATES, status=CheckStatus.WARNING, message=over)]
        if why.override.strip():
            over = f"gates: {said}; overridden: {clean_line(why.override, limit=200)}"
            return [Check(name=GATES, status=CheckStatus.WARNING, message=over)]
        over = f"gates: {said}; an override needs a reason"
        return [Check(name=GATES, status=CheckStatus.FAILED, message=over)]
    said = f"{len(evidence.gates)} gates passed"
    return [Check(name=GATES, status=CheckStatus.PASSED, message=said)]


def made_of(evidence: Evidence) -> list[Check]:
    """Whether it could be made again: all four parts, or which is missing."""
    missing = [part for part in PARTS if not evidence.made.get(part)]
    if missing:
        said = f"not reproducible: no {', no '.join(missing)} is known"
        return [Check(name=MADE_OF, status=CheckStatus.WARNING, message=said)]
    said = ", ".join(f"{part} {clean_line(evidence.made[part], limit=80)}" for part in PARTS)
    return [Check(name=MADE_OF, status=CheckStatus.PASSED, message=said)]


def of_record(seen: SeenModel, alias: str, now: float) -> list[Check]:
    """What the record of an alias says that should be known before it is moved."""
    told = seen.history(alias)
    found = []
    if told.foreign is not None:
        last = told.foreign
        said = f"somebody moved {alias} from {named(last.came)} to {named(last.to)} past the record"
        found.append(Check(name=RECORD, status=CheckStatus.WARNING, message=said))
    last_move = next((m for m in reversed(told.moves) if m.record is not None), None)
    if last_move is not None and last_move.record in told.unended:
        words = unended_words(last_move.record, last_move.state, now)
        found.append(Check(name=UNENDED, status=CheckStatus.WARNING, message=words))
    found += [
        Check(name=RECORD, status=CheckStatus.WARNING, message=problem)
        for problem in told.problems[:3]
    ]
    return found


def under_way(unended: Sequence[Record], now: float) -> list[Record]:
    """The moves without an end that may still be going on."""
    # Clocks differ: what is to come is as near as what was.
    return [r for r in unended if abs(now - r.intent.at) < UNDER_WAY]


def going(record: Record, now: float) -> Check:
    """Somebody moves the alias at this moment: that blocks."""
    who, ago = record.intent.who or "somebody", age(max(0.0, now - record.intent.at))
    said = f"{who} is moving {record.intent.alias} (plan {record.plan[:8]}, begun {ago} ago)"
    return Check(name=UNENDED, status=CheckStatus.FAILED, message=f"{said}: look again in 2 min")


def unended_words(record: Record, state: MoveState, now: float) -> str:
    """A move that was begun and never ended, in words."""
    meant = record.intent
    done = {MoveState.FOUND: "the alias was moved", MoveState.NOT_DONE: "the alias was not moved"}
    said = done.get(state, "it is not known whether the alias was moved")
    what = f"{meant.verb} of {meant.alias} from {named(meant.came)} to {named(meant.to)}"
    ago = age(max(0.0, now - meant.at))
    return f"{what} by {meant.who or 'somebody'} {ago} ago did not end: {said}"
