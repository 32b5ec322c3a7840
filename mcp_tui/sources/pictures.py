"""Pictures from files that nobody vouches for, read by a bounded process of its own.

Pillow reads them (the extra ``images``).
"""

from __future__ import annotations

import importlib.util
from typing import Final

import msgspec

from mcp_tui.domain.picture import Picture
from mcp_tui.errors import UsageError
from mcp_tui.sources.child import ask_child
from mcp_tui.sources.pictureparse import Parsed

DEADLINE: Final = 15.0
"""Seconds that the reading of one picture may take."""

_PROGRAM: Final = "mcp_tui.sources.pictureparse"


def ensure_pillow() -> None:
    """Whether Pillow is there.

    Raises:
        UsageError: It is not: how to get it.
    """
    if importlib.util.find_spec("PIL") is None:
        raise UsageError(
            "Pillow, which reads pictures, is not installed",
            hint="pip install pillow (the extra images)",
        )


async def read_picture(data: bytes, *, deadline: float = DEADLINE) -> Picture:
    """A file's picture, small enough to be drawn in cells.

    Raises:
        UsageError: Pillow is not installed, or it is no picture that can be shown; in words.
        UnreachableError: It took too long.
    """
    ensure_pillow()
    said = await ask_child(_PROGRAM, subject="the picture", deadline=deadline, given=data)
    try:
        parsed = msgspec.msgpack.decode(said, type=Parsed)
    except msgspec.MsgspecError:
        parsed = Parsed(fault="its reader ended early")
    if parsed.picture is None:
        raise UsageError(f"the picture cannot be shown: {parsed.fault}")
    return parsed.picture
