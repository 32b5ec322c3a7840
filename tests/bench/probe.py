"""The console with marks in its output: a control string at each moment that is measured.

A mark goes to the terminal behind the frame that it tells of, so that who reads the terminal knows
when that frame was there, whatever lies between. Terminals pass over it. Run in place of
``mcp-tui``, with the same arguments.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

START: Final = b"\x1b]7770;"
END: Final = b"\x07"


BEAT: Final = 0.01
"""Seconds between two looks at how late the event loop is."""

_LEFT_OUT: Final = re.compile(r"\[([\d,]+) lines came faster")
_NUMBERED: Final = re.compile(r"line (\d+) ")


def digest(versions: Mapping[str, str]) -> str:
    """One short text for objects by uid and version, whatever their order."""
    lines = sorted(f"{uid} {version}" for uid, version in versions.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def main() -> int:
    """Run the console, marked."""
    from mcp_tui.cli import main as command

    _mark_console()
    return command(sys.argv[1:])


def _mark_console() -> None:
    """Let the console, when it is imported, be one that marks."""
    import importlib.abc

    class Finder(importlib.abc.MetaPathFinder):
        """Waits for the app's module, so that nothing is imported earlier than it would be."""

        def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
            if name != "mcp_tui.tui.app":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.loader is not None
            load = spec.loader.exec_module

            def run(module: Any) -> None:
                load(module)
                module.Console = _marked(module.Console)

            spec.loader.exec_module = run  # type: ignore[method-assign]  # of this one spec
            return spec

    import importlib.util

    sys.meta_path.insert(0, Finder())


def _count_log_lines() -> Counter[str]:
    """Lines given to views, and those that are said to be left out, from now on."""
    from mcp_tui.tui.widgets.logview import LogView

    counted: Counter[str] = Counter()
    append = LogView.append

    def count(view: Any, lines: Any) -> None:
        told = _LEFT_OUT.match(getattr(lines[0], "text", "")) if lines else None
        if told is not None:
            counted["left"] += int(told[1].replace(",", ""))
            counted["notices"] += 1
        counted["given"] += len(lines) - (told is not None)
        append(view, lines)

    setattr(LogView, "append", count)  # noqa: B010  # a type checker takes it for a mistake
    return counted


def _log_state(view: Any, counted: Counter[str]) -> str:
    """Of a view of numbered lines, in the order of :class:`tests.bench.flood.Log`."""
    newest = view._lines[-1]
    found = _NUMBERED.search(getattr(newest, "text", ""))
    number = int(found[1]) if found else 0
    age = time.time() - (getattr(newest, "at", None) or 0.0)
    counts = (number, *(counted[name] for name in ("given", "notices", "left")))
    return " ".join(map(str, (*counts, view.count, view.dropped, f"{age:.3f}")))


def _marked(console: Any) -> Any:
    """The console's class, with marks."""

    class Marked(console):  # type: ignore[misc]  # a class known at run time
        """Marks rows as they are painted, keys as they are dealt with, and stalls of the loop."""

        _shown = -1
        _dealt = 0
        _beat = 0.0
        _stall = 0.0
        _log_lines: Counter[str] | None = None

        def on_mount(self) -> None:
            # Textual calls that of the console too: called from here it would start twice.
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, self._tell_state)
            if os.environ.get("MCP_TUI_BENCH_LOGS"):
                self._log_lines = _count_log_lines()
            if os.environ.get("MCP_TUI_BENCH_STALLS"):
                self._beat = loop.time()
                loop.call_later(BEAT, self._feel)

        def _feel(self) -> None:
            """How late the loop is, at most, since that was told last."""
            loop = asyncio.get_running_loop()
            now = loop.time()
            self._stall = max(self._stall, now - self._beat - BEAT)
            self._beat = now
            loop.call_later(BEAT, self._feel)

        def _tell_state(self) -> None:
            """What is held, as one number for each context, and the longest stall."""
            lives = getattr(self.backend, "lives", {})
            for name, live in lives.items():
                held = {u: j.metadata.resource_version for u, j in live.store._jobs.items()}
                self._write(f"held={name} {digest(held)}")
            view = getattr(self.screen, "texts", {}).get("Logs")
            if self._log_lines is not None and view is not None and view.count:
                self._write(f"log={_log_state(view, self._log_lines)}")
            if self.pane is not None:
                model = self.pane.model
                self._write(f"sort={model.sort[0]}")
                self._write(f"columns={' '.join(c.id for c in model.columns if c.sortable)}")
            self._write(f"stall={self._stall * 1000:.1f}")
            self._stall = 0.0

        def mark(self, name: str, value: object) -> None:
            """Write a mark behind what is painted next."""
            self.screen.call_after_refresh(self._write, f"{name}={value}")

        def _write(self, text: str) -> None:
            if self._driver is not None:
                self._driver.write((START + text.encode() + END).decode())
                self._driver.flush()

        def apply_change(self) -> None:
            super().apply_change()
            if self.ready and self.pane is not None:
                count = self.pane.table.model.total
                if count != self._shown:
                    self._shown = count
                    self.mark("rows", count)

        async def _key_dealt_with(self) -> None:
            self._dealt += 1
            self.mark("key", self._dealt)
            await super()._key_dealt_with()

    return Marked


if __name__ == "__main__":
    sys.exit(main())
