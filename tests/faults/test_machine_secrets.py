"""Marked credentials of every kind, looked for wherever anything of ours may be read.

Every command is run with them, in order and against servers that refuse and repeat what they were
sent; the console too, on a terminal. Then the screen, all that was printed, the state directory
(journal, history, tracebacks) and the arguments of every process that was there are searched.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from mcp_tui.cli.parser import build
from mcp_tui.domain import keys
from tests.cluster.certs import Authority
from tests.cluster.plane import REPO
from tests.faults.acting import mlflow_client
from tests.faults.test_interrupted import Scene, scene
from tests.joined.commands import COMMANDS, Command
from tests.tui.terminal import Terminal

__all__ = ["scene"]

# What no reader of a screen, a file or a process list may learn; each is found by its own mark.
SECRETS = {
    "token": "tok-S3CR3T-kubeconfig",
    "password": "pw-S3CR3T-basic",
    "mlflow token": "tok-S3CR3T-mlflow",
    "mlflow password": "pw-S3CR3T-mlflow",
    "plugin token": "tok-S3CR3T-plugin",
    "plugin env": "env-S3CR3T-plugin",
    "git password": "pw-S3CR3T-git",
    "config env": "env-S3CR3T-config",
    "unused env": "env-S3CR3T-shell",
    "proxy password": "pw-S3CR3T-proxy",
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


@pytest.fixture
def parrot() -> Iterator[Server]:
    server: Server

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            said = " ".join(v for k, v in self.headers.items() if k.lower() == "authorization")
            server.asked.append(f"{self.command} {self.path} {said}")
            body = json.dumps({"message": "no", "code": 500, "reason": "x"}).encode()
            self.send_response(500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            assert sent is not None

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
USERS = ("token", "basic", "certificate", "plugin", "failing")


def users(folder: Path) -> dict[str, dict[str, object]]:
    """Every way in which a kubeconfig says who one is; the client key is a secret of its own."""
    pair = Authority(folder / "certs").issue("alice", common_name="alice")
    key = pair.key.read_bytes()
    SECRETS["client key"] = "".join(key.decode().split("\n")[1:3])
    plugin = folder / "plugin"
    plugin.write_text(PLUGIN % SECRETS["plugin token"])
    plugin.chmod(0o700)
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
        "basic": {"username": "alice", "password": SECRETS["password"]},
        "certificate": {
            "client-certificate-data": base64.b64encode(pair.cert.read_bytes()).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        },
        "plugin": {"exec": {**exec_, "command": str(plugin)}},
        "failing": {"exec": {**exec_, "command": str(failing)}},
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


@pytest.fixture
def place(tmp_path: Path, parrot: Server) -> Place:
    made = users(tmp_path)
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "token",
        "clusters": [{"name": "c", "cluster": {"server": parrot.url}}],
        "users": [{"name": name, "user": user} for name, user in made.items()],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": name, "namespace": "ml"}}
            for name in made
        ],
    }
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(kubeconfig))
    settings = tmp_path / "config.toml"
    sections = []
    for name in made:
        by = (
            'token_env = "ML_TOKEN"'
            if name != "basic"
            else ('username = "u"\npassword_env = "ML_PASSWORD"')
        )
        sections.append(
            f'[contexts.{name}]\ntier = "dev"\n'
            f'[contexts.{name}.mlflow]\nurl = "{parrot.url}"\n{by}\n'
        )
    settings.write_text("\n".join(sections))
    (tmp_path / "train.yaml").write_text(CONFIG)
    (tmp_path / "git.yaml").write_text(GIT_CONFIG.format(secret=SECRETS["git password"]))
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "KUBE"))},
        "KUBECONFIG": str(path),
        "MCP_TUI_CONFIG": str(settings),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "ML_TOKEN": SECRETS["mlflow token"],
        "ML_PASSWORD": SECRETS["mlflow password"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["unused env"],
        "HTTP_PROXY": "",
        "TERM": "xterm-256color",
        "PYTHONPATH": str(REPO),
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


def argv(command: Command, place: Place, user: str) -> list[str]:
    names = {
        "job": "a",
        "failed": "b",
        "held": "c",
        "context": user,
        "model": "ranker",
        "config": str(place.folder / "train.yaml"),
    }
    return ["--context", user, *command.argv(names)]


def searched(watching: Watching, *outputs: bytes) -> None:
    for data in outputs:
        assert not found_in(data), f"{found_in(data)} in\n{data.decode(errors='replace')[-3000:]}"
    for line in watching.seen:
        assert not found_in(line), f"{found_in(line)} in the arguments of {line!r}"


def test_the_search_finds_what_it_looks_for(place: Place) -> None:
    for what, secret in SECRETS.items():
        for each in disguises(secret):
            assert what in found_in(f"x {each} y".encode()), each
    with Watching() as watching:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()", "tok-S3CR3T-kubeconfig"], stdin=-1
        )
        end = time.monotonic() + 30
        while not any(found_in(each) for each in watching.seen):
            assert time.monotonic() < end
            time.sleep(0.02)
        child.kill()
        child.communicate()
    with pytest.raises(AssertionError, match="in the arguments"):
        searched(watching)


def test_every_command_of_the_parser_is_run() -> None:
    def words(parser: object, before: tuple[str, ...] = ()) -> Iterator[str]:
        below = [a.choices for a in parser._actions if isinstance(a.choices, dict)]  # type: ignore[attr-defined]  # a parser
        if not below:
            yield " ".join(before)
        for choices in below:
            for name, each in choices.items():
                yield from words(each, (*before, name))

    assert set(words(build())) == {c.words for c in COMMANDS}


@pytest.mark.parametrize("user", USERS)
def test_no_command_shows_keeps_or_passes_on_a_credential(
    place: Place, parrot: Server, user: str
) -> None:
    # One kind of user goes through all commands, the others through those that differ.
    few = ("job ls", "job submit", "doctor", "job cancel")
    commands = [c for c in COMMANDS if not c.terminal and (user == "token" or c.words in few)]
    with Watching() as watching:
        outputs = together(place, [argv(command, place, user) for command in commands])
    searched(watching, *outputs, place.kept())
    # They did use them.
    uses = {
        "token": SECRETS["token"],
        "basic": base64.b64encode(f"alice:{SECRETS['password']}".encode()).decode(),
        "plugin": SECRETS["plugin token"],
    }
    if user in uses:
        assert any(uses[user] in each for each in parrot.asked), parrot.asked[:3]


def test_what_is_wrong_about_a_secret_does_not_repeat_it(place: Place) -> None:
    """Credentials where none belong: the message names the place only."""
    tries: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("job", "submit", "--config", "git.yaml"), {}),
        (("job", "ls"), {"HTTPS_PROXY": f"http://u:{SECRETS['proxy password']}@[::1"}),
        (("job", "ls"), {"HTTP_PROXY": f"http://u:{SECRETS['proxy password']}@127.0.0.1:1"}),
        (("doctor",), {"MLFLOW_TRACKING_URI": f"http://u:{SECRETS['password']}@127.0.0.1:1"}),
        (("contexts",), {"MLFLOW_TRACKING_URI": f"http://u:a/{SECRETS['password']}@127.0.0.1:1"}),
        (("contexts",), {"MLFLOW_TRACKING_URI": f"http://u:[{SECRETS['password']}@127.0.0.1:1"}),
        (("job", "ls"), {"ML_TOKEN": f"{SECRETS['mlflow token']}\n\x1b[2J"}),
        (("doctor",), {"ML_TOKEN": f"{SECRETS['mlflow token']}\nX: y"}),
        (("contexts", "-o", "json"), {}),
        (("job", "retry", "a", "--env", f"={SECRETS['config env']}"), {}),
    ]
    with Watching() as watching, ThreadPoolExecutor(4) as pool:
        # What is given in the arguments stands there by the user's own hand.
        outputs = list(pool.map(lambda each: run(place, *each[0], **each[1]), tries[:-1]))
    assert not found_in(run(place, *tries[-1][0]))
    searched(watching, *outputs, place.kept())
    # A kubeconfig that cannot be read, with a secret on the very line.
    text = (place.folder / "kubeconfig").read_text()
    for broken in (
        text.replace(SECRETS["token"], f"{SECRETS['token']}: [x"),
        text.replace(f"token: {SECRETS['token']}", f"token: [{SECRETS['token']}]"),
        text.replace(f"token: {SECRETS['token']}", f'token: "{SECRETS["token"]}\\nX: y"'),
        text.replace("client-key-data: ", "client-key-data: !!"),
        text + f"\n\tbad: {SECRETS['password']}\n",
        text.replace("server: http://", f"server: http://u:{SECRETS['server password']}@"),
    ):
        (place.folder / "kubeconfig").write_text(broken)
        context = "certificate" if "!!" in broken else "token"
        for out in together(place, [("--context", context, "job", "ls"), ("contexts",)]):
            assert not found_in(out), out


def test_a_defects_traceback_holds_no_credential(place: Place) -> None:
    """A defect is made in the very call that holds them; its traceback is kept, without them."""
    script = (
        "import sys\n"
        "from mcp_tui.sources.http import load_httpx\n"
        "def broken(self, *a, **k):\n"
        "    raise ZeroDivisionError('in the midst of it')\n"
        "load_httpx().AsyncClient.build_request = broken\n"
        "from mcp_tui.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    for user in USERS[:4]:
        done = subprocess.run(
            [sys.executable, "-c", script, "--context", user, "job", "show", "a"],
            cwd=place.folder,
            env=place.env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 70, done.stderr
        assert not found_in(done.stdout + done.stderr)
    kept = place.kept()
    assert kept.count(b"ZeroDivisionError") >= 4 and not found_in(kept), kept[-2000:]


@pytest.mark.parametrize("user", ["token", "plugin"])
def test_the_console_shows_and_keeps_none(place: Place, user: str) -> None:
    argv = [sys.executable, "-m", "mcp_tui", "--context", user]
    place.env["NO_COLOR"] = "1"

    def drawn(terminal: Terminal) -> Callable[[], object]:
        return lambda: "Jobs" in terminal.text

    with Watching() as watching:
        terminal = Terminal(argv, place.env, (160, 40), place.folder)
        try:
            terminal.until(drawn(terminal))
            terminal.until(lambda: re.search(r"500|no\b", terminal.text))
            for keys in ("?", "\x1b", ":ctx " + user + "\r", "/x\r", "\x1b", "s", "\x1b", "r"):
                terminal.type(keys)
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    terminal.read()
            terminal.insist("\x03", lambda: not terminal.read())
            terminal.wait()
        finally:
            terminal.close()
    assert b"Traceback" not in terminal.raw
    searched(watching, terminal.raw, terminal.text.encode(), place.kept())


def test_nothing_of_ours_repeats_a_credential_in_its_repr(place: Place) -> None:
    from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig

    kubeconfig = load_kubeconfig(place.env)

    async def all_reprs() -> str:
        from mcp_tui.config import load
        from mcp_tui.sources.connect import Connection

        config = load(None, place.env)
        said = [repr(config)]
        for name in USERS:
            info = kubeconfig.context(name)
            connection = Connection(info, config.for_context(name), env=place.env)
            said += [repr(info), repr(connection), repr(connection.kube)]
            said += [repr(connection.mlflow), repr(connection.kube.credentials)]
            await connection.aclose()
        return "\n".join(said)

    assert not found_in(asyncio.run(all_reprs()).encode())


async def test_what_others_left_in_a_run_is_not_shown(scene: Scene) -> None:
    """CI systems check out by an address with a token in it, and MLflow keeps that address."""
    client = mlflow_client(str(scene.ground.mlflow))
    address = f"https://x-access-token:{SECRETS['checkout token']}@git.example.org/o/r.git"
    data = json.dumps({"uri": f"s3://key:{SECRETS['checkout token']}@bucket/clicks"})
    runs = []
    try:
        experiment = await client.call(
            "POST", "/api/2.0/mlflow/experiments/create", {"name": scene.experiment}
        )
        for number in range(2):
            tags = {keys.TAG_REPO: address, "mlflow.source.name": address, "n": str(number)}
            made = await client.call(
                "POST",
                "/api/2.0/mlflow/runs/create",
                {
                    "experiment_id": experiment["experiment_id"],
                    "tags": [{"key": key, "value": value} for key, value in tags.items()],
                },
            )
            runs.append(str(made["run"]["info"]["run_id"]))
            param = {"run_id": runs[-1], "key": "from", "value": f"{number} of {address}"}
            await client.call("POST", "/api/2.0/mlflow/runs/log-parameter", param)
            dataset = {"name": "clicks", "digest": "1", "source_type": "s3", "source": data}
            await client.call(
                "POST",
                "/api/2.0/mlflow/runs/log-inputs",
                {"run_id": runs[-1], "datasets": [{"dataset": dataset, "tags": []}]},
            )
    finally:
        await client.aclose()
    said = []
    for words in (
        ("run", "show", runs[0]),
        ("run", "show", runs[0], "-o", "json"),
        ("run", "ls", "-e", scene.experiment, "-o", "json"),
        ("run", "ls", "-e", scene.experiment, "-o", "wide"),
        ("run", "compare", *runs, "-o", "csv"),
        ("run", "compare", *runs, "-o", "md"),
    ):
        code, out, err = await scene.run(*words)
        assert code == 0, err
        said.append(out + err)
    assert not [found_in(text.encode()) for text in said if MARK in text]
    assert "https://git.example.org/o/r.git" in said[0]
    assert "s3://bucket/clicks" in said[1]
    # Nor is one put there by hand: who reads the run reads it.
    code, _, err = await scene.run("run", "tag", runs[0], "mine=ok", "from=https://a:b@c/d")
    assert code == 2
    assert "credential" in err


async def test_an_action_that_gets_through_tells_nobody(scene: Scene) -> None:
    """On the real servers: a submission, a retry and a cancellation, with all that they leave."""
    token = scene.ground.dev.tokens["admin"]
    config = json.loads(scene.config.read_text())
    scene.config.write_text(json.dumps({**config, "env": {"API_KEY": SECRETS["config env"]}}))
    outputs: list[str] = []
    with Watching() as watching:
        code, out, err = await scene.run("job", "submit", "--config", str(scene.config))
        assert code == 0, err
        outputs += [out, err]
        [job] = await scene.jobs()
        name = job["metadata"]["name"]
        for args in (
            ("job", "retry", name),
            ("job", "show", name),
            ("job", "ls", "-o", "json"),
            ("job", "cancel", name, "--confirm", name),
            ("journal", "-o", "json"),
            ("doctor",),
        ):
            code, out, err = await scene.run(*args)
            # It may have ended by itself, and is not cancelled then.
            assert code == 0 or args[1:2] == ("cancel",) or args == ("doctor",), err
            outputs += [out, err]
    events = await asyncio.to_thread(
        scene.ground.api, "GET", f"/api/v1/namespaces/{scene.namespace}/events"
    )
    state = [f.read_text() for f in Path(scene.env["XDG_STATE_HOME"]).rglob("*") if f.is_file()]
    left = [*outputs, *state, json.dumps(events.ok()), json.dumps(await scene.runs())]
    left += [line.decode(errors="replace") for line in watching.seen]
    assert SECRETS["config env"] in json.dumps(job), "it is where it belongs"
    for text in left:
        assert token not in text and MARK not in text, text[:2000]
