"""Pictures of runs looked at together: curves, compare, evaluation, scatter. Look at each."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from tests.tui.fake import FakeBackend
from tests.tui.fake_curves import RUNS, FakeCurves, run
from tests.tui.harness import make, screen_text, until

# The pictures are named after what they show, not after this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot:UserWarning")

SIZES = {"80x24": (80, 24), "200x50": (200, 50)}
ALL = " ".join(f"dev/{each.run_id}" for each in RUNS)
SWEEP = "scatter " + " ".join(f"{n + 1:032x}" for n in range(30))


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


def _champion() -> FakeBackend:
    backend = FakeBackend()
    backend.evidence.ruling = f"dev/{RUNS[1].run_id}"
    return backend


def _sweep() -> FakeBackend:
    """Learning rates from a millionth to a tenth, the best in the middle."""
    backend = FakeBackend()
    rates = [10 ** (-5 + 4 * n / 29) for n in range(30)]
    backend.evidence.runs = tuple(
        run(
            f"sweep-{n:02d}",
            {"f1_macro": 0.93 - 0.03 * (math.log10(rate) + 2.7) ** 2 / 2 - (n * 7 % 5) * 0.004},
            number=n + 1,
            params={"lr": f"{rate:.2e}"},
        )
        for n, rate in enumerate(rates)
    )
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
    "compare": (_champion, f"compare {ALL}", ("right",), "(baseline)", {}),
    "compare-no-colour": (_champion, f"compare {ALL}", ("0",), "11 rows", {"no_color": True}),
    "evaluation": (FakeBackend, f"eval {ALL}", ("j", "j", "j", "j"), "400 pairs", {}),
    "evaluation-ansi16": (FakeBackend, f"eval {ALL}", (), "3 failed", {"theme": "ansi16"}),
    "evaluation-ascii": (
        FakeBackend,
        f"eval {ALL}",
        (),
        "3 failed",
        {"ascii": True, "no_color": True},
    ),
    "scatter-runs": (_sweep, SWEEP, ("right", "right"), "sweep-", {}),
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
