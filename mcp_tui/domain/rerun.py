"""A train config that makes a run again: its job's own where it is kept, else what tags tell."""

from __future__ import annotations

from typing import Any

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import dump, parse_train_config
from mcp_tui.errors import McpTuiError


def rerun_config(run: Run, *, kept: str = "", experiment: str = "", image: str = "") -> str:
    """A config for the submit editor; what is not known is said in its first lines.

    Args:
        run: The run.
        kept: The config that its job carries, if that is still there.
        experiment: The name of its experiment.
        image: The image of its job, if that is known.
    """
    commit = run.tags.get(keys.TAG_COMMIT, "")
    if kept:
        try:
            config = parse_train_config(kept, filename="annotation")
            pinned = msgspec.structs.replace(config.code, ref=commit or config.code.ref)
            return dump(msgspec.structs.replace(config, code=pinned))
        except McpTuiError:
            pass  # Written by another version: what the tags tell is left.
    return _told(run, commit, experiment, image)


def _told(run: Run, commit: str, experiment: str, image: str) -> str:
    import yaml

    tags = run.tags
    made = {k.removeprefix(keys.TAG_PARAM): v for k, v in tags.items()
            if k.startswith(keys.TAG_PARAM)}  # fmt: skip
    repo = tags.get(keys.TAG_REPO, "")
    missing = [
        name
        for name, known in (("image", image), ("code.url", repo), ("commit", commit))
        if not known
    ]
    said = f"# Run {clean_line(run.run_id, limit=32)} again. Its job's config is not kept"
    head = [f"{said}: command, resources and more are to be written."]
    if missing:
        head.append(f"# Not known of it: {', '.join(missing)}.")
    config: dict[str, Any] = {
        "name": clean_line(run.name, limit=40) or "rerun",
        "image": image,
        "code": {"url": repo, "ref": commit},
        "command": "",
        "parameters": made or {k: v for k, v in run.params.items() if k != keys.TOTAL_STEPS},
        "experiment": experiment,
    }
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=1000)
    return "\n".join(head) + "\n" + text
