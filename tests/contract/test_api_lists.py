"""Lists: pages, versions, selectors, forms, on the real server and the embedded one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.conftest import Plane
from tests.contract.api import CORE, Api, causes, config_map, job, pod, reason

# The real cluster puts one object of its own into every namespace.
OURS = {"fieldSelector": "metadata.name!=kube-root-ca.crt"}


@pytest.fixture
def api(kube: Plane, kube_namespace: str) -> Api:
    return Api(kube, kube_namespace)


@pytest.fixture
def seven(api: Api) -> Api:
    """Seven config maps, c0 to c6, the odd ones labelled so."""
    for index in range(7):
        parity = "odd" if index % 2 else "even"
        api.made("configmaps", config_map(f"c{index}", index=str(index), parity=parity))
    return api


def test_a_list_is_typed_and_versioned(seven: Api) -> None:
    body = seven.list("configmaps", **OURS).json()
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert body["metadata"]["resourceVersion"].isdigit()
    assert [item["metadata"]["name"] for item in body["items"]] == [f"c{i}" for i in range(7)]
    # The items of a typed list do not repeat their type.
    assert "kind" not in body["items"][0] and "apiVersion" not in body["items"][0]


def test_all_namespaces_in_one_list(seven: Api) -> None:
    path = f"{CORE}/configmaps"
    found = seven.call("GET", path, fieldSelector=f"metadata.namespace={seven.namespace}").json()
    assert len(found["items"]) >= 7
    assert {item["metadata"]["namespace"] for item in found["items"]} == {seven.namespace}


def test_pages_see_one_moment(seven: Api) -> None:
    """Changes between two pages do not show: later pages are as old as the first."""
    first = seven.list("configmaps", limit=3).json()
    seven.delete("configmaps", "c4")
    seven.made("configmaps", config_map("c45"))
    names = [item["metadata"]["name"] for item in first["items"]]
    token, version = first["metadata"]["continue"], first["metadata"]["resourceVersion"]
    assert first["metadata"]["remainingItemCount"] >= 4
    while token:
        page = seven.list("configmaps", limit=3, **{"continue": token}).json()
        assert page["metadata"]["resourceVersion"] == version
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
    assert [name for name in names if name.startswith("c")] == [f"c{i}" for i in range(7)]


def test_an_exact_version_is_a_moment_too(seven: Api) -> None:
    version = seven.list("configmaps", limit=1).json()["metadata"]["resourceVersion"]
    seven.delete("configmaps", "c4")
    query = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
    reply = seven.list("configmaps", **query)
    assert reply.json()["metadata"]["resourceVersion"] == version
    assert "c4" in [item["metadata"]["name"] for item in reply.json()["items"]]
    query["resourceVersionMatch"] = "NotOlderThan"
    assert "c4" not in seven.names("configmaps", **query)


def test_a_selected_page_does_not_count_the_rest(seven: Api) -> None:
    metadata = seven.list("configmaps", limit=2, labelSelector="parity").json()["metadata"]
    assert metadata["continue"] and "remainingItemCount" not in metadata


def test_from_the_cache_the_limit_is_ignored(seven: Api) -> None:
    reply = seven.list("configmaps", limit=2, resourceVersion="0").json()
    assert "continue" not in reply["metadata"]


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ({"limit": "x"}, 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ({"continue": "abc"}, 400, "invalid continue token: continue key is not valid"),
        ({"resourceVersion": "abc"}, 400, "invalid resource version"),
        ({"resourceVersionMatch": "Exact"}, 422, "is forbidden unless resourceVersion is provided"),
        ({"resourceVersion": "5", "resourceVersionMatch": "Foo"}, 422, "Unsupported value"),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422, "forbidden for resource"),
        ({"sendInitialEvents": "true"}, 422, "sendInitialEvents is forbidden for list"),
    ],
)
def test_odd_options_are_refused(api: Api, query: dict[str, Any], code: int, text: str) -> None:
    reply = api.list("configmaps", **query)
    assert reply.status_code == code and text in reply.json()["message"]
    if code == 422:
        assert reply.json()["message"].startswith("ListOptions.meta.k8s.io")


def test_a_version_with_a_continue_token_is_refused(seven: Api) -> None:
    token = seven.list("configmaps", limit=2).json()["metadata"]["continue"]
    reply = seven.list("configmaps", limit=2, resourceVersion="5", **{"continue": token})
    assert reason(reply) == (400, "BadRequest")


def test_a_version_of_the_future_times_out(api: Api) -> None:
    reply = api.list("configmaps", resourceVersion="999999999")
    assert reason(reply) == (504, "Timeout")
    assert "Too large resource version: 999999999, current: " in reply.json()["message"]
    details = reply.json()["details"]
    assert details["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert details["retryAfterSeconds"] == 1


def test_the_token_of_an_expired_page_goes_on_with_what_is_there_now(seven: Api) -> None:
    """The way of every 410's own continue token: revision -1 reads the present."""
    token = {"v": "meta.k8s.io/v1", "rv": -1, "start": "c4\0"}
    text = base64.urlsafe_b64encode(json.dumps(token).encode()).rstrip(b"=").decode()
    reply = seven.list("configmaps", limit=2, **{"continue": text})
    assert [item["metadata"]["name"] for item in reply.json()["items"]][:2] == ["c5", "c6"]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("parity=odd", "135"),
        ("parity==odd", "135"),
        ("parity!=odd", "0246"),
        ("parity in (odd)", "135"),
        ("parity in (odd,even),index notin (1,2)", "03456"),
        ("!parity", ""),
        ("parity", "0123456"),
        ("!absent,index>3", "456"),
        ("index<2", "01"),
        (" parity = odd , index = 1 ", "1"),
        ("parity=", ""),
        ("absent!=x", "0123456"),
        ("absent notin (x)", "0123456"),
    ],
)
def test_label_selectors(seven: Api, selector: str, found: str) -> None:
    names = seven.names("configmaps", labelSelector=selector, **OURS)
    assert names == [f"c{index}" for index in found]


