"""What a retry's form shows of a job, and what is made of what was typed into it."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_tui.actions.asked import Asked, asked
from mcp_tui.actions.jobs import Seen
from mcp_tui.actions.kinds import kind_of
from mcp_tui.actions.renew import Changes, renewed
from mcp_tui.errors import UsageError
from mcp_tui.tui.live.again import changed, differences, duration, retry_fields


def seen(kind: str, spec: dict[str, Any]) -> Seen:
    metadata = {"name": "a", "namespace": "ml", "uid": "u"}
    return Seen(obj={"kind": kind, "metadata": metadata, "spec": spec}, kind=kind_of(kind))


def pod(memory: str, cpu: str = "") -> dict[str, Any]:
    requests = {"memory": memory} | ({"cpu": cpu} if cpu else {})
    return {"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}


JOB = {"template": pod("64Gi", "8"), "backoffLimit": 3, "activeDeadlineSeconds": 5400}
PYTORCH = {
    "runPolicy": {"backoffLimit": 1},
    "pytorchReplicaSpecs": {
        "Master": {"template": pod("8Gi", "1")},
        "Worker": {"template": pod("32Gi", "1")},
    },
}
TRAINJOB = {"trainer": {"resourcesPerNode": {"limits": {"memory": "16Gi"}}}}


@pytest.mark.parametrize(
    ("kind", "spec", "found"),
    [
        (
            "Job",
            JOB,
            Asked(memory=("64Gi",), cpu=("8",), deadline=5400, retries=3, limited=True),
        ),
        (
            "Job",
            {"template": {}, "backoffLimitPerIndex": 2},
            Asked(retries=2, limited=True),
        ),
        (
            "PyTorchJob",
            PYTORCH,
            Asked(memory=("8Gi", "32Gi"), cpu=("1",), retries=1, limited=True),
        ),
        ("TrainJob", TRAINJOB, Asked(memory=("16Gi",))),
        ("TrainJob", {}, Asked()),
    ],
)
def test_what_a_job_asks_for(kind: str, spec: dict[str, Any], found: Asked) -> None:
    assert asked(seen(kind, spec)) == found


def test_what_is_typed_over_a_field_is_what_the_new_job_has() -> None:
    old = seen("Job", JOB)
    texts = {"memory": "128Gi", "deadline": "2h", "retries": "0", "env": "LR=1e-3 NOTE='a b'"}
    new = renewed(old, changed(texts), plan_id="0" * 32, user="me")
    now = asked(Seen(obj=new, kind=old.kind))
    assert now == Asked(memory=("128Gi",), cpu=("8",), deadline=7200, retries=0, limited=True)
    env = new["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [{"name": "LR", "value": "1e-3"}, {"name": "NOTE", "value": "a b"}]


def test_the_fields_have_what_the_job_has_and_advice_is_only_said() -> None:
    fields = {f.id: f for f in retry_fields(asked(seen("Job", JOB)), killed=True)}
    assert fields["memory"].value == "64Gi"
    assert "128Gi" in fields["memory"].hint
    assert fields["deadline"].value == "1h30m"
    assert changed({}) == Changes()
    calm = {f.id: f for f in retry_fields(asked(seen("Job", JOB)), killed=False)}
    assert "ran out of memory" not in calm["memory"].hint


def test_pods_that_differ_and_kinds_without_limits_are_told() -> None:
    fields = {f.id: f for f in retry_fields(asked(seen("PyTorchJob", PYTORCH)), killed=True)}
    assert fields["memory"].value == "" and "8Gi, 32Gi" in fields["memory"].hint
    fields = {f.id: f for f in retry_fields(asked(seen("TrainJob", TRAINJOB)), killed=False)}
    assert fields["deadline"].fixed and fields["retries"].fixed and not fields["memory"].fixed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("memory", "lots"),
        ("memory", ""),
        ("cpu", "-1"),
        ("deadline", "soon"),
        ("deadline", "1h 2"),
        ("retries", "1.5"),
        ("retries", ""),
        ("env", "1A=2"),
        ("env", "A"),
        ("env", "A='2"),
    ],
)
def test_what_is_wrong_names_its_field(name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed({name: text})
    assert caught.value.where == name


def test_an_emptied_deadline_is_taken_away() -> None:
    assert changed({"deadline": ""}).deadline == 0
    assert changed({"deadline": "90"}).deadline == 90


@pytest.mark.parametrize("whole", [0, 1, 59, 60, 5400, 86_400, 129_600, 90_061])
def test_a_duration_is_read_back_as_it_is(whole: int) -> None:
    assert changed({"deadline": duration(whole)}).deadline == whole


def test_what_changes_is_said_in_one_line() -> None:
    now = asked(seen("Job", JOB))
    made = changed({"memory": "128Gi", "deadline": "", "retries": "5", "env": "LR=1"})
    line = "changes memory 64Gi > 128Gi; deadline 1h30m > none; retries 3 > 5; sets LR"
    assert differences(now, made) == [line]
    assert differences(now, changed({})) == []
