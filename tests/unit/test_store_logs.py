"""What waits between log readers and whoever shows the lines, and the times of lines."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.kube import Pod
from mcp_tui.errors import ExitCode
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes import podlog
from mcp_tui.sources.kubernetes.podlog import Cursor, LogRecord, _Reading
from mcp_tui.sources.kubernetes.reflector import Reflector
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.joblogs import Buffer, JobLogs, LogQuery

BATCH = 1_000


def lines(first: int, count: int) -> list[LogRecord]:
    return [LogRecord(str(number), "", "p", "c") for number in range(first, first + count)]


async def test_a_burst_keeps_the_newest_and_counts_the_rest() -> None:
    buffer = Buffer(2_500)
    for start in range(0, 100_000, BATCH):
        await buffer.put(lines(start, BATCH))
        assert len(buffer) <= 2_500
    assert buffer.dropped == 97_500
    got = []
    while len(buffer):
        batch = await buffer.get(700)
        assert len(batch) <= 700
        got += [record.text for record in batch]
    assert got == [str(number) for number in range(97_500, 100_000)]


async def test_where_every_line_counts_the_reader_waits() -> None:
    buffer = Buffer(0)
    done = 0

    async def write() -> None:
        nonlocal done
        for start in range(200):
            await buffer.put(lines(start, 1))
            done = start + 1

    writer = asyncio.create_task(write())
    for _ in range(1_000):
        await asyncio.sleep(0)
    assert done == 64
    got = [(await buffer.get(10))[0].text for _ in range(200)]
    await writer
    assert got == [str(number) for number in range(200)]
    assert not buffer.dropped


@pytest.mark.parametrize(
    ("stamp", "utc"),
    [
        ("2026-11-23T03:00:00.123456789Z", "2026-11-23T03:00:00.123456789Z"),
        ("2026-11-23T03:00:00.1Z", "2026-11-23T03:00:00.100000000Z"),
        ("2026-11-23T03:00:00Z", "2026-11-23T03:00:00.000000000Z"),
        ("2026-11-23T05:30:00.000000001+02:30", "2026-11-23T03:00:00.000000001Z"),
        ("2026-99-23T03:00:00Z", ""),
    ],
)
def test_stamps_compare_as_texts_wherever_the_node_stands(stamp: str, utc: str) -> None:
    reading = _Reading("p", "c", Cursor())
    (record,) = reading.take(f"{stamp} hello\n".encode())
    assert (record.stamp, record.text) == (utc, "hello")
    assert record.at == (podlog._epoch(utc) if utc else None)


@given(st.data())
def test_wherever_it_breaks_each_line_comes_once(data: st.DataObject) -> None:
    """The server gives again everything of the last second, as it does for sinceTime."""
    moments = sorted(data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=30)))
    stamps = [f"2026-11-23T03:00:{m // 10:02d}.{m % 10}00000000Z" for m in moments]
    sent = [(stamp, f"{stamp} line {number}") for number, stamp in enumerate(stamps)]
    cursor, got = Cursor(), []
    for last in [*data.draw(st.lists(st.booleans(), max_size=4)), True]:
        since = cursor.last[:19]
        body = "".join(f"{text}\n" for stamp, text in sent if stamp[:19] >= since).encode()
        if not last:
            body = body[: data.draw(st.integers(0, len(body)))]
        reading = _Reading("p", "c", cursor)
        for cut in range(0, len(body), 50):
            got += [record.text for record in reading.take(body[cut : cut + 50])]
    assert got == [f"line {number}" for number in range(len(sent))]


def test_a_line_without_end_takes_no_more_than_its_piece() -> None:
    reading = _Reading("p", "c", Cursor())
    given_out = sum(len(reading.take(b"x" * 65_536)) for _ in range(100))
    assert given_out >= 5
    assert reading._size <= podlog._PIECE


def test_what_has_no_line_end_is_given_when_it_is_known_to_be_whole() -> None:
    cursor = Cursor()
    reading = _Reading("p", "c", cursor)
    stamp = "2026-11-23T03:00:00.000000001Z"
    assert reading.take(f"{stamp} half".encode()) == []
    assert cursor.last == ""
    assert [record.text for record in reading.rest()] == ["half"]
    assert (cursor.last, cursor.seen) == (stamp, 1)
    assert reading.rest() == []


async def test_a_denial_that_passes_while_a_log_is_read_is_no_failure() -> None:
    logs = JobLogs(cast("KubeClient", None), LogQuery(namespace="n", selector="s", follow=True))
    health = SimpleNamespace(state=HealthState.DENIED, message="no pods for you")
    pods = cast("Reflector[Pod]", SimpleNamespace(health=health, synced=True))
    watching = asyncio.create_task(asyncio.sleep(60))
    reading = asyncio.create_task(asyncio.sleep(60))
    logs._readers["u", "c"] = reading
    try:
        assert not logs._is_over(pods, watching)
        assert (logs.errors, logs.failures) == (["no pods for you"], [])
        # With nothing left to read nobody knows what else there would have been.
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert logs._is_over(pods, watching)
        [(error, count)] = logs.failures
        assert (error.what, error.exit_code, count) == ("no pods for you", ExitCode.REFUSED, 1)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
