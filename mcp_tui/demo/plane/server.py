"""The embedded control plane as one thing to start and stop.

Everything heavy (uvicorn, cryptography, httpx) is imported when a plane starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mcp_tui.demo.plane.authz import ROLES, Directory
from mcp_tui.demo.plane.certs import Certificates, make_certificates, write_private
from mcp_tui.demo.plane.controllers import Controllers, Pace
from mcp_tui.demo.plane.kubelet import KubeletProxy
from mcp_tui.demo.plane.model import BUILT_IN, EXTRAS, NAMESPACES, Clock, Kind
from mcp_tui.demo.plane.reading import Reader
from mcp_tui.demo.plane.registry import Registry
from mcp_tui.demo.plane.store import Store
from mcp_tui.errors import UnreachableError, UsageError

_SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_START_SECONDS = 20.0
_NODE_END_SECONDS = 8.0


@dataclass(frozen=True)
class PlaneOptions:
    """How a plane is started.

    Args:
        port: On 127.0.0.1; 0 takes a free one.
        listener: A listening socket to serve on instead, so that clients can connect before.
        tokens: Role -> bearer token, for whoever wrote a kubeconfig before; else random ones.
        namespaces: Made at the start, besides the system's.
        extras: Sets of custom kinds to serve (keys of ``model.EXTRAS``).
        context: The administrator's context in the kubeconfig; the other roles' are
            ``context-role``.
        history: Changes remembered per resource; older watches and pages get 410.
        bookmark_seconds: Between bookmarks of a quiet watch.
        event_ttl: Seconds that an Event lives.
        pace: Waiting times of the controllers.
        controllers: Whether jobs, scheduling and garbage collection run at all.
        node: Start one process node with the plane, in a process of its own.
        node_arguments: Further arguments of its command line.
        clock: Seconds since the epoch.
    """

    port: int = 0
    listener: socket.socket | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    namespaces: Sequence[str] = ("ml",)
    extras: Sequence[str] = ()
    context: str = "demo"
    history: int = 5000
    bookmark_seconds: float = 30.0
    event_ttl: float = 3600.0
    pace: Pace = field(default_factory=Pace)
    controllers: bool = True
    node: bool = False
    node_arguments: Sequence[str] = ()
    clock: Clock = time.time


class EmbeddedPlane:
    """An API server with its controllers, on this event loop and this machine's loopback.

    ``async with EmbeddedPlane(directory) as plane`` serves until the block ends. The directory
    gets the certificates and the kubeconfig, readable by their owner only.

    Raises:
        UsageError: On entering, for a port that is taken or an unknown extra.
    """

    def __init__(self, directory: Path, options: PlaneOptions | None = None) -> None:
        self.directory = directory
        self.options = options or PlaneOptions()
        self.server = ""
        self.tokens: Mapping[str, str] = {
            role: self.options.tokens.get(role) or secrets.token_urlsafe(24) for role in ROLES
        }
        self.kubeconfig = directory / "kubeconfig"
        self.ca = directory / "ca.crt"
        kinds = self._kinds()
        self.store = Store(kinds, history=self.options.history)
        self.registry = Registry(self.store, self.options.clock)
        self.reader = Reader(
            self.store, self.options.clock, bookmark_seconds=self.options.bookmark_seconds
        )
        self._serving: list[asyncio.Task[Any]] = []
        self._uvicorn: Any = None
        self._proxy: KubeletProxy | None = None
        self._controllers: Controllers | None = None
        self._node: asyncio.subprocess.Process | None = None

    def _kinds(self) -> list[Kind]:
        unknown = sorted(set(self.options.extras) - set(EXTRAS))
        if unknown:
            raise UsageError(
                f"unknown set of kinds: {', '.join(unknown)}", hint=f"known are {', '.join(EXTRAS)}"
            )
        return [*BUILT_IN, *(kind for name in self.options.extras for kind in EXTRAS[name])]

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return self.tokens["admin"]

    @property
    def context(self) -> str:
        """The administrator's context in the kubeconfig."""
        return self.options.context

    def ready_line(self) -> str:
        """One line of JSON that says how to reach it."""
        return json.dumps(
            {
                "server": self.server,
                "kubeconfig": str(self.kubeconfig),
                "context": self.context,
                "token": self.token,
                "ca": str(self.ca),
            }
        )

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        listener = self.options.listener or _listen(self.options.port)
        self.server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        certificates = await asyncio.to_thread(make_certificates, self.directory)
        self._write_kubeconfig()
        self._seed()
        self._serve(listener, certificates)
        if self.options.controllers:
            self._controllers = Controllers(
                self.registry, self.options.pace, event_ttl=self.options.event_ttl
            )
            self._serving.append(asyncio.create_task(self._controllers.run()))
        await self._wait_started()
        if self.options.node:
            await self._start_node()

    def _serve(self, listener: socket.socket, certificates: Certificates) -> None:
        import uvicorn

        from mcp_tui.demo.plane.api import Api

        pair = (str(certificates.kubelet), str(certificates.kubelet_key))
        self._proxy = KubeletProxy(self.store, pair)
        api = Api(
            kinds=list(self.store.buckets),
            directory=Directory(self.tokens),
            registry=self.registry,
            reader=self.reader,
            kubelet=self._proxy,
        )

        class Server(uvicorn.Server):
            """Leaves the signals to whoever runs the plane."""

            @contextlib.contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        config = uvicorn.Config(
            api,
            lifespan="off",
            log_config=None,
            access_log=False,
            http="h11",
            ws="websockets-sansio",
            ssl_certfile=str(certificates.server),
            ssl_keyfile=str(certificates.server_key),
            timeout_graceful_shutdown=1,
            server_header=False,
            timeout_keep_alive=120,
        )
        self._uvicorn = Server(config)
        self._serving.append(asyncio.create_task(self._uvicorn.serve(sockets=[listener])))

    async def _wait_started(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._uvicorn.started:
            if self._serving[0].done() or time.monotonic() > deadline:
                raise UnreachableError("the embedded control plane did not start")
            await asyncio.sleep(0.005)

    def _seed(self) -> None:
        for name in (*_SYSTEM_NAMESPACES, *self.options.namespaces):
            if self.store.get(NAMESPACES, "", name) is None:
                body = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}
                self.registry.create(NAMESPACES, "", body)

    def _write_kubeconfig(self) -> None:
        base = self.options.context
        namespace = next(iter(self.options.namespaces), "default")
        contexts = {base if role == "admin" else f"{base}-{role}": role for role in self.tokens}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": base,
            "clusters": [
                {
                    "name": base,
                    "cluster": {"server": self.server, "certificate-authority": str(self.ca)},
                }
            ],
            "users": [
                {"name": name, "user": {"token": self.tokens[role]}}
                for name, role in contexts.items()
            ],
            "contexts": [
                {
                    "name": name,
                    "context": {"cluster": base, "user": name, "namespace": namespace},
                }
                for name in contexts
            ],
        }
        # JSON is YAML.
        write_private(self.kubeconfig, json.dumps(document, indent=1).encode())

    async def _start_node(self) -> None:
        self._node = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "mcp_tui.demo.node", "--kubeconfig", str(self.kubeconfig)),
            *("--context", self.context, "--name", "node-1"),
            *("--dir", str(self.directory / "node"), "--client-ca", str(self.ca)),
            *self.options.node_arguments,
            # It ends when this pipe does, should we be killed.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _stop(self) -> None:
        if self._node is not None:
            await _end(self._node)
        self.reader.closing.set()
        for bucket in self.store.buckets.values():
            for waker in bucket.wakers:
                waker.set()
        if self._controllers is not None:
            self._controllers.stop()
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        for task in self._serving:
            try:
                async with asyncio.timeout(5):
                    await task
            except TimeoutError:
                task.cancel()
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise
        if self._proxy is not None:
            await self._proxy.aclose()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a process that we started: politely, then not."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_NODE_END_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


def _listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises UsageError."""
    # With the protocol named, or asyncio leaves Nagle's delay of 40 ms on every connection.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen: {error.strerror}", where=f"127.0.0.1:{port}", hint="try --port 0"
        ) from None
    listener.set_inheritable(False)
    return listener
