"""Approvals of a model version: who must say yes, what a yes is, and whether it still stands.

What binds and what does not. **MLflow cannot enforce any of this.** An approval is kept as a tag of
the model version, and whoever may write tags of that model there may write one in anybody's name,
change one, or delete one; MLflow keeps no history of tags, has no compare-and-set, and tells
nobody who wrote what. Its listing of files says paths and sizes, not contents: a file that is
replaced by another of the same size changes no hash here unless the MLmodel file changes with it.
So with MLflow alone an approval is a record between people who mean well, which the console checks
before it promotes and which another client need not look at.

What can enforce it is the API server, where a rollout or its kin carries the same text as an
annotation. The text is made for that: it starts with who wrote it and ends with what for, so that a
ValidatingAdmissionPolicy lets nobody write one in another's name (:func:`cel_own_name`) and lets
nothing go on without one for exactly this subject (:func:`cel_given`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

TAG: Final = "mcp-tui.approval."
"""Before a level's name, the tag of a model version."""

ANNOTATION: Final = "approval.mcp-tui.io/"
"""Before a level's name, the annotation of a Kubernetes object."""

MAX_RECORD: Final = 4_000
"""Characters: MLflow takes 5,000 for a version's tag."""

MAX_REASON: Final = 1_000
LEVEL_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_SUBJECT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_FIELDS: Final = ("by", "group", "mlflow", "at", "why", "for")


class Mode(StrEnum):
    """What a tier asks for."""

    NONE = "none"
    NOTIFY = "notify"
    LEVELS = "levels"


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One yes that is needed: by one of these people, or by anybody of these groups."""

    name: str
    people: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What one tier asks for.

    Attributes:
        levels: Each needs a yes of its own; of different people.
        own: Whether people may approve what they made themselves.
        configured: Whether the configuration says so, or it is the default.
    """

    mode: Mode
    levels: tuple[Level, ...] = ()
    own: bool = False
    configured: bool = False


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is, as servers say and not as they say themselves.

    Attributes:
        user: The cluster's name for them (SelfSubjectReview); impersonation shows as whom.
        groups: The cluster's groups.
        tracker: The name the tracking server knows them by; empty where it has no users.
    """

    user: str
    groups: tuple[str, ...] = ()
    tracker: str = ""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly what is approved: a version, and what its files were like."""

    model: str
    version: str
    digest: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One yes on record.

    Attributes:
        level: Which it fills.
        by: The cluster's name of who gave it.
        group: The group by which they may; empty where they are named themselves.
        tracker: The tracking server's name of them.
        at: When, in epoch seconds.
        reason: In their words.
        subject: The digest of what they approved.
    """

    level: str
    by: str
    at: float
    subject: str
    group: str = ""
    tracker: str = ""
    reason: str = ""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An approval as a plan writes it.

    Attributes:
        subject: What it is for.
        key: The tag of the version.
        value: The record.
        was: The record that was there; None where there was none.
    """

    subject: Subject
    key: str
    value: str
    was: str | None = None


# --- the subject


def subject(
    model: str, version: str, mlmodel: bytes, listing: Iterable[tuple[str, int | None]]
) -> Subject:
    """What an approval of a version is for.

    Args:
        model: The registered model.
        version: Its version.
        mlmodel: The bytes of its MLmodel file, which names the run, the signature and the flavours.
        listing: Path and size of every file of the version, in any order.
    """
    files = sorted((path, -1 if size is None else size) for path, size in listing)
    parts = [model, version, hashlib.sha256(mlmodel).hexdigest(), files]
    # JSON has one way to write these, so no two subjects are written alike.
    whole = hashlib.sha256(msgspec.json.encode(_surrogate_free(parts))).hexdigest()
    return Subject(model=model, version=version, digest=f"sha256:{whole}")


