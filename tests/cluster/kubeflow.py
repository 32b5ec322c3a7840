"""The real controllers of JobSet, TrainJob and PyTorchJob, with their own admission webhooks.

They run beside the control plane, so their webhooks are reached by URL instead of by Service.
Kueue and Ray have no controller here: tests write the statuses of their objects.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.cluster import objects
from tests.cluster.plane import ControlPlane
from tests.cluster.process import answers, free_ports

RUNTIME = "demo"
"""Name of the ClusterTrainingRuntime that a fresh cluster with these controllers has."""

# Which configurations each program serves, and the resources it is responsible for.
_PROGRAMS = {
    "trainer": (("jobset", "trainer"), None),
    "training-operator": (("training-operator",), "pytorchjobs"),
}


def _configurations(
    plane: ControlPlane, names: tuple[str, ...], only: str | None, port: int
) -> Iterator[objects.Manifest]:
    bundle = base64.b64encode(plane.endpoint.ca.read_bytes()).decode()
    for name in names:
        for found in objects.read_manifests(plane.binaries["webhooks"], f"{name}.yaml"):
            found["metadata"]["name"] = f"{name}-{found['kind'].split('Webhook')[0].lower()}"
            found["webhooks"] = [
                _by_url(hook, port, bundle)
                for hook in found["webhooks"]
                if only is None or only in hook["rules"][0]["resources"]
            ]
            yield found


def _by_url(hook: dict[str, Any], port: int, bundle: str) -> dict[str, Any]:
    path = hook["clientConfig"]["service"]["path"]
    changed = {
        **hook,
        "clientConfig": {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle},
    }
    if "pods" in hook["rules"][0]["resources"]:
        # As that project's own installation does: other pods are none of its business.
        changed["objectSelector"] = {
            "matchExpressions": [
                {"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"},
            ]
        }
    return changed


def runtime() -> objects.Manifest:
    """A training runtime of one replicated job that runs what the TrainJob says."""
    container = {"name": "node", "image": "busybox", "command": ["sh", "-c", "env"]}
    job = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {
            "name": RUNTIME,
            "labels": {"trainer.kubeflow.org/framework": "plain"},
        },
        "spec": {
            "mlPolicy": {"numNodes": 1},
            "template": {"spec": {"replicatedJobs": [{"name": "node", "template": job}]}},
        },
    }


def launch(plane: ControlPlane) -> None:
    """Start the controllers on a plane whose custom resources are served; wait until ready.

    Raises:
        GroundError: one of them ended or did not come up.
    """
    certs = plane.directory / "pki" / "webhooks"
    certs.mkdir()
    pair = plane.authority.issue("webhooks", common_name="webhooks", server=True)
    shutil.copyfile(pair.cert, certs / "tls.crt")
    shutil.copyfile(pair.key, certs / "tls.key")
    (certs / "tls.key").chmod(0o600)
    probes: dict[str, int] = {}
    for program, (names, only) in _PROGRAMS.items():
        hooks, probes[program] = free_ports(2)
        plane.processes.start(
            f"{program}-{plane.name}",
            [
                plane.binaries[program],
                f"--kubeconfig={plane.endpoint.admin_kubeconfig}",
                f"--webhook-cert-dir={certs}",
                f"--webhook-port={hooks}",
                f"--health-probe-bind-address=127.0.0.1:{probes[program]}",
            ],
        )
        plane.create(_configurations(plane, names, only, hooks))
    for program, port in probes.items():
        plane.processes.wait(
            f"{program}-{plane.name}",
            partial(answers, f"http://127.0.0.1:{port}/readyz"),
            deadline=60,
        )
    plane.create([runtime()])
    # The webhook knows a runtime a moment after the server does.
    plane.processes.wait(f"trainer-{plane.name}", partial(_takes_jobs, plane), deadline=60)


def _takes_jobs(plane: ControlPlane) -> bool:
    body = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "asked"},
        "spec": {"runtimeRef": {"name": RUNTIME}},
    }
    path = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs"
    reply = plane.http.post(path, params={"dryRun": "All"}, content=json.dumps(body))
    return bool(reply.status_code == 201)
