"""Marked credentials, a place that holds them, and the search for them.

In that place the configuration and the kubeconfig lead to a server that repeats what it was sent.
Git and ssh there write down their arguments, and so does every Python process.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from tests.cluster.certs import Authority
from tests.cluster.plane import REPO

# What no reader of a screen, a file or a process list may learn; each is found by its own mark.
SECRETS = {
    "token": "tok-S3CR3T-kubeconfig",
    "token file": "tok-S3CR3T-file",
    "password": "pw-S3CR3T-basic",
    "mlflow token": "tok-S3CR3T-mlflow",
    "mlflow password": "pw-S3CR3T-mlflow",
    "prometheus token": "tok-S3CR3T-prometheus",
    "plugin token": "tok-S3CR3T-plugin",
    "plugin env": "env-S3CR3T-plugin",
    "git password": "pw-S3CR3T-git",
    "config env": "env-S3CR3T-config",
    "unused env": "env-S3CR3T-shell",
    "proxy password": "pw-S3CR3T-proxy",
    "gateway password": "pw-S3CR3T-gateway",
    "checkout token": "tok-S3CR3T-checkout",
    "server password": "pw-S3CR3T-server",
}
MARK = "S3CR3T"


def disguises(secret: str) -> Iterator[str]:
    """A secret as it is, and as it is written where it may not stand as it is."""
    yield secret
    yield quote(secret, safe="")
    for name in ("u", "alice"):
        yield base64.b64encode(f"{name}:{secret}".encode()).decode()
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def found_in(data: bytes) -> list[str]:
    """Which secrets some bytes hold."""
    text = data.decode(errors="replace")
    return [
        what for what, secret in SECRETS.items() if any(each in text for each in disguises(secret))
    ] + ([MARK] if MARK in text else [])


class Watching:
    """Looks again and again at the arguments of every process that runs under ours."""

    def __init__(self) -> None:
        self.seen: dict[bytes, None] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    line = (folder / "cmdline").read_bytes()
                    if line not in self.seen and not _of_another_worker(folder):
                        self.seen[line] = None


def _of_another_worker(folder: Path) -> bool:
    """Whether a process belongs to tests that run beside these, which give secrets by hand."""
    ours = os.environ.get("PYTEST_XDIST_WORKER", "")
    found = re.search(rb"(?:^|\0)PYTEST_XDIST_WORKER=(\w+)", (folder / "environ").read_bytes())
    return found is not None and found[1].decode() != ours


@dataclass
class Server:
    """Answers like nobody we know, with all that it was sent repeated in its words."""

    url: str
    asked: list[str] = field(default_factory=list)


def repeated(number: int, said: str) -> tuple[int, str, str]:
    """An answer's status, type and body with all of a request in it: each in another of the ways
    in which API servers, gateways and their debug pages do."""
    status = {"kind": "Status", "code": 500, "reason": said, "message": said}
    page = html.escape(said, quote=False)
    return (
        (500, "application/json", json.dumps(status)),
        (502, "text/html", f"<html><title>{page}</title><pre>{page}</pre></html>"),
        (200, "text/html", f"<html><title>{page}</title><pre>{page}</pre></html>"),
        (403, "text/plain", f"{said}\n"),
        (500, "application/json", json.dumps({**status, "message": quote(said)})),
        (500, "application/json", json.dumps({"error": base64.b64encode(said.encode()).decode()})),
        (200, "text/plain", said),
    )[number % 7]


def _first(name: str) -> bool:
    return not name.lower().endswith("authorization")


@pytest.fixture
def parrot() -> Iterator[Server]:
    server: Server

    class Handler(BaseHTTPRequestHandler):
        # Head and body go out in two writes: the second would wait for an acknowledgement.
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length).decode(errors="replace")
            headers = sorted(self.headers.items(), key=lambda pair: _first(pair[0]))
            # Those that say who asks come first: the rest may be cut off.
            said = " ".join(f"{name}: {value}" for name, value in headers)
            status, kind, body = repeated(len(server.asked), f"{said} {self.path} {sent}")
            server.asked.append(f"{self.command} {self.path} {said}")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def __getattr__(self, name: str) -> Callable[[], None]:
            if not name.startswith("do_"):
                raise AttributeError(name)
            return self._answer

        def log_message(self, *_: object) -> None:
            """Quietly."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield server
    http.shutdown()
    http.server_close()
    thread.join()


PLUGIN = """#!/bin/sh
test -n "$PLUGIN_SECRET" || exit 3
cat <<END
{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
 "status": {"token": "%s"}}
END
"""
USERS = ("token", "file", "basic", "certificate", "plugin", "failing", "proxied")


def users(folder: Path) -> dict[str, dict[str, object]]:
    """Every way in which a kubeconfig says who one is; the client key is a secret of its own."""
    pair = Authority(folder / "certs").issue("alice", common_name="alice")
    key = pair.key.read_bytes()
    SECRETS["client key"] = "".join(key.decode().split("\n")[1:3])
    plugin = folder / "plugin"
    plugin.write_text(PLUGIN % SECRETS["plugin token"])
    plugin.chmod(0o700)
    (folder / "token").write_text(SECRETS["token file"] + "\n")
    failing = folder / "failing"
    failing.write_text("#!/bin/sh\necho no luck >&2\nexit 1\n")
    failing.chmod(0o700)
    exec_ = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "env": [{"name": "PLUGIN_SECRET", "value": SECRETS["plugin env"]}],
    }
    return {
        "token": {"token": SECRETS["token"]},
        "file": {"tokenFile": str(folder / "token")},
        "basic": {"username": "alice", "password": SECRETS["password"]},
        "certificate": {
            "client-certificate-data": base64.b64encode(pair.cert.read_bytes()).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        },
        "plugin": {"exec": {**exec_, "command": str(plugin)}},
        "failing": {"exec": {**exec_, "command": str(failing)}},
        "proxied": {"token": SECRETS["token"]},
    }


