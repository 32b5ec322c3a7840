"""Sends a pod's status when it has changed, for as long as it takes; others' part survives."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mcp_tui.demo.kubelet.access import Json, pod_path
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.status import pod_status
from mcp_tui.errors import ApiError, McpTuiError

if TYPE_CHECKING:
    from mcp_tui.demo.kubelet.pod import PodWorker

_LOG: Final = logging.getLogger(__name__)


class StatusReporter:
    """Keeps the API server's status of one pod equal to the worker's."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self._dirty = asyncio.Event()
        self._clean = asyncio.Event()
        self._sent: Json | None = None

    def changed(self) -> None:
        """The status may differ from what was sent."""
        self._clean.clear()
        self._dirty.set()

    async def settle(self, seconds: float) -> None:
        """Give the last status that long to be sent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._clean.wait()

    async def run(self) -> None:
        """Send until the pod is gone."""
        retry = BackOff(0.25, 10.0)
        while not self._worker.gone:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._send()
                retry = BackOff(0.25, 10.0)
                if not self._dirty.is_set():
                    self._clean.set()
            except McpTuiError as error:
                _LOG.info("pod %s: status not sent: %s", self._worker.key, error)
                self._dirty.set()
                await asyncio.sleep(retry.step() or retry.step())

    async def _send(self) -> None:
        worker = self._worker
        status = pod_status(worker.view, time.time())
        if status == self._sent:
            return
        meta = worker.meta
        path = pod_path(meta["namespace"], meta["name"])
        version = {"uid": meta["uid"], "resourceVersion": meta.get("resourceVersion")}
        try:
            answer = await worker.runtime.api.merge(
                f"{path}/status", {"metadata": version, "status": status}
            )
        except ApiError as error:
            if error.status == 404:
                worker.gone = True
                return
            if error.status != 409:
                raise
            # Somebody else wrote in between: their conditions must survive ours.
            fresh = await worker.runtime.api.get(path)
            if fresh["metadata"].get("uid") != meta["uid"]:
                worker.gone = True
                return
            worker.update(fresh)
            self._dirty.set()
            return
        self._sent = status
        worker.update(answer)
