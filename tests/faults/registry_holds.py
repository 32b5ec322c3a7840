"""What must hold of the model registry after any schedule of faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcp_tui.actions.aliaslook import ALIAS
from mcp_tui.domain import keys
from mcp_tui.domain.alias import VersionTags, records
from mcp_tui.domain.aliashistory import History, MoveState, history
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan
from tests.faults.model import Done
from tests.faults.schedule import Story

MOVED = (MoveState.DONE, MoveState.FOUND)


def _did(story: Story) -> list[Done]:
    return story.world.done[story.worked :]


def _moves(story: Story) -> list[Done]:
    """Our moves that reached the server and were done."""
    return [d for d in _did(story) if d.path == ALIAS and _carried_out(d)]


def _carried_out(done: Done) -> bool:
    versions = (done.seen or {}).get("versions", {})
    return done.method == "DELETE" or done.body.get("version") in versions


def told(story: Story, plan: Plan) -> History | None:
    """The history of the alias, as the next start reads it."""
    model = story.world.registry.models.get(plan.targets[0].name)
    if model is None or plan.move is None:
        return None
    meant = plan.move.intent
    tags = [VersionTags(version=v, tags=it["tags"]) for v, it in model["versions"].items()]
    found = records(meant.model, meant.alias, tags)
    current = model["aliases"].get(meant.alias, "")
    return history(
        meant.model, meant.alias, found, current=current, versions=frozenset(model["versions"])
    )


def registry_broken(story: Story, plan: Plan) -> Iterator[str]:
    """What is wrong whatever was said."""
    if plan.move is None:
        return
    came, name = plan.move.intent.came, plan.targets[0].name
    moves = _moves(story)
    if len(moves) > 1:
        yield f"the alias was moved {len(moves)} times"
    did = _did(story)
    for done in moves:
        before = did[: did.index(done)]
        if not any(d.path.endswith("/set-tag") and d.changed for d in before):
            yield "the alias was moved before the intent was on record"
        looks = [d for d in before if d.path.endswith("registered-models/get") and d.seen]
        if not looks and came:
            yield "the alias was moved without a look before"
        elif looks and looks[-1].seen["aliases"].get("champion", "") != came:
            yield "the alias was moved though it was seen to be elsewhere"
    versions = (story.world.registry.models.get(name) or {"versions": {}})["versions"].values()
    if sum(v["tags"].get(keys.TAG_PLAN_ID) == plan.id for v in versions) > 1:
        yield "two versions were made"
    yield from _way_back(story, plan)


def _way_back(story: Story, plan: Plan) -> Iterator[str]:
    """However it ended, a rollback goes to what was live before, or says why it cannot."""
    found = told(story, plan)
    if found is None or not found.back.possible:
        return
    # Where the alias has pointed; there and back again between two looks leaves no trace.
    assert plan.move is not None
    pointed = [
        (version, wire)
        for name, alias, version, wire in story.world.registry.pointed
        if (name, alias) == (plan.targets[0].name, plan.move.intent.alias)
    ]
    seen_by = [d.seen["aliases"].get("champion", "") for d in _moves(story) if d.seen]
    if any(before != plan.move.intent.came for before in seen_by):
        return  # Moved between our last look and our move: MLflow has no compare-and-set.
    ours = [n for n, (_, wire) in enumerate(pointed) if wire]
    if not ours or ours[-1] != len(pointed) - 1:
        return
    before = pointed[ours[-1] - 1][0] if ours[-1] else ""
    wanted = before if plan.move.intent.verb == "promote" else _below(plan)
    if found.back.to != wanted:
        yield f"rollback would go to {found.back.to}, and {wanted} was live before"


def _below(plan: Plan) -> Any:
    """What lies below where a rollback of the schedules goes: nothing is on record there."""
    return None


def registry_lies(story: Story, plan: Plan, outcome: Outcome) -> Iterator[str]:
    """What was said and is not so."""
    assert plan.move is not None
    meant, moves = plan.move.intent, _moves(story)
    if outcome.status in (OutcomeStatus.PROVEN, OutcomeStatus.UNPROVEN) and not moves:
        yield "the alias was not moved"
    if outcome.status is OutcomeStatus.FAILED and moves:
        yield f"the alias was moved: {outcome.message}"
    if story.ended != "applied":
        return
    found = told(story, plan)
    if found is None:
        return
    states = [m.state for m in found.moves if m.record is not None and m.record.plan == plan.id]
    quiet = not any(line.startswith("warning") for line in story.said)
    there = outcome.target.uid in story.world.registry.models[meant.model]["versions"]
    if outcome.status is OutcomeStatus.PROVEN and quiet and there and states != [MoveState.DONE]:
        yield f"its record says {states}"
    if outcome.status is OutcomeStatus.FAILED and set(states) & set(MOVED):
        yield f"its record says {states}: {outcome.message}"


def approval_lies(story: Story, plan: Plan, outcome: Outcome) -> Iterator[str]:
    """What was said of an approval and is not so."""
    assert plan.approval is not None
    did = [
        d
        for d in _did(story)
        if d.path.endswith("/set-tag")
        and d.body["key"] == plan.approval.key
        and "1" in (d.seen or {}).get("versions", {})
    ]
    if outcome.status in (OutcomeStatus.PROVEN, OutcomeStatus.UNPROVEN) and not did:
        yield "nothing was put on record"
    if outcome.status is OutcomeStatus.FAILED and did:
        yield f"it was put on record: {outcome.message}"
    for done in did:
        before = _did(story)[: _did(story).index(done)]
        looks = [d for d in before if d.path.endswith("registered-models/get") and d.seen]
        tags = looks[-1].seen["versions"].get("1", {"tags": {}})["tags"] if looks else {}
        if tags.get(plan.approval.key) != plan.approval.was:
            yield f"{done.words} over another's record"
