"""How the approvals of the versions on screen stand, looked at little by little.

What a record of an approval is worth hangs on the files of its version, which takes some calls to
read: it is looked at for versions on screen that have any record at all, one after another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.modelrow import VersionRow
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.live.models_model import Item

if TYPE_CHECKING:
    from mcp_tui.tui.live.models import LiveModels

_HOLDS: Final = 120.0
"""Seconds for which what was found is believed."""
_MOST: Final = 500

_Key = tuple[str, str, str, tuple[str, ...]]


class Judging:
    """What is known of approvals.

    Args:
        models: Whose versions.

    Attributes:
        version: Grows when more is known.
    """

    def __init__(self, models: LiveModels) -> None:
        self._models = models
        self._found: dict[_Key, tuple[float, str]] = {}
        self._wanted: list[_Key] = []
        self._at_work = False
        self.version = 0

    def clear(self) -> None:
        """Look again."""
        self._found = {key: (float("-inf"), words) for key, (_, words) in self._found.items()}

    def cell(self, context: str, row: VersionRow, levels: Sequence[str]) -> str:
        """``1 of 2``; with a ``?`` while nobody looked what is on record is worth."""
        given = sum(level in row.records for level in levels)
        if not given:
            return f"0 of {len(levels)}"
        found = self._found.get(_key(context, row))
        return found[1] if found is not None else f"{given} of {len(levels)} ?"

    def look(self, items: Sequence[Item]) -> None:
        """These rows are on screen."""
        now, never = time.monotonic(), (float("-inf"), "")
        keys = (_key(i.context, i.version) for i in items if i.version and i.version.records)
        self._wanted = [key for key in keys if now - self._found.get(key, never)[0] > _HOLDS]
        if self._wanted and not self._at_work:
            self._at_work = True
            self._models.backend.spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._wanted:
                key = self._wanted.pop(0)
                words = await self._judge(key)
                while len(self._found) >= _MOST:
                    del self._found[next(iter(self._found))]
                self._found[key] = (time.monotonic(), words)
                self.version += 1
                self._models.judged()
        finally:
            self._at_work = False

    async def _judge(self, key: _Key) -> str:
        context, name, version, _ = key
        try:
            live = self._models.live(context)
            live.engine.mlflow_client = live.connection.mlflow
            found = (await live.engine.approvals(name, version)).approvals
        except McpTuiError:
            return "not told"
        return f"{found.given} of {len(found.levels)}"


def _key(context: str, row: VersionRow) -> _Key:
    return (context, row.name, row.version, row.records)
