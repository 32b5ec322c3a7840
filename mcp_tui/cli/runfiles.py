"""A run's artifacts on the command line: their tree, the head of one, and one whole in a file."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mcp_tui.cli.tracker import Tracker, open_tracker
from mcp_tui.domain.artifact import Artifact, exact_path
from mcp_tui.domain.quantity import format_bytes
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, ExitCode, GoneError, UsageError
from mcp_tui.sources.mlflow.client import MlflowClient
from mcp_tui.store.candidates import find
from mcp_tui.store.preview import head_lines

MOST: Final = 2_000
"""Files and folders of a tree."""


class Node(msgspec.Struct, frozen=True):
    """A file or a folder, and how deep it stands."""

    artifact: Artifact
    depth: int


async def listing(client: MlflowClient, run_id: str, ref: str = "") -> tuple[list[Node], bool]:
    """Everything below a folder, in the order of a tree; and whether there is more."""
    found: list[Node] = []
    waiting = [Node(each, 0) for each in reversed(await _level(client, run_id, ref))]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if len(found) >= MOST:
            return found, bool(waiting)
        if node.artifact.is_dir:
            below = await _level(client, run_id, node.artifact.ref)
            waiting += [Node(each, node.depth + 1) for each in reversed(below)]
    return found, False


async def _level(client: MlflowClient, run_id: str, ref: str) -> list[Artifact]:
    files: list[Artifact] = []
    token = ""
    while True:
        page = await client.list_artifacts(run_id, ref, page_token=token)
        files += page.files
        if page.next_page_token in ("", token) or len(files) >= MOST:
            return files
        token = page.next_page_token


async def tree(tracker: Tracker, run: Run, output: str) -> int:
    """Print a run's artifacts."""
    found, more = await listing(tracker.client, run.run_id)
    printer = tracker.printer
    if output in ("json", "yaml"):
        printer.documents(map(_document, found), output)
    elif output == "name":
        printer.lines(each.artifact.path for each in found if not each.artifact.is_dir)
    else:
        for node in found:
            each = node.artifact
            size = "" if each.size is None else f"  {format_bytes(each.size)}"
            name = f"{each.name}/" if each.is_dir else each.name
            printer.line(f"{'  ' * node.depth}{name}{printer.styled(size, 'dim')}")
        if not found:
            printer.note("no artifacts")
    if more:
        printer.note(f"there are more than the {MOST:,} that were listed")
    return ExitCode.OK


def _document(node: Node) -> Mapping[str, Any]:
    each = node.artifact
    return {"path": each.path, "folder": each.is_dir, "size": each.size}


async def preview(tracker: Tracker, run: Run, path: str, output: str) -> int:
    """Print the head of one artifact."""
    if output not in ("table", "wide"):
        raise UsageError(f"-o {output} is not for a preview", hint="run download takes it whole")
    ref = await _ref(tracker.client, run, path)
    for line in await head_lines(
        tracker.client, run.run_id, ref, more="mcp-tui run download takes"
    ):
        style = {"heading": "bold", "dim": "dim"}.get(line.role, "")
        text = tracker.printer.styled(line.text, style)
        (tracker.printer.note if line.role == "dim" else tracker.printer.line)(text)
    return ExitCode.OK


async def download(args: argparse.Namespace) -> int:
    """Write an artifact, or all that is below a folder, into a folder here."""
    to = Path(args.dir)
    if not await asyncio.to_thread(to.is_dir):
        raise UsageError("there is no such folder", where=clean_line(str(to), limit=300))
    async with open_tracker(args) as tracker:
        run = (await find(tracker.client, args.run_id)).run
        client = tracker.client
        ref = await _ref(client, run, args.path) if args.path else ""
        files = await _files(client, run, ref)
        for each, below in files:
            where = to.joinpath(*below.parts)
            await asyncio.to_thread(_made, where.parent)
            size = await client.download_artifact(run.run_id, each, where)
            tracker.printer.line(f"{clean_line(str(where))}  {format_bytes(size)}")
    return ExitCode.OK


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder cannot be made: {one_line(error.strerror or '')}",
            where=clean_line(str(folder), limit=300),
        ) from None


async def _files(client: MlflowClient, run: Run, ref: str) -> list[tuple[str, PurePosixPath]]:
    """What is to be downloaded, and where each goes below the folder."""
    found, more = await listing(client, run.run_id, ref)
    if more:
        raise UsageError(f"that is more than {MOST:,} files", hint="name one of its folders")
    if not found:
        if not ref:
            raise GoneError("the run has no artifacts", where=client.where)
        return [(ref, PurePosixPath(PurePosixPath(exact_path(ref)).name))]
    # Folders keep the names that they have in the run; exact_path lets none lead out of it.
    folder = PurePosixPath(exact_path(ref))
    parent = folder.parent if ref else folder
    files = []
    for each in (node.artifact for node in found if not node.artifact.is_dir):
        path = PurePosixPath(exact_path(each.ref))
        if not path.is_relative_to(folder):
            raise UsageError(
                f"MLflow lists {each.path!r} in {clean_line(str(folder), limit=200)!r}, where it"
                " is not",
                where=client.where,
                hint="nothing was downloaded",
            )
        files.append((each.ref, path.relative_to(parent)))
    return files


async def _ref(client: MlflowClient, run: Run, path: str) -> str:
    """What to ask with for a path as somebody types it: as it is listed, or percent-encoded.

    Raises:
        GoneError: There is no such artifact.
        UsageError: It would leave the run's artifacts.
    """
    typed = quote(path.strip("/"), safe="/", errors="surrogatepass")
    parent = typed.rpartition("/")[0]
    exact_path(typed)
    try:
        level = await _level(client, run.run_id, parent)
    except ApiError as error:
        if error.status != 404:
            raise
        level = []
    for each in level:
        if each.ref == typed or each.path == path.strip("/"):
            return each.ref
    raise GoneError(
        f"there is no artifact {clean_line(path, limit=200)!r}",
        where=f"run {run.run_id[:8]}",
        hint="run show RUN --artifacts lists them",
    )
