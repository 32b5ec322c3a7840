"""The files of a demo: kubeconfig, configuration, train config, Prometheus' settings.

All are readable by their owner only and name nothing outside the demo's directory but loopback.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

CONTEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("admin", "dev"),
    "demo-operator": ("operator", "dev"),
    "demo-viewer": ("viewer", "dev"),
    "demo-nowatch": ("nowatch", "dev"),
    "demo-prod": ("operator", "prod"),
    "demo-prod-lead": ("admin", "prod"),
}
"""Context -> the role it acts as, and the tier it is taken for. All lead to one server."""

NAMESPACE: Final = "ml"
GATES: Final = (
    "f1_macro >= 0.95",
    "no class recall drops by more than 0.03",
    "latency_p99_ms <= 40",
    "model_size_mb <= 2",
)
"""What a model of the demo must keep to be promoted."""
APPROVAL: Final = '{name = "ml-lead", people = ["admin"]}'
"""Who must have approved it in production: whom context ``demo-prod-lead`` acts as."""
GET_PROMETHEUS: Final = (
    "not found on PATH or in the cache: the demo goes on without; `make cluster` builds one"
)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, in one step. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(path)


def kubeconfig(server: str, ca: Path, tokens: Mapping[str, str]) -> str:
    """The text of the demo's kubeconfig (JSON, which is YAML)."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "demo",
        "clusters": [
            {"name": "demo", "cluster": {"server": server, "certificate-authority": str(ca)}}
        ],
        "users": [
            {"name": name, "user": {"token": tokens[role]}} for name, (role, _) in CONTEXTS.items()
        ],
        "contexts": [
            {"name": name, "context": {"cluster": "demo", "user": name, "namespace": NAMESPACE}}
            for name in CONTEXTS
        ],
    }
    return json.dumps(document, indent=1)


def config(mlflow: str, prometheus: str) -> str:
    """The text of mcp-tui's configuration; an empty URL leaves Prometheus out."""
    lines = ["# Written by mcp-tui demo.", "gates = ["]
    lines += [f"  {json.dumps(gate)}," for gate in GATES]
    lines.append("]")
    lines += ["", "[approvals.prod]", f"levels = [{APPROVAL}]"]
    for name, (_, tier) in CONTEXTS.items():
        lines += ["", f"[contexts.{name}]", f'tier = "{tier}"', f'mlflow = "{mlflow}"']
        if prometheus:
            lines.append(f'prometheus = "{prometheus}"')
    return "\n".join(lines) + "\n"


def repository_url(directory: Path) -> str:
    """The demo's Git repository as ``file://`` URL."""
    return "file://" + quote(str(directory / "repo"))


def train_config(directory: Path) -> str:
    """A train config that really runs in the demo."""
    return f"""\
# A training job that really runs here: it takes about a minute.
# Submit it with s in the console, or from another terminal:
#   mcp-tui job submit --config train-config.yaml --git-branch feature/v1.2 --watch --logs
name: ranker-mine                # a few characters are added, so that it is unique
image: ghcr.io/acme/trainer:2.4  # not pulled: the demo's node runs the command itself
code:
  url: {repository_url(directory)}
  ref: feature/v1.2              # resolved to a commit when it is submitted
command: [python3, train.py]
parameters:                      # --lr=0.003 and so on; also in the run
  lr: 0.003
  batch_size: 256
  steps: 60
total_steps: 60                  # for the progress bar
resources:
  cpu: 500m
  memory: 512Mi
retries: 1
deadline: 10m
experiment: ranker
"""


def find_prometheus(env: Mapping[str, str]) -> str:
    """The newest Prometheus in the cache where ``make cluster`` puts one, or that on PATH.

    Returns:
        Its path; empty where there is none.
    """
    base = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".cache")
    found = sorted(
        (p for p in Path(base, "mcp-tui").glob("prometheus*/bin/prometheus") if p.is_file()),
        key=lambda p: p.stat().st_mtime,
    )
    on_path = shutil.which("prometheus", path=env.get("PATH"))
    return on_path or (str(found[-1]) if found else "")


def prometheus_settings(port: int) -> str:
    """The text of Prometheus' configuration: it looks at itself."""
    target = {"targets": [f"127.0.0.1:{port}"]}
    scrapes = [{"job_name": "prometheus", "static_configs": [target]}]
    return json.dumps({"global": {"scrape_interval": "15s"}, "scrape_configs": scrapes})


def answers(url: str) -> bool:
    """Whether a server on loopback answers a GET with success."""
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2.0) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False
