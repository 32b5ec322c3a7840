"""What goes wrong between a console and a real API server, beyond one rule of the reflector."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.errors import ApiError, UnknownOutcomeError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.exec import open_exec
from mcp_tui.sources.kubernetes.podlog import read_log
from mcp_tui.sources.kubernetes.portforward import forward
from mcp_tui.sources.kubernetes.resources import JOBS
from mcp_tui.sources.kubernetes.transport import JSON_PATCH, KubeClient
from mcp_tui.tui.live.details import LiveDetails
from tests.cluster import Ground
from tests.faults.apiserver import encoded, refusal
from tests.faults.follow import CONFIGMAPS, Maps, client_of, following, until
from tests.faults.proxy import Answer, Cut, Fault, FaultProxy, Lie
from tests.faults.test_reflector_faults import LIST, WATCH, job
from tests.faults.test_transport_faults import Dated, expired_authority

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend

FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"


# -- compressed answers, and characters of several bytes -----------------------------------------


async def test_a_list_that_is_cut_in_a_block_of_gzip(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server compresses what is larger than 128 KiB."""
    monkeypatch.setattr(KubeClient, "_compresses", lambda _self: True)
    await maps.make(*"abcd", value="é日本" * 8_000)
    proxy.compress = True
    for cut in (1, 12, 500):
        proxy.add(Fault(Cut(after_bytes=cut), path=LIST, times=1))
        proxy.add(Fault(Cut(after_bytes=cut, clean=True), path=LIST, times=1))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.settled(60)
        assert sum(fault.hits for fault in proxy.faults) == 6
        assert it.health.dropped == 0
        assert len(next(r for r in it.mirror.rows.values() if r.data).data["value"]) > 1_000


