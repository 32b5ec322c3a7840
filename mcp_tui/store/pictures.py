"""A picture among the artifacts, fetched and read."""

from __future__ import annotations

from typing import Final

from mcp_tui.domain.picture import Picture
from mcp_tui.domain.quantity import format_bytes
from mcp_tui.errors import UsageError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.pictures import ensure_pillow, read_picture

MOST: Final = 16 * 1024**2
"""Bytes of a picture that is shown."""

_FIRST: Final = 256 * 1024
_PART: Final = 4 * 1024**2


async def picture_of(mlflow: MlflowClient, run_id: str, ref: str) -> Picture:
    """A picture among the artifacts, small enough to be drawn in cells.

    Args:
        mlflow: Whose it is.
        run_id: Of the run, or of the logged model.
        ref: Which, as it is listed.

    Raises:
        McpTuiError: It cannot be read, is too large, or no picture that can be shown.
    """
    ensure_pillow()
    data = bytearray()
    wanted = _FIRST
    while True:
        part = await mlflow.artifact_head(run_id, ref, start=len(data), most=wanted)
        data += part.data
        if len(data) > MOST or (part.total or 0) > MOST:
            size = "" if part.total is None else f" of {format_bytes(part.total)}"
            raise UsageError(
                f"a picture{size}: only those up to {format_bytes(MOST)} are shown",
                hint="W downloads it",
            )
        if len(part.data) < wanted or (part.total is not None and len(data) >= part.total):
            return await read_picture(bytes(data))
        wanted = min(_PART, MOST + 1 - len(data))
