"""What is copied, and commands that are shown: whoever pastes them gets nothing else."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from mcp_tui.actions.aliaslook import SeenModel
from mcp_tui.actions.evidence import Why
from mcp_tui.actions.jobs import Scope
from mcp_tui.actions.journal import Action, Entry
from mcp_tui.actions.models import Wanted, plan_promote
from mcp_tui.actions.unfinished import advice
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.plan import Target, Tier, Verb
from mcp_tui.domain.text import clean_line
from tests.hostile.commands import run
from tests.hostile.configs import kubeconfig, settings
from tests.hostile.screen import Console
from tests.hostile.stream import faults
from tests.hostile.test_completion import RUNS
from tests.hostile.test_configs import FINE, base
from tests.hostile.texts import ATTACKS, unsafe, whole
from tests.hostile.world import World

NAMES = [text for text in (*ATTACKS, *RUNS, "a b", "it's", "$HOME", "~", "*") if text.strip()]
_COPIED = re.compile(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")


def ran(command: str, folder: Path) -> list[str]:
    """What a shell makes of a command that was pasted into it: the arguments of ``mcp-tui``."""
    program = folder / "mcp-tui"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$#" "$@"\n')
    program.chmod(0o700)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr and not (folder / "pwned").exists(), (command, done.stderr)
    count, *words = done.stdout.splitlines()
    assert len(words) == int(count), command
    return words


def test_what_is_said_of_an_action_that_did_not_end_can_be_pasted(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        target = Target(context=name, kind="Job", namespace=name, name=name)
        for verb in (Verb.CANCEL, Verb.SUBMIT):
            entry = Entry(
                at=1.0,
                event="started",
                plan=name,
                verb=verb,
                context=name,
                tier=Tier.DEV,
                targets=(target,),
            )
            command = advice(Action(started=entry, ended=None)).partition("says: ")[2]
            shown = clean_line(name)
            assert shlex.split(command)[1:5] == ["--context", shown, "-n", shown], command
            if number % 4 == 0 or "pwned" in name:
                assert ran(command, tmp_path)[1] == shown


def test_what_takes_a_promotion_back_can_be_pasted(tmp_path: Path) -> None:
    for number, name in enumerate(map(whole, NAMES)):
        versions = tuple(ModelVersion(name=name, version=str(n)) for n in (2, 1))
        for alias in ("champion", "next"):
            seen = SeenModel(name=name, versions=versions, aliases={alias: "1"})
            scope, why = Scope(context=name, tier=Tier.DEV), Why(user="me", now=1.0)
            plan = plan_promote(scope, seen, Wanted(version="2"), why, alias=alias)
            command = plan.back.removeprefix("u (or ").rpartition(") moves ")[0]
            shown = clean_line(name)
            words = ["--context", shown, "model", "rollback", shown]
            words += [] if alias == "champion" else ["--alias", alias]
            assert shlex.split(command)[1:] == words, command
            if number % 4 == 0 or "pwned" in name:
                assert ran(command, tmp_path) == words


@pytest.mark.parametrize("name", ["x;touch pwned", "$(touch pwned)", "a\x1b[2J `touch pwned`'\""])
def test_what_is_said_of_a_context_that_cannot_be_reached_can_be_pasted(
    name: str, tmp_path: Path
) -> None:
    tree = json.loads(kubeconfig("http://127.0.0.1:1", FINE, name))
    tree["contexts"][0]["name"] = whole(name)
    env = base(tmp_path, settings("", ("theme",), "default"), json.dumps(tree))
    console = Console(env, size=(160, 30), folder=tmp_path, context=name)
    try:
        console.until(lambda: " says more" in console.text)
        shown = re.search(r"mcp-tui doctor --context .*(?= says more)", console.text)
        assert shown is not None and ran(shown[0], tmp_path)[2] == clean_line(name)
    finally:
        console.close()


def test_what_is_said_of_a_file_that_was_written_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "a;touch pwned $(touch pwned).yaml"
    said = run(["job", "init", str(path)], {"HOME": str(tmp_path)}).err.decode()
    assert path.exists()
    assert ran(said.partition("then: ")[2].strip(), tmp_path)[3] == str(path)


def test_what_is_copied_is_one_clean_line(tmp_path: Path) -> None:
    """Each name in the list, as it goes to the clipboard."""
    evil = [text for text in ATTACKS if "\n" in text or "\x1b]52" in text or "\x9d52" in text]
    with World([text for each in evil for text in (each, f"a{each}\nrm -rf x\n")]) as world:
        console = Console(world.files(tmp_path), size=(120, 40), folder=tmp_path)
        try:
            console.until(lambda: "by urgency" in console.text and "? all keys" in console.text)
            console.quiet()
            for _ in range(12):
                console.type("c")
                console.quiet(0.1)
                console.type("j")
            assert console.leave() == 0
        finally:
            console.close()
    copied = {base64.b64decode(each).decode() for each in _COPIED.findall(console.raw)}
    assert len(copied) > 5, copied
    assert not any(unsafe(each) or "rm -rf" in each for each in copied), copied
    assert not faults(console.raw, (120, 40), copied=copied)
