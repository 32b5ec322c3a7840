"""How much of what has no natural end: a short form in every run, the long one in ``make soak``."""

from __future__ import annotations

import os
from typing import Final

SOAK: Final = bool(os.environ.get("MCP_TUI_SOAK"))


def times(short: int, long: int) -> int:
    """A count: of examples, schedules, presses or seconds."""
    return long if SOAK else short
