"""Who calls, and what they may do: a token table with RBAC-like rules."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_tui.demo.plane.model import Obj
from mcp_tui.demo.plane.status import StatusError


@dataclass(frozen=True)
class Rule:
    """A ``PolicyRule``: every combination of its parts is allowed."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]

    def allows(self, verb: str, group: str, resource: str) -> bool:
        """Whether it covers that verb on that resource (``pods/log`` for a subresource)."""
        return (
            _covers(self.verbs, verb)
            and _covers(self.groups, group)
            and (_covers(self.resources, resource))
        )


def _covers(allowed: tuple[str, ...], wanted: str) -> bool:
    return "*" in allowed or wanted in allowed


@dataclass(frozen=True)
class Identity:
    """A user of the token table."""

    name: str
    groups: tuple[str, ...]
    rules: tuple[Rule, ...]

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Whether any rule allows it, in every namespace."""
        return any(rule.allows(verb, group, resource) for rule in self.rules)


@dataclass(frozen=True)
class Attributes:
    """What a request wants, for the authoriser."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        """``pods/log`` for a subresource."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


_LOOK = ("get", "list", "watch")
_JOBS = ("jobs", "pytorchjobs", "trainjobs", "jobsets", "rayjobs")
_JOB_GROUPS = ("batch", "kubeflow.org", "trainer.kubeflow.org", "jobset.x-k8s.io", "ray.io")
_QUEUES = ("workloads", "localqueues", "clusterqueues")
_SERVERS = ("deployments", "inferenceservices", "rollouts")
_SERVER_GROUPS = ("apps", "serving.kserve.io", "argoproj.io")
_SEEN = ("pods", "events", "namespaces", "services", "nodes", "configmaps")
_REVIEWS = Rule(
    ("create",),
    ("authorization.k8s.io", "authentication.k8s.io"),
    ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"),
)


def _reader(verbs: tuple[str, ...]) -> tuple[Rule, ...]:
    return (
        _REVIEWS,
        Rule(verbs, _JOB_GROUPS, _JOBS),
        Rule(verbs, ("kueue.x-k8s.io",), _QUEUES),
        Rule(verbs, _SERVER_GROUPS, _SERVERS),
        Rule(verbs, ("",), _SEEN),
        Rule(("get",), ("",), ("pods/log",)),
    )


ROLES: Mapping[str, tuple[Rule, ...]] = {
    "admin": (Rule(("*",), ("*",), ("*",)),),
    "operator": (
        *_reader(_LOOK),
        Rule(("create", "patch", "delete"), _JOB_GROUPS, _JOBS),
        Rule(("patch",), ("kueue.x-k8s.io",), ("workloads",)),
        Rule(("create", "patch"), ("",), ("events",)),
        Rule(("get", "create"), ("",), ("pods/exec", "pods/portforward")),
        Rule(("get", "create", "update"), ("coordination.k8s.io",), ("leases",)),
    ),
    "viewer": _reader(_LOOK),
    "nowatch": _reader(("get", "list")),
}
"""Role -> rules. Secrets are the administrator's only; nowatch is a viewer that cannot watch."""


class Directory:
    """Tokens and what they stand for."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._identities: dict[str, Identity] = {}
        for role, token in tokens.items():
            groups = ("system:masters", "system:authenticated")
            self._identities[token] = Identity(
                role, groups if role == "admin" else ("system:authenticated",), ROLES[role]
            )

    def identify(self, authorization: str) -> Identity | None:
        """Whoever the Authorization header stands for."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        found: Identity | None = None
        for known, identity in self._identities.items():
            if hmac.compare_digest(known.encode(), token.strip().encode()):
                found = identity
        return found


def check(identity: Identity, wanted: Attributes) -> None:
    """Raises StatusError 403, worded as the API server's authoriser does."""
    if identity.may(wanted.verb, wanted.group, wanted.path):
        return
    full = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    about = f'{full} "{wanted.name}"' if wanted.name else full
    scope = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    text = (
        f'{about} is forbidden: User "{identity.name}" cannot {wanted.verb} resource '
        f'"{wanted.path}" in API group "{wanted.group}" {scope}'
    )
    details: Obj = {"kind": wanted.resource}
    if wanted.name:
        details["name"] = wanted.name
    if wanted.group:
        details["group"] = wanted.group
    raise StatusError(403, "Forbidden", text, details=details)


def access_review(identity: Identity, spec: Obj) -> Obj:
    """The status of a SelfSubjectAccessReview."""
    wanted = spec.get("resourceAttributes")
    if not isinstance(wanted, dict):
        # Non-resource paths: discovery and health are open to whoever is known here.
        return {"allowed": "nonResourceAttributes" in spec}
    path = wanted.get("resource", "")
    if wanted.get("subresource"):
        path = f"{path}/{wanted['subresource']}"
    allowed = identity.may(wanted.get("verb", ""), wanted.get("group", ""), path)
    return {"allowed": allowed}


def rules_review(identity: Identity) -> Obj:
    """The status of a SelfSubjectRulesReview."""

    def listed(rules: Iterable[Rule]) -> list[Obj]:
        return [
            {
                "verbs": list(rule.verbs),
                "apiGroups": list(rule.groups),
                "resources": list(rule.resources),
            }
            for rule in rules
        ]

    return {
        "resourceRules": listed(identity.rules),
        "nonResourceRules": [
            {
                "verbs": ["get"],
                "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/version", "/healthz"],
            }
        ],
        "incomplete": False,
    }
