"""Values that one write of a plan yields and a later one uses, written ``{{name}}``.

A plan is shown before its first call is made, so the id of a run that does not exist yet stands in
the Job's manifest as ``{{run_id}}``; applying fills it in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"\{\{([a-z_]+)\}\}")


def placeholder(name: str) -> str:
    """How a value that is not known yet is written in a plan."""
    return "{{" + name + "}}"


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """A copy of plain data with every known placeholder replaced.

    Unknown names stay as they are: a user's own ``{{...}}`` in a command is none of ours.
    """
    if isinstance(value, str):
        return _NAME.sub(lambda m: values.get(m[1], m[0]), value)
    if isinstance(value, Mapping):
        return {fill(k, values): fill(v, values) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(v, values) for v in value]
    return value


def pick(data: Any, path: str) -> str:
    """The text at a dotted path of an answer; empty when it is not there."""
    for part in path.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return ""
        data = data[part]
    return str(data) if data is not None else ""
