"""How long a screen waits for what it asked for, and what it says then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from mcp_tui.errors import McpTuiError


async def fault_of(work: Awaitable[None], deadline: float) -> str:
    """What went wrong with a fetch, in words; empty where nothing did.

    Args:
        work: What fetches and shows.
        deadline: Seconds after which it is given up.
    """
    try:
        async with asyncio.timeout(deadline):
            await work
    except McpTuiError as error:
        return error.line()
    except TimeoutError:
        return f"no answer in {deadline:.0f} s; r asks again"
    return ""
