"""The head of an artifact as the console's lines."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store import preview
from mcp_tui.tui.model import Cell, Line


async def head_lines(mlflow: MlflowClient, run_id: str, ref: str) -> Sequence[Line]:
    """As :func:`mcp_tui.store.preview.head_lines`."""
    return [(Cell(text, role),) for text, role in await preview.head_lines(mlflow, run_id, ref)]
