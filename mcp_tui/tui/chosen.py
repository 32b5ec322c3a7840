"""The columns that were chosen for the runs of an experiment, kept between runs of the console."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from mcp_tui.domain.text import clean_line

KEPT: Final = 500
"""Lists for which a choice is kept, the newest."""

MOST: Final = 24
"""Columns of one list."""

_NAME: Final = "columns.json"


class ChosenColumns:
    """Reads the file when first asked, and writes it with each choice.

    Args:
        folder: The state directory; None keeps choices for this run only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / _NAME
        self._known: dict[str, tuple[str, ...]] | None = None

    def get(self, of: str) -> tuple[str, ...] | None:
        """What was chosen for a list; None where nothing was."""
        return self._all().get(of)

    def put(self, of: str, columns: Sequence[str] | None) -> None:
        """Keep a choice; None forgets it. A file that cannot be written is not worth a word."""
        known = self._all()
        known.pop(of, None)
        if columns is not None:
            known[of] = tuple(columns)
        while len(known) > KEPT:
            del known[next(iter(known))]
        self._write(known)

    def _all(self) -> dict[str, tuple[str, ...]]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, tuple[str, ...]]:
        if self._file is None:
            return {}
        try:
            found = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {
            of: tuple(clean_line(c, limit=250) for c in columns if isinstance(c, str))[:MOST]
            for of, columns in found.items()
            if isinstance(columns, list)
        }

    def _write(self, known: dict[str, tuple[str, ...]]) -> None:
        if self._file is None:
            return
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                new.touch(mode=0o600)
                new.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
                new.replace(self._file)
            finally:
                new.unlink(missing_ok=True)
