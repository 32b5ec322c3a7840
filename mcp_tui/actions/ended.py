"""How a job ended, of any kind, from the object as the API server has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def finished(obj: Mapping[str, Any]) -> str:
    """The word for how a job ended (``complete``, ``failed``); empty while it has not."""
    status = obj.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") in ("Complete", "Completed", "Succeeded"):
            return "complete"
        if condition.get("type") == "Failed":
            return "failed"
    # A RayJob has no conditions; its deployment can fail before a job of Ray's exists.
    words = (str(status.get("jobStatus") or ""), str(status.get("jobDeploymentStatus") or ""))
    if words[0] == "SUCCEEDED" or words[1] == "Complete":
        return "failed" if words[0] in ("FAILED", "STOPPED") else "complete"
    return "failed" if words[1] == "Failed" or words[0] in ("FAILED", "STOPPED") else ""
