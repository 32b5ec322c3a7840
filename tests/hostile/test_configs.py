"""Hostile text in the configuration and the kubeconfig: said in one clean line, or just taken."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from tests.hostile.commands import Ran, run
from tests.hostile.configs import KUBECONFIG_FIELDS, kubeconfig, settings, settings_fields
from tests.hostile.screen import Console
from tests.hostile.stream import faults, plain_faults
from tests.hostile.texts import ATTACKS, LONG
from tests.hostile.world import World
from tests.soak import times

DEFECT = 70
LONGEST = 20_000
COMMANDS = (
    ("contexts",),
    ("contexts", "-o", "json"),
    ("job", "ls", "--timeout", "2"),
    ("doctor", "--timeout", "1"),
    ("job", "suspend", "running", "--dry-run", "--timeout", "0.2"),
)
STRINGS = (*ATTACKS, "a\x1b[2J" * 1_000, "\u202e" + "x" * LONG, "1" * LONG)


def check(ran: Ran, where: object) -> None:
    """One clean line at most for what is wrong, and no defect."""
    assert ran.code != DEFECT, (where, ran.err[-500:])
    for raw in (ran.out, ran.err):
        found = plain_faults(raw.decode("utf-8"))
        assert not found, (where, found[0][:300])
        assert b"Traceback" not in raw, where
    assert len(ran.err) <= LONGEST, (where, len(ran.err), ran.err[:300])
    assert "mcp-tui: forged line" not in ran.err.decode().split("\n"), where


def base(folder: Path, config: str, kube: str) -> dict[str, str]:
    (folder / "config.toml").write_text(config, encoding="utf-8")
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(kube, encoding="utf-8")
    return {
        "KUBECONFIG": str(path),
        "MCP_TUI_CONFIG": str(folder / "config.toml"),
        "XDG_STATE_HOME": str(folder / "state"),
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": "",
        "PROMETHEUS_URL": "",
    }


FINE = ("current-context",)


# How many texts each field gets, and what part of them each command is run with, which may take as
# long as its deadline.
READ, USED = times(3, 1_000), times(2, 20) / 100


@pytest.mark.soak(minutes=4)
@pytest.mark.parametrize("share", range(4))
def test_every_attack_in_the_configuration(share: int, tmp_path: Path) -> None:
    with World(["fine"]) as world:
        for at in list(settings_fields())[share::4]:
            chance = random.Random(repr(at))
            for text in chance.sample(STRINGS, min(READ, len(STRINGS))):
                config = settings(world.url, at, text)
                env = base(tmp_path, config, kubeconfig(world.url, FINE, "dev"))
                for argv in _tried(chance):
                    check(run(argv, env), (at, text[:60], argv))


@pytest.mark.soak(minutes=4)
@pytest.mark.parametrize("share", range(4))
def test_every_attack_in_the_kubeconfig(share: int, tmp_path: Path) -> None:
    with World(["fine"]) as world:
        config = settings(world.url, ("theme",), "default")
        for at in KUBECONFIG_FIELDS[share::4]:
            chance = random.Random(repr(at))
            for text in chance.sample(STRINGS, min(READ, len(STRINGS))):
                env = base(tmp_path, config, kubeconfig(world.url, at, text))
                for argv in _tried(chance):
                    check(run(argv, env), (at, text[:60], argv))


def _tried(chance: random.Random) -> list[tuple[str, ...]]:
    return [chance.choice(COMMANDS[:2]), *(one for one in COMMANDS[2:] if chance.random() < USED)]


BROKEN = (
    b"[contexts.dev\n",
    b"x = \x1b[2J\n",
    b'x = "\xc2\x9b2J\n',
    b"x = '\x00'\n",
    "\n\nx = \u202eevil\n".encode(),
    b"\xff\xfe[contexts.dev]\n",
    b"a = 1\na = 2\n",
    b"x = " + b"[" * 100_000,
    b"x = " + b"{a=" * 100_000,
    b"[" + b"a." * 3_000 + b"a]\n",
    b"x = " + b"9" * 10_000 + b"\n",
    b"x = 2026-99-99\n",
    b"x = " + b"y" * LONG,
    b"\x1b]0;evil\x07" * 1_000,
    b"[link=x]=[/]\n",
    b"x = 1e999999\n",
    b"profile = '[bold]'\n",
    b"keys = [1]\n",
    b"contexts = {dev = {mlflow = {url = 7}}}\n",
)
_AT = re.compile(rb"config\.toml:\d+|\(at line \d+, column \d+\)|\(at end of document\)")


def test_a_broken_configuration_is_said_by_file_and_line(tmp_path: Path) -> None:
    kube = kubeconfig("http://127.0.0.1:1", FINE, "dev")
    for data in BROKEN:
        env = base(tmp_path, "", kube)
        (tmp_path / "config.toml").write_bytes(data)
        ran = run(["contexts"], env)
        check(ran, data[:60])
        assert ran.code == 2 and b"config.toml" in ran.err, (data[:60], ran)
        assert ran.err.count(b"\n") == 1, ran.err
        assert _AT.search(ran.err), (data[:60], ran.err[:300])


def test_a_broken_kubeconfig_is_said_by_file(tmp_path: Path) -> None:
    for data in (
        b"\x1b[2J",
        b"a: \xc2\x9b2J",
        b"\xff\xfe",
        b"[" * 100_000,
        b"{a: " * 100_000,
        b"- " * 100_000 + b"a",
        b"a: &a [*a, *a]\n",
        b"a: !!python/object/apply:os.system [touch pwned]\n",
        b'contexts: [{name: "\\e[2J", context: 7}]',
        b"users: [{name: a}, {name: a}]",
        b"x: " + b"9" * 10_000,
        "\u202e: [".encode(),
    ):
        env = base(tmp_path, "", "")
        (tmp_path / "kubeconfig").write_bytes(data)
        ran = run(["--context", "dev", "job", "ls", "--timeout", "1"], env)
        check(ran, data[:60])
        assert ran.code == 2 and str(tmp_path / "kubeconfig").encode() in ran.err, (data[:60], ran)


PLUGIN = """#!/bin/sh
cat "{folder}/says" >&2
cat "{folder}/answers"
exit {code}
"""


@pytest.mark.soak(minutes=3)
@pytest.mark.parametrize("code", [0, 1])
def test_what_an_exec_plugin_says_is_clean(code: int, tmp_path: Path) -> None:
    with World(["fine"]) as world:
        config = json.loads(kubeconfig(world.url, ("users", 0, "user", "exec", "installHint"), "x"))
        script = tmp_path / "login"
        script.write_text(PLUGIN.format(folder=tmp_path, code=code))
        script.chmod(0o700)
        config["users"][0]["user"]["exec"]["command"] = str(script)
        env = base(tmp_path, settings(world.url, ("theme",), "default"), json.dumps(config))
        said = random.Random(code).sample(STRINGS, times(6, len(STRINGS)))
        for text in said:
            raw = text.encode("utf-8", "surrogatepass")
            (tmp_path / "says").write_bytes(raw)
            for answer in (
                raw,
                json.dumps({"kind": text, "apiVersion": text}).encode(),
                json.dumps(
                    {
                        "kind": "ExecCredential",
                        "apiVersion": "client.authentication.k8s.io/v1",
                        "status": {"token": text, "expirationTimestamp": text},
                    }
                ).encode(),
            )[:: times(2, 1)]:
                (tmp_path / "answers").write_bytes(answer)
                check(run(["job", "ls", "--timeout", "2"], env), (text[:60], answer[:60]))


NAMED = "dev \x1b]0;evil title\x07\x9b2J\u202e[bold]x[/] $(touch pwned)"


@pytest.mark.parametrize("what", ["kubeconfig", "configuration", "plugin"])
def test_a_console_draws_none_of_it(what: str, tmp_path: Path) -> None:
    """Names of contexts, clusters and users, a namespace, and words of a plugin, on a terminal."""
    with World(list(ATTACKS)) as world:
        tree = json.loads(kubeconfig(world.url, FINE, NAMED))
        tree["contexts"][0]["name"] = NAMED
        tree["clusters"][0]["name"] = tree["contexts"][0]["context"]["cluster"] = f"c{NAMED}"
        tree["users"][0]["name"] = tree["contexts"][0]["context"]["user"] = f"u{NAMED}"
        config = settings(world.url, ("theme",), "default")
        if what == "configuration":
            tree["contexts"][0]["context"]["namespace"] = NAMED
            config = settings(world.url, ("contexts", NAMED, "mlflow"), f"{world.url}/\x1b[2Jx")
        elif what == "plugin":
            script = tmp_path / "login"
            script.write_text(PLUGIN.format(folder=tmp_path, code=1))
            script.chmod(0o700)
            (tmp_path / "says").write_bytes("\n".join(ATTACKS).encode("utf-8", "surrogatepass"))
            (tmp_path / "answers").write_text("")
            version = "client.authentication.k8s.io/v1"
            tree["users"][0]["user"] = {
                "exec": {"apiVersion": version, "command": str(script), "interactiveMode": "Never"}
            }
        env = base(tmp_path, config, json.dumps(tree))
        console = Console(env, size=(200, 50), folder=tmp_path, context=NAMED)
        try:
            console.until(lambda: "? all keys" in console.text and " .. " not in console.text)
            console.quiet()
            console.type(":ctx \t\t")
            console.quiet()
            console.home()
            console.press("r")
            console.quiet()
            assert console.leave() == 0
        finally:
            console.close()
        assert not faults(console.raw, (200, 50))
        assert not (tmp_path / "pwned").exists()


WAITS = """#!/bin/sh
cat "{folder}/says" >&2
while [ ! -e "{folder}/done" ]; do sleep 0.1; done
cat "{folder}/answers"
"""


def test_where_to_log_in_is_on_screen_until_somebody_has(tmp_path: Path) -> None:
    """A device login ends only once its user has read the code that a plugin writes."""
    with World(["fine"]) as world:
        tree = json.loads(kubeconfig(world.url, FINE, "dev"))
        script = tmp_path / "login"
        script.write_text(WAITS.format(folder=tmp_path))
        script.chmod(0o700)
        (tmp_path / "says").write_bytes(
            b"\x1b]0;evil\x07\x9b2J[bold]\nopen https://login.test and enter WDJB-MJHT\n"
        )
        version = "client.authentication.k8s.io/v1"
        answer = {"kind": "ExecCredential", "apiVersion": version, "status": {"token": "t"}}
        (tmp_path / "answers").write_text(json.dumps(answer))
        tree["users"][0]["user"] = {
            "exec": {"apiVersion": version, "command": str(script), "interactiveMode": "Always"}
        }
        env = base(tmp_path, settings(world.url, ("theme",), "default"), json.dumps(tree))
        console = Console(env, size=(80, 24), folder=tmp_path, context="dev")
        try:
            console.until(lambda: "enter WDJB-MJHT" in console.text)
            assert "listing the jobs of dev" in console.text
            (tmp_path / "done").touch()
            console.until(lambda: "fine" in console.text)
            assert "WDJB" not in console.text
            assert console.leave() == 0
        finally:
            console.close()
        assert not faults(console.raw, (80, 24))
