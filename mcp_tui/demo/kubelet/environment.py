"""The environment of a container: what its spec says, and the little that a runtime adds."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp_tui.demo.kubelet.expansion import expand
from mcp_tui.demo.kubelet.sources import ConfigError, References

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Surroundings:
    """What the runtime gives every process of a container.

    ``path`` goes before everything on PATH, also before a PATH of the container's own, whose
    directories were meant for its image: the interpreter that runs this node comes first.
    """

    home: Path
    temporary: Path
    hostname: str
    api_host: str
    api_port: str
    path: Sequence[str] = ()


def search_path(extra: Sequence[str], own: str = "") -> str:
    """PATH: the extra directories, the running interpreter's, and the container's or system's."""
    interpreter = str(Path(sys.executable).parent)
    return os.pathsep.join([*extra, interpreter, own or _SYSTEM_PATH])


async def _value(
    entry: Mapping[str, Any], container: Mapping[str, Any], references: References
) -> str | None:
    source = entry.get("valueFrom") or {}
    if "secretKeyRef" in source:
        return await references.key("Secret", source["secretKeyRef"])
    if "configMapKeyRef" in source:
        return await references.key("ConfigMap", source["configMapKeyRef"])
    if "fieldRef" in source:
        return references.field(str(source["fieldRef"].get("fieldPath", "")))
    if "resourceFieldRef" in source:
        return references.resource(source["resourceFieldRef"], container)
    raise ConfigError(f"env {entry.get('name')}: this source of a value is not supported")


async def container_env(
    container: Mapping[str, Any], references: References, around: Surroundings
) -> dict[str, str]:
    """The environment that the spec asks for, before mount paths are mapped.

    Raises:
        ConfigError: If something it refers to is missing.
    """
    values: dict[str, str] = {
        "KUBERNETES_SERVICE_HOST": around.api_host,
        "KUBERNETES_SERVICE_PORT": around.api_port,
        "HOSTNAME": around.hostname,
    }
    for entry in container.get("envFrom") or []:
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            reference = entry.get(field)
            if reference:
                data = await references.data(
                    kind, str(reference.get("name", "")), optional=bool(reference.get("optional"))
                )
                prefix = str(entry.get("prefix") or "")
                for key, raw in (data or {}).items():
                    values[prefix + key] = raw.decode("utf-8", "replace")
    for entry in container.get("env") or []:
        name = str(entry.get("name", ""))
        if entry.get("valueFrom"):
            found = await _value(entry, container, references)
            if found is None:
                continue
            values[name] = found
        else:
            values[name] = expand(str(entry.get("value") or ""), values)
    return {key: value.replace("\0", "") for key, value in values.items() if key and "=" not in key}


def with_runtime(values: Mapping[str, str], around: Surroundings) -> dict[str, str]:
    """Add what the container did not set itself: HOME, TMPDIR; and put PATH together."""
    given = {"HOME": str(around.home), "TMPDIR": str(around.temporary), **values}
    given["PATH"] = search_path(around.path, values.get("PATH", ""))
    return given
