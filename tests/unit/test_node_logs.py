"""Container logs: written from pieces, bounded, tailed and followed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from mcp_tui.demo.kubelet.logs import LogQuery, LogWriter, read_log, stamp


async def _read(path: Path, query: LogQuery = LogQuery(), *, ended: bool = True) -> bytes:  # noqa: B008 - frozen
    async with asyncio.timeout(10):
        return b"".join([p async for p in read_log(path, query, ended=lambda: ended, poll=0.01)])


def _write(path: Path, *chunks: bytes, rotate: int = 10**7) -> LogWriter:
    writer = LogWriter(path, rotate=rotate)
    for chunk in chunks:
        writer.write("stdout", chunk)
    return writer


async def test_lines_cut_anywhere_come_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    _write(path, b"on", b"e\ntwo\nth", b"ree\n\nlast").close()
    assert await _read(path) == b"one\ntwo\nthree\n\nlast\n"


async def test_streams_do_not_mix_within_a_line(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "0.log")
    writer.write("stdout", b"out ")
    writer.write("stderr", b"err\n")
    writer.write("stdout", b"put\n")
    writer.close()
    assert await _read(tmp_path / "0.log") == b"err\nout put\n"


async def test_a_long_line_is_stored_in_parts_and_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    long = b"x" * 100_000
    _write(path, b"a\n", long, b"\nb\n").close()
    assert b" P " in path.read_bytes()
    assert await _read(path) == b"a\n" + long + b"\nb\n"
    assert await _read(path, LogQuery(tail=2)) == long + b"\nb\n"
    stamped = (await _read(path, LogQuery(timestamps=True))).splitlines()
    assert len(stamped) == 3
    assert all(re.match(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", line) for line in stamped)


@pytest.mark.parametrize("tail", [0, 1, 7, 999, 1000, 5000, 100_000])
async def test_tail(tmp_path: Path, tail: int) -> None:
    path = tmp_path / "0.log"
    lines = [b"line %d" % i for i in range(20_000)]
    _write(path, b"\n".join(lines) + b"\n").close()
    found = (await _read(path, LogQuery(tail=tail))).splitlines()
    assert found == (lines[-tail:] if tail else [])


async def test_the_log_is_bounded_and_a_tail_spans_the_rotation(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    writer = LogWriter(path, rotate=4_000)
    for i in range(1_000):
        writer.write("stdout", b"line %d\n" % i)
    writer.close()
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= 8_000
    found = (await _read(path, LogQuery(tail=90))).splitlines()
    assert found == [b"line %d" % i for i in range(910, 1_000)]


async def test_limit_and_since(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    writer = _write(path, b"old\n")
    since = stamp()
    writer.write("stdout", b"new\n")
    writer.close()
    assert await _read(path, LogQuery(since=since)) == b"new\n"
    assert await _read(path, LogQuery(limit=5)) == b"old\nn"


async def test_a_follower_sees_every_line_through_rotations_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    writer = LogWriter(path, rotate=20_000)
    over = False
    seen: list[bytes] = []

    async def follow() -> None:
        query = LogQuery(follow=True)
        seen.extend([p async for p in read_log(path, query, ended=lambda: over, poll=0.001)])

    task = asyncio.create_task(follow())
    for i in range(3_000):
        writer.write("stdout", b"line %d\n" % i)
        if i % 50 == 0:
            # The writer never waits for readers; this one is given time to keep up.
            await asyncio.sleep(0.01)
    writer.close()
    over = True
    async with asyncio.timeout(10):
        await task
    assert b"".join(seen).splitlines() == [b"line %d" % i for i in range(3_000)]


async def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert await _read(tmp_path / "none.log", LogQuery(tail=5)) == b""
    assert await _read(tmp_path / "none.log", LogQuery(follow=True)) == b""
