"""Of many models which versions are served, asked from the other side: from what serves.

A registry may have thousands of versions, and few of them are served. So the registry is asked only
for the runs, logged models and places that servers name; names need no question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Final

import msgspec

from mcp_tui.domain.model import ModelVersion, RegisteredModel
from mcp_tui.domain.references import LATEST, Reference, model_id_in, slug
from mcp_tui.errors import ApiError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.registry import quoted
from mcp_tui.store.serving import Served, ServingStore, aliases_of

MOST_ASKED: Final = 200
"""Runs, logged models and places that the registry is asked for at most."""
_AT_ONCE: Final = 4

Key = tuple[str, str]
Answers = dict[Key, tuple[ModelVersion, ...]]
"""What the registry said before of a run, a logged model or a place; who keeps it, clears it."""


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model, as far as is needed here.

    Attributes:
        aliases: Versions by alias.
        newest: Its highest version; 0 for none.
    """

    name: str
    aliases: Mapping[str, str] = {}
    newest: int = 0


def known_model(model: RegisteredModel) -> KnownModel:
    """Of what the registry says of it."""
    return KnownModel(name=model.name, aliases=model.alias, newest=model.newest)


class ServedVersion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version and what serves it; no version where that is not said."""

    version: str
    served: tuple[Served, ...]


class ServedModels(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, by model; within it the newest version first.

    Attributes:
        beyond: So many more runs and places are named than were asked for.
    """

    by_model: Mapping[str, tuple[ServedVersion, ...]] = {}
    beyond: int = 0


async def served_models(
    client: MlflowClient,
    store: ServingStore,
    models: Iterable[KnownModel],
    *,
    context: str = "",
    answers: Answers | None = None,
) -> ServedModels:
    """Which versions of some models are served now, and by what.

    Args:
        client: The registry's.
        store: What serves; flushed.
        models: Of whom it is asked, with their aliases.
        context: Whose registry it is.
        answers: What need not be asked again; filled.

    Raises:
        McpTuiError: The registry cannot be asked.
    """
    known = {model.name: model for model in models}
    slugs = {slug(name): name for name in known}
    versions: dict[Key, ModelVersion] = {}
    references = [ref for each in store.table.values() for ref in each.references]
    for ref in references:
        name = ref.model if ref.model in known else slugs.get(slug(ref.model), "")
        number = _number(ref, known[name]) if name else ""
        if number:
            versions[name, number] = ModelVersion(name=name, version=number)
    found, beyond = await _asked(client, references, {} if answers is None else answers)
    versions |= {(v.name, v.version): v for v in found if v.name in known}
    by_model: dict[str, list[ServedVersion]] = {}
    for version in sorted(versions.values(), key=lambda v: -v.number):
        model = known[version.name]
        held = aliases_of(version, model.aliases, model.newest)
        served = store.servings_of(version, aliases=held, context=context)
        if served:
            said = ServedVersion(version=version.version, served=served)
            by_model.setdefault(version.name, []).append(said)
    for name in known:
        placed = {s.serving.key for v in by_model.get(name, ()) for s in v.served}
        rest = tuple(
            each
            for each in store.naming(name, context=context)
            if each.serving.key not in placed and not each.reference.version and not each.guess
        )
        if rest:
            by_model.setdefault(name, []).append(ServedVersion(version="", served=rest))
    return ServedModels(by_model={k: tuple(v) for k, v in by_model.items()}, beyond=beyond)


def _number(ref: Reference, model: KnownModel) -> str:
    if ref.version or not ref.alias:
        return ref.version
    if ref.alias == LATEST:
        return str(model.newest or "")
    return model.aliases.get(ref.alias, "")


async def _asked(
    client: MlflowClient, references: Iterable[Reference], answers: Answers
) -> tuple[list[ModelVersion], int]:
    """The versions of what is named by an id or a place."""
    questions: dict[Key, bool] = {}
    for ref in sorted(references, key=lambda ref: ref.guess):
        if ref.run_id:
            questions["run", ref.run_id] = True
        if ref.model_id:
            questions["logged", ref.model_id] = True
        if ref.location and not (ref.run_id or ref.model_id):
            questions["place", ref.location] = True
    wanted = list(questions)[:MOST_ASKED]
    room = asyncio.Semaphore(_AT_ONCE)

    async def ask(kind: str, what: str) -> None:
        async with room:
            if kind == "run":
                answers[kind, what] = await _of(client.versions_of_run(what))
            elif kind == "logged":
                answers[kind, what] = await _of(_of_logged(client, what))
            else:
                answers[kind, what] = await _of(_at_place(client, what))

    await asyncio.gather(*(ask(*each) for each in wanted if each not in answers))
    found = [version for each in wanted for version in answers[each]]
    return found, len(questions) - len(wanted)


async def _of(answer: Awaitable[tuple[ModelVersion, ...]]) -> tuple[ModelVersion, ...]:
    """What there is; nothing of what the registry does not know, or cannot be asked for."""
    try:
        return await answer
    except UsageError:
        return ()
    except ApiError as error:
        if error.status in (400, 404):
            return ()
        raise


async def _of_logged(client: MlflowClient, model_id: str) -> tuple[ModelVersion, ...]:
    """The versions of a logged model: the registry finds them by its run alone."""
    run_id = (await client.get_logged_model(model_id)).info.source_run_id
    found = await client.versions_of_run(run_id) if run_id else ()
    return tuple(v for v in found if (v.model_id or model_id_in(v.source)) == model_id)


async def _at_place(client: MlflowClient, place: str) -> tuple[ModelVersion, ...]:
    return await client.all_versions(f"source_path = {quoted(place)}")
