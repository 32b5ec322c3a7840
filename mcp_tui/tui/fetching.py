"""How long a screen waits for what it asked for, and what it says then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from mcp_tui.errors import McpTuiError, UnreachableError


@asynccontextmanager
async def within(deadline: float, late: str = "", *, hint: str = "") -> AsyncIterator[None]:
    """Give up what takes longer.

    Args:
        deadline: Seconds.
        late: What is said then, in front of how long it was; empty says that no answer came.
        hint: What to do then.

    Raises:
        UnreachableError: It took longer.
    """
    try:
        async with asyncio.timeout(deadline):
            yield
    except TimeoutError as error:
        what = f"{late or 'no answer'} in {deadline:.0f} s"
        raise UnreachableError(what, hint=hint) from error


async def fault_of(work: Awaitable[None], deadline: float) -> str:
    """What went wrong with a fetch, in words; empty where nothing did.

    Args:
        work: What fetches and shows.
        deadline: Seconds after which it is given up.
    """
    try:
        async with within(deadline, hint="r asks again"):
            await work
    except McpTuiError as error:
        return error.line()
    return ""
