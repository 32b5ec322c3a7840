"""Consoles on pseudo-terminals, several of which may be read at once."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.cluster.plane import REPO
from tests.tui.terminal import DEADLINE, Terminal

ENV = {
    "TERM": "xterm-256color",
    "LC_ALL": "C.UTF-8",
    "SSH_CONNECTION": "",
    "NO_COLOR": "",
    "PYTHONPATH": str(REPO),
}


def opened(env: Mapping[str, str], *args: str, size: tuple[int, int] = (100, 30)) -> Terminal:
    """``mcp-tui`` in a terminal."""
    argv = [sys.executable, "-m", "mcp_tui", *args]
    return Terminal(argv, {**env, **ENV}, size, REPO)


@contextmanager
def closing(terminals: Sequence[Terminal]) -> Iterator[Sequence[Terminal]]:
    """Close all of them at the end, whatever happened."""
    try:
        yield terminals
    finally:
        for each in terminals:
            each.close()


def all_until(terminals: Iterable[Terminal], true: Callable[[Terminal], object]) -> None:
    """Read all of them until it has been true of each: one that is not read would block."""
    left = list(terminals)
    everyone = {each.fd: each for each in left}
    end = time.monotonic() + DEADLINE
    while left := [each for each in left if not true(each)]:
        assert time.monotonic() < end, f"never true of {len(left)}:\n{left[0].text}"
        for fd in select.select(list(everyone), [], [], 0.2)[0]:
            everyone[fd].read()


def all_read(terminals: Iterable[Terminal], seconds: float) -> None:
    """Read all of them for a while."""
    end = time.monotonic() + seconds
    all_until(terminals, lambda _: time.monotonic() > end)


def all_press(terminals: Iterable[Terminal], key: str, true: Callable[[Terminal], object]) -> None:
    """Press a key in each, and again where it was not heard, until it has been true of each."""
    for each in (them := list(terminals)):
        each.type(key)
    again = time.monotonic() + 5.0

    def heard(it: Terminal) -> bool:
        nonlocal again
        if time.monotonic() > again:
            again = time.monotonic() + 5.0
            for each in them:
                if not true(each):
                    each.type(key)
        return bool(true(it))

    all_until(them, heard)
