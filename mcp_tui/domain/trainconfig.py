"""``train-config.yaml``: what a training job is made from.

One table of fields (:mod:`mcp_tui.domain.trainfields`) reads the file, publishes the JSON Schema
and documents each field. What is not given has the defaults of the structs.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

from mcp_tui.domain import yamlmarks as ym
from mcp_tui.domain.keys import TOTAL_STEPS
from mcp_tui.domain.trainfields import (
    RECORD,
    Code,
    Data,
    Resources,
    SecretRef,
    Toleration,
    TrainConfig,
)
from mcp_tui.domain.yamlmarks import ConfigError

__all__ = [
    "EXAMPLE",
    "Code",
    "ConfigError",
    "Data",
    "Resources",
    "SecretRef",
    "Toleration",
    "TrainConfig",
    "dump",
    "json_schema",
    "param_env",
    "parse_train_config",
    "seconds",
]


def parse_train_config(text: str | bytes, *, filename: str = "train-config.yaml") -> TrainConfig:
    """Read a train config.

    Args:
        text: The file's content; bytes are decoded as UTF-8.
        filename: How the file is called in messages.

    Raises:
        ConfigError: Every fault found, each with its line and column.
    """
    if isinstance(text, bytes):
        text = ym.decode(text, filename=filename)
    root, problems = ym.load(text, filename=filename)

    def report(mark: ym.Mark, message: str, hint: str) -> None:
        problems.append(ym.Problem(mark, message, hint))

    config = RECORD.read(root, "", report)
    if isinstance(config, TrainConfig):
        for field, message, hint in _conflicts(config):
            report(_place(root, field), message, hint)
    if problems:
        raise ConfigError(filename, problems)
    assert isinstance(config, TrainConfig)
    return config


def _conflicts(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Rules over several fields: (field, message, hint)."""
    out = []
    if config.kind == "trainjob" and not config.runtime:
        out.append(("kind", "`kind: trainjob` needs `runtime`", "name a training runtime"))
    if config.kind == "job" and config.runtime:
        out.append(("runtime", "`runtime` is for a TrainJob", "remove it or `kind: job`"))
    both = sorted(set(config.env) & set(config.secrets))
    if both:
        out.append(("secrets", f"`{both[0]}` is in `env` and in `secrets`", "keep one"))
    if config.total_steps is not None and TOTAL_STEPS in config.parameters:
        message = "`total_steps` is also one of `parameters`"
        out.append(("total_steps", message, "keep the parameter"))
    for field in ("deadline", "ttl"):
        value = getattr(config, field)
        if value and seconds(value) > 2**31 - 1:
            out.append((field, f"`{field}` is longer than 68 years", ""))
    if config.deadline and seconds(config.deadline) == 0:
        out.append(("deadline", "`deadline` must be longer than nothing", ""))
    if config.parameters_as == "env":
        names = [param_env(name) for name in config.parameters]
        twice = sorted({n for n in names if names.count(n) > 1 or n in config.env})
        if twice:
            out.append(("parameters", f"two values for the variable {twice[0]}", "rename one"))
    out += _code_conflicts(config)
    for toleration in config.tolerations:
        if not toleration.key and toleration.operator != "Exists":
            out.append(("tolerations", "a toleration without `key` needs `operator: Exists`", ""))
        if toleration.operator == "Exists" and toleration.value:
            out.append(("tolerations", "`operator: Exists` takes no `value`", ""))
    return out


def _code_conflicts(config: TrainConfig) -> list[tuple[str, str, str]]:
    out = []
    code = config.code
    over_ssh = code.url.startswith("ssh://") or "://" not in code.url
    if code.secret and code.auth == "basic" and not code.url.startswith("http"):
        message = "`auth: basic` is for http(s) URLs"
        hint = "for ssh give `auth: ssh` and a kubernetes.io/ssh-auth Secret"
        out.append(("code", message, hint))
    if code.secret and code.auth == "ssh" and not over_ssh:
        out.append(("code", "`auth: ssh` needs an ssh URL", "write ssh:// or user@host:path"))
    if isinstance(config.command, str) and config.parameters and config.parameters_as == "args":
        last = config.command.rstrip().rpartition("\n")[2]
        if "$@" not in config.command and re.search(r"(^|\s)#", last):
            message = "the parameters would be added after a comment"
            out.append(("command", message, 'write "$@" where they belong'))
    return out


def _place(root: ym.Mapping, field: str) -> ym.Mark:
    return next((key.mark for key, _ in root.items if key.text == field), root.mark)


def param_env(name: str) -> str:
    """Environment variable of a parameter under ``parameters_as: env``."""
    return "PARAM_" + re.sub(r"[^A-Za-z0-9_]", "_", name).upper()


_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def seconds(duration: str) -> int:
    """Seconds of a checked duration such as ``1d12h`` or ``90m``."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)([dhms])", duration))


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file, for editors.

    It says what one field may hold; rules over several fields are in the descriptions.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "train-config.yaml",
        "description": "A training job for mcp-tui",
        **RECORD.schema(),
    }


class _Dumper(yaml.SafeDumper):
    """Blocks of text stay readable."""


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(config: TrainConfig) -> str:
    """YAML that :func:`parse_train_config` reads back to an equal config."""
    plain = msgspec.to_builtins(config)
    order = [name for name in RECORD.names if name in plain]
    return yaml.dump(
        {name: plain[name] for name in order},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )


EXAMPLE: Final = """\
# A training job for `mcp-tui job submit --config train-config.yaml --git-branch my-branch`.
# Only image, code.url and command are required.

name: churn                      # start of the job's name; a few characters are added
image: python:3.11-slim          # the command runs in this image

code:                            # cloned at one commit, so that a restarted pod runs the same
  url: https://git.example.com/team/churn.git
  ref: main                      # branch, tag or full commit; --git-branch overrides it
  # path: training               # subdirectory to run in
  # secret: git-credentials      # for a private repository: a kubernetes.io/basic-auth Secret
  # auth: ssh                    # ... or a kubernetes.io/ssh-auth one, with an ssh URL

command: python train.py         # text is given to `sh -c`; a list is run as it is
parameters:                      # tags of the run, and added as --learning-rate=0.001 ...
  learning-rate: 0.001
  epochs: 20
parameters_as: args              # args, env (PARAM_LEARNING_RATE) or none

env:
  LOG_LEVEL: info
# secrets:                       # environment from Secrets
#   API_TOKEN: {secret: training, key: token}

nodes: 1                         # over 1: RANK, WORLD_SIZE, MASTER_ADDR for torchrun
resources:                       # for each node
  cpu: 2
  memory: 4Gi
  # accelerators: {nvidia.com/gpu: 1}

# queue: team-a                  # Kueue LocalQueue
# priority: batch-low            # PriorityClass
retries: 0                       # failed pods that are replaced before the job fails
deadline: 4h                     # the job is failed after this long
ttl: 7d                          # the finished job is deleted after this long

experiment: churn                # MLflow experiment
total_steps: 2000                # for the progress bar
# data:
#   - {name: customers, digest: 9f2c1e, source: s3://data/customers/2026-11}
"""
