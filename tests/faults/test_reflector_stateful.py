"""Whatever happens, after quiet a reflector's sink has what the server has, and the store too.

Random changes, pages, watches, faults, restarts and restored servers, against a server within the
process on a clock of its own: a step costs milliseconds and may last for minutes. Hypothesis looks
for the shortest way to a ghost, a missing row, or an older version over a newer one.
"""

from __future__ import annotations

import os

import httpx
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from mcp_tui.sources.kubernetes import reflector as reflector_module
from tests.faults.apiserver import GONE, Spoilt, encoded, refusal
from tests.faults.virtually import Scene
from tests.joined.sources import SOURCES, Source
from tests.soak import times

NAMES = ("a", "b", "c", "d", "e")
STATUSES = (400, 401, 403, 404, 405, 408, 409, 410, 422, 429, 500, 502, 503, 504)

bodies = st.sampled_from((b"", b"<html><title>no</title></html>", b'{"kind":"Sta', b"[1]"))
spoilt = st.one_of(
    st.builds(
        lambda status, body, after: Spoilt(status, body or encoded(refusal(status)), (), after),
        st.sampled_from(STATUSES),
        bodies,
        st.sampled_from((0.0, 20.0)),
    ),
    st.builds(
        lambda status, wait: Spoilt(status, encoded(refusal(status)), (("Retry-After", wait),)),
        st.sampled_from((429, 503)),
        st.sampled_from(("0", "1", "700", "soon")),
    ),
    st.builds(
        lambda body: Spoilt(200, body),
        st.sampled_from((b"", b'{"kind":"Status"}', b"<html>", b"\xff\xfe\n", b'{"items":[\n')),
    ),
    st.sampled_from((Spoilt(0), Spoilt(-1), Spoilt(410, encoded(GONE)))),
)
lists = st.one_of(
    spoilt,
    st.sampled_from(
        (Spoilt(cut=True), Spoilt(real=True, after=3.0), Spoilt(real=True, after=29.0))
    ),
)
soon = st.sampled_from((0.0, 0.02, 0.3, 2.0))
watches = st.one_of(spoilt, st.sampled_from(("gzip", "event", "error")))


