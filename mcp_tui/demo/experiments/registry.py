"""Registered models of the demo: versions, and aliases with the record that promotions leave."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mcp_tui.demo.experiments.catalog import Model, Step
from mcp_tui.demo.experiments.record import Made
from mcp_tui.demo.experiments.wire import Wire
from mcp_tui.domain.alias import End, Intent, end_key, end_value, intent_key, intent_value
from mcp_tui.errors import ApiError

_EXISTS: Final = "RESOURCE_ALREADY_EXISTS"


def register(wire: Wire, model: Model, runs: Mapping[str, Made], now: float) -> None:
    """Make a model, its versions and its aliases; a model that is there is left as it is."""
    try:
        body: dict[str, Any] = {"name": model.name, "description": model.description}
        wire.post("registered-models/create", body)
    except ApiError as error:
        if _EXISTS in str(error):
            return
        raise
    for version in model.versions:
        made = runs[version.run]
        wire.post(
            "model-versions/create",
            {
                "name": model.name,
                "source": made.source,
                "run_id": made.run_id,
                **({"model_id": made.model_id} if made.model_id else {}),
                "description": version.description,
            },
        )
    live: dict[str, str] = {}
    for number, step in enumerate(model.moves, 1):
        made = runs[model.versions[int(step.to) - 1].run]
        _move(wire, model.name, step, live.get(step.alias, ""), number, now, made)
        live[step.alias] = step.to


def _move(wire: Wire, name: str, step: Step, came: str, seq: int, now: float, made: Made) -> None:
    """As a promotion does it: the intent on record, the alias, its end on record."""
    moved = {"name": name, "alias": step.alias, "version": step.to}
    if not step.recorded:
        wire.post("registered-models/alias", moved)
        return
    plan, at = uuid.uuid4().hex, now - step.ago * 3600
    intent = Intent(
        verb="rollback" if step.verb == "rollback" else "promote",
        model=name,
        alias=step.alias,
        came=came,
        to=step.to,
        seq=seq,
        at=at,
        who=step.who,
        why=step.why,
        made=made.made if step.verb == "promote" else {},
    )
    tag = {"name": name, "version": intent.on}
    wire.post(
        "model-versions/set-tag", {**tag, "key": intent_key(plan), "value": intent_value(intent)}
    )
    wire.post("registered-models/alias", moved)
    end = End(moved=True, at=at + 1.0, seen=step.to)
    wire.post("model-versions/set-tag", {**tag, "key": end_key(plan), "value": end_value(end)})


def set_back(database: Path, models: tuple[Model, ...], now: float) -> None:
    """Date the versions before their promotions, for which MLflow has no call.

    Only in the demo's own database; where it is another shape than is known, they stay of now.
    """
    if not database.exists():
        return
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(database, timeout=5.0)) as connection,
        connection,
    ):
        for model in models:
            for number, version in enumerate(model.versions, 1):
                at = int((now - version.ago * 3600) * 1000)
                connection.execute(
                    "UPDATE model_versions SET creation_time = ?, last_updated_time = ?"
                    " WHERE name = ? AND version = ?",
                    (at, at, model.name, number),
                )
            first = max(version.ago for version in model.versions)
            last = min([*(m.ago for m in model.moves), *(v.ago for v in model.versions)])
            connection.execute(
                "UPDATE registered_models SET creation_time = ?, last_updated_time = ?"
                " WHERE name = ?",
                (int((now - first * 3600) * 1000), int((now - last * 3600) * 1000), model.name),
            )
