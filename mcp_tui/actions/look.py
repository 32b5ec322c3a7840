"""Looking, around a write: is it still right to send it, why was it refused, what did it do.

All by reads. A write whose answer was lost is never repeated: what it made is looked for by the
plan's id, or the object that it was about is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

from mcp_tui.actions.aliaslook import MODELS, is_registry, look_model, recheck_model
from mcp_tui.actions.ended import finished
from mcp_tui.actions.runlook import is_edit, look_edit, recheck_edit
from mcp_tui.actions.runs import MLFLOW, OPEN
from mcp_tui.actions.template import at_pointer, pick
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Plan, Verb, Write
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import (
    ApiError,
    GoneError,
    McpTuiError,
    RefusedError,
    UnknownOutcomeError,
)
from mcp_tui.sources.mlflow.writes import no_such_tag

# When to look for what a write without an answer did: it may still be on its way.
PAUSES: Final = (0.0, 1.0, 3.0)


class Wire(Protocol):
    """How a write leaves: one method a system, answers as plain data."""

    async def kubernetes(
        self, method: str, path: str, body: Any, content_type: str
    ) -> dict[str, Any]:
        """Send one call to the API server; raises McpTuiError."""

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send one call to MLflow; raises McpTuiError."""

    async def find_run(self, plan_id: str, experiment_id: str) -> str:
        """The id of the run that carries a plan's id; empty when there is none."""


async def recheck(plan: Plan, write: Write, wire: Wire, path: str, body: Any) -> None:
    """Look once more, just before sending, at what the API cannot make a precondition.

    A DELETE knows preconditions on the uid only, so whether the job has finished meanwhile is
    looked at here; MLflow knows none at all, so whether the run is open is too, where an alias
    points, and what a run's record says.

    Raises:
        GoneError: The object is gone or was replaced.
        RefusedError: It has finished (cancel) or has not (delete); the run is not open any more
            or is another job's.
        McpTuiError: It could not be looked at; nothing was sent then.
    """
    if write.system == "kubernetes" and write.method == "DELETE":
        await _recheck_job(plan, write, wire, path, body)
    elif path == f"{MLFLOW}/runs/update" and body.get("status") == "KILLED":
        await _recheck_run(plan, write, wire, body)
    elif is_registry(path):
        await recheck_model(plan, wire, path, body)
    elif is_edit(path, body):
        await recheck_edit(plan, wire, path, body)


async def _recheck_job(plan: Plan, write: Write, wire: Wire, path: str, body: Any) -> None:
    target = plan.targets[write.target]
    name = clean_line(target.name)
    uid = pick(body, "preconditions.uid") or target.uid
    try:
        found = await wire.kubernetes("GET", path, None, "")
    except ApiError as error:
        if error.status == 404:
            raise GoneError(f"somebody else deleted {name} already; nothing was sent") from None
        raise
    if pick(found, "metadata.uid") != uid:
        raise GoneError(f"{name} was replaced by another object of that name; nothing was sent")
    ended = finished(found)
    if plan.verb is Verb.CANCEL and ended:
        raise RefusedError(
            f"{name} is {ended} meanwhile, so it was not cancelled", hint="delete removes it"
        )
    if plan.verb is Verb.DELETE and not ended:
        raise RefusedError(f"{name} runs again, so it was not deleted", hint="cancel stops it")


async def _recheck_run(plan: Plan, write: Write, wire: Wire, body: Mapping[str, Any]) -> None:
    found = await _run(wire, str(body.get("run_id", "")))
    status = pick(found, "info.status")
    tags = {t.get("key"): t.get("value") for t in (found.get("data") or {}).get("tags") or ()}
    owner, uid = str(tags.get(keys.TAG_UID) or ""), plan.targets[write.target].uid
    if owner and owner != uid:
        other = clean_line(str(tags.get(keys.TAG_NAME) or owner))
        raise RefusedError(f"left as it is: the run belongs to another job, {other}")
    if status not in OPEN:
        raise RefusedError(f"left as it is: the run is {clean_line(status) or 'unknown'} already")


