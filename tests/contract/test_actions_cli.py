"""Confirmation and the journal, as a person or a script meets them: the command on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcp_tui.domain import keys
from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.faults.acting import Actor, acting
from tests.faults.proxy import Fault, Hold


class Command:
    """``mcp-tui`` through the actor's proxies."""

    def __init__(self, actor: Actor, folder: Path, *, tier: str = "prod") -> None:
        settings = folder / "cli.toml"
        settings.write_text(f'[contexts.dev]\ntier = "{tier}"\nmlflow = "{actor.mlflow.url}"\n')
        self.args = [sys.executable, "-m", "mcp_tui", "-n", actor.namespace]
        self.env = {
            **os.environ,
            "KUBECONFIG": str(folder / "admin.kubeconfig"),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(folder / "home"),
        }

    async def run(self, *args: str) -> tuple[int, str, str]:
        """To its end, without a terminal."""
        process = await self.start(*args)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert b"Traceback" not in err, err.decode()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def start(self, *args: str, tty: int | None = None) -> asyncio.subprocess.Process:
        where = subprocess.PIPE if tty is None else tty
        return await asyncio.create_subprocess_exec(
            *self.args,
            *args,
            cwd=REPO,
            env=self.env,
            stdin=subprocess.DEVNULL if tty is None else tty,
            stdout=where,
            stderr=where,
            start_new_session=True,
        )

    async def on_terminal(self, typed: bytes, *args: str, before: bytes = b"") -> tuple[int, str]:
        """On a pseudo-terminal: ``before`` is pasted at once, ``typed`` after the prompt."""
        master, slave = pty.openpty()
        os.set_blocking(master, False)
        said = b""
        try:
            os.write(master, before)
            process = await self.start(*args, tty=slave)
            sent, end = False, time.monotonic() + 60
            while process.returncode is None:
                assert time.monotonic() < end, said.decode()
                said += _read(master)
                if not sent and said.rstrip().endswith((b"to go on:", b"type yes:")):
                    sent = True
                    if typed == b"\x03":
                        process.send_signal(signal.SIGINT)
                    else:
                        os.write(master, typed)
                await asyncio.sleep(0.02)
            said += _read(master)
            assert sent, said.decode()
            return process.returncode, said.decode()
        finally:
            os.close(master)
            os.close(slave)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65_536)
    except (BlockingIOError, OSError):
        return b""


