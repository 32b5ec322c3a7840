"""Into a job's container and to its ports, from the command line and from the console."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import secrets
import select
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pyte
import pytest

from tests.cluster.plane import REPO
from tests.e2e.conftest import Stage, wait_for

DEADLINE = 60.0

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    def do_GET(self):
        size = int(self.path.rsplit("/", 1)[1])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(range(256)) * (size // 256))
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as it:
        return int(it.getsockname()[1])


def make_job(stage: Stage, *command: str, name: str = "train", **env: str) -> str:
    """A job whose one pod runs; the pod's name."""
    container = {
        "name": "main",
        "image": "python:3",
        "command": list(command),
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    template = {
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        }
    }
    job = {"metadata": {"name": name}, "spec": {"template": template, "backoffLimit": 0}}
    with stage.api() as client:
        path = f"/apis/batch/v1/namespaces/{stage.namespace}/jobs"
        client.post(path, json=job).raise_for_status()
        pods = f"/api/v1/namespaces/{stage.namespace}/pods?labelSelector=job-name%3D{name}"

        def running() -> str:
            items = client.get(pods).raise_for_status().json()["items"]
            up = [p for p in items if p["status"].get("phase") == "Running"]
            return str(up[0]["metadata"]["name"]) if up else ""

        return str(wait_for(running))


@pytest.fixture
def sleeper(stage: Stage) -> str:
    """The pod of a job that only waits."""
    return make_job(stage, "sleep", "600")


def delete_pod(stage: Stage, pod: str) -> None:
    with stage.api() as client:
        client.delete(f"/api/v1/namespaces/{stage.namespace}/pods/{pod}").raise_for_status()


def events(stage: Stage, reason: str) -> list[dict[str, Any]]:
    with stage.api() as client:
        found = client.get(f"/api/v1/namespaces/{stage.namespace}/events").raise_for_status()
        return [e for e in found.json()["items"] if e["reason"] == reason]


def journal(stage: Stage) -> list[dict[str, Any]]:
    done = stage.run("journal", "-o", "json")
    entries: list[dict[str, Any]] = json.loads(done.out)
    return entries


# --- the command line, without a terminal


def test_a_command_in_a_pipe(stage: Stage, sleeper: str) -> None:
    script = "cat; echo done; echo trouble >&2; exit 7"
    text = "".join(f"line {n}\n" for n in range(20_000))
    done = stage.run("job", "shell", "train", "--", "sh", "-c", script, stdin=text)
    assert done.out == f"{text}done\n"
    assert done.err == "trouble\n"
    assert done.code == 7
    (event,) = wait_for(lambda: events(stage, "JobShell"))
    assert f"container main of pod {sleeper}" in event["message"]
    assert event["involvedObject"]["name"] == "train"
    (entry,) = [e for e in journal(stage) if "shell" in json.dumps(e)]
    assert "exit code 7" in json.dumps(entry)


def test_words_are_passed_on_as_they_are(stage: Stage, sleeper: str) -> None:
    words = ["printf", "%s\\n", "a b", "--pod", "$HOME;&?#%", "ä", "--", ""]
    done = stage.run("job", "shell", "train", "--pod", sleeper, "-c", "main", "--", *words)
    assert done.out == "a b\n--pod\n$HOME;&?#%\nä\n--\n\n"
    assert done.code == 0


def test_what_cannot_be_entered_is_said(stage: Stage, sleeper: str) -> None:
    missing = stage.run("job", "shell", "train", "--", "nosuchprogram")
    assert missing.code == 127
    assert '"nosuchprogram": executable file not found' in missing.err
    for args, code, words in (
        (("nojob",), 5, "there is no job 'nojob'"),
        (("train", "--pod", "nopod"), 5, "Job train has no pod nopod"),
        (("train", "-c", "side"), 2, f"pod {sleeper} has no container side; it has main"),
    ):
        refused = stage.run("job", "shell", *args, "--", "true")
        assert (refused.code, refused.out) == (code, "")
        assert words in refused.err
        assert refused.err.count("\n") == 1
    assert not any("127" in event["message"] for event in events(stage, "JobShell"))


