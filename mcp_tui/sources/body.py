"""The body of an answer: the whole of it, in pieces, or the beginning of an error's.

It is read raw and decompressed here, with a bound: httpx expands each chunk in one call, as often
as the Content-Encoding says, and a thousand bytes may so become gigabytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_tui.sources.http import load_httpx

# Above this, decompressing goes to a thread: it leaves the interpreter to the others meanwhile.
_LARGE: Final = 32 * 1024
_GZIP: Final = zlib.MAX_WBITS | 16
_PIECE: Final = 256 * 1024
"""Bytes that are made of a compressed body at a time."""

ACCEPTED: Final = "gzip"
"""The Accept-Encoding of what is read here: no other can be."""

if TYPE_CHECKING:
    _Unpacker = zlib._Decompress


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
    packed = _is_packed(response)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            return None
    body = b"".join(chunks)
    if not packed or not body:
        return body
    try:
        if len(body) > _LARGE:
            return await asyncio.to_thread(_unpack, body, most)
        return _unpack(body, most)
    except (zlib.error, EOFError) as error:
        raise _undecodable(response, str(error)) from error


async def read_pieces(response: Any) -> AsyncGenerator[bytes, None]:
    """The body as it comes; what is compressed in pieces of a bounded size.

    Whoever compresses a watch on its way may leave the end of the compression out.

    Args:
        response: Opened with ``stream=True``.

    Raises:
        httpx.HTTPError: As :func:`read_whole`.
    """
    unpacker = zlib.decompressobj(_GZIP) if _is_packed(response) else None
    async for chunk in response.aiter_raw():
        if unpacker is None:
            yield chunk
            continue
        try:
            for piece in _pieces(unpacker, chunk):
                yield piece
                if len(piece) == _PIECE:  # a chunk may hold many: others have their turn too
                    await asyncio.sleep(0)
        except zlib.error as error:
            raise _undecodable(response, str(error)) from error


async def read_head(response: Any, most: int) -> bytes:
    """The first part of an error's body; an error without its whole body is still that error.

    Args:
        response: Opened with ``stream=True``.
        most: Bytes after which no more is read.
    """
    httpx = load_httpx()
    body = bytearray()
    with contextlib.suppress(httpx.HTTPError, OSError):
        async for piece in read_pieces(response):
            body += piece
            if len(body) >= most:
                break
    return bytes(body[:most])


def _is_packed(response: Any) -> bool:
    """Whether a body is compressed, which it may be once.

    Raises:
        httpx.DecodingError: It is encoded more than once, or in another way.
    """
    said = response.headers.get("content-encoding", "").lower()
    encodings = [each for each in map(str.strip, said.split(",")) if each not in ("", "identity")]
    if encodings in ([], ["gzip"]):
        return bool(encodings)
    raise _undecodable(response, f"the Content-Encoding is neither gzip nor identity: {said[:100]}")


def _undecodable(response: Any, why: str) -> Exception:
    error: Exception = load_httpx().DecodingError(why, request=response.request)
    return error


def _pieces(unpacker: _Unpacker, chunk: bytes) -> Iterator[bytes]:
    """What a chunk expands to; what comes behind the end is dropped. Raises zlib.error."""
    while not unpacker.eof:
        piece = unpacker.decompress(chunk, _PIECE)
        chunk = unpacker.unconsumed_tail
        if piece:
            yield piece
        # A full piece may leave more inside, with nothing of the chunk left.
        if not chunk and len(piece) < _PIECE:
            return


def _unpack(body: bytes, most: int) -> bytes | None:
    """Raises zlib.error for what is no gzip, EOFError for what has no end."""
    unpacker = zlib.decompressobj(_GZIP)
    whole = unpacker.decompress(body, most + 1)
    if len(whole) > most:
        return None
    if not unpacker.eof:
        raise EOFError("the compressed answer is cut short")
    return whole
