"""Pictures of the Runs pane and of a run's detail. Look at each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from tests.tui.fake import FakeBackend
from tests.tui.harness import make, screen_text, until

# The pictures are named after what they show, not after this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot:UserWarning")

SIZES = {"80x24": (80, 24), "200x50": (200, 50)}


def _asked() -> FakeBackend:
    backend = FakeBackend()
    backend.runs.trouble = "refused by MLflow: Invalid clause(s) in filter string"
    return backend


PICTURES: dict[str, tuple[Callable[[], FakeBackend], tuple[str, ...], str, dict[str, object]]] = {
    "runs-experiments": (FakeBackend, ("3",), "1,000+", {}),
    "runs-of-one": (FakeBackend, ("3", "enter", "G", "right"), "lr=0.2", {}),
    "runs-sorted": (FakeBackend, ("3", "enter", ">", ">", ">", ">", "space"), "over 6 read", {}),
    "runs-ascii": (FakeBackend, ("3", "enter"), "newest", {"ascii": True, "no_color": True}),
    "runs-refused": (_asked, ("3", "enter", "slash", *"metrics.f"), "metrics.f1", {}),
    "run-overview": (FakeBackend, ("3", "enter", "enter"), "clicks @", {}),
    "run-artifacts": (
        FakeBackend,
        ("3", "enter", "enter", "shift+tab", "right"),
        "MLmodel",
        {},
    ),
    "run-change": (FakeBackend, ("3", "enter", "space", "space", "a"), "2 runs:", {}),
}


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", list(PICTURES))
def test_picture(name: str, size: str, snap_compare: Callable[..., bool]) -> None:
    build, keys, shown, options = PICTURES[name]
    app = make(build(), **options)

    async def before(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.ready)
        for key in keys:
            await pilot.press(key)
        await until(pilot, lambda: shown in screen_text(app))
        if size == "200x50" and "enter" in keys:
            # What the preview shows, or the detail.
            await until(
                pilot, lambda: "experiment " in screen_text(app) or "SIZE" in screen_text(app)
            )
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=before)
