"""What the command line does with its words and its output; no server is called."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_tui.cli.output import Column, Printer, cut, width
from mcp_tui.cli.parser import parse
from mcp_tui.cli.views import document
from mcp_tui.domain.jobview import JobKey, JobState, JobView
from mcp_tui.errors import UsageError

MODULE = [sys.executable, "-m", "mcp_tui"]


def run(
    *args: str, env: Mapping[str, str] | None = None, shell: str = ""
) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f'"$@" {shell}', "-", *MODULE, *args] if shell else [*MODULE, *args]
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("jobb", "did you mean job?"),
        ("job lss", "did you mean ls?"),
        ("job ls --contxt dev", "did you mean --context?"),
        ("job ls -o jsn", "did you mean json?"),
        ("journal --limit x", "not a whole number"),
        ("--watch", "--watch is no option here"),
        ("completion tcsh", "known: bash, zsh, fish"),
    ],
)
def test_unknown_words_say_what_they_are_near(words: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        parse(words.split())


@pytest.mark.parametrize(
    "words",
    ["--context a job ls -n x", "job --context a ls -n x", "job ls --context a -n x"],
)
def test_common_options_go_anywhere(words: str) -> None:
    args = parse(words.split())
    assert (args.context, args.namespace) == ("a", "x")


@pytest.mark.parametrize("shell", [">&-", "2>&-", "| head -1", "> >(exit 0)"])
def test_a_reader_that_went_away_is_no_defect(shell: str) -> None:
    done = run("job", "schema", shell=shell)
    assert done.returncode == 0
    assert not done.stderr


def test_nothing_that_a_terminal_acts_on_is_printed() -> None:
    evil = "a\x1b]0;title\x07b\x9b2Jc\u202ed\re\nf"
    for color in (True, False):
        out, err = io.StringIO(), io.StringIO()
        printer = Printer(out=out, err=err, color=color)
        printer.note(evil)
        printer.line(evil)
        printer.lines([evil])
        printer.draw(evil)
        assert err.getvalue() == "abcd e f\n"
        assert out.getvalue() == "abcd e f\n" * 2 + "\r\x1b[K" + "abcd e f"
    out = io.StringIO()
    printer = Printer(out=out, err=err, color=True)
    printer.line(printer.styled(f"it {evil}", "failed"))
    assert out.getvalue() == "\x1b[31mit abcd e f\x1b[0m\n"


def test_names_and_files_in_errors_are_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2Jkubeconfig"
    contexts = [{"name": "x\x1b]0;t\x07y", "context": {"cluster": "c", "user": "u"}}]
    clusters = [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}]
    users = [{"name": "u", "user": {"token": "t"}}]
    for words, said in (
        (("job", "ls"), "known: xy"),
        (("--context", "x\x1b]0;t\x07y", "run", "ls"), "xy: no MLflow"),
        (("--context", "x\x1b]0;t\x07y", "doctor", "-o", "name"), "xy"),
        (("--config-file", str(tmp_path / "\x1b[2Jno"), "contexts"), f"{tmp_path}/no"),
    ):
        path.write_text(json.dumps({"contexts": contexts, "clusters": clusters, "users": users}))
        done = run(*words, env={"KUBECONFIG": str(path), "MLFLOW_TRACKING_URI": ""})
        assert done.returncode != 0
        assert said in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    done = run("job", "schema", shell=">/dev/full", env={"XDG_STATE_HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "cannot write the output" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_schema_and_the_example_go_together() -> None:
    schema = json.loads(run("job", "schema").stdout)
    assert schema["type"] == "object"
    assert "name" in schema["properties"]
    assert "name:" in run("job", "init").stdout


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mine")
    done = run("job", "init", str(path))
    assert (done.returncode, path.read_text()) == (2, "mine")
    assert "--force" in done.stderr


def test_no_kubeconfig_offers_the_demo(tmp_path: Path) -> None:
    env = {"KUBECONFIG": "", "HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": ""}
    done = run("job", "ls", env=env)
    assert done.returncode == 2
    assert "mcp-tui demo" in done.stderr


def test_a_cut_text_has_no_more_than_its_cells() -> None:
    assert cut("abcdef", 4) == "abc~"
    assert cut("abcd", 4) == "abcd"
    assert width(cut("\u6f22\u5b57\u6f22\u5b57", 4)) <= 4
    assert cut("abc", 0) == ""


class _Terminal(io.StringIO):
    """A terminal of 20 columns, by the size of a real one."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


