"""A machine that lacks something: room on the disk, a place to write, a home, file descriptors."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mcp_tui.actions import journal as journal_module
from mcp_tui.actions.journal import Journal
from mcp_tui.actions.unfinished import said
from mcp_tui.domain.plan import OutcomeStatus
from mcp_tui.tui import defects, history
from tests.cluster.plane import REPO
from tests.faults.acting import job
from tests.faults.consoles import all_press, all_until, closing, opened
from tests.faults.test_interrupted import DEADLINE, Scene, ended, scene
from tests.faults.test_schedules_killed import ASKS
from tests.tui.terminal import Terminal
from tests.unit.test_journal import outcome, plan

__all__ = ["scene"]

READS: tuple[tuple[str, ...], ...] = (("job", "ls"), ("journal",), ("doctor",))


async def run(
    scene: Scene,
    *args: str,
    env: Mapping[str, str | None] = {},
    before: Callable[[], None] | None = None,
    through: Sequence[str] = (),
    folder: Path = REPO,
) -> tuple[int, str, str]:
    """A command to its end, in an environment of its own; no traceback ever reaches a user."""
    merged = {**scene.env, "PYTHONPATH": str(REPO), **env}
    process = await asyncio.create_subprocess_exec(
        *(*through, sys.executable, "-m", "mcp_tui", "-n", scene.namespace, *args),
        cwd=folder,
        env={k: v for k, v in merged.items() if v is not None},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=before,
    )
    scene.processes.append(process)
    code, out, err = await ended(process)
    assert "a defect" not in err, err
    return code, out, err


def limit(what: int, number: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (number, number))


async def make(scene: Scene, *names: str) -> None:
    path = f"/apis/batch/v1/namespaces/{scene.namespace}/jobs"
    for name in names:
        reply = await asyncio.to_thread(scene.ground.api, "POST", path, job(name))
        reply.ok()


def sent(scene: Scene) -> list[str]:
    """The writes that left."""
    return [
        f"{c.method} {urlsplit(c.target).path}"
        for c in scene.kube.calls
        if c.method != "GET" and not ASKS.search(c.target)
    ]


def state(scene: Scene) -> Path:
    return Path(scene.env["XDG_STATE_HOME"]) / "mcp-tui"


async def test_without_room_for_the_journal_nothing_is_sent(scene: Scene) -> None:
    await make(scene, "a")
    state(scene).mkdir(parents=True)
    line = b'{"at": 1, "event": "ended", "plan": "x", "verb": "cancel"}\n'
    (state(scene) / "journal.jsonl").write_bytes(line)
    # Room for a part of a line: what was begun of it is no line, and hides none.
    full = limit(resource.RLIMIT_FSIZE, len(line) + 40)
    writes = [
        ("job", "cancel", "a", "--confirm", "a"),
        ("job", "retry", "a"),
        ("job", "submit", "--config", str(scene.config)),
    ]
    for args in writes:
        code, _, err = await run(scene, *args, before=full)
        assert code == 2, err
        assert "cannot write the journal: File too large; nothing was done" in err
    assert sent(scene) == []
    assert [j["metadata"]["name"] for j in await scene.jobs()] == ["a"]
    for args in READS:
        code, _, err = await run(scene, *args, before=full)
        assert "journal" not in err or args == ("journal",), err
    code, _, err = await run(scene, "job", "suspend", "a")
    assert code == 0, err
    assert [a.result for a in Journal(state(scene)).actions()] == ["proven"]


async def test_a_disk_that_fills_while_an_action_runs_does_not_hide_how_it_ended(
    scene: Scene,
) -> None:
    await make(scene, "a")
    code, _, err = await run(scene, "job", "suspend", "a")
    assert code == 0, err
    file = state(scene) / "journal.jsonl"
    first, _ = file.read_bytes().splitlines(keepends=True)
    room = file.stat().st_size + len(first) + 60
    code, out, err = await run(
        scene, "job", "resume", "a", before=limit(resource.RLIMIT_FSIZE, room)
    )
    assert code == 0 and "proven" in out, err
    assert "how it ended is not in the journal: cannot write the journal: File too large" in err
    # The process is gone, so the next start says that it is not known here how it ended.
    _, _, err = await run(scene, "journal")
    assert f"resume {scene.namespace}/a of " in err and "did not end" in err


def mounted(where: Path, options: str) -> list[str]:
    """What runs a command where a small file system stands at ``where``.

    Where none can be mounted the test is skipped, which is a failure in CI as it is of any that
    stands on real servers.
    """
    unshare = shutil.which("unshare") or ""
    for flags in (["--mount"], ["--mount", "--user", "--map-root-user"]):
        fill = '{ head -c 100000 /dev/zero > "$0/fill"; } 2>/dev/null'
        script = f'mount -t tmpfs -o {options} none "$0" && {{ {fill}; exec "$@"; }}'
        command = [unshare, *flags, "sh", "-c", script, str(where)]
        if (
            unshare
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    pytest.skip("no file system can be mounted here")


DISKS = [("size=4k", "No space left"), ("ro", "Read-only file system")]


@pytest.mark.parametrize(("options", "says"), DISKS)
async def test_a_disk_that_is_full_or_may_not_be_written(
    scene: Scene, tmp_path: Path, options: str, says: str
) -> None:
    await make(scene, "a")
    place = tmp_path / "disk"
    place.mkdir()
    through = mounted(place, options)
    env = {"XDG_STATE_HOME": str(place)}
    code, _, err = await run(
        scene, "job", "cancel", "a", "--confirm", "a", env=env, through=through
    )
    assert code == 2 and f"cannot write the journal: {says}" in err, err
    assert sent(scene) == []
    for args in READS:
        code, _, err = await run(scene, *args, env=env, through=through)
        assert says not in err, err
        assert code == 0 or args == ("doctor",), err


@pytest.mark.parametrize(("options", "says"), [("", "Not a directory"), *DISKS])
async def test_the_console_opens_and_leaves_where_nothing_can_be_written(
    scene: Scene, tmp_path: Path, options: str, says: str
) -> None:
    """A file where a folder should be, a full disk, one that may not be written."""
    await make(scene, "a")
    place = tmp_path / "disk"
    place.mkdir()
    through = mounted(place, options) if options else []
    state_home = str(place) if options else "/dev/null/state"
    env = {**scene.env, "XDG_STATE_HOME": state_home, "TERM": "xterm-256color"}
    argv = [*through, sys.executable, "-m", "mcp_tui", "-n", scene.namespace]

    def refused(text: str) -> bool:
        # Within a dialog a line goes on in the next one.
        return f"cannot write the journal: {says}" in " ".join(text.replace("│", " ").split())

    def use() -> tuple[int, str]:
        terminal = Terminal(argv, env, (120, 30), REPO)
        try:
            terminal.until(lambda: "1 job" in terminal.text)
            terminal.insist("x", lambda: "[ Leave ]" in terminal.text)
            terminal.insist("\t", lambda: "[ Apply ]" in terminal.text)
            terminal.insist("\r", lambda: refused(terminal.text))
            terminal.insist("\x1b", lambda: "Enter open" in terminal.text)
            terminal.type(":sort name\r")
            terminal.insist("\x03", lambda: not terminal.read())
            return terminal.wait(), terminal.raw.decode(errors="replace")
        finally:
            terminal.close()

    code, raw = await asyncio.to_thread(use)
    assert code == 0 and "Traceback" not in raw
    assert sent(scene) == []


NOBODY = (
    "import pwd, runpy, sys\n"
    "def none(*_): raise KeyError('no such user')\n"
    "pwd.getpwuid = pwd.getpwnam = none\n"
    "sys.argv = ['mcp-tui', *sys.argv[1:]]\n"
    "runpy.run_module('mcp_tui', run_name='__main__', alter_sys=True)\n"
)
HOMELESS: dict[str, str | None] = {"HOME": None, "XDG_STATE_HOME": None, "XDG_CONFIG_HOME": None}


@pytest.mark.parametrize("home", [None, ""], ids=["unset", "empty"])
async def test_without_a_home_it_says_where_it_would_have_written(
    scene: Scene, tmp_path: Path, home: str | None
) -> None:
    """A container that runs as a number: no HOME, and nobody of that number."""
    await make(scene, "a")
    here = tmp_path / "here"
    here.mkdir()
    merged = {**scene.env, "PYTHONPATH": str(REPO), **HOMELESS, "HOME": home}
    env = {k: v for k, v in merged.items() if v is not None}

    def call(*args: str, without: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", NOBODY, *args],
            cwd=here,
            env={k: v for k, v in env.items() if k not in without},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert "Traceback" not in done.stderr and "a defect" not in done.stderr, done.stderr
        return done

    for args in (("job", "ls", "-n", scene.namespace), ("contexts",), ("journal",)):
        done = await asyncio.to_thread(call, *args)
        assert done.returncode == 0, done.stderr
    done = await asyncio.to_thread(call, "contexts", without=("KUBECONFIG", "MCP_TUI_CONFIG"))
    assert done.returncode == 2 and "/nonexistent/.kube/config" in done.stderr, done.stderr
    # Where nobody lives nothing is made; least of all in whatever folder we are.
    done = await asyncio.to_thread(call, "journal", "-o", "table")
    assert "/nonexistent/.local/state/mcp-tui/journal.jsonl" in done.stderr
    assert list(here.iterdir()) == []


async def test_a_state_directory_that_is_unset_is_in_the_users_home(
    scene: Scene, tmp_path: Path
) -> None:
    await make(scene, "a")
    code, _, err = await run(
        scene, "job", "suspend", "a", env={**HOMELESS, "HOME": str(tmp_path / "h")}
    )
    assert code == 0, err
    file = tmp_path / "h" / ".local" / "state" / "mcp-tui" / "journal.jsonl"
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize("number", [5, 8, 12])
async def test_at_the_limit_of_file_descriptors_the_reason_is_said(
    scene: Scene, number: int
) -> None:
    await make(scene, "a")
    for args in (("job", "ls"), ("job", "suspend", "a")):
        code, _, err = await run(scene, *args, before=limit(resource.RLIMIT_NOFILE, number))
        assert code == 0 or "oo many" in err, err
        if code:
            assert code in (2, 4), err
    lines = scene.journal() if (state(scene) / "journal.jsonl").exists() else []
    assert [line["event"] for line in lines] in ([], ["started", "ended"])
    assert bool(lines) or sent(scene) == []


def live(terminal: Terminal) -> bool:
    """Whether the cluster is followed: only how long ago it spoke is said of it."""
    return re.search(r"k8s \d+[sm]", terminal.text) is not None


def at_its_limit(pid: int) -> tuple[int, int]:
    """Let a process open nothing that takes the place of a connection; the limit it had."""
    held = {int(each.name): os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()}
    first = min(n for n in range(10_000) if held.get(n, "socket:").startswith("socket:"))
    _, hard = before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first, hard))
    return before


async def test_a_console_that_comes_to_its_limit_of_file_descriptors_goes_on(scene: Scene) -> None:
    """Its connections go, and it can open no others: it says why, and is there when it can."""
    await make(scene, "a")
    loop = asyncio.get_running_loop()

    def call(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(DEADLINE)

    def use() -> None:
        with closing([opened(scene.env, "-n", scene.namespace, size=(200, 40))]) as [it]:
            all_until([it], lambda it: "1 job" in it.text and live(it))
            before = at_its_limit(it.pid)
            call(scene.kube.drop_all())
            all_until([it], lambda it: "too many files are open" in it.text)
            assert "1 job" in it.text
            it.type(":sort name\r")
            all_until([it], lambda it: "by name" in it.text)
            # What has to be loaded yet is not to be had, which is said, and nothing ends of it.
            for key in ("?", "\r", ":compare\r", "x"):
                all_until([it], lambda it: "Enter open" in it.text)
                it.type(key)
                all_until([it], lambda it: "ulimit -n" in it.text.rpartition("\n")[2])
                all_press([it], "j", lambda it: "ulimit -n" not in it.text.rpartition("\n")[2])
            resource.prlimit(it.pid, resource.RLIMIT_NOFILE, before)
            all_until([it], live)
            all_press([it], "?", lambda it: "Help" in it.text)
            all_press([it], "\x1b", lambda it: "Enter open" in it.text)
            call(make(scene, "b"))
            all_until([it], lambda it: "2 jobs" in it.text)
            all_press([it], "q", lambda it: "leave the console?" in it.text)
            it.type("y")
            assert it.wait() == 0
            assert b"Traceback" not in it.raw and b"defect" not in it.raw

    await asyncio.to_thread(use)


async def test_ten_at_once_share_the_journal(scene: Scene) -> None:
    names = [f"j{n}" for n in range(10)]
    await make(scene, *names)
    verbs = [("suspend", n) for n in names[:6]] + [("cancel", n) for n in names[6:]]
    words = [("job", v, n, *(("--confirm", n) if v == "cancel" else ())) for v, n in verbs]
    done = await asyncio.gather(*(run(scene, *w) for w in words))
    assert [code for code, _, _ in done] == [0] * 10, [err for _, _, err in done]
    raw = (state(scene) / "journal.jsonl").read_bytes()
    lines = [json.loads(line) for line in raw.splitlines()]
    assert raw.endswith(b"\n") and len(lines) == 20
    by_plan: dict[str, list[str]] = {}
    for line in lines:
        by_plan.setdefault(line["plan"], []).append(line["event"])
    assert list(by_plan.values()) == [["started", "ended"]] * 10
    assert Counter(line["verb"] for line in lines) == {"suspend": 12, "cancel": 8}
    assert (state(scene) / "journal.jsonl").stat().st_mode & 0o777 == 0o600


# -- the files by themselves


def test_a_history_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state" / "history"
    history.write(str(file), ["sort name", "ns ml"])
    assert file.stat().st_mode & 0o777 == 0o600

    def full(self: Path, text: str, *_: object) -> int:
        with self.open("w") as out:
            out.write(text[:3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        history.write(str(file), ["theme dark"])
    assert history.read(str(file)) == ["sort name", "ns ml"]
    assert [p.name for p in file.parent.iterdir()] == ["history"]
    history.write("/dev/null/history", ["x"])
    assert history.read("/dev/null/history") == []


def test_a_defects_traceback_that_cannot_be_kept_raises_nothing() -> None:
    assert defects.keep(ValueError("x"), "/dev/null/state") == ""


def test_a_journal_whose_clock_went_back_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Journal(tmp_path)
    host, pid, start = journal_module.this_process().rsplit("/", 2)
    it.start(plan("first"), at=2_000_000.0, user="", local_user="")
    it.end(plan("first"), (outcome(OutcomeStatus.PROVEN),), at=1_999_000.0)
    gone = f"{host}/{pid}/{int(start) - 1}"
    monkeypatch.setattr(journal_module, "this_process", lambda: gone)
    it.start(plan("second"), at=1_998_000.0, user="", local_user="")
    assert [a.started.plan for a in it.actions()] == ["first", "second"]
    assert [a.result for a in it.actions()] == ["proven", "unfinished"]
    for now in (1_996_000.0, 1_998_000.0, 1_999_000.0):
        assert "did not end" in said(it, now=now)


def test_what_runs_is_told_from_what_ended_whatever_the_clock_says(tmp_path: Path) -> None:
    it = Journal(tmp_path)
    it.start(plan("mine"), at=2_000_000.0, user="", local_user="")
    assert said(it, now=1_999_000.0) == "" and said(it, now=2_050_000.0) == ""
