"""Ends the node's processes when the node itself was killed.

Run as a program of its own (standard library only): it holds one end of a pipe from the node and
reads ``+PGID`` and ``-PGID`` lines. When the pipe closes, for whatever reason the node died, it
kills every process group still registered and, where ``/proc`` shows it, every process whose
environment names the node's directory.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path


def marked(marker: bytes) -> list[int]:
    """Processes, other than this one, whose initial environment mentions ``marker`` (Linux)."""
    found = []
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - plain names, and cheaper
            if name.isdigit() and int(name) != os.getpid():
                with suppress(OSError):
                    if marker in Path("/proc", name, "environ").read_bytes():
                        found.append(int(name))
    return found


def kill_group(group: int) -> None:
    """SIGKILL a process group that may be gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill_marked(marker: bytes) -> None:
    """SIGKILL what is marked until nothing is: processes may fork while they are being ended."""
    for _ in range(20):
        pids = marked(marker)
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def main(marker: str) -> None:
    """Read the node's pipe to its end, then end what is left."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        if line[1:].strip().isdigit():
            group = int(line[1:])
            groups.add(group) if line[:1] == b"+" else groups.discard(group)
    for group in groups:
        kill_group(group)
    kill_marked(os.fsencode(marker))


if __name__ == "__main__":
    main(sys.argv[1])
