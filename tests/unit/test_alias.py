"""The record of an alias: what is written, what is read back, and where a rollback goes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mcp_tui.domain import alias as a
from mcp_tui.domain.aliashistory import History, MoveState, history
from mcp_tui.domain.text import clean_line
from tests.hostile.texts import hostile

PLAN = f"{7:032x}"


def intent(came: str, to: str, seq: int, **more: object) -> a.Intent:
    fields = {"verb": "promote", "model": "ranker", "alias": "champion", "at": float(seq)} | more
    return a.Intent(came=came, to=to, seq=seq, **fields)  # type: ignore[arg-type]  # a test's own


@dataclass
class Server:
    """A registry as far as an alias goes, and the truth that it does not keep."""

    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    alias: str = ""
    below: list[str] = field(default_factory=list)

    def make(self) -> str:
        version = str(len(self.versions) + 1)
        self.versions[version] = {}
        return version

    def move(self, to: str, *, back: bool = False) -> None:
        """The alias moves in truth: a rollback goes down the stack, all else is laid on it."""
        if back and self.below and self.below[-1] == to:
            self.below.pop()
        else:
            self.below.append(self.alias)
        self.alias = to

    def tag(self, version: str, key: str, value: str) -> None:
        if version in self.versions:
            self.versions[version][key] = value

    def records(self) -> a.Records:
        tags = (a.VersionTags(version=v, tags=t) for v, t in self.versions.items())
        return a.records("ranker", "champion", tags)

    def history(self) -> History:
        found, there = self.records(), frozenset(self.versions)
        return history("ranker", "champion", found, current=self.alias, versions=there)


@dataclass
class Doing:
    """One console's move on its way: planned, written down, done, ended."""

    plan: str
    intent: a.Intent
    known: frozenset[str]
    step: int = 0
    dead: bool = False


class Consoles(RuleBasedStateMachine):
    """Several consoles, kills at every point, and somebody else who moves the alias."""

    @initialize(first=st.booleans())
    def begin(self, first: bool) -> None:
        self.server = Server()
        self.doing: list[Doing] = []
        self.plans = 0
        self.quiet = True  # Nobody else moved it, nobody was killed, nobody raced.
        for _ in range(3):
            self.server.make()
        if first:
            self.server.alias = "1"

    def _plan(self, to: str, verb: str) -> None:
        records = self.server.records()
        dead = {d.plan for d in self.doing if d.dead}
        alive = tuple(r.plan[:12] for r in records.unended if r.plan not in dead)
        self.quiet = self.quiet and not alive
        self.plans += 1
        meant = intent(self.server.alias, to, records.next_seq, verb=verb, open=alive)
        self.doing.append(Doing(f"{self.plans:032x}", meant, records.plans))

    @rule(old=st.booleans(), data=st.data())
    def promote(self, old: bool, data: st.DataObject) -> None:
        to = data.draw(st.sampled_from(sorted(self.server.versions))) if old else self.server.make()
        if to != self.server.alias:
            self._plan(to, "promote")

    @rule()
    def rollback(self) -> None:
        back = self.server.history().back
        if back.possible:
            self._plan(back.to, "rollback")

    @rule(which=st.integers(0, 9))
    def go_on(self, which: int) -> None:
        """The next step of one of them: the checks, then the intent; checks, the move; the end."""
        going = [d for d in self.doing if not d.dead and d.step < 3]
        if not going:
            return
        it = going[which % len(going)]
        server = self.server
        others = server.records().plans - {it.plan} - it.known
        if it.step < 2 and (server.alias != it.intent.came or others):
            # Somebody was faster: nothing is moved, and that is written down.
            if it.step == 1:
                refused = a.end_value(a.End(moved=False, at=1.0))
                server.tag(it.intent.on, a.end_key(it.plan), refused)
            it.step = 3
            return
        if it.step == 0:
            server.tag(it.intent.on, a.intent_key(it.plan), a.intent_value(it.intent))
        elif it.step == 1:
            server.move(it.intent.to, back=it.intent.verb == "rollback")
        else:
            end = a.End(moved=True, at=1.0, seen=server.alias)
            server.tag(it.intent.on, a.end_key(it.plan), a.end_value(end))
        it.step += 1

    @rule(which=st.integers(0, 9))
    def kill(self, which: int) -> None:
        going = [d for d in self.doing if not d.dead and 0 < d.step < 3]
        if going:
            going[which % len(going)].dead = True
            self.quiet = False

    @rule()
    def somebody_else(self) -> None:
        """To a version of their own: there and back again leaves no trace that anybody finds."""
        self.server.move(self.server.make())
        self.quiet = False

    @rule()
    def somebody_takes_it_away(self) -> None:
        if self.server.alias:
            self.server.move("")
            self.quiet = False

    @invariant()
    def rollback_goes_to_what_was_live_before_or_says_why_not(self) -> None:
        found = self.server.history()
        assert found.current == self.server.alias
        if found.back.possible:
            assert self.server.below and found.back.to == self.server.below[-1]
        else:
            assert found.back.why_not
        going = any(d.step in (1, 2) and not d.dead for d in self.doing)
        if self.quiet and not going and self.server.below:
            assert found.back.possible, found

    @invariant()
    def every_move_is_told(self) -> None:
        found = self.server.history()
        assert {m.record.plan for m in found.moves if m.record} == self.server.records().plans
        live = [m for m in found.moves if m.state not in (MoveState.NOT_DONE, MoveState.UNKNOWN)]
        assert not live or live[-1].to == self.server.alias


