"""Pictures of runs looked at together: curves, compare, evaluation, scatter. Look at each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from tests.tui.fake import FakeBackend
from tests.tui.fake_curves import RUNS, FakeCurves
from tests.tui.harness import make, screen_text, until

# The pictures are named after what they show, not after this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot:UserWarning")

SIZES = {"80x24": (80, 24), "200x50": (200, 50)}
ALL = " ".join(f"dev/{each.run_id}" for each in RUNS)


def _sampled() -> FakeBackend:
    backend = FakeBackend()
    backend.evidence.made = FakeCurves(RUNS)
    backend.evidence.made.total = 1_000_000
    return backend


def _gaps() -> FakeBackend:
    backend = FakeBackend()
    backend.evidence.made = FakeCurves(RUNS[:1])
    backend.evidence.made.gaps = True
    return backend


PICTURES: dict[
    str, tuple[Callable[[], FakeBackend], str, tuple[str, ...], str, dict[str, object]]
] = {
    "curves": (FakeBackend, f"curves {ALL}", (), "0.3914", {}),
    "curves-smoothed": (_sampled, f"curves {ALL}", ("Y", "S", "S"), "smoothed .6", {}),
    "curves-smoothed-ansi16": (
        FakeBackend,
        f"curves {ALL}",
        ("S", "S"),
        "smoothed .6",
        {"theme": "ansi16"},
    ),
    "curves-no-colour": (FakeBackend, f"curves {ALL}", ("S", "S"), ".6", {"no_color": True}),
    "curves-ascii": (
        FakeBackend,
        f"curves {ALL}",
        ("S", "S"),
        ".6",
        {"ascii": True, "no_color": True},
    ),
    "curves-machine": (FakeBackend, f"curves {ALL}", ("X", "H", "left"), "system/gpu_*", {}),
    "curves-gaps": (_gaps, f"curves dev/{RUNS[0].run_id}", (), "21 gaps", {}),
    "curves-metrics": (FakeBackend, f"curves {ALL}", ("M", "j", "space"), "space ticks", {}),
}


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", list(PICTURES))
def test_picture(name: str, size: str, snap_compare: Callable[..., bool]) -> None:
    build, line, keys, shown, options = PICTURES[name]
    app = make(build(), **options)

    async def before(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.ready)
        app.command_line.run(line)
        await until(pilot, lambda: len(app.screen_stack) > 1)
        screen = app.screen
        await until(pilot, lambda: not getattr(screen, "is_empty", True))
        for key in keys:
            await pilot.press(key)
        await until(pilot, lambda: shown in screen_text(app))
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=before)
