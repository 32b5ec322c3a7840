"""The benches' figures, of what was measured: each promise is among them, and can be missed."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcp_tui.sources.kubernetes.backoff import Timing
from tests.bench import (
    churn,
    commands,
    growth,
    idle,
    panes,
    replay,
    rest,
    scale,
    scale_figures,
    weather,
)
from tests.bench.figure import Figure
from tests.bench.flood import Flood, Log
from tests.bench.scene import Size
from tests.bench.storm import Storm
from tests.bench.weather import Keys, Weather
from tests.joined.commands import COMMANDS
from tests.joined.panes import PANES
from tests.soak import SOAK

AT: Any = SimpleNamespace(
    size=Size(200, 1_000), ground=SimpleNamespace(directory=Path("x")), env={}
)
KEYS = {name: [1.0, 2.0] for name in ("down", "filter", "enter", "escape", "sort", "page")}
KEYS["sort"] = [3.0, 9.0]


def lived(rate: float, *, seconds: float = 30, same: bool = True) -> Weather:
    storm = Storm(int(rate * seconds), seconds)
    return Weather(storm, Keys(KEYS), 1_000, seconds, 1.0, 0, same, 1.0, 0.1)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_figures, "bare_key", lambda rows: 1.0)
    monkeypatch.setattr(scale_figures, "servers", lambda _: [])


def missed(figures: Iterator[Figure]) -> list[str]:
    return [figure.name for figure in figures if not figure.kept]


def test_milliseconds_stand_beside_a_bare_app() -> None:
    with pytest.raises(ValueError, match="beside no bare"):
        Figure("key to frame", 1, 50, "ms", "")
    assert Figure("key to frame", 1, 50, "ms", "", of_bare=0.5).kept
    assert Figure("logged to row", 1, 2, "s", "").kept


@pytest.mark.parametrize(
    ("behind", "most"),
    [(0.0, 10), (0.015, 25), (1.0, 40), (60.0, 40)],
    ids=lambda value: f"{value}",
)
def test_a_storm_that_is_behind_makes_up_for_it_bit_by_bit(behind: float, most: int) -> None:
    now, given, bursts = behind, 0, []
    while given < 30_000:
        now += 0.01
        due = replay.due(now, 1_000, given, 30_000)
        bursts.append(due - given)
        given = due
    assert max(bursts) in {most, most + 1}
    assert given == 30_000
    # It is in time again, and stays so.
    assert len(bursts) <= 3_001


def test_nothing_is_given_before_its_time_nor_twice() -> None:
    assert replay.due(0.0, 1_000, 0, 100) == 0
    assert replay.due(0.0205, 1_000, 15, 100) == 20
    assert replay.due(0.0205, 1_000, 25, 100) == 25
    assert replay.due(9.0, 1_000, 99, 100) == 100
    # Log lines go by the same rule; one that is slower than its beats gives one at a time.
    assert replay.due(1.0, 20_000, 0, 300_000) == 800
    assert replay.due(1.0, 5, 0, 300_000) == 1


@pytest.mark.parametrize(("rate", "names"), [(1_000, []), (949, ["events a second, a recording"])])
def test_a_replay_that_is_no_storm_is_a_miss(rate: float, names: list[str]) -> None:
    assert missed(scale_figures._stormed(AT, lived(rate), "a recording")) == names
    over = missed(scale_figures._over_ssh(AT, lived(rate)))
    assert over == (["events a second, ssh"] if names else [])


@pytest.mark.parametrize(("rate", "miss"), [(20_000, False), (18_900, True)])
def test_a_flood_that_is_none_is_a_miss(rate: float, miss: bool) -> None:
    count = int(rate * 15)
    log = Log(newest=count, given=count, notices=0, left=0, kept=count, dropped=0, age=0.1)
    told = Flood(Storm(count, 15), Keys(KEYS), (0.5,), log, 1.0, 0.2)
    names = missed(scale_figures._flooded(AT, told))
    assert names == (["log lines a second, one pod"] if miss else [])


@pytest.mark.parametrize(("rate", "miss"), [(200, False), (189, True)])
def test_a_churn_that_is_none_is_a_miss(
    monkeypatch: pytest.MonkeyPatch, rate: float, miss: bool
) -> None:
    told = churn.Churn(Storm(int(rate * 60), 60), (1,) * 60, True, 0.1)
    monkeypatch.setattr(churn, "live_through", lambda *_, **__: told)
    names = missed(scale_figures._churn(AT))
    assert names == (["creations and deletions a second, churn"] if miss else [])


def test_memory_that_comes_and_goes_with_the_jobs_is_a_miss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has not grown by the end, and was too much all the same."""
    samples = (1,) * 20 + (201_000_000,) + (1,) * 39
    told = churn.Churn(Storm(12_000, 60), samples, True, 0.1)
    monkeypatch.setattr(churn, "live_through", lambda *_, **__: told)
    assert missed(scale_figures._churn(AT)) == ["most memory while jobs come and go"]


