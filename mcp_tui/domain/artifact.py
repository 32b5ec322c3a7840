"""Artifacts of a run or a model: their paths, where they are, and what kind of thing they are."""

from __future__ import annotations

import posixpath
import re
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from mcp_tui.domain.text import clean_line, without_credentials
from mcp_tui.errors import UsageError

MAX_PATH: Final = 4_096
_DECODINGS: Final = 10  # as many as the server tries
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_DRIVE: Final = re.compile(r"[A-Za-z]:(?:/|$)")


class Preview(StrEnum):
    """How an artifact can be looked at."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    TABLE = "table"
    PARQUET = "parquet"
    IMAGE = "image"
    MARKDOWN = "markdown"
    BINARY = "binary"


_BY_SUFFIX: Final = {
    ".json": Preview.JSON, ".jsonl": Preview.TEXT, ".ndjson": Preview.TEXT,
    ".yaml": Preview.YAML, ".yml": Preview.YAML,
    ".csv": Preview.TABLE, ".tsv": Preview.TABLE,
    ".parquet": Preview.PARQUET,
    ".png": Preview.IMAGE, ".jpg": Preview.IMAGE, ".jpeg": Preview.IMAGE, ".gif": Preview.IMAGE,
    ".webp": Preview.IMAGE, ".bmp": Preview.IMAGE,
    ".md": Preview.MARKDOWN,
    ".txt": Preview.TEXT, ".log": Preview.TEXT, ".py": Preview.TEXT, ".toml": Preview.TEXT,
    ".cfg": Preview.TEXT, ".ini": Preview.TEXT, ".sh": Preview.TEXT, ".sql": Preview.TEXT,
    ".html": Preview.TEXT, ".svg": Preview.TEXT, ".xml": Preview.TEXT, ".patch": Preview.TEXT,
}  # fmt: skip
_BY_NAME: Final = {"mlmodel": Preview.YAML, "dockerfile": Preview.TEXT}


class Artifact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file or a folder.

    Attributes:
        path: From the run's root, safe to show; never to ask with.
        ref: The exact path, percent-encoded: what to ask with. An emoji's variation selector, say,
            is part of a name and of no shown text.
        is_dir: Whether it is a folder.
        size: In bytes; None of a folder.
    """

    path: str = ""
    ref: str = ""
    is_dir: bool = False
    size: int | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self.path)

    @property
    def preview(self) -> Preview:
        """How it can be looked at, going by its name."""
        return preview_of(self.path)


class ArtifactPage(msgspec.Struct, frozen=True, kw_only=True):
    """One level of the tree, folders first.

    Attributes:
        root: Where the artifacts are, without credentials.
        files: Files and folders.
        next_page_token: Empty at the end; MLflow's own server gives all at once.
    """

    root: str = ""
    files: tuple[Artifact, ...] = ()
    next_page_token: str = ""


class ArtifactPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an artifact's content.

    Attributes:
        data: The bytes, as they are: not cleaned.
        start: Where they begin.
        total: The size of the whole; None when the server did not say.
        content_type: As the server guessed it.
    """

    data: bytes = b""
    start: int = 0
    total: int | None = None
    content_type: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self.start == 0 and self.total == len(self.data)


def artifact(raw_path: str, *, is_dir: bool = False, size: int | None = None) -> Artifact:
    """An artifact as a server lists it, its path safe to show and exact to ask with."""
    return Artifact(
        path=clean_line(raw_path, limit=MAX_PATH),
        ref=quote(raw_path, safe="/", errors="surrogatepass"),
        is_dir=is_dir,
        # A server leaves the zero of an empty file out.
        size=None if is_dir else size or 0,
    )


def exact_path(ref: str) -> str:
    """The path behind an :attr:`Artifact.ref`, as a server is asked for it.

    Raises:
        UsageError: It would leave the run's root, or is written so that it might: absolute, with
            ``..``, a backslash, a control character or a drive, however often it is encoded.
    """
    path = unquote(ref, errors="surrogatepass")
    if len(path) > MAX_PATH or not _stays_inside(path):
        raise UsageError(
            f"{clean_line(path, limit=200)!r} is not a path inside the run's artifacts",
            hint="give one as it is listed, from the run's root",
        )
    return path.rstrip("/")


def _stays_inside(path: str) -> bool:
    """Whether a path means something below the root, whoever decodes it and how often."""
    for _ in range(_DECODINGS):
        parts = path.rstrip("/").split("/")
        if (
            # Servers take the first of "a//b" for an absolute path, or drop a part.
            (path and "" in parts)
            or any(part.strip(" ") in {".", ".."} for part in parts)
            or _CONTROLS.search(path)
            or _DRIVE.match(path)
            or path.lower().startswith("file:")
        ):
            return False
        decoded = unquote(path, errors="surrogatepass")
        if decoded == path:
            return True
        path = decoded
    return False


def preview_of(path: str) -> Preview:
    """How a file can be looked at, going by its name."""
    name = posixpath.basename(path).lower()
    return _BY_NAME.get(name) or _BY_SUFFIX.get(posixpath.splitext(name)[1], Preview.BINARY)


def shown_uri(uri: str) -> str:
    """An artifact URI without credentials and query, safe to show."""
    uri = re.sub(r"[?#].*", "", without_credentials(uri), flags=re.DOTALL)
    return clean_line(uri, limit=500)


def is_proxied(uri: str) -> bool:
    """Whether the tracking server itself serves what is there."""
    return urlsplit(uri).scheme in {"mlflow-artifacts", "http", "https"}


def whereabouts(uri: str) -> str:
    """The advice for artifacts that the server cannot serve: where they are."""
    shown = shown_uri(uri)
    if not shown:
        return "MLflow does not say where they are"
    scheme = urlsplit(uri).scheme
    if scheme in {"", "file"}:
        return f"they are in {shown} on the disk of the machine that logged them"
    if is_proxied(uri):
        return f"they are at {shown}; start MLflow with --serve-artifacts"
    return f"they are at {shown}, which MLflow does not serve: read them there"
