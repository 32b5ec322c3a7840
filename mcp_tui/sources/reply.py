"""What a server answered, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_tui.sources.hiding import Hide, as_it_is


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    hide: Hide = field(default=as_it_is, repr=False)
    """What words of it pass before they are shown: it takes out what the server was sent."""
