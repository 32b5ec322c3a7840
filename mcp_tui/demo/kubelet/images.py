"""Image references. The node cannot pull: it only judges whether a pull could have worked."""

from __future__ import annotations

import re
from typing import Final

_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE: Final = re.compile(
    rf"(?:(?P<host>[A-Za-z0-9.\-]+(?::\d+)?)/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[\w][\w.\-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?"
)


class ImageError(Exception):
    """An image that cannot be had: a kubelet's waiting reason and message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def check_image(image: str) -> None:
    """Refuse what no kubelet could pull.

    A registry whose host ends in ``.invalid``, the top-level domain reserved for names that never
    resolve, fails as a look-up of it would. Everything else is taken as present.

    Raises:
        ImageError: InvalidImageName or ErrImagePull, with the message of a container runtime.
    """
    match = _REFERENCE.fullmatch(image)
    if match is None:
        raise ImageError(
            "InvalidImageName",
            f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}":'
            " invalid reference format",
        )
    host = match["host"] or ""
    name = host.split(":")[0]
    if name.endswith(".invalid"):
        reference = image if match["tag"] or match["digest"] else f"{image}:latest"
        manifest = match["digest"] or match["tag"] or "latest"
        raise ImageError(
            "ErrImagePull",
            f'failed to pull and unpack image "{reference}": failed to resolve reference'
            f' "{reference}": failed to do request: Head'
            f' "https://{host}/v2/{match["path"]}/manifests/{manifest}": dial tcp: lookup {name}:'
            " no such host",
        )


def pull_policy(container: dict[str, object]) -> str:
    """The effective pull policy: as given, else Always for ``latest`` and IfNotPresent."""
    given = container.get("imagePullPolicy")
    if given:
        return str(given)
    image = str(container.get("image", ""))
    tail = image.rsplit("/", 1)[-1]
    return "Always" if ":" not in tail or tail.endswith(":latest") else "IfNotPresent"
