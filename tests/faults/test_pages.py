"""A list in pages: the next is asked for while one is looked at, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.kubernetes.pages import LATER, pages_of
from mcp_tui.sources.kubernetes.transport import KubeClient
from tests.unit.test_feed_time import CONFIG

PATH = "/apis/batch/v1/jobs"
DEADLINE = 60.0


class Server:
    """Gives pages of one job, as real bytes; ``order`` is where a list's metadata stands."""

    def __init__(self, tokens: list[str], *, last: bool = False) -> None:
        self.tokens = tokens
        self.last = last
        self.asked: list[tuple[str, str]] = []
        self.news = asyncio.Event()

    def body(self, token: str) -> bytes:
        at = self.tokens.index(token)
        following = self.tokens[at + 1] if at + 1 < len(self.tokens) else ""
        meta = {"resourceVersion": "7"} | ({"continue": following} if following else {})
        item = {"metadata": {"name": f"job{at}", "uid": f"u{at}"}}
        head = {"kind": "JobList", "apiVersion": "batch/v1"}
        whole = {"items": [item], **head, "metadata": meta} if self.last else {
            **head, "metadata": meta, "items": [item]}  # fmt: skip
        return json.dumps(whole, separators=(",", ":")).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                query = parse_qs(urlsplit(head.split()[1].decode()).query)
                token = query.get("continue", [""])[0]
                self.asked.append((token, query["limit"][0]))
                self.news.set()
                body = self.body(token)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def heard(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.asked) < count:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def client_of(server: Server, folder: Path) -> AsyncIterator[KubeClient]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    path = folder / "kubeconfig"
    path.write_text(CONFIG.replace("127.0.0.1:1", f"127.0.0.1:{port}"))
    client = KubeClient(load_kubeconfig({}, path).context(), gate=Gate(read_only=True), env={})
    try:
        yield client
    finally:
        await client.aclose()
        listening.close()


def asking(client: KubeClient, limit: int = 10):  # type: ignore[no-untyped-def]  # a generator
    return pages_of(client, PATH, ObjectList[Job], (), limit=limit, deadline=DEADLINE)


@pytest.mark.parametrize("last", [False, True])
async def test_every_page_comes_once_and_in_order(tmp_path: Path, last: bool) -> None:
    server = Server(["", "one", "two", "three"], last=last)
    async with client_of(server, tmp_path) as client:
        names = [page.items[0].metadata.name async for page in asking(client)]
    assert names == ["job0", "job1", "job2", "job3"]
    later = str(10 * LATER)
    assert server.asked == [("", "10"), ("one", later), ("two", later), ("three", later)]


async def test_the_next_page_is_asked_for_while_one_is_looked_at(tmp_path: Path) -> None:
    server = Server(["", "one", "two"])
    async with client_of(server, tmp_path) as client, aclosing(asking(client)) as pages:
        assert (await anext(pages)).items[0].metadata.name == "job0"
        await server.heard(2)
        assert server.asked[1][0] == "one"


async def test_who_stops_looking_leaves_no_call_behind(tmp_path: Path) -> None:
    server = Server(["", "one", "two"])
    async with client_of(server, tmp_path) as client:
        before = asyncio.all_tasks()
        async with aclosing(asking(client)) as pages:
            await anext(pages)
        ours = {task for task in asyncio.all_tasks() - before if "request" in repr(task)}
        assert not ours


async def test_a_page_that_is_given_again_is_not_asked_for_for_ever(tmp_path: Path) -> None:
    server = Server(["", "one", "one"])
    async with client_of(server, tmp_path) as client:
        with pytest.raises(UnreachableError, match="repeats its continue token"):
            async for _ in asking(client):
                pass
    assert len(server.asked) == 2
