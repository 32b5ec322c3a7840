"""The embedded plane's pure parts: quantities, indexes, policies, patches, selectors, tables."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.demo.plane import jobrules
from mcp_tui.demo.plane.model import PODS, parse_time, rfc3339
from mcp_tui.demo.plane.patch import json_patch, merge_patch
from mcp_tui.demo.plane.quantity import parse_quantity
from mcp_tui.demo.plane.scheduler import amounts, pod_requests
from mcp_tui.demo.plane.schema import conform
from mcp_tui.demo.plane.selectors import parse_labels
from mcp_tui.demo.plane.status import StatusError
from mcp_tui.demo.plane.tables import human_duration


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", Decimal(1)),
        ("500m", Decimal("0.5")),
        ("64Gi", Decimal(64 * 2**30)),
        ("1e3", Decimal(1000)),
        (".5", Decimal("0.5")),
        ("2G", Decimal(2 * 10**9)),
        ("lots", None),
        ("", None),
        ("1Gib", None),
    ],
)
def test_quantities(text: str, amount: Decimal | None) -> None:
    assert parse_quantity(text) == amount


@given(st.sets(st.integers(0, 300)))
def test_indexes_survive_their_short_form(indexes: set[int]) -> None:
    assert jobrules.parse_indexes(jobrules.format_indexes(indexes)) == indexes


def test_indexes_are_written_as_upstream_does() -> None:
    assert jobrules.format_indexes({0, 1, 3, 4, 5, 9}) == "0,1,3-5,9"


def test_the_back_off_doubles_up_to_a_cap() -> None:
    waits = [jobrules.back_off(failures, 10.0) for failures in (0, 1, 2, 3, 20, 10_000)]
    assert waits == [0, 10, 20, 40, 600, 600]


Strategy = st.SearchStrategy[Any]


def objects(values: Strategy) -> Strategy:
    return st.dictionaries(st.text(max_size=3), values, max_size=4)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | objects(inner),
    max_leaves=10,
)


@given(objects(JSON), JSON)
def test_a_merge_patch_twice_is_once(target: dict[str, Any], patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(objects(JSON), st.lists(JSON, max_size=3))
def test_a_json_patch_is_applied_or_refused_but_never_breaks(
    target: dict[str, Any], values: list[Any]
) -> None:
    operations = [
        {"op": "add", "path": f"/{index}/x", "value": item} for index, item in enumerate(values)
    ]
    try:
        json_patch(target, operations)
    except StatusError as error:
        assert error.code == 422


@pytest.mark.parametrize(
    "operations", [{}, "x", [1], [{"op": "add"}], [{"op": "move", "path": "/a"}]]
)
def test_broken_json_patches_are_refused(operations: Any) -> None:
    with pytest.raises(StatusError):
        json_patch({"a": 1}, operations)


def test_a_test_does_not_take_true_for_one() -> None:
    with pytest.raises(StatusError):
        json_patch({"a": 1}, [{"op": "test", "path": "/a", "value": True}])


@given(st.text(alphabet="ab=!,()<> innot/", max_size=20))
def test_any_label_selector_is_read_or_refused(text: str) -> None:
    try:
        parse_labels(text)
    except StatusError as error:
        assert error.code == 400


def test_requests_of_a_pod_are_its_containers_or_its_largest_init_container() -> None:
    def container(cpu: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}}

    spec = {"containers": [container("1"), container("500m")], "initContainers": [container("4")]}
    assert pod_requests(spec) == {"pods": 1000, "cpu": 4000}
    assert amounts({"memory": "1Ki", "odd": "?"}) == {"memory": 1024000, "odd": 0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (3599, "59m"),
        (4 * 3600 + 60, "4h1m"),
        (10 * 3600 + 60, "10h"),
        (3 * 86400 + 7200, "3d2h"),
        (30 * 86400, "30d"),
        (3 * 365 * 86400, "3y"),
        (-60, "<invalid>"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_times_go_there_and_back() -> None:
    assert parse_time(rfc3339(1_700_000_000.9)) == 1_700_000_000
    assert parse_time("2026-01-01T00:00:00.5+01:00") == 1767222000.5
    assert parse_time("yesterday") is None and parse_time(None) is None


def test_structures_drop_nulls_and_report_the_unknown() -> None:
    obj = {"metadata": {"name": "a", "labels": None}, "spec": {"containers": [{"nme": "x"}]}}
    found, warnings = conform(PODS, obj)
    assert found["metadata"] == {"name": "a"}
    assert warnings == ['unknown field "spec.containers[0].nme"']


def test_a_policy_rule_by_exit_code_may_name_its_container() -> None:
    rule = {
        "action": "FailJob",
        "onExitCodes": {"containerName": "main", "operator": "NotIn", "values": [0, 1]},
    }
    job = {"spec": {"podFailurePolicy": {"rules": [rule]}}}

    def pod(name: str, code: int) -> dict[str, Any]:
        status = {"name": name, "state": {"terminated": {"exitCode": code}}}
        return {"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}}

    assert jobrules.judge(job, pod("main", 2)).action == "FailJob"
    assert jobrules.judge(job, pod("main", 1)).action == "Count"
    assert jobrules.judge(job, pod("other", 2)).action == "Count"
