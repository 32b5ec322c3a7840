"""Messages of schedulers, kubelets and controllers, shortened to what tells one case from another.

The wordings are those of Kubernetes, containerd, CRI-O and Kueue. A message in no known wording
passes through, its first line only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from mcp_tui.domain.cause_line import MESSAGE_LIMIT, shorten
from mcp_tui.domain.quantity import format_bytes, format_count, format_cpu
from mcp_tui.domain.text import clean_line, one_line

_INSUFFICIENT: Final = re.compile(r"Insufficient ([A-Za-z0-9./_-]+)")
_TAINT: Final = re.compile(r"had untolerated taints? ?\(?s?\)? ?\{([^}:]*)(?:: ?[^}]*)?\}")
_IMAGE: Final = re.compile(
    r'(?:pull(?:ing)?|resolve) (?:and unpack )?(?:image|reference) "([^"]+)"'
)
_EXEC: Final = re.compile(r"(exec: .*?|error mounting .*?|stat .*?)(?:: unknown)?$")
_ONLY_NAMES: Final = re.compile(r"Error: \w+")
_CONFIG: Final = re.compile(
    r"Error: ((?:configmap|secret) \".*\" not found"
    r"|couldn't find key .* in (?:ConfigMap|Secret) .*)"
)
_LOW: Final = re.compile(r"low on resource: ([a-z-]+)")
_USING: Final = re.compile(r"Container (\S+) was using (\S+?), (?:request is|which exceeds)")
_EXCEEDED: Final = re.compile(
    r"exceeded quota: ([^,]+), requested: (.+?), used: (.+), limited: (.+)"
)
_POLICY_CODE: Final = re.compile(
    r"Container (\S+) for pod (?:\S+/)?(\S+) failed with exit code (-?\d+) matching (\S+) rule"
)
_POLICY_CONDITION: Final = re.compile(r"Pod (?:\S+/)?(\S+) has condition (\S+) matching (\S+) rule")
_ENTRYPOINT: Final = re.compile(r"\s*Job entrypoint command failed with exit code (-?\d{1,6})")
_MORE: Final = re.compile(
    r"insufficient unused quota for (\S+) in flavor (\S+), ([^,. ]+(?:\.\d+)?) more needed"
)
_LIMITS: Final = (
    ("active longer than specified deadline", "DeadlineExceeded"),
    ("reached the specified backoff limit", "BackoffLimitExceeded"),
)
_MAXIMUM: Final = re.compile(
    r"insufficient quota for (\S+) in flavor (\S+), .*?(?:current podset request \((\S+)\)|request)"
    r" > maximum capacity \((?:(\S+) > )?(\S+?)\)"
)


def first_line(message: str) -> str:
    """The first line, at most as long as what is kept."""
    return shorten(one_line(message), MESSAGE_LIMIT)


def last_line(message: str) -> str:
    """The last line that says something: of a log's end, that is where an exception stands."""
    for line in reversed(message.splitlines()):
        cleaned = clean_line(line).strip()
        if cleaned:
            return shorten(cleaned, MESSAGE_LIMIT)
    return ""


def scheduling(message: str, needs: Mapping[str, Decimal]) -> str:
    """``needs 8 nvidia.com/gpu; 0/12 nodes: 8 Insufficient nvidia.com/gpu, 4 untolerated taint a``.

    Args:
        message: Of the pod's PodScheduled condition or a FailedScheduling event.
        needs: What the pod asks for, to say how much of what is insufficient.
    """
    text = one_line(message)
    text = re.split(r"[.,;]? ?(?:no new claims to deallocate|preemption:)", text, maxsplit=1)[0]
    text = text.replace(" nodes are available:", " nodes:").replace("node(s) ", "")
    text = _TAINT.sub(r"untolerated taint \1", text)
    text = text.replace("didn't match Pod's node affinity/selector", "other node selector")
    text = text.strip(" .")
    lacking = [name.rstrip(".") for name in _INSUFFICIENT.findall(text)]
    wanted = [amount(name, needs[name]) for name in dict.fromkeys(lacking) if name in needs]
    if wanted:
        text = f"needs {', '.join(wanted)}; {text}"
    return shorten(text, MESSAGE_LIMIT)


def amount(resource: str, value: Decimal) -> str:
    """``8 nvidia.com/gpu``, ``64Gi memory``."""
    if resource == "cpu":
        return f"{format_cpu(value)} {resource}"
    if resource == "memory" or "storage" in resource or resource.startswith("hugepages-"):
        return f"{format_bytes(value)} {resource}"
    return f"{format_count(value)} {resource}"


def image(message: str, fallback: str) -> str:
    """``registry.example/x:1: not found``: the image and the registry's last word."""
    text = one_line(message)
    found = _IMAGE.search(text)
    name = found.group(1) if found else fallback
    if "desc =" in text or "failed to" in text or "rpc error" in text:
        tail = text.rsplit(": ", 1)[-1].strip(' "')
        for sign in ("unauthorized", "denied", "not found", "no such host", "refused", "timeout"):
            if sign in text and sign not in tail:
                tail = sign
                break
        return shorten(f"{name}: {tail}" if name else tail, MESSAGE_LIMIT)
    if text.startswith("Back-off pulling"):
        return shorten(name, MESSAGE_LIMIT)
    return shorten(text or name, MESSAGE_LIMIT)


