"""What libraries warn of reaches nobody who has not asked for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_UNAWAITED = """
import contextlib, sys
sys.argv = ["mcp-tui", "--version"]
from mcp_tui.__main__ import main
with contextlib.suppress(SystemExit):
    main()
async def left(): ...
left()
"""


@pytest.mark.parametrize("asked", [False, True])
def test_a_librarys_warning_is_shown_to_who_asks_for_it(asked: bool) -> None:
    options = ["-W", "default"] if asked else []
    done = subprocess.run(
        [sys.executable, *options, "-c", _UNAWAITED],
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "mcp-tui" in done.stdout, done.stderr
    assert ("was never awaited" in done.stderr) is asked, done.stderr
