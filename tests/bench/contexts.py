"""Several clusters at once: what three cost beside one, and those that hang beside one that lives.

The three are one filled API server behind three contexts: the console knows no more of them than
their addresses, and holds each one's objects by themselves. One that hangs is the fault proxy,
which takes every call and answers none; another is the living server, to be reached with what a
credential plugin says that never ends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.bench.aside import aside
from tests.bench.terminal import Terminal
from tests.bench.weather import SETTLE
from tests.cluster import Ground
from tests.faults.proxy import Fault, FaultProxy, Stall

NAMES: Final = ("one", "two", "three")
HANGS: Final = "hangs"
WAITS: Final = "waits"
"""For its credential plugin."""

HUNG: Final[Mapping[str, tuple[str, ...]]] = {
    "a cluster that hangs": (NAMES[0], HANGS),
    "one that hangs and is named first": (HANGS, NAMES[0]),
    "one whose plugin hangs, named first": (WAITS, NAMES[0]),
}
"""What is opened at once, of which one lives: who asked one after the other would wait."""

_FOR_EVER: Final = "while kill -0 $PPID 2>/dev/null; do sleep 1; done"
"""A plugin that says nothing as long as there is somebody who might listen."""


@dataclass(frozen=True)
class Cost:
    """What a console took.

    Attributes:
        first: Seconds until its first rows.
        processor: Seconds of processor time until it had nothing more to do.
        resident: Bytes of memory then.
    """

    first: float
    processor: float
    resident: int


@contextlib.contextmanager
def kubeconfig(ground: Ground) -> Iterator[Path]:
    """One with a context for each of :data:`NAMES`, and the two that hang."""
    with _hanging(ground) as dead:
        dev = ground.dev
        alive = {"server": dev.server, "certificate-authority": str(dev.ca)}
        servers = dict.fromkeys((*NAMES, WAITS), alive)
        path = ground.directory / "several.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(_written({**servers, HANGS: {"server": dead}}, dev.tokens["admin"]))
        try:
            yield path
        finally:
            path.unlink()


def _written(clusters: Mapping[str, Mapping[str, str]], token: str) -> str:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", _FOR_EVER],
        "interactiveMode": "Never",
    }
    users: dict[str, dict[str, Any]] = {"admin": {"token": token}, "nobody": {"exec": plugin}}
    whose = {WAITS: "nobody"}
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAMES[0],
        "clusters": [{"name": name, "cluster": dict(found)} for name, found in clusters.items()],
        "users": [{"name": name, "user": user} for name, user in users.items()],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": whose.get(name, "admin")}}
            for name in clusters
        ],
    }
    return yaml.safe_dump(config)


@contextlib.contextmanager
def _hanging(ground: Ground) -> Iterator[str]:
    """The address of a server that takes calls and never answers."""
    proxy = FaultProxy(ground.dev.server, ca=ground.dev.ca)
    proxy.add(Fault(act=Stall()))
    with aside() as do:
        do(proxy.accept())
        try:
            yield proxy.url
        finally:
            do(proxy.refuse())


def open_on(
    names: Sequence[str], path: Path, *, env: Mapping[str, str], rows: int, rounds: int = 2
) -> Cost:
    """Open the console on some contexts: the best of some rounds."""
    found = []
    for _ in range(rounds):
        arguments = ("--context", ",".join(names), "-A")
        with Terminal(arguments, env={**env, "KUBECONFIG": str(path)}) as terminal:
            terminal.wait("rows", str(rows))
            first = next(m for m in terminal.marks if m.name == "rows" and m.value != "0")
            time.sleep(SETTLE)
            found.append(Cost(first.at - terminal.started, terminal.processor, terminal.resident))
    return Cost(
        min(one.first for one in found),
        min(one.processor for one in found),
        max(one.resident for one in found),
    )
