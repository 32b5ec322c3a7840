"""What the API server sends while nothing changes: bookmarks, and nothing else.

The feed of the Jobs pane, rows on screen included, goes through a relay that counts bytes; the
gate counts the calls. ``python -m tests.bench.idle`` starts the real cluster, or takes the one of
``MCP_TUI_GROUND``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mcp_tui.config import ContextConfig
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from tests.bench.aside import aside
from tests.bench.terminal import Terminal
from tests.bench.weather import ARGUMENTS
from tests.cluster import Ground
from tests.soak import times

JOBS = 100
SECONDS = 65.0
REST = 15.0
"""Seconds until what is read beside the rows has been read."""


@dataclass
class Idle:
    """What came in :data:`SECONDS`."""

    seconds: float
    size: int
    calls: list[str]
    rows: int

    @property
    def per_minute(self) -> float:
        """Bytes a minute, TLS included."""
        return self.size * 60 / self.seconds


class Relay:
    """Passes TCP on, and counts what the server sends."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 443
        self.size = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)

        async def copy(
            source: asyncio.StreamReader, sink: asyncio.StreamWriter, down: bool
        ) -> None:
            while data := await source.read(65_536):
                if down:
                    self.size += len(data)
                sink.write(data)
                await sink.drain()
            sink.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(copy(reader, up_writer, False), copy(up_reader, writer, True))


@contextlib.contextmanager
def cluster() -> Iterator[Ground]:
    """The real cluster: one that runs, or one of our own."""
    given = os.environ.get("MCP_TUI_GROUND")
    if given:
        yield Ground.attach(Path(given).resolve())
        return
    with tempfile.TemporaryDirectory(prefix="mcp-tui-bench-") as directory:
        ground = Ground.start(Path(directory) / "ground", contexts=("dev",), owner=os.getpid())
        try:
            yield ground
        finally:
            ground.stop()


def fill(ground: Ground, namespace: str) -> None:
    """A namespace of suspended jobs: nothing about them changes."""
    ground.api("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).ok()
    for number in range(JOBS):
        job = {
            "metadata": {"name": f"still-{number:04d}"},
            "spec": {
                "suspend": True,
                "template": {
                    "spec": {
                        "restartPolicy": "Never",
                        "containers": [{"name": "c", "image": "i", "command": ["true"]}],
                    }
                },
            },
        }
        ground.api("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", job).ok()


async def watch(ground: Ground, namespace: str | None, seconds: float = SECONDS) -> Idle:
    """Follow a namespace, or all, while nothing changes."""
    relay = Relay(ground.dev.server)
    await relay.start()
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "kubeconfig"
            text = ground.kubeconfig.read_text()
            path.write_text(text.replace(ground.dev.server, f"https://127.0.0.1:{relay.port}"))
            info = load_kubeconfig(os.environ, path).context(ground.dev.name)
        settings = ContextConfig(name=info.name, tier=Tier.DEV)
        connection = Connection(info, settings, env={})
        calls: list[str] = []
        connection.gate._recorder = lambda _, method, path: calls.append(f"{method} {path}")
        store = JobStore(info.name)
        feed = JobsFeed(connection, namespace, store, lambda: None)
        feed.start()
        try:
            if not await feed.settle(30):
                raise TimeoutError("the feed did not settle")
            store.flush(time.time())
            feed.visible([view.key.uid for view in store.table.values()])
            await asyncio.sleep(3)
            relay.size = 0
            calls.clear()
            began = time.monotonic()
            await asyncio.sleep(seconds)
            return Idle(time.monotonic() - began, relay.size, calls, len(store.table))
        finally:
            await feed.stop()
            await connection.aclose()
    finally:
        await relay.stop()


@dataclass(frozen=True)
class Rest:
    """A console while nothing changes: its share of a core, and bytes a minute from the server."""

    processor: float
    per_minute: float
    resident: int


LONG = 660
LOOK = times(65, LONG)
"""Seconds for which a console is left alone. Watches live for five to ten minutes: it is the long
form that has what their ends and what comes behind them cost."""


def of_console(ground: Ground, *, env: Mapping[str, str], rows: int, seconds: float = LOOK) -> Rest:
    """Open the console behind the relay, and leave it alone."""
    relay = Relay(ground.dev.server)
    with aside() as do, tempfile.TemporaryDirectory() as directory:
        do(relay.start())
        try:
            path = Path(directory) / "kubeconfig"
            text = ground.kubeconfig.read_text()
            path.write_text(text.replace(ground.dev.server, f"https://127.0.0.1:{relay.port}"))
            with Terminal(ARGUMENTS, env={**env, "KUBECONFIG": str(path)}) as terminal:
                terminal.wait("rows", str(rows))
                time.sleep(REST)
                used, came, began = terminal.processor, relay.size, time.monotonic()
                time.sleep(seconds)
                took = time.monotonic() - began
                share, size = (terminal.processor - used) / took, relay.size - came
                return Rest(share, size * 60 / took, terminal.resident)
        finally:
            do(relay.stop())


def measure() -> Idle:
    """Measure on the real cluster."""
    namespace = f"idle-{secrets.token_hex(3)}"
    with cluster() as ground:
        fill(ground, namespace)
        try:
            return asyncio.run(watch(ground, namespace))
        finally:
            ground.api("DELETE", f"/api/v1/namespaces/{namespace}")


def main() -> None:
    """Print the figures."""
    idle = measure()
    print(
        f"idle: {idle.rows} rows, {idle.per_minute / 1024:.2f} KiB a minute from the API server, "
        f"{len(idle.calls)} calls in {idle.seconds:.0f} s {idle.calls[:5]}"
    )


if __name__ == "__main__":
    main()
