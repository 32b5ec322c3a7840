"""MLflow with its own basic authentication, behind TLS of an authority that nobody knows."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mcp_tui.config import Config, Endpoint, load
from mcp_tui.domain.run import Metric
from mcp_tui.errors import ApiError, RefusedError, UnreachableError, UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.cluster.process import Processes, answers
from tests.cluster.servers import start_mlflow
from tests.faults.proxy import FaultProxy

pytestmark = pytest.mark.real

USER = "robot"
PASSWORD = "correct: hörse % battery"
KEEPER = ("keeper", "keeper-of-the-keys")


@dataclass(frozen=True)
class Guarded:
    """The server, and an experiment that :data:`USER` may read only."""

    url: str
    foreign: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """MLflow's own server with its own authentication."""
    home = tmp_path_factory.mktemp("guarded")
    settings = home / "auth.ini"
    settings.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{home / 'auth.db'}\n"
        f"admin_username = {KEEPER[0]}\nadmin_password = {KEEPER[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    processes = Processes(secrets.token_hex(8), home / "logs")
    url = start_mlflow(
        processes,
        home / "mlflow",
        flags=["--app-name", "basic-auth"],
        env={
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        },
    )
    try:
        processes.wait("mlflow", lambda: answers(f"{url}/health"), deadline=240)
        with httpx.Client(base_url=f"{url}/api/2.0/mlflow", auth=KEEPER, timeout=30) as keeper:
            user = {"username": USER, "password": PASSWORD}
            keeper.post("/users/create", json=user).raise_for_status()
            made = keeper.post("/experiments/create", json={"name": "the keeper's"})
            yield Guarded(url, made.raise_for_status().json()["experiment_id"])
    finally:
        processes.end()


