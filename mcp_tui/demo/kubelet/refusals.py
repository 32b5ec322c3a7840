"""Containers that this node cannot create."""

from __future__ import annotations

from mcp_tui.demo.kubelet.access import Json


class CreateError(Exception):
    """A container that this node cannot create."""


def refuse(spec: Json) -> None:
    """Refuse what this node cannot do.

    Raises:
        CreateError: Saying what and why.
    """
    if not spec.get("command"):
        raise CreateError(
            "no command specified: this node has no images and cannot know their entrypoint"
        )
    context = spec.get("securityContext") or {}
    capabilities = (context.get("capabilities") or {}).get("add")
    if context.get("privileged") or capabilities:
        raise CreateError(
            "privileged containers and added capabilities are not supported: this node runs"
            " containers as local processes of an ordinary user"
        )
    if spec.get("volumeDevices"):
        raise CreateError("block devices are not supported by this node")