CONFIG = f"""
name: train
image: none
code: {{url: "https://git.example.org/x.git"}}
command: python train.py
env: {{API_KEY: {SECRETS["config env"]}}}
"""
GIT_CONFIG = """
name: train
image: none
code: {{url: "https://alice:{secret}@git.example.org/x.git"}}
command: "true"
"""


@dataclass
class Place:
    """A folder with everything that a command finds there."""

    folder: Path
    env: dict[str, str]

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def kept(self) -> bytes:
        """All that was written."""
        files = [f for f in self.state.rglob("*") if f.is_file()]
        return b"\n".join(f.read_bytes() for f in files)

    def started(self) -> bytes:
        """The arguments of all that was started, as told by who started it and what it was."""
        path = self.folder / "started"
        return path.read_bytes() if path.exists() else b""


TELLS = """
import os, sys
def tell(*words):
    out = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, (" ".join(map(repr, words)) + chr(10)).encode("utf-8", "replace"))
    os.close(out)
def hook(event, args):
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        # The environment, which nobody else can read, is the last of them.
        tell(event, *args[:2])
sys.addaudithook(hook)
tell(*sys.orig_argv)
"""
SHIM = """#!/bin/sh
{{ printf %s {name}; printf " '%s'" "$@"; echo; }} >> {file}
{then}
"""
# Who is called by ssh here needs no server: what it is to run there is run here.
AS_SSH = 'for last; do :; done\nexec sh -c "$last"'


def telling(folder: Path) -> Mapping[str, str]:
    """Environment in which every Python process and git and ssh write down their arguments, and
    Python those of all that it starts: a process may be gone before anybody looks at it."""
    file, own, shims = folder / "started", folder / "own", folder / "shims"
    own.mkdir()
    shims.mkdir()
    (own / "sitecustomize.py").write_text(f"FILE = {str(file)!r}\n{TELLS}")
    git = shutil.which("git")
    assert git is not None
    for name, then in (("git", f'exec {shlex.quote(git)} "$@"'), ("ssh", AS_SSH)):
        shim = shims / name
        shim.write_text(SHIM.format(name=name, file=shlex.quote(str(file)), then=then))
        shim.chmod(0o700)
    return {
        "PYTHONPATH": f"{own}{os.pathsep}{REPO}",
        "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
    }


def secret_files(folder: Path, server: str) -> dict[str, str]:
    """A kubeconfig and a configuration with a context for each kind of user; as environment."""
    made = users(folder)
    proxy = server.replace("//", f"//alice:{SECRETS['gateway password']}@")
    behind = {"server": "http://api.example.org", "proxy-url": proxy}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "token",
        "clusters": [
            {"name": "c", "cluster": {"server": server}},
            {"name": "behind", "cluster": behind},
        ],
        "users": [{"name": name, "user": user} for name, user in made.items()],
        "contexts": [
            {
                "name": name,
                "context": {
                    "cluster": "behind" if name == "proxied" else "c",
                    "user": name,
                    "namespace": "ml",
                },
            }
            for name in made
        ],
    }
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(kubeconfig))
    settings = folder / "config.toml"
    sections = []
    for name in made:
        by = (
            'token_env = "ML_TOKEN"'
            if name != "basic"
            else ('username = "u"\npassword_env = "ML_PASSWORD"')
        )
        sections.append(
            f'[contexts.{name}]\ntier = "dev"\n'
            f'[contexts.{name}.mlflow]\nurl = "{server}/mlflow"\n{by}\n'
            f'[contexts.{name}.prometheus]\nurl = "{server}/prometheus"\n'
            'token_env = "PROM_TOKEN"\n'
        )
    settings.write_text("\n".join(sections))
    return {
        "KUBECONFIG": str(path),
        "MCP_TUI_CONFIG": str(settings),
        "XDG_STATE_HOME": str(folder / "state"),
        "ML_TOKEN": SECRETS["mlflow token"],
        "ML_PASSWORD": SECRETS["mlflow password"],
        "PROM_TOKEN": SECRETS["prometheus token"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["unused env"],
        "HTTP_PROXY": "",
    }


@pytest.fixture
def place(tmp_path: Path, parrot: Server) -> Place:
    (tmp_path / "train.yaml").write_text(CONFIG)
    (tmp_path / "git.yaml").write_text(GIT_CONFIG.format(secret=SECRETS["git password"]))
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "KUBE"))},
        **secret_files(tmp_path, parrot.url),
        "TERM": "xterm-256color",
        **telling(tmp_path),
    }
    return Place(tmp_path, env)


def run(place: Place, *args: str, **env: str) -> bytes:
    """A command to its end; all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "mcp_tui", *args],
        cwd=place.folder,
        env={**place.env, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def together(place: Place, tries: Sequence[Sequence[str]]) -> list[bytes]:
    """Several commands, a few at a time: most of them wait for servers."""
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda args: run(place, *args), tries))
    assert not [each for each in outputs if b"Traceback" in each]
    return outputs


def searched(watching: Watching, *outputs: bytes) -> None:
    """None of these outputs, nor the arguments of any process, hold a secret."""
    for data in outputs:
        assert not found_in(data), f"{found_in(data)} in\n{data.decode(errors='replace')[-3000:]}"
    for line in list(watching.seen):
        assert not found_in(line), f"{found_in(line)} in the arguments of {line!r}"
