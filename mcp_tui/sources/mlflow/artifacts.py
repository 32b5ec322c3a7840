"""Artifacts: their tree level by level, the head of one, and one whole into a file.

Content comes by ``/get-artifact``; where a gateway lets only the API through, by the API of the
artifact store that the server proxies. Both honour Range, so that a preview of 10 GB costs its
first bytes, unless the store is remote: then the server fetches the whole for each question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote, urlsplit

import msgspec

from mcp_tui.domain.artifact import (
    ArtifactPage,
    ArtifactPart,
    artifact,
    exact_path,
    is_proxied,
    shown_uri,
    whereabouts,
)
from mcp_tui.domain.decode import decode
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError, UsageError
from mcp_tui.sources.body import Opened
from mcp_tui.sources.mlflow.loggedmodels import model_path
from mcp_tui.sources.mlflow.runs import OneRun
from mcp_tui.sources.mlflow.wire import API, Wire

ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
HEAD: Final = 64 * 1024
"""Bytes of a preview, unless it asks for more."""

MAX_HEAD: Final = 16 * 1024 * 1024
MAX_DOWNLOAD: Final = 64 * 1024**3
_WRITE: Final = 1024 * 1024
_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_IDENTITY: Final = {"Accept": "*/*", "Accept-Encoding": "identity"}

Progress = Callable[[int, int | None], None]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    path: str = ""
    is_dir: bool = False
    file_size: int | None = None


class _Files(msgspec.Struct, frozen=True, kw_only=True):
    root_uri: str = ""
    files: tuple[_File, ...] = ()
    next_page_token: str = ""


_exact_files = msgspec.json.Decoder(_Files).decode


class Artifacts(Wire):
    """What a server keeps of a run's or a logged model's files.

    ``owner`` is a run's id or a logged model's (``m-...``); ``ref`` is :attr:`Artifact.ref`, or a
    path as a user types it, percent-encoded where it holds a percent sign.
    """

    async def list_artifacts(
        self, owner: str, ref: str = "", *, page_token: str = ""
    ) -> ArtifactPage:
        """One level of the tree: the root, or a folder.

        A folder that is not there is empty, as MLflow says it.

        Raises:
            UsageError: The path would leave the root.
            ApiError: 404 when there is no such run; the hint says where the artifacts are when
                the server cannot read them.
        """
        path = exact_path(ref)
        if owner.startswith("m-"):
            url = f"{API}/logged-models/{model_path(owner)}/artifacts/directories"
            params = [("artifact_directory_path", path)] if path else []
        else:
            url = f"{API}/artifacts/list"
            params = [("run_id", owner), *([("path", path)] if path else [])]
        params += [("page_token", page_token)] if page_token else []
        try:
            reply = await self._send("GET", url, None, params, None)
        except ApiError as error:
            raise await self._located(owner, error) from None
        # Decoded for its errors and for its cleaned texts; the exact paths come from beside it.
        answer = self._decode(reply, _Files, "GET", url)
        return _page(answer, _raw_files(reply.body))

    async def artifact_head(
        self, owner: str, ref: str, *, most: int = HEAD, start: int = 0
    ) -> ArtifactPart:
        """A part of an artifact's content, by Range; bounded also when the server ignores it.

        Args:
            most: Bytes; at most :data:`MAX_HEAD`.
            start: Where to begin.

        Raises:
            UsageError: The path would leave the root, or names nothing.
            ApiError: The server cannot give it; the hint says where the artifacts are.
        """
        most = max(1, min(most, MAX_HEAD))
        start = max(0, start)
        headers = {**_IDENTITY, "Range": f"bytes={start}-{start + most - 1}"}
        try:
            async with self._content(owner, ref, headers, self._deadline) as answer:
                return await _part(answer, start, most)
        except ApiError as error:
            if error.status == 416:  # it is empty, or ends before the start
                return ArtifactPart(start=start, total=0 if start == 0 else None)
            raise

    async def download_artifact(
        self,
        owner: str,
        ref: str,
        to: Path,
        *,
        deadline: float = 3_600.0,
        silence: float = 60.0,
        most: int = MAX_DOWNLOAD,
        progress: Progress | None = None,
    ) -> int:
        """Write a whole artifact into a new file, which appears when it is complete.

        Args:
            to: The file; its folder has to be there, and it must not be.
            deadline: Seconds for everything.
            silence: Seconds without a byte after which it is given up.
            most: The most bytes that are taken.
            progress: Called with (bytes so far, all of them or None) as they come.

        Returns:
            Its size in bytes.

        Raises:
            UsageError: The file is there, cannot be written, or would not fit.
            UnreachableError: It broke off; no file is left behind.
            ApiError: As :meth:`artifact_head`.
        """
        # A Range that asks for all tells the size also where a proxy sends it in pieces.
        headers = {**_IDENTITY, "Range": "bytes=0-"}
        async with _partial(to) as file:
            try:
                async with self._content(owner, ref, headers, deadline, silence) as answer:
                    skip, total = _place(answer)
                    if skip:
                        raise UnreachableError("another part came than was asked for",
                                               where=self.where)  # fmt: skip
                    await asyncio.to_thread(_room, to, total, most)
                    size = await _written(answer, file, total, most, progress)
            except ApiError as error:
                if error.status != 416:
                    raise
                size = total = 0  # no part of an empty file can be asked for
            if total is not None and size != total:
                raise UnreachableError(
                    f"only {size:,} of {total:,} bytes came", where=self.where, hint="try again"
                )
        return size

    @contextlib.asynccontextmanager
    async def _content(
        self,
        owner: str,
        ref: str,
        headers: Mapping[str, str],
        deadline: float,
        silence: float = 30.0,
    ) -> AsyncIterator[Opened]:
        path = exact_path(ref)
        if not path:
            raise UsageError("no artifact is named", where=self.where)
        if owner.startswith("m-"):
            url = f"/ajax-api/2.0/mlflow/logged-models/{model_path(owner)}/artifacts/files"
            params = [("artifact_file_path", path)]
        else:
            url, params = "/get-artifact", [("run_id", owner), ("path", path)]
        async with contextlib.AsyncExitStack() as stack:

            async def opened(url: str, params: list[tuple[str, str]]) -> Opened:
                return await stack.enter_async_context(
                    self._caller.stream(
                        url, params=params, headers=headers, deadline=deadline, silence=silence
                    )
                )

            try:
                answer = await opened(url, params)
            except ApiError as error:
                kept = await self._kept_at(owner) if _no_route(error) else ""
                if not kept:
                    raise (
                        error if error.status == 416 else await self._located(owner, error)
                    ) from None
                answer = await opened(f"{ARTIFACTS}/{quote(kept)}/{quote(path)}", [])
            yield answer

    async def _kept_at(self, owner: str) -> str:
        """Where a proxied owner's artifacts are in the store; empty when they are not proxied."""
        uri = urlsplit(await self._root(owner))
        return uri.path.strip("/") if uri.scheme == "mlflow-artifacts" else ""

    async def _root(self, owner: str) -> str:
        if owner.startswith("m-"):
            path = f"{API}/logged-models/{model_path(owner)}"
            model = (await self.call("GET", path)).get("model", {})
            return str(model.get("info", {}).get("artifact_uri", ""))
        run = await self.get(f"{API}/runs/get", OneRun, [("run_id", owner)])
        return run.run.info.artifact_uri

    async def _located(self, owner: str, error: ApiError) -> ApiError:
        """The error with where the artifacts are, when it is the store that failed."""
        if error.status in (401, 403, 429) or (error.status < 500 and error.status not in (404,)):
            return error
        try:
            root = await self._root(owner)
        except McpTuiError:
            return error  # no such run, or nobody there: the first words are the better ones
        if error.status == 404 and is_proxied(root):
            return error
        what = error.what
        if error.status >= 500 and not is_proxied(root):
            what = f"MLflow could not read the artifacts: {what}"
        return ApiError(
            what,
            status=error.status,
            reason=error.reason,
            retry_after=error.retry_after,
            where=error.where,
            hint=whereabouts(root),
        )


