"""An alias as it is now, with its record: read before a plan, before each write, and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.parse import quote

import msgspec

from mcp_tui.actions.runs import MLFLOW
from mcp_tui.domain import keys
from mcp_tui.domain.alias import Records, VersionTags, intent_key, records
from mcp_tui.domain.aliashistory import History, history
from mcp_tui.domain.model import ModelVersion, RegisteredModel
from mcp_tui.domain.plan import Plan
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, MovedError, RefusedError, UnreachableError
from mcp_tui.sources.mlflow.registry import quoted

T = TypeVar("T")

ALIAS: Final = f"{MLFLOW}/registered-models/alias"
MODELS: Final = f"{MLFLOW}/registered-models"
VERSIONS: Final = f"{MLFLOW}/model-versions"
MOST_PAGES: Final = 100
MODEL_VERSION: Final = "ModelVersion"
"""The kind of a plan's target that is a version of a model; its ``uid`` is the version."""


class Reads(Protocol):
    """The part of a wire that is needed here."""

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send one call to MLflow; raises McpTuiError."""


class SeenModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the registry as it is now.

    Attributes:
        there: Whether there is one of that name.
        aliases: Versions by alias.
        versions: All of them, the newest first.
    """

    name: str
    there: bool = True
    aliases: Mapping[str, str] = {}
    versions: tuple[ModelVersion, ...] = ()

    def existing(self, context: str) -> Self:
        """The model itself, for who has no use for one that is not there.

        Raises:
            GoneError: There is none of that name in the context's registry.
        """
        if not self.there:
            raise GoneError(
                f"there is no model {clean_line(self.name, limit=120)}",
                where=context,
                hint="mcp-tui model ls lists them",
            )
        return self

    @property
    def numbers(self) -> frozenset[str]:
        """The versions that there are."""
        return frozenset(v.version for v in self.versions)

    def version(self, number: str) -> ModelVersion | None:
        """One of them."""
        return next((v for v in self.versions if v.version == number), None)

    def records(self, alias: str) -> Records:
        """What is on record of an alias."""
        tags = (VersionTags(version=v.version, tags=v.tag) for v in self.versions)
        return records(self.name, alias, tags)

    def history(self, alias: str) -> History:
        """How an alias came to where it is."""
        current = self.aliases.get(alias, "")
        found = self.records(alias)
        return history(self.name, alias, found, current=current, versions=self.numbers)


async def see_model(wire: Reads, name: str) -> SeenModel:
    """A model with its aliases and all of its versions.

    Raises:
        UnreachableError: MLflow is not there, or answers something else.
    """
    # The aliases last: what is moved after this look and before a write is not seen by anybody.
    versions = await _versions(wire, f"name = {quoted(name)}")
    try:
        path = f"{MODELS}/get?name={quote(name, safe='')}"
        answer = await wire.mlflow("GET", path, None)
    except ApiError as error:
        if error.status == 404 and error.reason == "RESOURCE_DOES_NOT_EXIST":
            return SeenModel(name=name, there=False)
        raise
    model = _as(answer.get("registered_model"), RegisteredModel)
    if model.name != name:
        raise UnreachableError("the answer is about another model", where=clean_line(name))
    own = sorted((v for v in versions if v.name == name), key=lambda v: -v.number)
    return SeenModel(name=name, aliases=model.alias, versions=tuple(own))


async def _versions(wire: Reads, filter_: str) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token = ""
    for _ in range(MOST_PAGES):
        path = f"{VERSIONS}/search?max_results=200&filter={quote(filter_, safe='')}"
        path += f"&page_token={quote(token, safe='')}" if token else ""
        answer = await wire.mlflow("GET", path, None)
        found += [_as(each, ModelVersion) for each in answer.get("model_versions") or ()]
        token = str(answer.get("next_page_token") or "")
        if not token:
            return found
    raise UnreachableError("the pages of versions have no end")


def _as(value: Any, type_: type[T]) -> T:
    try:
        return msgspec.convert(value, type_, strict=False)
    except msgspec.ValidationError as error:
        raise UnreachableError(f"the answer is not MLflow's: {error}") from None