def test_a_pod_that_ended_or_waits(stage: Stage) -> None:
    make_job(stage, "sh", "-c", "sleep 1")

    def entered() -> str:
        done = stage.run("job", "shell", "train", "--", "true")
        assert "malformed" not in done.err, done.err
        # It may end between our look and the call.
        return done.err if done.code and "is Succeeded" in done.err else ""

    assert wait_for(entered)
    assert stage.run("job", "shell", "train", "--", "true").code == 5


def test_read_only_and_a_dry_run_open_nothing(stage: Stage, sleeper: str) -> None:
    marker = f"/tmp/mcp-tui-{secrets.token_hex(6)}"
    refused = stage.run("--read-only", "job", "shell", "train", "--", "touch", marker)
    assert refused.code == 3
    assert "read-only" in refused.err
    refused = stage.run("--read-only", "job", "forward", "train", "80")
    assert refused.code == 3
    assert "read-only" in refused.err
    dry = stage.run("job", "shell", "train", "--dry-run", "--", "touch", marker)
    assert dry.code == 0
    assert f"run touch {marker} in container main of pod {sleeper}" in dry.out
    assert not os.path.exists(marker)
    assert not events(stage, "JobShell")
    assert not journal(stage)


def test_production_wants_the_name(stage: Stage, sleeper: str) -> None:
    settings = stage.directory / "prod.toml"
    settings.write_text(f'[contexts.{stage.context}]\ntier = "prod"\n')
    env = {"MCP_TUI_CONFIG": str(settings)}
    refused = stage.run("job", "shell", "train", "--", "echo", "in", env=env)
    assert refused.code == 3
    assert f"--confirm {stage.context}/train" in refused.err
    wrong = stage.run("job", "shell", "train", "--confirm", "train", "--", "echo", "in", env=env)
    assert (wrong.code, wrong.out) == (3, "")
    word = f"{stage.context}/train"
    done = stage.run("job", "shell", "train", "--confirm", word, "--", "echo", "in", env=env)
    assert (done.code, done.out) == (0, "in\n")
    assert not journal(stage)[1:]


def test_the_pod_goes_meanwhile(stage: Stage, sleeper: str) -> None:
    process = stage.start("job", "shell", "train", "--", "sh", "-c", "echo in; sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    delete_pod(stage, sleeper)
    _, err = process.communicate(timeout=DEADLINE)
    # Killed with its container, or cut off with the node's last word unsaid: never a success.
    assert process.returncode in (4, 137), err


def test_an_interrupt_ends_the_command_too(stage: Stage, sleeper: str) -> None:
    script = "echo $$; exec sleep 613"
    process = stage.start("job", "shell", "train", "--", "sh", "-c", script)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))


# --- at a terminal


class Terminal:
    """A terminal emulator with a command in it."""

    def __init__(self, stage: Stage, *args: str, size: tuple[int, int] = (80, 24)) -> None:
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(REPO)
            argv = stage.command(*args)
            os.execve(argv[0], argv, {**stage.env, "TERM": "xterm-256color", "LANG": "C.UTF-8"})
        self.code: int | None = None
        self.resize(*size)

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def read(self) -> None:
        if select.select([self.fd], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.fd, 65_536)
                self.raw += data
                # pyte knows no kitty keyboard sequences and would print their tails.
                self.stream.feed(data.replace(b"\x1b[>25u", b"").replace(b"\x1b[<u", b""))

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    @property
    def cooked(self) -> bool:
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)

    def until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < end, f"never came true:\n{self.text}\n{self.raw[-900:]!r}"
            self.read()

    def wait(self) -> int:
        end = time.monotonic() + DEADLINE
        while self.code is None:
            assert time.monotonic() < end, f"it did not end\n{self.text}"
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        self.read()
        return self.code

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(stage: Stage, sleeper: str) -> Iterator[Callable[..., Terminal]]:
    """Opens ``mcp-tui`` at a terminal."""
    opened: list[Terminal] = []

    def start(*args: str, size: tuple[int, int] = (80, 24)) -> Terminal:
        opened.append(Terminal(stage, *args, size=size))
        return opened[-1]

    yield start
    for it in opened:
        it.close()