def runtime(message: str) -> str:
    """A container runtime's complaint without the layers that pass it on."""
    text = one_line(message)
    found = _EXEC.search(text)
    return shorten(found.group(1) if found else text, MESSAGE_LIMIT)


def only_names(message: str) -> bool:
    """Whether a kubelet's event names a state and says nothing of why: ``Error: ErrImagePull``."""
    return _ONLY_NAMES.fullmatch(one_line(message)) is not None


def config(message: str) -> str:
    """What a container's configuration names and is not there; empty for another message."""
    found = _CONFIG.fullmatch(one_line(message))
    return shorten(found.group(1), MESSAGE_LIMIT) if found else ""


def evicted(message: str) -> tuple[str, str]:
    """What a node was low on and which container used most of it: (message, container)."""
    text = one_line(message)
    low, using = _LOW.search(text), _USING.search(text)
    if not low:
        return first_line(text), using.group(1) if using else ""
    said = f"node low on {low.group(1)}"
    if using:
        return f"{said}; {using.group(1)} used {using.group(2)}", using.group(1)
    return said, ""


def creation(message: str) -> tuple[str, str]:
    """Why pods cannot be created: (reason, message), from a FailedCreate event."""
    text = one_line(message)
    quota = _EXCEEDED.search(text)
    if quota:
        name, requested, used, limited = quota.groups()
        said = f"{name}: requested {requested}, used {used}, limited {limited}"
        return "QuotaExceeded", shorten(said, MESSAGE_LIMIT)
    refused = re.search(r'admission webhook "([^"]+)" denied the request:? ?(.*)', text)
    if refused:
        return "AdmissionDenied", shorten(f"{refused.group(1)}: {refused.group(2)}", MESSAGE_LIMIT)
    policy = re.search(r"ValidatingAdmissionPolicy '([^']+)'.*denied request: (.*)", text)
    if policy:
        return "AdmissionDenied", shorten(f"{policy.group(1)}: {policy.group(2)}", MESSAGE_LIMIT)
    secure = re.search(r"violates PodSecurity (.*)", text)
    if secure:
        return "PodSecurity", shorten(secure.group(1), MESSAGE_LIMIT)
    if re.search(r"(?:minimum|maximum|limit to request ratio).* per (?:Container|Pod)", text):
        return "LimitRange", shorten(text.rsplit("is forbidden: ", 1)[-1], MESSAGE_LIMIT)
    said = text.removeprefix("Error creating: ")
    return "FailedCreate", shorten(said.rsplit("is forbidden: ", 1)[-1], MESSAGE_LIMIT)


class PolicyMatch:
    """What a PodFailurePolicy's message says of the pod that made the job fail."""

    def __init__(self, pod: str, container: str, exit_code: int | None, condition: str) -> None:
        self.pod = pod
        self.container = container
        self.exit_code = exit_code
        self.condition = condition


def policy(message: str) -> PolicyMatch | None:
    """Read the message of a job that a pod failure policy ended; it outlives the pod."""
    text = one_line(message)
    code = _POLICY_CODE.search(text)
    if code:
        return PolicyMatch(code.group(2), code.group(1), int(code.group(3)[:6]), "")
    found = _POLICY_CONDITION.search(text)
    return PolicyMatch(found.group(1), "", None, found.group(2)) if found else None


def entrypoint(message: str) -> tuple[str, int | None]:
    """The last words of a Ray job's program, and its exit code where the message has it."""
    code = _ENTRYPOINT.match(message)
    said = last_line(message)
    if code is None:
        return said, None
    # Without the end of a log the message says no more than the code.
    return "" if _ENTRYPOINT.match(said) else said, int(code.group(1))


def limit_passed(message: str) -> str:
    """Which limit a PyTorchJob passed, in a Job's words; empty for another message."""
    return next((reason for sign, reason in _LIMITS if sign in message), "")


def queueing(message: str) -> str:
    """``gpu-a100: 6 more nvidia.com/gpu needed``: Kueue's reasons for one workload."""
    text = re.sub(r"couldn't assign flavors to pod set [^:]+: ", "", one_line(message))
    text = _MORE.sub(r"\2: \3 more \1 needed", text)
    text = _MAXIMUM.sub(
        lambda m: (
            f"{m.group(2)}: needs {m.group(3) or m.group(4) or 'more'} {m.group(1)}, "
            f"at most {m.group(5)}"
        ),
        text,
    )
    return shorten(text.strip(" ."), MESSAGE_LIMIT)


def queue_reason(reason: str, message: str) -> str:
    """The newer, finer reason for older versions' ``Pending`` and ``Inadmissible``."""
    if reason not in ("Pending", "Inadmissible", ""):
        return reason
    text = message.lower()
    for sign, finer in (
        ("maximum capacity", "ExceedsMaxQuota"),
        ("more needed", "WaitingForQuota"),
        ("insufficient", "WaitingForQuota"),
        ("untolerated taint", "NoMatchingFlavor"),
        ("node affinity", "NoMatchingFlavor"),
        ("doesn't exist", "Misconfigured"),
        ("missing", "Misconfigured"),
        ("not found", "Misconfigured"),
        ("is inactive", "QueueStopped"),
        ("is stopped", "QueueStopped"),
    ):
        if sign in text:
            return finer
    return reason or "Pending"
