"""A ground in a network of its own, where MLflow and Prometheus are Services behind pods.

One small control plane (no scheduler, no nodes) whose API server reaches both through its own
service proxy. From outside, relays on loopback lead to the API server and, to look at what was
written, to both servers themselves.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from tests.cluster import objects
from tests.cluster.build import Binaries
from tests.cluster.namespace import ADDRESS, Relay, enter
from tests.cluster.plane import ControlPlane
from tests.cluster.process import GroundError, answers
from tests.cluster.servers import keep_template, start_mlflow, start_prometheus
from tests.cluster.supervisor import Supervisor

NODE = "outside"

# The Services: name, the name of its port, and whether it carries the label that a chart gives.
SERVICES = (("mlflow", "http", True), ("prometheus", "web", True), ("other", "http", False))
"""``other`` leads to MLflow too: it is there, and nobody configured it."""


class SecludedSupervisor(Supervisor):
    """Starts and owns the servers of one secluded ground."""

    def start(self, binaries: Binaries) -> None:
        """As for any ground; raises GroundError."""
        relays = {name: Relay() for name in ("api", "mlflow", "prometheus")}
        enter()
        self._write_state(ready=False)
        mlflow = start_mlflow(self.processes, self.directory / "mlflow", host=ADDRESS)
        (context,) = self.contexts
        plane = ControlPlane(context, self.directory / context, binaries, self.processes)
        self.planes = [plane]
        plane.launch()
        prometheus = start_prometheus(
            self.processes, binaries["prometheus"], self.directory / "prometheus", host=ADDRESS
        )
        plane.wait_api()
        plane.launch_manager("endpoints-controller", "endpointslice-controller", "job-controller")
        plane.create(objects.rbac())
        plane.create([objects.namespace(objects.NAMESPACE)])
        self.processes.wait("mlflow", lambda: answers(f"{mlflow}/health"), deadline=240)
        self.processes.wait("prometheus", lambda: answers(f"{prometheus}/-/ready"), deadline=240)
        keep_template(self.directory / "mlflow" / "mlflow.db")
        self._serve(plane, {"mlflow": mlflow, "prometheus": prometheus, "other": mlflow})
        inside = {"api": plane.endpoint.server, "mlflow": mlflow, "prometheus": prometheus}
        for name, relay in relays.items():
            parts = urlsplit(inside[name])
            relay.lead_to(str(parts.hostname), int(parts.port or 0))
        self._outside = f"https://127.0.0.1:{relays['api'].port}"
        self.mlflow = f"http://127.0.0.1:{relays['mlflow'].port}"
        self.prometheus = f"http://127.0.0.1:{relays['prometheus'].port}"
        self._write_config()
        self._write_state(ready=True)

    def _clusters(self) -> dict[str, Any]:
        """As they are reached from outside."""
        return {
            name: {**cluster, "server": self._outside}
            for name, cluster in super()._clusters().items()
        }

    def _serve(self, plane: ControlPlane, urls: dict[str, str]) -> None:
        """Pods that a kubelet would call ready, and the Services before them."""
        # An endpoint is one only on a node that exists.
        plane.create([{"kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE}}])
        for name, port, labelled in SERVICES:
            number = int(urlsplit(urls[name]).port or 0)
            plane.create([_pod(name, number), _service(name, port, number, labelled)])
            status = plane.http.patch(
                f"/api/v1/namespaces/{objects.NAMESPACE}/pods/{name}-0/status",
                json=_ready(name),
                headers={"Content-Type": "application/merge-patch+json"},
            )
            if status.status_code != 200:
                raise GroundError(f"pod {name}-0: {status.status_code} {status.text[:500]}")
        until = time.monotonic() + 60
        while not all(_leads(plane, name) for name, _, _ in SERVICES):
            if time.monotonic() > until:
                raise GroundError("the Services got no endpoints")
            time.sleep(0.05)


def _leads(plane: ControlPlane, name: str) -> bool:
    slices = plane.http.get(
        f"/apis/discovery.k8s.io/v1/namespaces/{objects.NAMESPACE}/endpointslices",
        params={"labelSelector": f"kubernetes.io/service-name={name}"},
    ).json()["items"]
    path = f"/api/v1/namespaces/{objects.NAMESPACE}/endpoints/{name}"
    old = plane.http.get(path)
    return any(s["endpoints"] for s in slices) and bool(
        old.status_code == 200 and old.json().get("subsets")
    )


def _pod(name: str, port: int) -> objects.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-0",
            "namespace": objects.NAMESPACE,
            "labels": {"app.kubernetes.io/instance": name},
        },
        "spec": {
            "nodeName": NODE,
            "containers": [{"name": name, "image": name, "ports": [{"containerPort": port}]}],
        },
    }


def _ready(name: str) -> dict[str, Any]:
    conditions = [{"type": t, "status": "True"} for t in ("PodScheduled", "ContainersReady")]
    status = {
        "phase": "Running",
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "conditions": [*conditions, {"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": name,
                "image": name,
                "imageID": name,
                "ready": True,
                "restartCount": 0,
                "state": {"running": {}},
            }
        ],
    }
    return {"status": status}


def _service(name: str, port: str, target: int, labelled: bool) -> objects.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": objects.NAMESPACE,
            "labels": {"app.kubernetes.io/name": name} if labelled else {},
        },
        "spec": {
            "selector": {"app.kubernetes.io/instance": name},
            "ports": [{"name": port, "port": 80, "targetPort": target}],
        },
    }