@pytest.mark.parametrize(
    ("typed", "code"),
    [(b"a\n", 3), (b"yes\n", 3), (b"\n", 3), (b"\x04", 3), (b"\x03", 130), (b"dev/a\n", 0)],
    ids=["name", "yes", "empty", "eof", "ctrl-c", "word"],
)
async def test_in_production_the_word_is_typed_after_the_prompt(
    ground: Ground, namespace: str, tmp_path: Path, typed: bytes, code: int
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a")
        command = Command(actor, tmp_path)
        got, said = await command.on_terminal(typed, "job", "cancel", "a", before=b"dev/a\n")
        assert got == code, said[-600:]
        assert "type dev/a to go on" in said and "delete jobs/a" in said
        assert actor.sent("DELETE", "/jobs/a") == int(code == 0)


async def test_what_takes_back_asks_once_in_production(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a")
        command = Command(actor, tmp_path)
        got, said = await command.on_terminal(b"no\n", "job", "suspend", "a")
        assert got == 3 and "go on? type yes:" in said
        got, said = await command.on_terminal(b"yes\n", "job", "suspend", "a")
        assert got == 0, said
        # JSON is the outcome's; what is confirmed is shown all the same.
        got, said = await command.on_terminal(b"yes\n", "job", "resume", "a", "-o", "json")
        assert got == 0 and "patch jobs/a, only if uid" in said, said


async def test_without_a_terminal(ground: Ground, namespace: str, tmp_path: Path) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a")
        await actor.make("b")
        command = Command(actor, tmp_path)
        for verb in ("cancel", "suspend"):
            code, _, err = await command.run("job", verb, "a")
            assert code == 3 and "give --confirm dev/a" in err, err
        code, _, err = await command.run("job", "cancel", "a", "--confirm", "prod/a")
        assert code == 3 and "'prod/a' is not 'dev/a'" in err
        assert actor.writes() == []
        code, out, err = await command.run("job", "cancel", "a", "b", "--dry-run", "-o", "json")
        plan = json.loads(out)
        assert (code, plan["typed_word"], plan["blocked"]) == (0, "dev/2-jobs", False), err
        assert actor.writes() == []
        words = ("--confirm", "dev/2-jobs", "-o", "json")
        code, out, err = await command.run("job", "cancel", "a", "Job/a", "b", *words)
        assert code == 0, err
        assert [o["status"] for o in json.loads(out)] == ["proven", "proven"]
        assert actor.sent("DELETE", "/jobs/") == 2
        code, out, _ = await command.run("journal", "-o", "json")
        [action] = json.loads(out)
        assert (action["result"], action["started"]["user"]) == ("proven", "admin")


async def test_a_confirmation_that_names_something_else_is_refused_in_dev_too(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a")
        command = Command(actor, tmp_path, tier="dev")
        code, _, err = await command.run("job", "suspend", "a", "--confirm", "prod/a")
        assert code == 3 and actor.writes() == [], err
        code, _, err = await command.run("--read-only", "job", "suspend", "a")
        assert code == 3 and "read-only" in err and actor.writes() == []


async def test_a_console_that_is_killed_leaves_an_unfinished_entry(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a", labels={keys.RUN_ID: "0" * 32})
        command = Command(actor, tmp_path, tier="dev")
        hold = Hold()
        actor.kube.add(Fault(hold, method="DELETE", path="/jobs/a$"))
        process = await command.start("job", "cancel", "a", "--confirm", "dev/a")
        await asyncio.wait_for(hold.reached.wait(), 60)
        process.kill()
        await process.wait()
        code, out, err = await command.run("journal")
        assert code == 0, err
        assert "unfinished" in out and f"{namespace}/a" in out and "job show a" in out


async def test_a_job_that_is_named_twice_is_one(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a")
        command = Command(actor, tmp_path, tier="dev")
        words = ("job", "cancel", "a", "Job/a", "a", "--confirm", "dev/a")
        code, out, err = await command.run(*words)
        assert (code, len(out.splitlines())) == (0, 1), err
        assert actor.sent("DELETE", "/jobs/a") == 1


@pytest.mark.parametrize("pair", ["FOO", "=x", ""])
async def test_what_is_no_pair_is_said_before_anything_is_asked(
    ground: Ground, namespace: str, tmp_path: Path, pair: str
) -> None:
    async with acting(ground, namespace, tmp_path) as actor:
        code, out, err = await Command(actor, tmp_path).run("job", "retry", "a", "--env", pair)
        assert (code, out) == (2, "")
        assert err == "mcp-tui: --env: one is not KEY=VALUE (not shown)\n"
        assert actor.kube.calls == []


async def test_of_several_contexts_the_one_that_answers_is_listed(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    down = tmp_path / "down"
    down.write_text(
        "apiVersion: v1\nkind: Config\n"
        "clusters: [{name: down, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: down, user: {token: t}}]\n"
        "contexts: [{name: down, context: {cluster: down, user: down}}]\n"
    )
    async with acting(ground, namespace, tmp_path) as actor:
        await actor.make("a")
        command = Command(actor, tmp_path, tier="dev")
        command.env["KUBECONFIG"] += f":{down}"
        code, out, err = await command.run("--context", "dev,down", "job", "ls", "-o", "name")
        assert (code, out) == (4, "job/a\n")
        assert "nothing listens at 127.0.0.1:9" in err and len(err.splitlines()) == 1
