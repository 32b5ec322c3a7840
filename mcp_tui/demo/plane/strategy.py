"""What each kind does to an object on its way in: defaults, preparation and rules of change."""

from __future__ import annotations

import base64
import binascii
import copy
from typing import Any

from mcp_tui.demo.plane import jobspec, podspec
from mcp_tui.demo.plane.model import (
    CONFIG_MAPS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
    Kind,
    Obj,
)
from mcp_tui.demo.plane.status import (
    Fault,
    bad_request,
    forbidden_value,
    invalid_value,
    required,
)
from mcp_tui.demo.plane.validation import metadata_faults, metadata_update_faults

NOT_READY_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def prepare(kind: Kind, obj: Obj) -> None:
    """Defaults of a new object; its metadata is already filled in.

    Raises:
        StatusError: 400 for what could not even be decoded.
    """
    if kind.status:
        obj.pop("status", None)
    if kind is JOBS:
        jobspec.default_job(obj)
        jobspec.own_pods(obj)
        _check_quantities(kind, obj["spec"]["template"]["spec"])
        obj["metadata"]["generation"] = 1
        obj["status"] = {}
    elif kind is PODS:
        spec = obj.setdefault("spec", {})
        podspec.default_pod_spec(spec)
        podspec.default_pod(obj)
        _check_quantities(kind, spec)
        obj["metadata"]["generation"] = 1
        obj["status"] = {"phase": "Pending", "qosClass": podspec.qos_class(spec)}
    elif kind is NAMESPACES:
        name = obj["metadata"].get("name", "")
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
    elif kind is NODES:
        spec = obj.setdefault("spec", {})
        taints = spec.setdefault("taints", [])
        if not any(taint.get("key") == NOT_READY_TAINT["key"] for taint in taints):
            taints.append(dict(NOT_READY_TAINT))
        obj.setdefault("status", {})
    elif kind is SECRETS:
        _fold_string_data(obj)
        obj.setdefault("type", "Opaque")
    elif kind is SERVICES:
        _default_service(obj)
    elif kind is EVENTS:
        _default_event(obj)
    elif not kind.fixed:
        obj["metadata"]["generation"] = 1


def _check_quantities(kind: Kind, spec: Obj) -> None:
    if podspec.bad_quantities(spec):
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )


def _default_event(event: Obj) -> None:
    for name in ("eventTime", "firstTimestamp", "lastTimestamp"):
        event.setdefault(name, None)
    event.setdefault("source", {})
    for name in ("reportingComponent", "reportingInstance"):
        event.setdefault(name, "")


def _fold_string_data(secret: Obj) -> None:
    for name, text in (secret.pop("stringData", None) or {}).items():
        secret.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
    for text in (secret.get("data") or {}).values():
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise bad_request(
                'Secret in version "v1" cannot be handled as a Secret: illegal base64 data'
            ) from None


def _default_service(service: Obj) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    service["status"] = {"loadBalancer": {}}
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] != "ExternalName":
        # No traffic goes through it here: nothing allocates addresses.
        spec.setdefault("clusterIP", "None")


def create_faults(kind: Kind, obj: Obj) -> list[Fault]:
    """What is wrong with a prepared new object."""
    found = metadata_faults(kind, obj["metadata"])
    if kind is JOBS:
        found += jobspec.job_faults(obj)
    elif kind is PODS:
        found += podspec.pod_spec_faults(obj["spec"], "spec")
    elif kind is EVENTS:
        where = (obj.get("involvedObject") or {}).get("namespace", "")
        # An event of a cluster-wide object lives in "default".
        if where != obj["metadata"].get("namespace") and not (
            not where and obj["metadata"].get("namespace") == "default"
        ):
            why = "does not match event.namespace"
            found.append(invalid_value("involvedObject.namespace", where, why))
    elif kind is SERVICES:
        found += _service_faults(obj)
    elif kind is CONFIG_MAPS or kind is SECRETS:
        found += _data_faults(obj.get("data"), "data")
    return found


