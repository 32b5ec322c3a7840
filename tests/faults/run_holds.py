"""What must hold of changes to runs after any schedule of faults."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan
from mcp_tui.domain.run import Run
from mcp_tui.domain.runedit import EditKind, SeenEdit
from mcp_tui.sources.mlflow.writes import edit_call
from tests.faults.model import Done
from tests.faults.schedule import Story

SAID = (OutcomeStatus.PROVEN, OutcomeStatus.UNPROVEN)


def _sent(story: Story, edit: SeenEdit) -> list[tuple[int, Done]]:
    """The calls of a change that reached the server while there was such a run."""
    did = story.world.done[story.worked :]
    call = edit_call(edit.edit)
    return [(n, d) for n, d in enumerate(did) if (d.path, d.body) == call and d.seen]


def _done(story: Story, edit: SeenEdit) -> list[Done]:
    """Those that the server carried out, whether or not it was so before."""
    found = []
    for _, done in _sent(story, edit):
        before = msgspec.convert(done.seen, Run, strict=False)
        # A run in the bin is changed by nobody, but into it and out of it.
        free = not before.is_deleted or edit.edit.kind in (EditKind.DELETE, EditKind.RESTORE)
        if done.changed or (edit.edit.is_done(before) and free):
            found.append(done)
    return found


def runs_broken(story: Story, plan: Plan) -> Iterator[str]:
    """What is wrong whatever was said."""
    did = story.world.done[story.worked :]
    for each in plan.edits:
        for n, done in _sent(story, each):
            looks = [
                d
                for d in did[:n]
                if d.path.endswith("runs/get")
                and d.seen
                and d.seen["info"]["run_id"] == each.edit.run_id
            ]
            if not looks:
                yield f"{done.words} without a look before"
                continue
            seen = each.edit.now(msgspec.convert(looks[-1].seen, Run, strict=False))
            if seen != each.was:
                yield f"{done.words} though {each.edit.what} was seen to be {seen}"


def run_lies(story: Story, plan: Plan, index: int, outcome: Outcome) -> Iterator[str]:
    """What was said of a run and is not so."""
    uid = plan.targets[index].uid
    edits = [each for each in plan.edits if each.edit.run_id == uid]
    done = [bool(_done(story, each)) for each in edits]
    if outcome.status in SAID and not all(done):
        yield f"not all of it was done: {outcome.message}"
    if outcome.status is OutcomeStatus.FAILED and any(done):
        if "done before" not in outcome.message:
            yield f"some of it was done: {outcome.message}"
        elif all(done):
            yield f"all of it was done: {outcome.message}"
    if outcome.status is OutcomeStatus.PROVEN and story.schedule.other is None:
        now = msgspec.convert(story.world.runs[uid], Run, strict=False)
        if not all(each.edit.is_done(now) for each in edits):
            yield "it is not so"
