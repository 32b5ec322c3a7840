"""Parquet files that nobody vouches for, read by a bounded process of its own.

pyarrow reads them, which MLflow mostly brings along.
"""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Final

import msgspec

from mcp_tui.domain.evalfiles import Predictions
from mcp_tui.errors import UsageError
from mcp_tui.sources.child import ask_child
from mcp_tui.sources.tableparse import TOO_LARGE, Head, Parsed, out_of_memory

DEADLINE: Final = 60.0
"""Seconds that the reading of one table may take: half a million rows take some ten."""

_PROGRAM: Final = "mcp_tui.sources.tableparse"


async def read_head(data: bytes, *, deadline: float = DEADLINE) -> Head:
    """The first rows of a file.

    Raises:
        UsageError: pyarrow is not installed, or it is no table that can be read; in words.
        UnreachableError: It took too long.
    """
    parsed = await _ask("head", data, deadline)
    if parsed.head is None:
        raise UsageError(parsed.fault)
    return parsed.head


async def read_predictions(data: bytes, *, deadline: float = DEADLINE) -> Predictions:
    """The predictions of a file, which do not say of which.

    Raises:
        UsageError: As :func:`read_head`, or it holds no predictions.
        UnreachableError: It took too long.
    """
    parsed = await _ask("predictions", data, deadline)
    if parsed.predictions is None:
        hint = "log ids, labels and predictions alone" if parsed.fault == TOO_LARGE else ""
        raise UsageError(parsed.fault, hint=hint)
    return parsed.predictions


async def _ask(kind: str, data: bytes, deadline: float) -> Parsed:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("reading Parquet needs pyarrow", hint="pip install pyarrow")
    try:
        said = await ask_child(_PROGRAM, [kind], subject="the table", deadline=deadline, given=data)
    except UsageError as error:
        # Where Arrow's own code has no way to say so, it ends the process.
        if out_of_memory(error.what):
            return Parsed(fault=TOO_LARGE)
        raise
    try:
        return await asyncio.to_thread(msgspec.msgpack.decode, said, type=Parsed)
    except msgspec.MsgspecError:
        return Parsed(fault="the table could not be read: its reader ended early")
