"""Git over ssh, from a real server: refs resolved here, commits cloned by the init container."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.domain.clonescript import CLONE_SCRIPT
from mcp_tui.errors import McpTuiError, RefusedError, UsageError
from mcp_tui.sources.git import resolve
from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.contract.ssh_server import SshServer, host_line, new_key, serve
from tests.contract.test_clone import git


@dataclass(frozen=True)
class Served:
    """A server with the repository ``a.git``, and keys."""

    server: SshServer
    commit: str
    keys: Path

    @property
    def url(self) -> str:
        return self.server.url("a.git")

    def key(self, which: str) -> Path:
        """``right`` or ``wrong``."""
        return self.server.key if which == "right" else self.keys / "other"

    def hosts(self, which: str) -> str:
        """The lines of a known_hosts file: ``right``, ``changed`` or ``unknown``."""
        if which == "right":
            return self.server.known_hosts
        line = host_line(self.server.port, self.keys / "other.pub")
        return line if which == "changed" else line.replace("127.0.0.1", "127.0.0.2")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("ssh")
    source, folder, keys = base / "source", base / "served", base / "keys"
    for each in (source, folder, keys):
        each.mkdir()
    git(source, "init", "-q", "-b", "main")
    (source / "f").write_text("one")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "one")
    git(folder, "clone", "-q", "--bare", str(source), "a.git")
    (folder / "none.git").mkdir()
    new_key(keys / "other")
    with serve(folder, keys) as server:
        yield Served(server, git(source, "rev-parse", "HEAD"), keys)


def ssh(served: Served, folder: Path, *, key: str = "right", hosts: str = "right") -> str:
    """A GIT_SSH_COMMAND that knows nothing of this user's own keys and hosts."""
    path = folder / f"known_hosts-{hosts}"
    path.write_text(served.hosts(hosts))
    return (
        f"ssh -F none -i {served.key(key)} -o IdentitiesOnly=yes -o IdentityAgent=none"
        f" -o UserKnownHostsFile={path} -o GlobalKnownHostsFile=/dev/null"
    )


async def test_a_branch_is_resolved(served: Served, tmp_path: Path) -> None:
    env = {**os.environ, "GIT_SSH_COMMAND": ssh(served, tmp_path)}
    ref = await resolve(served.url, "main", env=env)
    assert (ref.kind, ref.commit, ref.url_clean) == ("branch", served.commit, served.url)
    assert served.server.users[-1] == "git"


@pytest.mark.parametrize(
    ("key", "hosts", "name", "error", "says"),
    [
        ("wrong", "right", "a.git", RefusedError, "takes none of your keys: git@127.0.0.1: "
         "Permission denied (publickey)"),
        ("right", "changed", "a.git", RefusedError, "another host key than the one in known_hosts"),
        ("right", "unknown", "a.git", RefusedError, "host key is not in known_hosts"),
        ("right", "right", "none.git", UsageError, "no such repository: "),
    ],
)  # fmt: skip
async def test_what_goes_wrong_is_told_apart(
    served: Served,
    tmp_path: Path,
    key: str,
    hosts: str,
    name: str,
    error: type[McpTuiError],
    says: str,
) -> None:
    env = {**os.environ, "GIT_SSH_COMMAND": ssh(served, tmp_path, key=key, hosts=hosts)}
    before = len(served.server.commands)
    with pytest.raises(error) as caught:
        await resolve(served.server.url(name), "main", env=env)
    line = caught.value.line()
    assert says in line and "\n" not in line and "@@@" not in line
    assert len(served.server.commands) == before + (name == "none.git")


# --- the script of the init container


def clone(
    served: Served, folder: Path, *, key: str = "right", hosts: str | None = "right"
) -> tuple[Path, Any]:
    """Run it with the Secret's files where the manifest mounts them."""
    mounted, work = folder / "secret", folder / "work"
    mounted.mkdir()
    work.mkdir()
    # A Secret made by hand often lacks the last line end, which ssh insists on.
    (mounted / "ssh-privatekey").write_bytes(served.key(key).read_bytes().rstrip(b"\n"))
    if hosts is not None:
        (mounted / "known_hosts").write_text(served.hosts(hosts))
    env = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "MCP_GIT_URL": served.url,
        "MCP_GIT_COMMIT": served.commit,
        "MCP_GIT_SSH_DIR": str(mounted),
    }
    done = subprocess.run(
        ["sh", "-c", CLONE_SCRIPT], cwd=work, env=env, capture_output=True, text=True, timeout=60
    )
    return work, done


@pytest.mark.parametrize("hosts", ["right", None])
def test_a_commit_is_cloned_and_the_key_left_nowhere(
    served: Served, tmp_path: Path, hosts: str | None
) -> None:
    work, done = clone(served, tmp_path, hosts=hosts)
    assert done.returncode == 0, done.stderr
    assert (work / "f").read_text() == "one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret", "work"]
    left = [p for p in work.rglob("*") if p.is_file() and b"PRIVATE KEY" in p.read_bytes()]
    assert left == []


@pytest.mark.parametrize(
    ("key", "hosts", "says"),
    [
        ("wrong", "right", "git@127.0.0.1: Permission denied (publickey)."),
        ("right", "changed", "Host key verification failed."),
        ("right", "unknown", "Host key verification failed."),
    ],
)
def test_who_is_refused_says_so_last_and_tries_once(
    served: Served, tmp_path: Path, key: str, hosts: str, says: str
) -> None:
    before = len(served.server.commands)
    _, done = clone(served, tmp_path, key=key, hosts=hosts)
    assert done.returncode == 65
    assert done.stderr.splitlines()[-1] == f"code: cannot fetch {served.url}: {says}"
    assert (
        done.stderr.count(says.rsplit(": ", maxsplit=1)[-1]) == 2
    )  # once by ssh, once by the script
    assert len(served.server.commands) == before
    assert [p.name for p in tmp_path.iterdir() if "known_hosts" in p.name] == []


# --- all of it, on a cluster


@pytest.mark.parametrize("key", ["right", "wrong"])
def test_a_job_of_a_private_repository(
    ground: Ground, namespace: str, served: Served, tmp_path: Path, key: str
) -> None:
    """The key and the known hosts come from a Secret."""
    files = {"ssh-privatekey": served.key(key).read_text(), "known_hosts": served.hosts("right")}
    body = {
        "metadata": {"name": "deploy-key"},
        "type": "kubernetes.io/ssh-auth",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()},
    }
    ground.api("POST", f"/api/v1/namespaces/{namespace}/secrets", body).ok()
    config = tmp_path / "train-config.yaml"
    config.write_text(
        json.dumps(
            {
                "name": "private",
                "image": "busybox",
                "command": "cat f",
                "code": {"url": served.url, "secret": "deploy-key", "auth": "ssh"},
                "retries": 0,
                "experiment": f"ssh-{secrets.token_hex(4)}",
            }
        )
    )
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
        "GIT_SSH_COMMAND": ssh(served, tmp_path),
        "KUBECONFIG": str(ground.kubeconfig),
        "MCP_TUI_CONFIG": str(ground.config),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    command = [sys.executable, "-m", "mcp_tui", "--context", "dev", "-n", namespace]
    done = subprocess.run(
        [*command, "job", "submit", "--config", str(config), "--watch", "--logs"],
        cwd=REPO, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if key == "right":
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"main is commit {served.commit}" in done.stderr
        assert "one" in done.stdout
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        last = done.stderr.splitlines()[-1]
        assert "Permission denied (publickey)" in last and "exit 65" in last
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    (job,) = ground.api("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs").ok()["items"]
    assert "PRIVATE KEY" not in json.dumps(job)
