"""Whether Prometheus is there: asked now and then, for the frame."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from mcp_tui.errors import McpTuiError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.tui.live.context import Live

_EVERY: Final = 10.0


async def watch(live: Live, goes_on: Callable[[], bool], changed: Callable[[], None]) -> None:
    """Keep what a context knows of its Prometheus, while it goes on."""
    client = live.connection.prometheus
    await live.feed.listed()
    while client is not None and goes_on():
        now = time.monotonic()
        old = live.prometheus
        try:
            ready = await client.ready()
            state = HealthState.LIVE if ready else HealthState.RETRYING
            message = "" if ready else "starting"
        except McpTuiError as error:
            state, message = HealthState.RETRYING, error.line()
        spoke = now if state is HealthState.LIVE else (old.spoke_at if old else None)
        live.prometheus = SourceHealth(
            name="prometheus", state=state, spoke_at=spoke, message=message, since=now
        )
        changed()
        await asyncio.sleep(_EVERY)
