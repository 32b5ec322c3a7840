"""Hostile text in all that a command reads: what it prints, writes and keeps is harmless."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from tests.hostile.commands import (
    FOLLOWS,
    NAMES,
    OnPty,
    Ran,
    fake_git,
    run,
    run_on_pty,
    train_config,
)
from tests.hostile.stream import plain_faults, printed, printed_faults
from tests.hostile.texts import ATTACKS, apart, hostile
from tests.hostile.world import World
from tests.joined.commands import ALL, COMMANDS, Command
from tests.soak import times

JOURNAL = next(command for command in COMMANDS if command.words == "journal")
_DEFECT = 70
_FORGED = "mcp-tui: forged line"


def check(command: Command, output: str, ran: Ran) -> None:
    """Nothing that was printed does harm, and what is for machines can be read by them."""
    where = f"{command.words} -o {output or '-'}: "
    assert ran.code != _DEFECT, where + ran.err.decode()
    for raw in (ran.out, ran.err):
        found = plain_faults(raw.decode("utf-8"))
        assert not found, where + found[0]
        assert b"Traceback" not in raw, where
    lines = ran.err.decode().split("\n")
    if output in ("table", "wide", "name"):
        lines += ran.out.decode().split("\n")
    assert _FORGED not in lines, where + "a line of another's"
    if output in ("json", "yaml") and ran.out:
        # What is dangerous in it is escaped, so that it is read back as it is.
        data = json.loads(ran.out) if output == "json" else yaml.safe_load(ran.out.decode())
        assert data is not None, where


def _ways(command: Command, argv: list[str]) -> Iterator[list[str]]:
    """A command as it is tried: on the context, and as a plan; or on all contexts."""
    words = len(command.words.split())
    head, rest = argv[:words], argv[words:]
    if command.words in ("contexts", "journal", "doctor"):
        yield argv
    if command.writes:
        yield ["--context", "dev", *head, "--dry-run", *rest]
    if not command.serves:
        more = ["--timeout", "0.2"] if command.writes and command.formats else []
        yield ["--context", "dev", *head, *more, *rest]


def sweep(
    strings: list[str],
    folder: Path,
    *,
    status: int | None = None,
    fails: str = "",
    seed: int = 0,
    whole: bool = False,
) -> None:
    """Every command against one hostile world: in every format, or in one of its formats."""
    chance = random.Random(seed)
    with World(strings, status=status, fails=fails) as world:
        env = world.files(folder)
        env["PATH"] = fake_git(folder, world, fails=bool(seed % 2)) + ":" + os.environ["PATH"]
        names = NAMES | {"config": str(train_config(folder))}
        for command in COMMANDS:
            if command.terminal:
                continue
            formats = command.formats or ("",)
            for output in formats if whole else chance.sample(formats, 1):
                for argv in _ways(command, command.argv(names, output)):
                    check(command, output, run(argv, env))
        for output in ALL:
            check(JOURNAL, output, run(["journal", "-o", output], env))
        journal = folder / "state" / "mcp-tui" / "journal.jsonl"
        if journal.exists():
            text = journal.read_text("utf-8")
            assert not plain_faults(text)
            for line in text.splitlines():
                json.loads(line)
        crash = folder / "state" / "mcp-tui" / "crash.log"
        assert not crash.exists(), crash.read_text()


@pytest.mark.soak(minutes=2)
@pytest.mark.parametrize("start", range(2))
def test_every_attack_in_every_command(start: int, tmp_path: Path) -> None:
    sweep(list(ATTACKS[start::2]), tmp_path, seed=start, whole=times(0, 1) > 0)


@pytest.mark.soak(minutes=2)
@pytest.mark.parametrize(
    ("status", "fails"),
    [
        (403, ""),
        (422, "^(POST|PATCH|PUT|DELETE) (?!.*reviews)"),
        (500, "reviews|/mlflow|/prometheus"),
        (503, "/(pods|events|log|workloads)"),
    ],
)
def test_every_attack_in_every_error(status: int, fails: str, tmp_path: Path) -> None:
    whole = times(0, 1) > 0
    sweep(list(ATTACKS), tmp_path, status=status, fails=fails, seed=status, whole=whole)


@pytest.mark.parametrize("turn", range(2))
def test_every_attack_in_the_services_that_are_found(turn: int, tmp_path: Path) -> None:
    """Where nothing is configured MLflow and Prometheus are where a Service says."""
    with World(list(ATTACKS)) as world:
        for _ in range(turn):
            world.change(list(ATTACKS[::-1]))  # another of them comes first
        env = world.files(tmp_path, told=False)
        for command in COMMANDS:
            if command.words in ("doctor", "job ls", "job show", "run ls", "model ls"):
                argv = command.argv(NAMES, "table")
                check(command, "table", run(["--context", "dev", *argv], env))
        asked = [target for _, target, _ in world.calls]
        assert any("/services?" in target for target in asked)
        # A name that no Service can have leads nowhere.
        assert any("/services/" in target for target in asked) == (turn == 0)


@pytest.mark.parametrize("words", ["model ls", "model show ranker", "approvals ranker"])
def test_a_name_is_one_line_also_where_only_names_are_asked_for(words: str, tmp_path: Path) -> None:
    with World(["u\ty\nmcp-tui: forged line"]) as world:
        env = world.files(tmp_path)
        ran = run(["--context", "dev", *words.split(), "-o", "name"], env)
        assert b"\t" not in ran.out and _FORGED not in ran.out.decode().split("\n"), ran


def check_printed(where: str, raw: bytes, size: tuple[int, int] = (80, 24)) -> None:
    """Nothing that reached a terminal does harm there."""
    found = printed_faults(raw, size)
    assert not found, f"{where}: {found[0]}"
    assert b"Traceback" not in raw, where
    if "logs" not in where:  # there a line is a container's, whatever it says
        lines = re.split(rb"\r\n|\r\x1b\[K", raw)
        assert _FORGED.encode() not in lines, f"{where}: a line of another's"


def _unconfirmed(argv: list[str]) -> list[str]:
    """The same, to be asked what ``--confirm`` would have told."""
    at = argv.index("--confirm") if "--confirm" in argv else len(argv)
    return argv[:at] + argv[at + 2 :]


@pytest.mark.soak
@pytest.mark.parametrize("start", range(times(1, 4)))
def test_every_attack_in_every_command_on_a_terminal(start: int, tmp_path: Path) -> None:
    """With colours, cut to the terminal's width, and with the question before a write."""
    asked = coloured = 0
    with World(list(ATTACKS[start:] + ATTACKS[:start])) as world:
        env = world.files(tmp_path, tier="prod")
        env["PATH"] = fake_git(tmp_path, world, fails=False) + ":" + os.environ["PATH"]
        names = NAMES | {"config": str(train_config(tmp_path))}
        for command in COMMANDS:
            if command.terminal:
                continue
            for argv in _ways(command, command.argv(names, "wide" if start % 2 and "wide" in
                                                    command.formats else "")):  # fmt: skip
                code, raw = run_on_pty(_unconfirmed(argv), env, answer="no")
                where = f"{command.words} on a terminal"
                assert code != _DEFECT, (where, raw[-2_000:])
                check_printed(where, raw)
                if command.words.endswith(" ls"):
                    # Whatever stands in a name, a table's lines are no wider than the terminal.
                    told = [line for line in printed(raw).split("\n") if "mcp-tui:" not in line]
                    assert max(map(wcswidth, told)) <= 80, (where, told)
                asked += b" to go on: " in raw
                coloured += b"\x1b[" in raw
                if command.writes and "--dry-run" not in argv:
                    assert code != 0, where
    # Or nothing of this has been tried.
    assert asked > 5 and coloured > 5, (asked, coloured)


