"""The lines of a stream, however it is cut."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.errors import UnreachableError
from mcp_tui.sources.kubernetes.blocks import iter_blocks


async def _chunks(whole: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    for start, end in itertools.pairwise(places):
        yield whole[start:end]


def _blocks(whole: bytes, cuts: list[int], **options: int) -> list[list[bytes]]:
    async def read() -> list[list[bytes]]:
        found = iter_blocks(_chunks(whole, cuts), **options)
        return [[bytes(piece) for piece in block] async for block in found]

    return asyncio.run(read())


@given(
    st.lists(st.sampled_from([b"", b"a", b"bc", b"def"]), max_size=8),
    st.binary(max_size=3).filter(lambda rest: b"\n" not in rest),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_every_whole_line_comes_once_and_in_order(
    lines: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    blocks = _blocks(whole + rest, cuts)
    assert b"".join(piece for block in blocks for piece in block) == whole
    for block in blocks:
        assert block
        assert all(piece.endswith(b"\n") for piece in block)


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(UnreachableError, match="too long"):
        _blocks(b"x" * 100, [10, 20, 30, 40], max_line=35)
