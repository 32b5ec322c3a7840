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
        # Chunks are large: no part of one is copied twice.
        yield b"".join((*rest, memoryview(chunk)[:end]))
        rest, size = [chunk[end:]], len(chunk) - end
