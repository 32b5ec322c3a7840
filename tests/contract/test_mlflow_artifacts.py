"""Artifacts of runs and logged models: trees, heads, downloads, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mcp_tui.config import Endpoint
from mcp_tui.domain.artifact import exact_path
from mcp_tui.errors import ApiError, RefusedError, UnreachableError, UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Cut, Drip, Fault, FaultProxy, Stall
from tests.faults.wire import Head

pytestmark = pytest.mark.real

PREFIX = "/api/v1/namespaces/ml/services/mlflow:http/proxy"
HTML = (("Content-Type", "text/html"),)
DATA = bytes(range(256)) * 1_000
CONTENT = "get-artifact|mlflow-artifacts/artifacts/|artifacts/files"


class ServiceProxy(FaultProxy):
    """Passes a Service's calls on without their prefix, as the API server's proxy does."""

    async def _forward(self, head: Head, body: bytes, up_writer: asyncio.StreamWriter) -> None:
        method, target, version = head.first
        head.first = (method, target.removeprefix(PREFIX), version)
        await super()._forward(head, body, up_writer)


def client(url: str, *, deadline: float = 60.0, read_only: bool = True) -> MlflowClient:
    gate = Gate(read_only=read_only)
    return MlflowClient(connect("mlflow", Endpoint(url=url), gate=gate, env={}), deadline=deadline)


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    made = client(ground.mlflow, read_only=False)
    yield made
    await made.aclose()


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.mlflow) as made:
        yield made


@pytest.fixture(params=["direct", "service"])
async def through(
    request: pytest.FixtureRequest, ground: Ground, tmp_path: Path
) -> AsyncIterator[tuple[MlflowClient, FaultProxy]]:
    """A read-only client behind a fault proxy, by URL and by the API server's service proxy."""
    async with ServiceProxy(ground.mlflow) as proxy:
        if request.param == "direct":
            made = client(proxy.url)
            yield made, proxy
            await made.aclose()
            return
        context = load_kubeconfig({}, proxy.kubeconfig(tmp_path / "kubeconfig", token="t"))
        gate = Gate(read_only=True)
        kube = KubeClient(context.context("faulty"), gate=gate, env={})
        endpoint = Endpoint(service="ml/mlflow:http")
        yield MlflowClient(connect("mlflow", endpoint, gate=gate, env={}, kube=kube)), proxy
        await kube.aclose()


@pytest.fixture
async def experiment(mlflow: MlflowClient) -> str:
    return (await mlflow.ensure_experiment(f"artifacts {secrets.token_hex(6)}")).experiment_id


@pytest.fixture
async def run(mlflow: MlflowClient, experiment: str) -> str:
    made = await mlflow.create_run(experiment, run_name="r", tags={}, start_time_ms=1)
    return made.run_id


NAMES = ["a.txt", "sub/MLmodel", "sub/deep/x.bin", "sp ace/\u2764\ufe0f \U0001f600.csv", "empty"]


async def put(ground: Ground, root: str, name: str, data: bytes = DATA) -> None:
    at = root.partition(":/")[2].strip("/")
    url = f"{ground.mlflow}/api/2.0/mlflow-artifacts/artifacts/{at}/{quote(name)}"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as plain:
        (await plain.put(url, content=data)).raise_for_status()


@pytest.fixture
async def filled(ground: Ground, mlflow: MlflowClient, run: str) -> str:
    root = (await mlflow.get_run(run)).info.artifact_uri
    for name in NAMES:
        await put(ground, root, name, b"" if name == "empty" else DATA)
    return run


async def test_the_tree_comes_level_by_level(mlflow: MlflowClient, filled: str) -> None:
    page = await mlflow.list_artifacts(filled)
    assert [(f.path, f.is_dir, f.size) for f in page.files] == [
        ("sp ace", True, None),
        ("sub", True, None),
        ("a.txt", False, len(DATA)),
        ("empty", False, 0),
    ]
    assert page.root.startswith("mlflow-artifacts:/")
    seen = []
    folders = [""]
    while folders:
        for each in (await mlflow.list_artifacts(filled, folders.pop())).files:
            if each.is_dir:
                folders.append(each.ref)
            else:
                seen.append(exact_path(each.ref))
    assert sorted(seen) == sorted(NAMES)
    assert (await mlflow.list_artifacts(filled, "nowhere")).files == ()
    with pytest.raises(ApiError) as caught:
        await mlflow.list_artifacts("0" * 32)
    assert caught.value.status == 404


