"""What the clients of MLflow and Prometheus call through, whichever way their server is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from mcp_tui.sources.body import Opened
from mcp_tui.sources.reply import Reply

Params = Sequence[tuple[str, str]]

MAX_BYTES: Final = 64 * 1024 * 1024


class Caller(Protocol):
    """One endpoint; paths are relative to its base."""

    where: str
    """How the endpoint is called in messages: ``MLflow at http://...``."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        deadline: float = 10.0,
    ) -> Reply:
        """Send one call.

        Raises:
            RefusedError: The gate lets it not pass.
            ApiError: The server answered, but not with success.
            UnknownOutcomeError: A write that may have left got no answer.
            UnreachableError: Anything else that kept an answer from coming.
        """
        ...

    def stream(
        self,
        path: str,
        *,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        deadline: float = 10.0,
        silence: float = 30.0,
    ) -> AbstractAsyncContextManager[Opened]:
        """A GET whose answer is read as it comes; it may be of any size.

        Args:
            headers: More headers, such as a Range.
            deadline: Seconds for everything, reading included.
            silence: Seconds without a byte after which the connection counts as dead.

        Raises:
            As :meth:`call`; while reading, UnreachableError.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections; a shared Kubernetes client stays open."""
        ...
