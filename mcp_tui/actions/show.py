"""A plan as text and as data: the same for the command line, the console and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.actions.aliaslook import MODEL_VERSION, named
from mcp_tui.actions.template import words
from mcp_tui.domain.plan import CheckStatus, Confirmation, Plan, Target, Write
from mcp_tui.domain.text import clean, clean_line

MARKS: Final = {
    CheckStatus.PASSED: "ok",
    CheckStatus.FAILED: "NO",
    CheckStatus.WARNING: "warning",
    CheckStatus.UNKNOWN: "unknown",
}


def title(plan: Plan) -> str:
    """``PROD prod: cancel ml/a (Job)``, or with a count for several; for an alias from and to."""
    if plan.move is not None:
        meant = plan.move.intent
        what = f"{meant.model}: {meant.alias} from {named(meant.came)} to {named(meant.to)}"
        return f"{plan.tier.value.upper()} {plan.context}: {plan.verb.value} {words(what)}"
    if len(plan.targets) == 1:
        target = plan.targets[0]
        what = f"{_named(target)} ({target.kind})"
        if plan.approval is not None:
            what = f"{target.name} version {target.uid} ({target.kind})"
    else:
        what = f"{len(plan.targets)} {plan.noun}"
    return f"{plan.tier.value.upper()} {plan.context}: {plan.verb.value} {what}"


def _named(target: Target) -> str:
    return f"{target.namespace}/{target.name}" if target.namespace else target.name


MOST: Final = 20
"""Targets and writes that a text shows; all of them are counted, confirmed and in the JSON."""


def as_text(plan: Plan, *, diffs: bool = True) -> list[str]:
    """A plan as lines of text, safe to show.

    Args:
        diffs: With each write's diff below it.
    """
    lines = [title(plan)]
    if len(plan.targets) > 1:
        lines += _some([[f"  - {_named(t)} ({t.kind})"] for t in plan.targets], plan.noun)
    lines += [f"note    {note}" for note in plan.notes]
    lines += _some([_write(write, diffs=diffs) for write in plan.writes], "writes")
    lines += [f"if not  {write.summary}" for write in plan.compensate]
    lines += [f"check   {MARKS[check.status]}: {check.message}" for check in plan.checks]
    if plan.until:
        lines.append(f"then    waits until {plan.until}")
    lines.append(f"record  {_record(plan)}")
    if plan.back:
        lines.append(f"back    {plan.back}")
    if plan.confirmation is Confirmation.TYPED:
        lines.append(f"confirm by typing {plan.typed_word}")
    elif plan.confirmation is Confirmation.YES:
        lines.append("confirm once")
    return [clean_line(words(line), limit=10_000) for line in lines]


def _record(plan: Plan) -> str:
    if plan.edits:
        return "a line in the journal here; MLflow keeps none of who changed a run"
    what = "an Event on the object"
    if plan.approval is not None:
        what = "who, when, why and what for as a tag of the version"
    elif plan.move is not None:
        what = "from, to, who, when and why as tags of the version"
    elif any(t.kind == MODEL_VERSION for t in plan.targets):
        what = "the plan's id as a tag of the version"
    return f"{what}, and a line in the journal"


def _write(write: Write, *, diffs: bool) -> list[str]:
    where = "" if write.system == "kubernetes" else f" ({write.system})"
    lines = [f"write   {write.summary}{where}"]
    return lines + [f"          {line}" for line in write.diff] if diffs else lines


def _some(blocks: Sequence[Sequence[str]], what: str) -> list[str]:
    lines = [line for block in blocks[:MOST] for line in block]
    if len(blocks) > MOST:
        lines.append(f"        and {len(blocks) - MOST} more {what}; -o json shows all")
    return lines


def as_data(plan: Plan) -> dict[str, Any]:
    """A plan as plain data, for JSON and YAML; safe to print on a terminal."""
    data: dict[str, Any] = msgspec.to_builtins(plan)
    data["typed_word"] = plan.typed_word
    data["blocked"] = bool(plan.blocked)
    safe: dict[str, Any] = _safe(data)
    return safe


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value, limit=10_000_000)
    if isinstance(value, Mapping):
        return {clean_line(str(k)): _safe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(v) for v in value]
    return value
