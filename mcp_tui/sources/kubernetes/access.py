"""Who we are to a server and what we may do: the self-subject reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from mcp_tui.sources.kubernetes.transport import KubeClient

_AUTHORIZATION = "/apis/authorization.k8s.io/v1"
_AUTHENTICATION = "/apis/authentication.k8s.io/v1"


class WhoAmI(msgspec.Struct, frozen=True):
    """The identity that the server sees."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()


class Allowed(msgspec.Struct, frozen=True):
    """An answer to "may I": ``reason`` is the server's, and may be empty."""

    allowed: bool = False
    denied: bool = False
    reason: str = ""
    evaluationError: str = ""  # noqa: N815 - the API's name

    def __bool__(self) -> bool:
        return self.allowed


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """Verbs that are allowed on resources."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class Rules(msgspec.Struct, frozen=True, rename="camel"):
    """What is allowed in one namespace; ``incomplete`` when the server cannot list all of it."""

    resource_rules: tuple[Rule, ...] = ()
    incomplete: bool = False

    def allow(self, verb: str, group: str, resource: str) -> bool:
        """Whether some rule without resource names allows ``verb`` on all such objects."""
        return any(
            not rule.resource_names
            and _in(verb, rule.verbs)
            and _in(group, rule.api_groups)
            and _in(resource, rule.resources)
            for rule in self.resource_rules
        )


class ServerVersion(msgspec.Struct, frozen=True, rename="camel"):
    """``/version``."""

    major: str = ""
    minor: str = ""
    git_version: str = ""
    platform: str = ""


class _UserStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: WhoAmI = WhoAmI()


class _Review(msgspec.Struct, frozen=True):
    status: _UserStatus = _UserStatus()


class _AccessReview(msgspec.Struct, frozen=True):
    status: Allowed = Allowed()


class _RulesReview(msgspec.Struct, frozen=True):
    status: Rules = Rules()


def _in(wanted: str, known: tuple[str, ...]) -> bool:
    return "*" in known or wanted in known


async def whoami(client: KubeClient, *, deadline: float = 10.0) -> WhoAmI:
    """Who the server takes us for; served since Kubernetes 1.28. Errors as ``request``."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = f"{_AUTHENTICATION}/selfsubjectreviews"
    return (await client.send("POST", path, body, _Review, deadline=deadline)).status.user_info


async def can_i(
    client: KubeClient,
    verb: str,
    group: str,
    resource: str,
    namespace: str,
    name: str,
    subresource: str,
    *,
    deadline: float = 10.0,
) -> Allowed:
    """Ask whether one thing is allowed; errors as ``request``."""
    attributes: dict[str, Any] = {"verb": verb, "group": group, "resource": resource}
    attributes |= {
        key: value
        for key, value in (("namespace", namespace), ("name", name), ("subresource", subresource))
        if value
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = f"{_AUTHORIZATION}/selfsubjectaccessreviews"
    return (await client.send("POST", path, body, _AccessReview, deadline=deadline)).status


async def rules(client: KubeClient, namespace: str, *, deadline: float = 10.0) -> Rules:
    """Ask for all rules of one namespace; errors as ``request``."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace or "default"},
    }
    path = f"{_AUTHORIZATION}/selfsubjectrulesreviews"
    return (await client.send("POST", path, body, _RulesReview, deadline=deadline)).status
