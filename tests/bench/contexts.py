"""Several clusters at once: what three cost beside one, and one that hangs beside one that lives.

The three are one filled API server behind three contexts: the console knows no more of them than
their addresses, and holds each one's objects by themselves. The one that hangs is the fault proxy,
which takes every call and answers none.
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
    """One with a context for each of :data:`NAMES`, and one that hangs."""
    with _hanging(ground) as dead:
        dev = ground.dev
        alive = {"server": dev.server, "certificate-authority": str(dev.ca)}
        servers = {name: alive for name in NAMES}  # noqa: C420  # none of them is changed
        path = ground.directory / "several.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(_written({**servers, HANGS: {"server": dead}}, dev.tokens["admin"]))
        try:
            yield path
        finally:
            path.unlink()


def _written(clusters: Mapping[str, Mapping[str, str]], token: str) -> str:
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAMES[0],
        "clusters": [{"name": name, "cluster": dict(found)} for name, found in clusters.items()],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "admin"}} for name in clusters
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
