"""Defaults and validation of pods and pod templates, as far as training jobs use them.

After k8s.io/kubernetes ``pkg/apis/core/v1/defaults.go`` and ``validation.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mcp_tui.demo.plane.model import Obj
from mcp_tui.demo.plane.quantity import parse_quantity
from mcp_tui.demo.plane.status import (
    Fault,
    duplicate,
    invalid_value,
    required,
    unknown_value,
    unsupported,
)
from mcp_tui.demo.plane.validation import (
    annotation_faults,
    dns_label_faults,
    label_faults,
    label_key_faults,
    label_value_faults,
)


def default_pod_spec(spec: Obj) -> None:
    """Sets what the API server sets in every pod spec, a template's included."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for _, container in containers(spec):
        _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Obj) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    image = container.get("image", "")
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    latest = tag == "latest" or (not tag and "@" not in image)
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
        resource = (variable.get("valueFrom") or {}).get("resourceFieldRef")
        if resource is not None:
            resource.setdefault("divisor", "0")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe) is not None:
            for name, value in _PROBE.items():
                container[probe].setdefault(name, value)


_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def _default_volume(volume: Obj) -> None:
    if not any(name != "name" for name in volume):
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(name) is not None:
            volume[name].setdefault("defaultMode", 420)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")


def default_pod(pod: Obj) -> None:
    """What is set in pods only: requests from limits, links to services, tolerations."""
    spec = pod["spec"]
    spec.setdefault("enableServiceLinks", True)
    for _, container in containers(spec):
        resources = container["resources"]
        limits = resources.get("limits") or {}
        if limits:
            requests = resources.setdefault("requests", {})
            for name, amount in limits.items():
                requests.setdefault(name, amount)
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for taint in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(item.get("key") in (taint, None, "") for item in tolerations):
            tolerations.append(
                {
                    "key": taint,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
            )


def containers(spec: Obj) -> Iterator[tuple[str, Obj]]:
    """Every container with its field path within the spec, init containers first."""
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            yield f"{part}[{index}]", container


def qos_class(spec: Obj) -> str:
    """Guaranteed, Burstable or BestEffort (kubernetes ``qos.go``)."""
    any_set = False
    guaranteed = True
    for _, container in containers(spec):
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in ("cpu", "memory"):
            if name in requests or name in limits:
                any_set = True
            if name not in limits or parse_quantity(
                requests.get(name, limits[name])
            ) != parse_quantity(limits[name]):
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def pod_spec_faults(spec: Obj, field: str) -> list[Fault]:
    """Faults of a defaulted pod spec."""
    found: list[Fault] = []
    volumes = [volume.get("name", "") for volume in spec.get("volumes") or ()]
    for index, name in enumerate(volumes):
        where = f"{field}.volumes[{index}].name"
        found += [required(where)] if not name else []
        found += [invalid_value(where, name, why) for why in dns_label_faults(name) if name]
        if name in volumes[:index]:
            found.append(duplicate(where, name))
    if not spec.get("containers"):
        found.append(required(f"{field}.containers"))
    names: list[str] = []
    for path, container in containers(spec):
        found += _container_faults(container, f"{field}.{path}", volumes)
        name = container.get("name", "")
        if name and name in names:
            found.append(duplicate(f"{field}.{path}.name", name))
        names.append(name)
    if spec["restartPolicy"] not in ("Always", "OnFailure", "Never"):
        found.append(
            unsupported(
                f"{field}.restartPolicy", spec["restartPolicy"], ("Always", "OnFailure", "Never")
            )
        )
    if spec["dnsPolicy"] not in _DNS:
        found.append(unsupported(f"{field}.dnsPolicy", spec["dnsPolicy"], _DNS))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        why = "must be between 1 and 2147483647, inclusive"
        found.append(invalid_value(f"{field}.activeDeadlineSeconds", deadline, why))
    found += label_faults(spec.get("nodeSelector"), f"{field}.nodeSelector")
    return found


_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_PULL = ("Always", "IfNotPresent", "Never")


def _container_faults(container: Obj, field: str, volumes: list[str]) -> list[Fault]:
    found: list[Fault] = []
    name = container.get("name", "")
    if not name:
        found.append(required(f"{field}.name"))
    else:
        found += [invalid_value(f"{field}.name", name, why) for why in dns_label_faults(name)]
    image = container.get("image", "")
    if not image:
        found.append(required(f"{field}.image"))
    elif image != image.strip():
        why = "must not have leading or trailing whitespace"
        found.append(invalid_value(f"{field}.image", image, why))
    if container["imagePullPolicy"] not in _PULL:
        found.append(unsupported(f"{field}.imagePullPolicy", container["imagePullPolicy"], _PULL))
    found += _env_faults(container.get("env") or (), f"{field}.env")
    paths: list[str] = []
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{field}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            found.append(unknown_value(f"{where}.name", mount.get("name", "")))
        path = mount.get("mountPath", "")
        if not path:
            found.append(required(f"{where}.mountPath"))
        if path in paths:
            found.append(invalid_value(f"{where}.mountPath", path, "must be unique"))
        paths.append(path)
    return found + _resource_faults(container["resources"], f"{field}.resources")


def _env_faults(variables: Any, field: str) -> list[Fault]:
    found: list[Fault] = []
    for index, variable in enumerate(variables):
        name = variable.get("name", "")
        where = f"{field}[{index}]"
        if not name:
            found.append(required(f"{where}.name"))
        elif not re.fullmatch(r"[ -<>-~]+", name):
            why = (
                "a valid environment variable name must consist only of printable ASCII "
                "characters other than '='"
            )
            found.append(invalid_value(f"{where}.name", name, why))
        source = variable.get("valueFrom")
        if source is None:
            continue
        if variable.get("value"):
            why = "may not be specified when `value` is not empty"
            found.append(invalid_value(f"{where}.valueFrom", "", why))
        if len(source) != 1:
            why = (
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                "`secretKeyRef`"
            )
            found.append(invalid_value(f"{where}.valueFrom", "", why))
    return found


def _resource_faults(resources: Obj, field: str) -> list[Fault]:
    found: list[Fault] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in sorted(amounts.items()):
            where = f"{field}.{part}[{name}]"
            found += [invalid_value(where, name, why) for why in label_key_faults(name)]
            parsed = parse_quantity(amount)
            if parsed is None:
                found.append(invalid_value(where, amount, _QUANTITY))
            elif parsed < 0:
                found.append(invalid_value(where, amount, "must be greater than or equal to 0"))
    for name, amount in sorted(requests.items()):
        limit = parse_quantity(limits.get(name, "")) if name in limits else None
        asked = parse_quantity(amount)
        if limit is None or asked is None:
            continue
        if asked > limit:
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            found.append(invalid_value(f"{field}.requests", amount, why))
        elif asked != limit and "/" in name:
            why = f"must be equal to {name} limit of {limits[name]}"
            found.append(invalid_value(f"{field}.requests", amount, why))
    return found


_QUANTITY = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def bad_quantities(spec: Obj) -> list[str]:
    """Amounts that cannot be decoded at all, which is a 400 rather than a 422."""
    return [
        str(amount)
        for _, container in containers(spec)
        for part in ("limits", "requests")
        for amount in ((container.get("resources") or {}).get(part) or {}).values()
        if parse_quantity(amount) is None
    ]


def template_faults(template: Obj, field: str) -> list[Fault]:
    """Faults of a pod template's metadata and spec."""
    metadata = template.get("metadata") or {}
    return [
        *label_faults(metadata.get("labels"), f"{field}.labels"),
        *annotation_faults(metadata.get("annotations"), f"{field}.annotations"),
        *pod_spec_faults(template["spec"], f"{field}.spec"),
    ]


__all__ = [
    "bad_quantities",
    "containers",
    "default_pod",
    "default_pod_spec",
    "label_value_faults",
    "pod_spec_faults",
    "qos_class",
    "template_faults",
]
