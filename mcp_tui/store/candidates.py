"""Runs and model versions as people name them, read with what their evaluations left."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import msgspec

from mcp_tui.domain.artifact import Artifact
from mcp_tui.domain.evalfiles import EvalFile, EvalFileError
from mcp_tui.domain.evaluation import Evaluation, evaluate, wanted
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, McpTuiError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.tables import read_predictions

_RUN_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_BEGINNING: Final = re.compile(r"[0-9a-fA-F]{6,31}")
_MOST_EXPERIMENTS: Final = 1_000
_VERSION: Final = re.compile(
    r"(?:models:/)?(?P<name>.+?)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))"
)
_MOST_FOLDERS: Final = 20
_MOST_BYTES: Final = 16 * 1024 * 1024
_MODEL_SIZE: Final = re.compile(rb"^model_size_bytes: ([0-9]{1,18})\s*$", re.MULTILINE)


def names_run(text: str) -> bool:
    """Whether what stands behind a slash is a run's id, or the beginning of one.

    A few digits without a letter are a version of the model before the slash.
    """
    begins = _BEGINNING.fullmatch(text) is not None and not text.isdecimal()
    return begins or _RUN_ID.fullmatch(text) is not None


def model_in(reference: str) -> str:
    """The registered model that a reference names; of a run's id none."""
    match = _VERSION.fullmatch(reference.strip())
    return match["name"] if match is not None else ""


class Named(msgspec.Struct, frozen=True):
    """A run, and how it was named."""

    run: Run
    label: str


async def find(client: MlflowClient, reference: str) -> Named:
    """The run of an id, or of a model version (``NAME/VERSION``, ``NAME@ALIAS``).

    The beginning of an id does where no other run has it.

    Raises:
        UsageError: It is neither.
        GoneError: There is no such run, version or alias.
    """
    text = reference.strip()
    if _RUN_ID.fullmatch(text):
        run = await _run(client, text.lower(), reference)
        return Named(run, clean_line(run.info.run_name, limit=60) or run.run_id[:8])
    if _BEGINNING.fullmatch(text):
        run = await _begins(client, text.lower())
        return Named(run, clean_line(run.info.run_name, limit=60) or run.run_id[:8])
    match = _VERSION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{clean_line(reference, limit=100)!r} is no run's id and no model version",
            hint="give 32 hexadecimal digits or the first of them, NAME/VERSION or NAME@ALIAS",
        )
    name, version = match["name"], match["version"]
    shown = clean_line(name, limit=60)
    if version is None:
        model = await client.get_model(name)
        version = model.alias.get(match["alias"], "") if model is not None else ""
        if not version:
            what = "registered model" if model is None else "alias"
            raise GoneError(f"there is no {what} {clean_line(text, limit=100)!r}",
                            where=client.where)  # fmt: skip
    found = await client.get_version(name, version)
    if found is None:
        raise GoneError(
            f"there is no version {version} of registered model {shown!r}", where=client.where
        )
    if not found.run_id:
        raise UsageError(
            f"version {version} of {shown!r} does not say which run made it", where=client.where
        )
    return Named(await _run(client, found.run_id, reference), f"{shown}/{version}")


async def _begins(client: MlflowClient, digits: str) -> Run:
    """The one run whose id begins so.

    Raises:
        GoneError: There is none.
        UsageError: There are several, or the server cannot look for it.
    """
    experiments: list[str] = []
    token = ""
    while len(experiments) < _MOST_EXPERIMENTS:
        page = await client.search_experiments(page_token=token, view="ALL")
        experiments += [each.experiment_id for each in page.experiments]
        if page.next_page_token in ("", token):
            break
        token = page.next_page_token
    filter_ = f"attributes.run_id LIKE '{digits}%'"
    try:
        found = await client.search_runs(experiments, filter_, max_results=3, view="ALL")
    except ApiError as error:
        if error.status != 400:
            raise
        raise UsageError(
            "this MLflow finds no run by the beginning of its id",
            where=client.where,
            hint="give all 32 digits",
        ) from None
    # A server's filter may be looser than it says.
    runs = [run for run in found.runs if run.run_id.startswith(digits)]
    if not runs:
        raise GoneError(f"there is no run that begins with {digits!r}", where=client.where)
    if len(runs) > 1:
        raise UsageError(f"several runs begin with {digits!r}", hint="give more of its digits")
    return runs[0]


