"""Plans for runs: tagged, renamed, put into MLflow's bin and taken out of it again. Pure.

MLflow knows no precondition and keeps no history of any of it: what was seen is looked at again
before each write (``runlook.py``), and what was done is in the journal of whoever did it alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from mcp_tui.actions.jobs import Scope, new_plan_id
from mcp_tui.actions.runlook import MOST
from mcp_tui.domain.plan import (
    Check,
    CheckStatus,
    Confirmation,
    Plan,
    Target,
    Tier,
    Verb,
    Write,
)
from mcp_tui.domain.run import Run
from mcp_tui.domain.runedit import PROTECTED, EditKind, RunEdit, SeenEdit
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import (
    RefusedError,
    UsageError,
)
from mcp_tui.sources.mlflow.writes import edit_call

RUN: Final = "Run"
"""The kind of a plan's target that is an MLflow run; its ``uid`` is the run's id."""
OURS: Final = "mcp-tui."
"""Before the names of tags that the console writes: they join a run to its job."""
THEIRS: Final = "mlflow."
"""Before the names of tags that mean something to MLflow and its clients."""
STATE: Final = "state"
PROTECTION: Final = "protected"
"""Names of checks."""

_VERBS: Final = {
    EditKind.SET_TAG: Verb.TAG,
    EditKind.DELETE_TAG: Verb.TAG,
    EditKind.RENAME: Verb.RENAME,
    EditKind.DELETE: Verb.DELETE,
    EditKind.RESTORE: Verb.RESTORE,
}
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NOTED: Final = 5


def plan_run_edit(
    scope: Scope,
    runs: Sequence[Run],
    edits: Sequence[RunEdit],
    *,
    registered: Mapping[str, Sequence[str]] = {},
) -> Plan:
    """Plan the same changes to each of some runs. Pure.

    Args:
        runs: As they are now.
        edits: Of one verb: tags, a name, the bin. Their ``run_id`` is not looked at.
        registered: Versions of the registry that were made of a run, by its id.

    Raises:
        UsageError: Nothing is named, something twice, or MLflow cannot take it.
        RefusedError: All of it is so already.
    """
    verb = _verb(runs, edits)
    if verb is Verb.RENAME and len(runs) > 1:
        raise UsageError(f"{len(runs)} runs cannot be given one name", hint="rename one at a time")
    left = [run for run in runs if not all(edit.is_done(run) for edit in edits)]
    if not left:
        raise RefusedError(f"nothing to do: {_already(runs[0], edits)}")
    targets, writes, seen = [], [], []
    for index, run in enumerate(left):
        targets.append(_target(scope, run))
        for edit in (each.of(run.run_id) for each in edits if not each.is_done(run)):
            writes.append(_write(edit, run, index))
            seen.append(SeenEdit(edit=edit, was=edit.now(run)))
    notes = [_note(run) for run in left[:_NOTED]]
    if len(left) > _NOTED:
        notes.append(f"and {len(left) - _NOTED} more runs")
    if len(left) < len(runs):
        notes.append(f"{len(runs) - len(left)} of {len(runs)} are so already: left as they are")
    return Plan(
        id=new_plan_id(),
        verb=verb,
        context=scope.context,
        tier=scope.tier,
        targets=tuple(targets),
        writes=tuple(writes),
        checks=(*_state(left, verb), *_protected(edits), *_registered(left, verb, registered)),
        confirmation=_confirmation(verb, scope.tier),
        until="MLflow shows it",
        back=_back(left, edits),
        notes=tuple(notes),
        edits=tuple(seen),
    )


def _verb(runs: Sequence[Run], edits: Sequence[RunEdit]) -> Verb:
    if not runs:
        raise UsageError("no run is chosen", hint="move the cursor to one, or mark some")
    if len(runs) > MOST:
        raise UsageError(f"{len(runs)} runs are more than one plan takes", hint=f"at most {MOST}")
    if len({run.run_id for run in runs}) != len(runs):
        raise UsageError("a run is named twice")
    verbs = {_VERBS[edit.checked().kind] for edit in edits}
    if len(verbs) != 1:
        raise UsageError("one kind of change at a time" if verbs else "no change is named")
    if len({edit.what for edit in edits}) != len(edits):
        raise UsageError(f"{edits[0].what} is changed twice" if len(edits) == 2 else
                         "something is changed twice")  # fmt: skip
    return verbs.pop()


def _already(run: Run, edits: Sequence[RunEdit]) -> str:
    edit = edits[0]
    now = edit.now(run)
    shown = "not there" if now is None else clean_line(now, limit=80)
    return f"{edit.what} is {shown} already"


def label(run: Run) -> str:
    """A run's name where it can be typed, else the beginning of its id."""
    return run.name if _PLAIN.fullmatch(run.name) else run.run_id[:8]


