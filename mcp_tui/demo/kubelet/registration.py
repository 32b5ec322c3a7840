"""The Node object and its Lease: how the control plane knows that the node is there."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time
import uuid
from typing import Final

from mcp_tui import __version__
from mcp_tui.demo.kubelet.access import Api, Json
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.runtime import NodeOptions
from mcp_tui.demo.kubelet.status import micro_time, rfc3339
from mcp_tui.errors import ApiError, McpTuiError

_LOG: Final = logging.getLogger(__name__)
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_LEASE_SECONDS: Final = 40
_RENEW: Final = 10.0
_STATUS: Final = 300.0
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class Registration:
    """Keeps the Node and its Lease current.

    Args:
        api: The API server.
        options: The node's.
        host_ip: The node's address.
        port: The kubelet port.
    """

    def __init__(self, api: Api, options: NodeOptions, host_ip: str, port: int) -> None:
        self._api = api
        self._options = options
        self._host_ip = host_ip
        self._port = port
        self._uid = ""
        self._since: dict[str, tuple[str, str]] = {}

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{self._options.name}"

    def _metadata(self) -> Json:
        name = self._options.name
        machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
        system = platform.system().lower()
        return {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": system,
                "kubernetes.io/arch": machine,
                **self._options.labels,
            },
        }

    def _taints(self) -> list[Json]:
        taints = []
        for text in self._options.taints:
            pair, _, effect = text.partition(":")
            key, _, value = pair.partition("=")
            taints.append({"key": key, "value": value, "effect": effect or "NoSchedule"})
        return taints

    def _condition(self, kind: str, status: str, reason: str, message: str) -> Json:
        now = rfc3339(time.time())
        if self._since.get(kind, ("", ""))[0] != status:
            self._since[kind] = (status, now)
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": self._since[kind][1],
        }

    def _conditions(self, *, ready: bool) -> list[Json]:
        conditions = [
            self._condition(
                f"{name}Pressure", "False", f"KubeletHas{text}", f"kubelet has {words} available"
            )
            for name, text, words in (
                ("Memory", "SufficientMemory", "sufficient memory"),
                ("Disk", "NoDiskPressure", "no disk pressure: space"),
                ("PID", "SufficientPID", "sufficient PID"),
            )
        ]
        if ready:
            answer = ("True", "KubeletReady", "kubelet is posting ready status")
        else:
            answer = ("False", "KubeletNotReady", "node is shutting down")
        return [*conditions, self._condition("Ready", *answer)]

    def _status(self, *, ready: bool) -> Json:
        options = self._options
        return {
            "addresses": [
                {"type": "InternalIP", "address": self._host_ip},
                {"type": "Hostname", "address": options.name},
            ],
            "capacity": options.capacity,
            "allocatable": options.capacity,
            "conditions": self._conditions(ready=ready),
            # So that API servers pass exec on as the WebSocket that it came by.
            "declaredFeatures": ["ExtendWebSocketsToKubelet"],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "operatingSystem": platform.system().lower(),
                "kernelVersion": platform.release(),
                "osImage": f"{platform.system()} (containers are local processes)",
                "containerRuntimeVersion": f"process://{__version__}",
                "kubeletVersion": f"v1.36.0+process-node.{__version__}",
                "kubeProxyVersion": "",
                "machineID": "",
                "systemUUID": "",
                "bootID": str(uuid.UUID(int=os.getpid())),
            },
        }

    async def register(self) -> None:
        """Create the Node, or take over the one that an earlier run left.

        Raises:
            ApiError, UnreachableError: If that did not work.
        """
        body = {"apiVersion": "v1", "kind": "Node", "metadata": self._metadata(), "spec": {}}
        if self._options.taints:
            body["spec"] = {"taints": self._taints()}
        try:
            node = await self._api.create("/api/v1/nodes", body)
        except ApiError as error:
            if error.status != 409:
                raise
            node = await self._api.merge(
                self._path, {"metadata": {"labels": self._metadata()["labels"]}}
            )
        self._uid = str(node["metadata"].get("uid", ""))
        for condition in (node.get("status") or {}).get("conditions") or []:
            kept = (condition.get("status"), condition.get("lastTransitionTime"))
            if all(kept):
                self._since[str(condition.get("type"))] = (str(kept[0]), str(kept[1]))
        await self.report(ready=True)
        await self._renew()

    async def report(self, *, ready: bool) -> None:
        """Send the Node's status."""
        await self._api.merge(f"{self._path}/status", {"status": self._status(ready=ready)})

    async def _renew(self) -> None:
        now = micro_time(time.time())
        spec = {
            "holderIdentity": self._options.name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": now,
        }
        try:
            await self._api.merge(f"{_LEASES}/{self._options.name}", {"spec": spec})
        except ApiError as error:
            if error.status != 404:
                raise
            owner = {
                "apiVersion": "v1",
                "kind": "Node",
                "name": self._options.name,
                "uid": self._uid,
            }
            await self._api.create(
                _LEASES,
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": self._options.name, "ownerReferences": [owner]},
                    "spec": spec,
                },
            )

    async def keep(self) -> None:
        """Renew the Lease every 10 s and the status every 5 minutes, until cancelled."""
        retry = BackOff(1.0, _RENEW)
        reported = time.monotonic()
        while True:
            try:
                await self._renew()
                if time.monotonic() - reported > _STATUS:
                    await self.report(ready=True)
                    reported = time.monotonic()
                retry = BackOff(1.0, _RENEW)
                await asyncio.sleep(_RENEW)
            except McpTuiError as error:
                _LOG.warning("node %s: not renewed: %s", self._options.name, error)
                await asyncio.sleep(retry.step() or retry.step())
                await self._again()

    async def _again(self) -> None:
        """After trouble: the Node may have been deleted or marked meanwhile."""
        try:
            await self.register()
        except McpTuiError as error:
            _LOG.info("node %s: not registered: %s", self._options.name, error)

    async def leave(self) -> None:
        """Mark the Node not ready, or delete it where the options say so."""
        try:
            if self._options.delete_node:
                await self._api.delete(self._path, {})
            else:
                await self.report(ready=False)
        except McpTuiError as error:
            _LOG.info("node %s: %s", self._options.name, error)