async def _run(wire: Wire, run_id: str) -> Mapping[str, Any]:
    answer = await wire.mlflow("GET", f"{MLFLOW}/runs/get?run_id={quote(run_id, safe='')}", None)
    run = answer.get("run")
    return run if isinstance(run, Mapping) else {}


async def made_before(
    plan: Plan, write: Write, wire: Wire, path: str, body: Any, error: ApiError
) -> dict[str, Any] | None:
    """What a plan made already, where a name that it wants is taken: a gateway may have sent the
    same call twice, and given the second answer. A registered model may be anybody's.

    Raises:
        UnknownOutcomeError: It could not be looked at whose it is.
    """
    if path == f"{MODELS}/create" and error.reason == "RESOURCE_ALREADY_EXISTS":
        return {}
    if path == f"{MLFLOW}/runs/delete-tag" and no_such_tag(error):
        return {}
    if (write.system, write.method, error.status) != ("kubernetes", "POST", 409):
        return None
    try:
        return await _look_created(plan, wire, path.partition("?")[0], body)
    except McpTuiError:
        raise UnknownOutcomeError(
            f"{error.what}; it may or may not be this plan's", where=error.where
        ) from None


async def why_refused(
    write: Write, wire: Wire, path: str, body: Any, error: ApiError
) -> McpTuiError:
    """The refusal of a pinned write in words: the API server only says that the request is wrong.

    Returns:
        What changed meanwhile; the error itself when nothing did.
    """
    pinned = write.method == "DELETE" or isinstance(body, list)
    if write.system != "kubernetes" or not pinned or error.status not in (404, 409, 422):
        return error
    name = clean_line(path.partition("?")[0].rpartition("/")[2])
    if error.status == 404:
        return GoneError(f"somebody else deleted {name} meanwhile; nothing was changed")
    try:
        found = await wire.kubernetes("GET", path.partition("?")[0], None, "")
    except ApiError as missing:
        if missing.status == 404:
            return GoneError(f"somebody else deleted {name} meanwhile; nothing was changed")
        return error
    except McpTuiError:
        return error
    if write.method == "DELETE":
        if pick(found, "metadata.uid") != pick(body, "preconditions.uid"):
            return GoneError(
                f"{name} was replaced by another object of that name; nothing was changed"
            )
        return error
    for step in body:
        if step.get("op") != "test" or at_pointer(found, step["path"]) == step.get("value"):
            continue
        if step["path"] == "/metadata/uid":
            return GoneError(
                f"{name} was replaced by another object of that name; nothing was changed"
            )
        field = str(step["path"]).strip("/").replace("/", ".")
        now, then = (_say(v) for v in (at_pointer(found, step["path"]), step.get("value")))
        return RefusedError(
            f"somebody changed {name} meanwhile: {field} is {now}, was {then}; nothing was changed",
            hint="look at it again",
        )
    return error


def _say(value: Any) -> str:
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else clean_line(str(value), limit=80)


async def settle(
    plan: Plan,
    write: Write,
    wire: Wire,
    path: str,
    body: Any,
    unknown: UnknownOutcomeError,
) -> dict[str, Any]:
    """Look for what a write without an answer did.

    Returns:
        What it made, as an answer would have said it.

    Raises:
        UnknownOutcomeError: Looking did not settle it.
    """
    for pause in PAUSES:
        await asyncio.sleep(pause)
        try:
            found = await look(plan, write, wire, path, body)
        except McpTuiError:
            continue
        if found is not None:
            return found
    raise unknown


