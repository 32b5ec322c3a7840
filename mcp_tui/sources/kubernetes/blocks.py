"""Finds the lines in a stream that comes in chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from mcp_tui.domain.decode import Lines
from mcp_tui.errors import UnreachableError


async def iter_blocks(
    chunks: AsyncIterator[bytes], *, max_line: int = 32 * 1024 * 1024
) -> AsyncGenerator[Lines, None]:
    """The whole lines of a stream, all those that a chunk completes as one block.

    The line that was begun before is a piece of the block, and those that are whole in the chunk
    are another: a view of it, for chunks are large. A last line without its line end is not given:
    it may have been cut off.

    Raises:
        UnreachableError: A line is longer than ``max_line`` bytes.
    """
    rest: list[bytes] = []
    size = 0
    async for chunk in chunks:
        start, end = 0, chunk.rfind(b"\n") + 1
        if not end:
            rest.append(chunk)
            size += len(chunk)
            if size > max_line:
                raise UnreachableError("a line of the answer is too long")
            continue
        block: list[bytes | memoryview] = []
        view = memoryview(chunk)
        if rest:
            start = chunk.find(b"\n") + 1
            block.append(b"".join((*rest, view[:start])))
        if start < end:
            block.append(view[start:end])
        yield block
        rest, size = ([chunk[end:]], len(chunk) - end) if end < len(chunk) else ([], 0)
