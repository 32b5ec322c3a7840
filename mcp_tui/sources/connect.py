"""Everything that goes with one context: its API server, MLflow and Prometheus, behind one gate."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Final

import msgspec

from mcp_tui.config import ContextConfig, Endpoint
from mcp_tui.domain.kube import Kube, ObjectMeta
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources import endpoint as endpoints
from mcp_tui.sources.caller import Caller
from mcp_tui.sources.gate import Gate, Source
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.prometheus import PrometheusClient


class _Port(Kube, frozen=True, kw_only=True):
    name: str = ""
    port: int = 0


class _ServiceSpec(Kube, frozen=True, kw_only=True):
    ports: tuple[_Port, ...] = ()


class _Service(Kube, frozen=True, kw_only=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _ServiceSpec = _ServiceSpec()


# How the usual charts and operators label the Services, the most telling first.
_LABELS: Final[Mapping[Source, tuple[str, ...]]] = {
    "mlflow": ("app.kubernetes.io/name=mlflow", "app=mlflow"),
    "prometheus": (
        "app.kubernetes.io/name=prometheus",
        "operated-prometheus=true",
        "app=prometheus",
    ),
}
_PORT_NAMES: Final = ("http", "web", "http-web", "mlflow", "prometheus")


class Connection:
    """The clients of one context. Making one calls nobody.

    Args:
        info: The kubeconfig's side.
        settings: The configuration's side.
        dry_run: Only reads and server-side dry runs leave.
        env: For credentials and proxies; our own when None.

    Attributes:
        mlflow: None where none is configured (see :meth:`find_endpoints`).
        prometheus: The same.
    """

    def __init__(
        self,
        info: ContextInfo,
        settings: ContextConfig,
        *,
        dry_run: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.info = info
        self.settings = settings
        self.gate = Gate(settings.read_only, dry_run=dry_run)
        self._env: Mapping[str, str] = os.environ if env is None else env
        self.kube = KubeClient(info, gate=self.gate, env=env)
        self.mlflow: MlflowClient | None = None
        self.prometheus: PrometheusClient | None = None
        self._open()

    def _open(self) -> None:
        settings = self.settings
        if settings.mlflow is not None and self.mlflow is None:
            self.mlflow = MlflowClient(self._caller("mlflow", settings.mlflow))
        if settings.prometheus is not None and self.prometheus is None:
            self.prometheus = PrometheusClient(self._caller("prometheus", settings.prometheus))

    def _caller(self, source: Source, endpoint: Endpoint) -> Caller:
        return endpoints.connect(source, endpoint, gate=self.gate, env=self._env, kube=self.kube)

    @property
    def mlflow_uri_for_pods(self) -> str:
        """MLflow's URL as pods reach it: configured, the console's own, or the Service's name."""
        if self.settings.mlflow_in_cluster:
            return self.settings.mlflow_in_cluster
        endpoint = self.settings.mlflow
        if endpoint is None or endpoint.url:
            return endpoint.url if endpoint else ""
        namespace, _, rest = endpoint.service.partition("/")
        name, _, port = rest.partition(":")
        number = port if port.isdigit() else self._ports.get(endpoint.service, "80")
        return f"http://{name}.{namespace}.svc:{number}"

    _ports: Mapping[str, str] = {}

    async def find_endpoints(self, namespace: str | None = None) -> bool:
        """Find MLflow and Prometheus by the usual labels of their Services, where not configured.

        Never raises: what is not found stays None.

        Args:
            namespace: Looked at where the whole cluster may not be listed.

        Returns:
            Whether the cluster answered, so that what is None is not there.
        """
        missing: list[Source] = []
        if self.settings.mlflow is None:
            missing.append("mlflow")
        if self.settings.prometheus is None:
            missing.append("prometheus")
        self._unanswered = False
        found = await asyncio.gather(*(self._find(source, namespace) for source in missing))
        for source, endpoint in zip(missing, found, strict=True):
            if endpoint is not None and source == "mlflow":
                self.settings = msgspec.structs.replace(self.settings, mlflow=endpoint)
            elif endpoint is not None:
                self.settings = msgspec.structs.replace(self.settings, prometheus=endpoint)
        self._open()
        return not self._unanswered

    _unanswered = False

    async def _find(self, source: Source, namespace: str | None) -> Endpoint | None:
        for selector in _LABELS[source]:
            for path in ("/api/v1/services", f"/api/v1/namespaces/{namespace}/services"):
                try:
                    page = await self.kube.get(
                        path,
                        ObjectList[_Service],
                        params={"labelSelector": selector, "limit": "20"},
                        deadline=5.0,
                    )
                except ApiError as error:
                    if error.status == 403 and namespace and path == "/api/v1/services":
                        continue
                    self._unanswered |= error.status == 429 or error.status >= 500
                    return None
                except McpTuiError:
                    self._unanswered = True
                    return None
                for service in page.items:
                    endpoint = self._endpoint(service, selector)
                    if endpoint is not None:
                        return endpoint
                break
        return None

    def _endpoint(self, service: _Service, selector: str) -> Endpoint | None:
        if not service.spec.ports:
            return None
        named = {port.name: port for port in service.spec.ports}
        port = next((named[n] for n in _PORT_NAMES if n in named), service.spec.ports[0])
        meta = service.metadata
        address = f"{meta.namespace}/{meta.name}:{port.name or port.port}"
        self._ports = {**self._ports, address: str(port.port)}
        return Endpoint(service=address, origin=f"Service labelled {selector}")

    async def aclose(self) -> None:
        """Close every connection."""
        for client in (self.mlflow, self.prometheus):
            if client is not None:
                await client.aclose()
        await self.kube.aclose()
