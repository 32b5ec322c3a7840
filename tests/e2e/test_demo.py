"""``mcp-tui demo`` by its commands: what it serves, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.demo_process import COMMAND, Served, left_over, wait_for

_FATES = {
    "vision-resnet": "ImagePullBackOff",
    "fraud-train": 'secret "warehouse-credentials" not found',
    "llm-finetune": "needs 8 nvidia.com/gpu",
    "feature-export": "CrashLoopBackOff",
    "embed-v3": "OOMKilled",
    "ranker-eval": "KeyError: 'last_7d_orders'",
    "sweep-night": "DeadlineExceeded",
    "tokenizer-build": "suspended",
    "ranker-dist": "rank 2: lost its peer",
    "clicks-import": "ValueError: bad token",
    # Whichever of three came last.
    "gpu": "WaitingForQuota: queue gpu-a100",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    demo = Served(tmp_path_factory.mktemp("demo"))
    demo.wait_mlflow()
    yield demo
    demo.end()


@pytest.mark.slow
def test_jobs_have_every_fate(served: Served) -> None:
    wanted = dict(_FATES)

    def all_seen() -> bool:
        for job in served.jobs():
            queued = job["queue"] == "gpu-a100"
            prefix = "gpu" if queued else str(job["name"]).rpartition("-")[0]
            if wanted.get(prefix, "\n") in str(job["why"]):
                del wanted[prefix]
        return not wanted

    try:
        wait_for(all_seen, 180, "every fate")
    except AssertionError:
        told = {str(job["name"]): str(job["why"]) for job in served.jobs()}
        pytest.fail(f"not seen: {wanted}; there are {told}; simulator: {served.log('simulator')}")


@pytest.mark.slow
def test_a_branch_of_its_repository_trains_and_logs(served: Served, tmp_path: Path) -> None:
    text = (served.directory / "train-config.yaml").read_text()
    config = tmp_path / "train-config.yaml"
    config.write_text(re.sub(r"\b60\b", "6", text))
    done = served.run(
        *("job", "submit", "--config", str(config), "--git-branch", "feature/v1.2"),
        *("--watch", "--logs"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step 6" in done.stdout + done.stderr
    journal = served.run("journal", "-o", "json")
    assert "ranker-mine" in journal.stdout


def test_a_viewer_may_not_submit(served: Served) -> None:
    done = served.run(
        *("--context", "demo-viewer", "job", "submit"),
        *("--config", str(served.directory / "train-config.yaml")),
    )
    assert done.returncode == 3, done.stdout + done.stderr


def test_production_asks_for_its_name(served: Served) -> None:
    done = served.run(
        *("--context", "demo-prod", "job", "submit"),
        *("--config", str(served.directory / "train-config.yaml")),
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "--confirm" in done.stderr


def test_its_files_are_the_users_alone(served: Served) -> None:
    assert served.directory.stat().st_mode & 0o777 == 0o700
    for name in ("kubeconfig", "config.toml", "tokens.json", "train-config.yaml"):
        assert (served.directory / name).stat().st_mode & 0o777 == 0o600, name


def test_the_users_home_is_not_touched(served: Served) -> None:
    home = served.output.parent / "home"
    assert list(home.iterdir()) == []


def test_only_loopback_is_listened_on(served: Served) -> None:
    # Established and listening sockets of every process that knows the directory.
    inodes = set()
    for line in left_over(served.directory):
        pid = line.split(" ", 1)[0]
        for descriptor in Path("/proc", pid, "fd").glob("*"):
            try:
                target = os.readlink(descriptor)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    listening = {row[1] for row in rows if row[3] == "0A" and row[9] in inodes}
    assert len(listening) >= 3
    assert {address.rpartition(":")[0] for address in listening} == {"0100007F"}


_NO_TEMPORARY = [
    *(sys.executable, "-c"),
    "import sys, tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere'];"
    "from mcp_tui.cli import main; sys.exit(main(['demo', *sys.argv[1:]]))",
]


def _refused(*arguments: str, command: Sequence[str] = COMMAND, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [*command, *arguments],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, done.stderr


def test_without_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    code, text = _refused(TMPDIR=str(tmp_path))
    assert code == 2
    assert "--no-console" in text
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    code, text = _refused("--no-console", "--dir", str(tmp_path))
    assert code == 2
    assert "thesis.txt" in text
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_demos_in_one_directory_are_refused(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    demo = Served(tmp_path, "--dir", str(directory))
    try:
        code, text = _refused("--no-console", "--dir", str(directory))
        assert code == 2
        assert "a demo is running there" in text
    finally:
        demo.end()
    # A given directory stays, and can be used again.
    assert (directory / "logs").is_dir()


def test_a_file_in_the_place_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, text = _refused("--no-console", "--dir", str(tmp_path / "file"))
    assert code == 2
    assert "cannot be used" in text


def test_options_that_the_demo_brings_itself_are_refused(tmp_path: Path) -> None:
    assert _refused("--kubeconfig", str(tmp_path / "x"))[0] == 2


def test_a_directory_that_cannot_be_made_is_said() -> None:
    code, text = _refused("--no-console", "--dir", "/proc/mcp-tui")
    assert code == 2
    assert "cannot be used" in text


def test_no_temporary_directory_is_said(tmp_path: Path) -> None:
    code, text = _refused("--no-console", TMPDIR=str(tmp_path), command=_NO_TEMPORARY)
    assert code == 2
    assert "TMPDIR" in text


def test_a_disk_without_room_is_said(tmp_path: Path) -> None:
    # No file may have any content: the nearest that an ordinary user can come to a full disk.
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *COMMAND]
    code, text = _refused("--no-console", "--dir", str(tmp_path), command=limited)
    assert code == 2
    assert "cannot be set up" in text
    code, text = _refused("--no-console", TMPDIR=str(tmp_path), command=limited)
    assert code == 2
    assert "set TMPDIR" in text


@pytest.mark.slow
def test_without_git_and_prometheus_it_goes_on(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    demo = Served(tmp_path, PATH=str(programs), XDG_CACHE_HOME=str(tmp_path / "cache"))
    try:
        assert "git: not found" in demo.text
        assert "make cluster" in demo.text
        wait_for(
            lambda: any(job["state"] == "done" for job in demo.jobs()), 90, "a job that is done"
        )
    finally:
        demo.end()