def _no_route(error: ApiError) -> bool:
    """Whether it is the way that is not there, and not the artifact."""
    return error.status in (403, 404, 405) and not error.reason


def _raw_files(body: bytes) -> tuple[_File, ...]:
    """The files with their exact paths; the cleaned ones where the answer is not quite JSON."""
    try:
        return _exact_files(body).files
    except (msgspec.MsgspecError, ValueError):
        return decode(_Files, body).files


def _page(answer: _Files, exact: tuple[_File, ...]) -> ArtifactPage:
    files = [
        artifact(file.path, is_dir=file.is_dir, size=file.file_size) for file in exact if file.path
    ]
    files.sort(key=lambda file: (not file.is_dir, file.path))
    return ArtifactPage(
        root=shown_uri(answer.root_uri),
        files=tuple(files),
        next_page_token=answer.next_page_token,
    )


async def _part(answer: Opened, start: int, most: int) -> ArtifactPart:
    body = bytearray()
    begins, total = _place(answer)
    skip = start - begins
    if skip < 0:
        raise UnreachableError("another part came than was asked for")
    ended = True
    async for chunk in answer.chunks:
        taken = chunk[skip:] if skip > 0 else chunk
        skip -= len(chunk)
        body += taken
        if len(body) >= most:
            ended = False
            break
    del body[most:]
    if ended and answer.status == 200 and total is None:
        total = start + len(body)
    kind = one_line(answer.headers.get("content-type", ""))
    return ArtifactPart(data=bytes(body), start=start, total=total, content_type=kind)


