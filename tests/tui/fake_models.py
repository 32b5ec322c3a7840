"""A registry in memory: list, details and plans are the console's own, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_tui.actions.aliaslook import SeenModel
from mcp_tui.actions.approving import Judged, plan_approve
from mcp_tui.actions.evidence import Evidence, GateLine, Why
from mcp_tui.actions.jobs import Scope
from mcp_tui.actions.models import Wanted, plan_promote, plan_rollback
from mcp_tui.domain.alias import End, Intent, end_key, end_value, intent_key, intent_value
from mcp_tui.domain.approval import Identity, Level, Mode, Rule
from mcp_tui.domain.approval import subject as approval_subject
from mcp_tui.domain.approval_rules import judge
from mcp_tui.domain.model import AliasOf, ModelVersion, RegisteredModel
from mcp_tui.domain.modelrow import RunRow, model_row, version_row
from mcp_tui.domain.plan import Check, CheckStatus, Plan
from mcp_tui.domain.run import Pair
from mcp_tui.errors import GoneError, UsageError
from mcp_tui.tui.live.models_details import fact, history_lines, model_lines, version_lines
from mcp_tui.tui.live.models_model import Item, ModelsModel
from mcp_tui.tui.model import Cell, FormField, Line, Phase
from mcp_tui.tui.model_models import Part, Subject

if TYPE_CHECKING:
    from tests.tui.fake import FakeBackend

NOW = 1_795_402_920.0
HOUR = 3_600.0


@dataclass
class FakeRegistered:
    """A registered model with its versions, the newest first."""

    name: str
    versions: list[ModelVersion]
    aliases: dict[str, str] = field(default_factory=dict)
    about: str = ""
    runs: dict[str, str] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    approvals: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> SeenModel:
        return SeenModel(name=self.name, aliases=self.aliases, versions=tuple(self.versions))


def version(
    name: str,
    number: int,
    *,
    hours: float,
    tags: Mapping[str, str] | None = None,
    about: str = "",
    status: str = "READY",
) -> ModelVersion:
    """A version that was made some hours ago."""
    at = int((NOW - hours * HOUR) * 1000)
    return ModelVersion(
        name=name, version=str(number), creation_timestamp=at, last_updated_timestamp=at,
        description=about, source=f"mlflow-artifacts:/1/run{number}/artifacts/model",
        run_id=f"{number:032x}", status=status, user_id="alice",
        tags=tuple(Pair(key=k, value=v) for k, v in (tags or {}).items()),
    )  # fmt: skip


def move(
    plan: str,
    name: str,
    came: str,
    to: str,
    seq: int,
    *,
    hours: float,
    who: str,
    why: str,
    verb: str = "promote",
    ended: bool = True,
    override: str = "",
    gates: tuple[str, ...] = (),
) -> dict[str, str]:
    """The tags that a move of ``champion`` leaves."""
    at = NOW - hours * HOUR
    intent = Intent(
        verb=verb, model=name, alias="champion", came=came, to=to, seq=seq, at=at, who=who,  # type: ignore[arg-type]  # by name
        why=why, override=override, gates=gates,
    )  # fmt: skip
    plan = plan * 32
    tags = {intent_key(plan): intent_value(intent)}
    if ended:
        tags[end_key(plan)] = end_value(End(moved=True, at=at + 1, seen=to))
    return tags


def registered() -> list[FakeRegistered]:
    """Three models: with a history, moved past the record by somebody, and a new one."""
    ranker = FakeRegistered(
        "ranker",
        [
            version("ranker", 7, hours=2, about="wider towers"),
            version("ranker", 6, hours=20),
            version(
                "ranker", 5, hours=50, about="clicks@v31",
                tags=move("c", "ranker", "4", "5", 3, hours=26, who="bo", why="better F1",
                          gates=("passed: f1_macro >= 0.90: 0.931 (f1_macro)",
                                 "FAILED: latency_p99_ms <= 40: 44.0 (latency_p99_ms)"),
                          override="latency is being worked on"),
            ),
            version(
                "ranker", 4, hours=200,
                tags=move("a", "ranker", "3", "4", 1, hours=190, who="alice", why="first one")
                | {"team": "ads"},
            ),
            version("ranker", 3, hours=400),
        ],
        {"champion": "5", "challenger": "7"},
        "orders what people see first",
        {f"{n:032x}": s for n, s in ((7, "finished"), (6, "failed"), (5, "finished"))},
        {"5": "Deployment/ranker 3/3", "7": "Deployment/ranker-canary 1/1"},
        {"7": "1 of 2", "6": "0 of 2", "5": "2 of 2", "4": "2 of 2", "3": "0 of 2"},
    )  # fmt: skip
    ctr = FakeRegistered(
        "ctr",
        [
            version("ctr", 3, hours=5),
            version("ctr", 2, hours=30,
                    tags=move("d", "ctr", "1", "2", 1, hours=29, who="bo", why="")),
            version("ctr", 1, hours=300),
        ],
        {"champion": "3"},
        "click through rate",
        served={"2": "InferenceService/ctr 2/2"},
    )  # fmt: skip
    fraud = FakeRegistered(
        "fraud-detector",
        [
            version("fraud-detector", 2, hours=1, status="FAILED_REGISTRATION"),
            version("fraud-detector", 1, hours=3),
        ],
    )
    return [ctr, fraud, ranker]


def many(count: int) -> list[FakeRegistered]:
    """A long list."""
    return [FakeRegistered(f"model-{n:05d}", [version(f"m{n}", 1, hours=n)]) for n in range(count)]


class FakeModels:
    """What the Models pane asks for."""

    def __init__(self, backend: FakeBackend, models: Sequence[FakeRegistered] = ()) -> None:
        self._backend = backend
        self.models = {m.name: m for m in (models or registered())}
        self.opened: list[str] = []
        self.looks: list[tuple[tuple[str, ...], bool]] = []
        self.asked: list[str] = []
        self.planned: list[Mapping[str, str]] = []
        self.sorts: list[tuple[str, bool]] = []
        self.gates: tuple[GateLine, ...] = (
            GateLine(passed=True, said="f1_macro >= 0.90: 0.94 (f1_macro)"),
        )
        self.made = {"commit": "9c1f2ab", "image": "sha256:4e", "config": "sha256:aa",
                     "data": "v31"}  # fmt: skip
        self.waits = False
        self.fault = ""
        self.model = ModelsModel(
            self._status, lambda _: False, self._unfolded,
            lambda column, reverse: self.sorts.append((column, reverse)), lambda: NOW,
        )  # fmt: skip
        self.put()

    def put(self, *, more: bool = False) -> None:
        """Show what there is."""
        self.model.put_models([self._item(m) for m in self.models.values()], more=more)
        for name in self.opened:
            self.answer(name)

    def answer(self, name: str) -> None:
        """The versions of a model come."""
        found, top = self.models[name], self._item(self.models[name])
        items = [
            Item(
                context=top.context, model=top.model, version=version_row(v),
                run=RunRow(run_id=v.run_id, status=found.runs.get(v.run_id, "finished")),
                served=found.served.get(v.version, ""),
                approvals=found.approvals.get(v.version, ""),
            )
            for v in found.versions
        ]  # fmt: skip
        self.model.put_versions(top, items, more=False, fault="")

    def _item(self, found: FakeRegistered) -> Item:
        newest = found.versions[0]
        row = model_row(
            RegisteredModel(
                name=found.name, description=found.about, latest_versions=(newest,),
                last_updated_timestamp=newest.last_updated_timestamp,
                aliases=tuple(AliasOf(alias=a, version=v) for a, v in found.aliases.items()),
            )
        )  # fmt: skip
        served = ", ".join(f"{v}: {s}" for v, s in found.served.items())
        return Item(context=self._backend.state().contexts[0], model=row, served=served)

    def _status(self) -> tuple[Phase, tuple[str, ...]]:
        return "ready", ("no registered models; p on a run registers one",)

    def _unfolded(self, subject: Subject, on: bool) -> None:
        if on:
            self.opened.append(subject.model)
            if not self.waits:
                self.answer(subject.model)
        else:
            self.opened.remove(subject.model)

    def look(self, keys: Sequence[str], *, last: bool) -> None:
        self.looks.append((tuple(keys), last))

    def _seen(self, subject: Subject) -> SeenModel:
        found = self.models.get(subject.model)
        if found is None:
            raise GoneError(f"{subject.words} is gone")
        return found.seen

    async def part(self, subject: Subject, part: Part) -> Sequence[Line]:
        self.asked.append(f"{part} {subject.words}")
        seen = self._seen(subject)
        if part == "History":
            return history_lines(seen, NOW, subject.version)
        if part == "Approvals":
            return [fact("ml-lead", "given by bo 2026-11-22 13:40Z: looks good", "done")]
        found = seen.version(subject.version) if subject.version else None
        return model_lines(seen, NOW) if found is None else version_lines(seen, found, NOW)

    async def preview(self, subject: Subject) -> Sequence[Line]:
        lines = await self.part(subject, "Overview")
        return [*lines, (), (Cell("p promote   Enter detail   u undo", "key"),)]

    async def promote_fields(self, subject: Subject) -> Sequence[FormField]:
        if subject.is_run:
            return (
                FormField(
                    "model", "model", "", "the registered model that it becomes a version of"
                ),
                FormField("alias", "alias", "champion", "moved to the new version"),
                FormField("why", "reason", "", "kept on record with the move"),
                FormField("override", "override", "", "only where a gate failed"),
            )
        return (
            FormField("alias", "alias", "champion", "the alias that is moved; champion is "
                      f"version {self._seen(subject).aliases.get('champion', '-')}"),
            FormField("why", "reason", "", "kept on record with the move"),
            FormField("override", "override", "", "only where a gate failed"),
        )  # fmt: skip

    def _scope(self) -> Scope:
        state = self._backend.state()
        return Scope(context=state.contexts[0], tier=state.tier)

    def _evidence(self) -> Evidence:
        approvals = Check(name="approvals", status=CheckStatus.PASSED, message="approvals 2 of 2")
        return Evidence(gates=self.gates, made=self.made, checks=(approvals,))

    async def plan_promote(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        self.planned.append(dict(fields))
        if fields["alias"] == "latest":
            raise UsageError("'latest' is no alias", where="alias", hint="MLflow keeps it")
        why = Why(user="alice", now=NOW, why=fields["why"], override=fields["override"])
        if subject.is_run:
            wanted = Wanted(source=f"runs:/{subject.run_id}/model", run_id=subject.run_id,
                            origin=subject.words)  # fmt: skip
            seen = SeenModel(name=fields["model"], there=False)
            return plan_promote(self._scope(), seen, wanted, why, alias=fields["alias"],
                                evidence=self._evidence())  # fmt: skip
        return plan_promote(
            self._scope(), self._seen(subject), Wanted(version=subject.version), why,
            alias=fields["alias"], evidence=self._evidence(),
        )  # fmt: skip

    async def plan_undo(self, subject: Subject, alias: str = "") -> Plan:
        why = Why(user="alice", now=NOW)
        return plan_rollback(self._scope(), self._seen(subject), why, alias=alias or "champion")

    async def approve_fields(self, subject: Subject) -> Sequence[FormField]:
        return (
            FormField("level", "level", "sre", "ml-lead: given; sre: missing"),
            FormField("reason", "reason", "", "what was looked at; kept on record"),
        )

    async def plan_approve(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        self.planned.append(dict(fields))
        if not fields["reason"]:
            raise UsageError("an approval says why", where="reason")
        rule = Rule(mode=Mode.LEVELS, levels=(Level(name="sre", people=("alice",)),), own=True)
        found = self._seen(subject).version(subject.version)
        assert found is not None
        what = approval_subject(subject.model, subject.version, b"flavors: {}", [("MLmodel", 11)])
        judged = Judged(version=found, subject=what, authors=frozenset({"bo"}),
                        approvals=judge(rule, found.tag, what, {"bo"}))  # fmt: skip
        who = Identity(user="alice", groups=("sre",))
        return plan_approve(self._scope(), rule, judged, who, fields["level"],
                            reason=fields["reason"], now=NOW)  # fmt: skip

    async def copy_fields(self, subject: Subject) -> Sequence[FormField]:
        return (
            FormField("to", "to model", "", f"where {subject.words} is copied to"),
            FormField("alias", "alias", "", "moved to the copy; empty moves none"),
            FormField("why", "reason", "", "kept on record with the move"),
        )

    async def plan_copy(self, subject: Subject, fields: Mapping[str, str]) -> Plan:
        self.planned.append(dict(fields))
        if not fields["to"]:
            raise UsageError("name the model that it is copied to", where="to")
        original = self._seen(subject).version(subject.version)
        assert original is not None
        wanted = Wanted(source=original.uri, origin=subject.words, original=original)
        seen = SeenModel(name=fields["to"], there=False)
        why = Why(user="alice", now=NOW, why=fields["why"])
        return plan_promote(self._scope(), seen, wanted, why, alias=fields["alias"])
