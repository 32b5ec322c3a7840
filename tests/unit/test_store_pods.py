"""Pods that several sources tell of: the newest version counts, whoever's words come last."""

from __future__ import annotations

import msgspec
import pytest

from mcp_tui.domain.kube import Pod
from mcp_tui.store.pods import Pods
from tests.unit.test_store_orders import pod_of


def pod(version: int, phase: str) -> Pod:
    return pod_of("p", "job", phase, version)


def versions(pods: Pods) -> list[str]:
    return [each.metadata.resource_version for each in pods.claiming("job")]


def test_an_older_answer_does_not_undo_what_a_watch_told() -> None:
    pods = Pods()
    assert pods.put("Failed", pod(20, "Failed"))
    changed = pods.set_list("job", [pod(9, "Running")])
    assert changed == {"job"}, "the list is new, the pod is not"
    assert versions(pods) == ["20"]
    assert pods.set_list("job", [pod(21, "Failed")])
    assert versions(pods) == ["21"]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (3, 1, 2), (1, 3, 2)])
def test_what_is_left_of_three_copies_is_the_newest(order: tuple[int, ...]) -> None:
    pods = Pods()
    phases = {1: "Running", 2: "Pending", 3: "Failed"}
    for version in order:
        pods.put(f"source {version}", pod(version, phases[version]))
    assert versions(pods) == ["3"]
    pods.put("source 3", pod(0, "Failed"))  # a server that was put back tells so
    assert versions(pods) == ["2"]


def test_a_pod_that_went_takes_its_older_copies_along() -> None:
    pods = Pods()
    pods.set_list("job", [pod(10, "Running")])
    pods.put("Failed", pod(20, "Failed"))
    assert "job" in pods.drop("Failed", "p")
    assert versions(pods) == [] and not len(pods)
    assert pods.listed("job") == []


def test_a_pod_that_left_its_phase_keeps_what_was_told_later() -> None:
    pods = Pods()
    pods.put("Pending", pod(10, "Pending"))
    pods.set_list("job", [pod(11, "Running")])
    pods.drop("Pending", "p")
    assert versions(pods) == ["11"]


def test_of_versions_that_are_no_numbers_the_last_word_counts() -> None:
    pods = Pods()
    for source, version in (("a", "x2"), ("b", "x1"), ("c", "")):
        named = pod(1, "Pending")
        meta = msgspec.structs.replace(named.metadata, resource_version=version)
        assert pods.put(source, msgspec.structs.replace(named, metadata=meta))
        assert versions(pods) == [version]