class Machine(RuleBasedStateMachine):
    """Everything that can happen, in any order."""

    source = SOURCES[0]

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(self.source)
        self.server = self.scene.server
        for name in NAMES[:3]:
            self.server.put(name, 0)
        self.scene.go(3.0)

    @rule(
        names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4),
        turn=st.integers(0, 3),
        then=soon,
    )
    def put(self, names: list[str], turn: int, then: float) -> None:
        for name in names:
            if self.scene.may_write():
                self.server.put(name, turn)
        self.scene.go(then)

    @rule(name=st.sampled_from(NAMES), then=soon)
    def drop(self, name: str, then: float) -> None:
        if self.scene.may_write():
            self.server.drop(name)
        self.scene.go(then)

    @rule(name=st.sampled_from(NAMES), then=soon)
    def make_again(self, name: str, then: float) -> None:
        if self.scene.may_write():
            self.server.drop(name)
            self.server.put(name, 0)
        self.scene.go(then)

    @rule(seconds=st.sampled_from((70.0, 700.0)))
    def calm(self, seconds: float) -> None:
        self.server.calm()
        self.scene.go(seconds)

    @rule(seconds=st.sampled_from((0.0, 0.02, 0.3, 1.5, 6.0, 40.0, 400.0)))
    def wait(self, seconds: float) -> None:
        self.scene.go(seconds)

    @rule(faults=st.lists(lists, min_size=1, max_size=3))
    def lists_fail(self, faults: list[Spoilt]) -> None:
        self.server.on_list.extend(faults)

    @rule(faults=st.lists(watches, min_size=1, max_size=3))
    def watches_fail(self, faults: list[Spoilt | str]) -> None:
        self.server.on_watch.extend(faults)

    @rule(
        how=st.sampled_from(("cut", "end", "tear cut", "tear end", "late", "stall", "again")),
        names=st.lists(st.sampled_from(NAMES), max_size=2),
        then=soon,
    )
    def stream(self, how: str, names: list[str], then: float) -> None:
        for each in list(self.server.streams):
            if how == "cut":
                each.end(httpx.ReadError("reset"))
            elif how == "end":
                each.end()
            elif how == "late":
                each.late = each.late or []
            elif how == "stall":
                each.stalled = True
            elif how == "again" and each.last:
                each.give(each.last)
            else:
                each.tear = how.removeprefix("tear ")
        self.put(names, 1, then)

    @rule(times_=st.integers(1, 3), name=st.sampled_from(NAMES), then=soon)
    def garbage(self, times_: int, name: str, then: float) -> None:
        for version in range(self.server.version + 1, self.server.version + 4):
            self.server.spoil[version] = times_
        self.drop(name, then) if times_ == 2 else self.put([name], 2, then)

    @rule(many=st.sampled_from((1, 300)))
    def bookmarks(self, many: int) -> None:
        for each in self.server.streams:
            for _ in range(many):
                self.server.bookmark(each)

    @rule(back=st.integers(0, 3))
    def old_event(self, back: int) -> None:
        """An event of long ago comes once more."""
        for each in self.server.streams:
            if len(self.server.history) > back:
                _, type_, doc = self.server.history[-1 - back]
                each.line({"type": type_, "object": doc})

    @rule(by_event=st.booleans())
    def compact(self, by_event: bool) -> None:
        self.server.says_by_event = by_event
        self.server.compact()

    @rule(down=st.booleans())
    def reach(self, down: bool) -> None:
        self.server.down = down
        if down:
            self.server.cut_all()

    @rule()
    def restart(self) -> None:
        self.server.restart()

    @rule(back=st.integers(1, 6), names=st.lists(st.sampled_from(NAMES), max_size=2))
    def restore(self, back: int, names: list[str]) -> None:
        """So quickly that nobody misses it: then its versions are older, until that is seen."""
        if self.scene.may_restore(back):
            self.server.restore(back)
        for name in names:
            if self.scene.may_write():
                self.server.put(name, 2)

    @rule(
        back=st.integers(1, 6),
        seconds=st.sampled_from((20.0, 60.0, 500.0)),
        names=st.lists(st.sampled_from(NAMES), max_size=12),
        turn=st.integers(0, 3),
    )
    def restore_slowly(self, back: int, seconds: float, names: list[str], turn: int) -> None:
        """As people do it: it is away for a while. How far it has come by then is all the same."""
        self.server.down = True
        self.server.restart()
        self.scene.go(seconds)
        self.server.restore(back)
        for name in names:
            self.server.put(name, turn)
        self.server.down = False

    @rule(kind=st.sampled_from(("stopped", "slept")))
    def suspend(self, kind: str) -> None:
        self.scene.offset["wall"] += 500.0
        if kind == "stopped":
            self.scene.offset["clock"] += 500.0

    @rule()
    def settle(self) -> None:
        self.scene.settle()

    def teardown(self) -> None:
        try:
            self.scene.settle()
        finally:
            self.scene.close()


@pytest.mark.soak
@pytest.mark.parametrize("share", range(times(1, 20)))
@pytest.mark.parametrize(
    "source", [each for each in SOURCES if each.followed], ids=lambda source: source.name
)
def test_the_sink_has_what_the_server_has(
    source: Source, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In shares, each the same every time: what is found is told before the test's time is up."""
    monkeypatch.setattr(reflector_module, "PAGE", 2)
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", 60)
    first = int(os.environ.get("MCP_TUI_SEED", "0"))
    machine = seed(first + share)(type("Machine", (Machine,), {"source": source}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=times(8, 50),
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
            database=None,
            deadline=None,
        ),
    )
