"""How the node talks to an API server: a kubeconfig context, and the few calls a kubelet makes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import ssl
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import yaml

from mcp_tui.domain.text import one_line
from mcp_tui.errors import ApiError, UnreachableError, UsageError

Json = dict[str, Any]

MERGE_PATCH: Final = "application/merge-patch+json"
_DEADLINE: Final = 15.0
_LINE_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Access:
    """Where an API server is and who is asking; made by :func:`read_access` or by hand.

    ``verify`` is an SSL context (with the client certificate loaded, if there is one), or False
    for a plain HTTP server or one whose certificate is not checked.
    """

    server: str
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: ssl.SSLContext | bool = False


def _named(config: Json, kind: str, name: str, path: Path) -> Json:
    for entry in config.get(kind) or []:
        if isinstance(entry, dict) and entry.get("name") == name:
            body = entry.get({"contexts": "context", "clusters": "cluster", "users": "user"}[kind])
            return body if isinstance(body, dict) else {}
    raise UsageError(f"no entry {name!r} under {kind}", where=str(path))


def _material(body: Json, key: str, base: Path) -> bytes | None:
    """The bytes of ``key-data`` (base64) or of the file named by ``key``."""
    data = body.get(f"{key}-data")
    if data:
        return base64.b64decode(data)
    name = body.get(key)
    return (base / name).read_bytes() if name else None


def _tls(cluster: Json, user: Json, base: Path) -> ssl.SSLContext | bool:
    if not str(cluster.get("server", "")).startswith("https:"):
        return False
    context = ssl.create_default_context()
    authority = _material(cluster, "certificate-authority", base)
    if authority:
        context.load_verify_locations(cadata=authority.decode())
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _material(user, "client-certificate", base)
    key = _material(user, "client-key", base)
    if certificate and key:
        # The ssl module reads certificates from files only; this one is private and gone at once.
        descriptor, name = tempfile.mkstemp()
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(certificate + b"\n" + key)
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()
    return context


def read_access(path: Path, context: str = "") -> Access:
    """Read one context of a kubeconfig.

    Args:
        path: The kubeconfig file.
        context: The context's name; empty for the current one.

    Raises:
        UsageError: If the file, the context, or what it names cannot be read, or the user
            authenticates in a way that the node does not know (exec plugins).
    """
    try:
        config = yaml.safe_load(path.read_text())
        if not isinstance(config, dict):
            raise UsageError("not a kubeconfig", where=str(path))
        name = context or str(config.get("current-context", ""))
        entry = _named(config, "contexts", name, path)
        cluster = _named(config, "clusters", str(entry.get("cluster", "")), path)
        user = _named(config, "users", str(entry.get("user", "")), path)
        base = path.parent
        headers = {}
        token = user.get("token")
        if not token and user.get("tokenFile"):
            token = (base / str(user["tokenFile"])).read_text().strip()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif user.get("exec") or user.get("auth-provider"):
            raise UsageError("exec plugins are not supported by the node", where=str(path))
        return Access(
            str(cluster.get("server", "")).rstrip("/"), headers, _tls(cluster, user, base)
        )
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(one_line(str(error)) or "unreadable", where=str(path)) from error


def _error(response: httpx.Response) -> ApiError:
    """The server's own message, from a Status where it sent one."""
    reason, message = "", one_line(response.text[:500])
    with contextlib.suppress(ValueError):
        status = json.loads(response.content)
        if isinstance(status, dict):
            reason = str(status.get("reason", ""))
            message = one_line(str(status.get("message", "")))
    after = response.headers.get("retry-after", "")
    return ApiError(
        message or f"HTTP {response.status_code}",
        status=response.status_code,
        reason=reason,
        retry_after=float(after) if after.isdigit() else None,
        where=response.url.path,
    )


class Api:
    """The calls of a kubelet, each with a wall-clock deadline of 15 s.

    Every call raises ApiError when the server refused, UnreachableError when it did not answer.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._client = httpx.AsyncClient(
            base_url=access.server,
            headers={"User-Agent": "mcp-tui-process-node", **access.headers},
            verify=access.verify,
            timeout=httpx.Timeout(_DEADLINE),
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """One request; the decoded JSON object of the answer."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content is not None else {}
        try:
            async with asyncio.timeout(_DEADLINE):
                response = await self._client.request(
                    method, path, content=content, headers=headers, params=params
                )
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise UnreachableError(
                one_line(str(error)) or type(error).__name__, where=self.access.server
            ) from error
        if response.status_code >= 300:
            raise _error(response)
        try:
            decoded = json.loads(response.content)
        except ValueError as error:
            raise UnreachableError("the answer is not JSON", where=path) from error
        if not isinstance(decoded, dict):
            raise UnreachableError("the answer is not an object", where=path)
        return decoded

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        """GET one object or list."""
        return await self.call("GET", path, params=params)

    async def create(self, path: str, body: Json) -> Json:
        """POST a new object to a collection."""
        return await self.call("POST", path, body)

    async def merge(self, path: str, body: Json) -> Json:
        """PATCH an object with a JSON merge patch."""
        return await self.call("PATCH", path, body, content_type=MERGE_PATCH)

    async def delete(self, path: str, options: Json) -> Json:
        """DELETE an object with DeleteOptions."""
        return await self.call(
            "DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions"} | options
        )

    async def watch(
        self, path: str, params: Mapping[str, str], seconds: float
    ) -> AsyncGenerator[Json]:
        """The events of one watch, until the server or ``seconds`` (plus slack) ends it."""
        timeout = httpx.Timeout(_DEADLINE, read=seconds + 20)
        query = {**params, "watch": "true", "timeoutSeconds": str(int(seconds))}
        pending = b""
        try:
            async with self._client.stream("GET", path, params=query, timeout=timeout) as response:
                if response.status_code >= 300:
                    await response.aread()
                    raise _error(response)
                async for chunk in response.aiter_raw():
                    pending += chunk
                    *lines, pending = pending.split(b"\n")
                    for line in lines:
                        if line.strip():
                            yield json.loads(line)
                    if len(pending) > _LINE_LIMIT:
                        raise UnreachableError("a watch event is too long", where=path)
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise UnreachableError(
                one_line(str(error)) or type(error).__name__, where=self.access.server
            ) from error


def pod_path(namespace: str, name: str = "", subresource: str = "") -> str:
    """The path of a pod, of the pods of a namespace, or of a pod's subresource."""
    return core_path(namespace, "pods", name, subresource)


def core_path(namespace: str, plural: str, name: str = "", subresource: str = "") -> str:
    """The path of a namespaced core/v1 object or collection."""
    parts = ["/api/v1/namespaces", quote(namespace, safe=""), plural]
    parts += [quote(part, safe="") for part in (name, subresource) if part]
    return "/".join(parts)
