"""Plans that change runs: what is written, what is asked for, what is refused."""

from __future__ import annotations

import pytest

from mcp_tui.actions.jobs import Scope
from mcp_tui.actions.runedits import plan_run_edit
from mcp_tui.actions.show import as_text
from mcp_tui.domain.plan import CheckStatus, Confirmation, Plan, Tier, Verb
from mcp_tui.domain.run import Pair, Run, RunData, RunInfo
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.errors import RefusedError, UsageError

DELETE = RunEdit(kind=EditKind.DELETE)
RESTORE = RunEdit(kind=EditKind.RESTORE)


def tagged(key: str, value: str) -> RunEdit:
    return RunEdit(kind=EditKind.SET_TAG, key=key, value=value)


def renamed(name: str) -> RunEdit:
    return RunEdit(kind=EditKind.RENAME, value=name)


def a_run(number: int = 1, name: str = "", stage: str = "active", **info: str) -> Run:
    tags = (Pair(key="stage", value="dev"), Pair(key="old", value="x"))
    return Run(
        info=RunInfo(
            run_id=f"{number:032x}",
            run_name=name or f"run-{number}",
            experiment_id="7",
            lifecycle_stage=stage,
            **{"status": "FINISHED", **info},
        ),
        data=RunData(tags=tags),
    )


def planned(runs: list[Run], *edits: RunEdit, tier: Tier = Tier.DEV) -> Plan:
    return plan_run_edit(Scope(context="dev", tier=tier), runs, edits)


def test_only_what_is_not_so_yet_is_written() -> None:
    edits = (tagged("stage", "dev"), tagged("owner", "bo"), RunEdit(kind=EditKind.DELETE_TAG,
                                                                    key="old"))  # fmt: skip
    plan = planned([a_run()], *edits)
    assert [w.path.rpartition("/")[2] for w in plan.writes] == ["set-tag", "delete-tag"]
    assert [w.diff for w in plan.writes] == [("+ tag owner: bo",), ("- tag old: x",)]
    assert plan.back == "delete tag owner; set tag old=x"
    assert [s.was for s in plan.edits] == [None, "x"]
    with pytest.raises(RefusedError, match="tag stage is dev already"):
        planned([a_run()], edits[0])
    deleted = [a_run(1, stage="deleted"), a_run(2)]
    plan = planned(deleted, DELETE)
    assert [t.uid for t in plan.targets] == [f"{2:032x}"]
    assert "1 of 2 are so already: left as they are" in plan.notes


@pytest.mark.parametrize(
    ("edit", "dev", "prod"),
    [
        (DELETE, Confirmation.YES, Confirmation.TYPED),
        (renamed("b"), Confirmation.NONE, Confirmation.YES),
        (tagged("a", "b"), Confirmation.NONE, Confirmation.YES),
    ],
)
def test_how_it_is_confirmed(edit: RunEdit, dev: Confirmation, prod: Confirmation) -> None:
    assert planned([a_run()], edit).confirmation is dev
    assert planned([a_run()], edit, tier=Tier.PROD).confirmation is prod


@pytest.mark.parametrize(
    ("runs", "edits", "said"),
    [
        ([], [DELETE], "no run is chosen"),
        ([a_run()], [], "no change is named"),
        ([a_run(), a_run()], [DELETE], "named twice"),
        ([a_run()], [DELETE, renamed("b")], "one kind of change"),
        ([a_run()], [tagged("a", "b"), RunEdit(kind=EditKind.DELETE_TAG, key="a")], "twice"),
        ([a_run(1), a_run(2)], [renamed("b")], "one name"),
        ([a_run()], [renamed("  ")], "an empty name"),
        ([a_run()], [tagged("a\nb", "c")], "not a tag's name"),
        ([a_run(n) for n in range(201)], [DELETE], "more than one plan takes"),
    ],
)
def test_what_makes_no_sense_is_refused(runs: list[Run], edits: list[RunEdit], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        planned(runs, *edits)


@pytest.mark.parametrize(
    ("run", "edit", "status", "said"),
    [
        (a_run(), tagged("mcp-tui.uid", "x"), CheckStatus.FAILED, "the console's own"),
        (a_run(), tagged("mlflow.user", "x"), CheckStatus.WARNING, "means something to MLflow"),
        (a_run(stage="deleted"), renamed("b"), CheckStatus.FAILED, "restore it first"),
        (a_run(status="RUNNING"), DELETE, CheckStatus.WARNING, "said to be running"),
    ],
)
def test_what_speaks_against_it_is_said(
    run: Run, edit: RunEdit, status: CheckStatus, said: str
) -> None:
    found = [c for c in planned([run], edit).checks if said in c.message]
    assert [c.status for c in found] == [status]


def test_a_version_that_came_of_a_run_is_said_before_it_is_deleted() -> None:
    made = {a_run().run_id: ["ranker/3"]}
    plan = plan_run_edit(Scope(context="p", tier=Tier.PROD), [a_run()], [DELETE], registered=made)
    assert any("ranker/3 came of it" in c.message for c in plan.checks)


def test_several_are_called_runs_and_a_name_that_cannot_be_typed_is_not_asked_for() -> None:
    plan = planned([a_run(1), a_run(2)], DELETE, tier=Tier.PROD)
    assert plan.typed_word == "dev/2-runs" and plan.verb is Verb.DELETE
    text = "\n".join(as_text(plan))
    assert "PROD dev: delete 2 runs" in text and "run-2 (Run)" in text
    assert "MLflow keeps none" in text
    strange = planned([a_run(name="a b \U0001f600")], DELETE, tier=Tier.PROD)
    assert strange.typed_word == "dev/00000000"


def test_what_a_server_cleans_is_still_seen_to_be_done() -> None:
    edit = tagged("stage", "a\x1b[31mb")
    shown = Run(data=RunData(tags=(Pair(key="stage", value="ab"),)))
    assert edit.is_done(shown)
