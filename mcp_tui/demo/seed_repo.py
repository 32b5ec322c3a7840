"""The demo's Git repository: made anew at each start, from the files beside the package."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mcp_tui.errors import UsageError

SOURCE: Final = Path(__file__).with_name("data") / "repo"
BRANCH: Final = "feature/v1.2"

_AUTHOR: Final[Mapping[str, str]] = {
    "GIT_AUTHOR_NAME": "bo",
    "GIT_AUTHOR_EMAIL": "bo@demo.invalid",
    "GIT_COMMITTER_NAME": "bo",
    "GIT_COMMITTER_EMAIL": "bo@demo.invalid",
    # Nothing of the user's own Git: no hooks, templates or signatures.
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def _make(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    for name in ("README.md", "train.py"):
        shutil.copyfile(SOURCE / name, directory / name)


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: commit ids by branch."""

    directory: Path
    commits: Mapping[str, str]


async def make_repository(directory: Path, env: Mapping[str, str]) -> Repository:
    """Make the repository, with ``main`` and ``feature/v1.2``.

    Raises:
        UsageError: git failed; with its words.
    """
    own = {**env, **_AUTHOR}

    async def git(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("git", "-C", str(directory), *words),
            env=own,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise UsageError(f"git {words[0]} failed: {err.decode(errors='replace')[-300:]}")
        return out.decode().strip()

    _make(directory)
    await git("init", "-q", "--template=")
    await git("symbolic-ref", "HEAD", "refs/heads/main")
    # A commit is fetched by its id.
    await git("config", "uploadpack.allowAnySHA1InWant", "true")
    await git("add", "-A")
    await git("commit", "-q", "-m", "Train the ranker")
    main = await git("rev-parse", "HEAD")
    await git("checkout", "-q", "-b", BRANCH)
    text = (directory / "train.py").read_text()
    (directory / "train.py").write_text(text.replace('optimizer="adamw"', 'optimizer="lion"'))
    await git("commit", "-q", "-a", "-m", "Try another optimizer")
    feature = await git("rev-parse", "HEAD")
    await git("checkout", "-q", "main")
    return Repository(directory=directory, commits={"main": main, BRANCH: feature})
