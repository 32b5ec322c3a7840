"""What must hold after any schedule of faults, however it ended."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mcp_tui.actions.ended import finished
from mcp_tui.actions.runs import OPEN
from mcp_tui.domain import keys
from mcp_tui.domain.alias import end_key
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Verb
from tests.faults.model import Done
from tests.faults.network import Call
from tests.faults.registry_holds import approval_lies, registry_broken, registry_lies
from tests.faults.run_holds import run_lies, runs_broken
from tests.faults.schedule import Story

MAKING = (Verb.SUBMIT, Verb.RETRY)
CERTAIN = (OutcomeStatus.PROVEN, OutcomeStatus.UNPROVEN)


def broken(story: Story) -> list[str]:
    """Which rules a story breaks, in words; empty when all hold."""
    story.network.settle()  # What was late arrives when everybody has left.
    plan = story.plan
    if plan is None:
        return []
    found = [
        *_sent_once(story),
        *_of_what_was_seen(story, plan),
        *_made_once(story, plan),
        *_written_down(story, plan),
        *_stopped(story, plan),
        *registry_broken(story, plan),
        *runs_broken(story, plan),
    ]
    for index, outcome in enumerate(_outcomes(story)):
        found += [
            f"{outcome.status.value}, but {why}" for why in _lies(story, plan, index, outcome)
        ]
    return found


def _outcomes(story: Story) -> tuple[Outcome, ...]:
    if story.outcomes:
        return story.outcomes
    ended = [a.ended for a in story.written if a.ended is not None]
    return ended[0].outcomes if ended else ()


def _did(story: Story) -> list[Done]:
    return story.world.done[story.worked :]


def _sent_once(story: Story) -> Iterator[str]:
    calls = Counter((c.side, c.method, c.target, c.body) for c in story.writes)
    for (side, method, target, body), count in calls.items():
        # How a run ended, and how a move did, is put down again when an interruption cut the first
        # time off: the same words twice do no harm.
        ends = target.endswith("runs/update") or (
            target.endswith("model-versions/set-tag")
            and story.plan is not None
            and end_key(story.plan.id) in str(body)
        )
        again = ends and story.ended == "interrupted"
        if count > (2 if again else 1):
            yield f"sent {count} times: {side} {method} {target}"
    for call in story.writes:
        words = f"{call.side} {call.method} {call.target.partition('?')[0]}"
        if not any(re.fullmatch(each, words) for each in story.schedule.action.writes):
            yield f"not an action's write: {words}"
    if story.ended == "raised" and _acts(story):
        yield f"raised {story.error} after something was sent"


def _acts(story: Story) -> list[Call]:
    """The writes but for the Lease: that is taken before anything is done, and ends by itself."""
    return [call for call in story.writes if "/leases" not in call.target]


def _made(story: Story, plan: Plan) -> list[dict[str, Any]]:
    return [
        obj
        for _, plural, type_, obj in story.world.history
        if plural == "jobs"
        and type_ == "ADDED"
        and (obj["metadata"].get("labels") or {}).get(keys.PLAN_ID) == plan.id
    ]


def _runs(story: Story, plan: Plan) -> list[dict[str, Any]]:
    tag = {"key": keys.TAG_PLAN_ID, "value": plan.id}
    return [r for r in story.world.runs.values() if tag in r["data"]["tags"]]


def _made_once(story: Story, plan: Plan) -> Iterator[str]:
    jobs = [d for d in _did(story) if d.method == "POST" and d.path.endswith("/jobs") and d.changed]
    if len(_made(story, plan)) != len(jobs):
        yield "a job was made that does not name its plan"
    if len(jobs) > (1 if plan.verb in MAKING else 0):
        yield f"{len(jobs)} jobs made"
    if len(_runs(story, plan)) > 1:
        yield f"{len(_runs(story, plan))} runs made"


def _of_what_was_seen(story: Story, plan: Plan) -> Iterator[str]:
    """Each change of an object is one of the object that was seen, in the state that was seen."""
    ours = {t.uid for t in plan.targets if t.uid}
    ours |= {obj["metadata"]["uid"] for obj in _made(story, plan)}
    ours |= {s.workload["metadata"]["uid"] for s in story.seen if s.workload is not None}
    were = {s.uid: s.obj for s in story.seen} | {
        s.workload["metadata"]["uid"]: s.workload for s in story.seen if s.workload is not None
    }
    did = _did(story)
    for at, done in enumerate(did):
        if not done.changed or done.seen is None or "/leases" in done.path:
            continue
        if done.side == "mlflow":
            yield from _run_as_seen(did[:at], done, plan)
            continue
        uid = done.seen["metadata"]["uid"]
        if uid not in ours:
            yield f"{done.words} was another object"
        elif done.method == "PATCH":
            for name in ("suspend", "active"):
                if done.seen["spec"].get(name) != were[uid]["spec"].get(name):
                    yield f"{done.words}: {name} was not as seen"
        elif done.method == "DELETE" and uid in were:
            looks = [d for d in did[:at] if d.method == "GET" and d.path == done.path and d.seen]
            if not looks:
                yield f"{done.words} without a look before"
            elif bool(finished(looks[-1].seen)) is not (plan.verb is Verb.DELETE):
                yield f"{done.words} though it was {finished(looks[-1].seen) or 'running'}"


def _run_as_seen(before: list[Done], done: Done, plan: Plan) -> Iterator[str]:
    if not done.path.endswith("runs/update") or done.body.get("status") != "KILLED":
        return
    run_id = done.body["run_id"]
    looks = [
        d
        for d in before
        if d.path.endswith("runs/get") and d.seen and d.seen["info"]["run_id"] == run_id
    ]
    if not looks:
        yield "a run ended without a look before"
        return
    seen = looks[-1].seen
    owner = next((t["value"] for t in seen["data"]["tags"] if t["key"] == keys.TAG_UID), "")
    if seen["info"]["status"] not in OPEN:
        yield f"a run that was {seen['info']['status']} was ended"
    if owner and owner not in {t.uid for t in plan.targets}:
        yield "another job's run was ended"


def _written_down(story: Story, plan: Plan) -> Iterator[str]:
    entries = [a for a in story.written if a.started.plan == plan.id]
    if _acts(story) and not entries:
        yield "something was sent, and the journal does not know"
        return
    if not entries:
        return
    [entry] = entries
    if story.ended == "killed":
        if entry.ended is None:
            if [a.started.plan for a in story.unfinished] != [plan.id]:
                yield "a killed action is not said at the next start"
            if plan.targets[0].name not in story.line or "mcp-tui --context dev" not in story.line:
                yield f"the next start does not say how to look: {story.line}"
            if plan.verb in MAKING and f"{keys.PLAN_ID}={plan.id}" not in story.line:
                yield f"what it made is not asked for by its plan: {story.line}"
        return
    if entry.ended is None:
        yield "it ended, and the journal does not say so"
    elif story.outcomes is not None and entry.ended.outcomes != story.outcomes:
        yield f"the journal says {entry.ended.outcomes}, we were told {story.outcomes}"
    if story.ended == "applied" and len(story.outcomes or ()) != len(plan.targets):
        yield "not every target has an outcome"


def _stopped(story: Story, plan: Plan) -> Iterator[str]:
    """Once it is unknown what became of one target, nothing is sent for those behind it."""
    unknown = [i for i, o in enumerate(story.outcomes or ()) if o.status is OutcomeStatus.UNKNOWN]
    if story.ended != "applied" or not unknown:
        return
    for target in plan.targets[unknown[0] + 1 :]:
        if any(c.target.endswith(f"/jobs/{target.name}") for c in story.writes):
            yield f"{target.name} was gone on with"


def _lies(story: Story, plan: Plan, index: int, outcome: Outcome) -> Iterator[str]:
    if plan.verb in MAKING:
        yield from _lies_of_making(story, plan, outcome)
        return
    if plan.verb in (Verb.PROMOTE, Verb.ROLLBACK):
        yield from registry_lies(story, plan, outcome)
        return
    if plan.approval is not None:
        yield from approval_lies(story, plan, outcome)
        return
    if plan.edits:
        yield from run_lies(story, plan, index, outcome)
        return
    uid = plan.targets[index].uid
    name = plan.targets[index].name
    if plan.verb in (Verb.CANCEL, Verb.DELETE):
        now = story.world.objects.get(("jobs", "ml", name))
        gone = now is None or now["metadata"]["uid"] != uid
        did = any(
            d.method == "DELETE" and d.changed and d.seen["metadata"]["uid"] == uid
            for d in _did(story)
            if d.seen
        )
        leaving = now is not None and "deletionTimestamp" in now["metadata"]
        if outcome.status in CERTAIN and not gone and not leaving:
            yield f"{name} is there"
        if outcome.status is OutcomeStatus.PROVEN and not gone:
            yield f"{name} is still there"
        if outcome.status is OutcomeStatus.FAILED and did:
            yield f"{name} was deleted: {outcome.message}"
        return
    did = any(d.method == "PATCH" and d.changed for d in _did(story))
    if outcome.status is OutcomeStatus.FAILED and did:
        yield f"{name} was changed: {outcome.message}"
    wanted = plan.verb is Verb.SUSPEND
    first = story.seen[index]
    watched = first.workload["metadata"]["uid"] if first.workload is not None else uid
    states = [
        obj["spec"].get("suspend", False) if first.workload is None else not obj["spec"]["active"]
        for _, _, _, obj in story.world.history
        if obj["metadata"]["uid"] == watched
    ]
    if outcome.status in CERTAIN and wanted not in states[1:]:
        yield f"{name} was never so"
    if outcome.status is OutcomeStatus.PROVEN and first.workload is None:
        told = [k for k, w in zip(_suspended(story, uid), states, strict=True) if w is wanted]
        if wanted not in told:
            yield f"{name}: its controller never said so"


def _suspended(story: Story, uid: str) -> list[bool | None]:
    """Whether the controller said of a job, version by version, that it is held."""
    conditions = (
        (obj.get("status") or {}).get("conditions") or [{}]
        for _, _, _, obj in story.world.history
        if obj["metadata"]["uid"] == uid
    )
    return [{"True": True, "False": False}.get(each[0].get("status", "")) for each in conditions]


def _lies_of_making(story: Story, plan: Plan, outcome: Outcome) -> Iterator[str]:
    made = _made(story, plan)
    there = [obj for obj in made if _stays(story, obj)]
    if outcome.status in CERTAIN:
        if not made:
            yield "no job was made"
        elif outcome.target.uid != made[0]["metadata"]["uid"]:
            yield "another job is named"
        elif outcome.status is OutcomeStatus.PROVEN and story.world.asleep:
            yield "nobody took it up"
    if (
        outcome.status is OutcomeStatus.FAILED
        and there
        and not _said(story, "again, as its Service")
    ):
        yield f"its job is there: {outcome.message}"
    told = "\n".join([*story.said, outcome.message])
    for run in _runs(story, plan):
        status = run["info"]["status"]
        tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
        if (
            outcome.status is OutcomeStatus.FAILED
            and status in OPEN
            and "run" not in told.lower().replace("interrupted", "")
        ):
            yield f"its run is left open, and nobody says so: {told}"
        if there and status not in OPEN and story.ended == "applied":
            yield f"its job is there, and its run was marked {status}: {told}"
        quiet = story.ended == "applied" and not any("warning" in line for line in story.said)
        if (
            outcome.status is OutcomeStatus.PROVEN
            and quiet
            and tags.get(keys.TAG_UID) != made[0]["metadata"]["uid"]
        ):
            yield "its run is not linked to it, and nobody says so"


def _stays(story: Story, obj: dict[str, Any]) -> bool:
    """Whether an object is there, and not on its way out."""
    now = story.world.objects.get(("jobs", "ml", obj["metadata"]["name"]))
    same = now is not None and now["metadata"]["uid"] == obj["metadata"]["uid"]
    return same and "deletionTimestamp" not in (now or obj)["metadata"]


def _said(story: Story, words: str) -> bool:
    return any(words in line for line in story.said)
