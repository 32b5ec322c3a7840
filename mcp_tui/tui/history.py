"""The command line's history, kept between runs for the user alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mcp_tui.domain.text import one_line

KEPT = 200
"""Lines kept."""


def read(file: str) -> list[str]:
    """The lines of before, oldest first; none where there is no file."""
    if not file:
        return []
    try:
        text = Path(file).read_text("utf-8", errors="replace")
    except OSError:
        return []
    return [one_line(line) for line in text.splitlines() if line.strip()][-KEPT:]


def write(file: str, lines: Sequence[str]) -> None:
    """Keep the newest lines, readable by the user alone.

    They take the old ones' place at once, and only when they are written whole: a disk that is
    full, or another console that ends now, leaves one or the other.
    """
    if not file or not lines:
        return
    path = Path(file)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    # A history that cannot be kept is not worth a word at the end.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            new.touch(mode=0o600)
            new.write_text("\n".join(lines[-KEPT:]) + "\n", "utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