def _surrogate_free(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").hex()
    if isinstance(value, list | tuple):
        return [_surrogate_free(each) for each in value]
    return value


# --- the record


def encode(approval: Approval) -> str:
    """The record as text: who first and what for last, so that policies can hold on to both.

    Raises:
        UsageError: A name holds what the text is split at: it could pass for another's.
    """
    for what, text in (
        ("the user", approval.by), ("the group", approval.group),
        ("the MLflow user", approval.tracker),
    ):  # fmt: skip
        if "|" in text or clean_line(text) != text or len(text) > 500:
            raise UsageError(f"{what} {clean_line(text, limit=80)!r} cannot stand in an approval")
    if not approval.by or not _SUBJECT.fullmatch(approval.subject):
        raise UsageError("an approval needs a user and what it is for")
    when = datetime.fromtimestamp(int(approval.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = clean_line(approval.reason, limit=MAX_REASON).replace("|", "/").strip()
    values = (approval.by, approval.group, approval.tracker, when, reason, approval.subject)
    return "|".join(f"{name}={value}" for name, value in zip(_FIELDS, values, strict=True))


def decode(level: str, text: str) -> Approval | None:
    """A record from its text; None where it is none, which counts as no approval."""
    if len(text) > MAX_RECORD or clean_line(text) != text:
        return None
    parts = text.split("|")
    if len(parts) != len(_FIELDS):
        return None
    found = {}
    for name, part in zip(_FIELDS, parts, strict=True):
        if not part.startswith(f"{name}="):
            return None
        found[name] = part[len(name) + 1 :]
    try:
        when = datetime.strptime(found["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    if not found["by"] or not _SUBJECT.fullmatch(found["for"]):
        return None
    return Approval(
        level=level,
        by=found["by"],
        group=found["group"],
        tracker=found["mlflow"],
        at=when.timestamp(),
        reason=found["why"],
        subject=found["for"],
    )


def records(tags: Mapping[str, str], *, prefix: str = TAG) -> dict[str, str]:
    """The records among a version's tags (or an object's annotations), as text, by level."""
    return {name[len(prefix) :]: text for name, text in tags.items() if name.startswith(prefix)}


def cel_own_name(level: str) -> str:
    """CEL for a ValidatingAdmissionPolicy: the annotation is written in nobody else's name.

    It holds where the annotation is not there or stays as it was; else it names who sends the
    request, and a group of theirs or none. It is split and not searched: nothing that stands in one
    part passes for another, and a user whose name holds the separator may write none.
    """
    key = f"{ANNOTATION}{_checked(level)}"
    new, old = "object.metadata.annotations", "oldObject.metadata.annotations"
    parts = f"{new}['{key}'].split('|')"
    return (
        f"!has({new}) || !('{key}' in {new}) || "
        f"(oldObject != null && has({old}) && '{key}' in {old} && {old}['{key}'] == {new}['{key}'])"
        f" || ({parts}.size() == {len(_FIELDS)} && "
        f"{parts}[0] == 'by=' + request.userInfo.username && ({parts}[1] == 'group=' || "
        f"request.userInfo.groups.exists(g, {parts}[1] == 'group=' + g)))"
    )


def cel_given(level: Level, digest: str) -> str:
    """CEL: the level is given, by one who may, for the subject that the expression ``digest`` is.

    Args:
        level: Who may give it.
        digest: A CEL expression, such as ``object.metadata.annotations['mcp-tui.io/subject']``.
    """
    key = f"{ANNOTATION}{_checked(level.name)}"
    new = "object.metadata.annotations"
    parts = f"{new}['{key}'].split('|')"
    may = [f"{parts}[0] == {_cel_text(f'by={person}')}" for person in level.people]
    may += [f"{parts}[1] == {_cel_text(f'group={group}')}" for group in level.groups]
    return (
        f"has({new}) && '{key}' in {new} && {parts}.size() == {len(_FIELDS)} && "
        f"{parts}[{len(_FIELDS) - 1}] == 'for=' + {digest} && ({' || '.join(may) or 'false'})"
    )


def _cel_text(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _checked(level: str) -> str:
    if not LEVEL_NAME.fullmatch(level):
        raise UsageError(f"{clean_line(level, limit=80)!r} is not a level's name")
    return level
