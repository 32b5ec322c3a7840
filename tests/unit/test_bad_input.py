"""What somebody may well give or have, and what is said of it: none of it is a defect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from mcp_tui.cli import journal, runfiles
from mcp_tui.cli.parser import parse
from mcp_tui.config import Endpoint
from mcp_tui.domain.artifact import ArtifactPage, artifact
from mcp_tui.domain.run import Run, RunInfo
from mcp_tui.errors import UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ExecPlugin
from mcp_tui.sources.kubernetes.execplugin import parse_credential, run_plugin
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.mlflow.client import MlflowClient

BYTE = "\udcff"


def run(folder: Path, *args: str, shell: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-c", f'"$@" {shell}', "-", sys.executable, "-m", "mcp_tui", *args],
        env={**os.environ, "XDG_STATE_HOME": str(folder), "KUBECONFIG": str(folder / "no"), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert not (folder / "mcp-tui" / "crash.log").exists()
    return done


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "needs a terminal"),
        ("demo", "needs a terminal"),
        ("job submit --config -", "standard input:1:1: the file is empty"),
    ],
)
def test_a_closed_stdin_is_one_that_nothing_comes_from(
    tmp_path: Path, words: str, said: str
) -> None:
    done = run(tmp_path, *words.split(), shell="<&-")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("words", "called"),
    [
        (["run", "ls", "--filter", BYTE], "--filter"),
        (["run", "ls", "-e", "a", "-e", f"b{BYTE}"], "-e/--experiment"),
        (["run", "experiments", "-e", BYTE], "-e/--experiment"),
        (["run", "ls", "--sort", BYTE], "--sort"),
        (["run", "show", "R", "--artifact", f"{BYTE}/a"], "--artifact"),
        (["run", "download", "R", f"{BYTE}/a"], "PATH"),
        (["job", "show", BYTE], "NAME"),
        (["job", "submit", "--config", "f", "--name", BYTE], "--name"),
        (["job", "shell", "j", "--", "ls", BYTE], "COMMAND"),
        (["job", "ls", "-n", BYTE], "-n/--namespace"),
        (["model", "promote", "m", "--run", BYTE], "--run"),
        (["--context", BYTE], "--context"),
    ],
)
def test_bytes_that_are_no_text_are_refused_and_where_is_said(
    words: list[str], called: str
) -> None:
    with pytest.raises(UsageError, match=f"^{called} has bytes that are no utf-8 text"):
        parse(words)


def test_a_file_may_be_called_anything() -> None:
    name = f"/tmp/{BYTE}"
    args = parse(["--kubeconfig", name, "job", "submit", "--config", name, "--config-file", name])
    assert (args.kubeconfig, args.config, args.config_file) == (name, name, name)
    assert parse(["eval", "r", "--gates", name]).gates == name
    assert parse(["run", "download", "r", "--dir", name]).dir == name
    assert parse(["job", "init", name]).file == name


@pytest.mark.parametrize(
    "value", ["!!bool foo", "!!timestamp foo", '!!int ""', '!!float ""', "!!timestamp 1"]
)
def test_a_tag_that_does_not_fit_is_no_yaml(tmp_path: Path, value: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"contexts: {value}\n")
    with pytest.raises(UsageError, match="not YAML: ") as caught:
        load_kubeconfig({"KUBECONFIG": str(path)})
    assert str(path) in caught.value.line()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "foo://127.0.0.1:1"])
async def test_a_proxy_that_cannot_be_used_is_said(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where it is not installed, whatever is here.
    monkeypatch.setitem(sys.modules, "socksio", None)
    caller = connect(
        "mlflow",
        Endpoint(url="https://mlflow.example"),
        gate=Gate(read_only=True),
        env={"HTTPS_PROXY": proxy},
    )
    with pytest.raises(UsageError, match="the proxy's URL is not usable"):
        await caller.call("GET", "/api/2.0/mlflow/experiments/search")


PLUGIN = ExecPlugin(sys.executable, ("-c", "pass"), provide_cluster_info=True)


def test_a_plugins_answer_that_nests_without_an_end_is_no_json() -> None:
    with pytest.raises(UsageError, match="printed no JSON"):
        parse_credential(b"[" * 100_000, PLUGIN, where="login")


async def told(config: object, **cluster: Any) -> dict[str, Any]:
    """What a plugin is told of its cluster."""
    code = (
        "import json, os; info = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
        "print(json.dumps({'apiVersion': info['apiVersion'], 'kind': 'ExecCredential',"
        " 'status': {'token': json.dumps(info['spec']['cluster'])}}))"
    )
    plugin = ExecPlugin(sys.executable, ("-c", code), provide_cluster_info=True)
    info = ClusterInfo("c", "https://c", exec_config=config, **cluster)
    given = await run_plugin(plugin, info, env={"PATH": os.environ["PATH"]})
    return cast("dict[str, Any]", json.loads(given.token))


async def test_a_date_in_an_extension_is_told_as_text() -> None:
    import yaml

    assert (await told(yaml.safe_load("{since: 2026-01-31}")))["config"] == {"since": "2026-01-31"}


async def test_an_extension_that_is_no_json_is_said() -> None:
    endless: list[object] = []
    endless.append(endless)
    for config in (endless, {(1, 2): 3}):
        with pytest.raises(UsageError, match="is not JSON"):
            await told(config)


async def test_an_authority_that_has_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="authority cannot be read: No such file") as caught:
        await told(None, ca_file=tmp_path / "ca.crt")
    assert str(tmp_path) in caught.value.line()


class Lists:
    """A tracking server that lists the same, whatever it is asked for."""

    where = "MLflow at here"

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    async def list_artifacts(
        self, owner: str, ref: str = "", *, page_token: str = ""
    ) -> ArtifactPage:
        return ArtifactPage(files=tuple(artifact(path, size=1) for path in self.paths))


async def files(ref: str, *paths: str) -> list[tuple[str, PurePosixPath]]:
    client = cast("MlflowClient", Lists(*paths))
    return await runfiles._files(client, Run(info=RunInfo(run_id="r")), ref)


async def test_what_is_outside_of_the_folder_asked_for_is_not_downloaded() -> None:
    assert await files("plots", "plots/a") == [("plots/a", PurePosixPath("plots/a"))]
    assert await files("deep/plots", "deep/plots/a b") == [
        ("deep/plots/a%20b", PurePosixPath("plots/a b"))
    ]
    assert await files("", "a", "b/c") == [("a", PurePosixPath("a")), ("b/c", PurePosixPath("b/c"))]
    for outside in ("other/a", "deep/a", "deep/plots2/a", "a"):
        with pytest.raises(UsageError, match="where it is not"):
            await files("deep/plots", "deep/plots/a", outside)
    with pytest.raises(UsageError, match="not a path inside"):
        await files("deep/plots", "deep/plots/../../../a")


@pytest.mark.parametrize("at", ["1e300", "1e15", "-1e15"])
def test_a_time_that_is_none_hides_no_other_action(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "mcp-tui"
    folder.mkdir()
    line = '{{"at":{},"event":"started","plan":"{}","verb":"cancel","context":"dev","tier":"dev",'
    line += '"targets":[]}}\n'
    (folder / "journal.jsonl").write_text(line.format(at, "p1") + line.format("0", "p2"))
    args = parse(["journal", "-o", "wide"])
    assert journal.journal(args) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["-", "1970-01-01T00:00:00Z"]


def test_a_defect_is_kept_whatever_its_words_and_the_locale(tmp_path: Path) -> None:
    code = (
        "import sys; from mcp_tui import cli; from mcp_tui.cli import parser\n"
        "def parse(argv): raise KeyError('\\u00e9\\u4e16\\udcff')\n"
        "parser.parse = parse; sys.exit(cli.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **{k: v for k, v in os.environ.items() if k not in ("LANG", "LC_CTYPE")},
            "XDG_STATE_HOME": str(tmp_path),
            "LC_ALL": "POSIX",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70, done.stderr
    assert "a defect: KeyError; details are in" in done.stderr
    assert "Traceback" not in done.stderr
    assert "é世" in (tmp_path / "mcp-tui" / "crash.log").read_text("utf-8")
