"""``make bench``: every measured promise, as a ratio or a count beside what it is held against.

Exits with 1 when one is missed. Figures go to standard output, and as JSON to ``build/bench.json``
or the file named by ``MCP_TUI_BENCH_JSON``, so that runs can be compared: two such files behind the
word ``compare`` are put side by side.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from tests.bench import (
    commands,
    curves,
    first_frame,
    idle,
    panes,
    runs_figures,
    scale_figures,
    terminal_bytes,
    together,
    watch_decode,
)
from tests.bench.figure import Figure


def _first_frame() -> list[Figure]:
    bare, ours = first_frame.measure()
    beside = f"console {ours * 1000:.0f} ms, bare Textual app {bare * 1000:.0f} ms"
    return [Figure("first frame", ours / bare, 2.5, "x", beside)]


def _terminal_bytes() -> list[Figure]:
    figures = []
    for profile in ("normal", "ssh"):
        costs = terminal_bytes.measure(profile)
        beside = f"all of it drawn {costs['drawn again']:,} bytes"
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
    ("watch-decode", watch_decode.figures),
    ("terminal-bytes", _terminal_bytes),
    ("panes", panes.figures),
    ("commands", commands.figures),
    ("idle", _idle),
    ("curves", curves.figures),
    ("together", together.figures),
    ("runs", runs_figures.figures),
    ("scale", scale_figures.figures),
)


JSON = Path("build/bench.json")


def _keep(figures: list[Figure]) -> None:
    path = Path(os.environ.get("MCP_TUI_BENCH_JSON") or JSON)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "figures": [asdict(f) | {"kept": f.kept} for f in figures],
    }
    path.write_text(json.dumps(whole, indent=2) + "\n")


def compare(one: Path, other: Path) -> None:
    """Print each figure of two runs, and the second as a multiple of the first."""
    found = [
        {figure["name"]: figure for figure in json.loads(path.read_text())["figures"]}
        for path in (one, other)
    ]
    for name, before in found[0].items():
        after = found[1].get(name)
        value = before["value"]
        line = f"{name:<56} {value:>10.2f} {before['unit']:<9}"
        if after is None:
            print(f"{line} not measured")
            continue
        times = f" {after['value'] / value:6.2f}x" if value else ""
        print(f"{line} {after['value']:>10.2f}{times}{'' if after['kept'] else '  MISS'}")


def main(names: list[str]) -> int:
    """Run all, or those named."""
    if names[:1] == ["compare"] and len(names) == 3:
        compare(Path(names[1]), Path(names[2]))
        return 0
    known = [name for name, _ in BENCHES]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no bench {unknown[0]}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    broken = 0
    for name, run in BENCHES:
        if names and name not in names:
            continue
        began = time.monotonic()
        try:
            for figure in run():
                figures.append(figure)
                print(figure.line(), flush=True)
                _keep(figures)
        except Exception:
            # What else there is to be measured is measured all the same.
            broken += 1
            traceback.print_exc()
            print(f"BROKEN {name}", flush=True)
        print(f"     {name}: {time.monotonic() - began:.0f} s", flush=True)
    return 0 if not broken and all(f.kept for f in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
