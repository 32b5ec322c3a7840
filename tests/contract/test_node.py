"""The process node against an API server: pods run, fail, wait and end as on any kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_tui.demo.node import NodeOptions, ProcessNode, read_access
from mcp_tui.errors import UsageError
from tests.cluster.ground import kubectl
from tests.cluster.plane import REPO
from tests.conftest import Plane

Json = dict[str, Any]
TAINT = "node-test"


class Node:
    """One process node of the tests' own, with short back-offs; ordinary pods stay away."""

    def __init__(self, plane: Plane, directory: Path) -> None:
        self.plane = plane
        self.directory = directory
        self.name = f"node-t-{os.getpid()}-{os.urandom(3).hex()}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start it and wait until the Node is ready."""
        with (self.directory / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "mcp_tui.demo.node", "--kubeconfig",
                    str(self.plane.kubeconfig), "--context", self.plane.context,
                    "--name", self.name, "--dir", str(self.directory / "d"),
                    "--backoff", "0.05", "--taint", f"{TAINT}=x:NoSchedule",
                    "--client-ca", str(self.plane.ca), *arguments,
                ],
                cwd=REPO, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.defpath, "LEAK": "hunter2"},
            )  # fmt: skip
        until(self.is_ready, "the node is ready")

    def is_ready(self) -> bool:
        """Its condition."""
        with self.plane.client() as client:
            answer = client.get(f"/api/v1/nodes/{self.name}")
        if answer.status_code != 200:
            return False
        conditions = answer.json().get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait(30)
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process = None

    def log(self) -> str:
        """What it said."""
        return (self.directory / "node.log").read_text()

    def strays(self) -> list[int]:
        """Processes that were started for one of its pods and still are there."""
        mark = b"HOME=" + os.fsencode(self.directory / "d" / "pods")
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (path / "environ").read_bytes():
                    found.append(int(path.name))
        return found


def until(condition: Callable[[], Any], what: str, deadline: float = 45.0) -> Any:
    """Poll until ``condition`` is true and return what it gave."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline:.0f} s: {what}")
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """A process that is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """The nodes of this module by plane; ended with it, and nothing of them may be left."""
    found: dict[str, Node] = {}
    yield found
    for node in found.values():
        node.stop()
        with node.plane.client() as client:
            client.delete(f"/api/v1/nodes/{node.name}")
        assert node.strays() == []
        assert "Traceback" not in node.log()


