"""What every fresh cluster of the ground is given: roles, custom resources, nodes, a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

NAMESPACE = "ml"
FAKE_NODE = "kwok.x-k8s.io/node"
"""Annotation and taint of kwok's simulated nodes; pods that tolerate the taint land there."""

FAKE_TOLERATION = {"key": FAKE_NODE, "operator": "Exists", "effect": "NoSchedule"}

_READ = ["get", "list", "watch"]
_GROUPS_OF_JOBS = {
    "batch": ["jobs", "cronjobs"],
    "jobset.x-k8s.io": ["jobsets"],
    "kubeflow.org": ["pytorchjobs"],
    "trainer.kubeflow.org": ["trainjobs", "trainingruntimes", "clustertrainingruntimes"],
    "ray.io": ["rayjobs", "rayclusters"],
}
_QUEUES = ["workloads", "localqueues", "clusterqueues"]
_SERVERS = {
    "apps": ["deployments"],
    "serving.kserve.io": ["inferenceservices"],
    "argoproj.io": ["rollouts"],
}
_OBJECTS = ["pods", "events", "namespaces", "services", "nodes", "configmaps"]

IDENTITIES: dict[str, str] = {
    "admin": "system:masters",
    "operator": "mcp-tui:operators",
    "viewer": "mcp-tui:viewers",
    "nowatch": "mcp-tui:nowatch",
}
"""User name -> group. nowatch may get and list what viewer may, but not watch it."""

CERT_USER = "cert-admin"


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Manifest:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _reading(verbs: list[str]) -> list[Manifest]:
    groups = {**_GROUPS_OF_JOBS, **_SERVERS}
    rules = [_rule([group], names, verbs) for group, names in groups.items()]
    rules.append(_rule(["kueue.x-k8s.io"], _QUEUES, verbs))
    rules.append(_rule([""], _OBJECTS, verbs))
    rules.append(_rule([""], ["pods/log"], ["get"]))
    return rules


def _writing() -> list[Manifest]:
    change = ["create", "patch", "delete"]
    rules = [_rule([group], names, change) for group, names in _GROUPS_OF_JOBS.items()]
    rules.append(_rule(["kueue.x-k8s.io"], ["workloads"], ["patch"]))
    rules.append(_rule([""], ["events"], ["create", "patch"]))
    rules.append(_rule([""], ["pods/exec", "pods/portforward"], ["get", "create"]))
    # By which consoles that promote keep each other out.
    rules.append(_rule(["coordination.k8s.io"], ["leases"], ["get", "create", "update"]))
    return rules


def rbac() -> Iterator[Manifest]:
    """Cluster roles and bindings of :data:`IDENTITIES` (admin needs none)."""
    roles = {
        "mcp-tui:viewers": _reading(_READ),
        "mcp-tui:nowatch": _reading(["get", "list"]),
        "mcp-tui:operators": _reading(_READ) + _writing(),
    }
    for name, rules in roles.items():
        yield {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": rules,
        }
        yield {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": name,
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}],
        }


def namespace(name: str) -> Manifest:
    """A namespace, marked as the ground's."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"mcp-tui.test/ground": "true"}},
    }


def about(tier: str) -> Manifest:
    """A ConfigMap that says which cluster this is."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "about", "namespace": NAMESPACE},
        "data": {"tier": tier, "purpose": "a control plane of the tests of mcp-tui"},
    }


def fake_node(name: str, *, cpu: str = "64", memory: str = "512Gi", gpus: int = 8) -> Manifest:
    """A node that kwok simulates: ordinary pods stay away, those that tolerate its taint land."""
    capacity = {"cpu": cpu, "memory": memory, "pods": "500", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {FAKE_NODE: "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "type": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/role": "agent",
            },
        },
        "spec": {"taints": [{"key": FAKE_NODE, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": capacity, "capacity": capacity},
    }


def read_manifests(directory: Path, pattern: str = "*.yaml") -> Iterator[Manifest]:
    """Every object in the matching YAML files of a directory, in order of file name."""
    for file in sorted(directory.glob(pattern)):
        yield from (found for found in yaml.safe_load_all(file.read_text()) if found)
