"""Completion as a person meets it: the real shells, on a terminal, with the Tab key."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.plane import REPO

DEADLINE = 60.0
SHELLS = ("bash", "zsh", "fish")
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: dev-east
clusters: [{name: dead, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {token: t}}]
contexts:
- {name: dev-east, context: {cluster: dead, user: me}}
- {name: prod-west, context: {cluster: dead, user: me}}
"""


def script(shell: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mcp_tui", "completion", shell],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


COMPLETIONS = {
    "bash": "completions/mcp-tui",
    "zsh": "functions/_mcp-tui",
    "fish": "fish/completions/mcp-tui.fish",
}
# Each writes what its line is to a file, and empties it, when control-T is typed.
RC = {
    "bash": """
PS1='READY> '
bind 'set bell-style none'
told() { printf '%s' "$READLINE_LINE" > "$TOLD.part"; mv "$TOLD.part" "$TOLD"; READLINE_LINE=; }
bind -x '"\\C-t": told'
. "$SCRIPT"
""",
    "zsh": """
PS1='READY> '
fpath=("$HOME/functions" $fpath)
autoload -Uz compinit && compinit -u -D
told() { printf '%s' "$BUFFER" > "$TOLD.part"; mv "$TOLD.part" "$TOLD"; BUFFER=; }
zle -N told
bindkey '^T' told
""",
    "fish": """
function fish_prompt; echo 'READY> '; end
function told; commandline > $TOLD.part; mv $TOLD.part $TOLD; commandline ''; end
function fish_user_key_bindings; bind \\ct told; end
""",
}


class Shell:
    """An interactive shell that has the completion, in a folder with a file."""

    def __init__(self, name: str, folder: Path) -> None:
        home = folder / "home"
        (folder / "bin").mkdir()
        (home / "fish").mkdir(parents=True)
        command = folder / "bin" / "mcp-tui"
        # Every start of the command is on record.
        command.write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/started\n'
            f'cd {REPO} && exec {sys.executable} -m mcp_tui "$@"\n'
        )
        command.chmod(0o755)
        (folder / "kubeconfig").write_text(KUBECONFIG)
        where = home / COMPLETIONS[name]
        where.parent.mkdir(parents=True)
        where.write_text(script(name))
        (home / "train-config.yaml").write_text("")
        rc = home / {"bash": "bashrc", "zsh": ".zshrc", "fish": "fish/config.fish"}[name]
        rc.write_text(RC[name])
        self.started, self.told = folder / "started", folder / "told"
        argv = {"bash": ["bash", "--noprofile", "--rcfile", str(rc), "-i"]}.get(name, [name, "-i"])
        path = shutil.which(name, path=SAFE_PATH)
        assert path, f"{name} is not there: make system installs it"
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            env = {
                "HOME": str(home),
                "ZDOTDIR": str(home),
                "XDG_CONFIG_HOME": str(home),
                "XDG_STATE_HOME": str(folder / "state"),
                "PATH": f"{folder}/bin:{SAFE_PATH}",
                "TERM": "xterm",
                "LANG": "C.UTF-8",
                "KUBECONFIG": str(folder / "kubeconfig"),
                "TOLD": str(self.told),
                "SCRIPT": str(where),
            }
            os.execve(path, argv, env)
        self.until(lambda: b"READY>" in self.seen)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < end, f"never: {self.seen[-3000:]!r}"
            if select.select([self.fd], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.fd, 65_536)

    def complete(self, typed: str) -> str:
        """What a line becomes by the Tab key."""
        self.told.unlink(missing_ok=True)
        os.write(self.fd, f"{typed}\t\x14".encode())
        self.until(self.told.exists)
        return self.told.read_text().strip()

    def close(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    it = Shell(request.param, tmp_path)
    yield it
    it.close()


def test_words_options_values_and_files(shell: Shell) -> None:
    for typed, wanted in (
        ("mcp-tui jou", "mcp-tui journal"),
        ("mcp-tui job sche", "mcp-tui job schema"),
        ("mcp-tui job ls --sele", "mcp-tui job ls --selector"),
        ("mcp-tui job ls -o js", "mcp-tui job ls -o json"),
        ("mcp-tui completion fi", "mcp-tui completion fish"),
        ("mcp-tui job submit --config tra", "mcp-tui job submit --config train-config.yaml"),
    ):
        assert shell.complete(typed) == wanted
    # All of that is in the script: no command is started for it.
    assert not shell.started.exists()
    assert shell.complete("mcp-tui --context pro") == "mcp-tui --context prod-west"
    assert set(shell.started.read_text().splitlines()) == {"contexts -o name"}
    assert b"Traceback" not in shell.seen


def test_a_kubeconfig_that_cannot_be_read_is_no_noise(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("{{{ no yaml")
    assert shell.complete("mcp-tui --context pro") == "mcp-tui --context pro"
    for word in (b"Traceback", b"error", b"no yaml"):
        assert word not in shell.seen
