"""The console with marks in its output: a control string at each moment that is measured.

A mark goes to the terminal behind the frame that it tells of, so that who reads the terminal knows
when that frame was there, whatever lies between. Terminals pass over it. Run in place of
``mcp-tui``, with the same arguments.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

START: Final = b"\x1b]7770;"
END: Final = b"\x07"


BEAT: Final = 0.01
"""Seconds between two looks at how late the event loop is."""


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


def _marked(console: Any) -> Any:
    """The console's class, with marks."""

    class Marked(console):  # type: ignore[misc]  # a class known at run time
        """Marks rows as they are painted, keys as they are dealt with, and stalls of the loop."""

        _shown = -1
        _dealt = 0
        _beat = 0.0
        _stall = 0.0

        def on_mount(self) -> None:
            # Textual calls that of the console too: called from here it would start twice.
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, self._tell_state)
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
