"""A branch, tag or commit of a remote Git repository, resolved by ``git ls-remote``.

Git is the one program besides exec plugins that the console runs. It runs without a terminal,
without asking, in its own process group, under a deadline; what it prints is sanitised and stripped
of credentials before anybody sees it.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from mcp_tui.domain.giturl import has_credentials, strip_credentials
from mcp_tui.domain.text import clean, clean_line, one_line
from mcp_tui.errors import RefusedError, UnreachableError, UsageError
from mcp_tui.sources.process import end, start

_MAX_OUTPUT: Final = 64 * 1024 * 1024
"""A hundred thousand refs are about 7 MB."""


class ResolvedRef(msgspec.Struct, frozen=True, kw_only=True):
    """What a ref pointed to when it was asked.

    Attributes:
        url_clean: The URL as it may be shown, stored and sent: without credentials.
        ref: The short name: ``main``, ``v1.2``, or the commit itself.
        kind: ``branch``, ``tag`` or ``commit``.
        commit: The full commit id.
        full_ref: ``refs/heads/main`` and the like; empty for a commit.
        note: Something the user should know; empty as a rule.
    """

    url_clean: str
    ref: str
    kind: str
    commit: str
    full_ref: str = ""
    note: str = ""


async def resolve(
    url: str,
    ref: str = "",
    *,
    deadline: float = 20.0,
    env: Mapping[str, str] | None = None,
    git: str = "git",
) -> ResolvedRef:
    """Resolve ``ref`` of ``url`` to a commit.

    Args:
        url: Any URL that git takes but ``ext::`` and other helpers.
        ref: A branch, a tag, a full ref (``refs/heads/x``), a full commit id, or empty for HEAD.
        deadline: Seconds, all in all.
        env: The environment to start from; the process's own by default (ssh agent, proxies).
        git: The program.

    Raises:
        UsageError: No such ref (with near ones), ambiguous, a short commit id, a URL with a
            credential in it or that git would take for an option, not a repository, or no git.
        RefusedError: The server wants credentials, or refused ours.
        UnreachableError: No answer before the deadline, or no way to the server.
    """
    shown = clean_line(strip_credentials(url), limit=300)
    _check_url(url, shown)
    _check_ref(ref, shown)
    environment = _environment(dict(os.environ if env is None else env))
    command = [git, "-c", "protocol.ext.allow=never", "ls-remote", "--symref", "--", url]
    try:
        code, out, err = await _run(command, environment, deadline)
    except FileNotFoundError:
        raise UsageError(
            "git is not installed, and branches are resolved with it",
            hint="install git, or put it on PATH",
        ) from None
    except TimeoutError:
        raise UnreachableError(
            f"no answer from the Git server in {deadline:g} s",
            where=shown,
            hint="check the address and the network, and try again",
        ) from None
    if code != 0:
        raise _failure(err, shown)
    refs, head = _parse(out)
    return msgspec.structs.replace(_choose(refs, head, ref, shown), url_clean=url)


def _check_url(url: str, shown: str) -> None:
    if not url.strip() or url.startswith("-") or clean_line(url, limit=len(url) + 1) != url:
        raise UsageError(f"{shown!r} is not a Git URL", hint="give `code.url`")
    if re.match(r"[A-Za-z0-9+.-]+::", url):
        raise UsageError(f"{shown!r} would run a transport helper", hint="use https or ssh")
    if has_credentials(url):
        raise UsageError(
            "the Git URL has a credential in it (not shown)",
            where=shown,
            hint="use a credential helper or an ssh agent here, and `code.secret` for the cluster",
        )


def _check_ref(ref: str, shown: str) -> None:
    if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ref) or not ref:
        return
    bad = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|[/.]$|\.lock$", ref)
    if bad or clean_line(ref) != ref:
        raise UsageError(f"{clean_line(ref, limit=120)!r} cannot be a branch or tag", where=shown)


def _environment(env: dict[str, str]) -> dict[str, str]:
    """No questions, no terminal, no pager, messages in English."""
    for name in [n for n in env if n.startswith("GIT_TRACE") or n in _DROPPED]:
        del env[name]
    if "GIT_SSH_COMMAND" in env:
        env["GIT_SSH_COMMAND"] += " -o BatchMode=yes"
    # Where it is not set it stays so, or it would hide the user's core.sshCommand: without a
    # terminal of its session, ssh cannot ask anyway.
    return env | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/true",
        "SSH_ASKPASS": "/bin/true",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
        "LANGUAGE": "",
    }


# A GIT_DIR of the caller's hook or shell would lend its configuration to our question.
_DROPPED: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_CURL_VERBOSE"}
)


async def _run(
    command: list[str], env: dict[str, str], deadline: float
) -> tuple[int, bytes, bytes]:
    """Run to the end; its whole process group is killed on deadline and on cancellation."""
    pipe = asyncio.subprocess.PIPE
    process = await start(
        command, env, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd="/"
    )
    try:
        async with asyncio.timeout(deadline):
            out, err = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            code = await process.wait()
    finally:
        await end(process)
    return code, out, err


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(65_536):
        size += len(part)
        if size <= _MAX_OUTPUT:
            parts.append(part)
    return b"".join(parts)


def _parse(out: bytes) -> tuple[dict[str, str], str]:
    """Full ref -> commit, and the ref that HEAD names.

    An annotated tag's commit is the one it points to (its ``^{}`` line, which comes second).
    """
    refs: dict[str, str] = {}
    head = ""
    for line in out.decode("utf-8", "replace").split("\n"):
        commit, _, name = line.partition("\t")
        if name == "HEAD" and commit.startswith("ref: "):
            head = commit[5:]
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit) or clean(name) != name:
            continue
        refs[name.removesuffix("^{}")] = commit
    return refs, head


def _choose(refs: Mapping[str, str], head: str, ref: str, shown: str) -> ResolvedRef:
    if not refs:
        raise UsageError("the repository has no branch yet", where=shown, hint="push one")
    if not ref:
        return _head(refs, head, shown)
    if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ref):
        known = ref in refs.values()
        note = "" if known else "no branch or tag of the server points to it; it is taken as it is"
        return ResolvedRef(url_clean=shown, ref=ref, kind="commit", commit=ref, note=note)
    if ref.startswith("refs/"):
        if ref in refs:
            return _made(refs, ref, shown)
        raise _missing(refs, ref, shown)
    branch, tag = f"refs/heads/{ref}", f"refs/tags/{ref}"
    if branch in refs and tag in refs:
        raise UsageError(
            f"{ref!r} is both a branch ({refs[branch][:12]}) and a tag ({refs[tag][:12]})",
            where=shown,
            hint=f"say {branch} or {tag}",
        )
    for full in (branch, tag, f"refs/{ref}"):
        if full in refs:
            return _made(refs, full, shown)
    if ref == "HEAD":
        return _head(refs, head, shown)
    raise _missing(refs, ref, shown)


def _head(refs: Mapping[str, str], head: str, shown: str) -> ResolvedRef:
    if head in refs:
        return _made(refs, head, shown)
    commit = refs.get("HEAD")
    if commit is None:
        raise UsageError("the repository has no HEAD", where=shown, hint="name a branch")
    return ResolvedRef(url_clean=shown, ref="HEAD", kind="commit", commit=commit, full_ref="HEAD")


def _made(refs: Mapping[str, str], full: str, shown: str) -> ResolvedRef:
    kind = "tag" if full.startswith("refs/tags/") else "branch"
    short = full.removeprefix("refs/heads/").removeprefix("refs/tags/")
    return ResolvedRef(url_clean=shown, ref=short, kind=kind, commit=refs[full], full_ref=full)


def _missing(refs: Mapping[str, str], ref: str, shown: str) -> UsageError:
    name = clean_line(ref, limit=120)
    if re.fullmatch(r"[0-9a-fA-F]{4,63}", ref) and any(c.isdigit() for c in ref):
        return UsageError(
            f"no branch or tag is called {name!r}, and a commit must be given in full",
            where=shown,
            hint="`git rev-parse` prints all of its 40 digits",
        )
    short = name.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("origin/")
    names = [
        n.removeprefix("refs/heads/").removeprefix("refs/tags/")
        for n in refs
        if n.startswith(("refs/heads/", "refs/tags/"))
    ]
    # difflib is quadratic: among very many refs only those that share a beginning are compared.
    pool = names if len(names) <= 2_000 else [n for n in names if n[:2] == short[:2]][:2_000]
    close = [short] if short in names and short != name else []
    close += [n for n in difflib.get_close_matches(short, pool, n=3, cutoff=0.6) if n not in close]
    hint = f"did you mean {', '.join(clean_line(n, limit=80) for n in close)}?" if close else ""
    if not hint:
        heads = sorted(n[len("refs/heads/") :] for n in refs if n.startswith("refs/heads/"))
        more = f" and {len(heads) - 5} more" if len(heads) > 5 else ""
        hint = f"it has {', '.join(clean_line(n, limit=80) for n in heads[:5])}{more}"
    return UsageError(f"no branch or tag {name!r}", where=shown, hint=hint)


_AUTH: Final = re.compile(
    r"could not read (Username|Password)|Authentication failed|Permission denied|"
    r"terminal prompts disabled|HTTP 40[13]|error: 40[13]",
    re.IGNORECASE,
)
_HOST_CHANGED: Final = re.compile(r"HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed")
_HOST_UNKNOWN: Final = re.compile(r"Host key verification failed|No \S+ host key is known")
_KEY_REFUSED: Final = re.compile(r"Permission denied \([a-z,-]+\)")
_UNREACHABLE: Final = re.compile(
    r"Could not resolve|Connection (refused|timed out|reset|closed)|Failed to connect|"
    r"unable to connect|Operation timed out|Network is unreachable|No route to host|"
    r"SSL|certificate|Empty reply|error: 5\d\d|HTTP 5\d\d|unable to look up|early EOF|"
    r"remote end hung up|Couldn't connect",
    re.IGNORECASE,
)
_MISSING: Final = re.compile(
    r"not found|does not appear to be a git repository|not a git repository|error: 404|"
    r"does not exist|no such file|not a valid repository|not valid: is this a git repository",
    re.IGNORECASE,
)


def _failure(err: bytes, shown: str) -> UsageError | RefusedError | UnreachableError:
    text = strip_credentials(clean(err.decode("utf-8", "replace"), limit=8_192))
    lines = [line for line in text.splitlines() if line.strip()]
    if _HOST_CHANGED.search(text):
        return RefusedError(
            "the Git server shows another host key than the one in known_hosts",
            where=shown,
            hint="somebody may stand in between: ask who runs it before you remove the old key "
            "(ssh-keygen -R)",
        )
    if _HOST_UNKNOWN.search(text):
        return RefusedError(
            "the Git server's host key is not in known_hosts",
            where=shown,
            hint="connect to it once with ssh, and compare the fingerprint that is shown",
        )
    if _KEY_REFUSED.search(text):
        line = next(x for x in lines if _KEY_REFUSED.search(x))
        return RefusedError(
            f"the Git server takes none of your keys: {one_line(line)[:300]}",
            where=shown,
            hint="`ssh-add -l` lists those that are offered (nothing is asked here)",
        )
    said = next((x for x in lines if x.startswith(("fatal:", "error:", "ssh:"))), "")
    words = one_line(said or (lines[0] if lines else "git failed without a word"))[:300]
    words = re.sub(r"^(fatal|error): ", "", words)
    if "dubious ownership" in text:
        return UsageError(f"git: {words}", where=shown, hint="the repository is another user's")
    if _AUTH.search(text):
        return RefusedError(
            f"the Git server wants credentials: {words}",
            where=shown,
            hint="use a credential helper or an ssh agent (nothing is asked here), and check "
            "`code.url`: some servers say this of a repository that does not exist",
        )
    if _MISSING.search(text):
        return UsageError(f"no such repository: {words}", where=shown, hint="check `code.url`")
    if _UNREACHABLE.search(text):
        return UnreachableError(
            f"cannot reach the Git server: {words}", where=shown, hint="check the network"
        )
    return UsageError(f"git: {words}", where=shown)
