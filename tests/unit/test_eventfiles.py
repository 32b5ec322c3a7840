"""TensorBoard's event files: what is read of good ones, and what is said of bad ones."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.domain.artifact import ArtifactPage, ArtifactPart, artifact, exact_path
from mcp_tui.domain.eventlines import event_name, is_event_file, prefixes, spelled, within
from mcp_tui.domain.history import History
from mcp_tui.domain.run import Metric, Run, RunData, RunInfo
from mcp_tui.errors import GoneError, McpTuiError, UnreachableError, UsageError
from mcp_tui.sources.eventfiles import EventScalars, fetch, read_events
from mcp_tui.sources.eventfiles import parse as program
from mcp_tui.sources.eventfiles.child import parse
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.curves import CurveBook
from tests.unit.eventbytes import (
    RESTART,
    event,
    field,
    file,
    losses,
    masked,
    record,
    scalar,
    tensor,
)

RUN = "a" * 32
OTHER = "b" * 32
NAME = "events.out.tfevents.1700000000.host.1.0"


class Server(MlflowClient):
    """Artifacts by run; counts what is asked for."""

    def __init__(self, files: Mapping[str, Mapping[str, bytes]]) -> None:
        self.files = files
        self.asked: list[str] = []

    @property
    def where(self) -> str:
        return "http://mlflow"

    async def list_artifacts(
        self, owner: str, ref: str = "", *, page_token: str = ""
    ) -> ArtifactPage:
        self.asked.append(f"list {ref}")
        path = exact_path(ref)
        found: dict[str, tuple[bool, int]] = {}
        for name, data in self.files.get(owner, {}).items():
            if path and not name.startswith(f"{path}/"):
                continue
            below, _, rest = name[len(path) + bool(path) :].partition("/")
            found[f"{path}/{below}".lstrip("/")] = bool(rest), len(data)
        files = tuple(artifact(n, is_dir=d, size=s) for n, (d, s) in sorted(found.items()))
        return ArtifactPage(files=files)

    async def artifact_head(
        self, owner: str, ref: str, *, most: int = 1, start: int = 0
    ) -> ArtifactPart:
        self.asked.append(f"head {start}")
        data = self.files[owner][exact_path(ref)]
        return ArtifactPart(data=data[start : start + most], start=start, total=len(data))

    async def histories(self, *args: Any, **more: Any) -> dict[str, History]:
        raise AssertionError("a scalar of an event file is no metric of the server")

    counted = histories  # type: ignore[assignment]  # it takes less

    async def newest(self, *args: Any) -> dict[str, Run]:
        return {}


async def read(files: Mapping[str, bytes]) -> EventScalars:
    return await read_events(Server({RUN: files}), RUN)


async def test_scalars_have_their_steps_times_and_values() -> None:
    found = await read({f"logs/{NAME}": losses(50)})
    [(name, line)] = found.lines.items()
    assert (name, line.key, line.run_id, found.files, found.notes) == ("tb:loss",) * 2 + (
        RUN,
        1,
        (),
    )
    assert line.steps == tuple(range(50)) and line.times[49] == 1.7e9 + 49
    assert line.values[3] == 0.25
    assert (line.total, line.sampled, line.said()) == (50, False, "50")


async def test_what_tensorboard_itself_writes_is_read(tmp_path: Path) -> None:
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    for step in range(20):
        value = summary_pb2.Summary.Value(tag="train/loss", simple_value=0.5 / (step + 1))
        summary = summary_pb2.Summary(value=[value])
        writer.add_event(event_pb2.Event(wall_time=1.7e9 + step, step=step, summary=summary))
    writer.close()
    [path] = tmp_path.iterdir()
    assert is_event_file(path.name)
    found = await read({path.name: path.read_bytes()})
    line = found.lines["tb:train/loss"]
    assert (line.steps, line.values[1]) == (tuple(range(20)), 0.25)


def test_tensorboard_reads_the_same_of_what_the_tests_write(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = [event(n, 1.7e9 + n, scalar("a", n / 4), tensor("b", n / 8)) for n in range(9)]
    (tmp_path / NAME).write_bytes(file(*steps))
    there = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in there.Scalars("a")] == [(n, n / 4) for n in range(9)]
    [mine] = [asyncio.run(read({NAME: file(*steps)}))]
    assert mine.lines["tb:a"].values == tuple(n / 4 for n in range(9))
    assert mine.lines["tb:b"].values == tuple(n / 8 for n in range(9))


async def test_not_a_number_is_a_gap() -> None:
    values = [1.0, math.nan, math.inf, 0.5]
    steps = [event(n, 1.7e9, scalar("x", v)) for n, v in enumerate(values)]
    line = (await read({NAME: file(*steps)})).lines["tb:x"]
    assert (len(line), line.nan, line.infinite) == (4, 1, 1)
    assert line.said() == "4; 1 NaN; 1 infinite"


async def test_a_time_that_is_none_is_said() -> None:
    times = [1.7e9, math.nan, math.inf, -1e300, 1e300]
    steps = [event(n, time, scalar("x", 1)) for n, time in enumerate(times)]
    line = (await read({NAME: file(*steps)})).lines["tb:x"]
    assert line.odd_times == 4


async def test_folders_are_told_apart_below_what_they_share() -> None:
    found = await read({f"logs/train/{NAME}": losses(3), f"logs/val/{NAME}": losses(4)})
    assert {name: len(line) for name, line in found.lines.items()} == {
        "tb:train/loss": 3,
        "tb:val/loss": 4,
    }
    assert prefixes(["", "a/b"]) == {"": "", "a/b": "a/b/"}
    assert prefixes(["a/b", "a/bc"]) == {"a/b": "b/", "a/bc": "bc/"}
    assert prefixes(["a"]) == {"a": ""}


async def test_a_restart_takes_the_place_of_what_it_logs_again() -> None:
    again = file(
        event(5, 1.7e9, also=RESTART), *(event(n, 1.7e9, scalar("loss", 9)) for n in (5, 6))
    )
    found = await read({"events.tfevents.1": losses(9), "events.tfevents.2": again})
    line = found.lines["tb:loss"]
    assert line.steps == tuple(range(7)) and line.values[5:] == (9.0, 9.0) and not line.repeated


async def test_many_points_are_thinned_and_said() -> None:
    found = await read({NAME: losses(12_000)})
    line = found.lines["tb:loss"]
    assert len(line) <= 10_000 and line.total == 12_000 and line.sampled
    assert line.said().endswith("of 12,000")
    part = within(line, (100, 199), 2_000)
    assert part.steps and set(part.steps) <= set(range(100, 200))
    assert within(line, (20_000, 30_000), 10).steps == ()


GOOD = losses(10)
LAST = losses(9)


@pytest.mark.parametrize(
    ("data", "said", "points"),
    [
        (b"", "it is empty", 0),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 99, "it is no event file: the first checksum is wrong", 0),
        (b"abc", "it ends within a record, after 0 whole ones", 0),
        (GOOD[:-1], "it ends within a record, after 10 whole ones", 9),
        (GOOD + b"\x07", "it ends within a record, after 11 whole ones", 10),
        (GOOD[:-1] + b"!", "damaged after 10 records: a checksum is wrong, the rest", 9),
        (LAST + b"\xff" * 99, "damaged after 10 records: a checksum is wrong, the rest", 9),
        (LAST + b"\xff" * 8 + masked(b"\xff" * 8), "an impossible length", 9),
        (LAST + (n := struct.pack("<Q", 2**40)) + masked(n), "larger than memory", 9),
        (GOOD + record(b"\xff\xff"), "damaged: a record is no event, the rest", 10),
        (GOOD + record(field(5, b"\x0a\xff")), "damaged: a record is no event", 10),
    ],
)
async def test_a_bad_file_is_said_in_a_line(data: bytes, said: str, points: int) -> None:
    found = await read({f"tb/{NAME}": data})
    [note] = found.notes
    assert note.startswith(f"tb/{NAME}: {said}") or said in note
    assert "\n" not in note
    line = found.lines.get("tb:loss")
    assert (len(line) if line else 0) == points
    if line is not None and "not read" in note:
        assert line.cut and "the rest was not read" in line.said()


async def test_a_bad_file_spoils_no_other() -> None:
    found = await read({f"a/{NAME}": b"rubbish" * 9, f"b/{NAME}": losses(5)})
    assert len(found.lines["tb:b/loss"]) == 5 and len(found.notes) == 1


async def test_hostile_tags_are_left_out_and_counted() -> None:
    tags = ["x" * 100_000, "\x1b[2Jred", "a\nb", "", "[bold]x[/]", "..", "\u202ex", "ok/1"]
    data = file(event(1, 1.7e9, *(scalar(tag, 1) for tag in tags)))
    found = await read({NAME: data})
    assert set(found.lines) == {"tb:[bold]x[/]", "tb:..", "tb:ok/1"}
    assert found.notes == ("event files: 5 tags were left out",)


async def test_tensors_that_are_no_scalars_are_none() -> None:
    data = file(
        event(
            1,
            1.7e9,
            tensor("text", 1, plugin=b"text"),
            tensor("huge", 1, sizes=(2**40, 2**20)),
            tensor("one", 3, sizes=(1, 1)),
        )
    )
    assert set((await read({NAME: data})).lines) == {"tb:one"}


async def test_ten_thousand_tags_are_bounded() -> None:
    data = file(event(1, 1.7e9, *(scalar(f"t{n}", 1) for n in range(3_000))))
    found = await read({NAME: data})
    assert len(found.lines) == 1_000 and "tags were left out" in found.notes[0]


async def test_a_large_file_is_read_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_OF_FILE", 4_096)
    monkeypatch.setattr(fetch, "_PART", 1_000)
    server = Server({RUN: {NAME: losses(5_000)}})
    found = await read_events(server, RUN)
    assert [each for each in server.asked if "head" in each][-1] == "head 4000"
    line = found.lines["tb:loss"]
    assert 0 < len(line) < 100 and line.cut and line.total is None
    assert found.notes == (f"{NAME}: only its first 4Ki were read",)


async def test_the_search_is_bounded() -> None:
    server = Server({RUN: {f"d{n}/{NAME}": b"" for n in range(500)}})
    found = await fetch.find_events(server, RUN)
    assert found.more and len(server.asked) <= fetch.MOST_LISTINGS
    deep = Server({RUN: {"/".join("x" * 30) + f"/{NAME}": b""}})
    found = await fetch.find_events(deep, RUN)
    assert (found.files, found.more) == ((), True)


async def test_nothing_is_left_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await read({NAME: losses(3), f"x/{NAME}": b"rubbish"})
    reading = asyncio.create_task(read({NAME: losses(3)}))
    while not list(tmp_path.iterdir()):
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not list(tmp_path.iterdir())


async def test_a_reader_that_hangs_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(losses(3))
    with pytest.raises(UnreachableError, match=r"not be read within 0\.001 s"):
        await parse([path], deadline=0.001)


@pytest.mark.parametrize(
    ("bound", "said", "points"),
    [
        ("SECONDS", "reading took longer than 0 s: the rest was not read", 1),
        ("MOST_POINTS", "more than 0 points: the rest was not read", 0),
    ],
)
def test_what_was_read_before_a_bound_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bound: str, said: str, points: int
) -> None:
    monkeypatch.setattr(program, bound, 0)
    path = tmp_path / NAME
    path.write_bytes(record(event(1, 1.7e9, scalar("loss", 1))) + losses(99))
    found = program.read([path])
    assert [fault.what for fault in found.faults] == [said]
    assert sum(len(line) for line in found.lines.values()) == points
    assert all(line.cut for line in found.lines.values())


async def test_a_reader_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"could not be read: .*No such file") as caught:
        await parse([tmp_path / "none"])
    assert "\n" not in caught.value.line()


async def test_without_tensorboard_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed; pip install tensorboard"):
        await read({NAME: losses(3)})
    assert (await read({"other.txt": b"x"})).files == 0  # nothing to read needs no reader


def test_the_reader_brings_no_tensorflow_and_no_client() -> None:
    code = (
        "import sys; from mcp_tui.sources.eventfiles import parse;"
        "assert 'tensorboard' not in sys.modules;"
        "list(parse.records(__import__('pathlib').Path('/dev/null')));"
        "print({'tensorflow', 'grpc', 'httpx', 'kubernetes'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()", said.stderr


def test_names_are_as_they_are_typed() -> None:
    assert event_name("tb: loss") == event_name("tb:loss") == "tb:loss"
    assert spelled("tb:loss") == "tb: loss" and spelled("loss") == event_name("loss") == "loss"


# Beside metrics


def run(run_id: str, *metrics: str) -> Run:
    info = RunInfo(run_id=run_id, status="FINISHED", experiment_id="1")
    each = tuple(Metric(key=name, value=1.0, step=1, timestamp=1) for name in metrics)
    return Run(info=info, data=RunData(metrics=each))


async def test_a_book_has_them_among_its_metrics() -> None:
    server = Server({RUN: {NAME: losses(3_000)}})
    book = CurveBook(server, [run(RUN, "loss", "system/cpu"), run(OTHER)])
    assert book.metrics() == ("loss", "system/cpu")
    await book.load(["tb:loss"], points=100)
    assert book.metrics() == ("loss", "tb:loss", "system/cpu")
    line = book.history(RUN, "tb:loss")
    assert line is not None and len(line) <= 320 and line.said().endswith(" of 3,000")
    assert not await book.count(["tb:loss"]) and not await book.follow(["tb:loss"])
    assert await book.look({(RUN, "tb:loss"): (1_000, 1_200)})
    line = book.history(RUN, "tb:loss")
    assert line is not None and set(range(1_000, 1_201)) <= set(line.steps)
    assert not await book.look({(RUN, "tb:loss"): (1_000, 1_200)})
    empty = book.history(OTHER, "tb:loss")
    assert empty is not None and not len(empty)


async def test_files_are_read_once_and_again_after_a_refresh() -> None:
    server = Server({RUN: {NAME: losses(3)}})
    book = CurveBook(server, [run(RUN)])
    await book.load(["tb:loss"])
    await book.load(["tb:loss"])
    assert len(server.asked) == 2
    await book.refresh()
    server.files = {RUN: {NAME: losses(5)}}
    await book.load(["tb:loss"])
    line = book.history(RUN, "tb:loss")
    assert line is not None and len(line) == 5


async def test_a_metric_of_the_server_keeps_its_name() -> None:
    book = CurveBook(Server({}), [run(RUN, "tb:loss")])
    assert book.of_events(["tb:loss", "tb:other", "x"]) == ["tb:other"]


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ({"a.txt": b"x"}, GoneError, "there are no event files among the artifacts"),
        ({NAME: b""}, UsageError, f"{NAME}: it is empty"),
        ({NAME: file()}, GoneError, "the event files hold no scalars"),
    ],
)
async def test_where_nothing_can_be_shown_it_says_why(
    files: dict[str, bytes], error: type[McpTuiError], said: str
) -> None:
    book = CurveBook(Server({RUN: files}), [run(RUN)])
    with pytest.raises(error) as caught:
        await book.load(["tb:loss"])
    assert caught.value.line() == said


def test_the_bytes_are_framed_as_published() -> None:
    assert masked(b"123456789") == struct.pack("<I", _mask(0xE3069283))


def _mask(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
