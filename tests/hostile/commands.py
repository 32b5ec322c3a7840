"""Running the commands in this process, and what they wrote as bytes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn
from unittest import mock

from mcp_tui.cli import main
from tests.hostile.texts import octets
from tests.hostile.world import World
from tests.tui.terminal import DEADLINE, Terminal

NAMES = {
    "job": "running",
    "failed": "failed",
    "held": "held",
    "context": "dev",
    "model": "ranker",
}


FOLLOWS: Final[tuple[tuple[str, ...], ...]] = (
    ("job", "ls", "--watch"),
    ("job", "show", "{job}", "--watch", "--logs"),
    ("job", "logs", "{job}", "--follow"),
    ("job", "submit", "--config", "{config}", "--no-run", "--watch", "--logs"),
    ("run", "ls", "--watch"),
)
"""The commands that go on until somebody interrupts them, as they are tried."""


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


class OnPty(Terminal):
    """A command in a terminal of its own: a fork of this process, which has imported it all."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int] = (80, 24)
    ) -> None:
        self.argv = list(argv)
        base = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": ""}
        super().__init__([], base | dict(env), size)

    def begin(self, argv: list[str]) -> NoReturn:
        """Run the command in the child, whose standard streams are the terminal."""
        code = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # What pytest has put in their place is not to be written to.
            sys.stdin, sys.stdout, sys.stderr = (
                open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the process' own
                for number in range(3)
            )
            code = main(self.argv)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except KeyboardInterrupt:
            code = 130
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            os._exit(code)

    def said(self, text: str) -> bool:
        """Whether it has written this, wherever it stands."""
        return text.encode() in self.raw


def run_on_pty(
    argv: Sequence[str], env: Mapping[str, str], *, size: tuple[int, int] = (80, 24), answer: str
) -> tuple[int, bytes]:
    """Run ``mcp-tui`` on a terminal; its exit code, and all that reached the terminal.

    Args:
        argv: Without the program's name.
        env: On top of ours.
        size: Columns and lines.
        answer: What is typed when it asks for a confirmation.
    """
    command = OnPty(argv, env, size)
    try:
        asked = False
        end = time.monotonic() + DEADLINE
        while command.read():
            assert time.monotonic() < end, (argv, command.raw[-500:])
            if not asked and re.search(rb"(?:type .* to go on|go on\? type yes): \Z", command.raw):
                asked = True
                command.type(f"{answer}\r")
        return command.wait(), command.raw
    finally:
        command.close()


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
    (there / "words").write_bytes(octets(words))
    git = there / "git"
    stream, code = (" >&2", 128) if fails else ("", 0)
    git.write_text(f'#!/bin/sh\ncat "{there}/words"{stream}\nexit {code}\n')
    git.chmod(git.stat().st_mode | stat.S_IXUSR)
    return str(there)