async def test_pages_of_a_listing_follow_each_other(proxy: FaultProxy) -> None:
    first = {"root_uri": "s3://b", "files": [{"path": "b\x1b[2J"}], "next_page_token": "t"}
    proxy.add(Fault(act=Answer(200, json.dumps(first).encode()), path="list", times=1))
    rest = {"files": [{"path": "c", "is_dir": True}]}
    proxy.add(Fault(act=Answer(200, json.dumps(rest).encode()), path="page_token=t"))
    through = client(proxy.url)
    page = await through.list_artifacts("0" * 32)
    assert (page.files[0].path, page.files[0].ref) == ("b", "b%1B%5B2J")
    after = await through.list_artifacts("0" * 32, page_token=page.next_page_token)
    assert (after.files[0].path, after.next_page_token) == ("c", "")
    await through.aclose()


@pytest.mark.parametrize("name", NAMES)
async def test_a_head_costs_its_bytes(
    through: tuple[MlflowClient, FaultProxy], filled: str, name: str
) -> None:
    """A folder's own listing leads to each file, whatever it is called; read-only suffices."""
    mlflow, _ = through
    folder = quote(name.rpartition("/")[0])
    listed = {exact_path(f.ref): f for f in (await mlflow.list_artifacts(filled, folder)).files}
    part = await mlflow.artifact_head(filled, listed[name].ref, most=100)
    if name == "empty":
        assert (part.data, part.total, part.is_whole) == (b"", 0, True)
        return
    assert (part.data, part.total, part.is_whole) == (DATA[:100], len(DATA), False)
    middle = await mlflow.artifact_head(filled, listed[name].ref, most=7, start=1_000)
    assert (middle.data, middle.start) == (DATA[1_000:1_007], 1_000)
    whole = await mlflow.artifact_head(filled, listed[name].ref, most=len(DATA) * 2)
    assert (whole.data, whole.is_whole) == (DATA, True)
    beyond = await mlflow.artifact_head(filled, listed[name].ref, start=len(DATA) + 5)
    assert beyond.data == b""


async def test_a_server_that_ignores_the_range_is_read_no_further(
    through: tuple[MlflowClient, FaultProxy],
) -> None:
    mlflow, proxy = through
    proxy.add(Fault(act=Answer(200, DATA, (("Content-Type", "x/y"),)), path="get-artifact"))
    part = await mlflow.artifact_head("0" * 32, "a", most=10, start=300)
    assert (part.data, part.total, part.content_type) == (DATA[300:310], len(DATA), "x/y")
    assert len((await mlflow.artifact_head("0" * 32, "a", most=10)).data) == 10