async def look(plan: Plan, write: Write, wire: Wire, path: str, body: Any) -> dict[str, Any] | None:
    """Look once for what a write did; None where nothing of it is there."""
    if write.system == "mlflow":
        return await _look_mlflow(plan, wire, path, body)
    bare = path.partition("?")[0]
    if write.method == "POST":
        return await _look_created(plan, wire, bare, body)
    uid = _pinned_uid(plan, write, body)
    try:
        found = await wire.kubernetes("GET", bare, None, "")
    except ApiError as error:
        if error.status == 404 and write.method == "DELETE":
            return {}
        raise
    same = pick(found, "metadata.uid") == uid
    if write.method == "DELETE":
        gone = not same or bool(pick(found, "metadata.deletionTimestamp"))
        return found if gone else None
    return found if same and _patched(found, body) else None


def _pinned_uid(plan: Plan, write: Write, body: Any) -> str:
    """The uid that a write is pinned to: a Workload's is not its job's."""
    if isinstance(body, list):
        steps = (s for s in body if s.get("op") == "test" and s.get("path") == "/metadata/uid")
        return str(next((s.get("value") for s in steps), ""))
    return pick(body, "preconditions.uid") or plan.targets[write.target].uid


async def _look_created(plan: Plan, wire: Wire, path: str, body: Any) -> dict[str, Any] | None:
    selector = quote(f"{keys.PLAN_ID}={plan.id}", safe="")
    listed = await wire.kubernetes("GET", f"{path}?labelSelector={selector}", None, "")
    name = pick(body, "metadata.name")
    for item in listed.get("items") or ():
        # A server that does not know selectors gives everything.
        labels = (item.get("metadata") or {}).get("labels") or {}
        if pick(item, "metadata.name") == name and labels.get(keys.PLAN_ID) == plan.id:
            return dict(item)
    return None


async def _look_mlflow(plan: Plan, wire: Wire, path: str, body: Any) -> dict[str, Any] | None:
    if is_registry(path):
        return await look_model(plan, wire, path, body)
    if is_edit(path, body):
        return await look_edit(plan, wire, path, body)
    if path == f"{MLFLOW}/runs/create":
        experiment = str(body.get("experiment_id", ""))
        run_id = await wire.find_run(plan.id, experiment)
        info = {"run_id": run_id, "experiment_id": experiment}
        return {"run": {"info": info}} if run_id else None
    if path == f"{MLFLOW}/experiments/create":
        name = quote(str(body.get("name", "")), safe="")
        answer = await wire.mlflow(
            "GET", f"{MLFLOW}/experiments/get-by-name?experiment_name={name}", None
        )
        found = pick(answer, "experiment.experiment_id")
        return {"experiment_id": found} if found else None
    if path == f"{MLFLOW}/runs/update":
        run = await _run(wire, str(body.get("run_id", "")))
        return {} if pick(run, "info.status") == body.get("status") else None
    if path == f"{MLFLOW}/runs/log-batch":
        data = (await _run(wire, str(body.get("run_id", "")))).get("data") or {}
        for kind in ("params", "tags"):
            there = {(p.get("key"), p.get("value")) for p in data.get(kind) or ()}
            if not {(p["key"], p["value"]) for p in body.get(kind) or ()} <= there:
                return None
        return {}
    if path == f"{MLFLOW}/runs/log-inputs":
        inputs = (await _run(wire, str(body.get("run_id", "")))).get("inputs") or {}
        known = {_data(each) for each in inputs.get("dataset_inputs") or ()}
        return {} if {_data(each) for each in body.get("datasets") or ()} <= known else None
    return None


def _data(each: Mapping[str, Any]) -> tuple[str, str]:
    return pick(each, "dataset.name"), pick(each, "dataset.digest")


def _patched(found: Mapping[str, Any], patch: Any) -> bool:
    """Whether every value a JSON Patch sets stands in the object."""
    return isinstance(patch, list) and all(
        at_pointer(found, str(step["path"])) == step.get("value")
        for step in patch
        if step.get("op") in ("add", "replace")
    )
