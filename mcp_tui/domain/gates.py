"""Gates looked at: passed, failed, or not to be told, which passes nothing.

A gate cannot be told where a figure is missing or disputed, where it speaks of a champion and there
is none, and where the two were measured on data that is known to be other data. The rules are those
of :mod:`mcp_tui.domain.gaterules`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from mcp_tui.domain.evaluation import Evaluation, Value
from mcp_tui.domain.figures import figure, signed
from mcp_tui.domain.gaterules import PARTS, Gate, GateKind, parse, parse_file
from mcp_tui.domain.noise import (
    OF_MACHINES,
    Difference,
    Verdict,
    class_figure,
    differences,
    not_the_same_data,
    other_data,
)
from mcp_tui.domain.text import clean_line

__all__ = [
    "Gate",
    "GateResult",
    "GateStatus",
    "check",
    "documents",
    "lines",
    "parse",
    "parse_file",
    "passed",
]


class GateStatus(StrEnum):
    """Only ``PASSED`` passes."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot tell"


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A gate looked at; ``found`` is what was seen, ``message`` the reason in words."""

    gate: Gate
    status: GateStatus
    found: str
    message: str


def check(
    gates: Sequence[Gate],
    candidate: Evaluation,
    champion: Evaluation | None = None,
    *,
    told: Mapping[str, Difference] | None = None,
) -> tuple[GateResult, ...]:
    """Hold a candidate against every gate.

    Args:
        gates: In their order.
        candidate: The one to be released.
        champion: The one that is live; a gate that speaks of it cannot be told without.
        told: Its differences from the champion, where they are worked out already.
    """
    if champion is not None and told is None and any(g.test is GateKind.BETTER for g in gates):
        told = differences(candidate, champion)
    return tuple(_look(gate, candidate, champion, told or {}) for gate in gates)


def passed(results: Sequence[GateResult]) -> bool:
    """Whether all gates passed, and there was one."""
    return bool(results) and all(each.status is GateStatus.PASSED for each in results)


def _look(
    gate: Gate,
    candidate: Evaluation,
    champion: Evaluation | None,
    told: Mapping[str, Difference],
) -> GateResult:
    if gate.needs_champion and champion is None:
        return _unknown(gate, "-", "there is no champion to hold it against")
    if gate.test in (GateKind.NO_CLASS_DROPS, GateKind.NO_CLASS_BELOW):
        return _classes(gate, candidate, champion)
    value = _value(candidate, gate.metric)
    if value is None:
        return _unknown(gate, "-", f"{candidate.label} has no {_said(gate.metric)}"
                        + _near_name(gate.metric, candidate))  # fmt: skip
    seen = figure(value.number)
    if value.disputed:
        return _unknown(gate, seen, f"disputed: {value.source} is {seen}, but {value.disputed}")
    if gate.test is GateKind.BOUND:
        return _held(gate, value.number, gate.bound, f"{seen} ({value.source})")
    theirs = _value(champion, gate.metric) if champion is not None else None
    if champion is None or theirs is None:
        return _unknown(gate, seen, f"the champion has no {_said(gate.metric)}")
    other, unsure = not_the_same_data(value, theirs), ""
    if not gate.metric.startswith(OF_MACHINES):
        data, unsure = _same_data(candidate, champion)
        other = other or data
    if theirs.disputed or other:
        return _unknown(gate, seen, other or f"disputed for the champion: {theirs.disputed}")
    against = f"{seen}, champion {figure(theirs.number)}"
    if gate.test is GateKind.BETTER:
        found = told.get(gate.metric)
        if found is None or found.verdict is Verdict.CANNOT_TELL:
            reason = found.reason if found is not None else "nothing tells it from noise"
            return _unknown(gate, against, reason)
        status = GateStatus.PASSED if found.verdict is Verdict.BETTER else GateStatus.FAILED
        return GateResult(gate=gate, status=status, found=against, message=found.text())
    bound = theirs.number * gate.factor + gate.offset(theirs.number)
    held = _with(_held(gate, value.number, bound, against), _share(gate, theirs.number))
    return _with(held, unsure)


def _value(evaluation: Evaluation | None, metric: str) -> Value | None:
    if evaluation is None:
        return None
    part, _, label = metric.partition(":")
    if label and part in PARTS and metric not in evaluation.metrics:
        return class_figure(evaluation, metric)
    return evaluation.find(metric)


def _same_data(candidate: Evaluation, champion: Evaluation) -> tuple[str, str]:
    """Why two runs are not to be compared, and what nobody knows that would tell.

    Those that are known to be of other data are not compared. Where one does not say, they are,
    and that is said.
    """
    if candidate.data and champion.data:
        return other_data(candidate, champion), ""
    who = candidate if not candidate.data else champion
    return "", f"whether on the same data is not known: {who.label}: {who.data_unknown}"


def _share(gate: Gate, champion: float) -> str:
    """What the bound is, where a rule has it in per cent of the champion's."""
    if not gate.share:
        return ""
    side = "above" if gate.share > 0 else "below"
    return f"{abs(gate.share) * 100:g}% {side} the champion's {figure(champion)}"