def _data_faults(data: Any, field: str) -> list[Fault]:
    if sum(len(name) + len(str(value)) for name, value in (data or {}).items()) > 1048576:
        return [Fault("FieldValueTooLong", field, "Too long: may not be more than 1048576 bytes")]
    return []


def _service_faults(service: Obj) -> list[Fault]:
    spec = service["spec"]
    if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        return [required("spec.ports")]
    return [
        invalid_value(
            f"spec.ports[{index}].port",
            port.get("port", 0),
            "must be between 1 and 65535, inclusive",
        )
        for index, port in enumerate(spec.get("ports") or ())
        if not 1 <= (port.get("port") or 0) <= 65535
    ]


def carry_over(kind: Kind, new: Obj, old: Obj, subresource: str) -> Obj:
    """``new`` with everything back from ``old`` that this endpoint must not change."""
    result = new
    if subresource == "status":
        result = dict(old)
        if "status" in new:
            result["status"] = new["status"]
        else:
            result.pop("status", None)
        if kind.fixed:
            result["metadata"] = new["metadata"]
            if kind is PODS:
                _keep(result["metadata"], old["metadata"], "ownerReferences")
        else:
            result["metadata"] = dict(old["metadata"])
    elif kind.status:
        _keep(result, old, "status")
    metadata = result["metadata"]
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        _keep(metadata, old["metadata"], name)
    for name in ("uid", "creationTimestamp", "name", "namespace", "generateName"):
        if not metadata.get(name):
            _keep(metadata, old["metadata"], name)
    metadata.pop("managedFields", None)
    if kind is JOBS:
        jobspec.default_job(result)
    elif kind is PODS:
        podspec.default_pod_spec(result["spec"])
    elif kind is SECRETS:
        _fold_string_data(result)
    if subresource != "status" and _generation_of(kind, result) != _generation_of(kind, old):
        metadata["generation"] = old["metadata"].get("generation", 0) + 1
    return result


def _keep(target: Obj, source: Obj, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


def _generation_of(kind: Kind, obj: Obj) -> Any:
    """The part of an object whose change is a new generation; None for kinds without one."""
    if kind in (JOBS, PODS):
        return obj.get("spec")
    if not kind.fixed:
        return {name: item for name, item in obj.items() if name not in ("metadata", "status")}
    return None


def update_faults(kind: Kind, new: Obj, old: Obj) -> list[Fault]:
    """What is wrong with a change."""
    found = [
        *metadata_faults(kind, new["metadata"]),
        *metadata_update_faults(new["metadata"], old["metadata"]),
    ]
    if kind is JOBS:
        found += jobspec.job_faults(new) if new["spec"] != old["spec"] else []
        found += jobspec.job_update_faults(new, old)
    elif kind is PODS:
        found += _pod_update_faults(new, old)
    elif kind is SECRETS and new.get("type") != old.get("type"):
        found.append(invalid_value("type", new.get("type"), "field is immutable"))
    elif kind is LEASES:
        holder = (new.get("spec") or {}).get("leaseDurationSeconds")
        if holder is not None and holder <= 0:
            why = "must be greater than 0"
            found.append(invalid_value("spec.leaseDurationSeconds", holder, why))
    if kind in (SECRETS, CONFIG_MAPS) and old.get("immutable"):
        found += [
            forbidden_value(name, "field is immutable when `immutable` is set")
            for name in ("data", "binaryData", "immutable")
            if new.get(name) != old.get(name)
        ]
    return found


_POD_WORDS = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
    "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


def _pod_update_faults(new: Obj, old: Obj) -> list[Fault]:
    if new["spec"] == old["spec"]:
        return []
    before = copy.deepcopy(old["spec"])
    after = copy.deepcopy(new["spec"])
    for spec in (before, after):
        spec.pop("activeDeadlineSeconds", None)
        for _, container in podspec.containers(spec):
            container.pop("image", None)
    kept = before.pop("tolerations", None) or []
    tolerations = after.pop("tolerations", None) or []
    if before != after or any(item not in tolerations for item in kept):
        return [forbidden_value("spec", _POD_WORDS)]
    return podspec.pod_spec_faults(new["spec"], "spec")
