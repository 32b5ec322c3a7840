"""Runs a command whose own children would outlive it, and ends all of them with its parent.

``python leash.py COMMAND ARG...``: started as the leader of a process group. When its parent is
gone, however that happened, or on TERM, it kills the whole group.
"""

import ctypes
import os
import signal
import subprocess
import sys


def main() -> int:
    """Run the command; returns its exit status."""

    def end(number: int, frame: object) -> None:
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent or os.getpgrp() != os.getpid():
        return 1
    return subprocess.call(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
