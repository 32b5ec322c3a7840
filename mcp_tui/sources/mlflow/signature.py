"""What a model version takes and gives, from its MLmodel file."""

from __future__ import annotations

import asyncio
from typing import Final

from mcp_tui.domain.mlmodel import LARGEST, parse_mlmodel
from mcp_tui.domain.model import ModelVersion, Signature
from mcp_tui.errors import ApiError, UsageError
from mcp_tui.sources.mlflow.client import MlflowClient

MLMODEL: Final = "MLmodel"
_COPIES: Final = 5
"""A copy of a copy of ... is followed so far."""


async def signature(client: MlflowClient, version: ModelVersion) -> Signature | None:
    """The signature of a version; None where its file is not there or says nothing.

    Raises:
        ApiError: MLflow cannot give it (its artifacts are elsewhere); a 404 is None.
    """
    data = await mlmodel(client, version)
    return await asyncio.to_thread(parse_mlmodel, data) if data is not None else None


async def mlmodel(client: MlflowClient, version: ModelVersion) -> bytes | None:
    """The MLmodel file of a version; None where it is not there. Raises as :func:`signature`.

    Of one that is too large comes a byte more than is read, so that it is told from a whole one.
    """
    try:
        place = await place_of(client, version)
        if place is None:
            return None
        owner, ref = place
        part = await client.artifact_head(owner, f"{ref}/{MLMODEL}" if ref else MLMODEL,
                                          most=LARGEST + 1)  # fmt: skip
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    except UsageError:
        return None  # A source that leads out of its root leads nowhere.
    return part.data


async def place_of(client: MlflowClient, version: ModelVersion) -> tuple[str, str] | None:
    """Whose artifact a version is, and in which folder; None for what MLflow does not serve.

    A copy's files are those of what it was copied from.
    """
    for _ in range(_COPIES):
        if version.copied_from is None:
            break
        found = await client.get_version(*version.copied_from)
        if found is None:
            return None
        version = found
    logged = version.source.removeprefix("models:/")
    if version.source.startswith("models:/") and logged.startswith("m-"):
        return logged, ""
    if version.model_id:
        return version.model_id, ""
    if not version.run_id:
        return None
    root = (await client.get_run(version.run_id)).info.artifact_uri.rstrip("/")
    if not root or not version.source.startswith(f"{root}/"):
        return None
    return version.run_id, version.source.removeprefix(f"{root}/")
