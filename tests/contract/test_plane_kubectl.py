"""The stock kubectl, with its default flags, on the real server and the embedded one."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Ground
from tests.cluster.ground import kubectl as kubectl_path
from tests.conftest import Plane
from tests.contract.api import Api, eventually

MANIFEST = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {{contract: nowhere}}
      containers:
      - name: main
        image: busybox
        command: ["true"]
"""

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {x: "y"}
"""


class Kubectl:
    """kubectl on one plane, in one namespace, with a home of its own."""

    def __init__(self, binary: Path, plane: Plane, namespace: str, home: Path) -> None:
        self.home = home
        self.plane = plane
        self.namespace = namespace
        self.base = [
            str(binary),
            f"--kubeconfig={plane.kubeconfig}",
            f"--context={plane.context}",
            f"--namespace={namespace}",
            f"--cache-dir={home / 'cache'}",
        ]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.base, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )

    def __call__(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def kubectl(
    kube: Plane, kube_namespace: str, kubectl_binary: Path, tmp_path: Path
) -> Iterator[Kubectl]:
    yield Kubectl(kubectl_binary, kube, kube_namespace, tmp_path)


@pytest.fixture(scope="session")
def kubectl_binary(ground: Ground) -> Path:
    # One release for both, the one whose server is copied; the ground has built it.
    return kubectl_path()


def test_create_get_and_delete(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", stdin=MANIFEST.format(name="a")) == "job.batch/a created\n"
    lines = kubectl("get", "jobs").splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert lines[1].split()[0] == "a" and lines[1].split()[2] == "0/1"
    wide = kubectl("get", "job", "a", "-o", "wide").splitlines()
    assert wide[0].split()[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert "name: a" in kubectl("get", "job", "a", "-o", "yaml")
    assert kubectl("get", "job", "a", "-o", "jsonpath={.spec.backoffLimit}") == "6"
    assert kubectl("get", "jobs", "-A", "-o", "name").count("job.batch/") >= 1
    assert "job.batch" in kubectl("delete", "job", "a", "--cascade=background")
    done = kubectl.run("get", "job", "a")
    assert done.returncode == 1
    assert done.stderr == 'Error from server (NotFound): jobs.batch "a" not found\n'


def test_a_second_create_fails(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=MANIFEST.format(name="a"))
    done = kubectl.run("create", "-f", "-", stdin=MANIFEST.format(name="a"))
    assert done.returncode == 1 and "(AlreadyExists)" in done.stderr


def test_apply_creates(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=MANIFEST.format(name="a")) == "job.batch/a created\n"
    annotation = "{.metadata.annotations.kubectl\\.kubernetes\\.io/last-applied-configuration}"
    assert '"name":"a"' in kubectl("get", "job", "a", "-o", f"jsonpath={annotation}")


def test_unknown_fields_are_refused_by_default(kubectl: Kubectl) -> None:
    """kubectl leaves the check to the server, having asked whether it can."""
    wrong = MANIFEST.format(name="a").replace("suspend:", "suspended:")
    done = kubectl.run("create", "-f", "-", stdin=wrong)
    assert done.returncode == 1
    assert 'strict decoding error: unknown field "spec.suspended"' in done.stderr


def test_describe(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=MANIFEST.format(name="a"))
    api = Api(kubectl.plane, kubectl.namespace)
    eventually(lambda: api.found("jobs", "a")["status"].get("conditions"))
    eventually(lambda: api.items("events"))
    text = kubectl("describe", "job", "a")
    assert "Name:             a\n" in text and "Suspend:          true\n" in text
    assert "Suspended" in text.split("Events:")[1]
    kubectl("describe", "namespace", kubectl.namespace)


def test_wait_for_a_condition_and_for_deletion(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=MANIFEST.format(name="a"))
    said = kubectl("wait", "--for=condition=Suspended", "job/a", "--timeout=20s")
    assert said == "job.batch/a condition met\n"
    kubectl("delete", "job", "a", "--wait=false", "--cascade=background")
    kubectl("wait", "--for=delete", "job/a", "--timeout=20s")
    done = kubectl.run("wait", "--for=condition=Complete", "job/none", "--timeout=1s")
    assert done.returncode == 1


def test_label_annotate_and_merge_patch(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG_MAP)
    kubectl("label", "configmap", "a", "team=ml")
    kubectl("annotate", "configmap", "a", "note=some text")
    kubectl("patch", "configmap", "a", "--type=merge", "-p", '{"data":{"x":"z"}}')
    kubectl("patch", "configmap", "a", "--type=json", "-p", '[{"op":"remove","path":"/data/x"}]')
    found = Api(kubectl.plane, kubectl.namespace).found("configmaps", "a")
    assert found["metadata"]["labels"] == {"team": "ml"} and "data" not in found


def test_a_strategic_merge_patch_is_refused_by_the_embedded_server(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=CONFIG_MAP)
    done = kubectl.run("patch", "configmap", "a", "-p", '{"data":{"x":"z"}}')
    if kubectl.plane.name == "embedded":
        assert done.returncode == 1
        assert "application/strategic-merge-patch+json is not supported" in done.stderr
    else:
        assert done.returncode == 0


def test_protobuf_bodies_are_refused_by_the_embedded_server(kubectl: Kubectl) -> None:
    """kubectl sends them for what it makes itself, rather than from a file."""
    done = kubectl.run("auth", "can-i", "create", "jobs")
    if kubectl.plane.name == "embedded":
        assert done.returncode == 1 and "UnsupportedMediaType" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "yes\n")


def test_api_resources_and_versions(kubectl: Kubectl) -> None:
    assert "batch/v1" in kubectl("api-resources", "--api-group=batch")
    assert "Server Version: v1.36.3" in kubectl("version")


def test_events_and_pods_are_printed(kubectl: Kubectl) -> None:
    name = f"p{secrets.token_hex(2)}"
    spec = '{"spec":{"nodeSelector":{"contract":"nowhere"}}}'
    kubectl("run", name, "--image=busybox", f"--overrides={spec}", "--restart=Never")
    api = Api(kubectl.plane, kubectl.namespace)
    eventually(lambda: api.items("events"))
    assert "FailedScheduling" in kubectl("get", "events")
    lines = kubectl("get", "pods").splitlines()
    assert lines[1].split()[:4] == [name, "0/1", "Pending", "0"]
    assert "Unschedulable" in kubectl("get", "pod", name, "-o", "yaml")
    assert re.search(r"Status: +Pending", kubectl("describe", "pod", name))
    kubectl("delete", "pod", name)
