"""The pods bound to one node: a list in pages, then a watch, for as long as the node lives."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from mcp_tui.demo.kubelet.access import Api, Json
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.errors import ApiError, McpTuiError

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = "250"


class PodSource:
    """Tells of pods that came, changed or went.

    Args:
        api: The API server.
        node: The node's name.
        upsert: Called with each new or changed pod.
        remove: Called with the uid of each pod that is gone.
    """

    def __init__(
        self, api: Api, node: str, upsert: Callable[[Json], None], remove: Callable[[str], None]
    ) -> None:
        self._api = api
        self._params = {"fieldSelector": f"spec.nodeName={node}"}
        self._upsert = upsert
        self._remove = remove
        self._known: set[str] = set()
        self._version = ""
        self.listed = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled; every failure is waited out and tried again."""
        retry = BackOff(0.5, 15.0)
        while True:
            before = self._version
            try:
                if not self._version:
                    self._version = await self._list()
                    self.listed.set()
                before = self._version
                await self._watch()
                if self._version and self._version != before:
                    retry = BackOff(0.5, 15.0)
                    continue
            except ApiError as error:
                if error.status == 410:
                    self._version = ""
                else:
                    _LOG.warning("pods not watched: %s", error)
            except McpTuiError as error:
                _LOG.warning("pods not watched: %s", error)
            # Also after a watch that ended without news: a server that ends each at once must not
            # be asked in a tight loop.
            wait = retry.step() or retry.step()
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def _list(self) -> str:
        found: set[str] = set()
        token = ""
        while True:
            params = {**self._params, "limit": _PAGE} | ({"continue": token} if token else {})
            page = await self._api.get("/api/v1/pods", params)
            for pod in page.get("items") or []:
                found.add(pod["metadata"]["uid"])
                self._upsert(pod)
            meta = page.get("metadata") or {}
            token = meta.get("continue") or ""
            if not token:
                break
        for uid in self._known - found:
            self._remove(uid)
        self._known = found
        return str(meta.get("resourceVersion", ""))

    async def _watch(self) -> None:
        """Follow one watch to its end; forgets the version where a new list is needed."""
        params = {
            **self._params, "resourceVersion": self._version, "allowWatchBookmarks": "true",
        }  # fmt: skip
        seconds = random.uniform(240, 480)  # noqa: S311 - spreads the load, nothing secret
        async with aclosing(self._api.watch("/api/v1/pods", params, seconds)) as events:
            async for event in events:
                body = event.get("object") or {}
                kind = event.get("type")
                if kind == "ERROR":
                    _LOG.info("watch ended: %s", body.get("message"))
                    if body.get("code") == 410:
                        self._version = ""
                    return
                meta = body.get("metadata") or {}
                if kind in ("ADDED", "MODIFIED"):
                    self._known.add(meta["uid"])
                    self._upsert(body)
                elif kind == "DELETED":
                    self._known.discard(meta["uid"])
                    self._remove(meta["uid"])
                self._version = str(meta.get("resourceVersion") or self._version)