TestConsoles = Consoles.TestCase
TestConsoles.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def told(*steps: tuple[str, str, str], current: str, versions: str = "123456789") -> History:
    """A history of records ``(came, to, how)``: ``done``, ``not`` or ``open``."""
    server = Server(versions={v: {} for v in versions}, alias=current)
    for seq, (came, to, how) in enumerate(steps, 1):
        verb = "rollback" if "back" in how else "promote"
        server.tag(
            to or came,
            a.intent_key(f"{seq:032x}"),
            a.intent_value(intent(came, to, seq, verb=verb)),
        )
        if "open" not in how:
            end = a.End(moved="not" not in how, at=1.0)
            server.tag(to or came, a.end_key(f"{seq:032x}"), a.end_value(end))
    return server.history()


def test_undo_twice_goes_two_back() -> None:
    assert told(("1", "2", "done"), ("2", "3", "done"), current="3").back.to == "2"
    found = told(("1", "2", "done"), ("2", "3", "done"), ("3", "2", "done back"), current="2")
    assert found.back.to == "1"
    assert [m.state for m in found.moves] == [MoveState.DONE] * 3


def test_the_first_promotion_is_taken_back_to_nothing() -> None:
    found = told(("", "1", "done"), current="1")
    assert found.back.possible and found.back.to == ""
    after = told(("", "1", "done"), ("1", "", "done back"), current="")
    assert not after.back.possible and "begins with nothing" in after.back.why_not


@pytest.mark.parametrize(
    ("current", "states", "back"),
    [("2", ["found"], "1"), ("1", ["not done"], ""), ("7", ["unknown", "foreign"], "")],
)
def test_a_killed_move_is_told_by_where_the_alias_points(
    current: str, states: list[str], back: str
) -> None:
    found = told(("1", "2", "open"), current=current)
    assert [m.state.value for m in found.moves] == states
    assert found.back.to == back and found.back.possible is bool(back)
    assert [r.intent.to for r in found.unended] == ["2"]


def test_a_move_past_the_record_is_found_and_nothing_is_guessed() -> None:
    found = told(("1", "2", "done"), current="7")
    assert found.foreign is not None and (found.foreign.came, found.foreign.to) == ("2", "7")
    assert not found.back.possible and found.back.perhaps == "2"
    assert "from version 2 to version 7 past the record" in found.back.why_not
    # Named on purpose, it goes on from there.
    after = told(("1", "2", "done"), ("7", "2", "done back"), current="2")
    assert [m.state.value for m in after.moves] == ["done", "foreign", "done"]
    assert after.back.to == "1"


def test_a_version_that_is_gone_is_no_way_back() -> None:
    found = told(("1", "2", "done"), ("2", "3", "done"), current="3", versions="13")
    assert not found.back.possible and found.back.perhaps == ""
    server = Server(versions={"1": {}, "3": {}}, alias="3")
    server.tag("3", a.intent_key(PLAN), a.intent_value(intent("2", "3", 2)))
    assert "version 2, which was live before, was deleted" in server.history().back.why_not


def test_what_a_copied_version_carries_is_not_its_own() -> None:
    server = Server(versions={"1": {}, "2": {}, "3": {}}, alias="3")
    server.tag("3", a.intent_key(PLAN), a.intent_value(intent("1", "2", 1)))
    server.tag("3", a.intent_key(f"{8:032x}"), a.intent_value(intent("2", "3", 1, model="other")))
    assert server.records() == a.Records()
    assert server.history().back.why_not == "no move of champion is on record"


