"""Volumes as directories below the pod's own: those made of data, and emptyDir. No others."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mcp_tui.demo.kubelet.access import Json
from mcp_tui.demo.kubelet.sources import ConfigError, References

SUPPORTED: Final = ("emptyDir", "configMap", "secret", "projected", "downwardAPI")


class VolumeError(Exception):
    """A volume that cannot be set up (yet); the message is for a FailedMount event."""


def kind_of(volume: Mapping[str, Any]) -> str:
    """The volume's type, ``emptyDir`` where none is named."""
    return next((key for key in volume if key != "name"), "emptyDir")


def inside(base: Path, relative: str) -> Path:
    """A path below ``base``.

    Raises:
        VolumeError: If it would lead out of it.
    """
    parts = PurePosixPath(relative.lstrip("/")).parts
    if ".." in parts:
        raise VolumeError(f'path "{relative}" must not contain ".."')
    return base.joinpath(*parts)


class Files(dict[str, tuple[bytes, int]]):
    """Relative path -> content and mode."""


def _project(
    files: Files, data: Mapping[str, bytes], source: Mapping[str, Any], mode: int, where: str
) -> None:
    items = source.get("items")
    if not items:
        files.update({key: (value, mode) for key, value in data.items()})
        return
    for item in items:
        key = str(item.get("key", ""))
        if key not in data:
            if source.get("optional"):
                continue
            raise VolumeError(f"{where} references non-existent config key: {key}")
        files[str(item.get("path", key))] = (data[key], int(item.get("mode") or mode))


async def _object_files(
    files: Files, kind: str, source: Mapping[str, Any], mode: int, references: References
) -> None:
    name = str(source.get("secretName") or source.get("name") or "")
    data = await references.data(kind, name, optional=bool(source.get("optional")))
    if data is not None:
        _project(files, data, source, mode, f"{kind.lower()} {name!r}")


def _downward_files(
    files: Files, source: Mapping[str, Any], mode: int, references: References
) -> None:
    for item in source.get("items") or []:
        if item.get("fieldRef"):
            text = references.field(str(item["fieldRef"].get("fieldPath", "")))
        else:
            text = references.resource(item.get("resourceFieldRef") or {}, {})
        files[str(item.get("path", ""))] = (text.encode(), int(item.get("mode") or mode))


async def _projected_files(files: Files, source: Json, references: References) -> None:
    mode = int(source.get("defaultMode") or 0o644)
    for part in source.get("sources") or []:
        if "secret" in part:
            await _object_files(files, "Secret", part["secret"], mode, references)
        elif "configMap" in part:
            await _object_files(files, "ConfigMap", part["configMap"], mode, references)
        elif "downwardAPI" in part:
            _downward_files(files, part["downwardAPI"], mode, references)
        elif "serviceAccountToken" in part:
            token = part["serviceAccountToken"]
            content = await references.token(token)
            files[str(token.get("path", "token"))] = (content, 0o600)
        else:
            raise VolumeError(
                f"a projected source of {next(iter(part), 'nothing')} is not supported"
            )


async def set_up(volume: Json, directory: Path, references: References) -> None:
    """Make one volume at ``directory``; an emptyDir that is there already keeps its content.

    Raises:
        VolumeError: If its type is refused, or what it is made of is missing.
    """
    kind = kind_of(volume)
    source = volume.get(kind) or {}
    if kind not in SUPPORTED:
        raise VolumeError(
            f"this node runs containers as local processes and cannot mount {kind} volumes"
            f" (it supports {', '.join(SUPPORTED)})"
        )
    files = Files()
    mode = int(source.get("defaultMode") or 0o644)
    try:
        if kind == "configMap":
            await _object_files(files, "ConfigMap", source, mode, references)
        elif kind == "secret":
            await _object_files(files, "Secret", source, mode, references)
        elif kind == "downwardAPI":
            _downward_files(files, source, mode, references)
        elif kind == "projected":
            await _projected_files(files, source, references)
    except ConfigError as error:
        raise VolumeError(str(error)) from error
    await asyncio.to_thread(_write, directory, files)


def _write(directory: Path, files: Files) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for relative, (content, mode) in files.items():
        path = inside(directory, relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.unlink()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        path.chmod(mode)


def used_bytes(directory: Path, *, most_entries: int = 200_000) -> int:
    """Bytes of all files below a directory, as ``du`` counts them; links are not followed."""
    total, seen, stack = 0, 0, [directory]
    while stack and seen < most_entries:
        with suppress(OSError), os.scandir(stack.pop()) as entries:
            for entry in entries:
                seen += 1
                with suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    total += info.st_blocks * 512
                    if stat.S_ISDIR(info.st_mode):
                        stack.append(Path(entry.path))
    return total
