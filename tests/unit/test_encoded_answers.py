"""Answers that are compressed in other ways than asked for, or to hide how large they are.

The servers are real ones on loopback: what counts is what httpx makes of their bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.body import Opened
from mcp_tui.sources.caller import Caller
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.transport import KubeClient

MIB = 1024 * 1024
HUGE = 64 * MIB
LITTLE = 8 * MIB
GZIPPED = gzip.compress(bytes(HUGE))
OTHERS = {
    "gzip, gzip": gzip.compress(GZIPPED),
    "GZip,GZIP": gzip.compress(GZIPPED),
    "deflate": zlib.compress(bytes(HUGE)),
    "gzip, deflate": zlib.compress(GZIPPED),
    "identity, gzip, identity, gzip": gzip.compress(GZIPPED),
    "br": b"\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "chunked": b"{}",
}
MLFLOW = "/api/2.0/mlflow/experiments/search"
KUBE = "/api/v1/namespaces/ml/pods/p/log"
UNDECODABLE = "the answer is not what its Content-Encoding says; is a proxy in between\\?"


@contextlib.asynccontextmanager
async def serving(
    body: bytes, encoding: str, status: int = 200, *, asked: list[str] | None = None
) -> AsyncIterator[str]:
    """The URL of a server that gives this answer to each call."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if asked is not None:
                asked.append(head)
            writer.write(
                f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n"
                f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            writer.write(body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def direct(url: str) -> AsyncIterator[Caller]:
    """What MLflow and Prometheus are asked with."""
    caller = connect("mlflow", Endpoint(url=url), gate=Gate(read_only=True), env={})
    yield caller
    await caller.aclose()


@contextlib.asynccontextmanager
async def cluster(url: str, folder: Path) -> AsyncIterator[KubeClient]:
    """What an API server is asked with."""
    path = folder / "kubeconfig"
    path.write_text(
        f"""{{apiVersion: v1, kind: Config, current-context: c,
        clusters: [{{name: c, cluster: {{server: "{url}"}}}}], users: [{{name: u, user: {{}}}}],
        contexts: [{{name: c, context: {{cluster: c, user: u, namespace: ml}}}}]}}"""
    )
    context = load_kubeconfig({}, path).context()
    client = KubeClient(context, gate=Gate(read_only=True), env={})
    yield client
    await client.aclose()


@pytest.fixture
def little() -> Iterator[None]:
    """Whatever came, no more memory was taken than a few of its pieces need."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LITTLE


async def size_of(answer: Opened, most: int) -> int:
    """Bytes of an answer, read until they are more than may be."""
    size = 0
    async for chunk in answer.chunks:
        assert len(chunk) <= MIB
        size += len(chunk)
        if size > most:
            break
    return size


@pytest.mark.parametrize("encoding", OTHERS)
async def test_only_one_gzip_is_undone(encoding: str, tmp_path: Path, little: None) -> None:
    async with serving(OTHERS[encoding], encoding) as url:
        async with direct(url) as caller:
            with pytest.raises(UnreachableError, match=UNDECODABLE):
                await caller.call("GET", MLFLOW)
            with pytest.raises(UnreachableError, match=UNDECODABLE):
                async with caller.stream(MLFLOW) as answer:
                    await size_of(answer, HUGE)
        async with cluster(url, tmp_path) as kube:
            with pytest.raises(UnreachableError, match=UNDECODABLE):
                await kube.request("GET", KUBE)
            with pytest.raises(UnreachableError, match=UNDECODABLE):
                async with kube.opened(KUBE, read_timeout=10) as answer:
                    await size_of(answer, HUGE)


@pytest.mark.parametrize("encoding", ["gzip", *OTHERS])
async def test_an_error_is_told_by_its_status(encoding: str, tmp_path: Path, little: None) -> None:
    async with serving(OTHERS.get(encoding, GZIPPED), encoding, 500) as url:
        async with direct(url) as caller:
            with pytest.raises(ApiError, match="500") as caught:
                await caller.call("GET", MLFLOW)
            assert caught.value.status == 500
        async with cluster(url, tmp_path) as kube:
            with pytest.raises(ApiError, match="500"):
                await kube.request("GET", KUBE)


async def test_a_gzip_is_undone_piece_by_piece(tmp_path: Path, little: None) -> None:
    async with serving(GZIPPED, "gzip") as url:
        async with direct(url) as caller, caller.stream(MLFLOW) as answer:
            assert await size_of(answer, HUGE) == HUGE
        async with cluster(url, tmp_path) as kube, kube.opened(KUBE, read_timeout=10) as answer:
            assert MIB < await size_of(answer, MIB) <= 2 * MIB


async def test_what_was_asked_for_is_read(tmp_path: Path) -> None:
    asked: list[str] = []
    body = b'{"message": "as it is"}'
    for encoding, sent in (("", body), ("identity", body), (" , GZIP", gzip.compress(body))):
        async with serving(sent, encoding, asked=asked) as url:
            async with direct(url) as caller:
                assert (await caller.call("GET", MLFLOW)).body == body
                async with caller.stream(MLFLOW) as answer:
                    assert [chunk async for chunk in answer.chunks] == [body]
            async with cluster(url, tmp_path) as kube:
                assert (await kube.request("GET", KUBE)).body == body
        async with serving(sent, encoding, 400) as url, direct(url) as caller:
            with pytest.raises(ApiError, match="as it is"):
                await caller.call("GET", MLFLOW)
    assert len(asked) == 9
    assert all("accept-encoding: gzip\r\n" in each for each in asked)


async def test_garbage_and_what_comes_behind_the_end() -> None:
    packed = gzip.compress(b"whole")
    for sent, said in ((packed + b"x" * 100_000, b"whole"), (packed[:-8], b"whole"), (b"", b"")):
        async with (
            serving(sent, "gzip") as url,
            direct(url) as caller,
            caller.stream(MLFLOW) as answer,
        ):
            assert b"".join([chunk async for chunk in answer.chunks]) == said
    async with serving(b"no gzip", "gzip") as url, direct(url) as caller:
        with pytest.raises(UnreachableError, match=UNDECODABLE):
            async with caller.stream(MLFLOW) as answer:
                await size_of(answer, HUGE)
    async with serving(b"no gzip", "gzip", 503) as url, direct(url) as caller:
        with pytest.raises(ApiError) as caught:
            await caller.call("GET", MLFLOW)
        assert caught.value.status == 503
