"""Where a run is from: who, code, image, config and data, as its tags and inputs say."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mcp_tui.demo.experiments.catalog import Spec
from mcp_tui.demo.experiments.data import Data
from mcp_tui.demo.seed_repo import BRANCH
from mcp_tui.demo.stack_files import repository_url
from mcp_tui.domain import keys

_IMAGE: Final = "ghcr.io/acme/trainer"


def tags_of(directory: Path, spec: Spec, parent: str) -> dict[str, str]:
    """As a submission leaves them; where it is not traced, as a notebook does."""
    tags = {keys.TAG_USER: spec.user, "mlflow.source.name": "train.py"}
    tags[keys.TAG_PLAN_ID] = secrets.token_hex(16)
    if spec.note:
        tags["mlflow.note.content"] = spec.note
    if parent:
        tags[keys.TAG_PARENT_RUN] = parent
    if spec.status == "FAILED":
        tags[keys.TAG_CAUSE] = "ValueError: Input X contains NaN."
    if spec.status == "RUNNING":
        # Of a job that nobody finds any more.
        tags |= {
            keys.TAG_CLUSTER: "demo",
            keys.TAG_NAMESPACE: "ml",
            keys.TAG_KIND: "Job",
            keys.TAG_NAME: f"{spec.name}-{secrets.token_hex(3)}",
            keys.TAG_UID: "5b0f2d5e-0d6f-4f0e-9a3b-2f7f0f5d7c11",
        }
    if not spec.traced:
        tags["mlflow.source.name"] = "try.ipynb"
        return tags
    branch = BRANCH if spec.user == "eva" else "main"
    commit = commit_of(directory, branch)
    config = repr(sorted(spec.params.items())).encode()
    tags |= {
        "mlflow.docker.image.uri": f"{_IMAGE}:2.4",
        "mlflow.docker.image.id": f"sha256:{hashlib.sha256(_IMAGE.encode()).hexdigest()}",
        "mcp-tui.config-digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
        **{f"{keys.TAG_PARAM}{name}": str(value) for name, value in spec.params.items()},
    }
    if commit:
        tags |= {
            keys.TAG_COMMIT: commit,
            keys.TAG_BRANCH: branch,
            keys.TAG_REPO: repository_url(directory),
        }
    return tags


def commit_of(directory: Path, branch: str) -> str:
    """The commit of a branch of the demo's repository; empty where there is none (yet)."""
    try:
        return (directory / "repo" / ".git" / "refs" / "heads" / branch).read_text().strip()
    except OSError:
        return ""


def digests_logged(run: Mapping[str, Any]) -> str:
    """The digests of a run's data, as a promotion puts them on record."""
    inputs = (run.get("inputs") or {}).get("dataset_inputs") or ()
    return ", ".join(sorted({each["dataset"]["digest"] for each in inputs}))


def digests_of(data: Data) -> str:
    """The digests of a data set, likewise."""
    return ", ".join(sorted({data.training.digest, data.held_out.digest}))


def made_of(tags: Mapping[str, str], data: str) -> dict[str, str]:
    """What a run was made of, by the parts that a promotion names."""
    parts = {
        "commit": tags.get(keys.TAG_COMMIT, ""),
        "image": tags.get("mlflow.docker.image.id", ""),
        "config": tags.get("mcp-tui.config-digest", ""),
        "data": data,
    }
    return {part: value for part, value in parts.items() if value}
