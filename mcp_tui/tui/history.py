"""The command line's history, kept between runs for the user alone."""

from __future__ import annotations

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
    """Keep the newest lines, readable by the user alone."""
    if not file or not lines:
        return
    path = Path(file)
    # A history that cannot be kept is not worth a word at the end.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text("\n".join(lines[-KEPT:]) + "\n", "utf-8")
