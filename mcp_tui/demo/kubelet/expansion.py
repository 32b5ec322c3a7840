"""``$(NAME)`` references in commands, arguments and values of the environment.

The rules are those documented for the container's ``command`` and ``env``: a known name is replaced
by its value, an unknown reference stays as it is, and ``$$`` escapes one ``$``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Expand the references of ``text``; never twice."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else values.get(name, match.group(0))

    return _REFERENCE.sub(value, text)