@pytest.mark.parametrize(
    "selector",
    ["parity in", "a b", "parity=odd,", "=x", "parity=(", "parity in (odd", "a/b/c=d", "index>x"],
)
def test_broken_label_selectors_are_400(api: Api, selector: str) -> None:
    assert reason(api.list("configmaps", labelSelector=selector)) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("metadata.name=c1", "1"),
        ("metadata.name==c1", "1"),
        ("metadata.name!=c1", "023456"),
        ("metadata.name=c1,metadata.name=c2", ""),
    ],
)
def test_field_selectors(seven: Api, selector: str, found: str) -> None:
    both = f"{selector},{OURS['fieldSelector']}"
    assert seven.names("configmaps", fieldSelector=both) == [f"c{index}" for index in found]


@pytest.mark.parametrize(
    ("plural", "selector"),
    [
        ("pods", "status.containerStatuses=x"),
        ("pods", "status.reason=Evicted"),
        ("jobs", "status.failed=0"),
        ("events", "message=x"),
        ("secrets", "data=x"),
        ("configmaps", "data.a=b"),
        ("configmaps", "metadata.name"),
    ],
)
def test_other_fields_cannot_be_selected(api: Api, plural: str, selector: str) -> None:
    assert reason(api.list(plural, fieldSelector=selector)) == (400, "BadRequest")


def test_fields_of_pods_jobs_and_events(api: Api) -> None:
    api.made("pods", pod("a"))
    api.made("pods", pod("b"))
    api.merge("pods", "b", {"status": {"phase": "Failed"}}, "status")
    assert api.names("pods", fieldSelector="status.phase=Failed") == ["b"]
    assert api.names("pods", fieldSelector="status.phase!=Failed,spec.nodeName=") == ["a"]
    api.made("jobs", job("a"))
    assert api.names("jobs", fieldSelector="status.successful=0") in (["a"], [])
    about = {"kind": "Job", "name": "a", "namespace": api.namespace, "uid": "1"}
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "X", "type": "Normal"}
    api.made("events", event)
    selector = "involvedObject.kind=Job,involvedObject.name=a,involvedObject.uid=1,reason=X"
    assert api.names("events", fieldSelector=selector) == ["e"]


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def columns(table: dict[str, Any], priority: int = 0) -> list[str]:
    return [item["name"] for item in table["columnDefinitions"] if item["priority"] <= priority]


