"""Thousands of random schedules of faults against every action that the engine applies.

In process, on a virtual clock, under the real transports. ``python -m tests.faults.schedule SEED``
tells the story of one that fails.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mcp_tui.domain import keys
from mcp_tui.domain.plan import OutcomeStatus
from tests.faults.holds import broken
from tests.faults.schedule import APPLIED, TROUBLES, Schedule, Story, play, tell
from tests.soak import times

EACH = 50
SHARES = times(500, 10_000) // EACH


@pytest.mark.soak
@pytest.mark.parametrize("share", range(SHARES))
def test_whatever_goes_wrong_nothing_is_done_twice_or_said_wrongly(
    share: int, tmp_path: Path
) -> None:
    for seed in range(share * EACH, (share + 1) * EACH):
        story = play(Schedule.draw(seed), tmp_path / "state")
        wrong = broken(story)
        assert not wrong, "\n".join([*wrong, tell(story)])


def quiet(name: str, **changes: object) -> Schedule:
    """An action on servers that do what they are asked for."""
    [action] = [a for a in APPLIED if a.name == name]
    schedule = Schedule(0, action)
    for key, value in changes.items():
        setattr(schedule, key, value)
    return schedule


@pytest.mark.parametrize("name", [a.name for a in APPLIED])
def test_without_a_fault_every_action_is_proven(name: str, tmp_path: Path) -> None:
    story = play(quiet(name), tmp_path)
    assert broken(story) == []
    assert {o.status for o in story.outcomes or ()} == {OutcomeStatus.PROVEN}, tell(story)
    assert not [line for line in story.said if line.startswith("warning")], tell(story)


_BY_ITSELF = ("queued", "model", "promoted", "first", "runs", "bin", "to approve")
"""Nobody has to take these up."""


@pytest.mark.parametrize("name", [a.name for a in APPLIED if a.on not in _BY_ITSELF])
def test_what_no_controller_took_up_is_not_proven(name: str, tmp_path: Path) -> None:
    story = play(quiet(name, asleep=True), tmp_path)
    assert broken(story) == []
    assert {o.status for o in story.outcomes or ()} == {OutcomeStatus.UNPROVEN}, tell(story)


def test_the_schedules_reach_everything() -> None:
    """Otherwise they would prove nothing."""
    drawn = [Schedule.draw(seed) for seed in range(500)]
    assert {s.action.name for s in drawn} == {a.name for a in APPLIED}
    assert {name for s in drawn for _, _, name in s.troubles} == set(TROUBLES)
    stops = Counter((s.stop[0], s.stop[3]) for s in drawn if s.stop is not None)
    assert len(stops) == 6 and min(stops.values()) > 10, stops


def test_the_schedules_end_in_every_way(tmp_path: Path) -> None:
    stories = [play(Schedule.draw(seed), tmp_path / "state") for seed in range(120)]
    assert {s.ended for s in stories} >= {"applied", "interrupted", "killed"}
    assert {o.status for s in stories for o in s.outcomes or ()} == set(OutcomeStatus)
    cut_off = [s for s in stories if s.unfinished]
    assert len(cut_off) > 5 and all(s.line for s in cut_off)


def ends(story: Story) -> list[str]:
    assert broken(story) == [], tell(story)
    return [o.status.value for o in story.outcomes or ()]


def test_a_name_that_a_gateway_took_for_us_is_ours(tmp_path: Path) -> None:
    story = play(quiet("submit", troubles=[("write", 3, "sent twice")]), tmp_path)
    assert ends(story) == ["proven"]


def test_a_name_that_somebody_else_took_is_not_ours(tmp_path: Path) -> None:
    story = play(quiet("submit", other=("write", 3, "takes the name")), tmp_path)
    assert ends(story) == ["failed"]
    [outcome] = story.outcomes or ()
    assert "already exists" in outcome.message


def test_a_gateway_that_lost_its_server_does_not_know(tmp_path: Path) -> None:
    story = play(quiet("delete", troubles=[("write", 0, "503 of a gateway after it")]), tmp_path)
    assert ends(story) == ["proven", "proven"]


def test_a_job_that_cannot_be_taken_away_keeps_its_run(tmp_path: Path) -> None:
    """Its Service is refused, and then its deletion too: it runs, and so does its run."""
    troubles = [("write", 2, "denied"), ("write", 3, "denied")]
    story = play(quiet("retry on several nodes", troubles=troubles), tmp_path)
    assert ends(story) == ["unknown"]
    [outcome] = story.outcomes or ()
    assert outcome.message.endswith(" was made and may still be there: cancel it")
    assert not [c for c in story.writes if "runs/update" in c.target]


@pytest.mark.parametrize("deaf", [False, True], ids=["", "no selectors"])
@pytest.mark.parametrize("name", [a.name for a in APPLIED])
def test_each_lost_answer_is_settled_by_looking(name: str, deaf: bool, tmp_path: Path) -> None:
    for nth in range(6):
        story = play(quiet(name, troubles=[("write", nth, "lost")], deaf=deaf), tmp_path / str(nth))
        assert set(ends(story)) == {"proven"}, tell(story)


@pytest.mark.parametrize("deaf", [False, True], ids=["", "no selectors"])
def test_of_two_with_one_name_ours_is_known_by_its_plan(deaf: bool, tmp_path: Path) -> None:
    """Ours was lost on the way, and somebody else's has the name."""
    other = ("write", 3, "takes the name")
    story = play(
        quiet("submit", other=other, troubles=[("write", 3, "reset")], deaf=deaf), tmp_path
    )
    assert ends(story) == ["unknown"]


@pytest.mark.parametrize("stalled", [False, True], ids=["", "answer never comes"])
@pytest.mark.parametrize("moment", ["left", "done", "answered"])
@pytest.mark.parametrize("nth", range(4))
def test_an_interruption_leaves_a_run_that_is_ended_or_a_job_that_is_linked(
    nth: int, moment: str, stalled: bool, tmp_path: Path
) -> None:
    for turns in (0, 4, 9):
        stop = ("interrupt", "write", nth, moment, turns)
        troubles = [("write", nth, "stalled")] if stalled else []
        story = play(quiet("submit", stop=stop, troubles=troubles), tmp_path / str(turns))
        assert story.ended == "interrupted" or (stalled and moment == "answered"), tell(story)
        assert broken(story) == [], tell(story)
        jobs = [o for (kind, _, _), o in story.world.objects.items() if kind == "jobs"]
        [run] = story.world.runs.values()
        if not jobs:
            assert run["info"]["status"] == "KILLED", tell(story)
            continue
        tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
        assert run["info"]["status"] == "RUNNING", tell(story)
        assert tags[keys.TAG_UID] == jobs[0]["metadata"]["uid"], tell(story)


def test_what_comes_after_everybody_left_is_unknown(tmp_path: Path) -> None:
    story = play(quiet("submit", troubles=[("write", 3, "very late")]), tmp_path)
    assert ends(story) == ["unknown"]
    story = play(quiet("cancel", troubles=[("write", 0, "very late")]), tmp_path / "2")
    assert ends(story) == ["unknown"]
