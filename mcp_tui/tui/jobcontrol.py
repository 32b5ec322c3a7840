"""Ctrl-z: to the shell and back, where there is a shell that would take the console back."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def _parent_and_group(pid: int) -> tuple[int, int]:
    """A process's parent and process group."""
    # Behind the name, which may hold anything, in brackets.
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2]
    _, parent, group, *_ = fields.split()
    return int(parent), int(group)


def has_shell() -> bool:
    """Whether somebody of this terminal looks after our process group.

    Where nobody does (the console is what the terminal or the multiplexer itself started), to be
    stopped would be to be stopped for ever.
    """
    group = os.getpgrp()
    try:
        parent, _ = _parent_and_group(group)
        return parent > 1 and os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != group
    except (OSError, ValueError):
        return False


def stop() -> None:
    """Stop as the terminal's own ctrl-z would: with all of our process group, ``make`` included."""
    os.killpg(os.getpgrp(), signal.SIGTSTP)
