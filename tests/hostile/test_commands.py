"""Hostile text in all that a command reads: what it prints, writes and keeps is harmless."""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.commands import NAMES, Ran, fake_git, run, train_config
from tests.hostile.stream import plain_faults
from tests.hostile.texts import ATTACKS, hostile
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
    strings: list[str], folder: Path, *, status: int | None = None, fails: str = "", seed: int = 0
) -> None:
    """Every command in every format against one hostile world."""
    chance = random.Random(seed)
    with World(strings, status=status, fails=fails) as world:
        env = world.files(folder)
        env["PATH"] = fake_git(folder, world, fails=bool(seed % 2)) + ":" + os.environ["PATH"]
        names = NAMES | {"config": str(train_config(folder))}
        for command in COMMANDS:
            if command.terminal:
                continue
            # One of the formats in a short run; the next example has another.
            formats = command.formats or ("",)
            for output in formats if times(0, 1) else chance.sample(formats, 1):
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


@pytest.mark.parametrize("start", range(2))
def test_every_attack_in_every_command(start: int, tmp_path: Path) -> None:
    sweep(list(ATTACKS[start::2]), tmp_path, seed=start)


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
    sweep(list(ATTACKS), tmp_path, status=status, fails=fails, seed=status)


@pytest.mark.parametrize("words", ["model ls", "model show ranker", "approvals ranker"])
def test_a_name_is_one_line_also_where_only_names_are_asked_for(words: str, tmp_path: Path) -> None:
    with World(["u\ty\nmcp-tui: forged line"]) as world:
        env = world.files(tmp_path)
        ran = run(["--context", "dev", *words.split(), "-o", "name"], env)
        assert b"\t" not in ran.out and _FORGED not in ran.out.decode().split("\n"), ran


@pytest.mark.soak
@settings(
    max_examples=times(3, 60),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    strings=st.lists(hostile, min_size=3, max_size=15),
    status=st.sampled_from([None, None, None, 403, 500]),
    seed=st.integers(0, 1_000_000),
)
def test_any_text_in_every_command(strings: list[str], status: int | None, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sweep(strings, Path(folder), status=status, seed=seed)
