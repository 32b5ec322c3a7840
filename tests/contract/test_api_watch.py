"""Watches: where they start, what they send, how they end, on both servers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.conftest import Plane
from tests.contract.api import Api, Obj, config_map, eventually, job

OURS = {"fieldSelector": "metadata.name!=kube-root-ca.crt"}


@pytest.fixture
def api(kube: Plane, kube_namespace: str) -> Api:
    found = Api(kube, kube_namespace)
    for index in range(3):
        parity = "odd" if index % 2 else "even"
        found.made("configmaps", config_map(f"c{index}", parity=parity))
    return found


def version(api: Api, plural: str = "configmaps") -> str:
    return str(api.list(plural, limit=1).json()["metadata"]["resourceVersion"])


def brief(event: Obj) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"].get("name", "")


@pytest.mark.parametrize("start", [{}, {"resourceVersion": "0"}])
def test_without_a_version_what_is_there_comes_first(api: Api, start: dict[str, str]) -> None:
    with api.watch(api.path("configmaps"), **OURS, **start) as events:
        assert [brief(next(events)) for _ in range(3)] == [("ADDED", f"c{i}") for i in range(3)]
        api.made("configmaps", config_map("c9"))
        assert brief(next(events)) == ("ADDED", "c9")


def test_from_a_version_only_what_is_newer(api: Api) -> None:
    start = version(api)
    api.merge("configmaps", "c0", {"data": {"a": "x"}})
    api.delete("configmaps", "c1")
    with api.watch(api.path("configmaps"), resourceVersion=start, **OURS) as events:
        changed, gone = next(events), next(events)
        assert brief(changed) == ("MODIFIED", "c0")
        assert changed["object"]["data"] == {"a": "x"}
        assert changed["object"]["kind"] == "ConfigMap" and changed["object"]["apiVersion"] == "v1"
        assert brief(gone) == ("DELETED", "c1")
        # A deletion carries its own version, from which a watch can go on.
        newest = gone["object"]["metadata"]["resourceVersion"]
        assert int(newest) > int(changed["object"]["metadata"]["resourceVersion"])


def test_a_selector_turns_changes_into_comings_and_goings(api: Api) -> None:
    query = {"resourceVersion": version(api), "labelSelector": "parity=odd"}
    with api.watch(api.path("configmaps"), **query) as events:
        api.merge("configmaps", "c1", {"metadata": {"labels": {"parity": "even"}}})
        left = next(events)
        assert brief(left) == ("DELETED", "c1")
        api.merge("configmaps", "c2", {"metadata": {"labels": {"parity": "odd"}}})
        assert brief(next(events)) == ("ADDED", "c2")
        api.merge("configmaps", "c2", {"data": {"z": "1"}})
        assert brief(next(events)) == ("MODIFIED", "c2")
        api.delete("configmaps", "c0")
        api.delete("configmaps", "c2")
        assert brief(next(events)) == ("DELETED", "c2")


def test_one_object_by_name(api: Api) -> None:
    query = {"resourceVersion": version(api), "fieldSelector": "metadata.name=c1"}
    with api.watch(api.path("configmaps"), **query) as events:
        api.merge("configmaps", "c0", {"data": {"z": "1"}})
        api.merge("configmaps", "c1", {"data": {"z": "1"}})
        assert brief(next(events)) == ("MODIFIED", "c1")


def test_other_namespaces_are_not_seen(api: Api, kube: Plane) -> None:
    query = {"resourceVersion": version(api)}
    other = Api(kube, "default")
    name = f"only-{api.namespace}"
    with api.watch(api.path("configmaps"), **query, **OURS) as events:
        other.made("configmaps", config_map(name))
        other.delete("configmaps", name)
        api.made("configmaps", config_map("mine"))
        assert brief(next(events)) == ("ADDED", "mine")


def test_the_time_asked_for_is_kept(api: Api) -> None:
    started = time.monotonic()
    query = {"resourceVersion": version(api), "timeoutSeconds": 2}
    with api.watch(api.path("configmaps"), **OURS, **query) as events:
        assert list(events) == []
    assert 1.0 < time.monotonic() - started < 15.0


def test_the_initial_events_end_with_a_bookmark(api: Api) -> None:
    """WatchList: the state, then the mark that it is whole, then changes."""
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with api.watch(api.path("configmaps"), **OURS, **query) as events:
        assert [brief(next(events)) for _ in range(3)] == [("ADDED", f"c{i}") for i in range(3)]
        mark = next(events)
        assert mark["type"] == "BOOKMARK" and mark["object"]["kind"] == "ConfigMap"
        metadata = mark["object"]["metadata"]
        assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(metadata["resourceVersion"]) > 0
        api.delete("configmaps", "c0")
        assert brief(next(events)) == ("DELETED", "c0")


def test_bookmarks_are_typed(api: Api) -> None:
    query = {"resourceVersion": "0", "allowWatchBookmarks": "true"}
    with api.watch(api.path("jobs"), **query) as events:
        mark = next(events)
    assert mark["type"] == "BOOKMARK"
    assert (mark["object"]["kind"], mark["object"]["apiVersion"]) == ("Job", "batch/v1")
    assert mark["object"]["spec"] == {"template": {"metadata": {}, "spec": {"containers": None}}}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"sendInitialEvents": "true"}, "requires setting resourceVersionMatch to NotOlderThan"),
        (
            {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
            "requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            {"resourceVersion": "5", "resourceVersionMatch": "NotOlderThan"},
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ],
)
def test_odd_options_are_422(api: Api, query: dict[str, Any], text: str) -> None:
    reply = api.list("configmaps", watch="1", timeoutSeconds="1", **query)
    assert reply.status_code == 422 and text in reply.json()["message"]


def test_no_initial_events_on_request(api: Api) -> None:
    query = {"sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan"}
    with api.watch(api.path("configmaps"), **OURS, **query) as events:
        api.made("configmaps", config_map("c9"))
        assert brief(next(events)) == ("ADDED", "c9")


def test_a_named_object_is_not_watched_but_given(api: Api) -> None:
    reply = api.get("configmaps", "c1", watch="1")
    assert reply.json()["kind"] == "ConfigMap"


def test_watches_of_all_namespaces(api: Api) -> None:
    start = version(api, "jobs")
    query = {"resourceVersion": start, "fieldSelector": f"metadata.namespace={api.namespace}"}
    with api.watch("/apis/batch/v1/jobs", **query) as events:
        api.made("jobs", job("a"))
        assert brief(next(events)) == ("ADDED", "a")


def test_tables_are_watched_row_by_row(api: Api) -> None:
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    api.client.headers.update(headers)
    with api.watch(api.path("configmaps"), labelSelector="parity=even") as events:
        first, second = next(events), next(events)
    assert first["object"]["kind"] == "Table"
    assert [row["cells"][0] for row in first["object"]["rows"]] == ["c0"]
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert not second["object"]["columnDefinitions"]


def test_many_changes_arrive_in_order_and_whole(api: Api) -> None:
    start = version(api)
    with api.watch(api.path("configmaps"), resourceVersion=start, **OURS) as events:
        for number in range(30):
            api.merge("configmaps", "c0", {"data": {"n": str(number)}})
        seen = [next(events)["object"] for _ in range(30)]
    assert [item["data"]["n"] for item in seen] == [str(number) for number in range(30)]
    versions = [int(item["metadata"]["resourceVersion"]) for item in seen]
    assert versions == sorted(set(versions))


def test_a_watch_that_is_left_does_no_harm(api: Api) -> None:
    for _ in range(5):
        with api.watch(api.path("configmaps"), **OURS) as events:
            next(events)
    eventually(lambda: api.list("configmaps").status_code == 200)