def test_tables_of_jobs(api: Api) -> None:
    api.made("jobs", job("a", completions=3))
    table = api.call("GET", api.path("jobs"), accept=TABLE).json()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert columns(table) == ["Name", "Status", "Completions", "Duration", "Age"]
    assert columns(table, 1)[5:] == ["Containers", "Images", "Selector"]
    row = table["rows"][0]
    assert row["cells"][0] == "a" and row["cells"][2] == "0/3"
    assert row["cells"][5:7] == ["main", "busybox"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    one = api.call("GET", api.path("jobs", "a"), accept=TABLE, includeObject="None").json()
    assert one["rows"][0]["cells"][0] == "a" and not one["rows"][0].get("object")


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, ("0/1", "Pending", "0")),
        ({"phase": "Failed", "reason": "Evicted"}, ("0/1", "Evicted", "0")),
        (
            {"phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "X"}}}]},
            ("0/1", "X", "0"),
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]},
            ("0/1", "Error", "0"),
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]},
            ("0/1", "ExitCode:3", "0"),
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {"ready": True, "restartCount": 2, "state": {"running": {}}, "started": True}
                ],
            },
            ("1/1", "Running", "2"),
        ),
    ],
)
def test_tables_of_pods(api: Api, status: dict[str, Any], shown: tuple[str, str, str]) -> None:
    api.made("pods", pod("a"))
    for item in status.get("containerStatuses", ()):
        item |= {"name": "main", "image": "x", "imageID": ""}
        item.setdefault("ready", False)
        item.setdefault("restartCount", 0)
    reply = api.merge("pods", "a", {"status": status}, "status")
    assert reply.status_code == 200, reply.text
    table = api.call("GET", api.path("pods"), accept=TABLE).json()
    assert columns(table) == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert tuple(table["rows"][0]["cells"][1:4]) == shown


def test_tables_of_init_containers(api: Api) -> None:
    initial = [{"name": "clone", "image": "x"}, {"name": "second", "image": "x"}]
    api.made("pods", pod("a", initContainers=initial))
    done = {"name": "clone", "image": "x", "imageID": "", "ready": True, "restartCount": 0}
    next_one = {**done, "name": "second", "ready": False, "state": {"waiting": {"reason": "Why"}}}
    done["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    status = {"initContainerStatuses": [done, next_one]}
    assert api.merge("pods", "a", {"status": status}, "status").status_code == 200
    table = api.call("GET", api.path("pods"), accept=TABLE).json()
    assert table["rows"][0]["cells"][2] == "Init:Why"


def test_tables_of_events_nodes_and_others(api: Api) -> None:
    heads = {
        api.path("events"): ["Last Seen", "Type", "Reason", "Object", "Message"],
        f"{CORE}/nodes": ["Name", "Status", "Roles", "Age", "Version"],
        f"{CORE}/namespaces": ["Name", "Status", "Age"],
        api.path("configmaps"): ["Name", "Data", "Age"],
        api.path("secrets"): ["Name", "Type", "Data", "Age"],
        api.path("leases"): ["Name", "Holder", "Age"],
        api.path("services"): [
            *("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"),
        ],
    }
    for path, wanted in heads.items():
        table = api.call("GET", path, accept=TABLE).json()
        assert columns(table) == wanted, path


def test_metadata_alone(seven: Api) -> None:
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    path = seven.path("configmaps")
    found = seven.call("GET", path, accept=accept, labelSelector="parity=odd").json()
    assert found["kind"] == "PartialObjectMetadataList"
    assert [item["metadata"]["name"] for item in found["items"]] == ["c1", "c3", "c5"]
    assert "data" not in found["items"][0]


def test_the_collection_of_another_method_is_not_a_way_around(api: Api) -> None:
    assert causes(api.create("configmaps", {"data": {}})) == {
        ("FieldValueRequired", "metadata.name")
    }
