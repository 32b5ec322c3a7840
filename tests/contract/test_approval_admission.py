"""An approval's shape lets a real API server enforce it: in one's own name, for one subject."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from mcp_tui.domain.approval import (
    ANNOTATION,
    Approval,
    Level,
    cel_given,
    cel_own_name,
    encode,
    subject,
)
from tests.cluster import Ground

POLICIES = "/apis/admissionregistration.k8s.io/v1"
LEADS = Level(name="ml-lead", people=("bo", 'eva "e"'), groups=())
SRE = Level(name="sre", groups=("sre",))
OLD, NEW = (subject("ranker", version, b"mlmodel", [("model.pkl", 9)]).digest for version in "12")

Put = Callable[..., httpx.Response]


@pytest.fixture
def world(ground: Ground, namespace: str) -> Iterator[Put]:
    """A namespace where a ConfigMap goes on only with approvals; write it as anybody."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
              "resources": ["configmaps"]}]  # fmt: skip
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    going = "!has(object.data) || !('go' in object.data) || "
    validations = [
        {"expression": cel_own_name(level.name), "message": f"{level.name} in another's name"}
        for level in (LEADS, SRE)
    ] + [
        {
            "expression": f"{going}({cel_given(level, 'object.data.subject')})",
            "message": f"{level.name} has not approved this",
        }
        for level in (LEADS, SRE)
    ]
    name = f"{namespace}-approvals"
    body = {
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"namespaceSelector": selector, "resourceRules": rules},
            "validations": validations,
        },
    }
    ground.api("POST", f"{POLICIES}/validatingadmissionpolicies", body).ok()
    spec = {"policyName": name, "validationActions": ["Deny"]}
    bound = {"metadata": {"name": name}, "spec": spec}
    ground.api("POST", f"{POLICIES}/validatingadmissionpolicybindings", bound).ok()
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    verbs = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
    ground.api("POST", f"{rbac}/roles", {"metadata": {"name": "all"}, "rules": verbs}).ok()
    binding = {
        "metadata": {"name": "all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
                      "name": "system:authenticated"}],
    }  # fmt: skip
    ground.api("POST", f"{rbac}/rolebindings", binding).ok()
    dev = ground.dev
    trusting = ssl.create_default_context(cafile=str(dev.ca))
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    with httpx.Client(base_url=dev.server, verify=trusting, trust_env=False, timeout=60) as http:

        def put(
            user: str, groups: tuple[str, ...], name: str, annotations: dict[str, str],
            go: str = "",
        ) -> httpx.Response:  # fmt: skip
            """Write an object whole as somebody; ``go`` is the subject that it goes on with."""
            groups = (*groups, "system:authenticated")
            headers = [
                ("Authorization", f"Bearer {dev.tokens['admin']}"),
                ("Impersonate-User", user),
                *(("Impersonate-Group", each) for each in groups),
            ]
            data = {"go": "yes", "subject": go} if go else {}
            whole = {"metadata": {"name": name, "annotations": annotations}, "data": data}
            reply = http.put(f"{path}/{name}", json=whole, headers=headers)
            return (
                http.post(path, json=whole, headers=headers) if reply.status_code == 404 else reply
            )

        # A policy comes into force some seconds after it was made.
        end = time.monotonic() + 60
        while put("nobody", (), f"probe-{secrets.token_hex(3)}", {}, go=NEW).status_code != 422:
            assert time.monotonic() < end, "the policy is not in force"
            time.sleep(0.2)
        yield put
    ground.api("DELETE", f"{POLICIES}/validatingadmissionpolicybindings/{name}")
    ground.api("DELETE", f"{POLICIES}/validatingadmissionpolicies/{name}")


def yes(level: str, by: str, group: str = "", what: str = NEW) -> dict[str, str]:
    record = Approval(level=level, by=by, group=group, at=1_780_000_000, reason="ok", subject=what)
    return {ANNOTATION + level: encode(record)}


def test_it_goes_on_with_both_approvals_and_not_before(world: Put) -> None:
    assert world("kim", (), "r", {}).status_code == 201
    refused = world("kim", (), "r", {}, go=NEW)
    assert refused.status_code == 422 and "has not approved this" in refused.text
    lead = yes("ml-lead", "bo")
    assert world("bo", (), "r", lead).status_code == 200
    assert "sre has not approved" in world("kim", (), "r", lead, go=NEW).text
    both = lead | yes("sre", "al", "sre")
    assert world("al", ("sre",), "r", both).status_code == 200
    # Whoever goes on need not be one of them; what is there already may stay.
    assert world("kim", (), "r", both, go=NEW).status_code == 200
    # For another subject the same approvals are none.
    assert world("kim", (), "r", both, go=OLD).status_code == 422
    # A name that a CEL text has to quote.
    quoted = yes("ml-lead", 'eva "e"') | yes("sre", "al", "sre")
    assert world('eva "e"', (), "r", quoted).status_code == 200
    assert world("kim", (), "r", quoted, go=NEW).status_code == 200


def test_nobody_writes_one_in_anothers_name_or_group(world: Put) -> None:
    assert world("kim", (), "r", {}).status_code == 201
    for forged in (
        yes("ml-lead", "bo"),
        yes("sre", "al", "sre"),
        yes("sre", "kim", "sre"),  # kim is not in sre
        {ANNOTATION + "ml-lead": "by=bo"},
        {ANNOTATION + "ml-lead": f"by=kim|group=|by=bo|group=|mlflow=|at=|why=|for={NEW}"},
    ):
        refused = world("kim", (), "r", forged)
        assert refused.status_code == 422 and "in another's name" in refused.text, forged
    # Parts that say in their text what only another part may: written, and worth nothing.
    sly = {ANNOTATION + "sre": f"by=kim|group=|mlflow=|group=sre|mlflow=|for={NEW}"}
    assert world("kim", (), "r", sly).status_code == 200
    lead = yes("ml-lead", "bo")
    assert world("bo", (), "r", sly | lead).status_code == 200
    assert "sre has not approved" in world("kim", (), "r", sly | lead, go=NEW).text
    # A user whose very name would read as another's record.
    odd = "bo|group="
    refused = world(odd, (), "other", yes("ml-lead", "bo"))
    assert refused.status_code == 422 and "in another's name" in refused.text
    # Nor may one that is there be changed: only left, taken away, or written anew as oneself.
    changed = {name: text.replace("why=ok", "why=yes") for name, text in lead.items()}
    assert world("kim", (), "r", sly | changed).status_code == 422
    assert world("kim", (), "r", sly).status_code == 200
