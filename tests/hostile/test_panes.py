"""Hostile text in all that the console reads: only its own sequences reach a real terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.screen import Console
from tests.hostile.stream import faults, plain_faults
from tests.hostile.texts import ATTACKS
from tests.hostile.world import World
from tests.joined.panes import PANES, Pane
from tests.soak import times


def visit(console: Console, pane: Pane, pasted: str) -> None:
    """Look at a view, with what its keys do to what is shown."""
    console.go(pane)
    console.quiet()
    if pane.id == "submit-form":
        # Which of the two it was is remembered, and what is no config has no form.
        console.press("ctrl+t")
    elif pane.asks or pane.id in ("submit", "retry", "promote", "copy", "approve"):
        console.paste(pasted)
    elif pane.screen in ("DetailScreen", "ModelScreen", "RunScreen"):
        # Copied, searched, to the end, as long lines, with times; then saved.
        console.press("c", "G", "w", "T")
        console.quiet(0.1)
        if pane.tab in ("Pods", "Artifacts"):
            console.home()
            return
        console.press("W")
        console.until(lambda: "save as " in console.text)
        console.type(f"-{pane.id}\r")
        console.until(lambda: "saved " in console.text or "not saved" in console.text)
    elif pane.screen in ("JobsScreen", "ModelsScreen", "RunsScreen"):
        console.press("c", "G", "g")
        console.quiet(0.1)
    console.home()


def tour(
    world: World, folder: Path, panes: list[Pane], *, job: str, tier: str, size: tuple[int, int]
) -> None:
    """All these views in one console; what reached the terminal and the files is harmless."""
    env = world.files(folder, tier=tier)
    saved = folder / "saved"
    saved.mkdir(exist_ok=True)
    pasted = "".join(text for text in ATTACKS if "\x1b[201~" not in text)
    console = Console(env, size=size, folder=saved)
    try:
        console.until(lambda: "by urgency" in console.text)
        console.quiet()
        for pane in panes:
            if job:  # on the way home the filter was left
                console.choose(job)
            visit(console, pane, pasted)
            found = faults(console.raw, size, copied="*")
            assert not found, (pane.id, found[:5])
        assert console.leave() == 0
    finally:
        console.close()
    assert not faults(console.raw, size, copied="*")
    for path in saved.iterdir():
        assert not plain_faults(path.read_bytes().decode("utf-8"), keep="\n"), path.name
    wanted = {pane.tab for pane in panes if pane.tab and pane.tab not in ("Pods", "Artifacts")}
    assert len(list(saved.iterdir())) >= (len(wanted) if job else 0)


# A draft is kept: what is pasted into it last spoils nothing else.
NARROW = sorted(
    (pane for pane in PANES if pane.size == (80, 24) and not pane.prod),
    key=lambda pane: pane.id == "submit",
)
WIDE = [pane for pane in PANES if pane.size != (80, 24) or pane.prod]


@pytest.mark.soak(minutes=3)
@pytest.mark.parametrize("start", range(times(1, 4)))
def test_only_our_own_sequences_reach_the_terminal(start: int, tmp_path: Path) -> None:
    strings = list(ATTACKS[start:] + ATTACKS[:start])
    with World(strings) as world:
        tour(world, tmp_path, NARROW, job="running", tier="dev", size=(80, 24))


def test_nor_on_a_wide_one_of_production(tmp_path: Path) -> None:
    with World(list(ATTACKS)) as world:
        tour(world, tmp_path, WIDE, job="running", tier="prod", size=(200, 50))


@pytest.mark.soak
@pytest.mark.parametrize("status", [403, 500][: times(1, 2)])
def test_nor_of_what_servers_say_when_they_refuse(status: int, tmp_path: Path) -> None:
    fails = "/(pods|events|log|workloads)|reviews|/mlflow|/prometheus|^(PATCH|DELETE)|jobs/running"
    panes = [pane for pane in NARROW if pane.screen in ("DetailScreen", "ChooseLogs")]
    with World(list(ATTACKS), status=status, fails=fails) as world:
        tour(world, tmp_path, panes, job="running", tier="dev", size=(80, 24))


def test_nor_of_a_server_that_refuses_everything(tmp_path: Path) -> None:
    with World(list(ATTACKS), status=403) as world:
        tour(world, tmp_path, [PANES[0]], job="", tier="dev", size=(80, 24))
