"""One real control plane: etcd, API server, controller manager, scheduler, nodes."""

from __future__ import annotations

import json
import secrets
import ssl
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.cluster import objects
from tests.cluster.build import Binaries
from tests.cluster.certs import Authority, Pair
from tests.cluster.process import GroundError, Processes, free_ports

CRDS = Path(__file__).with_name("crds")
FAKE_NODES = ("kwok-0", "kwok-1", "kwok-2")
PROCESS_NODE = "node-1"
REPO = Path(__file__).resolve().parents[2]

_KINDS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ClusterTrainingRuntime": "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes",
    "MutatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    ),
    "ValidatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    ),
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Service": "/api/v1/namespaces/{namespace}/services",
}


@dataclass(frozen=True)
class Endpoint:
    """How to reach a started plane; all of it is in its kubeconfig too."""

    name: str
    server: str
    ca: Path
    tokens: dict[str, str]
    client: Pair
    admin_kubeconfig: Path


def kubeconfig_for(endpoint: Endpoint, user: str) -> dict[str, Any]:
    """A kubeconfig of one context, for the servers of the plane itself."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": endpoint.name,
        "clusters": [
            {
                "name": endpoint.name,
                "cluster": {
                    "server": endpoint.server,
                    "certificate-authority": str(endpoint.ca),
                },
            }
        ],
        "users": [{"name": user, "user": {"token": endpoint.tokens[user]}}],
        "contexts": [{"name": endpoint.name, "context": {"cluster": endpoint.name, "user": user}}],
    }


class ControlPlane:
    """Starts the servers of one cluster under ``directory``.

    Call :meth:`launch`, then :meth:`seed`, then :meth:`wait_nodes`: what can run beside other
    planes' starts is split so that several come up together.
    """

    def __init__(
        self, name: str, directory: Path, binaries: Binaries, processes: Processes
    ) -> None:
        self.name = name
        self.directory = directory
        self.binaries = binaries
        self.processes = processes
        directory.mkdir(parents=True, exist_ok=True)
        authority = Authority(directory / "pki")
        self._server_pair = authority.issue("apiserver", common_name="kube-apiserver", server=True)
        self._etcd_pair = authority.issue("etcd", common_name="etcd", server=True)
        self.kubelet_client = authority.issue(
            "kubelet-client", common_name="kube-apiserver-kubelet-client", group="system:masters"
        )
        cert_admin = authority.issue(
            objects.CERT_USER, common_name=objects.CERT_USER, group="system:masters"
        )
        self._signing = authority.signing_key()
        # Who the API server is when it passes a request on to an aggregated one.
        self._front = Authority(directory / "pki" / "front-proxy")
        self._front_client = self._front.issue("client", common_name="front-proxy-client")
        self.authority = authority
        ports = free_ports(7)
        (self._etcd, self._etcd_peer, self._api, self._manager, self._scheduler) = ports[:5]
        self._kwok, self._node = ports[5:]
        self.endpoint = Endpoint(
            name=name,
            server=f"https://127.0.0.1:{self._api}",
            ca=authority.cert,
            tokens={user: secrets.token_urlsafe(24) for user in objects.IDENTITIES},
            client=cert_admin,
            admin_kubeconfig=directory / "admin.kubeconfig",
        )
        context = ssl.create_default_context(cafile=str(authority.cert))
        self.http = httpx.Client(
            base_url=self.endpoint.server,
            verify=context,
            headers={"Authorization": f"Bearer {self.endpoint.tokens['admin']}"},
            timeout=10.0,
            trust_env=False,
        )

    def _start(self, tool: str, *flags: str | Path) -> None:
        self.processes.start(f"{tool}-{self.name}", [self.binaries[tool], *flags])

    def launch(self) -> None:
        """Start etcd and the API server; returns at once."""
        tokens = self.directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(
            "".join(
                f'{self.endpoint.tokens[user]},{user},{user},"{group}"\n'
                for user, group in objects.IDENTITIES.items()
            )
        )
        self.endpoint.admin_kubeconfig.touch(mode=0o600)
        self.endpoint.admin_kubeconfig.write_text(
            yaml.safe_dump(kubeconfig_for(self.endpoint, "admin"))
        )
        self._start_etcd()
        self._start_api_server(tokens)

    def _start_etcd(self) -> None:
        peer = f"http://127.0.0.1:{self._etcd_peer}"
        client = f"https://127.0.0.1:{self._etcd}"
        self._start(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # Who can write to etcd can run pods: only the API server's certificate may.
            f"--cert-file={self._etcd_pair.cert}",
            f"--key-file={self._etcd_pair.key}",
            f"--trusted-ca-file={self.authority.cert}",
            "--client-cert-auth",
            "--unsafe-no-fsync",  # nothing here has to survive a power cut
            "--log-level=warn",
        )

    def _start_api_server(self, tokens: Path) -> None:
        self._start(
            "kube-apiserver",
            f"--etcd-servers=https://127.0.0.1:{self._etcd}",
            f"--etcd-cafile={self.authority.cert}",
            f"--etcd-certfile={self._etcd_pair.cert}",
            f"--etcd-keyfile={self._etcd_pair.key}",
            f"--secure-port={self._api}",
            "--bind-address=127.0.0.1",
            # Never used; without it the server looks for a default route, which CI may lack.
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={self._server_pair.cert}",
            f"--tls-private-key-file={self._server_pair.key}",
            f"--client-ca-file={self.authority.cert}",
            f"--kubelet-client-certificate={self.kubelet_client.cert}",
            f"--kubelet-client-key={self.kubelet_client.key}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={self._front.cert}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self._front_client.cert}",
            f"--proxy-client-key-file={self._front_client.key}",
            f"--service-account-key-file={self._signing.cert}",
            f"--service-account-signing-key-file={self._signing.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
        )

    def wait_api(self) -> None:
        """Wait until the API server says that it is ready.

        Raises:
            GroundError: it or etcd ended, or did not come up.
        """
        self.processes.wait(f"kube-apiserver-{self.name}", self._api_ready, deadline=120)

    def _api_ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def _controller(self) -> tuple[str, ...]:
        """What the servers that watch the API server have in common."""
        admin = self.endpoint.admin_kubeconfig
        return (
            f"--kubeconfig={admin}",
            f"--authentication-kubeconfig={admin}",
            f"--authorization-kubeconfig={admin}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )

    def launch_manager(self, *controllers: str) -> None:
        """Start the controller manager with some of its controllers, or with those it has."""
        self._start(
            "kube-controller-manager",
            *self._controller(),
            f"--secure-port={self._manager}",
            f"--service-account-private-key-file={self._signing.key}",
            "--use-service-account-credentials=false",
            "--concurrent-job-syncs=20",
            # A busy test machine is no reason to call a node lost.
            "--node-monitor-grace-period=120s",
            f"--controllers={','.join(controllers) or '*'}",
        )

    def launch_controllers(self) -> None:
        """Start controller manager, scheduler, kwok and the process node; returns at once."""
        admin = self.endpoint.admin_kubeconfig
        self.launch_manager()
        self._start("kube-scheduler", *self._controller(), f"--secure-port={self._scheduler}")
        stages = [
            f"--config={file}"
            for stage in ("node/fast", "pod/fast")
            for file in sorted((self.binaries["stage"] / stage).glob("*.yaml"))
        ]
        self._start(
            "kwok",
            f"--kubeconfig={admin}",
            *stages,
            f"--manage-nodes-with-annotation-selector={objects.FAKE_NODE}=fake",
            # A pod so annotated keeps the status that a test wrote.
            "--disregard-status-with-annotation-selector=kwok.x-k8s.io/status=custom",
            "--cidr=10.1.0.0/16",
            "--node-ip=10.1.0.1",
            "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{self._kwok}",
        )
        self._start_process_node()

    def _start_process_node(self) -> None:
        self.processes.start(
            f"node-{self.name}",
            [
                sys.executable, "-m", "mcp_tui.demo.node",
                "--kubeconfig", self.endpoint.admin_kubeconfig,
                "--context", self.name,
                "--name", PROCESS_NODE,
                "--dir", self.directory / "node",
                # Only the API server may ask the node to run something.
                "--client-ca", self.authority.cert,
                "--client-name", "kube-apiserver-kubelet-client",
            ],
            env={"PYTHONPATH": str(REPO)},
        )  # fmt: skip

    def seed(self) -> None:
        """Create roles, custom resources, simulated nodes and the namespace ``ml``."""
        self.create(objects.read_manifests(self.binaries["crds"]))
        self.create(objects.read_manifests(CRDS))
        self.create(objects.rbac())
        self.create(objects.fake_node(name) for name in FAKE_NODES)
        self.create([objects.namespace(objects.NAMESPACE), objects.about(self.name)])

    def create(self, manifests: Iterable[objects.Manifest]) -> None:
        """POST objects of the kinds that a fresh cluster gets; one that exists is left alone."""
        for manifest in manifests:
            meta = manifest["metadata"]
            path = _KINDS[manifest["kind"]].format(namespace=meta.get("namespace"))
            reply = self.http.post(path, content=json.dumps(manifest))
            if reply.status_code not in (201, 409):
                raise GroundError(
                    f"{self.name}: {manifest['kind']} {meta['name']}: {reply.status_code}"
                    f" {reply.text[:500]}"
                )

    def wait_nodes(self, deadline: float = 60.0) -> None:
        """Wait until every node is Ready and every custom resource is served."""
        self.processes.wait(
            f"kwok-{self.name}", lambda: self._ready_nodes() >= set(FAKE_NODES), deadline
        )
        self.processes.wait(
            f"node-{self.name}", lambda: PROCESS_NODE in self._ready_nodes(), deadline
        )
        until = time.monotonic() + deadline
        while not self._crds_established():
            if time.monotonic() > until:
                raise GroundError(f"{self.name}: custom resources are not served")
            time.sleep(0.05)

    def _ready_nodes(self) -> set[str]:
        return {
            item["metadata"]["name"]
            for item in self._items("/api/v1/nodes")
            if _condition(item, "Ready")
        }

    def _crds_established(self) -> bool:
        items = self._items(_KINDS["CustomResourceDefinition"])
        return bool(items) and all(_condition(item, "Established") for item in items)

    def _items(self, path: str) -> list[dict[str, Any]]:
        try:
            reply = self.http.get(path)
            return reply.json()["items"] if reply.status_code == 200 else []
        except httpx.HTTPError:
            return []


def _condition(item: dict[str, Any], kind: str) -> bool:
    # A custom resource definition that is just made has null for them.
    conditions = item.get("status", {}).get("conditions") or []
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)
