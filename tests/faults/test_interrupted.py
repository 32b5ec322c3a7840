"""A submission that is interrupted or killed between its run and its job: a real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
import pytest_asyncio

from mcp_tui.actions.unfinished import look_for
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Target
from tests.cluster import Ground
from tests.cluster.plane import REPO
from tests.e2e.conftest import repository
from tests.faults.acting import mlflow_client
from tests.faults.proxy import Act, Fault, FaultProxy, Hold, Stall

DEADLINE = 60.0


@dataclass
class Scene:
    """Real servers behind proxies, and ``mcp-tui`` as a process that knows only those."""

    ground: Ground
    namespace: str
    kube: FaultProxy
    mlflow: FaultProxy
    config: Path
    experiment: str
    env: Mapping[str, str]
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(
        self,
        *args: str,
        ignored: int = 0,
        stdout: int | IO[str] = asyncio.subprocess.PIPE,
        stderr: int = asyncio.subprocess.PIPE,
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mcp_tui", "-n", self.namespace, *args),
            cwd=REPO,
            env=dict(self.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=(lambda: signal.signal(ignored, signal.SIG_IGN)) if ignored else None,
        )
        self.processes.append(process)
        return process

    async def run(self, *args: str) -> tuple[int, str, str]:
        return await ended(await self.start(*args))

    async def submit(self, *, ignored: int = 0) -> asyncio.subprocess.Process:
        return await self.start("job", "submit", "--config", str(self.config), ignored=ignored)

    async def jobs(self) -> Sequence[dict[str, Any]]:
        path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        answer = await asyncio.to_thread(self.ground.api, "GET", path)
        return list(answer.ok()["items"])

    async def runs(self) -> Sequence[dict[str, Any]]:
        client = mlflow_client(str(self.ground.mlflow))
        try:
            found = await client.get_experiment_by_name(self.experiment)
            if found is None:
                return []
            search = {"experiment_ids": [found.experiment_id]}
            answer = await client.call("POST", "/api/2.0/mlflow/runs/search", search)
            return list(answer.get("runs") or [])
        finally:
            await client.aclose()

    def journal(self) -> list[dict[str, Any]]:
        path = Path(self.env["XDG_STATE_HOME"]) / "mcp-tui" / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def proxy(self, side: str) -> FaultProxy:
        return self.kube if side == "kube" else self.mlflow


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    out = out or b""
    assert b"Traceback" not in out + err, err
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest_asyncio.fixture
async def scene(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Scene]:
    kube = FaultProxy(ground.dev.server, ca=ground.dev.ca)
    async with staged(ground, namespace, tmp_path, kube, FaultProxy(str(ground.mlflow))) as it:
        yield it


@contextlib.asynccontextmanager
async def staged(
    ground: Ground, namespace: str, tmp_path: Path, kube: FaultProxy, mlflow: FaultProxy
) -> AsyncIterator[Scene]:
    """A scene behind these proxies."""
    repository(tmp_path / "repo")
    experiment = f"interrupted-{secrets.token_hex(4)}"
    config = tmp_path / "config.yaml"
    config.write_text(
        json.dumps(
            {
                "name": "cut",
                "image": "none",
                "code": {"url": f"file://{tmp_path}/repo", "ref": "main"},
                "command": "true",
                "experiment": experiment,
                "total_steps": 7,
                "node_selector": {"type": "kwok"},
                "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
            }
        )
    )
    async with kube, mlflow:
        kubeconfig = kube.kubeconfig(tmp_path / "kubeconfig", token=ground.dev.tokens["admin"])
        settings = tmp_path / "mcp-tui.toml"
        settings.write_text(f'[contexts.faulty]\ntier = "dev"\nmlflow = "{mlflow.url}"\n')
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
            "KUBECONFIG": str(kubeconfig),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        it = Scene(ground, namespace, kube, mlflow, config, experiment, env)
        try:
            yield it
        finally:
            for process in it.processes:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()


async def reached(proxy: FaultProxy, fault: Fault, process: asyncio.subprocess.Process) -> None:
    """Wait until a call was met by ``fault``."""
    async with asyncio.timeout(DEADLINE):
        while not fault.hits:
            assert process.returncode is None, await ended(process)
            await asyncio.sleep(0.02)


def holding(scene: Scene, side: str, method: str, path: str, act: Act) -> tuple[FaultProxy, Fault]:
    proxy = scene.proxy(side)
    return proxy, proxy.add(Fault(act, method=method, path=path, nth=1))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
async def test_between_run_and_job_the_run_is_killed(
    scene: Scene, number: signal.Signals, code: int
) -> None:
    proxy, fault = holding(scene, "mlflow", "POST", "runs/log-batch", Stall())
    process = await scene.submit()
    await reached(proxy, fault, process)
    process.send_signal(number)
    got, _, err = await ended(process)
    assert got == code, err
    [run] = await scene.runs()
    assert run["info"]["status"] == "KILLED"
    assert f"run {run['info']['run_id']} was marked KILLED" in err
    assert "interrupted before the job was made" in err
    assert "look for it" not in err
    assert await scene.jobs() == []
    started, last = scene.journal()
    assert (started["event"], last["event"]) == ("started", "ended")
    assert last["outcomes"][0]["status"] == "failed" and "KILLED" in last["outcomes"][0]["message"]


async def test_a_retry_that_is_interrupted_leaves_its_parents_run_alone(scene: Scene) -> None:
    code, _, err = await ended(await scene.submit())
    assert code == 0, err
    [job], [old] = await scene.jobs(), await scene.runs()
    proxy, fault = holding(scene, "mlflow", "POST", "runs/log-batch", Stall())
    process = await scene.start("job", "retry", job["metadata"]["name"])
    await reached(proxy, fault, process)
    process.send_signal(signal.SIGINT)
    code, _, err = await ended(process)
    assert code == 130, err
    runs = {r["info"]["run_id"]: r["info"]["status"] for r in await scene.runs()}
    assert len(runs) == 2
    assert runs.pop(old["info"]["run_id"]) == old["info"]["status"]
    assert list(runs.values()) == ["KILLED"], err
    assert [j["metadata"]["uid"] for j in await scene.jobs()] == [job["metadata"]["uid"]]


async def test_while_the_run_is_made_it_is_looked_for_and_killed(scene: Scene) -> None:
    proxy, fault = holding(scene, "mlflow", "POST", "runs/create", Hold())
    process = await scene.submit()
    await reached(proxy, fault, process)
    assert isinstance(fault.act, Hold)
    await asyncio.wait_for(fault.act.reached.wait(), DEADLINE)
    process.send_signal(signal.SIGINT)
    code, _, err = await ended(process)
    assert code == 130
    [run] = await scene.runs()
    assert run["info"]["status"] == "KILLED", err
    assert await scene.jobs() == []


async def test_a_job_that_never_arrived_leaves_no_open_run(scene: Scene) -> None:
    proxy, fault = holding(scene, "kube", "POST", r"/jobs$", Stall())
    process = await scene.submit()
    await reached(proxy, fault, process)
    process.send_signal(signal.SIGINT)
    code, _, err = await ended(process)
    assert code == 130
    [run] = await scene.runs()
    assert run["info"]["status"] == "KILLED"
    assert "interrupted while the job was on its way: not there; run" in err
    # It may still arrive: how to see that is said.
    assert f"-l {keys.PLAN_ID}=" in err
    assert await scene.jobs() == []
    assert scene.journal()[-1]["outcomes"][0]["status"] == "unknown"


async def test_a_terminal_that_is_gone_changes_nothing_of_it(scene: Scene) -> None:
    proxy, fault = holding(scene, "mlflow", "POST", "runs/log-batch", Stall())
    gone, end = os.pipe()
    process = await scene.start(
        "job", "submit", "--config", str(scene.config), stdout=end, stderr=end
    )
    os.close(end)
    await reached(proxy, fault, process)
    os.close(gone)
    process.send_signal(signal.SIGHUP)
    assert await asyncio.wait_for(process.wait(), DEADLINE) == 129
    [run] = await scene.runs()
    assert run["info"]["status"] == "KILLED"
    assert await scene.jobs() == []
    assert "KILLED" in scene.journal()[-1]["outcomes"][0]["message"]


async def test_what_nobody_is_told_of_is_done_and_its_code_is_that_of_the_end(
    scene: Scene,
) -> None:
    gone, end = os.pipe()
    os.close(gone)
    process = await scene.start(
        "job", "submit", "--config", str(scene.config), stdout=end, stderr=end
    )
    os.close(end)
    assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
    [run], [job] = await scene.runs(), await scene.jobs()
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert tags[keys.TAG_UID] == job["metadata"]["uid"]
    assert scene.journal()[-1]["outcomes"][0]["status"] == "proven"
    async with asyncio.timeout(DEADLINE):
        while not job["status"].get("succeeded"):
            await asyncio.sleep(0.1)
            [job] = await scene.jobs()
    name = job["metadata"]["name"]
    with open("/dev/full", "w") as full:
        for word, expected in (("faulty/other", 3), (f"faulty/{name}", 0)):
            process = await scene.start("job", "delete", name, "--confirm", word, stdout=full)
            code, _, err = await ended(process)
            assert code == expected, err
    assert "cannot write the output: No space left" in err
    assert scene.journal()[-1]["outcomes"][0]["status"] == "proven"


async def test_a_job_that_was_made_goes_on_with_its_run(scene: Scene) -> None:
    proxy, fault = holding(scene, "kube", "POST", r"/jobs$", Hold())
    process = await scene.submit()
    await reached(proxy, fault, process)
    assert isinstance(fault.act, Hold)
    await asyncio.wait_for(fault.act.reached.wait(), DEADLINE)
    process.send_signal(signal.SIGINT)
    code, _, err = await ended(process)
    assert code == 130
    [run], [job] = await scene.runs(), await scene.jobs()
    assert run["info"]["status"] == "RUNNING"
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert tags[keys.TAG_UID] == job["metadata"]["uid"]
    plan = job["metadata"]["labels"][keys.PLAN_ID]
    assert f"{keys.PLAN_ID}={plan}" in err and "accepted; interrupted" in err
    assert scene.journal()[-1]["outcomes"][0]["status"] == "unproven"


async def test_a_job_whose_answer_comes_in_time_gets_all_that_belongs_to_it(scene: Scene) -> None:
    proxy, fault = holding(scene, "kube", "POST", r"/jobs$", Hold())
    process = await scene.submit()
    await reached(proxy, fault, process)
    assert isinstance(fault.act, Hold)
    await asyncio.wait_for(fault.act.reached.wait(), DEADLINE)
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    while b"interrupted: ending" not in await asyncio.wait_for(process.stderr.readline(), DEADLINE):
        pass
    fault.act.release.set()
    code, _, _ = await ended(process)
    assert code == 130
    [run], [job] = await scene.runs(), await scene.jobs()
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert tags[keys.TAG_UID] == job["metadata"]["uid"]


async def test_a_run_that_cannot_be_ended_is_said(scene: Scene) -> None:
    proxy, fault = holding(scene, "mlflow", "POST", "runs/log-batch", Stall())
    scene.mlflow.add(Fault(Stall(), path="runs/(get|update)"))
    process = await scene.submit()
    await reached(proxy, fault, process)
    process.send_signal(signal.SIGINT)
    code, _, err = await ended(process)
    assert code == 130
    [run] = await scene.runs()
    assert run["info"]["status"] == "RUNNING"
    assert f"run {run['info']['run_id']} is still open: MLflow did not answer" in err
    assert await scene.jobs() == []


@pytest.mark.parametrize("made", [False, True], ids=["not made", "made"])
async def test_what_a_kill_left_is_said_at_the_next_start(scene: Scene, made: bool) -> None:
    hold = Hold()
    side, path, act = ("kube", r"/jobs$", hold) if made else ("mlflow", "log-batch", Stall())
    proxy, fault = holding(scene, side, "POST", path, act)
    process = await scene.submit()
    await reached(proxy, fault, process)
    if made:
        await asyncio.wait_for(hold.reached.wait(), DEADLINE)
    # While it goes on, nobody is told that it did not end.
    listed = await scene.run("journal")
    assert "did not end" not in listed[2] and "goes on" in listed[1]
    process.kill()
    await process.wait()
    [started] = scene.journal()
    plan, [target] = started["plan"], started["targets"]
    command = look_for(
        Target(context="faulty", kind="Job", namespace=scene.namespace, name=target["name"]), plan
    )
    scene.kube.clear()
    scene.mlflow.clear()
    for args in (
        ("job", "submit", "--config", str(scene.config), "--dry-run"),
        ("journal",),
        ("journal", "--context", "faulty"),
    ):
        code, _, err = await scene.run(*args)
        assert code == 0, err
        [said] = [line for line in err.splitlines() if "did not end" in line]
        assert f"submit {scene.namespace}/{target['name']}" in said
        assert f"whether its job was made says: {command}" in said
    other = await scene.run("journal", "--context", "other")
    assert "did not end" not in other[2]
    _, told, _ = await scene.run(*shlex.split(command)[1:], "-o", "name")
    assert told == (f"job/{target['name']}\n" if made else "")


async def test_nohup_is_left_as_it_is(scene: Scene) -> None:
    proxy, fault = holding(scene, "mlflow", "POST", "runs/log-batch", Hold())
    process = await scene.submit(ignored=signal.SIGHUP)
    await reached(proxy, fault, process)
    process.send_signal(signal.SIGHUP)
    assert isinstance(fault.act, Hold)
    fault.act.release.set()
    code, out, err = await ended(process)
    assert code == 0, err
    assert "proven" in out
