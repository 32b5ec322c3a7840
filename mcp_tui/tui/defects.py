"""Where the traceback of a defect goes: to a file, never to the screen."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from mcp_tui.domain.text import clean

NAME = "defect.txt"
LONGEST = 1_000_000


def keep(error: BaseException, directory: str) -> str:
    """Write a defect's traceback, readable by the user alone, over the one before.

    Args:
        error: The defect.
        directory: The state directory; empty keeps nothing.

    Returns:
        The file's name, or empty when it could not be written.
    """
    if not directory:
        return ""
    path = Path(directory) / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            # An error's words may be anybody's, and the file is read in a terminal.
            file.write(clean("".join(traceback.format_exception(error)), limit=LONGEST))
    except OSError:
        return ""
    return str(path)
