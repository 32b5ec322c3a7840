"""Values that one write of a plan yields and a later one uses, written ``{{mcp-tui.name}}``.

A plan is shown before its first call is made, so the id of a run that does not exist yet stands in
the Job's manifest as ``{{mcp-tui.run_id}}``; applying fills it in. The prefix keeps a user's own
``{{...}}`` in a command apart from ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_NAME: Final = re.compile(r"\{\{mcp-tui\.([a-z_]+)\}\}")
_WORDS: Final[Mapping[str, str]] = {
    "run_id": "the new run",
    "experiment_id": "the new experiment",
    "uid": "the new job's uid",
    "version": "new",
}


def placeholder(name: str) -> str:
    """How a value that is not known yet is written in a plan."""
    return "{{mcp-tui." + name + "}}"


def words(text: str) -> str:
    """Text for a person: ``(the new run)`` where a value is not known yet."""
    return _NAME.sub(lambda m: f"({_WORDS.get(m[1], m[1])})", text)


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """A copy of plain data with every known placeholder replaced.

    Unknown names stay as they are.
    """
    if isinstance(value, str):
        return _NAME.sub(lambda m: values.get(m[1], m[0]), value)
    if isinstance(value, Mapping):
        return {fill(k, values): fill(v, values) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(v, values) for v in value]
    return value


def unfilled(value: Any) -> bool:
    """Whether a placeholder is left in plain data."""
    if isinstance(value, str):
        return _NAME.search(value) is not None
    if isinstance(value, Mapping):
        return any(unfilled(k) or unfilled(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return any(unfilled(v) for v in value)
    return False


def pick(data: Any, path: str) -> str:
    """The text at a dotted path of an answer; empty when it is not there."""
    for part in path.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return ""
        data = data[part]
    return str(data) if data is not None else ""


def at_pointer(data: Any, pointer: str) -> Any:
    """The value at a JSON pointer into mappings; None when it is not there."""
    for part in pointer.strip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        data = data.get(key) if isinstance(data, Mapping) else None
    return data
