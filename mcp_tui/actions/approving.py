"""An approval of a model version: planned, checked, put on record as a tag, and read again.

What it binds is said in :mod:`mcp_tui.domain.approval`: MLflow enforces none of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from mcp_tui.actions.aliaslook import MODEL_VERSION, VERSIONS, SeenModel
from mcp_tui.actions.evidence import Evidence
from mcp_tui.actions.jobs import Scope, new_plan_id
from mcp_tui.actions.models import Wanted
from mcp_tui.domain.alias import is_version
from mcp_tui.domain.approval import (
    LEVEL_NAME,
    TAG,
    Approval,
    Given,
    Identity,
    Mode,
    Rule,
    Subject,
    encode,
)
from mcp_tui.domain.approval_rules import (
    Approvals,
    LevelStanding,
    Standing,
    judge,
    may_fill,
    refusal,
)
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.plan import (
    Check,
    CheckStatus,
    Confirmation,
    Outcome,
    OutcomeStatus,
    Plan,
    Target,
    Tier,
    Verb,
    Write,
)
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import (
    ApiError,
    ExitCode,
    GoneError,
    McpTuiError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.subject import subject_of

if TYPE_CHECKING:
    from mcp_tui.actions.engine import Engine

APPROVALS: Final = "approvals"
"""The name of the checks."""
NOT_ENFORCED: Final = (
    "MLflow enforces none of it: whoever may write the model's tags can write, change or remove "
    "such a record, and another client need not look at it"
)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A version, what it is now, and how its approvals stand.

    Attributes:
        version: As it is now.
        subject: What an approval of it is for.
        authors: Who made it, by every name that is known.
        approvals: How each level stands.
    """

    version: ModelVersion
    subject: Subject
    authors: frozenset[str]
    approvals: Approvals


def tracker(engine: Engine) -> MlflowClient:
    """The engine's MLflow.

    Raises:
        UnreachableError: There is none.
    """
    if engine.mlflow_client is None:
        raise UnreachableError("no MLflow is configured", where=engine.scope.context)
    return engine.mlflow_client


async def identity(engine: Engine) -> Identity:
    """Who we are, as the cluster and MLflow say.

    Raises:
        RefusedError: The cluster does not say: nobody's word for it is taken.
    """
    try:
        who = await engine.kube.whoami()
    except ApiError as error:
        raise RefusedError(
            f"the cluster does not say who you are: {error.what}",
            where=engine.scope.context,
            hint="an approval needs its word (SelfSubjectReview, since Kubernetes 1.28)",
        ) from None
    if not who.username:
        raise RefusedError("the cluster does not say who you are", where=engine.scope.context)
    name = await tracker(engine).current_user()
    return Identity(user=who.username, groups=who.groups, tracker=name)


async def judged(engine: Engine, version: ModelVersion) -> Judged:
    """How a version's approvals stand now.

    Raises:
        McpTuiError: It cannot be told: as :func:`mcp_tui.sources.mlflow.subject.subject_of`.
    """
    client = tracker(engine)
    what, authors = await asyncio.gather(subject_of(client, version), _authors(client, version))
    found = judge(engine.rule, version.tag, what, authors)
    return Judged(version=version, subject=what, authors=authors, approvals=found)


async def _authors(client: MlflowClient, version: ModelVersion) -> frozenset[str]:
    """Who made a version: who registered it, who started its run, who submitted its job."""
    names = {version.user_id}
    if version.run_id:
        try:
            run = await client.get_run(version.run_id)
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            # A run that a job was submitted for has who did it for its user.
            names |= {run.info.user_id, run.user}
    return frozenset(name for name in names if name)


async def see_version(engine: Engine, name: str, version: str) -> tuple[SeenModel, ModelVersion]:
    """A version as it is now.

    Raises:
        GoneError: There is none.
        UsageError: That is no version's number.
    """
    shown = clean_line(f"{name} version {version}", limit=120)
    if not is_version(version):
        raise UsageError(f"{clean_line(version, limit=80)!r} is not a version's number")
    seen = await engine.see_model(name)
    found = seen.version(version)
    if found is None:
        raise GoneError(f"there is no {shown}", where=engine.scope.context)
    return seen, found


