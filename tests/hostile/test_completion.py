"""Completing a context's name runs nothing that stands in a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.hostile.texts import ATTACKS, unsafe, whole

RUNS = ("$(touch pwned)", "`touch pwned`", "a;touch pwned", "a|touch pwned", "${x:=$(touch pwned)}")


def test_no_name_of_a_context_is_run_or_offered_when_it_could_be(tmp_path: Path) -> None:
    names = ["prod", "arn:aws:eks:eu-1:1:cluster/gpu", *RUNS, *map(whole, ATTACKS)]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u"}}
            for name in dict.fromkeys(filter(str.strip, names))
        ],
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    program = tmp_path / "mcp-tui"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mcp_tui "$@"\n')
    program.chmod(0o700)
    env = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "KUBECONFIG": str(kubeconfig),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["bash", "-c", 'eval "$(mcp-tui completion bash)"; x=($(_mcp_tui_contexts "")); '
         'printf "%s\\n" "${x[@]}"'],
        cwd=tmp_path, env=env, capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    offered = done.stdout.decode().splitlines()
    assert {"prod", "arn:aws:eks:eu-1:1:cluster/gpu"} <= set(offered)
    assert not (tmp_path / "pwned").exists(), "a name was run"
    assert not any(set(each) & set("$`;|&<>(){}*?!'") or unsafe(each) for each in offered)
