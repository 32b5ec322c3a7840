"""The body of an answer: the whole of it, decompressed once, or the beginning of an error's."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_tui.sources.http import load_httpx

# Above this, decompressing goes to a thread: it leaves the interpreter to the others meanwhile.
_LARGE: Final = 32 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class Opened:
    """A successful answer whose body is read as it comes."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


async def read_whole(response: Any, most: int) -> bytes | None:
    """The body of an httpx response that is still being read.

    A server's gzip comes in hundreds of small pieces; decompressing each as it comes costs more
    than the whole at once.

    Args:
        response: Opened with ``stream=True``.
        most: Bytes; before and after decompressing.

    Returns:
        The body, or None when it is larger.

    Raises:
        httpx.HTTPError: The connection broke, or what came cannot be decompressed.
    """
    packed = response.headers.get("content-encoding", "").strip().lower() == "gzip"
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw() if packed else response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            return None
    body = b"".join(chunks)
    if not packed or not body:
        return body
    httpx = load_httpx()
    try:
        if len(body) > _LARGE:
            return await asyncio.to_thread(_unpack, body, most)
        return _unpack(body, most)
    except (zlib.error, EOFError) as error:
        raise httpx.DecodingError(str(error), request=response.request) from error


async def read_head(response: Any, most: int) -> bytes:
    """The first part of an error's body; an error without its whole body is still that error.

    Args:
        response: Opened with ``stream=True``.
        most: Bytes after which no more is read.
    """
    httpx = load_httpx()
    body = bytearray()
    with contextlib.suppress(httpx.HTTPError, OSError):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= most:
                break
    return bytes(body)


def _unpack(body: bytes, most: int) -> bytes | None:
    """Raises zlib.error for what is no gzip, EOFError for what has no end."""
    unpacker = zlib.decompressobj(_GZIP)
    whole = unpacker.decompress(body, most + 1)
    if len(whole) > most:
        return None
    if not unpacker.eof:
        raise EOFError("the compressed answer is cut short")
    return whole