async def recheck_model(plan: Plan, wire: Reads, path: str, body: Any) -> None:
    """Look once more before a write to the registry: MLflow knows no precondition.

    Raises:
        RefusedError: Somebody moved the alias meanwhile, or is moving it, or made that copy.
        GoneError: The version is not there any more.
        McpTuiError: It could not be looked at; nothing was sent then.
    """
    if path == f"{VERSIONS}/create":
        await _recheck_copy(plan, wire, body)
    await recheck_approval(plan, wire, path, body)
    move = plan.move
    if move is None:
        return
    is_intent = path == f"{VERSIONS}/set-tag" and body.get("key") == intent_key(plan.id)
    if is_intent or path == ALIAS:
        seen = await see_model(wire, move.intent.model)
        still_as_planned(plan, seen)
        on = str(body.get("version") or move.intent.came)
        if seen.version(on) is None:
            name = clean_line(move.intent.model)
            raise GoneError(f"somebody else deleted version {on} of {name}; nothing was moved")


async def recheck_approval(plan: Plan, wire: Reads, path: str, body: Mapping[str, Any]) -> None:
    """Look once more before an approval is put on record: MLflow knows no precondition.

    Raises:
        GoneError: The version is not there any more.
        RefusedError: Somebody gave it meanwhile.
    """
    given = plan.approval
    if given is None or path != f"{VERSIONS}/set-tag" or body.get("key") != given.key:
        return
    version = (await see_model(wire, given.subject.model)).version(given.subject.version)
    if version is None:
        raise GoneError("somebody else deleted the version; nothing was put on record")
    if version.tag.get(given.key) != given.was:
        raise RefusedError(
            f"somebody wrote {given.key} meanwhile; nothing was put on record",
            hint="look at it again",
        )


def still_as_planned(plan: Plan, seen: SeenModel) -> None:
    """Whether an alias is where it was when the move was planned, and nobody else moves it.

    Raises:
        MovedError: It is not; says who, where the record knows.
    """
    move = plan.move
    if move is None:
        return
    alias, came = move.intent.alias, move.intent.came
    now = seen.aliases.get(alias, "")
    found = seen.records(alias)
    others = [r for r in found.moves if r.plan not in move.known and r.plan != plan.id]
    who = clean_line(others[-1].intent.who) if others else ""
    if now != came:
        by = who or "somebody"
        raise MovedError(
            f"{by} moved {alias} meanwhile: it is {named(now)}, was {named(came)}; "
            "nothing was moved",
            hint="look at it again",
        )
    if others:
        what = "moved it and back" if others[-1].end is not None else "is moving it too"
        raise MovedError(
            f"{who or 'somebody'} {what} meanwhile ({alias}, plan {others[-1].plan[:8]}); "
            "nothing was moved",
            hint="look at it again",
        )


async def _recheck_copy(plan: Plan, wire: Reads, body: Mapping[str, Any]) -> None:
    """One source is never made a version of twice in one model."""
    name, source = str(body.get("name", "")), str(body.get("source", ""))
    seen = await see_model(wire, name)
    for each in seen.versions:
        if each.source == source and each.tag.get(keys.TAG_PLAN_ID) != plan.id:
            raise RefusedError(
                f"it is version {each.version} of {clean_line(name)} already; "
                "no second one was made",
                hint="look at it again",
            )


async def look_model(plan: Plan, wire: Reads, path: str, body: Any) -> dict[str, Any] | None:
    """Look once for what a write to the registry did; None where nothing of it is there."""
    name = str(body.get("name", ""))
    seen = await see_model(wire, name)
    if path == f"{MODELS}/create":
        return {} if seen.there else None
    if path == f"{VERSIONS}/create":
        made = [v for v in seen.versions if v.tag.get(keys.TAG_PLAN_ID) == plan.id]
        return {"model_version": {"version": made[-1].version}} if made else None
    if path == f"{VERSIONS}/set-tag":
        version = seen.version(str(body.get("version", "")))
        same = version is not None and version.tag.get(str(body["key"])) == body["value"]
        return {} if same else None
    if path == ALIAS:
        # Without a version it was to be taken away.
        there = seen.aliases.get(str(body.get("alias", "")), "")
        return {} if there == str(body.get("version", "")) else None
    return None


def is_registry(path: str) -> bool:
    """Whether a path is of the registry."""
    return path.startswith((f"{MODELS}/", f"{VERSIONS}/"))


def named(version: str) -> str:
    """A version in words; nothing where an alias is not set."""
    return f"version {version}" if version else "nothing"
