"""The objects built from a train config, and the clone script run by a real shell and git."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mcp_tui.domain import keys, manifest
from mcp_tui.domain.clonescript import CLONE_SCRIPT, TRAINJOB_SCRIPT
from mcp_tui.domain.manifest import Submission
from mcp_tui.domain.trainconfig import EXAMPLE, TrainConfig, parse_train_config
from mcp_tui.errors import UsageError

BASE = """\
image: python:3.11
code: {url: "https://git.example.com/a/b.git"}
command: [python, train.py]
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def config(extra: str = "", base: str = BASE) -> TrainConfig:
    return parse_train_config(base + extra)


def submission(**over: Any) -> Submission:
    given: dict[str, Any] = {
        "namespace": "ml",
        "name": "b-abc123",
        "commit": COMMIT,
        "branch": "feature/v1.2",
        "git_url": "https://git.example.com/a/b.git",
        "plan_id": "f" * 32,
        "run_id": "e" * 32,
        "experiment_id": "7",
        "experiment": "churn",
        "tracking_uri": "http://mlflow:5000",
        "submitted_by": "alice",
    }
    return Submission(**given | over)


def job(extra: str = "", base: str = BASE, **over: Any) -> dict[str, Any]:
    return manifest.build_job(config(extra, base), submission(**over))


