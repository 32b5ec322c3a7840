"""Runs looked at around a change to their record: before its plan, before each write, after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from mcp_tui.actions.runs import MLFLOW
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target
from mcp_tui.domain.run import Run
from mcp_tui.domain.runedit import EditKind, SeenEdit
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
from mcp_tui.sources.mlflow.runs import is_run_id
from mcp_tui.sources.mlflow.writes import edit_call

MOST: Final = 200
"""Runs of one plan: each is looked at before and after."""
_AT_ONCE: Final = 8
_PATHS: Final = tuple(
    f"{MLFLOW}/runs/{name}" for name in ("set-tag", "delete-tag", "delete", "restore")
)


class Reads(Protocol):
    """The part of a wire that is needed here."""

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send one call to MLflow; raises McpTuiError."""


def is_about_runs(plan: Plan) -> bool:
    """Whether a plan changes the record of runs."""
    return bool(plan.edits)


def is_edit(path: str, body: Any) -> bool:
    """Whether a write is what such a plan is for."""
    if path == f"{MLFLOW}/runs/update":
        return isinstance(body, Mapping) and "run_name" in body
    return path in _PATHS


async def see_run(wire: Reads, run_id: str) -> Run:
    """A run as it is now.

    Raises:
        GoneError: There is none.
    """
    try:
        path = f"{MLFLOW}/runs/get?run_id={quote(run_id, safe='')}"
        found = (await wire.mlflow("GET", path, None)).get("run")
        run = msgspec.convert(found, Run, strict=False)
    except ApiError as error:
        if error.status == 404:
            raise GoneError(f"there is no run {clean_line(run_id, limit=40)}") from None
        raise
    except msgspec.ValidationError as error:
        raise UnreachableError(f"the answer is not MLflow's: {error}") from None
    if run.run_id != run_id:
        raise UnreachableError("the answer is about another run", where=run_id[:40])
    return run


async def see_runs(
    wire: Reads, run_ids: Sequence[str], *, registered: bool = False
) -> tuple[list[Run], dict[str, list[str]]]:
    """Runs as they are now, in order; and, where asked for, the versions that came of them.

    Raises:
        GoneError: One of them is not there.
        UsageError: One is no run's id, or there are too many.
    """
    if len(run_ids) > MOST:
        raise UsageError(f"{len(run_ids)} runs are more than one plan takes",
                         hint=f"at most {MOST}")  # fmt: skip
    for each in run_ids:
        if not is_run_id(each):
            raise UsageError(
                f"{clean_line(each, limit=80)!r} is not a run's id",
                hint="32 hexadecimal digits: mcp-tui run ls -o name lists them",
            )
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(run_id: str) -> tuple[Run, list[str]]:
        async with slots:
            run = await see_run(wire, run_id)
            return run, await _versions_of(wire, run_id) if registered else []

    found = await asyncio.gather(*(one(each) for each in run_ids))
    return [run for run, _ in found], {run.run_id: names for run, names in found if names}


async def _versions_of(wire: Reads, run_id: str) -> list[str]:
    """``NAME/VERSION`` of what was registered from a run; a server without a registry has none."""
    filter_ = quote(f"run_id = '{run_id}'", safe="")
    path = f"{MLFLOW}/model-versions/search?filter={filter_}"
    try:
        answer = await wire.mlflow("GET", path, None)
    except ApiError:
        return []
    return [
        f"{each.get('name')}/{each.get('version')}"
        for each in answer.get("model_versions") or ()
        if each.get("run_id") == run_id
    ]


async def recheck_edit(plan: Plan, wire: Reads, path: str, body: Any) -> None:
    """Look once more before a change: MLflow knows no precondition.

    Raises:
        GoneError: The run is not there any more.
        RefusedError: Somebody changed the same meanwhile, or put the run into the bin.
        McpTuiError: It could not be looked at; nothing was sent then.
    """
    found = _of_call(plan, path, body)
    if found is None:
        return
    edit = found.edit
    run = await see_run(wire, edit.run_id)
    now = edit.now(run)
    if now != found.was:
        is_, was = ("not there" if v is None else clean_line(v, limit=80) for v in (now, found.was))
        raise RefusedError(
            f"somebody changed the run meanwhile: {edit.what} is {is_}, was {was}; "
            "nothing was changed",
            hint="look at it again",
        )
    if run.is_deleted and edit.kind not in (EditKind.DELETE, EditKind.RESTORE):
        raise RefusedError("somebody deleted the run meanwhile; nothing was changed")


async def look_edit(plan: Plan, wire: Reads, path: str, body: Any) -> dict[str, Any] | None:
    """Look once for what a change did; None where it does not show."""
    found = _of_call(plan, path, body)
    if found is None:
        return None
    return {} if found.edit.is_done(await see_run(wire, found.edit.run_id)) else None


def _of_call(plan: Plan, path: str, body: Any) -> SeenEdit | None:
    return next((each for each in plan.edits if edit_call(each.edit) == (path, body)), None)


async def prove_runs(
    wire: Reads, plan: Plan, targets: Mapping[int, Target], *, timeout: float
) -> dict[int, Outcome]:
    """Read each run again: what was written is there, or it is said what is there instead.

    Args:
        timeout: Seconds, for all of them.
    """
    slots = asyncio.Semaphore(_AT_ONCE)
    end = asyncio.get_running_loop().time() + timeout

    async def one(target: Target) -> Outcome:
        async with slots:
            return await _proof(wire, plan, target, end)

    found = await asyncio.gather(*(one(target) for target in targets.values()))
    return dict(zip(targets, found, strict=True))


async def _proof(wire: Reads, plan: Plan, target: Target, end: float) -> Outcome:
    edits = [each.edit for each in plan.edits if each.edit.run_id == target.uid]
    clock = asyncio.get_running_loop().time
    while True:
        try:
            async with asyncio.timeout(max(0.05, end - clock())):
                run = await see_run(wire, target.uid)
            break
        except GoneError:
            said = "accepted, but the run is gone for good now: somebody else removed it"
            return _outcome(target, OutcomeStatus.UNPROVEN, said, ExitCode.GONE)
        except (McpTuiError, TimeoutError) as error:
            said = error.line() if isinstance(error, McpTuiError) else "MLflow did not answer"
            if clock() + 1.0 >= end:
                said = f"accepted, but unproven: {said}"
                return _outcome(target, OutcomeStatus.UNPROVEN, said, ExitCode.UNREACHABLE)
            await asyncio.sleep(1.0)
    other = next((edit for edit in edits if not edit.is_done(run)), None)
    if other is not None:
        now = other.now(run)
        shown = "not there" if now is None else clean_line(now, limit=80)
        said = f"accepted, but {other.what} is {shown} now: somebody else changed it"
        return _outcome(target, OutcomeStatus.UNPROVEN, said, ExitCode.GONE)
    said = "; ".join(
        f"{e.what} is {'gone' if (v := e.now(run)) is None else clean_line(v, limit=80)}"
        for e in edits
    )
    return _outcome(target, OutcomeStatus.PROVEN, f"{said}, as read again", ExitCode.OK)


def _outcome(target: Target, status: OutcomeStatus, message: str, code: ExitCode) -> Outcome:
    return Outcome(target=target, status=status, message=message, exit_code=int(code))
