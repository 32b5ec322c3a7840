"""Discovery, authentication, authorisation, refusals: the real server and the embedded one."""

from __future__ import annotations

import pytest

from tests.conftest import Plane
from tests.contract.api import CORE, JOBS, Api, config_map, job, reason

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@pytest.fixture
def api(kube: Plane, kube_namespace: str) -> Api:
    return Api(kube, kube_namespace)


def test_version_is_the_one_that_is_copied(api: Api) -> None:
    version = api.call("GET", "/version").json()
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")
    assert version["platform"] and version["compiler"] and version["goVersion"]


def test_ready(api: Api) -> None:
    for path in ("/healthz", "/readyz", "/livez"):
        reply = api.call("GET", path, accept="*/*")
        assert (reply.status_code, reply.text) == (200, "ok")


def test_plain_discovery_lists_groups_and_resources(api: Api) -> None:
    assert "v1" in api.call("GET", "/api").json()["versions"]
    groups = api.call("GET", "/apis").json()["groups"]
    batch = next(group for group in groups if group["name"] == "batch")
    assert batch["preferredVersion"] == {"groupVersion": "batch/v1", "version": "v1"}
    assert api.call("GET", "/apis/batch").json()["name"] == "batch"
    listed = api.call("GET", JOBS).json()["resources"]
    found = next(item for item in listed if item["name"] == "jobs")
    assert found["kind"] == "Job" and found["namespaced"]
    assert {"create", "delete", "get", "list", "patch", "update", "watch"} <= set(found["verbs"])
    assert any(item["name"] == "jobs/status" for item in listed)
    core = {item["name"]: item for item in api.call("GET", CORE).json()["resources"]}
    assert core["pods"]["shortNames"] == ["po"] and not core["nodes"]["namespaced"]
    assert core["pods/log"]["verbs"] == ["get"]


def test_aggregated_discovery_where_it_is_accepted(api: Api) -> None:
    reply = api.call("GET", "/apis", accept=V2)
    assert "as=APIGroupDiscoveryList" in reply.headers["content-type"]
    batch = next(item for item in reply.json()["items"] if item["metadata"]["name"] == "batch")
    jobs = next(item for item in batch["versions"][0]["resources"] if item["resource"] == "jobs")
    assert jobs["scope"] == "Namespaced"
    assert jobs["responseKind"] == {"group": "", "version": "", "kind": "Job"}
    assert [item["subresource"] for item in jobs["subresources"]] == ["status"]


@pytest.mark.parametrize("path", ["/nothing", "/apis/none.example.com/v1/things"])
def test_unknown_paths_are_404(api: Api, path: str) -> None:
    assert api.call("GET", path).status_code == 404


def test_unknown_resources_and_subresources_are_404(api: Api) -> None:
    api.made("jobs", job("a"))
    for path in (api.path("things").replace(CORE, JOBS), api.path("jobs", "a", "thing")):
        assert reason(api.call("GET", path)) == (404, "NotFound")


def test_wrong_methods_are_405(api: Api) -> None:
    api.made("jobs", job("a"))
    for method, path in (
        ("POST", api.path("jobs", "a")),
        ("PUT", api.path("jobs")),
    ):
        reply = api.call(method, path, job("a"))
        assert reason(reply) == (405, "MethodNotAllowed")


def test_an_unknown_token_is_401(api: Api) -> None:
    api.client.headers["Authorization"] = "Bearer nobody"
    reply = api.list("jobs")
    assert reason(reply) == (401, "Unauthorized")
    assert reply.json()["message"] == "Unauthorized"


def test_unacceptable_forms_are_406(api: Api) -> None:
    assert reason(api.call("GET", api.path("jobs"), accept="text/html")) == (406, "NotAcceptable")


def test_unknown_media_types_are_415(api: Api) -> None:
    reply = api.call("POST", api.path("jobs"), b"x", content_type="text/plain")
    assert reason(reply) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b""])
def test_what_is_no_object_is_400(api: Api, body: bytes) -> None:
    assert reason(api.call("POST", api.path("jobs"), body)) == (400, "BadRequest")