def trainer(built: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = built["spec"]["template"]["spec"]["containers"][0]
    return found


def env(container: dict[str, Any]) -> dict[str, Any]:
    names = [e["name"] for e in container["env"]]
    assert len(names) == len(set(names))
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


def test_the_same_arguments_make_the_same_manifest() -> None:
    one = json.dumps(manifest.build_manifest(parse_train_config(EXAMPLE), submission()))
    assert one == json.dumps(manifest.build_manifest(parse_train_config(EXAMPLE), submission()))


def test_a_job_carries_its_run_commit_and_plan() -> None:
    built = job()
    meta = built["metadata"]
    assert meta["labels"][keys.COMMIT] == COMMIT
    assert meta["labels"][keys.PLAN_ID] == "f" * 32
    assert meta["labels"][keys.RUN_ID] == "e" * 32
    assert meta["annotations"][keys.GIT_BRANCH] == "feature/v1.2"
    assert parse_train_config(meta["annotations"][keys.CONFIG]) == config()
    assert keys.PARENT not in meta["annotations"]
    assert built["spec"]["template"]["metadata"]["labels"][keys.RUN_ID] == "e" * 32
    assert env(trainer(built)) == {
        "MLFLOW_RUN_ID": "e" * 32,
        "MLFLOW_EXPERIMENT_ID": "7",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    }
    assert trainer(built)["workingDir"] == "/workspace"


def test_without_a_run_nothing_points_to_one() -> None:
    built = job(run_id=None, experiment_id=None, experiment=None, tracking_uri=None)
    assert env(trainer(built)) == {}
    assert keys.RUN_ID not in built["metadata"]["labels"]


def test_the_url_and_commit_are_environment_not_script() -> None:
    built = job(git_url="https://h/$(id);`id`")
    clone = built["spec"]["template"]["spec"]["initContainers"][0]
    assert clone["command"] == ["sh", "-c", CLONE_SCRIPT]
    assert env(clone)["MCP_GIT_COMMIT"] == COMMIT
    assert "$(" not in CLONE_SCRIPT  # A kubelet would read it as its own variable.
    assert "$$" not in CLONE_SCRIPT


def test_what_a_kubelet_expands_is_escaped() -> None:
    built = job("", BASE.replace("[python, train.py]", "'echo $(HOME) $$ ${X} $5 $(date +%s)'"))
    assert trainer(built)["command"][2] == "echo $$(HOME) $$$ ${X} $5 $(date +%s)"
    assert env(trainer(job("env: {A: 'x$(B)'}\n")))["A"] == "x$$(B)"


@pytest.mark.parametrize(
    ("command", "extra", "built"),
    [
        ("[python, t.py]", "parameters: {lr: 1e-4, b: -1}",
         ["python", "t.py", "--lr=1e-4", "--b=-1"]),
        ("python t.py", "parameters: {lr: 0.1}",
         ["sh", "-c", 'python t.py "$@"', "sh", "--lr=0.1"]),
        ("'python t.py \"$@\"; echo ok'", "parameters: {lr: 0.1}",
         ["sh", "-c", 'python t.py "$@"; echo ok', "sh", "--lr=0.1"]),
        ("python t.py", "", ["sh", "-c", "python t.py"]),
        ("python t.py", "parameters: {lr: 0.1}\nparameters_as: none", ["sh", "-c", "python t.py"]),
        ("[a]", "parameters: {lr: 0.1}\nparameters_as: env", ["a"]),
    ],
)  # fmt: skip
def test_parameters_reach_the_command(command: str, extra: str, built: list[str]) -> None:
    base = BASE.replace("[python, train.py]", command)
    assert trainer(job(extra + "\n", base))["command"] == built


def test_parameters_as_environment() -> None:
    variables = env(trainer(job("parameters: {learning-rate: 0.1}\nparameters_as: env\n")))
    assert variables["PARAM_LEARNING_RATE"] == "0.1"


def test_resources_are_requests_and_limits_but_cpu() -> None:
    text = "resources: {cpu: 1.5, memory: 4Gi, accelerators: {nvidia.com/gpu: 2}}\n"
    assert trainer(job(text))["resources"] == {
        "requests": {"cpu": "1500m", "memory": "4Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "2"},
    }
    assert "resources" not in trainer(job())
    assert trainer(job("resources: {cpu: 0.00101, cpu_limit: 2}\n"))["resources"] == {
        "requests": {"cpu": "2m"},
        "limits": {"cpu": "2"},
    }


def test_one_node_is_a_plain_job() -> None:
    spec = job()["spec"]
    assert (spec["completionMode"], spec["completions"], spec["backoffLimit"]) == (
        "NonIndexed",
        1,
        0,
    )
    assert "suspend" not in spec
    assert "subdomain" not in spec["template"]["spec"]
    assert manifest.build_service(config(), submission(), uid="u") is None


def test_several_nodes_are_an_indexed_job_with_what_torchrun_reads() -> None:
    text = "nodes: 3\nenv: {MASTER_PORT: 1234}\n"
    built = job(text)
    assert built["spec"]["completionMode"] == "Indexed"
    assert built["spec"]["parallelism"] == built["spec"]["completions"] == 3
    variables = env(trainer(built))
    assert variables["WORLD_SIZE"] == variables["PET_NNODES"] == "3"
    assert variables["MASTER_ADDR"] == "b-abc123-0.b-abc123"
    assert variables["MASTER_PORT"] == "1234"
    assert "job-completion-index" in variables["RANK"]["fieldRef"]["fieldPath"]
    service = manifest.build_service(config(text), submission(), uid="u1")
    assert service is not None
    assert built["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert service["spec"]["publishNotReadyAddresses"] is True


def test_a_queue_suspends_and_labels() -> None:
    built = job("queue: team-a\nqueue_priority: high\npriority: low\ndeadline: 4h\nttl: 1d\n")
    assert built["spec"]["suspend"] is True
    assert built["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert built["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "high"
    assert built["spec"]["template"]["spec"]["priorityClassName"] == "low"
    assert built["spec"]["activeDeadlineSeconds"] == 14_400
    assert built["spec"]["ttlSecondsAfterFinished"] == 86_400


def test_disruptions_do_not_count_unless_asked() -> None:
    assert job()["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert "podFailurePolicy" not in job("on_disruption: fail\n")["spec"]


def test_credentials_come_from_the_secret_and_only_to_the_clone() -> None:
    base = BASE.replace('git"}', 'git", secret: git-creds}')
    built = job("", base)
    clone = env(built["spec"]["template"]["spec"]["initContainers"][0])
    assert clone["GIT_PASSWORD"] == {"secretKeyRef": {"name": "git-creds", "key": "password"}}
    assert clone["MCP_GIT_CREDENTIAL_KEY"] == "credential.https://git.example.com.helper"
    assert "GIT_PASSWORD" not in env(trainer(built))


def test_an_ssh_key_is_mounted_in_the_clone_only() -> None:
    base = BASE.replace("https://git.example.com/", "git@git.example.com:").replace(
        'git"}', 'git", secret: key, auth: ssh}'
    )
    built = job("", base)
    pod = built["spec"]["template"]["spec"]
    assert {"name": "git-ssh", "secret": {"secretName": "key", "defaultMode": 256}} in pod[
        "volumes"
    ]
    assert [m["name"] for m in pod["initContainers"][0]["volumeMounts"]] == ["workspace", "git-ssh"]
    assert [m["name"] for m in pod["containers"][0]["volumeMounts"]] == ["workspace"]


def test_placement_and_path() -> None:
    base = BASE.replace('git"}', 'git", path: training/x}')
    text = "service_account: sa\nnode_selector: {gpu: a100}\ntolerations: [{operator: Exists}]\n"
    built = job(text, base)
    pod = built["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "sa"
    assert pod["nodeSelector"] == {"gpu": "a100"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert trainer(built)["workingDir"] == "/workspace/training/x"
    assert "serviceAccountName" not in job()["spec"]["template"]["spec"]


def test_names_are_short_legal_and_the_same_for_the_same_plan() -> None:
    for url in ("https://h/" + "X" * 100 + ".git", "git@h:1.2", "https://h/--/", "https://h/ü"):
        name = manifest.job_name(
            config("", BASE.replace("https://git.example.com/a/b.git", url)), "p"
        )
        assert len(name) <= manifest.MAX_NAME
        manifest.build_manifest(config(), submission(name=name))
    named = config("name: churn\n")
    assert manifest.job_name(named, "p1") == manifest.job_name(named, "p1")
    assert manifest.job_name(named, "p1") != manifest.job_name(named, "p2")
    assert manifest.job_name(named, "p1").startswith("churn-")


@pytest.mark.parametrize(
    "over",
    [
        {"commit": "main"},
        {"commit": "0" * 39},
        {"name": "X"},
        {"name": "a" * 53},
        {"name": "1a"},
        {"name": "a\x1b[2J"},
    ],
)
def test_what_is_no_commit_or_name_is_refused(over: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        manifest.build_manifest(config(), submission(**over))
    assert "\x1b" not in caught.value.line()


def test_too_many_annotation_bytes_are_refused() -> None:
    big = config()
    text = {f"k{i}": "x" * 8_000 for i in range(20)}
    manifest.build_job(big, submission())
    with pytest.raises(UsageError, match="annotations have"):
        manifest.build_job(msgspec.structs.replace(big, annotations=text), submission())


def test_a_sha256_repository_gets_a_legal_label_and_its_whole_commit() -> None:
    built = job(commit="a" * 64)
    assert len(built["metadata"]["labels"][keys.COMMIT]) == 63
    clone = built["spec"]["template"]["spec"]["initContainers"][0]
    assert env(clone)["MCP_GIT_COMMIT"] == "a" * 64


def test_a_trainjob_names_its_runtime_and_clones_in_the_trainer() -> None:
    text = "runtime: torch-distributed\nnodes: 2\nqueue: q\nretries: 1\nresources: {cpu: 1}\n"
    text += "node_selector: {a: b}\nparameters: {lr: 1}\n"
    built = manifest.build_manifest(config(text), submission())
    assert built["kind"] == "TrainJob"
    assert built["spec"]["runtimeRef"]["name"] == "torch-distributed"
    part = built["spec"]["trainer"]
    assert part["command"] == [
        "sh",
        "-c",
        TRAINJOB_SCRIPT,
        "trainer",
        "python",
        "train.py",
        "--lr=1",
    ]
    assert part["numNodes"] == 2
    assert part["resourcesPerNode"] == {"requests": {"cpu": "1"}}
    assert built["spec"]["suspend"] is True
    assert built["spec"]["podSpecOverrides"][0]["nodeSelector"] == {"a": "b"}
    said = " ".join(manifest.warnings(config(text), "https://h/x"))
    assert "needs git and sh" in said
    assert "cannot carry retries" in said


def test_warnings_say_what_may_surprise() -> None:
    assert manifest.warnings(config(), "https://h/x") == ()
    assert "file://" in manifest.warnings(config(), "file:///x")[0]


# --- the scripts, run for real


def git(cwd: Path, *args: str) -> str:
    base = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    who = {
        f"GIT_{w}_{k}": "a@example.com" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", *args], cwd=cwd, env=os.environ | base | who, check=True, capture_output=True
    )
    return done.stdout.decode().strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    path = tmp_path / "repo"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    (path / "sub").mkdir()
    for text in ("one", "two"):
        (path / "sub" / "f").write_text(text)
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", text)
    return path


def run(script: str, repo: Path, commit: str, work: Path, *args: str, **env: str) -> Any:
    work.mkdir(exist_ok=True)
    full = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(work.parent),
        "MCP_GIT_URL": f"file://{repo}",
        "MCP_GIT_COMMIT": commit,
        **env,
    }
    return subprocess.run(
        ["sh", "-c", script, "trainer", *args], cwd=work, env=full, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip


def test_the_clone_checks_out_exactly_that_commit_and_again(repo: Path, tmp_path: Path) -> None:
    first = git(repo, "rev-parse", "HEAD~1")
    for _ in range(2):  # A restarted pod finds the directory half-filled.
        done = run(CLONE_SCRIPT, repo, first, tmp_path / "w")
        assert done.returncode == 0, done.stderr
        assert f"at {first}" in done.stdout
        assert (tmp_path / "w/sub/f").read_text() == "one"
        (tmp_path / "w/sub/f").write_text("spoilt")
    assert git(tmp_path / "w", "rev-parse", "HEAD") == first
    assert git(tmp_path / "w", "rev-list", "--count", "HEAD") == "1"
    assert not list(tmp_path.glob("tmp.*"))  # Its home, where credentials were, is gone.


def test_a_server_that_forbids_single_commits_gets_a_full_fetch(repo: Path, tmp_path: Path) -> None:
    first = git(repo, "rev-parse", "HEAD~1")
    home = tmp_path / "etc"
    home.write_text("[protocol]\nversion = 0\n")  # Protocol 0 serves tips only.
    done = run(CLONE_SCRIPT, repo, first, tmp_path / "w", GIT_CONFIG_SYSTEM=str(home))
    assert done.returncode == 0, done.stderr
    assert "fetching all branches" in done.stderr
    assert (tmp_path / "w/sub/f").read_text() == "one"


def test_a_commit_that_is_not_there_fails_with_words(repo: Path, tmp_path: Path) -> None:
    done = run(CLONE_SCRIPT, repo, "0" * 40, tmp_path / "w")
    assert done.returncode != 0
    assert "fetching all branches" in done.stderr


def test_the_trainjob_wrapper_runs_the_command_in_the_code(repo: Path, tmp_path: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    done = run(
        TRAINJOB_SCRIPT, repo, head, tmp_path / "w", "sh", "-c", 'cat f; echo " $1"', "x", "a b",
        MCP_CODE_PATH="sub",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("two a b\n")
    failed = run(TRAINJOB_SCRIPT, repo, "0" * 40, tmp_path / "w", "true", MCP_CODE_PATH=".")
    assert failed.returncode != 0
