"""The journal: append-only, private, whole after a crash."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from mcp_tui.actions import journal as journal_module
from mcp_tui.actions.journal import Journal
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Tier, Verb, Write
from mcp_tui.errors import UsageError

TARGET = Target(context="dev", kind="Job", namespace="ml", name="a", uid="u")


def plan(id_: str) -> Plan:
    return Plan(
        id=id_,
        verb=Verb.CANCEL,
        context="dev",
        tier=Tier.DEV,
        targets=(TARGET,),
        writes=(Write(system="kubernetes", method="DELETE", path="/x", summary="delete a"),),
    )


def outcome(status: OutcomeStatus) -> Outcome:
    return Outcome(target=TARGET, status=status, message="gone")


def test_start_and_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    assert journal.actions() == []
    journal.start(plan("1"), at=1.0, user="alice", local_user="al")
    journal.start(plan("2"), at=2.0, user="alice", local_user="al")
    journal.end(plan("1"), (outcome(OutcomeStatus.PROVEN),), at=3.0)
    first, second = journal.actions()
    assert (first.result, second.result) == ("proven", "unfinished")
    assert first.started.summary == ("delete a",)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        ((OutcomeStatus.PROVEN, OutcomeStatus.UNKNOWN), "unknown"),
        # What was not sent because another's outcome is unknown failed for certain.
        ((OutcomeStatus.UNKNOWN, OutcomeStatus.FAILED), "unknown"),
        ((OutcomeStatus.FAILED, OutcomeStatus.UNKNOWN), "unknown"),
        ((OutcomeStatus.UNPROVEN, OutcomeStatus.FAILED), "failed"),
    ],
)
def test_the_worst_outcome_counts(
    tmp_path: Path, statuses: tuple[OutcomeStatus, ...], result: str
) -> None:
    journal = Journal(tmp_path)
    journal.start(plan("1"), at=1.0, user="", local_user="")
    journal.end(plan("1"), tuple(outcome(s) for s in statuses), at=2.0)
    assert journal.actions()[0].result == result


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.start(plan("1"), at=1.0, user="", local_user="")
    with journal.path.open("ab") as file:
        file.write(b'{"at": 1, "ev')
    journal.start(plan("2"), at=2.0, user="", local_user="")
    assert [a.started.plan for a in journal.actions()] == ["1", "2"]


def test_what_cannot_be_written_down_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    with pytest.raises(UsageError, match="cannot write the journal"):
        Journal(tmp_path / "state").start(plan("1"), at=1.0, user="", local_user="")


def test_a_line_waits_for_the_one_that_another_console_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_LOCK_TRIES", 3)
    monkeypatch.setattr(journal_module, "_LOCK_PAUSE", 0.01)
    journal = Journal(tmp_path)
    fd = os.open(journal.path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another console holds the journal; nothing was"):
            journal.start(plan("1"), at=1.0, user="", local_user="")
        assert journal.path.read_bytes() == b""
    finally:
        os.close(fd)
    journal.start(plan("1"), at=1.0, user="", local_user="")
    assert len(journal.actions()) == 1


def test_two_consoles_do_not_tear_each_other(tmp_path: Path) -> None:
    pids = []
    for n in range(4):
        pid = os.fork()
        if pid == 0:
            for i in range(50):
                Journal(tmp_path).start(plan(f"{n}-{i}"), at=1.0, user="x" * 500, local_user="")
            os._exit(0)
        pids.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
    assert len(Journal(tmp_path).actions()) == 200
