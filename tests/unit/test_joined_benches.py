"""No bench stands beside ``make bench``, and what has joined is measured by what joins it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench import __main__ as bench
from tests.bench import commands, panes, runs_figures, scale_figures, watch_decode
from tests.bench.figure import Figure
from tests.joined.commands import COMMANDS
from tests.joined.panes import PANES, Pane
from tests.joined.sources import SOURCES

FOLDER = Path(bench.__file__).parent


def test_every_module_that_measures_is_run() -> None:
    run = ast.parse((FOLDER / "__main__.py").read_text())
    called = {
        node.value.id
        for node in ast.walk(run)
        if isinstance(node, ast.Attribute)
        and node.attr in ("measure", "figures")
        and isinstance(node.value, ast.Name)
    }
    measuring = {
        path.stem
        for path in FOLDER.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name in ("measure", "figures")
    }
    assert measuring == called
    assert len({name for name, _ in bench.BENCHES}) == len(bench.BENCHES) == len(measuring)


@pytest.mark.parametrize(("value", "code"), [(1.0, 0), (1.5, 1)])
def test_a_missed_bound_is_told_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    value: float,
    code: int,
) -> None:
    monkeypatch.setenv("MCP_TUI_BENCH_JSON", str(tmp_path / "a" / "run.json"))
    figure = Figure("weight", value, 1.0, "kg", "a feather")
    monkeypatch.setattr(bench, "BENCHES", (("one", lambda: [figure]),))
    assert bench.main([]) == code
    assert capsys.readouterr().out.startswith("MISS" if code else "ok")
    assert bench.main(["two"]) == 2


def test_two_runs_can_be_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs = []
    for value in (2.0, 3.0):
        runs.append(str(tmp_path / f"{value}.json"))
        monkeypatch.setenv("MCP_TUI_BENCH_JSON", runs[-1])
        figure = Figure("key to frame", value, 2.5, "ms", "a key", of_bare=value / 2)
        monkeypatch.setattr(bench, "BENCHES", (("one", lambda figure=figure: [figure]),))
        bench.main([])
    assert "= 1.5x a bare Textual app" in capsys.readouterr().out
    assert bench.main(["compare", *runs]) == 0
    out = capsys.readouterr().out
    assert "1.50x" in out
    assert "MISS" in out


@pytest.mark.parametrize("module", [scale_figures, runs_figures], ids=lambda m: m.__name__)
def test_every_part_is_run(module: ModuleType) -> None:
    """A part is what makes figures of nothing but the stage that all are measured on."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    parts = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and [ast.unparse(arg.annotation or arg) for arg in node.args.args] in _STAGES
        and ast.unparse(node.returns or node) == "Iterator[Figure]"
    ]
    assert sorted(parts) == sorted(part.__name__ for _, part in module.PARTS)
    assert len({name for name, _ in module.PARTS}) == len(module.PARTS)


_STAGES = (["scale.Stage"], ["Tracker"])


def test_every_source_is_decoded() -> None:
    assert set(watch_decode.KINDS) == {source.name for source in SOURCES}
    for name, kind in watch_decode.KINDS.items():
        table = asyncio.run(watch_decode.ours(watch_decode.chunks(kind.make, 9), kind.resource))
        assert len(table) == 9, name
        assert len(watch_decode.theirs(watch_decode.chunks(kind.make, 9), kind.model)) == 9, name
    asked: list[str] = []

    def measure(kinds: Sequence[str], **_: int) -> list[tuple[str, watch_decode.Pace]]:
        asked.extend(kinds)
        return [(kind, watch_decode.Pace(2.0, 1.0)) for kind in kinds]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch_decode, "measure", measure)
        found = list(watch_decode.figures())
    assert sorted(asked) == sorted(watch_decode.KINDS)
    assert not any(figure.kept for figure in found)


class _Terminal:
    """Goes to no view."""

    went: list[str]

    def __init__(self, names: list[str], **_: object) -> None:
        self.went += names

    def __enter__(self) -> _Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _seen(_: _Terminal, pane: Pane) -> panes.Found:
    slow = 60.0 if pane.id == PANES[-1].id else 1.0
    return panes.Found(pane, (slow,) * 3, 2_000 if pane is PANES[0] else 1)


def test_every_pane_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Terminal, "went", [], raising=False)
    monkeypatch.setattr(panes, "Terminal", _Terminal)
    monkeypatch.setattr(panes, "_look", _seen)
    monkeypatch.setattr(panes, "bare_key", lambda rows: 1.0)
    figures = list(panes.figures())
    assert sorted(_Terminal.went) == sorted(pane.id for pane in PANES)
    # One view that is slow, or one that costs much, is enough for a miss.
    missed = [figure.name for figure in figures if not figure.kept]
    assert missed == [
        "key to frame in every view, P99",
        "key to frame in every view, the slowest",
        "one changed cell in every view, the most",
    ]
    assert set(panes.LISTS) <= {pane.id for pane in PANES}
    assert set(panes.CHARTS) <= {pane.screen for pane in PANES}


def test_every_command_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def timed(argv: Sequence[str], *_: object, **__: object) -> float:
        ran.append(" ".join(argv))
        return {"schema": 9.0, "demo": 30.0}.get(argv[-1], 1.0)

    monkeypatch.setattr(commands, "first_output", timed)
    monkeypatch.setattr(commands, "first_frame", timed)
    bare, found = commands.measure(rounds=1)
    assert bare == 1.0
    assert set(found) == {command.words for command in COMMANDS}
    for command in COMMANDS:
        (line,) = (each for each in ran if f" {command.words} " in f"{each} ")
        assert ("--dry-run" in line) == command.writes
    # The demo is held against the console: neither hides a slow command, nor is it hidden.
    slowest, demo = commands.figures()
    assert (slowest.value, slowest.kept) == (9.0, False)
    assert (demo.value, demo.kept) == (30.0, False)
