"""The real metrics-server, reached by the API server as an aggregated API.

It asks the process node only: nobody listens at the address of kwok's.
"""

from __future__ import annotations

from tests.cluster import objects
from tests.cluster.plane import PROCESS_NODE, ControlPlane
from tests.cluster.process import free_ports

GROUP = "metrics.k8s.io"


def aggregated(group: str, version: str, port: int) -> list[objects.Manifest]:
    """The APIService of a server on this machine, and the Service that leads there."""
    name = group.partition(".")[0]
    space = "kube-system"
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{name}-api", "namespace": space},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "service": {"name": f"{name}-api", "namespace": space, "port": port},
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]


def launch(plane: ControlPlane) -> None:
    """Start it on a plane that runs; nobody waits for its first measurements."""
    (port,) = free_ports(1)
    admin = plane.endpoint.admin_kubeconfig
    plane.processes.start(
        f"metrics-server-{plane.name}",
        [
            plane.binaries["metrics-server"],
            f"--kubeconfig={admin}",
            f"--authentication-kubeconfig={admin}",
            f"--authorization-kubeconfig={admin}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={plane.directory / 'metrics-server'}",
            "--metric-resolution=10s",  # the least that it takes
            "--kubelet-request-timeout=5s",
            f"--node-selector=kubernetes.io/hostname={PROCESS_NODE}",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--kubelet-insecure-tls",
            f"--kubelet-client-certificate={plane.kubelet_client.cert}",
            f"--kubelet-client-key={plane.kubelet_client.key}",
        ],
    )
    plane.create(aggregated(GROUP, "v1beta1", port))
