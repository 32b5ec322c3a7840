"""``mcp-tui model ls|show|history``: the registry, its aliases and how they came to be there."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcp_tui.actions.aliaslook import SeenModel, named
from mcp_tui.actions.evidence import unended_words
from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.served import (
    ServingNow,
    served_documents,
    served_lines,
    serving_now,
)
from mcp_tui.cli.session import Session, open_session
from mcp_tui.domain.alias import is_record, is_version
from mcp_tui.domain.aliashistory import Back, History, Move, MoveState
from mcp_tui.domain.artifact import shown_uri
from mcp_tui.domain.mlmodel import columns
from mcp_tui.domain.model import ModelVersion, RegisteredModel, Signature
from mcp_tui.domain.reltime import absolute, age
from mcp_tui.domain.text import clean_line, word
from mcp_tui.errors import ApiError, ExitCode, GoneError, UnreachableError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.signature import signature
from mcp_tui.store.servedmodels import (
    ServedModels,
    ServedVersion,
    known_model,
    served_models,
)
from mcp_tui.store.serving import Served, aliases_of

_MOST_PAGES = 100


def registry(session: Session) -> MlflowClient:
    """The context's MLflow.

    Raises:
        UnreachableError: There is none.
    """
    if session.connection.mlflow is None:
        raise UnreachableError(
            "no MLflow is configured", where=session.chosen.name, hint="set mlflow for this context"
        )
    return session.connection.mlflow


def split(text: str) -> tuple[str, str]:
    """``NAME/VERSION`` as name and version; the version is empty where none is named.

    Raises:
        UsageError: There is no name.
    """
    name, slash, version = text.rpartition("/")
    if not slash or not is_version(version):
        name, version = text, ""
    if not name or clean_line(name) != name:
        raise UsageError(f"{clean_line(text, limit=120)!r} is not a model's name")
    return name, version


async def ls(args: argparse.Namespace) -> int:
    """List registered models."""
    async with open_session(args) as session:
        client = registry(session)
        found: list[RegisteredModel] = []
        token, count = "", 0
        for _ in range(_MOST_PAGES):
            page = await client.search_models(page_token=token)
            found += [m for m in page.registered_models if args.filter in m.name]
            count += len(page.registered_models)
            token = page.next_page_token or ""
            if not token:
                break
        else:
            session.printer.note(f"there are more than the {count:,} that were read")
        printer = session.printer
        now, served = await _served_models(session, args, found)
        of = served.by_model
        if args.output in ("json", "yaml"):
            documents = (_model_document(m, now, of.get(m.name, ())) for m in found)
            printer.documents(documents, args.output)
        elif args.output == "name":
            printer.lines(clean_line(m.name) for m in found)
        elif found:
            printer.table(found, _models_of(now, of), wide=args.output == "wide")
        else:
            printer.note("no registered models" + (" that match" if args.filter else ""))
    return ExitCode.OK


async def _served_models(
    session: Session, args: argparse.Namespace, models: Sequence[RegisteredModel]
) -> tuple[ServingNow | None, ServedModels]:
    """What serves them; not asked for where nobody is shown it."""
    if args.output in ("table", "name") or not models:
        return None, ServedModels()
    now = await serving_now(session, args)
    now.tell(session.printer)
    client, context = registry(session), session.chosen.name
    known = map(known_model, models)
    served = await served_models(client, now.store, known, context=context)
    if served.beyond:
        session.printer.note(
            f"{served.beyond:,} more runs and places that serve were not asked for"
        )
    return now, served


async def show(args: argparse.Namespace) -> int:
    """Show a model and its versions, or one version."""
    name, version = split(args.name)
    async with open_session(args) as session:
        registry(session)
        seen = await _seen(session, name)
        printer = session.printer
        if version:
            found = seen.version(version)
            if found is None:
                shown = clean_line(f"{name} has no version {version}")
                raise GoneError(shown, where=session.chosen.name)
            if args.output == "name":
                printer.line(clean_line(f"{found.name}/{found.version}"))
                return ExitCode.OK
            takes = await _signature(session, found, printer)
            now = await _serving(session, args)
            _print_version(seen, found, takes, now, args.output, printer)
            return ExitCode.OK
        if args.output == "name":
            printer.lines(clean_line(f"{v.name}/{v.version}") for v in seen.versions)
            return ExitCode.OK
        now = await _serving(session, args)
        if args.output in ("json", "yaml"):
            printer.data(_seen_document(seen, now), args.output)
        else:
            for alias in sorted(seen.aliases):
                told = seen.history(alias)
                printer.line(f"{alias:<12} {named(told.current)}; {back_words(told.back)}")
            printer.table(seen.versions, _versions_of(seen, now), wide=args.output == "wide")
    return ExitCode.OK


async def _serving(session: Session, args: argparse.Namespace) -> ServingNow:
    now = await serving_now(session, args)
    now.tell(session.printer)
    return now


def _served(seen: SeenModel, version: ModelVersion, now: ServingNow) -> tuple[Served, ...]:
    """What serves a version."""
    newest = max((v.number for v in seen.versions), default=0)
    held = aliases_of(version, seen.aliases, newest)
    return now.store.servings_of(version, aliases=held)


async def _signature(session: Session, version: ModelVersion, printer: Printer) -> Signature | None:
    """What its MLmodel file says; why it cannot be read is said beside it."""
    try:
        return await signature(registry(session), version)
    except ApiError as error:
        printer.note(f"its MLmodel file cannot be read: {error.line()}")
        return None


async def history(args: argparse.Namespace) -> int:
    """Show how an alias came to where it is, oldest first."""
    name, version = split(args.name)
    if version:
        raise UsageError("an alias's history is of the model", hint=f"name {word(name)} alone")
    async with open_session(args) as session:
        registry(session)
        seen = await _seen(session, name)
        told = seen.history(args.alias)
        printer = session.printer
        if args.output in ("json", "yaml"):
            printer.data(history_document(told), args.output)
            return ExitCode.OK
        if args.output == "name":
            printer.lines(m.record.plan for m in told.moves if m.record is not None)
            return ExitCode.OK
        if told.moves:
            printer.table(told.moves, _MOVES, wide=args.output == "wide")
        alias = clean_line(args.alias)
        printer.note(f"{alias} of {name} is {named(told.current)}; {back_words(told.back)}")
        for line in unended(told):
            printer.note(line)
        for problem in told.problems:
            printer.note(f"{problem}: it is left out")
    return ExitCode.OK


async def _seen(session: Session, name: str) -> SeenModel:
    return (await session.engine().see_model(name)).existing(session.chosen.name)


def unended(told: History) -> list[str]:
    """The moves that were begun and never ended, in words."""
    states = {m.record.plan: m.state for m in told.moves if m.record is not None}
    now = time.time()
    return [unended_words(r, states.get(r.plan, MoveState.UNKNOWN), now) for r in told.unended]


def back_words(back: Back) -> str:
    """Where a rollback goes, in words."""
    if back.possible:
        return f"rollback goes to {named(back.to)}"
    perhaps = f" (--to {back.perhaps} goes to one that was live earlier)" if back.perhaps else ""
    return f"no way back: {back.why_not}{perhaps}"


# As documents


def _model_document(
    model: RegisteredModel, now: ServingNow | None, versions: Sequence[ServedVersion]
) -> Mapping[str, Any]:
    served = (
        {
            "served": {
                each.version: served_documents(now, each.served)["served_by"] for each in versions
            },
            "served_complete": now.complete,
        }
        if now is not None
        else {}
    )
    return {
        "name": model.name,
        "newest_version": model.newest,
        "aliases": model.alias,
        "updated": model.last_updated_timestamp / 1000,
        "created": model.creation_timestamp / 1000,
        "description": model.description,
        "tags": {p.key: p.value for p in model.tags},
        **served,
    }


def _version_document(seen: SeenModel, version: ModelVersion, now: ServingNow) -> Mapping[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "aliases": [a for a, v in sorted(seen.aliases.items()) if v == version.version],
        "status": version.status,
        "created": version.creation_timestamp / 1000,
        "run": version.run_id,
        "source": shown_uri(version.source),
        "description": version.description,
        "tags": {k: v for k, v in version.tag.items() if not is_record(k)},
        **served_documents(now, _served(seen, version, now)),
    }


def _seen_document(seen: SeenModel, now: ServingNow) -> Mapping[str, Any]:
    return {
        "name": seen.name,
        "aliases": {
            alias: {"version": version, "back": seen.history(alias).back}
            for alias, version in sorted(seen.aliases.items())
        },
        "versions": [_version_document(seen, v, now) for v in seen.versions],
    }


def history_document(told: History) -> Mapping[str, Any]:
    """A history as a script reads it; times are epoch seconds."""
    return {
        "model": told.model,
        "alias": told.alias,
        "current": told.current,
        "back": told.back,
        "moves": [
            {
                "from": m.came,
                "to": m.to,
                "state": m.state.value,
                "plan": m.record.plan if m.record is not None else "",
                **(msgspec.to_builtins(m.intent) if m.intent is not None else {}),
            }
            for m in told.moves
        ],
        "unended": [r.plan for r in told.unended],
        "problems": list(told.problems),
    }


def _print_version(
    seen: SeenModel,
    version: ModelVersion,
    told: Signature | None,
    now: ServingNow,
    output: str,
    printer: Printer,
) -> None:
    document = {**_version_document(seen, version, now), "signature": told}
    if output in ("json", "yaml"):
        printer.data(document, output)
        return
    served = served_lines(_served(seen, version, now))
    if not served:
        said = "nothing that is known" if not now.complete else "nothing"
        served = [("served by", said)]
    copied = version.copied_from
    facts = [
        ("model", f"{version.name} version {version.version}"),
        ("aliases", ", ".join(document["aliases"])),
        ("status", version.status),
        ("created", absolute(version.creation_timestamp / 1000)),
        ("run", version.run_id),
        ("source", shown_uri(version.source)),
        ("copy of", f"{copied[0]} version {copied[1]}" if copied else ""),
        *served,
        ("about", version.description),
        *(("takes", each) for each in columns(told.inputs if told else "")),
        *(("gives", each) for each in columns(told.outputs if told else "")),
        ("flavors", ", ".join(told.flavors) if told else ""),
        *((f"tag {k}", v) for k, v in document["tags"].items()),
    ]
    for name, text in facts:
        if text:
            printer.line(f"{clean_line(name):<9} {clean_line(text)}")


# As tables


def _aliases(aliases: Mapping[str, str]) -> str:
    return ", ".join(f"{alias}={version}" for alias, version in sorted(aliases.items()))


def _ago(milliseconds: int) -> str:
    return age(max(0.0, time.time() - milliseconds / 1000)) if milliseconds else ""


def _models_of(
    now: ServingNow | None, served: Mapping[str, Sequence[ServedVersion]]
) -> Sequence[Column[RegisteredModel]]:
    return (
        Column("NAME", lambda m: m.name),
        Column("NEWEST", lambda m: str(m.newest or "")),
        Column("UPDATED", lambda m: _ago(m.last_updated_timestamp)),
        Column("CREATED", lambda m: _ago(m.creation_timestamp), wide=True),
        Column("DESCRIPTION", lambda m: m.description, wide=True),
        Column("ALIASES", lambda m: _aliases(m.alias)),
        Column(
            "SERVED BY",
            lambda m: now.model_cell(served.get(m.name, ())) if now is not None else "",
            wide=True,
        ),
    )


def _versions_of(seen: SeenModel, now: ServingNow) -> Sequence[Column[ModelVersion]]:
    return (
        Column("VERSION", lambda v: v.version),
        Column("STATUS", lambda v: v.status.lower()),
        Column("CREATED", lambda v: _ago(v.creation_timestamp)),
        Column("RUN", lambda v: v.run_id[:8]),
        Column("SOURCE", lambda v: shown_uri(v.source), wide=True),
        Column(
            "ALIASES",
            lambda v: ", ".join(sorted(a for a, n in seen.aliases.items() if n == v.version)),
        ),
        Column("SERVED BY", lambda v: now.cell(_served(seen, v, now))),
    )


def _who(move: Move) -> str:
    return move.intent.who if move.intent is not None else "somebody"


def _why(move: Move) -> str:
    if move.intent is None:
        return "past the record"
    over = f"overridden: {move.intent.override}" if move.intent.override else ""
    return "; ".join(filter(None, (move.intent.why, over)))


_MOVES: Sequence[Column[Move]] = (
    Column("WHEN", lambda m: absolute(m.intent.at) if m.intent is not None else "-"),
    Column("VERB", lambda m: m.intent.verb if m.intent is not None else "moved"),
    Column("FROM", lambda m: m.came or "-"),
    Column("TO", lambda m: m.to or "-"),
    Column("STATE", lambda m: m.state.value),
    Column("WHO", _who),
    Column("PLAN", lambda m: m.record.plan if m.record is not None else "", wide=True),
    Column("GATES", lambda m: "; ".join(m.intent.gates) if m.intent is not None else "", wide=True),
    Column("WHY", _why),
)
