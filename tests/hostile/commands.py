"""Running the commands in this process, and what they wrote as bytes."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from mcp_tui.cli import main
from tests.hostile.world import World

NAMES = {
    "job": "running",
    "failed": "failed",
    "held": "held",
    "context": "dev",
    "model": "ranker",
}


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    code: int
    out: bytes
    err: bytes


def run(argv: Sequence[str], env: Mapping[str, str]) -> Ran:
    """Run ``mcp-tui`` here; its standard streams are files."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
        Path(os.devnull).open() as nothing,
        mock.patch.dict(os.environ, env),
        mock.patch.object(sys, "stdin", nothing),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = main(list(argv))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        written = []
        for stream in (out, err):
            stream.flush()
            size = os.fstat(stream.fileno()).st_size
            written.append(os.pread(stream.fileno(), size, 0))
    return Ran(code, *written)


def train_config(folder: Path) -> Path:
    """A train config whose code is in a repository of a hostile server's."""
    path = folder / "train-config.yaml"
    path.write_text(
        "name: sweep\nimage: python:3.12\ncommand: python train.py\n"
        "code: {url: 'https://git.example.org/repo.git', ref: main}\n"
        "resources: {cpu: 50m, memory: 256Mi}\n"
    )
    return path


def fake_git(folder: Path, world: World, *, fails: bool) -> str:
    """A ``git`` that says what a hostile server has it say; the folder that it is in."""
    there = folder / "bin"
    there.mkdir(exist_ok=True)
    said = [world.poison() for _ in range(20)]
    lines = [f"fatal: {text}" if n % 2 else text for n, text in enumerate(said)]
    refs = [f"{'a' * 40}\trefs/heads/{text}" for text in said]
    refs += [f"{'b' * 40}\trefs/heads/main", f"ref: refs/heads/{said[0]}\tHEAD"]
    words = "\n".join(lines if fails else refs)
    (there / "words").write_bytes(words.encode("utf-8", "surrogatepass"))
    git = there / "git"
    stream, code = (" >&2", 128) if fails else ("", 0)
    git.write_text(f'#!/bin/sh\ncat "{there}/words"{stream}\nexit {code}\n')
    git.chmod(git.stat().st_mode | stat.S_IXUSR)
    return str(there)