async def _run(client: MlflowClient, run_id: str, reference: str) -> Run:
    try:
        return await client.get_run(run_id)
    except ApiError as error:
        if error.status == 404:
            raise GoneError(f"there is no run {clean_line(reference, limit=100)!r}",
                            where=client.where) from None  # fmt: skip
        raise


async def read(client: MlflowClient, named: Named) -> Evaluation:
    """A run's evaluation: its metrics, and the artifacts that tell of it.

    Artifacts that the server cannot give are a problem of the evaluation; a server that is not
    there is an error.
    """
    problems: list[str] = []
    listed = await _listed(client, named.run.run_id, problems)
    files: dict[str, bytes] = {}
    parsed: list[EvalFile] = []
    for path in wanted(list(listed)):
        data = await _content(client, named.run.run_id, listed[path], problems)
        if data is None:
            continue
        if path.lower().endswith(".parquet"):
            try:
                parsed.append(await _parquet(path, data))
            except EvalFileError as error:
                problems.append(error.line())
        else:
            files[path] = data
    size = await _model_size(client, named.run)
    return await asyncio.to_thread(
        evaluate, named.run, files, label=named.label, parsed=parsed, model_size=size,
        problems=problems,
    )  # fmt: skip


async def _listed(client: MlflowClient, run_id: str, problems: list[str]) -> dict[str, Artifact]:
    """Files of the root and of its folders, by path."""
    try:
        root = await client.list_artifacts(run_id)
        # A model's own files tell of no evaluation, and may be many.
        folders = [
            each for each in root.files if each.is_dir and each.name not in ("model", "checkpoints")
        ]
        below = [await client.list_artifacts(run_id, each.ref) for each in folders[:_MOST_FOLDERS]]
    except ApiError as error:
        problems.append(f"artifacts cannot be listed: {error.what}")
        return {}
    files = [each for page in (root, *below) for each in page.files if not each.is_dir]
    return {each.path: each for each in files}


async def _content(
    client: MlflowClient, run_id: str, artifact: Artifact, problems: list[str]
) -> bytes | None:
    if artifact.size is not None and artifact.size > _MOST_BYTES:
        problems.append(f"{artifact.path}: larger than {_MOST_BYTES // 1024 // 1024} MiB: not read")
        return None
    try:
        part = await client.artifact_head(run_id, artifact.ref, most=_MOST_BYTES)
    except ApiError as error:
        problems.append(f"{artifact.path}: {error.what}")
        return None
    if not part.is_whole and len(part.data) >= _MOST_BYTES:
        problems.append(f"{artifact.path}: larger than {_MOST_BYTES // 1024 // 1024} MiB: not read")
        return None
    return part.data


async def _model_size(client: MlflowClient, run: Run) -> int | None:
    """What the MLmodel file says of the size of all; None where nothing is said."""
    places = [(link.model_id, "MLmodel") for link in run.outputs.model_outputs[-1:]]
    places.append((run.run_id, "model/MLmodel"))
    for owner, path in places:
        try:
            part = await client.artifact_head(owner, path, most=65_536)
        except (ApiError, UsageError):
            continue
        match = _MODEL_SIZE.search(part.data)
        if match:
            return int(match[1])
    return None


async def _parquet(path: str, data: bytes) -> EvalFile:
    """Predictions of a Parquet file."""
    shown = clean_line(path, limit=300)
    try:
        return msgspec.structs.replace(await read_predictions(data), path=shown)
    except McpTuiError as error:
        raise EvalFileError(error.what, where=shown, hint=error.hint) from None
