"""Finds the lines in a stream that comes in chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from mcp_tui.errors import UnreachableError


async def iter_blocks(
    chunks: AsyncIterator[bytes], *, max_line: int = 32 * 1024 * 1024
) -> AsyncGenerator[bytes, None]:
    """The whole lines of a stream, all those that a chunk completes as one block.

    A last line without its line end is not given: it may have been cut off.

    Raises:
        UnreachableError: A line is longer than ``max_line`` bytes.
    """
    rest: list[bytes] = []
    size = 0
    async for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest.append(chunk)
            size += len(chunk)
            if size > max_line:
                raise UnreachableError("a line of the answer is too long")
            continue
        whole = end == len(chunk)
        # Chunks are large: none is copied that need not be, and no part of one twice.
        lines = chunk if whole else memoryview(chunk)[:end]
        yield b"".join((*rest, lines)) if rest or not whole else chunk
        rest, size = ([], 0) if whole else ([chunk[end:]], len(chunk) - end)
