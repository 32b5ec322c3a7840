"""The structures of the served kinds, from a real API server's own OpenAPI documents.

``python -m tests.contract.fields KUBECTL_PROXY_URL`` (as of ``kubectl proxy``) writes the file
that the embedded plane decodes by.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx

FILE = Path(__file__).parents[2] / "mcp_tui" / "demo" / "data" / "fields.json"

_PATHS = ("api/v1", "apis/batch/v1", "apis/coordination.k8s.io/v1")
_ROOTS = (*("Job", "Pod", "Event", "Secret", "ConfigMap", "Service", "Node", "Namespace", "Lease"),)
_NAMED = {"Time": "s", "MicroTime": "s", "Quantity": "q", "IntOrString": "q", "FieldsV1": "*"}
_SCALARS = {"string": "s", "integer": "i", "boolean": "b", "number": "n"}


def fields(client: httpx.Client) -> dict[str, dict[str, str]]:
    """Structure -> field -> type, in the notation of ``mcp_tui.demo.plane.schema``."""
    schemas: dict[str, Any] = {}
    for path in _PATHS:
        document = client.get(f"/openapi/v3/{path}").raise_for_status().json()
        for name, schema in document["components"]["schemas"].items():
            schemas[name.rpartition(".")[2]] = schema
    found: dict[str, dict[str, str]] = {}

    def type_of(schema: dict[str, Any]) -> str:
        if len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        if "$ref" in schema:
            name = schema["$ref"].rpartition(".")[2]
            if name in _NAMED:
                return _NAMED[name]
            walk(name)
            return str(name)
        if schema.get("type") == "array":
            return "[" + type_of(schema["items"])
        if schema.get("type") == "object" and "additionalProperties" in schema:
            return "{" + type_of(schema["additionalProperties"])
        return _SCALARS.get(schema.get("type", ""), "*")

    def walk(name: str) -> None:
        if name in found:
            return
        found[name] = {}
        for field, schema in schemas[name].get("properties", {}).items():
            found[name][field] = type_of(schema)

    for root in _ROOTS:
        walk(root)
    return found


def text(found: dict[str, dict[str, str]]) -> str:
    """The file's content."""
    return json.dumps(found, indent=0, sort_keys=True) + "\n"


if __name__ == "__main__":
    with httpx.Client(base_url=sys.argv[1], trust_env=False) as client:
        FILE.write_text(text(fields(client)))
