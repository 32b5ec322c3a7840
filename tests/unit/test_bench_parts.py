"""The parts of the bench that would deceive if they were wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.behind import behind
from tests.bench.churn import Churn
from tests.bench.figure import Figure
from tests.bench.flood import Log
from tests.bench.probe import digest
from tests.bench.replay import Piece
from tests.bench.storm import Storm
from tests.bench.terminal import Terminal


def test_a_recorded_event_is_cast_with_another_version_and_nothing_else() -> None:
    item = {
        "metadata": {"name": "a", "uid": "u-1", "resourceVersion": "41", "generation": 1},
        "spec": {"template": {"metadata": {"labels": {"x": "41"}}}},
        "status": {"active": 5, "ready": 2},
    }
    line = json.dumps({"type": "MODIFIED", "object": item}, separators=(",", ":")).encode() + b"\n"
    piece = Piece.of(line)
    assert piece.uid == "u-1"
    assert piece.cast(41, 0) == line
    again = json.loads(piece.cast(100_007, 9))
    item["metadata"]["resourceVersion"] = "100007"  # type: ignore[index]  # a literal's own type
    item["status"] = {"active": 5, "ready": 3}
    assert again == {"type": "MODIFIED", "object": item}


def test_a_bench_that_breaks_keeps_no_other_from_being_measured_and_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks() -> Iterator[Figure]:
        yield Figure("first", 1, 2, "s", "")
        raise TimeoutError("no rest")

    def measures() -> Iterator[Figure]:
        yield Figure("second", 1, 2, "s", "")

    monkeypatch.setenv("MCP_TUI_BENCH_JSON", str(tmp_path / "bench.json"))
    monkeypatch.setattr(bench, "BENCHES", (("a", breaks), ("b", measures)))
    assert bench.main([]) == 1
    told = capsys.readouterr()
    assert "BROKEN a" in told.out and "no rest" in told.err and "second" in told.out
    kept = json.loads((tmp_path / "bench.json").read_text())["figures"]
    assert [figure["name"] for figure in kept] == ["first", "second"]
    monkeypatch.setattr(bench, "BENCHES", (("b", measures),))
    assert bench.main([]) == 0


def test_a_digest_knows_every_uid_and_version() -> None:
    held = {"a": "1", "b": "2"}
    assert digest(held) == digest({"b": "2", "a": "1"})
    assert len({digest(held), digest({"a": "1"}), digest({"a": "2", "b": "1"}), digest({})}) == 4


@pytest.mark.parametrize(
    ("log", "unsaid"),
    [
        (Log(newest=100, given=100, notices=0, left=0, kept=60, dropped=40, age=0), 0),
        (Log(newest=100, given=90, notices=1, left=10, kept=60, dropped=31, age=0), 0),
        (Log(newest=100, given=90, notices=0, left=0, kept=60, dropped=30, age=0), 10),
        (Log(newest=100, given=100, notices=0, left=0, kept=60, dropped=30, age=0), 10),
    ],
)
def test_a_line_that_nobody_tells_of_is_counted(log: Log, unsaid: int) -> None:
    assert log.unsaid == unsaid


def test_memory_that_grows_once_is_not_growth_and_a_leak_is() -> None:
    def grown(samples: list[int]) -> float:
        return Churn(Storm(1, 1.0), tuple(samples), True, 0.0).grown

    assert grown([0] * 10 + [50] * 30) == 0
    assert grown(list(range(40))) == 20


def test_marks_come_whole_however_the_output_is_cut(tmp_path: Path) -> None:
    script = tmp_path / "marks.py"
    script.write_text(
        "import os, time\n"
        "data = b''.join(b'x' * 7 + b'\\x1b]7770;key=%d\\x07' % n for n in range(50))\n"
        "for start in range(0, len(data), 5):\n"
        "    os.write(1, data[start:start + 5])\n"
        "    time.sleep(0.001)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, str(script)]
    with Terminal((), env={}, command=command, needle=b"xx") as terminal:
        terminal.wait("key", "49")
        keys = [mark.value for mark in terminal.marks if mark.name == "key"]
        assert keys == [str(number) for number in range(50)]
        assert [mark.name for mark in terminal.marks].count("needle") == 1


def test_servers_come_behind_and_are_put_back_where_that_is_allowed() -> None:
    server = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        session = Path(f"/proc/{server.pid}/autogroup")

        def places() -> tuple[int, str]:
            told = session.read_text().rpartition(" ")[2].strip() if session.exists() else ""
            return os.getpriority(os.PRIO_PROCESS, server.pid), told

        before = places()
        with behind([server.pid]):
            within = places()
        assert within in {(19, "19"), (19, "")}
        # What a kernel lets nobody but root do is left as it is.
        assert places() == (before if os.geteuid() == 0 else within)
    finally:
        server.kill()
        server.wait()
    with behind([server.pid]):
        """One that has ended is nobody's loss."""
