"""No bench stands beside ``make bench``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.figure import Figure

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
