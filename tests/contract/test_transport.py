"""The Kubernetes client on a real API server and on the embedded one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.errors import ApiError, ExitCode, RefusedError, UnreachableError
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.blocks import iter_blocks
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.resources import JOBS, PODS, WORKLOADS, choose, discover
from mcp_tui.sources.kubernetes.transport import JSON_PATCH, MERGE_PATCH, KubeClient
from tests.cluster import Ground
from tests.conftest import Plane


def client_of(plane: Plane, **options: Any) -> KubeClient:
    context = load_kubeconfig({}, plane.kubeconfig).context(plane.context)
    return KubeClient(context, gate=Gate(**{"read_only": False, **options}), env={})


@pytest_asyncio.fixture
async def client(kube: Plane) -> AsyncIterator[KubeClient]:
    it = client_of(kube)
    yield it
    await it.aclose()


def job(name: str, **metadata: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **metadata},
        "spec": {"suspend": True, "template": template},
    }


async def test_who_and_where(client: KubeClient) -> None:
    assert (await client.whoami()).username
    assert (await client.server_version()).git_version.startswith("v1.")
    assert client.clock_skew is not None
    assert abs(client.clock_skew) < 5


async def test_discovery(client: KubeClient) -> None:
    served = await discover(client)
    assert JOBS.key in served
    assert PODS.key in served
    assert choose(served, JOBS) is JOBS
    assert ("", "v1", "pods/log") not in served
    workloads = choose(served, WORKLOADS)
    assert workloads is None or workloads.plural == "workloads"


async def test_access_reviews(client: KubeClient) -> None:
    assert await client.can_i("delete", "batch", "jobs", "default", "some")
    assert (await client.rules("default")).allow("list", "batch", "jobs")


async def test_create_change_delete(client: KubeClient, kube_namespace: str) -> None:
    made = await client.send("POST", JOBS.path(kube_namespace), job("one"), Job)
    assert made.metadata.uid
    assert made.spec.suspend
    path = JOBS.path(kube_namespace, "one")
    changed = await client.send(
        "PATCH", path, {"metadata": {"labels": {"a": "b"}}}, Job, content_type=MERGE_PATCH
    )
    assert changed.metadata.labels["a"] == "b"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/uid", "value": made.metadata.uid},
        {"op": "replace", "path": "/spec/parallelism", "value": 2},
    ]
    changed = await client.send("PATCH", path, patch, Job, content_type=JSON_PATCH)
    assert changed.spec.parallelism == 2
    patch[0]["value"] = "another"
    with pytest.raises(ApiError) as caught:
        await client.send("PATCH", path, patch, Job, content_type=JSON_PATCH)
    assert caught.value.status == 422
    options = {"propagationPolicy": "Background", "preconditions": {"uid": "another"}}
    with pytest.raises(ApiError) as caught:
        await client.request("DELETE", path, body=json.dumps(options).encode())
    assert caught.value.status == 409
    options["preconditions"] = {"uid": made.metadata.uid}
    await client.request("DELETE", path, body=json.dumps(options).encode())
    with pytest.raises(ApiError) as caught:
        while True:  # a finalizer may keep it for a moment
            await client.get(path, Job)
            await asyncio.sleep(0.05)
    assert caught.value.status == 404
    assert caught.value.reason == "NotFound"


async def test_a_dry_run_stores_nothing(client: KubeClient, kube_namespace: str) -> None:
    path = JOBS.path(kube_namespace)
    made = await client.send("POST", path, job("dry"), Job, params={"dryRun": "All"})
    assert made.metadata.name == "dry"
    assert not (await client.get(path, ObjectList[Job])).items


@pytest.mark.parametrize(
    ("body", "status"),
    [(job("Not_A_Name"), 422), (job("one"), 409), ({"kind": "Job", "apiVersion": "batch/v1"}, 422)],
    ids=["a bad name", "twice", "nothing in it"],
)
async def test_refusals_are_in_the_servers_words(
    client: KubeClient, kube_namespace: str, body: dict[str, Any], status: int
) -> None:
    path = JOBS.path(kube_namespace)
    await client.send("POST", path, job("one"), Job)
    with pytest.raises(ApiError) as caught:
        await client.send("POST", path, body, Job)
    assert caught.value.status == status
    assert caught.value.where.startswith(f"POST {path} at ")
    assert caught.value.what
    assert caught.value.line().isprintable()


async def test_a_watch_is_read_line_by_line(client: KubeClient, kube_namespace: str) -> None:
    path = JOBS.path(kube_namespace)
    start = (await client.get(path, ObjectList[Job])).metadata.resource_version
    params = {"watch": "true", "resourceVersion": start, "timeoutSeconds": "30"}
    async with client.stream(path, params=params, read_timeout=40) as chunks:
        await client.send("POST", path, job("seen"), Job)
        async for block in iter_blocks(chunks):
            event = json.loads(bytes(block[0]).splitlines()[0])
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "seen")
            break


async def test_a_silent_watch_counts_as_dead(client: KubeClient, kube_namespace: str) -> None:
    path = JOBS.path(kube_namespace)
    params = {"watch": "true", "timeoutSeconds": "30"}
    with pytest.raises(UnreachableError, match=r"nothing came for 0.5 s"):
        async with client.stream(path, params=params, read_timeout=0.5) as chunks:
            async for _ in iter_blocks(chunks):
                pass


async def test_calls_share_one_connection_beside_watches(
    client: KubeClient, kube_namespace: str
) -> None:
    path, watch = JOBS.path(kube_namespace), {"watch": "true", "timeoutSeconds": "60"}
    async with contextlib.AsyncExitStack() as watches:
        for _ in range(12):
            await watches.enter_async_context(client.stream(path, params=watch, read_timeout=60))
        pool = (await client._pool.client())._transport._pool
        used = set()
        for _ in range(5):
            assert not (await client.get(path, ObjectList[Job])).items
            used |= {id(one) for one in pool.connections}
        assert len(used) == 13


async def test_read_only_lets_nothing_out(kube: Plane, kube_namespace: str) -> None:
    client = client_of(kube, read_only=True)
    path = JOBS.path(kube_namespace)
    assert (await client.whoami()).username
    assert not (await client.get(path, ObjectList[Job])).items
    for method, target, params in (
        ("POST", path, {}),
        ("POST", path, {"dryRun": "All"}),
        ("DELETE", f"{path}/x", {}),
        ("GET", PODS.path(kube_namespace, "p", "exec"), {"command": "id"}),
    ):
        with pytest.raises(RefusedError):
            await client.request(method, target, params=params, body=b"{}")
    with pytest.raises(RefusedError):
        async with client.stream(PODS.path("n", "p", "attach"), read_timeout=1):
            pass
    assert not (await client.get(path, ObjectList[Job])).items
    await client.aclose()


async def test_a_wrong_token_is_refused(kube: Plane, tmp_path: Any) -> None:
    text = kube.kubeconfig.read_text().replace(kube.token, secrets.token_hex(16))
    (tmp_path / "config").write_text(text)
    context = load_kubeconfig({}, tmp_path / "config").context(kube.context)
    client = KubeClient(context, gate=Gate(read_only=True), env={})
    with pytest.raises(ApiError) as caught:
        await client.server_version() if kube.name == "embedded" else await client.whoami()
    assert caught.value.status == 401
    assert caught.value.exit_code is ExitCode.REFUSED
    assert kube.token not in caught.value.line()
    await client.aclose()


# What only the real server can show.


async def test_every_kind_of_identity(ground: Ground) -> None:
    config = load_kubeconfig({}, ground.kubeconfig)
    names = {}
    for context in ("dev", "dev-viewer", "dev-cert"):
        client = KubeClient(config.context(context), gate=Gate(read_only=True), env={})
        names[context] = (await client.whoami()).username
        await client.aclose()
    assert names == {"dev": "admin", "dev-viewer": "viewer", "dev-cert": "cert-admin"}


async def test_rbac_is_told_in_the_servers_words(ground: Ground, namespace: str) -> None:
    context = load_kubeconfig({}, ground.kubeconfig).context("dev-viewer")
    client = KubeClient(context, gate=Gate(read_only=False), env={})
    assert not await client.can_i("create", "batch", "jobs", namespace)
    assert not (await client.rules(namespace)).allow("create", "batch", "jobs")
    with pytest.raises(ApiError, match='"viewer" cannot create resource "jobs"') as caught:
        await client.send("POST", JOBS.path(namespace), job("no"), Job)
    assert caught.value.exit_code is ExitCode.REFUSED
    await client.aclose()


async def test_impersonation_reaches_the_server(ground: Ground) -> None:
    import dataclasses

    from mcp_tui.sources.kubernetes.contextinfo import Impersonation

    context = load_kubeconfig({}, ground.kubeconfig).context("dev")
    who = Impersonation("jane", "7", ("a", "b"), (("example.com/x", ("1", "2")),))
    user = dataclasses.replace(context.user_info, impersonate=who)
    client = KubeClient(
        dataclasses.replace(context, user_info=user), gate=Gate(read_only=True), env={}
    )
    me = await client.whoami()
    assert (me.username, me.uid) == ("jane", "7")
    assert {"a", "b"} <= set(me.groups)
    await client.aclose()
