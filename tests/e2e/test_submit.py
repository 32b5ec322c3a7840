"""``job submit --watch`` from a config and a branch to an exit code that a script can trust."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from tests.e2e.conftest import Stage, interrupt, wait_for

BRANCH = ("--git-branch", "feature/v1.2")


def head(stage: Stage) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "feature/v1.2"],
        cwd=stage.directory / "repo",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_from_config_and_branch_to_done(stage: Stage) -> None:
    config = stage.config(total_steps=3)
    done = stage.run("job", "submit", "--config", str(config), *BRANCH, "--watch", "--logs")
    assert done.code == 0, done.err + done.out
    assert f"feature/v1.2 is commit {head(stage)}" in done.err
    assert "step 3" in done.out and "100%" in done.out
    [job] = stage.jobs()
    assert job["metadata"]["labels"]["mcp-tui.io/commit"] == head(stage)
    run = stage.run_of(job)
    assert {p["key"]: p["value"] for p in run["data"]["params"]} == {
        "lr": "1e-3",
        "total_steps": "3",
    }
    [loss] = run["data"]["metrics"]
    assert (loss["key"], loss["step"]) == ("loss", 3)
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert tags["mcp-tui.uid"] == job["metadata"]["uid"]
    assert tags["mcp-tui.name"] == job["metadata"]["name"]
    assert tags["mlflow.source.git.commit"] == head(stage)
    assert run["info"]["status"] == "FINISHED"


def test_a_failure_says_its_cause_and_keeps_it_in_the_run(stage: Stage) -> None:
    config = stage.config(parameters={"steps": 1, "fail": 3})
    done = stage.run("job", "submit", "--config", str(config), *BRANCH, "--watch")
    assert done.code == 1, done.err + done.out
    assert "exit 3" in done.err.splitlines()[-1]
    run = stage.run_of(stage.jobs()[0])
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}
    assert json.loads(tags["mcp-tui.cause"])["exit_code"] == 3
    # The program died without a word to MLflow, so the console that follows it ends its run.
    assert run["info"]["status"] == "FAILED"


def test_out_of_memory_is_named_with_its_limit(stage: Stage) -> None:
    config = stage.config(
        parameters={"steps": 1, "eat": 400}, resources={"cpu": "50m", "memory": "128Mi"}
    )
    done = stage.run("job", "submit", "--config", str(config), *BRANCH, "--watch")
    assert done.code == 1, done.err + done.out
    assert "OOMKilled" in done.err and "128Mi" in done.err


def test_deleted_by_somebody_else(stage: Stage) -> None:
    config = stage.config(parameters={"steps": 1000, "pause": 0.1})
    following = stage.start("job", "submit", "--config", str(config), *BRANCH, "--watch")
    job = wait_for(lambda: next((j for j in stage.jobs() if j["status"].get("ready")), None))
    with stage.api() as client:
        path = f"/apis/batch/v1/namespaces/{stage.namespace}/jobs/{job['metadata']['name']}"
        client.request("DELETE", path, json={"propagationPolicy": "Background"}).raise_for_status()
    out, err = following.communicate(timeout=60)
    assert following.returncode == 5, out + err
    assert "deleted by somebody else" in err


def test_interrupted_the_job_goes_on(stage: Stage) -> None:
    config = stage.config(parameters={"steps": 1000, "pause": 0.1})
    following = stage.start("job", "submit", "--config", str(config), *BRANCH, "--watch")
    wait_for(lambda: next((j for j in stage.jobs() if j["status"].get("ready")), None))
    code, _, err = interrupt(following)
    assert code == 130
    [job] = stage.jobs()
    assert f"job show {job['metadata']['name']} --watch" in err
    assert "deletionTimestamp" not in job["metadata"]
    again = stage.start("job", "show", job["metadata"]["name"], "--watch")
    assert again.stdout is not None
    assert "running" in again.stdout.readline()
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=30)
    assert again.returncode == 130


def test_a_suspended_job_is_said_and_waited_for(stage: Stage) -> None:
    config = stage.config(parameters={"steps": 40, "pause": 0.1})
    following = stage.start("job", "submit", "--config", str(config), *BRANCH, "--watch")
    job = wait_for(lambda: next((j for j in stage.jobs() if j["status"].get("ready")), None))
    name = job["metadata"]["name"]
    held = stage.run("job", "suspend", name)
    assert held.code == 0, held.err
    assert following.stdout is not None
    said = ""
    while "suspended" not in said:
        said = following.stdout.readline()
        assert said, "ended without saying that it is suspended"
    assert stage.run("job", "resume", name).code == 0
    out, err = following.communicate(timeout=120)
    assert following.returncode == 0, out + err


def test_a_plan_is_shown_and_nothing_sent(stage: Stage) -> None:
    config = stage.config()
    done = stage.run("job", "submit", "--config", str(config), *BRANCH, "--dry-run", "-o", "json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert [w["system"] for w in plan["writes"]].count("kubernetes") == 1
    assert not plan["blocked"]
    assert stage.jobs() == []
    text = stage.run("job", "submit", "--config", str(config), *BRANCH, "--dry-run")
    assert "dry run accepted by the server" in text.out
    assert stage.jobs() == []


def test_what_is_wrong_is_said_and_nothing_made(stage: Stage, tmp_path: Path) -> None:
    config = str(stage.config())
    nope = stage.run("job", "submit", "--config", config, "--git-branch", "nope")
    assert (nope.code, "feature/v1.2, main" in nope.err) == (2, True), nope.err
    missing = stage.run("job", "submit", "--config", str(tmp_path / "none.yaml"))
    assert (missing.code, "job init" in missing.err) == (2, True)
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: a\nimage: b\nimagee: c\n")
    wrong = stage.run("job", "submit", "--config", str(bad))
    assert wrong.code == 2 and "bad.yaml:3:1" in wrong.err, wrong.err
    secret = tmp_path / "secret.yaml"
    secret.write_text(
        "image: b\ncommand: c\ncode: {url: 'https://bob:hunter2@example.org/x.git'}\n"
    )
    leak = stage.run("job", "submit", "--config", str(secret))
    assert leak.code == 2 and "hunter2" not in leak.err + leak.out
    read_only = stage.run("--read-only", "job", "submit", "--config", config, *BRANCH)
    assert (read_only.code, "read-only" in read_only.err) == (3, True)
    assert stage.jobs() == []


def test_without_mlflow_one_may_choose_to_go_on(stage: Stage) -> None:
    settings = stage.directory / "down.toml"
    settings.write_text(f'[contexts.{stage.context}]\ntier="dev"\nmlflow="http://127.0.0.1:9"\n')
    env = {"MCP_TUI_CONFIG": str(settings)}
    config = str(stage.config())
    refused = stage.run("job", "submit", "--config", config, *BRANCH, env=env)
    assert (refused.code, "--no-run" in refused.err) == (4, True), refused.err
    assert stage.jobs() == []
    done = stage.run("job", "submit", "--config", config, *BRANCH, "--no-run", "--watch", env=env)
    assert done.code == 0, done.err
    assert "mcp-tui.io/run-id" not in stage.jobs()[0]["metadata"]["labels"]


def test_a_prod_context_asks_and_without_a_terminal_needs_confirm(stage: Stage) -> None:
    settings = stage.directory / "prod.toml"
    settings.write_text(f'[contexts.{stage.context}]\ntier="prod"\nmlflow="{stage.mlflow}"\n')
    env = {"MCP_TUI_CONFIG": str(settings)}
    config = str(stage.config())
    args = ("job", "submit", "--config", config, *BRANCH, "--name", "shipped")
    asked = stage.run(*args, env=env)
    assert asked.code == 3 and f"--confirm {stage.context}/shipped" in asked.err, asked.err
    wrong = stage.run(*args, "--confirm", "shipped", env=env)
    assert wrong.code == 3
    assert stage.jobs() == []
    done = stage.run(*args, "--confirm", f"{stage.context}/shipped", env=env)
    assert done.code == 0, done.err
    assert [j["metadata"]["name"] for j in stage.jobs()] == ["shipped"]