@pytest.fixture
async def front(guarded: Guarded, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    """TLS in front of it."""
    async with FaultProxy(guarded.url, tls=tmp_path / "tls") as proxy:
        yield proxy


def ca(front: FaultProxy) -> str:
    assert front.authority is not None
    return str(front.authority.cert)


def written(path: Path, front: FaultProxy, credential: str, context: str = "dev") -> Path:
    """The configuration as the README documents it."""
    path.write_text(
        f'[contexts.{context}]\ntier = "dev"\n'
        f'[contexts.{context}.mlflow]\nurl = "{front.url}"\nca_file = "{ca(front)}"\n'
        f'username = "{USER}"\n{credential}\n'
    )
    return path


def client(config: Config, env: dict[str, str]) -> MlflowClient:
    endpoint = config.for_context("dev", env).mlflow
    assert endpoint is not None
    return MlflowClient(connect("mlflow", endpoint, gate=Gate(False), env=env))


async def test_a_password_in_a_file_opens_it(front: FaultProxy, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    mlflow = client(
        load(written(tmp_path / "config.toml", front, f'password_file = "{secret}"'), {}), {}
    )
    assert (await mlflow.version()).startswith("3.")
    assert await mlflow.current_user() == USER  # by its word, and not by our configuration
    await mlflow.aclose()


async def test_a_password_in_the_environment_opens_it(
    front: FaultProxy, guarded: Guarded, tmp_path: Path
) -> None:
    config = load(written(tmp_path / "config.toml", front, 'password_env = "MLFLOW_SECRET"'), {})
    mlflow = client(config, {"MLFLOW_SECRET": PASSWORD})
    # Together, so that they race for the connection.
    version, experiment = await asyncio.gather(
        mlflow.version(), mlflow.ensure_experiment(f"auth {secrets.token_hex(4)}")
    )
    assert version.startswith("3.")
    run = await mlflow.create_run(experiment.experiment_id, run_name="r", tags={}, start_time_ms=1)
    await mlflow.log_batch(run.run_id, metrics=[Metric(key="loss", value=1.0, timestamp=1, step=3)])
    assert (await mlflow.get_run(run.run_id)).newest_step == 3
    # What this user may not do is refused in MLflow's words, and is no matter of a password.
    with pytest.raises(ApiError) as caught:
        await mlflow.create_run(guarded.foreign, run_name="x", tags={}, start_time_ms=1)
    assert caught.value.status == 403
    assert "Permission denied" in caught.value.line()
    await mlflow.aclose()


async def test_a_wrong_password_is_one_clear_line(front: FaultProxy, tmp_path: Path) -> None:
    path = written(tmp_path / "config.toml", front, 'password_env = "MLFLOW_SECRET"')
    mlflow = client(load(path, {}), {"MLFLOW_SECRET": "wr0ng"})
    with pytest.raises(ApiError) as caught:
        await mlflow.version()
    line = caught.value.line()
    assert (caught.value.status, "\n" in line, "wr0ng" in line) == (401, False, False)
    assert "You are not authenticated" in line
    assert line.endswith("check the credentials configured for MLflow")
    await mlflow.aclose()


async def test_a_password_that_is_not_there_is_not_sent(front: FaultProxy, tmp_path: Path) -> None:
    path = written(tmp_path / "config.toml", front, 'password_env = "MLFLOW_SECRET"')
    mlflow = client(load(path, {}), {})
    with pytest.raises(RefusedError, match="environment variable MLFLOW_SECRET: the password is"):
        await mlflow.version()
    assert front.calls == []
    await mlflow.aclose()


async def test_an_authority_that_is_not_configured_is_not_trusted(front: FaultProxy) -> None:
    endpoint = Endpoint(url=front.url, username=USER, password_env="P")
    mlflow = MlflowClient(connect("mlflow", endpoint, gate=Gate(False), env={"P": PASSWORD}))
    with pytest.raises(UnreachableError) as caught:
        await mlflow.version()
    assert "certificate" in caught.value.line() and "ca_file" in caught.value.hint
    assert front.calls == []
    await mlflow.aclose()


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_ca_file_that_is_none_is_named(
    front: FaultProxy, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    endpoint = Endpoint(url=front.url, ca_file=str(path))
    mlflow = MlflowClient(connect("mlflow", endpoint, gate=Gate(False), env={}))
    with pytest.raises(UsageError, match=r"ca\.pem: ca_file cannot be used"):
        await mlflow.version()
    await mlflow.aclose()


# --- the command line


async def mcp_tui(env: dict[str, str], *args: str) -> tuple[int, str, set[str]]:
    """Run it; returns its exit code, all that it said, and every command line seen meanwhile."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcp_tui", *args, cwd=REPO, env=env,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    seen: set[str] = set()

    async def look() -> None:
        while True:
            seen.update(await asyncio.to_thread(command_lines))
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        async with asyncio.timeout(120):
            out, _ = await process.communicate()
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert process.returncode is not None
    return process.returncode, out.decode(), seen


def command_lines() -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add((entry / "cmdline").read_bytes().decode("utf-8", "replace"))
            except OSError:
                continue
    return found


@pytest.fixture
def env(ground: Ground, tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return {
        **kept,
        "KUBECONFIG": str(ground.dev.kubeconfig),
        "MCP_TUI_CONFIG": str(tmp_path / "config.toml"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def train_config(folder: Path) -> Path:
    import subprocess

    repo = folder / "repo"
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(repo)], check=True)
    commit = ["git", *who, "-C", str(repo), "commit", "-q", "--allow-empty", "-m", "one"]
    subprocess.run(commit, check=True)
    path = folder / "train-config.yaml"
    body = {
        "name": "guarded",
        "image": "busybox",
        "command": "true",
        "code": {"url": f"file://{repo}"},
        "experiment": f"guarded-{secrets.token_hex(4)}",
    }
    path.write_text(json.dumps(body))
    return path


async def test_a_job_is_followed_and_the_password_stands_nowhere(
    front: FaultProxy, ground: Ground, namespace: str, env: dict[str, str], tmp_path: Path
) -> None:
    written(tmp_path / "config.toml", front, 'password_env = "MLFLOW_SECRET"')
    config = train_config(tmp_path)
    env["MLFLOW_SECRET"] = PASSWORD
    code, said, seen = await mcp_tui(
        env, "-n", namespace, "job", "submit", "--config", str(config), "--watch"
    )
    assert code == 0, said
    assert front.count("runs/create") == 1
    (job,) = ground.api("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs").ok()["items"]
    state = [p for p in (tmp_path / "state").rglob("*") if p.is_file()]
    assert state, "no journal was written, so that nothing is proved"
    journal = b"".join(path.read_bytes() for path in state).decode()
    assert front.url in said + journal + json.dumps(job)
    assert any("job\0submit" in line for line in seen)
    from base64 import b64encode

    encoded = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for secret in (PASSWORD, json.dumps(PASSWORD)[1:-1], encoded):
        for where in (said, journal, json.dumps(job, ensure_ascii=False), *seen):
            assert secret not in where


async def test_a_wrong_password_ends_a_submission_before_anything_is_made(
    front: FaultProxy, ground: Ground, namespace: str, env: dict[str, str], tmp_path: Path
) -> None:
    written(tmp_path / "config.toml", front, 'password_env = "MLFLOW_SECRET"')
    config = train_config(tmp_path)
    env["MLFLOW_SECRET"] = "wr0ng-password"
    code, said, seen = await mcp_tui(env, "-n", namespace, "job", "submit", "--config", str(config))
    assert code == 3, said
    last = said.strip().splitlines()[-1]
    assert "You are not authenticated" in last
    assert "check the credentials configured for MLflow" in last
    assert "wr0ng-password" not in said + "".join(seen)
    assert front.count("create") == 0
    assert ground.api("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs").ok()["items"] == []
    code, said, _ = await mcp_tui(env, "--context", "dev", "doctor", "-o", "json")
    found = {f["what"]: f for f in json.loads(said)}
    assert (code, found["mlflow"]["verdict"]) == (4, "FAIL")
    assert "You are not authenticated" in found["mlflow"]["message"]
    assert "wr0ng-password" not in said


async def test_mlflows_own_variables_are_enough(guarded: Guarded) -> None:
    env = {
        "MLFLOW_TRACKING_URI": guarded.url,
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    mlflow = client(Config(), env)
    assert (await mlflow.version()).startswith("3.")
    await mlflow.aclose()
