"""What comes together is taken together, in order, whole, and with an end to what is read ahead."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence

import pytest

from mcp_tui.domain.decode import Lines
from mcp_tui.sources.kubernetes import gather
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.gather import Gathered
from mcp_tui.sources.kubernetes.watch import GATHER, RelistError, consume
from tests.faults import virtual


class Broken(Exception):
    """The connection's end."""


class Source:
    """Blocks that are given when they are asked for, after so many seconds each."""

    def __init__(
        self, *blocks: tuple[float, bytes], error: Exception | None = None, ends: bool = True
    ) -> None:
        self._blocks = blocks
        self._error = error
        self._ends = ends
        self.given = 0
        self.closed = False

    async def read(self) -> AsyncGenerator[Lines, None]:
        try:
            for after, block in self._blocks:
                if after:
                    await asyncio.sleep(after)
                self.given += 1
                yield (block,)
            if self._error is not None:
                raise self._error
            if not self._ends:
                await asyncio.sleep(1e6)
        finally:
            self.closed = True


def joined(lines: Lines) -> bytes:
    return b"".join(bytes(piece) for piece in lines)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_came_is_taken_as_one_in_its_order() -> None:
    gathered = Gathered(Source((0, b"a\n"), (0, b"b\n"), (0, b"c\n")).read())
    assert await gathered.come(1)
    await settle()
    assert joined(gathered.take()) == b"a\nb\nc\n"
    assert await gathered.come(1)
    assert not gathered.take(), "the end"
    await gathered.aclose()


async def test_no_more_is_taken_at_once_than_a_key_may_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "AT_ONCE", 4)
    gathered = Gathered(Source((0, b"a\n"), (0, b"b\n"), (0, b"c\n"), (0, b"long\n")).read())
    taken = []
    while await gathered.come(1) and (lines := gathered.take()):
        taken.append(joined(lines))
        await settle()
    assert taken[-2:] == [b"c\n", b"long\n"], "a single one is whole, whatever its size"
    assert b"".join(taken) == b"a\nb\nc\nlong\n"
    assert max(map(len, taken[:-1])) <= 4
    await gathered.aclose()


async def test_an_error_comes_after_what_came_before_it() -> None:
    gathered = Gathered(Source((0, b"a\n"), error=Broken()).read())
    await settle()
    assert await gathered.come(1)
    assert joined(gathered.take()) == b"a\n"
    assert await gathered.come(1)
    with pytest.raises(Broken):
        gathered.take()
    await gathered.aclose()


async def test_reading_ahead_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "AHEAD", 6)
    monkeypatch.setattr(gather, "AT_ONCE", 2)
    source = Source(*[(0.0, b"a\n")] * 10)
    gathered = Gathered(source.read())
    await settle()
    assert source.given == 3
    gathered.take()
    await settle()
    assert source.given == 4, "one was taken, one was read"
    count = 1
    while await gathered.come(1) and gathered.take():
        count += 1
        await settle()
    assert count == 10
    await gathered.aclose()


async def test_a_quiet_stream_is_waited_for_so_long_and_closed() -> None:
    source = Source((0, b"a\n"), ends=False)
    gathered = Gathered(source.read())
    assert await gathered.come(1)
    gathered.take()
    assert not await gathered.come(0.01)
    await gathered.aclose()
    assert source.closed


def test_a_storm_is_taken_in_beats_and_what_comes_after_a_rest_at_once() -> None:
    """The first event after a rest has no wait; those behind it are one change a beat."""

    async def watched(loop: virtual.VirtualLoop) -> list[tuple[float, int]]:
        began, taken = loop.now, list[tuple[float, int]]()

        def take(lines: Lines) -> int:
            count = joined(lines).count(b"\n")
            taken.append((round(loop.now - began, 6), count))
            return count

        beat = GATHER / 10
        storm: Sequence[tuple[float, bytes]] = [(1.0, b"a\n"), *[(beat, b"a\n")] * 30]
        count = await consume(
            Source(*storm).read(),
            take,
            alive=lambda: None,
            silence=100,
            marked=lambda: False,
            timing=Timing(),
            clock=loop.time,
            wall=loop.time,
        )
        assert count == 31
        return taken

    taken = virtual.run(watched, lambda: None)
    assert taken is not None
    assert taken[0] == (1.0, 1)
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(taken)]
    assert all(gap >= GATHER - 1e-9 for gap in gaps)
    assert len(taken) <= 5
    assert sum(count for _, count in taken) == 31


@pytest.mark.parametrize("error", [None, Broken()], ids=["end", "cut"])
def test_a_suspension_just_before_the_end_is_not_taken_for_an_end(error: Exception | None) -> None:
    """It began while what is read together was waited for; the connection ended in it."""

    async def watched(loop: virtual.VirtualLoop) -> None:
        jump = [0.0]
        beat = GATHER / 10

        async def blocks() -> AsyncGenerator[Lines, None]:
            yield (b"a\n",)
            await asyncio.sleep(beat)
            yield (b"b\n",)
            await asyncio.sleep(beat + GATHER)
            loop.call_later(beat, jump.append, 500.0)
            if error is not None:
                raise error

        with pytest.raises(RelistError):
            await consume(
                blocks(),
                lambda lines: joined(lines).count(b"\n"),
                alive=lambda: None,
                silence=100,
                marked=lambda: False,
                timing=Timing(),
                clock=lambda: loop.time() + jump[-1],
                wall=lambda: loop.time() + jump[-1],
            )

    virtual.run(watched, lambda: None)
