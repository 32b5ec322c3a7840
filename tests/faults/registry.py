"""A model registry small enough to be asked ten thousand times over: models, versions, aliases."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, Any]
_NAMED = re.compile(r"name = '([^']*)'")


def _error(code: int, reason: str) -> Answer:
    return code, {"error_code": reason, "message": reason}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


@dataclass
class Registry:
    """By model: its aliases, and its versions with their tags. MLflow's manners, as measured."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    pointed: list[tuple[str, str, str, bool]] = field(default_factory=list)
    """Model, alias, where it points from now on, and whether it was asked for over the wire."""

    def make(self, name: str, versions: int) -> None:
        """A model with so many versions."""
        self.models.setdefault(name, {"aliases": {}, "versions": {}})
        for _ in range(versions):
            self.add(name, f"s3://models/{name}/{len(self.models[name]['versions']) + 1}")

    def add(self, name: str, source: str, **more: Any) -> str:
        """One more version; its number."""
        there = self.models[name]["versions"]
        number = str(max((int(v) for v in there), default=0) + 1)
        there[number] = {"source": source, "run_id": "", "tags": {}, **more}
        return number

    def point(self, name: str, alias: str, version: str, *, wire: bool = False) -> None:
        """Move an alias, or take it away."""
        aliases = self.models[name]["aliases"]
        if version:
            aliases[alias] = version
        else:
            aliases.pop(alias, None)
        self.pointed.append((name, alias, version, wire))

    def handle(self, method: str, what: str, ask: Mapping[str, Any]) -> Answer:
        """Answer a call."""
        name = str(ask.get("name") or "")
        if what == "model-versions/search":
            wanted = _NAMED.search(str(ask.get("filter", "")))
            of = wanted[1] if wanted else ""
            found = self.models.get(of, {"versions": {}})["versions"]
            return 200, {"model_versions": [_version(of, v, it) for v, it in found.items()]}
        if what == "registered-models/create":
            if name in self.models:
                return _error(400, "RESOURCE_ALREADY_EXISTS")
            self.make(name, 0)
            return 200, {"registered_model": {"name": name}}
        model = self.models.get(name)
        if model is None:
            return _error(404, "RESOURCE_DOES_NOT_EXIST")
        if what == "registered-models/get":
            aliases = [{"alias": a, "version": v} for a, v in model["aliases"].items()]
            return 200, {"registered_model": {"name": name, "aliases": aliases}}
        if what == "model-versions/create":
            tags = {t["key"]: t["value"] for t in ask.get("tags") or ()}
            number = self.add(name, str(ask["source"]), tags=tags)
            return 200, {"model_version": _version(name, number, model["versions"][number])}
        version = str(ask.get("version", ""))
        if what == "registered-models/alias" and method == "DELETE":
            self.point(name, str(ask["alias"]), "", wire=True)
            return 200, {}
        if version not in model["versions"]:
            return _error(404, "RESOURCE_DOES_NOT_EXIST")
        if what == "registered-models/alias":
            self.point(name, str(ask["alias"]), version, wire=True)
            return 200, {}
        if what == "model-versions/set-tag":
            model["versions"][version]["tags"][ask["key"]] = ask["value"]
            return 200, {}
        return _error(404, "ENDPOINT_NOT_FOUND")


def _version(name: str, number: str, it: Mapping[str, Any]) -> dict[str, Any]:
    found = {"name": name, "version": number, "status": "READY", **copy.deepcopy(dict(it))}
    return {**found, "tags": _pairs(it["tags"])}
