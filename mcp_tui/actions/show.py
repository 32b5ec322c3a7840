"""A plan as text and as data: the same for the command line, the console and the record."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mcp_tui.domain.plan import CheckStatus, Confirmation, Plan

MARKS: Final = {
    CheckStatus.PASSED: "ok",
    CheckStatus.FAILED: "NO",
    CheckStatus.WARNING: "warning",
    CheckStatus.UNKNOWN: "unknown",
}


def title(plan: Plan) -> str:
    """``PROD prod: cancel ml/a (Job)``, or with a count for several."""
    if len(plan.targets) == 1:
        target = plan.targets[0]
        what = f"{target.namespace}/{target.name} ({target.kind})"
    else:
        what = f"{len(plan.targets)} jobs"
    return f"{plan.tier.value.upper()} {plan.context}: {plan.verb.value} {what}"


def as_text(plan: Plan, *, diffs: bool = True) -> list[str]:
    """A plan as lines of text.

    Args:
        diffs: With each write's diff below it.
    """
    lines = [title(plan)]
    if len(plan.targets) > 1:
        lines += [f"  - {t.namespace}/{t.name} ({t.kind})" for t in plan.targets]
    lines += [f"note    {note}" for note in plan.notes]
    for write in plan.writes:
        where = "" if write.system == "kubernetes" else f" ({write.system})"
        lines.append(f"write   {write.summary}{where}")
        if diffs:
            lines += [f"          {line}" for line in write.diff]
    lines += [f"check   {MARKS[check.status]}: {check.message}" for check in plan.checks]
    if plan.until:
        lines.append(f"then    waits until {plan.until}")
    if plan.back:
        lines.append(f"back    {plan.back}")
    if plan.confirmation is Confirmation.TYPED:
        lines.append(f"confirm by typing {plan.typed_word}")
    elif plan.confirmation is Confirmation.YES:
        lines.append("confirm once")
    return lines


def as_data(plan: Plan) -> dict[str, Any]:
    """A plan as plain data, for JSON and YAML."""
    data: dict[str, Any] = msgspec.to_builtins(plan)
    data["typed_word"] = plan.typed_word
    data["blocked"] = bool(plan.blocked)
    return data