@pytest.mark.parametrize("slow", ["slash", "filter", "enter", "escape", "sort"])
def test_each_key_of_a_filter_and_a_sort_counts(monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    times = {**KEYS, "slash": [1.0], slow: [1.0, 51.0, 2.0]}
    monkeypatch.setattr(scale_figures, "servers", lambda _: [])
    monkeypatch.setattr(scale, "quiet_keys", lambda _: Keys(times))
    (name,) = missed(scale_figures._keys(AT))
    assert ("sort" in name) == (slow == "sort")


def test_servers_have_come_to_rest_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def part(name: str) -> Callable[[object], Iterator[Figure]]:
        def measure(_at: object) -> Iterator[Figure]:
            done.append(name)
            return iter(())

        return measure

    monkeypatch.setattr(scale, "stage", lambda _: contextlib.nullcontext(AT))
    monkeypatch.setattr(scale_figures, "settle", lambda _: done.append("rest"))
    monkeypatch.setattr(scale_figures, "PARTS", tuple((each, part(each)) for each in "abc"))
    assert not list(scale_figures.figures(names=("a", "c")))
    assert done == ["rest", "a", "rest", "c"]


@pytest.mark.parametrize("used", [[0.5, 0.5, 0.5, 0.1], [0.1]])
def test_rest_is_hardly_any_work_of_all_servers(
    monkeypatch: pytest.MonkeyPatch, used: list[float]
) -> None:
    """Seconds of a processor in each beat, of two servers together."""
    processes = {"a": {"pid": 1}, "b": {"pid": 2}}
    ground = SimpleNamespace(state={"processes": processes}, directory=Path("x"))
    spent = [0.0, *itertools.accumulate(each * rest.BEAT for each in used)]
    beats = iter(range(1, len(spent)))
    now = [0]
    monkeypatch.setattr(rest, "processor", lambda pids: len(pids) * spent[now[0]] / 2)
    monkeypatch.setattr(rest.time, "sleep", lambda _: now.__setitem__(0, next(beats)))
    rest.settle(cast(Any, ground))
    assert now[0] == len(used)


@pytest.mark.parametrize(("rate", "miss"), [(230, False), (150, True)])
def test_a_server_that_is_hardly_written_to_is_a_miss(
    monkeypatch: pytest.MonkeyPatch, rate: float, miss: bool
) -> None:
    storm = SimpleNamespace(begin=lambda: None, end=lambda: None)
    monkeypatch.setattr(scale_figures, "Writer", lambda *_, **__: contextlib.nullcontext(storm))
    monkeypatch.setattr(scale_figures, "behind", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(scale_figures, "bare_keys", lambda *_: Keys({"move": [100.0]}))
    monkeypatch.setattr(scale_figures, "endure", lambda *_, **__: lived(rate))
    monkeypatch.setattr(
        scale_figures, "Scene", lambda _: SimpleNamespace(put_jobs=lambda count: None)
    )
    names = missed(scale_figures._written(AT))
    assert names == (["events a second, written to the server"] if miss else [])


def test_a_reader_that_has_stopped_stays_so_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: dict[object, float] = {}

    def replayed(_: object, path: object, seconds: float, **options: object) -> Weather:
        lines[options.get("line")] = seconds
        return lived(940 if "line" in options else 1_000, seconds=seconds)

    flooded: Callable[..., Iterator[Figure]] = lambda *_: iter(())  # noqa: E731
    monkeypatch.setattr(scale_figures, "_replayed", replayed)
    monkeypatch.setattr(scale_figures, "_flooded", flooded)
    monkeypatch.setattr(scale_figures, "follow", lambda *_, **__: None)
    monkeypatch.setattr(
        replay, "recording", lambda *_, **__: contextlib.nullcontext(Path("recording"))
    )
    source = SimpleNamespace(kubeconfig=Path("kubeconfig"))
    monkeypatch.setattr(scale_figures, "Replay", lambda *_, **__: contextlib.nullcontext(source))
    figures = list(scale_figures._given(AT))
    assert lines[0.0] == 60
    assert lines[scale_figures.SLOW_LINE] >= 20
    # Of each of them it is known how long the loop stood, and that it stormed meanwhile.
    for words in ("has stopped", "reads 2 kB/s"):
        bound = {f.name: f for f in figures}
        assert bound[f"event loop held up, {words}"].bound == 50
        assert bound[f"memory grown, {words}"].bound == 20
        assert not bound[f"events a second, {words}"].kept


@pytest.mark.soak
def test_who_is_left_alone_for_long_sees_watches_end() -> None:
    assert Timing().watch_most < idle.LONG
    look = idle.LONG if SOAK else 65
    assert look == idle.LOOK


class Sorting:
    """A console that sorts as it is told, but for one column."""

    def __init__(self, deaf: str = "") -> None:
        self.typed, self.column, self.deaf = "", "", deaf
        self.sorted: list[str] = []

    def key(self, keys: str) -> float:
        if keys != "\r":
            self.typed += keys
            return 0.001
        word, column = self.typed.removeprefix(":sort "), self.column
        self.typed = ""
        if word != self.deaf:
            self.column = "" if word == "urgency" else word
            self.sorted.append(self.column)
        assert column is not None
        return 0.002


def test_it_is_sorted_by_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ("state", "namespace", "name", "memory", "since")

    def told(terminal: Sorting) -> dict[str, str]:
        return {"sort": terminal.column, "columns": " ".join(columns)}

    monkeypatch.setattr(weather, "told", told)
    terminal, keys = Sorting(), Keys()
    weather.sort_by_each(cast(Any, terminal), keys, 0)
    assert terminal.sorted == [*columns, ""]
    assert keys.times == {"sort": [2.0] * len(terminal.sorted)}
    with pytest.raises(RuntimeError, match="order of 'memory'"):
        weather.sort_by_each(cast(Any, Sorting("memory")), Keys(), 0)


def test_a_row_of_growth_has_a_figure_under_each_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def stage(size: Size) -> Iterator[Any]:
        yield SimpleNamespace(size=size, ground=None, env={})

    starts = (scale.Kubectl(3.5, 262_000_000), scale.Start(0.4, 1.2, 150_000_000))
    monkeypatch.setattr(scale, "stage", stage)
    monkeypatch.setattr(scale, "starts", lambda *_: starts)
    monkeypatch.setattr(scale, "quiet_keys", lambda _: Keys(KEYS))
    monkeypatch.setattr(scale_figures, "replayed", lambda *_: lived(980))
    monkeypatch.setattr(idle, "of_console", lambda *_, **__: idle.Rest(0.0123, 2_048.0, 1))
    row = dict(zip(growth.HEADINGS, growth.row(100_000), strict=True))
    assert row == {
        "jobs": "100,000",
        "first rows, s": "0.40",
        "all rows, s": "1.20",
        "memory, MB": "150",
        "filter, ms": "2",
        "sort, ms": "9",
        "move, ms": "2",
        "storm, events/s": "980",
        "its keys' P99, ms": "9",
        "idle, % of a core": "1.23",
        "idle, KiB/min": "2.0",
        "kubectl, s": "3.50",
        "kubectl, MB": "262",
    }
    monkeypatch.setattr(scale_figures, "replayed", lambda *_: lived(980, same=False))
    with pytest.raises(RuntimeError, match="differs"):
        growth.row(1_000)


def test_a_cell_that_changes_is_small_in_what_shows_it(tmp_path: Path) -> None:
    """The views' bench itself, on a few: where one is typed into, in a list, over a list."""
    some = [pane for pane in PANES if pane.id in ("jobs", "filter", "leave", "yaml", "runs-of")]
    found = {each.pane.id: each for each in panes.measure(some, rows=20)}
    assert set(found) == {pane.id for pane in some}
    assert all(len(each.keys) == panes.PRESSES for each in found.values())
    assert all(0 < found[name].size <= panes.CELL_BYTES for name in ("jobs", "runs-of"))
    assert found["yaml"].size == 0


def test_a_command_is_timed_until_it_says_something() -> None:
    some = [command for command in COMMANDS if command.words in ("job schema", "console")]
    bare, found = commands.measure(some, rounds=1)
    assert bare > 0 and set(found) == {"job schema", "console"}
    assert all(took > 0 for took in found.values())


def test_a_command_that_breaks_is_not_timed(tmp_path: Path) -> None:
    for script in ("raise SystemExit", "print('x'); raise SystemExit(70)", "1 / 0"):
        with pytest.raises(RuntimeError):
            commands.first_output([sys.executable, "-c", script], env={}, folder=tmp_path)
