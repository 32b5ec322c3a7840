"""A bare Textual app with a table of as many rows: what keys cost where nothing else is done.

It marks its frames as :mod:`tests.bench.probe` marks the console's. Run with the number of rows.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from tests.bench.probe import END, START

COLUMNS: Final = 12


def main() -> None:
    """Run it."""
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    count = int(sys.argv[1])

    class Bare(App[None]):
        dealt = 0

        def compose(self) -> ComposeResult:
            yield DataTable(cursor_type="row")

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            table.add_columns(*(f"column {i}" for i in range(COLUMNS)))
            table.add_rows([f"{row} {column}" for column in range(COLUMNS)] for row in range(count))
            self.mark("rows", count)

        def mark(self, name: str, value: Any) -> None:
            def write() -> None:
                assert self._driver is not None
                self._driver.write((START + f"{name}={value}".encode() + END).decode())
                self._driver.flush()

            self.screen.call_after_refresh(write)

        def on_key(self) -> None:
            self.dealt += 1
            self.mark("key", self.dealt)

    Bare().run()


if __name__ == "__main__":
    main()
