"""Commands that are shown: whatever is put into one is made a word of a shell first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mcp_tui
from tests.joined.commands import COMMANDS

_ALL = {command.words for command in COMMANDS}
_FIRST = "|".join(sorted({words.split()[0] for words in _ALL}))
_TWO = "|".join(sorted(words for words in _ALL if " " in words))
# Behind the name of the program, or behind a value that may stand for it and its options.
_SHOWN = re.compile(rf"mcp-tui (?:-|(?:{_FIRST})\b)|\0 (?:{_TWO})\b")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _made_words(function: ast.AST) -> set[str]:
    """Names to which a function gives nothing but what ``word`` made."""
    given: dict[str, set[bool]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    given.setdefault(target.id, set()).add(_is_word(node.value))
        elif isinstance(node, ast.AugAssign | ast.arg):
            name = node.arg if isinstance(node, ast.arg) else getattr(node.target, "id", "")
            given.setdefault(name, set()).add(False)
    return {name for name, each in given.items() if each == {True}}


def _is_word(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and getattr(value.func, "id", "") == "word"


def _in_string(string: ast.JoinedStr, words: set[str]) -> Iterator[ast.expr]:
    """What an f-string puts behind the name of a command without making it a word."""
    said = ""
    for part in string.values:
        if isinstance(part, ast.Constant):
            said = (said + part.value).rpartition("\n")[2]
        elif isinstance(part, ast.FormattedValue):
            known = isinstance(part.value, ast.Name) and part.value.id in words
            if _SHOWN.search(said) and (part.format_spec or not (known or _is_word(part.value))):
                yield part.value
            said += "\0"


def _put_together(node: ast.AST) -> Iterator[ast.expr]:
    """A command that is put together in another way, which nobody looks through."""
    pieces: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        pieces = [node.left]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        pieces = [node.func.value] if node.func.attr == "format" else []
        pieces += node.args if node.func.attr == "join" else []
    for piece in pieces:
        for each in ast.walk(piece):
            text = each.value if isinstance(each, ast.Constant) else None
            if isinstance(text, str) and _SHOWN.search(text):
                yield piece


def _loose(text: str) -> Iterator[str]:
    """What is put as it is behind the name of a command."""
    tree = ast.parse(text)
    inner = {
        below
        for scope in ast.walk(tree)
        if isinstance(scope, _FUNCTIONS)
        for below in ast.walk(scope)
        if below is not scope
    }
    for scope in ast.walk(tree):
        if not (scope is tree or isinstance(scope, _FUNCTIONS)):
            continue
        words = _made_words(scope)
        for node in ast.walk(scope):
            if scope is tree and node in inner:
                continue
            found = _in_string(node, words) if isinstance(node, ast.JoinedStr) else ()
            for value in (*found, *_put_together(node)):
                yield f"line {value.lineno}: {ast.unparse(value)}"


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
    e = word(a)
    e += b
    return f"mcp-tui model rollback {a}, of {b}", f"mcp-tui -n {word(a)} job show {c} {d} {e}"
def g(a, c):
    yield f"{a}: with mcp-tui {a}; mcp-tui doctor {a.b}"
    yield f"{a} job show {c} {word(a):.3}"
    yield "mcp-tui job show " + a
    yield "mcp-tui job show %s" % a
    yield "mcp-tui job show {}".format(a)
    yield " ".join(["mcp-tui job show", a])
h = f"mcp-tui job show {i}"
"""
    found = sorted(each.partition(": ")[2] for each in _loose(said))
    shown = ["'mcp-tui job show '", "'mcp-tui job show %s'", "'mcp-tui job show {}'"]
    listed = ["['mcp-tui job show', a]"]
    assert found == sorted(["a", "b", "d", "e", "a.b", "c", "word(a)", "i", *shown, *listed])