def test_a_table_is_cut_to_the_terminal_and_whole_in_a_file() -> None:
    columns = [Column[str]("NAME", lambda r: r), Column[str]("WHY", lambda r: "y" * 50)]
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
        screen, file = _Terminal(slave), io.StringIO()
        Printer(out=screen, color=False).table(["a"], columns)
        Printer(out=file, color=False).table(["a"], columns)
    finally:
        os.close(master)
        os.close(slave)
    assert max(map(len, screen.getvalue().splitlines())) == 20
    assert "y" * 50 in file.getvalue()


def test_a_status_that_is_drawn_again_never_wraps_whatever_stands_in_it() -> None:
    """One cell too many, and each new status would stand below the one before."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
        screen = _Terminal(slave)
        Printer(out=screen, color=False).draw("running  模型训练模型训练\nforged")
    finally:
        os.close(master)
        os.close(slave)
    shown = screen.getvalue().removeprefix("\r\x1b[K")
    assert width(shown) <= 19 and shown.startswith("running  模型") and "\n" not in shown


def test_a_document_names_what_it_is() -> None:
    key = JobKey("dev", "Job", "ml", "a", "u1")
    found = document(JobView(key=key, state=JobState.DONE, since=1.0, why=""))
    wanted = {"context": "dev", "kind": "Job", "namespace": "ml", "name": "a", "uid": "u1"}
    assert wanted.items() <= found.items()


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment with one context whose server is not there, and one that is broken."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    path = tmp_path / "kubeconfig"
    context = {"cluster": "c", "user": "u"}
    config = {
        "current-context": "down",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [
            {"name": "down", "context": context},
            {"name": "broken", "context": {**context, "user": "nobody"}},
        ],
    }
    path.write_text(json.dumps(config))
    kept = {"KUBECONFIG": str(path), "XDG_STATE_HOME": str(tmp_path)}
    return {**kept, "XDG_CONFIG_HOME": str(tmp_path), "MCP_TUI_CONFIG": ""}


def test_a_server_that_is_not_there_is_said_once_and_at_once(nowhere: dict[str, str]) -> None:
    # The time that is given is far over that of the test's own deadline.
    done = run("job", "ls", "--timeout", "10m", env=nowhere)
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "nothing listens" in done.stderr


def test_doctor_goes_on_past_a_broken_context(nowhere: dict[str, str]) -> None:
    done = run("doctor", "-o", "json", env=nowhere)
    assert done.returncode == 4
    failed = {f["context"]: f["what"] for f in json.loads(done.stdout) if f["verdict"] == "FAIL"}
    assert failed == {"down": "api server", "broken": "kubeconfig"}
    assert "secret-token" not in done.stdout + done.stderr


def test_contexts_lists_what_is_broken_and_says_why(nowhere: dict[str, str]) -> None:
    done = run("contexts", "-o", "json", env=nowhere)
    rows = {row["context"]: row["problem"] for row in json.loads(done.stdout)}
    assert rows["down"] == ""
    assert "nobody" in rows["broken"]
    assert [
        r["context"]
        for r in json.loads(run("contexts", "--context", "down", "-o", "json", env=nowhere).stdout)
    ] == ["down"]


@pytest.mark.parametrize("namespace", ["a b", "../kube-system", "A", "-a", "a" * 64, "a\x1b[31mb"])
@pytest.mark.parametrize(
    "command",
    [("job", "ls"), ("job", "show", "x"), ("doctor",), ("job", "cancel", "x")],
    ids=lambda words: words[1] if len(words) > 1 else words[0],
)
def test_what_cannot_be_a_namespace_reaches_no_server(
    tmp_path: Path, namespace: str, command: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        config = tmp_path / "kubeconfig"
        config.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
            f"clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
            "users: [{name: a, user: {token: t}}]\n"
            "contexts: [{name: a, context: {cluster: a, user: a}}]\n"
        )
        done = run(f"--namespace={namespace}", *command, env={"KUBECONFIG": str(config)})
        assert (done.returncode, done.stdout) == (2, "")
        assert "cannot be a namespace" in done.stderr and "\x1b" not in done.stderr
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_line_is_one_line_whatever_stands_in_a_name() -> None:
    name = "one\nmcp-tui: forged line\r\n\ttwo"
    out, err = io.StringIO(), io.StringIO()
    printer = Printer(out=out, err=err, color=True)
    printer.line(f"{name:<12} {printer.styled('version 2', 'dim')}")
    printer.lines([name, name])
    printer.note(f"{name}: left out")
    assert out.getvalue().count("\n") == 3 and "\x1b[2mversion 2\x1b[0m" in out.getvalue()
    assert err.getvalue() == "one mcp-tui: forged line  two: left out\n"
    assert not {"\t", "\r"} & set(out.getvalue())
    printer.data({"name": name}, "json")
    assert json.loads(out.getvalue().split("\n", 3)[3]) == {"name": name}, "a document stays one"
