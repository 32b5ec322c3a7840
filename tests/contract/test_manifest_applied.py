"""What is built from a train config, judged by the real API server and run on a real node."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.domain import manifest
from mcp_tui.domain.manifest import Submission
from mcp_tui.domain.trainconfig import EXAMPLE, parse_train_config
from tests.cluster import Ground

pytestmark = pytest.mark.real

BASE = """\
image: python:3.11
code: {url: "https://git.example.com/a/b.git"}
command: [python, train.py]
"""
SSH = BASE.replace("https://git.example.com/", "git@git.example.com:")
FULL = """\
name: churn
parameters: {lr: 1e-4, note: "a 'b' $(C)"}
env: {A: b, C: $(A)}
secrets: {TOKEN: {secret: s, key: k}}
secrets_from: [more.secrets]
resources: {cpu: 1.5, cpu_limit: 2, memory: 1.5Gi, accelerators: {nvidia.com/gpu: 2}}
queue: team-a
queue_priority: high
retries: 3
deadline: 4h
ttl: 7d
labels: {team: x, example.com/y: z.1}
annotations: {example.com/free: "any text: at all"}
node_selector: {kubernetes.io/arch: amd64}
tolerations: [{key: a, operator: Equal, value: b, effect: NoSchedule}, {operator: Exists}]
service_account: trainer
"""
CONFIGS = {
    "least": BASE,
    "example": EXAMPLE,
    "everything": BASE + FULL,
    "several nodes": BASE + FULL + "nodes: 4\n",
    "counted disruptions": BASE + "on_disruption: fail\n",
    "parameters as environment": BASE + "parameters: {a.b-c: 1}\nparameters_as: env\n",
    "private, basic": BASE.replace('git"}', 'git", secret: s, path: a/b}'),
    "private, ssh": SSH.replace('git"}', 'git", secret: s, auth: ssh}'),
    "longest name": BASE + f"name: {'a' * 40}\nnodes: 4096\n",
    "trainjob": BASE + FULL + "runtime: torch-distributed\nnodes: 2\n",
}


def submission(namespace: str, name: str, **over: Any) -> Submission:
    given: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "commit": "0" * 40,
        "branch": "feature/v1.2",
        "git_url": "https://git.example.com/a/b.git",
        "plan_id": "f" * 32,
        "run_id": "e" * 32,
        "experiment_id": "7",
        "experiment": "churn (α)",
        "tracking_uri": "http://mlflow:5000",
        "submitted_by": "alice@example.com",
        "parent": f"{namespace}/older",
    }
    return Submission(**given | over)


def path_of(built: dict[str, Any]) -> str:
    version = built["apiVersion"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{built['metadata']['namespace']}/{built['kind'].lower()}s"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_api_server_takes_every_field(ground: Ground, namespace: str, name: str) -> None:
    config = parse_train_config(CONFIGS[name])
    sub = submission(namespace, manifest.job_name(config, "plan"))
    objects = [manifest.build_manifest(config, sub)]
    service = manifest.build_service(config, sub, uid="00000000-0000-0000-0000-000000000000")
    if service is not None:
        objects.append(service)
    for built in objects:
        # Strict: a field that the server does not know is refused, not dropped.
        params = {"dryRun": "All", "fieldValidation": "Strict"}
        reply = ground.api("POST", path_of(built), built, params=params)
        assert reply.status == 201, reply.body
        kept = reply.body["metadata"]["annotations" if built["kind"] != "Service" else "labels"]
        assert kept.items() >= built["metadata"].get("annotations", {}).items()


def _git(cwd: Path, *args: str) -> str:
    who = {
        f"GIT_{w}_{k}": "a@example.com" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")
    }
    env = os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *args], cwd=cwd, env=env, check=True, capture_output=True)
    return done.stdout.decode().strip()


def _has_process_node(ground: Ground) -> bool:
    nodes = ground.api("GET", "/api/v1/nodes").ok()["items"]
    return any(node["metadata"]["name"].startswith("node-") for node in nodes)


def test_the_pinned_commit_really_runs(ground: Ground, namespace: str, tmp_path: Path) -> None:
    if not _has_process_node(ground):
        pytest.fail("the ground has no process node")
    _git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "sub").mkdir()
    for text in ("one", "two"):
        (tmp_path / "sub" / "train.sh").write_text(f'echo "{text} in `basename $PWD`" "$@" "$A"')
        _git(tmp_path, "add", ".")
        _git(tmp_path, "commit", "-q", "-m", text)
    first = _git(tmp_path, "rev-parse", "HEAD~1")
    text = (
        f"image: sh\ncode: {{url: 'file://{tmp_path}', path: sub}}\ncommand: sh train.sh\n"
        "parameters: {lr: 0.5, note: 'a b'}\nenv: {A: '$(HOME) $$ kept'}\n"
    )
    config = parse_train_config(text)
    sub = submission(
        namespace, "run-abc123", commit=first, git_url=config.code.url, run_id=None, parent=""
    )
    built = manifest.build_job(config, sub)
    ground.api("POST", path_of(built), built).ok()
    status = _finished(ground, f"{path_of(built)}/run-abc123")
    assert status.get("succeeded") == 1, status
    logs = ground.kubectl("-n", namespace, "logs", "job/run-abc123", "-c", "trainer").stdout
    assert logs.strip() == "one in sub --lr=0.5 --note=a b $(HOME) $$ kept"
    code = ground.kubectl("-n", namespace, "logs", "job/run-abc123", "-c", "code").stdout
    assert f"at {first}" in code


def test_several_nodes_know_their_rank(ground: Ground, namespace: str, tmp_path: Path) -> None:
    if not _has_process_node(ground):
        pytest.fail("the ground has no process node")
    _git(tmp_path, "init", "-q", "-b", "main")
    _git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    text = (
        f"image: sh\ncode: {{url: 'file://{tmp_path}'}}\nnodes: 3\n"
        "command: echo $RANK/$WORLD_SIZE $PET_NODE_RANK $MASTER_ADDR:$MASTER_PORT\n"
    )
    config = parse_train_config(text)
    commit = _git(tmp_path, "rev-parse", "HEAD")
    sub = submission(namespace, "ranks-abc123", commit=commit, git_url=config.code.url)
    built = manifest.build_job(config, sub)
    made = ground.api("POST", path_of(built), built).ok()
    service = manifest.build_service(config, sub, uid=made["metadata"]["uid"])
    assert service is not None
    ground.api("POST", path_of(service), service).ok()
    assert _finished(ground, f"{path_of(built)}/ranks-abc123").get("succeeded") == 3
    selector = "job-name=ranks-abc123"
    logs = ground.kubectl("-n", namespace, "logs", "-l", selector, "-c", "trainer").stdout
    assert sorted(logs.split("\n")) == [
        "",
        *(f"{rank}/3 {rank} ranks-abc123-0.ranks-abc123:29500" for rank in range(3)),
    ]


def _finished(ground: Ground, path: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while True:
        status: dict[str, Any] = ground.api("GET", path).ok()["status"]
        types = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
        if types & {"Complete", "Failed"}:
            return status
        assert time.monotonic() < end, status
        time.sleep(0.2)
