"""A retry's changes as the fields of a form, and back. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from mcp_tui.actions.asked import Asked
from mcp_tui.actions.renew import Changes
from mcp_tui.domain import quantity
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import seconds
from mcp_tui.errors import UsageError
from mcp_tui.tui.model import FormField

_DURATION = re.compile(r"(?=[0-9])([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,9}s?)?")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_STAYS = "image, code and parameters stay as they are: s submits with others"


def retry_fields(now: Asked, *, killed: bool) -> list[FormField]:
    """The fields of a retry.

    Args:
        now: What the job has.
        killed: It ran out of memory: more is advised, and never filled in by itself.
    """
    memory = f"for each node, such as 128Gi; {_STAYS}"
    amount = quantity.parse(now.memory[0]) if now.memory else None
    if killed and amount:
        twice = quantity.format_bytes(amount * 2)
        memory = f"it ran out of memory with {clean_line(now.memory[0])}: twice that is {twice}"
    fixed = "" if now.limited else "a job of this kind takes none of its own"
    return [
        _quantity("memory", now.memory, memory),
        _quantity("cpu", now.cpu, "for each node, such as 8 or 500m"),
        FormField(
            "deadline",
            "deadline",
            "" if now.deadline is None else duration(now.deadline),
            "the job is failed after this long, such as 4h or 1d12h; empty for none",
            fixed,
        ),
        FormField(
            "retries",
            "retries",
            "" if now.retries is None else str(now.retries),
            "failed pods that are replaced before the job fails",
            fixed,
        ),
        FormField(
            "env",
            "environment",
            "",
            "variables to set, such as LR=0.01 NOTE='two words'; the others stay",
        ),
    ]


def _quantity(name: str, found: Sequence[str], hint: str) -> FormField:
    shown = [clean_line(text, limit=40) for text in found]
    if len(shown) > 1:
        # Kinds of pods that differ: what is typed is for all of them.
        return FormField(name, name, "", f"its pods have {', '.join(shown)}; a value is for all")
    return FormField(name, name, shown[0] if shown else "", hint)


def duration(whole: int) -> str:
    """Seconds as a train config writes them: ``1d12h``."""
    text = ""
    for unit, size in _UNITS:
        if whole >= size:
            text += f"{whole // size}{unit}"
            whole %= size
    return text or "0s"


def changed(texts: Mapping[str, str]) -> Changes:
    """Changes as typed, such as ``memory: 128Gi``.

    Raises:
        UsageError: What cannot be changed, or is no such value; ``where`` names it.
    """
    known = {"memory", "cpu", "deadline", "retries", "env"}
    unknown = sorted(set(texts) - known)
    if unknown:
        hint = f"known: {', '.join(sorted(known))}"
        raise UsageError(f"{clean_line(unknown[0])!r} cannot be changed", hint=hint)
    for name in ("memory", "cpu"):
        text = texts.get(name)
        if text is not None and not (quantity.parse(text) or 0) > 0:
            hint = "such as 128Gi" if name == "memory" else "such as 8 or 500m"
            raise UsageError(f"{_shown(text)} is no quantity", where=name, hint=hint)
    return Changes(
        memory=texts.get("memory"),
        cpu=texts.get("cpu"),
        deadline=_deadline(texts["deadline"]) if "deadline" in texts else None,
        retries=_whole(texts["retries"]) if "retries" in texts else None,
        env=_variables(texts.get("env", "")),
    )


def differences(now: Asked, made: Changes) -> list[str]:
    """What is changed, in one line; none where nothing is."""
    parts = []
    for name, new in (("memory", made.memory), ("cpu", made.cpu)):
        if new is not None:
            old = ", ".join(getattr(now, name)) or "none"
            parts.append(f"{name} {clean_line(old, limit=80)} > {clean_line(new, limit=40)}")
    if made.deadline is not None:
        old = "none" if now.deadline is None else duration(now.deadline)
        parts.append(f"deadline {old} > {duration(made.deadline) if made.deadline else 'none'}")
    if made.retries is not None:
        old = "the default" if now.retries is None else str(now.retries)
        parts.append(f"retries {old} > {made.retries}")
    if made.env:
        parts.append(f"sets {clean_line(', '.join(made.env), limit=200)}")
    return ["changes " + "; ".join(parts)] if parts else []


def _shown(text: str) -> str:
    return repr(clean_line(text, limit=60))


def _deadline(text: str) -> int:
    if not text:
        return 0
    if _DURATION.fullmatch(text) is None:
        hint = "such as 4h or 1d12h; empty for none"
        raise UsageError(f"{_shown(text)} is no duration", where="deadline", hint=hint)
    return seconds(text if text[-1] in "dhms" else f"{text}s")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{_shown(text)} is no whole number", where="retries")
    return int(text)


def _variables(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError:
        raise UsageError("a quote is not closed", where="env") from None
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
            raise UsageError(f"{_shown(word)} is not NAME=value", where="env")
        found[name] = value
    return found
