"""Each rule of the reflector, on real traffic that the fault proxy spoils.

The last assertion is always the same: what the sink was told equals a fresh list. The numbers of
calls are bounded, so that no cure is a hot loop.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.domain import kube
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes import reflector as reflector_module
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.pages import LATER
from mcp_tui.sources.kubernetes.resources import EVENTS, JOBS, Resource
from tests.cluster import Ground
from tests.faults.follow import QUICK, ConfigMap, Maps, following, until
from tests.faults.proxy import Answer, Cut, Drip, Fault, FaultProxy, Hold, Lie, Stall

WATCH = r"watch=true"
LIST = r"/configmaps(\?(?!.*(watch=true|resourceVersionMatch=))|$)"


def status(code: int, reason: str = "", message: str = "on purpose") -> bytes:
    return json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
    ).encode()


async def test_pages_are_told_as_they_come(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reflector_module, "PAGE", 3)
    await maps.make(*(f"m{i}" for i in range(3 + 3 * LATER + 1)))
    second = proxy.add(Fault(Hold(), path="continue=", nth=1))
    async with following(ground, proxy, namespace, tmp_path) as it:
        assert isinstance(second.act, Hold)
        await asyncio.wait_for(second.act.reached.wait(), 10)
        assert len(it.mirror.rows) == 3
        assert not it.mirror.synced
        assert not it.health.synced
        second.act.release.set()
        await it.settled()
        assert [delta.replace for delta in it.mirror.deltas] == [False] * len(it.mirror.deltas)
        assert proxy.count(LIST) == 3


async def test_one_page_is_the_whole(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await maps.make("a", "b")
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.settled()
        await it.reaches(HealthState.LIVE)
        first = it.mirror.deltas[0]
        assert first.replace
        assert first.synced
        await maps.make("c")
        await maps.change("a", "2")
        await maps.drop("b")
        await it.settled()
        assert (proxy.count(LIST), proxy.count(WATCH)) == (1, 1)


async def test_a_watch_that_ends_in_time_goes_on_where_it_was(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    timing = altered(QUICK, watch_least=1, watch_most=1)
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path, timing=timing) as it:
        for round_ in range(4):
            await maps.make(f"r{round_}")
            asked = proxy.count(WATCH)
            await until(functools.partial(asked_again, proxy, asked))
            await maps.drop(f"r{round_}")
        await it.settled()
        assert proxy.count(LIST) == 1
        assert HealthState.RETRYING not in it.states()


async def test_a_watch_that_ends_at_once_is_not_asked_in_a_loop(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await maps.make("a")
    ends = proxy.add(Fault(Answer(200, b""), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: ends.hits >= 4)
        assert HealthState.RETRYING in it.states()
        assert it.health.message == "the server ends the watch at once"
        first, last = (c.at for c in (proxy.calls[0], proxy.calls[-1]))
        assert last - first > 0.1 + 0.2 + 0.4
        await maps.make("b")
        await it.settled()
        proxy.clear()
        await it.reaches(HealthState.LIVE)
        await maps.make("c")
        await it.settled()


async def test_a_watch_that_ends_at_once_after_each_event_is_not_asked_in_a_loop(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    bookmark = {
        "type": "BOOKMARK",
        "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": ""}},
    }
    ends = proxy.add(Fault(Answer(200, json.dumps(bookmark).encode() + b"\n"), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: ends.hits >= 5)
        assert proxy.calls[-1].at - proxy.calls[0].at > 3 * QUICK.fast_end
        proxy.clear()
        await maps.make("b")
        await it.settled()


EXPIRED_LINE = json.dumps({"type": "ERROR", "object": json.loads(status(410, "Expired"))}).encode()


@pytest.mark.parametrize(
    "act",
    [Answer(410, status(410, "Expired")), Answer(200, EXPIRED_LINE + b"\n")],
    ids=["status", "event"],
)
async def test_410_of_a_watch_lists_again_with_deletions(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, act: Answer
) -> None:
    await maps.make("stays", "goes", "twin")
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.settled()
        await proxy.refuse()
        await it.reaches(HealthState.RETRYING)
        await maps.drop("goes", "twin")
        await maps.make("comes", "twin")  # the same name, another uid
        rows = dict(it.mirror.rows)
        assert len(rows) == 4, "old rows stay through an outage"
        gone = proxy.add(Fault(act, path=WATCH, times=1))
        await proxy.accept()
        await it.settled()
        assert gone.hits == 1
        assert proxy.count(LIST) == 2
        relist = it.mirror.deltas[-1]
        assert {item.metadata.name for item in relist.upserts} <= {"comes", "twin"}


async def test_410_for_ever_is_not_asked_in_a_loop(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    gone = proxy.add(Fault(Answer(410, status(410, "Expired")), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: gone.hits >= 5)
        assert proxy.calls[-1].at - proxy.calls[0].at > 0.1 + 0.2 + 0.4
        proxy.clear()
        await maps.make("a")
        await it.settled()


async def test_a_version_that_the_server_has_forgotten(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    """The list's version is made to look ancient: the server replays all, or says 410 itself."""

    def ancient(body: bytes) -> bytes:
        return re.sub(rb'("metadata":\{"resourceVersion":)"\d+"', rb'\1"1"', body, count=1)

    lie = proxy.add(Fault(Lie(whole=ancient), path=LIST, nth=1))
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.drop("a")
        await it.settled()
        await it.reaches(HealthState.LIVE)
        assert lie.hits == 1
        assert proxy.count(LIST) <= 2


