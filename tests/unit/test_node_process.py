"""Local processes: exit codes, groups, memory, and what is left when the node is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_tui.demo.kubelet.environment import search_path
from mcp_tui.demo.kubelet.process import (
    Command,
    Guardian,
    Running,
    StartError,
    resident_by_group,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
async def guardian(tmp_path: Path) -> AsyncIterator[Guardian]:
    keeper = Guardian(tmp_path)
    await keeper.start()
    yield keeper
    await keeper.stop()


def _command(directory: Path, *argv: str) -> Command:
    home = directory / "home"
    env = {"PATH": search_path(()), "HOME": str(home)}
    return Command(argv, env, directory, b"HOME=" + os.fsencode(home))


async def _run(keeper: Guardian, command: Command) -> tuple[int, bytes]:
    output = bytearray()
    process = await Running.start(command, keeper, lambda _name, data: output.extend(data))
    async with asyncio.timeout(20):
        return await process.wait(), bytes(output)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def _gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _alive(pid):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
async def test_exit_codes(guardian: Guardian, tmp_path: Path, script: str, code: int) -> None:
    assert (await _run(guardian, _command(tmp_path, "sh", "-c", script)))[0] == code


async def test_nothing_is_inherited(
    guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    _, output = await _run(guardian, _command(tmp_path, "env"))
    assert b"hunter2" not in output
    names = {line.split(b"=")[0] for line in output.splitlines()}
    assert names <= {b"PATH", b"HOME", b"PWD", b"SHLVL", b"_", b"LC_CTYPE"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("nosuchprogram",), 'exec: "nosuchprogram": executable file not found in $PATH'),
        (("./nothing",), 'exec: "./nothing": stat ./nothing: no such file or directory'),
        (("./plain",), 'exec: "./plain": permission denied'),
        (("./garbage",), "exec format error"),
    ],
)
async def test_what_cannot_start_says_why(
    guardian: Guardian, tmp_path: Path, argv: tuple[str, ...], message: str
) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "garbage").write_bytes(b"\0\1\2")
    (tmp_path / "garbage").chmod(0o755)
    with pytest.raises(StartError) as caught:
        await _run(guardian, _command(tmp_path, *argv))
    assert message in str(caught.value)


async def test_stop_waits_for_the_grace_period_then_kills(
    guardian: Guardian, tmp_path: Path
) -> None:
    script = "trap 'echo term' TERM; echo up; while :; do sleep 0.05; done"
    output = bytearray()
    process = await Running.start(
        _command(tmp_path, "sh", "-c", script), guardian, lambda _n, d: output.extend(d)
    )
    async with asyncio.timeout(20):
        while b"up" not in output:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(process.wait())
        await process.stop(0.5)
        assert await waiting == 137
    assert b"term" in output


@linux
async def test_the_end_of_the_first_process_ends_all_others(
    guardian: Guardian, tmp_path: Path
) -> None:
    # One stays in the group, one leaves it for a session of its own.
    helper = (
        "import subprocess,sys;"
        "p=subprocess.Popen(['sleep','1000'],start_new_session=True,stdout=subprocess.DEVNULL,"
        "stderr=subprocess.DEVNULL);print(p.pid)"
    )
    script = f'sleep 1000 >&2 & echo $!; python -c "{helper}"'
    code, output = await _run(guardian, _command(tmp_path, "sh", "-c", script))
    assert code == 0
    pids = [int(line) for line in output.split()]
    assert len(pids) == 2
    assert all(_gone(pid) for pid in pids)


@linux
async def test_memory_is_that_of_the_whole_group(guardian: Guardian, tmp_path: Path) -> None:
    code = "b=bytearray(60_000_000); print('up', flush=True); input()"
    output = bytearray()
    process = await Running.start(
        _command(tmp_path, "sh", "-c", f'sleep 1000 | python -c "{code}"'),
        guardian,
        lambda _n, d: output.extend(d),
    )
    async with asyncio.timeout(20):
        while b"up" not in output:
            await asyncio.sleep(0.01)
        sizes = resident_by_group({process.pid, 2**30})
        waiting = asyncio.create_task(process.wait())
        await process.stop(0)
        await waiting
    assert 60_000_000 < sizes[process.pid] < 200_000_000
    assert sizes[2**30] == 0


_NODE = """
import asyncio, sys
from pathlib import Path
from mcp_tui.demo.kubelet.process import Command, Guardian, Running
async def main(directory):
    keeper = Guardian(directory)
    await keeper.start()
    env = {"PATH": "/usr/bin:/bin", "HOME": str(directory / "home")}
    script = "sleep 1000 & echo $!; echo $$; wait"
    command = Command(["sh", "-c", script], env, directory)
    def show(_name, data):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    await Running.start(command, keeper, show)
    await asyncio.sleep(1000)
asyncio.run(main(Path(sys.argv[1])))
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_processes_end_with_a_node_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", _NODE, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert node.stdout is not None
        pids = [int(node.stdout.readline()) for _ in range(2)]
        assert all(_alive(pid) for pid in pids)
        node.send_signal(number)
        node.wait(10)
        assert all(_gone(pid) for pid in pids)
    finally:
        node.kill()
        node.wait(10)
        assert node.stdout is not None
        node.stdout.close()