async def test_a_head_does_not_wait_for_10_gb() -> None:
    """Of a server that ignores the range, and never comes to an end."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n" + DATA[:1_000])
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        through = client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", deadline=10)
        part = await through.artifact_head("0" * 32, "a", most=10, start=300)
        await through.aclose()
    assert (part.data, part.total) == (DATA[300:310], 10_000_000_000)
    # A range of a compressed answer would be a range of something else.
    assert "accept-encoding: identity\r\n" in asked[0]
    assert "range: bytes=300-309\r\n" in asked[0]


@pytest.mark.parametrize("ref", ["../x", "/etc/passwd", "%2e%2e/x", "a/../../x", "a\\b", "a//b"])
async def test_a_path_that_leaves_the_root_is_not_asked_for(
    proxy: FaultProxy, tmp_path: Path, ref: str
) -> None:
    through = client(proxy.url)
    for owner in ("0" * 32, "m-" + "0" * 32):
        for ask in (
            through.list_artifacts(owner, ref),
            through.artifact_head(owner, ref),
            through.download_artifact(owner, ref, tmp_path / "x"),
        ):
            with pytest.raises(UsageError, match="is not a path inside"):
                await ask
    with pytest.raises(UsageError, match="no artifact is named"):
        await through.artifact_head("0" * 32, "")
    with pytest.raises(UsageError, match="not a logged model's id"):
        await through.list_artifacts("m-../../x")
    assert proxy.calls == []
    assert list(tmp_path.iterdir()) == []
    await through.aclose()


async def test_what_is_no_file_is_said(mlflow: MlflowClient, filled: str) -> None:
    for ref, status in (("sub", 400), ("nowhere", 404)):
        with pytest.raises(ApiError) as caught:
            await mlflow.artifact_head(filled, ref)
        assert caught.value.status == status
    with pytest.raises(ApiError, match="not found") as caught:
        await mlflow.artifact_head("0" * 32, "a")
    assert caught.value.status == 404


@pytest.mark.parametrize("status", [403, 404, 405])
async def test_the_api_alone_is_enough(
    through: tuple[MlflowClient, FaultProxy], filled: str, tmp_path: Path, status: int
) -> None:
    """A gateway that lets only the API through; names that a path must encode included."""
    mlflow, proxy = through
    proxy.add(Fault(act=Answer(status, b"<title>Nothing here</title>", HTML), path="/get-artifact"))
    part = await mlflow.artifact_head(filled, "sub/MLmodel", most=5)
    assert (part.data, part.total) == (DATA[:5], len(DATA))
    assert await mlflow.download_artifact(filled, "a.txt", tmp_path / "x") == len(DATA)
    # Read-only, a path with escapes is not sent: it is not the same to everybody on the way.
    with pytest.raises(RefusedError, match="read-only"):
        await mlflow.artifact_head(filled, quote(NAMES[3]))


async def test_logged_models_have_artifacts_too(
    ground: Ground, mlflow: MlflowClient, experiment: str, tmp_path: Path
) -> None:
    body = {"experiment_id": experiment, "name": "m"}
    answer = await mlflow.call("POST", "/api/2.0/mlflow/logged-models", body)
    info = answer["model"]["info"]
    for name in ("MLmodel", "data/model.bin"):
        await put(ground, info["artifact_uri"], name)
    model = info["model_id"]
    assert [f.path for f in (await mlflow.list_artifacts(model)).files] == ["data", "MLmodel"]
    (inner,) = (await mlflow.list_artifacts(model, "data")).files
    assert (await mlflow.artifact_head(model, inner.ref, most=3)).data == DATA[:3]
    assert await mlflow.download_artifact(model, "MLmodel", tmp_path / "x") == len(DATA)


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("s3://bucket/x", "they are at s3://bucket/x/"),
        ("file:///nonexistent/x", "on the disk of the machine that logged them"),
    ],
)
async def test_artifacts_that_the_server_cannot_reach_are_said_to_be_where_they_are(
    mlflow: MlflowClient, location: str, says: str
) -> None:
    body = {"name": f"elsewhere {secrets.token_hex(6)}", "artifact_location": location}
    answer = await mlflow.call("POST", "/api/2.0/mlflow/experiments/create", body)
    run = await mlflow.create_run(answer["experiment_id"], run_name="r", tags={}, start_time_ms=1)
    with pytest.raises(ApiError) as caught:
        await mlflow.artifact_head(run.run_id, "a")
    assert says in caught.value.line()
    if location.startswith("s3"):
        with pytest.raises(ApiError, match="MLflow could not read the artifacts") as caught:
            await mlflow.list_artifacts(run.run_id)
        assert says in caught.value.line()
    else:
        assert (await mlflow.list_artifacts(run.run_id)).files == ()


# Downloads


async def test_a_download_appears_when_it_is_whole(
    through: tuple[MlflowClient, FaultProxy], filled: str, tmp_path: Path
) -> None:
    mlflow, _ = through
    seen: list[tuple[int, int | None]] = []
    folder = tmp_path / "to"
    folder.mkdir()
    size = await mlflow.download_artifact(
        filled, "a.txt", folder / "a", progress=lambda *at: seen.append(at)
    )
    assert size == len(DATA)
    assert (folder / "a").read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert await mlflow.download_artifact(filled, "empty", folder / "e") == 0
    assert {each.name for each in folder.iterdir()} == {"a", "e"}
    with pytest.raises(UsageError, match="is there already"):
        await mlflow.download_artifact(filled, "a.txt", folder / "a")
    with pytest.raises(UsageError, match="cannot be written"):
        await mlflow.download_artifact(filled, "a.txt", folder / "none" / "a")
    with pytest.raises(UsageError, match="more than 10"):
        await mlflow.download_artifact(filled, "a.txt", folder / "b", most=10)
    assert {each.name for each in folder.iterdir()} == {"a", "e"}


async def test_a_size_that_no_disk_has_is_refused_before_a_byte(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    through = client(proxy.url)
    huge = (("Content-Range", f"bytes 0-9/{10**18}"),)
    proxy.add(Fault(act=Answer(206, b"x" * 10, huge), path="get-artifact"))
    with pytest.raises(UsageError, match="are free"):
        await through.download_artifact("0" * 32, "a", tmp_path / "x", most=10**19)
    with pytest.raises(UsageError, match="more than"):
        await through.download_artifact("0" * 32, "a", tmp_path / "x")
    proxy.clear()
    proxy.add(Fault(act=Answer(206, b"x", (("Content-Range", "bytes 5-5/6"),)), path="get-"))
    with pytest.raises(UnreachableError, match="another part"):
        await through.download_artifact("0" * 32, "a", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    await through.aclose()


async def test_a_file_that_somebody_made_meanwhile_is_not_replaced(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    through = client(proxy.url)
    proxy.add(Fault(act=Answer(200, b"x"), path="get-artifact"))

    def meanwhile(_size: int, _total: int | None) -> None:
        (tmp_path / "x").write_text("theirs")

    with pytest.raises(UsageError, match="is there already"):
        await through.download_artifact("0" * 32, "a", tmp_path / "x", progress=meanwhile)
    assert (tmp_path / "x").read_text() == "theirs"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    await through.aclose()


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (Cut(after_bytes=5_000), ""),
        (Cut(after_bytes=5_000, clean=True), "only 5,000 of 256,000 bytes came"),
        (Drip(bytes_per_second=2_000), "not all came within 1 s"),
        (Stall(), "not all came within 1 s"),
    ],
)
async def test_what_breaks_off_leaves_nothing_behind(
    through: tuple[MlflowClient, FaultProxy], filled: str, tmp_path: Path, act: Any, says: str
) -> None:
    mlflow, proxy = through
    proxy.add(Fault(act=act, path="get-artifact"))
    folder = tmp_path / "to"
    folder.mkdir()
    deadline = 60.0 if isinstance(act, Cut) else 1.0
    with pytest.raises(UnreachableError) as caught:
        await mlflow.download_artifact(filled, "a.txt", folder / "x", deadline=deadline)
    assert says in caught.value.line() or "no answer within 1 s" in caught.value.line()
    assert list(folder.iterdir()) == []


async def test_silence_ends_a_download(
    through: tuple[MlflowClient, FaultProxy], filled: str, tmp_path: Path
) -> None:
    mlflow, proxy = through
    proxy.add(Fault(act=Drip(bytes_per_second=0.1, piece=100), path="get-artifact"))
    folder = tmp_path / "to"
    folder.mkdir()
    with pytest.raises(UnreachableError, match=r"nothing came for 0\.5 s"):
        await mlflow.download_artifact(filled, "a.txt", folder / "x", silence=0.5)
    assert list(folder.iterdir()) == []


async def test_a_download_that_is_cancelled_leaves_nothing_behind(
    proxy: FaultProxy, filled: str, tmp_path: Path
) -> None:
    through = client(proxy.url)
    proxy.add(Fault(act=Drip(bytes_per_second=100), path="get-artifact"))
    task = asyncio.create_task(through.download_artifact(filled, "a.txt", tmp_path / "x"))
    while not any(tmp_path.iterdir()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []
    await through.aclose()
