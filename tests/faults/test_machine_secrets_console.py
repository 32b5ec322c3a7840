"""Marked credentials, and the console on a terminal: in order, refused, repeated to, and broken."""

from __future__ import annotations

import base64
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.marked import (
    SECRETS,
    Place,
    Server,
    Watching,
    parrot,
    place,
    searched,
    secret_files,
    telling,
)
from tests.hostile.screen import Console
from tests.hostile.test_panes import NARROW, visit
from tests.hostile.world import World
from tests.joined.panes import Pane
from tests.soak import times
from tests.tui.terminal import Terminal

__all__ = ["parrot", "place"]

_COPIED = re.compile(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)")
_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07)")


def reached(terminal: Terminal) -> Iterator[bytes]:
    """All that a terminal got: as it came, without what moves and colours it, and what was copied.

    Also as it stands there now: only there is a text whole that was drawn in pieces.
    """
    yield terminal.raw
    yield _ESCAPE.sub(b"", terminal.raw)
    yield terminal.text.encode()
    yield b"".join(line.strip() for line in terminal.text.encode().splitlines())
    for copied in _COPIED.findall(terminal.raw):
        yield base64.b64decode(copied)


@pytest.mark.parametrize("user", ["token", "plugin"])
def test_the_console_shows_and_keeps_none(place: Place, parrot: Server, user: str) -> None:
    """Where all that it asks comes back to it in words of refusal."""
    argv = [sys.executable, "-m", "mcp_tui", "--context", user]
    place.env["NO_COLOR"] = "1"
    with Watching() as watching:
        terminal = Terminal(argv, place.env, (160, 40), place.folder)
        try:
            terminal.until(lambda: "Jobs" in terminal.text)
            terminal.until(lambda: "***" in terminal.text)
            for keys in (
                "?",
                "\x1b",
                ":ctx " + user + "\r",
                "/x\r",
                "\x1b",
                "s",
                "\x1b",
                "r",
                "34",
            ):
                terminal.type(keys)
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    terminal.read()
                searched(watching, *reached(terminal))
            terminal.insist("\x03", lambda: not terminal.read())
            terminal.wait()
        finally:
            terminal.close()
    assert b"Traceback" not in terminal.raw
    searched(watching, *reached(terminal), place.kept(), place.started())
    assert any(SECRETS["mlflow token"] in each for each in parrot.asked)


def _differ(panes: list[Pane]) -> list[Pane]:
    """The first view of each screen and what says most of a job; in the long form all of them."""
    first = {pane.screen: pane for pane in reversed(panes)}
    some = [pane for pane in panes if pane is first[pane.screen] or pane.tab in ("YAML", "Run")]
    return panes if times(0, 1) else some


@pytest.mark.soak
@pytest.mark.parametrize("user", ["plugin", "basic"][: times(1, 2)])
def test_nor_does_it_in_any_view_with_what_is_copied_saved_and_done(
    user: str, tmp_path: Path
) -> None:
    """Where everything is in order: its servers know who asks, and nothing on the way tells."""
    saved = tmp_path / "saved"
    saved.mkdir()
    with World(["fine"]) as world, Watching() as watching:
        env = {**secret_files(tmp_path, world.url), **telling(tmp_path)}
        place = Place(tmp_path, env)
        console = Console(env, size=(80, 24), folder=saved, context=user)
        try:
            console.until(lambda: "by urgency" in console.text)
            for pane in _differ(NARROW):
                console.choose("running")
                visit(console, pane, "pasted")
                searched(watching, *reached(console))
            console.choose("running")
            _apply(console, world)
            searched(watching, *reached(console))
            assert console.leave() == 0
        finally:
            console.close()
    files = [path.read_bytes() for path in saved.iterdir()]
    assert files and _COPIED.search(console.raw), "nothing was saved or copied"
    assert b'"ended"' in place.kept(), "nothing was written down"
    searched(watching, *reached(console), *files, place.kept(), place.started())


def _applied(world: World) -> bool:
    return any(
        method == "DELETE" and "dryRun" not in target + body.decode()
        for method, target, body in world.calls
    )


def _apply(console: Console, world: World) -> None:
    """Cancel the job in question."""
    console.press("x")
    console.until(lambda: "[ Leave ]" in console.text)
    # Too soon after it has come up, the dialog hears nothing.
    console.insist("\x1b[C", lambda: "[ Apply ]" in console.text)
    console.insist("\r", lambda: _applied(world))
    console.home()


BROKEN = {
    "at once": (
        "from mcp_tui.tui.app import Console\n"
        "def broken(self):\n"
        "    credentials = [live.feed.connection.kube.credentials\\\n"
        "        for live in self.backend.lives.values()]\n"
        "    secrets = [(each._user.token, each._env) for each in credentials]\n"
        "    if secrets:\n"
        "        raise ZeroDivisionError('in the midst of it')\n"
        "Console._each_second = broken\n"
    ),
    "on the way": (
        "from mcp_tui.sources.http import load_httpx\n"
        "def broken(self, *a, **k):\n"
        "    raise ZeroDivisionError('in the midst of it')\n"
        "load_httpx().AsyncClient.build_request = broken\n"
    ),
}
RUNS = "import sys\nfrom mcp_tui.cli import main\nsys.exit(main(sys.argv[1:]))\n"


@pytest.mark.parametrize("where", BROKEN)
@pytest.mark.parametrize("user", ["token", "plugin"])
def test_nor_where_it_is_broken_itself(place: Place, user: str, where: str) -> None:
    """A defect is made where the credentials are at hand: it is said, and kept without them."""
    argv = [sys.executable, "-c", BROKEN[where] + RUNS, "--context", user]
    with Watching() as watching:
        terminal = Terminal(argv, place.env, (160, 40), place.folder)
        try:
            terminal.until(lambda: b"ZeroDivisionError" in terminal.raw)
            if where == "on the way":
                searched(watching, *reached(terminal))
                terminal.insist("\x03", lambda: not terminal.read())
            ended = terminal.wait()
        finally:
            terminal.close()
    if where == "at once":
        kept = (place.state / "mcp-tui" / "defect.txt").read_text()
        assert ended == 1 and "ZeroDivisionError" in kept and "in broken" in kept
        assert "Traceback" in kept and b"Traceback" not in terminal.raw
    searched(watching, *reached(terminal), place.kept(), place.started())
