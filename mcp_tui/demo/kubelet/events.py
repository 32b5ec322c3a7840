"""Events in a kubelet's name, sent in the background; repeats are counted on one object."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from typing import Final

from mcp_tui.demo.kubelet.access import Api, Json, core_path
from mcp_tui.demo.kubelet.status import rfc3339
from mcp_tui.errors import ApiError, UnreachableError

_LOG: Final = logging.getLogger(__name__)
_KEPT: Final = 1_000
_QUEUE: Final = 2_000
_MESSAGE: Final = 1_024


class EventRecorder:
    """Queues events and sends them; when the queue is full or the server away, events are lost."""

    def __init__(self, api: Api, node: str) -> None:
        self._api = api
        self._node = node
        self._queue: asyncio.Queue[tuple[Json, str, str, str, str]] = asyncio.Queue(_QUEUE)
        self._sent: OrderedDict[tuple[str, ...], Json] = OrderedDict()

    def pod(self, pod: Json, kind: str, reason: str, message: str, *, container: str = "") -> None:
        """An event about a pod.

        Args:
            pod: The pod it is about.
            kind: ``Normal`` or ``Warning``.
            reason: One word, such as ``Started``.
            message: One sentence.
            container: The field path of the container concerned, such as ``spec.containers{c}``.
        """
        meta = pod["metadata"]
        reference = {
            "apiVersion": "v1", "kind": "Pod", "namespace": meta["namespace"],
            "name": meta["name"], "uid": meta["uid"],
        }  # fmt: skip
        if container:
            reference["fieldPath"] = container
        self._put(reference, meta["namespace"], kind, reason, message)

    def node(self, kind: str, reason: str, message: str) -> None:
        """An event about the node; such events live in the namespace ``default``."""
        reference = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": self._node}
        self._put(reference, "default", kind, reason, message)

    def _put(self, reference: Json, namespace: str, kind: str, reason: str, message: str) -> None:
        try:
            self._queue.put_nowait((reference, namespace, kind, reason, message[:_MESSAGE]))
        except asyncio.QueueFull:
            _LOG.warning("an event was dropped: %s", reason)

    async def run(self) -> None:
        """Send what is queued until cancelled."""
        while True:
            item = await self._queue.get()
            try:
                await self._send(*item)
            except (ApiError, UnreachableError) as error:
                _LOG.info("event not sent: %s", error)
            finally:
                self._queue.task_done()

    async def drain(self, seconds: float) -> None:
        """Give what is queued that long to be sent."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            _LOG.info("events were left unsent")

    async def _send(
        self, reference: Json, namespace: str, kind: str, reason: str, message: str
    ) -> None:
        now = rfc3339(time.time())
        key = (reference["uid"], reference.get("fieldPath", ""), kind, reason, message)
        known = self._sent.get(key)
        if known is not None:
            known["count"] += 1
            path = core_path(namespace, "events", known["name"])
            try:
                await self._api.merge(path, {"count": known["count"], "lastTimestamp": now})
                return
            except ApiError as error:
                if error.status != 404:
                    raise
        name = f"{reference['name']}.{uuid.uuid4().hex[:16]}"
        event = {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": reference, "reason": reason, "message": message, "type": kind,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet", "reportingInstance": self._node,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        }  # fmt: skip
        await self._api.create(core_path(namespace, "events"), event)
        self._sent[key] = {"name": name, "count": 1}
        while len(self._sent) > _KEPT:
            self._sent.popitem(last=False)