@pytest.mark.parametrize("clean", [False, True], ids=["torn", "ended cleanly"])
async def test_a_watch_that_is_cut_within_a_character(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, clean: bool
) -> None:
    cuts: list[bytes] = []

    def halves(line: bytes) -> bytes:
        # The rest of the line never comes: the next begins in its midst.
        at = line.find("日".encode())
        if at > 0 and not cuts:
            cuts.append(line)
            return line[: at + 1] + (b"\n" if clean else b"")
        return line

    proxy.add(Fault(Lie(line=halves), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.make("a", value="日本")
        await maps.make("b", value="日本")
        await it.settled(60)
        assert cuts
        proxy.clear()
        await proxy.drop_all()
        await it.settled(60)
        values = {row.data["value"] for row in it.mirror.rows.values() if "value" in row.data}
        assert values == {"日本"}


WEIGHT = b"x" * 20_000_000
HEAVY = {
    "what nobody reads": (b'"uid":', b'"selfLink":"' + WEIGHT + b'","uid":'),
    "an annotation": (b'"uid":', b'"annotations":{"heavy":"' + WEIGHT + b'"},"uid":'),
    "data": (b'"data":{', b'"data":{"heavy":"' + WEIGHT + b'",'),
}


class Held:
    """The most CPU seconds that this thread used between two turns of its loop.

    Not the time: on a machine that is busy with others that says nothing.
    """

    def __enter__(self) -> Held:
        self.most = 0.0
        self._task = asyncio.create_task(self._feel())
        return self

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _feel(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            self.most, before = max(self.most, now - before), now


@pytest.mark.parametrize("where", HEAVY)
async def test_an_object_of_20_megabytes(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, where: str
) -> None:
    """In a list, and in a watch; it hides no other, and no more of it is kept than is shown."""
    await maps.make("large", "small")

    def grows(body: bytes) -> bytes:
        return body.replace(*HEAVY[where], 1)

    began = time.thread_time()
    json.loads(WEIGHT.join((b'{"a":"', b'"}')))
    once = time.thread_time() - began
    listed = proxy.add(Fault(Lie(whole=grows), path=LIST, nth=1))
    told = proxy.add(Fault(Lie(line=grows), path=WATCH, nth=1))
    async with following(ground, proxy, namespace, tmp_path) as it:
        with Held() as held:
            await it.settled(60)
            await it.reaches(HealthState.LIVE, 60)
            await maps.change("small", "2")
            await maps.change("large", "2")
            await it.settled(60)
        assert (listed.hits, told.hits) == (1, 1)
        assert (proxy.count(LIST), it.health.dropped) == (1, 0)
        # What a kind asks for is kept, once an object: of the two, and of the namespace's own.
        kept = 3 * len(WEIGHT) if where == "data" else 0
        assert sum(len(repr(row)) for row in it.mirror.rows.values()) < kept + 100_000
        # All of it is looked at a few times at most, however long it is.
        assert held.most < 30 * once, (held.most, once)


async def test_the_yaml_of_an_object_of_20_megabytes(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop goes on while it is made, and what is shown has an end."""
    await maps.make("large")
    client = client_of(proxy, ground, tmp_path, "admin")
    proxy.add(Fault(Lie(whole=lambda body: body.replace(*HEAVY["data"], 1)), path="configmaps/"))

    class Details(LiveDetails):
        async def _object(self, key: str) -> dict[str, Any]:
            return await client.get(CONFIGMAPS.path(namespace, key), dict[str, Any])

    loop, dump, turned = asyncio.get_running_loop(), yaml.safe_dump, threading.Event()

    def slowly(obj: object, **options: Any) -> str:
        loop.call_soon_threadsafe(turned.set)
        assert turned.wait(30), "nothing else had its turn"
        return str(dump(obj, **options))

    monkeypatch.setattr(yaml, "safe_dump", slowly)
    monkeypatch.setattr("mcp_tui.tui.live.details._YAML", 100_000)
    text = await Details(cast("LiveBackend", None)).yaml("large")
    assert text.startswith("kind: ConfigMap") and text.endswith("x...")
    assert len(text) == 100_003
    await client.aclose()


# -- every status on every verb ----------------------------------------------------------------

STATUSES = (401, 403, 409, 410, 422, 429, 500, 502, 503, 504)


def refuse_all(proxy: FaultProxy, status: int, wait: str | int | None) -> None:
    """Have every call refused, with the time to wait where there is one."""
    headers: Any = (("Content-Type", "application/json"),)
    headers += (("Retry-After", str(wait)),) if wait else ()
    proxy.add(Fault(Answer(status, encoded(refusal(status, "Why", "no \x1b[2Jway")), headers)))


@pytest.mark.parametrize("wait", [None, "7"])
@pytest.mark.parametrize("status", STATUSES)
async def test_every_status_on_every_verb(
    ground: Ground,
    namespace: str,
    proxy: FaultProxy,
    tmp_path: Path,
    status: int,
    wait: str | None,
) -> None:
    """Said as it is, with the time to wait; asked once; a write may be of unknown outcome."""
    client = client_of(proxy, ground, tmp_path, "admin")
    client.gate = Gate(read_only=False)
    refuse_all(proxy, status, wait)
    path, one = JOBS.path(namespace), JOBS.path(namespace, "one")

    async def watch() -> None:
        async with client.stream(path, params={"watch": "true"}, read_timeout=5.0) as chunks:
            await anext(aiter(chunks))

    reads = (
        client.get(one, Job),
        client.get(path, ObjectList[Job]),
        watch(),
        client.send("POST", path, job("one"), Job, params={"dryRun": "All"}),
        client.whoami(),
    )
    writes = (
        client.send("POST", path, job("one"), Job),
        client.send("PUT", one, job("one"), Job),
        client.send("PATCH", one, [], Job, content_type=JSON_PATCH),
        client.send("DELETE", one, {}, Job),
    )
    for number, call in enumerate((*reads, *writes), 1):
        with pytest.raises((ApiError, UnknownOutcomeError)) as caught:
            await call
        error = caught.value
        assert str(error).isprintable()
        assert "no way" in str(error)
        unknown = status in (502, 504) and number > len(reads)
        assert isinstance(error, UnknownOutcomeError) == unknown
        if isinstance(error, ApiError):
            assert (error.status, error.reason) == (status, "Why")
            assert error.retry_after == (7.0 if wait else None)
        assert proxy.count() == number, "it was asked again"
    await client.aclose()
    assert (await asyncio.to_thread(ground.api, "GET", one)).status == 404


@pytest.mark.parametrize(
    ("status", "wait"),
    [*((status, wait) for status in STATUSES for wait in (None, 7)), (429, 90_000)],
)
async def test_every_status_on_a_log_a_shell_and_a_forward(
    ground: Ground,
    namespace: str,
    proxy: FaultProxy,
    tmp_path: Path,
    status: int,
    wait: int | None,
) -> None:
    """Said as it is, before anything is open; only a log that is followed is asked for again."""
    client = client_of(proxy, ground, tmp_path, "admin")
    client.gate = Gate(read_only=False)
    refuse_all(proxy, status, wait)
    slept: list[float] = []
    told: list[str] = []
    troubles: list[str] = []
    over = False

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def log(follow: bool) -> None:
        options: Any = {"follow": follow, "sleep": sleep, "on_trouble": troubles.append}
        options["ended"] = lambda: over
        async for _ in read_log(client, namespace, "one", "main", **options):
            pass

    async def shell() -> None:
        async with open_exec(client, namespace, "one", ["true"]):
            pass

    again = status in (429, 500, 502, 503, 504)
    for call, calls in ((log(False), 1), (log(True), 6 if again else 1), (shell(), 1)):
        proxy.calls.clear()
        with pytest.raises(ApiError) as caught:
            await call
        error = caught.value
        assert (error.status, error.reason) == (status, "Why")
        assert error.retry_after == wait
        assert "no way" in str(error) and str(error).isprintable()
        assert proxy.count() == calls
    assert len(slept) == (5 if again else 0)
    # What the server asks for is granted within reason, and said from the beginning.
    assert not slept or min(slept) == min(wait or 0.5, 30.0), slept
    assert len(troubles) == (len(slept) - (not wait) if again else 0)
    over = True  # what it still has may go with its pod
    slept.clear()
    with pytest.raises(ApiError):
        await log(True)
    assert not slept or max(slept) == 8.0
    proxy.calls.clear()
    async with forward(client, namespace, "one", 80, on_error=told.append) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
    [line] = told
    assert "no way" in line and line.isprintable() and proxy.count() == 1
    await client.aclose()


async def test_priority_and_fairness_turns_us_away(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    """The server's own: a level with one seat, for this user in this namespace, that is taken."""
    name = f"none-{namespace}"
    limited = {
        "nominalConcurrencyShares": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    level = {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": [namespace]}
    user = {"kind": "User", "user": {"name": "viewer"}}
    schema = {
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name},
            "matchingPrecedence": 3,
            "rules": [{"subjects": [user], "resourceRules": [rule]}],
        },
    }

    held = f"{JOBS.path(namespace)}?limit=1&resourceVersion=9000000000000000"

    async def occupy() -> None:
        # A version that is yet to come: the server holds the call, and its seat, for 3 seconds.
        query = f"{held}&resourceVersionMatch=NotOlderThan"
        while True:
            await asyncio.to_thread(ground.api, "GET", query, identity="viewer")

    ground.api("POST", f"{FLOW}/prioritylevelconfigurations", level).ok()
    holding = [asyncio.create_task(occupy()) for _ in range(2)]
    try:
        ground.api("POST", f"{FLOW}/flowschemas", schema).ok()
        async with following(
            ground, proxy, namespace, tmp_path, resource=JOBS, identity="viewer"
        ) as it:

            async def turned_away() -> None:
                while "too many requests" not in it.health.message.lower():
                    if it.health.state is HealthState.LIVE:
                        await proxy.drop_all()
                    await asyncio.sleep(0.1)

            await asyncio.wait_for(turned_away(), 60)
            assert it.health.state is HealthState.RETRYING
            ground.api("DELETE", f"{FLOW}/flowschemas/{name}").ok()
            await it.reaches(HealthState.LIVE, 60)
            await it.settled(60)
    finally:
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
        ground.api("DELETE", f"{FLOW}/flowschemas/{name}")
        ground.api("DELETE", f"{FLOW}/prioritylevelconfigurations/{name}")


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_off(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, hours: int
) -> None:
    """It is known, and nothing that waits or expires goes by the server's clock."""
    now = datetime.now(UTC) + timedelta(hours=hours)
    proxy.date = format_datetime(now, usegmt=True)
    client = client_of(proxy, ground, tmp_path, "admin")
    busy = (("Retry-After", format_datetime(now + timedelta(seconds=1), usegmt=True)),)
    proxy.add(Fault(Answer(503, encoded(refusal(503)), busy), path=LIST, times=1))
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path, client=client) as it:
        await it.settled(60)
        await it.reaches(HealthState.LIVE, 60)
        assert client.clock_skew == pytest.approx(3600 * hours, abs=60)
        await maps.make("b")
        await it.settled(60)


# -- the server's certificate -------------------------------------------------------------------


@pytest.mark.parametrize("change", ["expired", "another authority"])
async def test_a_certificate_that_changes_while_connected(
    ground: Ground, namespace: str, maps: Maps, tmp_path: Path, change: str
) -> None:
    """Said in words, never passed over; rows stay, and the right certificate heals it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca, tls=tmp_path / "one") as proxy:
        await maps.make("a")
        async with following(ground, proxy, namespace, tmp_path) as it:
            await it.settled()
            good = proxy.authority
            if change == "expired":
                bad = expired_authority(proxy, tmp_path / "two")
            else:
                async with FaultProxy("https://x", tls=tmp_path / "two") as other:
                    bad = other.authority
            proxy.authority = bad
            await proxy.refuse()
            await proxy.accept()
            words = "has expired" if change == "expired" else "unknown authority"
            await until(lambda: words in it.health.message, 60, lambda: str(it.health))
            assert it.health.state is HealthState.RETRYING
            await maps.make("b")
            calls = len(proxy.calls)
            assert "a" in it.mirror.state()
            proxy.authority = good
            await proxy.refuse()
            assert len(proxy.calls) == calls, "something was sent to a server that is not trusted"
            await proxy.accept()
            await it.settled(60)
            await it.reaches(HealthState.LIVE, 60)


async def test_a_client_certificate_that_ends_while_connected(
    ground: Ground, namespace: str, maps: Maps, tmp_path: Path
) -> None:
    """What is open goes on; then it is said that we are not known, until there is a new one."""
    async with FaultProxy(ground.dev.server, ca=ground.dev.ca, tls=tmp_path) as proxy:
        assert proxy.authority is not None
        proxy.certified = True
        await proxy.refuse()
        await proxy.accept()
        lasts = 4.0
        ends = time.time() + lasts
        pair = Dated(proxy.authority, tmp_path, lasts).issue("client", common_name="client")
        client = client_of(proxy, ground, tmp_path, "admin", pair)
        await maps.make("a")
        async with following(ground, proxy, namespace, tmp_path, client=client) as it:
            await it.settled()
            await until(lambda: proxy.count(WATCH) and time.time() > ends + 1.0)
            calls = len(proxy.calls)
            await maps.make("b")
            await it.settled()
            assert len(proxy.calls) == calls and it.health.state is HealthState.LIVE
            await proxy.drop_all()
            await until(lambda: "Unauthorized" in it.health.message, 60, lambda: str(it.health))
            assert it.health.state is not HealthState.LIVE
            await maps.make("c")
            assert it.mirror.state().keys() >= {"a", "b"} and "c" not in it.mirror.state()
            proxy.authority.issue("client", common_name="client")
            await it.settled(60)
            await it.reaches(HealthState.LIVE, 60)
