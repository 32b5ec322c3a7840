"""Each rule of the reflector that a random schedule seldom needs, on the shortest way to it."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes import reflector as reflector_module
from mcp_tui.sources.kubernetes.known import Delta, older
from tests.faults.apiserver import GONE, ApiServer, Spoilt, encoded, refusal, reset
from tests.faults.virtually import Scene
from tests.joined.sources import SOURCES


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(reflector_module, "PAGE", 2)
    with Scene(SOURCES[0]) as it:
        yield it


@pytest.fixture
def server(scene: Scene) -> ApiServer:
    return scene.server


def make(scene: Scene, *names: str) -> None:
    for name in names:
        scene.server.put(name, 0)
    scene.go(3.0)


def version_of(server: ApiServer, name: str) -> int:
    return int(server.objects[name]["metadata"]["resourceVersion"])


def test_a_version_that_a_restored_server_gives_twice(scene: Scene, server: ApiServer) -> None:
    """The same object, the same version, and another state."""
    make(scene, "a", "b", "c", "b", "a", "c")
    clash = version_of(server, "a")
    server.down = True
    server.restore(4)
    server.put("a", 3, at=clash)
    scene.go(10.0)
    server.down = False
    scene.settle()


def test_a_version_of_a_list_that_a_restore_cut_off(scene: Scene, server: ApiServer) -> None:
    """Its first page told of versions that no watch and no whole list has come to."""
    make(scene, "a", "b", "c")
    server.cut_all()
    server.put("c", 1)
    server.put("a", 2)
    server.put("c", 2)
    server.compact()
    clash = version_of(server, "a")
    seen = scene.server.calls
    server.on_list.extend([Spoilt(real=True), Spoilt(real=True), Spoilt(500)])
    scene.go(2.0)
    assert [kind for _, kind in seen][-4:] == ["check", "watch", "list", "list"]
    assert not server.on_list
    server.down = True
    server.restore(3)
    server.put("a", 3, at=clash)
    scene.go(10.0)
    server.down = False
    scene.settle()


def test_a_list_that_fails_after_a_restore_is_not_forgotten(
    scene: Scene, server: ApiServer
) -> None:
    make(scene, "a", "b", "c", "a")
    server.down = True
    server.restore(3)
    scene.go(5.0)
    server.down = False
    failed = Spoilt(500, encoded(refusal(500)))
    scene.go(35.0)
    server.on_list.extend([failed] * 4)
    scene.settle()


def put_back(scene: Scene, back: int, *, away: float, clash: int = 0) -> None:
    """The server comes back with an older state, and goes on to versions that we do not know."""
    server = scene.server
    server.down = True
    server.restart()
    scene.go(away)
    server.restore(back)
    if clash:
        server.put("a", 3, at=clash)
    for turn in range(40):
        server.put("c", turn)
    server.down = False


def test_a_restored_server_that_has_counted_past_us(scene: Scene, server: ApiServer) -> None:
    """Its versions tell nothing, not even where they are ours: that it was away does."""
    make(scene, "a", "b", "c", "b", "a", "c")
    lists = server.lists
    put_back(scene, 4, away=20.0, clash=version_of(server, "a"))
    scene.go(60.0)
    scene.equal()
    assert server.lists == lists + 1


def test_who_is_away_for_a_moment_is_not_listed(scene: Scene, server: ApiServer) -> None:
    """The line is bad for a few seconds now and then: only what happened meanwhile comes."""
    make(scene, "a", "b")
    lists = server.lists
    for turn in range(10):
        server.down = True
        server.cut_all()
        server.put("a", turn)
        scene.go(6.0)
        server.down = False
        scene.go(200.0)
        scene.equal()
    assert server.lists == lists


def test_a_poll_after_a_restore_takes_no_version_for_known(scene: Scene, server: ApiServer) -> None:
    """The same version of the same object, written by another history while nobody asked."""
    make(scene, "a", "b", "c", "b", "a", "c")
    clash = version_of(server, "a")
    server.on_watch.append(Spoilt(403, encoded(refusal(403))))
    server.cut_all()
    scene.go(2.0)
    assert scene.reflector.health.state is HealthState.POLLING
    scene.reflector._timing = dataclasses.replace(scene.reflector._timing, poll=100.0)
    scene.go(12.0)
    server.calls.clear()
    put_back(scene, 4, away=40.0, clash=clash)
    assert not server.calls
    scene.go(130.0)
    scene.equal()
    assert scene.reflector.health.state is HealthState.POLLING


def test_a_poll_of_older_versions_takes_none_for_known(scene: Scene, server: ApiServer) -> None:
    """Put back between two polls, so quickly that nobody misses it."""
    make(scene, "a", "b", "c", "b", "a", "c")
    clash = version_of(server, "a")
    server.on_watch.append(Spoilt(403, encoded(refusal(403))))
    server.cut_all()
    scene.go(5.0)
    assert scene.reflector.health.state is HealthState.POLLING
    server.restore(3)
    server.put("a", 3, at=clash)
    scene.go(15.0)
    scene.equal()


def test_a_list_that_ends_early_leaves_nothing_to_rely_on(scene: Scene, server: ApiServer) -> None:
    """It told that the versions went back; when the next begins, they have come past ours."""
    make(scene, "a", "b", "c", "b", "a", "c")
    clash = version_of(server, "a")
    server.restore(3)
    server.on_list.extend([Spoilt(real=True), Spoilt(real=True), Spoilt(500)])
    scene.go(4.8)
    assert not server.on_list
    server.put("a", 3, at=clash)
    for turn in range(5):
        server.put("c", turn)
    scene.go(20.0)
    scene.equal()


def test_a_list_that_follows_another_tells_the_differences(
    scene: Scene, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(scene, "a", "b", "c")
    told: list[str] = []

    def sink(delta: Delta[Any]) -> None:
        told.extend(item.metadata.name for item in delta.upserts)
        scene._sink(delta)

    monkeypatch.setattr(scene.reflector, "_sink", sink)
    for _ in range(3):
        server.down = True
        server.cut_all()
        server.put("b", 1)
        server.compact()
        server.down = False
        scene.go(60.0)
        scene.equal()
    assert told == ["b"] * 3


def test_a_server_that_says_how_far_behind_it_is(scene: Scene, server: ApiServer) -> None:
    """Not all wait for a version that is yet to come: some answer with what they have."""
    make(scene, "a", "b", "c")
    lists = server.lists
    page = {"kind": "JobList", "metadata": {"resourceVersion": "7"}, "items": []}
    server.on_list.append(Spoilt(200, encoded(page)))
    server.cut_all()
    scene.go(10.0)
    assert server.lists == lists + 1


def test_a_server_that_was_behind_stays_another(scene: Scene, server: ApiServer) -> None:
    """It was found out; when the list comes, its versions have come past ours."""
    make(scene, "a", "b", "c", "b", "a", "c")
    clash = version_of(server, "a")
    server.restore(3)
    while not scene.reflector._must_list:
        scene.go(0.001)
    assert server.calls[-1][1] == "check"
    server.put("a", 3, at=clash)
    for turn in range(5):
        server.put("c", turn)
    scene.go(20.0)
    scene.equal()


def test_a_check_that_takes_long_finds_nothing_out(scene: Scene, server: ApiServer) -> None:
    """Who stands in between held it until the server was there again, and past us."""
    make(scene, "a", "b", "c", "a", "b")
    server.cut_all()
    server.on_list.append(Spoilt(real=True, after=20.0))
    while server.on_list:
        scene.go(0.01)
    version, objects = server.past[-3]
    server.history = [each for each in server.history if each[0] <= version]
    server.objects = dict(objects)
    server.put("c", 3)
    scene.go(25.0)
    scene.equal()


@pytest.mark.parametrize("back", [True, False], ids=["restored", "as it was"])
def test_a_watch_that_says_nothing_is_doubted(scene: Scene, server: ApiServer, back: bool) -> None:
    """One from a version that is yet to come is answered, and then there is silence."""
    make(scene, "a", "b", "c", "a", "b")
    for stream in server.streams:
        stream.since = 10**9  # nothing is told any more, as after a restore that nobody saw
    if back:
        version, objects = server.past[-3]
        server.version, server.objects = version, dict(objects)
        server.history = [each for each in server.history if each[0] <= version]
    lists = server.lists
    scene.go(1_500.0)
    scene.equal()
    assert server.lists == lists + back


def test_who_was_silent_for_long_is_listed(scene: Scene, server: ApiServer) -> None:
    """A connection that died without a word may have been dead for as long as a restore takes."""
    make(scene, "a", "b", "c", "a", "b")
    scene.go(70.0)
    for stream in server.streams:
        stream.stalled = True
    put_back(scene, 4, away=20.0)
    scene.go(200.0)
    scene.equal()


def test_who_slept_while_the_server_was_away_lists(scene: Scene, server: ApiServer) -> None:
    """Some clocks stand still while a machine sleeps; the one on the wall does not."""
    make(scene, "a", "b", "c", "a", "b")
    server.down = True
    server.restart()
    scene.go(3.0)
    scene.offset["wall"] += 500.0
    put_back(scene, 4, away=1.0)
    scene.go(20.0)
    scene.equal()


def test_an_answer_that_is_no_list_says_nothing_of_a_restore(
    scene: Scene, server: ApiServer
) -> None:
    make(scene, "a", "b", "c", "a")
    server.restore(3)
    server.on_list.append(Spoilt(200, b'{"kind":"Status"}'))
    scene.go(10.0)
    assert not server.on_list
    scene.settle()


def test_an_event_that_comes_late_is_not_lost(scene: Scene, server: ApiServer) -> None:
    make(scene, "a")
    (stream,) = server.streams
    stream.late = []
    server.put("late", 0)
    server.put("a", 1)
    scene.go(20.0)
    scene.equal()


def test_one_that_comes_twice_tells_nothing(scene: Scene, server: ApiServer) -> None:
    make(scene, "a")
    lists = server.lists
    (stream,) = server.streams
    for _ in range(3):
        stream.give(stream.last)
    scene.go(20.0)
    scene.equal()
    assert server.lists == lists


def test_bookmarks_without_end(scene: Scene, server: ApiServer) -> None:
    """They are no objects, no reason to list, and no news to anybody."""
    make(scene, "a", "b", "c")
    lists, told = server.lists, len(scene.healths)
    (stream,) = server.streams
    for turn in range(20_000):
        server.bookmark(stream)
        if turn % 1_000 == 0:
            scene.go(0.01)
    scene.go(5.0)
    assert scene.reflector.health.dropped == 0
    assert (server.lists, len(scene.healths)) == (lists, told)
    server.put("d", 0)
    scene.go(1.0)
    scene.equal()


@pytest.mark.parametrize("by_event", [False, True], ids=["status", "event"])
def test_a_watch_that_is_always_too_old_is_no_loop(
    scene: Scene, server: ApiServer, by_event: bool
) -> None:
    """Also where each gives an event first: that is no sign of health."""
    server.says_by_event = by_event
    make(scene, "a")
    for turn in range(300):
        server.put("a", turn)
        server.compact()
        for stream in server.streams:
            stream.line({"type": "ERROR", "object": refusal(410, "Expired")})
            stream.end()
        server.compact()
        scene.go(0.5)
    assert server.lists < 30
    scene.settle()


@pytest.mark.parametrize("gap", ["cut", "end"])
def test_a_planned_end_asks_nothing_more(scene: Scene, server: ApiServer, gap: str) -> None:
    """Watches that end in their time go on as they are: a quiet console stays quiet."""
    make(scene, "a")
    asked: list[str] = []
    for _ in range(100):
        scene.go(60.0)
        asked += [kind for at, kind in server.calls if at > scene.loop.time() - 10]
    assert "check" not in asked
    assert server.lists == 1
    if gap == "cut":
        server.cut_all()
    else:
        for stream in list(server.streams):
            stream.end()
    scene.go(5.0)
    assert "check" in [kind for _, kind in server.calls]
    assert server.lists == 1
    scene.settle()


def test_versions_that_are_no_numbers_are_taken_as_they_come() -> None:
    assert not older("x1", "x2")
    assert not older("1" * 5_000, "2" * 5_000)
    assert older("9", "10")


def test_an_event_of_a_kind_yet_unknown(scene: Scene, server: ApiServer) -> None:
    make(scene, "a")
    (stream,) = server.streams
    doc = {"kind": "Surprise", "apiVersion": "new/v9", "metadata": {"resourceVersion": "1"}}
    lines: tuple[Any, ...] = ({"type": "SURPRISE", "object": doc}, {"type": "ADDED"}, {}, [])
    for value in lines:
        stream.give(json.dumps(value).encode() + b"\n")
        scene.go(3.0)
    server.put("b", 0)
    scene.settle()


def test_what_came_with_the_end_of_a_watch_is_told(scene: Scene, server: ApiServer) -> None:
    """Events and an error in one piece."""
    make(scene, "a", "b")
    server.down = True
    (stream,) = server.streams
    server.put("c", 1)
    server.drop("b")
    stream.line({"type": "ERROR", "object": refusal(500)})
    stream.end()
    scene.go(1.0)
    scene.equal()


def test_pieces_end_anywhere(scene: Scene, server: ApiServer) -> None:
    make(scene, "a")
    (stream,) = server.streams
    lists = server.lists
    for size in (1, 7, 700, 1_000):
        for name in "bcd":
            server.put(name, 1)
        whole = b"".join(piece for piece in stream.out if isinstance(piece, bytes))
        stream.out.clear()
        stream.out.extend(whole[at : at + size] for at in range(0, len(whole), size))
        scene.go(1.0)
        scene.equal()
    assert (server.lists, scene.reflector.health.dropped) == (lists, 0)
    assert server.streams == [stream], "it was asked for again"


def test_a_watch_that_is_refused_for_its_own_sake_is_listed_for(
    scene: Scene, server: ApiServer
) -> None:
    """What is wrong with a version is not cured by asking for it again."""
    make(scene, "a")
    lists = server.lists
    server.on_watch.append(Spoilt(400, encoded(refusal(400))))
    server.cut_all()
    scene.go(10.0)
    assert server.lists == lists + 1


def test_a_watch_that_is_denied_is_not_asked_for_at_each_list(
    scene: Scene, server: ApiServer
) -> None:
    make(scene, "a")
    server.on_watch.extend([Spoilt(403, encoded(refusal(403)))] * 5)
    server.cut_all()
    scene.go(200.0)
    assert len(server.on_watch) == 4
    assert server.lists > 8
    assert scene.reflector.health.state is HealthState.POLLING
    scene.settle()


@pytest.mark.parametrize("kind", ["stopped", "slept"])
def test_who_was_suspended_lists(scene: Scene, server: ApiServer, kind: str) -> None:
    make(scene, "a")
    lists = server.lists
    scene.offset["wall"] += 500.0
    scene.offset["clock"] += 500.0 if kind == "stopped" else 0.0
    scene.go(10.0)
    assert server.lists == lists + 1


@pytest.mark.parametrize("body", [b'{"kind":"Status"}', b"{}", b"[]", b"null", b""])
def test_what_is_no_list_takes_no_row_away(scene: Scene, server: ApiServer, body: bytes) -> None:
    make(scene, "a", "b")
    server.compact()
    server.floor += 1
    server.on_list.extend([Spoilt(real=True), *[Spoilt(200, body)] * 3])
    server.cut_all()
    for _ in range(100):
        scene.go(0.1)
        scene.equal()
    assert not server.on_list
    server.floor -= 1
    scene.settle()


def test_a_line_that_is_broken_on_the_way_is_asked_for_again(
    scene: Scene, server: ApiServer
) -> None:
    make(scene, "a")
    scene.go(100.0)
    lists = server.lists
    server.spoil = dict.fromkeys(range(server.version, server.version + 9), 1)
    server.put("b", 1)
    scene.go(5.0)
    scene.equal()
    assert (server.lists, scene.reflector.health.dropped) == (lists, 0)


STATUSES = (400, 401, 403, 404, 405, 408, 409, 410, 422, 429, 500, 502, 503, 504)
ODD_WAITS = ("Wed, 01 Jan 2020 00:00:00 GMT", "-5", "soon")
ANSWERS = [(status, wait) for status in STATUSES for wait in ("", "90")]
ANSWERS += [(429, wait) for wait in ODD_WAITS]


@pytest.mark.parametrize(("status", "wait"), ANSWERS)
@pytest.mark.parametrize("where", ["list", "page", "watch", "event", "check"])
def test_every_status_everywhere(
    scene: Scene, server: ApiServer, status: int, wait: str, where: str
) -> None:
    """Rows stay, nothing is asked in a loop, no sooner than the server wants, and it heals."""
    make(scene, "a", "b", "c")
    before = dict(scene.mirror.rows)
    headers = (("Retry-After", wait),) if wait else ()
    fault = Spoilt(status, encoded(refusal(status)), headers)
    start = scene.loop.time()
    if where == "event":
        details: Any = {"retryAfterSeconds": int(wait)} if wait == "90" else {}
        for stream in list(server.streams):
            stream.line({"type": "ERROR", "object": refusal(status, **details)})
            stream.end()
    elif where in ("list", "page"):
        server.floor = server.version + 1
        server.cut_all()
        server.on_list.append(Spoilt(real=True))  # the check, before the watch
        server.on_list.extend([Spoilt(real=True)] * (where == "page"))
        server.on_list.append(fault)
    elif where == "check":
        server.cut_all()
        server.on_list.append(fault)
    else:
        server.cut_all()
        server.on_watch.append(fault)
    server.put("a", 3)
    scene.go(1.0)
    assert scene.mirror.rows.keys() == before.keys()
    scene.go(30.0)
    if wait == "90" and status in (429, 503) and where != "event":
        at = [when for when, _ in server.calls if when > start]
        late = [when for when in at if when > start + 5]
        assert not late, f"asked again after {late[0] - start:.0f} s"
    scene.settle()
    assert scene.reflector.health.state is HealthState.LIVE


@pytest.mark.parametrize("end", ["cut", "end"])
def test_a_cut_in_a_character_and_in_a_block_of_gzip(
    scene: Scene, server: ApiServer, end: str
) -> None:
    make(scene, "a")
    for how in ("gzip", ""):
        server.on_watch.append(how)
        server.cut_all()
        scene.go(70.0)
        (stream,) = server.streams
        assert (stream.zip is not None) is bool(how)
        stream.tear = end
        server.put("b", 1)
        lost = stream.lost
        # A block that is whole ends like this, and is none without it.
        assert lost.endswith(b"\0\0\xff\xff" if how else b"\n") and len(lost) > 4
        scene.go(70.0)
        scene.equal()
        for stream in server.streams:
            whole = stream.last
            stream.out.append(whole[: whole.find("é".encode()) + 1])
            stream.end(httpx.ReadError("cut"))
        scene.go(70.0)
        scene.equal()
    assert scene.reflector.health.dropped == 0


@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_page_that_is_cut_in_its_midst(scene: Scene, server: ApiServer, page: int) -> None:
    """What came of it is not taken for the page, and the list goes on to its end."""
    make(scene, "a")
    server.cut_all()
    server.compact()
    server.floor += 1
    for name in ("b", "c", "d", "e"):
        server.put(name, 1)
    server.on_list.extend([None] * page + [Spoilt(cut=True)])
    scene.go(70.0)
    assert not server.on_list
    scene.equal()
    assert scene.reflector.health.state is HealthState.LIVE


@pytest.mark.parametrize("synced", [False, True], ids=["first list", "after health"])
def test_lists_that_are_always_gone_are_no_loop(
    scene: Scene, server: ApiServer, synced: bool
) -> None:
    """Nothing is too old for a list, so what says so is broken, and asked ever less often."""
    if synced:
        make(scene, "a")
        scene.go(100.0)
        server.cut_all()
        server.compact()
        server.floor += 1
    server.calls.clear()
    server.on_list.extend([Spoilt(410, encoded(GONE))] * 60)
    for _ in range(40):
        scene.go(0.25)
        health = scene.reflector.health
        assert synced or health.message, health
    assert health.state is HealthState.RETRYING
    assert "too old" in health.message
    assert len(server.calls) <= 20
    server.floor = 0
    scene.settle()


PODS = next(source for source in SOURCES if source.into == "pods")


@pytest.mark.parametrize(("count", "paged"), [(4, True), (5, False), (5, True), (8, True)])
def test_what_goes_beyond_the_most_is_said_and_read_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch, count: int, paged: bool
) -> None:
    """Wherever in a page the last that is kept stands."""
    monkeypatch.setattr(reflector_module, "PAGE", 2 if paged else 500)
    with Scene(PODS, most=4) as scene:
        for number in range(count):
            scene.server.put(f"p{number}", 0)
        scene.go(3.0)
        said = "only 4 of them are read" if count > 4 else ""
        assert scene.reflector.health.message == said
        assert len(scene.reflector.known()) == 4
        for row in list(scene.mirror.rows.values())[: count - 4]:
            scene.server.drop(row.metadata.name)
        scene.settle()
        assert scene.reflector.health.message == ""


@pytest.mark.parametrize("by_peer", [False, True], ids=["given up", "reset"])
def test_a_connection_that_the_kernel_gives_up_says_nothing_of_the_server(
    scene: Scene, server: ApiServer, by_peer: bool
) -> None:
    """Nobody was there to reset it: for so long the server may have been put back."""
    make(scene, "a", "b", "c", "a", "b")
    scene.go(1.0)
    lists, streams = server.lists, list(server.streams)
    for stream in streams:
        stream.stalled = True
    if not by_peer:
        put_back(scene, 4, away=20.0)
        server.floor = 0  # what is remembered goes back to before
        server.streams.clear()
        assert not server.down
    scene.go(20.0)
    for stream in streams:
        given_up = httpx.ReadError("")
        given_up.__cause__ = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        stream.out.append(reset() if by_peer else given_up)
        stream.news.set()
    scene.go(60.0)
    scene.equal()
    assert server.lists == lists + (not by_peer)


@pytest.mark.parametrize("kind", ["stopped", "slept"])
def test_who_was_suspended_in_a_storm_lists(scene: Scene, server: ApiServer, kind: str) -> None:
    """Also where what is read together is just being waited for."""
    make(scene, "a")

    async def storm(after: int) -> None:
        for turn in range(40):
            await asyncio.sleep(0.005)
            server.put("a", turn)
            if turn == after:
                scene.offset["wall"] += 500.0
                scene.offset["clock"] += 500.0 if kind == "stopped" else 0.0

    for after in range(20, 30):
        scene.go(100.0)
        lists = server.lists
        scene.loop.run_until_complete(storm(after))
        scene.go(10.0)
        assert server.lists == lists + 1, after
        scene.equal()


DEEP = b'{"a":' * 1_200 + b"1" + b"}" * 1_200


def test_an_object_that_cannot_be_read_hides_no_other_and_is_not_taken_for_deleted(
    scene: Scene, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row stays as it was told last, for as long as it is there."""
    monkeypatch.setattr(
        "tests.faults.apiserver.encoded", lambda value: encoded(value).replace(b'"DEEP"', DEEP)
    )
    make(scene, "a", "b", "c")
    last = scene.mirror.rows[server.objects["b"]["metadata"]["uid"]]
    server.objects["b"]["zzz"] = "DEEP"
    lists = server.lists
    server.put("c", 1)
    line = {"type": "MODIFIED", "object": server.objects["b"]}
    for stream in server.streams:
        stream.line(line)
    scene.go(5.0)
    assert scene.reflector.health.state is HealthState.LIVE, "a line that is whole"
    assert (server.lists, scene.reflector.health.dropped) == (lists, 1)
    server.compact()
    server.floor += 1
    server.cut_all()
    server.put("a", 1)
    scene.go(5.0)
    server.floor = 0
    scene.go(60.0)
    assert server.lists > lists
    assert scene.mirror.rows[last.metadata.uid] == last
    assert {row.metadata.name for row in scene.mirror.rows.values()} == {"a", "b", "c"}
    assert scene.reflector.health.state is HealthState.LIVE
    assert scene.reflector.health.dropped == server.lists - lists + 1
    assert "could not be read" in scene.reflector.health.message
    server.drop("b")
    del server.history[-1][2]["zzz"]
    server.compact()
    server.floor += 1
    server.cut_all()
    scene.go(5.0)
    server.floor = 0
    scene.settle()
    assert {row.metadata.name for row in scene.mirror.rows.values()} == {"a", "c"}
