"""The console in every view: in the C locale, at all sizes, and with lines of a megabyte."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.hostile.commands import NAMES, run
from tests.hostile.screen import REPO, Console
from tests.hostile.stream import faults, plain_faults
from tests.hostile.texts import ATTACKS, LONG
from tests.hostile.world import World
from tests.joined.commands import COMMANDS
from tests.joined.panes import PANES, Pane
from tests.soak import times
from tests.tui.terminal import Terminal

SIZE = (80, 24)
NARROW = [pane for pane in PANES if pane.size == SIZE and not pane.prod]
WIDE = [pane for pane in PANES if pane.size != SIZE]
SIZES = [(20, 5), (200, 60), (21, 6), (37, 11), (200, 5), (20, 60), (79, 23)]

# The one that leads to it first, for each screen.
SCREENS = list({pane.screen: pane for pane in reversed(NARROW)}.values())[::-1]


def looked_at(
    world: World,
    folder: Path,
    panes: Sequence[Pane],
    size: tuple[int, int],
    env: Mapping[str, str],
) -> bytes:
    """All these views in one console; what it wrote."""
    console = Console({**world.files(folder), **env}, size=size, folder=folder)
    try:
        console.until(lambda: "by urgency" in console.text and "? all keys" in console.text)
        console.quiet()
        for pane in panes:
            console.choose("running")
            console.go(pane)
            console.quiet()
            odd = {char for char in console.raw.decode() if not char.isascii()}
            assert not odd, (pane.id, odd)
            console.home()
        assert console.leave() == 0
    finally:
        console.close()
    return console.raw


@pytest.mark.soak
@pytest.mark.parametrize(
    ("env", "start"),
    [({"LC_ALL": "C"}, 0), ({"LC_ALL": "", "LANG": "C", "LC_CTYPE": ""}, 1)],
    ids=["LC_ALL", "LANG"],
)
@pytest.mark.parametrize(("panes", "size"), [(NARROW, SIZE), (WIDE, (200, 50))], ids=["", "wide"])
def test_all_that_is_ours_is_ascii_in_the_c_locale(
    env: dict[str, str], start: int, panes: list[Pane], size: tuple[int, int], tmp_path: Path
) -> None:
    """Signs, borders, charts, scroll bars, dialogs: data is of others, and has its own letters."""
    some = panes[start::2] if times(1, 0) else panes
    with World(["plain", "some words", "x-1"], plain=True) as world:
        assert looked_at(world, tmp_path, some, size, env).isascii()


@pytest.mark.soak
def test_every_screen_lives_through_all_sizes(tmp_path: Path) -> None:
    """Down to 20x5 and back, and left again from the smallest."""
    with World(["fine", "\u65e5\u672c\u8a9e", "some words"]) as world:
        console = Console(world.files(tmp_path), size=SIZE, folder=tmp_path)
        try:
            console.until(lambda: "by urgency" in console.text and "? all keys" in console.text)
            console.quiet()
            for pane in SCREENS if times(1, 0) else NARROW:
                console.choose("running")
                console.go(pane)
                _resize(console, times(1, 5))
                # All of it is there again, whatever it has been meanwhile.
                console.until(lambda: console.text.startswith(" DEV dev"))
                console.until(lambda p=pane: p.shown in "\n" + console.text)  # type: ignore[misc]  # bound now
                assert not console.halves(), pane.id
                console.resize(20, 5)
                console.press("escape")
                console.resize(*SIZE)
                console.home()
            assert console.leave() == 0
        finally:
            console.close()
    assert b"Traceback" not in console.raw and b"failed and had to end" not in console.raw


def _resize(console: Console, rounds: int) -> None:
    """Another size every 50 ms, and then the first one again."""
    for size in SIZES * rounds:
        console.resize(*size)
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            assert console.read(), f"it ended at {size}"
    console.resize(*SIZE)
    console.quiet(0.1)


# So far apart that an answer stays within what a server sends, and at another field in each object.
LONGS = [*ATTACKS, *["fine"] * 150, "x" * LONG, *["words"] * 151, "a\x1b[2J\u202e" * (LONG // 6)]
_ENOUGH = 300_000


@pytest.mark.soak
def test_a_megabyte_in_one_line_leaves_the_console_usable(tmp_path: Path) -> None:
    """As a name, a message, a tag, an error: every key is answered, and no more is written."""
    with World(LONGS) as world:
        console = Console(world.files(tmp_path), size=SIZE, folder=tmp_path)
        try:
            console.until(lambda: "by urgency" in console.text and "? all keys" in console.text)
            console.quiet()
            for number, pane in enumerate(NARROW[:: times(4, 1)]):
                before = len(console.raw)
                if number % 4 == 0:
                    # Other fields have them then.
                    console.choose(world.change(LONGS[number * 17 :] + LONGS[: number * 17]))
                    console.home()
                console.choose("running")
                console.go(pane)
                console.quiet()
                console.home()
                assert len(console.raw) - before < _ENOUGH, pane.id
            assert console.leave() == 0
        finally:
            console.close()
    assert not faults(console.raw, SIZE, copied="*")


@pytest.mark.soak
@pytest.mark.parametrize("status", [None, 500])
def test_a_megabyte_in_one_line_is_cut_in_what_is_printed(
    status: int | None, tmp_path: Path
) -> None:
    with World(LONGS, status=status) as world:
        env = world.files(tmp_path)
        for command in COMMANDS:
            if command.terminal or command.serves or command.writes:
                continue
            argv = command.argv(NAMES | {"config": "none"})
            ran = run(["--context", "dev", *argv], env)
            assert ran.code != 70, ran.err
            for raw in (ran.out, ran.err):
                assert not plain_faults(raw.decode()), command.words
                # A log's line is kept as it is, up to a bound of its own.
                assert max(map(len, raw.split(b"\n"))) < LONG // 2, command.words


@pytest.mark.parametrize("unset", [["HOME"], ["HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"]])
def test_it_opens_works_and_is_left_without_a_home(unset: list[str], tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    without = [word for name in unset for word in ("-u", name)]
    # Nobody of that number: what the user database says of us is no home for a test.
    nobody = "import pwd, sys; pwd.getpwuid = {}.__getitem__; from mcp_tui.cli import main; "
    argv = ["/usr/bin/env", *without, sys.executable, "-c", f"{nobody}sys.exit(main())"]
    with World(["fine"]) as world:
        env = {**world.files(tmp_path), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8",
               "SSH_CONNECTION": "", "PYTHONPATH": str(REPO)}  # fmt: skip
        console = Terminal([*argv, "--context", "dev"], env, SIZE, here)
        try:
            console.until(lambda: "by urgency" in console.text and "? all keys" in console.text)
            console.type("/running\r")
            console.until(lambda: " of 2" in console.text)
            # A command is kept for the next time, where there is a place for it.
            console.insist(":", lambda: console.screen.display[23].startswith(" :"))
            console.type("sort name\r")
            console.until(lambda: "by name" in console.text)
            console.insist("q", lambda: "leave the console?" in console.text)
            console.type("y")
            assert console.wait() == 0
        finally:
            console.close()
    assert b"Traceback" not in console.raw
    assert not os.listdir(here)
