"""k9s on the same cluster, where it was built: ``python -m tests.cluster build --with k9s``."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Final

from tests.bench.terminal import Terminal
from tests.cluster import Ground
from tests.cluster.build import EXTRAS

HOW: Final = "python -m tests.cluster build --with k9s"
_ARGUMENTS: Final = ("--context", "dev", "-A", "-c", "jobs", "--readonly", "--logoless")
_REST: Final = 15.0


@dataclass(frozen=True)
class Other:
    """What it takes: seconds to its first row, bytes of memory and a share of a core at rest."""

    first: float
    resident: int
    processor: float


def built() -> bool:
    """Whether it is there."""
    return all(tool.ready() for tool in EXTRAS["k9s"])


def look(ground: Ground, *, seconds: float = 30, rounds: int = 1) -> Other:
    """Open it, wait for a row, and leave it alone; of the rounds the best."""
    (tool,) = EXTRAS["k9s"]
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            names = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
            env = {name: f"{home}/{name}" for name in names}
            env |= {"HOME": home, "KUBECONFIG": str(ground.kubeconfig)}
            command = [str(tool.home / "bin" / "k9s"), *_ARGUMENTS]
            with Terminal((), env=env, command=command, needle=b"train-") as terminal:
                first = terminal.wait("needle").at - terminal.started
                time.sleep(_REST)
                used, began = terminal.processor, time.monotonic()
                time.sleep(seconds)
                share = (terminal.processor - used) / (time.monotonic() - began)
                found.append(Other(first, terminal.resident, share))
    return Other(
        min(one.first for one in found),
        min(one.resident for one in found),
        min(one.processor for one in found),
    )
