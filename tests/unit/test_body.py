"""Bodies of answers are put together whole, bounded on both sides of their compression."""

from __future__ import annotations

import asyncio
import gzip
import os

import httpx
import pytest

from mcp_tui.sources.body import read_whole


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self):  # type: ignore[no-untyped-def]  # an async generator of bytes
        for start in range(0, len(self._body), 1_000):
            yield self._body[start : start + 1_000]


def read(body: bytes, most: int = 1 << 30, **headers: str) -> bytes | None:
    response = httpx.Response(
        200,
        headers=headers,
        stream=_Pieces(body),
        request=httpx.Request("GET", "http://localhost/"),
    )
    return asyncio.run(read_whole(response, most))


GZIP = {"content-encoding": "gzip"}


@pytest.mark.parametrize("size", [0, 1, 999, 300_000])
def test_a_body_is_the_same_compressed_or_not(size: int) -> None:
    body = os.urandom(size)
    assert read(body) == body
    assert read(gzip.compress(body), **{"content-encoding": " GZip "}) == body


def test_an_empty_compressed_body_is_empty() -> None:
    assert read(b"", **GZIP) == b""


def test_too_large_is_told_before_and_after_decompressing() -> None:
    assert read(bytes(5_000), 5_000) == bytes(5_000)
    assert read(bytes(5_001), 5_000) is None
    assert read(gzip.compress(bytes(5_000)), 5_000, **GZIP) == bytes(5_000)
    assert read(gzip.compress(bytes(50_000_000)), 100_000, **GZIP) is None
    assert read(gzip.compress(os.urandom(6_000)), 5_000, **GZIP) is None


@pytest.mark.parametrize("size", [2_000, 300_000])
def test_a_compressed_body_that_is_cut_or_garbage_is_an_error(size: int) -> None:
    packed = gzip.compress(os.urandom(size))
    with pytest.raises(httpx.DecodingError):
        read(packed[:-20], **GZIP)
    with pytest.raises(httpx.DecodingError):
        read(b"{" + packed, **GZIP)
