"""A console that may open no more files goes on: what needs one says so instead.

Screens are loaded when they are first opened. Where that fails for want of a file descriptor the
key or command has done nothing, and can be given again.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from mcp_tui.errors import out_of_files


class Said:
    """Says that too many files are open, where that is what ended its block.

    Args:
        say: Tells the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        if error is None or not out_of_files(error):
            return False
        self._say("too many files are open on this machine; raise the limit: ulimit -n")
        return True
