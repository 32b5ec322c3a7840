"""``mcp-tui contexts``: what the kubeconfig and the configuration say, without calling anybody."""

from __future__ import annotations

import argparse
import os

import msgspec

from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.settings import chosen_names, configuration, kubeconfig
from mcp_tui.config import Endpoint
from mcp_tui.domain.text import clean_line, without_credentials
from mcp_tui.errors import ExitCode


class _Row(msgspec.Struct, frozen=True):
    current: bool
    context: str
    cluster: str
    server: str
    user: str
    namespace: str
    tier: str
    tier_origin: str
    read_only: bool
    mlflow: str
    prometheus: str
    problem: str


def _endpoint(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return ""
    return clean_line(endpoint.url or f"service {endpoint.service}")


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("", lambda r: "*" if r.current else ""),
    Column("CONTEXT", lambda r: r.context),
    Column("TIER", lambda r: r.tier, style=lambda r: "prod" if r.tier == "prod" else ""),
    Column("MODE", lambda r: "read-only" if r.read_only else "write"),
    Column("NAMESPACE", lambda r: r.namespace),
    Column("USER", lambda r: r.user),
    Column("CLUSTER", lambda r: r.cluster, wide=True),
    Column("SERVER", lambda r: r.server),
    Column("MLFLOW", lambda r: r.mlflow or "-"),
    Column("PROMETHEUS", lambda r: r.prometheus or "-"),
    Column("TIER FROM", lambda r: r.tier_origin, wide=True),
)


def contexts(args: argparse.Namespace) -> int:
    """Print every context of the kubeconfig."""
    config, kube = configuration(args), kubeconfig(args)
    rows = []
    problems = []
    infos = kube.contexts()
    if args.context:
        wanted = chosen_names(args, kube)
        known = {info.name: info for info in infos}
        # An unknown one is refused in the kubeconfig's own words.
        infos = tuple(known.get(name) or kube.context(name) for name in wanted)
    for info in infos:
        if info.problem is not None:
            problems.append(info.problem)
        settings = config.for_context(
            info.name, os.environ, extension=info.extension, origin=info.origin
        )
        rows.append(
            _Row(
                current=info.name == kube.current,
                context=clean_line(info.name),
                cluster=clean_line(info.cluster),
                server=clean_line(without_credentials(info.server)),
                user=clean_line(info.user),
                namespace=clean_line(settings.namespace or info.namespace or "default"),
                tier=settings.tier.value,
                tier_origin=clean_line(settings.tier_origin),
                read_only=settings.read_only,
                mlflow=_endpoint(settings.mlflow),
                prometheus=_endpoint(settings.prometheus),
                problem=info.problem.line() if info.problem is not None else "",
            )
        )
    printer = Printer(color=False if config.no_color else None)
    if args.output in ("json", "yaml"):
        printer.data(rows, args.output)
    elif args.output == "name":
        for row in rows:
            printer.line(row.context)
    else:
        printer.table(rows, _COLUMNS, wide=args.output == "wide")
    for problem in problems:
        printer.note(f"mcp-tui: {problem.line()}")
    return ExitCode.OK
