"""Plans of the model registry: promote a version by an alias or a copy, and take it back. Pure.

An alias' move is three writes: its intent on record, the move, its end on record. What was seen is
looked at again before each of the first two, as MLflow knows no precondition.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mcp_tui.actions.aliaslook import ALIAS, MODEL_VERSION, MODELS, VERSIONS, SeenModel, named
from mcp_tui.actions.evidence import (
    Evidence,
    Why,
    gate_words,
    gates,
    going,
    made_of,
    of_record,
    under_way,
)
from mcp_tui.actions.jobs import Scope, new_plan_id
from mcp_tui.actions.template import placeholder
from mcp_tui.domain.alias import (
    AliasMove,
    End,
    Intent,
    alias_fault,
    end_key,
    end_value,
    intent_key,
    intent_value,
)
from mcp_tui.domain.artifact import shown_uri
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.plan import Confirmation, Plan, Target, Tier, Verb, Write
from mcp_tui.domain.text import clean_line, word
from mcp_tui.errors import GoneError, RefusedError, UsageError
from mcp_tui.sources.mlflow.registry import copied_tags, version_body

CHAMPION: Final = "champion"
"""The alias of what is live, where none is named."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be promoted: a version that is there, or one that is yet to be made.

    Attributes:
        version: Of the model itself; empty where it is made from ``source``.
        source: Where its files are: a run's artifacts, or ``models:/NAME/VERSION`` for a copy.
        origin: That in words.
        original: The version that is copied; None for one that is registered from a run.
    """

    version: str = ""
    source: str = ""
    run_id: str = ""
    model_id: str = ""
    origin: str = ""
    original: ModelVersion | None = None


def plan_promote(
    scope: Scope,
    seen: SeenModel,
    wanted: Wanted,
    why: Why,
    *,
    alias: str = CHAMPION,
    evidence: Evidence | None = None,
) -> Plan:
    """Move an alias to a version, which is registered or copied first where it is not there.

    Args:
        seen: The model that the alias is of (and that a copy goes to).
        alias: Empty registers or copies only.

    Raises:
        GoneError: There is no such version.
        UsageError: The alias is none that MLflow takes.
        RefusedError: The alias is there already.
    """
    evidence = evidence or Evidence()
    version = _there_already(seen, wanted)
    if version and seen.version(version) is None:
        known = ", ".join(v.version for v in seen.versions[:8]) or "none"
        raise GoneError(
            f"there is no version {clean_line(version)} of {clean_line(seen.name)}",
            hint=f"there are: {known}",
        )
    plan_id = new_plan_id()
    if version and not alias:
        raise RefusedError(f"it is version {version} of {clean_line(seen.name)} already")
    target = Target(context=scope.context, kind=MODEL_VERSION, namespace="", name=seen.name,
                    uid=version)  # fmt: skip
    writes = [] if version else _make(seen, wanted, plan_id)
    goes_live = bool(alias) or wanted.original is not None
    notes = _notes(seen, wanted, version)
    plan = Plan(
        id=plan_id,
        verb=Verb.PROMOTE,
        context=scope.context,
        tier=scope.tier,
        targets=(target,),
        writes=tuple(writes),
        confirmation=_confirmation(scope.tier),
        until="the version is ready",
        back="none: a version that nothing points to does no harm",
        checks=(
            *gates(evidence, why, goes_live=goes_live),
            *made_of(evidence),
            *evidence.checks,
        ),
        notes=tuple(notes),
        approved=evidence.approved,
    )
    if not alias:
        return plan
    to = version or placeholder("version")
    return _with_move(plan, seen, alias, to, why, evidence)


def plan_rollback(
    scope: Scope, seen: SeenModel, why: Why, *, alias: str = CHAMPION, to: str = ""
) -> Plan:
    """Take an alias back to where it was before, by the record; or to a version that is named.

    Raises:
        RefusedError: The record does not say where, or that the named version was there before
            (then it ships something, which asks for more than this); or the alias is there already.
        GoneError: There is no such version.
    """
    told = seen.history(alias)
    if to:
        if seen.version(to) is None:
            raise GoneError(f"there is no version {clean_line(to)} of {clean_line(seen.name)}")
        if to not in told.lived:
            raise RefusedError(
                f"version {clean_line(to)} of {clean_line(seen.name)} was never {alias}, by its "
                "record",
                hint="to ship it is a promotion: "
                f"mcp-tui --context {word(scope.context)} model promote "
                f"{word(f'{seen.name}/{to}')} --alias {word(alias)}",
            )
    elif not told.back.possible:
        hint = ""
        if told.back.perhaps:
            hint = f"version {told.back.perhaps} was live earlier: name it on purpose (--to)"
        raise RefusedError(
            f"{alias} of {clean_line(seen.name)} cannot be taken back: {told.back.why_not}",
            hint=hint,
        )
    else:
        to = told.back.to
    plan = Plan(
        id=new_plan_id(),
        verb=Verb.ROLLBACK,
        context=scope.context,
        tier=scope.tier,
        targets=(
            Target(
                context=scope.context,
                kind=MODEL_VERSION,
                namespace="",
                name=seen.name,
                uid=to or told.current,
            ),
        ),
        writes=(),
        # What takes back takes one deliberate confirmation, everywhere.
        confirmation=Confirmation.YES,
    )
    return _with_move(plan, seen, alias, to, why, Evidence())


def _confirmation(tier: Tier) -> Confirmation:
    """What ships is typed in prod, said once in test, and free in dev."""
    if tier is Tier.PROD:
        return Confirmation.TYPED
    return Confirmation.YES if tier is Tier.TEST else Confirmation.NONE


def _there_already(seen: SeenModel, wanted: Wanted) -> str:
    """The version that it is already; a source is never made a version of twice."""
    if wanted.version:
        return wanted.version
    same = [v for v in seen.versions if v.source == wanted.source]
    return same[-1].version if same else ""


def _make(seen: SeenModel, wanted: Wanted, plan_id: str) -> list[Write]:
    name = clean_line(seen.name)
    writes = []
    if not seen.there:
        writes.append(
            Write(
                system="mlflow",
                method="POST",
                path=f"{MODELS}/create",
                body={"name": seen.name},
                summary=f"create registered model {name}",
                diff=(f"+ model {name}",),
            )
        )
    tags = copied_tags(wanted.original.tag) if wanted.original is not None else {}
    body = version_body(
        seen.name, wanted.source, plan_id, run_id=wanted.run_id, tags=tags, model_id=wanted.model_id
    )
    writes.append(
        Write(
            system="mlflow",
            method="POST",
            path=f"{VERSIONS}/create",
            body=body,
            summary=f"make a version of {name} from {clean_line(wanted.origin)}, "
            "only if there is none of it",
            diff=(f"+ source: {shown_uri(wanted.source)}",),
            yields=(("version", "model_version.version"),),
        )
    )
    return writes


def _with_move(
    plan: Plan, seen: SeenModel, alias: str, to: str, why: Why, evidence: Evidence
) -> Plan:
    """A plan that also moves an alias: intent, move; the end is written when it is over."""
    fault = alias_fault(alias)
    if fault:
        raise UsageError(f"{clean_line(alias, limit=80)!r} is no alias: {fault}")
    came, name = seen.aliases.get(alias, ""), clean_line(seen.name)
    if came == to:
        raise RefusedError(f"{alias} of {name} is {named(to)} already")
    found = seen.records(alias)
    others = under_way(found.unended, why.now)
    intent = Intent(
        verb="rollback" if plan.verb is Verb.ROLLBACK else "promote",
        model=seen.name,
        alias=alias,
        came=came,
        to=to,
        seq=found.next_seq,
        at=why.now,
        who=why.user,
        why=why.why,
        override=why.override,
        gates=tuple(gate_words(g) for g in evidence.gates),
        made=dict(evidence.made),
        open=tuple(r.plan[:12] for r in others),
    )
    taken_back = f"mcp-tui --context {word(plan.context)} model rollback {word(seen.name)}"
    if alias != CHAMPION:
        taken_back += f" --alias {word(alias)}"
    back = f"u (or {taken_back}) moves {alias} to {named(came)}"
    checks = [*of_record(seen, alias, why.now), *(going(r, why.now) for r in others)]
    return msgspec.structs.replace(
        plan,
        writes=(*plan.writes, _tag_intent(plan.id, intent), _move(intent)),
        compensate=(_tag_end(plan.id, intent, why.now),),
        interrupted=(_tag_end(plan.id, intent, why.now),),
        checks=(*plan.checks, *checks),
        until=f"{alias} is {named(to)}",
        back=back if plan.verb is Verb.PROMOTE else "promote moves it forth again",
        move=AliasMove(intent=intent, known=tuple(sorted(found.plans))),
    )


def _tag(version: str, name: str, key: str, value: str, summary: str) -> Write:
    return Write(
        system="mlflow",
        method="POST",
        path=f"{VERSIONS}/set-tag",
        body={"name": name, "version": version, "key": key, "value": value},
        summary=summary,
    )


def _tag_intent(plan_id: str, intent: Intent) -> Write:
    what = f"put the intent on record, as a tag of version {intent.on}"
    return _tag(intent.on, intent.model, intent_key(plan_id), intent_value(intent), what)


def _tag_end(plan_id: str, intent: Intent, now: float) -> Write:
    value = end_value(End(moved=False, at=now))
    what = f"put on record that {intent.alias} was not moved"
    write = _tag(intent.on, intent.model, end_key(plan_id), value, what)
    return msgspec.structs.replace(write, optional=True)


def end_body(plan: Plan, version: str, *, seen: str | None, now: float) -> dict[str, Any]:
    """What puts on record how a plan's move ended.

    Args:
        version: The one that the intent is on.
        seen: Where the alias points now; None when it could not be looked at.
    """
    assert plan.move is not None
    return {
        "name": plan.move.intent.model,
        "version": version,
        "key": end_key(plan.id),
        "value": end_value(End(moved=True, at=now, seen=seen)),
    }


def _move(intent: Intent) -> Write:
    body = {"name": intent.model, "alias": intent.alias}
    what = f"move {intent.alias} of {clean_line(intent.model)} from {named(intent.came)}"
    only = f"only if it is {named(intent.came)} still"
    if not intent.to:
        what = f"take {intent.alias} of {clean_line(intent.model)} away from {named(intent.came)}"
        return Write(
            system="mlflow",
            method="DELETE",
            path=ALIAS,
            body=body,
            summary=f"{what}, {only}",
            diff=(f"- {intent.alias}: {intent.came}",),
        )
    before = (f"- {intent.alias}: {intent.came}",) if intent.came else ()
    return Write(
        system="mlflow",
        method="POST",
        path=ALIAS,
        body={**body, "version": intent.to},
        summary=f"{what} to {named(intent.to)}, {only}",
        diff=(*before, f"+ {intent.alias}: {intent.to}"),
    )


def _notes(seen: SeenModel, wanted: Wanted, version: str) -> list[str]:
    if version and not wanted.version:
        return [f"{clean_line(wanted.origin)} is version {version} already: none is made"]
    found = seen.version(version) if version else None
    if found is not None and found.run_id:
        return [f"version {version} was made by run {clean_line(found.run_id)}"]
    return []
