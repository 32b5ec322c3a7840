"""Ten consoles at once on one machine, each on a terminal of its own, sharing one journal."""

from __future__ import annotations

import asyncio
import fcntl
import json
from pathlib import Path

from tests.faults.consoles import all_press, all_read, all_until, closing, opened
from tests.faults.test_interrupted import Scene, scene
from tests.faults.test_machine import make, state

__all__ = ["scene"]

MANY = 10
WRITERS = 7


def act(scene: Scene, journal: Path) -> list[str]:
    """Each starts and shows the rows; most write, all at one moment; all leave. What they drew."""
    with closing([opened(scene.env, "-n", scene.namespace) for _ in range(MANY)]) as them:
        all_until(them, lambda it: f"{MANY} jobs" in it.text)
        for number, each in enumerate(them):
            each.type(f"/j{number}-\r")
        all_until(them, lambda it: f"1 of {MANY}" in it.text)
        writers = them[:WRITERS]
        all_press(writers, "z", lambda it: "[ Leave ]" in it.text)
        all_press(writers, "\t", lambda it: "[ Apply ]" in it.text)
        # An Enter close behind another key is taken for a paste's, and confirms nothing.
        all_read(writers, 1.0)
        with journal.open("ab") as held:
            # As another console that is about to write: nobody writes between its lines.
            fcntl.flock(held, fcntl.LOCK_EX)
            for each in writers:
                each.type("\r")
            all_until(writers[:3], lambda it: "[ Apply ]" not in it.text)
            all_read(writers, 1.0)
            assert journal.stat().st_size == 0
        all_until(writers, lambda it: "proven: j" in it.text)
        all_press(writers, "\x1b", lambda it: "proven: j" not in it.text)
        for each in them:
            each.type(":theme none\r")
        all_until(them, lambda it: ":theme" not in it.text)
        all_press(them, "q", lambda it: "leave the console?" in it.text)
        for each in them:
            each.type("y")
        assert [each.wait() for each in them] == [0] * MANY
        return [each.raw.decode(errors="replace") for each in them]


async def test_ten_consoles_share_the_journal(scene: Scene) -> None:
    await make(scene, *(f"j{number}-a" for number in range(MANY)))
    state(scene).mkdir(parents=True)
    journal = state(scene) / "journal.jsonl"
    drawn = await asyncio.to_thread(act, scene, journal)
    assert not any("Traceback" in raw or "defect" in raw for raw in drawn)
    raw = journal.read_bytes()
    lines = [json.loads(line) for line in raw.splitlines()]
    assert raw.endswith(b"\n") and len(lines) == 2 * WRITERS
    by_plan: dict[str, list[str]] = {}
    for line in lines:
        by_plan.setdefault(line["plan"], []).append(line["event"])
    assert list(by_plan.values()) == [["started", "ended"]] * WRITERS
    named = [line["targets"][0]["name"] for line in lines if line["event"] == "started"]
    assert sorted(named) == [f"j{number}-a" for number in range(WRITERS)]
    assert len({line["process"] for line in lines if line["event"] == "started"}) == WRITERS
    assert [line["outcomes"][0]["status"] for line in lines if "outcomes" in line] == (
        ["proven"] * WRITERS
    )
    held = {job["metadata"]["name"] for job in await scene.jobs() if job["spec"].get("suspend")}
    assert held == set(named)
    # What each types is kept, whole, and nothing is left of how that was done.
    assert {path.name for path in state(scene).iterdir()} == {"history", "journal.jsonl"}
    assert "theme none" in (state(scene) / "history").read_text().splitlines()
