"""One pod on the node: from its volumes to its last container, and its status on the way."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from mcp_tui.demo.kubelet import volumes
from mcp_tui.demo.kubelet.access import Json, pod_path
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.container import Container
from mcp_tui.demo.kubelet.reporter import StatusReporter
from mcp_tui.demo.kubelet.runtime import Runtime
from mcp_tui.demo.kubelet.sources import References
from mcp_tui.demo.kubelet.status import (
    UNKNOWN_MESSAGE,
    PodView,
    Record,
    Verdict,
    phase_of,
    record_from_status,
)
from mcp_tui.demo.kubelet.storage import storage_fault, storage_limited
from mcp_tui.errors import ApiError, UnreachableError

_LOG: Final = logging.getLogger(__name__)
OVER: Final = ("Succeeded", "Failed")


class PodWorker:
    """Runs one pod. All methods are for the event loop that :meth:`start` was called on."""

    def __init__(self, runtime: Runtime, pod: Json) -> None:
        self.runtime = runtime
        self.pod = pod
        self.meta: Json = pod["metadata"]
        self.spec: Json = pod["spec"]
        self.directory: Path = runtime.pods_directory / str(self.meta["uid"])
        self.references = References(runtime.api, pod, runtime.options.capacity, runtime.host_ip)
        self.gone = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._deleting: asyncio.Task[None] | None = None
        self._reporter = StatusReporter(self)
        status = pod.get("status") or {}
        self._was_over = status.get("phase") in OVER
        self._restore(status)

    # -- what is known ----------------------------------------------------------------------

    def _restore(self, status: Json) -> None:
        """Begin with what an earlier run of the node reported, if there was one."""
        now = time.time()
        kept = self.directory.exists()
        known = {
            key: {s.get("name"): s for s in status.get(key) or []}
            for key in ("initContainerStatuses", "containerStatuses")
        }
        init, main = [], []
        for spec in self.spec.get("initContainers") or []:
            found = known["initContainerStatuses"].get(spec["name"]) if kept else None
            record = self._record(spec, found, init=True, now=now)
            record.sidecar = spec.get("restartPolicy") == "Always"
            init.append(record)
        for spec in self.spec["containers"]:
            found = known["containerStatuses"].get(spec["name"])
            main.append(self._record(spec, found, init=False, now=now))
        started = status.get("startTime")
        self.view = PodView(
            pod=self.pod,
            init=init,
            main=main,
            host_ip=self.runtime.host_ip,
            started=_epoch(started) if started else now,
        )
        policy = str(self.spec.get("restartPolicy") or "Always")
        self.init = [
            Container(self, spec, record, self._init_policy(record, policy))
            for spec, record in zip(self.spec.get("initContainers") or [], init, strict=True)
        ]
        self.main = [
            Container(self, spec, record, policy)
            for spec, record in zip(self.spec["containers"], main, strict=True)
        ]

    @staticmethod
    def _init_policy(record: Record, policy: str) -> str:
        if record.sidecar:
            return "Always"
        return "Never" if policy == "Never" else "OnFailure"

    def _record(self, spec: Json, found: Json | None, *, init: bool, now: float) -> Record:
        if found is not None:
            record = record_from_status(found, init=init, now=now)
            if record.terminated is not None:
                return record
            last, restarts = record.last, record.restarts
        else:
            last, restarts = None, 0
        record = Record(str(spec["name"]), str(spec.get("image", "")), init=init)
        record.last, record.restarts = last, restarts
        creating = "PodInitializing" if self.spec.get("initContainers") else "ContainerCreating"
        record.waiting = (creating, "")
        return record

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.meta['namespace']}/{self.meta['name']}"

    @property
    def grace(self) -> float:
        """The grace period that holds now: the deletion's, else the spec's."""
        given = self.meta.get("deletionGracePeriodSeconds")
        if given is None:
            given = self.spec.get("terminationGracePeriodSeconds")
        return 30.0 if given is None else float(given)

    @property
    def over(self) -> bool:
        """Succeeded or Failed, and nothing runs any more."""
        return self._was_over or (
            phase_of(self.view) in OVER and not any(c.running for c in (*self.init, *self.main))
        )

    @property
    def ending(self) -> bool:
        """:meth:`terminate` was called."""
        return self._ending is not None

    def container(self, name: str) -> Container | None:
        """The container of that name."""
        return next((c for c in (*self.init, *self.main) if c.name == name), None)

    def volume_path(self, name: str) -> Path:
        """Where a volume is."""
        return self.directory / "volumes" / name

    # -- for the node -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin: run the pod, or only watch over the end of one that is over already."""
        if self.meta.get("deletionTimestamp"):
            self._delete()
        elif not self._was_over:
            self.spawn(self._reporter.run())
            self._life = self.spawn(self._live())
            self.spawn(self._deadline())
            if storage_limited(self.spec):
                self.spawn(self._watch_storage())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that ends with the worker."""
        task = asyncio.create_task(work, name=f"pod {self.key}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("pod %s: a task failed", self.key, exc_info=task.exception())

    def update(self, pod: Json) -> None:
        """A newer version of the pod from the API server."""
        self.pod = pod
        self.meta = pod["metadata"]
        self.view.pod = pod
        if self.meta.get("deletionTimestamp"):
            self._delete()

    def changed(self) -> None:
        """The status may differ from what was sent."""
        self._reporter.changed()

    def terminate(self, grace: float, verdict: Verdict | None = None) -> asyncio.Task[None]:
        """End every container; the first call decides why."""
        if self._ending is None:
            self.view.ending = not self.over
            self._ending = self.spawn(self._end(grace, verdict))
        return self._ending

    async def vanish(self) -> None:
        """The object is gone: end everything at once and forget the pod."""
        self.gone = True
        ending = self.terminate(0)
        for container in (*self.init, *self.main):
            container.kill_now()
        await asyncio.wait([ending])
        await self.close()
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)

    async def settle(self, seconds: float) -> None:
        """Give the last status that long to be sent."""
        await self._reporter.settle(seconds)

    async def close(self) -> None:
        """Stop all tasks."""
        tasks = [t for t in self._tasks if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- the life of a pod ------------------------------------------------------------------

    async def _live(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.changed()
        self._remark()
        await self._mount()
        self.view.sandbox = True
        self.changed()
        if not await self._initialise():
            await self._finish()
            return
        await asyncio.wait([container.start() for container in self.main])
        await self._finish()

    async def _initialise(self) -> bool:
        """Run the init containers in order; False if one failed for good."""
        for container in self.init:
            if container.record.succeeded:
                continue
            task = container.start()
            if container.record.sidecar:
                await container.started.wait()
                continue
            # Waited for, not awaited: the end of this task must not end the container's.
            await asyncio.wait([task])
            if not container.record.succeeded:
                return False
        for container in self.main:
            if container.record.waiting is not None and container.record.last is None:
                container.record.waiting = (
                    ("PodInitializing", "") if self.init else ("ContainerCreating", "")
                )
        return True

    async def _finish(self) -> None:
        """End the sidecars, last first, and tidy up."""
        for container in reversed(self.init):
            if container.record.sidecar:
                await container.stop(min(self.grace, 30.0))
        self.changed()
        await self._tidy()

    async def _tidy(self) -> None:
        """What a finished pod no longer needs goes; its logs stay until it is deleted."""
        for name in ("volumes", "containers"):
            path = self.directory / name
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    def _remark(self) -> None:
        """Say once what of a security context is not applied."""
        ignored: set[str] = set()
        for body in (self.spec, *(self.spec.get("initContainers") or []), *self.spec["containers"]):
            context = body.get("securityContext") or {}
            ignored |= {
                key
                for key in (
                    "runAsUser",
                    "runAsGroup",
                    "fsGroup",
                    "runAsNonRoot",
                    "readOnlyRootFilesystem",
                )
                if context.get(key) not in (None, False)
            }
        if ignored:
            self.runtime.events.pod(
                self.pod,
                "Normal",
                "SecurityContextIgnored",
                f"{', '.join(sorted(ignored))}: not applied, processes run as the node's own user",
            )

    async def _mount(self) -> None:
        """Set up every volume; as long as one cannot be, the pod stays in ContainerCreating."""
        waiting = list(self.spec.get("volumes") or [])
        retry = BackOff(self.runtime.scaled(2.0), self.runtime.scaled(120.0))
        while waiting:
            still = []
            for volume in waiting:
                name = str(volume.get("name", ""))
                try:
                    await volumes.set_up(volume, self.volume_path(name), self.references)
                except (volumes.VolumeError, OSError) as error:
                    still.append(volume)
                    self.runtime.events.pod(
                        self.pod,
                        "Warning",
                        "FailedMount",
                        f'MountVolume.SetUp failed for volume "{name}" : {error}',
                    )
            waiting = still
            if waiting:
                await asyncio.sleep(retry.step() or retry.step())

    async def _deadline(self) -> None:
        seconds = self.spec.get("activeDeadlineSeconds")
        if seconds is None:
            return
        await asyncio.sleep(max(0.0, self.view.started + float(seconds) - time.time()))
        if self.over:
            return
        message = "Pod was active on the node longer than the specified deadline"
        self.runtime.events.pod(self.pod, "Normal", "DeadlineExceeded", message)
        await asyncio.shield(self.terminate(self.grace, Verdict("DeadlineExceeded", message)))

    async def _watch_storage(self) -> None:
        while not self.over:
            await asyncio.sleep(max(0.2, min(2.0, self.runtime.scaled(10.0))))
            fault = await asyncio.to_thread(storage_fault, self.spec, self.directory)
            if fault is not None:
                self.runtime.events.pod(self.pod, "Warning", "Evicted", fault)
                await asyncio.shield(self.terminate(1.0, Verdict("Evicted", fault)))
                return

    # -- the end of a pod -------------------------------------------------------------------

    async def _end(self, grace: float, verdict: Verdict | None) -> None:
        over = not self.view.ending
        if self._life is not None:
            self._life.cancel()
        ordinary = [c for c in (*self.main, *self.init) if not c.record.sidecar]
        await asyncio.gather(*(container.stop(grace) for container in ordinary))
        for container in reversed(self.init):
            if container.record.sidecar:
                await container.stop(min(grace, 2.0))
        if self._life is not None:
            await asyncio.gather(self._life, return_exceptions=True)
        if not over:
            self._account()
            self.view.verdict = verdict
            self.view.ended = True
        self.changed()
        await self._tidy()

    def _account(self) -> None:
        """Containers of an initialised pod that never ran count as lost, as with a kubelet."""
        if not all(r.succeeded or r.sidecar for r in self.view.init):
            return
        for record in self.view.main:
            if record.terminated is None and record.last is not None:
                # It was waiting to be restarted: how it last ended is how it ended.
                record.waiting, record.terminated, record.last = None, record.last, None
            elif record.terminated is None and self.view.sandbox:
                record.end(137, "ContainerStatusUnknown", time.time(), UNKNOWN_MESSAGE)

    def _delete(self) -> None:
        if self._deleting is None and not self.gone:
            self._deleting = self.spawn(self._see_off())

    async def _see_off(self) -> None:
        """End the pod, report it, and only then let the API server drop the object."""
        if not self._was_over:
            await asyncio.shield(self.terminate(self.grace))
            await self.settle(10.0)
        wait = BackOff(0.5, 15.0)
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.meta["uid"]}}
        while not self.gone:
            try:
                await self.runtime.api.delete(
                    pod_path(self.meta["namespace"], self.meta["name"]), body
                )
                return
            except ApiError as error:
                if error.status in (404, 409):
                    return
                _LOG.info("pod %s: not deleted yet: %s", self.key, error)
            except UnreachableError as error:
                _LOG.info("pod %s: not deleted yet: %s", self.key, error)
            await asyncio.sleep(wait.step() or wait.step())


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