def plan_approve(
    scope: Scope, rule: Rule, found: Judged, who: Identity, level: str, *, reason: str, now: float
) -> Plan:
    """Plan an approval of a version. Pure.

    Args:
        rule: What the tier asks for.
        found: The version as it is now.
        who: Who gives it.
        level: Which they fill.
        reason: In their words.
        now: Unix time in seconds.

    Raises:
        UsageError: No reason, or that is no level's name.
    """
    if not reason.strip():
        raise UsageError("an approval says why", hint="give a reason")
    if not LEVEL_NAME.fullmatch(level):
        raise UsageError(f"{clean_line(level, limit=80)!r} is not a level's name")
    version, tags = found.version, found.version.tag
    why_not = refusal(rule, level, who, tags, found.subject, found.authors)
    mine = next((each for each in rule.levels if each.name == level), None)
    group = may_fill(mine, who)[1] if mine is not None else ""
    value = encode(
        Approval(level=level, by=who.user, group=group, tracker=who.tracker, at=now,
                 reason=reason, subject=found.subject.digest)
    )  # fmt: skip
    key = TAG + level
    was = tags.get(key)
    name = clean_line(version.name)
    as_who = f"{who.user}, by group {group}" if group else who.user
    status = CheckStatus.FAILED if why_not else CheckStatus.PASSED
    check = Check(name=APPROVALS, status=status, message=why_not or f"{as_who} may give {level}")
    return Plan(
        id=new_plan_id(),
        verb=Verb.APPROVE,
        context=scope.context,
        tier=scope.tier,
        targets=(
            Target(
                context=scope.context,
                kind=MODEL_VERSION,
                namespace="",
                name=version.name,
                uid=version.version,
            ),
        ),
        writes=(
            Write(
                system="mlflow",
                method="POST",
                path=f"{VERSIONS}/set-tag",
                body={"name": version.name, "version": version.version, "key": key, "value": value},
                summary=f"put approval {level} of {name} version {version.version} on record, "
                "only if nobody has given it",
                diff=(
                    *(() if was is None else (f"- {key}: {clean_line(was)}",)),
                    f"+ {key}: {value}",
                ),
            ),
        ),
        checks=(check,),
        confirmation=Confirmation.TYPED if scope.tier is Tier.PROD else Confirmation.YES,
        until=f"approval {level} is on record",
        back="none from here: another version needs another approval",
        notes=(
            f"for exactly {found.subject.digest}: another MLmodel file or listing expires it",
            *(_level(each) for each in found.approvals.levels),
            NOT_ENFORCED,
        ),
        approval=Given(subject=found.subject, key=key, value=value, was=was),
    )


def _level(each: LevelStanding) -> str:
    return f"level {each.text()}"


async def still_the_same(engine: Engine, plan: Plan) -> None:
    """Whether what is approved, or was, is still what was planned.

    Raises:
        RefusedError: Its files changed meanwhile, or the approvals of a promotion do not stand any
            more; nothing was written.
        GoneError: They, or the version, are not there any more.
    """
    if plan.approved is not None:
        await _still_approved(engine, plan.approved)
    if plan.approval is None:
        return
    meant = plan.approval.subject
    _, version = await see_version(engine, meant.model, meant.version)
    if await subject_of(tracker(engine), version) != meant:
        raise RefusedError(
            f"version {meant.version} of {clean_line(meant.model)} changed meanwhile: its MLmodel "
            "file or its listing is another; nothing was put on record",
            hint="look at it again",
        )


async def _still_approved(engine: Engine, meant: Subject) -> None:
    _, version = await see_version(engine, meant.model, meant.version)
    found = (await judged(engine, version)).approvals
    if not found.complete:
        raise RefusedError(
            f"what version {meant.version} of {clean_line(meant.model)} was approved by does not "
            f"stand any more: {_lacking(found)}; nothing was moved",
            hint="look at it again",
        )


def _lacking(found: Approvals) -> str:
    missing = [each for each in found.levels if each.standing is not Standing.GIVEN]
    return f"{found.text()}: {'; '.join(each.text() for each in missing)}"


