"""Which lines of a text tell of a failure: the built-in pattern of the viewer."""

from __future__ import annotations

import re
from typing import Final

ERRORS: Final = re.compile(
    r"\b(\w*error|\w*exception|traceback|fatal|panic|\w*killed|oom|fail(s|ed|ure)?|cannot|denied)\b",
    re.I,
)
"""What ``n`` and ``N`` look for when nothing was searched, and ``f`` shows alone."""

# One of them stands in whatever the pattern finds, and is looked for ten times as quickly.
_IN_ALL: Final = (
    "error", "exception", "traceback", "fatal", "panic", "killed", "oom", "fail", "cannot",
    "denied",
)  # fmt: skip


def is_fault(text: str) -> bool:
    """Whether a line tells of a failure."""
    if text.isascii():
        lowered = text.lower()
        if not any(word in lowered for word in _IN_ALL):
            return False
    return ERRORS.search(text) is not None
