"""The model registry of MLflow: models, versions, aliases and tags; writes are sent once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.alias import is_version
from mcp_tui.domain.model import ModelVersion, RegisteredModel
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnknownOutcomeError, UnreachableError, UsageError
from mcp_tui.sources.mlflow.runs import IDS_PER_SEARCH, is_run_id
from mcp_tui.sources.mlflow.wire import API, PAGE, Wire, given, pairs

MODELS: Final = f"{API}/registered-models"
VERSIONS: Final = f"{API}/model-versions"
ALIAS: Final = f"{MODELS}/alias"
MAX_TAG: Final = 5_000
"""Characters of a model version's tag that every server with aliases takes."""
MOST_PAGES: Final = 100


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of registered models."""

    is_page: ClassVar[bool] = True

    registered_models: tuple[RegisteredModel, ...] = ()
    next_page_token: str | None = None


class VersionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of versions."""

    is_page: ClassVar[bool] = True

    model_versions: tuple[ModelVersion, ...] = ()
    next_page_token: str | None = None


class _OneModel(msgspec.Struct, frozen=True, kw_only=True):
    registered_model: RegisteredModel = RegisteredModel()


class _OneVersion(msgspec.Struct, frozen=True, kw_only=True):
    model_version: ModelVersion = ModelVersion()


def quoted(text: str) -> str:
    """Text as a filter's string.

    Raises:
        UsageError: It has both kinds of quotes, which MLflow's filters cannot say.
    """
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise UsageError(f"{clean_line(text, limit=80)!r} cannot be asked for: it has both quotes")