@dataclass
class Pods:
    """The pods of one test in its namespace, all bound to the node of the test."""

    plane: Plane
    node: Node
    namespace: str
    client: httpx.Client
    made: list[str] = field(default_factory=list)

    def path(self, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}".rstrip("/")

    def spec(self, container: Json | None = None, **pod: Any) -> Json:
        """A pod spec with one container called c."""
        return {
            "nodeName": self.node.name,
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "python:3.12"} | (container or {})],
        } | pod

    def create(self, name: str, container: Json | None = None, **pod: Any) -> Json:
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name} | pod.pop("metadata", {}),
            "spec": self.spec(container, **pod),
        }
        answer = self.client.post(self.path(), json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def shell(self, name: str, script: str, **pod: Any) -> Json:
        """A pod whose container is a shell script."""
        container = pod.pop("container", {})
        return self.create(name, {"command": ["sh", "-c", script]} | container, **pod)

    def get(self, name: str) -> Json:
        answer = self.client.get(self.path(name))
        return answer.json() if answer.status_code == 200 else {}

    def status(self, name: str) -> Json:
        """The status of the pod's container c."""
        return next(iter(self.get(name).get("status", {}).get("containerStatuses", [])), {})

    def phase(self, name: str, *wanted: str) -> Json:
        """Wait for a phase; the pod."""

        def reached() -> Json | None:
            pod = self.get(name)
            return pod if pod.get("status", {}).get("phase") in wanted else None

        return until(reached, f"pod {name} is {wanted}: {self.get(name).get('status')}")

    def waiting(self, name: str, reason: str) -> str:
        """Wait for a waiting reason; its message."""

        def reached() -> Json | None:
            found = self.status(name).get("state", {}).get("waiting", {})
            return found if found.get("reason") == reason else None

        return until(reached, f"{name} waits for {reason}").get("message", "")

    def ended(self, name: str) -> Json:
        """Wait until the pod is over; how its container ended."""
        pod = self.phase(name, "Succeeded", "Failed")
        return pod["status"]["containerStatuses"][0]["state"]["terminated"]

    def events(self, name: str, reason: str) -> list[Json]:
        """Wait for events of that reason about the pod."""

        def found() -> list[Json]:
            params = {"fieldSelector": f"involvedObject.name={name},reason={reason}"}
            path = f"/api/v1/namespaces/{self.namespace}/events"
            return self.client.get(path, params=params).json().get("items", [])

        return until(found, f"an event {reason} about {name}")

    def log(self, name: str, **params: Any) -> str:
        answer = self.client.get(f"{self.path(name)}/log", params=params)
        assert answer.status_code == 200, answer.text
        return answer.text

    def said(self, name: str, text: str) -> str:
        """Wait until the log has that text."""

        def found() -> str | None:
            answer = self.client.get(f"{self.path(name)}/log")
            return answer.text if answer.status_code == 200 and text in answer.text else None

        return until(found, f"{name} says {text!r}")

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The stock kubectl in the namespace."""
        head = [str(kubectl()), f"--kubeconfig={self.plane.kubeconfig}"]
        return subprocess.run(
            [*head, f"--context={self.plane.context}", f"--namespace={self.namespace}", *arguments],
            input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def pods(
    kube: Plane,
    kube_namespace: str,
    nodes: dict[str, Node],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pods]:
    """A way to make pods on this module's node."""
    node = nodes.get(kube.name)
    if node is None:
        node = nodes[kube.name] = Node(kube, tmp_path_factory.mktemp(f"node-{kube.name}"))
        node.start()
    with kube.client() as client:
        yield Pods(kube, node, kube_namespace, client)


def conditions(pod: Json) -> dict[str, Json]:
    """The pod's conditions by type."""
    return {c["type"]: c for c in pod["status"]["conditions"]}


# --- pods that run


def test_a_pod_runs_and_succeeds(pods: Pods) -> None:
    script = "echo hello; echo bye > /dev/termination-log; env; pwd"
    env = [{"name": "A", "value": "x"}, {"name": "B", "value": "$(A)-$(NOPE)-$$(A)"}]
    pods.shell("p", script, container={"env": env, "args": ["ignored"]})
    pod = pods.phase("p", "Succeeded")
    status = pod["status"]["containerStatuses"][0]
    state = status["state"]["terminated"]
    assert (state["exitCode"], state["reason"], state["message"]) == (0, "Completed", "bye\n")
    assert state["startedAt"] <= state["finishedAt"]
    assert state["containerID"] == status["containerID"]
    assert status["restartCount"] == 0
    assert pod["status"]["podIP"] == pod["status"]["hostIP"] == "127.0.0.1"
    assert pod["status"]["qosClass"] == "BestEffort"
    assert pod["status"]["startTime"]
    found = conditions(pod)
    assert found["Ready"]["reason"] == "PodCompleted"
    assert found["Initialized"]["status"] == "True"
    assert found["PodScheduled"]["status"] == "True"
    log = pods.log("p").splitlines()
    assert log[0] == "hello"
    assert "B=x-$(NOPE)-$(A)" in log
    assert not [line for line in log if "hunter2" in line or "KUBECONFIG" in line]
    assert {e["reason"] for r in ("Pulled", "Created", "Started") for e in pods.events("p", r)} == {
        "Pulled", "Created", "Started",
    }  # fmt: skip


def test_a_pod_that_fails_says_how(pods: Pods) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    pods.shell("p", "echo out; echo no such file: x.csv >&2; exit 3", container=policy)
    state = pods.ended("p")
    assert (state["exitCode"], state["reason"]) == (3, "Error")
    assert "no such file: x.csv" in state["message"]
    assert conditions(pods.get("p"))["Ready"]["reason"] == "PodFailed"


def test_memory_over_the_limit_is_oomkilled(pods: Pods) -> None:
    # The growing process is a child of the container's first one, as with a shell's command.
    grow = "b=[]\nimport time\nwhile True:\n b.append(bytearray(4_000_000)); time.sleep(0.05)"
    container = {
        "env": [{"name": "CODE", "value": grow}],
        "resources": {"limits": {"memory": "96Mi"}},
    }
    pods.shell("p", 'python -c "$CODE"; echo unreachable', container=container)
    state = pods.ended("p")
    assert (state["exitCode"], state["reason"]) == (137, "OOMKilled")
    assert "unreachable" not in pods.log("p")
    # Killed by its own hand, with a limit in place: not the same.
    pods.shell("q", "kill -9 $$$$", container={"resources": {"limits": {"memory": "96Mi"}}})
    assert pods.ended("q")["reason"] == "Error"


def test_an_init_container_clones_a_commit_and_the_main_one_trains(
    pods: Pods, tmp_path: Path
) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    (tmp_path / "train.py").write_text(
        "import os, pathlib\n"
        "print('training', pathlib.Path(__file__).parent, os.environ['MLFLOW_RUN_ID'])\n"
        "print('model in', os.environ['OUT'])\n"
        "pathlib.Path(os.environ['OUT'], 'model').write_text('ok')\n"
    )
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    commit = head.stdout.strip()
    (tmp_path / "train.py").write_text("raise SystemExit('the wrong commit')\n")
    subprocess.run([*git, "commit", "-q", "-am", "two"], check=True)
    secret = {"metadata": {"name": "git"}, "stringData": {"token": "s3cret"}}
    askpass = {"metadata": {"name": "ask"}, "data": {"askpass": "#!/bin/sh\ncat /git/token\n"}}
    base = f"/api/v1/namespaces/{pods.namespace}"
    pods.client.post(f"{base}/secrets", json=secret).raise_for_status()
    # A script inside a volume is content, not the container's command: nothing maps its paths.
    askpass["data"]["askpass"] = '#!/bin/sh\ncat "$TOKEN_FILE"\n'
    pods.client.post(f"{base}/configmaps", json=askpass).raise_for_status()
    workspace = {"name": "workspace", "mountPath": "/workspace"}
    clone = (
        'test "$($GIT_ASKPASS)" = s3cret && '
        'git clone -q "$REPO" /workspace && cd /workspace && git checkout -q "$COMMIT"'
    )
    init = {
        "name": "clone",
        "image": "alpine/git",
        "command": ["sh", "-ec", clone],
        "env": [
            {"name": "REPO", "value": f"file://{tmp_path}"},
            {"name": "COMMIT", "value": commit},
            {"name": "GIT_ASKPASS", "value": "/scripts/askpass"},
            {"name": "TOKEN_FILE", "value": "/git/token"},
        ],
        "volumeMounts": [
            workspace,
            {"name": "git", "mountPath": "/git", "readOnly": True},
            {"name": "ask", "mountPath": "/scripts"},
        ],
    }
    pods.shell(
        "p",
        "cd /workspace && python train.py && cat /out/model",
        container={
            "env": [
                {"name": "MLFLOW_RUN_ID", "value": "abc123"},
                {"name": "OUT", "value": "/out"},
            ],
            "volumeMounts": [workspace, {"name": "out", "mountPath": "/out"}],
        },
        initContainers=[init],
        volumes=[
            {"name": "workspace", "emptyDir": {}},
            {"name": "out", "emptyDir": {"sizeLimit": "10Mi"}},
            {"name": "git", "secret": {"secretName": "git", "defaultMode": 0o400}},
            {"name": "ask", "configMap": {"name": "ask", "defaultMode": 0o755}},
        ],
    )
    pod = pods.phase("p", "Succeeded", "Failed")
    assert pod["status"]["phase"] == "Succeeded", pods.log("p", container="clone")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    log = pods.log("p", container="c")
    assert "abc123" in log
    assert log.endswith("ok\n")


def test_an_init_container_that_fails_fails_the_pod(pods: Pods) -> None:
    init = {"name": "i", "image": "a", "command": ["sh", "-c", "echo no; exit 128"]}
    pods.shell("p", "echo never", initContainers=[init])
    status = pods.phase("p", "Failed")["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 128
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert conditions(pods.get("p"))["Initialized"]["status"] == "False"


def test_a_sidecar_runs_beside_the_others_and_ends_after_them(pods: Pods) -> None:
    side = {
        "name": "side", "image": "a", "restartPolicy": "Always",
        "command": ["sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"],
    }  # fmt: skip
    pods.shell("p", "echo main", initContainers=[side])
    pod = pods.phase("p", "Succeeded")

    def over() -> Json | None:
        return pods.get("p")["status"]["initContainerStatuses"][0]["state"].get("terminated")

    assert until(over, "the sidecar has ended")["exitCode"] == 0
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_the_environment_comes_from_everywhere(pods: Pods) -> None:
    base = f"/api/v1/namespaces/{pods.namespace}"
    secret = {"metadata": {"name": "s"}, "stringData": {"k": "from secret"}}
    config = {"metadata": {"name": "m"}, "data": {"k": "from map", "other": "o"}}
    pods.client.post(f"{base}/secrets", json=secret).raise_for_status()
    pods.client.post(f"{base}/configmaps", json=config).raise_for_status()
    source = "valueFrom"
    env = [
        {"name": "S", source: {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "M", source: {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"name": "N", source: {"secretKeyRef": {"name": "no", "key": "k", "optional": True}}},
        {"name": "POD", source: {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "L", source: {"fieldRef": {"fieldPath": "metadata.labels['team/a']"}}},
        {"name": "IP", source: {"fieldRef": {"fieldPath": "status.podIP"}}},
        {
            "name": "MEM",
            source: {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        },
    ]
    from_ = [{"prefix": "X_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s"}}]
    pods.shell(
        "p",
        "env",
        container={"env": env, "envFrom": from_, "resources": {"limits": {"memory": "64Mi"}}},
        metadata={"labels": {"team/a": "blue"}},
    )
    pods.phase("p", "Succeeded")
    lines = set(pods.log("p").splitlines())
    assert lines >= {
        "S=from secret", "M=from map", "POD=p", "L=blue", "IP=127.0.0.1", "MEM=64",
        "X_k=from map", "X_other=o", "k=from secret", "HOSTNAME=p",
    }  # fmt: skip
    assert not any(line.startswith("N=") for line in lines)


def test_a_readiness_probe_decides_when_the_pod_is_ready(pods: Pods) -> None:
    probe = {"exec": {"command": ["test", "-e", "/flag/up"]}, "periodSeconds": 1}
    pods.shell(
        "p",
        "while [ ! -e /flag/go ]; do sleep 0.05; done; touch /flag/up; sleep 100",
        container={"readinessProbe": probe, "volumeMounts": [{"name": "f", "mountPath": "/flag"}]},
        volumes=[{"name": "f", "emptyDir": {}}],
    )
    pods.events("p", "Unhealthy")
    assert pods.phase("p", "Running")["status"]["containerStatuses"][0]["ready"] is False
    (volume,) = (pods.node.directory / "d" / "pods" / pods.get("p")["metadata"]["uid"]).glob(
        "volumes/f"
    )
    (volume / "go").touch()
    until(lambda: conditions(pods.get("p"))["Ready"]["status"] == "True", "the pod is ready")


def test_a_job_runs_to_its_end_by_the_scheduler(pods: Pods) -> None:
    template = pods.spec({"command": ["sh", "-c", "echo index $JOB_COMPLETION_INDEX"]})
    del template["nodeName"]
    template["nodeSelector"] = {"kubernetes.io/hostname": pods.node.name}
    job = {
        "metadata": {"name": "j"},
        "spec": {
            "completionMode": "Indexed", "completions": 2, "parallelism": 2,
            "template": {"spec": template},
        },
    }  # fmt: skip
    path = f"/apis/batch/v1/namespaces/{pods.namespace}/jobs"
    pods.client.post(path, json=job).raise_for_status()

    def done() -> Json | None:
        status = pods.client.get(f"{path}/j").json()["status"]
        return status if status.get("succeeded") == 2 else None

    assert until(done, "the job is done")["completedIndexes"] == "0,1"


# --- pods that wait


def test_an_image_that_cannot_be_pulled(pods: Pods) -> None:
    container = {"command": ["true"], "image": "registry.invalid/team/x:1"}
    pods.create("p", container)
    message = pods.waiting("p", "ImagePullBackOff")
    assert message.startswith('Back-off pulling image "registry.invalid/team/x:1": ErrImagePull: ')
    assert "lookup registry.invalid: no such host" in message
    assert pods.get("p")["status"]["phase"] == "Pending"
    texts = {e["message"] for e in pods.events("p", "Failed")}
    assert "Error: ErrImagePull" in texts
    pods.create("q", {"command": ["true"], "image": "never:1", "imagePullPolicy": "Never"})
    assert "pull policy of Never" in pods.waiting("q", "ErrImageNeverPull")
    pods.create("r", {"command": ["true"], "image": "NotAName"})
    pods.waiting("r", "InvalidImageName")


def test_a_missing_secret_is_waited_for(pods: Pods) -> None:
    env = [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}]
    pods.shell("p", "echo got $S", container={"env": env})
    assert pods.waiting("p", "CreateContainerConfigError") == 'secret "late" not found'
    events = pods.events("p", "Failed")
    assert {e["message"] for e in events} == {'Error: secret "late" not found'}
    until(lambda: pods.events("p", "Failed")[0]["count"] >= 2, "the event is counted, not repeated")
    assert len(pods.events("p", "Failed")) == 1
    base = f"/api/v1/namespaces/{pods.namespace}/secrets"
    body: Json = {"metadata": {"name": "late"}, "stringData": {"other": "x"}}
    pods.client.post(base, json=body).raise_for_status()
    wanted = f"couldn't find key k in Secret {pods.namespace}/late"
    until(
        lambda: pods.waiting("p", "CreateContainerConfigError") == wanted, "the key is missing now"
    )
    patch = json.dumps({"stringData": {"k": "it"}}).encode()
    merge = {"Content-Type": "application/merge-patch+json"}
    pods.client.patch(f"{base}/late", content=patch, headers=merge).raise_for_status()
    pods.phase("p", "Succeeded")
    assert pods.log("p") == "got it\n"


def test_volumes_that_are_missing_or_refused_keep_the_pod_waiting(pods: Pods) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volume = {"name": "v", "hostPath": {"path": "/tmp"}}
    pods.shell("p", "true", container=mount, volumes=[volume])
    message = pods.events("p", "FailedMount")[0]["message"]
    assert message.startswith('MountVolume.SetUp failed for volume "v" : ')
    assert "cannot mount hostPath volumes" in message
    pods.waiting("p", "ContainerCreating")
    assert pods.get("p")["status"]["phase"] == "Pending"
    volume = {"name": "v", "configMap": {"name": "late"}}
    pods.shell("q", "cat /v/k", container=mount, volumes=[volume])
    assert 'configmap "late" not found' in pods.events("q", "FailedMount")[0]["message"]
    body = {"metadata": {"name": "late"}, "data": {"k": "now"}}
    path = f"/api/v1/namespaces/{pods.namespace}/configmaps"
    pods.client.post(path, json=body).raise_for_status()
    pods.phase("q", "Succeeded")
    assert pods.log("q") == "now\n"


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({"args": ["x"]}, "no command specified"),
        (
            {
                "command": ["true"],
                "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}},
            },
            "added capabilities are not supported",
        ),
    ],
)
def test_what_the_node_cannot_do_it_refuses(pods: Pods, container: Json, text: str) -> None:
    pods.create("p", container)
    assert text in pods.waiting("p", "CreateContainerError")
    assert text in pods.events("p", "Failed")[0]["message"]


def test_a_command_that_is_not_there(pods: Pods) -> None:
    pods.create("p", {"command": ["nosuchprogram"]})
    state = pods.ended("p")
    assert (state["exitCode"], state["reason"]) == (128, "StartError")
    assert 'exec: "nosuchprogram": executable file not found in $PATH' in state["message"]
    assert state["startedAt"] == "1970-01-01T00:00:00Z"


def test_a_crash_loop_backs_off_counts_and_keeps_the_previous_log(pods: Pods) -> None:
    script = 'echo "instance $(ls /count | wc -l)"; mktemp -p /count >/dev/null; exit 5'
    pods.shell(
        "p",
        script,
        restartPolicy="Always",
        container={"volumeMounts": [{"name": "n", "mountPath": "/count"}]},
        volumes=[{"name": "n", "emptyDir": {}}],
    )
    until(lambda: pods.status("p").get("restartCount", 0) >= 4, "it was restarted four times")
    message = pods.waiting("p", "CrashLoopBackOff")
    pod = pods.get("p")
    assert message.startswith("back-off ")
    assert f"container=c pod=p_{pods.namespace}({pod['metadata']['uid']})" in message
    assert pod["status"]["phase"] == "Running"
    last = pods.status("p")["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (5, "Error")
    assert conditions(pod)["Ready"]["message"] == "containers with unready status: [c]"
    pods.events("p", "BackOff")
    # While it waits the newest instance is the current one, and one before it is kept.
    found = pods.kubectl("logs", "p", "--previous")
    assert found.returncode == 0, found.stderr
    now = int(pods.log("p").split()[1])
    assert now >= 4
    pods.client.delete(pods.path("p"))
    until(lambda: not pods.get("p"), "the pod is gone")


def test_on_failure_restarts_until_it_succeeds(pods: Pods) -> None:
    script = "mktemp -p /count >/dev/null; test $(ls /count | wc -l) -ge 3"
    pods.shell(
        "p",
        script,
        restartPolicy="OnFailure",
        container={"volumeMounts": [{"name": "n", "mountPath": "/count"}]},
        volumes=[{"name": "n", "emptyDir": {}}],
    )
    status = pods.phase("p", "Succeeded")["status"]["containerStatuses"][0]
    assert status["restartCount"] == 2
    assert status["lastState"]["terminated"]["exitCode"] == 1


# --- pods that are ended


def test_storage_over_the_limit_is_evicted(pods: Pods) -> None:
    pods.shell(
        "p",
        "dd if=/dev/zero of=/cache/x bs=1024 count=4096 2>/dev/null; sleep 100",
        container={"volumeMounts": [{"name": "v", "mountPath": "/cache"}]},
        volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}],
    )
    status = pods.phase("p", "Failed")["status"]
    assert status["reason"] == "Evicted"
    assert status["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
    assert pods.events("p", "Evicted")[0]["type"] == "Warning"
    until(lambda: "terminated" in pods.status("p")["state"], "the container has ended")
    limit = {"resources": {"limits": {"ephemeral-storage": "1Mi"}}}
    pods.shell("q", "dd if=/dev/zero of=x bs=1024 count=4096; sleep 100", container=limit)
    assert pods.phase("q", "Failed")["status"]["message"] == (
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    )


def test_a_deadline_ends_the_pod(pods: Pods) -> None:
    pods.shell("p", "sleep 100", activeDeadlineSeconds=1)
    status = pods.phase("p", "Failed")["status"]
    assert status["reason"] == "DeadlineExceeded"
    until(lambda: "terminated" in pods.status("p")["state"], "the container has ended")
    assert pods.status("p")["state"]["terminated"]["exitCode"] == 143


def test_deletion_gives_the_pod_time_to_end(pods: Pods) -> None:
    # A finalizer, as Jobs use, keeps the object so that its last status can be read.
    keep = {"finalizers": ["example.com/keep"]}
    polite = "trap 'echo ending; exit 4' TERM; echo $$$$; while :; do sleep 0.05; done"
    stubborn = "trap '' TERM; echo $$$$; while :; do sleep 0.05; done"
    pids = {}
    for name, script in (("polite", polite), ("stubborn", stubborn)):
        pods.shell(name, script, metadata=dict(keep), restartPolicy="Always")
        pids[name] = int(pods.said(name, "\n"))
    for name in pids:
        pods.client.delete(pods.path(name), params={"gracePeriodSeconds": "1"})
    for name, code in (("polite", 4), ("stubborn", 137)):
        until(lambda name=name: not alive(pids[name]), f"{name} has ended")
        state = until(lambda name=name: pods.status(name)["state"].get("terminated"), "reported")
        assert (state["exitCode"], state["reason"]) == (code, "Error")
        pods.phase(name, "Failed")
        assert pods.events(name, "Killing")[0]["message"] == "Stopping container c"
        assert pods.status(name)["restartCount"] == 0
    assert "ending" in pods.log("polite")
    merge = {"Content-Type": "application/merge-patch+json"}
    for name in pids:
        body = b'{"metadata":{"finalizers":null}}'
        pods.client.patch(pods.path(name), content=body, headers=merge)
        until(lambda name=name: not pods.get(name), f"{name} is gone")


def test_a_pod_that_vanishes_is_killed(pods: Pods) -> None:
    pods.shell("p", "trap '' TERM; echo $$$$; while :; do sleep 0.05; done")
    pid = int(pods.said("p", "\n"))
    directory = pods.node.directory / "d" / "pods" / pods.get("p")["metadata"]["uid"]
    assert directory.is_dir()
    pods.client.delete(pods.path("p"), params={"gracePeriodSeconds": "0"})
    until(lambda: not pods.get("p"), "the object is gone")
    until(lambda: not alive(pid), "the process is gone")
    until(lambda: not directory.exists(), "its files are gone")


# --- logs and exec


def test_logs(pods: Pods) -> None:
    pods.shell("p", "seq -f 'line %g' 5; sleep 0.3; echo err >&2; sleep 1.1; echo last")
    pods.phase("p", "Succeeded")
    assert pods.kubectl("logs", "p", "--tail=2").stdout == "err\nlast\n"
    assert pods.kubectl("logs", "p", "--limit-bytes=9").stdout == "line 1\nli"
    stamped = pods.kubectl("logs", "p", "--timestamps").stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in stamped][:2] == ["line 1", "line 2"]
    moments = [line.split()[0] for line in stamped]
    assert moments == sorted(moments)
    since = pods.kubectl("logs", "p", f"--since-time={moments[-1]}").stdout
    assert since == "last\n"
    missing = pods.kubectl("logs", "p", "--previous")
    assert missing.returncode != 0
    assert 'previous terminated container "c" in pod "p" not found' in missing.stderr


def test_a_follower_sees_the_log_grow_and_end(pods: Pods) -> None:
    script = "i=0; while [ ! -e /flag/stop ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo end $i"
    mount = {"volumeMounts": [{"name": "f", "mountPath": "/flag"}]}
    pods.shell("p", script, container=mount, volumes=[{"name": "f", "emptyDir": {}}])
    pods.said("p", "3\n")
    with pods.client.stream("GET", f"{pods.path('p')}/log", params={"follow": "1"}) as answer:
        seen: list[str] = []
        for line in answer.iter_lines():
            seen.append(line)
            if line == "10":
                uid = pods.get("p")["metadata"]["uid"]
                (pods.node.directory / "d" / "pods" / uid / "volumes" / "f" / "stop").touch()
    count = len(seen) - 1
    assert seen == [*map(str, range(1, count + 1)), f"end {count}"]


def test_exec(pods: Pods) -> None:
    mount = {"volumeMounts": [{"name": "w", "mountPath": "/workspace"}]}
    pods.shell(
        "p",
        "echo data > /workspace/x; sleep 100",
        container={**mount, "env": [{"name": "A", "value": "b"}]},
        volumes=[{"name": "w", "emptyDir": {}}],
    )
    pods.phase("p", "Running")
    found = pods.kubectl("exec", "p", "--", "sh", "-c", "cat /workspace/x; echo $A >&2; exit 7")
    assert (found.returncode, found.stdout) == (7, "data\n")
    assert found.stderr.startswith("b\n")
    text = "".join(f"{i}\n" for i in range(50_000))
    assert pods.kubectl("exec", "-i", "p", "--", "cat", stdin=text).stdout == text
    missing = pods.kubectl("exec", "p", "--", "nosuchprogram")
    assert missing.returncode != 0
    assert 'exec: "nosuchprogram": executable file not found in $PATH' in missing.stderr


def test_the_kubelet_port_asks_who_calls(pods: Pods) -> None:
    pods.shell("p", "echo secret; sleep 100")
    pods.said("p", "secret")
    status = pods.client.get(f"/api/v1/nodes/{pods.node.name}").json()["status"]
    port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=False, trust_env=False) as http:
        assert http.get("/healthz").text == "ok"
        for path in (
            f"/containerLogs/{pods.namespace}/p/c",
            "/pods",
            "/metrics/resource",
            "/exec/x/y/z",
            "/nothing",
        ):
            assert http.get(path).status_code == 401
            bad = {"Authorization": "Bearer wrong"}
            assert http.get(path, headers=bad).status_code == 401


