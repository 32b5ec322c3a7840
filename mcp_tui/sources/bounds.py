"""What a process that reads foreign files puts on itself before it looks at one."""

from __future__ import annotations

import resource


def bound(memory: int) -> None:
    """Bound this process's address space; it writes no file, and no core if it dies."""
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))