def test_a_terminal_with_its_size(terminal: Callable[..., Terminal]) -> None:
    it = terminal("job", "shell", "train", "--", "sh")
    it.until(lambda: not it.cooked)
    it.type("PS1=ready'> '\r")
    it.until(lambda: "ready> " in it.text)
    it.type("stty size\r")
    it.until(lambda: "24 80" in it.text)
    it.resize(132, 43)
    it.until(lambda: "ready> " in it.text)
    time.sleep(0.2)  # no answer tells that a new size has arrived at the other end
    it.type("stty size\r")
    it.until(lambda: "43 132" in it.text)
    # ctrl-c is the command's, not ours.
    it.type("sleep 600\r")
    it.until(lambda: "sleep 600" in it.text)
    it.type("\x03")
    it.type("echo still $((6*7))\r")
    it.until(lambda: "still 42" in it.text)
    it.type("exit 9\r")
    assert it.wait() == 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_the_terminal_back(
    terminal: Callable[..., Terminal], number: signal.Signals
) -> None:
    it = terminal("job", "shell", "train", "--", "sh")
    it.until(lambda: not it.cooked)
    os.kill(it.pid, number)
    assert it.wait() == 128 + number
    assert it.cooked


def test_the_terminal_is_put_back_when_the_pod_goes(
    stage: Stage, sleeper: str, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("job", "shell", "train", "--", "sh")
    it.until(lambda: not it.cooked)
    delete_pod(stage, sleeper)
    assert it.wait() in (4, 129, 137)
    assert it.cooked


# --- ports


class Forward:
    """``mcp-tui job forward`` under way."""

    def __init__(self, stage: Stage, *args: str) -> None:
        self.process = stage.start("job", "forward", *args)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.match(r"127\.0\.0\.1:(\d+) leads to port (\d+) of pod (\S+)", line)
        assert found, (line, self.process.communicate(timeout=20))
        self.port, self.pod = int(found[1]), found[3]

    def get(self, size: int) -> bytes:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/{size}", timeout=60, trust_env=False)
        return answer.raise_for_status().content

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, err


def test_ports_are_forwarded(stage: Stage) -> None:
    port = free_port()
    make_job(stage, "python3", "-c", SERVER, PORT=str(port))
    forward = Forward(stage, "train", str(port))
    wait_for(lambda: _answers(forward))
    size = 32 * 1024 * 1024
    got: dict[int, bytes] = {}
    threads = [
        threading.Thread(target=lambda n=n: got.__setitem__(n, forward.get(size))) for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(got) == [1, 2]
    whole = bytes(range(256)) * (size // 256)
    assert got[1] == whole
    assert got[2] == whole
    code, err = forward.end()
    assert code == 130
    assert "error" not in err
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", forward.port), 5)
    (event,) = events(stage, "JobForward")
    assert f"port {port} of pod {forward.pod}" in event["message"]
    assert "until ended" in json.dumps(journal(stage))


def _answers(forward: Forward) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return len(forward.get(256)) == 256
    return False


def test_a_port_that_nothing_listens_on(stage: Stage, sleeper: str) -> None:
    port = free_port()
    forward = Forward(stage, "train", f"0:{port}", "--pod", sleeper)
    with pytest.raises(httpx.HTTPError):
        forward.get(256)
    assert forward.process.stderr is not None
    said = ""
    while f"port {port}" not in said:
        said = forward.process.stderr.readline()
        assert said
    assert "error forwarding" in said
    assert forward.process.poll() is None, "one bad connection must not end the forward"
    forward.end()


def test_a_local_port_that_is_taken(stage: Stage, sleeper: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = stage.run("job", "forward", "train", f"{port}:80")
    assert refused.code == 2
    assert f"port {port} cannot be used" in refused.err
    for wrong in ("x", "80:", ":80", "80:70000", "0"):
        assert stage.run("job", "forward", "train", wrong).code == 2


def test_a_forward_ends_with_its_pod(stage: Stage, sleeper: str) -> None:
    forward = Forward(stage, "train", "80")
    delete_pod(stage, sleeper)
    _, err = forward.process.communicate(timeout=DEADLINE)
    assert forward.process.returncode == 5
    assert f"pod {sleeper}" in err
    assert "the forward ended" in err or "has ended" in err


# --- the console


def test_the_console_gives_the_screen_over_and_takes_it_back(
    stage: Stage, sleeper: str, terminal: Callable[..., Terminal]
) -> None:
    it = terminal()
    it.until(lambda: re.search(r"running\s+train", it.text))
    it.type("e")
    it.until(lambda: f"container main of pod {sleeper}" in it.text and "exit comes" in it.text)
    it.type("PS1=in'> '; clear\r")
    it.until(lambda: "in> " in it.text and "STATE" not in it.text)
    it.type("stty size; echo $((6*7))\r")
    it.until(lambda: "24 80" in it.text and "42" in it.text)
    it.resize(100, 30)
    time.sleep(0.2)  # no answer tells that a new size has arrived at the other end
    it.type("stty size\r")
    # The shell's own prompt comes after the answer.
    it.until(lambda: "30 100" in it.text and it.raw.endswith(b"in> "))
    make_job(stage, "sleep", "600", name="another")
    seen = len(it.raw)
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        it.read()
    assert it.raw[seen:] == b"", "the console drew while the terminal was the shell's"
    it.type("exit 3\r")
    it.until(lambda: "ended with exit code 3" in it.text)
    # What came meanwhile is there, at the new size, and keys are the console's again.
    it.until(lambda: re.search(r"running\s+another", it.text) and "STATE" in it.text)
    assert "in> " not in it.text
    it.type("?")
    it.until(lambda: "Everywhere" in it.text)
    it.type("\x1b")
    it.until(lambda: "STATE" in it.text)
    (event,) = wait_for(lambda: events(stage, "JobShell"))
    assert "container main" in event["message"]
    it.type("\x03")
    it.type("\x03")
    assert it.wait() == 0
    assert it.cooked


def test_the_console_takes_the_screen_back_when_the_pod_goes(
    stage: Stage, sleeper: str, terminal: Callable[..., Terminal]
) -> None:
    it = terminal()
    it.until(lambda: re.search(r"running\s+train", it.text))
    it.type("e")
    it.until(lambda: "exit comes" in it.text)
    delete_pod(stage, sleeper)
    it.until(lambda: "STATE" in it.text)
    it.until(lambda: re.search(r"exit code 137|exit code 129|ended before", it.text))


def test_the_console_forwards_a_port(stage: Stage, terminal: Callable[..., Terminal]) -> None:
    port, local = free_port(), free_port()
    make_job(stage, "python3", "-c", SERVER, name="served", PORT=str(port))
    with stage.api() as client:
        client.request(
            "DELETE",
            f"/apis/batch/v1/namespaces/{stage.namespace}/jobs/train",
            json={"propagationPolicy": "Background"},
        ).raise_for_status()
    it = terminal(size=(120, 30))
    it.until(lambda: re.search(r"running\s+served", it.text))
    it.until(lambda: "train" not in it.text)
    it.type(f":forward {local}:{port}\r")
    it.until(lambda: f"127.0.0.1:{local} leads to port {port}" in it.text)
    url = f"http://127.0.0.1:{local}/65536"

    def answers() -> bool:
        it.read()
        with contextlib.suppress(httpx.HTTPError):
            return len(httpx.get(url, timeout=20, trust_env=False).content) == 65_536
        return False

    wait_for(answers)
    it.until(lambda: f"port {local}>{port}" in it.text)
    it.type(":forward stop\r")
    it.until(lambda: "1 forwarded port closed" in it.text)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", local), 5)
    it.type(f":forward {local}:{port}\r")
    it.until(lambda: f"port {local}>{port}" in it.text)
    it.type("\x03")
    it.type("\x03")
    assert it.wait() == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", local), 5)
