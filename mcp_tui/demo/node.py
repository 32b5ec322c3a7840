"""A process node: a small kubelet of our own whose containers are local processes.

It registers a Node with any API server, takes the pods bound to it, runs the commands of their
containers in scratch directories, and reports what a kubelet would. It knows no images, no
namespaces and no cgroups; what it cannot do it refuses the way a kubelet reports it.

In a program: ``await ProcessNode(NodeOptions(...), read_access(kubeconfig, context)).run()``.
As a command: ``python -m mcp_tui.demo.node --kubeconfig F --context C --name node-1 --dir D``;
it also ends when a pipe on its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import shutil
import signal
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from mcp_tui.demo.kubelet import guardian
from mcp_tui.demo.kubelet.access import Access, Api, Json, read_access
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.events import EventRecorder
from mcp_tui.demo.kubelet.pod import PodWorker
from mcp_tui.demo.kubelet.podsource import PodSource
from mcp_tui.demo.kubelet.process import Guardian
from mcp_tui.demo.kubelet.registration import Registration
from mcp_tui.demo.kubelet.runtime import MemoryMonitor, NodeOptions, Runtime
from mcp_tui.demo.kubelet.server import KubeletServer
from mcp_tui.demo.kubelet.status import Verdict
from mcp_tui.errors import ApiError, McpTuiError, UsageError

__all__ = ["Access", "NodeOptions", "ProcessNode", "main", "read_access"]

_LOG: Final = logging.getLogger(__name__)
_HOST: Final = "127.0.0.1"


class ProcessNode:
    """One node. :meth:`run` ends when it is cancelled or after :meth:`stop`.

    Args:
        options: How the node presents itself and behaves.
        access: The API server, as an identity that may do what a kubelet does.
    """

    def __init__(self, options: NodeOptions, access: Access) -> None:
        self.options = options
        self.access = access
        #: Set once the node is registered and has listed its pods.
        self.ready = asyncio.Event()
        self.port = 0
        self._stop = asyncio.Event()
        self._workers: dict[str, PodWorker] = {}
        self._leaving: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Ask :meth:`run` to end: containers are ended and the Node is marked not ready."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            UsageError: If the directory or a file of the options cannot be used.
        """
        directory = self._directory()
        api = Api(self.access)
        keeper = Guardian(directory / "pods")
        events = EventRecorder(api, self.options.name)
        memory = MemoryMonitor()
        self._runtime = Runtime(self.options, api, events, keeper, memory, _HOST)
        server = KubeletServer(self.options, _HOST, lambda: self._workers)
        tasks: list[asyncio.Task[Any]] = []
        try:
            await asyncio.to_thread(guardian.kill_marked, keeper.marker)
            await keeper.start()
            await server.start()
            self.port = server.port
            registration = Registration(api, self.options, _HOST, server.port)
            source = PodSource(api, self.options.name, self._upsert, self._remove)
            work = (events.run(), memory.run(), self._serve(registration, source))
            tasks += [asyncio.create_task(w) for w in work]
            stopped = asyncio.create_task(self._stop.wait())
            tasks.append(stopped)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            # Shielded: a second cancellation must not leave processes behind.
            await asyncio.shield(self._shut_down(tasks, server, keeper, api))

    def _directory(self) -> Path:
        directory = self.options.directory.absolute()
        try:
            (directory / "pods").mkdir(parents=True, exist_ok=True, mode=0o700)
            # Held until this process ends, however it does: a second node here would take the
            # first one's containers for leftovers and end them.
            self._lock = (directory / "lock").open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return directory.resolve()
        except BlockingIOError as error:
            raise UsageError("another node uses it", where=str(directory)) from error
        except OSError as error:
            raise UsageError(f"cannot be used: {error.strerror}", where=str(directory)) from error

    async def _serve(self, registration: Registration, source: PodSource) -> None:
        self._registration = registration
        retry = BackOff(0.25, 10.0)
        while True:
            try:
                await registration.register()
                break
            except McpTuiError as error:
                if isinstance(error, ApiError) and error.status == 422:
                    raise UsageError(error.what, where=f"node {self.options.name}") from error
                _LOG.warning("node %s: not registered: %s", self.options.name, error)
                await asyncio.sleep(retry.step() or retry.step())
        self._runtime.events.node("Normal", "Starting", "Starting kubelet.")
        async with asyncio.TaskGroup() as group:
            group.create_task(registration.keep())
            group.create_task(source.run())
            await source.listed.wait()
            await asyncio.to_thread(self._forget_strangers)
            self.ready.set()

    def _forget_strangers(self) -> None:
        """Directories of pods that were deleted while the node was away."""
        for path in self._runtime.pods_directory.iterdir():
            if path.name not in self._workers:
                shutil.rmtree(path, ignore_errors=True)

    def _upsert(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if worker is None:
            worker = self._workers[uid] = PodWorker(self._runtime, pod)
            worker.start()
        else:
            worker.update(pod)

    def _remove(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        if worker is not None:
            task = asyncio.create_task(worker.vanish())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _shut_down(
        self, tasks: list[asyncio.Task[Any]], server: KubeletServer, keeper: Guardian, api: Api
    ) -> None:
        """End the containers, say so, and end what runs in this process; each step is bounded."""
        verdict = Verdict(
            "Terminated",
            "Pod was terminated in response to imminent node shutdown.",
            disruption=True,
        )
        sending = tasks[:1]
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        workers = list(self._workers.values())
        for worker in workers:
            if not worker.over:
                worker.terminate(min(worker.grace, self.options.shutdown_grace), verdict)
        endings = [w.terminate(0) for w in workers if not w.over or w.ending]
        if endings:
            await asyncio.wait(endings, timeout=self.options.shutdown_grace + 5)
            await asyncio.gather(*(w.settle(3.0) for w in workers if w.ending))
        await asyncio.gather(*(worker.close() for worker in workers), return_exceptions=True)
        await asyncio.gather(*self._leaving, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                registration = getattr(self, "_registration", None)
                if registration is not None:
                    await registration.leave()
        await self._runtime.events.drain(1.0)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await server.stop()
        await keeper.stop()
        await api.aclose()
        self._lock.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mcp_tui.demo.node",
        description="Run a node whose containers are local processes.",
    )
    add = parser.add_argument
    add("--kubeconfig", type=Path, required=True)
    add("--context", default="", help="default: the current one")
    add("--name", required=True, help="of the Node")
    add("--dir", type=Path, required=True, help="for pods' files and logs")
    add("--path", action="append", default=[], help="directory put first on PATH; repeatable")
    add("--cpu", default="8")
    add("--memory", default="32Gi")
    add("--gpu", type=int, default=0, metavar="N", help="capacity of nvidia.com/gpu")
    add("--pods", type=int, default=110)
    add("--label", action="append", default=[], metavar="K=V")
    add("--taint", action="append", default=[], metavar="K=V:EFFECT")
    add("--backoff", type=float, default=1.0, help="scale of all back-offs (1.0: a kubelet's)")
    add("--port", type=int, default=0, help="of the kubelet API on loopback; default: a free one")
    add("--client-ca", type=Path, help="accept client certificates of this authority (PEM)")
    add("--client-name", action="append", default=[], help="accept only these common names")
    add("--token-file", type=Path, help="accept this bearer token")
    add("--shutdown-grace", type=float, default=5.0, metavar="SECONDS")
    add("--delete-node", action="store_true", help="delete the Node object at the end")
    add("--verbose", action="store_true")
    return parser


async def _main(options: NodeOptions, access: Access) -> None:
    node = ProcessNode(options, access)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, node.stop)
    parent = asyncio.create_task(_until_parent_ends(node))
    try:
        await node.run()
    finally:
        parent.cancel()


async def _until_parent_ends(node: ProcessNode) -> None:
    """Stop the node with whoever holds the other end of its standard input, if that is a pipe.

    A terminal or /dev/null says nothing about who started it.
    """
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.read(4096):
        pass
    node.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    given = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if given.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    options = NodeOptions(
        name=given.name,
        directory=given.dir,
        path=tuple(given.path),
        cpu=given.cpu,
        memory=given.memory,
        gpus=given.gpu,
        pods=given.pods,
        labels=dict(label.partition("=")[::2] for label in given.label),
        taints=tuple(given.taint),
        backoff=given.backoff,
        client_ca=given.client_ca,
        client_names=tuple(given.client_name),
        token_file=given.token_file,
        port=given.port,
        shutdown_grace=given.shutdown_grace,
        delete_node=given.delete_node,
    )
    try:
        asyncio.run(_main(options, read_access(given.kubeconfig, given.context)))
    except McpTuiError as error:
        _LOG.error("%s", error.line())
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