def _place(answer: Opened) -> tuple[int, int | None]:
    """Where the body begins in the file, and the file's size if it is said."""
    found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if answer.status == 206 and found:
        return int(found[1] or 0), int(found[3]) if found[3] != "*" else None
    return 0, _length(answer.headers)


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "")
    # Of a compressed answer it is not the file's.
    plain = headers.get("content-encoding", "identity") == "identity"
    return int(text) if plain and text.isascii() and text.isdigit() and len(text) < 20 else None


async def _written(
    answer: Opened, file: IO[bytes], total: int | None, most: int, progress: Progress | None
) -> int:
    size, buffer = 0, bytearray()

    async def flush() -> None:
        try:
            await asyncio.to_thread(file.write, bytes(buffer))
        except OSError as error:
            raise UsageError(f"cannot be written: {one_line(error.strerror or '')}") from None
        buffer.clear()

    async for chunk in answer.chunks:
        size += len(chunk)
        if size > most:
            raise UsageError(f"it is larger than {most:,} bytes", hint="allow more")
        buffer += chunk
        if len(buffer) >= _WRITE:
            await flush()
            if progress:
                progress(size, total)
    await flush()
    if progress:
        progress(size, total)
    return size


def _room(to: Path, total: int | None, most: int) -> None:
    if total is None:
        return
    if total > most:
        raise UsageError(f"it has {total:,} bytes, more than {most:,}", hint="allow more")
    free = shutil.disk_usage(to.parent).free
    if total > free:
        raise UsageError(
            f"it has {total:,} bytes, and {free:,} are free", where=clean_line(str(to.parent))
        )


@contextlib.asynccontextmanager
async def _partial(to: Path) -> AsyncIterator[IO[bytes]]:
    """A file beside ``to`` that takes its name when all went well, and else is removed."""
    file = await asyncio.to_thread(_begun, to)
    try:
        yield file
        await asyncio.to_thread(_named, file, to)
    finally:
        _dropped(file)  # not awaited: a cancelled download is cleaned up too


def _dropped(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # a full disk says it again when closing
        file.close()
    Path(file.name).unlink(missing_ok=True)


def _begun(to: Path) -> IO[bytes]:
    shown = clean_line(str(to), limit=300)
    if os.path.lexists(to):
        raise UsageError("it is there already", where=shown, hint="name another file")
    try:
        return tempfile.NamedTemporaryFile(
            prefix=".mcp-tui-", suffix=".part", dir=to.parent, delete=False
        )
    except OSError as error:
        raise UsageError(
            f"cannot be written: {one_line(error.strerror or '')}", where=shown
        ) from None


def _named(file: IO[bytes], to: Path) -> None:
    shown = clean_line(str(to), limit=300)
    try:
        file.close()
        try:
            # A link, unlike a renaming, never replaces what somebody made meanwhile.
            os.link(file.name, to)
        except FileExistsError:
            raise UsageError("it is there already", where=shown) from None
        except OSError:  # a file system without links
            Path(file.name).rename(to)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {one_line(error.strerror or '')}", where=shown
        ) from None
