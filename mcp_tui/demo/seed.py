"""The demo's simulator: it makes the Git repository, submits jobs, and keeps the list alive.

``python -P -m mcp_tui.demo.seed --dir D --mlflow URL``. Jobs are planned and applied by the same
code as ``mcp-tui job submit``, as the administrator of the embedded control plane. It deletes only
jobs that it submitted itself, and never more than it submits.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import logging
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Scope, plan_delete, plan_hold
from mcp_tui.actions.journal import Journal
from mcp_tui.actions.submit import Code, plan_submit
from mcp_tui.config import ContextConfig, Endpoint
from mcp_tui.demo.seed_jobs import ACCELERATOR, ACCELERATORS, BASE, FATES, QUEUE, Fate
from mcp_tui.demo.seed_queue import Queue
from mcp_tui.demo.seed_repo import SOURCE, Repository, make_repository
from mcp_tui.demo.stack_files import NAMESPACE, repository_url
from mcp_tui.domain import keys
from mcp_tui.domain.plan import OutcomeStatus, Plan, Target, Tier
from mcp_tui.domain.trainconfig import TrainConfig, parse_train_config
from mcp_tui.errors import GoneError, McpTuiError
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig

_LOG: Final = logging.getLogger(__name__)
_MOST: Final = 26
"""Jobs in the list, at which finished ones are deleted."""
_CODE: Final = "demo-code"


def _silent(text: str) -> None:
    """Progress of an action: nobody looks."""


class Simulator:
    """Submits and deletes jobs until it is cancelled.

    Args:
        directory: The demo's.
        mlflow: URL of the tracking server.
        rng: Which job comes next, and when.
    """

    def __init__(self, directory: Path, mlflow: str, rng: random.Random) -> None:
        self.directory = directory
        self.rng = rng
        kube = load_kubeconfig({}, directory / "kubeconfig")
        settings = ContextConfig(name="demo", tier=Tier.DEV, mlflow=Endpoint(url=mlflow))
        self.connection = Connection(kube.context("demo"), settings, env=dict(os.environ))
        self.mlflow = mlflow
        self.engine = Engine(
            self.connection.kube,
            self.connection.mlflow,
            Scope(context="demo", tier=Tier.DEV),
            Journal(directory / "simulator"),
            proof_timeout=10.0,
        )
        self.repository: Repository | None = None
        self.mine: dict[str, tuple[Fate, Target]] = {}

    async def run(self) -> None:
        """Seed, then go on for ever."""
        await self._wait(self._node_ready)
        await self._make_code()
        for fate in FATES:
            if not fate.run:
                await self._try(fate)
        client = self.connection.mlflow
        assert client is not None
        await self._wait(client.version)
        for fate in FATES:
            if fate.run:
                await self._try(fate)
                await asyncio.sleep(0.5)
        while True:
            await asyncio.sleep(self.rng.uniform(20.0, 40.0))
            try:
                await self._step()
            except McpTuiError as error:
                _LOG.warning("%s", error.line())

    def queue(self) -> Queue:
        """The queue that jobs of the demo name."""
        return Queue(
            self.connection.kube,
            namespace=NAMESPACE,
            name=QUEUE,
            resource=ACCELERATOR,
            quota=ACCELERATORS,
        )

    async def _wait(self, call: Callable[[], Any]) -> None:
        while True:
            try:
                await call()
                return
            except McpTuiError:
                await asyncio.sleep(0.2)

    async def _node_ready(self) -> None:
        """Raises GoneError while no node is ready: every job would be Unschedulable at first."""
        page = await self.connection.kube.get("/api/v1/nodes", dict[str, Any])
        for node in page.get("items") or ():
            for condition in (node.get("status") or {}).get("conditions") or ():
                if condition["type"] == "Ready" and condition["status"] == "True":
                    return
        raise GoneError("no node is ready")

    async def _make_code(self) -> None:
        """The repository; where git is missing, the program as a ConfigMap."""
        if shutil.which("git"):
            self.repository = await make_repository(self.directory / "repo", os.environ)
            return
        for namespace in sorted({fate.namespace for fate in FATES}):
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": _CODE, "namespace": namespace},
                "data": {"train.py": (SOURCE / "train.py").read_text()},
            }
            path = f"/api/v1/namespaces/{namespace}/configmaps"
            await self.connection.kube.send("POST", path, body, dict[str, Any])

    async def _step(self) -> None:
        """One more job, and room for it."""
        found = await self._jobs()
        for uid in set(self.mine) - set(found):
            del self.mine[uid]
        there = {fate.name for fate, _ in self.mine.values()}
        missing = [fate for fate in FATES if fate.keep and fate.name not in there]
        if missing:
            fate = missing[0]
        else:
            weighted = [fate for fate in FATES if fate.weight]
            fate = self.rng.choices(weighted, [f.weight for f in weighted])[0]
        await self._try(fate)
        await self._make_room(found)

    async def _jobs(self) -> dict[str, Mapping[str, Any]]:
        """The jobs there are, by uid."""
        page = await self.connection.kube.get("/apis/batch/v1/jobs", dict[str, Any])
        return {item["metadata"]["uid"]: item for item in page.get("items") or ()}

    async def _make_room(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        mine = [
            (item["metadata"]["creationTimestamp"], uid)
            for uid, item in found.items()
            if uid in self.mine and _finished(item)
        ]
        for _, uid in sorted(mine)[: max(0, len(found) + 1 - _MOST)]:
            _, target = self.mine[uid]
            seen = await self.engine.see("Job", target.namespace, target.name, uid)
            await self.engine.apply(plan_delete(self.engine.scope, [seen]), progress=_silent)
            self.mine.pop(uid, None)

    async def _try(self, fate: Fate) -> None:
        try:
            await self._submit(fate)
        except McpTuiError as error:
            _LOG.warning("%s: %s", fate.name, error.line())
        except Exception:  # noqa: BLE001 - one fate's defect, which is logged, must not end the others
            _LOG.exception("%s: not submitted", fate.name)

    async def _submit(self, fate: Fate) -> None:
        plan = await self._plan(fate)
        (outcome,) = await self.engine.apply(plan, progress=_silent)
        if outcome.status is OutcomeStatus.FAILED:
            _LOG.warning("%s: %s", fate.name, outcome.message)
            return
        target = outcome.target
        self.mine[target.uid] = (fate, target)
        if fate.suspend:
            seen = await self.engine.see("Job", target.namespace, target.name, target.uid)
            hold = plan_hold(self.engine.scope, [seen], suspend=True)
            await self.engine.apply(hold, progress=_silent)

    async def _plan(self, fate: Fate) -> Plan:
        config = self._config(fate)
        commits = self.repository.commits if self.repository is not None else {}
        tracking = None
        if fate.run:
            tracking = await self.engine.tracking(config.experiment, self.mlflow)
        url = repository_url(self.directory)
        plan = plan_submit(
            self.engine.scope,
            msgspec.structs.replace(config, namespace=fate.namespace),
            Code(url=url, ref=fate.branch, commit=commits.get(fate.branch, "0" * 40)),
            namespace=fate.namespace,
            user=fate.user,
            now=time.time(),
            tracking=tracking,
        )
        writes = tuple(
            msgspec.structs.replace(write, body=self._shaped(write.body, fate))
            if write.path.endswith("/jobs")
            else write
            for write in plan.writes
        )
        return msgspec.structs.replace(plan, writes=writes)

    def _config(self, fate: Fate) -> TrainConfig:
        """Through the text of a train config, as a user's would come."""
        import yaml

        parameters = {**BASE["parameters"], **fate.config.get("parameters", {})}
        if fate.config.get("command"):
            parameters = {}
        else:
            # No two curves alike.
            parameters["seed"] = str(self.rng.randrange(1000))
        values = {
            **BASE,
            **fate.config,
            "parameters": parameters,
            "name": fate.name,
            "code": {"url": repository_url(self.directory), "ref": fate.branch},
        }
        return parse_train_config(yaml.safe_dump(values), filename=fate.name)

    def _shaped(self, body: Any, fate: Fate) -> Any:
        """The Job with what a train config cannot say; without a clone where there is no git."""
        job = copy.deepcopy(body)
        pod = job["spec"]["template"]["spec"]
        _merge(job["spec"], fate.job)
        _merge(pod, fate.pod)
        if pod["restartPolicy"] != "Never":
            job["spec"].pop("podFailurePolicy", None)
        if self.repository is None:
            pod.pop("initContainers")
            pod["volumes"] = [{"name": "workspace", "configMap": {"name": _CODE}}]
            for name in (keys.GIT_URL, keys.GIT_BRANCH):
                job["metadata"]["annotations"].pop(name, None)
            for meta in (job["metadata"], job["spec"]["template"]["metadata"]):
                meta["labels"].pop(keys.COMMIT, None)
        return job


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Set keys; None takes one away."""
    for key, value in more.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value


def _finished(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _wait_for(path: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)


async def _main(directory: Path, mlflow: str) -> None:
    # Written after the certificates, without which nothing can be called.
    await asyncio.to_thread(_wait_for, directory / "plane" / "kubeconfig", 60.0)
    simulator = Simulator(directory, mlflow, random.Random())  # noqa: S311 - not for secrets
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(simulator.run())
            group.create_task(simulator.queue().run())
    finally:
        await simulator.connection.aclose()


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mcp_tui.demo.seed")
    parser.add_argument("--dir", type=Path, required=True, help="the demo's directory")
    parser.add_argument("--mlflow", required=True, help="URL of the tracking server")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        asyncio.run(_main(given.dir, given.mlflow))
    except McpTuiError as error:
        sys.stderr.write(f"{error.line()}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
