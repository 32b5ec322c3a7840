"""The verbs that change objects: reading their bodies and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_tui.demo.plane.http import Answer, BodyError, Request, json_answer
from mcp_tui.demo.plane.model import EVENTS, JOBS, LEASES, PODS, Kind, Obj, decode, encode
from mcp_tui.demo.plane.patch import json_patch, merge_patch
from mcp_tui.demo.plane.registry import DeleteOptions, Registry
from mcp_tui.demo.plane.schema import conform, unreadable
from mcp_tui.demo.plane.status import (
    StatusError,
    bad_request,
    invalid,
    invalid_value,
    unsupported,
    unsupported_media,
)

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

_MODES = ("Ignore", "Warn", "Strict")
_POLICIES = ("Foreground", "Background", "Orphan")
_KEEPS_PODS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)

Made = tuple[Obj, int, list[str]]


def check_dry_run(query: Mapping[str, str], verb: str) -> bool:
    """Whether nothing is to be stored. Raises StatusError 422 for anything but All."""
    wanted = query.get("dryRun", "")
    if wanted in ("", "All"):
        return wanted == "All"
    fault = unsupported("dryRun", [wanted], ("All",))
    raise invalid(f"{verb.title()}Options.meta.k8s.io", "", [fault])


def _mode(query: Mapping[str, str], verb: str) -> str:
    mode = query.get("fieldValidation") or "Warn"
    if mode not in _MODES:
        fault = unsupported("fieldValidation", mode, ("", "Ignore", "Strict", "Warn"))
        raise invalid(f"{verb.title()}Options.meta.k8s.io", "", [fault])
    return mode


class Writer:
    """Create, update, patch and delete of requests."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def create(
        self, request: Request, kind: Kind, namespace: str, _name: str, *, dry_run: bool
    ) -> Made:
        """POST. Raises StatusError."""
        mode = _mode(request.query, "create")
        obj, warnings = await _read(request, kind, mode)
        made = self.registry.create(kind, namespace, obj, dry_run=dry_run)
        return made, 201, warnings

    async def update(
        self,
        request: Request,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        subresource: str,
        dry_run: bool,
    ) -> Made:
        """PUT. Raises StatusError."""
        mode = _mode(request.query, "update")
        obj, warnings = await _read(request, kind, mode)
        missing = self.registry.store.get(kind, namespace, name) is None
        if missing and kind in (EVENTS, LEASES) and not subresource:
            if obj["metadata"].setdefault("name", name) != name:
                raise bad_request(
                    f"the name of the object ({obj['metadata']['name']}) does not match the name "
                    f"on the URL ({name})"
                )
            return self.registry.create(kind, namespace, obj, dry_run=dry_run), 201, warnings
        if not obj["metadata"].get("name"):
            raise bad_request(
                f"the name of the object ({name} based on URL) was undeterminable: name must be "
                "provided"
            )
        made = self.registry.update(
            kind,
            namespace,
            name,
            lambda _old: obj,
            subresource=subresource,
            dry_run=dry_run,
            check_version=True,
        )
        return made, 200, warnings

    async def patch(
        self,
        request: Request,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        subresource: str,
        dry_run: bool,
    ) -> Made:
        """PATCH: JSON Patch or merge patch. Raises StatusError; 415 for other patches."""
        mode = _mode(request.query, "patch")
        form = request.content_type
        if form not in (JSON_PATCH, MERGE_PATCH):
            raise unsupported_media((JSON_PATCH, MERGE_PATCH))
        raw = await request.body()
        try:
            patch: Any = decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise bad_request(f"error decoding patch: {error}") from None
        warnings: list[str] = []

        def change(old: Obj) -> Obj:
            if form == JSON_PATCH:
                wanted = json_patch(old, patch)
            else:
                if not isinstance(patch, dict):
                    raise bad_request("error decoding patch: a merge patch is a JSON object")
                wanted = merge_patch(old, patch)
            obj, found = conform(kind, wanted, mode="Warn" if mode == "Strict" else mode)
            if found and mode == "Strict":
                why = f"strict decoding error: {', '.join(found)}"
                raise invalid("", "", [invalid_value("patch", encode(patch).decode(), why)])
            warnings.extend(found)
            return obj

        made = self.registry.update(
            kind, namespace, name, change, subresource=subresource, dry_run=dry_run
        )
        return made, 200, warnings

    async def delete(
        self, request: Request, kind: Kind, namespace: str, name: str, *, dry_run: bool
    ) -> Answer:
        """DELETE. Raises StatusError."""
        options = await _delete_options(request, dry_run)
        warnings = [_KEEPS_PODS] if kind is JOBS and not options.propagation else None
        try:
            obj, gone = self.registry.delete(kind, namespace, name, options)
        except StatusError as error:
            error.warnings = warnings
            raise
        if not gone or kind is PODS:
            return json_answer(obj, warnings=warnings)
        details: Obj = {"name": name}
        if kind.group:
            details["group"] = kind.group
        details |= {"kind": kind.plural, "uid": obj["metadata"]["uid"]}
        return json_answer(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": details,
            },
            warnings=warnings,
        )


async def _read(request: Request, kind: Kind, mode: str) -> tuple[Obj, list[str]]:
    try:
        return conform(kind, await request.decoded(), mode=mode)
    except BodyError as error:
        raise unreadable(kind, str(error)) from None


async def _delete_options(request: Request, dry_run: bool) -> DeleteOptions:
    raw = await request.body()
    body: Any = {}
    if raw:
        if request.content_type not in ("", "application/json"):
            raise unsupported_media(("application/json",))
        try:
            body = decode(raw)
        except msgspec.DecodeError as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
        if not isinstance(body, dict) or body.get("kind", "DeleteOptions") != "DeleteOptions":
            raise bad_request("the object provided is unrecognized (must be of type DeleteOptions)")
    # The API server reads its options from the body or, where there is none, from the query: a
    # dry run that only the query asks for deletes when there is a body.
    query: Mapping[str, str] = {} if raw else request.query
    policy = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    orphan = body.get("orphanDependents")
    if orphan is None and "orphanDependents" in query:
        orphan = query["orphanDependents"].lower() == "true"
    if orphan is not None:
        if policy:
            why = "orphanDependents and deletionPropagation cannot be both set"
            fault = invalid_value("propagationPolicy", policy, why)
            raise invalid("DeleteOptions.meta.k8s.io", "", [fault])
        policy = "Orphan" if orphan else "Background"
    if policy and policy not in _POLICIES:
        fault = unsupported("propagationPolicy", policy, (*_POLICIES, "nil"))
        raise invalid("DeleteOptions.meta.k8s.io", "", [fault])
    wanted = body.get("dryRun") or []
    if wanted not in ([], ["All"]):
        fault = unsupported("dryRun", wanted, ("All",))
        raise invalid("DeleteOptions.meta.k8s.io", "", [fault])
    grace = body.get("gracePeriodSeconds")
    if grace is None and "gracePeriodSeconds" in query:
        grace = _whole(query["gracePeriodSeconds"])
    if grace is not None and not isinstance(grace, int):
        raise bad_request("gracePeriodSeconds is not an integer")
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        propagation=str(policy),
        grace=grace,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
        dry_run=bool(wanted) if raw else dry_run,
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
