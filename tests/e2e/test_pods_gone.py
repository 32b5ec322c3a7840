"""A cause after the pods are gone, told by a command that never saw them."""

from __future__ import annotations

import json

from tests.e2e.conftest import Stage, wait_for


def test_events_still_tell_what_pods_that_are_gone_came_to(stage: Stage) -> None:
    path = f"/apis/batch/v1/namespaces/{stage.namespace}/jobs"
    pod = {
        "restartPolicy": "OnFailure",
        "containers": [{"name": "main", "image": "python:3", "command": ["sh", "-c", "exit 4"]}],
    }
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "loops"},
        "spec": {"backoffLimit": 2, "template": {"spec": pod}},
    }
    with stage.api() as client:
        client.post(path, json=body).raise_for_status()

        def over() -> bool:
            status = client.get(f"{path}/loops").raise_for_status().json()["status"]
            return any(
                c["type"] == "Failed" and c["status"] == "True"
                for c in status.get("conditions") or ()
            )

        wait_for(over)
        pods = f"/api/v1/namespaces/{stage.namespace}/pods"

        def gone() -> bool:
            left = client.get(pods).raise_for_status().json()["items"]
            for each in left:
                client.delete(f"{pods}/{each['metadata']['name']}?gracePeriodSeconds=0")
            return not left

        wait_for(gone)
    shown = stage.run("job", "show", "loops", "-o", "json")
    assert shown.code == 0, shown.err
    cause = json.loads(shown.out)["cause"]
    assert (cause["reason"], cause.get("chain")) == (
        "CrashLoopBackOff",
        ["BackoffLimitExceeded"],
    ), cause
    assert "evidence" not in cause and cause["pod"].startswith("loops-")
    listed = stage.run("job", "ls", "-o", "json")
    [row] = json.loads(listed.out)
    assert row["cause"] == cause
    assert "CrashLoopBackOff loops-" in stage.run("job", "show", "loops").out
