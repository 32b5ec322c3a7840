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
        if not await self._renew():
            await self._create_lease()

    async def report(self, *, ready: bool) -> None:
        """Send the Node's status."""
        await self._api.merge(f"{self._path}/status", {"status": self._status(ready=ready)})

    def _lease(self) -> Json:
        return {
            "holderIdentity": self._options.name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": micro_time(time.time()),
        }

    async def _renew(self) -> bool:
        """Renew the Lease; False if there is none."""
        try:
            await self._api.merge(f"{_LEASES}/{self._options.name}", {"spec": self._lease()})
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def _create_lease(self) -> None:
        name = self._options.name
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": self._uid}
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": self._lease(),
        }
        await self._api.create(_LEASES, body)

    async def keep(self) -> None:
        """Renew the Lease every 10 s and the status every 5 minutes, until cancelled.

        A Lease that is gone went with its Node; after trouble, or a sleep of the machine, the
        control plane may have marked the Node: then it is registered anew.
        """
        retry = BackOff(1.0, _RENEW)
        renewed = reported = time.time()
        while True:
            try:
                late = not 0 <= time.time() - renewed < 2 * _RENEW
                if late or not await self._renew():
                    await self.register()
                elif time.time() - reported > _STATUS:
                    await self.report(ready=True)
                    reported = time.time()
                renewed = time.time()
                retry = BackOff(1.0, _RENEW)
                await asyncio.sleep(_RENEW)
            except McpTuiError as error:
                _LOG.warning("node %s: not renewed: %s", self._options.name, error)
                renewed = 0.0
                await asyncio.sleep(retry.step() or retry.step())

    async def leave(self) -> None:
        """Mark the Node not ready, or delete it where the options say so."""
        try:
            if self._options.delete_node:
                await self._api.delete(self._path, {})
            else:
                await self.report(ready=False)
        except McpTuiError as error:
            _LOG.info("node %s: %s", self._options.name, error)
