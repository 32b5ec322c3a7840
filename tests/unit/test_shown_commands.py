"""Commands that are shown: whatever is put into one is made a word of a shell first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mcp_tui
from tests.joined.commands import COMMANDS

_FIRST = sorted({command.words.split()[0] for command in COMMANDS})
_SHOWN = re.compile(rf"mcp-tui (?:-|(?:{'|'.join(_FIRST)})\b)")


def _made_words(function: ast.AST) -> set[str]:
    """Names to which a function gives nothing but what ``word`` made."""
    given: dict[str, set[bool]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    given.setdefault(target.id, set()).add(_is_word(node.value))
    return {name for name, each in given.items() if each == {True}}


def _is_word(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "word"


def _loose(text: str) -> Iterator[str]:
    """What is put as it is behind the name of a command, in one string."""
    tree = ast.parse(text)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for scope in (each for each in ast.walk(tree) if isinstance(each, functions)):
        words = _made_words(scope)
        for string in (each for each in ast.walk(scope) if isinstance(each, ast.JoinedStr)):
            said = ""
            for part in string.values:
                if isinstance(part, ast.Constant):
                    said = (said + part.value).rpartition("\n")[2]
                elif isinstance(part, ast.FormattedValue) and _SHOWN.search(said):
                    known = isinstance(part.value, ast.Name) and part.value.id in words
                    if not (known or _is_word(part.value)):
                        yield f"line {part.lineno}: {ast.unparse(part.value)}"


def test_what_is_put_into_a_shown_command_is_one_word() -> None:
    root = Path(mcp_tui.__file__).parent
    loose = {
        str(path.relative_to(root)): found
        for path in sorted(root.rglob("*.py"))
        if (found := list(_loose(path.read_text())))
    }
    assert loose == {}


def test_what_is_loose_is_found() -> None:
    said = """
def f(a, b):
    c = word(a)
    d = word(a)
    d = b
    return f"mcp-tui model rollback {a}, of {b}", f"mcp-tui -n {word(a)} job show {c} {d}"
def g(a):
    return f"{a}: with mcp-tui {a}; mcp-tui doctor {a.b}"
"""
    found = [each.partition(": ")[2] for each in _loose(said)]
    assert found == ["a", "b", "d", "a.b"]