def _with(result: GateResult, more: str) -> GateResult:
    if not more:
        return result
    return msgspec.structs.replace(result, message=f"{result.message} ({more})")


def _classes(gate: Gate, candidate: Evaluation, champion: Evaluation | None) -> GateResult:
    """Every class that the champion knows, or, against a number, that the candidate does."""
    drops = gate.test is GateKind.NO_CLASS_DROPS
    base = champion if drops and champion is not None else candidate
    keys = [f"{gate.metric}:{label}" for label in base.classes]
    if not keys:
        return _unknown(gate, "-", f"no {gate.metric} by class is logged for {base.label}")
    unsure = ""
    if drops and champion is not None:
        other, unsure = _same_data(candidate, champion)
        if not other and candidate.classes_split != champion.classes_split:
            ours, theirs = candidate.classes_split or "other", champion.classes_split or "other"
            other = f"by class measured on {ours} data, the champion's on {theirs} data"
        if other:
            return _unknown(gate, "-", other)
    worst: tuple[float, bool, str] | None = None
    missing: list[str] = []
    for key in keys:
        label = key.partition(":")[2]
        value, was = class_figure(candidate, key), class_figure(base, key)
        if drops and was is None:
            continue  # the champion had none to lose
        if value is None or was is None:
            missing.append(label)
            continue
        short = was.number - value.number if drops else -value.number
        limit = gate.offset(was.number) if drops else -gate.bound
        if worst is None or short - limit > worst[0]:
            text = f"{label} {figure(value.number, 4)}"
            if drops:
                text += f", champion {figure(was.number, 4)} ({signed(value.number - was.number)}"
                text += f"; {gate.share * 100:g}% is {figure(limit, 4)})" if gate.share else ")"
            worst = (short - limit, short > limit and not _close(short, limit), text)
    if worst is not None and worst[1]:
        status = GateStatus.FAILED
        told = GateResult(gate=gate, status=status, found=worst[2], message=f"worst: {worst[2]}")
        return _with(told, unsure)
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        return _unknown(gate, worst[2] if worst else "-", f"no {gate.metric} for class {named}")
    if worst is None:
        return _unknown(gate, "-", f"the champion has no {gate.metric} by class")
    status = GateStatus.PASSED
    told = GateResult(gate=gate, status=status, found=worst[2], message=f"worst: {worst[2]}")
    return _with(told, unsure)


def _held(gate: Gate, value: float, bound: float, found: str) -> GateResult:
    near = _close(value, bound)
    held = {
        ">=": value > bound or near,
        "<=": value < bound or near,
        ">": value > bound and not near,
        "<": value < bound and not near,
    }[gate.op]
    message = f"{figure(value)} {'is' if held else 'is not'} {gate.op} {figure(bound)}"
    status = GateStatus.PASSED if held else GateStatus.FAILED
    return GateResult(gate=gate, status=status, found=found, message=message)


def _close(one: float, other: float) -> bool:
    """Equal but for the last bits: 0.95 - 0.93 is no less than 0.02."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _unknown(gate: Gate, found: str, message: str) -> GateResult:
    return GateResult(gate=gate, status=GateStatus.CANNOT_TELL, found=found, message=message)


def _said(metric: str) -> str:
    part, _, label = metric.partition(":")
    return f"{part} of class {clean_line(label)}" if label and part in PARTS else clean_line(metric)


def _near_name(metric: str, evaluation: Evaluation) -> str:
    part, _, label = metric.partition(":")
    if label and part in PARTS:
        known = [f"{part}:{each}" for each in evaluation.classes]
        near = difflib.get_close_matches(metric, known, n=1)
        return f" (there is {near[0].partition(':')[2]})" if near else ""
    bare = metric.removesuffix("_ms")
    if bare != metric and bare in evaluation.values:
        return f" ({bare} is logged without its unit)"
    names = [*evaluation.values, *evaluation.metrics]
    near = difflib.get_close_matches(metric, names, n=1, cutoff=0.75)
    return f" (there is {clean_line(near[0])})" if near else ""


def lines(results: Sequence[GateResult]) -> list[str]:
    """``passed  f1_macro >= 0.90  0.931 is >= 0.9``, a line a gate."""
    wide = max((len(each.gate.rule) for each in results), default=0)
    return [
        f"{each.status:<11}  {each.gate.rule:<{wide}}  {each.message}".rstrip() for each in results
    ]


def documents(results: Sequence[GateResult]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "rule": each.gate.rule,
            "why": each.gate.why,
            "status": each.status.value,
            "found": each.found,
            "message": each.message,
        }
        for each in results
    ]