def test_two_that_did_not_know_of_each_other_leave_no_way_back() -> None:
    server = Server(versions={v: {} for v in "123"}, alias="3")
    for n, to in enumerate("23"):
        server.tag(to, a.intent_key(f"{n:032x}"), a.intent_value(intent("1", to, 1)))
        server.tag(to, a.end_key(f"{n:032x}"), a.end_value(a.End(moved=True, at=1.0, seen=to)))
    found = server.history()
    assert not found.back.possible and "at the same time" in found.back.why_not
    assert {m.to for m in found.moves} == {"2", "3"}


@given(
    st.text(max_size=8_000), st.text(max_size=3_000), st.lists(st.text(max_size=400), max_size=60)
)
def test_a_record_stays_within_the_limits_and_is_read_back(
    why: str, who: str, gates: list[str]
) -> None:
    meant = intent("1", "2", 3, why=why, who=who, override=why, gates=tuple(gates))
    value = a.intent_value(meant)
    assert len(value) <= a.LONGEST
    server = Server(versions={"1": {}, "2": {a.intent_key(PLAN): value}}, alias="2")
    [move] = server.records().moves
    assert (move.intent.came, move.intent.to, move.intent.seq) == ("1", "2", 3)


@given(hostile, st.sampled_from(["", "x", "1" * 32, PLAN, f"{PLAN}.end", f"{PLAN}.END"]))
def test_tags_of_others_break_nothing(text: str, key: str) -> None:
    server = Server(versions={"1": {}, "2": {}}, alias="2")
    server.tag("2", a.intent_key(PLAN), a.intent_value(intent("1", "2", 1)))
    server.tag("1", f"{a.PREFIX}{key}", text)
    server.tag("1", f"{a.PREFIX}{text}", text)
    found = server.history()
    assert found.back.to == "1"
    assert all(clean_line(p) == p for p in found.problems)


BAD = {
    "seq": 0, "at": -1.0, "to": "2; drop", "alias": "latest", "verb": "delete", "v": 2,
    "came": "2", "gates": "x", "made": [],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_record_that_makes_no_sense_is_said(name: str) -> None:
    value = json.loads(a.intent_value(intent("1", "2", 1))) | {name: BAD[name]}
    server = Server(versions={"1": {}, "2": {a.intent_key(PLAN): json.dumps(value)}}, alias="2")
    found = server.records()
    assert not found.moves and "cannot be read" in found.problems[0]


def test_names_that_mlflow_keeps_are_refused() -> None:
    assert not a.alias_fault("champion-2_B")
    for bad in ("", "latest", "Latest", "v12", "V1", "a/b", "é", "a b", "x" * 256):
        assert a.alias_fault(bad), bad


def test_the_number_of_the_next_has_an_end() -> None:
    server = Server(versions={"1": {}, "2": {}})
    server.tag("2", a.intent_key(PLAN), a.intent_value(intent("1", "2", a.MAX_SEQ)))
    assert server.records().next_seq == a.MAX_SEQ


def raw(server: Server, plan: int, meant: a.Intent, end: a.End | None) -> None:
    server.tag(meant.on, a.intent_key(f"{plan:032x}"), a.intent_value(meant))
    if end is not None:
        server.tag(meant.on, a.end_key(f"{plan:032x}"), a.end_value(end))


def test_who_moved_while_another_was_under_way_knows_no_way_back() -> None:
    server = Server(versions={v: {} for v in "123"}, alias="3")
    raw(server, 1, intent("1", "2", 1), None)
    raw(server, 2, intent("1", "3", 2, open=(f"{1:032x}"[:12],)), a.End(moved=True, at=1.0))
    assert "under way at the same time" in server.history().back.why_not
    # Once it is certain that the other was not done, there is one.
    raw(server, 1, intent("1", "2", 1), a.End(moved=False, at=1.0))
    assert server.history().back.to == "1"


def test_an_unended_move_that_was_planned_at_the_same_time_leaves_no_way_back() -> None:
    server = Server(versions={v: {} for v in "123"}, alias="3")
    raw(server, 1, intent("1", "2", 1), None)
    raw(server, 2, intent("1", "3", 1), a.End(moved=True, at=1.0, seen="3"))
    assert "at the same time" in server.history().back.why_not
    raw(server, 1, intent("1", "2", 1), a.End(moved=False, at=1.0))
    assert server.history().back.to == "1"


def test_what_was_seen_just_after_a_move_counts() -> None:
    """Somebody moved it and moved it back; the look after the move saw it in between."""
    server = Server(versions={v: {} for v in "1237"}, alias="2")
    raw(server, 1, intent("1", "2", 1), a.End(moved=True, at=1.0, seen="7"))
    found = server.history()
    assert not found.back.possible
    assert [(m.came, m.to) for m in found.moves] == [("1", "2"), ("2", "7"), ("7", "2")]
