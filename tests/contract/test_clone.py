"""The clone script against an HTTP server that wants credentials, and one that leads astray."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.domain import manifest
from mcp_tui.domain.clonescript import CLONE_SCRIPT
from mcp_tui.domain.manifest import Submission
from mcp_tui.domain.trainconfig import parse_train_config

USER, PASSWORD = "robot", "p$`'\"\\w0rd"
EXPECTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Handler(SimpleHTTPRequestHandler):
    """Serves a bare repository's files (Git's "dumb" protocol) to who knows the password."""

    seen: list[str | None]
    redirect: str
    redirects_anybody: bool

    def __init__(
        self, *args: Any, seen: list[str | None], redirect: str, anybody: bool, **kw: Any
    ) -> None:
        self.seen, self.redirect, self.redirects_anybody = seen, redirect, anybody
        super().__init__(*args, **kw)

    def address_string(self) -> str:
        return self.client_address[0]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        if self.headers.get("Authorization") != EXPECTED and not self.redirects_anybody:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="code"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.redirect:
            self.send_response(302)
            self.send_header("Location", self.redirect + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()


@contextmanager
def serve(
    folder: Path, *, redirect: str = "", anybody: bool = False
) -> Iterator[tuple[str, list[str | None]]]:
    seen: list[str | None] = []
    handler = partial(Handler, directory=str(folder), seen=seen, redirect=redirect, anybody=anybody)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def git(cwd: Path, *args: str) -> str:
    who = {
        f"GIT_{w}_{k}": "a@example.com" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")
    }
    env = os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *args], cwd=cwd, env=env, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def served(tmp_path: Path) -> tuple[Path, str]:
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "-q", "-b", "main")
    (source / "f").write_text("one")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "one")
    folder = tmp_path / "served"
    folder.mkdir()
    git(folder, "clone", "-q", "--bare", str(source), "a.git")
    git(folder / "a.git", "update-server-info")
    return folder, git(source, "rev-parse", "HEAD")


def clone(work: Path, url: str, commit: str, *, password: str = PASSWORD) -> Any:
    """Run the init container's script with the environment that its manifest gives it."""
    config = parse_train_config(
        f"image: a\ncommand: b\ncode: {{url: '{url}', secret: creds}}\n", filename="t"
    )
    submission = Submission(
        namespace="n", name="a", commit=commit, branch="main", git_url=url, plan_id="p"
    )
    pod = manifest.build_job(config, submission)["spec"]["template"]["spec"]
    secret = {"username": USER, "password": password}
    env = {
        each["name"]: each.get("value") or secret[each["valueFrom"]["secretKeyRef"]["key"]]
        for each in pod["initContainers"][0]["env"]
    }
    work.mkdir()
    return subprocess.run(
        ["sh", "-c", CLONE_SCRIPT],
        cwd=work,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(work.parent), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_private_repository_is_cloned_and_its_credential_left_nowhere(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, commit = served
    with serve(folder) as (url, _):
        done = clone(tmp_path / "w", f"{url}/a.git", commit)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w" / "f").read_text() == "one"
    assert PASSWORD not in done.stdout + done.stderr
    left = [p for p in (tmp_path / "w").rglob("*") if p.is_file() and b"w0rd" in p.read_bytes()]
    assert left == []


def test_a_wrong_password_fails_without_asking(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, commit = served
    with serve(folder) as (url, _):
        done = clone(tmp_path / "w", f"{url}/a.git", commit, password="wr0ng")
    assert done.returncode == 65
    assert "code: cannot fetch" in done.stderr
    assert "wr0ng" not in done.stdout + done.stderr


@pytest.mark.parametrize("anybody", [False, True])
def test_a_redirect_to_another_host_gets_no_credential(
    served: tuple[Path, str], tmp_path: Path, anybody: bool
) -> None:
    folder, commit = served
    with (
        serve(folder) as (elsewhere, stolen),
        serve(folder, redirect=elsewhere, anybody=anybody) as (url, asked),
    ):
        done = clone(tmp_path / "w", f"{url}/a.git", commit)
    assert anybody or EXPECTED in asked
    assert stolen, "the redirect was not followed, so that nothing is proved"
    assert set(stolen) == {None}
    assert done.returncode == 65
