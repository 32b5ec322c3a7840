"""Resolving refs against real git: repositories on disk, a real smart-HTTP server, dead ports."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_tui.domain.giturl import strip_credentials
from mcp_tui.errors import McpTuiError, RefusedError, UnreachableError, UsageError
from mcp_tui.sources.git import resolve

ENV = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(cwd: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=cwd, env=os.environ | ENV, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repo")
    git(path, "init", "-q", "-b", "trunk")
    git(path, "commit", "-q", "--allow-empty", "-m", "one")
    git(path, "tag", "light")
    git(path, "tag", "-a", "v1.0", "-m", "first")
    git(path, "branch", "both")
    git(path, "commit", "-q", "--allow-empty", "-m", "two")
    git(path, "tag", "both")
    git(path, "branch", "feature/v1.2")
    git(path, "branch", "main")
    return path


@pytest.fixture
def url(repo: Path) -> str:
    return f"file://{repo}"


async def test_a_branch_with_a_slash_is_pinned_to_its_commit(repo: Path, url: str) -> None:
    ref = await resolve(url, "feature/v1.2")
    assert (ref.kind, ref.ref, ref.full_ref) == (
        "branch",
        "feature/v1.2",
        "refs/heads/feature/v1.2",
    )
    assert ref.commit == git(repo, "rev-parse", "feature/v1.2")
    assert ref.url_clean == url


async def test_no_ref_is_what_head_names_not_what_points_to_the_same_commit(url: str) -> None:
    assert (await resolve(url)).ref == "trunk"
    assert (await resolve(url, "HEAD")).ref == "trunk"


async def test_an_annotated_tag_gives_the_commit_not_the_tag_object(repo: Path, url: str) -> None:
    ref = await resolve(url, "v1.0")
    assert ref.kind == "tag"
    assert ref.commit == git(repo, "rev-parse", "v1.0^{commit}")
    assert ref.commit != git(repo, "rev-parse", "v1.0")
    assert (await resolve(url, "light")).commit == ref.commit


async def test_a_name_of_branch_and_tag_is_refused_and_the_full_ref_settles_it(
    repo: Path, url: str
) -> None:
    with pytest.raises(UsageError, match=r"both a branch .* and a tag") as caught:
        await resolve(url, "both")
    assert "refs/heads/both" in caught.value.hint
    assert "refs/tags/both" in caught.value.hint
    assert (await resolve(url, "refs/heads/both")).commit == git(repo, "rev-parse", "heads/both")
    assert (await resolve(url, "refs/tags/both")).commit == git(repo, "rev-parse", "tags/both")


async def test_a_full_commit_is_taken_and_an_unknown_one_noted(repo: Path, url: str) -> None:
    commit = git(repo, "rev-parse", "HEAD")
    known = await resolve(url, commit)
    assert (known.kind, known.commit, known.note) == ("commit", commit, "")
    assert "no branch or tag" in (await resolve(url, "0" * 40)).note


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("feature/v1.3", "did you mean feature/v1.2"),
        ("origin/trunk", "did you mean trunk"),
        ("zzzzzz", "it has both, feature/v1.2, main, trunk"),
        ("refs/heads/nope", "no branch or tag"),
        ("0123abc", "must be given in full"),
        ("a..b", "cannot be a branch"),
        ("--upload-pack=/bin/id", "cannot be a branch"),
        ("x\x1b[2Jy", "cannot be a branch"),
        ("a b", "cannot be a branch"),
    ],
)
async def test_a_ref_that_is_not_there_says_so_and_what_is_near(
    url: str, ref: str, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        await resolve(url, ref)
    assert says in caught.value.line()
    assert "\x1b" not in caught.value.line()


@pytest.mark.parametrize(
    "url",
    [
        "https://alice:s3cr3t@git.example.com/x.git",
        "https://s3cr3t@git.example.com/x.git",
        "https://alice:s3/cr3t@git.example.com/x.git",
        "https://alice:p@s3cr3t@git.example.com/x",
        "ssh://git:s3cr3t@git.example.com/x",
        "git:s3cr3t@git.example.com:x",
        "https://git.example.com/x.git?private_token=s3cr3t",
    ],
)
async def test_a_credential_in_the_url_is_refused_and_shown_nowhere(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        await resolve(url, "main")
    assert "s3" not in caught.value.line()
    assert "cr3t" not in strip_credentials(f"fatal: unable to access '{url}': no")
    assert "s3" not in repr(caught.value)


def test_an_ssh_user_is_not_a_secret() -> None:
    assert strip_credentials("ssh://git@example.com/x") == "ssh://git@example.com/x"
    assert strip_credentials("git@example.com:x") == "git@example.com:x"
    assert strip_credentials("https://git@example.com/x") == "https://example.com/x"


@pytest.mark.parametrize(
    "url", ["--upload-pack=/bin/id", "ext::sh -c id", "fd::17", "", "a\x1b]52;c;x\x07b"]
)
async def test_what_git_would_take_for_an_option_or_helper_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        await resolve(url, "main")
    assert "\x1b" not in caught.value.line()


async def test_failures_are_told_apart(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="no such repository"):
        await resolve(f"file://{tmp_path}/none", "main")
    (tmp_path / "plain").mkdir()
    with pytest.raises(UsageError, match="no such repository"):
        await resolve(f"file://{tmp_path}/plain", "main")
    git(tmp_path, "init", "-q", "empty")
    with pytest.raises(UsageError, match="no branch yet"):
        await resolve(f"file://{tmp_path}/empty", "main")
    with pytest.raises(UsageError, match="git is not installed"):
        await resolve(url, "main", git="git-that-is-not-there")


async def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(UnreachableError, match="cannot reach the Git server"):
            await resolve(f"http://127.0.0.1:{port}/x.git", "main")


async def _serve(answer: bytes) -> tuple[asyncio.Server, int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=x", RefusedError, "wants credentials"),
        ("403 Forbidden", RefusedError, "wants credentials"),
        ("404 Not Found", UsageError, "no such repository"),
        ("503 Service Unavailable", UnreachableError, "cannot reach"),
    ],
)
async def test_http_answers_are_classified(
    status: str, error: type[McpTuiError], says: str
) -> None:
    server, port = await _serve(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    async with server:
        with pytest.raises(error, match=says):
            await resolve(f"http://127.0.0.1:{port}/x.git", "main", deadline=10)


@pytest.fixture
def silent() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def _children_with(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in words and b"remote" in words:
                found.append(int(entry.name))
    return found


async def _until(condition: object, deadline: float = 10.0) -> None:
    assert callable(condition)
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_a_silent_server_ends_at_the_deadline_and_leaves_no_process(silent: int) -> None:
    url = f"http://127.0.0.1:{silent}/x.git"
    with pytest.raises(UnreachableError, match=r"no answer .* in 0\.5 s"):
        await resolve(url, "main", deadline=0.5)
    await _until(lambda: not _children_with(url))


async def test_cancelling_kills_git_and_its_helper(silent: int) -> None:
    url = f"http://127.0.0.1:{silent}/x.git"
    task = asyncio.create_task(resolve(url, "main", deadline=60))
    await _until(lambda: len(_children_with(url)) >= 2)  # git and git-remote-http
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: not _children_with(url))


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_while_git_starts_leaves_nothing_either(silent: int, steps: int) -> None:
    """Each of the first turns of the event loop is another place to be cancelled at."""
    url = f"http://127.0.0.1:{silent}/x.git"
    task = asyncio.create_task(resolve(url, "main", deadline=60))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=30)
    assert done and task.cancelled()
    await _until(lambda: not _children_with(url))
