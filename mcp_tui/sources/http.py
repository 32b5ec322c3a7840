"""httpx, imported late and without its command line.

``import httpx`` pulls in its own command-line tool, and with it click, rich and pygments: half of
its import time, and a second terminal library in ``job ls``. The package treats the tool as
optional, so it is told that it is not there.

httpcore asks sniffio, which nothing brings along any more, for the event loop at every lock and
end of a response, and takes asyncio where it is not installed: each time the whole search path was
gone through for it, tens of microseconds. That it is not there is kept in mind.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast


def load_httpx() -> Any:
    """The httpx module (typed Any: a module has no type); 60 ms the first time, so call it late."""
    if "httpx" not in sys.modules:
        # None in sys.modules makes that import raise ImportError, which httpx expects.
        modules = cast("dict[str, ModuleType | None]", sys.modules)
        modules["httpx._main"] = None
        try:
            import httpx  # noqa: F401 - imported for its place in sys.modules
        finally:
            del modules["httpx._main"]
        if "sniffio" not in sys.modules and find_spec("sniffio") is None:
            modules["sniffio"] = None
    return sys.modules["httpx"]