async def prove_approval(
    engine: Engine, plan: Plan, targets: Mapping[int, Target], *, timeout: float
) -> dict[int, Outcome]:
    """Read the version again: the record is there, and says what it was meant to."""
    given = plan.approval
    assert given is not None
    [(index, target)] = targets.items()
    try:
        async with asyncio.timeout(max(0.05, timeout)):
            seen = await engine.see_model(given.subject.model)
    except (McpTuiError, TimeoutError) as error:
        words = error.line() if isinstance(error, McpTuiError) else "MLflow did not answer"
        return {index: _unproven(target, f"accepted, but unproven: {words}", ExitCode.UNREACHABLE)}
    version = seen.version(given.subject.version)
    if version is None or version.tag.get(given.key) != given.value:
        said = "accepted, but another record is there now: somebody else wrote it"
        return {index: _unproven(target, said, ExitCode.GONE)}
    said = f"{given.key} is on record"
    try:
        async with asyncio.timeout(max(0.05, timeout)):
            said += f"; {(await judged(engine, version)).approvals.text()}"
    except (McpTuiError, TimeoutError):
        said += "; how many there are now could not be read"
    return {index: Outcome(target=target, status=OutcomeStatus.PROVEN, message=said)}


def _unproven(target: Target, message: str, code: ExitCode) -> Outcome:
    return Outcome(
        target=target, status=OutcomeStatus.UNPROVEN, message=message, exit_code=int(code)
    )


# --- what a promotion asks for


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier's approvals say of a promotion; ``approved`` is whose they are, if they stand."""

    check: Check | None = None
    approved: Subject | None = None

    def added_to(self, evidence: Evidence) -> Evidence:
        """What speaks for a version, with them."""
        checks = evidence.checks if self.check is None else (*evidence.checks, self.check)
        return msgspec.structs.replace(evidence, checks=checks, approved=self.approved)


def _asked(status: CheckStatus, said: str, approved: Subject | None = None) -> Asked:
    return Asked(check=Check(name=APPROVALS, status=status, message=said), approved=approved)


async def of_promotion(engine: Engine, seen: SeenModel, wanted: Wanted, override: str) -> Asked:
    """Whether the approvals that the tier asks for stand, before a version goes live.

    A copy may be approved as what it is copied from: that is whose files they are.

    Args:
        seen: The model whose alias is moved.
        wanted: What it is moved to.
        override: Why it is done although one is missing; the promotion records it.
    """
    rule = engine.rule
    if rule.mode is Mode.NONE:
        return Asked()
    if rule.mode is Mode.NOTIFY:
        told = "no approval is asked for: whoever should know is to be told"
        if rule.configured:
            return _asked(CheckStatus.PASSED, told)
        told += "; the configuration names no approvals for this tier"
        return _asked(CheckStatus.UNKNOWN, told)
    try:
        found = await _best(engine, seen, wanted)
        if found is not None and found.approvals.complete:
            by = ", ".join(
                f"{each.level.name} by {each.approval.by}"
                for each in found.approvals.levels
                if each.approval is not None
            )
            said = f"{found.approvals.text()}: {by}"
            return _asked(CheckStatus.PASSED, said, found.subject)
        if found is not None:
            said = _lacking(found.approvals)
        else:
            said = f"approvals 0 of {len(rule.levels)}: the version is not there to be approved"
    except (ApiError, UsageError, GoneError) as error:
        # What cannot be told has not been given.
        said = f"approvals cannot be told: {error.what}"
    if override.strip():
        said += f"; overridden: {clean_line(override, limit=200)}"
        return _asked(CheckStatus.WARNING, said)
    said += "; an override needs a reason"
    return _asked(CheckStatus.FAILED, said)


async def _best(engine: Engine, seen: SeenModel, wanted: Wanted) -> Judged | None:
    """The version that goes live as it is approved, or what it is a copy of; None for a new one."""
    version = seen.version(wanted.version) if wanted.version else wanted.original
    if version is None:
        return None
    found = await judged(engine, version)
    if found.approvals.complete or version.copied_from is None:
        return found
    name, number = version.copied_from
    original = (await engine.see_model(name)).version(number)
    if original is None:
        return found
    of_it = await judged(engine, original)
    return of_it if of_it.approvals.given > found.approvals.given else found