@pytest.mark.parametrize("times", [1, 2], ids=["begins again", "then without pages"])
async def test_410_between_pages(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    monkeypatch.setattr(reflector_module, "PAGE", 2)
    await maps.make(*(f"m{i}" for i in range(5)))
    proxy.add(Fault(Answer(410, status(410, "Expired")), path="continue=", times=times))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.settled()
        await it.reaches(HealthState.LIVE)
        assert HealthState.RETRYING not in it.states()
        unpaged = [c for c in proxy.calls if "watch=" not in c.target and "limit=" not in c.target]
        assert len(unpaged) == times - 1


async def test_a_list_that_repeats_its_token_ends(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reflector_module, "PAGE", 2)
    await maps.make(*(f"m{i}" for i in range(5)))

    def same(body: bytes) -> bytes:
        return re.sub(rb'"continue":"[^"]*"', b'"continue":"again"', body)

    proxy.add(Fault(Lie(whole=same), path=LIST, nth=1))
    page = {"kind": "ConfigMapList", "metadata": {"continue": "again"}, "items": []}
    again = proxy.add(Fault(Answer(200, json.dumps(page).encode()), path="continue=again"))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.reaches(HealthState.RETRYING)
        assert again.hits == 1
        await it.settled()


@pytest.mark.parametrize("clean", [False, True], ids=["torn", "ended cleanly"])
async def test_a_watch_cut_within_an_event_loses_nothing(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, clean: bool
) -> None:
    await maps.make("goes", "stays")
    cut = proxy.add(Fault(Cut(after_lines=1, within=True, clean=clean), path=WATCH, nth=1))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.make("comes")
        await maps.drop("goes")  # the line that is cut
        await it.settled()
        assert cut.hits == 1
        assert proxy.count(LIST) == 1, "the version was lost"
        assert proxy.count(WATCH) >= 2


async def test_a_line_that_is_broken_on_the_way_is_asked_for_again(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await maps.make("goes")
    broken: list[bytes] = []

    def breaks(line: bytes) -> bytes:
        if b"DELETED" in line and not broken:
            broken.append(line)
            return line[:40] + b'"\x00}' + line[60:]
        return line

    proxy.add(Fault(Lie(line=breaks), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.drop("goes")
        await it.settled()
        assert broken
        assert it.health.dropped == 0
        assert proxy.count(LIST) == 1


async def test_an_object_that_is_always_broken_hides_no_other(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    def breaks(line: bytes) -> bytes:
        return b'{"type":"ADDED","object":[]}\n' if b'"name":"odd"' in line else line

    proxy.add(Fault(Lie(line=breaks), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.make("odd", "even")
        await until(lambda: it.health.dropped >= 1, why=lambda: str(it.health))
        await until(lambda: "even" in it.mirror.state())
        assert proxy.count(WATCH) <= 3
        await it.reaches(HealthState.LIVE)
        assert it.health.message == "1 object could not be read"
        proxy.clear()
        await proxy.drop_all()
        await it.settled()


async def test_a_broken_object_in_a_list_hides_no_other(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await maps.make("odd", "even")

    def breaks(body: bytes) -> bytes:
        whole = json.loads(body)
        for index, item in enumerate(whole["items"]):
            if item["metadata"]["name"] == "odd":
                whole["items"][index] = {"metadata": {"labels": 7}}
        return json.dumps(whole).encode()

    proxy.add(Fault(Lie(whole=breaks), path=LIST, nth=1))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: "even" in it.mirror.state())
        assert it.health.dropped == 1
        await maps.change("odd", "2")
        await it.settled()


async def test_a_server_that_is_down_and_comes_back(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await proxy.refuse()
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.reaches(HealthState.RETRYING)
        assert "nothing listens" in it.health.message
        assert it.health.spoke_at is None
        assert it.health.retry_at is not None
        await proxy.accept()
        await it.reaches(HealthState.LIVE)
        await maps.make("a", "b")
        await it.settled()
        spoke = it.health.spoke_at
        await proxy.refuse()
        await it.reaches(HealthState.RETRYING)
        assert it.mirror.rows
        assert it.health.spoke_at == spoke
        await maps.drop("a")
        await proxy.accept()
        await it.settled()


async def test_a_frozen_connection_is_noticed(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    timing = altered(QUICK, watch_least=30, watch_most=30, slack=-29.0)
    async with following(ground, proxy, namespace, tmp_path, timing=timing) as it:
        await it.settled()
        proxy.freeze()
        await maps.make("a")
        await until(
            lambda: any("nothing came for" in h.message for h in it.healths),
            why=lambda: str(it.health),
        )
        proxy.clear()
        await it.settled()


@pytest.mark.parametrize("path", [LIST, WATCH], ids=["list", "watch"])
async def test_a_call_that_is_never_answered_ends(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, path: str
) -> None:
    timing = altered(QUICK, page_deadline=0.7, connect_deadline=0.7)
    proxy.add(Fault(Stall(), path=path, times=2))
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path, timing=timing) as it:
        await it.reaches(HealthState.RETRYING)
        assert "no answer within 0.7 s" in it.health.message
        await it.reaches(HealthState.LIVE)
        await it.settled()


async def test_a_list_that_drips_and_a_watch_that_stalls(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    timing = altered(QUICK, page_deadline=1.0, watch_least=30, watch_most=30, slack=-29.0)
    await maps.make("a", "b", "c")
    proxy.add(Fault(Drip(100), path=LIST, nth=1))
    proxy.add(Fault(Stall(after_lines=1), path=WATCH, nth=1))
    async with following(ground, proxy, namespace, tmp_path, timing=timing) as it:
        await it.reaches(HealthState.RETRYING)
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.make("d")
        await maps.drop("a")
        await it.settled()
        assert it.health.state in (HealthState.LIVE, HealthState.RETRYING)


async def test_a_watch_that_drips_still_tells(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    proxy.add(Fault(Drip(2000, piece=7), path=WATCH))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await until(lambda: proxy.count(WATCH) >= 1)
        await maps.make("a", "b")
        await maps.drop("a")
        await it.settled()
        assert proxy.count(LIST) == 1


async def test_watching_is_not_allowed(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    """With an identity that may list and not watch, by the server's own RBAC."""
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    (await asyncio.to_thread(ground.api, "POST", jobs, job("one"))).ok()
    async with following(
        ground, proxy, namespace, tmp_path, resource=JOBS, identity="nowatch"
    ) as it:
        await it.reaches(HealthState.POLLING)
        assert "watching is not allowed; listed every" in it.health.message
        await it.settled()
        (await asyncio.to_thread(ground.api, "POST", jobs, job("two"))).ok()
        await it.settled()
        await asyncio.to_thread(ground.api, "DELETE", f"{jobs}/one")
        await it.settled()
        assert proxy.count(WATCH) <= 2
        assert HealthState.LIVE not in it.states()


async def test_watching_is_allowed_later(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    timing = altered(QUICK, denied=0.2)
    proxy.add(Fault(Answer(403, status(403, "Forbidden")), path=WATCH, times=1))
    async with following(ground, proxy, namespace, tmp_path, timing=timing) as it:
        await it.reaches(HealthState.POLLING)
        await maps.make("a")
        await it.reaches(HealthState.LIVE)
        await it.settled()


async def test_listing_is_not_allowed(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    denied = proxy.add(Fault(Answer(403, status(403, "Forbidden", "no \x1b[2Jway")), path=LIST))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.reaches(HealthState.DENIED)
        assert "no way" in it.health.message
        assert it.health.message.isprintable()
        await until(lambda: denied.hits >= 3)
        assert proxy.calls[-1].at - proxy.calls[0].at > 2 * QUICK.denied - 0.1
        assert proxy.count(WATCH) == 0
        proxy.clear()
        await maps.make("a")
        await it.settled()


async def test_a_kind_that_the_server_lacks(
    ground: Ground, namespace: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    lacking: Resource[Any] = Resource("none.example", "v1", "nothings", "Nothing", True, ConfigMap)
    async with following(ground, proxy, namespace, tmp_path, resource=lacking) as it:
        await it.reaches(HealthState.ABSENT)
        assert not it.health.synced
        assert proxy.count() <= 2


async def test_retry_after_is_kept(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    busy = Answer(429, status(429, "TooManyRequests"), (("Retry-After", "1"),))
    proxy.add(Fault(busy, path=LIST, times=1))
    proxy.add(Fault(busy, path=WATCH, times=1))
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.reaches(HealthState.LIVE)
        await it.settled()
        first, second, third, fourth = (call.at for call in proxy.calls[:4])
        assert second - first >= 1.0
        assert fourth - third >= 1.0
        assert proxy.count(LIST) == 2, "a busy watch is no reason to list again"


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_server_errors_back_off(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, code: int
) -> None:
    await maps.make("a")
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.settled()
        bad = proxy.add(Fault(Answer(code, b"<html><title>Bad</title>"), times=4))
        await proxy.drop_all()
        await until(lambda: bad.hits == 4)
        times = [call.at for call in proxy.calls if call.fault is bad]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert gaps[0] > 0.1
        assert gaps[2] > 2 * 0.2
        await maps.drop("a")
        await maps.make("b")
        await it.settled()


async def test_a_web_page_is_not_taken_for_an_empty_cluster(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await maps.make("a")
    page = Answer(200, b"<html><title>Log in</title></html>", (("Content-Type", "text/html"),))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await it.settled()
        proxy.add(Fault(Answer(410, status(410, "Expired")), path=WATCH, times=1))
        login = proxy.add(Fault(page, path=LIST, times=3))
        empty = proxy.add(Fault(Answer(200, b'{"kind":"Status"}'), path=LIST, times=1))
        await proxy.drop_all()
        await until(lambda: any("Log in" in h.message for h in it.healths))
        assert it.mirror.rows
        await until(lambda: (login.hits, empty.hits) == (3, 1))
        assert it.mirror.rows
        await it.settled()


async def test_an_answer_that_is_overtaken(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    await maps.make("goes", "changes")
    hold = Hold()
    proxy.add(Fault(hold, path=LIST, nth=1))
    async with following(ground, proxy, namespace, tmp_path) as it:
        await asyncio.wait_for(hold.reached.wait(), 10)
        await maps.drop("goes")
        await maps.change("changes", "2")
        await maps.make("comes")
        hold.release.set()
        await it.settled()
        assert proxy.count(LIST) == 1


@pytest.mark.parametrize("kind", ["stopped", "slept"])
async def test_a_suspended_process_lists_again(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path, kind: str
) -> None:
    offset = {"clock": 0.0, "wall": 0.0}
    loop = asyncio.get_running_loop()
    async with following(
        ground,
        proxy,
        namespace,
        tmp_path,
        clock=lambda: loop.time() + offset["clock"],
        wall=lambda: loop.time() + offset["wall"],
    ) as it:
        await it.reaches(HealthState.LIVE)
        await it.settled()
        offset["wall"] += 100.0
        if kind == "stopped":  # the monotonic clock runs on while a process is stopped
            offset["clock"] += 100.0
        await until(lambda: proxy.count(LIST) == 2)
        await maps.make("a")
        await it.settled()
        await it.reaches(HealthState.LIVE)
        assert proxy.count(LIST) == 2


async def test_events_are_listed_again_after_each_watch(
    ground: Ground, namespace: str, maps: Maps, proxy: FaultProxy, tmp_path: Path
) -> None:
    timing = altered(QUICK, watch_least=1, watch_most=1)
    path = f"/api/v1/namespaces/{namespace}/events"
    async with following(ground, proxy, namespace, tmp_path, resource=EVENTS, timing=timing) as it:
        await it.reaches(HealthState.LIVE)
        body = {
            "metadata": {"name": "e1", "namespace": namespace},
            "involvedObject": {"kind": "ConfigMap", "name": "a", "namespace": namespace},
            "reason": "Tested",
            "message": "by \x1b]0;title\x07 hand",
        }
        (await asyncio.to_thread(ground.api, "POST", path, body)).ok()
        await it.settled()
        event = next(iter(it.mirror.rows.values()))
        assert isinstance(event, kube.Event)
        assert "\x1b" not in event.message
        await until(lambda: proxy.count(r"/events\?(?!.*watch=true)") >= 2)
        await it.settled()


async def test_a_storm(
    ground: Ground,
    namespace: str,
    maps: Maps,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any faults in any order, with changes all the while; then the truth, and not one ghost."""
    monkeypatch.setattr(reflector_module, "PAGE", 5)
    seed = random.Random(20261123)
    acts: list[Any] = [
        Cut(),
        Cut(after_bytes=100),
        Cut(after_lines=1, within=True),
        Cut(after_lines=2, within=True, clean=True),
        Answer(200, b""),
        Answer(200, EXPIRED_LINE + b"\n"),
        Answer(410, status(410, "Expired")),
        Answer(500, b"oops"),
        Answer(429, status(429), (("Retry-After", "0"),)),
        Drip(3000, piece=11),
        Lie(line=lambda line: line[:50] + b"\n"),
    ]
    seed.shuffle(acts)
    for index, act in enumerate(acts * 2):
        # Each fault counts the calls that come to it, so this is about every other call.
        proxy.add(Fault(act, nth=2 + index))
    async with following(ground, proxy, namespace, tmp_path) as it:
        alive: list[str] = []
        began = time.monotonic()
        for step in itertools.count():
            if step > 60 and sum(fault.hits for fault in proxy.faults) >= len(acts):
                break
            assert time.monotonic() - began < 120, "too few of the faults are met"
            if step > 200:
                # It waits longer after each failure than a quick server needs for a change.
                await asyncio.sleep(0.1)
            if alive and seed.random() < 0.4:
                await maps.drop(alive.pop(seed.randrange(len(alive))))
            else:
                name = f"s{step}"
                await maps.make(name)
                alive.append(name)
            if seed.random() < 0.15:
                await proxy.drop_all()
        await it.settled(deadline=40)
        assert sum(fault.hits for fault in proxy.faults) >= len(acts)
        proxy.clear()
        await it.reaches(HealthState.LIVE)
        await it.settled()


def asked_again(proxy: FaultProxy, before: int) -> bool:
    return proxy.count(WATCH) > before


def job(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": name}, "spec": {"suspend": True, "template": template}}


def altered(timing: Timing, **changes: Any) -> Timing:
    return dataclasses.replace(timing, **changes)
