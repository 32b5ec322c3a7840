"""What has a long form is run in it by ``make soak``, which picks tests by their mark."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _names(node: ast.AST) -> set[str]:
    """Every name that is read, and every fixture that is asked for."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}


def _defined(node: ast.stmt) -> set[str]:
    """What a statement of a module gives a name to."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return {node.name} if isinstance(node, Function | ast.ClassDef) else set()


def _long(tree: ast.Module) -> set[str]:
    """The names of a module whose meaning the long form changes, through others as well."""
    imports = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "tests.soak"]
    found = {alias.asname or alias.name for each in imports for alias in each.names}
    while True:
        more = {
            name
            for node in tree.body
            if _names(node) & found
            for name in _defined(node)
            if not name.startswith("test_")
        }
        if more <= found:
            return found
        found |= more


def _tests(tree: ast.AST, above: str = "") -> Iterator[tuple[str, Function, str]]:
    """Every test, and the marks that it has by itself, its class or its module."""
    body = getattr(tree, "body", [])
    marks = above + "".join(ast.unparse(n) for n in body if "pytestmark" in _defined(n))
    for node in body:
        own = marks + "".join(map(ast.unparse, getattr(node, "decorator_list", [])))
        if isinstance(node, ast.ClassDef):
            yield from _tests(node, own)
        elif isinstance(node, Function) and node.name.startswith("test_"):
            yield node.name, node, own


def unmarked(source: str) -> list[str]:
    """The tests of a file that have a long form which nobody runs."""
    if "tests.soak" not in source:
        return []
    tree = ast.parse(source)
    long = _long(tree)
    return [n for n, node, marks in _tests(tree) if _names(node) & long and "soak" not in marks]


def test_everything_that_has_a_long_form_is_marked() -> None:
    forgot = {
        str(path.relative_to(TESTS)): found
        for path in sorted(TESTS.rglob("test_*.py"))
        if (found := unmarked(path.read_text()))
    }
    assert not forgot


HEAD = "from tests.soak import times\nMARKED = pytest.mark\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def test_a():\n    times(1, 2)", ["test_a"]),
        ("@pytest.mark.soak\ndef test_a():\n    times(1, 2)", []),
        ("@pytest.mark.parametrize('n', range(times(1, 2)))\ndef test_a(n): ...", ["test_a"]),
        ("A, B = times(1, 2), 1\nasync def test_a():\n    return B", ["test_a"]),
        ("A: int = times(1, 2)\ndef help():\n    return A\ndef test_a(): help()", ["test_a"]),
        ("def some():\n    return times(1, 2)\ndef test_a(some): ...", ["test_a"]),
        ("A = times(1, 2)\ndef test_a(): ...", []),
        ("class TestIt:\n    def test_a(self):\n        times(1, 2)", ["test_a"]),
        ("pytestmark = pytest.mark.soak\ndef test_a():\n    times(1, 2)", []),
    ],
)
def test_one_that_forgets_its_mark_is_found(source: str, found: list[str]) -> None:
    assert unmarked(HEAD + source) == found
