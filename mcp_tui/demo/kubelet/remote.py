"""Streams into a container; refused until they are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_tui.demo.kubelet.server import KubeletServer, Request


async def handle(
    server: KubeletServer,
    request: Request,
    early: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Refuse."""
    from mcp_tui.demo.kubelet.server import HttpError

    raise HttpError(501, "not implemented by this node")
