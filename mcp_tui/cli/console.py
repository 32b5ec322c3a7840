"""``mcp-tui``: the console. Textual is imported by what is called here, not before."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcp_tui.cli.settings import asked_namespace, configuration, kubeconfig, named_contexts
from mcp_tui.config import Config
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import UsageError
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend


def console(args: argparse.Namespace) -> int:
    """Open the console.

    Raises:
        UsageError: There is no terminal, or the configuration or kubeconfig says something wrong:
            before the screen is taken.
    """
    return open_console(args, configuration(args))


@dataclass(frozen=True)
class Demo:
    """What the demo adds to a console.

    Attributes:
        example: The train config that a submission starts from.
        ready: Called in a thread before the first connection; blocks until the servers can be
            called, or raises McpTuiError.
        notice: What is missing, said once; empty for nothing.
    """

    example: str
    ready: Callable[[], None]
    notice: str = ""


def _did_not_end(config: Config) -> str:
    """What did not end when the console was last here, in a line."""
    from mcp_tui.actions.journal import Journal
    from mcp_tui.actions.unfinished import said

    return said(Journal(config.state_dir), now=time.time())


def open_console(args: argparse.Namespace, config: Config, *, demo: Demo | None = None) -> int:
    """Open the console on a configuration."""
    from mcp_tui.tui.collector import restrain

    # A tenth of a start went into looking through what imports and lists leave for good.
    restrain()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the console needs a terminal",
            hint="mcp-tui job ls and its kin print; ssh needs -t",
        )
    if os.environ.get("TERM", "dumb") in ("dumb", ""):
        raise UsageError(
            "this terminal cannot place text (TERM is dumb or not set)",
            hint="mcp-tui job ls and its kin print plain lines",
        )
    names = named_contexts(args)
    # A kubeconfig that cannot be used is said before the screen is taken.
    kube = kubeconfig(args)
    names = names or ((kube.current,) if kube.current else ())
    for name in names:
        kube.context(name)
    from mcp_tui.tui.live.options import options_for

    namespace = None if args.all_namespaces else asked_namespace(args)
    options = options_for(config, kube, names, namespace)
    said = demo.notice if demo is not None else ""
    options = replace(options, notice=lambda: said or _did_not_end(config))
    if demo is not None:
        options = replace(options, demo=options.tier is not Tier.PROD)

    def load() -> Kubeconfig:
        if demo is not None:
            demo.ready()
        return kube

    def backend() -> LiveBackend:
        from mcp_tui.tui.live.backend import LiveBackend

        return LiveBackend(
            config,
            load,
            names,
            namespace,
            os.environ,
            demo=demo is not None,
            example=demo.example if demo is not None else "",
        )

    from mcp_tui.tui.run import run_console

    return run_console(backend, options)
