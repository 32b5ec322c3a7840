"""Which actions of the journal are said to have been cut off, and with what advice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mcp_tui.actions import journal as journals
from mcp_tui.actions.journal import Entry, Journal, is_running, this_process
from mcp_tui.actions.unfinished import advice, line, unfinished
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Tier, Verb, Write

NOW = 1_700_000_000.0
DAY = 86_400.0
HOST = socket.gethostname()


def dead() -> str:
    """The name of a process that has ended."""
    code = "from mcp_tui.actions.journal import this_process; print(this_process())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def gone() -> str:
    return dead()


def entry(plan: str, process: str, **changes: object) -> Entry:
    base = Entry(
        at=NOW - 60,
        event="started",
        plan=plan,
        verb=Verb.SUBMIT,
        context="dev",
        tier=Tier.DEV,
        targets=(Target(context="dev", kind="Job", namespace="ml", name="a"),),
        process=process,
    )
    return msgspec.structs.replace(base, **changes)


def journal(folder: Path, *entries: Entry) -> Journal:
    it = Journal(folder)
    folder.mkdir(exist_ok=True)
    with it.path.open("ab") as file:
        file.writelines(msgspec.json.encode(e) + b"\n" for e in entries)
    return it


def found(it: Journal, *contexts: str) -> list[str]:
    return [a.started.plan for a in unfinished(it, now=NOW, contexts=contexts)]


def test_processes_are_told_apart() -> None:
    here = this_process()
    assert is_running(here) is True
    host, pid, start = here.rsplit("/", 2)
    # The pid of another process that came later.
    assert is_running(f"{host}/{pid}/{int(start) - 1}") is False
    assert is_running(f"elsewhere/{pid}/{start}") is None
    assert is_running("") is None and is_running("x") is None and is_running(f"{HOST}/x/1") is None
    assert is_running(f"{HOST}/99999999999999999999/1") is not True


def test_only_what_was_cut_off_lately_is_said(tmp_path: Path, gone: str) -> None:
    assert is_running(gone) is False
    it = journal(
        tmp_path,
        entry("old", gone, at=NOW - 8 * DAY),
        # Over a weekend, too.
        entry("friday", gone, at=NOW - 3 * DAY),
        entry("yes", gone),
        entry("ended", gone),
        entry("ended", gone, event="ended"),
        entry("runs", this_process()),
        entry("shell", gone, verb=Verb.SHELL),
        entry("forward", gone, verb=Verb.FORWARD),
        entry("prod", gone, context="prod"),
        entry("away", "elsewhere/1/1"),
        entry("long away", "elsewhere/1/1", at=NOW - 7_200),
        # The clock was set back since.
        entry("to come", gone, at=NOW + 3_600),
        entry("far to come", gone, at=NOW + 8 * DAY),
        entry("away, to come", "elsewhere/1/1", at=NOW + 60),
        # Written before processes were.
        entry("older version", "", at=NOW - 7_200),
    )
    assert found(it) == ["friday", "yes", "prod", "long away", "to come", "older version"]
    assert found(it, "prod") == ["prod"]
    assert found(Journal(tmp_path / "none")) == []


def outcome(status: OutcomeStatus, code: int, name: str = "a", message: str = "") -> Outcome:
    target = Target(context="dev", kind="Job", namespace="ml", name=name)
    return Outcome(target=target, status=status, message=message, exit_code=code)


def test_what_was_interrupted_before_it_was_known_is_said_for_a_day(tmp_path: Path) -> None:
    """Its process wrote down how it ended, and that is that nobody knows."""
    cut, known = OutcomeStatus.UNKNOWN, OutcomeStatus.FAILED
    here = this_process()
    ended: dict[str, tuple[float, Outcome]] = {
        "yes": (NOW - 60, outcome(cut, 130)),
        "old": (NOW - 90_000, outcome(cut, 130)),
        # It was told when it was done.
        "no answer": (NOW - 60, outcome(cut, 4)),
        "known": (NOW - 60, outcome(known, 130)),
        "made": (NOW - 60, outcome(OutcomeStatus.UNPROVEN, 130)),
    }
    lines = [entry(plan, here, at=at) for plan, (at, _) in ended.items()]
    ends = [
        entry(plan, here, event="ended", at=at, outcomes=(each,))
        for plan, (at, each) in ended.items()
    ]
    shell = entry("shell", here, verb=Verb.SHELL)
    left = entry("shell", here, verb=Verb.SHELL, event="ended", outcomes=(outcome(cut, 130),))
    assert found(journal(tmp_path, *lines, shell, *ends, left)) == ["yes"]


def test_the_line_says_which_of_several_is_unknown(tmp_path: Path) -> None:
    message = "interrupted while this was on its way: delete jobs/b, only if uid u"
    outcomes = (
        outcome(OutcomeStatus.UNPROVEN, 130, "a"),
        outcome(OutcomeStatus.UNKNOWN, 130, "b", message),
        outcome(OutcomeStatus.FAILED, 130, "c"),
    )
    targets = tuple(each.target for each in outcomes)
    begun = entry("1", this_process(), verb=Verb.CANCEL, targets=targets)
    ended = msgspec.structs.replace(begun, event="ended", outcomes=outcomes)
    assert line(unfinished(journal(tmp_path, begun, ended), now=NOW)) == (
        "cancel ml/b of 2023-11-14 22:12:20Z was interrupted, and it is unknown what became of it "
        f"({message}); what became of it says: mcp-tui --context dev -n ml job show b"
    )


def test_what_was_done_since_hides_nothing(tmp_path: Path, gone: str) -> None:
    """Edits of many runs are long lines, and one of them may be longer than a block."""
    runs = tuple(
        Target(context="prod", kind="Run", namespace="", name=f"run-{n}" * 9, uid=f"{n:032x}")
        for n in range(100)
    )
    many = [
        entry(f"p{n}", gone, event=event, verb=Verb.TAG, targets=runs, summary=("x" * 30_000,))
        for n in range(20)
        for event in ("started", "ended")
    ]
    longest = [
        entry("long", gone, event=event, summary=("y" * 600_000,)) for event in ("started", "ended")
    ]
    it = journal(tmp_path, entry("cut off", gone), *many, *longest)
    assert it.path.stat().st_size > 2_000_000
    assert found(it) == ["cut off"]


@pytest.mark.parametrize("block", [1, 7, 300, 1_000, 1_000_000])
def test_blocks_of_any_size_read_the_same(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    it = journal(tmp_path, *(entry(f"p{n}", gone) for n in range(5)))
    with it.path.open("ab") as file:
        file.write(b'{"torn": \n' + b"\xff" * 500 + b"\n\n" + b'{"at": 1, "ev')
    monkeypatch.setattr(journals, "_BLOCK", block)
    assert it.actions(since=NOW - DAY) == it.actions()
    assert [a.started.plan for a in it.actions()] == [f"p{n}" for n in range(5)]


def test_a_journal_is_read_back_no_farther_than_it_tells_of(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_BLOCK", 4_000)
    old = [entry(f"old{n}", gone, at=NOW - 30 * DAY) for n in range(400)]
    new = [entry(f"new{n}", gone) for n in range(40)]
    # A clock that was wrong for a moment is no end.
    wrong = entry("wrong", gone, at=5.0)
    it = journal(tmp_path, *old, *new[:20], wrong, *new[20:])
    read = [a.started.plan for a in it.actions(since=NOW - 7 * DAY)]
    assert read[-41:] == [e.plan for e in (*new[:20], wrong, *new[20:])] and len(read) < 90
    assert len(it.actions()) == 441
    monkeypatch.setattr(journals, "_FARTHEST", 4_000)
    assert 5 < len(it.actions(since=0.0)) < 30


def test_a_line_that_never_ends_is_passed_over(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_BLOCK", 500)
    monkeypatch.setattr(journals, "_LONGEST_LINE", 2_000)
    it = journal(tmp_path, entry("before", gone))
    with it.path.open("ab") as file:
        file.write(b"[" * 20_000 + b"\n")
    journal(tmp_path, entry("after", gone))
    assert found(it) == ["before", "after"]


def test_the_line_says_what_and_how_to_look(tmp_path: Path, gone: str) -> None:
    it = journal(tmp_path, entry("1", gone), entry("2", gone, verb=Verb.RETRY))
    said = line(unfinished(it, now=NOW))
    assert said == (
        "retry ml/a of 2023-11-14 22:12:20Z did not end; whether its job was made says: "
        "mcp-tui --context dev -n ml job ls -l mcp-tui.io/plan-id=2; 1 more: mcp-tui journal"
    )
    assert line([]) == ""


@pytest.mark.parametrize(
    ("context", "kind", "command"),
    [
        ("dev", "Job", "mcp-tui --context dev -n ml job show a"),
        ("dev", "TrainJob", "mcp-tui --context dev -n ml job show TrainJob/a"),
        ("my cluster", "Job", "mcp-tui --context 'my cluster' -n ml job show a"),
        ("a\x1b[31m;rm", "Job", "mcp-tui --context 'a;rm' -n ml job show a"),
    ],
)
def test_of_what_was_there_before_the_object_tells(
    tmp_path: Path, gone: str, context: str, kind: str, command: str
) -> None:
    target = Target(context=context, kind=kind, namespace="ml", name="a", uid="u")
    it = journal(tmp_path, entry("1", gone, verb=Verb.CANCEL, context=context, targets=(target,)))
    [action] = unfinished(it, now=NOW)
    assert advice(action) == f"what became of it says: {command}"


def test_a_line_is_on_the_disk_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.append(os.pread(fd, 65_536, 0))

    monkeypatch.setattr(os, "fsync", fsync)
    it = Journal(tmp_path)
    target = Target(context="dev", kind="Job", namespace="ml", name="a", uid="u")
    plan = Plan(
        id="1",
        verb=Verb.CANCEL,
        context="dev",
        tier=Tier.DEV,
        targets=(target,),
        writes=(Write(system="kubernetes", method="DELETE", path="/x", summary="delete a"),),
    )
    it.start(plan, at=NOW, user="u", local_user="l")
    assert len(synced) == 1 and synced[0].endswith(b"\n") and b'"started"' in synced[0]
    it.end(plan, (Outcome(target=target, status=OutcomeStatus.PROVEN, message=""),), at=NOW)
    assert len(synced) == 2 and b'"ended"' in synced[1]