@pytest.mark.parametrize("argv", FOLLOWS, ids=" ".join)
def test_every_attack_in_a_command_that_goes_on(argv: tuple[str, ...], tmp_path: Path) -> None:
    """What is drawn in one line, and told of each change, until somebody interrupts."""
    with World(list(ATTACKS)) as world:
        env = world.files(tmp_path)
        env["PATH"] = fake_git(tmp_path, world, fails=False) + ":" + os.environ["PATH"]
        names = NAMES | {"config": str(train_config(tmp_path))}
        given = [word.format(**names) for word in argv]
        command = OnPty(["--context", "dev", *given], env)
        try:
            command.until(lambda: command.raw.count(b"\n") > 2)
            for turn in range(3):
                before = len(command.raw)
                name = world.change(list(ATTACKS[turn::3]))
                if given[:2] == ["job", "ls"]:
                    command.until(lambda n=name: n.encode() in command.raw)  # type: ignore[misc]  # bound now
                elif given[:2] != ["job", "submit"]:
                    command.until(lambda b=before: len(command.raw) > b)  # type: ignore[misc]  # as above
            os.kill(command.pid, signal.SIGINT)
            command.until(lambda: not command.read())  # to its last word
            assert command.wait() != _DEFECT
        finally:
            command.close()
    check_printed(" ".join(argv), command.raw)


@pytest.mark.soak(minutes=5)
@pytest.mark.parametrize("share", range(times(1, 4)))
def test_any_text_in_every_command(share: int, tmp_path: Path) -> None:
    """Each example takes one of the formats of each command, the next one another."""

    @settings(max_examples=times(3, 25), suppress_health_check=[HealthCheck.too_slow])
    @given(
        strings=st.lists(hostile, min_size=3, max_size=15),
        status=st.sampled_from([None, None, None, 403, 500]),
        chance=st.integers(0, 1_000_000),
    )
    def example(strings: list[str], status: int | None, chance: int) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            sweep(strings, Path(folder), status=status, seed=chance)

    apart(share, example)()
