"""Create, get, update, patch and delete, on the real server and the embedded one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import Plane
from tests.contract.api import (
    CORE,
    Api,
    Obj,
    causes,
    config_map,
    eventually,
    job,
    pod,
    reason,
)


@pytest.fixture
def api(kube: Plane, kube_namespace: str) -> Api:
    return Api(kube, kube_namespace)


def suspended(api: Api, name: str = "a", **spec: Any) -> Obj:
    """A suspended job that the controller has seen, so that nothing more happens to it."""
    api.made("jobs", job(name, **spec))

    def seen() -> Obj | None:
        found = api.found("jobs", name)
        return found if found["status"].get("conditions") else None

    found: Obj = eventually(seen)
    return found


# --- create


def test_a_job_is_completed_with_defaults(api: Api) -> None:
    made = api.made("jobs", job("a"))
    metadata, spec = made["metadata"], made["spec"]
    assert re.fullmatch(r"[0-9a-f-]{36}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["resourceVersion"].isdigit() and metadata["generation"] == 1
    own = {
        "batch.kubernetes.io/controller-uid": metadata["uid"],
        "batch.kubernetes.io/job-name": "a",
        "controller-uid": metadata["uid"],
        "job-name": "a",
    }
    assert spec["template"]["metadata"]["labels"] == {"app": "contract", **own}
    assert metadata["labels"] == {"app": "contract", **own}
    assert spec["selector"] == {
        "matchLabels": {"batch.kubernetes.io/controller-uid": metadata["uid"]}
    }
    assert spec["backoffLimit"] == 6
    assert (spec["completions"], spec["parallelism"]) == (1, 1)
    assert (spec["completionMode"], spec["suspend"]) == ("NonIndexed", True)
    assert spec["podReplacementPolicy"] == "TerminatingOrFailed"
    template = spec["template"]["spec"]
    assert template["schedulerName"] == "default-scheduler"
    assert template["terminationGracePeriodSeconds"] == 30
    container = template["containers"][0]
    assert container["imagePullPolicy"] == "Always"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "File"
    assert container["resources"] == {}
    assert made["status"] == {}


def test_labels_given_to_a_job_stay_its_own(api: Api) -> None:
    wanted = job("a")
    wanted["metadata"]["labels"] = {"mine": "1"}
    assert api.made("jobs", wanted)["metadata"]["labels"] == {"mine": "1"}


def test_parallelism_alone_makes_a_work_queue(api: Api) -> None:
    spec = api.made("jobs", job("a", parallelism=3))["spec"]
    assert "completions" not in spec and spec["parallelism"] == 3


def test_a_limit_per_index_lifts_the_limit_of_all(api: Api) -> None:
    wanted = job("a", completionMode="Indexed", completions=2, backoffLimitPerIndex=1)
    assert api.made("jobs", wanted)["spec"]["backoffLimit"] == 2147483647


def test_names_are_generated(api: Api) -> None:
    wanted = job("a")
    wanted["metadata"] = {"generateName": "train-"}
    name = api.made("jobs", wanted)["metadata"]["name"]
    assert re.fullmatch(r"train-[bcdfghjklmnpqrstvwxz2456789]{5}", name)


def test_a_dry_run_stores_nothing(api: Api) -> None:
    reply = api.create("jobs", job("a"), dryRun="All")
    assert reply.status_code == 201
    assert reply.json()["metadata"]["uid"] and reply.json()["spec"]["backoffLimit"] == 6
    assert reason(api.get("jobs", "a")) == (404, "NotFound")
    assert causes(api.create("jobs", job("a"), dryRun="Some")) == {
        ("FieldValueNotSupported", "dryRun")
    }


def test_the_same_name_twice_is_409(api: Api) -> None:
    api.made("jobs", job("a"))
    reply = api.create("jobs", job("a"))
    assert reason(reply) == (409, "AlreadyExists")
    assert reply.json()["message"] == 'jobs.batch "a" already exists'


def test_a_missing_object_is_404_by_name(api: Api) -> None:
    reply = api.get("jobs", "nobody")
    assert reason(reply) == (404, "NotFound")
    assert reply.json()["message"] == 'jobs.batch "nobody" not found'
    assert reply.json()["details"] == {"name": "nobody", "group": "batch", "kind": "jobs"}


def test_a_missing_namespace_is_404_on_create_and_empty_on_list(kube: Plane) -> None:
    api = Api(kube, "nowhere-at-all")
    reply = api.create("jobs", job("a"))
    assert reply.json()["message"] == 'namespaces "nowhere-at-all" not found'
    assert api.items("jobs") == []


def test_the_namespace_of_body_and_path_must_agree(api: Api) -> None:
    wanted = job("a")
    wanted["metadata"]["namespace"] = "other"
    assert reason(api.create("jobs", wanted)) == (400, "BadRequest")


def spoil(path: str, value: Any) -> Obj:
    """A job with one thing wrong in it."""
    wanted = job("a")
    *way, last = path.split(".")
    holder: Any = wanted
    for step in way:
        holder = holder[int(step)] if step.isdigit() else holder[step]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return wanted


CONTAINER = "spec.template.spec.containers.0"


@pytest.mark.parametrize(
    ("path", "value", "cause"),
    [
        ("metadata.name", "A_b", ("FieldValueInvalid", "metadata.name")),
        ("metadata.name", None, ("FieldValueRequired", "metadata.name")),
        ("metadata.name", "a" * 64, ("FieldValueInvalid", "spec.template.labels")),
        ("metadata.labels", {"a b": "c"}, ("FieldValueInvalid", "metadata.labels")),
        ("metadata.labels", {"a": "feature/x"}, ("FieldValueInvalid", "metadata.labels")),
        ("metadata.labels", {"a": "x" * 64}, ("FieldValueInvalid", "metadata.labels")),
        ("metadata.annotations", {"a b": "c"}, ("FieldValueInvalid", "metadata.annotations")),
        ("spec.parallelism", -1, ("FieldValueInvalid", "spec.parallelism")),
        ("spec.backoffLimit", -1, ("FieldValueInvalid", "spec.backoffLimit")),
        ("spec.completionMode", "Other", ("FieldValueNotSupported", "spec.completionMode")),
        (
            f"{CONTAINER}.image",
            None,
            ("FieldValueRequired", f"{CONTAINER.replace('.0', '[0]')}.image"),
        ),
        (f"{CONTAINER}.name", "A", ("FieldValueInvalid", f"{CONTAINER.replace('.0', '[0]')}.name")),
        (
            "spec.template.spec.containers",
            [],
            ("FieldValueRequired", "spec.template.spec.containers"),
        ),
        (
            "spec.template.spec.restartPolicy",
            "Always",
            ("FieldValueRequired", "spec.template.spec.restartPolicy"),
        ),
        (
            f"{CONTAINER}.volumeMounts",
            [{"name": "v", "mountPath": "/v"}],
            ("FieldValueNotFound", f"{CONTAINER.replace('.0', '[0]')}.volumeMounts[0].name"),
        ),
        (
            f"{CONTAINER}.resources",
            {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}},
            ("FieldValueInvalid", f"{CONTAINER.replace('.0', '[0]')}.resources.requests"),
        ),
    ],
)
def test_invalid_jobs_are_422(api: Api, path: str, value: Any, cause: tuple[str, str]) -> None:
    reply = api.create("jobs", spoil(path, value))
    assert cause in causes(reply), reply.text
    assert reply.json()["reason"] == "Invalid"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.parallelism", "three"),
        ("spec.suspend", "yes"),
        ("metadata.labels", {"a": 1}),
        ("spec.template", []),
        (f"{CONTAINER}.resources", {"limits": {"cpu": "lots"}}),
        ("kind", "Pod"),
    ],
)
def test_wrong_types_are_400(api: Api, path: str, value: Any) -> None:
    assert reason(api.create("jobs", spoil(path, value))) == (400, "BadRequest")


def test_unknown_fields_are_dropped_with_a_warning_or_refused(api: Api) -> None:
    wanted = spoil("spec.paralellism", 3)
    reply = api.create("jobs", wanted, dryRun="All")
    assert reply.status_code == 201 and "paralellism" not in reply.json()["spec"]
    assert reply.headers["warning"] == '299 - "unknown field \\"spec.paralellism\\""'
    reply = api.create("jobs", wanted, fieldValidation="Strict")
    assert reason(reply) == (400, "BadRequest")
    assert reply.json()["message"].endswith(
        'strict decoding error: unknown field "spec.paralellism"'
    )
    reply = api.create("jobs", wanted, fieldValidation="Ignore", dryRun="All")
    assert reply.status_code == 201 and "warning" not in reply.headers


def test_yaml_is_read_too(api: Api) -> None:
    body = b"metadata: {name: a}\ndata: {x: 'y'}\n"
    reply = api.call("POST", api.path("configmaps"), body, content_type="application/yaml")
    assert reply.status_code == 201 and reply.json()["data"] == {"x": "y"}


def test_pods_get_their_defaults(api: Api) -> None:
    limits = {"cpu": "1", "memory": "1Gi"}
    container = {"name": "c", "image": "x:1", "resources": {"limits": limits}}
    made = api.made("pods", pod("a", containers=[container], volumes=[{"name": "v"}]))
    assert made["spec"]["containers"][0]["resources"]["requests"] == limits
    assert made["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert made["spec"]["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert made["status"] == {"phase": "Pending", "qosClass": "Guaranteed"}
    assert [item["effect"] for item in made["spec"]["tolerations"]] == ["NoExecute"] * 2


def test_secrets_fold_their_strings(api: Api) -> None:
    made = api.made("secrets", {"metadata": {"name": "a"}, "stringData": {"token": "abc"}})
    assert made["data"] == {"token": "YWJj"} and made["type"] == "Opaque"
    assert "stringData" not in made


def test_events_belong_to_the_namespace_of_their_object(api: Api) -> None:
    about = {"kind": "Job", "name": "a"}
    body = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "X", "message": "hi"}
    assert causes(api.create("events", body)) == {("FieldValueInvalid", "involvedObject.namespace")}
    about["namespace"] = api.namespace
    assert api.made("events", body)["reason"] == "X"


# --- update


def test_an_update_needs_the_newest_version(api: Api) -> None:
    current = api.made("configmaps", config_map("a"))
    current["data"] = {"a": "c"}
    reply = api.call("PUT", api.path("configmaps", "a"), current)
    assert reply.status_code == 200 and reply.json()["data"] == {"a": "c"}
    reply = api.call("PUT", api.path("configmaps", "a"), current)
    assert reason(reply) == (409, "Conflict")
    assert reply.json()["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please '
        "apply your changes to the latest version and try again"
    )
    del current["metadata"]["resourceVersion"]
    assert api.call("PUT", api.path("configmaps", "a"), current).status_code == 200


def test_an_update_without_change_makes_no_version(api: Api) -> None:
    current = api.made("configmaps", config_map("a"))
    reply = api.call("PUT", api.path("configmaps", "a"), current)
    assert reply.json()["metadata"]["resourceVersion"] == current["metadata"]["resourceVersion"]


def test_an_update_of_another_object_is_refused(api: Api) -> None:
    current = api.made("configmaps", config_map("a"))
    current["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    assert reason(api.call("PUT", api.path("configmaps", "a"), current)) == (409, "Conflict")
    current["metadata"] = {"name": "b"}
    assert reason(api.call("PUT", api.path("configmaps", "a"), current)) == (400, "BadRequest")
    assert reason(api.call("PUT", api.path("jobs", "a"), job("a"))) == (404, "NotFound")


def test_the_generation_counts_changes_of_the_spec(api: Api) -> None:
    suspended(api)
    reply = api.merge("jobs", "a", {"metadata": {"labels": {"x": "y"}}})
    assert reply.json()["metadata"]["generation"] == 1
    reply = api.merge("jobs", "a", {"spec": {"parallelism": 2}})
    assert reply.json()["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"spec": {"completions": 5}}, "spec.completions"),
        ({"spec": {"completionMode": "Indexed"}}, "spec.completionMode"),
        ({"spec": {"selector": {"matchLabels": {"a": "b"}}}}, "spec.selector"),
        ({"metadata": {"uid": "x"}}, "metadata.uid"),
    ],
)
def test_what_is_immutable_cannot_change(api: Api, patch: Obj, field: str) -> None:
    suspended(api)
    reply = api.merge("jobs", "a", patch)
    assert ("FieldValueInvalid", field) in causes(reply)
    assert "field is immutable" in reply.json()["message"]


def test_the_template_can_only_be_moved_before_the_start(api: Api) -> None:
    suspended(api)
    moved = {"spec": {"template": {"spec": {"nodeSelector": {"zone": "b"}}}}}
    assert api.merge("jobs", "a", moved).status_code == 200
    image = [{"name": "main", "image": "other", "command": ["true"]}]
    changed = {"spec": {"template": {"spec": {"containers": image}}}}
    assert api.merge("jobs", "a", changed).status_code == 422


def test_an_indexed_job_is_elastic(api: Api) -> None:
    suspended(api, completionMode="Indexed", completions=2, parallelism=2)
    grown = api.merge("jobs", "a", {"spec": {"completions": 3, "parallelism": 3}})
    assert grown.status_code == 200
    assert api.merge("jobs", "a", {"spec": {"completions": 9}}).status_code == 422


def test_status_is_a_subresource(api: Api) -> None:
    suspended(api)
    api.merge("jobs", "a", {"status": {"succeeded": 7}})
    assert "succeeded" not in api.found("jobs", "a")["status"]
    wanted = {"spec": {"parallelism": 9}, "status": {"phase": "Running", "reason": "Test"}}
    api.made("pods", pod("a"))
    reply = api.merge("pods", "a", wanted, "status")
    assert reply.status_code == 200
    found = api.found("pods", "a")
    assert found["status"]["phase"] == "Running" and found["status"]["reason"] == "Test"
    reply = api.merge("pods", "a", {"status": {"reason": "Other"}})
    assert reply.status_code == 200 and reply.json()["status"]["reason"] == "Test"


def test_pods_hardly_change(api: Api) -> None:
    api.made("pods", pod("a"))
    assert api.merge("pods", "a", {"spec": {"activeDeadlineSeconds": 60}}).status_code == 200
    reply = api.merge("pods", "a", {"spec": {"hostNetwork": True}})
    assert causes(reply) == {("FieldValueForbidden", "spec")}


def test_leases_are_made_by_put_and_then_need_a_version(api: Api) -> None:
    body = {"metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}}
    assert api.call("PUT", api.path("leases", "a"), body).status_code == 201
    reply = api.call("PUT", api.path("leases", "a"), body)
    assert causes(reply) == {("FieldValueInvalid", "metadata.resourceVersion")}


# --- patch


def test_a_merge_patch_adds_and_removes(api: Api) -> None:
    api.made("configmaps", config_map("a", x="1", y="2"))
    reply = api.merge("configmaps", "a", {"metadata": {"labels": {"x": None, "z": "3"}}})
    assert reply.json()["metadata"]["labels"] == {"y": "2", "z": "3"}


def test_a_merge_patch_may_name_the_version(api: Api) -> None:
    made = api.made("configmaps", config_map("a"))
    patch = {"metadata": {"resourceVersion": "1"}, "data": {"a": "x"}}
    assert reason(api.merge("configmaps", "a", patch)) == (409, "Conflict")
    patch["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    assert api.merge("configmaps", "a", patch).status_code == 200


def test_a_json_patch_is_done_whole_or_not_at_all(api: Api) -> None:
    made = api.made("configmaps", config_map("a", x="1"))
    uid = {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]}
    add = {"op": "add", "path": "/data/b", "value": "c"}
    reply = api.patch("configmaps", "a", uid, add)
    assert reply.status_code == 200 and reply.json()["data"] == {"a": "b", "b": "c"}
    wrong = {"op": "test", "path": "/metadata/uid", "value": "other"}
    reply = api.patch("configmaps", "a", {**add, "value": "d"}, wrong)
    assert reason(reply) == (422, "Invalid")
    assert reply.json()["message"] == (
        "the server rejected our request due to an error in our request"
    )
    assert api.found("configmaps", "a")["data"]["b"] == "c"


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "test", "path": "/data/a", "value": "b"}, 200),
        ({"op": "test", "path": "/data/none", "value": None}, 200),
        ({"op": "test", "path": "/data/none", "value": "x"}, 422),
        ({"op": "test", "path": "/none/none", "value": None}, 422),
        ({"op": "remove", "path": "/data/a"}, 200),
        ({"op": "remove", "path": "/data/none"}, 422),
        ({"op": "replace", "path": "/data/a", "value": "z"}, 200),
        ({"op": "replace", "path": "/data/none", "value": "z"}, 200),
        ({"op": "add", "path": "/none/none", "value": "z"}, 422),
        ({"op": "copy", "from": "/data/a", "path": "/data/z"}, 200),
        ({"op": "move", "from": "/data/a", "path": "/data/z"}, 200),
        ({"op": "move", "from": "/data/none", "path": "/data/z"}, 422),
        ({"op": "add", "path": "/metadata/labels/a~1b", "value": "z"}, 200),
        ({"op": "frob", "path": "/data/a"}, 422),
    ],
)
def test_operations_of_a_json_patch(api: Api, operation: Obj, code: int) -> None:
    api.made("configmaps", config_map("a", x="1"))
    assert api.patch("configmaps", "a", operation).status_code == code


def test_what_is_no_patch_is_400_or_415(api: Api) -> None:
    api.made("configmaps", config_map("a"))
    path = api.path("configmaps", "a")
    for kind, body in (
        ("application/json-patch+json", b"{}"),
        ("application/json-patch+json", b"["),
        ("application/merge-patch+json", b"[]"),
        ("application/merge-patch+json", b"{"),
    ):
        reply = api.call("PATCH", path, body, content_type=kind)
        assert reason(reply) == (400, "BadRequest")
    reply = api.call("PATCH", path, b"{}", content_type="application/json")
    assert reason(reply) == (415, "UnsupportedMediaType")
    assert reason(api.merge("configmaps", "none", {})) == (404, "NotFound")


def test_a_strict_patch_refuses_unknown_fields(api: Api) -> None:
    suspended(api)
    reply = api.merge("jobs", "a", {"spec": {"paralellism": 3}}, fieldValidation="Strict")
    assert causes(reply) == {("FieldValueInvalid", "patch")}
    assert 'unknown field "spec.paralellism"' in reply.json()["message"]


def test_a_dry_patch_changes_nothing(api: Api) -> None:
    api.made("configmaps", config_map("a"))
    reply = api.merge("configmaps", "a", {"data": {"z": "1"}}, dryRun="All")
    assert reply.json()["data"] == {"a": "b", "z": "1"}
    assert api.found("configmaps", "a")["data"] == {"a": "b"}


# --- delete


def test_a_delete_says_what_it_deleted(api: Api) -> None:
    made = api.made("configmaps", config_map("a"))
    reply = api.delete("configmaps", "a")
    assert reply.status_code == 200 and reply.json()["status"] == "Success"
    assert reply.json()["details"] == {
        "name": "a",
        "kind": "configmaps",
        "uid": made["metadata"]["uid"],
    }
    assert reason(api.delete("configmaps", "a")) == (404, "NotFound")


def test_a_delete_may_name_the_object_it_means(api: Api) -> None:
    made = suspended(api)
    reply = api.delete("jobs", "a", preconditions={"uid": "other"})
    assert reason(reply) == (409, "Conflict")
    assert "the UID in the precondition (other) does not match" in reply.json()["message"]
    reply = api.delete("jobs", "a", preconditions={"resourceVersion": "1"})
    assert reason(reply) == (409, "Conflict")
    metadata = made["metadata"]
    right = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    reply = api.delete("jobs", "a", preconditions=right, propagationPolicy="Background")
    assert reply.status_code == 200


def test_a_dry_delete_deletes_nothing(api: Api) -> None:
    suspended(api)
    options = {"dryRun": ["All"], "propagationPolicy": "Background"}
    assert api.delete("jobs", "a", **options).status_code == 200
    assert api.get("jobs", "a").status_code == 200


def test_a_delete_with_a_body_takes_nothing_from_its_query(api: Api) -> None:
    suspended(api)
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    assert api.call("DELETE", api.path("jobs", "a"), body, dryRun="All").status_code == 200
    eventually(lambda: api.get("jobs", "a").status_code == 404)
    suspended(api)
    assert api.call("DELETE", api.path("jobs", "a"), None, dryRun="All").status_code == 200
    assert api.get("jobs", "a").status_code == 200


def test_delete_options_are_checked(api: Api) -> None:
    suspended(api)
    assert causes(api.delete("jobs", "a", propagationPolicy="Sometimes")) == {
        ("FieldValueNotSupported", "propagationPolicy")
    }
    both = {"propagationPolicy": "Orphan", "orphanDependents": True}
    assert causes(api.delete("jobs", "a", **both)) == {("FieldValueInvalid", "propagationPolicy")}


def test_a_job_deleted_without_a_word_orphans_its_pods_and_warns(api: Api) -> None:
    suspended(api)
    reply = api.delete("jobs", "a")
    assert reply.status_code == 200 and reply.json()["kind"] == "Job"
    assert reply.json()["metadata"]["finalizers"] == ["orphan"]
    assert "child pods are preserved by default" in reply.headers["warning"]
    eventually(lambda: api.get("jobs", "a").status_code == 404)


def test_finalizers_hold_an_object(api: Api) -> None:
    wanted = config_map("a")
    wanted["metadata"]["finalizers"] = ["example.com/hold"]
    api.made("configmaps", wanted)
    reply = api.delete("configmaps", "a")
    assert reply.status_code == 200 and reply.json()["metadata"]["deletionTimestamp"]
    assert api.found("configmaps", "a")["metadata"]["finalizers"] == ["example.com/hold"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    assert ("FieldValueForbidden", "metadata.finalizers") in causes(
        api.merge("configmaps", "a", more)
    )
    assert api.merge("configmaps", "a", {"metadata": {"finalizers": None}}).status_code == 200
    assert api.get("configmaps", "a").status_code == 404


def test_a_pod_without_a_node_goes_at_once(api: Api) -> None:
    api.made("pods", pod("a"))
    reply = api.delete("pods", "a")
    assert reply.status_code == 200 and reply.json()["kind"] == "Pod"
    assert reply.json()["metadata"]["deletionGracePeriodSeconds"] == 0
    assert api.get("pods", "a").status_code == 404


def test_what_lost_its_owner_is_collected(api: Api) -> None:
    owner = api.made("configmaps", config_map("owner"))
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    wanted = config_map("child")
    wanted["metadata"]["ownerReferences"] = [reference]
    api.made("configmaps", wanted)
    orphan = config_map("orphan")
    orphan["metadata"]["ownerReferences"] = [{**reference, "uid": "gone", "name": "gone"}]
    api.made("configmaps", orphan)
    eventually(lambda: api.get("configmaps", "orphan").status_code == 404)
    api.delete("configmaps", "owner", propagationPolicy="Background")
    eventually(lambda: api.get("configmaps", "child").status_code == 404)


@pytest.mark.parametrize(("policy", "left"), [("Orphan", True), ("Foreground", False)])
def test_orphaning_and_foreground_deletion(api: Api, policy: str, left: bool) -> None:
    owner = api.made("configmaps", config_map("owner"))
    wanted = config_map("child")
    wanted["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
    ]
    api.made("configmaps", wanted)
    # The real collector learns of the child by its own watch.
    reply = api.delete("configmaps", "owner", propagationPolicy=policy)
    finalizer = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}[policy]
    assert reply.json()["metadata"]["finalizers"] == [finalizer]
    eventually(lambda: api.get("configmaps", "owner").status_code == 404)
    if left:
        assert "ownerReferences" not in api.found("configmaps", "child")["metadata"]
    else:
        assert api.get("configmaps", "child").status_code == 404


def test_a_namespace_takes_everything_with_it(kube: Plane, kube_namespace: str) -> None:
    api = Api(kube, kube_namespace)
    held = config_map("a")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    api.made("configmaps", held)
    api.made("jobs", job("a"))
    reply = api.call("DELETE", f"{CORE}/namespaces/{kube_namespace}")
    assert reply.status_code == 200 and reply.json()["status"]["phase"] == "Terminating"

    def refused() -> bool:
        reply = api.create("jobs", job("b"), dryRun="All")
        return reply.status_code == 403 and "because it is being terminated" in reply.text

    eventually(refused)
    eventually(lambda: api.get("jobs", "a").status_code == 404, within=60)
    api.merge("configmaps", "a", {"metadata": {"finalizers": None}})
    eventually(
        lambda: api.call("GET", f"{CORE}/namespaces/{kube_namespace}").status_code == 404,
        within=60,
    )
