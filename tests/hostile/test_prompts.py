"""A credential plugin that asks on the terminal: the question is on the screen, and our keys and
our screen stay ours."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import pytest
import yaml

from tests.hostile.screen import Console
from tests.hostile.stream import faults
from tests.hostile.world import World

SIZE = (160, 30)
# It asks wherever it can: on the terminal of its session, and on what it was given as one.
ASKS = """#!/bin/sh
cd "{folder}"
echo $$ > pid
if [ ! -e done ]; then
    says='\\033[2J\\033[5;5H\\033]0;evil\\007drawn over'
    { printf "$says" > /dev/tty; } 2> /dev/null && touch drew
    { printf '\\033]52;c;ZXZpbA==\\007\\033[31m'; printf "$(cat asks)"; } >&2
    { head -c 1 < /dev/tty > swallowed; } 2> /dev/null
    {stty}
    head -c 1 > swallowed
fi
cat answers
"""
VERSION = "client.authentication.k8s.io/v1"


def asking(folder: Path, asks: str, stty: str) -> dict[str, object]:
    """A user of the kubeconfig who is asked for a code."""
    script = folder / "login"
    script.write_text(ASKS.replace("{folder}", str(folder)).replace("{stty}", stty))
    script.chmod(0o700)
    (folder / "asks").write_text(asks)
    answer = {"kind": "ExecCredential", "apiVersion": VERSION, "status": {"token": "t"}}
    (folder / "answers").write_text(json.dumps(answer))
    exec_ = {"apiVersion": VERSION, "command": script.name, "interactiveMode": "IfAvailable"}
    return {"exec": exec_}


def files(world: World, folder: Path, user: dict[str, object]) -> dict[str, str]:
    """Two contexts of one server: one whose user is known, and one whose user is asked."""
    env = world.files(folder)
    path = Path(env["KUBECONFIG"])
    tree = yaml.safe_load(path.read_text())
    tree["users"].append({"name": "asked", "user": user})
    context = {"cluster": "dev", "user": "asked", "namespace": "ml"}
    tree["contexts"].append({"name": "asking", "context": context})
    path.write_text(yaml.safe_dump(tree))
    return {**env, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def copied(console: Console) -> list[str]:
    """What was copied, in order: the rows that the cursor was on."""
    found = re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)", console.raw)
    return [base64.b64decode(each).decode() for each in found]


@pytest.mark.parametrize(
    ("asks", "stty", "waits"),
    [
        (r"One-time code:\n", "", True),
        ("One-time code: ", "", False),
        (r"One-time code:\n", "stty -echo", False),
    ],
    ids=["a line", "an open line", "without echo"],
)
def test_its_question_is_on_screen_and_keys_stay_ours(
    asks: str, stty: str, waits: bool, tmp_path: Path
) -> None:
    with World(["fine"]) as world:
        env = files(world, tmp_path, asking(tmp_path, asks, stty))
        console = Console(env, size=SIZE, folder=tmp_path, context="asking,dev")
        try:
            console.until(lambda: "One-time code:" in console.text and " running " in console.text)
            if not waits:
                console.until(lambda: "wants input" in console.text)
            console.press("question_mark")
            console.until(lambda: "Everywhere" in console.text)
            console.press("escape")
            console.until(lambda: "Everywhere" not in console.text)
            for number, keys in enumerate((("c",), ("j", "c"), ("j", "c"))):
                console.press(*keys)
                console.until(lambda wanted=number + 1: len(copied(console)) == wanted)
            assert len(set(copied(console))) == 3, "the cursor does not move"
            assert "One-time code:" in console.text
            if waits:
                os.kill(int((tmp_path / "pid").read_text()), 0)  # It still waits.
            (tmp_path / "done").touch()
            assert console.leave() == 0
        finally:
            console.close()
    assert not faults(console.raw, SIZE, copied=copied(console))
    assert "evil" not in copied(console) and not (tmp_path / "drew").exists()
    swallowed = tmp_path / "swallowed"
    assert not swallowed.exists() or swallowed.read_bytes() == b""
