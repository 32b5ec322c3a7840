"""Which actions of the journal are said to have been cut off, and with what advice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mcp_tui.actions.journal import Entry, Journal, is_running, this_process
from mcp_tui.actions.unfinished import advice, line, unfinished
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Tier, Verb, Write

NOW = 1_700_000_000.0
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
        entry("old", gone, at=NOW - 90_000),
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
        entry("far to come", gone, at=NOW + 90_000),
        entry("away, to come", "elsewhere/1/1", at=NOW + 60),
        # Written before processes were.
        entry("older version", "", at=NOW - 7_200),
    )
    assert found(it) == ["yes", "prod", "long away", "to come", "older version"]
    assert found(it, "prod") == ["prod"]
    assert found(Journal(tmp_path / "none")) == []


def test_only_the_end_of_a_long_journal_is_read(tmp_path: Path, gone: str) -> None:
    many = [entry(f"p{n}", gone, summary=("x" * 1_000,)) for n in range(400)]
    it = journal(tmp_path, *many)
    said = found(it)
    assert said[-1] == "p399" and 100 < len(said) < 300
    assert len(it.actions()) == 400


def test_the_line_says_what_and_how_to_look(tmp_path: Path, gone: str) -> None:
    it = journal(tmp_path, entry("1", gone), entry("2", gone, verb=Verb.RETRY))
    said = line(unfinished(it, now=NOW))
    assert said == (
        "retry ml/a of 22:12:20Z did not end; whether its job was made says: "
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
