"""One console that lives through one hostile world after another, on a real terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from tests.hostile.screen import Console
from tests.hostile.stream import faults
from tests.hostile.texts import apart, hostile
from tests.hostile.world import World
from tests.joined.panes import PANES, Pane
from tests.soak import times

SIZE = (200, 50)
VIEWS = [pane for pane in PANES if not (pane.writes or pane.prod or pane.asks)]


# An order and "faults only" stay with their list, and the next example looks for it as it opens.
BACK = {">": "<", "f": "f"}


@pytest.mark.soak(minutes=6)
@pytest.mark.parametrize("share", range(times(1, 3)))
def test_any_text_in_every_object_while_a_console_looks(share: int, tmp_path: Path) -> None:
    """Each example changes all objects behind the watches, and is looked at in some view."""
    with World(["fine"]) as world:
        console = Console(world.files(tmp_path), size=SIZE, folder=tmp_path)

        trail: list[str] = []

        @settings(max_examples=times(6, 200), phases=[Phase.explicit, Phase.generate])
        @given(
            strings=st.lists(hostile, min_size=1, max_size=20),
            view=st.sampled_from(VIEWS),
            key=st.sampled_from(["c", "f", "d", "G", ">", "w", "T"]),
        )
        def example(strings: list[str], view: Pane, key: str) -> None:
            # One console goes through all examples: what is wrong may be of one before.
            note(f"looked at before: {trail[-3:]}")
            before = len(console.raw)
            name = world.change(strings)
            console.until(lambda: f" {name}" in console.text)
            console.press("j")
            console.go(view)
            console.quiet(0.1)
            console.press(key)
            console.quiet(0.1)
            if key in BACK:
                console.press(BACK[key])
            console.home()
            trail.append(f"{view.id}, {key}")
            assert not console.halves()
            # What was read before may have ended within a character; all is looked at in the end.
            since = re.sub(rb"\A[\x80-\xbf]{1,3}", b"", console.raw[before:])
            found = faults(since, SIZE, copied="*")
            assert not found, found[:5]

        try:
            console.until(lambda: "by urgency" in console.text and "? all keys" in console.text)
            console.quiet()
            apart(share, example)()
            assert console.leave() == 0
        finally:
            console.close()
        assert not faults(console.raw, SIZE, copied="*")
