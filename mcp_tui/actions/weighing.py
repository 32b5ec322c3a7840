"""Gathers what speaks for a version: its gates, what it was made of, and its approvals. Reads."""

from __future__ import annotations

import msgspec

from mcp_tui.actions.aliaslook import Reads, SeenModel, see_model
from mcp_tui.actions.evidence import Evidence, GateLine, from_gates
from mcp_tui.actions.models import CHAMPION, Wanted
from mcp_tui.actions.promoting import made_of_run
from mcp_tui.domain.direction import Directions
from mcp_tui.domain.evaluation import Evaluation
from mcp_tui.domain.gaterules import Gate
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError
from mcp_tui.sources.mlflow import MlflowClient


class Weighing(msgspec.Struct, frozen=True, kw_only=True):
    """By what a version is weighed.

    Attributes:
        alias: The one that is to be moved: what it points to now is the champion that gates speak
            of. Empty takes ``champion``.
        gates: What has to be kept.
        directions: Which way metrics are better.
    """

    alias: str = CHAMPION
    gates: tuple[Gate, ...] = ()
    directions: Directions | None = None


async def weigh(
    client: MlflowClient, wire: Reads, model: str, wanted: Wanted, by: Weighing
) -> Evidence:
    """What speaks for a version, and what against it.

    Args:
        client: Reads runs and their artifacts.
        wire: Reads the registry.
        model: The one that the alias is of.
        wanted: The version, or what it is to be made from.
        by: What is asked of it.

    Raises:
        McpTuiError: MLflow cannot be asked. What is not there is evidence of its own.
    """
    seen = await see_model(wire, model)
    run_id = _run_of(seen, wanted)
    run = await _run(client, run_id)
    made = made_of_run(run) if run is not None else {}
    if not by.gates:
        return Evidence(made=made)
    if run is None:
        why = "its run is gone" if run_id else "it does not say which run made it"
        lines = (GateLine(passed=None, said=f"{gate.rule}: {why}") for gate in by.gates)
        return Evidence(made=made, gates=tuple(lines))
    return Evidence(made=made, gates=await _gates(client, seen, run, wanted, by))


def _run_of(seen: SeenModel, wanted: Wanted) -> str:
    if wanted.run_id or not wanted.version:
        return wanted.run_id
    found = seen.version(wanted.version)
    return found.run_id if found is not None else ""


async def _run(client: MlflowClient, run_id: str) -> Run | None:
    if not run_id:
        return None
    try:
        return await client.get_run(run_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return None  # It was deleted for good: nothing of it is known.


async def _gates(
    client: MlflowClient, seen: SeenModel, run: Run, wanted: Wanted, by: Weighing
) -> tuple[GateLine, ...]:
    from mcp_tui.domain.gates import check
    from mcp_tui.store.candidates import Named, read

    label = f"{clean_line(seen.name, limit=60)}/{wanted.version}" if wanted.version else ""
    candidate = await read(client, Named(run, label or clean_line(run.name, limit=60)))
    return from_gates(check(by.gates, candidate, await _champion(client, seen, by)))


async def _champion(client: MlflowClient, seen: SeenModel, by: Weighing) -> Evaluation | None:
    """The evaluation of what the alias points to now; None where nothing is known of it."""
    from mcp_tui.store.candidates import Named, read

    live = seen.aliases.get(by.alias or CHAMPION) or seen.aliases.get(CHAMPION, "")
    version = seen.version(live) if live else None
    run = await _run(client, version.run_id) if version is not None else None
    if run is None:
        return None
    return await read(client, Named(run, f"{clean_line(seen.name, limit=60)}/{live}"))
