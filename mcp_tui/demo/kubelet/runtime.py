"""What all pods of one node share: options, the API server, events, the guardian, the monitor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mcp_tui.demo.kubelet.access import Api
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.events import EventRecorder
from mcp_tui.demo.kubelet.process import Guardian, resident_by_group

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeOptions:
    """How a process node presents itself and behaves.

    Args:
        name: The Node's name; also the value of its hostname label.
        directory: Where pods' files and logs live; made if missing, private to the user.
        path: Directories put first on every container's PATH.
        cpu: Capacity in cores, as a quantity; not enforced.
        memory: Capacity, as a quantity.
        gpus: Capacity of ``nvidia.com/gpu``; counted by the scheduler, nothing else.
        pods: The most pods.
        labels: Further labels of the Node.
        taints: Taints as ``key=value:Effect``.
        backoff: Scale of every back-off: 1.0 is a kubelet's, 0.05 makes 10 s into 0.5 s.
        client_ca: Accept requests from holders of a client certificate of this authority (PEM).
        client_names: Of those, only these common names; all if empty.
        token_file: Accept requests with the bearer token in this file.
        port: The kubelet port on loopback; 0 for a free one.
        shutdown_grace: Seconds between TERM and KILL at most when the node itself stops.
        delete_node: Delete the Node object at a clean stop instead of marking it not ready.
    """

    name: str
    directory: Path
    path: tuple[str, ...] = ()
    cpu: str = "8"
    memory: str = "32Gi"
    gpus: int = 0
    pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    backoff: float = 1.0
    client_ca: Path | None = None
    client_names: tuple[str, ...] = ()
    token_file: Path | None = None
    port: int = 0
    shutdown_grace: float = 5.0
    delete_node: bool = False

    @property
    def capacity(self) -> dict[str, str]:
        """The Node's capacity, which is all allocatable."""
        capacity = {
            "cpu": self.cpu,
            "memory": self.memory,
            "ephemeral-storage": "100Gi",
            "pods": str(self.pods),
        }
        return capacity | ({"nvidia.com/gpu": str(self.gpus)} if self.gpus else {})


class MemoryMonitor:
    """Kills a process group whose resident memory passes its limit, as the kernel would.

    Looked at every 0.25 s while a container with a limit runs: a process that grows and ends
    between two looks is missed.
    """

    interval: Final = 0.25

    def __init__(self) -> None:
        self._limits: dict[int, tuple[int, Callable[[], None]]] = {}
        self._some = asyncio.Event()

    def add(self, group: int, limit: int, over: Callable[[], None]) -> None:
        """Watch a group; ``over`` is called once when it passes ``limit`` bytes."""
        self._limits[group] = (limit, over)
        self._some.set()

    def remove(self, group: int) -> None:
        """Stop watching a group."""
        self._limits.pop(group, None)
        if not self._limits:
            self._some.clear()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self._some.wait()
            usage: dict[int, int] = {}
            with suppress(OSError):
                usage = await asyncio.to_thread(resident_by_group, set(self._limits))
            for group, size in usage.items():
                limit, over = self._limits.get(group, (None, None))
                if limit is not None and over is not None and size > limit:
                    self._limits.pop(group)
                    over()
            await asyncio.sleep(self.interval)


@dataclass
class Runtime:
    """Shared by the pods of a node."""

    options: NodeOptions
    api: Api
    events: EventRecorder
    guardian: Guardian
    memory: MemoryMonitor
    host_ip: str = "127.0.0.1"
    images: set[str] = field(default_factory=set)

    @property
    def pods_directory(self) -> Path:
        """Below it each pod has a directory named by its uid."""
        return self.options.directory / "pods"

    @property
    def api_address(self) -> tuple[str, str]:
        """Host and port of the API server, for KUBERNETES_SERVICE_HOST and _PORT."""
        parts = urlsplit(self.api.access.server)
        return parts.hostname or "", str(parts.port or (443 if parts.scheme == "https" else 80))

    def scaled(self, seconds: float) -> float:
        """A kubelet's interval on this node."""
        return seconds * self.options.backoff

    def new_backoff(self) -> BackOff:
        """A back-off of 10 s to 300 s, scaled."""
        return BackOff(self.scaled(10.0), self.scaled(300.0))
