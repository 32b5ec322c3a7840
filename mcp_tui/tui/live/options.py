"""What the first frame shows, from the configuration and the kubeconfig alone."""

from __future__ import annotations

import os

from mcp_tui.config import Config
from mcp_tui.domain.plan import Tier
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig
from mcp_tui.tui.model import ConsoleOptions

_TIERS = (Tier.PROD, Tier.TEST, Tier.DEV)


def options_for(
    config: Config, kubeconfig: Kubeconfig, names: tuple[str, ...], namespace: str | None
) -> ConsoleOptions:
    """The options of a console.

    Args:
        names: The contexts.
        namespace: Empty takes the first context's own; None is all.
    """
    infos = [kubeconfig.context(name) for name in names]
    settings = [
        config.for_context(i.name, os.environ, extension=i.extension, origin=i.origin)
        for i in infos
    ]
    if namespace == "" and settings:
        namespace = settings[0].namespace or infos[0].namespace or "default"
    tiers = {s.tier for s in settings}
    return ConsoleOptions(
        contexts=names,
        cluster=", ".join(dict.fromkeys(info.cluster for info in infos)),
        tier=next((t for t in _TIERS if t in tiers), Tier.DEV),
        read_only=bool(settings) and all(s.read_only for s in settings),
        namespace=namespace,
        theme=config.theme or "default",
        no_color=config.no_color,
        profile={"ssh": "ssh", "local": "normal"}.get(config.profile, ""),
        keys=config.keys,
        history_file=str(config.state_dir / "history"),
        state_dir=str(config.state_dir),
    )
