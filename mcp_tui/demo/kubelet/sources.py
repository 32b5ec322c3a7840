"""What a pod refers to: Secrets, ConfigMaps, its own fields and its containers' resources."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING
from typing import Any, Final

from mcp_tui.demo.kubelet.access import Api, Json, core_path
from mcp_tui.demo.kubelet.quantity import parse_quantity
from mcp_tui.errors import ApiError, UnreachableError

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


class ConfigError(Exception):
    """Something a container refers to is not there; the message is a kubelet's."""


class References:
    """Resolves the references of one pod.

    Args:
        api: The API server.
        pod: The pod.
        allocatable: The node's, for ``resourceFieldRef`` of a limit that is not set.
        host_ip: The node's address, which is also the pod's.
    """

    def __init__(self, api: Api, pod: Json, allocatable: Mapping[str, str], host_ip: str) -> None:
        self._api = api
        self._pod = pod
        self._allocatable = allocatable
        self._host_ip = host_ip
        self._namespace = str(pod["metadata"]["namespace"])

    async def data(self, kind: str, name: str, *, optional: bool) -> dict[str, bytes] | None:
        """The data of a ``Secret`` or ``ConfigMap``; None if it is optional and absent.

        Raises:
            ConfigError: If it is absent, or could not be read.
        """
        path = core_path(self._namespace, f"{kind.lower()}s", name)
        try:
            found = await self._api.get(path)
        except ApiError as error:
            if error.status == 404 and optional:
                return None
            if error.status == 404:
                raise ConfigError(f'{kind.lower()} "{name}" not found') from error
            raise ConfigError(f"failed to sync {kind.lower()} cache: {error.what}") from error
        except UnreachableError as error:
            raise ConfigError(
                f"failed to sync {kind.lower()} cache: timed out waiting for the condition"
            ) from error
        encoded, plain = ("data", "stringData") if kind == "Secret" else ("binaryData", "data")
        values = {k: str(v).encode() for k, v in (found.get(plain) or {}).items()}
        try:
            values |= {k: base64.b64decode(v) for k, v in (found.get(encoded) or {}).items()}
        except (binascii.Error, TypeError, ValueError) as error:
            raise ConfigError(f'{kind.lower()} "{name}" holds data that is not base64') from error
        return values

    async def key(self, kind: str, reference: Mapping[str, Any]) -> str | None:
        """One value of a Secret or ConfigMap as text; None if optional and absent.

        Raises:
            ConfigError: If the object or the key is absent.
        """
        name, key = str(reference.get("name", "")), str(reference.get("key", ""))
        optional = bool(reference.get("optional"))
        data = await self.data(kind, name, optional=optional)
        if data is None:
            return None
        if key not in data:
            if optional:
                return None
            raise ConfigError(f"couldn't find key {key} in {kind} {self._namespace}/{name}")
        return data[key].decode("utf-8", "replace")

    def field(self, path: str) -> str:
        """A ``fieldRef``.

        Raises:
            ConfigError: If the field is not one that the downward API knows.
        """
        meta, spec = self._pod["metadata"], self._pod["spec"]
        match = _SUBSCRIPT.fullmatch(path)
        if match:
            return str((meta.get(match[1]) or {}).get(match[2], ""))
        if path in ("metadata.labels", "metadata.annotations"):
            items = sorted((meta.get(path.partition(".")[2]) or {}).items())
            return "\n".join(f'{key}="{_escape(str(value))}"' for key, value in items)
        simple = {
            "metadata.name": meta.get("name"),
            "metadata.namespace": meta.get("namespace"),
            "metadata.uid": meta.get("uid"),
            "spec.nodeName": spec.get("nodeName"),
            "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        }
        if path in simple:
            return str(simple[path] or "")
        if path in ("status.hostIP", "status.podIP", "status.hostIPs", "status.podIPs"):
            return self._host_ip
        raise ConfigError(f"unsupported fieldPath: {path}")

    def resource(self, reference: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        """A ``resourceFieldRef``, rounded up to whole divisors.

        Raises:
            ConfigError: If the container or resource is unknown.
        """
        named = reference.get("containerName")
        if named:
            every = [
                *(self._pod["spec"].get("initContainers") or []),
                *self._pod["spec"]["containers"],
            ]
            container = next((c for c in every if c.get("name") == named), {})
        where, _, name = str(reference.get("resource", "")).partition(".")
        if where not in ("limits", "requests") or not name:
            raise ConfigError(f"unsupported container resource: {reference.get('resource')}")
        resources = container.get("resources") or {}
        value = (resources.get(where) or {}).get(name)
        if value is None and where == "limits":
            value = self._allocatable.get(name)
        try:
            divisor = parse_quantity(reference.get("divisor") or 1) or parse_quantity(1)
            amount = parse_quantity(value or 0) / divisor
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return str(amount.to_integral_value(ROUND_CEILING))

    async def token(self, source: Mapping[str, Any]) -> bytes:
        """A service account token, bound to this pod, by the TokenRequest API.

        Raises:
            ConfigError: If the API server did not give one.
        """
        meta = self._pod["metadata"]
        account = str(self._pod["spec"].get("serviceAccountName") or "default")
        spec: Json = {
            "expirationSeconds": int(source.get("expirationSeconds") or 3600),
            "boundObjectRef": {
                "apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"],
            },
        }  # fmt: skip
        if source.get("audience"):
            spec["audiences"] = [source["audience"]]
        path = core_path(self._namespace, "serviceaccounts", account, "token")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            answer = await self._api.create(path, body)
        except (ApiError, UnreachableError) as error:
            raise ConfigError(f"failed to fetch token: {error.what}") from error
        return str((answer.get("status") or {}).get("token", "")).encode()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