def test_a_viewer_may_look_but_not_touch(kube: Plane, kube_namespace: str) -> None:
    viewer = Api(kube, kube_namespace, "viewer")
    assert viewer.list("jobs").status_code == 200
    reply = viewer.create("jobs", job("a"))
    assert reason(reply) == (403, "Forbidden")
    assert reply.json()["message"].startswith(
        'jobs.batch is forbidden: User "viewer" cannot create resource "jobs" in API group "batch" '
        f'in the namespace "{kube_namespace}"'
    )
    reply = viewer.delete("jobs", "a")
    assert reply.json()["message"].startswith(
        'jobs.batch "a" is forbidden: User "viewer" cannot delete'
    )
    assert reply.json()["details"] == {"name": "a", "group": "batch", "kind": "jobs"}
    assert reason(viewer.list("secrets")) == (403, "Forbidden")
    assert reason(viewer.call("GET", f"{CORE}/secrets"))[0] == 403
    assert "at the cluster scope" in viewer.call("GET", f"{CORE}/secrets").json()["message"]


def test_nowatch_may_list_but_not_watch(kube: Plane, kube_namespace: str) -> None:
    api = Api(kube, kube_namespace, "nowatch")
    assert api.list("jobs").status_code == 200
    reply = api.list("jobs", watch="1")
    assert reason(reply) == (403, "Forbidden")
    assert 'cannot watch resource "jobs"' in reply.json()["message"]


def test_an_operator_may_change_jobs_but_not_config_maps(kube: Plane, kube_namespace: str) -> None:
    api = Api(kube, kube_namespace, "operator")
    api.made("jobs", job("a"))
    assert api.merge("jobs", "a", {"metadata": {"labels": {"x": "y"}}}).status_code == 200
    assert api.delete("jobs", "a", propagationPolicy="Background").status_code == 200
    assert reason(api.create("configmaps", config_map("a"))) == (403, "Forbidden")


REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.mark.parametrize(
    ("role", "verb", "group", "resource", "allowed"),
    [
        ("", "delete", "", "nodes", True),
        ("operator", "create", "batch", "jobs", True),
        ("operator", "update", "batch", "jobs", False),
        ("operator", "delete", "", "pods", False),
        ("operator", "update", "coordination.k8s.io", "leases", True),
        ("viewer", "create", "coordination.k8s.io", "leases", False),
        ("viewer", "watch", "batch", "jobs", True),
        ("viewer", "create", "batch", "jobs", False),
        ("viewer", "get", "", "secrets", False),
        ("nowatch", "watch", "batch", "jobs", False),
        ("nowatch", "list", "batch", "jobs", True),
    ],
)
def test_access_reviews_say_what_is_so(
    kube: Plane, kube_namespace: str, role: str, verb: str, group: str, resource: str, allowed: bool
) -> None:
    api = Api(kube, kube_namespace, role)
    asked = {"verb": verb, "group": group, "resource": resource, "namespace": kube_namespace}
    reply = api.call("POST", REVIEW, {"spec": {"resourceAttributes": asked}})
    assert reply.status_code == 201
    assert reply.json()["status"]["allowed"] is allowed


@pytest.mark.parametrize(("role", "allowed"), [("operator", True), ("viewer", False)])
def test_access_reviews_know_subresources(
    kube: Plane, kube_namespace: str, role: str, allowed: bool
) -> None:
    api = Api(kube, kube_namespace, role)
    asked = {"verb": "create", "resource": "pods", "subresource": "exec"}
    reply = api.call("POST", REVIEW, {"spec": {"resourceAttributes": asked}})
    assert reply.json()["status"]["allowed"] is allowed


def test_rules_reviews_list_the_rules(kube: Plane, kube_namespace: str) -> None:
    api = Api(kube, kube_namespace, "viewer")
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    reply = api.call("POST", path, {"spec": {"namespace": kube_namespace}})
    assert reply.status_code == 201
    rules = reply.json()["status"]["resourceRules"]
    verbs = {
        verb
        for rule in rules
        if "batch" in rule["apiGroups"] and "jobs" in rule["resources"]
        for verb in rule["verbs"]
    }
    assert verbs == {"get", "list", "watch"}


def test_subject_reviews_say_who_asks(kube: Plane, kube_namespace: str) -> None:
    api = Api(kube, kube_namespace, "operator")
    reply = api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert reply.status_code == 201
    user = reply.json()["status"]["userInfo"]
    assert user["username"] == "operator" and "system:authenticated" in user["groups"]
