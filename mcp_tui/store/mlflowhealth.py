"""How MLflow stands, as those who ask it see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from mcp_tui.domain.text import one_line
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.base import HealthState, SourceHealth

_FIRST_RETRY: Final = 1.0
_LAST_RETRY: Final = 30.0


class MlflowHealth:
    """The health of one server, told by calls that went well or did not."""

    def __init__(self) -> None:
        self.health = SourceHealth(name="mlflow", since=time.monotonic())

    def spoke(self) -> None:
        """It answered."""
        self._is(HealthState.LIVE, "", None)

    def failed(self, error: McpTuiError, again_in: float) -> None:
        """It did not, or refused."""
        denied = isinstance(error, ApiError) and error.status in (401, 403)
        self._is(HealthState.DENIED if denied else HealthState.RETRYING, error.line(), again_in)

    def defect(self, error: Exception, again_in: float) -> None:
        """It may have answered: what asks it is broken."""
        text = f"defect in runs: {type(error).__name__}: {one_line(str(error))}"
        self._is(HealthState.RETRYING, text, again_in)

    def _is(self, state: HealthState, message: str, again_in: float | None) -> None:
        now = time.monotonic()
        old = self.health
        live = state is HealthState.LIVE
        self.health = SourceHealth(
            name="mlflow",
            state=state,
            spoke_at=now if live else old.spoke_at,
            message=message,
            retry_at=None if again_in is None else now + again_in,
            since=old.since if old.state is state else now,
            synced=live or old.synced,
        )


async def kept_up(
    work: Callable[[], Awaitable[None]],
    health: MlflowHealth,
    tell: Callable[[], None],
    at_once: asyncio.Event,
) -> None:
    """Begin again what failed, later and later, until it ends; how the server stands is said.

    Args:
        work: What is done.
        health: Told of each failure.
        tell: Called after it was.
        at_once: Set when somebody wants it begun again without waiting further.
    """
    delay = _FIRST_RETRY
    while True:
        began = time.monotonic()
        try:
            await work()
            return
        except McpTuiError as error:
            health.failed(error, delay)
        except Exception as error:  # noqa: BLE001 - a defect must not end the list in silence
            health.defect(error, delay)
        tell()
        if time.monotonic() - began > _LAST_RETRY:
            delay = _FIRST_RETRY
        # What was wanted before this failure had its try.
        at_once.clear()
        try:
            async with asyncio.timeout(delay):
                await at_once.wait()
            delay = _FIRST_RETRY
        except TimeoutError:
            delay = min(_LAST_RETRY, delay * 2)


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for tasks that were cancelled."""
    await asyncio.gather(*tasks, return_exceptions=True)
