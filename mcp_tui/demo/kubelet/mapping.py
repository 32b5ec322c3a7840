"""Mount paths on a machine without mount namespaces.

A container's ``/workspace`` cannot be mounted for one process without privileges, so that each
mention of a mount path, at a path boundary, is replaced by the real directory: in the command, its
arguments, the values of the environment and the working directory. What a program opens by a path
it was born with is out of reach; a pod that relies on that fails as if the mount were empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class PathMap:
    """Replaces mount paths by real directories, the longest mount path first."""

    def __init__(self, mounts: Mapping[str, str]) -> None:
        self._mounts = {(path.rstrip("/") or "/"): real for path, real in mounts.items()}
        paths = sorted(self._mounts, key=len, reverse=True)
        # Not inside another path or URL (but after file:// and sqlite:///), and not a prefix of a
        # longer name: /data is neither in http://host/data nor in /data-old nor in /data.bak.
        self._pattern = (
            re.compile(
                r"(?:(?<![\w.\-/~\]])|(?<=://)|(?<=:///))("
                + "|".join(re.escape(path) for path in paths)
                + r")(?![\w\-]|\.\w)"
            )
            if paths
            else None
        )

    def replace(self, text: str) -> str:
        """The text with every mount path in it replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._mounts[match.group(1)], text)