def _target(scope: Scope, run: Run) -> Target:
    return Target(context=scope.context, kind=RUN, namespace="", name=label(run), uid=run.run_id)


def _write(edit: RunEdit, run: Run, index: int) -> Write:
    path, body = edit_call(edit)
    return Write(
        system="mlflow",
        method="POST",
        path=path,
        body=body,
        summary=f"{_line(edit)} of run {label(run)}, only if it is as seen",
        diff=_diff(edit, edit.now(run)),
        target=index,
    )


def _line(edit: RunEdit) -> str:
    lines = {EditKind.DELETE: "set lifecycle deleted", EditKind.RESTORE: "set lifecycle active"}
    return lines.get(edit.kind) or edit.line()


def _diff(edit: RunEdit, was: str | None) -> tuple[str, ...]:
    what = edit.what
    after = {
        EditKind.SET_TAG: edit.value,
        EditKind.DELETE_TAG: None,
        EditKind.RENAME: edit.value,
        EditKind.DELETE: "deleted",
        EditKind.RESTORE: "active",
    }[edit.kind]
    before = () if was is None else (f"- {what}: {clean_line(was, limit=500)}",)
    return (*before, *(() if after is None else (f"+ {what}: {clean_line(after, limit=500)}",)))


def _note(run: Run) -> str:
    info = run.info
    by = f", by {clean_line(run.user, limit=60)}" if run.user else ""
    named = f" {clean_line(run.name, limit=60)!r}" if run.name else ""
    return (
        f"run {clean_line(run.run_id, limit=40)}{named} of experiment "
        f"{clean_line(info.experiment_id, limit=30)}, {clean_line(info.status).lower()}{by}"
    )


def _state(runs: Sequence[Run], verb: Verb) -> list[Check]:
    """What the runs are like that speaks against it."""
    deleted = [run for run in runs if run.is_deleted]
    if verb in (Verb.TAG, Verb.RENAME) and deleted:
        said = f"{_those(deleted)} deleted, which nobody can change: restore it first"
        return [Check(name=STATE, status=CheckStatus.FAILED, message=said)]
    going = [run for run in runs if run.info.status == "RUNNING"]
    if verb is Verb.DELETE and going:
        said = f"{_those(going)} said to be running: what logs to it will be refused"
        return [Check(name=STATE, status=CheckStatus.WARNING, message=said)]
    return [Check(name=STATE, status=CheckStatus.PASSED, message="looked at just now")]


def _those(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return f"run {label(runs[0])} is"
    return f"{len(runs)} runs ({', '.join(label(run) for run in runs[:3])}...) are"


def _protected(edits: Sequence[RunEdit]) -> list[Check]:
    """Tags that are not for everybody to change."""
    found = []
    for edit in edits:
        if edit.kind not in (EditKind.SET_TAG, EditKind.DELETE_TAG):
            continue
        key = clean_line(edit.key, limit=80)
        if edit.key.startswith(OURS):
            said = f"tag {key} is the console's own: it joins the run to its job and its plan"
            found.append(Check(name=PROTECTION, status=CheckStatus.FAILED, message=said))
        elif edit.key in PROTECTED or edit.key.startswith(THEIRS):
            said = f"tag {key} means something to MLflow: its name, its parent, its source"
            found.append(Check(name=PROTECTION, status=CheckStatus.WARNING, message=said))
    return found


def _registered(
    runs: Sequence[Run], verb: Verb, registered: Mapping[str, Sequence[str]]
) -> list[Check]:
    if verb is not Verb.DELETE:
        return []
    made = [name for run in runs for name in registered.get(run.run_id, ())]
    if not made:
        return []
    shown = ", ".join(clean_line(name, limit=60) for name in made[:4])
    more = f" and {len(made) - 4} more" if len(made) > 4 else ""
    said = f"{shown}{more} came of it: they stay, and name a run that is in the bin"
    return [Check(name=STATE, status=CheckStatus.WARNING, message=said)]


def _confirmation(verb: Verb, tier: Tier) -> Confirmation:
    """Deleting is typed in prod and said once elsewhere; the rest is said once in prod."""
    if verb is Verb.DELETE:
        return Confirmation.TYPED if tier is Tier.PROD else Confirmation.YES
    return Confirmation.YES if tier is Tier.PROD else Confirmation.NONE


def _back(runs: Sequence[Run], edits: Sequence[RunEdit]) -> str:
    kind = edits[0].kind
    if kind is EditKind.DELETE:
        return "run restore, until somebody empties the bin (mlflow gc)"
    if kind is EditKind.RESTORE:
        return "run delete"
    if len(runs) > 1:
        return "the same with the values of before: the diff shows them"
    [run] = runs
    steps = [back.line() for edit in edits if (back := edit.back(run)) is not None]
    return "; ".join(steps)
