"""What is known of a registered model and its versions, as lines, each asked for when looked at."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mcp_tui.actions.aliaslook import SeenModel, named
from mcp_tui.actions.approving import NOT_ENFORCED, Judged
from mcp_tui.actions.evidence import PARTS, unended_words
from mcp_tui.actions.promoting import made_of_run
from mcp_tui.domain.alias import aliases_on_record
from mcp_tui.domain.aliashistory import Back, History, Move, MoveState
from mcp_tui.domain.approval import Mode
from mcp_tui.domain.approval_rules import Standing, who_may
from mcp_tui.domain.artifact import shown_uri
from mcp_tui.domain.mlmodel import columns
from mcp_tui.domain.model import ModelVersion, Signature
from mcp_tui.domain.modelrow import in_order, own_tags
from mcp_tui.domain.reltime import absolute, ago
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, McpTuiError, UsageError
from mcp_tui.sources.mlflow.registry import quoted
from mcp_tui.sources.mlflow.signature import signature
from mcp_tui.tui.model import Cell, Line, Tone
from mcp_tui.tui.model_models import Part, Subject

if TYPE_CHECKING:
    from mcp_tui.tui.live.models import LiveModels

_STATES: dict[MoveState, Tone] = {
    MoveState.DONE: "done",
    MoveState.FOUND: "attention",
    MoveState.NOT_DONE: "dim",
    MoveState.UNKNOWN: "attention",
    MoveState.FOREIGN: "attention",
}
_STANDINGS: dict[Standing, Tone] = {
    Standing.GIVEN: "done",
    Standing.MISSING: "waiting",
    Standing.EXPIRED: "attention",
    Standing.INVALID: "failed",
}
_COLUMNS_SHOWN = 12


def fact(name: str, text: str, tone: Tone = "") -> Line:
    """A name and what is known under it."""
    return (Cell(f"{clean_line(name):<11}", "heading"), Cell(clean_line(text), tone))


def back_words(back: Back) -> str:
    """Where ``u`` goes, in words."""
    if back.possible:
        return f"u takes it back to {named(back.to)}"
    perhaps = f"; version {back.perhaps} was live earlier" if back.perhaps else ""
    return f"no way back: {back.why_not}{perhaps}"


class ModelDetails:
    """The tabs and the preview of a model or a version."""

    def __init__(self, models: LiveModels) -> None:
        self._models = models

    async def see(self, subject: Subject) -> SeenModel:
        """The model as it is now.

        Raises:
            GoneError: There is none any more, or no such version.
        """
        live = self._models.live(subject.context)
        live.engine.mlflow_client = live.connection.mlflow
        seen = await live.engine.see_model(subject.model)
        if not seen.there or (subject.version and seen.version(subject.version) is None):
            raise GoneError(f"{subject.words} is gone", where=subject.context)
        return seen

    async def part(self, subject: Subject, part: Part) -> Sequence[Line]:
        """A tab."""
        seen = await self.see(subject)
        if part == "History":
            return history_lines(seen, time.time(), subject.version)
        if part == "Approvals":
            return await self._approvals(subject, seen)
        return await self._overview(subject, seen)

    async def preview(self, subject: Subject) -> Sequence[Line]:
        """What matters of it, and the next keys."""
        seen = await self.see(subject)
        lines = await self._overview(subject, seen, short=True)
        keys = "p promote   Enter detail" if subject.version else "Enter versions   d detail"
        if any(seen.history(alias).back.possible for alias in seen.aliases):
            keys += "   u undo"
        return [*lines, (), (Cell(keys, "key"),)]

    # -- overview ---------------------------------------------------------------------------

    async def _overview(
        self, subject: Subject, seen: SeenModel, *, short: bool = False
    ) -> list[Line]:
        version = seen.version(subject.version) if subject.version else None
        if version is None:
            return model_lines(seen, time.time(), short=short)
        lines = version_lines(seen, version, time.time())
        serving = self._models.serving
        newest = max((v.number for v in seen.versions), default=0)
        served = serving.of_version(subject.context, version, seen.aliases, newest)
        lines += serving.lines(served)
        lines += await self._run_lines(subject, version)
        if not short:
            lines += await self._signature_lines(subject, version)
            lines += await self._copies(subject, version)
            lines += copies_lines(seen, version)
            tags = own_tags(version.tag)
            lines += [fact(f"tag {name}", text) for name, text in sorted(tags.items())]
        return lines

    async def _run_lines(self, subject: Subject, version: ModelVersion) -> list[Line]:
        client = self._models.live(subject.context).connection.mlflow
        if not version.run_id or client is None:
            return [fact("run", "the version does not say which run made it", "dim")]
        try:
            run = await client.get_run(version.run_id)
        except ApiError as error:
            if error.status != 404:
                raise
            return [fact("run", f"{version.run_id}: not there any more", "attention")]
        return run_lines(run) + self._job_lines(run)

    def _job_lines(self, run: Run) -> list[Line]:
        """The job that the run belongs to, and where the two contradict each other."""
        from mcp_tui.store.lineage import lineage

        stores = {name: live.store for name, live in self._models.backend.lives.items()}
        told = lineage(run, now=time.time(), jobs=stores)
        lines: list[Line] = []
        if told.job is not None:
            lines.append(fact("job", told.job.words()))
        if told.note:
            lines.append(fact("", told.note, "attention"))
        return lines

    async def _copies(self, subject: Subject, version: ModelVersion) -> list[Line]:
        """Versions of other models that are copies of it."""
        client = self._models.live(subject.context).connection.mlflow
        if client is None:
            return []
        try:
            page = await client.search_versions(f"source_path = {quoted(version.uri)}")
        except (ApiError, UsageError) as error:
            return [fact("copies", f"cannot be looked for: {error.what}", "dim")]
        of_it = (version.name, version.version)
        found = [v for v in page.model_versions if v.copied_from == of_it]
        words = ", ".join(f"{v.name} version {v.version}" for v in found[:8])
        more = " and more" if len(found) > 8 or page.next_page_token else ""
        return [fact("copied to", f"{words}{more}")] if found else []

    async def _signature_lines(self, subject: Subject, version: ModelVersion) -> list[Line]:
        client = self._models.live(subject.context).connection.mlflow
        if client is None:
            return []
        try:
            told = await signature(client, version)
        except McpTuiError as error:
            return [fact("signature", f"its MLmodel file cannot be read: {error.what}", "dim")]
        return signature_lines(told)

    # -- approvals --------------------------------------------------------------------------

    async def _approvals(self, subject: Subject, seen: SeenModel) -> list[Line]:
        """Of the version; of a model those of what its aliases point to."""
        live = self._models.live(subject.context)
        numbers = [subject.version] if subject.version else []
        numbers = numbers or list(dict.fromkeys(v for _, v in in_order(seen.aliases)))
        lines: list[Line] = []
        for number in numbers:
            try:
                found = await live.engine.approvals(subject.model, number)
            except (ApiError, UsageError, GoneError) as error:
                lines += [fact(f"version {number}", f"cannot be told: {error.what}", "attention")]
                continue
            lines += approval_lines(found)
        if not numbers:
            lines.append((Cell("no alias is set; open a version to see its approvals", "dim"),))
        return [*lines, (), (Cell(f"note: {NOT_ENFORCED}", "dim"),)]


def approval_lines(found: Judged) -> list[Line]:
    """How each level of a version stands, and why."""
    told = found.approvals
    head = f"version {found.version.version}"
    if told.rule.mode is not Mode.LEVELS:
        return [fact(head, "; ".join((told.text(), *told.told)))]
    lines: list[Line] = [fact(head, told.text(), "done" if told.complete else "waiting")]
    for each in told.levels:
        lines.append((Cell("  "), Cell(clean_line(each.text()), _STANDINGS[each.standing])))
        lines.append((Cell(f"      by {clean_line(who_may(each.level))}", "dim"),))
    lines.append(fact("for", found.subject.digest, "dim"))
    made_by = ", ".join(sorted(found.authors)) or "nobody knows"
    own = "" if told.rule.own else "; nobody approves their own"
    lines.append(fact("made by", f"{made_by}{own}", "dim"))
    return lines


def model_lines(seen: SeenModel, now: float, *, short: bool = False) -> list[Line]:
    """A model: its aliases with the way back, its versions."""
    count = len(seen.versions)
    lines: list[Line] = [
        (Cell(clean_line(seen.name), "strong"), Cell(f"   {count:,} version{_s(count)}", "dim")),
        (),
    ]
    for alias, _ in in_order(seen.aliases):
        told = seen.history(alias)
        lines.append(fact(alias, f"{named(told.current)}; {back_words(told.back)}"))
        lines += _unended_lines(told, now)
        moved = next((m for m in reversed(told.moves) if m.intent is not None), None)
        if moved is not None and moved.intent is not None and not short:
            meant = moved.intent
            lines.append(fact("", f"{meant.verb} {ago(meant.at, now)} ago by {meant.who}", "dim"))
    if not seen.aliases:
        lines.append(fact("aliases", "none are set", "dim"))
    for version in seen.versions[: 5 if short else 20]:
        held = [a for a, v in in_order(seen.aliases) if v == version.version]
        made = ago(version.creation_timestamp / 1000, now)
        words = f"made {made} ago  {version.run_id[:8]}  {', '.join(held)}"
        lines.append(fact(f"version {version.version}", words.rstrip()))
    return lines


def version_lines(seen: SeenModel, version: ModelVersion, now: float) -> list[Line]:
    """A version: what points to it, what it is, where it came from."""
    held = [a for a, v in in_order(seen.aliases) if v == version.version]
    state = version.status.lower().replace("_", " ") or "ready"
    lines: list[Line] = [
        (
            Cell(f"{clean_line(seen.name)} version {version.version}", "strong"),
            Cell(f"   {clean_line(state)}", "" if state == "ready" else "failed"),
        ),
        (),
    ]
    for alias in held:
        told = seen.history(alias)
        lines += [fact(alias, back_words(told.back)), *_unended_lines(told, now)]
    champion = seen.aliases.get("champion")
    if champion and champion != version.version:
        lines.append(fact("champion", f"is {named(champion)}", "dim"))
    made = version.creation_timestamp / 1000
    lines.append(fact("created", f"{absolute(made)}, {ago(made, now)} ago"))
    copied = version.copied_from
    facts = [
        ("by", version.user_id),
        ("copy of", f"{copied[0]} version {copied[1]}" if copied else ""),
        ("source", shown_uri(version.source)),
        ("about", version.description),
        ("says", version.status_message),
    ]
    return [*lines, *(fact(name, text) for name, text in facts if text)]


def run_lines(run: Run) -> list[Line]:
    """The run that a version was made by, and what that was made of."""
    status = "deleted" if run.is_deleted else run.info.status.lower()
    tone: Tone = "failed" if status in ("failed", "killed") else ""
    lines = [fact("run", f"{run.run_id} {status}  {run.name}", tone)]
    made = made_of_run(run)
    for part in PARTS:
        if made.get(part):
            lines.append(fact(part, made[part]))
        else:
            lines.append(fact(part, "not known", "attention"))
    for each in run.datasets:
        data = each.dataset
        context = f" ({each.context})" if each.context else ""
        lines.append(fact("dataset", f"{data.name}{context}  {data.digest}  {data.source}"))
    return lines


def signature_lines(told: Signature | None) -> list[Line]:
    """What a version takes and gives."""
    if told is None:
        return [fact("signature", "its MLmodel file says none, or is not there", "dim")]
    lines: list[Line] = []
    for name, schema in (("takes", told.inputs), ("gives", told.outputs)):
        found = columns(schema)
        lines += [
            fact(name if n == 0 else "", each) for n, each in enumerate(found[:_COLUMNS_SHOWN])
        ]
        if len(found) > _COLUMNS_SHOWN:
            lines.append(fact("", f"and {len(found) - _COLUMNS_SHOWN} more", "dim"))
    if told.flavors:
        lines.append(fact("flavors", ", ".join(told.flavors)))
    return lines


def copies_lines(seen: SeenModel, version: ModelVersion) -> list[Line]:
    """Versions of the same model that are of the same files."""
    same = [
        v.version
        for v in seen.versions
        if v.version != version.version and (v.source == version.source != "")
    ]
    return [fact("same files", f"version {', '.join(same)}")] if same else []


# -- history --------------------------------------------------------------------------------


def history_lines(seen: SeenModel, now: float, version: str = "") -> list[Line]:
    """How every alias came to where it is, those of a version first; the newest move first."""
    held = {a for a, v in seen.aliases.items() if v == version}
    names = set(seen.aliases) | set(aliases_on_record(seen.name, (v.tag for v in seen.versions)))
    lines: list[Line] = []
    for alias in sorted(names, key=lambda a: (a not in held, a != "champion", a)):
        if lines:
            lines.append(())
        lines += alias_lines(seen.history(alias), now)
    return lines or [(Cell("no alias is set, and none was moved on record", "dim"),)]


def alias_lines(told: History, now: float) -> list[Line]:
    """One alias."""
    lines: list[Line] = [
        (
            Cell(f"{clean_line(told.alias)}  ", "strong"),
            Cell(f"{named(told.current)}; {back_words(told.back)}"),
        )
    ]
    lines += _unended_lines(told, now)
    lines += [(Cell(f"  {problem}: it is left out", "attention"),) for problem in told.problems]
    for move in reversed(told.moves):
        lines += _move_lines(move)
    if not told.moves:
        lines.append((Cell("  no move is on record", "dim"),))
    return lines


def _unended_lines(told: History, now: float) -> list[Line]:
    """Moves that were begun and never ended: of a console that was killed."""
    states = {m.record.plan: m.state for m in told.moves if m.record is not None}
    return [
        (Cell(f"  {unended_words(r, states.get(r.plan, MoveState.UNKNOWN), now)}", "attention"),)
        for r in told.unended
    ]


def _move_lines(move: Move) -> Iterable[Line]:
    where = f"{move.came or 'nothing'} > {move.to or 'nothing'}"
    meant = move.intent
    if meant is None:
        yield (
            Cell(f"  {'-':<20}  moved     {where:<14}"),
            Cell("past the record", "attention"),
            Cell("  by somebody else, when is not known"),
        )
        return
    yield (
        Cell(f"  {absolute(meant.at):<20}  {meant.verb:<8}  {where:<14}"),
        Cell(f"{move.state.value:<9}", _STATES[move.state]),
        Cell(clean_line(f"  {meant.who}  {meant.why}".rstrip())),
    )
    if meant.override:
        yield (Cell(f"      in spite of a failed gate: {clean_line(meant.override)}", "attention"),)
    for gate in meant.gates:
        tone: Tone = "dim" if gate.startswith("passed") else "attention"
        yield (Cell(f"      {clean_line(gate)}", tone),)
    if meant.made:
        made = "  ".join(f"{part} {clean_line(text)}" for part, text in meant.made.items())
        yield (Cell(f"      {made}", "dim"),)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
