"""Rules for names, labels and metadata, after k8s.io/apimachinery ``util/validation``."""

from __future__ import annotations

import re
from typing import Any

from mcp_tui.demo.plane.model import Kind, Obj
from mcp_tui.demo.plane.status import Fault, forbidden_value, invalid_value, required

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    f"for validation is '{_LABEL}')"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '"
    + r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    + "')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    f"or '12345', regex used for validation is '{_VALUE}')"
)
_NAME_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    f"validation is '{_NAME}')"
)


def dns_label_faults(text: str) -> list[str]:
    """Why ``text`` is not a DNS label."""
    faults = [] if len(text) <= 63 else ["must be no more than 63 bytes"]
    return faults if re.fullmatch(_LABEL, text) else [*faults, _LABEL_WORDS]


def dns_subdomain_faults(text: str) -> list[str]:
    """Why ``text`` is not a DNS subdomain."""
    faults = [] if len(text) <= 253 else ["must be no more than 253 bytes"]
    return faults if re.fullmatch(_SUBDOMAIN, text) else [*faults, _SUBDOMAIN_WORDS]


def label_value_faults(text: str) -> list[str]:
    """Why ``text`` is not a label value."""
    faults = [] if len(text) <= 63 else ["must be no more than 63 bytes"]
    return faults if re.fullmatch(_VALUE, text) else [*faults, _VALUE_WORDS]


def label_key_faults(text: str) -> list[str]:
    """Why ``text`` is not a qualified name (a label or annotation key)."""
    prefix, slash, name = text.rpartition("/")
    faults: list[str] = []
    if slash:
        if not prefix:
            faults.append("prefix part must be non-empty")
        faults += [f"prefix part {fault}" for fault in dns_subdomain_faults(prefix) if prefix]
    if not name:
        return [*faults, "name part must be non-empty"]
    if len(name) > 63:
        faults.append("name part must be no more than 63 bytes")
    return faults if re.fullmatch(_NAME, name) else [*faults, _NAME_WORDS]


def label_faults(labels: Any, field: str) -> list[Fault]:
    """Faults of a map of labels."""
    found: list[Fault] = []
    for key, value in sorted((labels or {}).items()):
        found += [invalid_value(field, key, why) for why in label_key_faults(key)]
        found += [invalid_value(field, value, why) for why in label_value_faults(value)]
    return found


def name_faults(kind: Kind, name: str) -> list[str]:
    """Why ``name`` cannot name an object of that kind."""
    if kind.plural in ("namespaces", "services"):
        return dns_label_faults(name)
    return dns_subdomain_faults(name)


def metadata_faults(kind: Kind, metadata: Obj, field: str = "metadata") -> list[Fault]:
    """Faults of an object's metadata, its name included."""
    found: list[Fault] = []
    name = metadata.get("name", "")
    if not name:
        found.append(required(f"{field}.name", "name or generateName is required"))
    else:
        found += [invalid_value(f"{field}.name", name, why) for why in name_faults(kind, name)]
    found += label_faults(metadata.get("labels"), f"{field}.labels")
    found += annotation_faults(metadata.get("annotations"), f"{field}.annotations")
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        where = f"{field}.ownerReferences[{index}]"
        found += [
            invalid_value(f"{where}.{part}", owner.get(part) or "", "must not be empty")
            for part in ("apiVersion", "kind", "name", "uid")
            if not owner.get(part)
        ]
    return found


def annotation_faults(annotations: Any, field: str) -> list[Fault]:
    """Faults of a map of annotations: keys like labels', 256 KiB together."""
    found: list[Fault] = []
    size = 0
    for key, value in sorted((annotations or {}).items()):
        found += [invalid_value(field, key, why) for why in label_key_faults(key.lower())]
        size += len(key) + len(value.encode())
    if size > 262144:
        found.append(
            Fault("FieldValueTooLong", field, "Too long: may not be more than 262144 bytes")
        )
    return found


_FIXED = ("name", "namespace", "uid", "creationTimestamp")


def metadata_update_faults(new: Obj, old: Obj) -> list[Fault]:
    """Changes of metadata that no update may make."""
    found = [
        invalid_value(f"metadata.{part}", new.get(part), "field is immutable")
        for part in _FIXED
        if new.get(part) != old.get(part)
    ]
    if old.get("deletionTimestamp"):
        added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            found.append(
                forbidden_value(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers []string{{{', '.join(_quoted(added))}}}",
                )
            )
    return found


def _quoted(names: list[str]) -> list[str]:
    return [f'"{name}"' for name in names]
