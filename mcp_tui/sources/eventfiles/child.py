"""Asks the process that reads event files."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from mcp_tui.domain.eventlines import EventFolder
from mcp_tui.errors import UsageError
from mcp_tui.sources.child import ask_child

DEADLINE: Final = 90.0
"""Seconds that the reading of one folder may take: 64 MB of small records take some 20."""

_PROGRAM: Final = "mcp_tui.sources.eventfiles.parse"


def ensure_reader() -> None:
    """Whether TensorBoard is there.

    Raises:
        UsageError: It is not: how to get it.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard's reader of event files is not installed",
            hint="pip install tensorboard (the extra tensorboard)",
        )


async def parse(paths: Sequence[Path], *, deadline: float = DEADLINE) -> EventFolder:
    """Read the event files of one folder in a process of its own.

    Raises:
        UsageError: TensorBoard is not installed, or its reader could not read them.
        UnreachableError: It took too long.
    """
    ensure_reader()
    said = await ask_child(
        _PROGRAM, [str(path) for path in paths], subject="event files", deadline=deadline
    )
    return await asyncio.to_thread(msgspec.msgpack.decode, said, type=EventFolder)
