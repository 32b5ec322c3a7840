"""A promotion or a rollback from what is named to its proof: reads, and the end of the record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mcp_tui.actions.aliaslook import MODEL_VERSION, VERSIONS, Reads, SeenModel, named, see_model
from mcp_tui.actions.models import Wanted, end_body
from mcp_tui.actions.runs import MLFLOW
from mcp_tui.domain import keys
from mcp_tui.domain.alias import is_version
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, ExitCode, GoneError, McpTuiError, UsageError

POLL: Final = 1.0
"""Seconds between looks for the proof."""
ARTIFACT: Final = "model"
"""Where a run's model is, where nobody says otherwise."""
PARTS_FROM_RUN: Final[Mapping[str, tuple[str, ...]]] = {
    "commit": (keys.TAG_COMMIT,),
    "image": ("mcp-tui.image", "mlflow.docker.image.id"),
    "config": ("mcp-tui.config-digest",),
}
"""The tags of a run that say what it was made of, the first that is there counts."""


async def wanted_of_run(wire: Reads, run_id: str, artifact: str = ARTIFACT) -> Wanted:
    """A run's model as what is to be registered: its artifacts, or MLflow 3's LoggedModel.

    Raises:
        GoneError: There is no such run.
        UsageError: It has no model of that name.
    """
    shown = clean_line(run_id, limit=40)
    try:
        path = f"{MLFLOW}/runs/get?run_id={quote(run_id, safe='')}"
        run = (await wire.mlflow("GET", path, None)).get("run") or {}
    except ApiError as error:
        if error.status == 404:
            raise GoneError(f"there is no run {shown}") from None
        raise
    origin = f"run {shown}, {clean_line(artifact)}"
    root = str((run.get("info") or {}).get("artifact_uri") or "")
    asked = f"run_id={quote(run_id, safe='')}&path={quote(artifact, safe='')}"
    listed = await wire.mlflow("GET", f"{MLFLOW}/artifacts/list?{asked}", None)
    files = {str(f.get("path")) for f in listed.get("files") or ()}
    if root and f"{artifact}/MLmodel" in files:
        return Wanted(source=f"{root.rstrip('/')}/{artifact}", run_id=run_id, origin=origin)
    models = [
        (int(each.get("step") or 0), str(each.get("model_id")))
        for each in (run.get("outputs") or {}).get("model_outputs") or ()
    ]
    for _, model_id in sorted(models, reverse=True):
        path = f"{MLFLOW}/logged-models/{quote(model_id, safe='')}"
        found = (await wire.mlflow("GET", path, None)).get("model") or {}
        if (found.get("info") or {}).get("name") == artifact:
            return Wanted(source=f"models:/{model_id}", run_id=run_id, model_id=model_id,
                          origin=origin)  # fmt: skip
    raise UsageError(
        f"run {shown} has no model {clean_line(artifact)!r}",
        hint="--artifact names where its MLmodel file is",
    )


async def wanted_copy(wire: Reads, name: str, version: str) -> Wanted:
    """A version of another model as what is to be copied.

    Raises:
        GoneError: There is no such version.
    """
    found = (await see_model(wire, name)).version(version) if is_version(version) else None
    origin = f"{clean_line(name)} version {clean_line(version)}"
    if found is None:
        raise GoneError(f"there is no {origin}")
    return Wanted(
        source=found.uri,
        run_id=found.run_id,
        model_id=found.model_id or "",
        origin=origin,
        original=found,
    )


def made_of_run(run: Run) -> dict[str, str]:
    """What a run says it was made of: the parts that it knows, by name."""
    found = {
        part: value
        for part, names in PARTS_FROM_RUN.items()
        for value in [next((run.tags[n] for n in names if run.tags.get(n)), "")]
        if value
    }
    data = sorted({d.dataset.digest for d in run.inputs.dataset_inputs if d.dataset.digest})
    if data and "unknown" not in data:
        found["data"] = ", ".join(data)
    return found


async def prove_models(
    wire: Reads, plan: Plan, targets: Mapping[int, Target], *, timeout: float
) -> tuple[dict[int, Outcome], str | None]:
    """Look until the registry shows what was done.

    Args:
        timeout: Seconds; then the outcome is UNPROVEN.

    Returns:
        An outcome a target, and where the alias points; None when that could not be seen.
    """
    clock = asyncio.get_running_loop().time
    began, said = clock(), "it was not seen"
    [(index, target)] = targets.items()
    outcome: Outcome | None = None
    current: str | None = None
    while outcome is None:
        left = timeout - (clock() - began)
        try:
            async with asyncio.timeout(max(0.05, left)):
                seen = await see_model(wire, target.name)
        except (McpTuiError, TimeoutError) as error:
            said = error.line() if isinstance(error, McpTuiError) else "MLflow did not answer"
        else:
            if plan.move is not None:
                current = seen.aliases.get(plan.move.intent.alias, "")
            outcome, said = _proof(plan, target, seen, clock() - began)
        if outcome is None:
            if clock() - began + POLL >= timeout:
                said = f"accepted, but after {timeout:.0f} s unproven: {said}"
                outcome = _outcome(target, OutcomeStatus.UNPROVEN, said, ExitCode.UNREACHABLE)
            else:
                await asyncio.sleep(POLL)
    return {index: outcome}, current


def _proof(plan: Plan, target: Target, seen: SeenModel, took: float) -> tuple[Outcome | None, str]:
    """What one look proves; None and what is missing while nothing does."""
    version = seen.version(target.uid)
    if plan.move is None:
        return _proof_of_version(target, version, took)
    meant = plan.move.intent
    to = target.uid if meant.to else ""
    now = seen.aliases.get(meant.alias, "")
    others = [
        r
        for r in seen.records(meant.alias).moves
        if r.plan != plan.id and r.plan not in plan.move.known
    ]
    too = f"; {clean_line(others[-1].intent.who or 'somebody')} is moving it too" if others else ""
    if now != to:
        said = f"moved, but {meant.alias} is {named(now)} now: somebody else moved it{too}"
        return _outcome(target, OutcomeStatus.UNPROVEN, said, ExitCode.GONE), said
    said = f"{meant.alias} is {named(now)}, was {named(meant.came)}, seen after {took:.1f} s{too}"
    return _outcome(target, OutcomeStatus.PROVEN, said, ExitCode.OK), said


def _proof_of_version(
    target: Target, version: ModelVersion | None, took: float
) -> tuple[Outcome | None, str]:
    if version is None:
        return None, "the version is not there"
    if version.status in ("", "READY"):
        said = f"version {version.version} is ready, seen after {took:.1f} s"
        return _outcome(target, OutcomeStatus.PROVEN, said, ExitCode.OK), said
    return None, f"the version is {clean_line(version.status)}"


def _outcome(target: Target, status: OutcomeStatus, message: str, code: ExitCode) -> Outcome:
    return Outcome(target=target, status=status, message=message, exit_code=int(code))


async def record_end(wire: Reads, plan: Plan, target: Target, seen: str | None) -> None:
    """Put on record how a move ended; raises McpTuiError when it cannot be."""
    if plan.move is not None:
        body: dict[str, Any] = end_body(plan, target.uid, seen=seen, now=time.time())
        await wire.mlflow("POST", f"{VERSIONS}/set-tag", body)


def is_about_models(plan: Plan) -> bool:
    """Whether a plan is about the registry."""
    return any(t.kind == MODEL_VERSION for t in plan.targets)
