"""``make bench``: every measured promise, as a ratio or a count beside what it is held against.

Exits with 1 when one is missed. Figures go to standard output, and as JSON to the file named by
``MCP_TUI_BENCH_JSON``, so that runs can be compared.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from tests.bench import first_frame, idle, scale_figures, terminal_bytes, watch_decode
from tests.bench.figure import Figure


def _first_frame() -> list[Figure]:
    bare, ours = first_frame.measure()
    beside = f"console {ours * 1000:.0f} ms, bare Textual app {bare * 1000:.0f} ms"
    return [Figure("first frame", ours / bare, 2.5, "x", beside)]


def _watch_decode() -> list[Figure]:
    figures = []
    for kind in watch_decode.KINDS:
        fast, slow = watch_decode.measure(kind)
        beside = f"{fast:,.0f} events/s, kubernetes models {slow:,.0f}"
        name = f"watch events to store diff, {kind}"
        figures.append(Figure(name, fast / slow, 50, "x", beside, at_least=True))
    return figures


def _terminal_bytes() -> list[Figure]:
    figures = []
    for profile in ("normal", "ssh"):
        costs = terminal_bytes.measure(profile)
        beside = f"whole repaint {costs['repaint']:,} bytes"
        figures += [
            Figure(f"one visible cell, {profile}", costs["visible cell"], 1024, "bytes", beside),
            Figure(f"one cell off screen, {profile}", costs["cell off screen"], 0, "bytes", beside),
        ]
    return figures


def _idle() -> list[Figure]:
    found = idle.measure()
    beside = f"{found.rows} jobs, nothing changing"
    return [
        Figure("calls to the API server while idle", len(found.calls), 0, "calls", beside),
        Figure(
            "bytes of the API server while idle", found.per_minute / 1024, 10, "KiB/min", beside
        ),
    ]


BENCHES: tuple[tuple[str, Callable[[], Iterable[Figure]]], ...] = (
    ("first-frame", _first_frame),
    ("watch-decode", _watch_decode),
    ("terminal-bytes", _terminal_bytes),
    ("idle", _idle),
    ("scale", scale_figures.figures),
)


def main(names: list[str]) -> int:
    """Run all, or those named."""
    known = [name for name, _ in BENCHES]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no bench {unknown[0]}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name, run in BENCHES:
        if names and name not in names:
            continue
        for figure in run():
            figures.append(figure)
            print(figure.line(), flush=True)
    if path := os.environ.get("MCP_TUI_BENCH_JSON"):
        Path(path).write_text(json.dumps([asdict(f) | {"kept": f.kept} for f in figures], indent=2))
    return 0 if all(f.kept for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
