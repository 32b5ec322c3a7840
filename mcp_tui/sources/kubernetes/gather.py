"""Reads a stream of lines ahead of who takes them: what comes together is taken together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from mcp_tui.domain.decode import Lines

AT_ONCE: Final = 256 * 1024
"""Bytes that are taken at once, but for a single block that is larger: some milliseconds' worth."""

AHEAD: Final = 4 * 1024 * 1024
"""Bytes that are read before any is taken; a server that sends more waits."""


class Gathered:
    """The blocks of a stream, read in a task of its own.

    Args:
        blocks: Whole lines as they come; closed by :meth:`aclose`.
    """

    def __init__(self, blocks: AsyncGenerator[Lines, None]) -> None:
        self._blocks = blocks
        self._waiting: deque[tuple[int, Lines]] = deque()
        self._size = 0
        self._came: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._reading = asyncio.ensure_future(self._read())
        self._reading.add_done_callback(self._wake)

    async def _read(self) -> None:
        async for block in self._blocks:
            size = sum(map(len, block))
            self._waiting.append((size, block))
            self._size += size
            self._wake()
            if self._size >= AHEAD:
                self._room.clear()
                await self._room.wait()

    def _wake(self, _: object = None) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_result(None)

    async def come(self, timeout: float) -> bool:
        """Wait until there is something to take, or the end.

        Returns:
            Whether there is, within ``timeout`` seconds.
        """
        if not self._waiting and not self._reading.done():
            self._came = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._came,), timeout=timeout)
        return bool(self._waiting) or self._reading.done()

    def take(self) -> Lines:
        """What has come since, as one block of :data:`AT_ONCE` at most; an empty one at the end.

        Raises:
            Exception: The stream's own, once all that came before it was taken.
        """
        if not self._waiting:
            self._reading.result()
            return ()
        size, block = self._waiting.popleft()
        lines = list(block)
        while self._waiting and size + self._waiting[0][0] <= AT_ONCE:
            more, block = self._waiting.popleft()
            lines += block
            size += more
        self._size -= size
        if self._size < AHEAD:
            self._room.set()
        return lines

    async def aclose(self) -> None:
        """Stop reading, and close the stream."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        with contextlib.suppress(RuntimeError):  # it may be at its end already
            await self._blocks.aclose()
