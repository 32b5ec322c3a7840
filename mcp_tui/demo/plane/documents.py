"""Paths without objects: version, health, discovery, OpenAPI."""

from __future__ import annotations

from typing import Any

from mcp_tui.demo.plane.discovery import Discovery, version
from mcp_tui.demo.plane.http import Answer, Request, accepted, json_answer
from mcp_tui.demo.plane.status import method_not_allowed, no_such_path


class Documents:
    """Answers from what is served."""

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery

    def answer(self, request: Request) -> Answer | None:
        """The answer for such a path; None for paths of objects. Raises StatusError 404, 405."""
        path = request.path.rstrip("/") or "/"
        parts = path.strip("/").split("/")
        found: Any = None
        match parts:
            case ["version"]:
                found = version()
            case ["healthz" | "readyz" | "livez"]:
                return Answer(body=b"ok", content_type="text/plain; charset=utf-8")
            case ["api"]:
                found = self._grouped(request, core=True)
            case ["apis"]:
                found = self._grouped(request, core=False)
            case ["apis", group]:
                found = self.discovery.group(group)
                found = found and {"kind": "APIGroup", "apiVersion": "v1", **found}
            case ["api", name]:
                found = self.discovery.resources("", name)
            case ["apis", group, name]:
                found = self.discovery.resources(group, name)
            case ["openapi", "v3"]:
                found = self.discovery.openapi_index()
            case ["openapi", "v3", *_]:
                return self._openapi(request, path.removeprefix("/openapi/v3/"))
            case _:
                return None
        if found is None:
            raise no_such_path()
        if isinstance(found, Answer):
            return found
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        return json_answer(found)

    def _grouped(self, request: Request, *, core: bool) -> Any:
        _, params = accepted(request.headers.get("accept", ""))
        if params.get("as") == "APIGroupDiscoveryList" and params.get("v") in ("v2", "v2beta1"):
            group_version = f"apidiscovery.k8s.io/{params['v']}"
            answer = json_answer(self.discovery.aggregated(core, group_version))
            answer.content_type = (
                f"application/json;g=apidiscovery.k8s.io;v={params['v']};as=APIGroupDiscoveryList"
            )
            answer.headers["vary"] = "Accept"
            return answer
        if core:
            return {
                "kind": "APIVersions",
                "versions": self.discovery.versions(),
                "serverAddressByClientCIDRs": [],
            }
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": self.discovery.groups()}

    def _openapi(self, request: Request, path: str) -> Answer:
        if "proto-openapi" in request.headers.get("accept", ""):
            raw = self.discovery.openapi_protobuf(path)
            if raw is None:
                raise no_such_path()
            media = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
            return Answer(body=raw, content_type=media)
        found = self.discovery.openapi(path)
        if found is None:
            raise no_such_path()
        return json_answer(found)
