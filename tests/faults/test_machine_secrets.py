"""Marked credentials of every kind, looked for wherever anything of ours may be read.

Every command is run with them, in order and against servers that refuse and repeat what they were
sent; the console too, on a terminal. Then the screen, all that was printed, the state directory
(journal, history, tracebacks) and the arguments of every process that was there are searched.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_tui.cli.parser import build
from mcp_tui.domain import keys
from tests.faults.acting import mlflow_client
from tests.faults.marked import (
    MARK,
    SECRETS,
    USERS,
    Place,
    Server,
    Watching,
    disguises,
    found_in,
    parrot,
    place,
    run,
    searched,
    telling,
    together,
)
from tests.faults.test_interrupted import Scene, scene
from tests.joined.commands import COMMANDS, Command

__all__ = ["parrot", "place", "scene"]


def argv(command: Command, place: Place, user: str) -> list[str]:
    names = {
        "job": "a",
        "failed": "b",
        "held": "c",
        "context": user,
        "model": "ranker",
        "config": str(place.folder / "train.yaml"),
    }
    return ["--context", user, *command.argv(names)]


def test_the_search_finds_what_it_looks_for(place: Place) -> None:
    for what, secret in SECRETS.items():
        for each in disguises(secret):
            assert what in found_in(f"x {each} y".encode()), each
    with Watching() as watching:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()", "tok-S3CR3T-kubeconfig"], stdin=-1
        )
        end = time.monotonic() + 30
        while not any(found_in(each) for each in list(watching.seen)):
            assert time.monotonic() < end
            time.sleep(0.02)
        child.kill()
        child.communicate()
    with pytest.raises(AssertionError, match="in the arguments"):
        searched(watching)


STARTS = """
import os, subprocess, sys
subprocess.run(["true", sys.argv[1][::-1]])
subprocess.run(["git", "--version", "-c", sys.argv[1][::-1]])
os.system("true " + sys.argv[1][::-1])
os.posix_spawn("/bin/true", ["true", sys.argv[1][::-1]], {})
os.execv("/bin/true", ["true", sys.argv[1][::-1]])
"""


def test_what_is_over_at_once_is_found_too(place: Place) -> None:
    word = SECRETS["token"]
    argv = [sys.executable, "-c", STARTS, word[::-1]]
    subprocess.run(argv, env=place.env, stdout=subprocess.DEVNULL, timeout=60, check=True)
    told = place.started().decode().splitlines()
    ways = [line.split()[0].strip("'") for line in told if word in line]
    assert ways == [
        *("subprocess.Popen", "subprocess.Popen", "git", "os.system", "os.posix_spawn", "os.exec")
    ]
    assert word[::-1] in told[0], "nor are the arguments of the process itself missing"


def test_every_command_of_the_parser_is_run() -> None:
    def words(parser: object, before: tuple[str, ...] = ()) -> Iterator[str]:
        below = [a.choices for a in parser._actions if isinstance(a.choices, dict)]  # type: ignore[attr-defined]  # a parser
        if not below:
            yield " ".join(before)
        for choices in below:
            for name, each in choices.items():
                yield from words(each, (*before, name))

    assert set(words(build())) == {c.words for c in COMMANDS}


@pytest.mark.parametrize("user", USERS)
def test_no_command_shows_keeps_or_passes_on_a_credential(
    place: Place, parrot: Server, user: str
) -> None:
    # One kind of user goes through all commands, the others through those that differ.
    few = ("job ls", "job submit", "doctor", "job cancel")
    commands = [c for c in COMMANDS if not c.terminal and (user == "token" or c.words in few)]
    with Watching() as watching:
        outputs = together(place, [argv(command, place, user) for command in commands])
    searched(watching, *outputs, place.kept(), place.started())
    # They did use them.
    uses = {
        "token": SECRETS["token"],
        "basic": base64.b64encode(f"alice:{SECRETS['password']}".encode()).decode(),
        "plugin": SECRETS["plugin token"],
        "file": SECRETS["token file"],
        "proxied": base64.b64encode(f"alice:{SECRETS['gateway password']}".encode()).decode(),
    }
    if user in uses:
        assert any(uses[user] in each for each in parrot.asked), parrot.asked[:3]
    if user == "token":
        for name in ("mlflow", "prometheus"):
            assert any(SECRETS[f"{name} token"] in each for each in parrot.asked), name
    # And it was repeated to them: in more than one way to who asked for more than a little.
    hidden = sum(b"***" in out for out in outputs)
    assert hidden > (user == "token") or user in ("failing", "certificate"), outputs


def test_what_is_wrong_about_a_secret_does_not_repeat_it(place: Place) -> None:
    """Credentials where none belong: the message names the place only."""
    tries: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("job", "submit", "--config", "git.yaml"), {}),
        (("job", "ls"), {"HTTPS_PROXY": f"http://u:{SECRETS['proxy password']}@[::1"}),
        (("job", "ls"), {"HTTP_PROXY": f"http://u:{SECRETS['proxy password']}@127.0.0.1:1"}),
        (("doctor",), {"MLFLOW_TRACKING_URI": f"http://u:{SECRETS['password']}@127.0.0.1:1"}),
        (("contexts",), {"MLFLOW_TRACKING_URI": f"http://u:a/{SECRETS['password']}@127.0.0.1:1"}),
        (("contexts",), {"MLFLOW_TRACKING_URI": f"http://u:[{SECRETS['password']}@127.0.0.1:1"}),
        (("job", "ls"), {"ML_TOKEN": f"{SECRETS['mlflow token']}\n\x1b[2J"}),
        (("doctor",), {"ML_TOKEN": f"{SECRETS['mlflow token']}\nX: y"}),
        (("contexts", "-o", "json"), {}),
        (("job", "retry", "a", "--env", f"={SECRETS['config env']}"), {}),
    ]
    with Watching() as watching, ThreadPoolExecutor(4) as pool:
        # What is given in the arguments stands there by the user's own hand.
        outputs = list(pool.map(lambda each: run(place, *each[0], **each[1]), tries[:-1]))
    started = place.started()
    assert not found_in(run(place, *tries[-1][0]))
    searched(watching, *outputs, place.kept(), started)
    # A kubeconfig that cannot be read, with a secret on the very line.
    text = (place.folder / "kubeconfig").read_text()
    for broken in (
        text.replace(SECRETS["token"], f"{SECRETS['token']}: [x"),
        text.replace(f"token: {SECRETS['token']}", f"token: [{SECRETS['token']}]"),
        text.replace(f"token: {SECRETS['token']}", f'token: "{SECRETS["token"]}\\nX: y"'),
        text.replace("client-key-data: ", "client-key-data: !!"),
        text + f"\n\tbad: {SECRETS['password']}\n",
        text.replace("server: http://", f"server: http://u:{SECRETS['server password']}@"),
    ):
        (place.folder / "kubeconfig").write_text(broken)
        context = "certificate" if "!!" in broken else "token"
        for out in together(place, [("--context", context, "job", "ls"), ("contexts",)]):
            assert not found_in(out), out


def test_a_defects_traceback_holds_no_credential(place: Place) -> None:
    """A defect is made in the very call that holds them; its traceback is kept, without them."""
    script = (
        "import sys\n"
        "from mcp_tui.sources.http import load_httpx\n"
        "def broken(self, *a, **k):\n"
        "    raise ZeroDivisionError('in the midst of it')\n"
        "load_httpx().AsyncClient.build_request = broken\n"
        "from mcp_tui.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    whose = [user for user in USERS if user != "failing"]
    for user in whose:
        done = subprocess.run(
            [sys.executable, "-c", script, "--context", user, "job", "show", "a"],
            cwd=place.folder,
            env=place.env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 70, done.stderr
        assert not found_in(done.stdout + done.stderr)
    assert not found_in(place.started())
    kept = place.kept()
    assert kept.count(b"ZeroDivisionError") >= len(whose) and not found_in(kept), kept[-2000:]


def test_nothing_of_ours_repeats_a_credential_in_its_repr(place: Place) -> None:
    from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig

    kubeconfig = load_kubeconfig(place.env)

    async def all_reprs() -> str:
        from mcp_tui.config import load
        from mcp_tui.sources.connect import Connection

        config = load(None, place.env)
        said = [repr(config)]
        for name in USERS:
            info = kubeconfig.context(name)
            connection = Connection(info, config.for_context(name), env=place.env)
            said += [repr(info), repr(connection), repr(connection.kube)]
            said += [repr(connection.mlflow), repr(connection.kube.credentials)]
            await connection.aclose()
        return "\n".join(said)

    assert not found_in(asyncio.run(all_reprs()).encode())


async def test_what_others_left_in_a_run_is_not_shown(scene: Scene) -> None:
    """CI systems check out by an address with a token in it, and MLflow keeps that address."""
    client = mlflow_client(str(scene.ground.mlflow))
    address = f"https://x-access-token:{SECRETS['checkout token']}@git.example.org/o/r.git"
    data = json.dumps({"uri": f"s3://key:{SECRETS['checkout token']}@bucket/clicks"})
    runs = []
    try:
        experiment = await client.call(
            "POST", "/api/2.0/mlflow/experiments/create", {"name": scene.experiment}
        )
        for number in range(2):
            tags = {keys.TAG_REPO: address, "mlflow.source.name": address, "n": str(number)}
            made = await client.call(
                "POST",
                "/api/2.0/mlflow/runs/create",
                {
                    "experiment_id": experiment["experiment_id"],
                    "tags": [{"key": key, "value": value} for key, value in tags.items()],
                },
            )
            runs.append(str(made["run"]["info"]["run_id"]))
            param = {"run_id": runs[-1], "key": "from", "value": f"{number} of {address}"}
            await client.call("POST", "/api/2.0/mlflow/runs/log-parameter", param)
            dataset = {"name": "clicks", "digest": "1", "source_type": "s3", "source": data}
            await client.call(
                "POST",
                "/api/2.0/mlflow/runs/log-inputs",
                {"run_id": runs[-1], "datasets": [{"dataset": dataset, "tags": []}]},
            )
    finally:
        await client.aclose()
    said = []
    for words in (
        ("run", "show", runs[0]),
        ("run", "show", runs[0], "-o", "json"),
        ("run", "ls", "-e", scene.experiment, "-o", "json"),
        ("run", "ls", "-e", scene.experiment, "-o", "wide"),
        ("run", "compare", *runs, "-o", "csv"),
        ("run", "compare", *runs, "-o", "md"),
    ):
        code, out, err = await scene.run(*words)
        assert code == 0, err
        said.append(out + err)
    assert not [found_in(text.encode()) for text in said if MARK in text]
    assert "https://git.example.org/o/r.git" in said[0]
    assert "s3://bucket/clicks" in said[1]
    # Nor is one put there by hand: who reads the run reads it.
    code, _, err = await scene.run("run", "tag", runs[0], "mine=ok", "from=https://a:b@c/d")
    assert code == 2
    assert "credential" in err


async def test_an_action_that_gets_through_tells_nobody(scene: Scene) -> None:
    """On the real servers: a submission, a retry and a cancellation, with all that they leave."""
    token = scene.ground.dev.tokens["admin"]
    folder = scene.config.parent
    scene.env = {**scene.env, **telling(folder)}
    config = json.loads(scene.config.read_text())
    config["env"] = {"API_KEY": SECRETS["config env"]}
    config["code"]["url"] = f"ssh://git@127.0.0.1{folder}/repo"
    scene.config.write_text(json.dumps(config))
    outputs: list[str] = []
    with Watching() as watching:
        code, out, err = await scene.run("job", "submit", "--config", str(scene.config))
        assert code == 0, err
        outputs += [out, err]
        [job] = await scene.jobs()
        name = job["metadata"]["name"]
        for args in (
            ("job", "retry", name),
            ("job", "show", name),
            ("job", "ls", "-o", "json"),
            ("job", "cancel", name, "--confirm", name),
            ("journal", "-o", "json"),
            ("doctor",),
        ):
            code, out, err = await scene.run(*args)
            # It may have ended by itself, and is not cancelled then.
            assert code == 0 or args[1:2] == ("cancel",) or args == ("doctor",), err
            outputs += [out, err]
    events = await asyncio.to_thread(
        scene.ground.api, "GET", f"/api/v1/namespaces/{scene.namespace}/events"
    )
    state = [f.read_text() for f in Path(scene.env["XDG_STATE_HOME"]).rglob("*") if f.is_file()]
    left = [*outputs, *state, json.dumps(events.ok()), json.dumps(await scene.runs())]
    left += [line.decode(errors="replace") for line in watching.seen]
    started = Place(folder, dict(scene.env)).started().decode()
    assert "\ngit '" in started and "\nssh '" in started, started
    left.append(started)
    assert SECRETS["config env"] in json.dumps(job), "it is where it belongs"
    for text in left:
        assert token not in text and MARK not in text, text[:2000]
