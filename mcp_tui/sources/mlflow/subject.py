"""What an approval of a model version is for: its MLmodel file and the listing of its files."""

from __future__ import annotations

import asyncio
from typing import Final

from mcp_tui.domain.approval import Subject, subject
from mcp_tui.domain.mlmodel import LARGEST
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, UnreachableError, UsageError
from mcp_tui.sources.mlflow.client import MlflowClient
from mcp_tui.sources.mlflow.signature import MLMODEL, place_of

MOST_FILES: Final = 5_000
_MOST_FOLDERS: Final = 300
_DEADLINE: Final = 60.0
"""Seconds for all of it; each call has its own deadline too."""


async def subject_of(client: MlflowClient, version: ModelVersion) -> Subject:
    """A version with the hash of what its files are like now.

    Raises:
        GoneError: Its files, or its MLmodel file, are not there.
        UsageError: MLflow does not serve its files, or they are more than can be listed: nothing
            says then what would be approved.
        ApiError: MLflow cannot give them.
        UnreachableError: MLflow is not there, or takes too long.
    """
    shown = clean_line(f"{version.name} version {version.version}", limit=120)
    place = await place_of(client, version)
    if place is None:
        raise UsageError(
            f"MLflow does not serve the files of {shown}: nothing says what would be approved",
            hint="register it from a run, or from a logged model",
        )
    owner, ref = place
    try:
        async with asyncio.timeout(_DEADLINE):
            listing = await _listing(client, owner, ref, shown)
            part = await client.artifact_head(
                owner, f"{ref}/{MLMODEL}" if ref else MLMODEL, most=LARGEST
            )
    except TimeoutError:
        raise UnreachableError(f"the files of {shown} took longer than {_DEADLINE:.0f} s to list",
                               where=client.where) from None  # fmt: skip
    except ApiError as error:
        if error.status == 404:
            raise GoneError(f"{shown} has no MLmodel file any more", where=client.where) from None
        raise
    if not part.is_whole:
        raise UsageError(f"the MLmodel file of {shown} is larger than any")
    return subject(version.name, version.version, part.data, listing)


async def _listing(
    client: MlflowClient, owner: str, root: str, shown: str
) -> list[tuple[str, int | None]]:
    """Path and size of every file below a folder."""
    found: list[tuple[str, int | None]] = []
    folders, read = [root], 0
    while folders:
        folder, token = folders.pop(), ""
        while True:
            read += 1
            page = await client.list_artifacts(owner, folder, page_token=token)
            folders += [each.ref for each in page.files if each.is_dir]
            # The exact path: another name that is shown alike is another file.
            found += [(each.ref, each.size) for each in page.files if not each.is_dir]
            if len(found) > MOST_FILES or read + len(folders) > _MOST_FOLDERS:
                raise UsageError(f"{shown} has more files than can be listed")
            if page.next_page_token in ("", token):
                break
            token = page.next_page_token
    return found