# --- the API server's absence


class Relay:
    """A way to the API server that can be cut, with all its connections, and joined again."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("https://").split(":")
        self._target = (host, int(port))
        self._cut = threading.Event()
        self._open: list[socket.socket] = []
        self.refused = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if self._cut.is_set():
                    self.refused += 1
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close everything and take nothing new."""
        self._cut.set()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Take connections again."""
        self._cut.clear()

    def close(self) -> None:
        """End it."""
        self.cut()
        self._server.close()
        for end in self._open:
            end.close()


@pytest.fixture
def relay(kube: Plane) -> Iterator[Relay]:
    made = Relay(kube.server)
    yield made
    made.close()


def test_what_happens_while_the_server_is_away_is_told_afterwards(
    pods: Pods, relay: Relay, tmp_path: Path
) -> None:
    kube = pods.plane
    config = tmp_path / "kubeconfig"
    cluster = {"server": f"https://127.0.0.1:{relay.port}", "certificate-authority": str(kube.ca)}
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": kube.token}}],
        "contexts": [{"name": kube.context, "context": {"cluster": "c", "user": "u"}}],
    }
    config.write_text(json.dumps(document))
    node = Node(replace(kube, kubeconfig=config), tmp_path)
    node.start()
    try:
        other = Pods(kube, node, pods.namespace, pods.client)
        script = "echo up; while [ ! -e /flag/go ]; do sleep 0.05; done; exit 9"
        mount = {"volumeMounts": [{"name": "f", "mountPath": "/flag"}]}
        empty = [{"name": "f", "emptyDir": {}}]
        other.shell("p", script, container=mount, volumes=empty)
        other.shell("gone", "echo $$$$; sleep 1000")
        other.said("p", "up")
        pid = int(other.said("gone", "\n"))
        relay.cut()
        volumes = tmp_path / "d" / "pods" / other.get("p")["metadata"]["uid"] / "volumes"
        (volumes / "f" / "go").touch()
        other.client.delete(other.path("gone"), params={"gracePeriodSeconds": "0"})
        other.shell("new", "true")
        until(lambda: relay.refused >= 5, "the node has tried again")
        assert alive(pid), "what the node cannot know it does not do"
        began = time.monotonic()
        before = relay.refused
        until(lambda: time.monotonic() - began > 2, "two seconds have passed")
        assert relay.refused - before < 60, "it does not try in a tight loop"
        relay.join()
        assert other.ended("p")["exitCode"] == 9
        until(lambda: not alive(pid), "the pod that was deleted meanwhile is ended")
        other.phase("new", "Succeeded")
        assert node.is_ready()
    finally:
        node.stop()
        pods.client.delete(f"/api/v1/nodes/{node.name}")
    assert node.strays() == []


# --- the node's own end


@pytest.fixture
def other(kube: Plane, pods: Pods, tmp_path: Path) -> Iterator[Pods]:
    """Pods on a node of this test alone, which may be killed."""
    node = Node(kube, tmp_path)
    node.start()
    yield Pods(kube, node, pods.namespace, pods.client)
    node.stop(signal.SIGKILL)
    pods.client.delete(f"/api/v1/nodes/{node.name}")
    until(lambda: not node.strays(), "nothing of the node is left", 10.0)


def test_a_killed_node_leaves_nothing_and_its_next_run_accounts_for_it(other: Pods) -> None:
    script = "echo $$$$; sleep 1000 & echo $!; wait"
    other.shell("never", script)
    other.shell("always", script, restartPolicy="Always")
    pids = [int(p) for name in ("never", "always") for p in other.said(name, "\n").split()]
    # What the API server was never told of is not there to account for.
    for name in ("never", "always"):
        until(lambda name=name: other.status(name).get("ready"), f"{name} runs")
    other.node.stop(signal.SIGKILL)
    for pid in pids:
        until(lambda pid=pid: not alive(pid), f"process {pid} has ended with its node", 10.0)
    other.node.start()
    state = other.ended("never")
    assert (state["exitCode"], state["reason"]) == (137, "ContainerStatusUnknown")
    until(lambda: other.status("always").get("restartCount") == 1, "it was restarted")
    until(lambda: "running" in other.status("always")["state"], "it runs again")
    last = other.status("always")["lastState"]["terminated"]
    assert last["reason"] == "ContainerStatusUnknown"


def test_a_node_that_stops_ends_its_pods_and_says_so(other: Pods) -> None:
    other.shell("p", "trap 'exit 0' TERM; echo $$$$; while :; do sleep 0.05; done")
    pid = int(other.said("p", "\n"))
    assert other.node.process is not None
    assert other.node.process.stdin is not None
    # Its parent's end of the pipe is enough.
    other.node.process.stdin.close()
    assert other.node.process.wait(30) == 0
    assert not alive(pid)
    pod = other.get("p")
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["reason"] == "Terminated"
    assert conditions(pod)["DisruptionTarget"]["reason"] == "TerminationByKubelet"
    assert not other.node.is_ready()


async def test_a_node_runs_inside_a_program(
    kube: Plane, kube_namespace: str, tmp_path: Path
) -> None:
    name = f"node-t-{os.getpid()}-{os.urandom(3).hex()}"
    options = NodeOptions(
        name, tmp_path / "d", taints=(f"{TAINT}=x:NoSchedule",), gpus=2, delete_node=True,
        labels={"pool": "tests"},
    )  # fmt: skip
    node = ProcessNode(options, read_access(kube.kubeconfig, kube.context))
    task = asyncio.create_task(node.run())
    async with asyncio.timeout(60):
        await node.ready.wait()
    with kube.client() as client:
        found = client.get(f"/api/v1/nodes/{name}").json()
        assert found["status"]["allocatable"]["nvidia.com/gpu"] == "2"
        assert found["metadata"]["labels"]["pool"] == "tests"
        with pytest.raises(UsageError, match="another node uses it"):
            await ProcessNode(options, read_access(kube.kubeconfig, kube.context)).run()
        shell = Node(kube, tmp_path)
        shell.name = name
        pods = Pods(kube, shell, kube_namespace, client)
        await asyncio.to_thread(pods.shell, "p", "echo $$$$; trap '' TERM; sleep 100")
        pid = int(await asyncio.to_thread(pods.said, "p", "\n"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not alive(pid)
        assert client.get(f"/api/v1/nodes/{name}").status_code == 404
        left = {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
        assert left == set()