class Registry(Wire):
    """The part of the client that knows the registry."""

    # Reads

    async def search_models(
        self,
        filter_: str = "",
        *,
        max_results: int = PAGE,
        page_token: str = "",
        order_by: str = "",
    ) -> ModelPage:
        """A page of registered models, by name unless ``order_by`` says otherwise.

        ``name ILIKE '%x%'`` and tags may filter them.
        """
        params = given({"filter": filter_, "max_results": str(max_results),
                        "page_token": page_token, "order_by": order_by})  # fmt: skip
        return await self.get(f"{MODELS}/search", ModelPage, list(params.items()))

    async def get_model(self, name: str) -> RegisteredModel | None:
        """A model with its aliases; None when there is none of that name."""
        try:
            found = await self.get(f"{MODELS}/get", _OneModel, [("name", name)])
        except ApiError as error:
            if error.status == 404 and error.reason == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if found.registered_model.name != name:
            raise UnreachableError("the answer is about another model", where=self.where)
        return found.registered_model

    async def search_versions(
        self,
        filter_: str,
        *,
        max_results: int = PAGE,
        page_token: str = "",
        order_by: str = "",
    ) -> VersionPage:
        """A page of versions, by ``name = 'x'``, ``run_id = '...'``, ``source_path = '...'``."""
        params = given({"filter": filter_, "max_results": str(max_results),
                        "page_token": page_token, "order_by": order_by})  # fmt: skip
        return await self.get(f"{VERSIONS}/search", VersionPage, list(params.items()))

    async def all_versions(self, filter_: str) -> tuple[ModelVersion, ...]:
        """Every page of a search.

        Raises:
            UnreachableError: The server gives pages without end.
        """
        found: list[ModelVersion] = []
        token = ""
        for _ in range(MOST_PAGES):
            page = await self.search_versions(filter_, page_token=token)
            found += page.model_versions
            token = page.next_page_token or ""
            if not token:
                return tuple(found)
        raise UnreachableError("the pages of versions have no end", where=self.where)

    async def versions_of(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of a model, the newest first."""
        found = await self.all_versions(f"name = {quoted(name)}")
        # A server's filter may be looser than it says.
        own = (each for each in found if each.name == name)
        return tuple(sorted(own, key=lambda v: -v.number))

    async def versions_of_run(self, run_id: str) -> tuple[ModelVersion, ...]:
        """Every version that was made from a run."""
        found = await self.all_versions(f"run_id = {quoted(run_id)}")
        return tuple(each for each in found if each.run_id == run_id)

    async def versions_of_runs(self, run_ids: Iterable[str]) -> tuple[ModelVersion, ...]:
        """Every version that was made from any of these runs, fifty of them in one search."""
        wanted = sorted({each for each in run_ids if is_run_id(each)})
        found: list[ModelVersion] = []
        for start in range(0, len(wanted), IDS_PER_SEARCH):
            listed = ", ".join(f"'{each}'" for each in wanted[start : start + IDS_PER_SEARCH])
            found += await self.all_versions(f"run_id IN ({listed})")
        among = set(wanted)
        return tuple(each for each in found if each.run_id in among)

    async def get_version(self, name: str, version: str) -> ModelVersion | None:
        """A version with its aliases; None when there is none."""
        if not is_version(version):
            raise UsageError(f"{clean_line(version, limit=80)!r} is not a version's number")
        try:
            params = [("name", name), ("version", version)]
            found = await self.get(f"{VERSIONS}/get", _OneVersion, params)
        except ApiError as error:
            if error.status == 404 and error.reason == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return found.model_version

    async def copies_of(self, name: str, version: str, to: str) -> tuple[ModelVersion, ...]:
        """The versions of ``to`` that are copies of a version, the oldest first."""
        found = await self.versions_of(to)
        return tuple(v for v in reversed(found) if v.copied_from == (name, version))

    async def versions_by_plan(self, name: str, plan_id: str) -> tuple[ModelVersion, ...]:
        """The versions of a model that a plan made."""
        found = await self.versions_of(name)
        return tuple(v for v in found if v.tag.get(keys.TAG_PLAN_ID) == plan_id)

    # Writes: each is sent once. What an unanswered one did is looked for, never repeated.

    async def create_model(self, name: str) -> None:
        """Make a registered model; names are unique, so a second one is refused (400)."""
        await self.call("POST", f"{MODELS}/create", {"name": name})

    async def ensure_model(self, name: str) -> RegisteredModel:
        """The model of that name, made if it is not there. Safe to repeat: names are unique."""
        found = await self.get_model(name)
        if found is None:
            try:
                await self.create_model(name)
            except UnknownOutcomeError:
                pass  # Whether it was made shows below.
            except ApiError as error:
                if error.reason != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = await self.get_model(name)
        if found is None:
            shown = clean_line(name, limit=100)
            raise UnreachableError(f"model {shown!r} was not made", where=self.where)
        return found

    async def create_version(
        self,
        name: str,
        source: str,
        *,
        plan_id: str,
        run_id: str = "",
        tags: Mapping[str, str] | None = None,
        model_id: str = "",
    ) -> ModelVersion:
        """Make a version; two identical calls make two, so it carries the plan's id.

        When no answer came, what was made is looked for by that id.

        Raises:
            UnknownOutcomeError: No answer came, and nothing of the plan is there (yet).
        """
        body = version_body(name, source, plan_id, run_id=run_id, tags=tags, model_id=model_id)
        try:
            return (await self.post(f"{VERSIONS}/create", body, _OneVersion)).model_version
        except UnknownOutcomeError:
            found = await self.versions_by_plan(name, plan_id)
            if not found:
                raise
            return found[-1]

    async def copy_version(self, name: str, version: str, to: str, *, plan_id: str) -> ModelVersion:
        """Copy a version to another model; one that is there already is given, none made twice.

        Raises:
            UsageError: There is no such version.
        """
        there = await self.copies_of(name, version, to)
        if there:
            return there[0]
        original = await self.get_version(name, version)
        if original is None:
            shown = clean_line(f"{name} version {version}", limit=120)
            raise UsageError(f"there is no {shown}")
        await self.ensure_model(to)
        return await self.create_version(
            to,
            original.uri,
            plan_id=plan_id,
            run_id=original.run_id,
            tags=copied_tags(original.tag),
            model_id=original.model_id or "",
        )

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Move an alias; the last write wins, silently."""
        await self.call("POST", ALIAS, {"name": name, "alias": alias, "version": version})

    async def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away; one that is not there does no harm."""
        await self.call("DELETE", ALIAS, {"name": name, "alias": alias})

    async def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set one tag; the last write wins.

        Raises:
            UsageError: It is longer than every server takes: a record that is cut is none.
        """
        if len(value) > MAX_TAG:
            raise UsageError(f"a tag's value has at most {MAX_TAG} characters")
        body = {"name": name, "version": version, "key": key, "value": value}
        await self.call("POST", f"{VERSIONS}/set-tag", body)

    async def delete_version_tag(self, name: str, version: str, key: str) -> None:
        """Take one tag away."""
        body = {"name": name, "version": version, "key": key}
        await self.call("DELETE", f"{VERSIONS}/delete-tag", body)


def version_body(
    name: str,
    source: str,
    plan_id: str,
    *,
    run_id: str = "",
    tags: Mapping[str, str] | None = None,
    model_id: str = "",
) -> dict[str, Any]:
    """What makes a version, with the plan's id among its tags."""
    all_tags = {**(tags or {}), keys.TAG_PLAN_ID: plan_id}
    body = {"name": name, "source": source, "run_id": run_id, "model_id": model_id}
    return {**given(body), "tags": pairs(all_tags, MAX_TAG)}


def copied_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that a copy takes along: all but what is the console's own of the original."""
    return {k: v for k, v in tags.items() if not k.startswith("mcp-tui.") and len(v) <= MAX_TAG}
