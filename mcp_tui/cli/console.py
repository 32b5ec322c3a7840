"""``mcp-tui``: the console. Textual is imported by what is called here, not before."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from mcp_tui.cli.settings import configuration, kubeconfig
from mcp_tui.config import Config
from mcp_tui.errors import UsageError

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend


def console(args: argparse.Namespace) -> int:
    """Open the console.

    Raises:
        UsageError: There is no terminal, or the configuration or kubeconfig says something wrong:
            before the screen is taken.
    """
    return open_console(args, configuration(args))


def open_console(args: argparse.Namespace, config: Config, *, demo: bool = False) -> int:
    """Open the console on a configuration."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the console needs a terminal",
            hint="mcp-tui job ls and its kin print; ssh needs -t",
        )
    names = tuple(dict.fromkeys(n.strip() for n in (args.context or "").split(",") if n.strip()))
    # A kubeconfig that cannot be used is said before the screen is taken.
    kube = kubeconfig(args)
    names = names or ((kube.current,) if kube.current else ())
    for name in names:
        kube.context(name)
    from mcp_tui.tui.live.options import options_for

    namespace = None if args.all_namespaces else (args.namespace or "")
    options = options_for(config, kube, names, namespace)

    def backend() -> LiveBackend:
        from mcp_tui.tui.live.backend import LiveBackend

        return LiveBackend(config, lambda: kube, names, namespace, os.environ, demo=demo)

    from mcp_tui.tui.run import run_console

    return run_console(backend, options)
