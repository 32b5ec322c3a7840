"""What is served: versions, groups, resources, and the little of OpenAPI that kubectl asks for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence

from mcp_tui.demo.plane.model import Kind, Obj

GIT_VERSION = "v1.36.3"
"""The version whose behaviour is copied."""

REVIEWS: dict[tuple[str, str], str] = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authentication.k8s.io", "selfsubjectreviews"): "SelfSubjectReview",
}
"""(group, resource) -> kind of what can only be created, and is never stored."""


def version() -> Obj:
    """The answer of /version."""
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": f"{GIT_VERSION}+mcp-tui-embedded",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": sys.implementation.name,
        "platform": f"{platform.system()}/{platform.machine()}".lower(),
    }


_OPTIONS = {"exec": "PodExecOptions", "portforward": "PodPortForwardOptions"}


class Discovery:
    """The documents made from the served kinds."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_version: dict[tuple[str, str], list[Kind]] = {}
        for kind in kinds:
            self._by_version.setdefault((kind.group, kind.version), []).append(kind)
        for group, _ in REVIEWS:
            self._by_version.setdefault((group, "v1"), [])

    def kinds(self, group: str, version_: str) -> Sequence[Kind] | None:
        """The kinds of a group and version; None when it is not served."""
        return self._by_version.get((group, version_))

    def versions(self) -> list[str]:
        """The core group's versions."""
        return [version_ for group, version_ in self._by_version if not group]

    def group(self, name: str) -> Obj | None:
        """An APIGroup, or None."""
        found = [version_ for group, version_ in self._by_version if group == name]
        if not found or not name:
            return None
        versions = [{"groupVersion": f"{name}/{item}", "version": item} for item in found]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def groups(self) -> list[Obj]:
        """Every APIGroup but the core one."""
        names = dict.fromkeys(group for group, _ in self._by_version if group)
        return [found for found in map(self.group, names) if found is not None]

    def resources(self, group: str, version_: str) -> Obj | None:
        """An APIResourceList, or None."""
        kinds = self.kinds(group, version_)
        if kinds is None:
            return None
        listed: list[Obj] = []
        for kind in kinds:
            listed.append(_resource(kind))
            for name, verbs in kind.subresources.items():
                listed.append(
                    {
                        "name": f"{kind.plural}/{name}",
                        "singularName": "",
                        "namespaced": kind.namespaced,
                        "kind": _OPTIONS.get(name, kind.kind),
                        "verbs": list(verbs),
                    }
                )
        listed += [
            {
                "name": resource,
                "singularName": kind_name.lower(),
                "namespaced": False,
                "kind": kind_name,
                "verbs": ["create"],
            }
            for (owner, resource), kind_name in REVIEWS.items()
            if owner == group
        ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version_}" if group else version_,
            "resources": listed,
        }

    def aggregated(self, core: bool, api_version: str) -> Obj:
        """An APIGroupDiscoveryList for /api or /apis."""
        names = dict.fromkeys(group for group, _ in self._by_version if bool(group) is not core)
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": api_version,
            "metadata": {},
            "items": [
                {
                    "metadata": {"name": name} if name else {},
                    "versions": [
                        self._aggregated_version(group, version_)
                        for group, version_ in self._by_version
                        if group == name
                    ],
                }
                for name in names
            ],
        }

    def _aggregated_version(self, group: str, version_: str) -> Obj:
        listed: list[Obj] = []
        subresources: dict[str, list[Obj]] = {}
        for item in (self.resources(group, version_) or {})["resources"]:
            # Empty: the same group and version as around it.
            about = {"group": "", "version": "", "kind": item["kind"]}
            name, slash, sub = item["name"].partition("/")
            if slash:
                found = {"subresource": sub, "responseKind": about, "verbs": item["verbs"]}
                subresources.setdefault(name, []).append(found)
                continue
            found = {
                "resource": name,
                "responseKind": about,
                "scope": "Namespaced" if item["namespaced"] else "Cluster",
                "singularResource": item["singularName"],
                "verbs": item["verbs"],
            }
            found |= {key: item[key] for key in ("shortNames", "categories") if key in item}
            listed.append(found)
        for found in listed:
            if found["resource"] in subresources:
                found["subresources"] = subresources[found["resource"]]
        return {"version": version_, "resources": listed, "freshness": "Current"}

    # --- OpenAPI: only whether the server checks unknown fields itself, which kubectl asks

    def openapi_index(self) -> Obj:
        """The answer of /openapi/v3."""
        paths = [
            f"apis/{group}/{version_}" if group else f"api/{version_}"
            for group, version_ in self._by_version
        ]
        return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}

    def openapi(self, path: str) -> Obj | None:
        """The document of one group and version: each kind's patch takes fieldValidation."""
        group, version_ = _group_version(path)
        kinds = self.kinds(group, version_)
        if kinds is None:
            return None
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": GIT_VERSION},
            "paths": {
                f"/{path}/{kind.plural}/{{name}}": {
                    "patch": {
                        "parameters": [{"name": "fieldValidation", "in": "query"}],
                        "responses": {},
                        "x-kubernetes-group-version-kind": {
                            "group": kind.group,
                            "kind": kind.kind,
                            "version": kind.version,
                        },
                    }
                }
                for kind in kinds
            },
        }

    def openapi_protobuf(self, path: str) -> bytes | None:
        """:meth:`openapi` in gnostic's protobuf encoding, the only one kubectl reads."""
        document = self.openapi(path)
        if document is None:
            return None
        info = _text(1, "Kubernetes") + _text(3, GIT_VERSION)
        paths = b""
        for url, item in document["paths"].items():
            about = item["patch"]["x-kubernetes-group-version-kind"]
            yaml = "".join(f'{key}: "{value}"\n' for key, value in about.items())
            extension = _text(1, "x-kubernetes-group-version-kind") + _field(2, _text(2, yaml))
            parameter = _field(1, _text(1, "fieldValidation") + _text(2, "query"))
            operation = _field(6, parameter) + _field(13, extension)
            paths += _field(2, _text(1, url) + _field(2, _field(10, operation)))
        return _text(1, "3.0.0") + _field(2, info) + _field(4, paths)


def _group_version(path: str) -> tuple[str, str]:
    parts = path.split("/")
    if len(parts) == 2 and parts[0] == "api":
        return "", parts[1]
    if len(parts) == 3 and parts[0] == "apis":
        return parts[1], parts[2]
    return "", ""


def _resource(kind: Kind) -> Obj:
    found: Obj = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        found["shortNames"] = list(kind.short_names)
    if kind.categories:
        found["categories"] = list(kind.categories)
    return found


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())
