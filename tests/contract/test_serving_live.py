"""What serves a model's versions, on a real API server beside a real MLflow."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio

from mcp_tui.config import ContextConfig, Endpoint
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.plan import Tier
from mcp_tui.domain.serving import ServingState, serving_of
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.servedmodels import Answers, known_model, served_models
from mcp_tui.store.serving import ServingStore, aliases_of
from mcp_tui.store.servingfeed import ServingFeed
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.live.serving import LiveServing
from tests.cluster import Ground
from tests.cluster.objects import FAKE_TOLERATION
from tests.cluster.plane import REPO
from tests.conftest import Plane
from tests.faults.acting import mlflow_client
from tests.faults.follow import QUICK, until
from tests.faults.proxy import Answer, Fault, FaultProxy, Stall

KINDS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "InferenceService": "/apis/serving.kserve.io/v1beta1/namespaces/{}/inferenceservices",
    "Rollout": "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts",
}
MERGE = "application/merge-patch+json"


def container(image: str = "none", **env: str) -> dict[str, Any]:
    variables = [{"name": key, "value": value} for key, value in env.items()]
    return {"name": "main", "image": image, "env": variables}


def deployment(
    name: str, *, replicas: int = 1, annotations: dict[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    """On the simulated nodes, where its pods become ready at once."""
    return {
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "nodeSelector": {"type": "kwok"},
                    "tolerations": [FAKE_TOLERATION],
                    "containers": [container(**fields)],
                },
            },
        },
    }


class Place:
    """A namespace with what serves in it."""

    def __init__(self, ground: Ground, namespace: str) -> None:
        self.ground = ground
        self.namespace = namespace

    def path(self, kind: str, name: str = "", sub: str = "") -> str:
        parts = (KINDS[kind].format(self.namespace), name, sub)
        return "/".join(part for part in parts if part)

    async def make(self, kind: str, body: dict[str, Any], status: Any = None) -> str:
        """Create an object, and write its status where no controller does."""
        version = KINDS[kind].split("/namespaces")[0].removeprefix("/apis/")
        whole = {"apiVersion": version, "kind": kind, **body}
        made = await asyncio.to_thread(self.ground.api, "POST", self.path(kind), whole)
        uid = str(made.ok()["metadata"]["uid"])
        if status is not None:
            await self.change(kind, body["metadata"]["name"], {"status": status}, "status")
        return uid

    async def change(self, kind: str, name: str, patch: Any, sub: str = "") -> None:
        path = self.path(kind, name, sub)
        api = self.ground.api
        (await asyncio.to_thread(api, "PATCH", path, patch, content_type=MERGE)).ok()

    async def delete(self, kind: str, name: str) -> None:
        (await asyncio.to_thread(self.ground.api, "DELETE", self.path(kind, name))).ok()


@pytest.fixture
def place(ground: Ground, namespace: str) -> Place:
    return Place(ground, namespace)


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    made = mlflow_client(str(ground.mlflow))
    yield made
    await made.aclose()


class Registered:
    """A model of two versions of two runs; the first is the champion."""

    def __init__(self, name: str, versions: tuple[ModelVersion, ...]) -> None:
        self.name = name
        self.first, self.second = versions


@pytest.fixture
async def model(mlflow: MlflowClient) -> Registered:
    name = f"ranker-{secrets.token_hex(4)}"
    experiment = await mlflow.create_experiment(name)
    await mlflow.ensure_model(name)
    made = []
    for number in range(2):
        run = await mlflow.create_run(experiment, run_name=f"r{number}", tags={}, start_time_ms=1)
        source = f"{run.info.artifact_uri}/model"
        made.append(await mlflow.create_version(name, source, plan_id="p", run_id=run.run_id))
    await mlflow.set_alias(name, "champion", "1")
    return Registered(name, tuple(made))


@pytest_asyncio.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca) as it:
        yield it


Connect = Callable[[str], Connection]


@pytest_asyncio.fixture
async def connect(ground: Ground, proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[Connect]:
    """Connections through the proxy, as one of the identities."""
    made: list[Connection] = []

    def open_(identity: str = "viewer") -> Connection:
        path = proxy.kubeconfig(tmp_path / f"{identity}.kube", token=ground.dev.tokens[identity])
        info = load_kubeconfig({}, path).context()
        mlflow = Endpoint(url=str(ground.mlflow))
        settings = ContextConfig(name=info.name, tier=Tier.DEV, mlflow=mlflow, read_only=True)
        made.append(Connection(info, settings, env={}))
        return made[-1]

    yield open_
    for each in made:
        await each.aclose()


class Looking:
    """A feed that runs, and its store."""

    def __init__(
        self, connection: Connection, namespace: str | None, *, fallback: str = ""
    ) -> None:
        self.store = ServingStore()
        self.feed = ServingFeed(connection, namespace, self.store, fallback=fallback, timing=QUICK)
        self.feed.start()

    def names(self, version: ModelVersion, *aliases: str) -> list[str]:
        """``KIND/NAME replicas mark`` of what serves a version."""
        self.store.flush()
        return [each.short() for each in self.store.servings_of(version, aliases=aliases)]


async def test_each_kind_is_found_by_what_it_says(
    place: Place, model: Registered, connect: Connect
) -> None:
    first, second = model.first, model.second
    await place.make("Deployment", deployment("by-name", replicas=2, URI=first.uri))
    await place.make(
        "Deployment", deployment("by-alias", annotations={"m": f"models:/{model.name}@champion"})
    )
    await place.make("Deployment", deployment("by-image", image=f"reg/{model.name}:v2"))
    await place.make("Deployment", deployment("other", image="nginx:1.27"))
    storage = {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": second.source}}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    body = {"metadata": {"name": "by-place"}, "spec": {"predictor": storage}}
    await place.make("InferenceService", body, ready)
    canary = deployment("by-run", RUN=f"runs:/{second.run_id}/model")
    await place.make(
        "Rollout", canary, {"readyReplicas": 1, "currentPodHash": "b", "stableRS": "a"}
    )
    looking = Looking(connect("viewer"), place.namespace)
    assert await looking.feed.settle(20)
    assert looking.feed.troubles() == ()
    served = ["Deployment/by-name 2/2", "Deployment/by-alias 1/1 @champion"]
    await until(
        lambda: sorted(looking.names(first, "champion")) == sorted(served),
        why=lambda: str(looking.names(first, "champion")),
    )
    found = looking.store.servings_of(second)
    assert {each.serving.name: each.mark for each in found} == {
        "by-place": "",
        "by-run": "",
        "by-image": "?",
    }
    by_run = next(each for each in found if each.serving.name == "by-run")
    assert "stable side" in by_run.words() and by_run.serving.state is ServingState.SERVING
    assert len(looking.store.table) == 5, "nginx names no model"
    await looking.feed.stop()


async def test_a_new_version_is_followed_and_so_is_an_end(
    place: Place, model: Registered, connect: Connect
) -> None:
    await place.make("Deployment", deployment("web", URI=model.first.uri))
    looking = Looking(connect("viewer"), place.namespace)
    assert await looking.feed.settle(20)
    assert looking.names(model.first) and not looking.names(model.second)
    spec = deployment("web", URI=model.second.uri)["spec"]
    await place.change("Deployment", "web", {"spec": {"template": spec["template"]}})
    await until(lambda: looking.names(model.second) and not looking.names(model.first))
    await place.change("Deployment", "web", {"spec": {"replicas": 0}})
    await until(lambda: looking.names(model.second) == ["Deployment/web scaled to 0"])
    await place.delete("Deployment", "web")
    await until(lambda: not looking.names(model.second))
    await looking.feed.stop()


async def test_nothing_is_asked_once_nobody_looks(
    place: Place, model: Registered, connect: Connect
) -> None:
    await place.make("Deployment", deployment("web", URI=model.first.uri))
    looking = Looking(connect("viewer"), place.namespace)
    assert await looking.feed.settle(20) and looking.names(model.first)
    assert len(_of_the_feed()) == 5
    await looking.feed.stop()
    assert looking.names(model.first) == [] and len(looking.store.table) == 0
    assert _of_the_feed() == [] and not looking.feed.running
    looking.feed.start()
    assert await looking.feed.settle(20)
    assert looking.names(model.first)
    await looking.feed.stop()


def _of_the_feed() -> list[str]:
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in names if name.startswith("ServingFeed")]


async def test_one_who_may_not_watch_lists(
    place: Place, model: Registered, connect: Connect
) -> None:
    await place.make("Deployment", deployment("web", URI=model.first.uri))
    looking = Looking(connect("nowatch"), place.namespace)
    assert await looking.feed.settle(20)
    assert looking.names(model.first)
    await until(lambda: {h.state for h in looking.feed.healths()} == {HealthState.POLLING})
    await looking.feed.stop()


async def test_a_kind_that_may_not_be_listed_is_said_and_hides_no_other(
    place: Place, model: Registered, connect: Connect, proxy: FaultProxy
) -> None:
    no = {"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403,
          "message": "inferenceservices is forbidden"}  # fmt: skip
    fault = proxy.add(Fault(Answer(403, json.dumps(no).encode()), path="/inferenceservices"))
    await place.make("Deployment", deployment("web", URI=model.first.uri))
    looking = Looking(connect("viewer"), place.namespace)
    assert not await looking.feed.settle(20), "not all was read"
    assert looking.names(model.first)
    [said] = looking.feed.troubles()
    assert "inferenceservices" in said and "forbidden" in said
    proxy.faults.remove(fault)
    await until(lambda: looking.feed.known and looking.feed.troubles() == ())
    await looking.feed.stop()


async def test_an_object_that_breaks_us_hides_no_other(
    place: Place, model: Registered, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(obj: Any, *, context: str) -> Any:
        if obj.metadata.name == "bad":
            raise ValueError
        return serving_of(obj, context=context)

    monkeypatch.setattr("mcp_tui.store.serving.serving_of", broken)
    for name in ("a", "bad", "c"):
        await place.make("Deployment", deployment(name, URI=model.first.uri))
    looking = Looking(connect("viewer"), place.namespace)
    await looking.feed.settle(20)
    found = looking.store.servings_of(model.first)
    assert sorted(each.serving.name for each in found) == ["a", "c"]
    assert looking.feed.troubles() == ("defect in deployments: ValueError",)
    await looking.feed.stop()


async def test_where_not_all_namespaces_may_be_read_ones_own_is(
    place: Place, model: Registered, connect: Connect, proxy: FaultProxy
) -> None:
    no = json.dumps({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "not all"})
    proxy.add(Fault(Answer(403, no.encode()), path=r"/apis/[^/]+/v[^/]+/(deployments|rollouts)\b"))
    await place.make("Deployment", deployment("web", URI=model.first.uri))
    looking = Looking(connect("viewer"), None, fallback=place.namespace)
    assert not await looking.feed.settle(20), "not all was read"
    assert looking.names(model.first)
    [said] = looking.feed.troubles()
    assert said.endswith(f"deployments and rollouts may be read in {place.namespace} only")
    await looking.feed.stop()


async def test_a_server_that_hangs_ends_no_look(
    place: Place, connect: Connect, proxy: FaultProxy
) -> None:
    proxy.add(Fault(Stall(), path="/rollouts"))
    looking = Looking(connect("viewer"), place.namespace)
    started = asyncio.get_running_loop().time()
    assert not await looking.feed.settle(2.0)
    assert asyncio.get_running_loop().time() - started < 15
    assert not looking.feed.known
    await looking.feed.stop()


async def test_kinds_that_are_not_there_serve_nothing(embedded: Plane) -> None:
    info = load_kubeconfig({}, embedded.kubeconfig).context(embedded.context)
    connection = Connection(info, ContextConfig(name=info.name, tier=Tier.DEV), env={})
    looking = Looking(connection, "default")
    try:
        assert await looking.feed.settle(20)
        assert looking.feed.known and looking.feed.troubles() == ()
    finally:
        await looking.feed.stop()
        await connection.aclose()


async def test_models_are_found_from_what_serves(
    place: Place, model: Registered, mlflow: MlflowClient, connect: Connect
) -> None:
    await place.make("Deployment", deployment("by-alias", URI=f"models:/{model.name}@champion"))
    await place.make("Deployment", deployment("by-run", URI=f"runs:/{model.second.run_id}/model"))
    await place.make("Deployment", deployment("which", URI=f"models:/{model.name}/Production"))
    looking = Looking(connect("viewer"), place.namespace)
    assert await looking.feed.settle(20)
    looking.store.flush()
    registered = await mlflow.get_model(model.name)
    assert registered is not None
    known, answers = [known_model(registered)], Answers()
    found = await served_models(mlflow, looking.store, known, answers=answers)
    said = {v.version: [s.serving.name for s in v.served] for v in found.by_model[model.name]}
    assert said == {"2": ["by-run"], "1": ["by-alias"], "": ["which"]}
    assert answers["run", model.second.run_id]
    answers["run", model.second.run_id] = ()
    again = await served_models(mlflow, looking.store, known, answers=answers)
    assert [v.version for v in again.by_model[model.name]] == ["1", ""], "what is known is kept"
    newest = await mlflow.versions_of(model.name)
    assert aliases_of(newest[0], registered.alias, registered.newest) == ("latest",)
    await looking.feed.stop()


async def test_the_console_shows_what_serves(
    place: Place, model: Registered, mlflow: MlflowClient, connect: Connect
) -> None:
    await place.make("Deployment", deployment("by-alias", URI=f"models:/{model.name}@champion"))
    await place.make("Deployment", deployment("by-run", URI=f"runs:/{model.second.run_id}/model"))
    told: list[int] = []
    it = LiveServing(lambda: told.append(1))
    connection = connect("viewer")
    live = SimpleNamespace(connection=connection, feed=SimpleNamespace(namespace=place.namespace))
    registered = await mlflow.get_model(model.name)
    assert registered is not None
    known = known_model(registered)
    try:
        assert it.cell(()) == "?" and it.model_cell("faulty", model.name) == "?"
        await it.reopen({"faulty": cast(Live, live)})
        it.models("faulty", [known])
        assert not told, "nothing is asked before somebody looks"
        it.front(True)
        expected = "2: by-run 1/1; 1: by-alias 1/1 @champion"
        await until(lambda: it.model_cell("faulty", model.name) == expected, 30,
                    lambda: it.model_cell("faulty", model.name))  # fmt: skip
        served = it.of_version("faulty", model.first, known.aliases, known.newest)
        lines = ["".join(cell.text for cell in line) for line in it.lines(served)]
        assert lines[0].startswith(f"served by  Deployment/by-alias in {place.namespace}: serving")
        assert "follows the alias champion" in lines[1]
        assert "".join(cell.text for cell in it.lines(())[0]) == "served by  nothing"
        assert it.cell(()) == "" and it.model_cell("faulty", "none") == ""
        before = it.version
        await place.delete("Deployment", "by-run")
        await until(lambda: it.model_cell("faulty", model.name).startswith("1: "), 30)
        assert it.version > before
        # Who comes back soon finds it as it was.
        it.front(False)
        it.front(True)
        assert it.complete
    finally:
        await it.stop()
    assert _of_the_feed() == [] and len(it.store.table) == 0


def command(ground: Ground, folder: Path, *argv: str, identity: str = "viewer") -> Any:
    kubeconfig = folder / "kubeconfig"
    text = ground.kubeconfig.read_text()
    kubeconfig.write_text(text.replace(ground.dev.tokens["admin"], ground.dev.tokens[identity]))
    kubeconfig.chmod(0o600)
    settings = folder / "cli.toml"
    settings.write_text(f'[contexts.dev]\nmlflow = "{ground.mlflow}"\n')
    return subprocess.run(
        [sys.executable, "-m", "mcp_tui", "--context", "dev", *argv],
        env={
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "MCP_TUI_CONFIG": str(settings),
            "XDG_STATE_HOME": str(folder),
            "PYTHONPATH": str(REPO),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_the_command_shows_what_serves(
    ground: Ground, place: Place, model: Registered, tmp_path: Path
) -> None:
    await place.make("Deployment", deployment("web", URI=f"models:/{model.name}@champion"))

    def run(*argv: str) -> Any:
        return command(ground, tmp_path, "-n", place.namespace, "model", *argv)

    shown = await asyncio.to_thread(run, "show", model.name)
    assert shown.returncode == 0 and shown.stderr == "", shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[1].endswith("SERVED BY")
    [two, one] = lines[2:]
    assert two.startswith("2 ") and "Deployment" not in two
    assert one.startswith("1 ") and one.endswith(" @champion") and "Deployment/web" in one
    page = await asyncio.to_thread(run, "show", f"{model.name}/1")
    assert f"served by Deployment/web in {place.namespace}: " in page.stdout
    assert "follows the alias champion" in page.stdout
    none = await asyncio.to_thread(run, "show", f"{model.name}/2")
    assert "served by nothing\n" in none.stdout
    data = json.loads((await asyncio.to_thread(run, "show", model.name, "-o", "json")).stdout)
    [served] = data["versions"][1]["served_by"]
    assert (served["name"], served["follows_alias"], served["guess"]) == ("web", "champion", False)
    assert data["versions"][0]["served_by"] == [] and data["versions"][0]["served_by_complete"]
    wide = await asyncio.to_thread(run, "ls", "--filter", model.name, "-o", "wide")
    assert wide.stdout.splitlines()[1].endswith(" @champion")
    plain = await asyncio.to_thread(run, "ls", "--filter", model.name)
    assert "SERVED" not in plain.stdout
